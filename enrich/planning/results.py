"""Raw results of held runs, read from the ledger and held against the run that they are said to be of."""

from collections import OrderedDict
from typing import Final

from enrich.answers.results import is_of_run
from enrich.ledger.refusals import damaged
from enrich.ledger.store import Ledger
from enrich.records import Held

_BLOCKS_KEPT: Final = 16  # decompressed blocks held at once: 1 MB, and of larger ones no more than …
_BYTES_KEPT: Final = 2 << 20  # one that is larger is not kept at all


class Results:
    """Raw results of held runs, with some blocks kept decompressed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._blocks: OrderedDict[int, list[bytes]] = OrderedDict()
        self._bytes = 0  # of those

    def __call__(self, held: Held) -> bytes:
        """The result of a completed run. Raises LedgerError where another one stands in its place."""
        assert held.block_id is not None
        assert held.slot is not None
        block = self._blocks.get(held.block_id)
        if block is None:
            ((_, block),) = self._ledger.results([held.block_id])
            self._keep(held.block_id, block)
        if held.slot >= len(block) or not is_of_run(block[held.slot], held.run_id or ""):
            raise damaged(self._ledger.path, f"the result of run {held.run_id} is not where it should be")
        return block[held.slot]

    def _keep(self, block_id: int, block: list[bytes]) -> None:
        size = sum(map(len, block))
        if size > _BYTES_KEPT:
            return
        self._blocks[block_id] = block
        self._bytes += size
        while len(self._blocks) > _BLOCKS_KEPT or self._bytes > _BYTES_KEPT:
            _, oldest = self._blocks.popitem(last=False)
            self._bytes -= sum(map(len, oldest))
