"""Each wrong config is refused with one message a fault: file, line, key path, what came, what to write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from config_cases import cases
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.config import check_columns, warnings
from enrich.config.loading import load, parse
from enrich.config.tree import UnreadableMappingError, build_tree
from enrich.errors import ConfigError, ExitCode, Fault
from enrich.spec import Json

if TYPE_CHECKING:
    from config_cases import Complaint, Loader

# Four lines that are enough; what a case adds begins on line 5.
GOOD = """\
name: companies
inputs: {company_name: name, website: domain}
outputs: {headquarters: {type: string, description: City and country.}}
processor: core
"""
NAME, INPUTS, OUTPUTS, PROCESSOR = GOOD.splitlines(keepends=True)

WORDS = "expected high, medium, low or a number from 0 to 1"


@pytest.mark.parametrize(("added", "said"), cases("added"))
def test_an_added_fault_is_named_with_its_line(added: str, said: list[str], complaint: Complaint) -> None:
    assert complaint(GOOD + added) == said


@pytest.mark.parametrize(("text", "said"), cases("whole"))
def test_a_config_with_one_fault(text: str, said: list[str], complaint: Complaint) -> None:
    assert complaint(text) == said


@pytest.mark.parametrize(("text", "said"), cases("syntax"))
def test_what_is_no_yaml_or_another_yaml_than_was_meant(text: str, said: list[str], complaint: Complaint) -> None:
    assert complaint(text) == said


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=" \n:-[]{},&*!|>'\"#%@`?Ω\t", max_size=60))
def test_nothing_of_a_text_that_is_no_yaml_is_repeated(text: str) -> None:
    fault = fault_of(text)
    assert "Ω" not in fault.render("c.yaml")
    assert fault.line is None or 1 <= fault.line <= text.count("\n") + 2


def fault_of(text: str) -> Fault:
    try:
        build_tree(text)
    except UnreadableMappingError as error:
        return error.fault
    return Fault("")


@pytest.mark.parametrize(("added", "said"), cases("near_misses"))
def test_a_near_miss_is_told_what_to_write(added: str, said: list[str], complaint: Complaint) -> None:
    assert complaint(f"\n{GOOD}{added}") == said


def test_a_table_in_the_place_of_the_config_is_told_apart(complaint: Complaint, tmp_path: Path) -> None:
    for name in ("t.csv", "t.CSV.gz", "t.parquet"):
        (tmp_path / name).write_bytes(b"PAR1")
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / name)
        said = f"{tmp_path / name}: is a table, expected a config; the config comes first, then the table"
        assert str(caught.value) == said


@pytest.mark.parametrize(("output", "said"), cases("outputs"))
def test_a_fault_of_an_output(output: str, said: list[str], complaint: Complaint) -> None:
    text = f"{NAME}{INPUTS}refresh: 30d\noutputs:\n  a: {{type: string}}\n  {output}{PROCESSOR}"
    assert complaint(text) == said


@pytest.mark.parametrize(
    ("added", "said"),
    [
        pytest.param(
            "csv:\n\tquote: x", "c.yaml:6: a tab where spaces are expected; indent YAML with spaces", id="tab"
        ),
        pytest.param("instructions: a\x07b", "c.yaml:5: a control character (U+0007)", id="bell"),
        pytest.param("instructions: a\0b", "c.yaml:5: a control character (U+0000)", id="nul"),
    ],
)
def test_characters_that_no_editor_shows(added: str, said: str, complaint: Complaint) -> None:
    assert complaint(GOOD + added + "\n") == [said]


def test_an_empty_file(complaint: Complaint) -> None:
    assert complaint("") == ["c.yaml: the file is empty"]


def test_all_faults_come_at_once_in_the_order_of_the_file(complaint: Complaint) -> None:
    text = """\
name: my companies
inputs:
  company_name: name
  place: "{city} ({country"
requires: [company_name]
require: [compny_name]
outputs:
  headquarters:
    type: str
    descripton: City
    accept: hgih
  headquarters_status: {type: string, format: uri}
processor: [pro, core, turbo]
confidence: {accept: 0.5, review: high}
refresh: 30
budget: $25
name: twice
"""
    assert complaint(text) == [
        'c.yaml:1: name: expected a name of letters, digits and - _ . with at most 64 characters, got "my companies"; '
        "write my-companies",
        'c.yaml:4: inputs.place: a lone "{" (for the character itself write "{{") in "{city} ({country"',
        'c.yaml:5: requires: unknown key; did you mean "require"?',
        'c.yaml:6: require.0: there is no input field "compny_name"; did you mean "company_name"?',
        "c.yaml:9: outputs.headquarters.type: expected string, integer, number, boolean, array, object or null, "
        'got "str"; did you mean "string"?',
        'c.yaml:10: outputs.headquarters.descripton: unknown key of a JSON Schema; did you mean "description"?',
        f'c.yaml:11: outputs.headquarters.accept: {WORDS}, got "hgih"; did you mean "high"?',
        "c.yaml:12: outputs.headquarters_status.format: not supported by the service; say it in the description",
        'c.yaml:12: outputs.headquarters_status: is also the evidence column of "headquarters"; rename one',
        'c.yaml:13: processor.2: expected a processor, got "turbo"; there are lite, base, core, core2x, pro, ultra, '
        "ultra2x, ultra4x, ultra8x, and each with -fast",
        "c.yaml:13: processor: a ladder goes from the weakest to the strongest; write [core, pro]",
        "c.yaml:14: confidence.review: review (high) is stricter than accept (0.5); lower review, or raise accept",
        "c.yaml:15: refresh: expected a duration such as 12h, 30d or 2w, or never, got 30; did you mean 30d?",
        'c.yaml:16: budget: expected US dollars above zero, such as 25.00, got "$25"; write 25',
        "c.yaml:17: name: the key is there twice, first on line 1",
    ]


def test_lines_are_right_inside_flow_mappings_and_block_texts(complaint: Complaint) -> None:
    text = """\
name: companies
inputs: {
  company_name: name, website: domain,

  place: 4 }
instructions: |
  One
  Two
outputs: {a: {type: string,
  description: "of two
    lines", accept: 1,
  review: 2}}
processor:
- core
- prou
"""
    assert complaint(text) == [
        "c.yaml:5: inputs.place: expected a column, or text with {columns} in it, got 4; put it in quotes",
        f"c.yaml:12: outputs.a.review: {WORDS}, got 2; 2 percent is 0.02",
        'c.yaml:15: processor.1: expected a processor, got "prou"; did you mean "pro"?',
    ]


def test_windows_line_ends_and_a_mark_at_the_start_count_as_nothing(complaint: Complaint) -> None:
    text = b"\xef\xbb\xbf" + (GOOD + "bugdet: 3\n").replace("\n", "\r\n").encode()
    assert complaint(text) == ['c.yaml:5: bugdet: unknown key; did you mean "budget"?']


def test_an_anchor_is_checked_where_it_is_used(complaint: Complaint) -> None:
    text = NAME + INPUTS + "outputs:\n  a: &it {type: str}\n  b: *it\n" + PROCESSOR
    type_fault = 'expected string, integer, number, boolean, array, object or null, got "str"; did you mean "string"?'
    assert complaint(text) == [f"c.yaml:4: outputs.{name}.type: {type_fault}" for name in "ab"]


def test_a_few_lines_do_not_stand_for_billions_of_values(complaint: Complaint) -> None:
    rows = [f"k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    text = "k0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "\n".join(rows)
    assert complaint(text) == ["c.yaml:5: stands for more than 50000 values; use fewer anchors"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(
            (GOOD + "instructions: café\n").encode("latin-1"),
            "c.yaml:5: byte 0xe9 is not UTF-8; save it as UTF-8",
            id="latin-1",
        ),
        pytest.param(GOOD.encode("utf-16"), "c.yaml: is UTF-16, expected UTF-8; save it as UTF-8", id="utf-16"),
        pytest.param(b"#" * 1_000_001, "c.yaml: is larger than 1000000 bytes; is it the table?", id="too-large"),
    ],
)
def test_bytes_that_are_no_config(content: bytes, said: str, complaint: Complaint) -> None:
    assert complaint(content) == [said]


def test_a_task_that_is_too_long_is_refused_with_its_length(complaint: Complaint) -> None:
    fits = GOOD.replace("City and country.", "x" * 14_813)
    assert complaint(fits.replace("xxx", "xxxx", 1)) == [
        "c.yaml:3: outputs: the task spec has 15001 characters, the service takes 15000; "
        "shorten descriptions and instructions, or split the config in two"
    ]
    assert complaint(fits + "bugdet: 3\n") == ['c.yaml:5: bugdet: unknown key; did you mean "budget"?']


def test_the_domains_of_both_lists_count_together(complaint: Complaint) -> None:
    some, more = (", ".join(f"{word}{i}.com" for i in range(101)) for word in ("a", "b"))
    added = f"source_policy: {{include_domains: [{some}], exclude_domains: [{more}]}}\n"
    assert complaint(GOOD + added) == ["c.yaml:5: source_policy: 202 domains in all, the service takes 200"]


def test_a_missing_file_a_folder_and_a_near_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("near.yaml").write_text(GOOD)
    for path, said in {
        "absent.yaml": "absent.yaml: there is no such file",
        "near.yml": 'near.yml: there is no such file; did you mean "near.yaml"?',
        ".": ".: is a folder, expected a file",
        "near.yaml/x.yaml": "near.yaml/x.yaml: can't be read: Not a directory",
    }.items():
        with pytest.raises(ConfigError) as caught:
            load(Path(path))
        assert str(caught.value) == said
        assert caught.value.exit_code is ExitCode.USAGE


def replaced(value: Json, path: list[int], new: Json) -> Json:
    """`value` with another value somewhere inside it."""
    if not path or not isinstance(value, (dict, list)) or not value:
        return new
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    chosen = keys[path[0] % len(keys)]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    pairs = [(key, replaced(inner, path[1:], new) if key == chosen else inner) for key, inner in items]
    return dict(pairs) if isinstance(value, dict) else [inner for _, inner in pairs]


WHOLE: Json = {
    "name": "companies",
    "inputs": {"company_name": "name", "place": "{city} {country}"},
    "require": ["company_name"],
    "instructions": "Look twice.",
    "outputs": {
        "a": {"type": ["integer", "null"], "description": "A", "accept": "high", "refresh": {"failed": "1h"}},
        "b": {"type": "array", "items": {"type": "object", "properties": {"c": {"enum": ["d", None]}}}},
        "e": {"$ref": "#/$defs/f", "$defs": {"f": {"anyOf": [{"type": "string"}, {"type": "null"}]}}},
    },
    "processor": ["core", "pro"],
    "confidence": {"accept": 0.9, "review": "medium", "missing": "review"},
    "basis": ["confidence"],
    "refresh": {"answers": "30d", "not_found": "7d"},
    "budget": 25.5,
    "existing": "fill",
    "ledger": "a.db",
    "source_policy": {"include_domains": ["a.com"], "after_date": "2024-01-31"},
    "location": "NO",
    "chain": True,
    "csv": {"delimiter": ";", "formulas": "keep"},
}
WORDS_OF_CONFIGS = st.sampled_from(
    ["never", "1d", "high", "core", "string", "a", "b_status", "{x}", "{", "#/$defs/f", ".", "=", "$x", "null"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | WORDS_OF_CONFIGS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS_OF_CONFIGS | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.lists(st.integers(0, 20), min_size=1, max_size=5), ANYTHING), max_size=4))
def test_any_mapping_is_a_config_or_refused_in_words(changes: list[tuple[list[int], Json]]) -> None:
    raw = WHOLE
    for path, new in changes:
        raw = replaced(raw, path, new)
    assert isinstance(raw, dict)
    try:
        config = parse(raw)
    except ConfigError as error:
        refused = error
    else:
        warnings(config)
        check_columns(config, ["name", "city", "country"])
        assert {field.name for field in config.fields} == {*config.outputs}
        assert {*map(config.gate_for, config.outputs), *map(config.refresh_for, config.outputs)}
        return
    assert all(fault.message for fault in refused.faults)
    assert "pydantic" not in str(refused).casefold()


def test_no_words_of_pydantic_in_any_message(config_of: Loader) -> None:
    kinds = ["3", "true", "text", "[1]", "{a: 1}", "[[]]", "{a: {b: c}}", "-0.5", "''", "[null]"]
    keys = [
        *("name", "inputs", "require", "instructions", "outputs", "processor", "confidence", "basis"),
        *("refresh", "budget", "existing", "ledger", "source_policy", "location", "chain", "csv"),
    ]
    for kind in kinds:
        with pytest.raises(ConfigError) as caught:
            config_of("\n".join(f"{key}: {kind}" for key in keys))
        message = str(caught.value)
        for word in ("Input should", "pydantic", "valid string", "type=", "Extra inputs", "dictionary"):
            assert word not in message
        assert [f.message for f in caught.value.faults if f.line is None] in ([], ["there is no such file"])
