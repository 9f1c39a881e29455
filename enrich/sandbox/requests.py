"""Request bodies and queries: decoded, checked as strictly as the service checks them, or refused.

`BadRequestError` (422, `{"detail": [...]}`) for what has the wrong shape, `ServiceError` (422 or 403) for
what breaks a rule. Nothing is created from a request of which any part is refused.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, TypeVar

import msgspec

from enrich.sandbox.misfit import Misfit, find_misfit
from enrich.sandbox.problems import BadRequestError, ServiceError, fault, invalid
from enrich.sandbox.processors import PROCESSORS, Processor
from enrich.sandbox.schema_rules import check_output_schema

Json = Any
T = TypeVar("T")
Metadata = dict[str, str | int | float | bool]

MAX_INPUTS = 1_000
MAX_SPEC_CHARS = 15_000
MAX_SPEC_AND_INPUT_CHARS = 25_000
MAX_METADATA_KEY = 16
MAX_METADATA_VALUE = 512
MAX_DOMAINS = 200
MAX_FAULTS_SHOWN = 100

STATUSES = ("queued", "action_required", "running", "completed", "failed", "cancelling", "cancelled")
ELEMENT_BASIS_BETA = "field-basis-2025-11-25"

_NULL = msgspec.Raw(b"null")
_LOCATION = re.compile(r"[A-Za-z]{2}")
_DOMAIN = re.compile(r"\.?(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9])?\.)*[A-Za-z0-9-]{2,}")


class _SourcePolicy(msgspec.Struct):
    include_domains: list[str] | None = None
    exclude_domains: list[str] | None = None
    after_date: str | None = None


class _AdvancedSettings(msgspec.Struct):
    location: str | None = None


class _McpServer(msgspec.Struct):
    url: str
    name: str
    type: Literal["url"] = "url"
    headers: dict[str, str] | None = None
    allowed_tools: list[str] | None = None


class _Webhook(msgspec.Struct):
    url: str
    event_types: list[Literal["task_run.status"]] = []


class _RunInput(msgspec.Struct):
    processor: str
    input: msgspec.Raw
    metadata: Metadata | None = None
    source_policy: _SourcePolicy | None = None
    advanced_settings: _AdvancedSettings | None = None
    task_spec: msgspec.Raw = _NULL
    previous_interaction_id: str | None = None
    mcp_servers: list[_McpServer] | None = None
    enable_events: bool | None = None
    webhook: _Webhook | None = None


class _TaskSpec(msgspec.Struct):
    output_schema: msgspec.Raw
    input_schema: msgspec.Raw = _NULL


class _Schema(msgspec.Struct):
    type: Literal["json", "text", "auto"] | None = None
    json_schema: dict[str, Json] | None = None
    description: str | None = None


class _AddRuns(msgspec.Struct):
    inputs: list[msgspec.Raw]
    default_task_spec: msgspec.Raw = _NULL


class _CreateGroup(msgspec.Struct):
    metadata: Metadata | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """A task spec that passed the rules. `schema` is None for a text output; `raw` is compact JSON."""

    raw: bytes
    chars: int
    schema: Mapping[str, Json] | None
    auto: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run that may be created. `raw` is its input as sent, compact and on one line."""

    raw: bytes
    spec: Spec
    own_spec: bool  # the spec is part of `raw`, not the request's default
    processor: Processor
    task: str  # what the bill counts by: the client's own key, else the input and the processor
    previous_interaction_id: str | None
    enable_events: bool


AUTO_SPEC = Spec(raw=b"null", chars=0, schema=None, auto=True)


@dataclass(slots=True)
class SpecShelf:
    """Specs by their text: each distinct one is checked and kept once."""

    _specs: dict[bytes, Spec] = field(default_factory=dict)

    def get(self, raw: msgspec.Raw, loc: Sequence[str | int]) -> Spec:
        """The checked spec for a `task_spec` value; null is the auto schema."""
        text = bytes(raw)
        spec = self._specs.get(text)
        if spec is None:
            spec = AUTO_SPEC if text == b"null" else _parse_spec(text, loc)
            self._specs[text] = spec
        return spec


@dataclass(frozen=True, slots=True)
class RunParser:
    """Turns bodies into runs to create."""

    specs: SpecShelf
    is_interaction: Callable[[str], bool]

    def add_runs(self, body: bytes) -> list[RunRequest]:
        """The runs of a body of `POST …/groups/{id}/runs`, in its order."""
        request = _decode(body, _AddRuns, ["body"])
        if len(request.inputs) > MAX_INPUTS:
            raise invalid(f"{len(request.inputs)} inputs in one request, at most {MAX_INPUTS} are allowed", at="inputs")
        default = self.specs.get(request.default_task_spec, ["body", "default_task_spec"])
        shapes: list[_RunInput] = []
        faults: list[dict[str, Json]] = []
        for number, raw in enumerate(request.inputs):
            try:
                shapes.append(_run_shape(raw, ["body", "inputs", number]))
            except BadRequestError as error:
                faults += error.faults
        if faults:
            raise BadRequestError(faults[:MAX_FAULTS_SHOWN])
        return [
            self._checked(bytes(raw), shape, default, ["body", "inputs", number])
            for number, (raw, shape) in enumerate(zip(request.inputs, shapes, strict=True))
        ]

    def single_run(self, body: bytes) -> RunRequest:
        """The run of a body of `POST …/runs`."""
        shape = _run_shape(msgspec.Raw(body), ["body"])
        return self._checked(body, shape, AUTO_SPEC, ["body"])

    def _checked(self, raw: bytes, run: _RunInput, default: Spec, loc: list[str | int]) -> RunRequest:
        at = ".".join(map(str, loc[1:])) or "body"
        spec = self.specs.get(run.task_spec, [*loc, "task_spec"]) if bytes(run.task_spec) != b"null" else default
        processor = PROCESSORS.get(run.processor)
        if processor is None:
            raise ServiceError(
                403,
                "Forbidden: invalid processor in request",
                detail={"path": f"{at}.processor", "processor": run.processor, "known": sorted(PROCESSORS)},
            )
        if spec.auto and not processor.takes_auto_schema:
            raise invalid(f"{processor.name} needs an output schema; auto is for pro and above", at=f"{at}.task_spec")
        if run.previous_interaction_id is not None and not self.is_interaction(run.previous_interaction_id):
            raise invalid("no such interaction", at=f"{at}.previous_interaction_id")
        _check_size(spec, run.input, at)
        _check_metadata(run.metadata or {}, at)
        _check_sources(run.source_policy, at)
        location = run.advanced_settings.location if run.advanced_settings else None
        if location is not None and not _LOCATION.fullmatch(location):
            raise invalid(f"location {location!r} is not an ISO 3166-1 alpha-2 code", at=f"{at}.advanced_settings")
        return RunRequest(
            raw=_without_secrets(one_line(raw), run),
            spec=spec,
            own_spec=bytes(run.task_spec) != b"null",
            processor=processor,
            task=_task_key(run),
            previous_interaction_id=run.previous_interaction_id,
            enable_events=processor.takes_auto_schema if run.enable_events is None else run.enable_events,
        )


def group_metadata(body: bytes) -> bytes:
    """The metadata of a body that creates a group, as JSON."""
    return msgspec.json.encode(_decode(body or b"{}", _CreateGroup, ["body"]).metadata)


def one_line(raw: bytes) -> bytes:
    """JSON without line breaks between its tokens (inside strings there are none)."""
    return msgspec.json.format(raw, indent=-1) if b"\n" in raw or b"\r" in raw else raw


def query_flag(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    """A boolean of the query string, in the spellings that FastAPI takes."""
    text = query.get(name)
    if text is None:
        return default
    if text.lower() in ("true", "1", "yes", "on"):
        return True
    if text.lower() in ("false", "0", "no", "off"):
        return False
    message = "Input should be a valid boolean, unable to interpret input"
    raise BadRequestError([fault(["query", name], message, "bool_parsing")])


def query_number(query: Mapping[str, str], name: str, *, default: float, kind: type[int | float]) -> float:
    """A number of the query string, not negative."""
    text = query.get(name)
    if text is None:
        return default
    try:
        number = kind(text)
    except ValueError:
        number = kind(-1)
    if not 0 <= number < float("inf"):
        message = f"Input should be a valid {'integer' if kind is int else 'number'}"
        raise BadRequestError([fault(["query", name], message, f"{kind.__name__}_parsing")])
    return number


def query_status(query: Mapping[str, str]) -> str | None:
    """The run status to filter by, if any."""
    status = query.get("status")
    if status is not None and status not in STATUSES:
        message = f"Input should be {', '.join(map(repr, STATUSES[:-1]))} or {STATUSES[-1]!r}"
        raise BadRequestError([fault(["query", "status"], message, "literal_error")])
    return status


def _decode(body: bytes | msgspec.Raw, kind: type[T], loc: Sequence[str | int]) -> T:
    try:
        bytes(body).decode()  # the decoder skips over what it keeps raw, bad UTF-8 and all
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        misfit = find_misfit(msgspec.json.decode(body), kind, loc) or Misfit([*loc], "Input is invalid", "type_error")
        raise BadRequestError([fault(*misfit)]) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError([fault(loc, f"JSON decode error: {error}", "json_invalid")]) from error


def _run_shape(raw: msgspec.Raw, loc: list[str | int]) -> _RunInput:
    run = _decode(raw, _RunInput, loc)
    if bytes(run.input)[:1] not in (b'"', b"{"):
        raise BadRequestError([fault([*loc, "input"], "Input should be a string or an object", "type_error")])
    return run


def _parse_spec(text: bytes, loc: Sequence[str | int]) -> Spec:
    """Decode and check one task spec."""
    at = ".".join(map(str, loc[1:]))
    shape = _decode(text, _TaskSpec, loc)
    compact = msgspec.json.format(text, indent=-1)
    chars = len(compact.decode())
    if chars > MAX_SPEC_CHARS:
        raise invalid(f"the task spec has {chars} characters, at most {MAX_SPEC_CHARS} are allowed", at=at)
    _check_schema_shape(shape.input_schema, [*loc, "input_schema"], allow=("json", "text"))
    output = _check_schema_shape(shape.output_schema, [*loc, "output_schema"], allow=("json", "text", "auto"))
    if output is None:
        raise BadRequestError([fault([*loc, "output_schema"], "Field required", "missing")])
    if output.json_schema is None:
        return Spec(raw=compact, chars=chars, schema=None, auto=output.type == "auto")
    found = check_output_schema(output.json_schema)
    if found.errors:
        raise ServiceError(
            422,
            f"output schema: {'; '.join(found.errors)}",
            detail={"path": f"{at}.output_schema.json_schema", "errors": found.errors},
        )
    return Spec(compact, chars, schema=output.json_schema, auto=False, warnings=tuple(found.warnings))


def _check_schema_shape(raw: msgspec.Raw, loc: list[str | int], *, allow: tuple[str, ...]) -> _Schema | None:
    """An input or output schema: a bare string is a text schema, null is none at all."""
    if bytes(raw) == b"null":
        return None
    if bytes(raw)[:1] == b'"':
        return _Schema(type="text")
    schema = _decode(raw, _Schema, loc)
    kind = schema.type or ("json" if schema.json_schema is not None else "text")
    if kind not in allow:
        raise BadRequestError([fault([*loc, "type"], f"Input should be one of {', '.join(allow)}", "literal_error")])
    if kind == "json" and schema.json_schema is None:
        raise BadRequestError([fault([*loc, "json_schema"], "Field required", "missing")])
    return _Schema(type=kind, json_schema=schema.json_schema if kind == "json" else None)


def _check_size(spec: Spec, document: msgspec.Raw, at: str) -> None:
    text = bytes(document)
    if spec.chars + len(text) <= MAX_SPEC_AND_INPUT_CHARS:  # bytes are never fewer than characters
        return
    value = msgspec.json.decode(text)
    chars = len(value) if isinstance(value, str) else len(msgspec.json.encode(value).decode())
    if spec.chars + chars > MAX_SPEC_AND_INPUT_CHARS:
        raise invalid(
            f"task spec ({spec.chars}) and input ({chars}) have {spec.chars + chars} characters, "
            f"at most {MAX_SPEC_AND_INPUT_CHARS} are allowed",
            at=f"{at}.input",
        )


def _check_metadata(metadata: Metadata, at: str) -> None:
    for key, value in metadata.items():
        if len(key) > MAX_METADATA_KEY:
            raise invalid(f"metadata key {key!r} is longer than {MAX_METADATA_KEY} characters", at=f"{at}.metadata")
        if len(str(value)) > MAX_METADATA_VALUE:
            raise invalid(
                f"metadata value of {key!r} is longer than {MAX_METADATA_VALUE} characters",
                at=f"{at}.metadata",
            )


def _check_sources(policy: _SourcePolicy | None, at: str) -> None:
    if policy is None:
        return
    at = f"{at}.source_policy"
    domains = [*(policy.include_domains or []), *(policy.exclude_domains or [])]
    if len(domains) > MAX_DOMAINS:
        raise invalid(f"{len(domains)} domains, at most {MAX_DOMAINS} are allowed", at=at)
    for domain in domains:
        if not _DOMAIN.fullmatch(domain):
            raise invalid(f"{domain!r} is not a plain domain", at=at)
    if policy.after_date is not None:
        try:
            date.fromisoformat(policy.after_date)
        except ValueError as error:
            raise invalid(f"after_date {policy.after_date!r} is not a date (YYYY-MM-DD)", at=at) from error


def _task_key(run: _RunInput) -> str:
    own = (run.metadata or {}).get("enrich_task")
    if own is not None:
        return str(own)
    document = msgspec.json.decode(run.input)
    return f"{msgspec.json.encode(document, order='sorted').decode()} {run.processor}"


def _without_secrets(raw: bytes, run: _RunInput) -> bytes:
    """The input without the headers of MCP servers, which the service takes and never gives back."""
    if not run.mcp_servers:
        return raw
    shown = msgspec.json.decode(raw)
    for server in shown["mcp_servers"]:
        server.pop("headers", None)
    return msgspec.json.encode(shown)
