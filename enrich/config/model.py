"""The config as frozen, typed values.

Every key is here with its type, default and description; the JSON Schema for editors is made from it, and
docs/config.md is tested against it. What a single value must be stands in `values`, rules between keys in
`checks`.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PrivateAttr,
    SkipValidation,
    WithJsonSchema,
    model_validator,
)
from pydantic import Field as Key

from enrich.config.gate import Gate, Threshold
from enrich.config.names import ConfigName, InputName, InputSource, OutputName, ProcessorName
from enrich.config.places import Places
from enrich.config.refresh import Refresh
from enrich.config.values import (
    TEXT_SCHEMA,
    Budget,
    Country,
    Date,
    Delimiter,
    Domain,
    Encoding,
    Flag,
    LedgerPath,
    Quote,
    RunsPerMinute,
    Skip,
    Text,
    expected,
    list_of,
    mapping_of,
    one_of,
    wrong,
)
from enrich.errors import Fault
from enrich.spec import Field, Json, build_field
from enrich.text.templates import columns_of

__all__ = ["OWN_KEYS", "Config", "CsvOptions", "Evidence", "Existing", "Output", "SourcePolicy"]

Evidence: TypeAlias = Literal["confidence", "citations", "reasoning"]
Existing: TypeAlias = Literal["error", "fill", "replace"]
Formulas: TypeAlias = Literal["neutralise", "keep"]

MAX_DOMAINS: Final = 200
OWN_KEYS: Final = ("accept", "review", "refresh")  # of an output, beside its JSON Schema


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SourcePolicy(_Model):
    """Which sources may be used."""

    include_domains: Annotated[tuple[Domain, ...], list_of("domains")] = Key(
        default=(), description="Only these domains. An ending such as .gov stands for all domains below it."
    )
    exclude_domains: Annotated[tuple[Domain, ...], list_of("domains")] = Key(
        default=(), description="None of these domains."
    )
    after_date: Date | None = Key(default=None, description="Only pages published on this day or later.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        both = [domain for domain in self.include_domains if domain in self.exclude_domains]
        if both:
            raise wrong(f"{both[0]} is both included and excluded")
        count = len(self.include_domains) + len(self.exclude_domains)
        if count > MAX_DOMAINS:
            raise wrong(f"{count} domains in all, the service takes {MAX_DOMAINS}")
        return self

    def to_wire(self) -> dict[str, Json]:
        """As the service takes it. The order of domains means nothing, so they are sorted."""
        wire: dict[str, Json] = {}
        if self.include_domains:
            wire["include_domains"] = list[Json](sorted(self.include_domains))
        if self.exclude_domains:
            wire["exclude_domains"] = list[Json](sorted(self.exclude_domains))
        if self.after_date is not None:
            wire["after_date"] = self.after_date.isoformat()
        return wire


_FORMULAS: Final = {
    **dict.fromkeys(
        ("false", "no", "off", "none", "neutralize", "escape", "safe"), "write neutralise, or leave the key out"
    ),
    **dict.fromkeys(("true", "yes", "on", "allow"), "write keep"),
}
_EXISTING: Final = {
    **dict.fromkeys(("overwrite", "update", "true", "yes", "all"), "did you mean replace?"),
    **dict.fromkeys(("keep", "skip", "missing", "empty", "append"), "did you mean fill?"),
    **dict.fromkeys(("false", "no", "none", "fail", "refuse"), "did you mean error?"),
}
_NO_EVIDENCE: Final = dict.fromkeys(("none", "no", "false"), "write [] for none")


class CsvOptions(_Model):
    """How CSV and TSV are read and written; what is left out is found out from the file."""

    encoding: Encoding | None = Key(default=None, description="Encoding, such as utf-8 or windows-1252.")
    delimiter: Delimiter | None = Key(default=None, description="The character between cells.")
    quote: Quote | None = Key(default=None, description="The character around cells that need it.")
    skip: Skip = Key(default=0, description="Number of lines above the header, such as a title; they are kept.")
    formulas: Annotated[Formulas, one_of(*get_args(Formulas), slips=_FORMULAS)] = Key(
        default="neutralise",
        description="neutralise puts an apostrophe before text that a spreadsheet would run as a formula.",
    )

    def reading(self) -> dict[str, Any]:
        """What the options say of how a table is read, for `open_table`."""
        return {"encoding": self.encoding, "delimiter": self.delimiter, "quote": self.quote, "skip": self.skip}

    @model_validator(mode="after")
    def _different(self) -> Self:
        if self.delimiter is not None and self.delimiter == self.quote:
            raise wrong("delimiter and quote are the same character")
        return self


class Output(_Model):
    """One answer: the JSON Schema of its value, and what it has of its own beside it."""

    value_schema: dict[str, Any]  # Json, but pydantic can't follow a recursive alias
    accept: Threshold | None = Key(default=None, description="Overrides confidence.accept for this answer.")
    review: Threshold | None = Key(default=None, description="Overrides confidence.review for this answer.")
    refresh: Refresh | None = Key(default=None, description="Overrides refresh for this answer.")

    @model_validator(mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, Output):
            return value
        if not isinstance(value, dict):
            question = isinstance(value, str) and " " in value.strip() and len(value) < 60 and value.isprintable()
            hint = f"write {{type: string, description: {json.dumps(value, ensure_ascii=False)}}}" if question else ""
            raise expected("a JSON Schema", value, hint or "such as {type: string, description: ...}")
        own = {key: value[key] for key in OWN_KEYS if key in value}
        return {"value_schema": {key: value[key] for key in value if key not in own}, **own}


def _ladder(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, (list, tuple)) or not value:
        raise expected("a processor, or a list of them", value, "such as [core, pro]")
    return tuple(value)


_INPUTS_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": TEXT_SCHEMA,
}
_OUTPUTS_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {**TEXT_SCHEMA, "description": "A JSON Schema file, relative to the config."},
        {"type": "object", "minProperties": 1, "additionalProperties": {}},
    ]
}


class Config(_Model):
    """What goes in, which answers come out, how sure they must be, and what they may cost."""

    name: ConfigName = Key(description="Name of the enrichment.")
    inputs: Annotated[
        dict[InputName, InputSource],
        mapping_of("a mapping of input fields to columns", "such as {company_name: name}"),
        WithJsonSchema(_INPUTS_SCHEMA),
    ] = Key(description="Input field: a column, or text with {columns} in it. Only these are sent.")
    require: Annotated[
        tuple[SkipValidation[str], ...],  # `checks` looks at them
        list_of("input fields"),
        WithJsonSchema({"type": "array", "items": TEXT_SCHEMA, "uniqueItems": True}),
    ] = Key(default=(), description="Input fields that a row needs. A row without one is skipped, and costs nothing.")
    empty: Annotated[
        tuple[Text, ...],
        list_of("texts"),
        WithJsonSchema({"type": "array", "items": TEXT_SCHEMA, "uniqueItems": True}),
    ] = Key(default=(), description="Texts that stand for an empty cell, such as N/A; case is ignored.")
    instructions: Text | None = Key(
        default=None, description="Guidance for every answer. A change makes all answers new questions."
    )
    outputs: Annotated[
        dict[OutputName, Output],
        mapping_of("a mapping of answers to JSON Schemas, or a file", "such as {country: {type: string}}"),
        WithJsonSchema(_OUTPUTS_SCHEMA),
    ] = Key(description="Answer column: JSON Schema of its value. The description is the question.")
    processor: Annotated[tuple[ProcessorName, ...], BeforeValidator(_ladder)] = Key(
        description="One processor, or a ladder: answers too weak for one escalate to the next."
    )
    confidence: Gate = Key(default=Gate(), description="How sure an answer must be.")
    basis: Annotated[
        tuple[Annotated[Evidence, one_of(*get_args(Evidence), slips=_NO_EVIDENCE)], ...],
        list_of("confidence, citations and reasoning", words=get_args(Evidence)),
    ] = Key(default=get_args(Evidence), description="Evidence columns beside each answer.")
    refresh: Refresh = Key(default=Refresh(), description="Freshness: how long an outcome stands.")
    budget: Budget | None = Key(default=None, description="The most US dollars that a run may have at stake.")
    runs_per_minute: RunsPerMinute | None = Key(
        default=None, description="The account's quota: runs that may be created in a minute. Default: 2000."
    )
    existing: Annotated[Existing, one_of(*get_args(Existing), slips=_EXISTING)] = Key(
        default="error", description="What to do if the table already has a column with an answer's name."
    )
    ledger: LedgerPath | None = Key(
        default=None, description="The ledger file, relative to the config. Default: .enrich/ledger.db."
    )
    source_policy: SourcePolicy | None = Key(default=None, description="Sources that may be used.")
    location: Country | None = Key(default=None, description="Country to search from, as a two-letter code.")
    chain: Flag = Key(
        default=True,
        description="Whether an escalation includes the cheaper attempt; off for zero data retention.",
    )
    csv: CsvOptions = Key(default=CsvOptions(), description="How CSV and TSV are read and written.")

    _places: Places = PrivateAttr(default_factory=lambda: Places(Path("enrich.yaml")))
    _schema_advice: tuple[Fault, ...] = PrivateAttr(default=())
    _file: Path | None = PrivateAttr(default=None)
    _sha256: str = PrivateAttr(default="")

    def came_from(self, file: Path | None, sha256: str) -> Config:
        """This config, which knows now from which file it came, if from one, and the hash of what it was."""
        self._file, self._sha256 = file, sha256
        return self

    @property
    def path(self) -> Path:
        """The file that the config was read from; `config` where it came from none."""
        return self._places.path

    @property
    def file(self) -> Path | None:
        """The file that the config was read from, None where a program gave it."""
        return self._file

    @property
    def sha256(self) -> str:
        """The hash of the file, or of the mapping's canonical JSON, when it was read."""
        return self._sha256

    @property
    def schema_path(self) -> Path | None:
        """The JSON Schema file that `outputs` names, if it names one."""
        return self._places.schema_path

    @property
    def schema_advice(self) -> tuple[Fault, ...]:
        """What the service warns of in the output schemas."""
        return self._schema_advice

    def placed(self, fault: Fault) -> Fault:
        """A fault of this config with its line, and with its file where that is the schema's."""
        return self._places.put(fault)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The answers wanted, in the config's order."""
        policy = self.source_policy.to_wire() if self.source_policy is not None else {}
        return tuple(
            build_field(
                name,
                output.value_schema,
                instructions=self.instructions,
                source_policy=policy or None,
                location=self.location,
            )
            for name, output in self.outputs.items()
        )

    @cached_property
    def _gates(self) -> dict[str, Gate]:
        return {name: self.confidence.overridden(o.accept, o.review) for name, o in self.outputs.items()}

    @cached_property
    def _refreshes(self) -> dict[str, Refresh]:
        return {name: self.refresh.overridden(o.refresh) for name, o in self.outputs.items()}

    def gate_for(self, name: str) -> Gate:
        """The gate of an answer: its own thresholds over the config's."""
        return self._gates[name]

    def refresh_for(self, name: str) -> Refresh:
        """How long outcomes of an answer stand: its own durations over the config's."""
        return self._refreshes[name]

    def columns_of(self, input_field: str) -> tuple[str, ...]:
        """The table's columns that an input field is made of."""
        return columns_of(self.inputs[input_field])

    def run_settings(self) -> dict[str, Json]:
        """What the service is told of every run beside its input: source policy and location."""
        settings: dict[str, Json] = {}
        if self.source_policy is not None and (policy := self.source_policy.to_wire()):
            settings["source_policy"] = policy
        if self.location is not None:  # the vendor's examples are in small letters
            settings["advanced_settings"] = {"location": self.location.lower()}
        return settings

    def replaced(self, **changes: object) -> Config:
        """This config with other values of some keys, such as an option of the command gives; not checked."""
        copy = self.model_copy(update=changes)
        for derived in ("fields", "_gates", "_refreshes"):
            copy.__dict__.pop(derived, None)
        return copy
