"""Writes what a command leaves beside its manifest: the table, the review queue, the report page.

The table is read once more and comes out row by row with the answers that the ledger holds now. Everything here can be
done again from the ledger, for free.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import msgspec

from enrich.answers.join import Joined, Tally, doubt_key
from enrich.answers.judging import Cells
from enrich.answers.results import citations_of
from enrich.api.secret import Secret
from enrich.config import Config
from enrich.dataset import Table, TableWriter
from enrich.errors import HeldError
from enrich.host.files import write_whole
from enrich.host.memory import seldom_sought
from enrich.inputs.rows import Rows
from enrich.job import OutputPaths
from enrich.ledger.distinct import Distinct
from enrich.ledger.store import Ledger
from enrich.outputs.costs import Costs
from enrich.outputs.guard import Guard
from enrich.outputs.joining import make_joiner
from enrich.outputs.redaction import WithoutKey
from enrich.records import Held, Row
from enrich.report import Manifest, ReportCollector, Sample
from enrich.review.queue import ReviewLine, ReviewWriter
from enrich.review.written import Beside, Written
from enrich.spec import Json

JOINED_ROWS: Final = 1024  # held at once with all that was said of them, some 4 KB a row, in three shapes
JOINED_BYTES: Final = 16 << 20  # of results held at once: in all their shapes they take ten times as much


class LossError(HeldError):
    """The table that stands says more than the new one would, and was left as it is."""


def write_table(
    config: Config,
    table: Table,
    rows: Rows,
    ledger: Ledger,
    files: OutputPaths,
    *,
    may_lose: bool = True,
    key: Secret | None = None,
    written: Written | None = None,
) -> tuple[Tally, ReportCollector, int]:
    """Join and write the table and its review queue, each whole or not at all.

    None of them holds the key. What people wrote in the review file that is replaced goes along, or into a copy.

    Gives what they add up to, what the report shows, and the number of doubtful answers. Raises OutputError, and
    LossError, unless it `may_lose` them, where the table that stands has answers that this one would only ask for.
    """
    joiner = make_joiner(config, table, files)
    report = ReportCollector([one.name for one in config.fields])
    sayable, costs = WithoutKey(ledger, key), Costs(ledger, config.outputs)
    beside = written or Written()
    neutralise = config.csv.formulas == "neutralise"
    with (
        seldom_sought(),
        ReviewWriter(files.review, input_fields=sorted(config.inputs), added=beside.added, like=table.path) as review,
        TableWriter(files.table, table, joiner.columns(), neutralise=neutralise) as writer,
        Distinct() as reviewed,
        Guard(config, files.table, is_on=not may_lose) as guard,
        ThreadPoolExecutor(1, "enrich-table") as hand,
    ):
        done: Future[None] = hand.submit(lambda: None)
        for batch, questions in rows.batches(JOINED_ROWS, known=ledger.held):
            keys = sorted({row.key for row in questions if row.key is not None})
            held = sayable.held(keys)
            costs.add(held)
            weights = _weights(ledger, held)
            decided = sayable.decisions(keys)
            for part in _parts([_weight(row, held, weights) for row in questions]):
                some = batch if len(part) == batch.height else batch.part(part.start, part.stop)
                joined = joiner.join(questions[part.start : part.stop], held, sayable.result, decided)
                done.result()  # one part is written while the next is joined, and no more are held
                done = hand.submit(writer.write, some, joined.frame)
                review.add(_review_lines(config, some.start, joined, reviewed, beside))
                _show(report, config, some.start, joined)
                guard.note(joined)
        done.result()
        if loss := guard.loss(joiner.tally, table.height):
            raise LossError(f"{files.table}: {loss.to_text()}")
        doubtful = review.lines
        beside.keep_rest()
    joiner.tally.cost = costs.total()
    return joiner.tally, report, doubtful


def _weights(ledger: Ledger, held: Mapping[bytes, Sequence[Held]]) -> dict[int, float]:
    """Bytes of one result in each block, as far as can be told without unpacking it."""
    results = Counter(run.block_id for runs in held.values() for run in runs if run.block_id is not None)
    sizes = ledger.block_sizes(results)
    return {block_id: size / results[block_id] for block_id, size in sizes.items()}


def _weight(row: Row, held: Mapping[bytes, Sequence[Held]], weights: Mapping[int, float]) -> float:
    """Bytes of the results that a row is joined with."""
    runs = held.get(row.key, ()) if row.key is not None else ()
    return sum(weights.get(run.block_id, 0) for run in runs if run.block_id is not None)


def _parts(weights: Sequence[float]) -> Iterator[range]:
    """Cut rows into ranges of at most JOINED_BYTES, or of one row; no rows are a part, too."""
    begin, held = 0, 0.0
    for place, weight in enumerate(weights):
        if place > begin and held + weight > JOINED_BYTES:
            yield range(begin, place)
            begin, held = place, 0.0
        held += weight
    yield range(begin, len(weights))


def write_report(
    path: Path, report: ReportCollector, manifest: Manifest, *, like: Path, key: Secret | None = None
) -> None:
    """Write the report page without the key, for those who may read the table that it is like. Raises OutputError."""
    page = report.render(manifest).encode("utf-8", "replace")
    write_whole(path, page if key is None else key.redact_body(page), like=like)


@lru_cache(maxsize=1)  # the doubtful answers of an input follow one another
def _inputs(document: bytes) -> Mapping[str, Json]:
    inputs: dict[str, Json] = msgspec.json.decode(document)
    return inputs


def _review_lines(
    config: Config, start: int, joined: Joined, reviewed: Distinct, written: Written
) -> Iterator[ReviewLine]:
    """The doubtful answers that no row of an earlier batch had."""
    keys = {doubt.place: doubt_key(joined.rows[doubt.place]) for doubt in joined.doubts}
    seen = reviewed.seen_before(dict.fromkeys(keys.values(), ""))
    for place, number in joined.doubts:
        if keys[place] not in seen:
            name, key = config.fields[number].name, joined.rows[place].key
            beside = Beside() if key is None else written.beside(key, name)
            yield _review_line(name, start + place + 1, joined, place, joined.cells[number], beside=beside)


def _review_line(name: str, row: int, joined: Joined, place: int, cells: Cells, *, beside: Beside) -> ReviewLine:
    run = cells.runs[place]
    assert run is not None
    return ReviewLine(
        row=row,
        inputs=_inputs(joined.rows[place].document or b"{}"),
        field=name,
        status=cells.statuses[place],
        value=cells.values[place],
        confidence=cells.confidences[place],
        reason=cells.reasons[place],
        reasoning=cells.reasonings[place],
        sources=[citation.url for citation in citations_of(cells.citations[place]) if citation.url is not None],
        run_id=run.run_id or "",
        processor=run.processor,
        note=beside.note,
        added=beside.added,
    )


def _show(report: ReportCollector, config: Config, start: int, joined: Joined) -> None:
    """Feed the report: answers that are alike are counted together, a few are shown."""
    for one, cells, kinds in zip(config.fields, joined.cells, joined.kinds, strict=True):
        for kind, (count, at) in kinds.items():
            sample = None if cells.runs[at] is None else partial(_sample, start + at + 1, joined.rows[at], cells, at)
            report.add(one.name, *kind, sample=sample, count=count)


def _sample(number: int, row: Row, cells: Cells, place: int) -> Sample:
    run = cells.runs[place]
    assert run is not None
    return Sample(
        row=number,
        inputs=msgspec.json.decode(row.document or b"{}"),
        value=cells.values[place],
        reasoning=cells.reasonings[place],
        citations=[msgspec.to_builtins(citation) for citation in citations_of(cells.citations[place])],
        processor=run.processor,
    )
