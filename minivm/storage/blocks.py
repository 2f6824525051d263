"""Blocks of a memory or a disk as a snapshot stores them: each content once, named by its hash, compressed in pieces.

A table in a file is four columns and the contents: the numbers of the blocks (64 bits each), for each its slot (32
bits, all ones when the parent has the block and this snapshot does not), for each slot the hash (16 bytes), and the
slots' contents in chunks of 1 MiB, each its packed length (32 bits) and a zstd frame. Numbers are little-endian.
The columns are not compressed: so a file cannot announce more than 256 times the bytes that it has.
"""

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import pairwise

from minivm.core.memory import PAGE
from minivm.core.record import record
from minivm.errors import SnapshotError

HASH_BYTES = 16
CHUNK_BYTES = 1 << 20
"""What is compressed as one piece; a multiple of every block size."""
LEVEL = 1
"""Of zstd: 3 makes files an eighth smaller and takes half as long again."""
GONE = 0xFFFF_FFFF
"""In place of a slot: the parent has this block, the child does not (a page is zero, a sector is the image's)."""
SECTORS_END = 1 << 48
"""The first sector that ATA's 48-bit addresses do not reach (ATA-6, section 6.2)."""
ZERO_PAGE = bytes(PAGE)
_SCAN_BYTES = 16 * PAGE

Hashes = dict[int, bytes]
"""Of each block that is there, by its number, the hash."""


@record
class Blocks:
    """What a file has of one memory or disk: `stored` contents in `unique` slots, and blocks `cleared` of a parent."""

    stored: int
    unique: int
    cleared: int


def used_pages(memory: memoryview, candidates: Iterable[int] | None = None) -> dict[int, bytes]:
    """Return copies of the pages of `memory` that are not all zeros; `candidates` are the only ones looked at."""
    found = {}
    if candidates is not None:
        for number in candidates:
            page = bytes(memory[number * PAGE : (number + 1) * PAGE])
            if page != ZERO_PAGE:
                found[number] = page
        return found
    zeros = bytes(_SCAN_BYTES)
    for start in range(0, len(memory), _SCAN_BYTES):
        piece = bytes(memory[start : start + _SCAN_BYTES])  # copying and comparing is faster than comparing a view
        if piece == zeros:
            continue
        for offset in range(0, len(piece), PAGE):
            page = piece[offset : offset + PAGE]
            if page != ZERO_PAGE:
                found[(start + offset) // PAGE] = page
    return found


class PackedBlocks:
    """The blocks of one memory or disk on their way into a file: only those that differ from `below`, each once."""

    def __init__(self, blocks: Mapping[int, bytes], below: Hashes) -> None:
        self.hashes = {number: hash_of(blocks[number]) for number in sorted(blocks)}
        self._slots: dict[bytes, int] = {}
        self._contents: list[bytes] = []
        entries = {number: GONE for number in below if number not in self.hashes}
        for number, hashed in self.hashes.items():
            if below.get(number) != hashed:
                entries[number] = self._slot_of(hashed, blocks[number])
        self._entries = sorted(entries.items())

    def _slot_of(self, hashed: bytes, block: bytes) -> int:
        slot = self._slots.setdefault(hashed, len(self._contents))
        if slot == len(self._contents):
            self._contents.append(block)
        return slot

    def blocks(self) -> Blocks:
        """Return the counts for the header."""
        cleared = sum(slot == GONE for _, slot in self._entries)
        return Blocks(len(self._entries) - cleared, len(self._contents), cleared)

    def counts(self) -> dict[str, int]:
        """Return the counts as plain values."""
        blocks = self.blocks()
        return {"stored": blocks.stored, "unique": blocks.unique, "cleared": blocks.cleared}

    def parts(self) -> list[bytes]:
        """Return the table as it stands in the file."""
        numbers, slots = ([entry[column] for entry in self._entries] for column in (0, 1))
        parts = [to_little("Q", numbers), to_little("I", slots), b"".join(self._slots)]
        per_chunk = CHUNK_BYTES // len(self._contents[0]) if self._contents else 1
        for at in range(0, len(self._contents), per_chunk):
            packed = pack(b"".join(self._contents[at : at + per_chunk]))
            parts += [len(packed).to_bytes(4, "little"), packed]
        return parts


class BlockTable:
    """The blocks of one memory or disk as one file has them; contents stay packed until they are asked for.

    `place` names it in errors, `size` is a block's bytes, `take` gives the file's next bytes, `end` is the first number
    that cannot be. Raises `SnapshotError` when the table contradicts itself.
    """

    def __init__(self, place: str, size: int, blocks: Blocks, *, take: Callable[[int], memoryview], end: int) -> None:
        self._place, self._size, self._unique = place, size, blocks.unique
        if not 0 <= blocks.unique <= blocks.stored or blocks.cleared < 0:
            raise SnapshotError(f"{place}: the counts contradict each other: {blocks}")
        entries = blocks.stored + blocks.cleared
        self._numbers, self._slots = _from_little("Q", take(8 * entries)), _from_little("I", take(4 * entries))
        hashes = bytes(take(HASH_BYTES * blocks.unique))
        self._hashes = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
        lengths = range(-(-blocks.unique * size // CHUNK_BYTES))
        self._chunks = [take(int.from_bytes(take(4), "little")) for _ in lengths]
        self._check(blocks, end)

    def _check(self, blocks: Blocks, end: int) -> None:
        numbers, slots = self._numbers, self._slots
        if not all(low < high for low, high in pairwise(numbers)) or (numbers and numbers[-1] >= end):
            raise SnapshotError(f"{self._place}: the numbers are out of order, or past the end")
        if set(slots) - {GONE} != set(range(blocks.unique)) or slots.count(GONE) != blocks.cleared:
            raise SnapshotError(f"{self._place}: the slots contradict the counts")
        if len(set(self._hashes)) != blocks.unique:
            raise SnapshotError(f"{self._place}: two slots have one hash")

    def lay_hashes_over(self, below: Hashes) -> None:
        """Change the parent's hashes into the child's."""
        self._lay_over(below, self._hashes)

    def lay_over(self, below: dict[int, bytes]) -> None:
        """Change the parent's blocks into the child's."""
        self._lay_over(below, list(self._contents()))

    def _lay_over(self, below: dict[int, bytes], slots: list[bytes]) -> None:
        for number, slot in zip(self._numbers, self._slots, strict=True):
            if slot == GONE:
                below.pop(number, None)
            else:
                below[number] = slots[slot]

    def _contents(self) -> Iterator[bytes]:
        """Unpack the slots chunk by chunk, each checked against its hash before the next is touched."""
        size, left, hashes = self._size, self._unique * self._size, iter(self._hashes)
        for chunk in self._chunks:
            length = min(left, CHUNK_BYTES)
            left -= length
            data = unpack(chunk, length, length)
            for at in range(0, length, size):
                block = data[at : at + size]
                if hash_of(block) != next(hashes):
                    raise SnapshotError(f"{self._place}: a block does not fit its hash")
                yield block


def hash_of(block: bytes) -> bytes:
    """Return what names a block's content: 16 bytes of BLAKE2b."""
    return blake2b(block, digest_size=HASH_BYTES).digest()


def pack(data: bytes) -> bytes:
    """Return `data` as one zstd frame that tells its length."""
    from zstandard import ZstdCompressor

    return ZstdCompressor(level=LEVEL, write_content_size=True).compress(data)


def unpack(packed: memoryview, most: int, size: int | None = None) -> bytes:
    """Return the bytes of one zstd frame that says itself how long it gets: `size` if given, and never over `most`."""
    import zstandard

    try:
        announced = zstandard.frame_content_size(packed)
        if not 0 <= announced <= most or (size is not None and announced != size):
            raise SnapshotError(f"a compressed part announces {announced} bytes; {most if size is None else size} fit")
        data = zstandard.ZstdDecompressor().decompress(packed, max_output_size=most, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise SnapshotError(f"a compressed part cannot be unpacked: {error}") from None
    if len(data) != announced:
        raise SnapshotError(f"a compressed part has {len(data)} bytes, not {announced}")
    return data


def to_little(code: str, numbers: Iterable[int]) -> bytes:
    """Return numbers as a little-endian array; `code` is "I" for 32 bits each, "Q" for 64."""
    return _swapped(array(code, numbers)).tobytes()


def _from_little(code: str, data: memoryview) -> "array[int]":
    numbers = array(code)
    numbers.frombytes(data)
    return _swapped(numbers)


def _swapped(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
