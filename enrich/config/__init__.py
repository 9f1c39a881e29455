"""The config: a YAML file as frozen, typed values, or all of its faults at once.

`loading.load` reads a file; `Config` and its parts say what stands in it; `check_columns` holds it against a table;
`warnings` gives advice; `json_schema` is what editors know of it. docs/config.md describes every key.
"""

from enrich.config.checks import (
    ROW_COLUMNS,
    answer_columns,
    check_columns,
    columns_read,
    evidence_columns,
    warnings,
)
from enrich.config.editor import json_schema, schema_text
from enrich.config.gate import WORD_SCORES, Gate, GateLevel, Threshold, score
from enrich.config.model import Config, CsvOptions, Evidence, Existing, Output, SourcePolicy
from enrich.config.places import FaultElsewhere
from enrich.config.refresh import Refresh

__all__ = [
    "ROW_COLUMNS",
    "WORD_SCORES",
    "Config",
    "CsvOptions",
    "Evidence",
    "Existing",
    "FaultElsewhere",
    "Gate",
    "GateLevel",
    "Output",
    "Refresh",
    "SourcePolicy",
    "Threshold",
    "answer_columns",
    "check_columns",
    "columns_read",
    "evidence_columns",
    "json_schema",
    "schema_text",
    "score",
    "warnings",
]
