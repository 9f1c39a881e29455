"""What is allowed and seldom meant in a job, said by `plan`, and by `run` before the question."""

from enrich.config import warnings
from enrich.job import Job

__all__ = ["advice"]


def advice(job: Job) -> list[str]:
    """Warnings of the config with what the options put in the place of its keys, a sentence each."""
    options = job.options
    ladder = job.config.processor if options.processor is None else (options.processor,)
    config = job.config.replaced(budget=job.budget, processor=ladder)
    given = {"budget": options.budget, "processor": options.processor}
    return [
        f"--{fault.path}: {fault.message}" + (f"; {fault.hint}" if fault.hint else "")
        if given.get(fault.path) is not None
        else fault.render(str(job.config.path))
        for fault in warnings(config)
    ]
