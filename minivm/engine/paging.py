"""From linear to physical addresses: the page walk of the 386 and its successors, and linear memory for the CPU itself.

Intel SDM vol. 3, chapter 4. One table lookup (`_look_up`) serves two callers: `translate`, which checks rights, sets
accessed and dirty bits and raises `PageFault` as the processor does, and `walk`, which changes nothing and shows every
level to the debugger. Physical addresses have 40 bits, as in the processor that the engine models.
"""

from struct import Struct
from typing import NamedTuple, Protocol

from minivm.core.memory import AddressSpace
from minivm.core.record import record
from minivm.engine.cpustate import (
    AC,
    CR0_PG,
    CR0_WP,
    CR4_PAE,
    CR4_PSE,
    CR4_SMAP,
    CR4_SMEP,
    EFER_NXE,
    HF_CPL,
    HF_LMA,
    Registers,
)

PAGE_FAULT, GENERAL_PROTECTION = 14, 13

# A paging-structure entry (SDM vol. 3, tables 4-5 to 4-20)
PRESENT, WRITABLE, USER, ACCESSED, DIRTY, LARGE = 0x1, 0x2, 0x4, 0x20, 0x40, 0x80
NO_EXECUTE = 1 << 63
ADDRESS_BITS = 40
_ADDRESS = (1 << ADDRESS_BITS) - 0x1000
_BEYOND_ADDRESS = 0x000F_FFFF_FFFF_FFFF & ~((1 << ADDRESS_BITS) - 1)
_HIGH_BITS = 0x7FF0_0000_0000_0000  # reserved with PAE, free for software in long mode
_PSE36_RESERVED = 1 << 21
_RIGHTS = WRITABLE | USER | ACCESSED | DIRTY

# A page fault's error code (SDM vol. 3, figure 4-12)
FAULT_PRESENT, FAULT_WRITE, FAULT_USER, FAULT_RESERVED, FAULT_FETCH = 0x1, 0x2, 0x4, 0x8, 0x10


class Processor(Protocol):
    """What delivery, the page walk and the fast calls need of a CPU engine."""

    @property
    def cpu(self) -> Registers:
        """The registers; `cpu.head` is edited in place."""

    @property
    def space(self) -> AddressSpace:
        """Physical memory."""

    @property
    def efer(self) -> int:
        """The extended feature enable register, MSR C0000080h."""

    def msr(self, index: int) -> int:
        """Return the model-specific register `index`."""

    def load_cr3(self, value: int) -> None:
        """Put `value` into CR3 and forget all cached translations."""


class Fault(Exception):
    """An exception that the CPU raises while it works on something; control flow inside the engine, not an error.

    `error_code` is None where the vector has none. `reason` says in words which check failed. `in_new_task` is True
    when a task switch had already committed, so that the fault belongs to the new task's first instruction.
    """

    def __init__(self, vector: int, error_code: int | None, reason: str) -> None:
        super().__init__(reason)
        self.vector = vector
        self.error_code = error_code
        self.reason = reason
        self.in_new_task = False


class PageFault(Fault):
    """The walk for `linear` ended without a page, or its rights forbid the access."""

    error_code: int

    def __init__(self, error_code: int, linear: int, reason: str = "") -> None:
        super().__init__(PAGE_FAULT, error_code, f"page fault at {linear:08X}h: {reason}")
        self.linear = linear


class _Table(NamedTuple):
    """One level of a page walk: its name, how far its index lies to the left, and how many bits the index has."""

    name: str
    shift: int
    bits: int


_TABLES_32 = (_Table("PDE", 22, 10), _Table("PTE", 12, 10))
_TABLES_PAE = (_Table("PDPTE", 30, 2), _Table("PDE", 21, 9), _Table("PTE", 12, 9))
_TABLES_LONG = (_Table("PML4E", 39, 9), _Table("PDPTE", 30, 9), _Table("PDE", 21, 9), _Table("PTE", 12, 9))


class _Look(NamedTuple):
    """What the tables say: each level's (address, entry), the rights of all levels together, and the page."""

    entries: list[tuple[int, int]]
    rights: int  # WRITABLE, USER and ACCESSED where all levels have it, and the last one's DIRTY
    no_execute: bool
    frame: int  # physical address of the page
    page_size: int  # bytes; 0 when there is no page, or a reserved bit is set
    reserved: bool


@record
class Level:
    """One step of a page walk: the entry's name ("PDE"), its physical address and its value."""

    name: str
    address: int
    entry: int


@record
class Walk:
    """A whole page walk of `linear`; `physical` is None and `problem` says why when it finds no page."""

    linear: int
    levels: tuple[Level, ...]
    physical: int | None
    page_size: int
    writable: bool
    user: bool
    executable: bool
    problem: str = ""


def translate(processor: Processor, linear: int, *, write: bool, user: bool, fetch: bool = False) -> int:
    """Return the physical address of `linear` for one access, and mark the page accessed (and dirty).

    Raises `PageFault` with the error code of SDM vol. 3, section 4.7, and `Fault` for a non-canonical address.
    A supervisor access (`user` False) ignores R/W unless CR0.WP, and U/S unless CR4.SMEP or SMAP forbid it.
    """
    head = processor.cpu.head
    if not head.cr[0] & CR0_PG:
        return linear
    if not is_canonical(processor, linear):
        raise Fault(GENERAL_PROTECTION, 0, f"the address {linear:X}h is not canonical")
    look = _look_up(processor, linear)
    rights = look.rights
    needed = ACCESSED | DIRTY | WRITABLE if write else ACCESSED
    if rights & needed != needed or user or fetch or not look.page_size or head.cr[4] & (CR4_SMEP | CR4_SMAP):
        _check(processor, look, linear, write=write, user=user, fetch=fetch)
        _mark(processor, look, write)
    return look.frame | (linear & (look.page_size - 1))


def walk(processor: Processor, linear: int) -> Walk:
    """Return every level of the walk of `linear` without changing anything, for the debugger and the autopsy."""
    if not processor.cpu.head.cr[0] & CR0_PG:
        return Walk(linear, (), linear, 1 << 32, True, True, True)
    if not is_canonical(processor, linear):
        return Walk(linear, (), None, 0, False, False, False, "the address is not canonical")
    look = _look_up(processor, linear)
    problem = _problem(processor, look)
    names = _tables(processor)
    return Walk(
        linear,
        tuple(Level(names[depth].name, *entry) for depth, entry in enumerate(look.entries)),
        None if problem else look.frame | (linear & (look.page_size - 1)),
        look.page_size,
        bool(look.rights & WRITABLE),
        bool(look.rights & USER),
        not look.no_execute,
        problem,
    )


def describe_walk(found: Walk) -> str:
    """Return the walk as one line: each level's entry, and what is wrong with the last."""
    steps = [f"{level.name} at {level.address:08X}h is {level.entry:08X}h" for level in found.levels]
    rights = f"{'writable' if found.writable else 'read-only'}, {'user' if found.user else 'supervisor'}"
    end = found.problem if found.physical is None else f"physical {found.physical:08X}h, {rights}"
    return f"linear {found.linear:08X}h: " + "; ".join([*steps, end])


def is_canonical(processor: Processor, linear: int) -> bool:
    """Return whether bits 63:47 of `linear` are all equal; always true outside long mode (SDM vol. 1, 3.3.7.1)."""
    if not processor.cpu.head.hflags & HF_LMA:
        return True
    return linear >> 47 in (0, 0x1FFFF)


# -- linear memory, for the CPU's own accesses ----------------------------------------------------------------------


def read_linear(processor: Processor, linear: int, size: int, user: bool = False) -> int:
    """Return `size` bytes (1, 2, 4 or 8) at `linear` as a little-endian number; raises `Fault`."""
    return int.from_bytes(read_bytes(processor, linear, size, user), "little")


def write_linear(processor: Processor, linear: int, size: int, value: int, user: bool = False) -> None:
    """Store `size` bytes at `linear`; raises `Fault` before anything is stored."""
    write_bytes(processor, linear, value.to_bytes(size, "little"), user)


def read_bytes(processor: Processor, linear: int, length: int, user: bool = False) -> bytes:
    """Return `length` bytes at `linear`; raises `Fault`."""
    room = 0x1000 - (linear & 0xFFF)
    if length > room:
        first = read_bytes(processor, linear, room, user)
        return first + read_bytes(processor, linear + room, length - room, user)
    physical = _physical(processor, linear, False, user)
    space = processor.space
    physical &= space.a20_mask
    return space.load_bytes(physical, length)


def peek_bytes(processor: Processor, linear: int, length: int) -> bytes:
    """Return `length` bytes at `linear` and leave no accessed bits behind; raises `Fault`."""
    if not processor.cpu.head.cr[0] & CR0_PG:
        return processor.space.load_bytes(linear, length)
    parts: list[bytes] = []
    while length > 0:
        physical = walk(processor, linear).physical
        if physical is None:
            raise Fault(PAGE_FAULT, 0, f"{linear:X}h is not mapped")
        piece = min(length, 0x1000 - (linear & 0xFFF))
        parts.append(processor.space.load_bytes(physical & processor.space.a20_mask, piece))
        linear, length = linear + piece, length - piece
    return b"".join(parts)


def write_bytes(processor: Processor, linear: int, data: bytes, user: bool = False) -> None:
    """Store `data`, at most a page, at `linear`; raises `Fault` before anything is stored."""
    room = 0x1000 - (linear & 0xFFF)
    if len(data) <= room:
        _store(processor.space, _physical(processor, linear, True, user), data)
        return
    first = _physical(processor, linear, True, user)
    second = _physical(processor, linear + room, True, user)
    _store(processor.space, first, data[:room])
    _store(processor.space, second, data[room:])


def check_writable(processor: Processor, linear: int, length: int) -> None:
    """Raise `Fault` now if storing `length` bytes (at most a page) at `linear` would raise it later."""
    _physical(processor, linear, True, False)
    _physical(processor, linear + length - 1, True, False)


def _physical(processor: Processor, linear: int, write: bool, user: bool) -> int:
    """Return the physical address; linear ones wrap at 4 GiB outside long mode."""
    head = processor.cpu.head
    linear &= 0xFFFF_FFFF_FFFF_FFFF if head.hflags & HF_LMA else 0xFFFF_FFFF
    return translate(processor, linear, write=write, user=user) if head.cr[0] & CR0_PG else linear


def _store(space: AddressSpace, physical: int, data: bytes) -> None:
    """Store a run that crosses no page, so that the A20 mask keeps it in one piece."""
    physical &= space.a20_mask
    region = space.region_at(physical, len(data))
    if region is None:
        space.store_bytes(physical, data)
    elif region.writable:
        space.memory.write(physical, data)


# -- the lookup -----------------------------------------------------------------------------------------------------


def _tables(processor: Processor) -> tuple[_Table, ...]:
    head = processor.cpu.head
    if not head.cr[4] & CR4_PAE:
        return _TABLES_32
    return _TABLES_LONG if head.hflags & HF_LMA else _TABLES_PAE


def _look_up(processor: Processor, linear: int) -> _Look:
    """Follow the tables for `linear` as far as they go."""
    head = processor.cpu.head
    if not head.cr[4] & CR4_PAE:
        return _look_up_32(processor.space, head.cr[3] & 0xFFFF_F000, linear, bool(head.cr[4] & CR4_PSE))
    no_nx = 0 if processor.efer & EFER_NXE else NO_EXECUTE
    if head.hflags & HF_LMA:
        return _look_up_wide(processor.space, _TABLES_LONG, head.cr[3] & _ADDRESS, linear, _BEYOND_ADDRESS | no_nx)
    reserved = _BEYOND_ADDRESS | _HIGH_BITS | no_nx
    return _look_up_wide(processor.space, _TABLES_PAE, head.cr[3] & 0xFFFF_FFE0, linear, reserved)


def _look_up_32(space: AddressSpace, directory: int, linear: int, large_pages: bool) -> _Look:
    """Walk two levels of 4-byte entries (SDM vol. 3, section 4.3), with 4 MiB pages above 4 GiB (PSE-36)."""
    address = directory + (linear >> 20 & 0xFFC)
    pde = _entry(space, address, 4)
    entries = [(address, pde)]
    if not pde & PRESENT:
        return _Look(entries, 0, False, 0, 0, False)
    if large_pages and pde & LARGE:
        if pde & _PSE36_RESERVED:
            return _Look(entries, 0, False, 0, 0, True)
        return _Look(entries, pde & _RIGHTS, False, (pde & 0xFFC0_0000) | (pde & 0x1F_E000) << 19, 1 << 22, False)
    address = (pde & 0xFFFF_F000) + (linear >> 10 & 0xFFC)
    pte = _entry(space, address, 4)
    entries.append((address, pte))
    size = 4096 if pte & PRESENT else 0
    return _Look(entries, (pde | DIRTY) & pte & _RIGHTS, False, pte & 0xFFFF_F000, size, False)


def _look_up_wide(space: AddressSpace, tables: tuple[_Table, ...], base: int, linear: int, reserved: int) -> _Look:
    """Walk three or four levels of 8-byte entries (SDM vol. 3, sections 4.4 and 4.5)."""
    entries: list[tuple[int, int]] = []
    rights, no_execute = _RIGHTS, 0
    for _, shift, bits in tables:
        address = base + ((linear >> shift & ((1 << bits) - 1)) << 3)
        entry = _entry(space, address, 8)
        entries.append((address, entry))
        pae_root = bits == 2  # it has no R/W, U/S or PS bits, and its NX is reserved
        if not entry & PRESENT:
            return _Look(entries, rights, bool(no_execute), 0, 0, False)
        if entry & (reserved | (LARGE if shift == 39 else NO_EXECUTE if pae_root else 0)):
            return _Look(entries, rights, bool(no_execute), 0, 0, True)
        base = entry & _ADDRESS
        if pae_root:
            continue
        no_execute |= entry & NO_EXECUTE
        if entry & LARGE and shift > 12:
            inside = (1 << shift) - 1
            reserved = base & inside & ~0x1000
            size = 0 if reserved else inside + 1
            return _Look(entries, rights & entry, bool(no_execute), base & ~inside, size, bool(reserved))
        rights &= entry if shift == 12 else entry | DIRTY
    return _Look(entries, rights, bool(no_execute), base, 4096, False)


_UNPACK = {4: Struct("<I").unpack_from, 8: Struct("<Q").unpack_from}


def _entry(space: AddressSpace, address: int, size: int) -> int:
    address &= space.a20_mask
    region = space.region_at(address, size)
    if region is None:
        return space.load(address, size)
    value: int = _UNPACK[size](space.memory.view, address + region.shift)[0]
    return value


# -- rights ---------------------------------------------------------------------------------------------------------


def _problem(processor: Processor, look: _Look) -> str:
    """Say why the walk found no page; "" when it found one."""
    name = _tables(processor)[len(look.entries) - 1].name
    address, entry = look.entries[-1]
    if look.reserved:
        return f"the {name} {entry:08X}h at {address:08X}h has reserved bits set"
    return "" if look.page_size else f"the {name} {entry:08X}h at {address:08X}h is not present"


def _check(processor: Processor, look: _Look, linear: int, *, write: bool, user: bool, fetch: bool) -> None:
    """Raise `PageFault` when there is no page, or its rights forbid the access."""
    problem = _problem(processor, look) or _forbidden(processor, look, write=write, user=user, fetch=fetch)
    if problem:
        code = _error_code(processor, look, write=write, user=user, fetch=fetch)
        raise PageFault(code, linear, problem)


def _forbidden(processor: Processor, look: _Look, *, write: bool, user: bool, fetch: bool) -> str:
    """Say which right is missing for this access; "" when none is (SDM vol. 3, section 4.6.1)."""
    head = processor.cpu.head
    if user:
        if not look.rights & USER:
            return "the page belongs to the supervisor"
        if write and not look.rights & WRITABLE:
            return "the page is read-only"
    elif write and not look.rights & WRITABLE and head.cr[0] & CR0_WP:
        return "the page is read-only and CR0.WP is set"
    elif look.rights & USER and head.cr[4] & (CR4_SMEP | CR4_SMAP):
        if fetch and head.cr[4] & CR4_SMEP:
            return "SMEP forbids the supervisor to execute a user page"
        opened = head.eflags & AC and head.hflags & HF_CPL < 3
        if not fetch and head.cr[4] & CR4_SMAP and not opened:
            return "SMAP forbids the supervisor to touch a user page"
    return "the page is not executable" if fetch and look.no_execute else ""


def _error_code(processor: Processor, look: _Look, *, write: bool, user: bool, fetch: bool) -> int:
    head = processor.cpu.head
    code = FAULT_PRESENT | FAULT_RESERVED if look.reserved else FAULT_PRESENT if look.page_size else 0
    code |= (FAULT_WRITE if write else 0) | (FAULT_USER if user else 0)
    if fetch and (head.cr[4] & CR4_SMEP or (head.cr[4] & CR4_PAE and processor.efer & EFER_NXE)):
        code |= FAULT_FETCH
    return code


def _mark(processor: Processor, look: _Look, write: bool) -> None:
    """Set the accessed bit of each level and the dirty bit of the last, where they are not yet set."""
    size = 8 if processor.cpu.head.cr[4] & CR4_PAE else 4
    leaf = len(look.entries) - 1
    root_of_pae = size == 8 and not processor.cpu.head.hflags & HF_LMA
    for depth, (address, entry) in enumerate(look.entries):
        wanted = ACCESSED | DIRTY if depth == leaf and write else ACCESSED
        if entry & wanted != wanted and not (root_of_pae and depth == 0):
            processor.space.store(address, size, entry | wanted)
