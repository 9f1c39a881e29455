"""CSV and TSV: what is found in a file, and how the output keeps it."""

import codecs
import csv
import gzip
import tracemalloc
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pytest
from table_files import csv_rows, enriched, rows_of, write

from enrich.dataset import TableFormat, open_table
from enrich.dataset.delimited import record_blocks
from enrich.dataset.dialect import Dialect, find_delimiter, find_quote
from enrich.dataset.strict import RecordReader
from enrich.errors import TableError


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        pytest.param("t.csv", b"a,b\n00123,\n", b"a,b,x\n00123,,new\n", id="zeros-and-empty"),
        pytest.param("t.csv", b"a,b\r\n1,2\r\n", b"a,b,x\r\n1,2,new\r\n", id="crlf"),
        pytest.param("t.csv", b"a,b\n1,2", b"a,b,x\n1,2,new\n", id="no-line-break-at-the-end"),
        pytest.param("t.csv", b"a,b\n1,2\n\n\r\n", b"a,b,x\n1,2,new\n", id="blank-lines-at-the-end"),
        pytest.param("t.csv", b"a;b\n1,5;2\n", b"a;b;x\n1,5;2;new\n", id="semicolon"),
        pytest.param("t.csv", b"a|b\n1|2\n", b"a|b|x\n1|2|new\n", id="bar"),
        pytest.param("t.csv", b"a\tb\n1\t2\n", b"a\tb\tx\n1\t2\tnew\n", id="tab-in-csv"),
        pytest.param("t.tsv", b"a,b\tc\n1\t2\n", b"a,b\tc\tx\n1\t2\tnew\n", id="tsv"),
        pytest.param("t.csv", b"a\n\n", b"a,x\n,new\n", id="one-column-blank-row"),
        pytest.param("t.csv", b'"\xef\xbb\xbfa",b\n1,2\n', b'"\xef\xbb\xbfa","b","x"\n1,2,new\n', id="mark-in-a-name"),
        pytest.param("t.csv", b"a,b\nx^2,1\n", b"a,b,x\nx^2,1,new\n", id="like-zlib"),
        pytest.param("t.csv", b"a,b\nx\x01,1\n", b"a,b,x\nx\x01,1,new\n", id="like-zlib-too"),
        pytest.param("t.csv", b"a,b\n#x,1\n", b"a,b,x\n#x,1,new\n", id="like-a-comment"),
        pytest.param("t.csv", b"'a','b'\n'1,5','it''s'\n", b"a,b,x\n'1,5','it''s',new\n", id="single-quotes"),
        pytest.param("t.csv", b' a ,"b"\n x , y \n', b" a ,b,x\n x , y ,new\n", id="blanks-around"),
        pytest.param("t.csv", b'a,b\n"x\r\ny","\r"\n', b'a,b,x\n"x\r\ny","\r",new\n', id="breaks-in-cells"),
        pytest.param("t.csv", b'a,b\n1,5" pipe\n', b'a,b,x\n1,"5"" pipe",new\n', id="quote-within"),
        pytest.param("t.csv", b'a,b\n=1+1,"-x"\n', b"a,b,x\n=1+1,-x,new\n", id="formulas-of-the-input-stay"),
        pytest.param("t.csv", b"\xef\xbb\xbfa,b\n1,2\n", b"\xef\xbb\xbfa,b,x\n1,2,new\n", id="mark"),
        pytest.param("t.csv", b"a,b\r1,2\r", b"a,b,x\r1,2,new\r", id="old-mac"),
        pytest.param("t.csv.gz", gzip.compress(b"a,b\n1,2\n"), b"a,b,x\n1,2,new\n", id="gzip"),
        pytest.param("t.csv", "a,b\n1,é\n".encode("utf-16"), "a,b,x\n1,é,new\n".encode("utf-16"), id="utf-16"),
        pytest.param("t.csv", "a,b\n1,é\n".encode("utf-32"), "a,b,x\n1,é,new\n".encode("utf-32"), id="utf-32"),
        pytest.param(
            "t.csv",
            codecs.BOM_UTF16_BE + "a,b\n1,é\n".encode("utf-16-be"),
            codecs.BOM_UTF16_BE + "a,b,x\n1,é,new\n".encode("utf-16-be"),
            id="utf-16-be",
        ),
    ],
)  # fmt: skip
def test_a_table_keeps_how_it_is_written(tmp_path: Path, name: str, content: bytes, expected: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    assert enriched(tmp_path / name, {"x": ["new"]}) == expected


def test_a_table_without_rows_comes_out_with_its_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\r\n")

    table = open_table(tmp_path / "t.csv")

    assert (table.height, list(table.batches())) == (0, [])
    assert enriched(tmp_path / "t.csv", {"x": []}) == b"a,b,x\r\n"


def test_the_encoding_that_is_given_is_kept_and_what_it_lacks_is_spelled_out(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_bytes("name;city\n€uro;Köln\n".encode("cp1252"))
    table = open_table(source, encoding="Windows-1252")

    out = write(tmp_path / "out.csv", table, {"x": ["Łódź"]})

    assert table.format == TableFormat("csv", encoding="cp1252", delimiter=";")
    assert out.read_bytes() == "name;city;x\n€uro;Köln;\\u0141ód\\u017a\n".encode("cp1252")


def test_where_nothing_quotes_answers_keep_to_one_cell(tmp_path: Path) -> None:
    source = tmp_path / "t.tsv"
    source.write_bytes(b'a\tb\n"Big" Joe\t"\n')
    table = open_table(source, quote="")

    out = write(tmp_path / "out.tsv", table, {"x": ['a\tb\r\n"c"']})

    assert out.read_bytes() == b'a\tb\tx\n"Big" Joe\t"\ta b "c"\n'


@pytest.mark.parametrize("compress", [gzip.compress, lambda data: pa.compress(data, "zstd", asbytes=True)])
def test_compressed_text_may_have_several_members(tmp_path: Path, compress: object) -> None:
    source = tmp_path / ("t.csv.gz" if compress is gzip.compress else "t.csv.zst")
    source.write_bytes(compress(b"a,b\n1,2\n") + compress(b"3,4\n"))  # type: ignore[operator]

    assert rows_of(open_table(source)) == [("1", "2"), ("3", "4")]


def test_a_cell_of_10_mb_goes_through(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    cell = ("0123456789, " * 10 + '"\n') * 90_000
    source.write_bytes(('a,b\n1,"' + cell.replace('"', '""') + '"\n2,x\n').encode())

    out = enriched(source, {"x": ["new", "newer"]})

    assert csv_rows(out.decode()) == [["a", "b", "x"], ["1", cell, "new"], ["2", "x", "newer"]]


@pytest.mark.parametrize("strict", [False, True])
def test_batches_are_bounded_and_can_be_read_again(tmp_path: Path, strict: bool) -> None:
    source = tmp_path / "t.csv"
    rows = [(f"{n:05d}", 'x"y' if strict else "x") for n in range(1000)]
    source.write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in rows))
    table = open_table(source)

    batches = list(table.batches(300))

    assert [(batch.start, batch.height) for batch in batches] == [(0, 300), (300, 300), (600, 300), (900, 100)]
    assert rows_of(table, 7) == rows_of(table) == rows


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        pytest.param("name;price\nAcme;1,5\nBeta, Inc;2,5\n", ";", id="decimal-commas"),
        pytest.param("name,tags\nAcme,a|b|c\nBeta,d|e|f\n", ",", id="bars-within"),
        pytest.param('name,note\n"a;b;c","d;e;f"\n"a;b;c",x\n', ",", id="quoted"),
        pytest.param("name,city\nAcme,Berlin\nBeta\n", ",", id="ragged"),
        pytest.param("name\nAcme; Beta\n", ",", id="one-column"),
        pytest.param("a,b;c\n1,2;3\n", ",", id="tie"),
    ],
)  # fmt: skip
def test_the_delimiter_is_the_one_that_cuts_evenly(text: str, delimiter: str) -> None:
    assert find_delimiter(text, '"') == delimiter


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        pytest.param("'a','b'\n'1','2'\n", "'", id="single"),
        pytest.param("a,b\n'tis,so\n", '"', id="apostrophes"),
        pytest.param("'a','b'\n\"1\",2\n", '"', id="both"),
        pytest.param("", '"', id="empty"),
    ],
)  # fmt: skip
def test_the_quote_is_single_only_where_the_header_says_so(text: str, quote: str) -> None:
    assert find_quote(text) == quote


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 4, 64])
def test_blocks_are_whole_records_where_nothing_quotes(chunk_bytes: int) -> None:
    read = list(record_blocks(BytesIO(b"ab\ncd\n\nef"), Dialect(",", ""), blank_rows=True, chunk_bytes=chunk_bytes))
    assert b"".join(read) == b"ab\ncd\n\nef\n"
    assert all(block.endswith(b"\n") for block in read)
    if chunk_bytes == 64:
        assert len(read) == 2  # what is whole, and the record that is not


@pytest.fixture
def usual_limit() -> Iterator[int]:
    """The csv module as a host program has it, unlike that of these tests: cells of at most 128 KB."""
    before = csv.field_size_limit(128 << 10)
    yield 128 << 10
    csv.field_size_limit(before)


@pytest.mark.parametrize("content", [b'a,b\n"%s",2\n1\n', b'a,b\n"%s,2\n'], ids=["cells", "quotes"])
def test_the_csv_module_of_the_host_program_is_left_as_it_was(usual_limit: int, tmp_path: Path, content: bytes) -> None:
    before = usual_limit
    (tmp_path / "t.csv").write_bytes(content % (b"x" * 2 * before))
    with pytest.raises(TableError):
        open_table(tmp_path / "t.csv", delimiter=",")
    assert csv.field_size_limit() == before


def test_a_large_cell_is_read_beside_a_record_that_is_half_read(usual_limit: int) -> None:
    before = usual_limit
    text = b'a,b\n"%s",2\n' % (b"x" * 2 * before)
    one, other = (RecordReader(BytesIO(text), Dialect(",", '"')) for _ in range(2))
    for reader in (one, other, other, one):
        record = next(reader)
        assert csv.field_size_limit() == before
    assert len(record[0]) == 2 * before


def test_a_cell_of_quotes_takes_little_more_memory_than_its_bytes() -> None:
    block = b'a,"' + b'""' * 3_000_000 + b'"\n'
    tracemalloc.start()
    try:
        assert Dialect(",", '"').plain_rows(block, 2) == 1
        assert tracemalloc.get_traced_memory()[1] < 3 * len(block)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64])
def test_a_record_is_looked_through_no_further_than_it_may_go(chunk_bytes: int) -> None:
    def read(length: int) -> list[bytes]:
        stream = BytesIO(b"a\n" + b"x" * length + b"\nb\n")
        return list(record_blocks(stream, Dialect(",", '"'), blank_rows=True, chunk_bytes=chunk_bytes, most=500))

    assert b"".join(read(499)) == b"a\n" + b"x" * 499 + b"\nb\n"
    with pytest.raises(csv.Error):
        read(500 + chunk_bytes)
