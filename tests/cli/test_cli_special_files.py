"""Pipes, sockets and devices where a file is meant: said at once. To open one may wait for ever."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Enrich

from enrich.ledger.store import Ledger

SCHEMA_CONFIG = "name: places\ninputs: {place: name}\noutputs: special.json\nprocessor: core\n"


def pipe(path: Path) -> None:
    os.mkfifo(path)
    # Whoever opens it all the same gets an empty file, so that a test fails and does not hang.
    threading.Thread(target=lambda: path.open("wb").close(), daemon=True).start()


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as place:
        place.bind(path.name)  # its whole path may be too long


def device(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.fixture(params=[pytest.param(make, id=make.__name__) for make in (pipe, unix_socket, device)])
def make_special(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], None]]:
    """Makes something that is no regular file."""
    made: list[Path] = []

    def make(path: Path) -> None:
        request.param(path)
        made.append(path)

    yield make
    for path in made:
        if path.is_fifo():
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))  # its thread goes on, and ends


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        pytest.param("plan places.yaml special.csv", "special.csv", id="table"),
        pytest.param("plan places.yaml special.parquet", "special.parquet", id="Parquet table"),
        pytest.param("check places.yaml special.ndjson.gz", "special.ndjson.gz", id="compressed table"),
        pytest.param("init special.csv", "special.csv", id="table of init"),
        pytest.param("plan special.yaml places.csv", "special.yaml", id="config"),
        pytest.param("plan schema.yaml places.csv", "special.json", id="schema file"),
        pytest.param("run places.yaml places.csv --sandbox --facts special.ndjson", "special.ndjson", id="facts"),
        pytest.param("recover --manifest special.json", "special.json", id="manifest"),
        pytest.param("review places.yaml special.csv --sandbox", "special.csv", id="review file"),
        pytest.param("verify special.csv --config places.yaml --table places.csv", "special.csv", id="output"),
        pytest.param("status --ledger special.db", "special.db", id="ledger"),
    ],
)
def test_what_is_no_regular_file_is_refused_at_once(
    enrich: Enrich, folder: Path, make_special: Callable[[Path], None], argv: str, name: str
) -> None:
    (folder / "schema.yaml").write_text(SCHEMA_CONFIG)
    Ledger.open(folder / ".enrich" / "sandbox.db").close()
    make_special(folder / name)

    ended = enrich(*argv.split())

    assert (ended.code, ended.out) == (2, "")
    assert name in ended.err
    assert "is no regular file" in ended.err
