"""Rows to input documents: equal inputs are equal bytes."""

import datetime as dt
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.dataset import Table, open_table
from enrich.errors import TableError
from enrich.inputs.documents import InputBuilder
from enrich.spec.canonical import normal_text
from tests.dataset.table_files import csv_text, examples


def table_of(folder: Path, *rows: Sequence[str]) -> Table:
    path = folder / "t.csv"
    path.write_bytes(csv_text(rows).encode())
    return open_table(path)


def documents(table: Table, inputs: dict[str, str]) -> list[str | None]:
    builder = InputBuilder(inputs, table.schema)
    found = [document for batch in table.batches() for document in builder.documents(batch)]
    return [None if document is None else document.decode() for document in found]


@pytest.mark.parametrize(
    ("inputs", "row", "expected"),
    [
        pytest.param({"z": "name", "a": "zip"}, ["Acme", "00123"], '{"a":"00123","z":"Acme"}', id="sorted"),
        pytest.param({"n": "name"}, [" Acme\u00a0\n", ""], '{"n":"Acme"}', id="stripped"),
        pytest.param({"n": "name", "p": "zip"}, ["Acme", " \t"], '{"n":"Acme"}', id="blank-left-out"),
        pytest.param({"n": "name"}, ["", "1"], None, id="nothing-left"),
        pytest.param({"n": "name"}, ['"Ünï"\u2028', "1"], '{"n":"\\"Ünï\\""}', id="utf-8"),
        pytest.param({"n": "{name} ({zip})"}, [" Acme ", "1"], '{"n":"Acme (1)"}', id="template"),
        pytest.param({"n": "{name} {zip}"}, ["Acme", ""], '{"n":"Acme"}', id="template-half-empty"),
        pytest.param({"n": "firm {name}{zip}"}, ["", " "], None, id="template-empty"),
        pytest.param({"n": "{{{name}}}"}, ["Acme", ""], '{"n":"{Acme}"}', id="template-braces"),
        pytest.param({"n": "name"}, ["\u200b\ufeffe\u0301te\u0301\u00ad\u2029", ""], '{"n":"été"}', id="normal"),
        pytest.param({"n": "name", "p": "zip"}, ["A", "\u200b\u200f"], '{"n":"A"}', id="nothing-to-be-seen"),
        pytest.param({"n": "{name}\u0301"}, ["e", ""], '{"n":"é"}', id="template-composed"),
        pytest.param({"n": "{name} ({zip})"}, ["\u2060A", "B\u00a0"], '{"n":"A (B)"}', id="template-normal"),
        pytest.param({"n-1": "name", "class": "zip"}, ["A", "B"], '{"class":"B","n-1":"A"}', id="any-field-name"),
    ],
)
def test_a_row_becomes_a_document(tmp_path: Path, inputs: dict[str, str], row: list[str], expected: str | None) -> None:
    assert documents(table_of(tmp_path, ["name", "zip"], row), inputs) == [expected]


TYPED: list[tuple[pa.Array, str]] = [
    (pa.array([1]), "1"),
    (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
    (pa.array([0.1]), "0.1"),
    (pa.array([0.1], pa.float32()), "0.10000000149011612"),
    (pa.array([True]), "true"),
    (pa.array([Decimal("1.20")]), '"1.20"'),
    (pa.array([dt.date(2024, 2, 29)]), '"2024-02-29"'),
    (pa.array([1], pa.timestamp("ns")), '"1970-01-01T00:00:00.000000001"'),
    (pa.array([0], pa.timestamp("s", "Europe/Berlin")), '"1970-01-01T01:00:00.000+01:00"'),
    (pa.array(["x "]).dictionary_encode(), '"x"'),
    (pa.array([["b", None, " a "]]), '["b",null," a "]'),
    (pa.array([{"z": 1, "a": dt.date(2024, 2, 29)}]), '{"a":"2024-02-29","z":1}'),
]


@pytest.mark.parametrize(("array", "expected"), [pytest.param(*case, id=str(case[0].type)) for case in TYPED])
def test_types_of_parquet_columns_are_kept(tmp_path: Path, array: pa.Array, expected: str) -> None:
    pq.write_table(pa.table({"c": array}), tmp_path / "t.parquet")

    assert documents(open_table(tmp_path / "t.parquet"), {"f": "c"}) == [f'{{"f":{expected}}}']


@pytest.mark.parametrize(
    "array",
    [
        pa.array([None], pa.int64()),
        pa.array([float("nan")]),
        pa.array([float("inf")]),
        pa.array([" "]),
        pa.array([[]], pa.list_(pa.int64())),
        pa.nulls(1),
    ],
    ids=str,
)
def test_what_is_empty_is_left_out(tmp_path: Path, array: pa.Array) -> None:
    pq.write_table(pa.table({"c": array}), tmp_path / "t.parquet")

    assert documents(open_table(tmp_path / "t.parquet"), {"f": "c"}) == [None]


def test_ndjson_values_are_what_they_are_row_by_row(tmp_path: Path) -> None:
    (tmp_path / "t.ndjson").write_text(
        '{"a":1}\n{"a":"1"}\n{"a":[1,{"z":0,"b":" "}]}\n{"b":2}\n{"a":false}\n{"a":{}}\n'
    )

    found = documents(open_table(tmp_path / "t.ndjson"), {"f": "a", "t": "{a}!"})

    assert found == [
        '{"f":1,"t":"1!"}',
        '{"f":"1","t":"1!"}',
        '{"f":[1,{"b":" ","z":0}],"t":"[1,{\\"b\\":\\" \\",\\"z\\":0}]!"}',
        None,
        '{"f":false,"t":"false!"}',
        None,
    ]


@examples(100)
@given(
    rows=st.lists(
        st.tuples(*2 * [st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4)]),
        min_size=1,
        max_size=5,
    )
)
def test_documents_are_canonical_json_of_the_cells_that_are_not_empty(
    tmp_path: Path, rows: list[tuple[str, str]]
) -> None:
    table = table_of(tmp_path, ["a", "b"], *rows)

    for row, document in zip(rows, documents(table, {"y": "a", "x": "b"}), strict=True):
        normal = {"x": normal_text(row[1]), "y": normal_text(row[0])}
        kept = {field: text for field, text in normal.items() if text}
        assert document == (json.dumps(kept, ensure_ascii=False, separators=(",", ":")) if kept else None) or (
            json.loads(document or "null") == (kept or None)  # the two may escape a control character differently
        )


def test_the_first_required_field_that_a_row_lacks_is_named(tmp_path: Path) -> None:
    table = table_of(tmp_path, ["a", "b"], ["1", "2"], ["", "2"], ["1", " "], ["", ""])
    builder = InputBuilder({"x": "a", "y": "b", "t": "{a}{b}"}, table.schema)
    batch = next(table.batches())

    assert builder.missing(batch, ["x", "y"]) == [None, "x", "y", "x"]
    assert builder.missing(batch, ["y", "x"]) == [None, "x", "y", "y"]
    assert builder.missing(batch, ["t"]) == [None, None, None, "t"]
    assert builder.missing(batch, []) == [None] * 4


def test_columns_that_are_missing_or_hold_bytes_are_refused() -> None:
    schema: dict[str, Any] = {"name": pl.String(), "logo": pl.Binary(), "logos": pl.List(pl.Struct({"x": pl.Binary}))}

    with pytest.raises(TableError) as caught:
        InputBuilder({"a": "nmae", "b": "logo", "c": "{name} {zip}", "d": "logos"}, schema, "t.parquet")

    assert str(caught.value).splitlines() == [
        "t.parquet: the table has no column 'nmae', which the input 'a' is made of; did you mean 'name'?",
        "t.parquet: column 'logo' holds bytes, which can't be sent as the input 'b'",
        "t.parquet: the table has no column 'zip', which the input 'c' is made of; the columns are name, logo, logos",
        "t.parquet: column 'logos' holds bytes, which can't be sent as the input 'd'",
    ]


# ---------------------------------------------------------------------- the same text is one question


def old_documents(table: Table, inputs: dict[str, str], **options: Any) -> list[dict[int, str]]:
    builder = InputBuilder(inputs, table.schema, **options)
    found = [builder.read(batch).old_documents() for batch in table.batches()]
    return [{row: document.decode() for row, document in batch.items()} for batch in found]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        pytest.param("Acme", "Acme", id="plain"),
        pytest.param(" \t\r\nAcme \x0b", "Acme", id="blanks"),
        pytest.param("\x00Acme\x07\x1b", "Acme", id="controls"),
        pytest.param("\ufeffAcme", "Acme", id="byte-order-mark"),
        pytest.param("\u00a0Acme\u202f\u3000", "Acme", id="no-break-spaces"),
        pytest.param("\u200bAc\u200bme\u200b", "Ac\u200bme", id="zero-width-spaces"),
        pytest.param("\u00adAc\u00adme\u00ad", "Ac\u00adme", id="soft-hyphens"),
        pytest.param("\u200fAcme\u200e\u202c\u2069", "Acme", id="bidi"),
        pytest.param("e\u0301", "é", id="nfd"),
        pytest.param("\u1112\u1161\u11ab", "한", id="hangul"),
        pytest.param("Å", "Å", id="angstrom"),
        pytest.param("ﬁ", "ﬁ", id="no-compatibility"),
        pytest.param("❤\ufe0f", "❤\ufe0f", id="variation"),
        pytest.param(" \U0001f3f4\U000e0067\U000e007f ", "\U0001f3f4\U000e0067\U000e007f", id="flag"),
        pytest.param("\ufe0f\u200d\ufe0f", "", id="selectors-alone"),
        pytest.param("\u3164\u115f\u2800", "", id="fillers"),
        pytest.param(" \u200b \ufeff\u00ad", "", id="nothing-to-be-seen"),
        pytest.param("", "", id="empty"),
    ],
)
def test_a_text_in_its_normal_form(text: str, normal: str) -> None:
    assert normal_text(text) == normal
    assert normal_text(normal) == normal


ODD = "aé \u0301\u200b\ufeff\u00ad\u00a0\u200f\ufe0f\n\x07\u1100\u1161N/-"
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
ANY_TEXT = st.text(st.one_of(st.sampled_from(ODD), CHARACTERS), max_size=6)


@examples(300)
@given(text=ANY_TEXT, other=ANY_TEXT)
def test_an_input_that_was_normal_keeps_its_identity(tmp_path: Path, text: str, other: str) -> None:
    inputs = {"x": "a", "t": "{a}, {b}"}
    table = table_of(tmp_path, ["a", "b"], [text, other])

    found, old = documents(table, inputs)[0], old_documents(table, inputs)[0]

    parts = [text.strip(), other.strip()]
    before = {"t": ", ".join(parts).strip() if any(parts) else "", "x": parts[0]}
    before = {field: value for field, value in before.items() if value}
    now = {field: normal_text(value) for field, value in before.items()}
    assert json.loads(old.get(0, found) or "{}") == before
    if all(normal_text(part) == part for part in parts) and now == before:
        assert old == {}
        assert json.loads(found or "{}") == before
    again = documents(table_of(tmp_path, ["a", "b"], [normal_text(text), normal_text(other)]), inputs)
    assert again == [found]


def test_texts_in_lists_and_structs_are_composed_and_not_cut(tmp_path: Path) -> None:
    (tmp_path / "t.ndjson").write_text('{"a":[" e\u0301 ",{"k":"e\u0301"}],"b":1.5}\n{"a":["é"],"b":"e\u0301"}\n')
    table = open_table(tmp_path / "t.ndjson")

    assert documents(table, {"f": "a", "g": "b"}) == ['{"f":[" é ",{"k":"é"}],"g":1.5}', '{"f":["é"],"g":"é"}']
    assert old_documents(table, {"f": "a", "g": "b"}) == [
        {0: '{"f":[" e\u0301 ",{"k":"e\u0301"}],"g":1.5}', 1: '{"f":["é"],"g":"e\u0301"}'}
    ]


def test_texts_that_the_config_takes_for_empty_are_left_out(tmp_path: Path) -> None:
    rows = [["A", "n/a"], [" N/A\u200b", "B"], ["-", "#N/A"], ["- x", "NA"]]
    table = table_of(tmp_path, ["name", "zip"], *rows)
    inputs = {"n": "name", "t": "{name} {zip}"}
    builder = InputBuilder(inputs, table.schema, empty=["N/A", "-", "#n/a"])
    batch = next(table.batches())

    assert builder.documents(batch) == [b'{"n":"A","t":"A"}', b'{"t":"B"}', None, b'{"n":"- x","t":"- x NA"}']
    assert builder.missing(batch, ["n"]) == [None, "n", "n", None]
    assert old_documents(table, inputs, empty=["N/A", "-", "#n/a"]) == [{}]
    assert builder.placeholders(batch) == {("zip", "NA"): 1}
    assert InputBuilder({"z": "zip"}, table.schema).placeholders(batch) == {
        ("zip", "n/a"): 1,
        ("zip", "#N/A"): 1,
        ("zip", "NA"): 1,
    }


SPELLINGS = ["Socie\u0301te\u0301", "Soci\u00e9t\u00e9"]


@pytest.mark.parametrize("source", SPELLINGS)
@pytest.mark.parametrize("header", SPELLINGS)
def test_a_column_is_found_in_either_spelling(tmp_path: Path, header: str, source: str) -> None:
    table = table_of(tmp_path, [header, "x"], ["A", "1"])

    for text in (source, f"{{{source}}}"):
        assert documents(table, {"n": text}) == ['{"n":"A"}']
    condition = table.condition(f"\"{source}\" = 'A' AND {source} LIKE 'A'")
    assert next(table.batches()).mask(condition).to_list() == [True]
