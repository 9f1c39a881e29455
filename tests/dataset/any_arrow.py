"""Random Arrow columns of every type that there is, made of plain Python values, and what their cells must say.

A `Kind` is a type with a strategy for its values. `build` makes arrays of them out of their parts, and `says` holds a
cell of a text format against a value: it reads the cell by rules of its own, not by those of the code under test.
"""

import base64
import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import Any
from uuid import UUID

import pyarrow as pa
from hypothesis import strategies as st

Raw = Any


@dataclass(frozen=True, slots=True)
class Kind:
    """A type, its values (never None), how an array is made of them (None for null), and what a cell says."""

    type: pa.DataType
    values: st.SearchStrategy[Raw]
    build: Callable[[list[Raw]], pa.Array]
    says: Callable[[Any, Raw], bool]


def means(kind: Kind, cell: Any, raw: Raw) -> bool:
    """Whether a JSON value is a value of a kind, or null for null."""
    return cell is None if raw is None else cell is not None and kind.says(cell, raw)


def means_text(kind: Kind, text: str | None, raw: Raw) -> bool:
    """Whether the text of a cell is a value of a kind: a text as it is, all else as JSON; empty for null and for ""."""
    if raw is None or text in (None, ""):
        return text in (None, "") and (raw is None or means(kind, "", raw))
    try:
        value = json.loads(text, parse_int=int)
    except ValueError:
        value = text
    return means(kind, text, raw) or means(kind, value, raw)


def array_of(kind: Kind, raws: list[Raw]) -> pa.Array:
    """The array of some values."""
    array = kind.build(raws)
    assert array.type.equals(kind.type), (array.type, kind.type)
    return array


# --- leaves


def _plain(kind: pa.DataType, values: st.SearchStrategy[Raw], says: Callable[[Any, Raw], bool]) -> Kind:
    return Kind(kind, values, lambda raws: pa.array(raws, kind), says)


def _counted(kind: pa.DataType, bits: int, says: Callable[[Any, int], bool]) -> Kind:
    """A type that is a count inside."""
    most = 2 ** (bits - 1) - 1
    inner = pa.int32() if bits == 32 else pa.int64()
    usual = st.integers(-(10**6), 10**6) | st.sampled_from([0, 1, 999, 1000, 86_399, 1_700_000_000_123_456_789])
    values = st.one_of(
        usual.map(lambda one: min(one, most)), st.sampled_from([-most - 1, most]), st.integers(-most, most)
    )
    return Kind(kind, values, lambda raws: pa.array(raws, inner).view(kind), says)


def _integer(bits: int, signed: bool) -> Kind:
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    kind = getattr(pa, f"{'' if signed else 'u'}int{bits}")()
    values = st.sampled_from([least, most, 0]) | st.integers(least, most)
    return _plain(kind, values, lambda cell, raw: type(cell) is int and cell == raw)


def _floating(kind: pa.DataType, code: str) -> Kind:
    def rounded(value: float) -> float:
        return float(struct.unpack(code, struct.pack(code, value))[0])

    def says(cell: Any, raw: float) -> bool:
        value = float(cell)
        if abs(raw) == float("inf"):
            return value == raw
        return value == raw or rounded(value) == raw

    width = struct.calcsize(code) * 8
    values = st.floats(allow_nan=False, width=width) | st.sampled_from([float("inf"), -float("inf"), -0.0])  # type: ignore[call-overload]
    return _plain(kind, values.map(rounded), says)


def _decimal(kind: pa.DataType) -> Kind:
    most = 10**kind.precision - 1
    numbers = st.integers(-most, most) | st.sampled_from([0, most, -most])
    digits = numbers.map(lambda number: Decimal((int(number < 0), tuple(map(int, str(abs(number)))), -kind.scale)))
    return _plain(kind, digits, lambda cell, raw: Decimal(str(cell)) == raw)


def _text(kind: pa.DataType) -> Kind:
    values = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(["", '"', "1", "null"])
    return _plain(kind, values, lambda cell, raw: cell == raw or cell == raw.replace("\0", "\u2400"))


def _bytes(kind: pa.DataType, size: int | None = None) -> Kind:
    values = st.binary(max_size=4) if size is None else st.binary(min_size=size, max_size=size)
    return _plain(kind, values, lambda cell, raw: type(cell) is str and base64.b64decode(cell) == raw)


UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DATE = r"([+-]?\d{4,})-(\d\d)-(\d\d)"
_CLOCK = r"(-?\d{2,}):(\d\d):(\d\d)(?:\.(\d+))?"
_ZONE = r"(Z|([+-])(\d\d):(\d\d)(?::(\d\d))?)?"


def days_of(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant's days_from_civil)."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _clock_count(hours: str, minutes: str, seconds: str, fraction: str | None, unit: int) -> int:
    size = (abs(int(hours)) * 3600 + int(minutes) * 60 + int(seconds)) * 10**9 + int((fraction or "").ljust(9, "0"))
    return (-size if hours.startswith("-") else size) * unit // 10**9


def _date_count(cell: str, unit: int) -> tuple[int, bool]:
    """The count that a date or a moment stands for, and whether it has an offset."""
    found = re.fullmatch(f"{_DATE}(?:T{_CLOCK}{_ZONE})?", cell, re.ASCII)
    assert found is not None, cell
    year, month, day, hours, minutes, seconds, fraction, zone, sign, *offset = found.groups()
    count = days_of(int(year), int(month), int(day)) * 86_400 * unit
    if hours is not None:
        count += _clock_count(hours, minutes, seconds, fraction, unit)
    if sign is not None:
        shift = int(offset[0]) * 3600 + int(offset[1]) * 60 + int(offset[2] or 0)
        count -= (-shift if sign == "-" else shift) * unit
    return count, zone is not None


def _whole_days(says: Callable[[Any, int], bool]) -> Kind:
    days = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-(2**31), 2**31 - 1, 0])
    values = days.map(lambda one: one * 86_400_000)
    return Kind(pa.date64(), values, lambda raws: pa.array(raws, pa.int64()).view(pa.date64()), says)


def _moment(unit: str, zone: str | None) -> Kind:
    return _counted(
        pa.timestamp(unit, zone), 64, lambda cell, raw: _date_count(cell, UNITS[unit]) == (raw, zone is not None)
    )


def _time(kind: pa.DataType) -> Kind:
    def says(cell: str, raw: int) -> bool:
        found = re.fullmatch(_CLOCK, cell, re.ASCII)
        return found is not None and _clock_count(*found.groups(), UNITS[kind.unit]) == raw  # type: ignore[arg-type]

    most = 86_400 * UNITS[kind.unit] - 1
    values = st.integers(0, most) | st.sampled_from([0, 1, most])
    return Kind(kind, values, _counted(kind, kind.bit_width, says).build, says)


_DURATION = re.compile(
    r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d+))?S)?)?",
    re.ASCII,
)


def _duration(unit: str) -> Kind:
    def says(cell: str, raw: int) -> bool:
        found = _DURATION.fullmatch(cell)
        assert found is not None, cell
        sign, days, *clock = found.groups()
        hours, minutes, seconds, fraction = (part or "0" for part in clock)
        size = int(days or 0) * 86_400 * UNITS[unit] + _clock_count(hours, minutes, seconds, fraction, UNITS[unit])
        return (-size if sign else size) == raw

    return _counted(pa.duration(unit), 64, says)


def _interval() -> Kind:
    most = 2**31 - 1
    number = st.integers(-most, most) | st.sampled_from([0, -most - 1])
    values = st.tuples(number, number, st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, -1]))

    def says(cell: str, raw: tuple[int, int, int]) -> bool:
        found = re.fullmatch(r"P(-?\d+)M(-?\d+)DT(-?)(\d+)(?:\.(\d+))?S", cell, re.ASCII)
        assert found is not None, cell
        months, days, sign, seconds, fraction = found.groups()
        size = int(seconds) * 10**9 + int((fraction or "").ljust(9, "0"))
        return (int(months), int(days), -size if sign else size) == raw

    kind = pa.month_day_nano_interval()
    return Kind(kind, values, lambda raws: pa.array([one and pa.MonthDayNano(one) for one in raws], kind), says)


ZONES = [
    "UTC", "Europe/Berlin", "Africa/Monrovia", "+00:00", "+05:30", "-03:30", "+0530", "+02", "+15:00", "Z", "CEST",
    "PST", "GMT+2", "europe/berlin", "Local", "tzlocal()", "Not/AZone", "../x", "Europe",
]  # fmt: skip

SCALARS: list[Kind] = [
    Kind(pa.null(), st.none(), lambda raws: pa.nulls(len(raws)), lambda cell, raw: False),
    _plain(pa.bool_(), st.booleans(), lambda cell, raw: cell is raw),
    *(_integer(bits, signed) for bits in (8, 16, 32, 64) for signed in (True, False)),
    _floating(pa.float16(), "e"),
    _floating(pa.float32(), "f"),
    _floating(pa.float64(), "d"),
    *map(_decimal, [pa.decimal32(9, 2), pa.decimal64(18, 18), pa.decimal128(38, 7), pa.decimal256(76, 5)]),
    *map(_decimal, [pa.decimal128(5, -2), pa.decimal128(1, 0)]),
    *map(_text, [pa.string(), pa.large_string(), pa.string_view()]),
    *map(_bytes, [pa.binary(), pa.large_binary(), pa.binary_view()]),
    _bytes(pa.binary(3), 3),
    _counted(pa.date32(), 32, lambda cell, raw: _date_count(cell, 1)[0] == raw * 86_400),
    _whole_days(lambda cell, raw: _date_count(cell, 1000)[0] == raw),
    *map(_time, [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")]),
    *(_moment(unit, zone) for unit in UNITS for zone in (None, *ZONES)),
    *map(_duration, UNITS),
    _interval(),
]


# --- what is made of others


def _lists(inner: Kind, form: str) -> Kind:
    item = pa.field("item", inner.type)
    if form == "fixed":
        kind = pa.list_(item, 2)
        values = st.lists(st.none() | inner.values, min_size=2, max_size=2)
    else:
        kind = getattr(pa, form)(item)
        values = st.lists(st.none() | inner.values, max_size=3)

    def build(raws: list[Raw]) -> pa.Array:
        mask = pa.array([one is None for one in raws], pa.bool_())
        filled = [one if one is not None else [None] * (2 if form == "fixed" else 0) for one in raws]
        items = array_of(inner, [one for some in filled for one in some])
        if form == "fixed":
            return pa.FixedSizeListArray.from_arrays(items, type=kind, mask=mask)
        starts = [0, *accumulate(map(len, filled))]
        large = form.startswith("large")
        offsets = pa.array(starts, pa.int64() if large else pa.int32())
        if form.endswith("view"):
            sizes = pa.array(list(map(len, filled)), offsets.type)
            made = pa.LargeListViewArray if large else pa.ListViewArray
            return made.from_arrays(offsets[:-1], sizes, items, type=kind, mask=mask)
        made = pa.LargeListArray if large else pa.ListArray
        return made.from_arrays(offsets, items, type=kind, mask=mask)

    def says(cell: Any, raw: list[Raw]) -> bool:
        return isinstance(cell, list) and len(cell) == len(raw) and all(map(means, [inner] * len(raw), cell, raw))

    return Kind(kind, values, build, says)


def _struct(parts: dict[str, Kind]) -> Kind:
    fields = [pa.field(name, part.type) for name, part in parts.items()]
    kind = pa.struct(fields)
    values = st.fixed_dictionaries({name: st.none() | part.values for name, part in parts.items()})

    def build(raws: list[Raw]) -> pa.Array:
        mask = pa.array([one is None for one in raws], pa.bool_())
        if not parts:
            return pa.array(raws, kind)
        columns = [array_of(part, [one and one[name] for one in raws]) for name, part in parts.items()]
        return pa.StructArray.from_arrays(columns, fields=fields, mask=mask)

    def says(cell: Any, raw: dict[str, Raw]) -> bool:
        return (
            isinstance(cell, dict)
            and [*cell] == [*parts]
            and all(means(part, cell[name], raw[name]) for name, part in parts.items())
        )

    return Kind(kind, values, build, says)


def _map(key: Kind, item: Kind) -> Kind:
    kind = pa.map_(key.type, item.type)
    values = st.lists(st.tuples(key.values, st.none() | item.values), max_size=2)

    def build(raws: list[Raw]) -> pa.Array:
        pairs = [pair for one in raws for pair in one or []]
        starts = [0, *accumulate(len(one or []) for one in raws)]
        offsets = [None if one is None else start for one, start in zip(raws, starts, strict=False)] + starts[-1:]
        keys, items = (array_of(part, [pair[n] for pair in pairs]) for n, part in enumerate((key, item)))
        return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, items, type=kind)

    def says(cell: Any, raw: list[tuple[Raw, Raw]]) -> bool:
        return (
            isinstance(cell, list)
            and len(cell) == len(raw)
            and all(
                means(key, one[0], pair[0]) and means(item, one[1], pair[1])
                for one, pair in zip(cell, raw, strict=True)
            )
        )

    return Kind(kind, values, build, says)


def _dictionary(inner: Kind, index: pa.DataType) -> Kind:
    kind = pa.dictionary(index, inner.type)

    def build(raws: list[Raw]) -> pa.Array:
        some = [raw for raw in raws if raw is not None]
        places = iter(range(len(some)))
        indices = pa.array([None if raw is None else next(places) for raw in raws], index)
        return pa.DictionaryArray.from_arrays(indices, array_of(inner, some))

    return Kind(kind, inner.values, build, inner.says)


def _runs(inner: Kind) -> Kind:
    kind = pa.run_end_encoded(pa.int32(), inner.type)

    def build(raws: list[Raw]) -> pa.Array:
        return pa.RunEndEncodedArray.from_arrays(
            pa.array(range(1, len(raws) + 1), pa.int32()), array_of(inner, raws), type=kind
        )

    return Kind(kind, inner.values, build, inner.says)


def _union(first: Kind, second: Kind, mode: str) -> Kind:
    fields = [pa.field("a", first.type), pa.field("b", second.type)]
    kind = pa.sparse_union(fields) if mode == "sparse" else pa.dense_union(fields)
    kinds = (first, second)
    branch = [st.tuples(st.just(number), st.none() | one.values) for number, one in enumerate(kinds)]

    def build(raws: list[Raw]) -> pa.Array:
        pairs = [(0, None) if raw is None else raw for raw in raws]
        codes = pa.array([number for number, _ in pairs], pa.int8())
        if mode == "sparse":
            parts = [[value if number == one else None for number, value in pairs] for one in range(2)]
            return pa.UnionArray.from_sparse(codes, list(map(array_of, kinds, parts)), ["a", "b"])
        parts = [[value for number, value in pairs if number == one] for one in range(2)]
        counts = [iter(range(len(pairs))) for _ in kinds]
        offsets = pa.array([next(counts[number]) for number, _ in pairs], pa.int32())
        return pa.UnionArray.from_dense(codes, offsets, list(map(array_of, kinds, parts)), ["a", "b"])

    def says(cell: Any, raw: tuple[int, Raw]) -> bool:
        return means(kinds[raw[0]], cell, raw[1])

    return Kind(kind, st.one_of(branch).filter(lambda raw: raw[1] is not None), build, says)


class Custom(pa.ExtensionType):
    """An extension type of a user's own."""

    def __init__(self, storage: pa.DataType) -> None:
        super().__init__(storage, "tests.custom")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> "Custom":
        return cls(storage)


pa.register_extension_type(Custom(pa.null()))


def _extension(kind: pa.DataType, storage: Kind, says: Callable[[Any, Raw], bool] | None = None) -> Kind:
    return Kind(
        kind,
        storage.values,
        lambda raws: pa.ExtensionArray.from_storage(kind, array_of(storage, raws)),
        says or storage.says,
    )


def _canonical(some: Kind) -> list[Kind]:
    """Extension types, of which some have a type in them."""
    sixteen = _bytes(pa.binary(16), 16)
    numbers = _integer(32, signed=True)
    four = st.lists(numbers.values, min_size=4, max_size=4)
    plain = pa.list_(pa.field("item", pa.int32()), 4)
    tensor = Kind(plain, four, lambda raws: pa.array(raws, plain), lambda cell, raw: cell == raw)
    return [
        _extension(pa.uuid(), sixteen, lambda cell, raw: UUID(cell).bytes == raw),
        _extension(pa.json_(), _text(pa.string())),
        _extension(pa.json_(pa.large_string()), _text(pa.large_string())),
        _extension(pa.bool8(), _integer(8, signed=True), lambda cell, raw: cell is (raw != 0)),
        _extension(pa.fixed_shape_tensor(pa.int32(), [2, 2]), tensor),
        _extension(pa.opaque(some.type, "type", "vendor"), some),
        _extension(Custom(some.type), some),
    ]


_NEVER_IN_KEYS = (pa.types.is_null, pa.types.is_union, pa.types.is_run_end_encoded)


@st.composite
def kinds(draw: Callable[[Any], Any], depth: int = 2) -> Kind:
    """Any type."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(SCALARS))
    inner: Kind = draw(kinds(depth=depth - 1))
    form = draw(
        st.sampled_from(["list", "list", "struct", "struct", "map", "dictionary", "runs", "union", "extension"])
    )
    if form == "list":
        forms = ["list_", "large_list", "list_view", "large_list_view", "fixed"]
        return _lists(inner, draw(st.sampled_from(forms)))
    if form == "struct":
        other: Kind = draw(st.sampled_from(SCALARS))
        return _struct(draw(st.sampled_from([{}, {"a": inner}, {"a": inner, "b c": other}, {"": other, "é": inner}])))
    if form == "map":
        keys = [one for one in SCALARS if not any(is_type(one.type) for is_type in _NEVER_IN_KEYS)]
        return _map(draw(st.sampled_from(keys)), inner)
    if form == "dictionary":
        if pa.types.is_dictionary(inner.type) or pa.types.is_null(inner.type):
            return inner
        index = draw(st.sampled_from([pa.int8(), pa.uint8(), pa.int16(), pa.int32(), pa.int64()]))
        return _dictionary(inner, index)
    if form == "runs":
        return inner if pa.types.is_run_end_encoded(inner.type) else _runs(inner)
    if form == "union":
        return _union(inner, draw(st.sampled_from(SCALARS)), draw(st.sampled_from(["sparse", "dense"])))
    if isinstance(inner.type, pa.BaseExtensionType):  # of two extensions a file keeps one
        return inner
    return draw(st.sampled_from(_canonical(inner)))


@st.composite
def columns(draw: Callable[[Any], Any], depth: int = 2, rows: int = 4) -> tuple[Kind, list[Raw]]:
    """A type and some values of it, nulls among them."""
    kind = draw(kinds(depth=depth))
    return kind, draw(st.lists(st.none() | kind.values, min_size=1, max_size=rows))
