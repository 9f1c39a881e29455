"""Whether bytes are UTF-8, found piece by piece as it is found in one go."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.api.reading import as_utf8
from enrich.text.encodings import is_utf8

MB = 1 << 20
PIECES = st.sampled_from([b"a", "\u00e9".encode(), "\u6f22".encode(), "\U0001f600".encode(), b"\xff", b"\xc3", b"\x80"])


@given(st.integers(0, 4), st.lists(PIECES, max_size=6).map(b"".join), st.binary(max_size=4))
def test_as_in_one_go_also_where_it_is_cut(before: int, middle: bytes, end: bytes) -> None:
    data = b"x" * (MB - before) + middle + end
    try:
        data.decode()
        sound = True
    except UnicodeDecodeError:
        sound = False
    assert is_utf8(data) is sound
    assert as_utf8(data) == data.decode("utf-8", "replace").encode()


@pytest.mark.parametrize("end", [b"", b"\xff"], ids=["sound", "not"])
def test_one_wide_character_does_not_make_all_of_the_text_wide(end: bytes) -> None:
    data = b"x" * (20 * MB) + "\U0001f600".encode() + end
    tracemalloc.start()
    try:
        assert is_utf8(data) is (not end)
        assert tracemalloc.get_traced_memory()[1] < 10 * MB  # all of it would have 80
    finally:
        tracemalloc.stop()
