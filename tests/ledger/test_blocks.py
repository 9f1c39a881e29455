"""Results in blocks: many small ones together, as large as a block may be, and exactly as they came."""

import pytest

from enrich.ledger.blocks import BLOCK_BYTES, in_blocks


@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [
        pytest.param([], [], id="none"),
        pytest.param([10, 20, 30], [range(3)], id="small ones together"),
        pytest.param([BLOCK_BYTES - 1, 1], [range(2)], id="just full"),
        pytest.param([BLOCK_BYTES - 1, 2], [range(1), range(1, 2)], id="one byte too many"),
        pytest.param([BLOCK_BYTES + 1, 1, 1], [range(1), range(1, 3)], id="one that is larger than a block"),
        pytest.param([1, BLOCK_BYTES + 1], [range(1), range(1, 2)], id="after a small one"),
        pytest.param([0, 0], [range(2)], id="empty ones"),
    ],
)
def test_results_fill_a_block_before_the_next_begins(sizes: list[int], blocks: list[range]) -> None:
    assert list(in_blocks(sizes)) == blocks
