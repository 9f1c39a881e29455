"""Dollars and millionths of them, and what a run costs."""

from decimal import Decimal

from enrich.spec.processors import PROCESSORS


def dollars(micro: int) -> Decimal:
    """Millionths of a dollar as dollars."""
    return Decimal(micro) / 1_000_000


def micro(usd: Decimal) -> int:
    """Dollars as whole millionths of a dollar."""
    return int(usd * 1_000_000)


def price_micro(processor: str) -> int:
    """Price of a run in millionths of a dollar; 0 for a processor that is not known any more."""
    known = PROCESSORS.get(processor)
    return 0 if known is None else micro(known.usd)
