"""`enrich schema`: the config's JSON Schema, for editors."""

import typer

from enrich.cli.options import console_of


def schema(context: typer.Context) -> None:
    """Print the config's JSON Schema, for editors.

    It gives completion, descriptions and a first check while writing.

    \b
      enrich schema > configs/enrich.schema.json
    and in the first line of a config:
      # yaml-language-server: $schema=./enrich.schema.json
    """
    from enrich.config import schema_text

    console_of(context).show(schema_text())
