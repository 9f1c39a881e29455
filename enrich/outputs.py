"""Writes what a command leaves beside its manifest: the table, the review queue, the report page.

The table is read once more and comes out row by row with the answers that the ledger holds now. Everything here can be
done again from the ledger, for free.
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import msgspec

from enrich.answers import Choice, citations_of
from enrich.config import Config
from enrich.dataset import Layout, Table, TableWriter
from enrich.dataset.encoding import output_format
from enrich.due import Results, too_long_text
from enrich.errors import OutputError
from enrich.files import write_whole
from enrich.join import Doubt, Joined, Joiner, Tally
from enrich.ledger import Ledger
from enrich.report import Manifest, ReportCollector, Sample
from enrich.review import ReviewLine, ReviewWriter
from enrich.selection import Row, Rows
from enrich.spec import Json

JOINED_ROWS: Final = 512  # held at once with all that was said of them, some 4 KB a row, in three shapes


@dataclass(frozen=True, slots=True)
class Files:
    """Where the outputs of one table go: all beside the table that comes out."""

    table: Path
    review: Path
    report: Path
    manifest: Path

    @classmethod
    def beside(cls, output: Path) -> "Files":
        """`companies.enriched.csv` has `companies.review.csv`, `companies.report.html`, `companies.run.json`.

        Raises OutputError for a path without a name: `.` or `/`.
        """
        if not output.name:
            raise OutputError(f"{output}: is a folder; give the name of a file")
        stem = output.name
        for suffix in (".gz", ".zst", ".csv", ".tsv", ".ndjson", ".jsonl", ".parquet", ".enriched"):
            stem = stem.removesuffix(suffix)
        return cls(output, *(output.with_name(stem + end) for end in (".review.csv", ".report.html", ".run.json")))


def make_joiner(config: Config, table: Table, files: Files) -> Joiner:
    """What joins this config's answers to this table. Raises OutputError when a column can't hold its answers."""
    typed = output_format(files.table, table).kind in ("parquet", "ndjson")
    joiner = Joiner(config, schema=table.schema, typed=typed, too_long=too_long_text(config))
    Layout(table, joiner.columns())
    return joiner


def write_table(
    config: Config, table: Table, rows: Rows, ledger: Ledger, files: Files
) -> tuple[Tally, ReportCollector, int]:
    """Join and write the table and its review queue, each whole or not at all.

    Gives what they add up to, what the report shows, and the number of doubtful answers. Raises OutputError.
    """
    joiner = make_joiner(config, table, files)
    report = ReportCollector([one.name for one in config.fields])
    results = Results(ledger)
    neutralise = config.csv.formulas == "neutralise"
    with (
        ReviewWriter(files.review, input_fields=sorted(config.inputs)) as review,
        TableWriter(files.table, table, joiner.columns(), neutralise=neutralise) as writer,
        ledger.distinct() as reviewed,
        ThreadPoolExecutor(1, "enrich-table") as hand,
    ):
        written: Future[None] = hand.submit(lambda: None)
        for batch, questions in rows.batches(JOINED_ROWS):
            keys = sorted({row.key for row in questions if row.key is not None})
            held = ledger.held(keys)
            joined = joiner.join(batch.start, questions, held, results, ledger.decisions(keys))
            written.result()  # one batch is written while the next is joined, and no more are held
            written = hand.submit(writer.write, batch, joined.frame)
            seen = reviewed.seen_before({doubt.key: "" for doubt in joined.doubts})
            review.add(_review_line(doubt) for doubt in joined.doubts if doubt.key not in seen)
            _show(report, config, batch.start, joined)
        written.result()
        doubtful = review.lines
    return joiner.tally, report, doubtful


def write_report(path: Path, report: ReportCollector, manifest: Manifest) -> None:
    """Write the report page. Raises OutputError."""
    write_whole(path, report.render(manifest).encode("utf-8", "replace"))


@lru_cache(maxsize=1)  # the doubtful answers of an input follow one another
def _inputs(document: bytes) -> Mapping[str, Json]:
    inputs: dict[str, Json] = msgspec.json.decode(document)
    return inputs


def _review_line(doubt: Doubt) -> ReviewLine:
    answer, held = doubt.choice.answer, doubt.choice.held
    assert answer is not None
    assert held is not None
    return ReviewLine(
        row=doubt.row,
        inputs=_inputs(doubt.document),
        field=doubt.name,
        status=doubt.choice.status,
        value=answer.value,
        confidence=answer.confidence,
        reason=doubt.choice.reason,
        reasoning=answer.reasoning,
        sources=[citation.url for citation in citations_of(answer.citations) if citation.url is not None],
        run_id=held.run_id or "",
        processor=held.processor,
    )


def _show(report: ReportCollector, config: Config, start: int, joined: Joined) -> None:
    """Feed the report: answers that are alike are counted together, a few are shown."""
    for one, choices, kinds in zip(config.fields, joined.choices, joined.kinds, strict=True):
        for kind, (count, at) in kinds.items():
            choice = choices[at]
            shown = choice.held is not None and choice.answer is not None
            sample = partial(_sample, start + at + 1, joined.rows[at], choice) if shown else None
            report.add(one.name, *kind, sample=sample, count=count)


def _sample(number: int, row: Row, choice: Choice) -> Sample:
    answer, held = choice.answer, choice.held
    assert answer is not None
    assert held is not None
    return Sample(
        row=number,
        inputs=msgspec.json.decode(row.document or b"{}"),
        value=answer.value,
        reasoning=answer.reasoning,
        citations=[msgspec.to_builtins(citation) for citation in citations_of(answer.citations)],
        processor=held.processor,
    )
