"""Bytes of an answer as what was expected of them, bounded in depth."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from enrich.text.encodings import decoded_pieces, is_utf8
from enrich.text.mending import is_deep

__all__ = ["UNREADABLE", "UnreadableError", "as_utf8", "decode_body", "decode_shallow"]

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for bytes that it can't take."""

T = TypeVar("T")


class UnreadableError(ValueError):
    """Bytes that aren't the JSON that was expected of them."""


def decode_body(body: bytes, kind: type[T]) -> T:
    """The body of an answer that must be just what was asked for. Raises UnreadableError."""
    try:
        return msgspec.json.decode(as_utf8(body), type=kind)
    except UNREADABLE as error:
        raise UnreadableError(str(error)) from None


def decode_shallow(body: bytes, kind: type[T]) -> T:
    """JSON of any shape, where `kind` leaves that open: at most a hundred levels of it. Raises UnreadableError."""
    if is_deep(body):
        raise UnreadableError("it is nested more than a hundred levels deep")
    return decode_body(body, kind)


def as_utf8(data: bytes) -> bytes:
    """The bytes, with U+FFFD for what is no UTF-8: raw parts are kept, and must be readable later."""
    if is_utf8(data):
        return data
    return b"".join(piece.encode() for piece in decoded_pieces(data, "replace"))
