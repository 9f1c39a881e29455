"""What spreadsheets, databases and programs export is taken as it is, and comes out as it came."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from table_files import Unsynced, enriched, examples, rows_of, write

from enrich.dataset import check_output_path, open_table
from enrich.errors import OutputError, TableError

LONG = "".join(f"{n},x\n" for n in range(20_000))


@pytest.mark.parametrize(
    ("content", "answers", "expected"),
    [
        pytest.param(",name\n0,A\n1,B\n", ["x", "y"], ",name,hq\n0,A,x\n1,B,y\n", id="unnamed-index"),
        pytest.param('"",name\n1,A\n', ["x"], '"",name,hq\n1,A,x\n', id="unnamed-in-quotes"),
        pytest.param("a,a, \n1,2,3\n", ["x"], "a,a, ,hq\n1,2,3,x\n", id="duplicate-and-blank-names"),
        pytest.param("a,b,\n1,2,\n", ["x"], "a,b,,hq\n1,2,,x\n", id="delimiters-at-the-end"),
        pytest.param("a,,\n1,,\n", ["x"], "a,,,hq\n1,,,x\n", id="two-unnamed"),
        pytest.param("sep=;\r\na;b\r\n1;2\r\n", ["x"], "sep=;\r\na;b;hq\r\n1;2;x\r\n", id="line-for-excel"),
        pytest.param('"sep=\t"\na\tb\n1\t2\n', ["x"], '"sep=\t"\na\tb\thq\n1\t2\tx\n', id="quoted-line-for-excel"),
        pytest.param("sep=,\na;b,c\n1;2,3\n", ["x"], "sep=,\na;b,c,hq\n1;2,3,x\n", id="the-line-decides"),
        pytest.param("a,b\n1,2\n\n3,4\n", ["x", "y"], "a,b,hq\n1,2,x\n\n3,4,y\n", id="blank-line"),
        pytest.param(
            "a,b\n\n\n1,2\n\n3,4\n5,6\n\n\n", ["x", "y", "z"], "a,b,hq\n\n\n1,2,x\n\n3,4,y\n5,6,z\n", id="blank-lines"
        ),
        pytest.param('a,b\n1,""\n2,\n', ["x", "y"], 'a,b,hq\n1,"",x\n2,,y\n', id="quotes-beside-nothing"),
        pytest.param('a,b\n"",""\n,\n', ["x", "y"], 'a,b,hq\n"","",x\n,,y\n', id="only-quotes"),
        pytest.param(
            'a,b\n1,"5"" p"\n"",5" p\n', ["x", "y"], 'a,b,hq\n1,"5"" p",x\n"","5"" p",y\n', id="strict-reader"
        ),
        pytest.param('a,b\n\n"",""""\n', ["x"], 'a,b,hq\n\n"","""",x\n', id="quotes-in-quotes"),
        pytest.param("a,b\n1,2\n", [""], "a,b,hq\n1,2,\n", id="no-answer-is-nothing"),
        pytest.param(
            f"a,b\n\n{LONG}\n-1,x\n",
            ["y"] * 20_001,
            f"a,b,hq\n\n{LONG.replace(',x', ',x,y')}\n-1,x,y\n",
            id="many-batches",
        ),
    ],
)
def test_an_export_comes_out_as_it_came(tmp_path: Path, content: str, answers: list[str], expected: str) -> None:
    (tmp_path / "t.csv").write_bytes(content.encode())

    assert enriched(tmp_path / "t.csv", {"hq": answers}).decode() == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "windows-1252"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_lines_above_the_header_come_out_again(tmp_path: Path, encoding: str, line_break: str) -> None:
    lines = ["sep=;", 'Übersicht; "1. Mai', "", "name;;name", 'A;1;""', "", "B;2;"]
    path, out = tmp_path / "t.csv", tmp_path / "out.csv"
    path.write_bytes("".join(line + line_break for line in lines).encode(encoding))
    options: dict[str, Any] = {"skip": 2, "encoding": encoding if encoding == "windows-1252" else None}

    table = open_table(path, **options)
    write(out, table, {"hq": ["Köln", None]})

    expected = [*lines[:3], "name;;name;hq", 'A;1;"";Köln', "", "B;2;;"]
    assert out.read_bytes().decode(encoding) == "".join(line + line_break for line in expected)
    again = open_table(out, **options)
    assert again.headers == ("name", "", "name", "hq")
    assert rows_of(again) == [("A", "1", None, "Köln"), ("B", "2", None, None)]


def test_lines_of_faults_count_from_the_first_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sep=,\nTitle\na,b\n1,2\n\n3\n")

    with pytest.raises(TableError) as caught:
        open_table(path, skip=1)

    assert str(caught.value) == f"{path}:6: 1 cell, but the header has 2; are cells missing?"


@pytest.mark.parametrize(
    ("content", "skip", "message"),
    [
        pytest.param(
            "a,b\n1,2\n",
            3,
            ": `csv: {skip: 3}` skips more lines than the file has before its header (2); "
            "the line after those that are skipped is the header",
            id="too-many",
        ),
        pytest.param("a,b\n1,2\n", 2, ": the file ends; line 3 must name the columns", id="all"),
    ],
)
def test_more_lines_can_not_be_skipped_than_there_are(tmp_path: Path, content: str, skip: int, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)

    with pytest.raises(TableError) as caught:
        open_table(path, skip=skip)

    assert str(caught.value) == f"{path}{message}"


def test_a_title_above_one_column_is_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Customers\n\nname;city\nAcme;Bonn\n")

    asked = "is line 1 a title? Write `csv: {skip: 2}` in the config, and line 3 names the columns"
    assert open_table(path).title == asked
    assert open_table(path, skip=2).columns == ("name", "city")


@pytest.mark.parametrize("text", ["note\nBonn; Rhine\n", "note\na\nb\n", "note\na;b\nc;d;e\nf\n", "a;b\nc;d\n"])
def test_a_table_without_a_title_is_not_asked_about(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)

    assert open_table(tmp_path / "t.csv").title == ""


def test_columns_that_no_name_tells_are_told_by_their_number(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,,a, ,b\n1,2,3,4,5\n")

    table = open_table(tmp_path / "t.csv")

    assert table.columns == ("a\0001", "\0002", "a\0003", " \0004", "b")
    assert table.headers == ("a", "", "a", " ", "b")
    assert rows_of(table) == [("1", "2", "3", "4", "5")]


@pytest.mark.parametrize("suffix", [".parquet", ".ndjson", ".jsonl.gz"])
def test_such_columns_are_refused_where_the_output_can_not_hold_them(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "t.csv").write_text("a,,a\n1,2,3\n")
    table, out = open_table(tmp_path / "t.csv"), tmp_path / f"out{suffix}"

    for attempt in (lambda: check_output_path(out, table), lambda: write(out, table, {"hq": ["x"]})):
        with pytest.raises(OutputError) as caught:
            attempt()
        assert str(caught.value) == (
            f'{out}: column 1 shares the name "a", column 2 has no name, column 3 shares the name "a", which only CSV '
            "and TSV take; rename what you need in the table, or give an output named .csv or .tsv"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_another_dialect_keeps_cells_and_leaves_what_stands_above(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('sep=;\na;;a\n1;"";\n')

    assert enriched(tmp_path / "t.csv", {"hq": ["x"]}, ".tsv") == b'a\t\ta\thq\n1\t""\t\tx\n'


# ---------------------------------------------------------------------- any export

pieces = st.text(st.sampled_from('ab ,;"\n\r\té0'), max_size=4)


@st.composite
def exports(draw: st.DrawFn) -> tuple[str, int, list[list[str]], str]:
    """(what stands above the header, lines to skip, lines of cells as they are written, line break)."""
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    width = draw(st.integers(2, 4))

    def spelled(text: str) -> str:
        must = any(one in text for one in ',"\r\n')
        quoted = '"' + text.replace('"', '""') + '"'
        return quoted if must or (not text and draw(st.booleans())) else text

    lines = []
    for _ in range(draw(st.integers(1, 6))):
        lines.append([spelled(draw(pieces)) for _ in range(width)])
        lines += [[]] * draw(st.sampled_from([0, 0, 0, 1, 2]))
    while len(lines) > 1 and not lines[-1]:
        lines.pop()
    titles = draw(st.lists(st.text(st.sampled_from('ab,;"é '), max_size=5), max_size=2))
    above = draw(st.sampled_from(["", "sep=,"]))
    return newline.join([*([above] if above else []), *titles, ""]), len(titles), lines, newline


@examples(300)
@given(exports())
def test_own_cells_come_out_as_they_came(tmp_path: Path, export: tuple[str, int, list[list[str]], str]) -> None:
    above, skip, lines, newline = export
    text = above + "".join(",".join(cells) + newline for cells in lines)
    assume(not text.startswith(("\ufeff", "sep=")) or above.startswith("sep="))
    source, out = tmp_path / "t.csv", tmp_path / "out.csv"
    source.write_bytes(text.encode())

    table = open_table(source, delimiter=",", quote='"', skip=skip)
    write(out, table, {"answer": ["y"] * table.height}, files=Unsynced(), rows=2)

    header, *rows = lines
    added = [",".join([*header, "answer"]), *(",".join([*cells, "y"]) if cells else "" for cells in rows)]
    assert out.read_bytes().decode() == above + "".join(line + newline for line in added)
