"""`--where`: one SQL condition, decided row by row. What it means is held against SQLite."""

import datetime as dt
import sqlite3
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_files import examples

from enrich.dataset import Table, open_table
from enrich.dataset.condition.functions import FUNCTIONS
from enrich.dataset.condition.parser import MAX_CHARS, MAX_DEPTH
from enrich.dataset.where import Condition
from enrich.errors import ConfigError

NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    path = tmp_path / "t.csv"
    path.write_text(
        "name,country,founded,row,a b\nAcme,DE,1998,1,x\nBeta,,2001,2,\nGamma,FR,,3,it's\nDelta,DE,n/a,4,x\n"
    )
    return open_table(path)


def selected(table: Table, where: str) -> list[bool]:
    condition = table.condition(where)
    return [chosen for batch in table.batches(3) for chosen in batch.mask(condition).to_list()]


def chosen(frame: pl.DataFrame, where: str) -> list[bool]:
    found: list[bool] = Condition(where, frame.schema, NOW).mask(frame.get_column, frame.height).to_list()
    return found


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
CAST = "cells of text are text; TRY_CAST(column AS INT) gives NULL where one is no number"
COLUMNS = "(text values stand in single quotes)"


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        pytest.param("country", f"it gives text, not true or false; {COMPARE}", id="no-condition"),
        pytest.param("1", f"it gives a number, not true or false; {COMPARE}", id="number"),
        pytest.param(
            "contry = 'DE'",
            f'the table has no column "contry" (at character 1); did you mean "country"? {COLUMNS}',
            id="unknown-column",
        ),
        pytest.param(
            'country = "Berlin"',
            'the table has no column "Berlin" (at character 11); the columns are name, country, founded, row, a b '
            f"{COLUMNS}",
            id="double-quotes",
        ),
        pytest.param(
            "country =", f"it ends too early, where a value is expected (at character 10); {WRITE}", id="unfinished"
        ),
        pytest.param("", f"it ends too early, where a value is expected (at character 1); {WRITE}", id="empty"),
        pytest.param(
            "country = 'DE'; DROP", f"';' has no meaning in a condition (at character 15); {WRITE}", id="two-statements"
        ),
        pytest.param(
            "TRUE) AS x FROM self ORDER BY name -- ",
            f'unexpected ")" (at character 5); {WRITE}',
            id="ends-the-parenthesis",
        ),
        pytest.param("COUNT(*) > 1", f"count counts or sums over rows (at character 1); {ROW}", id="count"),
        pytest.param(
            "founded > MAX(founded)", f"max counts or sums over rows (at character 11); {ROW}", id="aggregate"
        ),
        pytest.param(
            "name IN (SELECT name FROM self)",
            f"SELECT belongs to a query, and a condition is none (at character 10); {ROW}",
            id="subquery",
        ),
        pytest.param(
            "ROW_NUMBER() OVER () > 2",
            f"row_number … OVER looks at other rows than the one it decides on (at character 14); {ROW}",
            id="window",
        ),
        pytest.param(
            "RANK() OVER (ORDER BY name) > 1",
            f"rank … OVER looks at other rows than the one it decides on (at character 8); {ROW}",
            id="ordered-window",
        ),
        pytest.param(
            "founded > 1998",
            f"founded is text, and 1998 is a number (at character 1); {CAST}",
            id="text-and-number",
        ),
        pytest.param(
            "country AND TRUE", f"AND takes true or false, and country is text (at character 1); {COMPARE}", id="and"
        ),
        pytest.param(
            "name = 'open",
            "a quote is opened and never closed (at character 8); inside quotes, a quote is written twice",
            id="open-quote",
        ),
        pytest.param(
            "name SIMILAR TO 'A'",
            "SIMILAR is no operator of a condition (at character 6); LIKE knows % and _",
            id="regex",
        ),
        pytest.param(
            "name = 'a' = 'b'", "two comparisons in a row (at character 12); join them with AND", id="two-comparisons"
        ),
        pytest.param(
            "name LIKE country",
            "LIKE takes a pattern in quotes, of at most 500 characters (at character 11); "
            "contains(column, other) looks for another column's text",
            id="pattern-of-a-column",
        ),
        pytest.param(
            "CAST(name AS BLOB) = 'x'",
            'there is no type "BLOB" to cast to (at character 1); there are TEXT, VARCHAR, CHAR, STRING, INT, INTEGER, '
            "BIGINT, SMALLINT, TINYINT, INT2, INT4, INT8, DOUBLE, FLOAT, REAL, FLOAT4, FLOAT8, BOOLEAN, BOOL, "
            "TIMESTAMP, DATETIME, DATE, TIME, DECIMAL(18, 2)",
            id="unknown-type",
        ),
    ],
)
def test_what_is_no_condition_on_a_row_is_refused_before_any_is_read(table: Table, where: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        table.condition(where)

    assert str(caught.value) == f"--where: {where}: {reason}"


HOSTILE = [
    "read_csv('other.csv')",
    "read_parquet('http://127.0.0.1:1/x')",
    "lpad(name, 2000000000, 'x')",
    "rpad(name, 2000000000, 'x')",
    "repeat(name, 2000000000)",
    "replace(name, '', 'xxxxxxxxxx')",
    "regexp_like(name, '(a*)*b')",
    "to_char(name, 'x')",
    "getenv('HOME')",
    "printf('%1000000000d', 1)",
]


@pytest.mark.parametrize("call", HOSTILE)
def test_a_function_that_is_not_listed_is_refused_with_its_name(table: Table, call: str) -> None:
    name = call.partition("(")[0]
    for where in (f"{call} = 'x'", f"lower({call}) = 'x'", f"name = 'A' OR CASE WHEN {call} = 'x' THEN TRUE END"):
        with pytest.raises(ConfigError) as caught:
            table.condition(where)

        at = where.index(name) + 1
        assert f'"{name}" is no function of a condition (at character {at}); ' in str(caught.value)


@pytest.mark.parametrize(
    ("where", "word"),
    [
        ("(SELECT max(name) FROM read_csv('other.csv')) LIKE 'a%'", "SELECT"),
        ("EXISTS (SELECT 1)", "EXISTS"),
        ("name = ANY (SELECT 'x')", "ANY"),
        ("name IN (VALUES ('a'))", "VALUES"),
        ("coalesce((SELECT 1), 2) = 1", "SELECT"),
        ("lower(SELECT name) = 'a'", "SELECT"),
        ("(WITH x AS (SELECT 1) SELECT 1) = 1", "WITH"),
        ("(TABLE self) = 1", "TABLE"),
        ("TRUE UNION SELECT 1", "UNION"),
    ],
)
def test_a_query_inside_a_condition_is_refused(table: Table, where: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        table.condition(where)

    reason = f"{word} belongs to a query, and a condition is none (at character {where.index(word) + 1})"
    assert str(caught.value) == f"--where: {where}: {reason}; {ROW}"


@pytest.mark.parametrize(
    "where",
    [
        "(" * 400 + "TRUE" + ")" * 400,
        "NOT " * 400 + "TRUE",
        "- " * 400 + "1 = 1",
        "1" + " + 1" * 400 + " = 1",
        "1" + "::INT" * 400 + " = 1",
        "TRUE" + " IS TRUE" * 400,
        "lower(" * 400 + "name" + ")" * 400 + " = 'a'",
        "CASE " + "WHEN name = 'a' THEN TRUE " * 400 + "END",
        "CASE WHEN " * 400 + "TRUE" + " THEN TRUE END" * 400,
    ],
    ids=lambda where: where[:12].strip(),
)
def test_depth_is_bounded(table: Table, where: str) -> None:
    with pytest.raises(ConfigError, match=f"it is nested more than {MAX_DEPTH} levels deep") as caught:
        table.condition(where)

    assert len(str(caught.value)) < 400


def test_length_is_bounded_and_chains_are_not_deep(table: Table) -> None:
    with pytest.raises(ConfigError, match="it has 100,008 characters, and at most 100,000 are taken"):
        table.condition("name = 'A" + "x" * (MAX_CHARS - 2) + "'")

    for operator in ("OR", "AND"):
        assert selected(table, f" {operator} ".join(["country = 'DE'"] * 5000)) == [True, False, False, True]
    many = ", ".join(f"'{n}'" for n in range(9000))
    assert selected(table, f"row IN ({many})") == [True] * 4
    assert selected(table, f"name LIKE '{'_' * 500}'") == [False] * 4
    assert selected(table, f"name ILIKE '{'%é' * 250}'") == [False] * 4


def test_a_cell_that_can_not_be_cast_is_refused(table: Table) -> None:
    condition = table.condition("name = 'A' OR CAST(founded AS INT) > 1990")

    with pytest.raises(ConfigError) as caught:
        next(table.batches()).mask(condition)

    reason = f"a cell of founded, 'n/a', is no INT (at character 15); {CAST}"
    assert str(caught.value) == f"--where: name = 'A' OR CAST(founded AS INT) > 1990: {reason}"


def test_the_mask_is_in_the_order_of_the_rows() -> None:
    frame = pl.DataFrame({"n": [n * 7919 % 10_007 for n in range(10_007)]})

    assert chosen(frame, "n % 3 = 0") == [n % 3 == 0 for n in frame["n"]]


# ---------------------------------------------------------------------- three-valued logic

LOGIC = pl.DataFrame({"a": [a for a in (True, False, None) for _ in range(3)], "b": [True, False, None] * 3})
T, F, N = True, False, None


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        pytest.param("a AND b", [T, F, N, F, F, F, N, F, N], id="and"),
        pytest.param("a OR b", [T, T, T, T, F, N, T, N, N], id="or"),
        pytest.param("NOT a", [F, F, F, T, T, T, N, N, N], id="not"),
        pytest.param("a = b", [T, F, N, F, T, N, N, N, N], id="equal"),
        pytest.param("a <> b", [F, T, N, T, F, N, N, N, N], id="unequal"),
        pytest.param("a IS TRUE", [T, T, T, F, F, F, F, F, F], id="is-true"),
        pytest.param("a IS NOT TRUE", [F, F, F, T, T, T, T, T, T], id="is-not-true"),
        pytest.param("a IS FALSE", [F, F, F, T, T, T, F, F, F], id="is-false"),
        pytest.param("a IS NOT FALSE", [T, T, T, F, F, F, T, T, T], id="is-not-false"),
        pytest.param("a IS UNKNOWN", [F, F, F, F, F, F, T, T, T], id="is-unknown"),
        pytest.param("a IS NOT UNKNOWN", [T, T, T, T, T, T, F, F, F], id="is-not-unknown"),
        pytest.param("a IS NULL", [F, F, F, F, F, F, T, T, T], id="is-null"),
        pytest.param("a IS DISTINCT FROM b", [F, T, T, T, F, T, T, T, F], id="distinct"),
        pytest.param("a IS NOT DISTINCT FROM b", [T, F, F, F, T, F, F, F, T], id="not-distinct"),
        pytest.param("a = b IS NOT TRUE", [F, T, T, T, F, T, T, T, T], id="is-after-comparison"),
        pytest.param("a IN (TRUE, NULL)", [T, T, T, N, N, N, N, N, N], id="in-with-null"),
        pytest.param("a NOT IN (TRUE, NULL)", [F, F, F, N, N, N, N, N, N], id="not-in-with-null"),
        pytest.param("a IN (NULL)", [N] * 9, id="in-null"),
        pytest.param("NULL AND b", [N, F, N] * 3, id="null-and"),
        pytest.param("NULL OR b", [T, N, N] * 3, id="null-or"),
        pytest.param("NULL IS NOT TRUE", [T] * 9, id="null-is-not-true"),
        pytest.param("2 NOT BETWEEN CASE WHEN a THEN 0 ELSE 2.5 END AND 2.5", [F, F, F, T, T, T, T, T, T], id="mixed"),
        pytest.param("coalesce(a, b)", [T, T, T, F, F, F, T, F, N], id="coalesce"),
        pytest.param("nullif(a, b)", [N, T, T, F, N, F, N, N, N], id="nullif"),
        pytest.param("CASE WHEN a THEN b ELSE NULL END", [T, F, N, N, N, N, N, N, N], id="case"),
        pytest.param(
            "CASE a WHEN b THEN TRUE WHEN NULL THEN NULL ELSE FALSE END", [T, F, F, F, T, F, F, F, F], id="case-of"
        ),
    ],
)
def test_logic_has_three_values(where: str, expected: list[bool | None]) -> None:
    assert chosen(LOGIC, where) == [value is True for value in expected]
    assert chosen(LOGIC, f"NOT ({where})") == [value is False for value in expected]
    assert chosen(LOGIC, f"({where}) IS UNKNOWN") == [value is None for value in expected]


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        pytest.param("x > 1e6", [F, F, F, T, T], id="greater"),
        pytest.param("x <> 1", [F, F, F, T, T], id="unequal"),
        pytest.param("NOT (x <= 1e6)", [F, F, F, T, T], id="not"),
        pytest.param("x IS NULL", [F, T, T, F, F], id="is-null"),
        pytest.param("x IS DISTINCT FROM NULL", [T, F, F, T, T], id="distinct"),
        pytest.param("x = x", [T, F, F, T, T], id="itself"),
        pytest.param("x - x = 0", [T, F, F, T, F], id="inf-minus-inf"),
        pytest.param("x / 0 IS NULL", [T] * 5, id="division-by-zero"),
        pytest.param("x % 0 IS NULL", [T] * 5, id="remainder-by-zero"),
        pytest.param("n / 0 IS NULL OR n % 0 > 1", [T] * 5, id="whole-by-zero"),
        pytest.param("TRY_CAST(t AS DOUBLE) > 0", [T, F, F, F, F], id="cast-of-nan"),
        pytest.param("round(x) > 1e6", [F, F, F, T, T], id="round"),
        pytest.param("coalesce(x, -1) = -1", [F, T, T, F, F], id="coalesce"),
    ],
)
def test_nan_is_null(where: str, expected: list[bool]) -> None:
    frame = pl.DataFrame(
        {"x": [1.0, NAN, None, 1e7, INF], "n": [1, 2, 3, 4, 5], "t": ["1.5", "NaN", "inf", "", "1e999999x"]}
    )

    assert chosen(frame, where) == expected


# ---------------------------------------------------------------------- types beyond text

MOMENT = dt.datetime(2024, 5, 5, 22, 30, tzinfo=dt.UTC)
TYPED = pl.DataFrame(
    {
        "day": [dt.date(2024, 5, 5), dt.date(1999, 12, 31), None],
        "at": pl.Series([1_714_867_200_000, 946_684_799_999, None], dtype=pl.Datetime("ms")),
        "at_ns": pl.Series([1_714_867_200_000_000_001, -1, None]).cast(pl.Datetime("ns")),
        "zoned": pl.Series([MOMENT, None, None], dtype=pl.Datetime("us", "Europe/Berlin")),
        "hour": [dt.time(12, 30), dt.time(0), None],
        "money": pl.Series([Decimal("1.10"), Decimal("-2.00"), None], dtype=pl.Decimal(12, 2)),
        "id": pl.Series([2**53 + 1, 2**64 - 1, None], dtype=pl.UInt64),
        "small": pl.Series([100, -100, None], dtype=pl.Int8),
        "word": pl.Series(["b", "a", None], dtype=pl.Enum(["b", "a"])),
        "nothing": pl.Series([None, None, None], dtype=pl.Null),
        "tags": [["a"], [], None],
        "raw": [b"a", b"", None],
    }
)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        pytest.param("day > '2020-01-01'", [T, F, F], id="date-and-text"),
        pytest.param("'2020-01-01' < day", [T, F, F], id="text-and-date"),
        pytest.param("day IN ('1999-12-31', '2000-01-01')", [F, T, F], id="date-in"),
        pytest.param("day BETWEEN '1999-01-01' AND '1999-12-31'", [F, T, F], id="date-between"),
        pytest.param("day = DATE '2024-05-05'", [T, F, F], id="typed"),
        pytest.param("day = at", [T, F, F], id="date-and-timestamp"),
        pytest.param("at = at_ns", [F, F, F], id="units"),
        pytest.param("at_ns > '2024-05-05'", [T, F, F], id="a-nanosecond-later"),
        pytest.param("at_ns < '1970-01-01 00:00:00'", [F, T, F], id="before-1970"),
        pytest.param("at < TIMESTAMP '2000-01-01 00:00:00'", [F, T, F], id="timestamp"),
        pytest.param("zoned >= '2024-05-06'", [T, F, F], id="in-the-columns-own-zone"),
        pytest.param("zoned = '2024-05-05T22:30:00Z'", [T, F, F], id="with-an-offset"),
        pytest.param("zoned < now()", [T, F, F], id="now"),
        pytest.param("day < CURRENT_DATE - INTERVAL '2 years'", [T, T, F], id="interval"),
        pytest.param("day < CURRENT_DATE - INTERVAL 30 MONTHS", [F, T, F], id="interval-in-months"),
        pytest.param("CURRENT_DATE + 1 = '2026-07-02' AND day IS NULL", [F, F, T], id="days"),
        pytest.param("CAST(CURRENT_DATE AS VARCHAR) = '2026-07-01'", [T, T, T], id="today-as-text"),
        pytest.param("hour >= '12:00'", [T, F, F], id="time"),
        pytest.param("year(day) = 2024 AND extract(month FROM at) = 5", [T, F, F], id="parts"),
        pytest.param("CAST(at AS DATE) = day", [T, T, F], id="timestamp-to-date"),
        pytest.param("money = 1.1", [T, F, F], id="decimal"),
        pytest.param("money IN (1.1, -2)", [T, T, F], id="decimal-in"),
        pytest.param("money < 1.10000000000000000001", [T, T, F], id="decimal-exact"),
        pytest.param("money * 2 = 2.2", [T, F, F], id="decimal-calculated"),
        pytest.param("id = 9007199254740993", [T, F, F], id="whole-exact"),
        pytest.param("id = 9007199254740992", [F, F, F], id="whole-not-rounded"),
        pytest.param("id IN (9007199254740993, 18446744073709551615)", [T, T, F], id="whole-in"),
        pytest.param("id * 4 > 18446744073709551615 AND id + small > 0", [F, T, F], id="beyond-64-bits"),
        pytest.param("small + small = 200", [T, F, F], id="beyond-8-bits"),
        pytest.param("-small % 7 = -2", [T, F, F], id="remainder-has-the-sign"),
        pytest.param("small / 8 = 12.5", [T, F, F], id="division"),
        pytest.param("word < 'b'", [F, T, F], id="categories-are-text"),
        pytest.param("nothing IS NULL AND (nothing = 1) IS UNKNOWN", [T, T, T], id="null-column"),
        pytest.param("tags IS NOT NULL AND raw IS NOT NULL", [T, T, F], id="is-null-of-anything"),
        pytest.param("sign(small) = -1 OR abs(small) = 101", [F, T, F], id="sign"),
    ],
)
def test_types_are_compared_as_what_they_are(where: str, expected: list[bool]) -> None:
    assert chosen(TYPED, where) == expected


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("tags = 'a'", "tags is List(String), of which a condition can only ask IS NULL (at character 1)"),
        ("raw = 'a'", "raw is Binary, of which a condition can only ask IS NULL (at character 1)"),
        ("day = 1", "day is a date, and 1 is a number (at character 1)"),
        ("day = zoned", "day is a date, and zoned is a timestamp with a time zone (at character 1)"),
        ("day = '2024-13-01'", "'2024-13-01' is not a date such as '2024-12-31' (at character 7)"),
        ("at > 'soon'", "'soon' is not a timestamp such as '2024-12-31 23:59:00' (at character 6)"),
        ("money = '1.10'", "money is a number, and '1.10' is text (at character 1)"),
        ("small = TRUE", "small is a number, and TRUE is true or false (at character 1)"),
        (
            "coalesce(small, 'x') = 'x'",
            "coalesce takes values of one type: small is a number, 'x' is text (at character 1)",
        ),
        ("lower(small) = 'x'", "lower takes text, and small is a number (at character 7)"),
        ("word + 1 = 2", "+ takes numbers, and word is text (at character 1)"),
        (
            "day + INTERVAL '1 day' < CURRENT_DATE",
            "+ moves a date that is written out, or now, by an interval that is written out (at character 1)",
        ),
        ("CAST(day AS INT) = 1", "day is a date, which is never INT (at character 1)"),
        ("substr(word, 0) = 'b'", "substr takes a whole number from 1 on, and has 0 (at character 14)"),
    ],
)
def test_types_that_do_not_fit_are_refused_with_a_sentence(where: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Condition(where, TYPED.schema, NOW)

    assert str(caught.value).startswith(f"--where: {where}: {reason}; ")


def test_every_function_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")

    assert [name for name in FUNCTIONS if f"`{name}`" not in page] == []


# ---------------------------------------------------------------------- beside SQLite

TEXTS = ["", "a", "A", "ab%", "a_b", "a\nb", "  a ", "'", "10", "9"]
NUMBERS = [0, 1, -1, 2, 7, -7, 10]
CELLS = pl.DataFrame(
    {
        "s": [*TEXTS, None, None],
        "t": [None, *reversed(TEXTS), "a"],
        "i": [None, *NUMBERS, 3, -3, None, 5],
        "j": [*NUMBERS, None, 0, None, 4, -2],
        "x": [0.5, -2.25, None, 1e6, 0.0, 3.0, 7.0, -7.5, 2.0, None, 1.0, 10.0],
        "p": [True, False, None] * 4,
        "q": [None, True, True, False, False, None, True, None, False, True, False, None],
    }
)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def tree_of_conditions() -> st.SearchStrategy[str]:
    text = st.sampled_from(["s", "t", "NULL", *map(quoted, TEXTS)])
    text = st.one_of(
        text,
        st.builds("lower({})".format, text),
        st.builds("({} || {})".format, text, text),
        st.builds("substr({}, {}, {})".format, text, st.integers(1, 3), st.integers(0, 3)),
        st.builds("trim({})".format, text),
        st.builds("coalesce({}, {})".format, text, text),
        st.builds("nullif({}, {})".format, text, text),
    )
    number = st.sampled_from(["i", "j", "x", "NULL", "0", "2", "-7", "2.5"])
    whole = st.sampled_from(["i", "j", "3", "-2", "0"])
    number = st.one_of(
        number,
        st.builds("({} {} {})".format, number, st.sampled_from("+-*"), number),
        st.builds("({} % {})".format, whole, whole),
        st.builds("abs({})".format, number),
        st.builds("length({})".format, text),
        st.builds("CASE WHEN p THEN {} ELSE {} END".format, number, number),
    )
    compared = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
    negation = st.sampled_from(["", "NOT "])

    def leaves(value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.builds("{} {} {}".format, value, compared, value),
            st.builds("{} {}BETWEEN {} AND {}".format, value, negation, value, value),
            st.builds("{} {}IN ({}, {}, {})".format, value, negation, value, value, value),
            st.builds("{} IS {}DISTINCT FROM {}".format, value, negation, value),
            st.builds("{} IS {}NULL".format, value, negation),
        )

    patterns = st.sampled_from(["'a%'", "'%b'", "'_'", "'a_b'", "'a!_b' ESCAPE '!'", "'%'", "NULL", "''"])
    leaf = st.one_of(
        st.sampled_from(["p", "q", "TRUE", "FALSE", "NULL"]),
        leaves(text),
        leaves(number),
        leaves(st.sampled_from(["p", "q", "NULL", "TRUE"])),
        st.builds("{} {}LIKE {}".format, text, negation, patterns),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds("({} AND {})".format, inner, inner),
            st.builds("({} OR {})".format, inner, inner),
            st.builds("(NOT ({}))".format, inner),
            st.builds("(({}) IS {}{})".format, inner, negation, st.sampled_from(["TRUE", "FALSE", "UNKNOWN"])),
            st.builds("(CASE WHEN {} THEN {} ELSE {} END)".format, inner, inner, inner),
        ),
        max_leaves=6,
    )


@pytest.fixture(scope="module")
def sqlite() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA case_sensitive_like = ON")
    connection.execute("CREATE TABLE cells (n INTEGER PRIMARY KEY, s TEXT, t TEXT, i INT, j INT, x REAL, p INT, q INT)")
    rows = [(n, *row) for n, row in enumerate(CELLS.iter_rows())]
    connection.executemany("INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    return connection


@examples(150)
@given(where=tree_of_conditions())
def test_a_condition_means_what_it_means_to_sqlite(sqlite: sqlite3.Connection, where: str) -> None:
    # SQLite spells two of them in its own way, and some versions lack the third.
    theirs = where.replace("IS NOT UNKNOWN", "NOTNULL").replace("IS UNKNOWN", "ISNULL")
    theirs = theirs.replace("IS NOT DISTINCT FROM", "IS").replace("IS DISTINCT FROM", "IS NOT")
    expected = [row[0] == 1 for row in sqlite.execute(f"SELECT ({theirs}) FROM cells ORDER BY n")]

    assert chosen(CELLS, where) == expected
