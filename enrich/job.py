"""One config on one table: what a command knows before the ledger is opened. Reads and checks, sends nothing."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from enrich.api.environment import Environment
from enrich.api.secret import Secret
from enrich.backends.opening import check_service, facts_beside
from enrich.config import Config, check_columns, load
from enrich.dataset import Table, check_output_path, default_output, open_table, refuse_input, try_writing
from enrich.errors import ConfigError, EnrichError, ExitCode, UsageError
from enrich.host.files import real
from enrich.inputs.rows import Chosen, Rows
from enrich.ledger.place import check_place
from enrich.ledger.store import Ledger
from enrich.ledger.worklist import Worklist
from enrich.outputs.writing import Files, make_joiner
from enrich.spec.processors import NAMES, PROCESSORS
from enrich.text.phrases import did_you_mean

LEDGER = Path(".enrich/ledger.db")
SANDBOX_LEDGER = Path(".enrich/sandbox.db")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a command may ask for beside config and table; the command line's options have the same names."""

    output: Path | None = None
    limit: int | None = None
    sample: int | None = None
    where: str | None = None
    processor: str | None = None
    budget: Decimal | None = None
    settle_s: float | None = None
    deadline_s: float | None = None
    ledger: Path | None = None
    sandbox: bool = False
    facts: Path | None = None
    retry_failed: bool = False
    rewrite: bool = False  # the outputs, also where they still stand
    replace: bool = False  # what stands in the outputs' places, also where it is not this job's, or says more
    pay_again: bool = False  # for what the outputs name and the ledger lacks
    call: bool = False  # from Python, where the same call goes on and not the same command
    environ: Mapping[str, str] = field(default_factory=Environment.here)

    def __post_init__(self) -> None:
        object.__setattr__(self, "environ", Environment.of(self.environ))

    @property
    def key(self) -> Secret | None:
        """The key that the environment holds."""
        return Environment.of(self.environ).key


@dataclass(frozen=True, slots=True)
class Job:
    """Config and table, opened and found sound, and where everything goes."""

    config: Config
    table: Table
    rows: Rows
    files: Files
    options: Options
    ledger_path: Path
    facts: Path | None  # what the sandbox knows: the file given, or the one beside the table
    started_at: datetime

    @property
    def budget(self) -> Decimal | None:
        """What may be at stake: the option, or the config's."""
        return self.config.budget if self.options.budget is None else self.options.budget


class Interruption:
    """A request to end, from a signal or a caller; `request` is called on the event loop's thread."""

    def __init__(self) -> None:
        self.code: ExitCode | None = None
        self._actions: list[Callable[[], None]] = []

    def request(self, code: ExitCode = ExitCode.INTERRUPTED) -> None:
        """Ask the command to end in good order; the first reason stands."""
        self.code = self.code or code
        for action in self._actions:
            action()

    def then(self, action: Callable[[], None]) -> None:
        """Call `action` when the end is requested, at once if it was."""
        self._actions.append(action)
        if self.code is not None:
            action()

    def check(self) -> None:
        """Raise InterruptedEarlyError if the end was requested: in the steps before anything is sent."""
        if self.code is not None:
            raise InterruptedEarlyError(self.code)


class InterruptedEarlyError(EnrichError):
    """The command was interrupted before it sent anything."""

    exit_code = ExitCode.INTERRUPTED  # or TERMINATED

    def __init__(self, code: ExitCode) -> None:
        super().__init__("interrupted; nothing was sent, and nothing was written")
        self.exit_code = code


def prepare(given: Path | Config, table_path: Path, options: Options, *, writes: bool = True) -> Job:
    """Open and check everything, and unless it only reads, whether the outputs can be written.

    Raises ConfigError, TableError, OutputError, UsageError or BaseUrlError.
    """
    started_at = datetime.now(UTC)
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
        table.condition(options.where)
    files = Files.beside(options.output or default_output(table_path, sandbox=options.sandbox))
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
    rows = Rows(config, table, Chosen(options.where, options.limit, options.sample))
    return Job(config, table, rows, files, options, ledger, facts, started_at)


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


def is_sandbox_ledger(path: Path) -> bool:
    """Whether a ledger has one of the names that those of `--sandbox` have."""
    return path.name == SANDBOX_LEDGER.name or path.suffixes[-2:-1] == [".sandbox"]


@dataclass(slots=True)
class Listed:
    """What a table was found to hold when it was read into the worklist."""

    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)  # rows of which nothing is asked, by why
    placeholders: Counter[tuple[str, str]] = field(default_factory=Counter)  # texts for nothing, by column and text


def list_wanted(job: Job, ledger: Ledger, worklist: Worklist, check: Callable[[], None] = lambda: None) -> Listed:
    """Read the table into the worklist."""
    listed = Listed()
    for batch, rows in job.rows.batches(known=ledger.held):
        check()
        worklist.add_aliases((row.alias, row.key) for row in rows if row.alias is not None and row.key is not None)
        worklist.add(
            (row.key, row.document, row.mask)
            for row in rows
            if row.key is not None and row.document is not None and not row.left_out
        )
        listed.rows += batch.height
        listed.left_out.update(row.left_out for row in rows if row.left_out)
        listed.placeholders += job.rows.placeholders(batch)
    return listed


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
