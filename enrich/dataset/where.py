"""`--where`: a SQL condition over the columns of a table, evaluated a batch at a time.

A condition looks at one row. Aggregates, window functions and subqueries would give another answer for
another batch size, so they are refused: the first and the last by polars itself, windows because a part of
the batch must get the same answers as the whole.
"""

import difflib
import re
from typing import Final, NoReturn

import polars as pl
from polars.exceptions import ColumnNotFoundError, PolarsError, SQLInterfaceError, SQLSyntaxError

from enrich.errors import ConfigError, Fault

_CLOCK: Final = re.compile(r"\b(?:now|today|current_?(?:date|time|timestamp)|local_?time(?:stamp)?)\b", re.IGNORECASE)


def condition_mask(frame: pl.DataFrame, where: str) -> pl.Series:
    """A Boolean for each row of `frame`, NULL taken as false. Raises ConfigError naming `--where`."""
    _check_single_expression(where)
    mask = _evaluate(frame, where)
    half = frame.height // 2
    if half and not _evaluate(frame.slice(half), where).equals(mask.slice(half)):
        _refuse(where, "it looks at other rows than the one it decides on", "write a condition on one row")
    return mask


def looks_at_the_clock(where: str) -> bool:
    """Whether a condition may be true of other rows later: it says a word by which SQL asks for the time."""
    return _CLOCK.search(where) is not None


def _check_single_expression(where: str) -> None:
    """Refuse what would end the parenthesis that the condition is put into, a subquery, or no SQL at all."""
    try:
        pl.sql_expr(where)
        pl.sql_expr(f"({where}\n)")
    except ColumnNotFoundError:
        pass  # `IN` looks its column up at once, and there is no table here
    except UnicodeEncodeError:
        _refuse(where, "it is not UTF-8", "write it in UTF-8")
    except PolarsError as error:
        _refuse(where, _first_line(error), "write a SQL condition such as \"country = 'DE'\"")


def _evaluate(frame: pl.DataFrame, where: str) -> pl.Series:
    index = "row"
    while index in frame.columns:
        index += "_"
    query = f'SELECT "{index}", ({where}\n) AS "{index}_mask" FROM self'  # noqa: S608 (it reads one frame)
    try:
        result = frame.lazy().with_row_index(index).sql(query).collect()
    except ColumnNotFoundError as error:
        _refuse_column(where, error, frame.columns)
    except (SQLSyntaxError, SQLInterfaceError) as error:
        if "GROUP BY" in str(error):
            _refuse(where, "it counts or sums over rows", "write a condition on one row")
        _refuse(where, _first_line(error), "write a SQL condition such as \"country = 'DE'\"")
    except PolarsError as error:
        _refuse(where, _first_line(error), "cells of text are text; TRY_CAST(column AS INT) gives NULL")
    mask = result.get_column(f"{index}_mask")
    if mask.dtype == pl.Null:
        mask = mask.cast(pl.Boolean)
    if mask.dtype != pl.Boolean:
        _refuse(where, f"it gives {mask.dtype}, not true or false", "compare it with something")
    return mask.fill_null(value=False).alias("where")


def _refuse_column(where: str, error: PolarsError, columns: list[str]) -> NoReturn:
    found = re.search(r'"([^"]*)"', str(error))
    name = found[1] if found else ""
    close = difflib.get_close_matches(name, columns, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"the columns are {', '.join(columns)}"
    _refuse(where, f"the table has no column {name!r}", f"{hint} (text values stand in single quotes)")


def _first_line(error: PolarsError) -> str:
    return str(error).partition("\n")[0].strip()


def _refuse(where: str, reason: str, hint: str) -> NoReturn:
    raise ConfigError("--where", [Fault(f"{where}: {reason}", hint=hint)]) from None
