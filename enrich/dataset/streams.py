"""Files as streams of UTF-8 bytes, whatever their compression and encoding, never held as a whole.

Python's own `gzip` reads gzip (several members, checksums, a cut end); zstandard comes with pyarrow. Any
other encoding than UTF-8 is decoded strictly: a byte that is not of it is a fault with its line.
"""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

import pyarrow as pa

from enrich.dataset.formats import KNOWN_SUFFIXES, TableFormat
from enrich.errors import Fault, TableError
from enrich.text.encodings import text_codec

CHUNK_BYTES: Final = 256 << 10  # with a megabyte polars holds 10 MB more, and is no faster
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # it begins with the mark of utf-16-le
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/+[^/]")
_SPREADSHEETS: Final = frozenset({".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers"})
_OTHER_FILES: Final = (
    (b"\x1f\x8b", "gzip", "name it .csv.gz (or .tsv.gz, .ndjson.gz)"),
    (b"\x28\xb5\x2f\xfd", "zstandard", "name it .csv.zst (or .tsv.zst, .ndjson.zst)"),
    (b"PAR1", "Parquet", "name it .parquet"),
    (b"PK\x03\x04", "zip or Excel", "save it as CSV or Parquet first"),
    (b"\xd0\xcf\x11\xe0", "old Excel", "save it as CSV or Parquet first"),
)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what can go wrong while a file is read into TableError."""
    try:
        yield
    except FileNotFoundError:
        raise no_such_file(path) from None
    except IsADirectoryError:
        raise TableError(str(path), [Fault("this is a folder, not a table", hint="name a file")]) from None
    except pa.ArrowNotImplementedError:
        fault = Fault("has a column of a type that can't be read", hint="write it as another type, such as text")
        raise TableError(str(path), [fault]) from None
    except (gzip.BadGzipFile, EOFError, zlib.error, pa.ArrowException) as error:
        raise _damaged(path, error) from None
    except OSError as error:
        if error.errno is None:  # from a decompressor, not from the disk
            raise _damaged(path, error) from None
        raise TableError(str(path), [Fault(f"can't be read: {error.strerror}")]) from None


def _damaged(path: Path, error: Exception) -> TableError:
    kind = {".gz": "gzip", ".zst": "Zstandard", ".parquet": "Parquet"}.get(path.suffix.lower(), "its kind")
    match error:
        case EOFError():
            what = "it ends in the middle"
        case gzip.BadGzipFile():
            what = f"it is not a {kind} file, or only a part of it is"
        case _:
            what = f"its content can't be read as {kind}"
    return TableError(str(path), [Fault(f"the file is damaged: {what}", hint="fetch or write it again")])


def open_bytes(path: Path, compression: str | None) -> IO[bytes]:
    """The file's bytes, decompressed on the way."""
    if compression == "gzip":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if compression == "zstd":
        stream = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        return cast(IO[bytes], io.BufferedReader(_Readable(stream), CHUNK_BYTES))
    return path.open("rb", buffering=CHUNK_BYTES)


class _Readable(io.RawIOBase):
    """An Arrow stream as a raw Python stream."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def find_encoding(path: Path, start: bytes, given: str | None) -> tuple[str, bool]:
    """(codec, whether a byte order mark stands at the start) of a text that begins with `start`."""
    for magic, what, hint in _OTHER_FILES:
        if start.startswith(magic):
            raise TableError(str(path), [Fault(f"this is a {what} file", hint=hint)])
    marked = next((codec for bom, codec in _BOMS if start.startswith(bom)), None)
    wanted = _codec(path, given) if given else None
    if wanted in ("utf-16", "utf-32") and (marked is None or marked.startswith(wanted)):
        return marked or f"{wanted}-le", marked is not None
    if wanted and marked and wanted != marked:
        message = f"the file starts with the byte order mark of {marked}, but the encoding given is {given}"
        raise TableError(str(path), [Fault(message, 1, hint="leave the encoding out")])
    if not wanted and not marked and b"\0" in start:
        order = "le" if start[1:2] == b"\0" else "be"
        hint = say_encoding(f"utf-16-{order}")
        raise TableError(str(path), [Fault("this looks like UTF-16 without a byte order mark", 1, hint=hint)])
    return wanted or marked or "utf-8", marked is not None


def say_encoding(name: str) -> str:
    """Where the encoding of a text table is given."""
    return f"write `csv: {{encoding: {name}}}` in the config (with `enrich init`: --encoding {name})"


def _codec(path: Path, given: str) -> str:
    try:
        name = text_codec(given)
    except LookupError:
        hint = "known ones are utf-8, utf-16, windows-1252, latin-1 and the other names of Python's codecs"
        raise TableError(str(path), [Fault(f"{given!r} is no encoding", hint=hint)]) from None
    return "utf-8" if name == "utf-8-sig" else name


def open_utf8(path: Path, table_format: TableFormat) -> IO[bytes]:
    """The text of the file as UTF-8, from its header on; a UTF-8 file's bytes are not checked here."""
    stream = open_bytes(path, table_format.compression)
    if table_format.bom:
        stream.read(len("\ufeff".encode(table_format.encoding)))
    if table_format.encoding != "utf-8":
        transcoded = _Transcoded(stream, table_format.encoding, path)
        stream = cast(IO[bytes], io.BufferedReader(transcoded, CHUNK_BYTES))
    stream.read(len(table_format.above))
    return stream


class _Transcoded(io.RawIOBase):
    """Text in some encoding as UTF-8."""

    def __init__(self, stream: IO[bytes], encoding: str, path: Path) -> None:
        self._stream = stream
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._path = path
        self._lines = 0
        self._ready = memoryview(b"")
        self._at_end = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        while not self._ready and not self._at_end:
            self._refill()
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _refill(self) -> None:
        chunk = self._stream.read(CHUNK_BYTES)
        self._at_end = not chunk
        try:
            text = self._decoder.decode(chunk, final=self._at_end)
        except UnicodeDecodeError as error:
            raise self._fault(error) from None
        self._lines += text.count("\n")
        self._ready = memoryview(text.encode())

    def _fault(self, error: UnicodeDecodeError) -> TableError:
        before = error.object[: error.start].decode(self._encoding, "ignore")
        line = self._lines + before.count("\n") + 1
        wrong = error.object[error.start : max(error.end, error.start + 1)].hex(" ").upper()
        message = f"the bytes {wrong} are not {self._encoding}"
        return TableError(str(self._path), [Fault(message, line, hint="is it another encoding?")])

    def close(self) -> None:
        self._stream.close()
        super().close()


def no_such_file(path: Path, hint: str = "") -> TableError:
    """The error for a name with no file behind it; a path made of an address has lost one of its slashes."""
    if _ADDRESS.match(str(path)):
        return TableError(str(path), [Fault("is an address, expected a file", hint="download it first")])
    return TableError(str(path), [Fault("there is no such file", hint=hint)])


def unknown_kind(path: Path) -> TableError:
    """The error for a name that promises no table."""
    if path.is_dir():
        return TableError(str(path), [Fault("is a folder, expected a file")])
    if _ADDRESS.match(str(path)):
        return no_such_file(path)
    message = f"unknown kind of table {''.join(path.suffixes)}".strip()
    hint = "save it as CSV (UTF-8) in the spreadsheet program first" if path.suffix.lower() in _SPREADSHEETS else ""
    return TableError(str(path), [Fault(message, hint=hint or f"give a file named {KNOWN_SUFFIXES}")])
