"""How numbers are written for people: counts, dollars, shares, time spans. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

__all__ = ["count_text", "counted", "share_text", "span_text", "usd_each_text", "usd_text"]

_CENT: Final = Decimal("0.01")
_DIME: Final = Decimal("0.1")
_TENTH_OF_A_CENT: Final = Decimal("0.001")
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


def count_text(number: int) -> str:
    """`1,250`."""
    return f"{number:,}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 row`, `1,250 rows`; `plural` where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def usd_text(usd: Decimal) -> str:
    """Dollars to the cent, and to the tenth of a cent where the amount has one: `$1,250.00`, `$0.005`."""
    exact = usd.quantize(_TENTH_OF_A_CENT, ROUND_HALF_UP)
    cents = exact.quantize(_CENT, ROUND_HALF_UP)
    return f"${cents if cents == exact else exact:,}"


def usd_each_text(usd: Decimal) -> str:
    """Dollars for one of many: two figures of an amount below a dime, `$0.011`, `$0.0005`; else to the cent."""
    if not 0 < usd < _DIME:
        return usd_text(usd)
    exact = usd.quantize(Decimal(1).scaleb(usd.adjusted() - 1), ROUND_HALF_UP)
    return f"${exact.normalize():f}" if exact < _CENT else usd_text(exact)


def share_text(part: int, whole: int) -> str:
    """`part` of `whole` in percent; never 0% of something, nor 100% of less than all."""
    if whole <= 0:
        return "–"  # noqa: RUF001 — a dash for "no figure", not a minus
    percent = 100 * part / whole
    if 0 < percent < 1:
        return "<1%"
    if part < whole and percent > 99:
        return ">99%"
    return f"{percent:.0f}%"


def span_text(seconds: float) -> str:
    """A time span in its two largest units: `8 s`, `6 min 12 s`, `1 h 02 min`, `2 d 03 h`."""
    whole = max(0, round(seconds))
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S:02} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S:02} h"


def usd_and_unpriced(usd: Decimal, unpriced: int) -> str:
    """Dollars, and what is not in them: `$1.25, and 3 runs at a price that is not known any more`."""
    more = f", and {counted(unpriced, 'run')} at a price that is not known any more" if unpriced else ""
    return usd_text(usd) + more
