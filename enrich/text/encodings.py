"""Names of encodings that a text file may be in."""

import codecs
from collections.abc import Iterator
from typing import Final

__all__ = ["decoded_pieces", "is_utf8", "text_codec"]

_PIECE_BYTES: Final = 1 << 20  # one odd character makes a text take four times as much memory as its bytes

_OF_HOST_NAMES: Final = frozenset({"idna", "punycode"})


def text_codec(name: str) -> str:
    """Python's own name of an encoding; LookupError where no text file can be in it."""
    try:
        found = codecs.lookup(name).name
        "".encode(found)  # some names are of codecs that are no encodings of text
    except ValueError:
        raise LookupError(name) from None
    if found in _OF_HOST_NAMES:
        raise LookupError(name)
    return found


def is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8, found without a text as long as they are."""
    if data.isascii():
        return True
    try:
        for _ in decoded_pieces(data):
            pass
    except UnicodeDecodeError:
        return False
    return True


def decoded_pieces(data: bytes, errors: str = "strict") -> Iterator[str]:
    """The text that UTF-8 stands for, piece by piece, `errors` as in `bytes.decode`. Raises UnicodeDecodeError."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    for start in range(0, len(data), _PIECE_BYTES):
        yield decoder.decode(data[start : start + _PIECE_BYTES])
    yield decoder.decode(b"", final=True)
