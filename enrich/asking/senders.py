"""Submissions on their way: so many at once, each with its body, which bounds memory."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import anyio

from enrich.backends.groups import Groups
from enrich.ledger.recorder import Recorder
from enrich.protocol.effects import RecordService
from enrich.protocol.replies import Added

SENDERS: Final = 16
POST_DEADLINE_S: Final = 60.0


class SenderPool:
    """A place is held from the making of a group to the answer to its POST."""

    def __init__(self, groups: Groups, recorder: Recorder) -> None:
        self._groups = groups
        self._recorder = recorder
        self._places = anyio.Semaphore(SENDERS)
        self._made = Counter[str]()  # groups that hold a place, each until its first POST

    async def open_batch(self, metadata: Mapping[str, str]) -> str:
        """Make a group; gives its id. Raises ApiError, and LedgerError for the other kind of service."""
        await self._places.acquire()
        try:
            group_id = await self._groups.open_batch(metadata)
            await self._recorder.record(RecordService(self._groups.kind))  # before anything that costs: never mixed
        except BaseException:
            self._places.release()
            raise
        self._made[group_id] += 1
        return group_id

    async def send(self, group_id: str, body: bytes) -> Added:
        """The one request that costs. Raises ApiError."""
        if self._made[group_id]:
            self._made[group_id] -= 1
        else:  # the group was not known to the service yet when it was tried before
            await self._places.acquire()
        try:
            return await self._groups.send(group_id, body, timeout_s=POST_DEADLINE_S)
        finally:
            self._places.release()
