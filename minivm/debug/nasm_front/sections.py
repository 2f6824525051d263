"""Sections of a flat binary, laid one behind the other (NASM manual, section 8.1)."""

from dataclasses import dataclass, field

from minivm.debug.nasm_front.expressions import Value
from minivm.errors import AssemblyError

LARGEST_OUTPUT = 16 << 20
"""Bytes; a guest of more than 16 MiB is a typing mistake in a TIMES."""


@dataclass
class Section:
    """One section in one pass: its bytes so far, and where the last pass says that it begins."""

    name: str
    start: int
    virtual_start: int
    reserved_only: bool = False
    """True for .bss, which takes addresses and no bytes of the file."""
    align: int = 1
    vstart: int | None = None
    absolute: bool = False
    """True behind ABSOLUTE and in a STRUC: labels are plain numbers and nothing is stored."""
    size: int = 0
    data: bytearray = field(default_factory=bytearray)

    @property
    def address(self) -> int:
        """The address of the next byte."""
        return self.virtual_start + self.size

    def value(self, address: int) -> Value:
        """Return an address in this section as a value that moves with it."""
        return Value(address) if self.absolute else Value(address, (("/" + self.name, 1),))

    def emit(self, data: bytes) -> None:
        """Append bytes; raises `AssemblyError` where there is no room for any."""
        if self.absolute or self.reserved_only:
            raise AssemblyError(f"nothing can be stored in {'an absolute section' if self.absolute else self.name}")
        self._grow(len(data))
        self.data += data

    def reserve(self, count: int) -> None:
        """Leave room for `count` bytes, zeros where the file needs bytes."""
        self._grow(count)
        if not self.absolute and not self.reserved_only:
            self.data += bytes(count)

    def _grow(self, count: int) -> None:
        if self.size + count > LARGEST_OUTPUT and not (self.absolute or self.reserved_only):
            raise AssemblyError(f"the code grows beyond {LARGEST_OUTPUT >> 20} MiB here")
        self.size += count


@dataclass(frozen=True)
class Placement:
    """Where a section lies, as the last pass left it: file position from 0, and address."""

    start: int
    virtual_start: int


def place(sections: dict[str, Section], origin: int) -> dict[str, Placement]:
    """Lay the sections out: .text first, the others as they came, those without bytes at the end."""
    order = sorted(sections.values(), key=lambda section: (section.reserved_only, section.name != ".text"))
    placed: dict[str, Placement] = {}
    address = origin
    for section in order:
        if section.size or section.name == ".text":
            address += -address % section.align
        virtual = address if section.vstart is None else section.vstart
        placed[section.name] = Placement(address - origin, virtual)
        address += section.size
    return placed


def flatten(sections: dict[str, Section], placed: dict[str, Placement]) -> bytes:
    """Return the file's bytes, gaps between sections filled with zeros."""
    code = bytearray()
    for section in sorted(sections.values(), key=lambda section: placed[section.name].start):
        if section.reserved_only or not section.data:
            continue
        code += bytes(placed[section.name].start - len(code)) + section.data
    return bytes(code)
