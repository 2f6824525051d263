"""Page tables as a tree, as ranges and as the walk of one address; and memory read without leaving a trace.

Intel SDM vol. 3, chapter 4. Nothing here sets an accessed bit, raises a fault or asks a device: whoever looks changes
nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

from minivm.core.describe import Field, Register, decode, flag
from minivm.core.record import record, replace
from minivm.engine.cpustate import (
    AC,
    CR0_PG,
    CR0_WP,
    CR4_PAE,
    CR4_PSE,
    CR4_SMAP,
    CR4_SMEP,
    EFER_NXE,
    HF_LMA,
)
from minivm.engine.paging import (
    ADDRESS_BITS,
    FAULT_FETCH,
    FAULT_PRESENT,
    FAULT_RESERVED,
    FAULT_USER,
    FAULT_WRITE,
    LARGE,
    NO_EXECUTE,
    PRESENT,
    USER,
    WRITABLE,
    Processor,
    Walk,
    walk,
)

PAGE = 0x1000
_ADDRESS = (1 << ADDRESS_BITS) - PAGE


# -- memory without a trace -----------------------------------------------------------------------------------------


def physical_of(processor: Processor, linear: int) -> int | None:
    """Return the physical address behind `linear`, after A20, or None where no page is; changes nothing."""
    long_mode = processor.cpu.head.hflags & HF_LMA
    linear &= 0xFFFF_FFFF_FFFF_FFFF if long_mode else 0xFFFF_FFFF
    physical = walk(processor, linear).physical
    return None if physical is None else physical & processor.space.a20_mask


def peek(processor: Processor, linear: int, length: int) -> bytes:
    """Return up to `length` bytes at `linear`, as many as RAM and ROM hold; changes nothing and asks no device."""
    found = b""
    while len(found) < length:
        at = linear + len(found)
        part = min(length - len(found), PAGE - at % PAGE)
        physical = physical_of(processor, at)
        if physical is None:
            break
        data = peek_physical(processor, physical, part)
        found += data
        if len(data) < part:
            break
    return found


def peek_physical(processor: Processor, physical: int, length: int) -> bytes:
    """Return up to `length` bytes at a physical address, as many as RAM and ROM hold."""
    space = processor.space
    region = space.region_at(physical)
    if region is None:
        return b""
    return bytes(space.memory.view[physical + region.shift : min(physical + length, region.end) + region.shift])


def peek_number(processor: Processor, linear: int, size: int) -> int | None:
    """Return the little-endian number of `size` bytes at `linear`, or None when not all of it is in RAM or ROM."""
    data = peek(processor, linear, size)
    return int.from_bytes(data, "little") if len(data) == size else None


# -- entries --------------------------------------------------------------------------------------------------------

_COMMON = (
    flag("A", 5, "accessed", "not accessed"), flag("PCD", 4, "cache off"), flag("PWT", 3, "write-through"),
    flag("U/S", 2, "user", "supervisor"), flag("R/W", 1, "writable", "read-only"),
    flag("P", 0, "present", "not present"),
)  # fmt: skip
_GLOBAL, _DIRTY = flag("G", 8, "global"), flag("D", 6, "dirty", "not dirty")
_NX = flag("XD", 63, "not executable", "executable")


_LEAF_SHIFTS = {("PDE", False): 22, ("PDE", True): 21, ("PDPTE", True): 30}
_IN_PAE_ROOT = frozenset({"P", "PWT", "PCD", "address"})


def _entry_register(name: str, *, leaf: bool, wide: bool) -> Register:
    shift = _LEAF_SHIFTS.get((name, wide), 12) if leaf else 12
    address = Field("address", ADDRESS_BITS - 1 if wide else 31, shift, lambda number: f"{number << shift:08X}h")
    fields: tuple[Field, ...] = (_NX, address) if wide else (address,)
    if leaf:
        large = name != "PTE"
        fields += (flag("PAT", 12 if large else 7, "PAT"), _GLOBAL)
        fields += (flag("PS", 7, "a large page"), _DIRTY) if large else (_DIRTY,)
    return Register(name, name, 0, "rw", fields + _COMMON)


def entry_words(name: str, entry: int, *, leaf: bool, wide: bool, pae_root: bool = False) -> list[str]:
    """Return each bit of a paging-structure entry in words, such as "R/W: writable" (SDM vol. 3, tables 4-5 to 4-20).

    `leaf` says that it maps a page, `wide` that it has 8 bytes, `pae_root` that it is one of the four of PAE paging,
    which have no rights. Of an entry that is not present all other bits are the software's.
    """
    if not entry & PRESENT:
        return ["P: not present"]
    decoded = decode(_entry_register(name, leaf=leaf, wide=wide), entry)
    return [
        f"{one.field.name}: {one.words}"
        for one in reversed(decoded)
        if one.words and (not pae_root or one.field.name in _IN_PAE_ROOT)
    ]


# -- one address ----------------------------------------------------------------------------------------------------


@record
class Step:
    """One level of a walk: the entry's name, its physical address, its value, and each of its bits in words."""

    name: str
    address: int
    entry: int
    words: tuple[str, ...]


@record
class WalkReport:
    """The walk of one linear address for one access.

    `problem` says why the access would fault, and is empty when it would not; `error_code` is what #PF would push.
    """

    linear: int
    access: str
    user: bool
    steps: tuple[Step, ...]
    physical: int | None
    page_size: int
    writable: bool
    is_user: bool
    executable: bool
    problem: str
    error_code: int | None


def explain_walk(processor: Processor, linear: int, access: str = "read", *, user: bool | None = None) -> WalkReport:
    """Walk the tables for `linear` as `access` ("read", "write" or "execute") would, and say why it faults.

    `user` is the level of the access; without it, that of the CPU now (CPL 3 is user).
    """
    found = walk(processor, linear)
    as_user = processor.cpu.cpl == 3 if user is None else user
    problem = found.problem or _forbidden(processor, found, access, as_user)
    wide = bool(processor.cpu.head.cr[4] & CR4_PAE)
    last = len(found.levels) - 1
    steps = tuple(
        Step(level.name, level.address, level.entry,
             tuple(entry_words(level.name, level.entry, wide=wide, leaf=depth == last and found.page_size > 0,
                               pae_root=depth == 0 and level.name == "PDPTE")))
        for depth, level in enumerate(found.levels)
    )  # fmt: skip
    code = _error_code(processor, found, access, as_user) if problem and found.levels else None
    return WalkReport(
        linear, access, as_user, steps, found.physical, found.page_size, found.writable, found.user, found.executable,
        problem, code,
    )  # fmt: skip


def _forbidden(processor: Processor, found: Walk, access: str, user: bool) -> str:
    """Say which right is missing; "" when none is (SDM vol. 3, section 4.6.1)."""
    head = processor.cpu.head
    if not head.cr[0] & CR0_PG:
        return ""
    if user:
        if not found.user:
            return "the page belongs to the supervisor"
        if access == "write" and not found.writable:
            return "the page is read-only"
    elif access == "write" and not found.writable and head.cr[0] & CR0_WP:
        return "the page is read-only and CR0.WP is set"
    elif found.user and access == "execute" and head.cr[4] & CR4_SMEP:
        return "SMEP forbids the supervisor to execute a user page"
    elif found.user and access != "execute" and head.cr[4] & CR4_SMAP and not head.eflags & AC:
        return "SMAP forbids the supervisor to touch a user page"
    return "the page is not executable" if access == "execute" and not found.executable else ""


def _error_code(processor: Processor, found: Walk, access: str, user: bool) -> int:
    """Return what #PF would push (SDM vol. 3, figure 4-12)."""
    reserved = "reserved" in found.problem
    code = FAULT_PRESENT if found.page_size or reserved else 0
    code |= FAULT_RESERVED if reserved else 0
    code |= (FAULT_WRITE if access == "write" else 0) | (FAULT_USER if user else 0)
    cr4 = processor.cpu.head.cr[4]
    if access == "execute" and (cr4 & CR4_SMEP or (cr4 & CR4_PAE and processor.efer & EFER_NXE)):
        code |= FAULT_FETCH
    return code


def walk_text(report: WalkReport) -> list[str]:
    """Return a walk as lines: one a level, and what comes out."""
    lines = [
        f"{step.name} at {step.address:08X}h is {step.entry:0{16 if step.entry >> 32 else 8}X}h: "
        + "; ".join(step.words)
        for step in report.steps
    ]
    who = f"{report.access} by {'user' if report.user else 'supervisor'} code"
    if report.problem:
        code = "" if report.error_code is None else f", error code {report.error_code:X}h"
        return [*lines, f"linear {report.linear:08X}h, {who}: faults{code}, because {report.problem}"]
    if not report.steps:
        return [f"linear {report.linear:08X}h is physical {report.linear:08X}h: paging is off"]
    size = _size_words(report.page_size)
    return [*lines, f"linear {report.linear:08X}h, {who}: physical {report.physical or 0:08X}h in a page of {size}"]


def _size_words(size: int) -> str:
    for unit, bytes_each in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= bytes_each:
            return f"{size // bytes_each} {unit}"
    return f"{size} bytes"


# -- the tree -------------------------------------------------------------------------------------------------------


class _Shape(NamedTuple):
    """One level: the name of its entries, what one entry covers as a shift, its index bits, and its entries' bytes."""

    name: str
    shift: int
    bits: int
    entry_bytes: int


_SHAPES_32 = (_Shape("PDE", 22, 10, 4), _Shape("PTE", 12, 10, 4))
_SHAPES_PAE = (_Shape("PDPTE", 30, 2, 8), _Shape("PDE", 21, 9, 8), _Shape("PTE", 12, 9, 8))
_SHAPES_LONG = (_Shape("PML4E", 39, 9, 8), *(shape._replace(bits=9) for shape in _SHAPES_PAE))


@record
class Node:
    """One present entry of a paging structure: where it lies, what it covers, and whether it maps a page.

    `depth` counts from 0 at the root. `writable`, `user` and `executable` hold for the whole way to here.
    """

    name: str
    depth: int
    index: int
    linear: int
    size: int
    address: int
    entry: int
    leaf: bool
    target: int
    writable: bool
    user: bool
    executable: bool


@record
class Range:
    """A run of linear addresses mapped to a run of physical ones with the same rights."""

    linear: int
    length: int
    physical: int
    writable: bool
    user: bool
    executable: bool

    def __str__(self) -> str:
        rights = "r" + ("w" if self.writable else "-") + ("x" if self.executable else "-")
        end = self.linear + self.length - 1
        who = "user" if self.user else "supervisor"
        return f"{self.linear:08X}h-{end:08X}h -> {self.physical:08X}h {rights} {who}"


def page_tables(processor: Processor) -> Iterator[Node]:
    """Yield the present entries of the root table, lazily; none while paging is off."""
    head = processor.cpu.head
    if head.cr[0] & CR0_PG:
        shapes = _shapes(processor)
        mask = 0xFFFF_F000 if shapes is _SHAPES_32 else 0xFFFF_FFE0 if shapes is _SHAPES_PAE else _ADDRESS
        yield from _nodes(processor, shapes, 0, head.cr[3] & mask, None)


def children(processor: Processor, node: Node) -> Iterator[Node]:
    """Yield the present entries of the table that `node` points at; none below a page."""
    shapes = _shapes(processor)
    if not node.leaf and node.depth + 1 < len(shapes):
        yield from _nodes(processor, shapes, node.depth + 1, node.target, node)


def mappings(processor: Processor) -> Iterator[Range]:
    """Yield all mapped ranges in order of linear address, neighbours with equal rights as one; lazy.

    While paging is off that is the one range of all addresses.
    """
    if not processor.cpu.head.cr[0] & CR0_PG:
        yield Range(0, 1 << 32, 0, True, True, True)
        return
    last: Range | None = None
    for page in _pages(processor, page_tables(processor), set()):
        if last is not None and _continues(last, page):
            last = replace(last, length=last.length + page.size)
            continue
        if last is not None:
            yield last
        last = Range(page.linear, page.size, page.target, page.writable, page.user, page.executable)
    if last is not None:
        yield last


def _continues(last: Range, page: Node) -> bool:
    return (
        (last.linear + last.length, last.physical + last.length) == (page.linear, page.target)
        and (last.writable, last.user, last.executable) == (page.writable, page.user, page.executable)
    )  # fmt: skip


def _pages(processor: Processor, nodes: Iterator[Node], empty: set[tuple[int, int]]) -> Iterator[Node]:
    """Yield the pages below `nodes`. `empty` remembers tables without any, so that a maze of them ends soon."""
    for node in nodes:
        if node.leaf:
            yield node
        elif (node.depth, node.target) not in empty:
            found = False
            for page in _pages(processor, children(processor, node), empty):
                found = True
                yield page
            if not found:
                empty.add((node.depth, node.target))


def _shapes(processor: Processor) -> tuple[_Shape, ...]:
    head = processor.cpu.head
    if not head.cr[4] & CR4_PAE:
        return _SHAPES_32
    return _SHAPES_LONG if head.hflags & HF_LMA else _SHAPES_PAE


def _nodes(
    processor: Processor, shapes: tuple[_Shape, ...], depth: int, table: int, above: Node | None
) -> Iterator[Node]:
    shape = shapes[depth]
    large_pages = shape.entry_bytes == 8 or bool(processor.cpu.head.cr[4] & CR4_PSE)
    raw = peek_physical(processor, table & processor.space.a20_mask, shape.entry_bytes << shape.bits)
    for at in range(0, len(raw) - shape.entry_bytes + 1, shape.entry_bytes):
        entry = int.from_bytes(raw[at : at + shape.entry_bytes], "little")
        if entry & PRESENT:
            place = (depth, at // shape.entry_bytes, table + at)
            yield _node(shape, place, entry, above, large_pages=large_pages)


def _node(
    shape: _Shape, place: tuple[int, int, int], entry: int, above: Node | None, *, large_pages: bool
) -> Node:  # fmt: skip
    depth, index, address = place
    pae_root = shape.bits == 2
    large = shape.name in ("PDE", "PDPTE") and not pae_root and large_pages and bool(entry & LARGE)
    no_execute = shape.entry_bytes == 8 and not pae_root and bool(entry & NO_EXECUTE)
    return Node(
        name=shape.name, depth=depth, index=index, linear=_linear(shape, index, above), size=1 << shape.shift,
        address=address, entry=entry, leaf=shape.name == "PTE" or large, target=_target(shape, entry, large),
        writable=(pae_root or bool(entry & WRITABLE)) and (above is None or above.writable),
        user=(pae_root or bool(entry & USER)) and (above is None or above.user),
        executable=not no_execute and (above is None or above.executable),
    )  # fmt: skip


def _linear(shape: _Shape, index: int, above: Node | None) -> int:
    linear = (0 if above is None else above.linear) | index << shape.shift
    return linear | 0xFFFF_0000_0000_0000 if shape.shift == 39 and linear >> 47 & 1 else linear


def _target(shape: _Shape, entry: int, large: bool) -> int:
    if not large:
        return entry & (0xFFFF_F000 if shape.entry_bytes == 4 else _ADDRESS)
    if shape.entry_bytes == 4:  # PSE-36: bits 39-32 of the address stand in bits 20-13
        return (entry & 0xFFC0_0000) | (entry & 0x1F_E000) << 19
    return entry & _ADDRESS & ~((1 << shape.shift) - 1)
