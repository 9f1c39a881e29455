"""Names that look the same and are spelled differently: an accented letter is one character (NFC) or two (NFD).

Keyboards type the one, some programs export the other. A name finds the one that differs from it only so. Pure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

__all__ = ["find_name", "fold_name", "spelled", "twins"]


def fold_name(name: str) -> str:
    """The same text for all names that look the same."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def find_name(name: str, names: Iterable[str]) -> str | None:
    """The name itself where it is there, else the one that looks the same; None where there is none.

    That none looks the same as another is for the caller to see to (`twins`).
    """
    known = names if isinstance(names, (set, frozenset, dict)) else list(names)
    if name in known:
        return name
    folded = fold_name(name)
    return next((other for other in known if fold_name(other) == folded), None)


def twins(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each name that looks the same as an earlier one and is spelled differently, after that one."""
    first: dict[str, str] = {}
    for name in names:
        earlier = first.setdefault(fold_name(name), name)
        if earlier != name:
            yield earlier, name


def spelled(name: str) -> str:
    r"""A name with an escape for each character beyond ASCII, to tell two spellings apart: `Soci\xe9t\xe9`."""
    return name.encode("unicode_escape").decode("ascii")
