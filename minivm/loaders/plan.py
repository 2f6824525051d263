"""The plan: what goes where before the first instruction, and how the CPU begins.

    prepare(config)  ->  what kind is it?  ->  one loader  ->  BootPlan

A boot sector, floppy, disk or CD leaves everything to the BIOS (INT 19h): its plan is a drive. A flat binary or a
kernel is put into RAM by the plan, which then also says in which mode and where the CPU starts.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from minivm.config import BOOT_LETTERS, MachineConfig
from minivm.core.record import record
from minivm.errors import ConfigError, ImageError
from minivm.loaders.image import Image

if TYPE_CHECKING:
    from minivm.core.memory import Memory
    from minivm.storage.disk import Disk

Mode = Literal["real", "protected", "long"]

MemoryMap = Sequence[tuple[int, int, int]]
"""What INT 15h AX=E820h tells: (base, length, type), type 1 for usable RAM and 2 for reserved."""

RAM, RESERVED = 1, 2
EXTENDED_DATA, CONVENTIONAL_END = 0x9_FC00, 0xA_0000
"""The last KiB of conventional memory is the BIOS's extended data area, which a kernel may overwrite."""
HIGH_START = 0x10_0000
_CHUNK = 0x1_0000

FLOPPY, HARD_DISK, CDROM = 0x00, 0x80, 0xE0
"""The BIOS's numbers of the first drive of each medium; El Torito (section 2) leaves a CD's to the BIOS."""
_DRIVES = {"floppy": FLOPPY, "disk": HARD_DISK, "cdrom": CDROM}
MOST_ATA_DRIVES = 4


@record
class Entry:
    """How the CPU starts when no BIOS starts it.

    "real": at `cs`:`ip` with DS = ES = `ds`, SS = `ss` and FS = GS = `fs`. "protected": 32-bit, all segments flat,
    paging off, at the physical address `ip`. "long": 64-bit with the first 4 GiB mapped to themselves by the tables at
    `cr3`. `registers` are (name, value) pairs as `Registers` has them; those not named are 0.
    """

    mode: Mode
    ip: int
    registers: tuple[tuple[str, int], ...] = ()
    cs: int = 0
    ds: int = 0
    ss: int = 0
    fs: int = 0
    interrupts: bool = False
    gdt_base: int = 0
    gdt_limit: int = 0
    cr3: int = 0


@record
class BootPlan:
    """What to do before the first instruction.

    `drive` is the first boot drive, or None; its `medium` tells a floppy, a disk and a CD. `segments` are (physical
    address, bytes) for RAM, `zeroed` (physical address, length) must be zeros. Without `entry` the CPU boots through
    INT 19h.
    """

    kind: str
    drive: "Disk | None" = None
    segments: tuple[tuple[int, bytes], ...] = ()
    zeroed: tuple[tuple[int, int], ...] = ()
    entry: Entry | None = None

    @property
    def boot_drive(self) -> int:
        """The BIOS's number of the first boot drive: 00h for a floppy, 80h for a hard disk, E0h for a CD."""
        return FLOPPY if self.drive is None else _DRIVES[self.drive.medium]

    def boot_order(self, letters: str | None) -> tuple[int, ...]:
        """Return the drives to boot from: those of `MachineConfig.boot_order`, or all with the plan's own first."""
        if letters is not None:
            return tuple(_DRIVES[BOOT_LETTERS[letter]] for letter in letters)
        return (self.boot_drive, *(drive for drive in _DRIVES.values() if drive != self.boot_drive))

    def load(self, memory: "Memory") -> None:
        """Put everything into RAM; also right for a warm start, over what the last run left."""
        for address, data in self.segments:
            memory.write(address, data)
        for address, length in self.zeroed:
            _clear(memory, address, address + length)


def _clear(memory: "Memory", start: int, end: int) -> None:
    zeros = bytes(_CHUNK)
    for address in range(start, end, _CHUNK):
        size = min(_CHUNK, end - address)
        # Reading costs the host no page where nobody wrote yet; writing zeros would.
        if memory.view[address : address + size] != zeros[:size]:
            memory.write(address, zeros[:size])


def prepare(config: MachineConfig, *, data: bytes | None = None, memory_map: MemoryMap | None = None) -> BootPlan:
    """Return how to boot `config.guest`, or `data` under that name; without either, an empty plan of kind "none".

    `memory_map` is what the BIOS will answer, for kernels that are told at their start. Raises `ImageError` in one
    line when there is nothing that boots, and `ConfigError` when there are more disks and CDs than ATA drives.
    """
    if config.guest is None and data is None:
        ata_places(len(config.disks), len(config.cdroms))
        return BootPlan("none")
    if data is not None:
        image = Image.of_bytes(data, str(config.guest or "guest"))
    else:
        assert config.guest is not None
        image = Image.open(config.guest)
    if image.size == 0:
        raise ImageError(f"{image.name}: is empty")
    kind = config.boot
    if kind is None:
        from minivm.loaders.detect import detect

        kind = detect(image.head, image.size, image.name)
    ata_places(len(config.disks) + (kind == "disk"), len(config.cdroms) + (kind == "iso"))
    return _load(kind, image, config, memory_map or pc_memory_map(config.memory))


def ata_places(disks: int, cdroms: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return which ATA drives so many disks and CDs are.

    0 is the primary channel's master, 1 its slave, 2 the secondary channel's master, 3 its slave. Disks fill them from
    0; CDs take 2, where QEMU has its one, then 3, 1 and 0. Raises `ConfigError` beyond four.
    """
    if disks + cdroms > MOST_ATA_DRIVES:
        raise ConfigError(
            f"disks: {disks} hard disks and {cdroms} CDs are {disks + cdroms} drives, but a PC's two ATA channels take "
            f"{MOST_ATA_DRIVES}; leave {disks + cdroms - MOST_ATA_DRIVES} out"
        )
    free = [place for place in (2, 3, 1, 0) if place >= disks]
    return tuple(range(disks)), tuple(free[:cdroms])


def pc_memory_map(memory_bytes: int) -> MemoryMap:
    """Return the map of a PC with `memory_bytes` of RAM, with the BIOS's data area and ROM taken out."""
    return (
        (0, EXTENDED_DATA, RAM),
        (EXTENDED_DATA, CONVENTIONAL_END - EXTENDED_DATA, RESERVED),
        (0xF_0000, 0x1_0000, RESERVED),
        (HIGH_START, memory_bytes - HIGH_START, RAM),
    )[: 4 if memory_bytes > HIGH_START else 3]


def _load(kind: str, image: Image, config: MachineConfig, memory_map: MemoryMap) -> BootPlan:
    """Call the loader of `kind`; each is imported only when it is needed."""
    match kind:
        case "sector" | "floppy" | "disk" | "iso":
            from minivm.loaders import sector

            return sector.LOADERS[kind](image, config)
        case "flat":
            from minivm.loaders import flat

            return flat.load(image, config)
        case "elf":
            from minivm.loaders import elf

            return elf.load(image, config)
        case "multiboot":
            from minivm.loaders import multiboot

            return multiboot.load(image, config, memory_map)
        case "linux":
            from minivm.loaders import linux

            return linux.load(image, config, memory_map)
    raise AssertionError(kind)
