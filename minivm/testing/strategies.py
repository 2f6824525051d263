"""Hypothesis strategies for everything that comes from outside: port accesses, disk images, kernels, snapshots.

    @given(port_streams(8))
    def test_my_chip_never_raises(stream):
        play(stream, MyChip(...), clock)

Files are valid unless `damage` says otherwise: it is the chance, of 1, that each field, or each kind of damage, is
broken. What is drawn shrinks to few accesses, small numbers and no damage.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

try:
    from hypothesis import strategies as st
except ImportError:
    raise ImportError("minivm.testing.strategies needs Hypothesis: pip install hypothesis") from None

from minivm.core.clock import Clock
from minivm.core.device import Port
from minivm.core.record import record
from minivm.errors import SnapshotError
from minivm.storage.geometry import SECTOR
from minivm.testing import fuzz_inputs as inputs

SIZES = (1, 2, 4)
LONGEST_STEP_NS = 100_000_000


# -- numbers --------------------------------------------------------------------------------------------------------
def register_values(size: int = 1) -> st.SearchStrategy[int]:
    """Return numbers of `size` bytes, more often those at which chips differ: edges, single bits, BCD, all ones."""
    bits = 8 * size
    top = (1 << bits) - 1
    edges = {0, 1, 2, 0x7F, 0x80, 0x99, 0x55, 0xAA, top >> 1, (top >> 1) + 1, top - 1, top}
    return st.one_of(
        st.sampled_from(sorted(edge & top for edge in edges)),
        st.integers(0, bits - 1).map(lambda bit: 1 << bit),
        st.integers(0, top),
    )


@st.composite
def _broken(draw: st.DrawFn, value: int, size: int) -> int:
    """Return another number in place of a right one: a near one, one bit off, or any."""
    near = st.sampled_from([value + 1, value - 1, value << 1, value >> 1])
    flipped = st.integers(0, 8 * size - 1).map(lambda bit: value ^ 1 << bit)
    return draw(st.one_of(near, flipped, register_values(size))) & (1 << 8 * size) - 1


def _happens(draw: st.DrawFn, chance: float) -> bool:
    """Tell whether something of that chance happens; it shrinks to no."""
    return chance > 0 and draw(st.integers(0, 999)) >= 1000 - round(chance * 1000)


def _break(draw: st.DrawFn, image: bytes, fields: Iterable[inputs.Field], damage: float) -> bytes:
    """Break each field by itself with the chance `damage`."""
    found = bytearray(image)
    for field in fields:
        if _happens(draw, damage):
            size = _size_of(field)
            now = int.from_bytes(found[field.offset : field.offset + size], "little")
            inputs.put(found, field, draw(_broken(now, size)))
    return bytes(found)


def _size_of(field: inputs.Field) -> int:
    return {"B": 1, "H": 2, "I": 4, "Q": 8}[field.format[-1]]


@st.composite
def _damaged_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Return `data` cut short, with bytes changed, left out, or put in, at a few places."""
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(found) - 1, 0)))
        match draw(st.sampled_from(["change", "cut", "insert", "remove"])):
            case "change" if found:
                found[at] = draw(st.integers(0, 255))
            case "cut":
                del found[at:]
            case "insert":
                found[at:at] = draw(st.binary(min_size=1, max_size=16))
            case _:
                del found[at : at + draw(st.integers(1, 16))]
    return bytes(found)


# -- ports ----------------------------------------------------------------------------------------------------------
@record
class PortRead:
    """A read of `size` bytes at `offset`."""

    offset: int
    size: int


@record
class PortWrite:
    """A write of `value`, `size` bytes wide, at `offset`."""

    offset: int
    size: int
    value: int


@record
class Pause:
    """Virtual time that passes, in nanoseconds."""

    delay_ns: int


PortStream = list[PortRead | PortWrite | Pause]


def port_streams(
    ports: int | Iterable[int],
    *,
    sizes: Sequence[int] = SIZES,
    most: int = 60,
    longest_step_ns: int = LONGEST_STEP_NS,
) -> st.SearchStrategy[PortStream]:
    """Return lists of up to `most` reads, writes and pauses.

    `ports` are the offsets that are reached, or how many there are from 0 on. `longest_step_ns` of 0 leaves out the
    pauses. An access may reach past the last offset, as a guest's may.
    """
    offsets = st.sampled_from(sorted(range(ports) if isinstance(ports, int) else ports))
    widths = st.sampled_from(tuple(sizes))
    reads = st.builds(PortRead, offsets, widths)
    writes = widths.flatmap(lambda size: st.builds(PortWrite, offsets, st.just(size), register_values(size)))
    kinds: list[st.SearchStrategy[Any]] = [reads, writes]
    if longest_step_ns:
        kinds.append(st.builds(Pause, st.one_of(st.integers(0, 2000), st.integers(0, longest_step_ns))))
    return st.lists(st.one_of(kinds), max_size=most)


def play(stream: PortStream, chip: Port, clock: Clock | None = None) -> list[int]:
    """Do a stream on a chip, or on anything with `read` and `write`, and return what the reads gave.

    Pauses advance `clock`; without one they are passed over.
    """
    found: list[int] = []
    for action in stream:
        match action:
            case PortRead(offset=offset, size=size):
                found.append(chip.read(offset, size))
            case PortWrite(offset=offset, size=size, value=value):
                chip.write(offset, size, value)
            case Pause(delay_ns=delay_ns) if clock is not None:
                clock.advance_to(clock.now + delay_ns)
    return found


# -- disks ----------------------------------------------------------------------------------------------------------
_CODE = st.one_of(st.just(inputs.HALT), st.binary(max_size=400))


@st.composite
def disk_images(draw: st.DrawFn, *, damage: float = 0.0, most_bytes: int = 1 << 13) -> bytes:
    """Draw a bootable image: a bare sector, a FAT floppy, or a hard disk with partitions.

    `damage` breaks the fields of FAT's parameter block and of the partition table, the signature, and the size, which
    then is no number of sectors. An image has 8 sectors at least, and at most `most_bytes`.
    """
    kind = draw(st.sampled_from(["sector", "floppy", "disk"]))
    sectors = 1 if kind == "sector" else draw(st.integers(8, max(most_bytes // SECTOR, 8)))
    first = {"sector": _plain_sector, "floppy": _floppy, "disk": _hard_disk}[kind](draw, damage, sectors)
    size = SECTOR * sectors
    image = bytearray(first.ljust(size, b"\0"))
    if _happens(draw, damage):
        image[510:512] = draw(st.binary(min_size=2, max_size=2))
    if _happens(draw, damage):
        size += draw(st.integers(-min(size, 700), 700))
    return bytes(image[:size].ljust(size, b"\0"))


def _plain_sector(draw: st.DrawFn, damage: float, sectors: int) -> bytes:
    return inputs.boot_sector(draw(_CODE))


def _floppy(draw: st.DrawFn, damage: float, sectors: int) -> bytes:
    return _break(draw, inputs.floppy_sector(sectors), inputs.BPB_FIELDS, damage)


def _hard_disk(draw: st.DrawFn, damage: float, sectors: int) -> bytes:
    """Return a sector with one to four partitions behind each other."""
    fields: list[tuple[inputs.Field, int]] = []
    start = 1
    for number in range(draw(st.integers(1, 2))):
        length = draw(st.integers(1, 3))
        values = (0x80 if number == 0 else 0, 0x0101, 0, 0x0C, 0x3FFE, 0xFF, start, length)
        fields += zip(inputs.MBR_FIELDS[8 * number : 8 * number + 8], values, strict=True)
        start += length
    return _break(draw, inputs.boot_sector(draw(_CODE)[:440], fields), inputs.MBR_FIELDS, damage)


# -- kernels --------------------------------------------------------------------------------------------------------
_NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8)


@st.composite
def elf_files(draw: st.DrawFn, *, damage: float = 0.0) -> bytes:
    """Draw an x86 executable of 32 or 64 bits with one to three segments from 1 MiB on, perhaps with symbols.

    `damage` is the chance of each field of the ELF header and of the program headers, and of one cut.
    """
    bits = draw(st.sampled_from([32, 64]))
    count = draw(st.integers(1, 3))
    segments = [
        (0x10_0000 + 0x1_0000 * number, draw(_CODE) or inputs.HALT, draw(st.integers(0, 0x1000)))
        for number in range(count)
    ]
    symbols = [(name, 0x10_0000 + draw(st.integers(0, 400))) for name in draw(st.lists(_NAMES, max_size=3))]
    image = inputs.elf(segments, bits=bits, symbols=symbols)
    image = _break(draw, image, inputs.elf_fields(bits, count), damage)
    return draw(_damaged_bytes(image)) if _happens(draw, damage) else image


@st.composite
def multiboot_images(draw: st.DrawFn, *, damage: float = 0.0) -> bytes:
    """Draw a Multiboot 1 kernel that says itself where it is loaded; `damage` breaks fields of its header."""
    before = 4 * draw(st.integers(0, 300))
    flags = draw(st.integers(0, 7))
    image = inputs.multiboot(draw(_CODE) or inputs.HALT, flags=flags, before=before)
    fields = [field._replace(offset=field.offset + before) for field in inputs.MULTIBOOT_FIELDS]
    image = _break(draw, image, fields, damage)
    if damage and draw(st.booleans()):
        image = _with_right_checksum(image, before)
    return draw(_damaged_bytes(image)) if _happens(draw, damage) else image


def _with_right_checksum(image: bytes, at: int) -> bytes:
    """Return a header whose flags may be broken but whose checksum is right, so that they are looked at."""
    flags = int.from_bytes(image[at + 4 : at + 8], "little")
    checksum = -(inputs.MULTIBOOT_MAGIC + flags) & 0xFFFF_FFFF
    return image[: at + 8] + checksum.to_bytes(4, "little") + image[at + 12 :]


@st.composite
def bzimage_headers(draw: st.DrawFn, *, damage: float = 0.0) -> bytes:
    """Draw a Linux bzImage with a setup header of protocol 2.00 to 2.15 and a kernel that halts.

    `damage` is the chance of each field of the setup header (Documentation/arch/x86/boot.rst).
    """
    changes = {
        "version": draw(st.sampled_from(range(0x20F, 0x1FF, -1))),
        "setup_sects": draw(st.integers(1, 8)),
        "cmdline_size": draw(st.sampled_from([255, 2047])),
        "relocatable_kernel": draw(st.integers(0, 1)),
        "loadflags": draw(st.sampled_from([0x01, 0x81])),
    }
    image = inputs.bzimage(changes, kernel_bytes=draw(st.integers(2, 2048)))
    return _break(draw, image, inputs.BZIMAGE_FIELDS, damage)


# -- whole machines -------------------------------------------------------------------------------------------------
_ODD: tuple[Any, ...] = (None, True, -1, 0, 1, 255, 1 << 31, 1 << 63, 1 << 70, 0.5, "", "x", [], {}, [1], {"a": 1})


@st.composite
def _altered(draw: st.DrawFn, value: Any) -> Any:
    """Return plain values with one of them, at any depth, changed, left out or added."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)) < 9:
        name = draw(st.sampled_from(sorted(value)))
        return {key: draw(_altered(one)) if key == name else one for key, one in value.items()}
    if isinstance(value, list) and value and draw(st.integers(0, 9)) < 9:
        index = draw(st.integers(0, len(value) - 1))
        return [draw(_altered(one)) if number == index else one for number, one in enumerate(value)]
    match draw(st.sampled_from(["replace", "add", "remove"])):
        case "add" if isinstance(value, dict):
            return value | {draw(_NAMES): draw(st.sampled_from(_ODD))}
        case "remove" if isinstance(value, dict) and value:
            gone = draw(st.sampled_from(sorted(value)))
            return {key: one for key, one in value.items() if key != gone}
        case "add" if isinstance(value, int) and not isinstance(value, bool):
            return value + draw(st.integers(-3, 3))
    return draw(st.sampled_from(_ODD))


@st.composite
def snapshots(draw: st.DrawFn, *, damage: float = 0.0) -> bytes:
    """Draw the snapshot file of a machine of 1 MB with random pages in its RAM.

    `damage` is the chance of each of three: a field inside has another value and the file is whole; bytes are changed
    and the checksum is right; bytes are changed and it is not.
    """
    from minivm.core.record import replace
    from minivm.storage import snapshot

    contents = inputs.snapshot_contents()
    pages = draw(st.dictionaries(st.integers(16, 255), st.binary(min_size=1, max_size=64), max_size=3))
    fields = contents.fields
    if _happens(draw, damage):
        section = draw(st.sampled_from(sorted(fields)))
        fields = fields | {section: draw(_altered(fields[section]))}
    more = {number: content.ljust(4096, b"\0") for number, content in pages.items()}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.mvm"
        changed = replace(contents, fields=fields, pages=dict(contents.pages) | more)
        try:
            snapshot.save(path, changed, name="drawn")
        except SnapshotError:  # a value that no snapshot can hold
            snapshot.save(path, contents, name="drawn")
        data = path.read_bytes()
    return _damaged_file(draw, data, damage, inputs.reseal_snapshot)


@st.composite
def recordings(draw: st.DrawFn, *, damage: float = 0.0) -> bytes:
    """Draw the recording of a machine of 1 MB in which a key is pressed; `damage` as for `snapshots`."""
    data = inputs.recording()
    if _happens(draw, damage):
        sections = inputs.recording_sections(data)
        texts = [number for number, (_, content) in enumerate(sections) if not isinstance(content, bytes)]
        chosen = draw(st.sampled_from(texts))
        kind, content = sections[chosen]
        sections[chosen] = kind, draw(_altered(content))
        data = inputs.recording_of(sections)
    return _damaged_file(draw, data, damage, inputs.reseal_recording)


def _damaged_file(draw: st.DrawFn, data: bytes, damage: float, reseal: Callable[[bytes], bytes]) -> bytes:
    if _happens(draw, damage):
        data = reseal(draw(_damaged_bytes(data)))
    if _happens(draw, damage):
        data = draw(_damaged_bytes(data))
    return data


__all__ = [
    "Pause",
    "PortRead",
    "PortStream",
    "PortWrite",
    "bzimage_headers",
    "disk_images",
    "elf_files",
    "multiboot_images",
    "play",
    "port_streams",
    "recordings",
    "register_values",
    "snapshots",
]
