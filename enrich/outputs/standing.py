"""Whether the outputs of an earlier command still stand, so that one which asked nothing may leave them alone.

They stand while they would be made from the same things by the same program, and nobody has touched them since. One
fingerprint tells both. It is kept in the manifest, which is written last: a command that dies before that leaves one
that fits nothing. A file is known by its inode, size and times, which an edit, a touch or a copy put in its place
change; what changes none of them, only `enrich verify` finds.
"""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import msgspec

from enrich import __version__
from enrich.answers.join import Cost, Tally
from enrich.dataset.where import looks_at_the_clock
from enrich.errors import ExitCode, UsageError
from enrich.host.files import real
from enrich.job import Job, OutputPaths
from enrich.ledger.store import Ledger
from enrich.planning.costs import ladder_of
from enrich.report import Manifest, Outputs, read_manifest


@dataclass(frozen=True, slots=True)
class FileMark:
    """What tells a file from any other one, and from itself before a change. Times are nanoseconds."""

    inode: int
    size: int
    modified: int
    changed: int  # of its status: also by a rename, and by whoever sets the time of its last modification back

    @classmethod
    def of(cls, path: Path) -> "FileMark | None":
        """The mark of the file at `path` now, None where there is none."""
        try:
            status = os.stat(path)
        except OSError:
            return None
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


Marks = tuple[FileMark | None, ...]  # None: there is no such file


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOrigin:
    """All that the outputs of a command are made from; paths with every link followed."""

    version: str  # of enrich
    config_path: str
    config: str  # as it was loaded: the schema file that it names is part of it
    table: str
    table_mark: FileMark
    where: str | None
    limit: int | None
    sample: int | None
    processors: tuple[str, ...]  # the ladder and the budget are told by the report
    budget: Decimal | None
    ledger: str
    revision: str  # of the ledger: another one, another content
    sandbox: bool
    outputs: tuple[str, ...]  # their suffixes are their formats


@dataclass(frozen=True, slots=True)
class Standing:
    """Outputs that still stand: what they add up to, and when they were written."""

    tally: Tally
    outputs: Outputs


# ---------------------------------------------------------------------- pure


def fingerprint(
    origin: OutputOrigin,
    marks: Marks,
    rows: Mapping[str, int],
    answers: Mapping[str, int],
    doubtful: int,
) -> str:
    """One number for the origin, the outputs as they stand, and what they add up to."""
    sums = [sorted((status, count) for status, count in counts.items() if count) for counts in (rows, answers)]
    return sha256(repr((origin, marks, sums, doubtful)).encode()).hexdigest()


# ---------------------------------------------------------------------- on the disk


def origin_of(job: Job, ledger: Ledger, *, version: str = __version__) -> OutputOrigin | None:
    """What a command's outputs are made from now; None where that can't be told, or changes from hour to hour.

    To be taken before the outputs are written: what changes from then on makes it another one.
    """
    table_mark, revision = FileMark.of(job.table.path), _revision(ledger)
    options = job.options
    if table_mark is None or (options.where is not None and looks_at_the_clock(options.where)):
        return None
    files = job.outputs
    return OutputOrigin(
        version=version,
        config_path=_real(job.config.path),
        config=repr(job.config),
        table=_real(job.table.path),
        table_mark=table_mark,
        where=options.where,
        limit=options.limit,
        sample=options.sample,
        processors=tuple(rung.processor for rung in ladder_of(job.config, options.processor)),
        budget=job.budget,
        ledger=_real(job.ledger_path),
        revision=revision,
        sandbox=options.sandbox,
        outputs=tuple(_real(path) for path in (files.table, files.review, files.report)),
    )


def marks_of(*paths: Path) -> Marks:
    """The marks of files as they stand now."""
    return tuple(FileMark.of(path) for path in paths)


def find_standing(origin: OutputOrigin | None, files: OutputPaths) -> Standing | None:
    """The outputs that stand at these places, if they are what would be written now from `origin`."""
    try:
        past = read_manifest(files.manifest)
    except UsageError:  # there is none, or what is there is none
        return None
    outputs, receipt = past.outputs, past.receipt
    marks = marks_of(files.table, files.review, files.report)
    if origin is None or outputs is None or None in marks:
        return None
    if fingerprint(origin, marks, receipt.rows, receipt.answers, outputs.doubtful) != outputs.fingerprint:
        return None
    cost = _cost(receipt.table_runs_paid, receipt.table_usd, receipt.table_runs_unpriced)
    if cost is None:
        return None
    tally = Tally(rows=_some(receipt.rows), answers=_some(receipt.answers), cost=cost)
    return Standing(tally, msgspec.structs.replace(outputs, written=False))


def just_written(origin: OutputOrigin | None, marks: Marks, manifest: Manifest, doubtful: int) -> Outputs:
    """What to remember of outputs that were put in their places now.

    Where the report tells of an early end, or of money paid twice, the next command writes them anew: it has nothing
    like it to tell.
    """
    receipt = manifest.receipt
    stand = None
    if origin is not None and None not in marks and manifest.exit_code in (ExitCode.DONE, ExitCode.FAILED_ROWS):
        stand = fingerprint(origin, marks, receipt.rows, receipt.answers, doubtful)
    return Outputs(written=True, written_at=manifest.finished_at, doubtful=doubtful, fingerprint=stand)


def _revision(ledger: Ledger) -> str:
    """The ledger's revision; one from before there were revisions gets its first."""
    if ledger.revision() is None:
        with ledger.transaction():
            ledger.renew_revision()
    return ledger.revision() or ""


def _real(path: Path) -> str:
    return str(real(path))


def _cost(runs: int | None, usd: float | None, unpriced: int) -> Cost | None:
    """What a manifest says that the table has cost; None where it does not say so."""
    return None if runs is None or usd is None else Cost(runs, round(usd * 1_000_000), unpriced)


def _some(counts: Mapping[str, int]) -> Counter[str]:
    return Counter({status: count for status, count in counts.items() if count})
