"""Tables in memory: `enrich.enrich(data, config)`; importing this gives polars frames their `df.enrich`."""

from enrich.library.frames import ArrowStream, IncompleteWarning, enrich, plan_of

__all__ = ["ArrowStream", "IncompleteWarning", "enrich", "plan_of"]
