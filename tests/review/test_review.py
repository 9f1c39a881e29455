"""The review queue is safe to open, whole or absent, and brings a person's decisions back."""

import csv
import resource
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enrich.errors import OutputError, TableError
from enrich.review.queue import ReviewLine, ReviewWriter, read_decisions

LINE = ReviewLine(
    row=17,
    inputs={"company_name": "Acme", "size": -5},
    field="founded_year",
    status="review",
    value=1998,
    confidence="medium",
    reason="medium confidence; the config asks for high",
    reasoning="The imprint says so.",
    sources=["https://a.example/", "https://b.example/"],
    run_id="trun_1",
    processor="core",
)
HEADER = [
    "status", "row", "field", "value", "confidence", "reason", "reasoning", "citations",
    "input_company_name", "input_size", "run_id", "processor", "decision", "correction", "note",
]  # fmt: skip


def write(path: Path, *lines: ReviewLine) -> list[list[str]]:
    with ReviewWriter(path, input_fields=["company_name", "size"]) as writer:
        writer.add(lines)
    return rows(path)


def rows(path: Path) -> list[list[str]]:
    assert path.read_bytes().startswith(b"\xef\xbb\xbf"), "Excel takes it for the code page of the machine"
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, strict=True))


def cell(path: Path, column: str, **changes: Any) -> str:
    header, line = write(path, replace(LINE, **changes))
    return line[header.index(column)]


def test_one_line_an_answer_with_its_evidence_and_room_for_a_decision(tmp_path: Path) -> None:
    assert write(tmp_path / "a.review.csv", LINE) == [
        HEADER,
        [
            "review", "17", "founded_year", "1998", "medium", "medium confidence; the config asks for high",
            "The imprint says so.", "https://a.example/\nhttps://b.example/", "Acme", "-5", "trun_1", "core",
            "", "", "",
        ],
    ]  # fmt: skip


def test_without_doubt_there_is_still_a_header(tmp_path: Path) -> None:
    assert write(tmp_path / "a.review.csv") == [HEADER]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(None, "", id="null"),
        pytest.param("", "", id="empty"),
        pytest.param(-12.5, "-12.5", id="negative number"),
        pytest.param(True, "true", id="boolean"),
        pytest.param(["a", "=1"], '["a", "\\u003d1"]', id="list, the same JSON"),
        pytest.param({"name": "Zoë"}, '{"name": "Zoë"}', id="object"),
        pytest.param("=HYPERLINK(1)", "'=HYPERLINK(1)", id="formula"),
        pytest.param("a;=1", "a;'=1", id="formula after a separator"),
        pytest.param("first\r\nsecond", "first\nsecond", id="line break"),
        pytest.param("\x1b]0;t\x07\x9b31mred\u202e\u200b", "red", id="terminal and bidi"),
        pytest.param("x" * 100_000, "x" * 31_999 + "…", id="longer than a cell"),
        pytest.param("lone \ud800", "lone \ufffd", id="lone surrogate"),
    ],
)
def test_a_value_is_harmless_text(tmp_path: Path, value: Any, shown: str) -> None:
    assert cell(tmp_path / "a.review.csv", "value", value=value) == shown


@pytest.mark.parametrize(
    ("column", "changes"),
    [
        ("field", {"field": "=x"}),
        ("status", {"status": "=x"}),
        ("confidence", {"confidence": "=x"}),
        ("reason", {"reason": "=x"}),
        ("reasoning", {"reasoning": "=x"}),
        ("citations", {"sources": ["=x"]}),
        ("input_company_name", {"inputs": {"company_name": "=x"}}),
        ("run_id", {"run_id": "=x"}),
        ("processor", {"processor": "=x"}),
    ],
)
def test_no_cell_calculates(tmp_path: Path, column: str, changes: Mapping[str, Any]) -> None:
    assert cell(tmp_path / "a.review.csv", column, **changes) == "'=x"


def test_an_error_leaves_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "a.review.csv"
    write(path, LINE)

    def write_half() -> None:
        with ReviewWriter(path, input_fields=[]) as writer:
            writer.add([LINE])
            raise KeyError("stopped")

    with pytest.raises(KeyError, match="stopped"):
        write_half()
    assert rows(path)[0] == HEADER
    assert [file.name for file in tmp_path.iterdir()] == ["a.review.csv"]


@pytest.mark.parametrize(
    ("lines", "chars"),
    [
        pytest.param(10, 9, id="at the end"),
        pytest.param(100, 30_000, id="with the last lines"),  # more than is buffered
        pytest.param(10_000, 9, id="while it is written"),
    ],
)
def test_a_disk_without_room_is_an_output_error(tmp_path: Path, lines: int, chars: int) -> None:
    path = tmp_path / "a.review.csv"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(OutputError, match=r"a\.review\.csv: can't be written: File too large"):
            write(path, *[replace(LINE, reasoning="x" * chars)] * lines)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_lines(tmp_path: Path) -> None:
    peaks = []
    with ReviewWriter(tmp_path / "a.review.csv", input_fields=["company_name"]) as writer:
        writer.add([LINE])
        for lines in (5_000, 50_000):
            tracemalloc.start()
            writer.add(replace(LINE, row=row) for row in range(lines))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 2_000_000
    assert writer.lines == 55_001


def test_of_long_texts_no_more_is_held_than_cells_show(tmp_path: Path) -> None:
    path = tmp_path / "a.review.csv"
    text = "x" * 5_000_000
    lines = (replace(LINE, value=text + str(n), reasoning=text + str(n), sources=[text] * 2) for n in range(100))
    with ReviewWriter(path, input_fields=["company_name"]) as writer:
        tracemalloc.start()
        writer.add(lines)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 60_000_000  # the texts of one line, and what is written together
    written = rows(path)[1:]
    assert len(written) == 100
    assert {line[column] for line in written for column in (3, 6, 7)} == {"x" * 31_999 + "\u2026"}


def test_a_long_text_of_which_little_is_shown_says_that_it_was_cut(tmp_path: Path) -> None:
    assert cell(tmp_path / "a.review.csv", "reasoning", reasoning="\u200b" * 70_000 + "x") == "\u2026"
    assert cell(tmp_path / "b.review.csv", "reasoning", reasoning="\u200b" * 60_000 + "x") == "x"


def decided(path: Path, *decisions: tuple[str, str, str], save: Mapping[str, str] | None = None) -> Path:
    """A review file in which a person has written, saved again as a spreadsheet would."""
    options = {"encoding": "utf-8", "delimiter": ",", **(save or {})}
    header, *lines = write(path, *(replace(LINE, run_id=f"trun_{n}") for n in range(len(decisions))))
    with path.open("w", encoding=options["encoding"], newline="") as file:
        writer = csv.writer(file, delimiter=options["delimiter"])
        writer.writerow(header)
        writer.writerows([*line[:-3], *said] for line, said in zip(lines, decisions, strict=True))
    return path


@pytest.mark.parametrize(
    "save",
    [
        pytest.param({}, id="as it was"),
        pytest.param({"encoding": "utf-8-sig"}, id="with a BOM"),
        pytest.param({"delimiter": ";"}, id="with semicolons"),
        pytest.param({"delimiter": "\t", "encoding": "utf-8-sig"}, id="with tabs"),
    ],
)
def test_decisions_come_back(tmp_path: Path, save: Mapping[str, str]) -> None:
    path = decided(
        tmp_path / "a.csv",
        ("", "", "not sure"),
        (" Accept ", "", ""),
        ("correct", "1999", "annual report, p. 3"),
        ("REJECT", "", ""),
        save=save,
    )
    read = read_decisions(path)
    assert [(one.line.line, one.line.row, one.line.cells["row"], one.field) for one in read] == [
        (line, row, "17", "founded_year") for line, row in ((4, 3), (6, 4), (8, 5))
    ]
    assert [(one.run_id, one.ruling, one.correction, one.note) for one in read] == [
        ("trun_1", "accept", "", ""),
        ("trun_2", "correct", "1999", "annual report, p. 3"),
        ("trun_3", "reject", "", ""),
    ]


def test_all_faults_come_at_once_with_their_lines(tmp_path: Path) -> None:
    path = decided(tmp_path / "a.csv", ("yes", "", ""), ("accept", "1998", ""), ("", "1999", ""))
    with pytest.raises(TableError) as raised:
        read_decisions(path)
    assert str(raised.value).splitlines() == [
        f"{path}:2: sheet row 2, founded_year: decision: not a decision: 'yes'; write accept, correct or reject, "
        "or leave it empty",
        f"{path}:4: sheet row 3, founded_year: decision: a correction beside `accept`; "
        "write `correct` beside a correction, or take the correction out",
        f"{path}:6: sheet row 4, founded_year: decision: a correction without a decision; "
        "write `correct` beside a correction, or take the correction out",
    ]


def test_an_answer_is_decided_once(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(FEWEST + b"1,a,r1,accept,,\n2,a,r1,Accept,,\n1,b,r1,reject,,\n9,a,r1,reject,,\n")
    with pytest.raises(TableError) as raised:
        read_decisions(path)
    assert str(raised.value) == (
        f"{path}:5: sheet row 5, a: decision: another decision than in sheet row 2; leave one of them"
    )
    path.write_bytes(FEWEST + b"1,a,r1,accept,,\n2,a,r1,Accept,,\n1,b,r1,reject,,\n")
    assert [(one.line.line, one.ruling) for one in read_decisions(path)] == [(2, "accept"), (4, "reject")]


FEWEST = b"row,field,run_id,decision,correction,note\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "no column row, field, run_id, decision, correction, note", id="empty"),
        pytest.param(b"row,field\n1,a\n", "no column run_id, decision", id="columns taken out"),
        pytest.param(FEWEST + b"1,a,r,accept,caf\xe9,\n", "not UTF-8", id="Latin-1"),
        pytest.param(FEWEST + b"1,a,,accept,,\n", "can't be found", id="no run"),
        pytest.param(FEWEST + b"1,a,r,=\x1b[2Jx,,\n", "'=x'", id="hostile"),
    ],
)
def test_a_file_that_is_no_review_file_is_a_table_error(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match=said):
        read_decisions(path)


def test_a_missing_file_is_a_table_error(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="there is no such file"):
        read_decisions(tmp_path / "absent.csv")
