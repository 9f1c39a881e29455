"""Whatever a config may ask for, and whatever the service may answer, the table can be written."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from table_files import Unsynced, examples

from enrich.answers.answer import Cells
from enrich.answers.join import Joiner
from enrich.config import Config
from enrich.config.loading import load
from enrich.dataset import Table, TableWriter, open_table
from enrich.errors import ConfigError
from enrich.records import Held, Row, Ruled, RunState

Schema = dict[str, Any]

_scalars = st.sampled_from(["string", "integer", "number", "boolean"])
_values = st.sampled_from(["x", "", "1", 1, 0, 2.5, 3.0, True, None, {"a": 1}, [1, "x"], []])
_leaves = st.one_of(
    _scalars.map(lambda kind: {"type": kind}),
    st.lists(st.sampled_from(["string", "integer", "number", "boolean", "null"]), min_size=1, unique=True).map(
        lambda kinds: {"type": kinds}
    ),
    st.lists(_values, min_size=1, max_size=3).map(lambda values: {"enum": values}),
    _values.map(lambda value: {"const": value}),
)


def _larger(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    properties = st.dictionaries(st.sampled_from(["a", "b", "", "Zoë"]), inner, min_size=1, max_size=2)
    types = st.sampled_from(["object", "array"])
    return st.one_of(
        inner.map(lambda items: {"type": "array", "items": items}),
        properties.map(lambda named: {"type": "object", "properties": named}),
        inner.map(lambda items: {"items": items}),
        properties.map(lambda named: {"properties": named}),
        st.builds(
            lambda items, named, kind: {"type": kind, "items": items, "properties": named}, inner, properties, types
        ),
        st.builds(
            lambda items, kind: {"type": ["array", kind], "items": items}, inner, st.sampled_from(["string", "null"])
        ),
        st.builds(lambda named, kind: {"type": ["object", kind], "properties": named}, properties, _scalars),
        st.builds(lambda one, items: {"type": "array", "items": items, "prefixItems": [one]}, inner, inner),
        st.builds(
            lambda key, many: {key: many},
            st.sampled_from(["anyOf", "oneOf", "allOf"]),
            st.lists(inner, min_size=1, max_size=2),
        ),
        inner.map(lambda one: {"anyOf": [one, {"type": "null"}]}),
    )


schemas = st.recursive(_leaves, _larger, max_leaves=6)

_numbers = st.one_of(
    st.sampled_from(
        [0, -0.0, 3.0, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, 10**308, 10**400, 1e300, 5e-324]
    ),
    st.integers(),
    st.floats(),
)
_texts = st.one_of(st.sampled_from(["x", "", " ", "1", "true", "null", "\u2028", "\0", "=1+1"]), st.text(max_size=4))
_anything = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, _texts),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "", "c"]), inner, max_size=3)
    ),
    max_leaves=6,
)
_OF_A_TYPE: Mapping[str, st.SearchStrategy[Any]] = {
    "string": _texts,
    "integer": st.one_of(st.integers(), st.integers().map(float), st.sampled_from([2**63 - 1, 2**63, 10**400, 1e300])),
    "number": _numbers,
    "boolean": st.booleans(),
    "null": st.none(),
}


def answers(schema: Schema) -> st.SearchStrategy[Any]:
    """Values for a schema: most of them valid, and now and then anything at all."""
    return st.one_of(*[_valid(schema)] * 9, _anything)


def _valid(schema: Schema) -> st.SearchStrategy[Any]:
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return st.one_of(*map(answers, schema[key]))
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    named = schema.get("type", "object" if "properties" in schema else "array")
    return st.one_of(*(_of_a_type(kind, schema) for kind in ([named] if isinstance(named, str) else named)))


def _of_a_type(kind: str, schema: Schema) -> st.SearchStrategy[Any]:
    if kind == "array":
        return st.lists(answers(schema["items"]), max_size=3) if "items" in schema else _anything
    if kind == "object":
        named = {name: answers(inner) for name, inner in schema.get("properties", {}).items()}
        return st.fixed_dictionaries(named) | st.fixed_dictionaries({}, optional={**named, "more": _anything})
    return _OF_A_TYPE[kind]


@st.composite
def asked_and_answered(draw: st.DrawFn) -> tuple[Schema, list[Any]]:
    schema = draw(schemas)
    return schema, draw(st.lists(answers(schema), min_size=1, max_size=5))


def result(value: Any) -> bytes:
    output = {
        "content": {"x": value},
        "basis": [{"field": "x", "confidence": "high", "reasoning": "", "citations": []}],
    }
    return json.dumps({"run": {"run_id": "trun_1"}, "output": output}).encode()


def config_of(folder: Path, schema: Schema, **more: str) -> Config:
    path = folder / "c.yaml"
    output = {**schema, "description": "A"}
    keys = {"name": "c", "inputs": {"name": "name"}, "outputs": {"x": output}, "processor": "core", **more}
    path.write_text(json.dumps(keys))
    return load(path, {})


def joined(config: Config, values: list[Any], table: Table, *, typed: bool) -> tuple[Joiner, pl.DataFrame, Cells]:
    joiner = Joiner(config, schema=table.schema, typed=typed)
    (field,) = config.fields
    keys = [bytes([place]) for place in range(len(values))]
    runs = [
        Held(1, place, 0, RunState.COMPLETED, frozenset({field.id}), "core", "trun_1", 1, 1, place, None)
        for place in range(len(values))
    ]
    rows = [Row(key, b'{"name":"n"}', 1) for key in keys]
    raws = list(map(result, values))
    held = {key: [run] for key, run in zip(keys, runs, strict=True)}
    found = joiner.join(rows, held, lambda run: raws[run.slot or 0])
    return joiner, found.frame, found.cells[0]


def as_json(cell: Any, value: Any) -> Any:
    """What a cell of text stands for: text itself, or JSON."""
    return cell if cell is None or isinstance(value, str) else json.loads(cell)


def same(cell: Any, value: Any) -> bool:
    """Whether a cell is a value, to the last digit; true is not 1."""
    if isinstance(cell, dict) and isinstance(value, dict):
        return cell.keys() == value.keys() and all(same(cell[key], value[key]) for key in cell)
    if isinstance(cell, list) and isinstance(value, list):
        return len(cell) == len(value) and all(map(same, cell, value))
    if isinstance(cell, bool) or isinstance(value, bool):
        return cell is value
    return bool(cell == value)


def numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers_in(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def names_types(schema: Any) -> bool:
    """Whether a schema names the type of all that has properties or items."""
    if isinstance(schema, list):
        return all(map(names_types, schema))
    if not isinstance(schema, dict):
        return True
    shaped = isinstance(schema.get("properties"), dict) or "items" in schema
    return ("type" in schema or not shaped) and all(map(names_types, schema.values()))


def is_certain(schema: Schema, value: Any) -> bool:
    """Whether a value must be accepted: it fits a schema that leaves no doubt, and its numbers fit their columns."""
    if not names_types(schema) or value is None or (isinstance(value, str) and not value.strip()):
        return False
    if not all(abs(number) < 2**63 for number in numbers_in(value)):
        return False
    if '"number"' in json.dumps(schema) and not all(float(number) == number for number in numbers_in(value)):
        return False
    return bool(jsonschema_rs.validator_for(schema).is_valid(value))


@examples(100)
@given(asked_and_answered())
@example(
    (
        {
            "type": "array",
            "items": {"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}}, {"type": "string"}]},
        },
        [[{"a": "x"}, "y"]],
    )
)
@example(
    (
        {
            "type": "object",
            "properties": {"a": {"type": ["object", "string"], "properties": {"z": {"type": "string"}}}},
        },
        [{"a": {"z": "x"}}, {"a": "y"}],
    )
)
@example(({"type": "array", "items": {"type": ["array", "string"], "items": {"type": "string"}}}, [[["x"], "y"], []]))
@example(({"properties": {"a": {"type": "string"}}}, ["text", [1], {"a": "x"}]))
@example(({"type": "array", "items": {"type": "string"}, "properties": {"a": {"type": "string"}}}, [["x"]]))
def test_every_answer_to_every_schema_is_written_or_held_back(case: tuple[Schema, list[Any]]) -> None:
    schema, values = case
    with tempfile.TemporaryDirectory() as folder:
        try:
            config = config_of(Path(folder), schema)
        except ConfigError:
            assume(False)
        check(Path(folder), config, values)


def check(folder: Path, config: Config, values: list[Any]) -> None:
    (field,) = config.fields
    source = folder / "in.csv"
    source.write_text("name\n" + "n\n" * len(values))
    table = open_table(source)
    for typed, suffix in ((True, ".parquet"), (True, ".ndjson"), (False, ".csv")):
        joiner, frame, cells = joined(config, values, table, typed=typed)
        (dtype,) = (column.dtype for column in joiner.columns() if column.name == "x")
        assert frame.schema["x"] == dtype
        for cell, status, read, value in zip(frame["x"], cells.statuses, cells.values, values, strict=True):
            assert status in ("accepted", "not_found", "invalid")
            assert status == "accepted" or not is_certain(dict(field.schema), value)
            if status == "accepted":
                shown = cell.to_list() if isinstance(cell, pl.Series) else cell
                assert same(as_json(shown, read) if dtype == pl.String else shown, read)
            else:
                assert cell is None
        out = folder / f"out{suffix}"
        with TableWriter(out, table, joiner.columns(), files=Unsynced()) as writer:
            for batch in table.batches():
                writer.write(batch, frame)
        if suffix == ".parquet":
            assert pl.read_parquet(out)["x"].equals(frame["x"])


@pytest.mark.parametrize("existing", ["error", "fill"])
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2**53, 2.0**53),
        (2**53 + 1, None),
        (-(2**53) - 1, None),
        (2**53 + 2, 2.0**53 + 2),
        (2**70, 2.0**70),
        (10**400, None),
        (0.1, 0.1),
    ],
)
@pytest.mark.parametrize("form", ["plain", "list", "object"])
def test_a_number_is_exact_or_held_back(tmp_path: Path, existing: str, value: Any, shown: Any, form: str) -> None:
    schemas: dict[str, Schema] = {
        "plain": {"type": "number"},
        "list": {"type": "array", "items": {"type": "number"}},
        "object": {"type": "object", "properties": {"a": {"type": ["number", "null"]}}},
    }
    wrapped = {"plain": value, "list": [value], "object": {"a": value}}[form]
    config = config_of(tmp_path, schemas[form], existing=existing)
    source = tmp_path / "in.csv"
    source.write_text("name,x\nn,\n" if existing == "fill" else "name\nn\n")
    table = open_table(source)
    _, frame, cells = joined(config, [wrapped], table, typed=True)
    assert cells.statuses == ["accepted" if shown is not None else "invalid"]
    cell = frame["x"].to_list()[0]
    assert cell == (None if shown is None else {"plain": shown, "list": [shown], "object": {"a": shown}}[form])
    assert cells.reasons == ["" if shown is not None else cells.reasons[0]]
    assert shown is not None or cells.reasons[0].startswith("does not fit its column, which is ")


WHOLE = [0, 5, -3, 127, 128, 999, 1000, 2047, 2049, 2**24 + 1, 2**24 + 2, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2.0]


@pytest.mark.parametrize(
    ("arrow", "without_room"),
    [
        (pa.int64(), {2**63}),
        (pa.int8(), {number for number in WHOLE if not -128 <= number < 128}),
        (pa.uint16(), {-3, 2**24 + 1, 2**24 + 2, 2**53 + 1, 2**63 - 1, -(2**63), 2**63}),
        (pa.uint64(), {-3, -(2**63), 2**63}),
        (pa.float16(), {2049, 2**24 + 1, 2**24 + 2, 2**53 + 1, 2**63 - 1, -(2**63), 2**63}),
        (pa.float32(), {2**24 + 1, 2**53 + 1, 2**63 - 1, 2**63}),
        (pa.float64(), {2**53 + 1, 2**63 - 1, 2**63}),
        (pa.decimal128(5, 2), {1000, 2047, 2049, 2**24 + 1, 2**24 + 2, 2**53 + 1, 2**63 - 1, -(2**63), 2**63}),
        (pa.decimal128(38, 0), {2**63}),
        (pa.decimal128(38, 38), set(WHOLE) - {0}),
        (pa.string(), {2**63}),
    ],
    ids=str,
)
def test_a_column_of_the_table_takes_the_whole_numbers_that_it_holds_exactly(
    tmp_path: Path, arrow: pa.DataType, without_room: set[int]
) -> None:
    config = config_of(tmp_path, {"type": "integer"}, existing="fill")
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"name": ["n"] * len(WHOLE), "x": pa.nulls(len(WHOLE), arrow)}), source)
    table = open_table(source)
    joiner, frame, cells = joined(config, WHOLE, table, typed=True)
    assert {value for value, status in zip(WHOLE, cells.statuses, strict=True) if status == "invalid"} == without_room
    assert {reason[:28] for reason in cells.reasons} == {"", "does not fit its column, whi"}
    out = tmp_path / "out.parquet"
    with TableWriter(out, table, joiner.columns(), files=Unsynced()) as writer:
        for batch in table.batches():
            writer.write(batch, frame)
    written = pq.read_table(out)["x"]
    assert written.type == arrow
    assert [None if cell is None else int(cell) for cell in written.to_pylist()] == [
        None if value in without_room else value for value in WHOLE
    ]


def documented() -> dict[str, str]:
    """What the documentation says that a cell holds, by status."""
    text = (Path(__file__).parents[2] / "docs" / "output.md").read_text()
    table = text.partition("| status | the cell `x` holds |")[2].partition("\n\n")[0]
    lines = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    return {line[1].strip(" `"): line[2].strip() for line in lines}


def told(n: int, value: Any, confidence: str) -> tuple[int, bytes]:
    """A result with the time when it came."""
    return n, result(value).replace(b'"high"', json.dumps(confidence).encode())


STATUSES: list[tuple[str, Any, list[tuple[int, bytes]], Ruled | None]] = [
    ("accepted", 5, [told(1, 5, "high")], None),
    ("review", 5, [told(1, 5, "medium")], None),
    ("withheld", None, [told(1, 5, "low")], None),
    ("not_found", None, [told(1, None, "high")], None),
    ("invalid", None, [told(1, "five", "high")], None),
    ("kept", 5, [told(1, 5, "high"), told(2, 6, "low")], None),
    ("failed", None, [(1, b"")], None),
    ("pending", None, [], None),
    ("skipped", None, [], None),
    ("human", 7, [told(1, 5, "low")], Ruled(b"", "", "correct", b"7", "trun_1", "", 3)),
    ("human", None, [told(1, 5, "high")], Ruled(b"", "", "reject", b"null", "trun_1", "", 3)),
]


@pytest.mark.parametrize("existing", ["error", "fill", "replace"])
@pytest.mark.parametrize("suffix", [".csv", ".ndjson", ".parquet"])
def test_each_status_leaves_in_the_cell_what_is_documented(tmp_path: Path, existing: str, suffix: str) -> None:
    said = documented()
    assert {status for status, *_ in STATUSES} == set(said)
    for status, value, *_ in STATUSES:
        assert ("nothing" in said[status]) == (value is None) or status == "human"
    config = config_of(tmp_path, {"type": ["integer", "null"]}, existing=existing)
    (field,) = config.fields
    own = [
        None if existing == "error" or (existing == "fill" and status != "skipped") else 100 + n
        for n, (status, *_) in enumerate(STATUSES)
    ]
    source = pl.DataFrame({"name": ["n"] * len(own), "x": pl.Series(own, dtype=pl.Int64)})
    (source.drop("x") if existing == "error" else source).write_parquet(tmp_path / "in.parquet")
    table = open_table(tmp_path / "in.parquet")
    joiner = Joiner(config, schema=table.schema, typed=suffix != ".csv")
    rows, held, decided, raws = [], {}, {}, {}
    for n, (status, _, results, ruled) in enumerate(STATUSES):
        key = bytes([n])
        rows.append(Row(None, None, 1, "not chosen") if status == "skipped" else Row(key, b"{}", 1))
        for at, raw in results:
            state = RunState.COMPLETED if raw else RunState.FAILED
            run = Held(n, 0, 0, state, frozenset({field.id}), "core", f"trun_{n}_{at}", at, at, n, None)
            held.setdefault(key, []).append(run)
            raws[run.run_id] = raw
        if ruled is not None:
            decided[key] = {field.id: ruled}

    frame = joiner.join(rows, held, lambda run: raws[run.run_id], decided).frame
    out = tmp_path / f"out{suffix}"
    with TableWriter(out, table, joiner.columns(), files=Unsynced()) as writer:
        for batch in table.batches():
            writer.write(batch, frame)

    written = [row for batch in open_table(out).batches() for row in batch.frame.select("x", "x_status").rows()]
    cells = [before if value is None else value for before, (_, value, *_) in zip(own, STATUSES, strict=True)]
    if suffix == ".csv":
        cells = [None if cell is None else str(cell) for cell in cells]
    assert written == [(cell, status) for cell, (status, *_) in zip(cells, STATUSES, strict=True)]
