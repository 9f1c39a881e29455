"""A wrong table is refused with every fault and its line, before anything is sent."""

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_files import rows_of

from enrich.dataset import open_table
from enrich.errors import TableError

QUOTES = "inside a quoted cell a quote is written twice: is one missing, or left open?"
ONE = "each line must be one JSON object, in UTF-8"
WINDOWS = (
    "if the file is Windows-1252, write `csv: {encoding: windows-1252}` in the config "
    "(with `enrich init`: --encoding windows-1252)"
)
UTF16 = "if the file is UTF-16, write `csv: {encoding: utf-16}` in the config (with `enrich init`: --encoding utf-16)"


def complaint(path: Path, **options: Any) -> str:
    """The message that a table is refused with, its path taken away."""
    with pytest.raises(TableError) as caught:
        open_table(path, **options)
    return str(caught.value).replace(str(path), path.name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("t.csv", b"", "t.csv: the file is empty; its first line must name the columns", id="empty"),
        pytest.param(
            "t.csv",
            b"\na,b\n",
            "t.csv:1: the line is blank; it must name the columns; `csv: {skip: 1}` in the config skips a line "
            "above them",
            id="blank-header",
        ),
        pytest.param(
            "t.csv",
            b"Export of 1 May\r\na,b,c\r\n1,2,3\r\n4,5,6\r\n",
            "t.csv:1: this line has 1 cell, and those from line 2 have 3: is line 1 a title?; "
            "write `csv: {skip: 1}` in the config, and line 2 names the columns",
            id="title",
        ),
        pytest.param(
            "t.csv",
            b'sep=;\n"Export; all"\n\nbig;small;"x\ny"\n' + 30 * b"1,5;2,5;3,25\n",
            "t.csv:2: this line has 1 cell, and those from line 4 have 3: is line 2 a title?; "
            "write `csv: {skip: 2}` in the config, and line 4 names the columns",
            id="title-of-many-lines",
        ),
        pytest.param(
            "t.csv",
            b"Export\na;b\n" + 9 * b"1,5;2\n",
            "t.csv:1: this line has 1 cell, and those from line 2 have 2: is line 1 a title?; "
            "write `csv: {skip: 1}` in the config, and line 2 names the columns",
            id="title-above-semicolons",
        ),
        pytest.param(
            "t.csv",
            b"a,b\n" + 25 * b"1,2,\n",
            "t.csv:1: the lines below end with a delimiter, and the header does not; end the header with one too",
            id="delimiters-at-the-end-of-rows",
        ),
        pytest.param(
            "t.csv",
            b"a,b,\n" + 25 * b"1,2\n",
            "t.csv:1: the header ends with a delimiter, and the lines below do not; take it away",
            id="delimiter-at-the-end-of-the-header",
        ),
        pytest.param(
            "t.csv",
            b"a,b\n\n1,2,3\n1,2\n\n4,5,6\n",
            "t.csv:3: 3 cells, but the header has 2; a cell that holds the delimiter must be quoted\n"
            "t.csv:6: 3 cells, but the header has 2; a cell that holds the delimiter must be quoted",
            id="ragged-between-blank-lines",
        ),
        pytest.param(
            "t.csv",
            b"a,b\n1,2\n3\n4,5,6\n",
            "t.csv:3: 1 cell, but the header has 2; are cells missing?\n"
            "t.csv:4: 3 cells, but the header has 2; a cell that holds the delimiter must be quoted",
            id="ragged",
        ),
        pytest.param(
            "t.csv",
            b'a,b\n"x\ny",2\nc,d\n3,"open\n4,5\n',
            f"t.csv:5: a quote is opened here, in cell 2, and never closed; {QUOTES}",
            id="open-quote",
        ),
        pytest.param(
            "t.csv",
            b'a,b\n1,"open\n2,"closed"\n',
            f"t.csv:2: cell 2 opens with a quote, and text follows its closing quote on line 3; {QUOTES}",
            id="quote-closed-further-down",
        ),
        pytest.param(
            "t.csv",
            b'a,b\n"Acme" Inc,1\n',
            f"t.csv:2: cell 1 opens with a quote, and text follows its closing quote; {QUOTES}",
            id="text-after-a-quote",
        ),
        pytest.param(
            "t.csv",
            b"a,b\nMunchen,1\nM\xfcnchen,2\n",
            f"t.csv:3: the byte FC is not UTF-8; {WINDOWS}",
            id="not-utf-8",
        ),
        pytest.param(
            "t.csv",
            b"a,\xfc\n1,\xe9\n2,\xe4\n",
            f"t.csv:1: the byte FC is not UTF-8; {WINDOWS}\n"
            "t.csv:2: the byte E9 is not UTF-8\nt.csv:3: the byte E4 is not UTF-8",
            id="not-utf-8-in-many-lines",
        ),
        pytest.param(
            "t.csv",
            b"a,b\r\n1,x\0y\r\n",
            f"t.csv:2: a NUL character; {UTF16}",
            id="nul",
        ),
        pytest.param(
            "t.csv",
            b"a,b\n1,x\ry\n2,z\n",
            "t.csv:2: a lone carriage return (CR) outside quotes, where lines end in LF; quote the cell that holds it",
            id="lone-cr",
        ),
        pytest.param(
            "t.csv",
            b"a,b\r" + 70_000 * b'1,"x\ny"\r' + b"2,z\n",
            "t.csv:70002: a lone line feed (LF) outside quotes, where lines end in CR; quote the cell that holds it",
            id="lone-lf",
        ),
        pytest.param(
            "t.csv",
            b'a,a\n1\nM\xfcnchen,\0\n2,"x\n',
            "t.csv:2: 1 cell, but the header has 2; are cells missing?\n"
            f"t.csv:3: a NUL character; {UTF16}\n"
            f"t.csv:3: the byte FC is not UTF-8; {WINDOWS}\n"
            f"t.csv:4: a quote is opened here, in cell 2, and never closed; {QUOTES}",
            id="all-at-once",
        ),
        pytest.param(
            "t.csv",
            b"a,b\n" + 25 * b"1\n",
            "\n".join(f"t.csv:{line}: 1 cell, but the header has 2; are cells missing?" for line in range(2, 22))
            + "\nt.csv: and 5 more faults",
            id="many",
        ),
        pytest.param(
            "t.csv",
            "a,b\n1,2\n".encode("utf-16-le"),
            "t.csv:1: this looks like UTF-16 without a byte order mark; write `csv: {encoding: utf-16-le}` in the "
            "config (with `enrich init`: --encoding utf-16-le)",
            id="utf-16-unmarked",
        ),
        pytest.param(
            "t.csv",
            "a,b\n1,2\n3,".encode("utf-16") + b"\x00\xd8\n\x00",
            "t.csv:3: the bytes 00 D8 are not utf-16-le; is it another encoding?",
            id="utf-16-half-a-character",
        ),
        pytest.param(
            "t.csv",
            gzip.compress(b"a\n1\n"),
            "t.csv: this is a gzip file; name it .csv.gz (or .tsv.gz, .ndjson.gz)",
            id="gzip",
        ),
        pytest.param(
            "t.csv", b"PK\x03\x04...", "t.csv: this is a zip or Excel file; save it as CSV or Parquet first", id="excel"
        ),
        pytest.param(
            "t.csv.gz",
            gzip.compress(b"a,b\n" + 1000 * b"1,2\n")[:-9],
            "t.csv.gz: the file is damaged: it ends in the middle; fetch or write it again",
            id="gzip-cut",
        ),
        pytest.param(
            "t.csv.gz",
            b"a,b\n1,2\n",
            "t.csv.gz: the file is damaged: it is not a gzip file, or only a part of it is; fetch or write it again",
            id="not-gzip",
        ),
        pytest.param(
            "t.csv.zst",
            b"a,b\n1,2\n",
            "t.csv.zst: the file is damaged: its content can't be read as Zstandard; fetch or write it again",
            id="not-zstandard",
        ),
        pytest.param(
            "t.ndjson",
            b'{"a":1}\n[1]\n\n{"a":\n{"a":"\xfc"}\n',
            f"t.ndjson:2: not a JSON object: it is a list; {ONE}\n"
            f"t.ndjson:4: not a JSON object: it ends in the middle; {ONE}\n"
            f"t.ndjson:5: not a JSON object: byte 0xfc, the 7. of its bytes, is not UTF-8; {ONE}",
            id="ndjson-lines",
        ),
        pytest.param(
            "t.ndjson",
            b'{"a":"\\ud800"}\n{"a":"\\udc00x"}\n',
            f"t.ndjson:1: not a JSON object: \\ud800 is half of a character (a lone surrogate); {ONE}\n"
            f"t.ndjson:2: not a JSON object: \\udc00 is half of a character (a lone surrogate); {ONE}",
            id="ndjson-lone-surrogate",
        ),
        pytest.param(
            "t.ndjson", b'{"a":1}\n{" ":2}\n', "t.ndjson:2: a key has no name; give it one", id="ndjson-empty-key"
        ),
        pytest.param(
            "t.ndjson",
            b'{"a\\u0000":1}\n',
            "t.ndjson:1: the key 'a\\x00' has a NUL character, which no CSV keeps",
            id="ndjson-nul",
        ),
        pytest.param(
            "t.jsonl",
            b"\n",
            "t.jsonl: the file has no rows with keys; the columns are the keys of its rows",
            id="ndjson-empty",
        ),
        pytest.param(
            "t.parquet",
            b"a,b\n",
            "t.parquet: the file is damaged: its content can't be read as Parquet; fetch or write it again",
            id="not-parquet",
        ),
        *(
            pytest.param(
                f"t{suffix}",
                b"",
                f"t{suffix}: unknown kind of table {suffix}; save it as CSV (UTF-8) in the spreadsheet program first",
                id=f"spreadsheet{suffix}",
            )
            for suffix in (".xlsx", ".XLS", ".xlsm", ".ods", ".numbers")
        ),
        pytest.param(
            "t.txt",
            b"",
            "t.txt: unknown kind of table .txt; give a file named .csv, .tsv, .ndjson, .jsonl "
            "(each also with .gz or .zst) or .parquet",
            id="unknown-suffix",
        ),
    ],
)
def test_a_wrong_table_is_refused_with_every_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)

    assert complaint(tmp_path / name) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"encoding": "klingon"},
            "t.csv: 'klingon' is no encoding; known ones are utf-8, utf-16, windows-1252, latin-1 and the other "
            "names of Python's codecs",
            id="encoding",
        ),
        pytest.param(
            {"encoding": "base64"},
            "t.csv: 'base64' is no encoding; known ones are utf-8, utf-16, windows-1252, latin-1 and the other "
            "names of Python's codecs",
            id="no-encoding-of-text",
        ),
        pytest.param(
            {"encoding": "idna"},
            "t.csv: 'idna' is no encoding; known ones are utf-8, utf-16, windows-1252, latin-1 and the other "
            "names of Python's codecs",
            id="encoding-of-host-names",
        ),
        pytest.param(
            {"encoding": "windows-1252"},
            "t.csv:1: the file starts with the byte order mark of utf-8, but the encoding given is windows-1252; "
            "leave the encoding out",
            id="encoding-against-mark",
        ),
        pytest.param(
            {"delimiter": ";;"}, "t.csv: the delimiter ';;' is not one ASCII character", id="delimiter"
        ),
        pytest.param(
            {"quote": ",", "delimiter": ","},
            "t.csv: the quote ',' is not one ASCII character, or empty for none",
            id="quote",
        ),
    ],
)  # fmt: skip
def test_what_is_given_must_fit(tmp_path: Path, options: dict[str, str], message: str) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")

    assert complaint(tmp_path / "t.csv", **options) == message


def test_a_byte_that_the_given_encoding_lacks_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\r\n1,2\r\n\x81,2\r\n")

    message = complaint(tmp_path / "t.csv", encoding="windows-1252")

    assert message == "t.csv:3: the bytes 81 are not cp1252; is it another encoding?"


@pytest.mark.parametrize(
    "address",
    [
        "https://x.example/places.csv",
        "s3://bucket/places.parquet",
        "https://x.example/export?format=csv",
        "file:///p.csv",
    ],
)
def test_an_address_is_no_file(address: str) -> None:
    with pytest.raises(TableError, match=r": is an address, expected a file; download it first$"):
        open_table(Path(address))


def test_a_table_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()

    assert complaint(tmp_path / "no.csv") == "no.csv: there is no such file"
    assert complaint(tmp_path / "folder.csv") == "folder.csv: this is a folder, not a table; name a file"


def test_parquet_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "t.parquet")

    message = complaint(tmp_path / "t.parquet")

    assert message == "t.parquet: columns 1 and 2 have the same name 'a'; rename one of them"


def test_integers_of_128_bits_are_refused_by_column(tmp_path: Path) -> None:
    columns = {
        "a": pl.Series([2**100], dtype=pl.Int128),
        "b": pl.Series([1]),
        "c": pl.Series([{"d": [2**100]}], dtype=pl.Struct({"d": pl.List(pl.UInt128)})),
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "t[1].parquet")

    message = complaint(tmp_path / "t[1].parquet")

    hint = "write it as another type, such as text"
    assert message == (
        f"t[1].parquet: column 'a' (Int128) can't be read; {hint}\n"
        f"t[1].parquet: column 'c' (Struct({{'d': List(UInt128)}})) can't be read; {hint}"
    )


def test_a_record_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'a,b\n1,2\n3,"' + 20_000_000 * b"x" + b"\n")

    assert complaint(path) == f"t.csv:3: the record is longer than 16 MB, from this line on; {QUOTES}"


@pytest.mark.parametrize("name", ["t.csv", "t.ndjson", "t.parquet"])
def test_a_table_that_changes_under_the_run_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    other = tmp_path / ("other-" + name)
    for n, target in enumerate((path, other)):
        if name == "t.csv":
            target.write_text("a,b\n" + n * "1,2\n")
        elif name == "t.ndjson":
            target.write_text('{"a":1}\n' * (n + 1))
        else:
            pq.write_table(pa.table({"a": [1] * n}), target)
    table = open_table(path)
    other.replace(path)

    with pytest.raises(TableError) as caught:
        rows_of(table)

    hint = "run the same command again"
    assert str(caught.value) == f"{path}: the file was changed while it was being read; {hint}"


def test_a_lone_line_break_is_told_once_and_not_of_every_row_after_it(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n1\r2,2\n3,4\n5,6\n7,8,9\n")
    with pytest.raises(TableError) as raised:
        open_table(tmp_path / "t.csv")
    assert [fault.line for fault in raised.value.faults] == [2, 5]


def test_a_wrong_last_line_without_a_line_break_is_told_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "t.ndjson").write_bytes(b'{"a":1}\n\n[2]')
    with pytest.raises(TableError) as raised:
        open_table(tmp_path / "t.ndjson")
    assert [fault.line for fault in raised.value.faults] == [3]
