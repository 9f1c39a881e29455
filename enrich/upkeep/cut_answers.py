"""Answers that an earlier version stored with a short key cut out of them: `Germ[redacted]`.

Such a ledger tells no longer what the service said; the service does. A page may say `[redacted]` by itself, so each
suspect is held against the service's own result. GETs only: free.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import anyio
import msgspec
from anyio.to_thread import run_sync

from enrich.answers.results import Unread, open_result, run_of
from enrich.api.errors import NotFoundError, StillActiveError
from enrich.backends.parallel import Client
from enrich.ledger.store import Ledger
from enrich.text.hostile import clean

__all__ = ["CutAnswer", "find_cut_answers"]

_MARK: Final = b"[redacted]"
_SHOWN_CHARS: Final = 60
_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class CutAnswer:
    """A result with `[redacted]` in answers where the service has something else; `is_there`: it still has it."""

    run_id: str
    answers: Mapping[str, str]  # by field: what the ledger has, in a few words
    is_there: bool


@dataclass(frozen=True, slots=True)
class _Said:
    digest: bytes  # of all that is said of a field
    words: str  # around the mark


async def find_cut_answers(ledger: Ledger, client: Client) -> list[CutAnswer]:
    """The results of a ledger that differ from those of the service in this. Reads all that the ledger has."""
    suspects = await run_sync(_suspects, ledger)
    found: dict[str, CutAnswer] = {}
    slots = anyio.CapacityLimiter(_AT_ONCE)

    async def ask(run_id: str, answers: Mapping[str, _Said]) -> None:
        async with slots:
            theirs = await _at_service(client, run_id)
        cut = {name: said.words for name, said in answers.items() if theirs is None or theirs.get(name) != said}
        if cut:
            found[run_id] = CutAnswer(run_id, cut, is_there=theirs is not None)

    async with anyio.create_task_group() as asking:
        for run_id, answers in suspects.items():
            asking.start_soon(ask, run_id, answers)
    return [found[run_id] for run_id in suspects if run_id in found]


async def _at_service(client: Client, run_id: str) -> Mapping[str, _Said] | None:
    """What the service's result says with the mark in it; None if there is none any more."""
    try:
        result = await client.run_result(run_id)
    except (NotFoundError, StillActiveError):
        return None
    return _marked(msgspec.json.encode({"run": {"run_id": run_id}, "output": result.output}))


def _suspects(ledger: Ledger) -> dict[str, Mapping[str, _Said]]:
    found: dict[str, Mapping[str, _Said]] = {}
    for raw in ledger.every_result():
        if _MARK in raw and (run_id := run_of(raw)) is not None and (answers := _marked(raw)):
            found[run_id] = answers
    return found


def _marked(raw: bytes) -> dict[str, _Said]:
    """What a result says with the mark in it, by field: the value, or what its basis says."""
    content, basis = open_result(raw)
    if isinstance(content, Unread):
        return {}
    if isinstance(content, str):
        content = {"": content}
    values, found = content or {}, {}
    for name in dict.fromkeys([*values, *(basis or {})]):
        said = [name.encode(), msgspec.json.encode(values.get(name))]
        if basis and name in basis:
            said.append(msgspec.json.encode(basis[name]))
        text = b" ".join(said)
        if _MARK in text:
            found[name] = _Said(sha256(text).digest(), _shown(text.decode()))
    return found


def _shown(text: str) -> str:
    """The first place of the mark, with some words around it."""
    start = max(0, text.find(_MARK.decode()) - _SHOWN_CHARS // 2)
    cut = clean(text[start : start + _SHOWN_CHARS])
    return ("…" if start else "") + cut + ("…" if start + _SHOWN_CHARS < len(text) else "")
