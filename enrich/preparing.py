"""Opens and checks everything that a command needs before the ledger is opened. Reads, sends nothing."""

from pathlib import Path

from enrich.backends.opening import check_service, facts_beside
from enrich.config import Config, check_columns
from enrich.config.loading import load
from enrich.dataset import check_output_path, default_output, open_table, refuse_input, try_writing
from enrich.errors import ConfigError, UsageError
from enrich.host.clock import SYSTEM, Clock
from enrich.host.files import real
from enrich.inputs.rows import Chosen, Rows
from enrich.job import LEDGER, SANDBOX_LEDGER, Job, Options, OutputPaths
from enrich.ledger.place import check_place
from enrich.outputs.joining import make_joiner
from enrich.spec.processors import NAMES, PROCESSORS
from enrich.text.phrases import did_you_mean


def prepare(
    given: Path | Config, table_path: Path, options: Options, *, writes: bool = True, clock: Clock = SYSTEM
) -> Job:
    """Open and check everything, and unless it only reads, whether the outputs can be written.

    The job's time, from its start on, is that of `clock`.

    Raises ConfigError, TableError, OutputError, UsageError or BaseUrlError.
    """
    started_at = clock.moment()
    _check_options(options)
    check_service(options.environ, sandbox=options.sandbox, facts=options.facts)
    config = load(given, options.environ) if isinstance(given, Path) else given
    ledger = _ledger_place(config, options)
    refuse_as_ledger(ledger, table_path, "the table")
    if config.file is not None:
        refuse_as_ledger(ledger, config.file, "the config")
    check_place(ledger)
    table = open_table(table_path, **config.csv.reading())
    faults = check_columns(config, table.columns, title=table.title)
    if faults:
        raise ConfigError(str(config.path), faults)
    if options.where is not None:
        table.condition(options.where, started_at)
    files = OutputPaths.beside(options.output or default_output(table_path, sandbox=options.sandbox))
    if writes:
        check_output_path(files.table, table, companions=files.companions)
    facts = options.facts or (facts_beside(table_path) if options.sandbox else None)
    read = {"config": config.file, "schema file that the config names": config.schema_path, "facts file": facts}
    for path in (files.table, files.review, files.report, files.manifest):
        for what, one in read.items():
            if one is not None and path.exists() and one.exists() and path.samefile(one):
                raise UsageError(f"{path}: would be overwritten, and is the {what}; give another output with -o")
        refuse_as_ledger(ledger, path, "an output of the command")
        refuse_input(path, table)
    try_writing(files.table, table, make_joiner(config, table, files).columns())
    rows = Rows(config, table, Chosen(options.where, options.limit, options.sample), now=started_at)
    return Job(config, table, rows, files, options, ledger, facts, started_at, clock)


def ledger_path(config: Config | None, options: Options) -> Path:
    """Where the ledger is: --ledger, `ledger:` in the config, or `.enrich/` in the config's folder (or in this one).

    The sandbox has one of its own beside it. Raises LedgerError where something stands that is no ledger.
    """
    path = _ledger_place(config, options)
    check_place(path)
    return path


def refuse_as_ledger(ledger: Path, path: Path, what: str) -> None:
    """Raise UsageError where the ledger is another file of the command, by whatever name or link."""
    if real(ledger) == real(path) or (ledger.exists() and path.exists() and ledger.samefile(path)):
        raise UsageError(
            f"{ledger}: is {what}, and can't be the ledger too; name another file with --ledger, or `ledger:` in the"
            " config"
        )


def _ledger_place(config: Config | None, options: Options) -> Path:
    path = options.ledger or (None if config is None else config.ledger)
    if path is None:
        folder = Path() if config is None else real(config.path).parent
        return folder / (SANDBOX_LEDGER if options.sandbox else LEDGER)
    if path.is_dir():
        raise UsageError(f"{path}: this is a folder; name a file with --ledger, or `ledger:` in the config")
    return path.with_name(f"{path.stem}.sandbox{path.suffix}") if options.sandbox else path


def _check_options(options: Options) -> None:
    if options.processor is not None and options.processor not in PROCESSORS:
        hint = did_you_mean(options.processor, PROCESSORS) or NAMES
        raise UsageError(f"--processor: there is no processor {options.processor!r}; {hint}")
    for name, value in (("--limit", options.limit), ("--sample", options.sample)):
        if value is not None and value < 1:
            raise UsageError(f"{name}: expected a number of rows, 1 or more, got {value}")
    if options.limit is not None and options.sample is not None:
        raise UsageError("--limit and --sample: give one of them, the first rows or a random sample")
    if options.budget is not None and options.budget <= 0:
        raise UsageError(f"--budget: expected an amount in US dollars above 0, got {options.budget}")
    if options.settle_s is not None and options.settle_s < 0:
        raise UsageError(f"--settle: expected 0 seconds or more, got {options.settle_s:g}")
    if options.deadline_s is not None and options.deadline_s <= 0:
        raise UsageError(f"--deadline: expected more than 0 seconds, got {options.deadline_s:g}")
