"""A run as large as life, to be reported: 1,250 rows, five columns, a ladder of two processors."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from enrich.report import ANSWER_STATUSES, Manifest, Outputs, Receipt, ReportCollector, Sample, Selection

ASKED = {"failed": 12, "skipped": 10, "pending": 10}
STATUSES: Mapping[str, Mapping[str, int]] = {
    "headquarters": {"accepted": 1130, "human": 4, "review": 60, "withheld": 24, **ASKED},
    "founded_year": {"accepted": 1015, "kept": 12, "review": 140, "not_found": 51, **ASKED},
    "employees": {"accepted": 840, "review": 210, "withheld": 168, **ASKED},
    "key_products": {"accepted": 1201, "review": 8, "invalid": 9, **ASKED},
    "website": {"accepted": 1218, **ASKED},
}
CONFIDENCE = {"accepted": "high", "review": "medium", "withheld": "low", "kept": "low", "not_found": None}
REASON = {
    "review": "medium confidence; the config asks for high",
    "withheld": "low confidence",
    "kept": "low confidence; last month's answer stays",
    "invalid": "founded_year: expected an integer, got \"1998?\"",
    "failed": "the service failed: upstream timeout (ref 8f2)",
    "skipped": "company_name is empty",
}  # fmt: skip


@pytest.fixture
def receipt() -> Receipt:
    """A receipt that adds up."""
    return Receipt(
        rows_in=1250,
        rows={"complete": 902, "review": 280, "withheld": 36, "failed": 12, "skipped": 10, "pending": 10},
        answers_wanted=6250,
        answers={
            status: total
            for status in ANSWER_STATUSES
            if (total := sum(column.get(status, 0) for column in STATUSES.values()))
        },
        runs_paid=1204,
        usd=Decimal("45.40"),
        runs_by_processor={"core": 1000, "pro": 204},
        usd_by_processor={"core": Decimal("25.00"), "pro": Decimal("20.40")},
        distinct_inputs=1102,
        runs_submitted=1216,
        runs_failed=12,
        usd_at_stake=Decimal("0.25"),
        table_runs_paid=1304,
        table_usd=Decimal("54.08"),
    )  # fmt: skip


@pytest.fixture
def manifest(receipt: Receipt) -> Manifest:
    """The manifest of that run."""
    return Manifest(
        name="companies",
        version="0.1.0",
        config="configs/companies.yaml",
        config_sha256="9f" * 32,
        table="companies.csv",
        ledger="configs/.enrich/ledger.db",
        ledger_groups=("tgrp_0", "tgrp_1"),
        selection=Selection(where="country = 'DE'"),
        output="companies.enriched.csv",
        review="companies.enriched.review.csv",
        report="companies.enriched.report.html",
        sandbox=False,
        started_at=datetime(2026, 3, 1, 22, 4, 5, tzinfo=UTC),
        finished_at=datetime(2026, 3, 1, 22, 31, 17, 250_000, tzinfo=UTC),
        exit_code=4,
        stopped="the budget of $45.65 is reached",
        processors=("core", "pro"),
        fields={name: f"{number:016x}" for number, name in enumerate(STATUSES)},
        budget_usd=Decimal("45.65"),
        groups=("tgrp_1", "tgrp_2"),
        outputs=Outputs(
            written=True,
            written_at=datetime(2026, 3, 1, 22, 31, 17, tzinfo=UTC),
            doubtful=487,
            fingerprint=None,
        ),
        receipt=receipt,
    )


@pytest.fixture
def sample() -> Sample:
    """One well-founded answer."""
    return Sample(
        row=17,
        inputs={"company_name": "Siemens AG", "website": "siemens.com"},
        value="Munich, Germany",
        reasoning="The company's imprint and its annual report both name Munich as the registered seat.",
        citations=[
            {
                "url": "https://www.siemens.com/imprint",
                "title": "Imprint | Siemens",
                "excerpts": ["Siemens AG, Werner-von-Siemens-Straße 1, 80333 Munich, Germany"],
            },
            {"url": "https://en.wikipedia.org/wiki/Siemens", "title": None, "excerpts": None},
        ],
        processor="core",
    )


@pytest.fixture
def collector(sample: Sample) -> ReportCollector:
    """The answers of that run, as the join feeds them."""
    collector = ReportCollector(STATUSES)
    for field, statuses in STATUSES.items():
        for status, number in statuses.items():
            for index in range(number):
                confidence = "medium" if status == "accepted" and index % 7 == 0 else CONFIDENCE.get(status)
                collector.add(field, status, confidence, REASON.get(status, ""), sample=shown(sample, status))
    return collector


def shown(sample: Sample, status: str) -> Callable[[], Sample]:
    return lambda: sample if status == "accepted" else replace(sample, value=None, citations=(), row=1048)
