"""The manifest `NAME.run.json`: one run of the command, for scripts. The format is in docs/manifest.md.

Within one version of the format keys are only added. Times are UTC (RFC 3339), dollars are numbers exact to
the tenth of a cent, a file that was not written is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from enrich.api.secret import Secret
from enrich.errors import UsageError
from enrich.host.files import is_special, open_regular, write_whole
from enrich.report.receipt import Receipt
from enrich.text.hostile import plain_json
from enrich.text.jsontext import why_no_json

if TYPE_CHECKING:
    from enrich.spec import Json

MAX_BYTES: Final = 16 << 20  # of a manifest; one that names a hundred thousand groups has 4 MB

__all__ = [
    "SCHEMA",
    "Manifest",
    "Outputs",
    "PastRun",
    "Selection",
    "manifest_to_keep",
    "read_manifest",
    "write_manifest",
]

SCHEMA: Final = "enrich.run/1"
_ANY_SCHEMA: Final = "enrich.run/"
_UNANSWERED: Final = frozenset({"pending", "skipped", "failed"})  # answer statuses of what nobody has answered


class Selection(msgspec.Struct, frozen=True):
    """Which rows might be asked about; all of them where nothing is said."""

    where: str | None = None
    limit: int | None = None
    sample: int | None = None


EVERY_ROW: Final = Selection()


class Outputs(msgspec.Struct, frozen=True):
    """Table, review file and report: when they were written, and how the next run knows whether they still stand."""

    written: bool  # by this run; else those of an earlier one still stood, and were left alone
    written_at: datetime
    doubtful: int  # lines of the review file: a doubtful answer of an input each
    fingerprint: str | None  # None where the next run must write them anew, whatever stands there


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What ran, on what, when, and how it ended. Paths as the command was given them; no secrets."""

    name: str
    version: str  # of enrich
    config: str
    config_sha256: str
    table: str
    ledger: str = ""
    ledger_groups: tuple[str, ...] = ()  # all that the ledger has paid through: what is left when it is lost
    sandbox: bool
    selection: Selection = EVERY_ROW
    started_at: datetime  # aware
    finished_at: datetime
    exit_code: int
    stopped: str = ""  # why it ended early, in words
    output: str = ""
    review: str = ""
    report: str = ""
    processors: tuple[str, ...] = ()  # the ladder, weakest first
    fields: Mapping[str, str] = field(default_factory=dict)  # answer column → identity of the field
    budget_usd: Decimal | None = None
    groups: tuple[str, ...] = ()  # task groups that this run made or read
    outputs: Outputs | None = None
    doubtful: int = 0  # lines of the review file
    next: tuple[str, ...] = ()  # what a person can do now
    receipt: Receipt

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return (self.finished_at - self.started_at).total_seconds()

    def to_json(self) -> dict[str, Json]:
        """The manifest as plain JSON."""
        return {
            "schema": SCHEMA,
            "name": _text(self.name),
            "version": self.version,
            "sandbox": self.sandbox,
            "started_at": _moment(self.started_at),
            "finished_at": _moment(self.finished_at),
            "seconds": round(self.seconds, 3),
            "exit_code": int(self.exit_code),
            "stopped": _text(self.stopped) or None,
            "config": {"path": _text(self.config), "sha256": self.config_sha256},
            "table": {"path": _text(self.table)},
            "ledger": {"path": _text(self.ledger), "groups": list(self.ledger_groups)},
            "selection": msgspec.to_builtins(self.selection),
            "files": {
                "output": _text(self.output) or None,
                "review": _text(self.review) or None,
                "report": _text(self.report) or None,
            },
            "outputs": None if self.outputs is None else _outputs_json(self.outputs),
            "processors": list(self.processors),
            "fields": dict(self.fields),
            "budget_usd": None if self.budget_usd is None else float(self.budget_usd),
            "groups": list(self.groups),
            "next": [_text(step) for step in self.next],
            "receipt": self.receipt.to_json(),
        }


def write_manifest(path: Path, manifest: Manifest, *, like: Path | None = None, key: Secret | None = None) -> None:
    """Write the manifest, whole or not at all, for those who may read the file that it is like; raises OutputError.

    What a service names may hold the key: it is taken out.
    """
    text = msgspec.json.format(msgspec.json.encode(manifest.to_json()), indent=2).decode()
    body = plain_json(text).encode() + b"\n"
    write_whole(path, body if key is None else key.redact_body(body), like=like)


def manifest_to_keep(manifest: Manifest, key: Secret | None = None) -> bytes:
    """The manifest as a ledger keeps it: on one line, and without the groups of the ledger, which that has itself."""
    kept = replace(manifest, ledger_groups=()).to_json()
    body = plain_json(msgspec.json.encode(kept).decode()).encode()
    return body if key is None else key.redact_body(body)


class _Place(msgspec.Struct, frozen=True):
    path: str = ""
    sha256: str = ""


class _Ledger(msgspec.Struct, frozen=True):
    path: str = ""
    groups: tuple[str, ...] | None = None  # None: of version 0.2.0, which did not tell


class _Files(msgspec.Struct, frozen=True):
    output: str | None = None


class _Sums(msgspec.Struct, frozen=True):
    rows: dict[str, int] = {}
    answers: dict[str, int] = {}
    table_runs_paid: int | None = None  # None in manifests from before it was counted
    table_usd: float | None = None
    table_runs_unpriced: int = 0


class PastRun(msgspec.Struct, frozen=True):
    """What a later command needs to know of a run, read from its manifest."""

    schema: str
    name: str = ""
    config: _Place = _Place()
    table: _Place = _Place()
    ledger: _Ledger = _Ledger()
    files: _Files = _Files()
    sandbox: bool = False
    selection: Selection = Selection()
    fields: dict[str, str] = {}
    groups: tuple[str, ...] = ()
    outputs: Outputs | None = None
    receipt: _Sums = _Sums()

    @property
    def has_answers(self) -> bool:
        """Whether its outputs hold anything that the service said."""
        return any(number for status, number in self.receipt.answers.items() if status not in _UNANSWERED)

    @property
    def all_groups(self) -> tuple[str, ...]:
        """Every group that it names, each once."""
        return tuple(dict.fromkeys((*self.groups, *(self.ledger.groups or ()))))


def read_manifest(path: Path) -> PastRun:
    """The manifest at `path`. Raises UsageError when there is none that can be read."""
    if is_special(path):
        raise UsageError(f"{path}: this is no regular file; name the manifest of a run")
    try:
        text = _start(path)
        if len(text) > MAX_BYTES:
            raise UsageError(f"{path}: this is no manifest of a run (it is larger than {MAX_BYTES >> 20} MB)")
        run = msgspec.json.decode(text, type=PastRun)
    except OSError as error:
        raise UsageError(f"{path}: the manifest can't be read ({error.strerror})") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise UsageError(f"{path}: this is no manifest of a run ({why_no_json(text)})") from None
    if run.schema != SCHEMA:
        raise UsageError(f"{path}: expected a manifest of form {SCHEMA!r}, got {run.schema!r}")
    return run


def _start(path: Path) -> bytes:
    """The file, and no more of it than is needed to see that it is too large."""
    with open_regular(path) as file:
        return file.read(MAX_BYTES + 1)


class _Head(msgspec.Struct, frozen=True):
    schema: str


def is_manifest(path: Path) -> bool:
    """Whether a file is a manifest of ours, of whatever version; of a newer one nothing else may be known."""
    try:
        text = _start(path)
        head = msgspec.json.decode(text, type=_Head)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return len(text) <= MAX_BYTES and head.schema.startswith(_ANY_SCHEMA)


def _outputs_json(outputs: Outputs) -> dict[str, Json]:
    return {
        "written": outputs.written,
        "written_at": _moment(outputs.written_at),
        "doubtful": outputs.doubtful,
        "fingerprint": outputs.fingerprint,
    }


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _text(text: str) -> str:
    return text.encode(errors="replace").decode()  # a file name that is not UTF-8 holds lone surrogates
