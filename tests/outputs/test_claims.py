"""What stands where a command would write is this job's own, or it stays as it is, and nothing is asked."""

import json
import re
import shlex
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import enrich
from enrich.cli import main
from enrich.errors import ExitCode, HeldError, TableError
from enrich.outputs.claims import ClaimError
from enrich.progress import QuietProgress
from tests.pipeline.desk import CONFIG, Desk

OURS = ("table.enriched.csv", "table.review.csv", "table.report.html", "table.run.json")
ELSEWHERE = {"PARALLEL_BASE_URL": "https://enrich.invalid", "PARALLEL_API_KEY": "no-key-of-anybody-0123456789"}


@pytest.fixture
def done(desk: Desk) -> enrich.Report:
    """A first run, with something in doubt."""
    desk.config.write_text(CONFIG + "confidence: {missing: withhold}\n")
    desk.rows(12)
    return desk.run()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def rewrite(manifest: Path, **changes: Any) -> None:
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))


def refused(run: Callable[[], object]) -> str:
    with pytest.raises(ClaimError) as error:
        run()
    assert str(error.value).endswith("Nothing was sent, and nothing was written")
    return str(error.value)


def way_out(message: str) -> Path:
    """The output that a message tells to give."""
    found = re.search(r"such as (\S+); replace=True", message)
    assert found, message
    return Path(shlex.split(found[1])[0])


# ---------------------------------------------------------------------- the sandbox and the service


def test_what_the_sandbox_answers_has_names_of_its_own(desk: Desk, done: enrich.Report) -> None:
    before = contents(desk.folder)
    rehearsed = desk.run(sandbox=True)
    names = {"table.sandbox.csv", "table.sandbox.review.csv", "table.sandbox.report.html", "table.sandbox.run.json"}
    after = contents(desk.folder)
    assert after.keys() - before.keys() == names
    assert {name: after[name] for name in before} == before
    assert rehearsed.output.name == "table.sandbox.csv"


def test_a_frame_that_is_rehearsed_keeps_its_files_apart_too(desk: Desk, tmp_path: Path) -> None:
    kept, frame = tmp_path / "kept", pl.DataFrame({"name": ["Acme"], "domain": ["acme.example"]})
    kept.mkdir()
    enrich.enrich(frame, desk.config, files=kept, sandbox=True, progress=False)
    enrich.enrich(frame, desk.config, files=kept, environ=desk.service.environ, progress=False)
    assert {"table.sandbox.run.json", "table.run.json"} <= contents(kept).keys()


def test_frames_of_any_kind_keep_their_files_in_one_folder(desk: Desk, tmp_path: Path) -> None:
    kept, frame = tmp_path / "kept", pl.DataFrame({"name": ["Acme"], "domain": ["acme.example"]})
    kept.mkdir()
    for data in (frame, frame.lazy(), frame.to_arrow(), frame):
        enrich.enrich(data, desk.config, files=kept, sandbox=True, progress=False)


def test_the_sandbox_does_not_take_the_place_of_real_answers(desk: Desk, done: enrich.Report) -> None:
    rewrite(done.manifest, sandbox=False)
    before = contents(desk.folder)
    message = refused(lambda: desk.run(output=done.output, sandbox=True))
    assert "holds answers of the service, and those of the sandbox never replace them" in message
    assert contents(desk.folder) == before
    assert desk.run(output=way_out(message), sandbox=True).exit_code in (0, 3)
    assert desk.run(output=done.output, sandbox=True, replace=True).outputs_written


def test_real_answers_do_not_take_the_place_of_rehearsed_ones(desk: Desk) -> None:
    desk.rows(3)
    desk.run(output=desk.folder / "out.csv", sandbox=True)
    before = contents(desk.folder)
    message = refused(lambda: enrich.run(desk.config, desk.table, output=desk.folder / "out.csv", environ=ELSEWHERE))
    assert "holds answers of the sandbox, and those of the service never replace them" in message
    assert contents(desk.folder) == before


def test_rehearsed_outputs_are_known_also_where_the_service_is_on_this_machine(desk: Desk) -> None:
    desk.rows(3)
    desk.run(output=desk.folder / "out.csv", sandbox=True)
    before = contents(desk.folder)
    message = refused(lambda: desk.run(output=desk.folder / "out.csv"))
    assert "holds answers of the sandbox, and those of the service never replace them" in message
    assert "recover" not in message
    assert contents(desk.folder) == before


def test_rehearsed_outputs_without_their_manifest_are_known_by_their_runs(desk: Desk, done: enrich.Report) -> None:
    done.manifest.unlink()
    assert "names 12 runs that the sandbox's ledger lacks" in refused(
        lambda: desk.run(output=done.output, sandbox=True)
    )


# ---------------------------------------------------------------------- other configs, other tables


def other_config(desk: Desk, name: str = "risk", file: str = "risk.yaml") -> Path:
    path = desk.folder / file
    path.write_text(CONFIG.replace("name: test", f"name: {name}").replace("  city:", "  risk:"))
    return path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        pytest.param("risk", "risk.yaml", id="another"),
        pytest.param("test", "risk.yaml", id="a copy with other questions"),
        pytest.param("risk", "sub/test.yaml", id="of the same file name"),
    ],
)
def test_another_config_does_not_take_the_outputs_of_the_first(
    desk: Desk, done: enrich.Report, name: str, file: str
) -> None:
    (desk.folder / "sub").mkdir()
    config, before, posts = other_config(desk, name, file), contents(desk.folder), desk.service.posts()
    before = contents(desk.folder)
    options: dict[str, Any] = {"environ": desk.service.environ, "ledger": desk.folder / ".enrich" / "ledger.db"}
    message = refused(lambda: enrich.run(config, desk.table, **options))
    assert f"was written by another config, {desk.config} (test)" in message
    assert contents(desk.folder) == before
    assert desk.service.posts() == posts
    beside = enrich.run(config, desk.table, output=way_out(message), **options)
    assert {name: contents(desk.folder)[name] for name in before} == before
    assert len({beside.output, beside.review, beside.report, beside.manifest} & {*desk.folder.iterdir()}) == 4


def test_the_way_out_is_named_after_the_config(desk: Desk, done: enrich.Report) -> None:
    config = other_config(desk)
    message = refused(lambda: enrich.run(config, desk.table, environ=desk.service.environ))
    assert way_out(message) == desk.folder / "table.risk.csv"
    (desk.folder / "table.risk.review.csv").write_text("somebody's own\n")
    message = refused(lambda: enrich.run(config, desk.table, environ=desk.service.environ))
    assert way_out(message) == desk.folder / "table.csv.csv"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda desk: desk.config.rename(desk.folder / "renamed.yaml"), id="its file is renamed"),
        pytest.param(lambda desk: edited(desk, "name: test", "name: other"), id="its name is changed"),
        pytest.param(lambda desk: edited(desk, "  city:", "  town:"), id="it asks for something else"),
        pytest.param(lambda desk: shutil.move(desk.config, desk.folder / ".." / "test.yaml"), id="it is moved"),
    ],
)
def test_a_config_that_was_changed_is_still_the_same_one(
    desk: Desk, done: enrich.Report, change: Callable[[Desk], Path | str]
) -> None:
    config = Path(change(desk))
    ledger = desk.folder / ".enrich" / "ledger.db"
    assert enrich.run(config, desk.table, environ=desk.service.environ, ledger=ledger, replace=False).outputs_written


def edited(desk: Desk, old: str, new: str) -> Path:
    desk.config.write_text(desk.config.read_text().replace(old, new))
    return desk.config


def tables_of_one_name(desk: Desk) -> Iterator[Path]:
    frame = pl.DataFrame({"name": ["Acme"], "domain": ["acme.example"], "note": ["x"]})
    frame.write_csv(desk.folder / "same.csv")
    frame.write_ndjson(desk.folder / "same.ndjson")
    frame.write_parquet(desk.folder / "same.parquet")
    yield from (desk.folder / f"same.{suffix}" for suffix in ("csv", "ndjson", "parquet"))


def test_tables_of_one_name_keep_their_files(desk: Desk) -> None:
    first, *others = tables_of_one_name(desk)
    desk.run(first)
    for table in others:
        before = contents(desk.folder)
        message = refused(lambda table=table: desk.run(table))
        assert "would replace same.review.csv and same.run.json, which belong to same.enriched.csv" in message
        assert contents(desk.folder) == before
        desk.run(table, output=way_out(message))
        assert {name: contents(desk.folder)[name] for name in before} == before


def test_the_same_table_may_come_out_in_another_format(desk: Desk, done: enrich.Report) -> None:
    parquet = desk.folder / "table.enriched.parquet"
    assert desk.run(output=parquet).outputs_written
    assert desk.run().outputs_written  # and back again
    assert parquet.exists()


def test_an_output_may_be_made_of_another_nights_table(desk: Desk, done: enrich.Report) -> None:
    other = desk.folder / "export-2026-11-30.csv"
    shutil.copy(desk.table, other)
    assert desk.run(other, output=done.output).outputs_written


# ---------------------------------------------------------------------- files of somebody's own

SOMEBODYS = {
    "table.enriched.csv": b"name,domain,city\nAcme,acme.example,Bonn\n",
    "table.review.csv": b"film,stars\nAlien,5\n",
    "table.report.html": b"<!doctype html>\n<html><head><title>Our year \xc2\xb7 report</title></head></html>\n",
    "table.run.json": b'{"steps": ["warm up", "run"]}',
}


def test_all_that_is_somebodys_own_is_told_at_once_and_stays(desk: Desk) -> None:
    desk.rows(2)
    for name, content in SOMEBODYS.items():
        (desk.folder / name).write_bytes(content)
    message = refused(desk.run)
    assert [line.partition(": ")[0] for line in message.splitlines()] == [
        str(desk.folder / name) for name in ("table.run.json", *OURS[:3])
    ]
    assert {name: contents(desk.folder)[name] for name in SOMEBODYS} == SOMEBODYS
    assert desk.service.posts() == 0
    assert desk.run(output=way_out(message)).exit_code == ExitCode.DONE
    assert {name: contents(desk.folder)[name] for name in SOMEBODYS} == SOMEBODYS
    assert desk.run(replace=True).exit_code == ExitCode.DONE
    assert desk.result(desk.run())[0]["enrich_status"] == "complete"


@pytest.mark.parametrize("name", SOMEBODYS)
def test_each_file_of_somebodys_own_is_refused(desk: Desk, name: str) -> None:
    desk.rows(2)
    (desk.folder / name).write_bytes(SOMEBODYS[name])
    assert str(desk.folder / name) in refused(desk.run)
    assert (desk.folder / name).read_bytes() == SOMEBODYS[name]


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.ndjson", "out.jsonl.gz", "out.parquet", "out.csv.zst"])
def test_a_table_of_somebodys_own_is_refused_in_any_format(desk: Desk, name: str) -> None:
    desk.rows(2)
    (desk.folder / name).write_bytes(b'{"a": 1}\n')
    assert "holds no answers of enrich" in refused(lambda: desk.run(output=desk.folder / name))


def test_an_empty_file_is_nobodys(desk: Desk) -> None:
    desk.rows(2)
    for name in OURS:
        (desk.folder / name).touch()
    assert desk.run().exit_code == ExitCode.DONE


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.ndjson", "out.parquet", "out.csv.gz"])
def test_a_command_that_died_before_its_manifest_goes_on(desk: Desk, done: enrich.Report, name: str) -> None:
    output = desk.folder / name
    first = desk.run(output=output)
    first.manifest.unlink()
    assert desk.run(output=output).receipt.rows == first.receipt.rows
    first.manifest.unlink()
    first.report.unlink()
    assert desk.run(output=output).receipt.rows == first.receipt.rows


@pytest.mark.parametrize(
    "save",
    [
        pytest.param(lambda text: text.replace(",", ";").encode("utf-8-sig"), id="with semicolons"),
        pytest.param(lambda text: text.replace(",", "\t").encode("utf-16"), id="as Unicode text"),
        pytest.param(lambda text: text.replace("\n", "\r\n").encode(), id="with CRLF"),
    ],
)
def test_a_review_file_is_ours_as_a_spreadsheet_saves_it(
    desk: Desk, done: enrich.Report, save: Callable[[str], bytes]
) -> None:
    done.manifest.unlink()
    header = done.review.read_text("utf-8-sig").splitlines()[0]
    done.review.write_bytes(save(header + "\n"))
    assert desk.run().outputs_written


def test_an_output_of_another_config_is_known_without_its_manifest(desk: Desk, done: enrich.Report) -> None:
    done.manifest.unlink()
    config = other_config(desk)
    ledger = desk.folder / ".enrich" / "ledger.db"
    message = refused(lambda: enrich.run(config, desk.table, environ=desk.service.environ, ledger=ledger))
    assert "has answers that this config does not ask for (city)" in message


def test_outputs_of_the_first_version_are_ours(desk: Desk, done: enrich.Report) -> None:
    as_of_0_2_0(done.manifest)
    assert desk.run().receipt.runs_paid == 0
    as_of_0_2_0(done.manifest)
    done.manifest.unlink()
    report = done.report.read_text()
    assert report.startswith(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Se'
    )
    assert desk.run().outputs_written


def as_of_0_2_0(manifest: Path) -> None:
    """The manifest as version 0.2.0 wrote it: the ledger is a path, and of groups only the run's own are told."""
    stored = json.loads(manifest.read_text())
    rewrite(manifest, version="0.2.0", ledger={"path": stored["ledger"]["path"]})


class Meanwhile(QuietProgress):
    """Something happens while the runs are under way."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def start(self, total_runs: int, *, done: int = 0) -> None:
        self._act()


def test_what_came_while_the_runs_were_under_way_is_not_replaced_either(desk: Desk) -> None:
    desk.rows(3)
    place = desk.folder / "table.enriched.csv"
    with pytest.raises(HeldError, match=r"holds no answers of enrich[\s\S]*3 runs paid, .*in the ledger") as error:
        desk.run(progress=Meanwhile(lambda: place.write_text("a,b\n1,2\n")))
    assert error.value.exit_code == ExitCode.HELD == 8
    assert contents(desk.folder).keys() == {"table.csv", "table.enriched.csv", "test.yaml"}
    assert place.read_text() == "a,b\n1,2\n"
    place.unlink()
    assert (desk.run().receipt.runs_paid, desk.service.bill()["runs"]) == (0, 3)


# ---------------------------------------------------------------------- a ledger that was left behind


@pytest.fixture
def copied(desk: Desk, done: enrich.Report, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The desk after a rerun and `cp * ../b`, which leaves `.enrich` behind."""
    desk.run()
    folder = tmp_path_factory.mktemp("b")
    for path in desk.folder.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    text = desk.config.read_text()
    copy = Desk(folder, desk.service)
    copy.config.write_text(text)
    return copy


def recover(message: str, monkeypatch: pytest.MonkeyPatch, desk: Desk, group: str = "") -> None:
    """The command that a message gives, as somebody would run it."""
    found = re.search(r"for free with `(.*?)`", message)
    assert found, message
    for name, value in desk.service.environ.items():
        monkeypatch.setenv(name, value)
    assert main([group if word == "ID" else word for word in shlex.split(found[1])[1:]]) == 0


def test_a_folder_that_was_copied_without_its_ledger_does_not_pay_again(
    copied: Desk, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, posts = contents(copied.folder), desk.service.posts()
    message = refused(copied.run)
    assert "table.run.json: names 1 group that" in message
    assert f"They were paid through {desk.folder / '.enrich' / 'ledger.db'}" in message
    assert "pay_again=True asks and pays again" in message
    assert contents(copied.folder) == before
    recover(message, monkeypatch, desk)
    again = copied.run()
    assert (again.receipt.runs_paid, desk.service.posts()) == (0, posts)
    strip = [{k: v for k, v in row.items() if k != "enrich_at"} for row in copied.result(again)]
    assert strip == [{k: v for k, v in row.items() if k != "enrich_at"} for row in desk.result(desk.run())]


def test_a_plan_warns_of_what_a_run_would_be_refused_for(
    copied: Desk, desk: Desk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in desk.service.environ.items():
        monkeypatch.setenv(name, value)
    assert main(["plan", str(copied.config), str(copied.table)]) == 0
    said = capfd.readouterr().err
    assert "Warning: as it stands now, this run is refused: " in said
    assert "table.run.json: names 1 group that" in said
    assert main(["plan", str(desk.config), str(desk.table)]) == 0
    assert "refused" not in capfd.readouterr().err


def test_with_a_ledger_of_ones_own_the_command_is_complete_too(
    copied: Desk, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = copied.folder / "own ledger.db"
    recover(refused(lambda: copied.run(ledger=ledger)), monkeypatch, desk)
    assert copied.run(ledger=ledger).receipt.runs_paid == 0


def test_the_ledger_itself_may_be_given(copied: Desk, desk: Desk) -> None:
    assert copied.run(ledger=desk.folder / ".enrich" / "ledger.db").receipt.runs_paid == 0


def test_it_can_be_paid_again_where_that_is_meant(copied: Desk, desk: Desk) -> None:
    assert copied.run(pay_again=True).receipt.runs_paid == 12
    assert not copied.run().outputs_written


def test_the_first_version_named_the_groups_of_one_run(
    copied: Desk, desk: Desk, done: enrich.Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = copied.folder / "table.run.json"
    as_of_0_2_0(manifest)
    rewrite(manifest, groups=list(done.outcome.groups))
    recover(refused(copied.run), monkeypatch, desk)
    assert copied.run().receipt.runs_paid == 0


@pytest.mark.parametrize("lacks", [Path.unlink, as_of_0_2_0], ids=["no manifest", "a manifest that names no groups"])
def test_without_the_names_of_groups_the_table_itself_tells(
    copied: Desk, desk: Desk, done: enrich.Report, lacks: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    lacks(copied.folder / "table.run.json")
    posts = desk.service.posts()
    message = refused(copied.run)
    assert "table.enriched.csv: names 12 runs that" in message
    assert desk.service.posts() == posts
    if lacks is Path.unlink:
        recover(message, monkeypatch, desk, done.outcome.groups[0])
        assert copied.run().receipt.runs_paid == 0


def test_an_output_that_is_given_as_the_input_pays_nothing_again(copied: Desk, desk: Desk) -> None:
    posts = desk.service.posts()
    with pytest.raises((TableError, enrich.errors.ConfigError)):
        copied.run(copied.folder / "table.enriched.csv")
    assert desk.service.posts() == posts


def test_a_group_that_holds_nothing_of_ours_is_looked_at_once(
    copied: Desk, desk: Desk, done: enrich.Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"x-api-key": "test", "content-type": "application/json"}
    request = urllib.request.Request(desk.service.base_url + "/v1/tasks/groups", b"{}", headers)
    with urllib.request.urlopen(request) as answer:
        empty = json.load(answer)["taskgroup_id"]
    manifest = copied.folder / "table.run.json"
    stored = json.loads(manifest.read_text())["ledger"]
    rewrite(manifest, ledger={**stored, "groups": [*stored["groups"], empty]})
    message = refused(copied.run)
    assert "names 2 groups" in message
    recover(message, monkeypatch, desk)
    assert copied.run().receipt.runs_paid == 0
