"""Values held against a schema, offline: whatever a schema names beside itself is never looked up.

Keys that point out of a schema are faults of the config already (see `outward`); this is the second lock, for a key
that nobody thought of.
"""

from __future__ import annotations

from typing import NoReturn

import jsonschema_rs

from enrich.spec.shape import Schema

__all__ = ["misplaced_key", "validator_of"]


def validator_of(schema: Schema) -> jsonschema_rs.Validator:
    """The validator of a schema in which nothing is misplaced."""
    return jsonschema_rs.validator_for(dict(schema), retriever=_never)


def misplaced_key(schema: Schema) -> tuple[str, ...] | None:
    """The key path within a schema to what is not as JSON Schema has it; None where all is as it should be.

    The path is empty where none can be named.
    """
    try:
        validator_of(schema)
    except jsonschema_rs.ValidationError as error:
        return tuple(str(step) for step in error.instance_path)
    except (jsonschema_rs.ReferencingError, ValueError):
        return ()
    return None


def _never(uri: str) -> NoReturn:
    raise ValueError("nothing is fetched for a schema")
