"""Arithmetic: exact on whole numbers while 128 bits hold the result, else on fractions."""

from collections.abc import Callable
from typing import Final

import polars as pl

from enrich.dataset.condition.values import WIDE_BITS, Value, as_type, fraction_value, whole_value


def _bits(operator: str, left: Value, right: Value) -> int | None:
    """How wide a whole result may be; None where it is a fraction, or may be wider than can be counted on."""
    if left.bits is None or right.bits is None or operator == "/":
        return None
    bits = {
        "+": max(left.bits, right.bits) + 1,
        "-": max(left.bits, right.bits) + 1,
        "*": left.bits + right.bits,
        "%": max(left.bits, right.bits),
    }[operator]
    return bits if bits <= WIDE_BITS else None


def _remainder(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """What is left of a division; it has the sign of what is divided."""
    size = left.abs() % _nonzero(right).abs()
    return pl.when(left < 0).then(size * -1).otherwise(size)


def _nonzero(expr: pl.Expr) -> pl.Expr:
    return pl.when(expr != 0).then(expr)


_ARITHMETIC: Final[dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / _nonzero(right),
    "%": _remainder,
}


def calculated(operator: str, left: Value, right: Value) -> Value:
    """Arithmetic: exact on whole numbers while 128 bits hold the result, else on fractions."""
    bits = _bits(operator, left, right)
    if bits is None:
        one, other = (as_type(value, pl.Float64()).expr for value in (left, right))
        return fraction_value(_ARITHMETIC[operator](one, other))
    one, other = (as_type(value, pl.Int128()).expr for value in (left, right))
    return whole_value(_ARITHMETIC[operator](one, other), bits, pl.Int128())
