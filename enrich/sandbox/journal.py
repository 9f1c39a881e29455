"""The sandbox's memory on disk: one JSON line for each group created and each batch of runs added.

Append-only; a line is written whole before the request is answered, so a killed process forgets nothing
that it acknowledged. A last line without its end was never acknowledged and is cut off. One process at a
time may hold a journal.
"""

import fcntl
import os
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from enrich.sandbox.problems import ServiceError
from enrich.sandbox.requests import RunRequest
from enrich.sandbox.settings import SandboxError

FORMAT = 1
MAX_LINE_BYTES: Final = 132 << 20  # the largest body of a request, and what is written with it
_MAX_HEAD_BYTES: Final = 1000
_START = b'{"enrich_sandbox":'  # of the first line


@dataclass(frozen=True, slots=True)
class JournaledGroup:
    """A group that was created; `metadata` is JSON."""

    group: str
    metadata: bytes
    at: float


@dataclass(frozen=True, slots=True)
class JournaledBatch:
    """Runs that were added together, or one run without a group; `number` is the first one's number."""

    group: str | None
    number: int
    element_basis: bool
    at: float
    requests: Sequence[RunRequest]


class _Head(msgspec.Struct):
    enrich_sandbox: int
    nonce: str


class _Line(msgspec.Struct, omit_defaults=True):
    at: float
    group: str | None = None
    metadata: msgspec.Raw = msgspec.Raw(b"null")
    number: int | None = None  # set on lines that add runs
    element_basis: bool = False
    body: msgspec.Raw = msgspec.Raw(b"null")


class Journal:
    """An open journal; `parse` turns a stored body of inputs back into requests."""

    def __init__(self, path: Path, parse: Callable[[bytes], list[RunRequest]]) -> None:
        self._path = path
        self._parse = parse
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
            self._file = os.open(path, flags, 0o600)
        except OSError as error:
            raise SandboxError(f"{path}: state file can't be opened: {error.strerror}") from error
        try:
            self._refuse_foreign()
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.nonce = self._read_head()
        except BlockingIOError as error:
            self.close()
            raise SandboxError(f"{path}: another sandbox is using this state file") from error
        except BaseException:
            self.close()
            raise

    def entries(self) -> Iterator[JournaledGroup | JournaledBatch]:
        """What was written, in order. Raises SandboxError with the line that can't be read."""
        with self._path.open("rb") as lines:
            for number, text in enumerate(self._lines(lines), start=1):
                if number == 1:
                    continue
                try:
                    yield self._entry(msgspec.json.decode(text, type=_Line))
                except (msgspec.DecodeError, ServiceError) as error:
                    raise SandboxError(f"{self._path}:{number}: not a line of a sandbox's state: {error}") from error

    def write_group(self, entry: JournaledGroup) -> None:
        """Put a new group on disk."""
        self._write(_Line(at=entry.at, group=entry.group, metadata=msgspec.Raw(entry.metadata)))

    def write_batch(self, entry: JournaledBatch) -> None:
        """Put added runs on disk."""
        line = _Line(
            at=entry.at,
            group=entry.group,
            number=entry.number,
            element_basis=entry.element_basis,
            body=msgspec.Raw(_body(entry.requests)),
        )
        self._write(line)

    def close(self) -> None:
        """Close the file, which also lets go of the lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _entry(self, line: _Line) -> JournaledGroup | JournaledBatch:
        if line.number is None:
            return JournaledGroup(line.group or "", bytes(line.metadata), line.at)
        requests = self._parse(bytes(line.body))
        return JournaledBatch(line.group, line.number, line.element_basis, line.at, requests)

    def _refuse_foreign(self) -> None:
        """Raise SandboxError for what no sandbox wrote, before anything is cut off it: it may be somebody's own."""
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            raise SandboxError(f"{self._path}: this is no regular file; name another state file")
        start = os.pread(self._file, len(_START), 0).rstrip(b"\0")
        if not _START.startswith(start):
            raise SandboxError(f"{self._path}:1: not a sandbox's state file, and is left as it is; name another")

    def _read_head(self) -> str:
        """Cut off a torn last line, and give the nonce of the first, which an empty file gets now."""
        whole = self._cut_torn_line()
        if whole == 0:
            nonce = uuid.uuid4().hex
            self._write(_Head(enrich_sandbox=FORMAT, nonce=nonce))
            return nonce
        with self._path.open("rb") as lines:
            try:
                head = msgspec.json.decode(next(self._lines(lines, _MAX_HEAD_BYTES)), type=_Head)
            except msgspec.DecodeError as error:
                raise SandboxError(f"{self._path}:1: not a sandbox's state file: {error}") from error
        if head.enrich_sandbox != FORMAT:
            raise SandboxError(f"{self._path}:1: state of format {head.enrich_sandbox}; this is format {FORMAT}")
        return head.nonce

    def _lines(self, file: BinaryIO, most: int = MAX_LINE_BYTES) -> Iterator[bytes]:
        for number, line in enumerate(iter(lambda: file.readline(most + 1), b""), start=1):
            if len(line) > most:
                what = f"not a line of a sandbox's state: it has more than {most} bytes"
                raise SandboxError(f"{self._path}:{number}: {what}")
            yield line

    def _cut_torn_line(self) -> int:
        """The size of the file up to its last line end, to which it is cut."""
        size = os.fstat(self._file).st_size
        end = size
        while end > 0:
            start = max(0, end - 65_536)
            newline = os.pread(self._file, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._file, end)
        return end

    def _write(self, line: _Head | _Line) -> None:
        text = msgspec.json.encode(line) + b"\n"
        while text:  # a regular file takes all at once, but for signals and full disks
            text = text[os.write(self._file, text) :]


def _body(requests: Sequence[RunRequest]) -> bytes:
    """A body that adds these runs; the spec of all that have none of their own is written once."""
    default = next((request.spec.raw for request in requests if not request.own_spec), b"null")
    return b'{"default_task_spec":%b,"inputs":[%b]}' % (
        default,
        b",".join(request.raw for request in requests),
    )
