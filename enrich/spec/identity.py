"""Identities: of an input, of a set of fields, of a task.

All are BLAKE2b hashes of canonical bytes, 128 bits long: with a billion inputs the chance of any collision
is below 10^-20. A key never depends on a run of the program, a machine or the order of a table.
"""

from collections.abc import Iterable
from hashlib import blake2b

KEY_BYTES = 16

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
