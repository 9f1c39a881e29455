"""A config that seems to hold a key is refused, and the key is found in no message and no traceback."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest

from enrich.config.secrets import looks_secret
from enrich.errors import ConfigError

if TYPE_CHECKING:
    from config_cases import Loader

GOOD = """\
name: companies
inputs: {company_name: name}
outputs: {headquarters: {type: string, description: City and country.}}
processor: core
"""
RANDOM = "q7Zp2LxVt94RwKb8Ns31Yd6HcJ0m"
HINT = (
    "a config must not hold keys: remove it, set PARALLEL_API_KEY in the environment, "
    "and replace the key if the file was shared"
)


@pytest.mark.parametrize(
    ("added", "secret", "path"),
    [
        pytest.param("api_key: hunter2", "hunter2", "api_key", id="api_key"),
        pytest.param("API-Key: hunter2", "hunter2", "API-Key", id="other-spelling"),
        pytest.param("x-api-key: hunter2", "hunter2", "x-api-key", id="header"),
        pytest.param("PARALLEL_API_KEY: hunter2", "hunter2", "PARALLEL_API_KEY", id="variable"),
        pytest.param("password: 73519", "73519", "password", id="number"),
        pytest.param("auth: {token: hunter2}", "hunter2", "auth.token", id="deeper"),
        pytest.param("csv: {secret: hunter2}", "hunter2", "csv.secret", id="in-a-mapping-of-ours"),
        pytest.param("name2: sk-abcdefghij0123456789", "abcdefghij", "name2", id="known-form"),
        pytest.param(f"budget: {RANDOM}", RANDOM, "budget", id="as-a-value"),
        pytest.param(f"instructions: Use {RANDOM} please", RANDOM, "instructions", id="in-a-text"),
        pytest.param(f"require: [company_name, {RANDOM}]", RANDOM, "require.1", id="in-a-list"),
        pytest.param(
            "instructions: 'Authorization: Bearer abcdef.ghijkl-mnopqr'", "ghijkl", "instructions", id="bearer"
        ),
        pytest.param(
            f"location: {RANDOM[:5]}\ncsv: {{quote: PARALLEL_API_KEY={RANDOM}}}", RANDOM, "csv.quote", id="assignment"
        ),
    ],
)
def test_a_secret_is_refused_and_not_shown(added: str, secret: str, path: str, config_of: Loader) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(GOOD + added + "\n")
    line = 5 + added.count("\n")
    assert f"c.yaml:{line}: {path}: holds what looks like a secret; {HINT}" in str(caught.value).splitlines()
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.faults)
    assert secret not in told


@pytest.mark.parametrize(
    "added",
    [
        pytest.param(f"{RANDOM}: 1", id="as-a-key"),
        pytest.param(f"{RANDOM}: 1\n{RANDOM}: 2", id="as-a-key-twice"),
        pytest.param(f"csv: {{{RANDOM}: 1}}", id="as-an-inner-key"),
        pytest.param(f"api_key: *{RANDOM}", id="as-an-alias"),
        pytest.param(f"api_key: !{RANDOM}", id="as-a-tag"),
        pytest.param(f"api_key: '{RANDOM}", id="in-an-open-quote"),
        pytest.param(f"api_key: @{RANDOM}", id="after-a-wrong-character"),
        pytest.param(f"api_key: [{RANDOM}: {RANDOM}: x", id="in-broken-syntax"),
    ],
)
def test_a_secret_in_an_odd_place_is_not_shown(added: str, config_of: Loader) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(GOOD + added + "\n")
    assert RANDOM not in "".join(traceback.format_exception(caught.value)) + repr(caught.value.faults)


def test_a_secret_in_a_schema_file_is_refused(config_of: Loader) -> None:
    schema = f'{{"properties": {{"a": {{"type": "string",\n "description": "{RANDOM}"}}}}}}'
    with pytest.raises(ConfigError) as caught:
        config_of(
            GOOD.replace("{headquarters: {type: string, description: City and country.}}", "s.json"), s_json=schema
        )
    assert str(caught.value) == f"s.json:2: properties.a.description: holds what looks like a secret; {HINT}"


@pytest.mark.parametrize(
    "text",
    [
        "RevenueInMillionsUSDForFY2023Q4",
        "Q1_FY23_Q2_FY24_Q3_FY25_Q4_FY26",
        "company_name_2023_normalised_v2",
        "https://docs.example.com/spreadsheets/d/1A2bC3dE4fG5hI6jK7lM8nO9pQ0rS",
        "DE000BASF111 US0378331005 LEI 529900PM64WH8AF1E917",
        "0123456789012345678901234567890123456789",
        "The token that the company issues, and its price in USD",
        "rechtsschutzversicherungsgesellschaften",
    ],
)
def test_ordinary_words_are_no_secrets(text: str) -> None:
    assert not looks_secret(text)


def test_columns_and_answers_may_be_about_tokens(config_of: Loader) -> None:
    config = config_of("""\
name: coins
inputs: {token: token, api_key: has_api_key}
outputs:
  token: {type: string, description: Its symbol.}
  secret: {type: object, description: a, properties: {key: {type: string}, password: {type: string}}}
processor: core
""")
    assert [*config.inputs, *config.outputs] == ["token", "api_key", "token", "secret"]
