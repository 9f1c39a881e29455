"""A process that has loaded the command and forks one for each order: a killed command costs 50 ms instead of a second.

Each is a process of its own, running `enrich.cli.main`, and dies as one. Orders and news are JSON lines on standard
input and output. An order may arm its command: to kill itself before or after its n-th commit (`kill`), or to meet a
faulty disk (`disk`, see faulty_disk.c). All of that stands here, and none of it in the command.
"""

import ctypes
import importlib
import json
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any


def _load() -> None:
    """Import what a command imports. Two libraries start threads of their own for that; idle, they hold no locks."""
    commands = ("enrich.pipeline", "enrich.progress", "enrich.cli.run", "enrich.cli.consent", "enrich.cli.signals")
    for name in (*commands, "anyio._backends._asyncio", "httpcore._backends.anyio", "jsonschema_rs"):
        importlib.import_module(name)


def main() -> None:
    _load()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    running: dict[int, int] = {}
    _tell({"ready": True})
    rest = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            while running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
                _tell({"id": running.pop(ended[0]), "status": os.waitstatus_to_exitcode(ended[1])})
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                order = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for descriptor in (woken, wake):
                        os.close(descriptor)
                    _become(order)
                running[pid] = order["id"]
                _tell({"id": order["id"], "pid": pid})


def _tell(news: dict[str, Any]) -> None:
    os.write(1, json.dumps(news).encode() + b"\n")


def _become(order: dict[str, Any]) -> None:
    """Be the command that was ordered, to the end of this process."""
    os.setsid()
    os.chdir(order["folder"])
    os.environ.update(order["environ"])
    for name, number in (("stdout", 1), ("stderr", 2)):
        file = os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
        os.close(file)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 — open as long as the process lives
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    if order.get("kill"):
        _kill_at_commit(**order["kill"])
    if order.get("disk"):
        _arm_disk(order["disk"])
    from enrich.cli import main as command

    try:
        code = command(order["argv"])
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _arm_disk(disk: dict[str, Any]) -> None:
    """Tell the preloaded library what goes wrong from now on."""
    arm = ctypes.CDLL(None).faulty_disk_arm
    arm.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_long] * 3 + [ctypes.c_char_p]
    arm(
        disk["what"].encode(),
        disk["calls"].encode(),
        disk["path"].encode(),
        disk["at"],
        disk["times"],
        disk["errno"],
        disk["log"].encode(),
    )


def _kill_at_commit(commit: int, when: str, holding: str, log: str) -> None:
    """Die by SIGKILL before or after the n-th commit of the ledger that holds a transition; the log gets what it held.

    Without a transition named, all commits count.
    """
    from enrich.ledger import schema, store

    commits = 0
    inside: list[str] = []

    def die(moment: str) -> None:
        if _counts(inside, holding) and commits == commit and when == moment:
            with open(log, "a") as file:
                file.write(f"{moment} {' '.join(sorted(set(inside)))}\n")
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()

    def noted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def transition(*args: Any, **options: Any) -> Any:
            inside.append(name)
            return method(*args, **options)

        return transition

    transaction = store.Ledger.transaction

    @contextmanager
    def mortal(self: store.Ledger, **options: bool) -> Iterator[None]:
        nonlocal commits
        with transaction(self, **options):
            inside.clear()
            yield
            commits += _counts(inside, holding)
            die("before")
        die("after")

    create = schema.create

    def mortal_create(connection: Any) -> None:
        nonlocal commits
        if not connection.execute("PRAGMA database_list").fetchone()[2]:  # in memory: to compare with
            create(connection)
            return
        inside[:] = ["create"]
        commits += _counts(inside, holding)
        die("before")
        create(connection)
        die("after")

    store.Ledger.transaction = mortal  # type: ignore[method-assign]
    schema.create = mortal_create
    for name in dir(store.Ledger):
        if name.startswith(("record_", "start_", "end_")):
            setattr(store.Ledger, name, noted(name, getattr(store.Ledger, name)))


def _counts(inside: list[str], holding: str) -> bool:
    """Whether a commit is one to count; a question to the ledger commits nothing."""
    return holding in inside if holding else bool(inside)


if __name__ == "__main__":
    main()
