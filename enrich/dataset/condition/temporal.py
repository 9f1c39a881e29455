"""Dates and times of a condition: read from text, compared as nanoseconds, moved by intervals."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from enrich.dataset.condition.nodes import ConditionError, Infix, Typed
from enrich.dataset.condition.values import SHOWN, TEMPORAL, Value, ValueKind
from enrich.text.hostile import clean

_NS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000}
_DAY_NS: Final = 86_400 * 10**9


def temporal_constant(kind: ValueKind, value: date | time) -> Value:
    """A date or time that is written out."""
    dtype: pl.DataType = {"date": pl.Date(), "time": pl.Time(), "timestamp": pl.Datetime("us")}.get(
        kind, pl.Datetime("us", "UTC")
    )
    return Value(kind, pl.lit(value, dtype), "", dtype, value)


def read_as(value: Value, like: Value) -> Value:
    """A text in quotes beside a date or a time, read as one."""
    if like.kind not in TEMPORAL or not isinstance(value.constant, str):
        return value
    kind, zone = like.kind, None
    if kind == "moment":
        zone = _zone(like.dtype)
    elif kind == "date" and len(value.constant.strip()) > len("2024-12-31"):
        kind = "timestamp"
    return replace(temporal_constant(kind, read_temporal(value.constant, kind, zone, value.at)), shown=value.shown)


def _zone(dtype: pl.DataType) -> tzinfo:
    name = getattr(dtype, "time_zone", None) or "UTC"
    if match := re.fullmatch(r"([+-])(\d\d):?(\d\d)", name):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-offset if match[1] == "-" else offset)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        reason = f"the time zone {name} is not known here"
        raise ConditionError(reason, "write an offset, such as '2024-12-31T12:00:00+01:00'") from None


_FORMS: Final[dict[str, str]] = {
    "date": "a date such as '2024-12-31'",
    "time": "a time such as '23:59:00'",
    "timestamp": "a timestamp such as '2024-12-31 23:59:00'",
    "moment": "a timestamp such as '2024-12-31 23:59:00'",
}


def read_temporal(text: str, kind: ValueKind, zone: tzinfo | None, at: int) -> date | time:
    """A text as a date, time, timestamp, or moment (a time without an offset is one of `zone`)."""
    try:
        if kind == "date":
            return date.fromisoformat(text.strip())
        if kind == "time":
            return time.fromisoformat(text.strip())
        found = datetime.fromisoformat(text.strip())
        if zone is not None:
            return found.replace(tzinfo=found.tzinfo or zone).astimezone(UTC)
        if found.tzinfo is None:
            return found
    except (ValueError, OverflowError):
        pass
    raise ConditionError(f"'{clean(text, SHOWN)}' is not {_FORMS[kind]}", "write it in this form", at)


def nanoseconds(value: Value) -> pl.Expr:
    """Since 1970, or since midnight; 128 bits, so that none of any unit is lost."""
    if value.constant is not None:
        return pl.lit(_ns_of(value.constant), pl.Int128())
    if value.kind == "null":
        return pl.lit(None, pl.Int128())
    if value.dtype == pl.Date:
        return value.expr.cast(pl.Int32).cast(pl.Int128) * _DAY_NS
    factor = 1 if value.dtype == pl.Time else _NS[value.dtype.time_unit]  # type: ignore[attr-defined]
    return value.expr.cast(pl.Int64).cast(pl.Int128) * factor


def _ns_of(value: date | time) -> int:
    if isinstance(value, time):
        whole = timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
        return (whole // timedelta(microseconds=1)) * 1_000
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 (dates have no zone)
    epoch = datetime(1970, 1, 1, tzinfo=None if value.tzinfo is None else UTC)
    return ((value - epoch) // timedelta(microseconds=1)) * 1_000


_UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_INTERVAL: Final = re.compile(r"\s*([+-]?\d{1,9})\s+(second|minute|hour|day|week|month|year)s?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Interval:
    months: int = 0
    seconds: int = 0

    def __neg__(self) -> "_Interval":
        return _Interval(-self.months, -self.seconds)


def read_interval(node: Typed) -> _Interval:
    """An interval by its text, such as `30 days`. Raises ConditionError."""
    match = _INTERVAL.fullmatch(node.text)
    if match is None:
        raise ConditionError(f"'{clean(node.text, SHOWN)}' is no interval", "write INTERVAL '30 days'", node.at)
    count, unit = int(match[1]), match[2].lower()
    if unit in ("month", "year"):
        return _Interval(months=count * (12 if unit == "year" else 1))
    return _Interval(seconds=count * _UNITS[unit])


def moved(node: Infix, left: Value, right: Value) -> Value:
    """A date or timestamp that is written out or is now, before or after an interval."""
    interval = right.constant
    if right.kind == "number" and left.kind == "date" and right.bits is not None and interval is not None:
        interval = _Interval(seconds=int(interval) * 86_400)
    if left.constant is None or not isinstance(interval, _Interval):
        reason = f"{node.operator} moves a date that is written out, or now, by an interval that is written out"
        raise ConditionError(reason, "compare the column with CURRENT_DATE - INTERVAL '30 days'", node.at)
    try:
        return temporal_constant(left.kind, _shifted(left.constant, -interval if node.operator == "-" else interval))
    except (ValueError, OverflowError):
        raise ConditionError("the date is out of range", "years are 1 to 9999", node.at) from None


def _shifted(start: date, interval: _Interval) -> date:
    month = start.year * 12 + start.month - 1 + interval.months
    year, month = month // 12, month % 12 + 1
    last = (date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day if year < 9999 or month < 12 else 31
    moved = start.replace(year=year, month=month, day=min(start.day, last))
    return moved + timedelta(seconds=interval.seconds)


MOMENTS: Final[dict[str, Callable[[datetime], tuple[ValueKind, date]]]] = {
    "current_date": lambda now: ("date", now.date()),
    "today": lambda now: ("date", now.date()),
    "current_timestamp": lambda now: ("moment", now),
    "now": lambda now: ("moment", now),
    "localtimestamp": lambda now: ("timestamp", now.replace(tzinfo=None)),
}
