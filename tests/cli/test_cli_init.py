"""`enrich init` and `enrich check`: the config it writes loads, whatever the table; nothing is ever overwritten."""

from pathlib import Path

import polars as pl
import pytest
from command_line import CONFIG, Enrich
from hypothesis import example, given, settings
from hypothesis import strategies as st

from enrich.config import check_columns, warnings
from enrich.config.loading import load
from enrich.config.starter import starter_config
from enrich.errors import UsageError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("table", "inputs"),
    [
        pytest.param("companies.csv", {"name": "name", "domain": "domain"}, id="companies"),
        pytest.param("airports.parquet", {"name": "name"}, id="airports"),
    ],
)
def test_the_starter_config_of_a_sample_passes_check_without_a_warning(
    enrich: Enrich, folder: Path, table: str, inputs: dict[str, str]
) -> None:
    source = str(ROOT / "sample_data" / table)
    made = enrich("init", source, "-o", "new.yaml")
    assert (made.code, made.out) == (0, "new.yaml\n")
    checked = enrich("check", "new.yaml", source)
    assert (checked.code, checked.err) == (0, "")
    assert checked.out.startswith(f"new.yaml is sound: 2 answers from core; {source} fits it, ")
    assert load(folder / "new.yaml").inputs == inputs


def test_a_starter_config_runs(enrich: Enrich, folder: Path, service: str) -> None:
    (folder / "places.yaml").unlink()
    assert enrich("init", "places.csv").out == "places.yaml\n"
    ended = enrich("run", "places.yaml", "places.csv")  # nobody can be asked, and it has a budget
    assert ended.code == 0
    assert "rows in      4" in ended.out or "rows in     4" in ended.out


def test_init_never_overwrites(enrich: Enrich, folder: Path) -> None:
    ended = enrich("init", "places.csv")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "Error: places.yaml: already exists, and was not changed; give another name with -o\n"
    assert (folder / "places.yaml").read_text() == CONFIG


def test_init_reads_another_encoding_and_says_so_in_the_config(enrich: Enrich, folder: Path) -> None:
    (folder / "orte.csv").write_bytes("Firma;Straße\nMüller;Gasse\n".encode("cp1252"))
    assert enrich("init", "orte.csv").code == 2
    assert enrich("init", "orte.csv", "--encoding", "windows-1252").code == 0
    assert enrich("check", "orte.yaml", "orte.csv").code == 0
    assert load(folder / "orte.yaml").inputs == {"firma": "Firma"}


@pytest.mark.parametrize(
    ("columns", "inputs"),
    [
        pytest.param(
            ["id", "Company Name", "Web-Site"], {"company_name": "Company Name", "web_site": "Web-Site"}, id="crm"
        ),
        pytest.param(
            ["companyName", "companyDomain"],
            {"company_name": "companyName", "company_domain": "companyDomain"},
            id="camel",
        ),
        pytest.param(["Kundennr", "Firma", "Webseite"], {"firma": "Firma", "webseite": "Webseite"}, id="german"),
        pytest.param(["id", "notes"], {"notes": "notes"}, id="no-name"),
        pytest.param(["id"], {"id": "id"}, id="nothing-but-an-id"),
        pytest.param(["会社", "网站"], {"company_name": "会社", "website": "网站"}, id="chinese"),
        pytest.param(["{name}", "title"], {"title": "title"}, id="braces"),
        pytest.param(["true", "no"], {"true": "true"}, id="words-of-yaml"),
        pytest.param(["summary", "since_year_status", "x"], {"summary": "summary"}, id="taken-names"),
    ],
)
def test_what_is_guessed(tmp_path: Path, columns: list[str], inputs: dict[str, str]) -> None:
    path = tmp_path / "new.yaml"
    path.write_text(starter_config(columns, config="new.yaml", table="t.csv"))
    config = load(path)
    assert config.inputs == inputs
    assert check_columns(config, columns) == []


def test_a_table_that_came_out_of_a_run_is_refused() -> None:
    with pytest.raises(UsageError, match="has a column enrich_status: it came out of an earlier run"):
        starter_config(["name", "enrich_status"], config="c.yaml", table="t.csv")


def test_a_table_without_a_usable_column_is_refused() -> None:
    with pytest.raises(UsageError) as refused:
        starter_config(["{a}", "b {c}", ""], config="c.yaml", table="t.csv")
    assert str(refused.value) == (
        't.csv: no column can be an input ("{a}": in a config {…} means another column; "b {c}": in a config {…} means '
        'another column; "": it has no name); rename one that says what a row is about'
    )


def test_a_row_needs_its_name_and_no_site(tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    for columns in (["domain", "Company Name"], ["website", "Raison sociale"], ["URL", "Vorname", "Nachname"]):
        path.write_text(starter_config(columns, config="new.yaml", table="t.csv"))
        config = load(path)
        assert config.require == (next(iter(config.inputs)),)
        assert config.columns_of(config.require[0])[-1] == columns[-1]


def test_what_else_could_be_sent_is_listed_and_what_could_not_with_the_reason(tmp_path: Path) -> None:
    columns = ["Name!", "name", "{size}", "", "twice", "twice", "photo", "sk-0123456789abcdef0123", "\ud800", "a\nb"]
    text = starter_config(columns, config="my new.yaml", table="it's.csv", unusable=["photo"])
    listed = text.split("inputs:\n")[1].split("# A row")[0]
    assert listed.splitlines() == [
        "  name: name",
        '  # name_2: "Name!"',
        '  # a_b: "a\\u000ab"',
        "  # These can't be sent as they are in the table:",
        '  #   "{size}": in a config {…} means another column',
        '  #   "": it has no name',
        '  #   "twice": 2 columns have this name',
        '  #   "photo": bytes can\'t be sent',
        '  #   "…": its name looks like a secret',
        '  #   "\\ud800": its name is no valid text',
        "",
    ]
    assert "enrich plan 'my new.yaml' 'it'\"'\"'s.csv' " in text
    for line in listed.splitlines()[1:3]:
        (tmp_path / "new.yaml").write_text(text.replace(line, line.replace("# ", "", 1)))
        assert len(load(tmp_path / "new.yaml").inputs) == 2


def test_many_columns_are_cut_short() -> None:
    text = starter_config(
        ["name", *(f"c{n}" for n in range(99)), *(f"{{{n}}}" for n in range(99))], config="c", table="t"
    )
    assert text.count("  # and 69 more columns\n") == 1
    assert text.count("  #   and 69 more columns\n") == 1


@settings(max_examples=150, deadline=None)
@example(["First Name}", "Last {Name", "Vorname", "{Nachname}"])
@example(["a\u2028b", "\x00", "\u0085", "'", '"', "# x", "a: b", "\U0001f600", "- x"])
@example(["null", "~", "1e3", "0x1f", "*a", "&a", "!a", "%a", "@a", "`a", "|", ">", "? x", "[", "{", "}", "\ufeff"])
@given(st.lists(st.text(min_size=1, max_size=40).filter(str.strip), min_size=1, max_size=12, unique=True))
def test_the_starter_config_loads_whatever_the_columns(columns: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new.yaml"
        try:
            path.write_text(starter_config(columns, config=str(path), table="t.csv"))
        except UsageError:
            return
        config = load(path)
        assert check_columns(config, columns) == []
        assert warnings(config) == []


def test_check_prints_every_fault_of_a_config_with_its_line(enrich: Enrich, folder: Path) -> None:
    (folder / "places.yaml").write_text(CONFIG.replace("processor: core", "procesor: core\nbudget: -1"))
    ended = enrich("check", "places.yaml", "places.csv")
    assert (ended.code, ended.out) == (2, "")
    lines = ended.err.splitlines()
    assert all(line.startswith("Error: places.yaml") for line in lines)
    assert len(lines) == 3
    assert any(
        line.startswith("Error: places.yaml:8: procesor: ") and line.endswith('did you mean "processor"?')
        for line in lines
    )


def test_check_holds_the_config_against_the_table(enrich: Enrich, folder: Path) -> None:
    pl.DataFrame({"nam": ["x"], "river": ["y"]}).write_csv(folder / "other.csv")
    ended = enrich("check", "places.yaml", "other.csv")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        'Error: places.yaml:2: inputs.place: the table has no column "name"; did you mean "nam"?\n'
        'Error: places.yaml:5: outputs.river: the table already has a column "river"; existing: fill asks for its '
        "empty cells only, existing: replace for all\n"
    )


@pytest.mark.parametrize(
    ("columns", "config", "said"),
    [
        pytest.param(
            {"name": [b"x"]}, "",
            "Error: other.parquet: column 'name' holds bytes, which can't be sent as the input 'place'\n",
            id="an input",
        ),
        pytest.param(
            {"name": ["x"], "river": [1]}, "existing: fill\n",
            "Error: other.parquet: column 'river' is Int64, which can't hold answers that are String; "
            "give it a type that can, or rename the answer\n",
            id="an answer",
        ),
    ],
)  # fmt: skip
def test_check_finds_columns_of_types_that_a_run_refuses(
    enrich: Enrich, folder: Path, columns: dict[str, list[object]], config: str, said: str
) -> None:
    pl.DataFrame(columns).write_parquet(folder / "other.parquet")
    (folder / "places.yaml").write_text(CONFIG + config)
    ended = enrich("check", "places.yaml", "other.parquet")
    assert (ended.code, ended.out, ended.err) == (2, "", said)
    assert enrich("plan", "places.yaml", "other.parquet").err == said


def test_check_of_a_sound_config(enrich: Enrich) -> None:
    ended = enrich("check", "places.yaml")
    assert (ended.code, ended.out, ended.err) == (0, "places.yaml is sound: 1 answer from core\n", "")


def test_schema_prints_what_is_checked_in(enrich: Enrich) -> None:
    ended = enrich("schema")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (ROOT / "configs" / "enrich.schema.json").read_text(encoding="utf-8")
