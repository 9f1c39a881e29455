"""What a table wants: its rows read into the worklist."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from enrich.inputs.rows import Rows
from enrich.ledger.store import Ledger
from enrich.ledger.worklist import Worklist


@dataclass(slots=True)
class Listed:
    """What a table was found to hold when it was read into the worklist."""

    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)  # rows of which nothing is asked, by why
    placeholders: Counter[tuple[str, str]] = field(default_factory=Counter)  # texts for nothing, by column and text


def list_wanted(rows: Rows, ledger: Ledger, worklist: Worklist, check: Callable[[], None] = lambda: None) -> Listed:
    """Read the table into the worklist."""
    listed = Listed()
    for batch, questions in rows.batches(known=ledger.held):
        check()
        worklist.add_aliases((row.alias, row.key) for row in questions if row.alias is not None and row.key is not None)
        worklist.add(
            (row.key, row.document, row.mask)
            for row in questions
            if row.key is not None and row.document is not None and not row.left_out
        )
        listed.rows += batch.height
        listed.left_out.update(row.left_out for row in questions if row.left_out)
        listed.placeholders += rows.placeholders(batch)
    return listed
