"""The same text is one question, also beside a ledger from when it was several."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing

import pytest

import enrich
from enrich.cli import main
from enrich.ledger.store import Ledger
from enrich.spec.identity import input_key
from tests.pipeline.desk import CONFIG, Desk

NFD, NFC = "Socie\u0301te\u0301", "Soci\u00e9t\u00e9"


def rows(desk: Desk, *names: str, header: str = "name,domain") -> None:
    desk.table.write_text("\n".join([header, *(f"{name},x.example" for name in names)]) + "\n", encoding="utf-8")


def cities(desk: Desk, report: enrich.Report) -> list[str]:
    return [row["city"] for row in desk.result(report)]


def documents(names: Sequence[str]) -> list[bytes]:
    return [f'{{"company":"{name}","website":"x.example"}}'.encode() for name in names]


def run_of_0_2_0(desk: Desk, names: Sequence[str]) -> enrich.Report:
    """A ledger in which each of these was asked about as it stands, as 0.2.0 did it.

    They are asked about under other names, and the ledger then has the keys that 0.2.0 would have given them.
    """
    others = [f"Other {number}" for number in range(len(names))]
    rows(desk, *others)
    report = desk.run()
    with closing(sqlite3.connect(desk.folder / ".enrich" / "ledger.db")) as ledger, ledger:
        tables = [name for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        keyed = [
            name for name in tables if "input_key" in {row[1] for row in ledger.execute(f"PRAGMA table_info({name})")}
        ]
        for other, name in zip(documents(others), documents(names), strict=True):
            for table in keyed:
                keys = input_key(name), input_key(other)
                ledger.execute(f"UPDATE {table} SET input_key = ? WHERE input_key = ?", keys)
    rows(desk, *names)
    return report


def known(desk: Desk, names: Sequence[str]) -> list[bool]:
    ledger = Ledger.reader(desk.folder / ".enrich" / "ledger.db")
    held = ledger.held([input_key(document) for document in documents(names)])
    ledger.close()
    return [input_key(document) in held for document in documents(names)]


def test_one_text_in_many_spellings_is_asked_about_once(desk: Desk) -> None:
    rows(desk, NFC, NFD, f"\ufeff{NFD}\u200b", f"\u00a0{NFC}\u00ad", "\u200b")

    assert desk.plan().runs == {"lite": 1}
    report = desk.run()

    assert desk.service.bill()["runs"] == 1
    assert known(desk, [NFC, NFD]) == [True, False]
    assert len({*cities(desk, report)[:4]}) == 1
    assert desk.result(report)[4]["enrich_status"] == "skipped"
    assert desk.table.read_text(encoding="utf-8").split("\n")[2].startswith(NFD)  # cells stay as they are


def test_what_was_paid_in_an_older_form_is_found(desk: Desk) -> None:
    names = ["Plain", NFC, NFD, "Zero\u200b", "\u200fMark"]
    before = run_of_0_2_0(desk, names)
    told = cities(desk, before)
    posts = desk.service.posts()
    assert known(desk, names) == [True] * 5

    assert desk.plan().runs == {}
    after = desk.run(rewrite=True)

    assert desk.service.posts() == posts
    assert cities(desk, after) == told
    rows(desk, *names, "Zero", "\u00a0Zero", "Plain\u200b")  # the last two are known in their normal form
    assert desk.plan().runs == {"lite": 1}
    assert [bool(row["enrich_run_id"]) for row in desk.result(desk.run())] == [True] * 8
    assert known(desk, ["Zero"]) == [True]


def test_a_new_answer_about_an_older_form_is_asked_in_that_form(desk: Desk) -> None:
    told = cities(desk, run_of_0_2_0(desk, [NFD]))
    desk.config.write_text(CONFIG.replace("processor:", "  size: {type: string, description: Staff.}\nprocessor:"))

    after = desk.run()

    assert desk.service.bill()["runs"] == 2
    assert known(desk, [NFC, NFD]) == [False, True]
    assert cities(desk, after) == told


def test_a_column_of_an_answer_is_filled_in_either_spelling(desk: Desk) -> None:
    desk.config.write_text(CONFIG.replace("city:", f"{NFC}:") + "existing: fill\n", encoding="utf-8")
    desk.table.write_text(f"name,domain,{NFD}\nA,a.example,\nB,b.example,kept\n", encoding="utf-8")

    report = desk.run()

    first, second = desk.result(report)
    assert list(first)[:4] == ["name", "domain", NFD, f"{NFC}_confidence"]
    assert NFC not in first
    assert first[NFD] not in ("", "kept")
    assert second[NFD] == "kept"


def test_names_that_look_the_same_are_refused(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    shown = '"Soci\\xe9t\\xe9" and "Socie\\u0301te\\u0301"'
    desk.config.write_text(CONFIG.replace("city:", f"{NFC}:").replace("year:", f"{NFD}:"), encoding="utf-8")
    rows(desk, "A")
    assert main(["check", str(desk.config), str(desk.table)]) == 2
    said = capsys.readouterr().err
    assert f'another answer that looks the same and is spelled differently: "{NFC}" ({shown})' in said

    desk.config.write_text(CONFIG.replace("city:", f"{NFC}:"), encoding="utf-8")
    rows(desk, "A", header=f"name,{NFD}")
    assert main(["check", str(desk.config), str(desk.table)]) == 2
    said = capsys.readouterr().err
    assert f'the table already has a column that looks the same: "{NFC}" ({shown})' in said

    desk.config.write_text(CONFIG, encoding="utf-8")
    desk.table.write_text(f"name,domain,{NFC},{NFD}\nA,a,b,c\n", encoding="utf-8")
    assert main(["check", str(desk.config), str(desk.table)]) == 2
    said = capsys.readouterr().err
    assert f'two columns that look the same and are spelled differently: "{NFC}" ({shown})' in said


def test_texts_for_nothing_are_counted(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.table.write_text("name,domain,note\nA,N/A,N/A\nB,-,\nC,n/a,\nD,N/A,\n")
    said = (
        f'Warning: {desk.table}: column "domain" has "N/A" in 2 rows, "-" in 1 row, "n/a" in 1 row: it is sent as it '
        'stands; write `empty: ["N/A", "-", "n/a"]` in the config to take it for an empty cell\n'
    )

    for command in ("check", "plan"):
        assert main([command, str(desk.config), str(desk.table)]) == 0
        assert said in capsys.readouterr().err

    desk.config.write_text(CONFIG + 'empty: [n/a, "-"]\n')
    assert main(["plan", str(desk.config), str(desk.table), "--show", "9"]) == 0
    out, err = capsys.readouterr()
    assert "column" not in err
    assert "website" not in out


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        pytest.param("name,domain\n", [], "{table}: the table has no rows, only its column names", id="header-only"),
        pytest.param(
            "name,domain\nA,a\n,\nB,b\n",
            ["--where", "name = 'C'"],
            "--where: the condition fits none of the 2 rows that could be asked about (of 1 other row nothing can be "
            "asked)",
            id="fits-none",
        ),
    ],
)
def test_a_job_without_a_row_says_so(
    desk: Desk, capsys: pytest.CaptureFixture[str], content: str, options: list[str], said: str
) -> None:
    desk.table.write_text(content)

    for command in ("plan", "run"):
        main([command, str(desk.config), str(desk.table), "--sandbox", *options])
        assert said.format(table=desk.table) in capsys.readouterr().err
