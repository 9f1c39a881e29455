"""Tables in and out: batches of rows from CSV, TSV, NDJSON and Parquet, and the same table back with answers.

`open_table` reads a file once to its end and raises with every fault and its line. `check_output_path` and
`try_writing` find before anything is sent what would keep `TableWriter` from writing; that gives back every cell as it
came, in a file that is whole or not there.
"""

from enrich.dataset.formats import TableFormat, default_output
from enrich.dataset.layout import Layout, is_empty
from enrich.dataset.paths import check_output_path, refuse_input
from enrich.dataset.reading import open_table
from enrich.dataset.tables import BATCH_ROWS, Batch, Table
from enrich.dataset.trial import try_writing
from enrich.dataset.writing import TableWriter
from enrich.host.files import Files

__all__ = [
    "BATCH_ROWS",
    "Batch",
    "Files",
    "Layout",
    "Table",
    "TableFormat",
    "TableWriter",
    "check_output_path",
    "default_output",
    "is_empty",
    "open_table",
    "refuse_input",
    "try_writing",
]
