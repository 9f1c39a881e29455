"""Names of encodings that a text file may be in."""

import codecs
from typing import Final

__all__ = ["text_codec"]

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
