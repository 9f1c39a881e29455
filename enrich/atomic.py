"""A file is whole or it is not there: written beside its place, synced, then moved over it in one step.

Until the move the older file stands untouched; whatever ends the writing early, the unfinished one is
removed. A link is followed: the file that it names is replaced, and the link stays. What is there and is no
ordinary file (a device, a folder, a pipe) is never replaced.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from enrich.errors import OutputError

__all__ = ["disk_refusals", "replacing", "write_whole"]


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file open for writing that takes the place of `path` when the block ends without an error.

    Raises OutputError for what the disk refuses before and after the block; its own errors pass through.
    """
    with disk_refusals(path):
        target = path.resolve()
        if target.exists() and not target.is_file():
            raise OutputError(f"{path}: can't be written: there is something there that is not a file")
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
        file = partial.open("xb")
    try:
        yield file
        with disk_refusals(path):
            file.flush()
            os.fsync(file.fileno())
            file.close()
            partial.replace(target)
    except BaseException:
        with suppress(OSError):  # closing writes what is buffered, and the disk may refuse again
            file.close()
        with suppress(OSError):
            partial.unlink()
        raise
    with disk_refusals(path):
        _sync_folder(target.parent)


@contextmanager
def disk_refusals(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into an OutputError that names `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path}: can't be written: {error.strerror or error}; an older file, if any, still stands"
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Make `content` the whole content of `path`; raises OutputError."""
    with replacing(path) as file, disk_refusals(path):
        file.write(content)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
