"""A snapshot: one file that holds a whole machine (docs/snapshots.md has the format, field by field).

    prologue   64 bytes: magic, format number, length of the header, length of the file, identity
    header     JSON, compressed: every setting, register and device by its name; the sizes of all that follows
    blobs      the long bytes out of the header, compressed
    blocks     memory's pages of 4096 bytes, then each disk's changed sectors: numbers, slots, hashes, contents
    checksum   BLAKE2b of everything before it

A snapshot with a parent holds only the blocks that differ from it. The parent is named by its identity, which follows
from the machine's contents and not from how they are stored, so that a child stays good when its parent is rewritten.
Nothing is believed before the checksum is right, and nothing is allocated by a number that was not bounded first.
"""

import json
import stat
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from minivm.core.memory import LARGEST_BYTES, MOST_CARDS_BYTES, PAGE
from minivm.core.plain import check_names, from_plain, join, to_plain
from minivm.core.record import record
from minivm.errors import SnapshotError
from minivm.storage.blocks import (
    SECTORS_END,
    ZERO_PAGE,
    Blocks,
    BlockTable,
    Hashes,
    PackedBlocks,
    pack,
    to_little,
    unpack,
)
from minivm.storage.geometry import SECTOR
from minivm.storage.whole_file import replace_file

T = TypeVar("T")

MAGIC = b"MINIVM-SNAPSHOT\n"
FORMAT = 1
SUFFIX = ".mvm"
SECTIONS = ("config", "machine", "cpu", "devices", "console")
"""The parts of `Contents.fields`; all of them are there, and no others."""

_PROLOGUE = struct.Struct("<16sIIQ32s")
_CHECKSUM_BYTES = 32
_HEADER_NAMES = ("format", "version", "name", "origin", "parent", "created", *SECTIONS, "blobs", "memory", "disks")
_LONGEST_HEADER = 16 << 20
_MOST_BLOBS = 256 << 20
_INLINE_BYTES = 64
"""Bytes up to this length stand in the header itself."""


@record
class Base:
    """The disk image under a disk's changed sectors: BLAKE2b-256 of its bytes in hex, and their number."""

    digest: str
    size: int


@record
class Contents:
    """A whole machine as plain values.

    `fields` has the `SECTIONS`, each of plain values (`minivm.core.plain`; `bytes` may stand in them as they are).
    `pages` are the pages of 4096 bytes that are not all zeros, by number; zero pages may be given and are left out.
    `disks` are the 512-byte sectors that differ from each disk's image, by number, and `bases` are those images.
    """

    fields: dict[str, Any]
    memory_size: int
    pages: Mapping[int, bytes]
    disks: Mapping[str, Mapping[int, bytes]] = MappingProxyType({})
    bases: Mapping[str, Base] = MappingProxyType({})


@record
class Parent:
    """The snapshot that a file builds on: its identity in hex, and its name when the file was written."""

    digest: str
    name: str


@record
class Info:
    """What a file says of itself without its contents being unpacked; `digest` is its identity, `size` its bytes."""

    name: str
    digest: str
    parent: Parent | None
    format: int
    version: str
    size: int
    memory_size: int
    pages: Blocks
    disks: dict[str, Blocks]
    config: dict[str, Any]
    machine: Any


def save(path: Path, contents: Contents, *, name: str = "", parent: Path | None = None) -> Info:
    """Write `contents` to `path`, which keeps its old content until the new one is safely on the disk.

    With `parent`, a snapshot in the same folder, only what differs from it is stored. `name` is the file's stem unless
    given. Raises `SnapshotError` when the contents cannot be saved, the parent is unfit, or the host refuses.
    """
    name = name or path.stem
    above = None
    if parent is not None:
        if parent.parent.resolve() != path.parent.resolve():
            raise SnapshotError(f"{path}: its parent must lie in the same folder, not be {parent}")
        above = _chain(parent)
        if above[-1].header.memory.size != contents.memory_size:
            raise SnapshotError(
                f"memory.size: the parent {parent} has {above[-1].header.memory.size}, this {contents.memory_size}"
            )
        if path.resolve() in [file.path.resolve() for file in above]:
            raise SnapshotError(f"{path}: would overwrite what it builds on; give the new one another name")
    origin = blake2b(f"{above[-1].digest if above else ''}/{name}".encode(), digest_size=16).hexdigest()
    return _write(path, contents, name=name, origin=origin, above=above or [])


def make_whole(path: Path) -> Info:
    """Rewrite a snapshot so that it needs no parent; its identity stays, so that its own children notice nothing."""
    file = _File(path)
    return _write(path, load(path), name=file.header.name, origin=file.header.origin, above=[])


def load(path: Path) -> Contents:
    """Return what `save` was given, with the parents that are needed, each found by its identity beside `path`.

    Raises `SnapshotError` naming the file, and the field where there is one, for anything that is not exactly right.
    """
    chain = _chain(path)
    top = chain[-1]
    pages = _resolved(chain, "")
    disks = {name: _resolved(chain, name) for name in top.header.disks}
    return Contents(top.fields(), top.header.memory.size, pages, disks, top.header.bases())


def info(path: Path) -> Info:
    """Return what is known of the snapshot at `path` once its checksum is right; parents are not looked for."""
    return _File(path).info()


def identity(path: Path) -> str | None:
    """Return the identity that the file at `path` claims to have, reading 64 bytes; None when it is no snapshot."""
    try:
        with path.open("rb") as stream:
            magic, _, _, _, digest = _PROLOGUE.unpack(stream.read(_PROLOGUE.size))
    except (OSError, ValueError, struct.error):
        return None
    return digest.hex() if magic == MAGIC else None


def check_config(saved: Mapping[str, Any], wanted: Mapping[str, Any], where: str = "") -> None:
    """Refuse to restore into another machine; raises `SnapshotError` naming the first field that differs."""
    for name in dict.fromkeys((*wanted, *saved)):
        field, was, now = join(where, name), saved.get(name, _ABSENT), wanted.get(name, _ABSENT)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            check_config(was, now, field)
        elif was != now or type(was) is not type(now):
            raise SnapshotError(f"{field}: the snapshot has {was!r}, this machine {now!r}")


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


_ABSENT = _Absent()


# -- the header -------------------------------------------------------------------------------------------------
@record
class _Memory:
    size: int
    pages: Blocks


@record
class _Disk:
    base: Base
    sectors: Blocks


@record
class _Blobs:
    size: int
    packed: int


@record
class _Header:
    """The header without its free sections."""

    format: int
    version: str
    name: str
    origin: str
    parent: Parent | None
    created: None
    blobs: _Blobs
    memory: _Memory
    disks: dict[str, _Disk]

    def bases(self) -> dict[str, Base]:
        """Return the images under the disks."""
        return {name: disk.base for name, disk in self.disks.items()}

    def blocks(self) -> Iterator[tuple[str, int, Blocks]]:
        """Give the tables in the order of the file: the disk's name ("" is memory), the block's size, the counts."""
        yield "", PAGE, self.memory.pages
        for name, disk in self.disks.items():
            yield name, SECTOR, disk.sectors


class _File:
    """One snapshot file whose checksum is right, taken apart; contents stay packed until they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        data = memoryview(_read(path))
        header_length, self.digest = _check_frame(path, data)
        self.size = len(data)
        self._data = data[:-_CHECKSUM_BYTES]
        self._at = _PROLOGUE.size
        try:
            text = unpack(self._take(header_length), _LONGEST_HEADER)
            self.sections = _parse(text)
            self.header = self._split()
            self._blobs = self._take(self.header.blobs.packed)
            self.tables = {name: self._table(name, size, blocks) for name, size, blocks in self.header.blocks()}
            if self._at != len(self._data):
                raise SnapshotError(f"{len(self._data) - self._at} bytes stand between the contents and the checksum")
        except SnapshotError as error:
            raise SnapshotError(f"{path}: {error}") from error

    def _split(self) -> _Header:
        """Take the free sections out of the header and check the rest."""
        check_names(self.sections, _HEADER_NAMES)
        rest = {name: self.sections.pop(name) for name in _HEADER_NAMES if name not in SECTIONS}
        header = from_plain(_Header, rest)
        if header.format != FORMAT:
            raise SnapshotError(f"format: {header.format} does not fit the prologue's {FORMAT}")
        if not isinstance(self.sections["config"], dict):
            raise SnapshotError("config: is not a dict")
        _check_memory_size(header.memory.size)
        if not 0 <= header.blobs.size <= _MOST_BLOBS:
            raise SnapshotError(f"blobs.size: {header.blobs.size} is not 0 to {_MOST_BLOBS}")
        if "" in header.disks:
            raise SnapshotError("disks: one has no name")
        return header

    def _take(self, length: int) -> memoryview:
        """Return the next `length` bytes of the file."""
        if not 0 <= length <= len(self._data) - self._at:
            raise SnapshotError(f"{length} bytes are announced at {self._at}, {len(self._data) - self._at} are there")
        self._at += length
        return self._data[self._at - length : self._at]

    def _table(self, name: str, size: int, blocks: Blocks) -> BlockTable:
        end = SECTORS_END if name else (self.header.memory.size + MOST_CARDS_BYTES) // PAGE
        return BlockTable(_place(name), size, blocks, take=self._take, end=end)

    def fields(self) -> dict[str, Any]:
        """Return the free sections with their bytes back in place."""
        try:
            blobs = self.unpack_blobs()
            return {name: _join_bytes(self.sections[name], blobs, name) for name in SECTIONS}
        except RecursionError:
            raise SnapshotError(f"{self.path}: the fields are nested too deeply") from None

    def unpack_blobs(self) -> bytes:
        """Return the long bytes that the fields point to."""
        return _checked(self.path, lambda: unpack(self._blobs, _MOST_BLOBS, self.header.blobs.size))

    def info(self) -> Info:
        """Return what the file says of itself."""
        return _info(self.header, self.digest, self.size, self.sections)


def _info(header: _Header, digest: str, size: int, sections: Mapping[str, Any]) -> Info:
    return Info(
        name=header.name, digest=digest, parent=header.parent, format=header.format, version=header.version, size=size,
        memory_size=header.memory.size, pages=header.memory.pages,
        disks={name: disk.sectors for name, disk in header.disks.items()},
        config=sections["config"], machine=sections["machine"],
    )  # fmt: skip


def _place(disk: str) -> str:
    return f"disks.{disk}.sectors" if disk else "memory.pages"


def _check_memory_size(size: int) -> None:
    if not 0 <= size <= LARGEST_BYTES or size % PAGE:
        raise SnapshotError(f"memory.size: {size} is no number of whole pages up to {LARGEST_BYTES}")


# -- parents ----------------------------------------------------------------------------------------------------
def _chain(path: Path) -> list[_File]:
    """Return the files that make the snapshot at `path`, the one without a parent first, checked as a whole."""
    chain = [_File(path)]
    while (parent := chain[0].header.parent) is not None:
        chain.insert(0, _find_parent(chain[0], parent, [file.path.name for file in chain]))
    top, header = chain[-1], chain[-1].header
    hashes = _chain_hashes(chain)
    start = _start_of_identity(header.origin, top.sections, header.memory.size, header.bases())
    digest = _identity(start, top.unpack_blobs(), [hashes[name] for name in top.tables])
    if digest != top.digest:
        raise SnapshotError(f"{path}: what it holds does not fit its identity {top.digest[:12]}")
    return chain


def _find_parent(child: _File, parent: Parent, used: list[str]) -> _File:
    """Look for the parent beside the child by its identity; among equals, the one with the recorded name is first."""
    folder = child.path.parent
    places = [
        place for place in folder.glob(f"*{SUFFIX}") if place.name not in used and identity(place) == parent.digest
    ]
    if not places:
        raise SnapshotError(
            f"{child.path}: its parent {parent.name!r} (identity {parent.digest[:12]}) is not in {folder}; "
            "it is missing or was altered"
        )
    place = min(places, key=lambda place: (place.stem != parent.name, place.name))
    try:
        return _File(place)
    except SnapshotError as error:
        raise SnapshotError(f"{child.path}: its parent {parent.name!r} cannot be used: {error}") from error


def _chain_hashes(chain: list[_File]) -> dict[str, Hashes]:
    """Return the hashes of every block that the last file of the chain has, by disk ("" is memory)."""
    found: dict[str, Hashes] = {}
    for name in chain[-1].tables:
        found[name] = {}
        for file in chain:
            if name in file.tables:
                file.tables[name].lay_hashes_over(found[name])
    return found


def _resolved(chain: list[_File], disk: str) -> dict[int, bytes]:
    """Return the blocks of one memory or disk that the last file of the chain has, in order."""
    found: dict[int, bytes] = {}
    for file in chain:
        if (table := file.tables.get(disk)) is not None:
            _checked(file.path, partial(table.lay_over, found))
    return dict(sorted(found.items()))


def _checked(path: Path, action: Callable[[], T]) -> T:
    """Do something with a file; what it complains of begins with the file's name."""
    try:
        return action()
    except SnapshotError as error:
        raise SnapshotError(f"{path}: {error}") from error


def _identity(start: bytes, blobs: bytes, tables: Iterable[Hashes]) -> str:
    """Return what names a snapshot: a hash of what it holds, however it is stored, and of where it came from."""
    digest = blake2b(start, digest_size=32)
    digest.update(len(blobs).to_bytes(8, "little") + blobs)
    for hashes in tables:
        table = sorted(hashes.items())
        digest.update(to_little("Q", [len(table), *(number for number, _ in table)]))
        digest.update(b"".join(hashed for _, hashed in table))
    return digest.hexdigest()


def _start_of_identity(origin: str, sections: Mapping[str, Any], size: int, bases: Mapping[str, Base]) -> bytes:
    return _dump([origin, sections, size, {name: [base.digest, base.size] for name, base in bases.items()}])


# -- writing ----------------------------------------------------------------------------------------------------
def _write(path: Path, contents: Contents, *, name: str, origin: str, above: list[_File]) -> Info:
    """Put the parts together and write them; `above` is the parent's chain, or empty."""
    _check_contents(contents)
    blobs = bytearray()
    sections = _split_sections(contents.fields, blobs)
    tables = _packed_tables(contents, above)
    start = _start_of_identity(origin, sections, contents.memory_size, contents.bases)
    digest = _identity(start, bytes(blobs), [table.hashes for table in tables.values()])
    packed_blobs = pack(bytes(blobs))
    counts = {place: table.blocks() for place, table in tables.items()}
    header = _Header(
        format=FORMAT, version=_version(), name=name, origin=origin,
        parent=Parent(above[-1].digest, above[-1].header.name) if above else None, created=None,
        blobs=_Blobs(len(blobs), len(packed_blobs)), memory=_Memory(contents.memory_size, counts.pop("")),
        disks={disk: _Disk(contents.bases[disk], blocks) for disk, blocks in counts.items()},
    )  # fmt: skip
    body = [packed_blobs, *(part for table in tables.values() for part in table.parts())]
    parts = _framed(digest, _dump(to_plain(header) | sections), body)
    try:
        replace_file(path, parts)
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be written: {error.strerror or error}") from error
    return _info(header, digest, sum(map(len, parts)), sections)


def _split_sections(fields: Mapping[str, Any], blobs: bytearray) -> dict[str, Any]:
    try:
        sections = {section: _split_bytes(fields[section], blobs, section) for section in SECTIONS}
    except RecursionError:
        raise SnapshotError("the fields are nested too deeply") from None
    if len(blobs) > _MOST_BLOBS:
        raise SnapshotError(f"the fields hold {len(blobs)} bytes; {_MOST_BLOBS} is the most")
    return sections


def _packed_tables(contents: Contents, above: list[_File]) -> dict[str, PackedBlocks]:
    """Return what is to be stored of memory ("") and each disk, by what the parent's chain has."""
    below = _chain_hashes(above) if above else {}
    pages = {number: page for number, page in contents.pages.items() if page != ZERO_PAGE}
    blocks = {"": pages} | {disk: contents.disks[disk] for disk in contents.bases}
    return {place: PackedBlocks(found, below.get(place, {})) for place, found in blocks.items()}


def _framed(digest: str, text: bytes, body: list[bytes]) -> list[bytes]:
    """Return the file's parts, from the prologue to the checksum."""
    if len(text) > _LONGEST_HEADER:
        raise SnapshotError(f"the fields take {len(text)} bytes; {_LONGEST_HEADER} is the most")
    header = pack(text)
    length = _PROLOGUE.size + len(header) + sum(map(len, body)) + _CHECKSUM_BYTES
    parts = [_PROLOGUE.pack(MAGIC, FORMAT, len(header), length, bytes.fromhex(digest)), header, *body]
    checksum = blake2b(digest_size=_CHECKSUM_BYTES)
    for part in parts:
        checksum.update(part)
    return [*parts, checksum.digest()]


def _check_contents(contents: Contents) -> None:
    """Refuse what could not be loaded again; raises `SnapshotError` naming the field."""
    check_names(contents.fields, SECTIONS)
    _check_memory_size(contents.memory_size)
    check_names(contents.bases, tuple(contents.disks), "bases")
    if not isinstance(contents.fields["config"], dict):
        raise SnapshotError("config: is not a dict")
    if "" in contents.disks:
        raise SnapshotError("disks: one has no name")
    _check_blocks("", contents.pages, PAGE, (contents.memory_size + MOST_CARDS_BYTES) // PAGE)
    for name, sectors in contents.disks.items():
        _check_blocks(name, sectors, SECTOR, SECTORS_END)


def _check_blocks(name: str, blocks: Mapping[int, bytes], size: int, end: int) -> None:
    for number, block in blocks.items():
        if not 0 <= number < end or len(block) != size:
            raise SnapshotError(f"{_place(name)}[{number}]: has {len(block)} bytes, or lies past the end")


# -- reading ----------------------------------------------------------------------------------------------------
def _read(path: Path) -> bytes:
    """Return a regular file's bytes; raises `SnapshotError`."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SnapshotError(f"{path}: is not a regular file, so it is no snapshot")
        return path.read_bytes()
    except FileNotFoundError:
        raise SnapshotError(f"{path}: there is no such snapshot") from None
    except (OSError, ValueError) as error:
        raise SnapshotError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _check_frame(path: Path, data: memoryview) -> tuple[int, str]:
    """Check prologue and checksum; return the header's length and the identity. Raises `SnapshotError`."""
    if bytes(data[: len(MAGIC)]) != MAGIC[: len(data)] or not data:
        raise SnapshotError(f"{path}: is not a snapshot")
    if len(data) < _PROLOGUE.size:
        raise SnapshotError(f"{path}: is cut short: it ends in the prologue, after {len(data)} bytes")
    _, number, header_length, length, digest = _PROLOGUE.unpack_from(data)
    if number != FORMAT:
        hint = f"newer than this program's {FORMAT}; update minivm" if number > FORMAT else "unknown"
        raise SnapshotError(f"{path}: format: {number} is {hint}")
    if len(data) < length:
        raise SnapshotError(f"{path}: is cut short: {len(data)} of {length} bytes are there")
    if len(data) > length or length < _PROLOGUE.size + _CHECKSUM_BYTES:
        raise SnapshotError(f"{path}: is damaged: it has {len(data)} bytes and says {length}")
    if blake2b(data[:-_CHECKSUM_BYTES], digest_size=_CHECKSUM_BYTES).digest() != data[-_CHECKSUM_BYTES:]:
        raise SnapshotError(f"{path}: is damaged: its checksum does not fit")
    return header_length, digest.hex()


def _parse(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"the header is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise SnapshotError("the header is not a dict")
    return found


def _dump(value: object) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"a field cannot be written: {error}") from None


# -- bytes among the fields -------------------------------------------------------------------------------------
def _split_bytes(value: Any, blobs: bytearray, where: str) -> Any:
    """Return plain `value` as JSON has it; long bytes go to `blobs`. Raises `SnapshotError` for what is not plain."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes() if len(value) <= _INLINE_BYTES:
            return {"$hex": value.hex()}
        case bytes():
            blobs += value
            return {"$bytes": [len(blobs) - len(value), len(value)]}
        case list():
            return [_split_bytes(item, blobs, f"{where}[{index}]") for index, item in enumerate(value)]
        case dict():
            for key in value:
                if not isinstance(key, str) or key.startswith("$"):
                    raise SnapshotError(f"{where}: {key!r} cannot be a field's name")
            return {key: _split_bytes(item, blobs, join(where, key)) for key, item in value.items()}
    raise SnapshotError(f"{where}: a {type(value).__name__} is not a plain value")


def _join_bytes(value: Any, blobs: bytes, where: str) -> Any:
    """Undo `_split_bytes`; raises `SnapshotError`."""
    match value:
        case {"$hex": str(text), **rest} if not rest:
            try:
                return bytes.fromhex(text)
            except ValueError:
                raise SnapshotError(f"{where}: is not hex") from None
        case {"$bytes": [int(start), int(length)], **rest} if not rest:
            if start < 0 or length < 0 or start + length > len(blobs):
                raise SnapshotError(f"{where}: its bytes lie past the end of the blobs")
            return blobs[start : start + length]
        case list():
            return [_join_bytes(item, blobs, f"{where}[{index}]") for index, item in enumerate(value)]
        case dict() if any(key.startswith("$") for key in value):
            raise SnapshotError(f"{where}: {', '.join(value)} stand for nothing that is known")
        case dict():
            return {key: _join_bytes(item, blobs, join(where, key)) for key, item in value.items()}
    return value


def _version() -> str:
    import sys

    package = sys.modules[__name__.partition(".")[0]]  # an import would point up, to the front door
    return str(package.__version__)
