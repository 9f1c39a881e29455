"""One sandbox: its registry, its answers, its bill, and the counts of what it was asked."""

from collections import Counter
from collections.abc import Callable
from hmac import compare_digest
from typing import Any

from enrich.sandbox.answers import Answers
from enrich.sandbox.facts import load_facts
from enrich.sandbox.faults import FaultPlan
from enrich.sandbox.journal import Journal
from enrich.sandbox.problems import ServiceError
from enrich.sandbox.quota import Meter, Verdict
from enrich.sandbox.registry import Group, Registry, Run
from enrich.sandbox.rendering import lagging_status_json, output_of, status_json
from enrich.sandbox.requests import RunParser, SpecShelf
from enrich.sandbox.settings import SandboxSettings
from enrich.sandbox.streams import Bell
from enrich.sandbox.tampering import tampered

Json = Any


class Service:
    """The state behind the calls. Raises SandboxError if a file it was given can't be used."""

    def __init__(self, settings: SandboxSettings, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.answers = Answers(load_facts(settings.facts), settings.seed)
        self.faults = FaultPlan(settings.faults, settings.seed)
        self.bell = Bell()
        self.requests: Counter[str] = Counter()
        specs = SpecShelf()
        # what the journal holds was checked when it came; an interaction may be of a run further down
        restore = RunParser(specs, is_interaction=lambda _: True).add_runs
        self.registry = Registry(
            seed=settings.seed,
            latency_s=settings.latency_s,
            slow_share=settings.slow_share,
            slow_s=settings.slow_s,
            outcome_of=self.faults.outcome,
            is_nameless=self.faults.is_nameless,
            clock=clock,
            journal=Journal(settings.state, restore) if settings.state is not None else None,
        )
        self.parser = RunParser(specs, is_interaction=self.registry.runs.__contains__)
        self._meter = Meter(settings.quota) if settings.quota is not None else None

    def group(self, group_id: str) -> Group:
        """A group, brought up to date. Raises ServiceError (404)."""
        now = self.registry.now()
        group = self.registry.groups.get(group_id)
        if group is None:
            raise ServiceError(404, "TaskGroup not found")
        group.advance(now)
        return group

    def run(self, run_id: str) -> Run:
        """A run. Raises ServiceError (404)."""
        self.registry.now()
        run = self.registry.runs.get(run_id)
        if run is None:
            raise ServiceError(404, "Run id not found")
        return run

    def output(self, run: Run, *, element_basis: bool = False) -> Json:
        """The output of a completed run."""
        output = output_of(run, self.answers, element_basis=element_basis)
        return tampered(output, run, self.faults) if self.faults else output

    def status(self, group: Group, now: float) -> Json:
        """The status of a group, as the service tells it."""
        group.advance(now)
        lag = self.faults.always("count-lag")
        return lagging_status_json(group, now, lag.number) if lag is not None else status_json(group)

    def is_key(self, key: str | None) -> bool:
        """Whether a request with this key is answered."""
        expected = self.settings.api_key
        if not key:
            return False
        return expected is None or compare_digest(key.encode(), expected.encode())

    def within_quota(self, runs: int) -> Verdict:
        """Count runs that are to be created against the account's quota; gives how many of them may be."""
        if self._meter is None:
            return Verdict(runs, None)
        return self._meter.take(runs, self.registry.now())

    def close(self) -> None:
        """End all streams and let go of the state file."""
        self.bell.close()
        self.registry.close()
