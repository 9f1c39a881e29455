"""Answers → columns beside the original ones. Pure: rows and held runs in, a frame of answer columns out.

For each answer `x`: `x`, its chosen evidence, `x_status`; for each row `enrich_status`, `enrich_detail`,
`enrich_run_id`, `enrich_processor`, `enrich_at`. Order and number of rows are those of the table.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache, partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
import polars as pl

from enrich.answers.answer import Cells, Choice, Given, Status
from enrich.answers.choosing import choose
from enrich.answers.judging import Reader
from enrich.answers.results import NO_CITATIONS, citations_of
from enrich.config import ROW_COLUMNS, Config, answer_columns
from enrich.records import FAILED, IN_FLIGHT, Held, Row, Ruled, RunState
from enrich.spec import Field, Room, column_type, room_in
from enrich.spec.columns import AnswerColumn
from enrich.text.hostile import clean
from enrich.text.namesakes import find_name

CITATIONS: Final = pl.List(pl.Struct({"url": pl.String, "title": pl.String, "excerpts": pl.List(pl.String)}))
MOMENT: Final = pl.Datetime("us", "UTC")
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
_NOTHING_CITED: Final = frozenset({NO_CITATIONS, "null"})
_SKIPPED: Final = Choice("skipped", "the cell was filled already")

ReadResult = Callable[[Held], bytes]
AnswerKind = tuple[Status, str | float | None, str]  # status, confidence and reason, by which answers are alike


class Doubt(NamedTuple):
    """Where a doubtful answer stands: the place of its row, the number of its field."""

    place: int
    field: int


@dataclass(slots=True)
class Joined:
    """Some rows with their answers.

    `cells` and `kinds` are by field, the cells in the order of `rows`; `kinds` counts the answers that are alike and
    has the place of the first of them. `doubts` are those of the first row of each input, in the order of the rows.
    """

    rows: Sequence[Row]
    frame: pl.DataFrame
    cells: list[Cells]
    kinds: list[dict[AnswerKind, tuple[int, int]]]
    doubts: list[Doubt]


@dataclass(frozen=True, slots=True)
class Cost:
    """Runs that were paid for, and what they cost in millionths of a dollar; of `unpriced` ones that is not known."""

    runs: int = 0
    usd_micro: int = 0
    unpriced: int = 0


@dataclass(slots=True)
class Tally:
    """What a join adds up to, and what its answers have cost so far, by all commands."""

    rows: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    cost: Cost = Cost()


class Joiner:
    """Makes the answer columns of one config, batch by batch.

    `schema` are the table's columns. `dated` asks for `enrich_at` as a moment (Parquet), which is text in all else;
    `typed` for lists and structs where the schema has them; else they
    are JSON text (CSV).
    """

    def __init__(
        self,
        config: Config,
        *,
        schema: Mapping[str, pl.DataType],
        typed: bool,
        dated: bool = False,
        too_long: Callable[[bytes, int], str | None] = lambda document, mask: None,
    ) -> None:
        self._fields = config.fields
        self._full = (1 << len(config.fields)) - 1
        self._ids = frozenset(one.id for one in config.fields)
        self._basis = config.basis
        self._typed = typed
        self._dated = dated
        self._too_long = too_long
        gates = {one.name: config.gate_for(one.name) for one in config.fields}
        self._reader = Reader(config.fields, gates, _rooms(config.fields, schema))
        self._original = frozenset(schema)
        # An answer goes into the column that looks like its name, however that is spelled.
        self._columns = {one.name: find_name(one.name, schema) or one.name for one in config.fields}
        self.tally = Tally()

    def columns(self) -> list[AnswerColumn]:
        """The columns that come out of `join`, in order."""
        columns = []
        for one in self._fields:
            for name in answer_columns(one.name, self._basis):
                dtype = self._dtype(one, name.removeprefix(one.name))
                column = self._columns.get(name, name)
                columns.append(AnswerColumn(column, dtype, replaces=column in self._original))
        columns.extend(AnswerColumn(name, pl.String()) for name in ROW_COLUMNS[:-1])
        columns.append(AnswerColumn(ROW_COLUMNS[-1], MOMENT if self._dated else pl.String()))
        return columns

    def join(
        self,
        rows: Sequence[Row],
        held: Mapping[bytes, Sequence[Held]],
        result: ReadResult,
        decided: Mapping[bytes, Mapping[str, Ruled]] = MappingProxyType({}),
    ) -> Joined:
        """The answers of some rows.

        `held` are the ledger's runs, `decided` people's decisions by field, both by input key.
        """
        chosen: dict[bytes, list[Choice]] = {}
        places: dict[bytes, int] = {}  # of inputs, among the runs
        runs: list[Held] = []  # each is all that there is for its input
        others: list[list[Choice]] = []  # the choices of rows for which there is something to choose
        order: list[int] = []  # for each row its place among the runs, or ~ that among the others
        for row in rows:
            run = None if row.key in decided else self._only_run(row, held)
            if run is not None and row.key is not None:
                place = places.setdefault(row.key, len(runs))
                if place == len(runs):
                    runs.append(run)
                order.append(place)
            else:
                order.append(~len(others))
                others.append(self._chosen(row, held, result, decided, chosen))
        cells = self._reader.cells(map(result, runs), runs)
        if others:
            cells = [one.extended(Cells.of(more)) for one, more in zip(cells, zip(*others, strict=True), strict=True)]
            order = [place if place >= 0 else len(runs) + ~place for place in order]
        if order != list(range(len(order))):
            cells = [one.gathered(order) for one in cells]
        return Joined(rows, self._frame(rows, cells), cells, self._kinds(cells), self._doubts(rows, cells))

    def _only_run(self, row: Row, held: Mapping[bytes, Sequence[Held]]) -> Held | None:
        """The run that has all answers of a row, nearly always; None where there is something to choose."""
        if row.key is None or row.left_out or row.mask != self._full:
            return None
        runs = held.get(row.key, ())
        if len(runs) != 1 or runs[0].state is not RunState.COMPLETED or runs[0].block_id is None:
            return None
        return runs[0] if self._ids <= runs[0].field_ids else None

    def _chosen(
        self,
        row: Row,
        held: Mapping[bytes, Sequence[Held]],
        result: ReadResult,
        decided: Mapping[bytes, Mapping[str, Ruled]],
        chosen: dict[bytes, list[Choice]],
    ) -> list[Choice]:
        """The choices of a row, by field; those of its input are kept in `chosen` for rows to come."""
        if row.key is None:
            return [Choice("skipped", row.left_out)] * len(self._fields)
        choices = chosen.get(row.key)
        if choices is None:
            assert row.document is not None
            choices = self._choices(row.document, held.get(row.key, ()), result, decided.get(row.key, {}))
            chosen[row.key] = choices
        return self._for_row(row, choices)

    def _choices(
        self, document: bytes, held: Sequence[Held], result: ReadResult, decided: Mapping[str, Ruled]
    ) -> list[Choice]:
        answers: dict[str, list[Given]] = {}
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
        unasked = sum(
            1 << i
            for i, one in enumerate(self._fields)
            if one.id not in answers and one.id not in flying and one.id not in failed
        )
        too_long = self._too_long(document, unasked) if unasked else None
        choices = [
            choose(answers.get(one.id, ()), pending=one.id in flying, failed=failed.get(one.id), too_long=too_long)
            for one in self._fields
        ]
        return self._reader.after_people(choices, decided, answers) if decided else choices

    def _for_row(self, row: Row, choices: list[Choice]) -> list[Choice]:
        """The choices of an input as this row has them: filled cells are left alone, rows not chosen are skipped."""
        if row.mask == self._full and not row.left_out:
            return choices
        out = []
        for i, choice in enumerate(choices):
            if not row.mask >> i & 1:
                out.append(_SKIPPED)
            elif row.left_out and choice.answer is None and choice.held is None:
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

    def _kinds(self, cells: Sequence[Cells]) -> list[dict[AnswerKind, tuple[int, int]]]:
        found: list[dict[AnswerKind, tuple[int, int]]] = []
        for one in cells:
            kinds: list[AnswerKind] = list(zip(one.statuses, one.confidences, one.reasons, strict=True))
            counted = Counter(kinds)
            for (status, *_), count in counted.items():
                self.tally.answers[status] += count
            found.append({kind: (count, kinds.index(kind)) for kind, count in counted.items()})
        return found

    def _doubts(self, rows: Sequence[Row], cells: Sequence[Cells]) -> list[Doubt]:
        doubts = sorted(
            Doubt(place, number)
            for number, one in enumerate(cells)
            for place, status in enumerate(one.statuses)
            if status in DOUBTFUL
        )
        first: dict[bytes, int] = {}
        return [one for one in doubts if first.setdefault(doubt_key(rows[one.place]), one.place) == one.place]

    def _frame(self, rows: Sequence[Row], cells: Sequence[Cells]) -> pl.DataFrame:
        series: list[pl.Series] = []
        for one, column in zip(self._fields, cells, strict=True):
            evidence = answer_columns(one.name, self._basis)[1:-1]
            series.append(self._values(one, column))
            series.extend(self._evidence(name, name.removeprefix(one.name), column) for name in evidence)
            series.append(pl.Series(one.name + "_status", column.statuses, pl.String))
        series.extend(self._row_columns(rows, cells))
        return pl.DataFrame(series)

    def _values(self, one: Field, cells: Cells) -> pl.Series:
        dtype = self._dtype(one, "")
        values = [
            value if status in SHOWN else None for value, status in zip(cells.values, cells.statuses, strict=True)
        ]
        if isinstance(dtype, pl.List | pl.Struct):
            texts = [_json(_with_floats(value, dtype)) for value in values]
            return _from_json(self._columns[one.name], texts, dtype)
        if dtype == pl.String:
            values = [value if value is None or isinstance(value, str) else _json(value) for value in values]
        elif dtype == pl.Int64:  # JSON has one kind of number: 1999.0 is a whole one
            values = [int(value) if type(value) is float else value for value in values]
        elif dtype == pl.Float64:
            values = [float(value) if type(value) is int else value for value in values]
        return pl.Series(self._columns[one.name], values, dtype)

    def _evidence(self, name: str, suffix: str, cells: Cells) -> pl.Series:
        match suffix:
            case "_confidence":
                words = [word if word is None or isinstance(word, str) else repr(word) for word in cells.confidences]
                return pl.Series(name, words, pl.String)
            case "_reasoning":
                return pl.Series(name, [text or None for text in cells.reasonings], pl.String)
            case _ if self._typed:
                return _from_json(name, list(map(_typed_citations, cells.citations)), CITATIONS)
            case _:
                return pl.Series(name, list(map(_cited, cells.citations)), pl.String)

    def _row_columns(self, rows: Sequence[Row], cells: Sequence[Cells]) -> list[pl.Series]:
        statuses = list(zip(*(one.statuses for one in cells), strict=True))
        reasons = zip(*(one.reasons for one in cells), strict=True)
        status = list(map(cache(row_status), statuses))  # of few different rows
        detail: list[str | None] = [None] * len(rows)
        tell = cache(partial(_detail, [one.name for one in self._fields]))
        for place, (row, said, why) in enumerate(zip(rows, statuses, reasons, strict=True)):
            if row.left_out and said.count("skipped") == len(said):
                status[place], detail[place] = "skipped", clean(row.left_out, DETAIL_CHARS)
            elif status[place] != "complete":
                detail[place] = tell(said, why)
        self.tally.rows.update(status)
        provenance = list(map(_provenance, zip(*(one.runs for one in cells), strict=True)))
        columns: list[list[Any]] = [status, detail, *([one[part] for one in provenance] for part in range(2))]
        texts = [pl.Series(name, column, pl.String) for name, column in zip(ROW_COLUMNS, columns, strict=False)]
        return [*texts, self._moments(ROW_COLUMNS[-1], [at for *_, at in provenance])]

    def _moments(self, name: str, seconds: list[int | None]) -> pl.Series:
        if self._dated:
            return (pl.Series(name, seconds, pl.Int64) * 1_000_000).cast(MOMENT)
        return pl.Series(name, list(map(_moment, seconds)), pl.String)


def doubt_key(row: Row) -> bytes:
    """What rows have in common that have the same doubts: their input, and which of its answers they want."""
    assert row.key is not None
    return row.key + row.mask.to_bytes(-(-row.mask.bit_length() // 8))


def row_status(statuses: Sequence[Status]) -> str:
    """The status of a row that is not left out: that of its most unfinished answer."""
    found = set(statuses)
    return next((word for among, word in _ROW_STATUS if found & among), "complete")


def _provenance(runs: Sequence[Held | None]) -> tuple[str | None, str | None, int | None]:
    """Run ids, processors and the time of a row's answers, the newest first; `runs` are theirs, by field."""
    first = runs[0]
    if first is not None and runs.count(first) == len(runs):
        return first.run_id, first.processor, first.at
    different = {run.run_id or "": run for run in runs if run is not None}
    if not different:
        return None, None, None
    newest = sorted(different.values(), key=lambda run: (run.at or 0, run.submission_id), reverse=True)
    run_ids = ", ".join(run.run_id for run in newest if run.run_id) or None
    return run_ids, ", ".join(dict.fromkeys(run.processor for run in newest)), newest[0].at


def _detail(names: Sequence[str], statuses: Sequence[Status], reasons: Sequence[str]) -> str:
    """What is wrong with a row, in words, from the statuses of its answers and their reasons."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for name, status, reason in zip(names, statuses, reasons, strict=True):
        if status in TOLD:
            by_reason.setdefault((status, reason), []).append(name)
    if len(by_reason) == 1:
        (((_, reason), found),) = by_reason.items()
        if len(found) == len(names):
            return clean(reason, DETAIL_CHARS)
    parts = [f"{', '.join(found)}: {reason or status}" for (status, reason), found in by_reason.items()]
    return clean("; ".join(parts), DETAIL_CHARS)


def _cited(text: str) -> str | None:
    """Citations as JSON text, as they came but on one line; None where there are none."""
    if "\n" in text or "\r" in text:
        return _typed_citations(text)
    return None if text in _NOTHING_CITED else text


def _typed_citations(text: str) -> str | None:
    """Citations as JSON text in the shape of the column's type; None where there are none."""
    return None if text in _NOTHING_CITED else msgspec.json.encode(citations_of(text)).decode()


def _rooms(fields: Sequence[Field], schema: Mapping[str, pl.DataType]) -> dict[str, Room]:
    """The rooms of the table's columns which whole numbers go into; all else goes into columns of its own type."""
    whole = [one for one in fields if column_type(one.schema).is_integer()]
    own = {one.name: column for one in whole if (column := find_name(one.name, schema)) is not None}
    found = {name: room_in(schema[column]) for name, column in own.items()}
    return {name: room for name, room in found.items() if room is not None}


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _with_floats(value: Any, dtype: Any) -> Any:
    """A value with floats where its type has them: polars reads no whole number of more than 64 bits from JSON."""
    if isinstance(value, list) and isinstance(dtype, pl.List):
        return [_with_floats(inner, dtype.inner) for inner in value]
    if isinstance(value, dict) and isinstance(dtype, pl.Struct):
        inner_types = {field.name: field.dtype for field in dtype.fields}
        return {name: _with_floats(inner, inner_types.get(name)) for name, inner in value.items()}
    return float(value) if type(value) is int and dtype == pl.Float64 else value


def _from_json(name: str, texts: list[str | None], dtype: pl.DataType | Any) -> pl.Series:
    return pl.Series(name, texts, pl.String).str.json_decode(dtype)


@lru_cache(maxsize=4096)
def _moment(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
