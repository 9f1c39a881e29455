"""What is odd about a table for a job, though nothing is wrong with it. Pure sentences."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from enrich.text.figures import counted
from enrich.text.phrases import shown

__all__ = ["NOT_CHOSEN", "nothing_to_ask", "placeholder_remarks"]

NOT_CHOSEN: Final = "not chosen by --where"


def placeholder_remarks(table: str, counts: Mapping[tuple[str, str], int]) -> list[str]:
    """A sentence for each mapped column with texts that stand for nothing; `counts` is by column and text."""
    columns: dict[str, Counter[str]] = {}
    for (column, text), count in counts.items():
        columns.setdefault(column, Counter())[text] += count
    return [_remark(table, column, texts) for column, texts in columns.items()]


def _remark(table: str, column: str, texts: Counter[str]) -> str:
    ordered = sorted(texts, key=lambda text: (-texts[text], text))
    said = ", ".join(f"{shown(text)} in {counted(texts[text], 'row')}" for text in ordered)
    written = ", ".join(map(shown, ordered))
    return (
        f"{table}: column {shown(column)} has {said}: it is sent as it stands; write `empty: [{written}]` in the config"
        " to take it for an empty cell"
    )


def nothing_to_ask(table: str, *, rows: int, left_out: Mapping[str, int]) -> str:
    """Why there is no row to ask about, where that is for a reason that a person should know; else empty."""
    if not rows:
        return f"{table}: the table has no rows, only its column names"
    not_chosen = left_out.get(NOT_CHOSEN, 0)
    if not_chosen and sum(left_out.values()) == rows:
        others = rows - not_chosen
        rest = f" (of {counted(others, 'other row')} nothing can be asked)" if others else ""
        return f"--where: the condition fits none of the {counted(not_chosen, 'row')} that could be asked about{rest}"
    return ""
