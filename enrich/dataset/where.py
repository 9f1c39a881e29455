"""`--where`: a condition on the columns of a table in SQL, decided row by row.

It is no query: it is parsed here, made of what `condition/` knows and nothing else, and handed to
no SQL engine. It looks at the row that it decides on, so the size of a batch makes no difference.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, NoReturn

import polars as pl
from polars.exceptions import PolarsError

from enrich.dataset.condition.casts import StrictCast
from enrich.dataset.condition.nodes import ConditionError
from enrich.dataset.condition.parser import parse_condition
from enrich.dataset.condition.tokens import asks_for_the_time
from enrich.dataset.condition.translation import Translator
from enrich.dataset.condition.values import CAST_HINT
from enrich.errors import ConfigError, Fault
from enrich.host.clock import SYSTEM
from enrich.text.hostile import clean
from enrich.text.namesakes import find_name

__all__ = ["Condition", "looks_at_the_clock"]

_SHOWN: Final = 200
_AROUND: Final = 60
_CELL_SHOWN: Final = 60


class Condition:
    """One condition on the columns of one table; `columns` are those that it looks at.

    What it says of the time is the time at which it was made.
    """

    def __init__(self, where: str, schema: Mapping[str, pl.DataType], now: datetime | None = None) -> None:
        """Raises ConfigError, naming `--where`, for what is no condition on these columns; reads no rows."""
        self._where = where
        try:
            _check_text(where)
            translator = Translator(where, schema, lambda name: find_name(name, schema), now or SYSTEM.moment())
            self._mask = translator.condition(parse_condition(where))
        except ConditionError as error:
            _refuse(where, error)
        self._casts = translator.casts
        self.columns = tuple(translator.columns)

    def mask(self, column: Callable[[str], pl.Series], height: int) -> pl.Series:
        """A Boolean for each of `height` rows, NULL taken as false; `column` gives their cells by its name.

        Raises ConfigError where a CAST fails.
        """
        frame = pl.DataFrame([column(name) for name in self.columns])
        fails = [cast.fails.any().alias(str(number)) for number, cast in enumerate(self._casts)]
        try:
            mask = frame.select(where=self._mask).to_series().fill_null(value=False)
            failed = frame.select(fails).row(0) if fails else ()
        except PolarsError:
            _refuse(self._where, ConditionError("a value in the table is too large to count with", CAST_HINT))
        for cast, has_failed in zip(self._casts, failed, strict=True):
            if has_failed:
                self._refuse_cast(cast, frame)
        return mask if mask.len() == height else mask.new_from_index(0, height)  # no column has a say

    def _refuse_cast(self, cast: StrictCast, frame: pl.DataFrame) -> NoReturn:
        value = frame.select(cell=cast.operand, fails=cast.fails).filter("fails")["cell"][0]
        reason = f"a cell of {cast.shown}, {clean(repr(value), _CELL_SHOWN)}, is no {cast.type_name}"
        _refuse(self._where, ConditionError(reason, CAST_HINT, cast.at))


def looks_at_the_clock(where: str) -> bool:
    """Whether a condition may be true of other rows later: it says a word by which SQL asks for the time."""
    return asks_for_the_time(where)


def _check_text(where: str) -> None:
    try:
        where.encode()
    except UnicodeEncodeError as error:
        raise ConditionError("it is not UTF-8", "write it in UTF-8", error.start) from None


def _refuse(where: str, error: ConditionError) -> NoReturn:
    """Raise what is wrong, with the condition: all of a short one, of a long one what is around the place."""
    shown, at = where, error.at
    if len(where) > _SHOWN:
        start = max((at or 0) - _AROUND, 0)
        cut = where[start : (at or 0) + _AROUND]
        shown = f"{'…' if start else ''}{cut}{'…' if start + len(cut) < len(where) else ''}"
    place = "" if at is None else f" (at character {at + 1})"
    raise ConfigError("--where", [Fault(f"{clean(shown)}: {error.reason}{place}", hint=error.hint)]) from None
