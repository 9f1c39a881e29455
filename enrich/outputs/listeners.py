"""What a joined table goes into, part by part: the table itself, the review queue, the report page."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Protocol

import msgspec

from enrich.answers.answer import Cells
from enrich.answers.join import Joined, doubt_key
from enrich.answers.results import citations_of
from enrich.config import Config
from enrich.dataset import TableWriter
from enrich.dataset.tables import Batch
from enrich.ledger.distinct import Distinct
from enrich.records import Row
from enrich.report import ReportCollector, Sample
from enrich.review.queue import ReviewLine, ReviewWriter
from enrich.review.written import Beside, Written
from enrich.spec import Json


class Listener(Protocol):
    """Takes the parts of a table as they are joined, in their order, and is told when there are no more."""

    def add(self, part: Batch, joined: Joined) -> None:
        """Take one part: its rows as they came, and what they were joined with."""

    def close(self) -> None:
        """All parts are there: end what is under way."""


class InTable:
    """Writes each part into the table, in a thread of its own, while the next part is joined; no more are held."""

    def __init__(self, writer: TableWriter, hand: ThreadPoolExecutor) -> None:
        self._writer = writer
        self._hand = hand
        self._done: Future[None] = hand.submit(lambda: None)

    def add(self, part: Batch, joined: Joined) -> None:
        """Write a part once the one before it is written. Raises what writing that one raised."""
        self._done.result()
        self._done = self._hand.submit(self._writer.write, part, joined.frame)

    def close(self) -> None:
        """Wait for the last part."""
        self._done.result()


class InQueue:
    """Writes each doubtful answer into the review queue, once an input, with what people wrote beside it."""

    def __init__(self, config: Config, writer: ReviewWriter, reviewed: Distinct, written: Written) -> None:
        self._config = config
        self._writer = writer
        self._reviewed = reviewed
        self._written = written

    def add(self, part: Batch, joined: Joined) -> None:
        """Write the doubtful answers of a part that no row of an earlier one had."""
        self._writer.add(_review_lines(self._config, part.start, joined, self._reviewed, self._written))

    def close(self) -> None:
        """Nothing is under way."""


class InPage:
    """Counts what becomes of the answers, for the report page."""

    def __init__(self, config: Config, report: ReportCollector) -> None:
        self._config = config
        self._report = report

    def add(self, part: Batch, joined: Joined) -> None:
        """Count the answers of a part: those that are alike together, a few are shown."""
        for one, cells, kinds in zip(self._config.fields, joined.cells, joined.kinds, strict=True):
            for kind, (count, at) in kinds.items():
                number = part.start + at + 1
                sample = None if cells.runs[at] is None else partial(sample_of, number, joined.rows[at], cells, at)
                self._report.add(one.name, *kind, sample=sample, count=count)

    def close(self) -> None:
        """Nothing is under way."""


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


def sample_of(number: int, row: Row, cells: Cells, place: int) -> Sample:
    """The answer at a place as the report shows it; `number` is its row in the table, from 1."""
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
