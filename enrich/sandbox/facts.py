"""The facts file: what the sandbox knows to be true, so that it answers without inventing.

NDJSON (or Parquet with the same columns, nested or as JSON text), one fact a line:

    {"match": {"company_name": "Acme"}, "answers": {"ceo": {"value": "A. B.", "confidence": "high",
     "reasoning": "…", "citations": [{"url": "https://…", "title": "…", "excerpts": ["…"]}]}},
     "processors": {"pro": {"ceo": {"confidence": "high"}}}}

`match` is one set of input fields or a list of alternatives. A fact answers an input when every field of
one set equals the input's, without regard to case, outer space, or the scheme, `www.` and final slash of
an address. The set with the most fields wins, then the earlier line. `processors` changes an answer from
that processor upwards, so that stronger ones can be surer.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from enrich.sandbox.processors import PROCESSORS, Processor
from enrich.sandbox.settings import SandboxError

MAX_LINE_BYTES: Final = 4 << 20
MAX_BYTES: Final = 128 << 20  # of all texts, unpacked
MAX_VALUES: Final = 3_000_000  # of JSON: each takes some 100 bytes of memory, and may have been one of text
_SHOWN: Final = 80  # characters of what is wrong

Json = Any

_ADDRESS = re.compile(r"^(?:https?://)?(?:www\.)?(.*?)/*$", re.DOTALL)
_EXPECTED = 'expected a fact such as {"match": {"name": "Acme"}, "answers": {"ceo": {"value": "A. B."}}}'
_CONFIDENCES = ("high", "medium", "low", None)


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """What a fact says of one field: the value and its evidence."""

    value: Json
    confidence: str | float | None
    reasoning: str
    citations: list[Json]


@dataclass(slots=True)
class Fact:
    """One line of the file: the answers by field, and what changes from some processor upwards."""

    answers: Mapping[str, Mapping[str, Json]]
    processors: Mapping[str, Mapping[str, Mapping[str, Json]]]

    def known(self, name: str, processor: Processor) -> KnownAnswer | None:
        """The answer for field `name` as `processor` gives it; None where the fact is silent."""
        changes = [
            (PROCESSORS[at_least].strength, by_field[name])
            for at_least, by_field in self.processors.items()
            if name in by_field and PROCESSORS[at_least].strength <= processor.strength
        ]
        said: dict[str, Json] = dict(self.answers.get(name, {}))
        for _, change in sorted(changes, key=lambda one: one[0]):
            said |= change
        if "value" not in said:
            return None
        return KnownAnswer(
            value=said["value"],
            confidence=said.get("confidence", "high"),
            reasoning=said.get("reasoning") or "Taken from the facts file of the sandbox.",
            citations=said.get("citations") or [],
        )


@dataclass(slots=True)
class Facts:
    """All facts, indexed by the names of the fields they match on."""

    _index: dict[tuple[str, ...], dict[tuple[str, ...], Fact]] = field(default_factory=dict)

    def add(self, match: Mapping[str, Json], fact: Fact) -> None:
        """Let `fact` answer inputs that agree with `match`; an earlier fact with the same match stays."""
        names = tuple(sorted(match))
        values = tuple(_comparable(match[name]) for name in names)
        if names not in self._index:
            self._index[names] = {}
            self._index = dict(sorted(self._index.items(), key=lambda item: -len(item[0])))
        self._index[names].setdefault(values, fact)

    def find(self, document: Json) -> Fact | None:
        """The fact for an input document (an object, or a text, which matches on `input`)."""
        fields = document if isinstance(document, dict) else {"input": document}
        for names, facts in self._index.items():
            if all(name in fields for name in names):
                fact = facts.get(tuple(_comparable(fields[name]) for name in names))
                if fact is not None:
                    return fact
        return None


def load_facts(path: Path | None) -> Facts:
    """Read a facts file; none gives no facts. Raises SandboxError with the line that is wrong."""
    facts = Facts()
    if path is None:
        return facts
    check_facts(path)
    with _refusals(path):
        room = _Room(path)
        for number, line in _lines(path, room):
            _add_line(facts, line, f"{path}:{number}", room)
    return facts


def check_facts(path: Path) -> None:
    """Raise SandboxError where there is no file that can be read; what stands in it is left to `load_facts`."""
    with _refusals(path):
        if path.exists() and not (path.is_file() or path.is_dir()):  # to open a pipe may wait for ever
            raise SandboxError(f"{path}: the facts file is no regular file")
        path.open("rb").close()


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SandboxError(f"{path}: facts file can't be read: {error.strerror or 'it is damaged'}") from error


@dataclass(slots=True)
class _Room:
    """What is left of what a facts file may take of memory, where all of it is held."""

    path: Path
    left: int = MAX_BYTES
    values: int = MAX_VALUES

    def take(self, number: int, size: int, text: bytes | str | None = None) -> None:
        """Count some bytes of a line, and the values that a text of JSON has at most. Raises SandboxError."""
        self.left -= size
        if isinstance(text, bytes):
            self.values -= text.count(b",") + text.count(b"[") + text.count(b"{")
        elif text is not None:
            self.values -= text.count(",") + text.count("[") + text.count("{")
        if self.left < 0 or self.values < 0:
            raise SandboxError(
                f"{self.path}:{number}: facts have at most {MAX_BYTES >> 20} MB and {MAX_VALUES} values up to here; "
                "give a facts file of fewer questions"
            )


def _lines(path: Path, room: _Room) -> Iterator[tuple[int, Json]]:
    if path.suffix == ".parquet":
        yield from _rows(path, room)
        return
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), start=1):
            if len(line) > MAX_LINE_BYTES:
                raise SandboxError(f"{path}:{number}: a fact has at most {MAX_LINE_BYTES >> 20} MB")
            room.take(number, len(line), line)
            if line.strip():
                try:
                    yield number, msgspec.json.decode(line)
                except (msgspec.DecodeError, RecursionError) as error:
                    raise SandboxError(f"{path}:{number}: not JSON; {_EXPECTED}") from error


def _rows(path: Path, room: _Room) -> Iterator[tuple[int, Json]]:
    import pyarrow as pa  # only here: it takes longer to import than the sandbox to start
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            groups = [file.metadata.row_group(n) for n in range(file.num_row_groups)]
            largest = max((group.total_byte_size for group in groups), default=0)
            room.take(1, sum(group.total_byte_size for group in groups))
            room.left = MAX_BYTES
            number = 0
            # One value that a dictionary holds once may be that of each row.
            for batch in file.iter_batches(max(1, min(1000, MAX_BYTES // 4 // max(1, largest))), use_threads=False):
                room.take(number + 1, batch.nbytes)
                for row in batch.to_pylist():
                    number += 1
                    yield number, {**row, "processors": _without_nulls(row.get("processors"))}
    except pa.ArrowException as error:
        raise SandboxError(f"{path}: facts file can't be read: it is no Parquet, or damaged") from error


def _add_line(facts: Facts, line: Json, place: str, room: _Room) -> None:
    if not isinstance(line, dict):
        raise SandboxError(f"{place}: a fact is an object, not {type(line).__name__}")
    line = {name: _unpacked(value, place, room) for name, value in line.items()}
    answers = _part(line, "answers", place)
    processors = _part(line, "processors", place)
    for name in processors:
        if name not in PROCESSORS:
            raise SandboxError(f"{place}: unknown processor {_shown(name)}; known: {', '.join(PROCESSORS)}")
    for by_field in (answers, *processors.values()):
        _check_answers(by_field, place)
    matches = line.get("match")
    fact = Fact(answers, processors)
    for match in matches if isinstance(matches, list) else [matches]:
        if not isinstance(match, dict) or not match:
            raise SandboxError(f"{place}: match must be an object with at least one input field, or a list of them")
        facts.add(match, fact)


def _part(line: Mapping[str, Json], name: str, place: str) -> Mapping[str, Mapping[str, Json]]:
    part = line.get(name)
    part = {} if part is None else part
    if not isinstance(part, dict):
        raise SandboxError(f"{place}: {name} must be an object, not {_shown(part)}")
    for key, value in part.items():
        if not isinstance(value, dict):
            raise SandboxError(f"{place}: {name}.{_cut(repr(key)[1:-1])} must be an object, not {_shown(value)}")
    return part


def _check_answers(by_field: Mapping[str, Json], place: str) -> None:
    for name, said in by_field.items():
        if not isinstance(said, dict):
            raise SandboxError(f"{place}: the answer for {_shown(name)} must be an object with a value")
        confidence = said.get("confidence")
        if confidence not in _CONFIDENCES and type(confidence) not in (int, float):
            has = f"confidence of {_shown(name)} is {_shown(confidence)}"
            raise SandboxError(f"{place}: {has}, not high, medium, low, a number or null")


def _without_nulls(value: Json) -> Json:
    """A Parquet struct as it was meant: a change that does not name a value must not make it null."""
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}


def _unpacked(value: Json, place: str, room: _Room) -> Json:
    """JSON text as what it says, and an object without the nulls that Parquet puts where a key is absent."""
    if isinstance(value, str):
        room.take(int(place.rpartition(":")[2]), 0, value)
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError) as error:
            raise SandboxError(f"{place}: a text that is not JSON; {_EXPECTED}") from error
    if isinstance(value, dict):
        return {key: inner for key, inner in value.items() if inner is not None}
    return value


def _shown(value: Json) -> str:
    return _cut(repr(value[:_SHOWN] if isinstance(value, str) else value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _comparable(value: Json) -> str:
    if not isinstance(value, str):
        value = msgspec.json.encode(value, order="sorted").decode()
    address = _ADDRESS.match(value.strip().casefold())
    assert address is not None  # the pattern matches every text
    return address[1]
