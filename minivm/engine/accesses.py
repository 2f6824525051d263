"""Port accesses and memory-mapped I/O: where the guest meets the chips, at the exact tick."""

from collections.abc import Callable
from typing import Any

from minivm.core.bus import Bus
from minivm.core.clock import Clock
from minivm.engine import library
from minivm.engine.booking import IO_TICKS, Booking
from minivm.engine.bursts import Bursts
from minivm.engine.thunk import BlockCell

PortAccess = Callable[[str, int, int, int], None]
"""Told of ("in" | "out", port, size in bytes, value)."""


class Accesses:
    """What Unicorn calls for IN, OUT and addresses without memory.

    `bursts` does what REP INS and OUTS repeat. `aim` sets the tick at which the run stops, after a chip has set an
    earlier alarm; `fail` keeps a host's error until Unicorn has returned.
    """

    def __init__(
        self,
        *,
        ports: Bus,
        mmio: Bus,
        clock: Clock,
        cell: BlockCell,
        booking: Booking,
        bursts: Bursts,
        aim: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.reads = self.writes = 0
        self.listener: PortAccess | None = None
        self.before: Callable[[int], None] | None = None
        self._ports, self._mmio, self._clock = ports, mmio, clock
        self._cell = cell
        self._charge = booking.charge
        self._aim = aim
        self._bursts = bursts
        self._bursting = bursts.ports
        self._slow = ports.slow
        self._fail = fail

    def add_hooks(self, uc: library.Uc) -> None:
        """Have Unicorn call at each IN and OUT."""
        uc.hook(library.HOOK_INSN, library.IN_CALLBACK(self._on_in), insn=library.INSN_IN)
        uc.hook(library.HOOK_INSN, library.OUT_CALLBACK(self._on_out), insn=library.INSN_OUT)

    def _on_in(self, uc: int, port: int, size: int, data: int) -> int:
        try:
            self.reads += 1
            self._clock.advance_to(self._charge(self._slow.get(port, IO_TICKS)))
            if self.before is not None:
                self.before(port)
            value = self._ports.read(port, size)
            if self.listener is not None:
                self.listener("in", port, size, value)
            if self._clock.next_due < self._cell.limit:
                self._aim()
            if port in self._bursting and self.listener is None and self.before is None:
                self.reads += self._bursts.after_in(port, size)
                if self._clock.next_due < self._cell.limit:
                    self._aim()
            return value
        except BaseException as error:
            self._fail(error)
            return 0

    def _on_out(self, uc: int, port: int, size: int, value: int, data: int) -> None:
        try:
            self.writes += 1
            self._clock.advance_to(self._charge(IO_TICKS))
            if self.before is not None:
                self.before(port)
            value &= (1 << (8 * size)) - 1
            self._ports.write(port, size, value)
            if self.listener is not None:
                self.listener("out", port, size, value)
            if self._clock.next_due < self._cell.limit:
                self._aim()
            if port in self._bursting and self.listener is None and self.before is None:
                self.writes += self._bursts.after_out(port, size)
                if self._clock.next_due < self._cell.limit:
                    self._aim()
        except BaseException as error:
            self._fail(error)

    def mmio_callbacks(self, base: int) -> tuple[Any, Any]:
        """Return what Unicorn calls for reads and writes of a hole in memory that begins at `base`."""
        bus, clock, cell = self._mmio, self._clock, self._cell

        def read(uc: int, offset: int, size: int, data: int) -> int:
            try:
                clock.advance_to(cell.start)
                return bus.read(base + offset, size) if base + offset + size <= bus.size else (1 << 8 * size) - 1
            except BaseException as error:
                self._fail(error)
                return 0

        def write(uc: int, offset: int, size: int, value: int, data: int) -> None:
            try:
                clock.advance_to(cell.start)
                if base + offset + size <= bus.size:
                    bus.write(base + offset, size, value & ((1 << 8 * size) - 1))
                if clock.next_due < cell.limit:
                    self._aim()
            except BaseException as error:
                self._fail(error)

        return library.MMIO_READ_CALLBACK(read), library.MMIO_WRITE_CALLBACK(write)
