"""People's decisions on questions that have changed since: said, and brought back for another look.

A decision stands as long as its question does. When a description, a schema, the instructions or the sources change,
the decision stays in the ledger, under the question that it was made on, and no longer stands in the table. Here such
decisions are told, and written into a review file, from which they can be taken again.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from enrich.answers.choosing import set_aside
from enrich.job import Job
from enrich.ledger.distinct import Distinct
from enrich.ledger.store import Ledger
from enrich.records import Row, Ruled
from enrich.review.queue import ReviewLine, ReviewWriter, free_name
from enrich.spec import Field, Json
from enrich.text.figures import counted

__all__ = ["Earlier", "set_aside_text", "write_earlier"]

_REASON: Final = "decided by a person, on the question as it was: take out the line if the decision no longer holds"


@dataclass(frozen=True, slots=True)
class Earlier:
    """A review file with decisions on earlier questions; no file where there are none."""

    path: Path | None
    decisions: int


def set_aside_text(job: Job, counts: Mapping[str, int]) -> str:
    """How many decisions no longer apply, of which answers, and the commands that keep them."""
    total = sum(counts.values())
    each = ", ".join(f"{name} {count}" for name, count in counts.items())
    return (
        f"{counted(total, 'decision')} of people no longer {'applies' if total == 1 else 'apply'}, since the question"
        f" was changed ({each}); the service's answers replace them. To keep them:"
        f" {review_command(job, '--earlier', job.table.path)}"
    )


def review_command(job: Job, *words: str | Path) -> str:
    """`enrich review` for the job's config and ledger, with these words, as a shell takes it."""
    options = ["--ledger", job.options.ledger] if job.options.ledger else []
    options += ["--sandbox"] if job.options.sandbox else []
    return shlex.join(str(word) for word in ("enrich", "review", job.config.path, *words, *options))


def write_earlier(job: Job, ledger: Ledger) -> Earlier:
    """Write the decisions on earlier questions that concern the rows of a table into a review file beside it.

    They are filled in, ready to be taken. Never in the place of another file. Raises OutputError.
    """
    path = free_name(job.outputs.review, "earlier")
    names = ledger.field_names()
    found = _lines(job, ledger, names)
    first = next(found, None)
    if first is None:
        return Earlier(None, 0)
    with ReviewWriter(path, input_fields=sorted(job.config.inputs), like=job.table.path) as writer:
        writer.add([first])
        writer.add(found)
        decisions = writer.lines
    return Earlier(path, decisions)


def _lines(job: Job, ledger: Ledger, names: Mapping[str, str]) -> Iterator[ReviewLine]:
    with Distinct() as written:
        for batch, rows in job.rows.batches():
            decided = ledger.decisions(sorted({row.key for row in rows if row.key is not None}))
            for place, row in enumerate(rows):
                if row.key is None or row.key not in decided:
                    continue
                for field, ruled in set_aside(job.config.fields, names, decided[row.key], row.mask):
                    if not written.seen_before({row.key + field.id.encode(): ""}):
                        yield _line(batch.start + place + 1, row, field, ruled)


def _line(number: int, row: Row, field: Field, ruled: Ruled) -> ReviewLine:
    value: Json = msgspec.json.decode(ruled.value)
    stands = value is not None and (not isinstance(value, str) or value.strip() != "")
    return ReviewLine(
        row=number,
        inputs=msgspec.json.decode(row.document or b"{}"),
        field=field.name,
        status="human",
        value=value,
        confidence=None,
        reason=_REASON,
        reasoning=None,
        sources=(),
        run_id=ruled.run_id,
        processor="",
        decision="correct" if stands else "reject",
        correction=value if stands else None,
        note=ruled.note,
    )
