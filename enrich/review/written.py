"""What people wrote in the review file that a run is about to replace: nothing of it is lost.

Notes, and cells of columns that people added, go along to the next review file, beside the same answer: that of the
same input, by its field's name, whatever row or run it has by then. What has no such line any more, and decisions that
were not taken yet, stay in a copy of the file.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from enrich.config import Config
from enrich.errors import TableError
from enrich.host.files import replacing, writing
from enrich.ledger.store import Ledger
from enrich.review.decisions import Rulings
from enrich.review.queue import free_name
from enrich.review.sheet import Sheet, SheetLine

__all__ = ["Beside", "Written"]


@dataclass(frozen=True, slots=True)
class Beside:
    """What a person wrote beside an answer: a note, and the cells of the columns that were added, in their order."""

    note: str = ""
    added: tuple[str, ...] = ()


_NOTHING = Beside()


class Written:
    """What people wrote in a review file. As large in memory as that is."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self.added: tuple[str, ...] = ()  # names of the columns that people added
        self.has_untaken = False  # decisions that the ledger does not have, or what can't be read
        self.decisions_kept: Path | None = None  # the copy that was made for them
        self.notes_kept: Path | None = None  # the copy that was made for the rest
        self._beside: dict[tuple[bytes, str], Beside] = {}
        self._gone: set[tuple[bytes, str]] = set()  # what has no line yet in the new file
        self._is_ambiguous = False  # something has no place in a new file

    @classmethod
    def read(cls, path: Path, config: Config, ledger: Ledger) -> "Written":
        """All that is in a review file; nothing if there is none. One that can't be read is to be kept."""
        written = cls()
        if not path.is_file():
            return written
        written.path = path
        sheet = Sheet(path)
        lines: list[tuple[str, str, bool, Beside]] = []
        try:
            rulings = Rulings.read(sheet, config, ledger, lambda line: _note(line, lines))
        except TableError:
            written.has_untaken = True
            return written
        written.has_untaken = bool(sheet.faults) or rulings.has_untaken()
        if rulings.is_whole:
            written.added = sheet.added
            written._place(lines, ledger)
        return written

    def _place(self, lines: list[tuple[str, str, bool, Beside]], ledger: Ledger) -> None:
        inputs = ledger.inputs_of({run_id for run_id, *_ in lines})
        for run_id, name, is_decided, beside in lines:
            if is_decided and not self.has_untaken and not any(beside.added):
                continue  # the ledger has the note with the decision
            if run_id not in inputs:
                self._is_ambiguous = True
                continue
            other = self._beside.setdefault((inputs[run_id], name), beside)
            self._is_ambiguous = self._is_ambiguous or other != beside
        self._gone = set(self._beside)

    def beside(self, input_key: bytes, name: str) -> Beside:
        """What was written beside an answer, which now stands in the new file."""
        if not self._beside:
            return _NOTHING
        self._gone.discard((input_key, name))
        return self._beside.get((input_key, name), _NOTHING)

    def keep_rest(self) -> None:
        """Copy the file beside itself, if it holds anything that neither ledger nor new file have. Raises OutputError.

        For whoever is about to put the new file in its place.
        """
        if self.path is None:
            return
        if self.has_untaken:
            self.decisions_kept = _copied(self.path, "decided")
        elif self._gone or self._is_ambiguous:
            self.notes_kept = _copied(self.path, "noted")


def _note(line: SheetLine, lines: list[tuple[str, str, bool, Beside]]) -> None:
    """Remember what stands beside an answer, if anything does."""
    beside = Beside(line.cells["note"], line.added)
    if line.is_written_on and (beside.note.strip() or any(cell.strip() for cell in beside.added)):
        is_decided = bool(line.cells["decision"].strip())
        lines.append((line.cells["run_id"].strip(), line.cells["field"].strip(), is_decided, beside))


def _copied(path: Path, what: str) -> Path:
    kept = free_name(path, what)
    with writing(kept), path.open("rb") as old, replacing(kept, like=path) as copy:
        shutil.copyfileobj(old, copy)
    return kept
