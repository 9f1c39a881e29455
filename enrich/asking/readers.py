"""The readings of groups' results that are open: a few at once, which bounds memory."""

from typing import Final

import anyio

from enrich.asking.counts import Counts
from enrich.asking.stopping import Stopping
from enrich.backends.groups import Groups, Reading
from enrich.protocol.effects import ReadRuns, StopRequested
from enrich.protocol.replies import RunsRead

READERS: Final = 3  # groups read at once
STOP_S: Final = 1.0  # what is being read when the command is asked to end has so long to come


class ReaderPool:
    """Opens, reads and closes. Each reading has a number, by which the protocol goes on with it."""

    def __init__(self, groups: Groups, stopping: Stopping, counts: Counts) -> None:
        self._groups = groups
        self._stopping = stopping
        self._counts = counts
        self._open: dict[int, Reading] = {}
        self._places = anyio.Semaphore(READERS)

    async def read(self, effect: ReadRuns, opened: list[int]) -> RunsRead:
        """The next chunk; `opened` are the numbers of the readings that whoever reads has to close.

        Raises ApiError where a listing can't be had, StopRequested.
        """
        number = effect.reader
        if number is None:
            number = await self._open_one(effect, opened)
        reading = self._open[number]
        try:
            at_end = await self._stopping.until_stop(reading.read, grace_s=STOP_S)
        except StopRequested:
            at_end = True
        runs = reading.taken()
        if at_end:
            opened.remove(number)
            await self.close(number)
        return RunsRead(runs, reading.cursor, None if at_end else number)

    async def _open_one(self, effect: ReadRuns, opened: list[int]) -> int:
        await self._stopping.until_stop(self._places.acquire, grace_s=STOP_S)
        reading = self._groups.read(effect.group_id, effect.cursor)
        number = id(reading)
        self._open[number] = reading
        opened.append(number)
        try:
            await self._stopping.until_stop(reading.open, grace_s=STOP_S)
        except BaseException:
            opened.remove(number)
            await self.close(number)
            raise
        return number

    async def close(self, number: int) -> None:
        """Let the next reading come."""
        reading = self._open.pop(number, None)
        if reading is not None:
            self._places.release()
            with anyio.CancelScope(shield=True):
                await reading.close()
            self._counts.bytes_read += reading.bytes_read
