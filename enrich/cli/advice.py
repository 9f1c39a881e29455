"""What is allowed and seldom meant in a job, said by `plan`, and by `run` before the question."""

from enrich.config import warnings
from enrich.inputs.remarks import nothing_to_ask, placeholder_remarks
from enrich.job import Job
from enrich.planning.costs import Summary

__all__ = ["advice"]


def advice(job: Job, summary: Summary) -> list[str]:
    """Warnings of the config with what the options put in the place of its keys, and of the table; a sentence each."""
    options = job.options
    ladder = job.config.processor if options.processor is None else (options.processor,)
    config = job.config.replaced(budget=job.budget, processor=ladder)
    given = {"budget": options.budget, "processor": options.processor}
    nothing = nothing_to_ask(str(job.table.path), rows=summary.rows, left_out=summary.left_out)
    of_config = [
        f"--{fault.path}: {fault.message}" + (f"; {fault.hint}" if fault.hint else "")
        if given.get(fault.path) is not None
        else fault.render(str(job.config.path))
        for fault in warnings(config)
    ]
    of_table = placeholder_remarks(str(job.table.path), summary.placeholders)
    return [*of_config, *of_table, *([nothing] if nothing else [])]
