"""From a file to a `Config`, or to all of its faults at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from enrich.api.environment import Environment
from enrich.config.checks import relation_faults, schema_faults
from enrich.config.mapping import tree_of
from enrich.config.model import OWN_KEYS, Config
from enrich.config.places import FaultElsewhere, Places
from enrich.config.secrets import Detector, detector, looks_secret, take_secrets_out
from enrich.config.source import Source, read_source
from enrich.config.tree import UnreadableMappingError
from enrich.config.values import path_problem
from enrich.config.wording import MISSING, faults_of
from enrich.errors import ConfigError, Fault
from enrich.spec import TYPES, Json, check_output_schema, inline_refs, outward_faults

__all__ = ["load", "load_mapping", "parse"]

_NOTHING: Final = "expected a value, got nothing"
_NO_SCHEMA: Final = "is no JSON Schema: expected an object with properties at its root"
_OF_A_SCHEMA: Final = frozenset({"properties", "$schema", "$ref", "$defs", "definitions", "anyOf"})
_TABLES: Final = (".csv", ".tsv", ".ndjson", ".jsonl", ".parquet", ".gz", ".zst", ".xlsx", ".xls")
_FILL_IN: Final = "write one, or leave the key out"


def load(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """The config in the file; ConfigError with every fault of it, and of the schema file it names.

    The key in `environ` (that of this process if none is given) is looked for, and refused, in both.
    """
    environ = Environment.here() if environ is None else Environment.of(environ)
    is_secret = detector(environ.secret)
    if path.suffix.casefold() in _TABLES and path.is_file():
        hint = "the config comes first, then the table"
        raise ConfigError(str(path), [Fault("is a table, expected a config", hint=hint)])
    source = read_source(path)
    places = Places(path, source.lines())
    found = (*_shown_faults(source, is_secret), *take_secrets_out(source.root, is_secret))
    raw = source.root.plain()
    assert isinstance(raw, dict)
    advice = [places.put(fault) for fault in source.advice if not is_secret(fault.path)]
    config = _Loading(raw, places, [places.put(fault) for fault in found], is_secret, advice).config()
    return config.came_from(path, source.sha256)


def load_mapping(mapping: Mapping[str, object], environ: Mapping[str, str] | None = None) -> Config:
    """The config that a program gives as a mapping; ConfigError with every fault of it, by key.

    It is called `config`, and what it names is seen from the working directory.
    """
    path = Path("config")
    is_secret = detector((Environment.here() if environ is None else Environment.of(environ)).secret)
    try:
        root, faults = tree_of(mapping)
    except UnreadableMappingError as error:
        raise ConfigError(str(path), [error.fault]) from None
    found = [fault for fault in faults if not is_secret(fault.path)]
    found += [replace(fault, line=None) for fault in take_secrets_out(root, is_secret)]
    raw = root.plain()
    assert isinstance(raw, dict)
    canonical = json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()
    places = Places(path)
    config = _Loading(raw, places, [places.put(fault) for fault in found], is_secret).config()
    return config.came_from(None, sha256(canonical).hexdigest())


def parse(raw: dict[str, Json], *, path: Path = Path("enrich.yaml")) -> Config:
    """The config of a mapping, as if it stood in a file at `path`; its faults have no lines."""
    return _Loading(dict(raw), Places(path), [], looks_secret).config()


@dataclass(slots=True)
class _Loading:
    """One config on its way: what of it is left to look at, and the faults so far."""

    raw: dict[str, Json]
    places: Places
    faults: list[Fault]
    is_secret: Detector
    advice: list[Fault] = field(default_factory=list)

    def config(self) -> Config:
        gone = {fault.path for fault in self.faults}
        gone |= self._drop_nothing()
        given = {*self.raw}
        self._write_outputs_out()
        gone |= given - {*self.raw}
        found, advice = schema_faults(self.raw)
        config: Config | None = None
        try:
            config = Config.model_validate(self.raw, context={"folder": self.places.path.parent})
        except ValidationError as error:
            found += faults_of(error, Config, self.raw)
        found += relation_faults(self.raw)
        gone |= {fault.path for fault in self.faults}
        self.faults += [self._put(f) for f in found if not self._follows(f, gone)]
        if config is None or self.faults:
            raise ConfigError(str(self.places.path), _in_order(self.faults))
        self.advice += [self._put(fault) for fault in advice]
        config._places, config._schema_advice = self.places, tuple(self.advice)
        return config

    def _follows(self, fault: Fault, gone: set[str]) -> bool:
        """Whether a fault is no more than that of what has a fault already: it is missing, or empty without it."""
        if fault.message == MISSING:
            return fault.path in gone
        emptied = fault.path in ("inputs", "outputs") and self.raw.get(fault.path) == {}
        return emptied and any(path == fault.path or path.startswith(fault.path + ".") for path in gone)

    def _put(self, fault: Fault) -> Fault:
        return self.places.put(fault)

    def _drop_nothing(self) -> set[str]:
        """Drops the keys without a value, and says so; in schemas they stay, where null has a meaning."""
        self.raw, nothing = _without_nothing(self.raw)
        self.faults += [self._put(Fault(_NOTHING, path=path, hint=_FILL_IN)) for path in nothing]
        return {*nothing}

    def _write_outputs_out(self) -> None:
        """Replaces a schema file by its properties, and references by what they refer to."""
        outputs = self.raw.get("outputs")
        if isinstance(outputs, str) and outputs.strip():
            del self.raw["outputs"]
            if problem := path_problem(outputs):
                self.faults.append(self._put(Fault(problem[0], path="outputs", hint=problem[1])))
            else:
                self._read_schema_file(self.places.path.parent / outputs)
        elif isinstance(outputs, dict):
            written_out: dict[str, Json] = {}
            for name, schema in outputs.items():
                inlined, faults = inline_refs(schema) if isinstance(schema, dict) else (schema, [])
                faults += outward_faults(schema) if isinstance(schema, dict) else []
                written_out[name] = inlined
                self.faults += [self._put(replace(f, path=f"outputs.{name}.{f.path}")) for f in faults]
            self.raw["outputs"] = written_out

    def _read_schema_file(self, path: Path) -> None:
        try:
            source = read_source(path)
        except ConfigError as error:
            self._refuse_schema_file(
                FaultElsewhere(fault.message, fault.line, "", fault.hint, str(path)) for fault in error.faults
            )
            return
        self.places = Places(self.places.path, self.places.lines, path, source.lines())
        schema = source.root.plain()
        assert isinstance(schema, dict)
        if not _is_schema(schema):  # somebody else's file, then, and what is in it is nobody's business
            self._refuse_schema_file([FaultElsewhere(_NO_SCHEMA, file=str(path))])
            return
        faults = [*_shown_faults(source, self.is_secret), *take_secrets_out(source.root, self.is_secret)]
        schema = source.root.plain()
        assert isinstance(schema, dict)
        inlined, ref_faults = inline_refs(schema)
        ref_faults += outward_faults(schema)
        errors, advice = check_output_schema(inlined)
        properties = inlined.get("properties")
        usable = isinstance(properties, dict) and bool(properties) and inlined.get("type", "object") == "object"
        if usable and "anyOf" not in inlined:
            # What stands below the root is found again with the rest of the outputs.
            errors, advice = _of_the_root(errors), _of_the_root(advice)
            self.raw["outputs"] = properties
            self._add_instructions(inlined.get("description"))
        self.faults += [self.places.put_in_schema(f) for f in (*faults, *ref_faults, *errors)]
        self.advice += [self.places.put_in_schema(f) for f in (*source.advice, *advice) if not self.is_secret(f.path)]

    def _refuse_schema_file(self, faults: Iterable[FaultElsewhere]) -> None:
        hint = "a text here is the path of a JSON Schema file, as seen from the config"
        self.faults += [*faults, self._put(Fault("names a file that can't be used", path="outputs", hint=hint))]

    def _add_instructions(self, description: Json) -> None:
        """The description at the root of a schema file holds for every answer, as instructions do."""
        instructions = self.raw.get("instructions")
        if isinstance(description, str) and description.strip():
            said = [instructions] if isinstance(instructions, str) else []
            self.raw["instructions"] = "\n\n".join(text.strip() for text in (*said, description))


def _is_schema(root: Mapping[str, Json]) -> bool:
    """Whether a file has the look of a JSON Schema, so that its keys may be shown."""
    named = root.get("type")
    kinds = named if isinstance(named, list) else [named]
    return not _OF_A_SCHEMA.isdisjoint(root) or any(kind in TYPES for kind in kinds)


def _shown_faults(source: Source, is_secret: Detector) -> list[Fault]:
    """The faults of a file's keys, but for those whose key path holds a secret."""
    return [fault for fault in source.faults if not is_secret(fault.path)]


def _of_the_root(faults: Iterable[Fault]) -> list[Fault]:
    return [fault for fault in faults if fault.path.partition(".")[0] != "properties"]


def _without_nothing(raw: dict[str, Json]) -> tuple[dict[str, Json], list[str]]:
    nothing: list[str] = []

    def filled(value: Json, path: tuple[str, ...]) -> Json:
        if not isinstance(value, dict):
            return value
        out: dict[str, Json] = {}
        for key, inner in value.items():
            in_schema = len(path) == 2 and path[0] == "outputs" and key not in OWN_KEYS
            if inner is None and not in_schema:
                nothing.append(".".join((*path, key)))
            else:
                out[key] = inner if in_schema or path == ("inputs",) else filled(inner, (*path, key))
        return out

    kept = filled(raw, ())
    assert isinstance(kept, dict)
    return kept, nothing


def _in_order(faults: Iterable[Fault]) -> list[Fault]:
    """The config's faults before those of its schema file, by line; each once."""

    def place(fault: Fault) -> tuple[str, int]:
        return (fault.file if isinstance(fault, FaultElsewhere) else "", fault.line or 0)

    return sorted(dict.fromkeys(faults), key=place)
