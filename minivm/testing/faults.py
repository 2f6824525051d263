"""Faults to inject into a running machine: interrupt lines that are stuck or lose edges, disks that fail or are slow.

    faults = Faults(vm)
    faults.lose_interrupts(irq=1)            # the next key press interrupts nobody
    faults.disk("disk0").fail(63)            # sector 63 cannot be read or written
    faults.disk("disk0").slow(5_000_000)     # every access takes 5 virtual milliseconds

A chip alone on a `DeviceBench` has its faults at its wires (`bench.line("irq").stick(True)`). Faults are the test's,
not the machine's: neither snapshots nor clones take them along.
"""

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from minivm.core.record import record
from minivm.errors import DiskError, WiringError

if TYPE_CHECKING:
    from minivm.machine import Machine

CASCADE_IRQ = 2


class Faults:
    """All faults of one machine; as a context manager it ends them at the block's end."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._lines: dict[int, LineFault] = {}
        self._disks: dict[str, DiskFaults] = {}

    def stick(self, irq: int, level: bool) -> None:
        """Hold an interrupt line at a level, whatever its chip does."""
        self._line(irq).stick(level)

    def lose_interrupts(self, irq: int, count: int = 1) -> None:
        """Let the next `count` rising edges of an interrupt line, and the level after them, not reach the PIC."""
        self._line(irq).lose(count)

    def free(self, irq: int) -> None:
        """Let an interrupt line work again; it gets the level that its chip drives."""
        self._line(irq).free()

    def disk(self, name: str) -> "DiskFaults":
        """Return the faults of a disk by its drive, "disk0" or "floppy0"; raises `WiringError` listing the drives."""
        disks = self._machine.disks
        if name not in disks:
            raise WiringError(f"there is no drive {name!r}; this machine has {', '.join(sorted(disks)) or 'none'}")
        if name not in self._disks:
            self._disks[name] = disks[name].faults = DiskFaults(self._machine.engine.charge)
        return self._disks[name]

    def mend(self) -> None:
        """End all faults."""
        for line in self._lines.values():
            line.free()
        for name in self._disks:
            self._machine.disks[name].faults = None
        self._lines.clear()
        self._disks.clear()

    def __enter__(self) -> "Faults":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.mend()

    def _line(self, irq: int) -> "LineFault":
        if not isinstance(irq, int) or irq not in range(16) or irq == CASCADE_IRQ:
            raise WiringError(f"IRQ{irq} is no line of a chip; give 0 to 15, but not {CASCADE_IRQ}")
        if irq not in self._lines:
            self._lines[irq] = LineFault(self._machine.devices["pic"], irq)
        return self._lines[irq]


class LineFault:
    """A fault in the wire to one input of the PIC pair: it stands between `Pic.drive` and its callers."""

    def __init__(self, pair: Any, irq: int) -> None:
        self._pic = pair.slave if irq > 7 else pair.master
        self._bit = 1 << (irq & 7)
        self._drive = self._pic.drive
        self._pic.drive = self._driven
        self._wanted = bool(self._pic.state().lines & self._bit)
        self._stuck: bool | None = None
        self._losing, self._lost = 0, False

    def stick(self, level: bool) -> None:
        """Hold the level."""
        self._stuck = level
        self._arrive()

    def lose(self, edges: int) -> None:
        """Lose the next rising edges."""
        self._losing = edges

    def free(self) -> None:
        """Work again."""
        self._stuck, self._losing, self._lost = None, 0, False
        self._arrive()

    def _driven(self, bit: int, level: bool) -> None:
        if bit != self._bit:
            self._drive(bit, level)
            return
        if level and not self._wanted and self._losing and self._stuck is None:
            self._losing -= 1
            self._lost = True
        self._wanted = level
        self._lost = self._lost and level
        self._arrive()

    def _arrive(self) -> None:
        self._drive(self._bit, self._wanted and not self._lost if self._stuck is None else self._stuck)


@record
class _BadSectors:
    first: int
    count: int
    reads: bool
    writes: bool

    def meets(self, lba: int, count: int) -> bool:
        return lba < self.first + self.count and self.first < lba + count


class DiskFaults:
    """The faults of one disk; `wait` lets virtual time pass, in nanoseconds, and `told` hears of each access.

    A machine's disk asks it at every access (`Disk.faults`); the guest sees what its controller makes of the failure.
    """

    def __init__(
        self, wait: Callable[[int], object] | None = None, told: Callable[[str, int, int], None] | None = None
    ) -> None:
        self._wait, self._told = wait, told
        self._bad: list[_BadSectors] = []
        self._short: dict[int, int] = {}
        self._delay_ns = 0
        self.accesses: list[tuple[str, int, int]] = []
        """What was asked of the disk since the faults are in: ("read" or "write", first sector, how many)."""

    def fail(self, lba: int, count: int = 1, *, reads: bool = True, writes: bool = True) -> None:
        """Let reading and writing of `count` sectors from `lba` fail as the host's EIO would."""
        self._bad.append(_BadSectors(lba, count, reads, writes))

    def short(self, lba: int, kept_bytes: int) -> None:
        """Let reads of sector `lba` bring only its first bytes, and zeros: an image that was cut."""
        self._short[lba] = kept_bytes

    def slow(self, delay_ns: int) -> None:
        """Let every access take so many virtual nanoseconds; 0 makes the disk fast again."""
        self._delay_ns = delay_ns

    def mend(self) -> None:
        """End all faults of this disk."""
        self._bad.clear()
        self._short.clear()
        self._delay_ns = 0

    # -- what the disk asks -----------------------------------------------------------------------------------------
    def before(self, kind: str, lba: int, count: int) -> None:
        """Hear of an access, and let it take its time or fail: raises `DiskError`."""
        self.accesses.append((kind, lba, count))
        if self._told is not None:
            self._told(kind, lba, count)
        if self._delay_ns and self._wait is not None:
            self._wait(self._delay_ns)
        for bad in self._bad:
            if (bad.reads if kind == "read" else bad.writes) and bad.meets(lba, count):
                raise DiskError(f"an injected fault: sectors {lba} to {lba + count - 1} cannot be {_PAST[kind]}")

    def shorten(self, lba: int, data: bytes, sector_bytes: int) -> bytes:
        """Return what of `data`, read from `lba` on, really comes."""
        for short, kept in self._short.items():
            at = (short - lba) * sector_bytes
            if 0 <= at < len(data):
                end = at + sector_bytes
                data = data[: at + kept] + bytes(sector_bytes - kept) + data[end:]
        return data


_PAST = {"read": "read", "write": "written"}
