"""The faults that a sandbox can be told to have, as one table, and the plan of when each strikes.

A fault is asked for as `NAME`, `NAME=WHEN`, `NAME=PARAMETER` or `NAME=PARAMETER,WHEN`. WHEN is a
probability (`0.2`, `20%`), a number of times (`3x`), a beginning (`@5`: from the 5th occasion on) or both
(`3x@5`); without it the fault strikes on every occasion. What is left to chance is drawn by the seed, so a
run can be repeated; for faults of runs the draw depends on the task, not on the order of arrival.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import inf
from typing import Literal

from enrich.sandbox.dice import chance
from enrich.sandbox.registry import Outcome, Run
from enrich.sandbox.settings import SandboxError

Scope = Literal["call", "post", "read", "group", "stream", "run", "always"]

STATUSES_OF_FAILURE = ("500", "502", "503", "504", "408", "409")


@dataclass(frozen=True, slots=True)
class Parameter:
    """What may stand after a fault's name: how it is written, what it is by default, how it is read.

    `read` raises ValueError for a text that is something else.
    """

    usage: str
    default: str
    read: Callable[[str], float | str]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One fault: its name, on what occasions it may strike, and what it does, in one sentence."""

    name: str
    scope: Scope
    sentence: str
    parameter: Parameter | None = None

    @property
    def usage(self) -> str:
        """The name with its parameter, as it is written."""
        return f"{self.name}[={self.parameter.usage}]" if self.parameter is not None else self.name


def _duration_s(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)", text)
    if not found:
        raise ValueError(text)
    return float(found[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0}[found[2]]


def _whole(text: str) -> float:
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return read


def _limit(text: str) -> str:
    found = re.fullmatch(r"(.+?)(usd|runs)", text)
    try:
        if not found or Decimal(found[1]) < 0:
            raise ValueError(text)
    except InvalidOperation as error:
        raise ValueError(text) from error
    return text


def _duration(default: str) -> Parameter:
    return Parameter("DURATION", default, _duration_s)


def _count(default: str) -> Parameter:
    return Parameter("COUNT", default, _whole)


def _choice(*words: str) -> Parameter:
    return Parameter("|".join(words), words[0], _one_of(*words))


_STATUS = _choice(*STATUSES_OF_FAILURE)
_LIMIT = Parameter("LIMIT", "0usd", _limit)

_TABLE = (
    # answers to requests that create runs, nothing created
    FaultKind("unauthorized", "call", "Any call is answered 401, as if the key had been revoked."),
    FaultKind(
        "rate-limited",
        "post",
        "A POST that creates runs is answered 429, with a Retry-After of this form.",
        _choice("seconds", "date", "absent", "absurd"),
    ),
    FaultKind(
        "no-credit",
        "post",
        "A POST is answered 402 if more than LIMIT (`5usd` or `100runs`) would be under way with its runs.",
        _LIMIT,
    ),
    FaultKind("forbidden", "post", "A POST that creates runs is answered 403, as if the account were not allowed to."),
    FaultKind(
        "key-echo",
        "post",
        "A POST is refused with this status, and the error repeats the caller's key.",
        _choice("422", "401", "500"),
    ),
    FaultKind("error-before", "post", "A POST is answered with this status and creates nothing.", _STATUS),
    # requests that create runs, and an answer that hides it
    FaultKind("error-after", "post", "A POST creates its runs, then is answered with this status.", _STATUS),
    FaultKind(
        "response-lost",
        "post",
        "A POST creates its runs, but there is no answer: closed, reset, or open in silence.",
        _choice("close", "reset", "silent"),
    ),
    FaultKind(
        "late",
        "post",
        "A POST's runs appear only this much later, and the connection is closed without an answer.",
        _duration("5s"),
    ),
    FaultKind(
        "partial",
        "post",
        "A POST creates only the first COUNT of its runs, then is answered 500.",
        _count("1"),
    ),
    FaultKind(
        "refused-after",
        "post",
        "A POST creates its runs, then is answered as one that the quota or the credit refuses.",
        _choice("429", "402"),
    ),
    FaultKind(
        "refused-partial",
        "post",
        "A POST creates only the first COUNT of its runs, then is answered 429.",
        _count("1"),
    ),
    FaultKind(
        "refused-late",
        "post",
        "A POST is answered 429, and its runs appear this much later.",
        _duration("5s"),
    ),
    FaultKind("truncated-answer", "post", "A POST creates its runs; half of the answer's JSON is missing."),
    FaultKind("wrong-count", "post", "A POST creates its runs; the answer has one run id too few."),
    FaultKind("shuffled-ids", "post", "A POST creates its runs; the answer has their ids in reverse order."),
    FaultKind("group-lost", "group", "A group is created, but the connection is closed without an answer."),
    # reading
    FaultKind(
        "read-error",
        "read",
        "A GET (other than of events) is answered with this status.",
        _choice(*STATUSES_OF_FAILURE, "429"),
    ),
    FaultKind(
        "events-refused",
        "stream",
        "The stream of a group's events is refused with this status.",
        _choice("503", "404", "500", "502", "504", "403"),
    ),
    FaultKind("listing-lag", "always", "A listing shows runs only this long after their creation.", _duration("5s")),
    FaultKind("count-lag", "always", "A group counts runs only this long after their creation.", _duration("5s")),
    FaultKind("listing-by-change", "always", "Listings are in order of last change, not of creation."),
    FaultKind("listing-finished-only", "always", "Listings leave out the runs that are not finished."),
    # event streams: the connection
    FaultKind("cut-clean", "stream", "A stream ends after COUNT events, as if it were whole.", _count("1")),
    FaultKind(
        "cut-half",
        "stream",
        "A stream ends within the event after COUNT others, within a character if it can.",
        _count("1"),
    ),
    FaultKind("cut-close", "stream", "A stream is closed after COUNT events, without its end.", _count("1")),
    FaultKind("cut-reset", "stream", "A stream is reset after COUNT events.", _count("1")),
    FaultKind("silence", "stream", "A stream says nothing at all for this long.", _duration("10m")),
    FaultKind("slow-bytes", "stream", "A stream gives one byte in this time.", _duration("1s")),
    FaultKind(
        "tiny-chunks",
        "stream",
        "A stream comes in pieces of COUNT bytes, across characters.",
        _count("7"),
    ),
    # event streams: the events
    FaultKind("heartbeats", "stream", "Events have an id line, and a comment comes after each."),
    FaultKind("line-ends", "stream", "Lines of a stream end like this.", _choice("crlf", "cr", "mixed")),
    FaultKind("byte-order-mark", "stream", "A stream begins with a byte order mark."),
    FaultKind("split-data", "stream", "The JSON of an event comes in several data lines."),
    FaultKind("duplicates", "stream", "Every event comes twice."),
    FaultKind("reordered", "stream", "Events that come together come in reverse order."),
    FaultKind("error-events", "stream", "An error event comes before the first event."),
    FaultKind("unknown-events", "stream", "Events of an unknown kind come between the others."),
    # how runs end
    FaultKind("run-failed", "run", "A run fails; it is not charged."),
    FaultKind("run-cancelled", "run", "A run is cancelled; it is not charged."),
    FaultKind("run-action-required", "run", "A run asks for an action that nobody can take; it is not charged."),
    FaultKind("run-stuck", "run", "A run never ends."),
    FaultKind("no-metadata", "run", "A run is shown without the metadata it was given."),
    # what runs answer
    FaultKind("null-fields", "run", "Every field of an answer is null, whether its schema allows that or not."),
    FaultKind("invalid-values", "run", "Every field of an answer has a value of the wrong type."),
    FaultKind("no-basis", "run", "An answer's basis is like this.", _choice("empty", "absent", "null")),
    FaultKind("missing-basis", "run", "Every other field of an answer, the first too, has no basis entry."),
    FaultKind("no-confidence", "run", "No basis entry has a confidence."),
    FaultKind(
        "numeric-confidence",
        "run",
        "Confidences are numbers from 0 to 1, in a basis that is an object by field, or the usual list.",
        _choice("fields", "list"),
    ),
    FaultKind("string-content", "run", "The content of an answer is JSON text instead of an object."),
    FaultKind("line-separators", "run", "Texts in the basis contain U+2028, U+2029 and U+0085, unescaped."),
    FaultKind("huge-value", "run", "The first text of an answer has a million characters."),
    FaultKind(
        "hostile-values",
        "run",
        "Texts, titles and links are formulas, HTML, terminal escapes or bidi controls.",
    ),
)

FAULTS: Mapping[str, FaultKind] = {kind.name: kind for kind in _TABLE}

_OUTCOMES: Mapping[str, Outcome] = {
    "run-failed": "failed",
    "run-cancelled": "cancelled",
    "run-action-required": "action_required",
    "run-stuck": "stuck",
}


def describe_faults() -> tuple[FaultKind, ...]:
    """All faults in the order of the documentation: `name`, `usage` and `sentence` of each."""
    return _TABLE


@dataclass(frozen=True, slots=True)
class When:
    """On which occasions a fault strikes: by chance, and within a window of occasions, counted from 0."""

    probability: float = 1.0
    first: int = 0
    times: float = inf

    def is_now(self, occasion: int, roll: float) -> bool:
        """Whether it strikes on this occasion, given a roll in [0, 1)."""
        return self.first <= occasion < self.first + self.times and roll < self.probability


@dataclass(slots=True)
class Fault:
    """A fault that was asked for: its parameter's value, and when it strikes. `occasions` went by so far."""

    kind: FaultKind
    value: float | str
    when: When
    occasions: int = 0

    @property
    def number(self) -> float:
        """The parameter as a number: a count, or a duration in seconds."""
        return float(self.value)

    @property
    def word(self) -> str:
        """The parameter as a word."""
        return str(self.value)


class FaultPlan:
    """The faults of one sandbox. Raises SandboxError for a text that asks for none that there is."""

    def __init__(self, texts: Iterable[str], seed: int) -> None:
        self._seed = seed
        self._faults: dict[str, list[Fault]] = {}
        for text in texts:
            fault = parse_fault(text)
            self._faults.setdefault(fault.kind.name, []).append(fault)

    def take(self, name: str) -> Fault | None:
        """The fault of this name if it strikes now; this counts as an occasion."""
        struck = None
        for place, fault in enumerate(self._faults.get(name, ())):
            roll = chance(self._seed, name, str(place), str(fault.occasions))
            if fault.when.is_now(fault.occasions, roll) and struck is None:
                struck = fault
            fault.occasions += 1
        return struck

    def always(self, name: str) -> Fault | None:
        """A fault that has no occasions: it is there or it is not."""
        return next(iter(self._faults.get(name, ())), None)

    def of_run(self, name: str, run: Run) -> Fault | None:
        """The fault of this name if it strikes this run; the same answer every time."""
        for place, fault in enumerate(self._faults.get(name, ())):
            if fault.when.is_now(run.number, chance(self._seed, name, str(place), *run.identity)):
                return fault
        return None

    def outcome(self, run: Run) -> Outcome:
        """How a run ends."""
        return next((end for name, end in _OUTCOMES.items() if self.of_run(name, run)), "completed")

    def is_nameless(self, run: Run) -> bool:
        """Whether a run is shown without its metadata."""
        return self.of_run("no-metadata", run) is not None

    def __bool__(self) -> bool:
        return bool(self._faults)


def parse_fault(text: str) -> Fault:
    """Read `NAME[=VALUE]`. Raises SandboxError with what is wrong and what could be written."""
    name, _, value = text.partition("=")
    kind = FAULTS.get(name)
    if kind is None:
        raise SandboxError(f"unknown fault {name!r}; known: {', '.join(FAULTS)}")
    parts = value.split(",") if value else []
    when = When()
    if parts and kind.scope != "always" and (found := _parse_when(parts[-1])) is not None:
        when = found
        parts.pop()
    if len(parts) > (1 if kind.parameter is not None else 0):
        raise SandboxError(f"fault {text!r}: can't read {parts[-1]!r}; {_how(kind)}")
    if kind.parameter is None:
        return Fault(kind, "", when)
    try:
        return Fault(kind, kind.parameter.read(parts[0] if parts else kind.parameter.default), when)
    except ValueError as error:
        raise SandboxError(f"fault {text!r}: can't read {parts[0]!r}; {_how(kind)}") from error


def _parse_when(text: str) -> When | None:
    found = re.fullmatch(r"(?:(\d+)x)?(?:@([1-9]\d*))?", text)
    if found and text:
        return When(first=int(found[2] or 1) - 1, times=int(found[1]) if found[1] else inf)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)%|(\d*\.\d+)", text)
    if not found:
        return None
    probability = float(found[1]) / 100 if found[1] else float(found[2])
    return When(probability=probability) if probability <= 1 else None


def _how(kind: FaultKind) -> str:
    if kind.scope == "always":
        return f"write {kind.usage}"
    before = f"[{kind.parameter.usage}]," if kind.parameter is not None else ""
    return f"write {kind.name}[={before}WHEN] with WHEN like 0.2, 20%, 3x, @5 or 3x@5"
