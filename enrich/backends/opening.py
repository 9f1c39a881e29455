"""Opens the service, or the sandbox in its place, for the length of a block. Sends nothing by itself."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from secrets import token_hex

from enrich.api.address import base_url_from
from enrich.api.environment import Environment
from enrich.api.limits import runs_per_minute
from enrich.api.secret import Secret
from enrich.backends.parallel import Client
from enrich.errors import MissingKeyError, UsageError


def check_key(environ: Mapping[str, str]) -> Secret:
    """The API key for the real service. Raises MissingKeyError, or UsageError for what can't be a key."""
    environ = Environment.of(environ)
    if environ.key_fault:
        raise UsageError(f"{environ.key_fault}; nothing was sent")
    if environ.key is None:
        raise MissingKeyError
    return environ.key


def check_service(environ: Mapping[str, str], *, sandbox: bool = False, facts: Path | None = None) -> None:
    """Find what is said wrongly of the service, before any work. Whether there is a key is asked later.

    Raises BaseUrlError, or UsageError, also for facts that can't be read; their lines are read when the sandbox starts.
    """
    environ = Environment.of(environ)
    runs_per_minute(environ)
    if not sandbox:
        base_url_from(environ)
    if facts is not None:
        if not sandbox:
            raise UsageError("--facts: is for the sandbox; add --sandbox")
        from enrich.sandbox import check_facts

        with sandbox_refusals():
            check_facts(facts)


@asynccontextmanager
async def open_service(
    environ: Mapping[str, str], *, ledger: Path, sandbox: bool = False, facts: Path | None = None
) -> AsyncIterator[Client]:
    """A client of the service; with `sandbox`, of one that lives in this process as long as the block.

    Such a sandbox remembers its groups in a file beside the ledger, so that they outlive the command.
    Raises MissingKeyError, BaseUrlError, or UsageError, also where the sandbox can't start.
    """
    environ = Environment.of(environ)
    with _place(environ, ledger, sandbox=sandbox, facts=facts) as (base_url, key):
        async with Client(base_url=base_url, api_key=key) as client:
            yield client


def facts_beside(table: Path) -> Path | None:
    """The facts file of a table, if there is one: `companies.facts.ndjson` (or .parquet) beside `companies.csv`."""
    if not table.name:
        return None
    stem = table.name.split(".", 1)[0]
    found = (table.with_name(f"{stem}.facts{suffix}") for suffix in (".ndjson", ".parquet"))
    return next((path for path in found if path.exists()), None)


@contextmanager
def sandbox_refusals() -> Iterator[None]:
    """Raise UsageError where a sandbox can't start: it stands apart, and has an error of its own."""
    from enrich.sandbox import SandboxError

    try:
        yield
    except SandboxError as error:
        raise UsageError(str(error)) from error


@contextmanager
def _place(
    environ: Mapping[str, str], ledger: Path, *, sandbox: bool, facts: Path | None
) -> Iterator[tuple[str, Secret]]:
    """The address of the service and the key to it."""
    if not sandbox:
        yield base_url_from(environ), check_key(environ)
        return
    from enrich.sandbox import SandboxSettings, running

    state = ledger.with_name(ledger.stem + "-service.ndjson")
    key = token_hex(16)  # nobody else on this machine knows it
    with sandbox_refusals(), running(SandboxSettings(facts=facts, state=state, api_key=key)) as base_url:
        yield base_url, Secret(key)
