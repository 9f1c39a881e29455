"""What joins a config's answers to a table, made for the kind of file that comes out."""

from enrich.answers.join import Joiner
from enrich.config import Config
from enrich.dataset import Layout, Table
from enrich.dataset.encoders import output_format
from enrich.job import OutputPaths
from enrich.planning.comparison import too_long_text


def make_joiner(config: Config, table: Table, files: OutputPaths) -> Joiner:
    """What joins this config's answers to this table. Raises OutputError when a column can't hold its answers."""
    kind = output_format(files.table, table).kind
    is_arrow = kind in ("parquet", "spool")
    typed = is_arrow or kind == "ndjson"
    joiner = Joiner(config, schema=table.schema, typed=typed, dated=is_arrow, too_long=too_long_text(config))
    Layout(table, joiner.columns())
    return joiner
