"""Links, pipes and files that others leave under our names: never followed, opened or written to, and said at once."""

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import enrich
from enrich.errors import EnrichError, LedgerBusyError, LedgerError, OutputError
from enrich.host.files import NewFile, is_planted, open_regular, planted_link, write_whole
from enrich.job import Options
from enrich.ledger.groups import add_groups, complete_groups, read_groups, replace_groups
from enrich.ledger.lock import InstanceLock
from enrich.ledger.place import check_place, place_problem
from enrich.ledger.store import Ledger
from enrich.preparing import prepare
from enrich.sandbox import SandboxError
from enrich.sandbox.journal import Journal

SOMEBODY, SOMEBODY_ELSE = 54321, 54322
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="NOT TESTED: only root can make a link that is another user's"
)

CONFIG = """\
name: test
inputs: {company: name}
outputs:
  city: {type: string, description: City of the head office.}
processor: lite
"""
COMPANIONS = ("table.enriched.csv", "table.review.csv", "table.report.html", "table.run.json")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder in which everybody can write, with a config and a table in it."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "test.yaml").write_text(CONFIG)
    (folder / "table.csv").write_text("name\nAcme\n")
    return folder


@pytest.fixture
def pipes() -> Iterator[Callable[[Path], None]]:
    """Makes named pipes. Whoever opens one all the same finds it empty, so that a test fails and does not hang."""
    made: list[Path] = []

    def make(path: Path) -> None:
        os.mkfifo(path)
        threading.Thread(target=lambda: path.open("wb").close(), daemon=True).start()
        made.append(path)

    yield make
    for path in made:
        if path.is_fifo():
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))  # its thread goes on, and ends


def plant(link: Path, target: Path, *, owner: int = SOMEBODY) -> None:
    link.symlink_to(target)
    os.chown(link, owner, owner, follow_symlinks=False)


def run(folder: Path, **options: object) -> enrich.Report:
    return enrich.run(folder / "test.yaml", folder / "table.csv", sandbox=True, **options)


# ---------------------------------------------------------------------- links


@needs_root
@pytest.mark.parametrize(
    ("owner", "folder_owner", "mode", "is_link", "planted"),
    [
        pytest.param(0, SOMEBODY, 0o777, True, False, id="one's own, anywhere"),
        pytest.param(SOMEBODY, 0, 0o755, False, False, id="another's file in one's own folder"),
        pytest.param(SOMEBODY, 0, 0o755, True, False, id="another's link in one's own folder"),
        pytest.param(SOMEBODY, SOMEBODY, 0o755, False, False, id="another's file in their folder"),
        pytest.param(SOMEBODY, SOMEBODY, 0o755, True, True, id="another's link in their folder"),
        pytest.param(SOMEBODY, SOMEBODY_ELSE, 0o755, False, True, id="another's file in a third one's folder"),
        pytest.param(SOMEBODY, 0, 0o775, False, True, id="another's file where a group writes"),
        pytest.param(SOMEBODY, 0, 0o757, False, True, id="another's file where everybody writes"),
    ],
)
def test_what_another_user_may_have_left_in_the_way(
    tmp_path: Path, owner: int, folder_owner: int, mode: int, *, is_link: bool, planted: bool
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    place = folder / "place"
    if is_link:
        place.symlink_to("elsewhere")
    else:
        place.touch()
    os.chown(place, owner, owner, follow_symlinks=False)
    os.chown(folder, folder_owner, folder_owner)
    folder.chmod(mode)
    assert is_planted(place.lstat(), folder) is planted


@needs_root
@pytest.mark.parametrize("name", COMPANIONS)
def test_a_link_of_another_user_does_not_choose_what_is_replaced(shared: Path, tmp_path: Path, name: str) -> None:
    victim = tmp_path / "diary.txt"
    victim.write_text("mine")
    plant(shared / name, victim)
    with pytest.raises(OutputError, match=f"{name} is a link that another user put"):
        run(shared, output=shared / "table.enriched.csv")
    assert victim.read_text() == "mine"
    assert (shared / name).is_symlink()
    assert not (shared / ".enrich").exists()  # nothing was asked


@needs_root
@pytest.mark.parametrize(
    ("owner", "mode", "followed"),
    [
        pytest.param(0, 0o777, True, id="one's own"),
        pytest.param(SOMEBODY, 0o755, True, id="where only its owner writes"),
        pytest.param(SOMEBODY, 0o777, False, id="where everybody writes"),
        pytest.param(SOMEBODY, 0o1777, False, id="in a sticky folder"),
        pytest.param(SOMEBODY, 0o775, False, id="where a group writes"),
    ],
)
def test_a_link_is_followed_where_nobody_else_can_have_put_it(
    tmp_path: Path, owner: int, mode: int, followed: bool
) -> None:
    folder, target = tmp_path / "folder", tmp_path / "target"
    folder.mkdir()
    target.write_text("old")
    plant(folder / "link", target, owner=owner)
    folder.chmod(mode)
    if followed:
        write_whole(folder / "link", b"new")
        assert target.read_text() == "new"
    else:
        with pytest.raises(OutputError, match="not followed"):
            write_whole(folder / "link", b"new")
        assert target.read_text() == "old"


@needs_root
@pytest.mark.parametrize(
    "path",
    [
        pytest.param("planted/out.csv", id="a folder on the way"),
        pytest.param("own/../planted/out.csv", id="behind a step up"),
        pytest.param("own/hop/out.csv", id="behind a link of one's own"),
    ],
)
def test_a_planted_link_is_found_anywhere_on_the_way(shared: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    plant(shared / "planted", tmp_path / "elsewhere")
    (shared / "own").mkdir()
    (shared / "own" / "hop").symlink_to("../planted")
    assert planted_link(shared / path) == shared / "planted"
    with pytest.raises(OutputError, match="not followed"):
        write_whole(shared / path, b"new")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_links_without_end_are_left_to_whoever_opens_them(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert planted_link(tmp_path / "a") is None


@needs_root
def test_a_ledger_is_not_found_through_a_planted_link(shared: Path, tmp_path: Path) -> None:
    plant(shared / "x.sandbox.db", tmp_path / "not-yet.db")
    with pytest.raises(LedgerError, match=r"x\.sandbox\.db: .*is a link that another user put"):
        run(shared, ledger=shared / "x.db")
    assert not (tmp_path / "not-yet.db").exists()


@needs_root
def test_a_ledger_that_another_user_left_in_a_shared_folder_is_not_written_to(shared: Path) -> None:
    Ledger.open(shared / "x.db").close()
    os.chown(shared / "x.db", SOMEBODY, SOMEBODY)
    assert "put there by another user" in place_problem(shared / "x.db")
    shared.chmod(0o755)  # root's folder: only root can have put it there
    assert place_problem(shared / "x.db") == ""


@needs_root
def test_what_another_user_left_in_the_place_of_an_output_does_not_say_who_may_read_it(shared: Path) -> None:
    output = shared / "out.csv"
    output.write_text("")
    output.chmod(0o666)
    os.chown(output, SOMEBODY, SOMEBODY)
    write_whole(output, b"private", like=shared / "table.csv")
    assert stat.S_IMODE(output.stat().st_mode) & 0o022 == 0


# ---------------------------------------------------------------------- pipes, sockets, devices


def test_a_pipe_named_like_what_a_killed_command_left_is_not_opened(
    tmp_path: Path, pipes: Callable[[Path], None]
) -> None:
    left = tmp_path / ".a.csv.0123abcd.enrich-tmp"
    pipes(left)
    write_whole(tmp_path / "a.csv", b"new")
    assert left.is_fifo()
    assert (tmp_path / "a.csv").read_bytes() == b"new"


def test_a_link_named_like_what_a_killed_command_left_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    left = tmp_path / ".a.csv.0123abcd.enrich-tmp"
    left.symlink_to(tmp_path / "mine")
    write_whole(tmp_path / "a.csv", b"new")
    assert (tmp_path / "mine").read_text() == "kept"


@pytest.mark.parametrize("end", [".lock", ".groups", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("has_ledger", [True, False], ids=["beside a ledger", "without a ledger"])
def test_a_pipe_beside_a_ledger_is_said_at_once(
    shared: Path, pipes: Callable[[Path], None], end: str, has_ledger: bool
) -> None:
    if has_ledger:
        Ledger.open(shared / "x.sandbox.db").close()
    pipes(shared / f"x.sandbox.db{end}")
    with pytest.raises(LedgerError, match=f"x.sandbox.db{end} beside it is no regular file"):
        run(shared, ledger=shared / "x.db")


def test_the_lock_and_the_list_open_nothing_special_themselves(tmp_path: Path, pipes: Callable[[Path], None]) -> None:
    pipes(tmp_path / "x.db.lock")
    pipes(tmp_path / "x.db.groups")
    with pytest.raises(LedgerError, match="left as it is"), InstanceLock(tmp_path / "x.db"):
        raise AssertionError
    assert read_groups(tmp_path / "x.db.groups") == ()
    add_groups(tmp_path / "x.db.groups", ["tgrp_1"])
    assert (tmp_path / "x.db.groups").is_fifo()


@pytest.mark.parametrize("follow", [True, False])
def test_only_regular_files_are_opened(tmp_path: Path, pipes: Callable[[Path], None], follow: bool) -> None:
    pipes(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    for name in ("pipe", "."):
        with pytest.raises(OSError, match="no regular file"):
            open_regular(tmp_path / name, follow=follow)
    with open_regular(tmp_path / "file", follow=follow) as file:
        assert file.read() == b"x"
    if follow:
        open_regular(tmp_path / "link").close()
    else:
        with pytest.raises(OSError, match="no regular file"):
            open_regular(tmp_path / "link", follow=False)


def test_a_state_file_of_the_sandbox_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state")  # it is opened for reading and writing, which waits for nobody
    with pytest.raises(SandboxError, match="no regular file"):
        Journal(tmp_path / "state", lambda body: [])


# ---------------------------------------------------------------------- files of others beside a ledger

LOCK = b'[[package]]\nname = "attrs"\n'


@pytest.mark.parametrize(
    ("end", "content"),
    [
        pytest.param(".lock", LOCK, id="poetry.lock"),
        pytest.param(".lock", b"pid 1 on x\nand more", id="a lock with more text"),
        pytest.param(".lock", b"4711\n", id="the lock of another program"),
        pytest.param(".groups", b"wheel\nadm\n", id="groups of users"),
        pytest.param(".groups", b'{"groups": []}\n', id="JSON"),
        pytest.param("-wal", b"somebody's log", id="a log"),
        pytest.param("-shm", b"somebody's own", id="shared memory"),
        pytest.param("-journal", b"Dear diary", id="a journal"),
    ],
)
@pytest.mark.parametrize("linked", [False, True], ids=["itself", "through a link"])
def test_a_file_of_somebody_elses_beside_the_ledger_is_left_as_it_is(
    shared: Path, end: str, content: bytes, linked: bool
) -> None:
    beside = shared / f"poetry.sandbox{end}"
    real = shared / "real" if linked else beside
    real.write_bytes(content)
    if linked:
        beside.symlink_to(real)
    with pytest.raises(LedgerError, match=f"{beside.name} beside it is (not|a link).*ledger="):
        run(shared, ledger=shared / "poetry")
    assert real.read_bytes() == content
    assert not (shared / "poetry.sandbox").exists()
    assert sorted(path.name for path in shared.glob("table.*")) == ["table.csv"]


def test_a_journal_that_is_just_being_written_is_sqlites(tmp_path: Path) -> None:
    (tmp_path / "x.db").touch()
    (tmp_path / "x.db-journal").write_bytes(bytes(28) + b"a page")
    assert place_problem(tmp_path / "x.db") == ""


IN_THE_MAKING = {  # what a second command may find while the first is writing it
    "": [b"", b"SQLi", b"SQLite f\0\0\0\0\0\0\0"],
    ".lock": [b"", b"pid", b"pid 12 o"],
    ".groups": [b"", b"# The gr", b"\0\0\0\0groups that"],
    "-wal": [b"", b"\x37\x7f", b"\x37\0\x06\x82", b"\0\0\0\0 and a page"],
    "-shm": [b"", b"\x18\xe2", b"\0\xe2\x2d\0", b"\xff" * 20],
    "-journal": [b"", b"\xd9\xd5\x05", b"\xd9\xd5\0\xf9\x20\0\0\0", bytes(12) + b"a page", b"\x05\xd5 a page"],
}
STATES = [(end, content) for end, contents in IN_THE_MAKING.items() for content in contents]


@pytest.mark.parametrize(("end", "content"), STATES)
def test_what_another_command_is_just_writing_is_no_strangers(shared: Path, end: str, content: bytes) -> None:
    ledger = shared / "poetry"
    path = shared / f"poetry.sandbox{end}"
    with InstanceLock(shared / "poetry.sandbox"):
        path.write_bytes(content)
        with pytest.raises(LedgerBusyError, match="in use by"):
            run(shared, ledger=ledger)
        assert path.read_bytes() == content


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal", ".lock", ".groups", ""])
def test_whoever_has_the_lock_looks_again(tmp_path: Path, end: str) -> None:
    ledger, path = tmp_path / "x.db", tmp_path / f"x.db{end}"
    with InstanceLock(ledger):
        path.write_bytes(b"Dear diary")
        check_place(ledger)
        with pytest.raises(LedgerError, match="is left as it is"):
            Ledger.open(ledger)
    assert path.read_bytes() == b"Dear diary"
    with pytest.raises(LedgerError, match="is left as it is"):
        check_place(ledger)


def test_a_link_is_refused_also_while_the_ledger_is_in_use(tmp_path: Path) -> None:
    with InstanceLock(tmp_path / "x.db"):
        (tmp_path / "x.db-wal").symlink_to(tmp_path / "victim")
        with pytest.raises(LedgerError, match="beside it is a link"):
            check_place(tmp_path / "x.db")


@pytest.mark.parametrize("content", [b"", b"pid 77 on some-host", b"\0\0\0\0"], ids=["empty", "named", "zeros"])
def test_a_lock_that_an_earlier_command_left_is_ours(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.db.lock").write_bytes(content)
    check_place(tmp_path / "x.db")
    with InstanceLock(tmp_path / "x.db"):
        assert (tmp_path / "x.db.lock").read_bytes().startswith(b"pid ")


def test_the_lock_itself_leaves_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "x.db.lock").write_bytes(LOCK)
    with pytest.raises(LedgerError, match="not the lock of a ledger"), InstanceLock(tmp_path / "x.db"):
        raise AssertionError
    assert (tmp_path / "x.db.lock").read_bytes() == LOCK


def test_the_list_of_groups_itself_leaves_what_is_not_ours(tmp_path: Path) -> None:
    foreign, link = tmp_path / "x.db.groups", tmp_path / "y.db.groups"
    foreign.write_bytes(b"wheel\n")
    link.symlink_to(tmp_path / "victim")
    for path in (foreign, link):
        add_groups(path, ["tgrp_1"])
        assert read_groups(path) == ()
    assert foreign.read_bytes() == b"wheel\n"
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"tgrp_1\n", id="0.2.0"),
        pytest.param(
            b"# The groups that the ledger beside this file has paid through; kept by enrich\nodd id\nany_1\n"
        ),
    ],
)
def test_a_list_of_ours_is_known_by_its_first_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db.groups"
    path.write_bytes(content)
    complete_groups(tmp_path / "x.db", ["other_2"])
    assert read_groups(path)[-1] == "other_2"
    assert len(read_groups(path)) == 2
    assert path.read_bytes().startswith(content)


@pytest.mark.parametrize(
    "content", [b"my list\nwithout an end", b"no line end", b'{"enrich": 1}\n'], ids=["torn", "one line", "JSON"]
)
def test_a_state_file_that_no_sandbox_wrote_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    state = tmp_path / "state"
    state.write_bytes(content)
    with pytest.raises(SandboxError, match="not a sandbox's state file"):
        Journal(state, lambda body: [])
    assert state.read_bytes() == content


# ---------------------------------------------------------------------- who may read

WATCHED = """\
import json, sys
from enrich.cli import main
from pathlib import Path

folder, seen = Path.cwd(), {}

def look(event, arguments):
    # Whatever is done with a file of this folder: who may open those that are not in their places yet?
    if event not in ("open", "os.chmod", "os.rename", "os.remove") or (
        event == "open" and not str(arguments[0]).startswith(str(folder))
    ):
        return
    for path in folder.glob(".*.enrich-tmp"):
        status = path.stat()
        is_ready = event == "os.rename" and str(arguments[0]) == str(path)
        seen.setdefault(path.name, []).append((status.st_mode & 0o777, status.st_size, is_ready))

sys.addaudithook(look)
code = main(["run", "test.yaml", "table.csv", "--sandbox", "--quiet", "--rewrite"])
print(json.dumps([code, list(seen.values())]))
"""


def modes(folder: Path) -> dict[str, int]:
    names = [path for path in folder.iterdir() if ".enrich" not in path.name and path.suffix != ".yaml"]
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in names}


@pytest.mark.parametrize("mode", [0o600, 0o644], ids=oct)
def test_nobody_else_can_open_a_file_before_it_is_in_its_place(tmp_path: Path, mode: int) -> None:
    (tmp_path / "test.yaml").write_text(CONFIG)
    (tmp_path / "table.csv").write_text("name\nAcme\n")
    (tmp_path / "table.csv").chmod(mode)
    ended = subprocess.run(
        [sys.executable, "-c", WATCHED], cwd=tmp_path, capture_output=True, text=True, umask=0o022, check=False
    )
    code, seen = json.loads(ended.stdout)
    assert code == 0, ended.stderr
    written = [look for looks in seen for look in looks if any(size for _, size, _ in looks)]
    assert len([look for look in written if look[2]]) == 4
    assert {mode for mode, _, is_ready in written if not is_ready} == {0o600}
    assert {mode for mode, _, is_ready in written if is_ready} == {mode}
    assert set(modes(tmp_path).values()) == {mode}


@pytest.mark.parametrize(
    ("umask", "table", "expected"),
    [
        pytest.param(0o022, 0o644, 0o644, id="as usual"),
        pytest.param(0o022, 0o600, 0o600, id="a private table"),
        pytest.param(0o022, 0o640, 0o640, id="a table for a group"),
        pytest.param(0o077, 0o644, 0o600, id="a private umask"),
        pytest.param(0o022, 0o444, 0o644, id="a table that is read-only"),
        pytest.param(0o000, 0o644, 0o644, id="no umask: no more may write than could"),
    ],
)
def test_a_new_file_is_for_those_who_may_read_the_table(tmp_path: Path, umask: int, table: int, expected: int) -> None:
    (tmp_path / "table.csv").write_text("name\n")
    (tmp_path / "table.csv").chmod(table)
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "new", b"x", like=tmp_path / "table.csv")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == expected


def test_an_older_file_keeps_its_rights_and_has_them_last(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o640)
    new = NewFile(path, like=path)
    new.file.write(b"new")
    new.sync()
    assert stat.S_IMODE(new.temporary.stat().st_mode) == 0o600
    new.commit()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_the_ledger_keeps_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ledger = Ledger.open(tmp_path / "place" / "x.db")
        with ledger.transaction():
            ledger.renew_revision()
        with InstanceLock(tmp_path / "place" / "x.db"):
            replace_groups(tmp_path / "place" / "x.db.groups", ["tgrp_1"])
            found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "place").iterdir()}
        ledger.close()
    finally:
        os.umask(before)
    assert found == dict.fromkeys(["x.db", "x.db-wal", "x.db-shm", "x.db.lock", "x.db.groups"], 0o600)
    assert stat.S_IMODE((tmp_path / "place").stat().st_mode) == 0o700


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize("suffix", [".csv", ".ndjson.gz"])
def test_a_name_that_a_companion_has_no_room_beside_is_refused_before_anything_is_asked(
    shared: Path, suffix: str
) -> None:
    def is_taken(length: int) -> bool:
        output = shared / ("n" * (length - len(suffix)) + suffix)
        try:
            prepare(shared / "test.yaml", shared / "table.csv", Options(output=output, sandbox=True))
        except OutputError as error:
            return "shorter name" not in str(error)
        return True

    taken = [length for length in range(212, 256, 2) if is_taken(length)]
    assert taken == list(range(212, max(taken) + 1, 2))
    assert max(taken) < 254
    longest = shared / ("n" * (max(taken) - len(suffix)) + suffix)
    review = run(shared, output=longest).review
    review.write_text("not as it was")  # kept under a longer name
    kept = run(shared, output=longest, rewrite=True).decisions_kept
    assert kept is not None
    assert kept.exists()


def test_a_name_without_room_costs_nothing(shared: Path) -> None:
    with pytest.raises(EnrichError, match="shorter name"):
        run(shared, output=shared / ("n" * 224 + ".csv"))
    assert not (shared / ".enrich").exists()
