"""Deterministic draws: the same seed and the same words give the same numbers, in any order of asking."""

from hashlib import blake2b


def chance(seed: int, *words: str) -> float:
    """A number in [0, 1) that depends on nothing but the seed and the words."""
    digest = blake2b("\x1f".join((str(seed), *words)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


class Dice:
    """An endless row of draws from one seed and one name; never repeats another name's row."""

    __slots__ = ("_key", "_pool", "_rolls")

    def __init__(self, seed: int, name: bytes) -> None:
        self._key = blake2b(b"%d\x1f%b" % (seed, name), digest_size=32).digest()
        self._pool = int.from_bytes(self._key, "big")
        self._rolls = 0

    def below(self, n: int) -> int:
        """A whole number in [0, n), for n up to 2**32."""
        if self._pool < 1 << 64:
            self._rolls += 1
            fresh = blake2b(self._rolls.to_bytes(4, "big"), key=self._key, digest_size=64).digest()
            self._pool = int.from_bytes(fresh, "big")
        self._pool, number = divmod(self._pool, n)
        return number
