"""Results at rest: some results together, compressed as one block, since results of a batch look alike.

A block is zstd over `count, lengths, bytes` (little-endian 32-bit numbers). Blocks are kept near
BLOCK_BYTES before compression, so that reading one result never decompresses much more than that.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

BLOCK_BYTES: Final = 64 * 1024
_ZSTD_LEVEL: Final = 3


def pack(results: list[bytes]) -> tuple[int, bytes]:
    """Compress results into a block: (size before compression, compressed bytes)."""
    head = struct.pack(f"<I{len(results)}I", len(results), *map(len, results))
    plain = head + b"".join(results)
    packed: bytes = _codec().compress(plain, asbytes=True)
    return len(plain), packed


def unpack(size: int, data: bytes) -> list[bytes]:
    """The results of a block, in their order; `size` is the size before compression."""
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


def _codec() -> pa.Codec:
    return pa.Codec("zstd", compression_level=_ZSTD_LEVEL)
