"""The ledger on a simulated disk: what is synced survives a power cut, what is only written does not."""

from collections.abc import Callable, Iterable
from contextlib import closing
from functools import cache
from typing import Any

from enrich.ledger.store import Ledger


@cache
def _memory() -> Ledger:
    """One database for all the stories of a process: making its tables takes longer than most stories."""
    return Ledger.in_memory()


@cache
def _empty() -> bytes:
    with closing(Ledger.in_memory()) as ledger:
        return ledger.snapshot()


class Disk:
    """One ledger from its first command to its last."""

    def __init__(self) -> None:
        self.ledger = _memory()
        self.ledger.restore(_empty())
        self._synced: bytes | None = None  # what is on disk for sure, where that is not all there is

    def commit(self, changes: Iterable[Callable[[Ledger], Any]], *, synced: bool = True) -> list[Any]:
        """Make changes in one transaction; gives what each gives. Syncing one transaction syncs all before it."""
        if not synced and self._synced is None:
            self._synced = self.ledger.snapshot()
        with self.ledger.transaction():
            results = [change(self.ledger) for change in changes]
        if synced:
            self._synced = None
        return results

    def cut_power(self) -> None:
        """What was not synced is gone."""
        if self._synced is not None:
            self.ledger.restore(self._synced)
            self._synced = None
