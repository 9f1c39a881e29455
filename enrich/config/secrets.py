"""Keeps secrets out of configs: one that seems to hold a key is refused, and the key is shown nowhere.

The key that the environment holds is known, whatever it looks like; others are told by their form, or by the name of
what they are given for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final, TypeAlias

from enrich.api.secret import Secret
from enrich.config.tree import YamlNode
from enrich.errors import Fault

__all__ = ["Detector", "detector", "looks_secret", "take_secrets_out"]

Detector: TypeAlias = Callable[[str], bool]

_NAMES: Final = re.compile(
    r"(?:x_?)?(?:parallel_?)?(?:api_?)?(?:key|token|secret)|(?:api|access|auth|secret)_?(?:key|token|secret)"
    r"|password|passwd|authorization|bearer|credentials?"
)
_KNOWN_FORMS: Final = re.compile(
    r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}|\bgh[pousr]_[A-Za-z0-9]{24,}|\bAKIA[A-Z0-9]{12,}|\bxox[abp]-[A-Za-z0-9-]{10,}"
    r"|\bAIza[A-Za-z0-9_-]{30,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.|\bBearer\s+[A-Za-z0-9._~+/-]{16,}"
    r"|\b[A-Z_]*API_KEY\s*[=:]\s*\S{8,}"
)
# A long word of letters and digits that no one would make up: not in a URL, nor in camel case.
_WORD: Final = re.compile(r"(?<![A-Za-z0-9/=])[A-Za-z0-9]{24,}(?![A-Za-z0-9/])")
_MIN_SWITCHES: Final = 4  # between letters and digits
_MAX_LOWER_RUN: Final = 6

_WHAT: Final = "holds what looks like a secret"
_HINT: Final = (
    "a config must not hold keys: remove it, set PARALLEL_API_KEY in the environment, "
    "and replace the key if the file was shared"
)


def detector(secret: Secret | None) -> Detector:
    """Tells whether a text holds this key, or has the form of another."""
    if secret is None or not secret.is_recognisable:
        return looks_secret
    return lambda text: secret.is_in(text) or looks_secret(text)


def take_secrets_out(root: YamlNode, is_secret: Detector) -> list[Fault]:
    """Removes what seems to be a secret from the tree, so that no other fault shows it; a fault for each."""
    faults: list[Fault] = []
    _search(root, "", faults, is_secret)
    return faults


def looks_secret(text: str) -> bool:
    """Whether a text has the form of a key: a known prefix, or a long random word."""
    return bool(_KNOWN_FORMS.search(text)) or any(_is_random(word) for word in _WORD.findall(text))


def _search(node: YamlNode, path: str, faults: list[Fault], is_secret: Detector) -> None:
    if isinstance(node.value, dict):
        for key, inner in list(node.value.items()):
            where = f"{path}.{key}" if path else key
            if is_secret(key):
                faults.append(Fault("a key here looks like a secret", inner.line, path, _HINT))
                del node.value[key]
            elif _holds_secret(key, inner, path, is_secret):
                faults.append(Fault(_WHAT, inner.line, where, _HINT))
                del node.value[key]
            else:
                _search(inner, where, faults, is_secret)
    elif isinstance(node.value, list):
        for i, inner in enumerate(list(node.value)):
            if isinstance(inner.value, str) and is_secret(inner.value):
                faults.append(Fault(_WHAT, inner.line, f"{path}.{i}", _HINT))
                node.value.remove(inner)
            else:
                _search(inner, f"{path}.{i}", faults, is_secret)


def _holds_secret(key: str, node: YamlNode, path: str, is_secret: Detector) -> bool:
    if not isinstance(node.value, (str, int, float)) or isinstance(node.value, bool):
        return False
    if isinstance(node.value, str) and is_secret(node.value):
        return True
    # An input field may well be called "token"; the column behind it is no secret of ours.
    named = re.sub(r"[^a-z]+", "_", key.casefold()).strip("_")
    return path != "inputs" and _NAMES.fullmatch(named) is not None


def _is_random(word: str) -> bool:
    if word.upper() == word:  # numbers of securities, accounts and companies
        return False
    switches = sum(a.isdigit() != b.isdigit() for a, b in pairwise(word))
    longest = max(map(len, re.findall(r"[a-z]+", word)), default=0)
    return switches >= _MIN_SWITCHES and longest <= _MAX_LOWER_RUN
