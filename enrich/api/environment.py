"""What enrich reads of the environment. The key leaves it here: from now on it is a Secret, and in no mapping.

Whoever shows or sends the variables that a program holds (a traceback with its locals, a logger) finds no key in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Final

from enrich.api.secret import KEY_VARIABLE, NOT_SENDABLE, Secret, is_sendable

__all__ = ["BASE_URL_VARIABLE", "OLD_REQUESTS_VARIABLE", "RUNS_VARIABLE", "Environment"]

BASE_URL_VARIABLE: Final = "PARALLEL_BASE_URL"
RUNS_VARIABLE: Final = "ENRICH_RUNS_PER_MINUTE"
OLD_REQUESTS_VARIABLE: Final = "ENRICH_REQUESTS_PER_MINUTE"  # until 0.3.0
_READ: Final = (BASE_URL_VARIABLE, RUNS_VARIABLE, OLD_REQUESTS_VARIABLE)


class Environment(Mapping[str, str]):
    """The variables that are read, but for the key; `repr` names them and shows none of their values.

    `key` is that of PARALLEL_API_KEY; where it is one that can't be sent, there is none, `key_fault` says why, and
    `unusable` is what must not be shown all the same.
    """

    __slots__ = ("_variables", "key", "key_fault", "unusable")

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._variables = {name: environ[name] for name in _READ if name in environ}
        self.key, self.unusable = _keys(environ.get(KEY_VARIABLE, ""))
        self.key_fault = "" if self.unusable is None else f"{KEY_VARIABLE}: {NOT_SENDABLE}"

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Environment:
        """The environment in any mapping; itself if it is one already."""
        return environ if isinstance(environ, Environment) else cls(environ)

    @classmethod
    def here(cls) -> Environment:
        """That of this process."""
        return cls(os.environ)

    @property
    def secret(self) -> Secret | None:
        """What must not be shown: the key, or what stands in its place."""
        return self.key or self.unusable

    def __getitem__(self, name: str) -> str:
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __repr__(self) -> str:
        key = "" if self.secret is None else f", {KEY_VARIABLE}=…"
        return f"Environment({', '.join(self)}{key})".replace("(, ", "(")


def _keys(text: str) -> tuple[Secret | None, Secret | None]:
    """The key, and what can't be one."""
    word = text.strip()
    if not word:
        return None, None
    if is_sendable(word):
        return Secret(word), None
    return None, Secret("".join(c for c in word if is_sendable(c)) or "-")
