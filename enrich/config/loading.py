"""From a file to a `Config`, or to all of its faults at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from enrich.config.checks import relation_faults, schema_faults
from enrich.config.model import OWN_KEYS, Config
from enrich.config.places import FaultElsewhere, Places
from enrich.config.secrets import take_secrets_out
from enrich.config.source import read_source
from enrich.config.wording import MISSING, faults_of
from enrich.errors import ConfigError, Fault
from enrich.spec import Json, check_output_schema, inline_refs

__all__ = ["load", "parse"]

_NOTHING: Final = "expected a value, got nothing"


def load(path: Path) -> Config:
    """The config in the file; ConfigError with every fault of it, and of the schema file it names."""
    source = read_source(path)
    faults = [*source.faults, *take_secrets_out(source.root)]
    raw = source.root.plain()
    assert isinstance(raw, dict)
    return _config(raw, Places(path, source.lines()), faults)


def parse(raw: dict[str, Json], *, path: Path = Path("enrich.yaml")) -> Config:
    """The config of a mapping, as if it stood in a file at `path`; its faults have no lines."""
    return _config(raw, Places(path), [])


def _config(raw: dict[str, Json], places: Places, faults: list[Fault]) -> Config:
    gone = {fault.path for fault in faults}
    filled, nothing = _without_nothing(raw)
    found = [Fault(_NOTHING, path=path, hint="write one, or leave the key out") for path in nothing]
    gone.update(nothing)
    advice: list[Fault] = []
    if isinstance(filled.get("outputs"), str):
        places, filled, errors = _with_schema_file(filled, places)
        faults += errors
        gone.update({"outputs"} if "outputs" not in filled else {})
    else:
        found += _with_refs_inlined(filled)
    errors, advice = schema_faults(filled)
    found += errors
    config: Config | None = None
    try:
        config = Config.model_validate(filled, context={"folder": places.path.parent})
    except ValidationError as error:
        found += [f for f in faults_of(error, Config) if not (f.message == MISSING and f.path in gone)]
    found += relation_faults(filled)
    faults += [places.put(fault) for fault in found]
    if config is None or faults:
        raise ConfigError(str(places.path), _in_order(faults))
    config._places, config._schema_advice = places, tuple(advice)
    return config


def _in_order(faults: Iterable[Fault]) -> Iterator[Fault]:
    """By file, the config first, and by line; each once."""

    def place(fault: Fault) -> tuple[str, int]:
        return (fault.file if isinstance(fault, FaultElsewhere) else "", fault.line or 0)

    return iter(sorted(dict.fromkeys(faults), key=place))


def _without_nothing(raw: dict[str, Json]) -> tuple[dict[str, Json], list[str]]:
    """The config without the keys that have no value, and those keys. Schemas stay: null has a meaning there."""
    nothing: list[str] = []

    def filled(value: Json, path: tuple[str, ...]) -> Json:
        if not isinstance(value, dict):
            return value
        out: dict[str, Json] = {}
        for key, inner in value.items():
            ours = len(path) != 2 or path[0] != "outputs" or key in OWN_KEYS
            if inner is None and ours:
                nothing.append(".".join((*path, key)))
            else:
                out[key] = filled(inner, (*path, key)) if ours else inner
        return out

    result = filled(raw, ())
    assert isinstance(result, dict)
    return result, nothing


def _with_refs_inlined(raw: dict[str, Json]) -> list[Fault]:
    """Writes out the references of each output; the faults of those that can't be."""
    outputs = raw.get("outputs")
    found: list[Fault] = []
    for name, schema in outputs.items() if isinstance(outputs, dict) else ():
        if isinstance(schema, dict):
            inlined, faults = inline_refs(schema)
            outputs[name] = inlined  # type: ignore[index]
            found += [Fault(f.message, path=f"outputs.{name}.{f.path}", hint=f.hint) for f in faults]
    return found


def _with_schema_file(raw: dict[str, Json], places: Places) -> tuple[Places, dict[str, Json], list[Fault]]:
    """The config with the outputs of the JSON Schema file that it names, if that can be read."""
    path = places.path.parent / str(raw["outputs"])
    without = {key: value for key, value in raw.items() if key != "outputs"}
    try:
        source = read_source(path)
    except ConfigError as error:
        faults = [FaultElsewhere(f.message, f.line, f.path, f.hint, file=str(path)) for f in error.faults]
        return places, without, list(faults)
    places = Places(places.path, places.lines, path, source.lines())
    secrets = take_secrets_out(source.root)
    schema = source.root.plain()
    assert isinstance(schema, dict)
    inlined, ref_faults = inline_refs(schema)
    found = [*source.faults, *secrets, *ref_faults]
    properties = inlined.get("properties")
    if not isinstance(properties, dict) or not properties or inlined.get("type", "object") != "object":
        errors, _ = check_output_schema(inlined)
        return places, without, [places.put_in_schema(f) for f in (*found, *errors)]
    found += _root_faults(inlined)
    said = [text for text in (raw.get("instructions"), inlined.get("description")) if isinstance(text, str)]
    instructions: dict[str, Json] = {"instructions": "\n\n".join(s.strip() for s in said)} if said else {}
    return (
        places,
        {**without, **instructions, "outputs": properties},
        [places.put_in_schema(fault) for fault in found],
    )


def _root_faults(schema: dict[str, Json]) -> list[Fault]:
    """What is wrong with the root of a schema file, apart from its properties."""
    properties = schema["properties"]
    assert isinstance(properties, dict)
    stubs: dict[str, Json] = {name: {"type": "string", "description": "."} for name in properties}
    errors, _ = check_output_schema({**schema, "properties": stubs})
    return errors
