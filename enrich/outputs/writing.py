"""Writes what a command leaves beside its manifest: the table, the review queue, the report page.

The table is read once more and comes out row by row with the answers that the ledger holds now. Everything here can be
done again from the ledger, for free.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from enrich.answers.join import Joined, Joiner, Tally
from enrich.api.secret import Secret
from enrich.config import Config
from enrich.dataset import Table, TableWriter
from enrich.dataset.tables import Batch
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
from enrich.outputs.listeners import InPage, InQueue, InTable, Listener
from enrich.outputs.parts import JOINED_ROWS, ReadAhead, parts_of, weight_of, weights_of
from enrich.outputs.redaction import WithoutKey
from enrich.report import Manifest, ReportCollector
from enrich.review.queue import ReviewWriter
from enrich.review.written import Written


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
        queue = InQueue(config, review, reviewed, beside)
        listeners: list[Listener] = [InTable(writer, hand), queue, InPage(config, report), guard]
        for part, joined in _joined(rows, ledger, joiner, sayable, costs):
            for one in listeners:
                one.add(part, joined)
            del joined  # while the next rows are read
        for one in listeners:
            one.close()
        if loss := guard.loss(joiner.tally, table.height):
            raise LossError(f"{files.table}: {loss.to_text()}")
        doubtful = review.lines
        beside.keep_rest()
    joiner.tally.cost = costs.total()
    return joiner.tally, report, doubtful


def _joined(
    rows: Rows, ledger: Ledger, joiner: Joiner, sayable: WithoutKey, costs: Costs
) -> Iterator[tuple[Batch, Joined]]:
    """The table in parts, each with what its rows are joined with; what they cost is added up."""
    for batch, questions in rows.batches(JOINED_ROWS, known=ledger.held):
        keys = sorted({row.key for row in questions if row.key is not None})
        held = sayable.held(keys)
        costs.add(held)
        weights = weights_of(ledger, held)
        decided = sayable.decisions(keys)
        results = ReadAhead(questions, held, sayable.result)
        for part in parts_of([weight_of(row, held, weights) for row in questions], results.values):
            some = batch if len(part) == batch.height else batch.part(part.start, part.stop)
            yield some, joiner.join(questions[part.start : part.stop], held, results, decided)
            results.forget_before(part.stop)


def write_report(
    path: Path, report: ReportCollector, manifest: Manifest, *, like: Path, key: Secret | None = None
) -> None:
    """Write the report page without the key, for those who may read the table that it is like. Raises OutputError."""
    page = report.render(manifest).encode("utf-8", "replace")
    write_whole(path, page if key is None else key.redact_body(page), like=like)
