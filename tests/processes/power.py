"""What a power cut leaves of a folder: worked out from the record of what was written and synced (faulty_disk.c).

The disk of this model keeps only what it was asked to keep. The bytes of a file are sure once the file was synced;
that a name is there, or a file was moved to it, is sure once its folder was synced. Of what came after, any part may
have reached the disk: each write or none of it, or its first sectors, in any order. Real file systems keep more.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512


@dataclass(frozen=True)
class Call:
    """One call that went through; `offset` is a place in the file, or its new length."""

    name: str
    path: str
    offset: int
    data: bytes
    other: str


def read_calls(log: Path) -> Iterator[Call]:
    """The record, call by call."""
    content = log.read_bytes() if log.exists() else b""
    at = 0
    while at < len(content):
        end = content.index(b"\n", at)
        name, path, offset, length, other = content[at:end].decode().split("\t")
        at = end + 1 + int(length)
        yield Call(name, path, int(offset), content[end + 1 : at], other)


@dataclass
class _File:
    """A file, whatever it is called: its bytes that are sure, and the calls since it was synced."""

    sure: bytes = b""
    since: list[Call] = field(default_factory=list)

    def left(self, rng: random.Random | None) -> bytes:
        """What is sure and, by chance, parts of the rest; all of the rest where nothing is left to chance."""
        content = bytearray(self.sure)
        for call in self.since:
            if rng is not None and rng.random() < 0.5:
                continue
            data = call.data
            if rng is not None and rng.random() < 0.3:
                data = data[: rng.randrange(len(data) + 1) // SECTOR * SECTOR]
            _apply(content, call, data)
        return bytes(content)

    def sync(self) -> None:
        self.sure, self.since = self.left(None), []


def _apply(content: bytearray, call: Call, data: bytes) -> None:
    if call.name == "truncate":
        del content[call.offset :]
        content.extend(bytes(call.offset - len(content)))
    else:
        content.extend(bytes(max(0, call.offset - len(content))))
        content[call.offset : call.offset + len(data)] = data


@dataclass(frozen=True)
class _Change:
    """Something that happened to names: this file (None: a folder) came to `path`, went from it, or both."""

    file: _File | None
    gone: str | None = None
    come: str | None = None

    @property
    def folder(self) -> str:
        return str(Path(self.come or self.gone or "").parent)

    def apply(self, names: dict[str, _File | None]) -> None:
        if self.gone is not None and names.get(self.gone) is self.file:
            names.pop(self.gone, None)
        if self.come is not None:
            names[self.come] = self.file


class Folder:
    """A folder and those below it, as the disk has them; made before the calls that are played on it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, _File | None] = {
            str(path): _File(path.read_bytes()) if path.is_file() else None for path in root.rglob("*")
        }
        self._sure = dict(self._names)
        self._since: list[_Change] = []

    def play(self, calls: Iterator[Call]) -> None:
        """Let these calls happen."""
        for call in calls:
            file = self._names.get(call.path)
            match call.name:
                case "write" | "truncate":
                    if file is not None:  # one without a name is lost with the process
                        file.since.append(call)
                case "sync":
                    self._sync(call.path, file)
                case "create":
                    self._change(_Change(_File(), come=call.path))
                case "mkdir":
                    self._change(_Change(None, come=call.path))
                case "rename":
                    self._change(_Change(file, gone=call.path, come=call.other))
                case "unlink":
                    self._change(_Change(file, gone=call.path))

    def cut(self, rng: random.Random | None) -> None:
        """Make the folder what a power cut leaves: by chance, or (None) nothing but what is sure."""
        names = dict(self._sure)
        kept = rng.randint(0, len(self._since)) if rng is not None else 0
        for change in self._since[:kept]:  # a journal keeps the order of names
            change.apply(names)
        for path in sorted(self._root.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        for name, file in sorted(names.items()):
            path = Path(name)
            if not path.parent.exists():
                continue  # its folder is gone, and it is with it
            if file is None:
                path.mkdir(mode=0o700)
            else:
                path.write_bytes(file.left(rng) if rng is not None else file.sure)
                path.chmod(0o600)

    def _change(self, change: _Change) -> None:
        change.apply(self._names)
        self._since.append(change)

    def _sync(self, path: str, file: _File | None) -> None:
        if file is not None:
            file.sync()
            return
        for change in [one for one in self._since if one.folder == path]:
            change.apply(self._sure)
            self._since.remove(change)
