"""CSV and TSV go through cell for cell, judged by Python's csv module."""

import codecs
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from table_files import Unsynced, csv_rows, csv_text, examples, rows_of, write

from enrich.dataset import open_table
from enrich.dataset.delimited import record_blocks
from enrich.dataset.dialect import DELIMITERS, Dialect
from enrich.errors import TableError

characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
awkward = st.sampled_from(list("abc0 ,;\t|\"'\r\n=-#\ufeffé\u2028\x1c\x85\U0001f600"))
cells = st.text(st.one_of(awkward, characters), max_size=8)

BOMS = {"utf-8": b"", "utf-8-sig": codecs.BOM_UTF8, "utf-16": codecs.BOM_UTF16}


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    width = draw(st.integers(1, 4))
    names = st.lists(cells.filter(str.strip), min_size=width, max_size=width, unique=True)
    rows = st.lists(st.lists(cells, min_size=width, max_size=width), max_size=6)
    return [draw(names), *draw(rows)]


dialects = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(DELIMITERS),
        "quotechar": st.sampled_from(['"', "'"]),
        "quote_all": st.booleans(),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
    }
)


@examples(500)
@given(table=tables(), dialect=dialects, encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_a_table_comes_out_cell_for_cell_in_its_own_dialect(
    tmp_path: Path, table: list[list[str]], dialect: dict[str, Any], encoding: str
) -> None:
    text = csv_text(table, **dialect)
    assume(not text.startswith("\ufeff"))  # nobody can tell it from a byte order mark
    source = tmp_path / "t.csv"
    source.write_bytes(text.encode(encoding))
    given_dialect = {"delimiter": dialect["delimiter"], "quote": dialect["quotechar"]}

    opened = open_table(source, **given_dialect)

    assert opened.columns == tuple(table[0])
    assert opened.height == len(table) - 1
    assert rows_of(opened) == [tuple(cell or None for cell in row) for row in table[1:]]
    assert rows_of(opened, 2) == rows_of(opened)

    name = "".join(table[0]) + "+"
    answers = [f'{n}\'s "answer",;' for n in range(opened.height)]
    out = write(tmp_path / "out.csv", opened, {name: answers}, files=Unsynced(), neutralise=False)

    raw = out.read_bytes()
    expected = [[*row, cell] for row, cell in zip(table, [name, *answers], strict=True)]
    assert raw.startswith(BOMS[encoding])
    assert csv_rows(raw.decode(encoding), **{key: dialect[key] for key in ("delimiter", "quotechar")}) == expected
    line_break = dialect["lineterminator"]
    assert raw.decode(encoding).count(line_break) == csv_text(expected, **dialect).count(line_break)


@examples(500)
@given(st.text(st.sampled_from('ab,"\r\n \ufeffé'), max_size=24))
@example('a,b\n"x"y,z\n')
@example('a,b\nx,5" pipe\n')
@example("a\n\n\n")
@example("a,b\r\nc,d\r\r\n")
@example('a,b\nc,"')
def test_any_text_is_read_as_the_csv_module_reads_it_or_refused_with_a_line(tmp_path: Path, text: str) -> None:
    source = tmp_path / "t.csv"
    source.write_bytes(text.encode())
    text = text.removeprefix("\ufeff")

    try:
        table = open_table(source, delimiter=",", quote='"')
    except TableError as error:
        faults = [fault for fault in error.faults if not fault.message.startswith("and ")]
    else:
        faults = None

    if faults is not None:
        assert not text or all(fault.line for fault in faults)
        return
    header, *rows = csv_rows(text)
    assert table.headers == tuple(header)
    rows = [row or [""] for row in rows] if len(header) == 1 else [row for row in rows if row]
    assert rows_of(table) == [tuple(cell or None for cell in row) for row in rows]


class Trickle(io.RawIOBase):
    """A file that gives what it likes, never what was asked for."""

    def __init__(self, text: bytes, sizes: list[int]) -> None:
        self._text = text
        self._sizes = sizes

    def read(self, size: int = -1) -> bytes:
        count = self._sizes.pop() if self._sizes else len(self._text)
        piece, self._text = self._text[:count], self._text[count:]
        return piece


@examples(200)
@given(table=tables(), sizes=st.lists(st.integers(1, 9)), crlf=st.booleans())
def test_wherever_a_text_is_cut_its_blocks_are_whole_records(
    table: list[list[str]], sizes: list[int], crlf: bool
) -> None:
    text = csv_text(table, lineterminator="\r\n" if crlf else "\n", quote_all=True)
    single = len(table[0]) == 1

    blocks = list(record_blocks(Trickle(text.encode(), sizes), Dialect(",", '"'), blank_rows=single))

    assert b"".join(blocks).decode() == text
    assert [row for block in blocks for row in csv_rows(block.decode())] == table
    counts = [Dialect(",", '"').plain_rows(block, len(table[0])) for block in blocks]
    assert sum(count for count in counts if count) == len(table)


@examples(100)
@given(table=tables(), delimiter=st.sampled_from(DELIMITERS), everything_quoted=st.booleans())
def test_the_delimiter_is_found(
    tmp_path: Path, table: list[list[str]], delimiter: str, everything_quoted: bool
) -> None:
    plain = [[f"c{n}" for n in range(len(table[0]) + 1)], *([*row, "x"] for row in table[1:])]
    source = tmp_path / "t.csv"
    source.write_bytes(csv_text(plain, delimiter=delimiter, quote_all=everything_quoted).encode())

    opened = open_table(source)

    assert opened.format.delimiter == delimiter
    assert opened.height == len(table) - 1


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("id,name\n00123,5\" pipe\n", id="quote-inside"),
        pytest.param("id,name\n\ufeff1,mark\n", id="mark-at-the-start-of-a-row"),
        pytest.param("id,name\r1,a\r2,\"b\nc\"\r", id="carriage-returns"),
    ],
)  # fmt: skip
def test_what_polars_would_change_is_read_all_the_same(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())

    table = open_table(tmp_path / "t.csv")

    assert [list(row) for row in rows_of(table)] == csv_rows(text)[1:]
