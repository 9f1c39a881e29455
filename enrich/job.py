"""One config on one table: what a command was told, and where everything goes. Values; `preparing` makes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from enrich.api.environment import Environment
from enrich.api.limits import runs_per_minute
from enrich.api.secret import Secret
from enrich.config import Config
from enrich.dataset import Table
from enrich.dataset.formats import split_suffix
from enrich.errors import OutputError
from enrich.host.clock import Clock
from enrich.inputs.rows import Rows

LEDGER = Path(".enrich/ledger.db")
SANDBOX_LEDGER = Path(".enrich/sandbox.db")
UNLIMITED = 10**9  # runs a minute


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
class OutputPaths:
    """Where the outputs of one table go: all beside the table that comes out."""

    table: Path
    review: Path
    report: Path
    manifest: Path

    @property
    def companions(self) -> tuple[Path, ...]:
        """What is written beside the table; the last is the longest name that a review file is kept under."""
        kept = self.review.with_name(self.review.name.removesuffix(".review.csv") + ".decided-999.review.csv")
        return self.review, self.report, self.manifest, kept

    @classmethod
    def beside(cls, output: Path) -> "OutputPaths":
        """`companies.enriched.csv` has `companies.review.csv`, `companies.report.html`, `companies.run.json`.

        Raises OutputError for a path without a name: `.` or `/`.
        """
        if not output.name:
            raise OutputError(f"{output}: is a folder; give the name of a file")
        stem = split_suffix(output)[0].removesuffix(".enriched")
        return cls(output, *(output.with_name(stem + end) for end in (".review.csv", ".report.html", ".run.json")))


@dataclass(frozen=True, slots=True)
class Job:
    """Config and table, opened and found sound, and where everything goes."""

    config: Config
    table: Table
    rows: Rows
    outputs: OutputPaths
    options: Options
    ledger_path: Path
    facts: Path | None  # what the sandbox knows: the file given, or the one beside the table
    started_at: datetime
    clock: Clock

    @property
    def runs_per_minute(self) -> int:
        """The account's quota. The sandbox of `--sandbox` has none."""
        return UNLIMITED if self.options.sandbox else runs_per_minute(self.options.environ, self.config.runs_per_minute)

    @property
    def budget(self) -> Decimal | None:
        """What may be at stake: the option, or the config's."""
        return self.config.budget if self.options.budget is None else self.options.budget


def is_sandbox_ledger(path: Path) -> bool:
    """Whether a ledger has one of the names that those of `--sandbox` have."""
    return path.name == SANDBOX_LEDGER.name or path.suffixes[-2:-1] == [".sandbox"]
