"""Starting and stopping: at once, without a word, on this machine only."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import httpx
import pytest
from sandbox_client import Sandbox, company

from enrich.sandbox import Quota, SandboxError, SandboxSettings, running, serve

Start = Callable[..., Sandbox]


def test_it_starts_and_stops_quickly_with_open_streams(serve_with: Start) -> None:
    began = time.monotonic()
    with running(SandboxSettings(latency_s=(100.0, 100.0))) as base_url:
        assert time.monotonic() - began < 0.3
        client = serve_with()
        client.http.base_url = base_url
        group = client.group_of(company(1))
        with client.http.stream("GET", f"/v1/tasks/groups/{group}/events") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: task_group_status"
            threads = threading.active_count()
            began = time.monotonic()
    assert time.monotonic() - began < 2
    assert threading.active_count() < threads


def test_an_open_stream_ends_cleanly_when_the_sandbox_stops(serve_with: Start) -> None:
    client = serve_with()
    manager = running(SandboxSettings(latency_s=(100.0, 100.0)))
    client.http.base_url = manager.__enter__()
    group = client.group_of(company(1))
    with client.http.stream("GET", f"/v1/tasks/groups/{group}/events") as stream:
        chunks = stream.iter_bytes()
        assert next(chunks).startswith(b"event: task_group_status")
        began = time.monotonic()
        manager.__exit__(None, None, None)
        for _ in chunks:
            pass
    assert time.monotonic() - began < 2


def test_several_run_at_once_and_share_nothing(serve_with: Start) -> None:
    one, other = serve_with(), serve_with()
    group = one.group_of(company(1))
    assert other.http.get(f"/v1/tasks/groups/{group}").status_code == 404
    assert (one.bill()["runs"], other.bill()["runs"]) == (1, 0)


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("0.0.0.0", id="all"),
        pytest.param("192.0.2.1", id="other"),
        pytest.param("host", id="name"),
    ],
)
def test_it_serves_this_machine_only(host: str) -> None:
    with pytest.raises(SandboxError, match=host):
        serve(SandboxSettings(), host=host, port=0)


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SandboxError, match=f"127.0.0.1:{port}"):
            serve(SandboxSettings(), port=port)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"latency_s": (2.0, 1.0)}, id="latency"),
        pytest.param({"latency_s": (-1.0, 1.0)}, id="negative-latency"),
        pytest.param({"slow_share": 0.1, "slow_s": (2.0, 1.0)}, id="slow-latency"),
        pytest.param({"slow_share": 1.1}, id="slow-share"),
        pytest.param({"quota": Quota(0, 60)}, id="no-runs"),
        pytest.param({"quota": Quota(1, 0)}, id="no-window"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(SandboxError):
        SandboxSettings(**settings)  # type: ignore[arg-type]


def test_a_client_that_dies_while_sending_creates_nothing_and_disturbs_nobody(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    group = sandbox.create_group()
    url = httpx.URL(sandbox.base_url)
    head = f"POST /v1/tasks/groups/{group}/runs HTTP/1.1\r\nHost: x\r\nx-api-key: k\r\ncontent-length: 9999\r\n\r\n"
    with socket.create_connection((url.host, url.port or 0), timeout=5) as sock:
        sock.sendall(head.encode() + b'{"inputs": [')
    assert sandbox.status(group)["num_task_runs"] == 0
    assert sandbox.add(group, [company(1)]).status_code == 200
    assert capfd.readouterr() == ("", "")


def test_a_client_that_leaves_a_live_stream_disturbs_nobody(
    serve_with: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    sandbox = serve_with(latency_s=(0.2, 0.2))
    group = sandbox.group_of(company(1))
    with sandbox.http.stream("GET", f"/v1/tasks/groups/{group}/events") as stream:
        next(stream.iter_bytes())
    assert sandbox.events(f"/v1/tasks/groups/{group}/events")[-1]["type"] == "task_group_status"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_returns_on_a_signal_and_says_nothing_itself(number: signal.Signals) -> None:
    code = (
        "from enrich.sandbox import SandboxSettings, serve\n"
        "serve(SandboxSettings(), port=0, on_ready=lambda url: print(url, flush=True))\n"
        "print('done')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        with httpx.Client(base_url=base_url, headers={"x-api-key": "k"}, trust_env=False, verify=False) as http:
            assert http.get("/sandbox/requests").json() == {}
            process.send_signal(number)
            out, err = process.communicate(timeout=5)
    assert (process.returncode, out, err) == (0, "done\n", "")
