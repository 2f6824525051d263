"""ELF executables: a kernel that is linked at its physical addresses.

System V ABI, "Object Files" and "Program Loading". The fields are few and every one of them may lie, so they are read
here with their bounds checked, not by a library: it would take half as long to import as all of MiniVM.
"""

import struct

from minivm.config import MachineConfig
from minivm.core.record import record
from minivm.errors import ImageError
from minivm.loaders.image import Image
from minivm.loaders.layout import Layout
from minivm.loaders.plan import BootPlan

LARGEST_FILE_BYTES = 256 << 20
"""A kernel with its debug information may be larger than the machine's RAM, but not without end."""

MOST_SEGMENTS = 256

_EXECUTABLE, _LOAD = 2, 1
_KINDS = {1: "an object file; link it first", 3: "position-independent or a shared object; link it with -no-pie",
          4: "a core dump"}  # fmt: skip
_MACHINES = {3: 32, 62: 64}
_OTHER_MACHINES = {2: "SPARC", 8: "MIPS", 20: "PowerPC", 21: "PowerPC", 40: "ARM", 183: "AArch64", 243: "RISC-V"}


@record
class Segment:
    """A PT_LOAD program header: `file_bytes` from `offset` go to `physical`, zeros follow up to `memory_bytes`."""

    number: int
    offset: int
    virtual: int
    physical: int
    file_bytes: int
    memory_bytes: int


@record
class Elf:
    """An executable of 32 or 64 `bits`: where it starts (virtual), what it loads, where its section headers are."""

    bits: int
    entry: int
    segments: tuple[Segment, ...]
    sections_offset: int
    section_bytes: int
    section_count: int
    names_index: int


def parse(data: bytes, name: str) -> Elf:
    """Read the ELF header and the program headers; raises `ImageError` for all that is not an x86 executable."""
    if len(data) < (64 if data[4:5] == b"\2" else 52) or data[:4] != b"\x7fELF":
        raise ImageError(f"{name}: is not an ELF file, or its header is cut off")
    if data[4] not in (1, 2) or data[5] != 1:
        raise ImageError(f"{name}: is not a little-endian ELF file of 32 or 64 bits")
    bits = 32 * data[4]
    layout = "<HHIIIIIHHHHHH" if bits == 32 else "<HHIQQQIHHHHHH"
    (kind, machine, _, entry, headers_offset, sections_offset, _, _, header_bytes, header_count,
     section_bytes, section_count, names_index) = struct.unpack_from(layout, data, 16)  # fmt: skip
    _check_machine(machine, bits, name)
    if kind != _EXECUTABLE:
        raise ImageError(f"{name}: is {_KINDS.get(kind, f'an ELF file of type {kind}')}, not an executable")
    if header_bytes != (32 if bits == 32 else 56) or not header_count:
        raise ImageError(f"{name}: has no program headers; a kernel must be linked, with segments to load")
    if header_count > MOST_SEGMENTS:
        raise ImageError(f"{name}: has {header_count} program headers, where a kernel has at most {MOST_SEGMENTS}")
    segments = _segments(
        data, name, bits, range(headers_offset, headers_offset + header_bytes * header_count, header_bytes)
    )
    return Elf(bits, entry, segments, sections_offset, section_bytes, section_count, names_index)


def _check_machine(machine: int, bits: int, name: str) -> None:
    if machine not in _MACHINES:
        raise ImageError(f"{name}: is for {_OTHER_MACHINES.get(machine, f'ELF machine {machine}')}, not for x86")
    if _MACHINES[machine] != bits:
        raise ImageError(f"{name}: is an ELF file of {bits} bits for a machine of {_MACHINES[machine]}")


def _segments(data: bytes, name: str, bits: int, places: range) -> tuple[Segment, ...]:
    if places.stop > len(data):
        raise ImageError(f"{name}: is truncated: its program headers end at byte {places.stop} of {len(data)}")
    found = (_segment(data, bits, place, number) for number, place in enumerate(places))
    segments = tuple(segment for segment in found if segment is not None)
    for segment in segments:
        if segment.file_bytes > segment.memory_bytes:
            raise ImageError(f"{name}: segment {segment.number} has more bytes in the file than in memory")
        if segment.offset + segment.file_bytes > len(data):
            end = segment.offset + segment.file_bytes
            raise ImageError(f"{name}: is truncated: segment {segment.number} ends at byte {end} of {len(data)}")
    if not segments:
        raise ImageError(f"{name}: has no segment to load")
    return segments


def _segment(data: bytes, bits: int, place: int, number: int) -> Segment | None:
    """Read one program header; None unless it is one to load that takes memory."""
    if bits == 32:
        kind, offset, virtual, physical, in_file, in_memory = struct.unpack_from("<IIIIII", data, place)
    else:
        kind, _, offset, virtual, physical, in_file, in_memory = struct.unpack_from("<IIQQQQQ", data, place)
    if kind != _LOAD or in_memory == 0:
        return None
    return Segment(number, offset, virtual, physical, in_file, in_memory)


def place_segments(elf: Elf, data: bytes, layout: Layout) -> int:
    """Put each segment at its physical address; return the entry's physical address.

    An entry that lies in a segment's virtual range moves with that segment, as for a kernel in the higher half; one
    that does not is physical already.
    """
    for segment in elf.segments:
        content = data[segment.offset : segment.offset + segment.file_bytes]
        # A linker without a script likes to put the file's own header on a page before the code, where no RAM may be.
        header = " with the ELF header, which ld -n leaves out," if segment.offset == 0 else ""
        layout.place(segment.physical, content, f"segment {segment.number}{header}", segment.memory_bytes)
    for segment in elf.segments:
        if segment.virtual <= elf.entry < segment.virtual + segment.memory_bytes:
            return elf.entry - segment.virtual + segment.physical
    if not layout.holds(elf.entry):
        raise ImageError(f"{layout.name}: the entry {elf.entry:X}h lies in no segment that is loaded")
    return elf.entry


def load(image: Image, config: MachineConfig) -> BootPlan:
    """Put a plain ELF executable into RAM and start it in flat 32-bit mode, or in long mode when it is ELF64."""
    data = image.read(LARGEST_FILE_BYTES)
    elf = parse(data, image.name)
    layout = Layout(config.memory, image.name)
    entry = place_segments(elf, data, layout)
    return layout.plan("elf", layout.flat_entry(entry, elf.bits))
