"""A raw result → its content and basis. Pure, and tolerant: it reads what a service may send, and judges nothing.

Content as a string, in a Markdown fence or not; basis missing, in the older shape, or element by element; numeric
confidence; JSON that is not quite JSON. What would take too much memory is not read: it is kept as it came.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from enrich.config import score
from enrich.spec import Json
from enrich.text.mending import mended
from enrich.text.weight import why_too_heavy

NO_CITATIONS: Final = "[]"
_FENCED: Final = re.compile(r"```[ \t]*[\w+-]*\s*(.*)```", re.DOTALL)  # a block of code in Markdown


class Basis(msgspec.Struct, gc=False):
    """Why a field has the answer that it has; `citations` is JSON text, an array of {url, title, excerpts}."""

    field: str
    reasoning: str | None = None
    citations: msgspec.Raw = msgspec.Raw(NO_CITATIONS.encode())
    confidence: str | float | None = None


class Citation(msgspec.Struct):
    """A source of an answer, as far as it was given."""

    url: str | None = None
    title: str | None = None
    excerpts: list[str] | None = None


class Unread(msgspec.Struct, frozen=True):
    """Content that is too heavy to be read."""

    why: str


class _Run(msgspec.Struct):
    run_id: str | None = None
    interaction_id: str | None = None


class _Result(msgspec.Struct):
    run: _Run
    output: msgspec.Raw = msgspec.Raw(b"null")


class _UsualOutput(msgspec.Struct):
    content: dict[str, Any]
    basis: list[Basis] = []


class _UsualResult(msgspec.Struct):
    """What nearly every result looks like: decoded in one go."""

    output: _UsualOutput


_USUAL: Final = msgspec.json.Decoder(_UsualResult)
_RESULT: Final = msgspec.json.Decoder(_Result)
_CITATIONS: Final = msgspec.json.Decoder(list[Citation])
_UNREADABLE: Final = (msgspec.MsgspecError, RecursionError)

# Content and basis of a result; no basis at all where it has no output. A text is content of another shape.
Content = dict[str, Any] | str | Unread | None
Opened = tuple[Content, Mapping[str, Basis] | None]


def open_result(raw: bytes) -> Opened:
    """Content and basis of a result as it came."""
    if why := why_too_heavy(raw):
        return Unread(why), {}
    try:
        output = _USUAL.decode(raw).output
    except _UNREADABLE:
        unusual = _loose(_result(raw).output)
    else:
        return output.content, {entry.field: entry for entry in output.basis}
    if unusual is None:
        return None, None
    if not isinstance(unusual, dict):
        return _content(unusual), {}
    basis = _tolerant_basis(unusual.get("basis"))
    return _content(unusual.get("content")), {entry.field: entry for entry in basis}


def interaction_of(raw: bytes) -> str | None:
    """The interaction id of a result: what a later run may build on."""
    return _result(raw).run.interaction_id


def run_of(raw: bytes) -> str | None:
    """The id of the run that a result names."""
    return _result(raw).run.run_id


def is_of_run(raw: bytes, run_id: str) -> bool:
    """Whether a result is that of a run: it names the run, as bytes or else as JSON reads them."""
    return run_id.encode() in raw or _result(raw).run.run_id == run_id


def basis_of_elements(name: str, basis: Mapping[str, Basis]) -> Basis | None:
    """The basis of a list given element by element (`name.0`, `name.1`): as sure as its least sure element."""
    parts = [entry for field, entry in basis.items() if field.startswith(name + ".")]
    if not parts:
        return None
    unsure = min(parts, key=lambda part: -1.0 if (known := score(part.confidence)) is None else known)
    citations: list[Any] = []
    for part in parts:
        cited = _loose(part.citations)
        citations.extend(cited if isinstance(cited, list) else ())
    return Basis(
        field=name,
        reasoning=" ".join(part.reasoning for part in parts if part.reasoning),
        citations=msgspec.Raw(msgspec.json.encode(citations)),
        confidence=unsure.confidence,
    )


def citations_of(text: str) -> list[Citation]:
    """Citations as typed values; what is not of the expected shape is left out."""
    try:
        return _CITATIONS.decode(text)
    except _UNREADABLE:
        document = _loose(text.encode())
    return [_citation(entry) for entry in document if isinstance(entry, dict)] if isinstance(document, list) else []


def _result(raw: bytes) -> _Result:
    """A result with its output unread."""
    try:
        return _RESULT.decode(raw)
    except _UNREADABLE:
        return _RESULT.decode(mended(raw) or b'{"run":{}}')


def _loose(raw: bytes | msgspec.Raw) -> Any:
    """JSON as plain values, mended where it must be; None for what is no JSON."""
    try:
        return msgspec.json.decode(raw)
    except _UNREADABLE:
        strict = mended(bytes(raw))
    return None if strict is None else msgspec.json.decode(strict)


def _content(content: object) -> Content:
    """The output's content as an object: some responses carry the JSON as a string, or that in a Markdown fence.

    What can't be read so is given as the text that it is; None where there is nothing.
    """
    if isinstance(content, dict):
        return content
    if isinstance(content, str):
        inner = content.encode()
        if why := why_too_heavy(inner):
            return Unread(why)
        read = _loose(inner)
        if not isinstance(read, dict) and (fenced := _FENCED.search(content)):
            read = _loose(fenced[1].encode())
        return read if isinstance(read, dict) else content.strip() or None
    try:
        return None if content is None else msgspec.json.encode(content).decode()
    except RecursionError:  # no text of it would be of use to anybody
        return None


def _tolerant_basis(document: object) -> Iterable[Basis]:
    """Entries of a basis that is not quite what it should be, or of the older shape `{"fields": {name: …}}`."""
    if isinstance(document, dict):
        fields = document.get("fields", document)
        entries = [
            {**entry, "field": name}
            for name, entry in (fields.items() if isinstance(fields, dict) else ())
            if isinstance(entry, dict)
        ]
    else:
        entries = [entry for entry in document or () if isinstance(entry, dict)] if isinstance(document, list) else []
    for entry in entries:
        name, confidence, reasoning = entry.get("field"), entry.get("confidence"), entry.get("reasoning")
        if not isinstance(name, str):
            continue
        yield Basis(
            field=name,
            reasoning=reasoning if isinstance(reasoning, str) else None,
            citations=msgspec.Raw(msgspec.json.encode(list(_tolerant_citations(entry)))),
            confidence=_confidence(confidence),
        )


def _confidence(value: object) -> str | float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return value if isinstance(value, str) else float(value)
    except OverflowError:
        return None


def _tolerant_citations(entry: Mapping[str, Any]) -> Iterable[dict[str, Json]]:
    cited = entry.get("citations")
    for citation in cited if isinstance(cited, list) else ():
        if isinstance(citation, dict):
            yield citation
        elif isinstance(citation, str):
            yield {"url": citation}
    if isinstance(url := entry.get("source_url"), str):
        snippet = entry.get("snippet")
        yield {"url": url, "excerpts": [snippet] if isinstance(snippet, str) else []}


def _citation(entry: Mapping[str, Any]) -> Citation:
    url, title, excerpts = (entry.get(name) for name in ("url", "title", "excerpts"))
    return Citation(
        url if isinstance(url, str) else None,
        title if isinstance(title, str) else None,
        [text for text in excerpts if isinstance(text, str)] if isinstance(excerpts, list) else None,
    )
