"""Arrow arrays of any type as JSON values: exact, with nothing but pyarrow.

Texts, numbers and booleans stay, dates and times are ISO 8601 (nine digits where there are nanoseconds, years beyond
9999 with their sign), decimals are text, bytes are base64, lists are lists, structs are objects, maps lists of pairs.
pyarrow's own `to_pylist` needs pandas for nanoseconds and has no year 10000; polars' cuts nanoseconds.
"""

from base64 import b64encode
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from uuid import UUID

import pyarrow as pa

from enrich.dataset.arrow_times import time_texts

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


# --- values by type


def _values(array: pa.Array, *, strict: bool) -> _Values:
    kind, types = array.type, pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _of_extension(array, strict)
    if _is_text(kind):
        return _texts(array)
    if types.is_temporal(kind):
        return time_texts(array, strict)
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
