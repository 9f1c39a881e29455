"""Open a table of any kind: the one place that knows all of them."""

from pathlib import Path

from enrich.dataset.delimited import open_delimited
from enrich.dataset.formats import named_format
from enrich.dataset.ndjson import open_ndjson
from enrich.dataset.parquet import open_parquet
from enrich.dataset.spool import open_spool
from enrich.dataset.streams import reading, unknown_kind
from enrich.dataset.tables import Table
from enrich.errors import Fault, TableError
from enrich.host.files import is_special


def open_table(
    path: Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    quote: str | None = None,
    skip: int = 0,
    is_ours: bool = False,
) -> Table:
    """Open the table at `path` and read it once to its end, so that every fault in it shows now.

    The name says the kind. `encoding`, `delimiter` and `quote` (empty: nothing quotes) are for text; what is
    not given is found. `skip` lines above the header of CSV or TSV are passed over. A table that we wrote may have
    longer records: rows with their answers. Raises TableError with all faults and their lines.
    """
    named = named_format(path)
    if named is None:
        raise unknown_kind(path)
    if is_ours:
        named = named.of_ours()
    if is_special(path):
        fault = Fault("this is no regular file, and a table is read more than once", hint="write it to a file first")
        raise TableError(str(path), [fault])
    with reading(path):
        if named.kind == "spool":
            return open_spool(path, named)
        if named.kind == "parquet":
            return open_parquet(path, named)
        if named.kind == "ndjson":
            return open_ndjson(path, named, encoding=encoding)
        return open_delimited(path, named, encoding=encoding, delimiter=delimiter, quote=quote, skip=skip)
