"""The commands that go on after a command: complete, with every option that still applies, quoted for the shell."""

import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from enrich.job import Job, Options
from enrich.report import Onward
from enrich.text.durations import duration_text

__all__ = ["onward"]


def onward(job: Job, review: Path | None = None) -> Onward:
    """What can follow a job; for a call from Python it is the same call, and decisions are taken by the command.

    `review` is the file with the decisions, if it is not the one that the job writes.
    """
    options, config = job.options, job.config.path
    whole = replace(options, limit=None, sample=None, where=None)
    chosen = (options.limit, options.sample, options.where) != (None, None, None)
    take = f"`{_review(config, review or job.outputs.review, options)}`"
    if options.call:
        names = [name for name in ("limit", "sample", "where") if getattr(options, name) is not None]
        return Onward(
            again="the same call",
            retry="the same call with retry_failed=True",
            rest=f"the same call without {' and '.join(names)}" if chosen else "",
            review=take,
        )
    again = _run(job, options)
    return Onward(
        again=f"`{again}`",
        retry=f"`{_run(job, replace(options, retry_failed=True))}`",
        rest=f"`{_run(job, whole)}`" if chosen else "",
        review=take,
        price=f"`{shlex.join(['enrich', 'plan', _argument(config), _argument(job.table.path)])}`"
        if options.sandbox
        else "",
    )


def _run(job: Job, options: Options) -> str:
    return shlex.join(["enrich", "run", _argument(job.config.path), _argument(job.table.path), *_options(options)])


def _review(config: Path, file: Path, options: Options) -> str:
    kept = Options(ledger=options.ledger, sandbox=options.sandbox)
    named = _argument(config) if config.is_file() else "CONFIG"  # one that was given as a mapping has no file
    return shlex.join(["enrich", "review", named, _argument(file), *_options(kept)])


def _argument(path: Path) -> str:
    """A path that is taken for no option."""
    text = str(path)
    return f"./{text}" if text.startswith("-") else text


def _options(options: Options) -> Iterator[str]:
    """The options of `enrich run` that say what is asked and where things go, as they are given to it."""
    durations = {"--settle": options.settle_s, "--deadline": options.deadline_s}
    values = {
        "--output": None if options.output is None else _argument(options.output),
        "--limit": options.limit,
        "--sample": options.sample,
        "--where": options.where,
        "--processor": options.processor,
        "--budget": options.budget,
        **{name: s if s is None else duration_text(timedelta(seconds=s)) for name, s in durations.items()},
        "--ledger": None if options.ledger is None else _argument(options.ledger),
        "--facts": None if options.facts is None else _argument(options.facts),
    }
    for name, value in values.items():
        if value is not None:
            yield from (name, str(value))
    if options.retry_failed:
        yield "--retry-failed"
    if options.sandbox:
        yield "--sandbox"
