"""Where the output may go: all that can be known of it before anything is sent."""

import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from enrich.dataset.formats import KNOWN_SUFFIXES, named_format
from enrich.dataset.layout import Layout
from enrich.dataset.tables import Table
from enrich.errors import OutputError
from enrich.host.files import Files, NewFile, real, refuse_planted, writing
from enrich.spec.columns import AnswerColumn
from enrich.text.phrases import shown, some

_SPARE_BYTES: Final = 1 << 20


def check_output_path(
    path: Path,
    table: Table,
    columns: Sequence[AnswerColumn] = (),
    *,
    companions: Sequence[Path] = (),
    files: Files | None = None,
) -> None:
    """Raise OutputError when the table can't be written to `path` with these answers, or a file to its companions.

    Whether the disk lets it is tried with empty files beside them.
    """
    Layout(table, columns)
    if named_format(path) is None:
        raise OutputError(f"{path}: unknown kind of table; give an output named {KNOWN_SUFFIXES}")
    refuse_names(path, table)
    with writing(path):
        _check_place(path, table, files or Files())
    for companion in companions:
        NewFile(companion, files).discard()


def _check_place(path: Path, table: Table, files: Files) -> None:
    if path.is_symlink() and not path.exists():
        raise OutputError(f"{path}: is a link to {path.readlink()}, which does not exist; fix it or remove it")
    refuse_planted(path)
    target = real(path)
    folder = target.parent
    if not folder.is_dir():
        raise OutputError(f"{path}: there is no folder {folder}; make it, or give another output")
    if target.exists():
        _check_target(path, target, table, files)
    _check_space(path, table, folder)
    NewFile(path, files).discard()


def refuse_names(path: Path, table: Table) -> None:
    """Raise OutputError when the kind of file that `path` names can't hold the table's columns as they are called."""
    kind = named_format(path)
    if kind is None or kind.kind in ("csv", "tsv") or table.columns == table.headers:
        return
    columns = enumerate(zip(table.columns, table.headers, strict=True), 1)
    odd = [
        f"column {number} {'shares the name ' + shown(name) if name.strip() else 'has no name'}"
        for number, (key, name) in columns
        if key != name
    ]
    raise OutputError(
        f"{path}: {some(odd)}, which only CSV and TSV take; rename what you need in the table, or give an output named"
        " .csv or .tsv"
    )


def refuse_input(path: Path, table: Table) -> None:
    """Raise OutputError when `path` names the table's own file, by whatever name or link."""
    target = real(path)
    if target.exists() and table.path.exists() and target.samefile(table.path):
        raise OutputError(f"{path}: is the input itself, which is never overwritten; give another output")


def _check_target(path: Path, target: Path, table: Table, files: Files) -> None:
    refuse_input(path, table)
    status = target.stat()
    if stat.S_ISDIR(status.st_mode):
        raise OutputError(f"{path}: is a folder; give the name of a file")
    if not stat.S_ISREG(status.st_mode):
        raise OutputError(f"{path}: is no regular file, so a table can't replace it; name a file")
    if not files.may_write(target):
        raise OutputError(f"{path}: is read-only; allow writing to it, or give another output")
    if status.st_dev != target.parent.stat().st_dev:
        raise OutputError(f"{path}: is mounted from elsewhere and can't be replaced; give another output")


def _check_space(path: Path, table: Table, folder: Path) -> None:
    needed = 2 * table.path.stat().st_size + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{path}: {free >> 20} MB are free in {folder}, and the output may need {needed >> 20} MB; "
            "free some space, or give another output"
        )
