"""Rows of a table as the questions they ask: which input, which answers, or why nothing is asked. Pure.

`--where`, `--limit` and `--sample` choose which rows may be asked about; a row that is not chosen still comes out, with
the answers that the ledger holds for it.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from enrich.config import Config
from enrich.dataset import BATCH_ROWS, Batch, Table, is_empty
from enrich.inputs.documents import InputBuilder
from enrich.inputs.remarks import NOT_CHOSEN
from enrich.records import Row
from enrich.spec.identity import input_key
from enrich.text.namesakes import find_name

_SAMPLE_SEED: Final = 20_000_101  # the same sample of the same table, every time


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which rows may be asked about."""

    where: str | None = None
    limit: int | None = None
    sample: int | None = None

    def words(self) -> str:
        """The options that leave a row out, for its detail."""
        named = (("--where", self.where), ("--limit", self.limit), ("--sample", self.sample))
        return ", ".join(name for name, value in named if value is not None)


Known = Callable[[Sequence[bytes]], Collection[bytes]]
"""Which of these inputs the ledger has runs for."""


def _none_known(keys: Sequence[bytes]) -> Collection[bytes]:
    return ()


class Rows:
    """Reads a table as rows of questions, the same way each time it is read."""

    def __init__(self, config: Config, table: Table, chosen: Chosen, *, now: datetime | None = None) -> None:
        """`now` is the time that a condition on the rows may ask for; without it, that of this machine."""
        self._table = table
        self._chosen = chosen
        self._builder = InputBuilder(config.inputs, table.schema, str(table.path), empty=config.empty)
        self._require = tuple(find_name(field, config.inputs) or field for field in config.require)
        self._all = (1 << len(config.fields)) - 1
        self._filled: Mapping[int, str] = (
            {i: name for i, field in enumerate(config.fields) if (name := find_name(field.name, table.columns))}
            if config.existing == "fill"
            else {}
        )
        self._where = None if chosen.where is None else table.condition(chosen.where, now)
        self._sampled = self._draw() if chosen.sample is not None else None

    def batches(self, size: int = BATCH_ROWS, *, known: Known = _none_known) -> Iterator[tuple[Batch, list[Row]]]:
        """Every row of the table, in order, at most `size` at a time.

        An input that is `known` in the form that it had until 0.2.0 keeps that form, and what was paid for.
        """
        eligible = 0
        for batch in self._table.batches(size):
            rows = self._questions(batch, known)
            if self._sampled is not None or self._chosen.limit is not None:
                eligible = self._leave_out(rows, eligible)
            yield batch, rows

    def _leave_out(self, rows: list[Row], eligible: int) -> int:
        """Mark the rows that are not chosen, of which `eligible` came before; gives how many now have come."""
        for i, row in enumerate(rows):
            if row.key is None or row.left_out:
                continue
            if not self._may_ask(eligible):
                left_out = f"not chosen by {self._chosen.words()}"
                rows[i] = Row(row.key, row.document, row.mask, left_out, row.alias)
            eligible += 1
        return eligible

    def _may_ask(self, ordinal: int) -> bool:
        limit = self._chosen.limit
        if limit is not None and ordinal >= limit:
            return False
        return self._sampled is None or ordinal in self._sampled

    def placeholders(self, batch: Batch) -> Counter[tuple[str, str]]:
        """How often a mapped column has a text that stands for nothing, by column and text."""
        return self._builder.placeholders(batch)

    def _draw(self) -> frozenset[int]:
        """The ordinals of the rows in the sample, drawn from all that could be asked about."""
        eligible = sum(
            row.key is not None and not row.left_out
            for batch in self._table.batches()
            for row in self._questions(batch, _none_known)
        )
        chosen = min(self._chosen.sample or 0, eligible)
        return frozenset(random.Random(_SAMPLE_SEED).sample(range(eligible), chosen))  # noqa: S311

    def _questions(self, batch: Batch, known: Known) -> list[Row]:
        selected = None if self._where is None else batch.mask(self._where).to_list()
        masks = self._masks(batch)
        rows = []
        inputs = self._builder.read(batch)
        missing = inputs.missing(self._require)
        for i, document in enumerate(inputs.documents()):
            mask = self._all if masks is None else masks[i]
            lacks = missing[i]
            if document is None:
                rows.append(Row(None, None, mask, "all its inputs are empty"))
            elif lacks is not None:
                rows.append(Row(None, None, mask, f"{lacks} is required, and empty"))
            else:
                left_out = "" if selected is None or selected[i] else NOT_CHOSEN
                rows.append(Row(input_key(document), document, mask, left_out))
        self._keep_old(rows, inputs.old_documents(), known)
        return rows

    @staticmethod
    def _keep_old(rows: list[Row], old: Mapping[int, bytes], known: Known) -> None:
        keys = {i: input_key(document) for i, document in old.items() if rows[i].key is not None}
        found = known(sorted({*keys.values()})) if keys else ()
        for i, key in keys.items():
            if key in found and key != rows[i].key:
                rows[i] = Row(key, old[i], rows[i].mask, rows[i].left_out, rows[i].key)

    def _masks(self, batch: Batch) -> list[int] | None:
        """For `existing: fill`: the fields whose cells are empty, row by row."""
        if not self._filled:
            return None
        masks = [self._all] * batch.height
        for i, name in self._filled.items():
            for row, value in enumerate(batch.values(name)):
                if not is_empty(value):
                    masks[row] &= ~(1 << i)
        return masks
