"""A condition tells nothing of other files, sends nothing, and takes no more memory than the rows that it looks at."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile.conftest import Ended
from tests.hostile.judges import obeyed

CONFIG = """\
name: words
inputs: {company: name}
outputs:
  city: {type: string, description: City.}
processor: lite
"""
Command = Callable[..., Ended]


@pytest.fixture
def listener() -> socket.socket:
    """Where a request would arrive."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        yield listening


@pytest.mark.parametrize(
    ("where", "named"),
    [
        pytest.param("(SELECT max(name) FROM read_csv('other.csv')) LIKE 'a%'", "SELECT", id="subquery on a file"),
        pytest.param("name IN (SELECT secret FROM 'other.csv')", "SELECT", id="subquery on a path"),
        pytest.param("name = read_csv('http://{address}/x.csv')", '"read_csv"', id="request"),
        pytest.param("name = read_parquet('http://{address}/x')", '"read_parquet"', id="request for Parquet"),
        pytest.param("EXISTS (SELECT 1 FROM read_json('http://{address}/x'))", "EXISTS", id="request in a subquery"),
        pytest.param("lpad(name, 2000000000, 'x') = 'a'", '"lpad"', id="long text"),
        pytest.param("repeat(name, 2000000000) = 'a'", '"repeat"', id="repeated text"),
        pytest.param("name = 'a'; DROP TABLE x", "';'", id="two statements"),
        pytest.param("name = \x1b]0;x\x07 'a'", "'\\x1b'", id="escape sequence"),
    ],
)
@pytest.mark.parametrize("name", ["plan", "run"])
def test_what_is_no_condition_is_refused_by_its_name_before_anything_is_read(
    tmp_path: Path, command: Command, listener: socket.socket, name: str, where: str, named: str
) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "t.csv").write_text("name\nAcme\n")
    (tmp_path / "other.csv").write_text("name,secret\nabracadabra,abracadabra\n")
    where = where.replace("{address}", f"127.0.0.1:{listener.getsockname()[1]}")

    ended = command(name, "c.yaml", "t.csv", "--sandbox", "--where", where)

    assert ended.code == 2
    assert f"{named} " in ended.said
    assert "abracadabra" not in ended.said
    assert not obeyed(ended.said)
    assert "Traceback" not in ended.said
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml", "other.csv", "t.csv"]


def test_no_message_has_the_words_of_the_library_that_calculates(tmp_path: Path, command: Command) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "t.ndjson").write_text(json.dumps({"name": "A", "big": 2**62, "list": [1], "mixed": "x"}) + "\n")

    for where in (
        "big * big * big * big * big > 1e300 AND TRY_CAST(big AS DATE) IS NULL",
        "CAST(name AS INT) = 1",
        "list = 1 OR list",
        "name + 1 > 2",
        "CAST('9999-12-31' AS DATE) + INTERVAL '999999999 years' > CURRENT_DATE",
        "DATE '9999-12-31' + INTERVAL '999999999 years' > CURRENT_DATE",
        "round(big, 99) = 1 OR substr(name, 2147483647) = ''",
        "CAST(big AS DECIMAL(2, 1)) = 1",
        "sum(big) OVER () > 1",
    ):
        ended = command("plan", "c.yaml", "t.ndjson", "--sandbox", "--where", where)
        assert ended.code in (0, 2), where
        for word in ("polars", "Int64", "i64", "Invalid", "Error", "dyn ", "Traceback", "panicked", "SQLInterface"):
            assert word not in ended.said.replace("Error: ", ""), where
