"""Texts with {columns} in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.text.templates import ColumnRef, TemplateError, columns_of, is_template, parse_template

NAME, CITY = ColumnRef("name"), ColumnRef("city")


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        pytest.param("{name}", (NAME,), id="column"),
        pytest.param("{name} ({city})", (NAME, " (", CITY, ")"), id="two"),
        pytest.param("{{{name}}}", ("{", NAME, "}"), id="column-in-braces"),
        pytest.param("{{name}} {city}", ("{name} ", CITY), id="escaped"),
        pytest.param("{ name }", (ColumnRef(" name "),), id="blanks-belong-to-the-name"),
        pytest.param("{a:b!r}", (ColumnRef("a:b!r"),), id="no-format-language"),
        pytest.param("{a.b[0]}", (ColumnRef("a.b[0]"),), id="no-attributes"),
        pytest.param("line\n{name}", ("line\n", NAME), id="lines"),
        pytest.param("a{{b}}c", ("a{b}c",), id="only-escapes"),
    ],
)
def test_pieces(text: str, pieces: tuple[str | ColumnRef, ...]) -> None:
    assert parse_template(text) == pieces


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{name} {", 'a lone "{" (for the character itself write "{{")'),
        ("{name}}", 'a lone "}" (for the character itself write "}}")'),
        ("{name} {{city}", 'a lone "}" (for the character itself write "}}")'),
        ("{} {name}", '"{}" names no column'),
        ("{ }", '"{}" names no column'),
    ],
)
def test_what_is_no_template(text: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_template(text)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("text", "template", "columns"),
    [
        ("name", False, ("name",)),
        ("Name of {{it}}", False, ("Name of {{it}}",)),
        ("rate {", False, ("rate {",)),
        ("{name}", True, ("name",)),
        ("{name} {city} {name}", True, ("name", "city")),
    ],
)
def test_a_text_is_a_template_if_it_has_a_column_in_braces(text: str, template: bool, columns: tuple[str, ...]) -> None:
    assert is_template(text) is template
    assert columns_of(text) == columns


@given(st.lists(st.text(alphabet="ab{} ") | st.text(alphabet="ab ", min_size=1).filter(str.strip).map(ColumnRef)))
def test_what_is_written_by_the_rules_is_read_back(pieces: list[str | ColumnRef]) -> None:
    def written(piece: str | ColumnRef) -> str:
        if isinstance(piece, ColumnRef):
            return "{" + piece.name + "}"
        return piece.replace("{", "{{").replace("}", "}}")

    read = parse_template("".join(map(written, pieces)))
    assert "".join(map(written, read)) == "".join(map(written, pieces))
    assert [p for p in read if isinstance(p, ColumnRef)] == [p for p in pieces if isinstance(p, ColumnRef)]
