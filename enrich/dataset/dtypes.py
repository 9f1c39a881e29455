"""Which of polars' types Arrow can hold, and which Parquet: over some that they can't polars panics."""

from typing import Any, Final

import polars as pl

__all__ = ["has_wide_integers", "held", "is_in_arrow", "is_in_parquet"]

_WIDE: Final = (pl.Int128, pl.UInt128)  # of polars alone


def held(dtype: Any) -> pl.DataType:
    """The type that holds the values of another in Arrow: integers of 128 bits are text."""
    match dtype:
        case pl.Int128() | pl.UInt128():
            return pl.String()
        case pl.List():
            return pl.List(held(dtype.inner))
        case pl.Array():
            return pl.Array(held(dtype.inner), dtype.size)
        case pl.Struct():
            return pl.Struct({field.name: held(field.dtype) for field in dtype.fields})
        case pl.Map():
            return pl.Map(dtype.key, held(dtype.value))
    plain: pl.DataType = dtype
    return plain


def is_in_arrow(dtype: pl.DataType) -> bool:
    """Whether polars can give the type that `held` makes to Arrow."""
    if isinstance(dtype, pl.BaseExtension):
        return not _has(dtype, pl.Categorical, pl.Enum, *_WIDE)
    if isinstance(dtype, pl.Map) and has_wide_integers(dtype.key):  # which polars makes no text of
        return False
    return all(map(is_in_arrow, _parts(dtype)))


def is_in_parquet(dtype: pl.DataType) -> bool:
    """Whether polars can write the type that `held` makes to Parquet, and Arrow can read it."""
    wraps_extension = any(_has(part, pl.BaseExtension) for part in _parts(dtype))
    return is_in_arrow(dtype) and not (wraps_extension or _has(dtype, pl.Object) or _is_hollow(dtype))


def has_wide_integers(dtype: Any) -> bool:
    """Whether there are integers of 128 bits anywhere in a type."""
    return _has(dtype, *_WIDE)


def _has(dtype: pl.DataType, *kinds: type[pl.DataType]) -> bool:
    return isinstance(dtype, kinds) or any(_has(part, *kinds) for part in _parts(dtype))


def _is_hollow(dtype: Any) -> bool:
    """Whether there are structs of no fields or arrays of no cells anywhere in a type."""
    match dtype:
        case pl.Struct(fields=[]) | pl.Array(size=0):
            return True
    return any(map(_is_hollow, _parts(dtype)))


def _parts(dtype: Any) -> list[Any]:
    """The types that a type is made of."""
    match dtype:
        case pl.List() | pl.Array():
            return [dtype.inner]
        case pl.Struct():
            return [field.dtype for field in dtype.fields]
        case pl.Map():
            return [dtype.key, dtype.value]
        case pl.BaseExtension():
            return [dtype.ext_storage()]
    return []
