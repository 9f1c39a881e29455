"""The survivors that were read and found harmless: the tables of README.md, matched by text, not by line."""

import re
from pathlib import Path
from typing import NamedTuple

from .sites import Mutant

README = Path(__file__).with_name("README.md")
NOWHERE = "-"  # outside of any function
ROW = re.compile(r"(?m)^\| (enrich/.*) \|$")


class Judged(NamedTuple):
    """A mutant wherever it stands in its function, and why no test has to notice it."""

    file: str
    function: str
    before: str
    after: str
    why: str

    def is_of(self, mutant: Mutant) -> bool:
        return self[:4] == (mutant.file, mutant.function or NOWHERE, mutant.before, mutant.after)


def judged(text: str) -> list[Judged]:
    """The rows of all tables that begin with a file of `enrich`. Raises ValueError for a row of another form."""
    found = []
    for row in ROW.findall(text):
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", row)]
        if len(cells) != len(Judged._fields) or not all(cells):
            raise ValueError(f"a mutant is judged in {len(Judged._fields)} cells: {row}")
        found.append(Judged(*(cell.strip("`").strip() for cell in cells)))
    return found


def row(mutant: Mutant) -> str:
    """The row that judges it, but for the reason."""
    cells = [mutant.file, mutant.function or NOWHERE, *map(_code, (mutant.before, mutant.after)), "why"]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"
