"""A review file is read as strictly as a table, and what spreadsheets honestly do to one is fine."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.errors import TableError
from enrich.review.queue import read_decisions
from enrich.review.sheet import Sheet

HEADER = ["status", "row", "field", "value", "run_id", "processor", "decision", "correction", "note"]
FEWEST = 6  # cells up to `processor`


def line(number: int, decision: str = "", correction: str = "", note: str = "") -> list[str]:
    return ["review", str(number), "city", "Bonn", f"r{number}", "core", decision, correction, note]


def text(rows: Sequence[Sequence[str]], **dialect: object) -> str:
    out = io.StringIO()
    csv.writer(out, **dialect).writerows(rows)  # type: ignore[arg-type]
    return out.getvalue()


def faults(path: Path, content: str | bytes) -> list[str]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(TableError) as raised:
        read_decisions(path)
    return [one.removeprefix(str(path)) for one in str(raised.value).splitlines()]


SIX = [HEADER, *(line(n, "accept", note="@@" if n == 2 else "") for n in range(1, 7))]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            lambda t: t.replace("@@", '"see mail'), ":3: sheet row 3: a quote is opened here, in cell 9,", id="open"
        ),
        pytest.param(
            lambda t: t.replace("@@", '"see" mail'),
            ":3: sheet row 3: cell 9 opens with a quote, and text follows its closing quote",
            id="text after a quote",
        ),
        pytest.param(
            lambda t: t.replace("@@", "see mail, or ask"), ":3: sheet row 3: 10 cells, but the header has 9", id="long"
        ),
        pytest.param(lambda t: t.replace(",@@", ""), ":3: sheet row 3: 8 cells, but the header has 9", id="short"),
        pytest.param(lambda t: t.replace("@@", "see\r\nmail"), ":4: sheet row 4: 1 cell, but", id="line break"),
        pytest.param(lambda t: t.replace("2,city", '2,"ci\nty'), ":3: sheet row 3: a quote is opened", id="field"),
        pytest.param(lambda t: t.replace("@@", "a\0b"), ":3: sheet row 3: a NUL character", id="NUL"),
        pytest.param(lambda t: t.encode().replace(b"@@", b"caf\xe9"), ":3: sheet row 3: not UTF-8", id="Latin-1"),
    ],
)
def test_a_broken_file_is_a_fault_with_its_line_and_nothing_is_taken(
    tmp_path: Path, change: Callable[[str], str | bytes], said: str
) -> None:
    first, *_ = faults(tmp_path / "a.csv", change(text(SIX)))
    assert first.startswith(said)


def test_faults_of_every_kind_come_at_once(tmp_path: Path) -> None:
    rows = [HEADER, line(1, "acept"), line(2, "accept")[:-1], line(3, note="two\nlines"), line(4, "", "Rome")]
    found = faults(tmp_path / "a.csv", text(rows) + 'review,5,city,Bonn,r5,core,"correct,Rome,\r\n')
    assert [one.partition(";")[0] for one in found] == [
        ":2: sheet row 2, city: decision: not a decision: 'acept'",
        ":3: sheet row 3: 8 cells, but the header has 9",
        ":6: sheet row 5, city: decision: a correction without a decision",
        ":7: sheet row 6: a quote is opened here, in cell 7, and never closed",
    ]
    assert 'did you mean "accept"?' in "".join(found)


def saved(change: Callable[[list[list[str]]], object] = lambda rows: None, **options: str) -> Callable[[], bytes]:
    def save() -> bytes:
        rows = [[*HEADER], *(line(n, "accept" if n % 2 else "", note="" if n % 3 else "seen") for n in range(1, 41))]
        change(rows)
        dialect = {name: value for name, value in options.items() if name != "encoding"}
        return text(rows, **dialect).encode(options.get("encoding", "utf-8-sig"))

    return save


def _blocks(rows: list[list[str]]) -> None:
    """As Excel writes: 16 rows at a time, with as many cells as the widest of them has."""
    for row in rows[16:]:
        if not row[6]:
            row[8] = ""
    for start in range(0, len(rows), 16):
        block = rows[start : start + 16]
        widest = max(max(at for at, cell in enumerate(row, 1) if cell) for row in block)
        for row in block:
            del row[widest:]


@pytest.mark.parametrize(
    "save",
    [
        pytest.param(saved(), id="as it was"),
        pytest.param(saved(encoding="utf-8"), id="without a mark"),
        pytest.param(saved(lambda rows: rows[0].__setitem__(0, "\ufeffstatus")), id="with two marks"),
        pytest.param(saved(delimiter=";"), id="semicolons"),
        pytest.param(saved(delimiter="\t"), id="tabs"),
        pytest.param(saved(lineterminator="\r"), id="CR"),
        pytest.param(saved(lineterminator="\n"), id="LF"),
        pytest.param(saved(quoting=csv.QUOTE_ALL), id="all quoted"),  # type: ignore[arg-type]
        pytest.param(saved(lambda rows: rows.insert(3, [])), id="a blank line"),
        pytest.param(saved(lambda rows: rows.insert(3, [""] * 9)), id="a blank row"),
        pytest.param(saved(lambda rows: [row.extend(["", " "]) for row in rows]), id="empty cells behind"),
        pytest.param(saved(lambda rows: [row.insert(4, "mine") for row in rows]), id="a column added"),
        pytest.param(saved(lambda rows: [row.pop(3) for row in rows]), id="a column dropped"),
        pytest.param(saved(lambda rows: [row.reverse() for row in rows]), id="columns moved"),
        pytest.param(saved(lambda rows: rows.sort(key=lambda row: (row[4] != "run_id", row[4]))), id="sorted"),
        pytest.param(saved(lambda rows: rows[0].__setitem__(slice(None), [n.upper() for n in HEADER])), id="capitals"),
        pytest.param(saved(_blocks), id="as Excel shortens lines"),
        pytest.param(saved(lambda rows: rows[1].__setitem__(8, '5" pipe')), id="a quote within"),
        pytest.param(saved(lambda rows: rows[1].__setitem__(8, "two\nlines")), id="a line break in quotes"),
    ],
)
def test_what_a_spreadsheet_does_is_fine(tmp_path: Path, save: Callable[[], bytes]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(save())
    assert sorted(one.run_id for one in read_decisions(path)) == sorted(f"r{n}" for n in range(1, 41, 2))


def test_a_line_that_is_shorter_than_those_around_it_is_no_work_of_a_spreadsheet(tmp_path: Path) -> None:
    rows = [HEADER, *(line(n, "accept", note="seen") for n in range(1, 41))]
    rows[20].pop()
    assert faults(tmp_path / "a.csv", text(rows))[0].startswith(":21: sheet row 21: 8 cells")


@pytest.mark.parametrize("cells", range(1, FEWEST))
def test_a_line_cut_before_its_answer_is_named_is_a_fault_wherever_it_stands(tmp_path: Path, cells: int) -> None:
    rows = [HEADER, *(line(n, "accept") for n in range(1, 33)), line(33)[:cells]]
    assert faults(tmp_path / "a.csv", text(rows))[0].startswith(f":34: sheet row 34: {cells} cell")


def test_a_table_in_the_place_of_a_review_file_is_told_so(tmp_path: Path) -> None:
    assert faults(tmp_path / "a.csv", "name,river\nBasel,Rhine\n") == [
        ":1: this is no review file; give the NAME.review.csv that `enrich run` wrote beside its output"
    ]
    (tmp_path / "a.csv").unlink()
    with pytest.raises(TableError, match=r"a\.csv: there is no such file; `enrich run` writes it beside its output"):
        list(Sheet(tmp_path / "a.csv"))


def test_a_column_that_was_renamed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    header = [name.replace("decision", "decisions") for name in HEADER]
    assert faults(path, text([header, line(1)])) == [
        ":1: no column decision; keep the columns of the review file; 'decisions': did you mean \"decision\"?"
    ]
    assert faults(path, text([[*HEADER, "note"], line(1)])) == [":1: two columns are called note; leave one of them"]


@given(
    notes=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r")), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t"),
)
def test_what_a_person_wrote_is_read_as_it_was_shown(notes: list[str], delimiter: str, tmp_path_factory) -> None:
    from enrich.text.hostile import protect_cell

    path = tmp_path_factory.getbasetemp() / "notes.csv"
    cells = map(protect_cell, notes)
    rows = [[*HEADER, "=mine"], *([*line(n, note=cell), cell] for n, cell in enumerate(cells))]
    path.write_bytes(text(rows, delimiter=delimiter).encode())
    sheet = Sheet(path)
    read = [(one.cells["note"], one.added) for one in sheet]
    assert sheet.faults == []
    assert read == [(note, (note,)) for note in notes]
    assert sheet.added == ("=mine",)
