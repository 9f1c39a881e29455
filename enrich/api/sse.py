"""Server-sent events from bytes, by the WHATWG algorithm, without I/O.

<https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>

Bytes go in as they come, events come out as soon as their blank line is there. Lines end in CR, LF or CRLF
(also when a chunk ends between the two), and in nothing else: U+2028 inside a JSON string is data. Comments
give nothing. What stands after the last blank line is never an event. `retry:` fields are ignored: how long
to wait is decided by the caller.

Work is linear in the bytes, whatever their split, and done in C: no loop over bytes. Most records have one shape and
lie whole in one chunk: these are taken at once. All else, and what is left of a record, goes line by line.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

__all__ = ["MAX_EVENT_BYTES", "EventTooLargeError", "SseDecoder", "SseEvent"]


MAX_EVENT_BYTES: Final = 16 * 1024 * 1024

_BOM: Final = b"\xef\xbb\xbf"
_USUAL: Final = re.compile(rb"(?:event: ([^\n]*)\n)?(?:id: ([^\n\0]*)\n)?data: ")
"""How a usual record begins: perhaps a name, perhaps an id, and one line of data. A blank line ends it."""


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One event. `id` is the last one the stream has set, on this event or before it; '' if none yet."""

    event: str
    data: bytes
    id: str


class EventTooLargeError(ValueError):
    """The stream sent more bytes without a blank line than an event may have."""


class SseDecoder:
    """Turns the bytes of one response into events; a new response needs a new decoder."""

    __slots__ = (
        "_after_cr",
        "_at_start",
        "_data",
        "_data_bytes",
        "_line",
        "_line_bytes",
        "_max_bytes",
        "_name",
        "last_id",
        "lines",
    )

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.lines = 0  # ended lines seen: heartbeats too, so a sign of life where no event is due
        self.last_id = ""
        self._max_bytes = max_event_bytes
        self._line: list[bytes] = []  # pieces of the line that hasn't ended yet
        self._data: list[bytes] = []  # the data lines of the event that hasn't ended yet
        self._line_bytes = 0
        self._data_bytes = 0
        self._name = b""
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events completed by these bytes. Raises EventTooLargeError; then the stream is of no use."""
        if self._at_start:
            chunk = self._without_bom(chunk)
        chunk = self._with_line_feeds(chunk)
        events: list[SseEvent] = []
        begin = self._take_first_line(chunk, events) if self._line else 0
        if begin >= 0:
            begin = self._take_lines(chunk, begin, events)
        self._hold(chunk[max(begin, 0) :])
        return events

    def _without_bom(self, chunk: bytes) -> bytes:
        chunk = b"".join((*self._line, chunk))
        self._line = []
        if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
            self._line = [chunk]
            return b""
        self._at_start = False
        return chunk.removeprefix(_BOM)

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _take_first_line(self, chunk: bytes, events: list[SseEvent]) -> int:
        """End the line that began in an earlier chunk: where the next one begins, -1 if it goes on."""
        end = chunk.find(b"\n")
        if end < 0:
            return -1
        line = b"".join((*self._line, chunk[: end + 1]))
        self._line, self._line_bytes = [], 0
        self._take_lines(line, 0, events)
        return end + 1

    def _take_lines(self, chunk: bytes, begin: int, events: list[SseEvent]) -> int:
        """Take all ended lines from `begin` on: where the one that hasn't ended begins."""
        find, startswith, data = chunk.find, chunk.startswith, self._data
        while True:
            if not data and not self._name:
                begin = self._take_usual_records(chunk, begin, events)
            if (end := find(b"\n", begin)) < 0:
                return begin
            self.lines += 1
            if startswith(b"data: ", begin):  # nearly all of the bytes: copied once
                data.append(chunk[begin + 6 : end])
                self._data_bytes += end - begin
            elif end > begin:
                self._take_field(chunk[begin:end])
            else:
                if data:
                    events.append(self._dispatched())
                self._name = b""
            begin = end + 1

    def _take_usual_records(self, chunk: bytes, begin: int, events: list[SseEvent]) -> int:
        """Take whole records of the usual shape, as long as they come: where the first other thing begins."""
        find, startswith, usual = chunk.find, chunk.startswith, _USUAL.match
        while (record := usual(chunk, begin)) is not None:
            data = record.end()
            end = find(b"\n", data)
            if end < 0 or not startswith(b"\n", end + 1):
                break
            name, last_id = record.groups()
            if last_id is not None:
                self.last_id = last_id.decode("utf-8", "replace")
            events.append(SseEvent(_name_of(name), chunk[data:end], self.last_id))
            self.lines += 2 + (name is not None) + (last_id is not None)
            begin = end + 2
        return begin

    def _dispatched(self) -> SseEvent:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._data_bytes = 0
        return SseEvent(_name_of(self._name), data, self.last_id)

    def _take_field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value
        elif field == b"id" and b"\0" not in value:
            self.last_id = value.decode("utf-8", "replace")
        elif field == b"data":
            self._data.append(value)
            self._data_bytes += len(line)

    def _hold(self, rest: bytes) -> None:
        if rest:
            self._line.append(rest)
            self._line_bytes += len(rest)
        if self._line_bytes + self._data_bytes > self._max_bytes:
            raise EventTooLargeError(f"an event of more than {self._max_bytes} bytes, which is not read")


def _name_of(field: bytes | None) -> str:
    """The name of an event by its `event` field, if it has one that says something."""
    return field.decode("utf-8", "replace") if field else "message"
