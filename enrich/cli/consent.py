"""Consent before money is spent: of a person at a terminal, or said beforehand by `--yes` or a budget; never assumed.

What is asked about is the most that the run can cost, not what it is expected to.
"""

import sys
from decimal import Decimal
from typing import Final

import anyio

from enrich.cli.advice import advice
from enrich.cli.console import Console
from enrich.errors import UsageError
from enrich.host.interruption import Interruption
from enrich.job import Job
from enrich.planning.costs import Summary
from enrich.text.figures import counted, span_text, usd_text

ASK_ABOVE_USD: Final = Decimal(1)


class ConsentPrompt:
    """Says what is due, and what is seldom meant, and gives whether to go on."""

    def __init__(self, console: Console, interruption: Interruption, *, yes: bool, quiet: bool) -> None:
        self._console = console
        self._interruption = interruption
        self._yes = yes
        self._quiet = quiet

    async def __call__(self, job: Job, summary: Summary) -> bool:
        """Raises UsageError where there is nobody to ask, and neither a budget nor --yes."""
        if not self._quiet:
            for text in advice(job, summary):
                self._console.warn(text)
            self._console.note(due_text(job, summary))
        if self._yes or job.options.sandbox or job.options.budget is not None:
            return True
        if not (sys.stdin is not None and sys.stdin.isatty() and self._console.is_terminal):
            if job.budget is None:
                raise UsageError(_nobody_text(job, summary))
            return True
        expected, most = usd_expected(job, summary), usd_most(job, summary)
        if most <= ASK_ABOVE_USD:
            return True
        self._console.ask(f"Spend about {usd_text(expected)}, at most {usd_text(most)}? [y/N]")
        return await self._answer() in ("y", "yes")

    async def _answer(self) -> str:
        """A line of the terminal; empty when a signal comes first."""
        with anyio.CancelScope() as scope:
            self._interruption.then(scope.cancel)
            await anyio.wait_readable(sys.stdin)
            return sys.stdin.readline().strip().lower()
        return ""


def usd_most(job: Job, summary: Summary) -> Decimal:
    """What the run can cost at most, in US dollars: every rung counts, and no more than the budget is ever at stake."""
    return _within_budget(job, summary.usd_most())


def usd_expected(job: Job, summary: Summary) -> Decimal:
    """What it may be expected to cost, in US dollars."""
    return _within_budget(job, summary.usd_expected())


def _within_budget(job: Job, usd: Decimal) -> Decimal:
    return usd if job.budget is None else min(usd, job.budget)


def due_text(job: Job, summary: Summary) -> str:
    """What is due and what it costs, in a line."""
    due = f"{counted(summary.due, 'run')} due"
    if job.options.sandbox:
        return f"{due}, at the sandbox: free of charge"
    expected, most = usd_text(summary.usd_expected()), usd_text(summary.usd_most())
    cost = expected if expected == most else f"{expected} expected, at most {most}"
    budget = "" if job.budget is None else f" (budget {usd_text(job.budget)})"
    before = summary.under_way
    sent = counted(before.runs + before.unresolved, "run")
    waiting = f"; {sent} sent before, {usd_text(before.usd + before.usd_unresolved)}, at no new cost"
    brought_in = waiting if before.runs or before.unresolved else ""
    return f"{due}: {cost}{budget}, about {span_text(summary.seconds())}{brought_in}"


def _nobody_text(job: Job, summary: Summary) -> str:
    most = usd_text(usd_most(job, summary))
    return (
        f"{counted(summary.due, 'run')} due, at most {most}, and nobody to ask: there is no terminal, no budget and no"
        " --yes. Nothing was sent. Set `budget:` in the config or give --budget USD, which bounds what may be at stake,"
        " or give --yes; then run the same command again"
    )
