"""Answers → columns beside the original ones. Pure: rows and held runs in, a frame of answer columns out.

For each answer `x`: `x`, its chosen evidence, `x_status`; for each row `enrich_status`, `enrich_detail`,
`enrich_run_id`, `enrich_processor`, `enrich_at`. Order and number of rows are those of the table.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import msgspec
import polars as pl

from enrich.answers import NO_CITATIONS, Answer, Choice, Reader, Status, as_it_is, choose, citations_of
from enrich.config import ROW_COLUMNS, Config, answer_columns
from enrich.dataset import AnswerColumn
from enrich.ledger import Held, Ruled, RunState
from enrich.planning import FAILED, IN_FLIGHT
from enrich.selection import Row
from enrich.spec import Field, column_type
from enrich.text import clean

CITATIONS: Final = pl.List(pl.Struct({"url": pl.String, "title": pl.String, "excerpts": pl.List(pl.String)}))
DETAIL_CHARS: Final = 500
SHOWN: Final = frozenset({"accepted", "review", "kept", "human"})  # statuses whose value stands in the cell
DOUBTFUL: Final = frozenset({"review", "withheld", "invalid"})
TOLD: Final = DOUBTFUL | {"failed", "pending"}  # statuses whose reason a row's detail tells
_ROW_STATUS: Final[tuple[tuple[frozenset[str], str], ...]] = (  # the first that has one of its answers' statuses
    (frozenset({"pending"}), "pending"),
    (frozenset({"failed"}), "failed"),
    (frozenset({"withheld"}), "withheld"),
    (frozenset({"review", "invalid"}), "review"),
)
_SKIPPED: Final = Choice("skipped", "the cell was filled already")

ReadResult = Callable[[Held], bytes]
Kind = tuple[Status, str | float | None, str]  # status, confidence and reason, by which answers are alike


@dataclass(slots=True)
class Doubt:
    """One doubtful answer, for the review queue; `row` counts from 1."""

    row: int
    key: bytes
    document: bytes
    name: str
    choice: Choice


@dataclass(slots=True)
class Joined:
    """Some rows with their answers.

    `choices` and `kinds` are by field, `choices` in the order of `rows`; `kinds` counts the answers that are alike and
    has the place of the first of them.
    """

    rows: Sequence[Row]
    frame: pl.DataFrame
    doubts: list[Doubt]
    choices: list[tuple[Choice, ...]]
    kinds: list[dict[Kind, tuple[int, int]]]


@dataclass(slots=True)
class Tally:
    """What a join adds up to."""

    rows: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)


class Joiner:
    """Makes the answer columns of one config, batch by batch.

    `schema` are the table's columns. `typed` asks for lists and structs where the schema has them (Parquet); else they
    are JSON text (CSV).
    """

    def __init__(
        self,
        config: Config,
        *,
        schema: Mapping[str, pl.DataType],
        typed: bool,
        too_long: Callable[[bytes], str | None] = lambda document: None,
    ) -> None:
        self._fields = config.fields
        self._basis = config.basis
        self._typed = typed
        self._too_long = too_long
        gates = {one.name: config.gate_for(one.name) for one in config.fields}
        self._reader = Reader(config.fields, gates, _ranges(config.fields, schema))
        self._original = frozenset(schema)
        self.tally = Tally()

    def columns(self) -> list[AnswerColumn]:
        """The columns that come out of `join`, in order."""
        columns = []
        for one in self._fields:
            for name in answer_columns(one.name, self._basis):
                dtype = self._dtype(one, name.removeprefix(one.name))
                columns.append(AnswerColumn(name, dtype, replaces=name in self._original))
        columns.extend(AnswerColumn(name, pl.String()) for name in ROW_COLUMNS)
        return columns

    def join(
        self,
        start: int,
        rows: Sequence[Row],
        held: Mapping[bytes, Sequence[Held]],
        result: ReadResult,
        decided: Mapping[bytes, Mapping[str, Ruled]] = MappingProxyType({}),
    ) -> Joined:
        """The answers of some rows.

        `start` is the index of the first row; `held` are the ledger's runs, `decided` people's decisions by field, both
        by input key.
        """
        chosen: dict[bytes, list[Choice]] = {}
        doubts: list[Doubt] = []
        by_row: list[list[Choice]] = []
        for row in rows:
            if row.key is None:
                by_row.append([Choice("skipped", row.left_out)] * len(self._fields))
                continue
            choices = chosen.get(row.key)
            if choices is None:
                assert row.document is not None
                choices = self._choices(row.document, held.get(row.key, ()), result)
                if row.key in decided:
                    ruled = self._reader.ruled(decided[row.key])
                    choices = [ruled.get(one.id, choice) for one, choice in zip(self._fields, choices, strict=True)]
                chosen[row.key] = choices
                first = start + len(by_row) + 1
                doubts.extend(
                    Doubt(first, row.key, row.document, one.name, choice)
                    for i, (one, choice) in enumerate(zip(self._fields, choices, strict=True))
                    if choice.status in DOUBTFUL and row.mask >> i & 1
                )
            by_row.append(self._for_row(row, choices))
        by_field = list(zip(*by_row, strict=True)) or [()] * len(self._fields)
        return Joined(rows, self._frame(rows, by_row, by_field), doubts, by_field, self._kinds(by_field))

    def _choices(self, document: bytes, held: Sequence[Held], result: ReadResult) -> list[Choice]:
        if len(held) == 1 and held[0].state is RunState.COMPLETED and held[0].block_id is not None:
            (run,) = held
            read = self._reader.read(result(run), run.field_ids)
            if len(read) == len(self._fields):  # nearly always: there is nothing to choose
                return [as_it_is(run, read[one.id]) for one in self._fields]
        answers: dict[str, list[tuple[Held, Answer]]] = {}
        failed: dict[str, Held] = {}
        flying: set[str] = set()
        for run in held:
            if run.state in IN_FLIGHT:
                flying |= run.field_ids
            elif run.state in FAILED:
                failed.update(dict.fromkeys(run.field_ids, run))
            elif run.block_id is not None:
                for field_id, answer in self._reader.read(result(run), run.field_ids).items():
                    answers.setdefault(field_id, []).append((run, answer))
        too_long = self._too_long(document) if not held else None
        return [
            choose(answers.get(one.id, ()), pending=one.id in flying, failed=failed.get(one.id), too_long=too_long)
            for one in self._fields
        ]

    def _for_row(self, row: Row, choices: list[Choice]) -> list[Choice]:
        """The choices of an input as this row has them: filled cells are left alone, rows not chosen are skipped."""
        full = (1 << len(self._fields)) - 1
        if row.mask == full and not row.left_out:
            return choices
        out = []
        for i, choice in enumerate(choices):
            if not row.mask >> i & 1:
                out.append(_SKIPPED)
            elif row.left_out and choice.status == "pending" and choice.answer is None:
                out.append(Choice("skipped", row.left_out))
            else:
                out.append(choice)
        return out

    # ------------------------------------------------------------------ columns

    def _dtype(self, one: Field, suffix: str) -> pl.DataType:
        if suffix == "":
            dtype = column_type(one.schema)
            return dtype if self._typed or not isinstance(dtype, pl.List | pl.Struct) else pl.String()
        return CITATIONS if suffix == "_citations" and self._typed else pl.String()

    def _kinds(self, by_field: Sequence[Sequence[Choice]]) -> list[dict[Kind, tuple[int, int]]]:
        found: list[dict[Kind, tuple[int, int]]] = []
        for choices in by_field:
            kinds: list[Kind] = [
                (choice.status, None if choice.answer is None else choice.answer.confidence, choice.reason)
                for choice in choices
            ]
            counted = Counter(kinds)
            for (status, *_), count in counted.items():
                self.tally.answers[status] += count
            found.append({kind: (count, kinds.index(kind)) for kind, count in counted.items()})
        return found

    def _frame(
        self, rows: Sequence[Row], by_row: Sequence[Sequence[Choice]], by_field: Sequence[Sequence[Choice]]
    ) -> pl.DataFrame:
        series: list[pl.Series] = []
        statuses: list[list[Status]] = []
        for one, choices in zip(self._fields, by_field, strict=True):
            said = [choice.status for choice in choices]
            answers = [choice.answer for choice in choices]
            statuses.append(said)
            series.append(self._values(one, said, answers))
            evidence = answer_columns(one.name, self._basis)[1:-1]
            series.extend(self._evidence(name, name.removeprefix(one.name), answers) for name in evidence)
            series.append(pl.Series(one.name + "_status", said, pl.String))
        series.extend(self._row_columns(rows, by_row, statuses))
        return pl.DataFrame(series)

    def _values(self, one: Field, statuses: list[Status], answers: list[Answer | None]) -> pl.Series:
        dtype = self._dtype(one, "")
        values = [
            answer.value if answer is not None and status in SHOWN else None
            for answer, status in zip(answers, statuses, strict=True)
        ]
        if isinstance(dtype, pl.List | pl.Struct):
            return _from_json(one.name, [_json(value) for value in values], dtype)
        if dtype == pl.String:
            values = [value if value is None or isinstance(value, str) else _json(value) for value in values]
        elif dtype == pl.Int64:  # JSON has one kind of number: 1999.0 is a whole one
            values = [int(value) if type(value) is float else value for value in values]
        elif dtype == pl.Float64:
            values = [float(value) if type(value) is int else value for value in values]
        return pl.Series(one.name, values, dtype)

    def _evidence(self, name: str, suffix: str, answers: list[Answer | None]) -> pl.Series:
        match suffix:
            case "_confidence":
                said = [None if answer is None else answer.confidence for answer in answers]
                words = [word if word is None or isinstance(word, str) else repr(word) for word in said]
                return pl.Series(name, words, pl.String)
            case "_reasoning":
                texts = [None if answer is None else answer.reasoning or None for answer in answers]
                return pl.Series(name, texts, pl.String)
            case _:
                cited = [None if answer is None else self._cited(answer.citations) for answer in answers]
                return _from_json(name, cited, CITATIONS) if self._typed else pl.Series(name, cited, pl.String)

    def _cited(self, text: str) -> str | None:
        """Citations as JSON text: as they came in a CSV, in the shape of the column's type where it has one."""
        if text in (NO_CITATIONS, "null"):
            return None
        if self._typed or "\n" in text or "\r" in text:
            return msgspec.json.encode(citations_of(text)).decode()
        return text

    def _row_columns(
        self, rows: Sequence[Row], by_row: Sequence[Sequence[Choice]], by_field: Sequence[Sequence[Status]]
    ) -> list[pl.Series]:
        status: list[str] = []
        detail, run_ids, processors, at = [], [], [], []
        names = [one.name for one in self._fields]
        words = dict.fromkeys(zip(*by_field, strict=True), "")  # the different combinations, of which there are few
        for statuses in words:
            words[statuses] = row_status(statuses)
        for row, choices, statuses in zip(rows, by_row, zip(*by_field, strict=True), strict=True):
            word = "skipped" if row.left_out and statuses.count("skipped") == len(statuses) else words[statuses]
            status.append(word)
            detail.append(None if word == "complete" else _detail(row, names, choices))
            run_id, processor, moment = _provenance(choices)
            run_ids.append(run_id)
            processors.append(processor)
            at.append(moment)
        self.tally.rows.update(status)
        columns: list[list[Any]] = [status, detail, run_ids, processors, at]
        return [pl.Series(name, cells, pl.String) for name, cells in zip(ROW_COLUMNS, columns, strict=True)]


def row_status(statuses: Sequence[Status]) -> str:
    """The status of a row that is not left out: that of its most unfinished answer."""
    found = set(statuses)
    return next((word for among, word in _ROW_STATUS if found & among), "complete")


def _provenance(choices: Sequence[Choice]) -> tuple[str | None, str | None, str | None]:
    """Run ids, processors and the time of a row's answers, the newest first."""
    helds = [choice.held for choice in choices]
    first = helds[0]
    if first is not None and helds.count(first) == len(helds):
        return first.run_id, first.processor, _moment(first.at)
    runs = {held.run_id or "": held for held in helds if held is not None}
    if not runs:
        return None, None, None
    newest = sorted(runs.values(), key=lambda run: (run.at or 0, run.submission_id), reverse=True)
    run_ids = ", ".join(run.run_id for run in newest if run.run_id) or None
    return run_ids, ", ".join(dict.fromkeys(run.processor for run in newest)), _moment(newest[0].at)


def _detail(row: Row, names: Sequence[str], choices: Sequence[Choice]) -> str:
    if all(choice.status == "skipped" for choice in choices):
        return clean(row.left_out, DETAIL_CHARS)
    by_reason: dict[tuple[str, str], list[str]] = {}
    for name, choice in zip(names, choices, strict=True):
        if choice.status in TOLD:
            by_reason.setdefault((choice.status, choice.reason), []).append(name)
    if len(by_reason) == 1:
        (((_, reason), found),) = by_reason.items()
        if len(found) == len(names):
            return clean(reason, DETAIL_CHARS)
    parts = [f"{', '.join(found)}: {reason or status}" for (status, reason), found in by_reason.items()]
    return clean("; ".join(parts), DETAIL_CHARS)


def _ranges(fields: Sequence[Field], schema: Mapping[str, pl.DataType]) -> dict[str, tuple[int, int]]:
    """The whole numbers that fit the columns of the table which answers go into."""
    ranges = {}
    for one in fields:
        dtype = schema.get(one.name)
        if dtype is not None and dtype.is_integer():
            signed, bits = dtype.is_signed_integer(), int(str(dtype).lstrip("UInt"))
            ranges[one.name] = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return ranges


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _from_json(name: str, texts: list[str | None], dtype: pl.DataType | Any) -> pl.Series:
    return pl.Series(name, texts, pl.String).str.json_decode(dtype)


@lru_cache(maxsize=4096)
def _moment(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
