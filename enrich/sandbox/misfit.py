"""Where a document does not have the shape that was asked for: the decoder says it in words, which change."""

from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec


class Misfit(NamedTuple):
    """The first value of a wrong shape. `kind` is `missing` or `type_error`, as the service has it."""

    loc: list[str | int]
    message: str
    kind: str


def find_misfit(value: Any, shape: Any, loc: Sequence[str | int]) -> Misfit | None:
    """The first place where a decoded document does not fit `shape`: a struct, or what its members are made of."""
    if _fits(value, shape):
        return None
    inner = [one for one in _choices(shape) if _container(one, value)]
    for kind in inner:
        for step, part, wanted in _parts(value, kind):
            if part is msgspec.UNSET:
                return Misfit([*loc, step], "Field required", "missing")
            if found := find_misfit(part, wanted, [*loc, step]):
                return found
    return Misfit(list(loc), f"Input should be {' or '.join(dict.fromkeys(map(_name, _choices(shape))))}", "type_error")


def _fits(value: Any, shape: Any) -> bool:
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=shape)  # `convert` knows no raw parts
    except msgspec.ValidationError:
        return False
    return True


def _choices(shape: Any) -> list[Any]:
    return list(get_args(shape)) if get_origin(shape) in (Union, UnionType) else [shape]


def _is_struct(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, msgspec.Struct)


def _container(shape: Any, value: Any) -> bool:
    """Whether the fault may lie inside the value, which is of the right kind itself."""
    return isinstance(value, dict if _is_struct(shape) else list) and (_is_struct(shape) or get_origin(shape) is list)


def _parts(value: Any, shape: Any) -> list[tuple[str | int, Any, Any]]:
    """(step, part or UNSET if it is missing and needed, its shape) of what is inside a value."""
    if isinstance(value, list):
        (item,) = get_args(shape)
        return [(index, part, item) for index, part in enumerate(value)]
    fields = msgspec.structs.fields(shape)
    return [
        (one.encode_name, value.get(one.encode_name, msgspec.UNSET), one.type)
        for one in fields
        if one.encode_name in value or one.required
    ]


def _name(shape: Any) -> str:
    if get_origin(shape) is Literal:
        return " or ".join(repr(one) for one in get_args(shape))
    if _is_struct(shape) or get_origin(shape) is dict:
        return "an object"
    names = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}
    return "a list" if get_origin(shape) is list else names.get(shape, "another value")
