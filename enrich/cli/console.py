"""Where a command speaks: results to standard output, everything else to standard error, as text or JSON lines.

What a terminal would obey and the API key are taken out of every line. A reader that is gone (a closed pipe, a lost
terminal) is no reason to end: the console falls silent, and the command goes on. A result that a full disk keeps from
being written is an error.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Literal, TextIO

from enrich.errors import ExitCode, OutputError
from enrich.host.clock import SYSTEM
from enrich.text.hostile import clean, plain_json

LogFormat = Literal["text", "json"]

_WIDTH = 80
_GONE: Final = frozenset({errno.EPIPE, errno.EIO})  # a closed pipe, a lost terminal


class Console:
    """The two streams of a command; `None` is one that was closed before it began."""

    def __init__(
        self, stdout: TextIO | None, stderr: TextIO | None, *, redact: Callable[[str], str] = lambda text: text
    ) -> None:
        self.log_format: LogFormat = "text"
        self.redact = redact
        self._out = stdout
        self._err = stderr

    @property
    def width(self) -> int:
        """Of the terminal; 80 where there is none."""
        if self._out is None or not self._out.isatty():
            return _WIDTH
        return shutil.get_terminal_size((_WIDTH, 24)).columns

    @property
    def stderr(self) -> TextIO:
        """For the printers of progress, which take care of themselves."""
        return self._err if self._err is not None else open(os.devnull, "w", encoding="utf-8")

    def show(self, text: str) -> None:
        """A result, to standard output: lines, as they are but for what a terminal would obey. Raises OutputError."""
        self._show("\n".join(clean(line) for line in self.redact(text).split("\n")))

    def show_json(self, value: object) -> None:
        """A result as JSON, exact: what a terminal would obey, or not show, is an escape. Raises OutputError."""
        import msgspec

        text = msgspec.json.format(msgspec.json.encode(_encodable(value)), indent=2).decode()
        self._show(plain_json(text) + "\n")

    def note(self, text: str) -> None:
        """A line that people should see, to standard error."""
        self._tell({"event": "note", "text": text}, text)

    def warn(self, text: str) -> None:
        """Something that is allowed and seldom meant."""
        self._tell({"event": "warning", "text": text}, f"Warning: {text}")

    def error(self, faults: Sequence[str], code: ExitCode) -> None:
        """Why the command ends: each fault is a line of its own, `Error: `, the place where it is, and a sentence."""
        event: dict[str, str | int] = {"event": "error", "text": "\n".join(faults), "exit_code": int(code)}
        self._tell(event, "\n".join(f"Error: {fault}" for fault in faults))

    @property
    def is_terminal(self) -> bool:
        """Whether a person can read questions on standard error."""
        return self._err is not None and self._err.isatty()

    def ask(self, question: str) -> None:
        """A question, to standard error; the answer is typed behind it."""
        self._write(self._err, clean(question) + " ")

    def close(self) -> None:
        """Nothing is written after; what the streams still hold is written, or dropped if the reader is gone."""
        for stream in (self._out, self._err):
            if stream is not None:
                _failure(stream, stream.flush)

    def _show(self, text: str) -> None:
        error = self._write(self._out, text)
        if error is not None:
            raise OutputError(
                f"standard output: can't be written: {error.strerror}; the command's files are unaffected"
            )

    def _tell(self, event: dict[str, str | int], text: str) -> None:
        if self.log_format == "json":
            safe = {key: self.redact(value) if isinstance(value, str) else value for key, value in event.items()}
            moment = SYSTEM.moment().isoformat(timespec="milliseconds")
            line = json.dumps({"at": moment, **safe}, ensure_ascii=False, separators=(",", ":"))
            self._write(self._err, plain_json(line) + "\n")
            return
        lines = self.redact(text).rstrip("\n").split("\n")
        self._write(self._err, "".join(clean(line) + "\n" for line in lines))

    def _write(self, stream: TextIO | None, text: str) -> OSError | None:
        """Write and flush; gives the error that kept the text from a reader who is there."""
        if stream is None:
            return None
        encoding = getattr(stream, "encoding", None) or "utf-8"
        plain = text.encode(encoding, "backslashreplace").decode(encoding)
        failures = _failure(stream, lambda: stream.write(plain)), _failure(stream, stream.flush)
        return next((error for error in failures if error is not None), None)


def _encodable(value: Any) -> Any:
    """The value with a question mark for what is no text: a file name that isn't UTF-8 holds lone surrogates."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list | tuple):
        return [_encodable(one) for one in value]
    if isinstance(value, dict):
        return {_encodable(name): _encodable(one) for name, one in value.items()}
    return value


def _failure(stream: TextIO, act: Callable[[], object]) -> OSError | None:
    """Write to a stream, which falls silent if that fails; gives why it failed, unless the reader is gone."""
    try:
        act()
    except (OSError, ValueError) as error:
        _silence(stream)
        return error if isinstance(error, OSError) and error.errno not in _GONE else None
    return None


def _silence(stream: TextIO) -> None:
    """Let what is buffered go nowhere: Python would try again at its end, complain, and change the exit code."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
