"""What pytest does with the tests while mutants are tried; loaded by `-p tests.mutants.watching`, in a copy.

`MUTANTS_WATCH=folder`: note for each test which functions of `enrich` it enters, how long it takes and whether it
fails. `MUTANTS_ORDER=file`: run only the tests that the file lists, in that order. `MUTANTS_FAILED=folder`: note what
failed.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType

import pytest

PACKAGE = str(Path(__file__).parents[2] / "enrich") + os.sep


class Watch:
    """The functions that are entered by the test that runs now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[int, tuple[CodeType, str | None]] = {}  # the code is kept, so its id stays its own
        self._entered: set[str] = set()
        self._tests: dict[str, dict[str, object]] = {}

    def _call(self, frame: FrameType, _event: str, _arg: object) -> None:
        code = frame.f_code
        known = self._names.get(id(code))
        if known is None:
            known = self._names[id(code)] = code, named(code)
        if known[1] is not None:
            self._entered.add(known[1])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._entered = set()
        began = time.monotonic()
        threading.settrace(self._call)
        sys.settrace(self._call)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)
            note = self._tests.setdefault(item.nodeid, {})
            note.update(seconds=round(time.monotonic() - began, 3), functions=sorted(self._entered))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._tests.setdefault(report.nodeid, {})["failed"] = True

    def pytest_sessionfinish(self) -> None:
        (self._folder / f"{os.getpid()}.json").write_text(json.dumps(self._tests))


class Failures:
    """Which tests failed, a file a process: at once, because the process may be killed."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / f"{os.getpid()}.txt"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            with self._file.open("a") as file:
                file.write(f"{report.nodeid}\n")


class Order:
    def __init__(self, chosen: list[str]) -> None:
        self._places = {test: place for place, test in enumerate(chosen)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self._places]
        items[:] = sorted(chosen, key=lambda item: self._places[item.nodeid])


def named(code: CodeType) -> str | None:
    """`enrich/ledger/store.py:Store.open`, for what is defined inside of it too; None for code of others."""
    if not code.co_filename.startswith(PACKAGE):
        return None
    return f"enrich/{code.co_filename.removeprefix(PACKAGE)}:{code.co_qualname.partition('.<locals>')[0]}"


def pytest_configure(config: pytest.Config) -> None:
    if folder := os.environ.get("MUTANTS_WATCH"):
        config.pluginmanager.register(Watch(Path(folder)))
    if folder := os.environ.get("MUTANTS_FAILED"):
        config.pluginmanager.register(Failures(Path(folder)))
    if file := os.environ.get("MUTANTS_ORDER"):
        config.pluginmanager.register(Order(json.loads(Path(file).read_text())))
