"""The protocol with one of its rules taken away. For the tests of the simulation alone: each must turn it red."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any, Final

from enrich.api.errors import UnknownOutcomeError
from enrich.protocol import collect, course, endings, resolve, submit
from enrich.protocol.effects import AddRuns, ListGroup, RecordIntent, Script
from enrich.protocol.replies import Listing, Sightings, is_complete
from enrich.records import Intent

from .command import Command, Process, Setting
from .service import Post


class Mutation:
    """Nothing is taken away. Subclasses change a command, or a name of the protocol's modules."""

    command: type[Command] = Command

    def settle_s(self, seconds: float) -> float:
        return seconds

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Patched modules, for the length of a block."""
        yield


class _IntentAfterwards(Command):
    """The intent is written down together with what became of it."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._unwritten: dict[int, Intent] = {}
        self._ids: dict[int, int] = {}

    def _record(self, process: Process, transition: Any) -> Any:
        if isinstance(transition, RecordIntent):
            number = -len(self._unwritten) - 1
            self._unwritten[number] = transition.intent
            return number
        number = getattr(transition, "submission_id", 0)
        if number < 0:
            if number not in self._ids:
                ((self._ids[number]),) = self.disk.commit([RecordIntent(self._unwritten[number]).apply])
            transition = replace(transition, submission_id=self._ids[number])
        return super()._record(process, transition)


class _IntentNotSynced(Command):
    """The intent is written, and not synced."""

    def _apply(self, transitions: list[Any]) -> list[Any]:
        if not any(isinstance(one, RecordIntent) for one in transitions):
            return super()._apply(transitions)
        return self.disk.commit([one.apply for one in transitions], synced=False)


class _OneListing(Command):
    """Every second listing of a group is the first one again, from memory: one listing agrees with itself."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._listings: dict[str, Listing] = {}

    def _request(self, process: Process, effect: Any) -> Any:
        if not isinstance(effect, ListGroup):
            return super()._request(process, effect)
        remembered = self._listings.pop(effect.group_id, None)
        if remembered is not None and is_complete(remembered, Sightings()):
            return self._later(process, 0.1, lambda: remembered)
        seconds, evaluate = self._network.request(effect)
        return self._later(process, seconds, lambda: self._listings.setdefault(effect.group_id, evaluate()))


class _SendsAgain(Command):
    """A POST without a usable answer is sent again, twice, as an ordinary client does it."""

    def _answer(self, process: Process, effect: AddRuns, post: Post, tries: int = 1) -> Any:
        try:
            return super()._answer(process, effect, post)
        except UnknownOutcomeError:
            if tries == 3:
                raise
            again = self.service.add(effect.group_id, effect.body)
            return self._later(process, again.answer_s, lambda: self._answer(process, effect, again, tries + 1))


class _NoTurns(course.Roster):
    """Those that are to run one after the other run side by side."""

    def __init__(self, step: Any, **limits: Any) -> None:
        if isinstance(step, course.InTurn):
            step = course.Together((), step.scripts, 0)
        super().__init__(step, **limits)


class _NoSlots(course.Roster):
    """All batches start at once."""

    def __init__(self, step: Any, **limits: Any) -> None:
        super().__init__(step, **{**limits, "slots": 1000})


def _unpaid(status: str, *, active: bool | None, has_output: bool, fetched: bool) -> str:
    """What nobody knows has failed."""
    return "failed" if endings.is_strange(status, active=active) else status


class _Patched(Mutation):
    def __init__(self, module: ModuleType, name: str, value: Any) -> None:
        self._module, self._name, self._value = module, name, value

    @contextmanager
    def in_force(self) -> Iterator[None]:
        kept = getattr(self._module, self._name)
        setattr(self._module, self._name, self._value)
        try:
            yield
        finally:
            setattr(self._module, self._name, kept)


class _NoSettling(Mutation):
    def settle_s(self, seconds: float) -> float:
        return 0.0


def _driven(driver: type[Command]) -> Mutation:
    mutation = Mutation()
    mutation.command = driver
    return mutation


def _believed(group_id: str, *, settle_s: float) -> Script[bool]:
    """A refusal by quota or credit made nothing, says who does not look."""
    return True
    yield  # it is a script all the same


MUTATIONS: Final[dict[str, Callable[[], Mutation]]] = {
    "no-intent": lambda: _driven(_IntentAfterwards),
    "no-sync": lambda: _driven(_IntentNotSynced),
    "no-completeness": lambda: _Patched(resolve, "is_complete", lambda listing, ever: True),
    "one-listing": lambda: _driven(_OneListing),
    "no-settling": _NoSettling,
    "refusal-believed": lambda: _Patched(submit, "made_nothing", _believed),
    "send-again": lambda: _driven(_SendsAgain),
    "broken-streams-are-followed": lambda: _Patched(collect, "is_broken", lambda news: False),
    "all-may-wait": lambda: _Patched(course, "is_stalled", lambda held, running: False),
    "strange-ends-are-none": lambda: _Patched(endings, "settled_status", lambda status, **facts: status),
    "strange-ends-cost-nothing": lambda: _Patched(endings, "settled_status", _unpaid),
    "watchers-side-by-side": lambda: _Patched(course, "Roster", _NoTurns),
    "no-slots": lambda: _Patched(course, "Roster", _NoSlots),
    "never-compared-again": lambda: _Patched(course, "is_settled", lambda due, completed: True),
    "no-watch": lambda: _Patched(course, "_watched_in", lambda books: []),
}
