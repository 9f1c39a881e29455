"""Text that compresses as prose does: words that follow one another as in Python's own language reference.

That reference has few names and figures, of which web pages are full: every tenth word is one. Repeating a few
sentences would flatter the compression of a ledger, random letters would wrong it.
"""

import random
import re
from itertools import pairwise
from pydoc_data.topics import topics

_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*[,.;:]?")
_RARE = 0.1
_SYLLABLES = ("ba", "cor", "del", "en", "fu", "gra", "hol", "in", "ja", "kel", "lo", "mar", "nov", "or", "pe", "qua")
_DOMAINS = ("com", "org", "net", "co.uk", "de", "io", "fr", "com.au")


class Prose:
    """A long text made once, from which pieces are cut; the same for the same seed."""

    def __init__(self, seed: int, words: int = 1_200_000) -> None:
        self.random = random.Random(seed)
        source = _WORD.findall(" ".join(topics[name] for name in sorted(topics)))
        followers: dict[str, list[str]] = {}
        for word, after in pairwise(source):
            followers.setdefault(word, []).append(after)
        draw, word, chain = self.random.random, source[0], []
        for _ in range(words):
            after = followers.get(word) or source
            word = after[int(draw() * len(after))]
            chain.append(word if draw() > _RARE else self._rare())
        self._text = " ".join(chain)
        self._words = sorted({word.lower() for word in source if word.isalpha() and len(word) > 3})

    def _rare(self) -> str:
        draw = self.random.random
        if draw() < 0.4:
            return f"{int(10 ** (1 + 5 * draw())):,}"
        return "".join(_SYLLABLES[int(draw() * len(_SYLLABLES))] for _ in range(2 + int(draw() * 3))).title()

    def piece(self, characters: int) -> str:
        """Some words in a row, about so many characters."""
        start = self._text.find(" ", self.random.randrange(len(self._text) - characters - 64)) + 1
        end = self._text.find(" ", start + characters)
        return self._text[start:end]

    def word(self) -> str:
        """One word."""
        return self.random.choice(self._words)

    def address(self) -> str:
        """A web address that nobody else has."""
        number = self.random.randrange(10**6)
        return f"https://www.{self.word()}-{self.word()}.{self.random.choice(_DOMAINS)}/{self.word()}/{number}"
