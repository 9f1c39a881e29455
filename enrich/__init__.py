"""Batch enrichment of tables by a web-research service: paid once, lost never, the table untouched.

import enrich
report = enrich.run("configs/companies.yaml", "companies.csv", sandbox=True)
print(report.receipt.to_text())

frame = enrich.enrich(frame, "configs/companies.yaml")   # polars, pyarrow, pandas
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from enrich.frames import enrich
    from enrich.library.calls import Plan, plan, run, run_async
    from enrich.pipeline import Report

__version__ = "0.4.0"

__all__ = ["Plan", "Report", "__version__", "enrich", "plan", "run", "run_async"]

_LIBRARY = frozenset({"Plan", "plan", "run", "run_async"})


def __getattr__(name: str) -> Any:
    """Loaded at first use: `enrich --help` must not pay for polars."""
    if name in _LIBRARY:
        from enrich.library import calls as library

        return getattr(library, name)
    if name == "enrich":
        from enrich.frames import enrich

        return enrich
    if name == "Report":
        from enrich.pipeline import Report

        return Report
    raise AttributeError(f"module 'enrich' has no attribute {name!r}")


if "polars" in sys.modules:  # who works with frames has them already, and gets `df.enrich`
    from enrich import frames as frames
