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
    """Price of a run in millionths of a dollar. Raises KeyError for a processor that is not known."""
    return micro(PROCESSORS[processor].usd)


def known_price_micro(processor: str) -> int | None:
    """Price of a run in millionths of a dollar; None for a processor that is not known, or not any more."""
    return price_micro(processor) if processor in PROCESSORS else None


def rank_micro(processor: str) -> int:
    """Where a processor stands among the others: by its price, and below them all if it is not known any more."""
    return known_price_micro(processor) or 0
