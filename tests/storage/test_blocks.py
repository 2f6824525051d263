"""Blocks: what a machine uses of its memory is found, and damaged contents are told from good ones."""

import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minivm.errors import SnapshotError
from minivm.storage.blocks import GONE, Blocks, BlockTable, PackedBlocks, hash_of, used_pages

PAGE = 4096


@given(st.integers(1, 40), st.dictionaries(st.integers(0, 39), st.integers(0, PAGE - 1), max_size=8))
def test_exactly_the_pages_with_a_byte_in_them_are_found(pages, bytes_at):
    with mmap.mmap(-1, pages * PAGE) as memory:
        wanted = set()
        for number, offset in bytes_at.items():
            if number < pages:
                memory[number * PAGE + offset] = 1
                wanted.add(number)
        view = memoryview(memory)
        found = used_pages(view)
        assert set(found) == wanted
        assert used_pages(view, range(pages)) == found
        assert all(page == memory[number * PAGE : (number + 1) * PAGE] for number, page in found.items())
        view.release()


def test_only_candidates_are_looked_at():
    memory = memoryview(bytearray(b"\1" * 4 * PAGE))
    assert set(used_pages(memory, [2])) == {2}


def table_of(packed: PackedBlocks, data: bytes) -> BlockTable:
    at = 0

    def take(length: int) -> memoryview:
        nonlocal at
        at += length
        return memoryview(data)[at - length : at]

    return BlockTable("memory.pages", PAGE, packed.blocks(), take=take, end=1000)


blocks_strategy = st.dictionaries(st.integers(0, 999), st.integers(0, 3), max_size=10)


@given(blocks_strategy, blocks_strategy)
def test_what_is_laid_over_the_parent_is_what_was_packed(below, above):
    parent, child = ({at: bytes([value]) * PAGE for at, value in blocks.items()} for blocks in (below, above))
    packed = PackedBlocks(child, {at: hash_of(block) for at, block in parent.items()})
    table = table_of(packed, b"".join(packed.parts()))
    hashes = {at: hash_of(block) for at, block in parent.items()}
    table.lay_over(parent)
    table.lay_hashes_over(hashes)
    assert parent == child
    assert hashes == packed.hashes


def test_more_than_a_chunk_of_blocks_comes_back():
    blocks = {number: number.to_bytes(2, "little") * (PAGE // 2) for number in range(600)}
    packed = PackedBlocks(blocks, {})
    found: dict[int, bytes] = {}
    table_of(packed, b"".join(packed.parts())).lay_over(found)
    assert found == blocks


def test_a_block_that_does_not_fit_its_hash_is_refused():
    packed = PackedBlocks({0: b"\1" * PAGE}, {})
    numbers, slots, hashes, *rest = packed.parts()
    table = table_of(packed, b"".join([numbers, slots, bytes(len(hashes)), *rest]))
    with pytest.raises(SnapshotError, match=r"memory\.pages: a block does not fit its hash"):
        table.lay_over({})


@pytest.mark.parametrize(
    ("numbers", "slots", "says"),
    [
        ((1, 0), (0, 0), "out of order"),
        ((1, 1), (0, 0), "out of order"),
        ((1, 1000), (0, 0), "past the end"),
        ((0, 1), (0, 1), "slots contradict"),
        ((0, 1), (0, GONE), "slots contradict"),
        ((0, 1), (5, 5), "slots contradict"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(numbers, slots, says):
    data = b"".join(number.to_bytes(8, "little") for number in numbers)
    data += b"".join(slot.to_bytes(4, "little") for slot in slots) + bytes(16) + bytes(4)
    at = 0

    def take(length: int) -> memoryview:
        nonlocal at
        at += length
        return memoryview(data)[at - length : at]

    with pytest.raises(SnapshotError, match=says):
        BlockTable("memory.pages", PAGE, Blocks(2, 1, 0), take=take, end=1000)
