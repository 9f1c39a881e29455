"""Dates, times and durations of Arrow as text: ISO 8601, exact, in any unit and year.

Nine digits where there are nanoseconds, years beyond 9999 with their sign, a zone as its offset.
"""

import datetime
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa

_A_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DIGITS: Final = {"s": 3, "ms": 3, "us": 6, "ns": 9}  # of a column's own values; seconds are kept as milliseconds
_MOST: Final = 2**63 - 1
_DAY_S: Final = 86_400
_DAY_MS: Final = 86_400_000
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_EPOCH_DAY: Final = datetime.date(1970, 1, 1).toordinal()
_YEARS_S: Final = (-62_135_596_800, 253_402_300_799)  # years 1 to 9999
_PLAIN_YEARS: Final = 8030  # from 1970 to 9999, and one more
_POLARS_YEARS: Final = 200_000
_ROUND_ZONES_S: Final = 94_694_400  # since 1973 all zones are off by whole minutes
_OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)?", re.ASCII)


def in_plain_time(array: pa.Array) -> bool:
    """Whether dates and times are within what every library has: years 1 to 9999, clocks within a day.

    With a time zone only since 1973: before, zones were off by seconds too, which ISO 8601 has no place for.
    """
    import pyarrow.compute as pc

    least, most = _plain_times(array.type)
    found = pc.min_max(array.cast(_counts_of(array.type)))
    low, high = found["min"].as_py(), found["max"].as_py()
    return low is None or (least <= low and high <= most)


def within_polars(array: pa.Array) -> pa.Array:
    """Dates and times as they are, those beyond what polars has (year 262143) as the last that it has."""
    import pyarrow.compute as pc

    if in_plain_time(array):
        return array
    least, most = _plain_times(array.type)
    if not pa.types.is_time(array.type):
        size = 2**31 - 1 if array.type.bit_width == 32 else _MOST
        unit = getattr(array.type, "unit", "ms")
        size = size // 1000 if unit == "s" else size  # which polars makes milliseconds of
        far = _POLARS_YEARS * (most // _PLAIN_YEARS) if not pa.types.is_duration(array.type) else size
        least, most = -min(size, far), min(size, far)
    counts = _counts_of(array.type)
    near = pc.min_element_wise(array.cast(counts), pa.scalar(most, counts), skip_nulls=False)
    return pc.max_element_wise(near, pa.scalar(least, counts), skip_nulls=False).view(array.type)


def _counts_of(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if kind.bit_width == 32 else pa.int64()


def _plain_times(kind: pa.DataType) -> tuple[int, int]:
    first, last = _YEARS_S
    if pa.types.is_date32(kind):
        return first // _DAY_S, last // _DAY_S
    if pa.types.is_date64(kind):
        return first * 1000, last * 1000
    if pa.types.is_time(kind):
        return 0, _DAY_S * _A_SECOND[kind.unit] - 1
    if pa.types.is_duration(kind):
        most = min(last * _A_SECOND[kind.unit], _MOST)
        return -most, most
    first = first if kind.tz is None else _ROUND_ZONES_S
    return first * _A_SECOND[kind.unit], (last - _DAY_S) * _A_SECOND[kind.unit]


def time_texts(array: pa.Array, strict: bool) -> list[str | None]:
    """The cells of an array of dates, times or durations as text; `strict` gives all digits of their unit."""
    if pa.types.is_interval(array.type):
        return [None if one is None else _interval(*one) for one in array.to_pylist()]
    counts = array.cast(_counts_of(array.type)).to_pylist()
    text = _time_text(array.type, strict)
    return [None if count is None else text(count) for count in counts]


def _time_text(kind: pa.DataType, strict: bool) -> Callable[[int], str]:
    """What makes a text of a count of days, or of a fraction of a second."""
    types = pa.types
    if types.is_date32(kind):
        return _date
    if types.is_date64(kind):
        return _date_of_ms
    unit = _A_SECOND[kind.unit]
    digits = _DIGITS[kind.unit] if strict else 0
    if types.is_time(kind):
        return lambda count: _clock(count, unit, 0)
    if types.is_duration(kind):
        return lambda count: _duration(count, unit, in_hours=strict)
    offset = (lambda second: None) if kind.tz is None else _offsets_of(kind.tz)
    utc = "+00:00" if strict else "Z"
    return lambda count: _moment(count, unit, digits, offset, utc)


def _date(days: int) -> str:
    ordinal = days + _EPOCH_DAY
    if 1 <= ordinal <= datetime.date.max.toordinal():
        return datetime.date.fromordinal(ordinal).isoformat()
    # Every 400 years the calendar begins anew.
    eras, ordinal = divmod(ordinal - 1, 146_097)
    year = datetime.date.fromordinal(ordinal + 1)
    return f"{_year(year.year + 400 * eras)}-{year.month:02}-{year.day:02}"


def _year(year: int) -> str:
    if 0 <= year <= 9999:
        return f"{year:04}"
    return f"{'-' if year < 0 else '+'}{abs(year):04}"


def _date_of_ms(count: int) -> str:
    days, rest = divmod(count, _DAY_MS)
    return _date(days) + (f"T{_clock(rest, 1000, 3)}" if rest else "")


def _moment(count: int, unit: int, digits: int, offset: Callable[[int], int | None], utc: str) -> str:
    second, fraction = divmod(count, unit)
    shift = offset(second)
    days, of_day = divmod(second + (shift or 0), _DAY_S)
    text = f"{_date(days)}T{_clock(of_day * unit + fraction, unit, digits)}"
    return text if shift is None else text + (_offset_text(shift) if shift else utc)


def _clock(count: int, unit: int, digits: int) -> str:
    """A time of day; a count of more than a day, which Arrow lets stand, has more hours than 23."""
    second, fraction = divmod(abs(count), unit)
    text = f"{'-' if count < 0 else ''}{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    nanoseconds = fraction * (1_000_000_000 // unit)
    if not digits:
        digits = 9 if nanoseconds % 1000 else 6 if nanoseconds else 0
    return f"{text}.{nanoseconds:09}"[: len(text) + 1 + digits] if digits else text


def _offset_text(seconds: int) -> str:
    size = abs(seconds)
    text = f"{'-' if seconds < 0 else '+'}{size // 3600:02}:{size // 60 % 60:02}"
    return f"{text}:{size % 60:02}" if size % 60 else text


@lru_cache(maxsize=64)
def _offsets_of(zone: str) -> Callable[[int], int]:
    """How many seconds a zone is ahead of UTC at a second; a zone that nobody knows is shown in UTC."""
    fixed = _OFFSET.fullmatch(zone)
    if fixed is not None:
        sign, hours, minutes = fixed.groups()
        seconds = int(hours) * 3600 + int(minutes or 0) * 60
        return lambda second: -seconds if sign == "-" else seconds
    try:
        info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return lambda second: 0
    return lambda second: _offset_at(info, second)


def _offset_at(zone: ZoneInfo, second: int) -> int:
    first, last = _YEARS_S
    if not first + _DAY_S <= second <= last - _DAY_S:
        return 0
    offset = (_EPOCH + datetime.timedelta(seconds=second)).astimezone(zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds())


def _duration(count: int, unit: int, *, in_hours: bool) -> str:
    """As ISO 8601 has it: days, then seconds; or hours and minutes too."""
    seconds, fraction = divmod(abs(count), unit)
    days, seconds = divmod(seconds, _DAY_S)
    parts = [(seconds // 3600, "H"), (seconds // 60 % 60, "M")] if in_hours else []
    text = "".join(f"{number}{name}" for number, name in parts if number)
    rest = _in_seconds(seconds % 60 if in_hours else seconds, fraction, unit)
    text += rest if rest != "0S" or not (text or days) else ""
    if not count:
        return "PT0S" if in_hours else "P0D"
    return ("-P" if count < 0 else "P") + (f"{days}D" if days else "") + (f"T{text}" if text else "")


def _in_seconds(seconds: int, fraction: int, unit: int) -> str:
    digits = f"{fraction * (1_000_000_000 // unit):09}".rstrip("0")
    return f"{seconds}.{digits}S" if digits else f"{seconds}S"


def _interval(months: int, days: int, nanoseconds: int) -> str:
    sign = "-" if nanoseconds < 0 else ""
    seconds, fraction = divmod(abs(nanoseconds), 1_000_000_000)
    return f"P{months}M{days}DT{sign}{_in_seconds(seconds, fraction, 1_000_000_000)}"
