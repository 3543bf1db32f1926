import pytest

from onnxlet.contract.blob import MAX_BLOB_BYTES, MAX_RANGES, MIN_RANGE_BYTES, Blob


@pytest.mark.parametrize(
    "size_bytes", [1, MIN_RANGE_BYTES, MIN_RANGE_BYTES + 1, 40 * MIN_RANGE_BYTES + 7, MAX_BLOB_BYTES]
)
def test_the_ranges_cover_every_byte_once_and_in_order(size_bytes: int) -> None:
    ranges = Blob("ab" * 32, size_bytes).ranges()
    assert [start for start, _ in ranges] == [0, *(stop for _, stop in ranges[:-1])]
    assert ranges[-1][1] == size_bytes
    assert all(start < stop for start, stop in ranges)


@pytest.mark.parametrize(
    ("size_bytes", "count"),
    [(1, 1), (MIN_RANGE_BYTES, 1), (MIN_RANGE_BYTES + 1, 2), (16 * MIN_RANGE_BYTES, 16), (MAX_BLOB_BYTES, MAX_RANGES)],
)
def test_a_small_blob_has_one_range_and_a_large_one_as_many_as_there_are_connections(
    size_bytes: int, count: int
) -> None:
    ranges = Blob("ab" * 32, size_bytes).ranges()
    assert len(ranges) == count
    assert len({stop - start for start, stop in ranges[:-1]}) <= 1
