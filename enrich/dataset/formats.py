"""What a table file is: its kind, compression and dialect, told by its name and first bytes. No rows here."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

FormatKind = Literal["csv", "tsv", "ndjson", "parquet", "spool"]
Compression = Literal["gzip", "zstd"]

KINDS: Final[dict[str, FormatKind]] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
}
SPOOL_SUFFIX: Final = ".enrich-spool"  # of tables in memory that were put on disk, never of a user's file
COMPRESSIONS: Final[dict[str, Compression]] = {".gz": "gzip", ".zst": "zstd"}
MAX_BYTES: Final = 16 << 20  # of a record of a table: in all its shapes it takes twelve times as much memory
MAX_OWN_BYTES: Final = 64 << 20  # of a record of our own output, which has answers beside it, and quotes in quotes
KNOWN_SUFFIXES: Final = ".csv, .tsv, .ndjson, .jsonl (each also with .gz or .zst) or .parquet"


@dataclass(frozen=True, slots=True)
class TableFormat:
    """How a table is stored. What does not apply to a kind has its default.

    `encoding` is a Python codec name; `bom` says that the text starts with a byte order mark; `quote` is
    empty where no character quotes. `above` are the lines above the header as they came, in UTF-8: a `sep=;`
    for Excel, and the titles that `csv.skip` passes over. A record has at most `record_bytes` when it is read.
    """

    kind: FormatKind
    compression: Compression | None = None
    encoding: str = "utf-8"
    bom: bool = False
    delimiter: str = ","
    quote: str = '"'
    newline: str = "\n"
    above: bytes = b""
    record_bytes: int = MAX_BYTES

    def of_ours(self) -> "TableFormat":
        """The same for a table that we wrote."""
        return replace(self, record_bytes=MAX_OWN_BYTES)


def split_suffix(path: Path) -> tuple[str, str]:
    """`("companies", ".csv.gz")` of `companies.csv.gz`; the suffix is empty where it names no table."""
    suffixes = path.suffixes
    count = 2 if suffixes and suffixes[-1].lower() in COMPRESSIONS else 1
    suffix = "".join(suffixes[-count:])
    if named_format(path) is None:
        return path.name, ""
    return path.name.removesuffix(suffix), suffix


def named_format(path: Path) -> TableFormat | None:
    """The format that a file's name promises, None where it promises no table."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = COMPRESSIONS.get(suffixes.pop()) if suffixes and suffixes[-1] in COMPRESSIONS else None
    kind = KINDS.get(suffixes[-1]) if suffixes else None
    if path.suffix == SPOOL_SUFFIX:
        return TableFormat("spool")
    if kind is None or (kind == "parquet" and compression):
        return None
    return TableFormat(kind, compression, delimiter="\t" if kind == "tsv" else ",")


def default_output(path: Path, *, sandbox: bool = False) -> Path:
    """Where the enriched table goes when nothing is said: `c.csv.gz` → `c.enriched.csv.gz`, beside it.

    With the sandbox's answers it is `c.sandbox.csv.gz`: what is called enriched is always real.
    """
    stem, suffix = split_suffix(path)
    return path.with_name(f"{stem}.{'sandbox' if sandbox else 'enriched'}{suffix}")
