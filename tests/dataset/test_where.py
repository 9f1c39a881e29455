"""`--where`: one SQL condition, decided row by row."""

from pathlib import Path

import polars as pl
import pytest

from enrich.dataset import Table, open_table
from enrich.dataset.where import condition_mask
from enrich.errors import ConfigError


@pytest.fixture
def table(tmp_path: Path) -> Table:
    path = tmp_path / "t.csv"
    path.write_text(
        "name,country,founded,row,a b\nAcme,DE,1998,1,x\nBeta,,2001,2,\nGamma,FR,,3,it's\nDelta,DE,n/a,4,x\n"
    )
    return open_table(path)


def selected(table: Table, where: str) -> list[bool]:
    table.check_condition(where)
    return [chosen for batch in table.batches(3) for chosen in table.mask(batch, where).to_list()]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        pytest.param("country = 'DE'", [1, 0, 0, 1], id="equal"),
        pytest.param("country <> 'DE'", [0, 0, 1, 0], id="null-is-false"),
        pytest.param("country IS NULL", [0, 1, 0, 0], id="empty-is-null"),
        pytest.param("country IN ('DE', 'FR') AND name LIKE '%a'", [0, 0, 1, 1], id="in-and-like"),
        pytest.param("TRY_CAST(founded AS INT) > 1990", [1, 1, 0, 0], id="cast"),
        pytest.param("\"a b\" = 'it''s'", [0, 0, 1, 0], id="quoted"),
        pytest.param("row = '2' -- a comment", [0, 1, 0, 0], id="comment"),
        pytest.param("TRUE", [1, 1, 1, 1], id="always"),
        pytest.param("NULL", [0, 0, 0, 0], id="never"),
        pytest.param("length(name) > 4 OR founded BETWEEN '2000' AND '2002'", [0, 1, 1, 1], id="functions"),
    ],
)
def test_a_condition_chooses_rows(table: Table, where: str, expected: list[int]) -> None:
    assert selected(table, where) == [bool(number) for number in expected]


COMPARE = "compare it with something"
WRITE = "write a SQL condition such as \"country = 'DE'\""
ROW = "write a condition on one row"


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        pytest.param("country", f"it gives String, not true or false; {COMPARE}", id="no-condition"),
        pytest.param("1", f"it gives Int32, not true or false; {COMPARE}", id="number"),
        pytest.param(
            "contry = 'DE'",
            "the table has no column 'contry'; did you mean 'country'? (text values stand in single quotes)",
            id="unknown-column",
        ),
        pytest.param(
            'country = "Berlin"',
            "the table has no column 'Berlin'; the columns are name, country, founded, row, a b "
            "(text values stand in single quotes)",
            id="double-quotes",
        ),
        pytest.param("country =", f"unable to parse 'country =' as Expr; {WRITE}", id="unfinished"),
        pytest.param("", f"unable to parse '' as Expr; {WRITE}", id="empty"),
        pytest.param(
            "country = 'DE'; DROP", f"invalid expression (found unexpected token ';'); {WRITE}", id="two-statements"
        ),
        pytest.param(
            "TRUE) AS x FROM self ORDER BY name -- ",
            f"invalid expression (found unexpected token ')'); {WRITE}",
            id="ends-the-parenthesis",
        ),
        pytest.param("COUNT(*) > 1", f"it counts or sums over rows; {ROW}", id="count"),
        pytest.param("founded > MAX(founded)", f"it counts or sums over rows; {ROW}", id="aggregate"),
        pytest.param("name IN (SELECT name FROM self)", f"relation 'self' was not found; {WRITE}", id="subquery"),
    ],
)
def test_what_is_no_condition_on_a_row_is_refused_before_any_is_read(table: Table, where: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        table.check_condition(where)

    assert str(caught.value) == f"--where: {where}: {reason}"


@pytest.mark.parametrize("where", ["ROW_NUMBER() OVER () > 2", "RANK() OVER (ORDER BY name) > 1"])
def test_a_window_is_refused_with_the_first_batch(table: Table, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        table.mask(next(table.batches()), where)

    assert str(caught.value) == f"--where: {where}: it looks at other rows than the one it decides on; {ROW}"


def test_a_cell_that_can_not_be_cast_is_refused(table: Table) -> None:
    with pytest.raises(ConfigError, match=r"--where: .*TRY_CAST\(column AS INT\) gives NULL"):
        table.mask(next(table.batches()), "CAST(founded AS INT) > 1990")


def test_the_mask_is_in_the_order_of_the_rows() -> None:
    frame = pl.DataFrame({"n": [n * 7919 % 10_007 for n in range(10_007)]})

    mask = condition_mask(frame, "n % 3 = 0")

    assert mask.to_list() == [n % 3 == 0 for n in frame["n"]]
