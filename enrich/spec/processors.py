"""The vendor's processors: price, usual latency, size; the one place where these numbers stand.

Prices are in US dollars for one run, whatever the number of fields. They were taken from the vendor's public
price list and change without notice; everything that counts money reads them here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final

__all__ = ["NAMES", "PROCESSORS", "Processor", "price"]

_FAST: Final = "-fast"
_FAST_SPEEDUP: Final = 3  # "2 to 5 times sooner", by the vendor


@dataclass(frozen=True, slots=True)
class Processor:
    """One way of having a run worked on."""

    name: str
    usd: Decimal  # for one run
    latency_s: tuple[int, int]  # usual shortest and longest, seconds
    fields: int  # about how many output fields it answers well
    confidence: bool  # whether its answers carry a confidence (by an older page; the current one doesn't say)


def _processor(
    name: str, usd_per_1000: int, shortest_s: int, longest_s: int, fields: int, *, confidence: bool = True
) -> Processor:
    return Processor(name, Decimal(usd_per_1000) / 1000, (shortest_s, longest_s), fields, confidence)


def _fast(processor: Processor) -> Processor:
    shortest_s, longest_s = processor.latency_s
    sooner = (max(1, shortest_s // _FAST_SPEEDUP), longest_s // _FAST_SPEEDUP)
    return Processor(processor.name + _FAST, processor.usd, sooner, processor.fields, processor.confidence)


_MINUTE: Final = 60
_REGULAR: Final = (
    _processor("lite", 5, 10, _MINUTE, 2, confidence=False),
    _processor("base", 10, 15, 100, 5, confidence=False),
    _processor("core", 25, _MINUTE, 5 * _MINUTE, 10),
    _processor("core2x", 50, _MINUTE, 10 * _MINUTE, 10),
    _processor("pro", 100, 2 * _MINUTE, 10 * _MINUTE, 20),
    _processor("ultra", 300, 5 * _MINUTE, 25 * _MINUTE, 20),
    _processor("ultra2x", 600, 5 * _MINUTE, 50 * _MINUTE, 25),
    _processor("ultra4x", 1200, 5 * _MINUTE, 90 * _MINUTE, 25),
    _processor("ultra8x", 2400, 5 * _MINUTE, 120 * _MINUTE, 25),
)

PROCESSORS: Final[Mapping[str, Processor]] = MappingProxyType({p.name: p for p in (*_REGULAR, *map(_fast, _REGULAR))})
NAMES: Final = f"there are {', '.join(p.name for p in _REGULAR)}, and each with {_FAST}"  # for messages


def price(name: str) -> Decimal:
    """US dollars for one run of the processor; KeyError for a name that isn't known."""
    return PROCESSORS[name].usd
