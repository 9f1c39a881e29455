"""What travels on a run as its metadata: enough to tie it to its task, and to rebuild a lost ledger. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from enrich.spec.identity import fieldset_key, task_key

TASK: Final = "enrich_task"
INPUT: Final = "enrich_input"
FIELDS: Final = "enrich_fields"
GENERATION: Final = "enrich_gen"

_VALUE_CHARS: Final = 512  # the service's limit for one value


def run_metadata(task: str, input_: bytes, field_ids: Sequence[str], generation: int) -> dict[str, str]:
    """Metadata that travels on a run: enough to tie it to its task, and to rebuild a lost ledger."""
    return {TASK: task, INPUT: input_.hex(), GENERATION: str(generation), **_fields_metadata(tuple(field_ids))}


def fields_in_metadata(metadata: dict[str, str]) -> tuple[str, ...]:
    """Field ids of a run from its metadata; empty where it is not ours."""
    parts = [metadata.get(FIELDS, "")]
    while (more := metadata.get(f"{FIELDS}{len(parts)}")) is not None:
        parts.append(more)
    return tuple(" ".join(parts).split())


def task_in_metadata(metadata: Mapping[str, object] | None) -> str | None:
    """The task key that a run carries, None where it has none."""
    task = (metadata or {}).get(TASK)
    return task if isinstance(task, str) else None


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """What a run's metadata says of its task."""

    task: str
    input_key: bytes
    field_ids: tuple[str, ...]
    processor: str
    generation: int


def identity_in_metadata(metadata: Mapping[str, object], processor: str) -> TaskIdentity | None:
    """The task of a run, None where its metadata is not ours, or its parts do not give the task key it names."""
    texts = {name: value for name, value in metadata.items() if isinstance(value, str)}
    try:
        key, generation = bytes.fromhex(texts.get(INPUT, "")), int(texts.get(GENERATION, ""))
    except ValueError:
        return None
    field_ids = fields_in_metadata(texts)
    task = task_key(key, fieldset_key(field_ids), processor, generation)
    if not field_ids or texts.get(TASK) != task:
        return None
    return TaskIdentity(task, key, field_ids, processor, generation)


@lru_cache(maxsize=64)
def _fields_metadata(field_ids: tuple[str, ...]) -> dict[str, str]:
    parts = enumerate(_packed(sorted(field_ids)))
    return {FIELDS if part == 0 else f"{FIELDS}{part}": text for part, text in parts}


def _packed(words: Sequence[str]) -> list[str]:
    parts: list[str] = []
    for word in words:
        if parts and len(parts[-1]) + 1 + len(word) <= _VALUE_CHARS:
            parts[-1] += " " + word
        else:
            parts.append(word)
    return parts
