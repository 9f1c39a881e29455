"""The config's JSON Schema, for editors: completion, descriptions and a first check while writing.

`configs/enrich.schema.json` is this schema; `enrich schema` prints it. It says less than the loader checks, and never
more: whatever loads is valid by it.
"""

from __future__ import annotations

from typing import Any

from enrich.config.model import Config

__all__ = ["json_schema"]


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a config file."""
    return Config.model_json_schema()
