"""Server-sent events from bytes, by the WHATWG algorithm, without I/O.

<https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>

Bytes go in as they come, events come out as soon as their blank line is there. Lines end in CR, LF or CRLF
(also when a chunk ends between the two), and in nothing else: U+2028 inside a JSON string is data. Comments
give nothing. What stands after the last blank line is never an event. `retry:` fields are ignored: how long
to wait is decided by the caller.

Work is linear in the bytes, whatever their split, and done by `bytes` methods: no loop over bytes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["MAX_EVENT_BYTES", "EventTooLargeError", "SseDecoder", "SseEvent"]

MAX_EVENT_BYTES: Final = 64 * 1024 * 1024

_BOM: Final = b"\xef\xbb\xbf"


class SseEvent(NamedTuple):
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
        "_held",
        "_line",
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
        self._held = 0  # bytes in both
        self._name = b""
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events completed by these bytes. Raises EventTooLargeError; then the stream is of no use."""
        if self._at_start:
            chunk = self._without_bom(chunk)
        chunk = self._with_line_feeds(chunk)
        *ended, rest = chunk.split(b"\n")
        events: list[SseEvent] = []
        if ended:
            self.lines += len(ended)
            if self._line:
                ended[0] = b"".join((*self._line, ended[0]))
                self._line = []
            self._take(ended, events)
            self._held = sum(map(len, self._data))
        if rest:
            self._line.append(rest)
            self._held += len(rest)
        if self._held > self._max_bytes:
            raise EventTooLargeError(f"an event of more than {self._max_bytes} bytes")
        return events

    def _without_bom(self, chunk: bytes) -> bytes:
        chunk = b"".join((*self._line, chunk))
        self._line, self._held = [], 0
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

    def _take(self, lines: list[bytes], events: list[SseEvent]) -> None:
        for line in lines:
            if line.startswith(b"data: "):  # nearly all of the bytes: sliced once
                self._data.append(line[6:])
            elif line:
                self._take_field(line)
            else:
                if self._data:
                    data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                    name = self._name.decode("utf-8", "replace") or "message"
                    events.append(SseEvent(name, data, self.last_id))
                    self._data = []
                self._name = b""

    def _take_field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value
        elif field == b"id" and b"\0" not in value:
            self.last_id = value.decode("utf-8", "replace")
