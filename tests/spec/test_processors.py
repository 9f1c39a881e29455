"""The price table."""

from __future__ import annotations

from decimal import Decimal

import pytest

from enrich.spec.processors import PROCESSORS, price


@pytest.mark.parametrize(
    ("name", "usd"),
    [
        pytest.param("lite", "0.005", id="lite"),
        pytest.param("base", "0.01", id="base"),
        pytest.param("core", "0.025", id="core"),
        pytest.param("core2x", "0.05", id="core2x"),
        pytest.param("pro", "0.1", id="pro"),
        pytest.param("ultra", "0.3", id="ultra"),
        pytest.param("ultra2x", "0.6", id="ultra2x"),
        pytest.param("ultra4x", "1.2", id="ultra4x"),
        pytest.param("ultra8x", "2.4", id="ultra8x"),
    ],
)
def test_a_run_costs_the_same_on_the_fast_variant(name: str, usd: str) -> None:
    assert price(name) == price(f"{name}-fast") == Decimal(usd)


def test_every_processor_is_named_as_its_key_and_takes_its_time() -> None:
    for name, processor in PROCESSORS.items():
        assert processor.name == name
        assert 0 < processor.latency_s[0] < processor.latency_s[1]
        assert processor.fields > 0


def test_an_unknown_processor_has_no_price() -> None:
    with pytest.raises(KeyError):
        price("core3x")


def test_the_small_ones_give_no_confidence() -> None:
    assert {name for name, processor in PROCESSORS.items() if not processor.confidence} == {
        "lite",
        "lite-fast",
        "base",
        "base-fast",
    }
