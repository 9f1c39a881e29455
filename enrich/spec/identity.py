"""Identities: of an input, of a set of fields, of a task.

All are BLAKE2b hashes of canonical bytes, 128 bits long: with a billion inputs the chance of any collision
is below 10^-20. A key never depends on a run of the program, a machine or the order of a table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

KEY_BYTES = 16
_METADATA_VALUE_CHARS = 512  # the service's limit for one metadata value

TASK = "enrich_task"
INPUT = "enrich_input"
FIELDS = "enrich_fields"
GENERATION = "enrich_gen"

# Copied for each key: to set a hash up takes as long as to feed it.
_INPUT = blake2b(digest_size=KEY_BYTES, person=b"enrich.input")
_TASK = blake2b(digest_size=KEY_BYTES, person=b"enrich.task")


def input_key(document: bytes) -> bytes:
    """Key of an input: hash of its canonical JSON (sorted keys, compact, UTF-8)."""
    digest = _INPUT.copy()
    digest.update(document)
    return digest.digest()


def fieldset_key(field_ids: Iterable[str]) -> bytes:
    """Key of a set of fields: hash of its sorted field ids."""
    joined = "\n".join(sorted(field_ids)).encode()
    return blake2b(joined, digest_size=KEY_BYTES, person=b"enrich.fields").digest()


def task_key(input_: bytes, fieldset: bytes, processor: str, generation: int) -> str:
    """Key of a task, 32 hex digits: one input, one set of fields, one processor, asked for the n-th time.

    The generation counts the earlier tasks of the same question that ended: a refresh after a month is a
    new task, a submission sent again because nothing of it arrived is the same task.
    """
    digest = _TASK.copy()
    digest.update(b"%b\n%b\n%b\n%d" % (input_, fieldset, processor.encode(), generation))
    return digest.hexdigest()


def run_metadata(task: str, input_: bytes, field_ids: Sequence[str], generation: int) -> dict[str, str]:
    """Metadata that travels on a run: enough to tie it to its task, and to rebuild a lost ledger."""
    return {TASK: task, INPUT: input_.hex(), GENERATION: str(generation), **_fields_metadata(tuple(field_ids))}


def fields_in_metadata(metadata: dict[str, str]) -> tuple[str, ...]:
    """Field ids of a run from its metadata; empty where it is not ours."""
    parts = [metadata.get(FIELDS, "")]
    while (more := metadata.get(f"{FIELDS}{len(parts)}")) is not None:
        parts.append(more)
    return tuple(" ".join(parts).split())


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
        if parts and len(parts[-1]) + 1 + len(word) <= _METADATA_VALUE_CHARS:
            parts[-1] += " " + word
        else:
            parts.append(word)
    return parts
