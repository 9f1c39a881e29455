"""Arrow arrays of any type as JSON values: exact, with nothing but pyarrow.

Texts, numbers and booleans stay, dates and times are ISO 8601 (nine digits where there are nanoseconds, years beyond
9999 with their sign), decimals are text, bytes are base64, lists are lists, structs are objects, maps lists of pairs.
pyarrow's own `to_pylist` needs pandas for nanoseconds and has no year 10000; polars' cuts nanoseconds.
"""

import datetime
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final
from uuid import UUID
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

_Values = list[Any]


def json_values(array: pa.Array) -> list[Any]:
    """The cells of an array as JSON values, None for null. Bytes in a text that are no UTF-8 are lone surrogates."""
    return _values(array, strict=False)


def json_cells(array: pa.Array) -> list[Any]:
    """The same for a column whose own cells are no JSON values: its dates and times have all digits of their unit."""
    return _values(array, strict=True)


def first_bad_text(array: pa.Array) -> int | None:
    """The place of the first cell with a text in it that is not UTF-8, None where all are."""
    if all(map(_is_sound, _texts_in(array))):
        return None
    return next((place for place, value in enumerate(json_values(array)) if _is_broken(value)), None)


def holds_text(arrow_type: pa.DataType) -> bool:
    """Whether there is text anywhere in a type."""
    return _is_text(arrow_type) or any(map(holds_text, inner_types(arrow_type)))


def inner_types(arrow_type: pa.DataType) -> list[pa.DataType]:
    """The types that a type is made of."""
    if isinstance(arrow_type, pa.BaseExtensionType):
        return [arrow_type.storage_type]
    if pa.types.is_dictionary(arrow_type) or pa.types.is_run_end_encoded(arrow_type):
        return [arrow_type.value_type]
    return [arrow_type.field(number).type for number in range(arrow_type.num_fields)]


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


# --- values by type


def _values(array: pa.Array, *, strict: bool) -> _Values:
    kind, types = array.type, pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _of_extension(array, strict)
    if _is_text(kind):
        return _texts(array)
    if types.is_temporal(kind):
        return _of_times(array, strict)
    if _is_binary(kind):
        return [None if one is None else b64encode(one).decode() for one in array.to_pylist()]
    if types.is_decimal(kind):
        return [None if one is None else str(one) for one in array.to_pylist()]
    if types.is_dictionary(kind):
        return _of_dictionary(array, strict)
    if types.is_run_end_encoded(kind):
        return _of_runs(array, strict)
    if types.is_nested(kind):
        return _of_nested(array)
    plain: _Values = array.to_pylist()
    return plain


def _of_extension(array: pa.ExtensionArray, strict: bool) -> _Values:
    values = _values(array.storage, strict=strict)
    if isinstance(array.type, pa.UuidType):
        return [None if one is None else str(UUID(bytes=one)) for one in array.storage.to_pylist()]
    if isinstance(array.type, pa.Bool8Type):
        return [None if one is None else one != 0 for one in values]
    return values


def _of_dictionary(array: pa.DictionaryArray, strict: bool) -> _Values:
    places = array.indices.to_pylist()
    found = {
        place: _values(array.dictionary.slice(place, 1), strict=strict)[0] for place in {*places} if place is not None
    }
    return [None if place is None else found[place] for place in places]


def _of_runs(array: pa.RunEndEncodedArray, strict: bool) -> _Values:
    first, count = array.find_physical_offset(), array.find_physical_length()
    ends = array.run_ends.slice(first, count).to_pylist()
    values: _Values = []
    for end, value in zip(ends, _values(array.values.slice(first, count), strict=strict), strict=True):
        values.extend([value] * (min(end - array.offset, len(array)) - len(values)))
    return values


def _of_nested(array: pa.Array) -> _Values:
    types = pa.types
    if types.is_union(array.type):
        return _of_union(array)
    if types.is_struct(array.type):
        cells = _of_struct(array)
    elif types.is_map(array.type):
        first, lengths = _ranges(array)
        keys, items = (json_values(part.slice(first, sum(lengths))) for part in (array.keys, array.items))
        pairs = [[key, item] for key, item in zip(keys, items, strict=True)]
        cells = _cut(pairs, lengths)
    elif types.is_list_view(array.type) or types.is_large_list_view(array.type):
        inner = json_values(array.values)
        starts = zip(array.offsets.to_pylist(), array.sizes.to_pylist(), strict=True)
        cells = [inner[start : start + size] for start, size in starts]
    else:
        cells = _cut(json_values(_items(array)), _ranges(array)[1])
    if not array.null_count:
        return cells
    return [cell if there else None for cell, there in zip(cells, array.is_valid().to_pylist(), strict=True)]


def _items(array: pa.Array) -> pa.Array:
    """What stands in the lists of an array, one list after the other."""
    first, lengths = _ranges(array)
    return array.values.slice(first, sum(lengths))


def _ranges(array: pa.Array) -> tuple[int, list[int]]:
    """Where the first list of an array begins among its values, and how long each is."""
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        return array.offset * size, [size] * len(array)
    offsets = array.offsets.to_pylist()
    return offsets[0], [end - start for start, end in pairwise(offsets)]


def _cut(values: _Values, lengths: list[int]) -> _Values:
    cells, start = [], 0
    for length in lengths:
        cells.append(values[start : start + length])
        start += length
    return cells


def _of_struct(array: pa.StructArray) -> _Values:
    """Objects; lists of [name, value] where names stand twice."""
    names = [field.name for field in array.type]
    columns = [json_values(array.field(number)) for number in range(len(names))]
    rows: Any = zip(*columns, strict=True) if columns else [()] * len(array)
    if len({*names}) < len(names):
        return [[[name, value] for name, value in zip(names, row, strict=True)] for row in rows]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _of_union(array: pa.UnionArray) -> _Values:
    start, end = array.offset, array.offset + len(array)
    _, codes, *offsets = array.buffers()[: 3 if array.type.mode == "dense" else 2]
    branches = [array.type.type_codes.index(code) for code in memoryview(codes)[start:end].cast("b")]
    if offsets:
        places = memoryview(offsets[0])[4 * start : 4 * end].cast("i")
        return [json_values(array.field(n).slice(place, 1))[0] for n, place in zip(branches, places, strict=True)]
    columns = [json_values(array.field(number)) for number in range(array.type.num_fields)]
    return [columns[branch][place] for place, branch in enumerate(branches)]


# --- text


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return any(is_type(kind) for is_type in (types.is_string, types.is_large_string, types.is_string_view))


def _is_binary(kind: pa.DataType) -> bool:
    types = pa.types
    known = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
    return any(is_type(kind) for is_type in known)


def _texts(array: pa.Array) -> _Values:
    try:
        plain: _Values = array.to_pylist()
    except UnicodeDecodeError:
        return [None if one is None else one.decode("utf-8", "surrogateescape") for one in as_bytes(array).to_pylist()]
    return plain


def as_bytes(array: pa.Array) -> pa.Array:
    """An array of text as the bytes that it holds, whatever they are."""
    kinds = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
    return pa.Array.from_buffers(kinds[array.type], len(array), array.buffers(), array.null_count, array.offset)


def decoded(array: pa.DictionaryArray) -> pa.Array:
    """The values that an array of a dictionary stands for; views, of which Arrow can't take some, as large arrays."""
    values = array.dictionary
    if pa.types.is_string_view(values.type):
        large = as_bytes(values).cast(pa.large_binary())  # unlike a cast to text it takes bytes that are none
        values = pa.Array.from_buffers(pa.large_string(), len(large), large.buffers(), large.null_count, large.offset)
    elif pa.types.is_binary_view(values.type):
        values = values.cast(pa.large_binary())
    return pa.DictionaryArray.from_arrays(array.indices, values).dictionary_decode()


def _texts_in(array: pa.Array) -> Iterator[pa.Array]:
    """The arrays of text that an array is made of."""
    kind, types = array.type, pa.types
    if not holds_text(kind):
        return
    if _is_text(kind):
        yield array
    elif isinstance(kind, pa.BaseExtensionType):
        yield from _texts_in(array.storage)
    elif types.is_dictionary(kind):
        yield from _texts_in(array.dictionary)
    elif types.is_run_end_encoded(kind):
        yield from _texts_in(array.values)
    elif types.is_struct(kind) or types.is_union(kind):
        for number in range(kind.num_fields):
            yield from _texts_in(array.field(number))
    elif types.is_map(kind):
        first, lengths = _ranges(array)
        for part in (array.keys, array.items):
            yield from _texts_in(part.slice(first, sum(lengths)))
    elif types.is_list_view(kind) or types.is_large_list_view(kind):
        yield from _texts_in(array.values)
    else:
        yield from _texts_in(_items(array))


def _is_sound(texts: pa.Array) -> bool:
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _is_broken(value: Any) -> bool:
    """Whether a text in a value has bytes that are no UTF-8."""
    if isinstance(value, str):
        return not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, dict):
        return any(map(_is_broken, value.values()))
    return isinstance(value, list) and any(map(_is_broken, value))


# --- dates and times


def _of_times(array: pa.Array, strict: bool) -> _Values:
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
