"""The body of the POST that adds runs to a group. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec

from enrich.backends.metadata import GENERATION, INPUT, TASK, run_metadata
from enrich.records import Question, Task


def render_body(question: Question, tasks: Sequence[Task], keys: Sequence[str]) -> bytes:
    """The body of the POST that adds these tasks, by their keys, to a group."""
    fresh, building = _frame(question, builds=False), _frame(question, builds=True)
    parts: list[bytes] = []
    for task, key in zip(tasks, keys, strict=True):
        frame = fresh if task.previous is None else building
        parts += (b",", frame[0], task.document, frame[1], key.encode(), frame[2], task.input_key.hex().encode())
        parts += (frame[3], b"%d" % task.generation, frame[4])
        if task.previous is not None:
            parts += (msgspec.json.encode(task.previous), frame[5])
    body = {"default_task_spec": question.spec, "inputs": [msgspec.Raw(b"".join(parts[1:]))]}
    return msgspec.json.encode(body)


def _frame(question: Question, *, builds: bool) -> list[bytes]:
    """The JSON of a run of this question, in the pieces between what differs from task to task.

    Between them come document, task key, input key, generation and, where it `builds` on it, the earlier interaction.
    """
    ours = dict.fromkeys((TASK, INPUT, GENERATION), msgspec.Raw(b'"\0"'))  # in JSON no NUL stands for itself
    run_input: dict[str, Any] = {
        "processor": question.processor,
        "input": msgspec.Raw(b"\0"),
        "metadata": run_metadata("", b"", question.field_ids, 0) | ours,
        **question.settings,
    }
    if builds:
        run_input["previous_interaction_id"] = msgspec.Raw(b"\0")
    return msgspec.json.encode(run_input).split(b"\0")
