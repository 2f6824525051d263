"""Where things go in RAM: the guest where it says, MiniVM's own tables where the guest is not.

Own tables lie as high as possible below 9F000h (above that an extended BIOS data area may be), and behind the
guest when low memory has no room.
"""

from minivm.core.memory import PAGE
from minivm.errors import ImageError
from minivm.loaders.plan import CONVENTIONAL_END, HIGH_START, BootPlan, Entry

LOW_BOTTOM = 0x500
"""The first byte behind the interrupt vectors and the BIOS data area."""
LOW_TOP = 0x9_F000
STACK_BYTES = 0x1_0000

# Descriptors with base 0 and limit 4 GiB (SDM vol. 3, section 3.4.5); "accessed", as after a load
_CODE_32, _CODE_64, _DATA = 0x00CF_9B00_0000_FFFF, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF
CODE_SELECTOR, DATA_SELECTOR = 0x08, 0x10

_PRESENT_WRITABLE, _LARGE_PAGE = 0x3, 0x80  # page-table entries (SDM vol. 3, table 4-14 and on)
_TABLES = 6
_TWO_MIB = 2 << 20


class Layout:
    """RAM of `memory_bytes` as it fills; `name` begins each error."""

    def __init__(self, memory_bytes: int, name: str) -> None:
        self.name = name
        self._memory_bytes = memory_bytes
        self._taken: list[tuple[int, int, str]] = []
        self._segments: list[tuple[int, bytes]] = []
        self._zeroed: list[tuple[int, int]] = []

    def place(self, start: int, data: bytes, what: str, length: int | None = None) -> None:
        """Put `data` at `start`, with zeros behind it up to `length` bytes.

        Raises `ImageError` when that is not all RAM or is taken.
        """
        end = start + max(len(data), length or 0)
        ram_end = CONVENTIONAL_END if start < CONVENTIONAL_END else self._memory_bytes
        if end > ram_end or CONVENTIONAL_END <= start < HIGH_START:
            raise ImageError(
                f"{self.name}: {what} at {start:X}h-{end - 1:X}h is not in RAM, which is 0h-{CONVENTIONAL_END - 1:X}h "
                f"and {HIGH_START:X}h-{self._memory_bytes - 1:X}h; give it another address, or more --memory"
            )
        for other_start, other_end, other in self._taken:
            if start < other_end and other_start < end:
                raise ImageError(f"{self.name}: {what} at {start:X}h-{end - 1:X}h overlaps {other} at {other_start:X}h")
        self._taken.append((start, end, what))
        if data:
            self._segments.append((start, data))
        if end > start + len(data):
            self._zeroed.append((start + len(data), end - start - len(data)))

    def holds(self, address: int) -> bool:
        """Return whether something was placed at `address`."""
        return any(start <= address < end for start, end, _ in self._taken)

    def behind(self, length: int, what: str) -> int:
        """Reserve `length` bytes on a page's start behind everything in extended memory; return the address."""
        address = max([HIGH_START, *(end for _, end, _ in self._taken)])
        address = -(-address // PAGE) * PAGE
        if address + length > self._memory_bytes:
            raise ImageError(
                f"{self.name}: {what} needs {length} bytes at {address:X}h, but RAM ends at {self._memory_bytes:X}h; "
                "give more --memory"
            )
        self._taken.append((address, address + length, what))
        return address

    def reserve(self, length: int, what: str) -> int:
        """Reserve `length` bytes on a page's start, high in low memory if there is room; return the address."""
        address = (LOW_TOP - length) // PAGE * PAGE
        while address >= LOW_BOTTOM:
            met = [start for start, end, _ in self._taken if start < address + length and address < end]
            if not met:
                self._taken.append((address, address + length, what))
                return address
            address = (min(met) - length) // PAGE * PAGE
        return self.behind(length, what)

    def fill(self, address: int, data: bytes) -> None:
        """Put `data` into a place that was reserved."""
        self._segments.append((address, data))

    def plan(self, kind: str, entry: Entry) -> BootPlan:
        """Return the finished plan."""
        return BootPlan(kind, None, tuple(self._segments), tuple(self._zeroed), entry)

    def flat_entry(self, ip: int, bits: int, registers: tuple[tuple[str, int], ...] = ()) -> Entry:
        """Lay out the tables for a start at `ip` in flat 32-bit or 64-bit mode: a GDT, page tables, a stack."""
        gdt = (0, _CODE_64 if bits == 64 else _CODE_32, _DATA)
        table = b"".join(descriptor.to_bytes(8, "little") for descriptor in gdt)
        gdt_base = self.reserve(PAGE, "the GDT")
        self.fill(gdt_base, table)
        cr3 = self._identity_map() if bits == 64 else 0
        stack = self.reserve(STACK_BYTES, "the stack") + STACK_BYTES
        return Entry(
            "long" if bits == 64 else "protected",
            ip,
            (("rsp", stack), *registers),
            gdt_base=gdt_base,
            gdt_limit=len(table) - 1,
            cr3=cr3,
        )

    def _identity_map(self) -> int:
        """Map the first 4 GiB to themselves in pages of 2 MiB; return the PML4's address."""
        pml4 = self.reserve(_TABLES * PAGE, "the page tables")
        directories = pml4 + 2 * PAGE
        pointers = [directories + index * PAGE | _PRESENT_WRITABLE for index in range(4)]
        pages = [page * _TWO_MIB | _LARGE_PAGE | _PRESENT_WRITABLE for page in range(4 * 512)]
        for address, entries in ((pml4, [pml4 + PAGE | _PRESENT_WRITABLE]), (pml4 + PAGE, pointers)):
            self.fill(address, _table(entries))
        self.fill(directories, _table(pages))
        return pml4


def _table(entries: list[int]) -> bytes:
    data = b"".join(entry.to_bytes(8, "little") for entry in entries)
    return data.ljust(-(-len(data) // PAGE) * PAGE, b"\0")
