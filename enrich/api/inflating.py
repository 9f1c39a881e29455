"""A body out of its content encoding: one layer of gzip at most, in pieces that are small whatever they stood for.

Bodies are asked for as they are. A proxy that packs them all the same does so once, in gzip; whatever else comes
(several layers, br, zstd, deflate) was not asked for, and is not read: three kilobytes of it may stand for gigabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Final

__all__ = ["EncodingError", "Inflater", "inflater_of"]

PIECE_BYTES: Final = 256 * 1024

_PLAIN: Final = frozenset({"", "identity"})
_GZIP: Final = frozenset({"gzip", "x-gzip"})


class EncodingError(ValueError):
    """A body in an encoding that is not read, or not in the one that it claims."""


class Inflater:
    """Unpacks the gzip of one body as it comes."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What these bytes stand for, in pieces of at most PIECE_BYTES. Raises EncodingError."""
        while not self._stream.eof:
            try:
                piece = self._stream.decompress(chunk, PIECE_BYTES)
            except zlib.error:
                raise EncodingError("an answer that is said to be gzip, and is none") from None
            if piece:
                yield piece
            chunk = self._stream.unconsumed_tail
            if not chunk and len(piece) < PIECE_BYTES:  # else there may be more of it
                break
        if self._stream.eof and (chunk or self._stream.unused_data):
            raise EncodingError("an answer with bytes behind the end of its gzip")


def inflater_of(encodings: Sequence[str]) -> Inflater | None:
    """What unpacks a body with these content encodings; None for a plain one. Raises EncodingError."""
    layers = [name for name in (one.strip().lower() for one in encodings) if name not in _PLAIN]
    if not layers:
        return None
    if len(layers) == 1 and layers[0] in _GZIP:
        return Inflater()
    raise EncodingError(f"an answer encoded as {', '.join(layers)!r}, which was not asked for, and is not read")
