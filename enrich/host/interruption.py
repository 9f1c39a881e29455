"""A request to end in good order."""

from collections.abc import Callable

from enrich.errors import EnrichError, ExitCode


class Interruption:
    """A request to end, from a signal or a caller; `request` is called on the event loop's thread."""

    def __init__(self) -> None:
        self.code: ExitCode | None = None
        self._actions: list[Callable[[], None]] = []

    def request(self, code: ExitCode = ExitCode.INTERRUPTED) -> None:
        """Ask the command to end in good order; the first reason stands."""
        self.code = self.code or code
        for action in self._actions:
            action()

    def then(self, action: Callable[[], None]) -> None:
        """Call `action` when the end is requested, at once if it was."""
        self._actions.append(action)
        if self.code is not None:
            action()

    def check(self) -> None:
        """Raise InterruptedEarlyError if the end was requested: in the steps before anything is sent."""
        if self.code is not None:
            raise InterruptedEarlyError(self.code)


class InterruptedEarlyError(EnrichError):
    """The command was interrupted before it sent anything."""

    exit_code = ExitCode.INTERRUPTED  # or TERMINATED

    def __init__(self, code: ExitCode) -> None:
        super().__init__("interrupted; nothing was sent, and nothing was written")
        self.exit_code = code
