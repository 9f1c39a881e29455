"""What can go wrong, and how the command ends for it.

    EnrichError
    ├── ConfigError          config file: all faults at once                   exit 2
    ├── TableError           input table: all faults found, with their lines   exit 2
    ├── OutputError          output path or disk, before or while writing      exit 2
    │   └── ClaimError       what stands there is not this job's               exit 2
    ├── HeldError            outputs held back after asking                    exit 8
    ├── LedgerError          ledger damaged, of another version, or mixed      exit 2
    ├── LedgerBusyError      another instance holds the ledger                 exit 75
    ├── UsageError           an option of the command                          exit 2
    ├── MissingKeyError      no API key in the environment                     exit 2
    ├── SystemRefusedError   the operating system refuses a file or the like   exit 2
    ├── ApiError             a call of the service failed (`enrich.api.errors`)
    │   ├── BaseUrlError     … its address can't be used                       exit 2
    │   ├── UnauthorizedError, ForbiddenError: key or permission refused       exit 5
    │   └── all others       … what it has can be fetched later                exit 4
    └── ReceiptError         the books do not add up: a fault of ours          exit 1

A few more stand beside the only code that raises them. What is no EnrichError never leaves a public call, unless it is
a fault of ours or of the caller's own code.

`ExitCode` is the one table of exit codes; README and docs/exit-codes.md are tested against it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """How the command ended. The comment of each member is its documented meaning."""

    DONE = 0  # done: the receipt adds up, no row failed
    INTERNAL = 1  # a fault of ours: a traceback is shown, nothing is lost
    USAGE = 2  # command, config, table or disk: nothing more was sent
    FAILED_ROWS = 3  # done, with failed rows; `enrich verify`: with differences; `enrich recover`: with untied runs
    STOPPED = 4  # stopped at budget, credit, deadline or an unreachable service: the same command goes on
    REFUSED = 5  # refused by the service: key or permission
    DOUBLE_CHARGE = 6  # a double charge was found: reported with run ids and dollars
    HELD = 8  # the outputs were held back, and those before them stand: all that was paid for is in the ledger
    BUSY = 75  # another instance holds the ledger
    INTERRUPTED = 130  # interrupted (SIGINT): the same command goes on
    TERMINATED = 143  # terminated (SIGTERM): the same command goes on


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a file: where it is, what is there, what to do.

    `line` counts from 1 and is None where no line can be named; `path` is the key path in a config
    (`outputs.founded_year.type`) or a column name in a table, empty where neither applies.
    """

    message: str
    line: int | None = None
    path: str = ""
    hint: str = ""

    def render(self, file: str) -> str:
        """One fault as `file:line: path: message; hint`."""
        place = file if self.line is None else f"{file}:{self.line}"
        text = f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"
        return f"{text}; {self.hint}" if self.hint else text


class EnrichError(Exception):
    """Base of every error a caller may want to catch; its text is a whole message for people."""

    exit_code = ExitCode.INTERNAL
    hint: ClassVar[str] = ""
    """What to do, where the text itself does not say it."""


class FaultsError(EnrichError):
    """All the faults of one file."""

    exit_code = ExitCode.USAGE

    def __init__(self, file: str, faults: Iterable[Fault]) -> None:
        self.file = file
        self.faults = tuple(faults)
        super().__init__("\n".join(fault.render(file) for fault in self.faults))


class ConfigError(FaultsError):
    """The config is wrong: every fault with file, line, key path, what came and what to write instead."""


class TableError(FaultsError):
    """The input table is wrong: faults with their lines. Nothing was sent."""


class UsageError(EnrichError):
    """An option of the command can't be followed. Nothing was sent."""

    exit_code = ExitCode.USAGE


class OutputError(EnrichError):
    """The output can't be written: path, permission or disk. An older output still stands."""

    exit_code = ExitCode.USAGE


class HeldError(EnrichError):
    """The outputs were held back, and those that stood there still do. All that was paid for is in the ledger."""

    exit_code = ExitCode.HELD


class LedgerError(EnrichError):
    """The ledger can't be used: damaged, of a newer version, or it holds another service's results."""

    exit_code = ExitCode.USAGE


class LedgerBusyError(EnrichError):
    """Another instance holds the ledger; this one has sent nothing."""

    exit_code = ExitCode.BUSY


class MissingKeyError(EnrichError):
    """No API key in the environment."""

    exit_code = ExitCode.USAGE

    def __init__(self) -> None:
        super().__init__(
            "no API key: set PARALLEL_API_KEY to run against the service, "
            "or add --sandbox to try the same command free of charge, with invented answers"
        )


class SystemRefusedError(EnrichError):
    """The operating system refused something that no other error stands for: a file, a folder, memory, a socket."""

    exit_code = ExitCode.USAGE

    def __init__(self, refusal: OSError) -> None:
        place = f"{refusal.filename}: " if refusal.filename else ""
        super().__init__(f"{place}{refusal.strerror}; nothing more was sent; mend that, and the same command goes on")


@contextmanager
def system_refusals() -> Iterator[None]:
    """Raise what the operating system refuses in the block as SystemRefusedError."""
    try:
        yield
    except OSError as error:
        if not error.strerror:  # not from the system: a fault of ours
            raise
        raise SystemRefusedError(error) from error


class ReceiptError(EnrichError):
    """The receipt does not add up: a fault of ours. The ledger has every result."""


def sole_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that a task group wraps: the one for people where there is one, the group itself if unclear."""
    leaves = _leaves(group)
    for is_wanted in (_must_be_mended, _is_of_the_system, _is_for_people):
        for leaf in leaves:
            if is_wanted(leaf):
                return leaf
    return leaves[0] if len({type(leaf) for leaf in leaves}) == 1 else group


@contextmanager
def ungrouped() -> Iterator[None]:
    """Raise what task groups in the block wrap as it was raised inside them."""
    try:
        yield
    except BaseExceptionGroup as group:
        error = sole_error(group)
        if error is group:
            raise
        raise error from error.__cause__


def _is_for_people(error: BaseException) -> bool:
    return isinstance(error, EnrichError)


def _is_of_the_system(error: BaseException) -> bool:
    return isinstance(error, OSError)


def _must_be_mended(error: BaseException) -> bool:
    """Whether a person must do something first: what passes by itself says less beside it."""
    return isinstance(error, EnrichError) and error.exit_code is not ExitCode.STOPPED


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]
