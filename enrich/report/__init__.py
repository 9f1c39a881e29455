"""What a run leaves for people and scripts: the receipt, the manifest, the report page. Takes no decision.

Everything here is computed from counts and texts that others hand in; only `write_manifest` touches the disk.
"""

from enrich.report.counting import Sample
from enrich.report.manifest import (
    Manifest,
    Outputs,
    PastRun,
    Selection,
    is_manifest,
    manifest_to_keep,
    read_manifest,
    write_manifest,
)
from enrich.report.page import ReportCollector, is_report
from enrich.report.receipt import (
    ANSWER_STATUSES,
    ROW_STATUSES,
    DoubleCharge,
    Onward,
    Receipt,
    by_question,
    charged_text,
    next_steps,
)

__all__ = [
    "ANSWER_STATUSES",
    "ROW_STATUSES",
    "DoubleCharge",
    "Manifest",
    "Onward",
    "Outputs",
    "PastRun",
    "Receipt",
    "ReportCollector",
    "Sample",
    "Selection",
    "by_question",
    "charged_text",
    "is_manifest",
    "is_report",
    "manifest_to_keep",
    "next_steps",
    "read_manifest",
    "write_manifest",
]
