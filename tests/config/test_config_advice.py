"""What is allowed but seldom meant is said, and stops nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from config_cases import cases

from enrich.config import warnings

if TYPE_CHECKING:
    from config_cases import Loader

NAME = "name: companies\ninputs: {company_name: name}\n"


@pytest.mark.parametrize(("text", "said"), cases("advice"))
def test_advice(text: str, said: list[str], config_of: Loader) -> None:
    assert [fault.render("c.yaml") for fault in warnings(config_of(text))] == said


def test_advice_comes_in_the_order_of_the_file(config_of: Loader) -> None:
    text = f"confidence: {{accept: 1}}\n{NAME}outputs: {{a: {{type: string}}}}\nbudget: 0.01\nprocessor: core\n"
    assert [fault.line for fault in warnings(config_of(text))] == [1, 4, 5]
