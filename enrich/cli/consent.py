"""Asks a person at a terminal before more than a dollar is spent without a budget; never asks elsewhere."""

import sys
from decimal import Decimal
from typing import Final

import anyio

from enrich.cli.console import Console
from enrich.due import Summary
from enrich.figures import counted, span_text, usd_text
from enrich.job import Interruption, Job

ASK_ABOVE_USD: Final = Decimal(1)


class Consent:
    """Says what is due, and gives whether to go on."""

    def __init__(self, console: Console, interruption: Interruption, *, yes: bool, quiet: bool) -> None:
        self._console = console
        self._interruption = interruption
        self._yes = yes
        self._quiet = quiet

    async def __call__(self, job: Job, summary: Summary) -> bool:
        if not self._quiet:
            self._console.note(due_text(summary, sandbox=job.options.sandbox))
        if not self._must_ask(job, summary):
            return True
        expected, most = usd_text(summary.usd_expected()), usd_text(summary.usd_most())
        self._console.ask(f"Spend about {expected}, at most {most}? [y/N]")
        return await self._answer() in ("y", "yes")

    def _must_ask(self, job: Job, summary: Summary) -> bool:
        if self._yes or job.options.sandbox or job.budget is not None or summary.usd_expected() <= ASK_ABOVE_USD:
            return False
        return sys.stdin is not None and sys.stdin.isatty() and self._console.is_terminal

    async def _answer(self) -> str:
        """A line of the terminal; empty when a signal comes first."""
        with anyio.CancelScope() as scope:
            self._interruption.then(scope.cancel)
            await anyio.wait_readable(sys.stdin)
            return sys.stdin.readline().strip().lower()
        return ""


def due_text(summary: Summary, *, sandbox: bool) -> str:
    """What is due and what it costs, in a line."""
    if sandbox:
        return f"{counted(summary.due, 'run')} due, at the sandbox: free of charge"
    least, most = summary.usd_least(), summary.usd_most()
    cost = usd_text(least) if least == most else f"{usd_text(least)} to {usd_text(most)}"
    return f"{counted(summary.due, 'run')} due: {cost}, about {span_text(summary.seconds())}"
