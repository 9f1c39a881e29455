"""Rules between keys, against the table's columns, and advice.

Everything here works on what could be read, so that a fault in one key hides none in another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Final

from pydantic import ValidationError

from enrich.config.gate import TOO_STRICT, WORD_SCORES, threshold
from enrich.config.model import OWN_KEYS, Config, Evidence
from enrich.config.places import FaultElsewhere
from enrich.config.refresh import TOO_LONG, Refresh, duration_words
from enrich.errors import Fault
from enrich.spec import (
    MAX_SPEC_CHARS,
    Json,
    build_field,
    chars,
    check_output_schema,
    task_spec,
)
from enrich.text.namesakes import find_name, spelled, twins
from enrich.text.phrases import did_you_mean, shown, some
from enrich.text.templates import is_template, parse_template

__all__ = [
    "ROW_COLUMNS",
    "answer_columns",
    "check_columns",
    "columns_read",
    "evidence_columns",
    "relation_faults",
    "schema_faults",
    "warnings",
]

ROW_COLUMNS: Final = ("enrich_status", "enrich_detail", "enrich_run_id", "enrich_processor", "enrich_at")
_EVIDENCE_ORDER: Final[tuple[Evidence, ...]] = ("confidence", "reasoning", "citations")


# --- the columns that come out ----------------------------------------------------------------------------


def answer_columns(name: str, basis: Iterable[str]) -> tuple[str, ...]:
    """The columns of one answer, in order: the answer, the evidence chosen, its status."""
    chosen = {*basis}
    return (name, *(f"{name}_{kind}" for kind in _EVIDENCE_ORDER if kind in chosen), f"{name}_status")


def evidence_columns(config: Config) -> tuple[str, ...]:
    """Every column that a run adds, in order: those of each answer, then those of the row."""
    return (
        *(column for name in config.outputs for column in answer_columns(name, config.basis)),
        *ROW_COLUMNS,
    )


def check_columns(config: Config, columns: Sequence[str], *, title: str = "") -> list[Fault]:
    """Faults of the config against a table's columns: missing, or there already though a run adds them.

    A column that can't be told by its name has its number behind a NUL character. `title` is what to ask where a column
    is missing because the first line may be a title.
    """
    table = _Columns.of(columns)
    if len({*table.names} & {*ROW_COLUMNS}) > 1:
        return [_own_output(config, table.names)]
    faults = [
        *_twin_columns(table.names),
        *_missing_columns(config, table, title),
        *_taken_columns(config, table),
    ]
    return [config.placed(fault) for fault in faults]


@dataclass(frozen=True, slots=True)
class _Columns:
    """A table's columns: those that a name tells, and the numbers of those that share one."""

    names: tuple[str, ...]
    shared: Mapping[str, list[int]]

    @classmethod
    def of(cls, columns: Sequence[str]) -> _Columns:
        names: list[str] = []
        shared: dict[str, list[int]] = {}
        for column in columns:
            name, _, number = column.rpartition("\0")
            if not number.isdecimal() or "\0" not in column:
                names.append(column)
            elif name.strip():
                shared.setdefault(name, []).append(int(number))
        return cls(tuple(names), shared)

    def has(self, name: str) -> bool:
        """Whether there is a column of that name, or one that looks the same."""
        return find_name(name, self.names) is not None or find_name(name, self.shared) is not None


def columns_read(config: Config, columns: Sequence[str]) -> set[str]:
    """The columns of a table that a run reads: of its inputs, and of answers that go into a column that is there."""
    wanted = {column for field in config.inputs for column in config.columns_of(field)} | {*config.outputs}
    found = (find_name(column, columns) for column in wanted)
    return {column for column in found if column is not None}


def _own_output(config: Config, columns: Sequence[str]) -> Fault:
    """The one fault of a table that a run has written: what else is wrong with it follows from that."""
    added = {*evidence_columns(config)}
    message = f"the table is an output of enrich: it has {some([name for name in columns if name in added])}"
    hint = "give the original table (its answers are in the ledger, and not asked again)"
    return Fault(message, hint=f"{hint}, or remove these columns")


def _twin_columns(columns: Sequence[str]) -> Iterator[Fault]:
    for one, other in twins(columns):
        message = f"the table has two columns that look the same and are spelled differently: {_both(one, other)}"
        yield Fault(message, hint="rename one of them")


def _both(one: str, other: str) -> str:
    return f'"{one}" ("{spelled(one)}" and "{spelled(other)}")'


def _missing_columns(config: Config, table: _Columns, title: str) -> Iterator[Fault]:
    for field in config.inputs:
        for column in config.columns_of(field):
            path = f"inputs.{field}"
            if (shared := find_name(column, table.shared)) is not None:
                yield _shared_name(column, table.shared[shared], path)
            elif not table.has(column):
                hint = title or did_you_mean(column, table.names) or f"its columns are {some(table.names)}"
                yield Fault(f'the table has no column "{column}"', path=path, hint=hint)


def _shared_name(column: str, numbers: Sequence[int], path: str) -> Fault:
    places = f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
    message = f'{len(numbers)} columns of the table are called "{column}": {places}'
    return Fault(message, path=path, hint="rename all but one of them in the table")


def _taken_columns(config: Config, table: _Columns) -> Iterator[Fault]:
    for name in config.outputs:
        path = f"outputs.{name}"
        there = find_name(name, table.names)
        if (shared := find_name(name, table.shared)) is not None:
            yield _shared_name(name, table.shared[shared], path)
        elif there is not None and config.existing == "error":
            hint = "existing: fill asks for its empty cells only, existing: replace for all"
            seen = f'"{name}"' if there == name else f"that looks the same: {_both(name, there)}"
            yield Fault(f"the table already has a column {seen}", path=path, hint=hint)
        for column in answer_columns(name, config.basis)[1:]:
            if table.has(column):
                hint = "rename it, or give the untouched table as input"
                yield Fault(f'the table already has the evidence column "{column}"', path=path, hint=hint)
    for column in ROW_COLUMNS:
        if table.has(column):
            hint = "is the input the output of an earlier run? Give the untouched table as input"
            yield Fault(f'the table already has the column "{column}"', hint=hint)


# --- rules between keys -----------------------------------------------------------------------------------


def relation_faults(raw: Mapping[str, Json]) -> Iterator[Fault]:
    """Faults between keys of a config as it was written, without lines yet."""
    inputs, outputs = _mapping(raw.get("inputs")), _mapping(raw.get("outputs"))
    yield from _twin_faults("input field", "inputs", inputs)
    yield from _twin_faults("answer", "outputs", outputs)
    yield from _require_faults(raw.get("require"), inputs)
    yield from _collision_faults(outputs, raw.get("basis"))
    yield from _ladder_faults(raw.get("processor"))
    yield from _gate_faults(raw.get("confidence"), outputs)
    yield from _refresh_faults(raw.get("refresh"), outputs)


def _twin_faults(what: str, key: str, names: Mapping[str, Json]) -> Iterator[Fault]:
    for one, other in twins(names):
        message = f"there is another {what} that looks the same and is spelled differently: {_both(one, other)}"
        yield Fault(message, path=f"{key}.{other}", hint="rename one of them")


def _require_faults(require: Json, inputs: Mapping[str, Json]) -> Iterator[Fault]:
    for i, field in enumerate(require if isinstance(require, list) and inputs else []):
        if not isinstance(field, str):
            yield Fault(f"expected the name of an input field, got {shown(field)}", path=f"require.{i}")
        elif find_name(field, inputs) is None:
            hint = did_you_mean(field, inputs) or f"the input fields are {some(list(inputs))}"
            yield Fault(f'there is no input field "{field}"', path=f"require.{i}", hint=hint)


def _collision_faults(outputs: Mapping[str, Json], basis: Json) -> Iterator[Fault]:
    chosen = [str(kind) for kind in basis] if isinstance(basis, list) else _EVIDENCE_ORDER
    for name in outputs:
        for column in answer_columns(name, chosen)[1:]:
            if column in outputs:
                hint = f"rename one, or leave {column.removeprefix(name + '_')} out of basis"
                hint = "rename one" if column.endswith("_status") else hint
                yield Fault(f'is also the evidence column of "{name}"', path=f"outputs.{column}", hint=hint)


def _ladder_faults(processor: Json) -> Iterator[Fault]:
    from enrich.spec.processors import PROCESSORS

    def usd(name: str) -> Decimal:
        return PROCESSORS[name].usd

    named = processor if isinstance(processor, list) else []
    ladder = [name for name in named if isinstance(name, str) and name in PROCESSORS]
    right = sorted(dict.fromkeys(ladder), key=usd)
    alike = next((pair for pair in pairwise(right) if usd(pair[0]) == usd(pair[1])), None)
    if alike is not None:
        message = f'"{alike[0]}" and "{alike[1]}" cost the same, and an answer goes up to a dearer one only'
        yield Fault(message, path="processor", hint="leave one of them out")
    elif len(right) < len(ladder):
        twice = next(name for name in right if ladder.count(name) > 1)
        yield Fault(f'"{twice}" is there twice', path="processor", hint=f"write [{', '.join(right)}]")
    elif right != ladder:
        message = "a ladder goes from the weakest to the strongest"
        yield Fault(message, path="processor", hint=f"write [{', '.join(right)}]")


def _gate_faults(confidence: Json, outputs: Mapping[str, Json]) -> Iterator[Fault]:
    common: Json = _mapping(confidence).get("accept", "high")
    for name, output in outputs.items():
        own = _mapping(output)
        review, accept = own.get("review"), own.get("accept", common)
        lax, strict = threshold(review), threshold(accept)
        if lax is not None and strict is not None and lax > strict:
            whose = "accept" if "accept" in own else "confidence.accept"
            message = f"review ({review}) is stricter than {whose} ({accept})"
            yield Fault(message, path=f"outputs.{name}.review", hint=TOO_STRICT)


def _refresh_faults(refresh: Json, outputs: Mapping[str, Json]) -> Iterator[Fault]:
    common = _refresh("never" if refresh is None else refresh)
    for name, output in outputs.items():
        own = _refresh(_mapping(output).get("refresh"))
        if common is None or own is None or common.answers is None or "answers" in own.model_fields_set:
            continue
        for key in sorted(own.model_fields_set):
            duration = getattr(own, key)
            if duration is None or duration > common.answers:
                limit = duration_words(common.answers)
                message = f"{key} ({duration_words(duration)}) is longer than refresh.answers ({limit})"
                yield Fault(message, path=f"outputs.{name}.refresh.{key}", hint=TOO_LONG)


def _refresh(raw: Json) -> Refresh | None:
    try:
        return None if raw is None else Refresh.model_validate(raw)
    except ValidationError:
        return None


def schema_faults(raw: Mapping[str, Json]) -> tuple[list[Fault], list[Fault]]:
    """Errors and warnings of the output schemas by the service's rules, without lines yet."""
    outputs = _mapping(raw.get("outputs"))
    schemas: dict[str, Json] = {n: _schema_of(output) for n, output in outputs.items() if isinstance(output, dict)}
    if not schemas:
        return [], []
    errors, advice = check_output_schema({"type": "object", "properties": schemas})
    errors, advice = [[_below_outputs(fault) for fault in faults] for faults in (errors, advice)]
    if not errors:
        errors.extend(_misplaced(schemas))
    if not errors and (size := _spec_size(raw, schemas)) > MAX_SPEC_CHARS:
        message = f"the task spec has {size} characters, the service takes {MAX_SPEC_CHARS}"
        hint = "shorten descriptions and instructions, or split the config in two"
        errors.append(Fault(message, path="outputs", hint=hint))
    return errors, advice


def _misplaced(schemas: Mapping[str, Json]) -> Iterator[Fault]:
    """What the rules let through, and is no JSON Schema all the same: answers could not be held against it."""
    from enrich.spec.validator import misplaced_key

    for name, schema in schemas.items():
        found = misplaced_key(build_field(name, _mapping(schema)).schema)
        if found is not None:
            hint = "json-schema.org says what each key takes"
            yield Fault("this is not valid JSON Schema", path=".".join(("outputs", name, *found)), hint=hint)


def _below_outputs(fault: Fault) -> Fault:
    return replace(fault, path=re.sub(r"^properties(?=\.|$)", "outputs", fault.path))


def _schema_of(output: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in output.items() if key not in OWN_KEYS}


def _spec_size(raw: Mapping[str, Json], outputs: Mapping[str, Json]) -> int:
    instructions = raw.get("instructions")
    fields = [build_field(name, _mapping(schema)) for name, schema in outputs.items()]
    text = instructions if isinstance(instructions, str) else None
    return chars(task_spec(fields, instructions=text))


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


# --- advice -----------------------------------------------------------------------------------------------


def warnings(config: Config) -> list[Fault]:
    """What is allowed but seldom meant, in the order of the file."""
    found = [*_processor_advice(config), *_gate_advice(config), *_refresh_advice(config), *_variable_advice(config)]
    placed = [*config.schema_advice, *(config.placed(fault) for fault in found)]
    return sorted(placed, key=lambda fault: (isinstance(fault, FaultElsewhere), fault.line or 0))


def _processor_advice(config: Config) -> Iterator[Fault]:
    from enrich.spec.processors import PROCESSORS

    for name in config.processor:
        processor, count = PROCESSORS[name], len(config.outputs)
        if count > processor.fields:
            message = f"{count} answers are asked of {name}, which does about {processor.fields} well"
            yield Fault(message, path="processor", hint="take a stronger processor, or split the config")
        if not processor.confidence and "missing" not in config.confidence.model_fields_set:
            message = f"{name} may give no confidence, and then confidence.missing decides"
            yield Fault(message, path="processor", hint=f"which says {config.confidence.missing}")
        if config.budget is not None and config.budget < processor.usd:
            message = f"{config.budget} US dollars don't pay one run of {name} ({processor.usd})"
            yield Fault(message, path="budget", hint="raise the budget")


def _gate_advice(config: Config) -> Iterator[Fault]:
    gates = {"confidence": config.confidence}
    gates |= {f"outputs.{n}": config.gate_for(n) for n, o in config.outputs.items() if o.accept is not None}
    best = WORD_SCORES["high"]
    for path, gate in gates.items():
        if isinstance(gate.accept, float) and gate.accept > best:
            where = f"{path}.accept"
            message = f"no confidence in words reaches {gate.accept:g}: high counts as {best:g}"
            yield Fault(message, path=where, hint=f"write high, or {best:g}")
    always = all(config.gate_for(name).level("low") == "accept" for name in config.outputs)
    if len(config.processor) > 1 and always and config.confidence.missing == "accept":
        message = "every answer is accepted, so nothing goes up the ladder"
        yield Fault(message, path="processor", hint="raise accept, or name one processor")


def _refresh_advice(config: Config) -> Iterator[Fault]:
    own = {f"outputs.{n}.refresh": o.refresh for n, o in config.outputs.items() if o.refresh is not None}
    for path, refresh in {"refresh": config.refresh, **own}.items():
        minutes = 0 if refresh.answers is None else int(refresh.answers.total_seconds()) // 60
        if 1 <= minutes < 60:
            message = f"answers are asked and paid for again after {minutes}m: m means minutes"
            yield Fault(message, path=path, hint=f"for months write {30 * minutes}d")


def _variable_advice(config: Config) -> Iterator[Fault]:
    texts = {"instructions": config.instructions or ""}
    texts |= {f"inputs.{field}": _sent_as_it_stands(source) for field, source in config.inputs.items()}
    for path, text in texts.items():
        if match := re.search(r"\$\{\w+\}|\$[A-Z_]{3,}\b", text):
            message = f"{match[0]} is sent unchanged: environment variables are not expanded"
            yield Fault(message, path=path)
    for field, source in config.inputs.items():
        if match := re.search(r"\$\{([^{}]+)\}", source):
            message = f'{match[0]} is sent as "$" and the column {shown(match[1])}: no variable of the environment'
            yield Fault(message, path=f"inputs.{field}", hint=f"if the column alone is meant, write {{{match[1]}}}")


def _sent_as_it_stands(source: str) -> str:
    """The literal text of an input; a column may be called `$ABC`."""
    if not is_template(source):
        return ""
    return " ".join(piece for piece in parse_template(source) if isinstance(piece, str))
