"""Where a key path stands: in the config, or in the JSON Schema file that its `outputs` name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from enrich.errors import Fault
from enrich.text.phrases import printable

__all__ = ["FaultElsewhere", "Places"]


@dataclass(frozen=True, slots=True)
class FaultElsewhere(Fault):
    """A fault in a file that the config names."""

    file: str = ""

    def render(self, file: str) -> str:
        """As `Fault.render`, with the fault's own file."""
        return Fault.render(self, self.file or file)


@dataclass(frozen=True, slots=True)
class Places:
    """Key path → line, of a config and of the schema file that may stand for its `outputs`."""

    path: Path
    lines: Mapping[str, int] = field(default_factory=dict)
    schema_path: Path | None = None
    schema_lines: Mapping[str, int] = field(default_factory=dict)

    def put(self, fault: Fault) -> Fault:
        """The fault with its line: that of its key, or of the nearest one above it that the file has."""
        below = fault.path.removeprefix("outputs.")
        if self.schema_path is None or below == fault.path:
            return _legible(replace(fault, line=fault.line or _nearest(fault.path, self.lines)))
        return self.put_in_schema(replace(fault, path=f"properties.{below}"))

    def put_in_schema(self, fault: Fault) -> Fault:
        """A fault whose key path is one of the schema file."""
        line = fault.line or _nearest(fault.path, self.schema_lines)
        return _legible(FaultElsewhere(fault.message, line, fault.path, fault.hint, str(self.schema_path)))


def _legible(fault: Fault) -> Fault:
    """Names in a fault come from a file, and what is in a file must not reach a terminal as it is."""
    return replace(
        fault,
        message=printable(fault.message),
        path=printable(fault.path),
        hint=printable(fault.hint),
    )


def _nearest(path: str, lines: Mapping[str, int]) -> int | None:
    if not path:  # about the file as a whole
        return None
    while path and path not in lines:
        path = path.rpartition(".")[0]
    return lines.get(path)
