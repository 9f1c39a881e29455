"""`enrich init`: a starter config from a table's own columns."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from enrich.cli.options import console_of
from enrich.errors import OutputError


def init(
    context: typer.Context,
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="The table to ask about.", show_default=False)],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="CONFIG", help="The config to write. Default: TABLE's name with .yaml."),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option("--encoding", metavar="NAME", help="Encoding of a text table that is neither UTF-8 nor UTF-16."),
    ] = None,
) -> None:
    """Write a starter config for a table.

    The config has the columns that identify a row as inputs, two example answers, and explanatory comments. The command
    never overwrites a file.

    \b
      enrich init companies.csv
      enrich init companies.csv -o configs/companies.yaml
    """
    from enrich.config.starter import starter_config
    from enrich.dataset import open_table

    opened = open_table(table, encoding=encoding)
    target = output or table.with_name(table.name.split(".", 1)[0] + ".yaml")
    text = starter_config(
        opened.headers,
        config=str(target),
        table=str(table),
        unusable=[name for name, kind in opened.schema.items() if str(kind) == "Binary"],
        encoding=encoding,
    )
    try:
        with target.open("xb") as file:
            file.write(text.encode("utf-8", "replace"))
    except FileExistsError:
        raise OutputError(f"{target}: already exists, and was not changed; give another name with -o") from None
    except OSError as error:
        raise OutputError(f"{target}: can't be written: {error.strerror}; give another place with -o") from None
    console = console_of(context)
    console.show(f"{target}\n")
    then = f"enrich plan {quote(str(target))} {quote(str(table))}"
    console.note(f"Check its inputs (only these are sent), edit its answers, then run: {then}")
