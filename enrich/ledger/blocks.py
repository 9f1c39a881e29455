"""Results at rest: some results together, compressed as one block, since results of a batch look alike.

A block is zstd over `count, lengths, bytes` (little-endian 32-bit numbers), with a CRC-32 over its size and compressed
bytes: without that most flipped bits would give other answers and no error. Blocks are kept near BLOCK_BYTES before
compression, so that reading one result never decompresses much more than that.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

BLOCK_BYTES: Final = 64 * 1024
_ZSTD_LEVEL: Final = 1


class CorruptBlockError(ValueError):
    """The bytes of a block are not those that were written."""


def pack(results: list[bytes]) -> tuple[int, int, bytes]:
    """Compress results into a block: (size before compression, checksum, compressed bytes)."""
    head = struct.pack(f"<I{len(results)}I", len(results), *map(len, results))
    plain = b"".join((head, *results))
    packed: bytes = _codec().compress(plain, asbytes=True)
    return len(plain), _crc(len(plain), packed), packed


def unpack(size: int, crc: int, data: bytes | None) -> list[bytes]:
    """The results of a block as `pack` gave it, in their order. Raises CorruptBlockError."""
    if not isinstance(data, bytes) or _crc(size, data) != crc:
        raise CorruptBlockError("its checksum does not match")
    plain: bytes = _codec().decompress(data, decompressed_size=size, asbytes=True)
    (count,) = struct.unpack_from("<I", plain)
    lengths = struct.unpack_from(f"<{count}I", plain, 4)
    results, start = [], 4 + 4 * count
    for length in lengths:
        results.append(plain[start : start + length])
        start += length
    return results


def in_blocks(sizes: Iterable[int]) -> Iterator[range]:
    """Cut a sequence of results, given by their sizes, into the index ranges of blocks."""
    start = end = held = 0
    for size in sizes:
        if held and held + size > BLOCK_BYTES:
            yield range(start, end)
            start, held = end, 0
        held += size
        end += 1
    if end > start:
        yield range(start, end)


def _crc(size: object, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(str(size).encode()))


def _codec() -> pa.Codec:
    return pa.Codec("zstd", compression_level=_ZSTD_LEVEL)
