"""An output is not replaced by one that says less, unless that is meant.

A question that was changed is asked anew, and until it is answered its cells are empty: with a wrong key, a small
budget or a `--limit`, a table full of answers would become one full of nothing. So while the new table is made, the
answers that it lacks because they were not asked, or not answered yet, are noted, and before it takes the place of the
old one that is read for them, row by row of the same input. What was asked and is not to be relied on, what the config
no longer asks for, and rows that are gone are no loss.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enrich.answers.join import SHOWN, Joined, Tally
from enrich.config import Config
from enrich.dataset import Table, open_table
from enrich.dataset.tables import Batch
from enrich.errors import TableError
from enrich.inputs.rows import Chosen, Rows
from enrich.ledger.distinct import Distinct
from enrich.text.figures import counted

_UNASKED: Final = frozenset({"pending", "skipped"})


@dataclass(frozen=True, slots=True)
class Loss:
    """Answers that the old output shows and the new one would not; `example` is the first of them."""

    answers: int
    example: str = ""

    def to_text(self) -> str:
        """What is lost, in words."""
        such = f", such as {self.example}" if self.example else ""
        return (
            f"shows {counted(self.answers, 'answer')} that the new output lacks{such}: not asked, or not answered yet"
        )


class Guard:
    """Notes what a new table lacks, and compares it with the one that stands at `output`; a context manager."""

    def __init__(self, config: Config, output: Path, *, is_on: bool = True) -> None:
        self._config = config
        self._output = output
        self._lacking = Distinct()
        self._has_any = False
        self._is_on = is_on and output.is_file() and output.stat().st_size > 0

    def __enter__(self) -> "Guard":
        self._lacking.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._lacking.__exit__(None, None, None)

    def add(self, part: Batch, joined: Joined) -> None:
        """Keep, by input, which answers of these rows were not asked, or are not there yet."""
        if not self._is_on:
            return
        masks: dict[bytes, int] = {}
        for number, (cells, kinds) in enumerate(zip(joined.cells, joined.kinds, strict=True)):
            if not any(status in _UNASKED for status, *_ in kinds):
                continue
            for row, status in zip(joined.rows, cells.statuses, strict=True):
                if row.key is not None and status in _UNASKED and row.mask >> number & 1:
                    masks[row.key] = masks.get(row.key, 0) | 1 << number
        if masks:
            self._has_any = True
            self._lacking.seen_before({key: f"{mask:x}" for key, mask in masks.items()})

    def close(self) -> None:
        """Nothing is under way."""

    def loss(self, tally: Tally, height: int) -> Loss | None:
        """What replacing the old output by one of this height would take out; None where that is nothing."""
        if not self._has_any:
            return None
        csv = self._config.csv
        try:
            old = open_table(
                self._output, encoding=csv.encoding, delimiter=csv.delimiter, quote=csv.quote, is_ours=True
            )
        except TableError:  # there is nothing in it that could be compared
            return None
        fields = [(i, one.name) for i, one in enumerate(self._config.fields) if f"{one.name}_status" in old.columns]
        try:
            rows = Rows(self._config, old, Chosen())
        except TableError:  # it lacks a column that goes in now: its rows can't be told by their inputs
            return _by_number(old, fields, tally, height)
        return self._by_rows(rows, fields)

    def _by_rows(self, rows: Rows, fields: list[tuple[int, str]]) -> Loss | None:
        answers, example = 0, ""
        for batch, questions in rows.batches():
            shown = [(i, name, batch.values(f"{name}_status")) for i, name in fields]
            notes = self._lacking.seen_before({row.key: "" for row in questions if row.key is not None})
            if not any(notes.values()):
                continue
            for place, row in enumerate(questions):
                mask = int(notes.get(row.key or b"") or "0", 16)
                for i, name, statuses in shown:
                    if mask >> i & 1 and statuses[place] in SHOWN:
                        answers += 1
                        example = example or f"{name} in row {batch.start + place + 1}"
        return Loss(answers, example) if answers else None


def _by_number(old: Table, fields: list[tuple[int, str]], tally: Tally, height: int) -> Loss | None:
    """By their numbers alone, where the tables have as many rows."""
    if old.height != height:
        return None
    before = sum(_shown(old, [name for _, name in fields]))
    now = sum(number for status, number in tally.answers.items() if status in SHOWN)
    return Loss(before - now) if before > now else None


def _shown(table: Table, names: list[str]) -> Iterator[int]:
    for batch in table.batches():
        yield from (sum(status in SHOWN for status in batch.values(f"{name}_status")) for name in names)
