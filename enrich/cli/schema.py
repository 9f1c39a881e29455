"""`enrich schema`: the config's JSON Schema, for editors."""

import typer

from enrich.cli.options import console_of


def schema(context: typer.Context) -> None:
    """Print the config's JSON Schema, for editors.

    With it editors complete, explain and check a config as you type.

    \b
      enrich schema > configs/enrich.schema.json
    and in the first line of a config:
      # yaml-language-server: $schema=./enrich.schema.json
    """
    from enrich.config import schema_text

    console_of(context).show(schema_text())
