"""`enrich plan`: what is due, why, what it costs; before and after a run."""

import json
from pathlib import Path

import pytest
from command_line import CONFIG, SURE, Enrich

BEFORE = """\
rows            4
                1 row skipped: all its inputs are empty
distinct inputs 2
answers due     2 missing
                river: new question, 2 \u00d7 core
runs due        2 core
cost            $0.05 expected
time            about 3 min 00 s
"""

NOTHING = """\
rows            4
                1 row skipped: all its inputs are empty
distinct inputs 2
answers due     none
runs due        none
"""


def write(folder: Path, config: str) -> None:
    (folder / "places.yaml").write_text(config)


def test_a_plan_before_and_after_a_run(enrich: Enrich, folder: Path, service: str) -> None:
    write(folder, CONFIG + SURE)
    before = enrich("plan", "places.yaml", "places.csv")
    assert (before.code, before.out, before.err) == (0, BEFORE, "")
    assert not (folder / ".enrich").exists()
    enrich("run", "places.yaml", "places.csv", "--budget", "1")
    assert enrich("plan", "places.yaml", "places.csv").out == NOTHING


@pytest.mark.parametrize(
    ("config", "due"),
    [
        pytest.param(
            CONFIG.replace("The river on", "The one river on") + SURE,
            "2 changed\n                river: description changed, 2 \u00d7 core",
            id="a-changed-prompt",
        ),
        pytest.param(
            CONFIG.replace("type: string", 'type: [string, "null"]') + SURE,
            "2 changed\n                river: schema (type) changed, 2 \u00d7 core",
            id="a-changed-type",
        ),
        pytest.param(
            CONFIG.replace("The river on", "The one on").replace("type: string", 'type: [string, "null"]') + SURE,
            "2 changed\n                river: description and schema (type) changed, 2 \u00d7 core",
            id="both",
        ),
        pytest.param(
            CONFIG + "location: CH\n" + SURE,
            "2 changed\n                river: instructions, source policy or location changed, 2 \u00d7 core",
            id="a-place-to-search-from",
        ),
        pytest.param(
            CONFIG.replace("{place: name}", "{place: name, note: note}") + SURE,
            "2 missing\n                river: new input, 2 \u00d7 core",
            id="an-input-more-where-it-has-a-value",
        ),
        pytest.param(
            CONFIG.replace("place", "town") + SURE,
            "2 missing\n                river: new input, 2 \u00d7 core",
            id="a-renamed-input",
        ),
        pytest.param(
            CONFIG.replace("processor: core", "processor: [core, pro]") + "confidence: {accept: 1.0, review: low}\n",
            "2 too weak\n                river: too weak from core, 2 \u00d7 pro",
            id="a-rung-more-and-a-gate-that-nothing-passes",
        ),
        pytest.param(
            CONFIG.replace("processor", "  hills: {type: integer, description: How many hills it has.}\nprocessor")
            + SURE,
            "2 missing\n                hills: new question, 2 \u00d7 core",
            id="a-new-answer",
        ),
        pytest.param(CONFIG + SURE + "basis: [citations]\n", "none", id="another-basis"),
        pytest.param(CONFIG + SURE + "existing: replace\n", "none", id="existing"),
        pytest.param(CONFIG + "confidence: {accept: medium, review: low}\n", "none", id="another-gate"),
        pytest.param(CONFIG.replace("name: places", "name: towns") + SURE, "none", id="another-name"),
    ],
)
def test_only_what_differs_is_due_again(enrich: Enrich, folder: Path, service: str, config: str, due: str) -> None:
    write(folder, CONFIG + SURE)
    enrich("run", "places.yaml", "places.csv", "--budget", "1")
    write(folder, config)
    assert f"answers due     {due}\n" in enrich("plan", "places.yaml", "places.csv").out


def test_an_input_that_was_never_asked_is_new_whatever_became_of_the_question(
    enrich: Enrich, folder: Path, service: str
) -> None:
    write(folder, CONFIG + SURE)
    enrich("run", "places.yaml", "places.csv", "--budget", "1", "--limit", "1")
    write(folder, CONFIG.replace("The river on", "The one on") + SURE)
    due = "river: description changed, 1 \u00d7 core\n                river: new input, 1 \u00d7 core\n"
    assert due in enrich("plan", "places.yaml", "places.csv").out


def test_a_ladder_has_a_least_and_a_most(enrich: Enrich, folder: Path) -> None:
    write(folder, CONFIG.replace("processor: core", "processor: [core, pro]\nbudget: 3"))
    out = enrich("plan", "places.yaml", "places.csv").out
    assert "cost            $0.11 expected (at least $0.05, at most $0.25)\nbudget          $3.00\n" in out


def test_a_plan_in_json(enrich: Enrich, folder: Path) -> None:
    ended = enrich("plan", "places.yaml", "places.csv", "--json", "--limit", "1")
    assert ended.err == ""
    assert json.loads(ended.out) == {
        "config": "places.yaml",
        "table": "places.csv",
        "ledger": str(folder.resolve() / ".enrich" / "ledger.db"),
        "rows": 4,
        "rows_left_out": 3,
        "left_out": {"not chosen by --limit": 2, "all its inputs are empty": 1},
        "distinct_inputs": 1,
        "answers_due": {"missing": 1},
        "due": [
            {"column": "river", "why": "missing", "reason": "new question", "answers": 1, "processor": "core"},
        ],
        "runs": {"core": 1},
        "too_long": 0,
        "decisions_set_aside": {},
        "usd": {"least": 0.025, "expected": 0.025, "most": 0.025},
        "under_way": {"runs": 0, "usd": 0.0, "unresolved_runs": 0, "unresolved_usd": 0.0},
        "budget_usd": None,
        "seconds": 180,
        "warnings": [],
        "requests": [],
    }


def test_show_prints_the_exact_request_of_the_first_runs(enrich: Enrich, folder: Path) -> None:
    (folder / "places.csv").write_text("name\nCity \u202eelsaB \U0001f3db\nBasel\nBern\n")
    out = enrich("plan", "places.yaml", "places.csv", "--show", "2").out
    line, _, body = out.partition("\n\n")[2].partition("\n")
    assert line == "POST /v1/tasks/groups/{taskgroup_id}/runs"
    assert "\u202e" not in body
    request = json.loads(body)
    assert request["default_task_spec"]["output_schema"]["json_schema"]["properties"]["river"] == {
        "type": "string",
        "description": "The river on which it lies.",
    }
    assert [one["input"] for one in request["inputs"]] == [{"place": "City \u202eelsaB \U0001f3db"}, {"place": "Basel"}]
    assert {one["processor"] for one in request["inputs"]} == {"core"}


def test_advice_goes_to_standard_error(enrich: Enrich, folder: Path) -> None:
    write(folder, CONFIG.replace("core", "lite"))
    ended = enrich("plan", "places.yaml", "places.csv")
    assert ended.code == 0
    assert ended.err == (
        "Warning: places.yaml:8: processor: lite may give no confidence, and then confidence.missing decides; "
        "which says review\n"
    )
    assert json.loads(enrich("plan", "places.yaml", "places.csv", "--json").out)["warnings"]


def test_a_plan_writes_nothing(enrich: Enrich, folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    enrich("plan", "places.yaml", "places.csv", "--sandbox", "--show", "1")
    assert sorted(folder.rglob("*")) == before
