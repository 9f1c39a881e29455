"""Whose the files are that stand where a command is about to write, and whether its ledger is the one they came from.

A file is replaced only where what is in it, or the manifest beside it, says that an earlier run of the same job wrote
it: the same output, the same config, and answers of the same kind of service. A review file, a report or a table that
no manifest vouches for is known by its columns or its first bytes, so that a command that was killed before its
manifest was written goes on. Somebody's own files, another config's and those of the other service are refused, all at
once, before anything is sent.

So is a ledger that lacks what these files name: to ask that again would be to pay for it again.
"""

import codecs
import re
import shlex
from collections.abc import Iterable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Final

from enrich.api.address import base_url_from, is_loopback_url
from enrich.config import ROW_COLUMNS
from enrich.dataset import Table, open_table
from enrich.dataset.formats import SPOOL_SUFFIX, split_suffix
from enrich.errors import OutputError, TableError, UsageError
from enrich.host.files import open_regular
from enrich.job import Job, OutputPaths, is_sandbox_ledger
from enrich.ledger.store import Ledger
from enrich.records import ServiceKind
from enrich.report import PastRun, is_manifest, is_report, read_manifest
from enrich.text.figures import counted

_START_BYTES: Final = 4096  # of a file, which tell what it is
_ALL_THE_SAME: Final = "--replace replaces it anyway"
_REVIEW_COLUMNS: Final = frozenset({"row", "field", "status", "run_id", "decision", "correction", "note"})
_CELL: Final = re.compile(r"[,;\t]")
_WORD: Final = re.compile(r"[^\w-]+")


class ClaimError(OutputError):
    """What stands in the outputs' places is not this job's, or its ledger was left behind. Nothing was sent."""


def check_claims(job: Job, ledger: Ledger) -> None:
    """Raise ClaimError for everything that stands in the way of this job's outputs, and of its ledger."""
    _raise(obstacles(job, ledger))


def obstacles(job: Job, ledger: Ledger) -> list[str]:
    """All that stands in the way of this job's outputs and of its ledger, in words."""
    return [*foreign_files(job, ledger), *_left_behind(job, ledger)]


def refuse_foreign(job: Job, ledger: Ledger) -> None:
    """Raise ClaimError for what is not this job's: for a command that asks nothing, whatever its ledger lacks."""
    _raise(foreign_files(job, ledger))


def _raise(faults: list[str]) -> None:
    if faults:
        raise ClaimError("\n".join(faults) + ". Nothing was sent, and nothing was written")


def foreign_files(job: Job, ledger: Ledger) -> list[str]:
    """What stands in the outputs' places and is not this job's, in words."""
    if job.options.replace:
        return []
    past = _past_run(job.outputs.manifest)
    if past is None:
        return list(_unvouched(job, ledger, job.outputs))
    if isinstance(past, str):
        return [
            _refusal(job, job.outputs.manifest, "is not a manifest of enrich"),
            *_unvouched(job, ledger, job.outputs),
        ]
    other = _other_job(past, job, ledger)
    if other:
        return [_refusal(job, job.outputs.table, other)]
    if _names(past, job.outputs.table) or not _is_taken(job.outputs.table):
        return []
    problem = _table_problem(job, ledger)
    return [_refusal(job, job.outputs.table, problem)] if problem else []


# ---------------------------------------------------------------------- by the manifest


def _past_run(manifest: Path) -> PastRun | str | None:
    """The run that a manifest tells of; None where none can be read, a text where what is there is something else."""
    if not _is_taken(manifest):
        return None
    try:
        return read_manifest(manifest)
    except UsageError as error:
        return None if is_manifest(manifest) else str(error)


def _names(past: PastRun, output: Path) -> bool:
    """Whether a manifest is about the output of this name; folders are moved and copied."""
    return Path(past.files.output or "").name == output.name


def _other_job(past: PastRun, job: Job, ledger: Ledger) -> str:
    """Whose the outputs are that a manifest tells of, in words; empty where they are this job's."""
    output = past.files.output or ""
    if past.has_answers and _is_of_the_other_service(past, job, ledger):
        theirs, ours = ("the sandbox", "the service") if past.sandbox else ("the service", "the sandbox")
        return f"holds answers of {theirs}, and those of {ours} never replace them"
    if not _is_config_of(past, job):
        return f"was written by another config, {past.config.path} ({past.name})"
    # The same table in another format may take the companions; another table's output may not lose them.
    is_other = not _names(past, job.outputs.table) and _table_name(past.table.path) != _table_name(job.table.path)
    if is_other and output and job.outputs.table.with_name(Path(output).name).exists():
        files = f"{job.outputs.review.name} and {job.outputs.manifest.name}"
        return f"would replace {files}, which belong to {Path(output).name}"
    return ""


def _is_of_the_other_service(past: PastRun, job: Job, ledger: Ledger) -> bool:
    """Whether a manifest tells of answers of the sandbox and this job is to get those of the service, or vice versa."""
    kind = _kind(job, ledger)
    if kind is None:  # a service on this machine that nothing was asked yet; a rehearsal kept a ledger of its own
        return past.sandbox and is_sandbox_ledger(Path(past.ledger.path))
    return past.sandbox != (kind == "sandbox")


def _table_name(path: str | Path) -> str:
    """The name of a table's file; a table in memory has one, however it was put on disk."""
    name = Path(path).name
    return name.removesuffix(SPOOL_SUFFIX) + ".parquet" if name.endswith(SPOOL_SUFFIX) else name


def _kind(job: Job, ledger: Ledger) -> ServiceKind | None:
    """Whose answers this job's are; None where only the service itself can tell."""
    if job.options.sandbox:
        return "sandbox"
    held = ledger.service()
    if held is not None:
        return held
    return None if is_loopback_url(base_url_from(job.options.environ)) else "service"


def _is_config_of(past: PastRun, job: Job) -> bool:
    """Whether the config is the one that a manifest names.

    By its name and its file's: one of them may have changed, as long as every answer that it had is asked for still.
    """
    config = job.config
    same_name, same_file = past.name == config.name, Path(past.config.path).name == config.path.name
    if same_name and same_file:
        return True
    return (same_name or same_file) and past.fields.keys() <= {one.name for one in config.fields}


# ---------------------------------------------------------------------- by their content


def _unvouched(job: Job, ledger: Ledger, files: OutputPaths) -> Iterator[str]:
    """The files of which no manifest says that they are this job's, and which do not say so themselves."""
    if _is_taken(files.table):
        problem = _table_problem(job, ledger)
        if problem:
            yield _refusal(job, files.table, problem)
    for path, is_ours, what in ((files.review, _is_review, "review file"), (files.report, is_report, "report")):
        if _is_taken(path) and not is_ours(_start(path)):
            yield _refusal(job, path, f"is no {what} of enrich")


def _table_problem(job: Job, ledger: Ledger) -> str:
    standing = _standing_table(job)
    if standing is None or not {*ROW_COLUMNS} <= {*standing.columns}:
        return "holds no answers of enrich, and no manifest beside it says that it is an output"
    fields = {one.name for one in job.config.fields}
    added = {*standing.columns} - {*job.table.columns, *ROW_COLUMNS}
    others = sorted(name for name in added if f"{name}_status" in added and name not in fields)
    if others:
        return f"has answers that this config does not ask for ({', '.join(others[:3])})"
    if job.options.sandbox and (lacking := ledger.lacking_runs(_run_ids(standing))):
        return f"names {counted(len(lacking), 'run')} that the sandbox's ledger lacks, such as {lacking[0]}"
    return ""


def _standing_table(job: Job) -> Table | None:
    csv = job.config.csv
    try:
        return open_table(
            job.outputs.table, encoding=csv.encoding, delimiter=csv.delimiter, quote=csv.quote, is_ours=True
        )
    except TableError:
        return None


def _run_ids(table: Table) -> Iterator[str]:
    for batch in table.batches():
        for cell in batch.values("enrich_run_id"):
            yield from (cell or "").split(", ") if cell else ()


def _is_taken(path: Path) -> bool:
    """Whether anything stands there that could be lost."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _is_review(start: bytes) -> bool:
    """Whether a file begins as a review file does, also as a spreadsheet saves it."""
    encoding = "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    header = start.decode(encoding, "replace").splitlines()[:1]
    return bool(header) and set(_CELL.split(header[0].replace('"', ""))) >= _REVIEW_COLUMNS


def _start(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(_START_BYTES)


# ---------------------------------------------------------------------- a ledger that was left behind


def _left_behind(job: Job, ledger: Ledger) -> Iterator[str]:
    """What the outputs name and this ledger lacks, with the way to bring it in."""
    if job.options.pay_again or job.options.sandbox:
        return
    past = _past_run(job.outputs.manifest)
    if isinstance(past, PastRun):
        if _other_job(past, job, ledger):
            return
        if past.ledger.groups is not None:
            lacking = ledger.lacking_groups(past.ledger.groups)
            if lacking:
                yield _left_behind_text(job, past, job.outputs.manifest, lacking, "group")
            return
        if past.groups and not ledger.last_submission():
            yield _left_behind_text(job, past, job.outputs.manifest, past.groups, "group")
            return
    # Version 0.2.0 told a run's own groups only, and a killed command none: the table itself tells.
    standing = _standing_table(job) if _is_taken(job.outputs.table) else None
    if standing is not None and "enrich_run_id" in standing.columns:
        lacking = ledger.lacking_runs(_run_ids(standing))
        if lacking:
            yield _left_behind_text(job, past, job.outputs.table, lacking, "run")


def _left_behind_text(job: Job, past: PastRun | str | None, named_in: Path, lacking: Iterable[str], what: str) -> str:
    ids = list(lacking)
    source = ("--manifest", str(job.outputs.manifest)) if isinstance(past, PastRun) else ("--group", "ID")
    whose = () if job.config.file is None else (str(job.config.file),)
    names_ledger = job.options.ledger is not None or not whose
    given = ("--ledger", str(job.ledger_path)) if names_ledger else ()
    command = shlex.join(["enrich", "recover", *whose, *source, *given])
    theirs = f" They were paid through {past.ledger.path}." if isinstance(past, PastRun) and past.ledger.path else ""
    return (
        f"{named_in}: names {counted(len(ids), what)} that {job.ledger_path} lacks, such as {ids[0]}: the ledger was"
        f" left behind, and their answers would be paid for again.{theirs} Bring them in for free with `{command}`, or"
        " give the ledger with --ledger; --pay-again asks and pays again"
    )


# ---------------------------------------------------------------------- what to do


def _refusal(job: Job, path: Path, problem: str) -> str:
    return f"{path}: {problem}; give this run its own output with -o, such as {_way_out(job)}; {_ALL_THE_SAME}"


def _way_out(job: Job) -> str:
    """An output whose places are all free, as a shell takes it."""
    table = job.outputs.table
    stem, suffix = split_suffix(table)
    stem = stem.removesuffix(".enriched").removesuffix(".sandbox")
    words = [_WORD.sub("-", word).strip("-") for word in (job.config.name, job.config.path.stem)]
    kinds = ["sandbox"] if job.options.sandbox else [*words, suffix.strip(".").replace(".", "-")]
    for word in chain(filter(None, kinds), (f"{n}" for n in count(2))):
        output = table.with_name(f"{stem}.{word}{suffix}")
        files = OutputPaths.beside(output)
        if word != stem and not any(one.exists() for one in (files.table, files.review, files.report, files.manifest)):
            return shlex.quote(str(output))
    raise AssertionError  # there is always another number
