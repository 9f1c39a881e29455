"""The processors that the sandbox offers: price a run, and how strong each is.

Prices are those of the service's page (USD per 1,000 runs, divided by 1,000). A `-fast` variant costs
the same and is as strong. The sandbox keeps a table of its own so that its bill checks the client's.
"""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Processor:
    """One processor: `strength` orders them (0 is the weakest), `usd` is the price of a run."""

    name: str
    usd: Decimal
    strength: int

    @property
    def gives_excerpts(self) -> bool:
        """Whether citations carry excerpts: from core upwards."""
        return self.strength >= 2

    @property
    def takes_auto_schema(self) -> bool:
        """Whether the output schema may be left to the service: from pro upwards."""
        return self.strength >= 4


_USD_PER_RUN = {
    "lite": "0.005",
    "base": "0.010",
    "core": "0.025",
    "core2x": "0.050",
    "pro": "0.100",
    "ultra": "0.300",
    "ultra2x": "0.600",
    "ultra4x": "1.200",
    "ultra8x": "2.400",
}

PROCESSORS = {
    name + variant: Processor(name + variant, Decimal(usd), strength)
    for strength, (name, usd) in enumerate(_USD_PER_RUN.items())
    for variant in ("", "-fast")
}
