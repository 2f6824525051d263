"""A machine of almost nothing for engine tests: a CPU, 2 MiB, a scripted interrupt source and a few ports.

`conftest.py` makes this file importable as `engine_bench`.
"""

from struct import pack
from typing import Any

from minivm.core.bus import Bus
from minivm.core.clock import Clock
from minivm.core.memory import AddressSpace, Memory, Region
from minivm.engine.cpustate import (
    CR0_PE,
    CR0_PG,
    CR4_PAE,
    CR4_PSE,
    CS,
    DS,
    EFER_LMA,
    EFER_LME,
    EFER_SCE,
    ES,
    FS,
    GS,
    HF_LMA,
    HF_PE,
    RSP,
    SS,
)
from minivm.engine.segments import fill_cache, update_hflags
from minivm.engine.unicorn import UnicornEngine
from minivm.machine import Ended, Machine

RAM_BYTES = 2 << 20
ROM, ROM_BYTES = 0xF0000, 0x10000
MMIO = 0x4000_0000
GDT, IDT, TABLES, STACK, CODE = 0x800, 0x1000, 0x10_0000, 0x9000, 0x7C00
COUNTERS = 0x500
"""A word, in 16-bit mode, or a dword for each vector, which its handler counts up."""
HANDLERS = 0x3000
CODE_SELECTOR, DATA_SELECTOR = 0x08, 0x10
IRQ_VECTOR = 0x30
MODES = ("real", "16", "32", "paged", "long")
TIME_PORT, TIMER_PORT, LOG_PORT, EXIT_PORT = 0x10, 0x20, 0x30, 0x40
TIMER_STEP_NS = 37


class Source:
    """An interrupt controller with one line: `request` raises it, the acknowledge lowers it."""

    def __init__(self, engine: UnicornEngine, log: list[Any]) -> None:
        self.pending = False
        self.deaf = False
        self._engine, self._log = engine, log

    def request(self) -> None:
        self.pending = True
        self._engine.set_intr(True)

    def acknowledge(self) -> int:
        self.pending = False
        self._engine.set_intr(False)
        self._log.append(("irq", self._engine.position, self._engine.cpu.linear_ip))
        return IRQ_VECTOR


class Ports:
    """Four ports: the time, a timer (a write sets its alarm), a log, and the exit. One of them answers at each base."""

    def __init__(self, bench: "Bench", kind: int) -> None:
        self._bench, self._kind = bench, kind

    def read(self, offset: int, size: int) -> int:
        bench = self._bench
        bench.log.append(("in", self._kind, bench.clock.now))
        return bench.clock.now & ((1 << 8 * size) - 1)

    def write(self, offset: int, size: int, value: int) -> None:
        bench = self._bench
        bench.log.append(("out", self._kind, bench.clock.now, value))
        if self._kind == TIMER_PORT:
            bench.clock.after(value * TIMER_STEP_NS, bench.source.request)
        elif self._kind == EXIT_PORT:
            bench.machine.debug_exit(value & 0xFF)


class Bench:
    """A machine whose CPU is put into `mode` with `code` at its instruction pointer; use it as a context manager."""

    def __init__(self, mode: str = "real", code: bytes = b"", *, at: int = CODE, native: bool | None = None) -> None:
        self.memory = Memory(RAM_BYTES)
        self.clock = Clock()
        self.log: list[Any] = []
        mmio = Bus("memory", 1 << 32)
        mmio.map(MMIO, 0x1000, Ports(self, 0), width=4)
        ports = Bus("port", 1 << 16)
        for kind in (TIME_PORT, TIMER_PORT, LOG_PORT, EXIT_PORT):
            ports.map(kind, 4, Ports(self, kind), width=4)
        regions = [Region(0, ROM, True), Region(ROM, ROM_BYTES, False), Region(1 << 20, RAM_BYTES - (1 << 20), True)]
        self.space = AddressSpace(self.memory, mmio, regions)
        self.engine = UnicornEngine(self.space, ports, self.clock, native=native)
        self.source = Source(self.engine, self.log)
        self.machine = Machine(
            engine=self.engine, memory=self.memory, space=self.space, ports=ports, clock=self.clock,
            interrupts=self.source, devices={}, power_on=lambda: None,
        )  # fmt: skip
        self.cpu = self.engine.cpu
        self.mode = mode
        self.memory[at : at + len(code)] = code
        self.enter(mode, at)

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self.machine.close()

    def enter(self, mode: str, at: int = CODE) -> None:
        """Put the CPU into `mode`, with all its tables in memory, at `at`."""
        head = self.cpu.head
        self._write_handlers(mode)
        head.eip = at
        head.regs[RSP] = STACK
        if mode == "real":
            for index in (CS, DS, ES, SS, FS, GS):
                fill_cache(head.segs[index], 0, 0, 0xFFFF, 0x9B00 if index == CS else 0x9300)
        else:
            self._enter_protected(mode)
        update_hflags(head)
        self.engine.flush()

    def _enter_protected(self, mode: str) -> None:
        head = self.cpu.head
        head.cr[0] |= CR0_PE
        head.hflags |= HF_PE
        code = {"16": 0x00_9B00, "long": 0xA0_9B00}.get(mode, 0xC0_9B00)
        data = 0x00_9300 if mode == "16" else 0xC0_9300
        limit = 0xFFFF if mode == "16" else 0xFFFF_FFFF
        for selector, flags in ((CODE_SELECTOR, code), (DATA_SELECTOR, data)):
            high = flags | (0xF_0000 if limit > 0xFFFF else 0)
            self.memory[GDT + selector : GDT + selector + 8] = pack("<II", 0xFFFF, high)
        fill_cache(head.gdt, 0, GDT, 0x17, 0)
        fill_cache(head.idt, 0, IDT, 0xFFF if mode == "long" else 0x7FF, 0)
        if mode in ("paged", "long"):
            self._turn_paging_on(mode)
        for index in (CS, DS, ES, SS, FS, GS):
            selector, flags = (CODE_SELECTOR, code) if index == CS else (DATA_SELECTOR, data)
            fill_cache(head.segs[index], selector, 0, limit, flags)

    def _turn_paging_on(self, mode: str) -> None:
        """Map the first 2 MiB and the MMIO page one to one."""
        head, size = self.cpu.head, 8 if mode == "long" else 4
        head.cr[0] |= CR0_PG
        head.cr[3] = TABLES
        head.cr[4] |= CR4_PAE if mode == "long" else CR4_PSE
        if mode == "long":
            self.engine.efer = EFER_LME | EFER_LMA | EFER_SCE
            head.hflags |= HF_LMA
            entries = {TABLES: TABLES + 0x1003, TABLES + 0x1000: TABLES + 0x2003, TABLES + 0x1008: MMIO | 0x83,
                       TABLES + 0x2000: TABLES + 0x3003}  # fmt: skip
        else:
            entries = {TABLES: TABLES + 0x3003, TABLES + (MMIO >> 22) * 4: MMIO | 0x83}
        for address, entry in entries.items():
            self.memory[address : address + size] = entry.to_bytes(size, "little")
        for page in range(512):
            at = TABLES + 0x3000 + size * page
            self.memory[at : at + size] = (page << 12 | 3).to_bytes(size, "little")

    def _write_handlers(self, mode: str) -> None:
        """Give every vector a handler that counts; those of #DE and #UD also skip the two bytes that faulted."""
        for vector in range(256):
            at = HANDLERS + 32 * vector if vector < 0x40 else HANDLERS + 32 * 0x3F
            code = handler(mode, vector)
            self.memory[at : at + len(code)] = code
            if mode == "real":
                self.memory[4 * vector : 4 * vector + 4] = pack("<HH", at, 0)
            else:
                size = 16 if mode == "long" else 8
                kind = 0x8600 if mode == "16" else 0x8E00
                gate = pack("<HHHHQ", at & 0xFFFF, CODE_SELECTOR, kind, at >> 16, 0)[:size]
                self.memory[IDT + size * vector : IDT + size * (vector + 1)] = gate

    def outcome(self, ended: Ended | None = None) -> dict[str, Any]:
        """What tells two runs apart."""
        return {
            "position": self.engine.position, "registers": self.cpu.as_dict(), "exits": self.engine.exits,
            "halts": self.machine.halts, "log": self.log, "ended": ended or self.machine.ended,
            "counters": bytes(self.memory[COUNTERS : COUNTERS + 0x100]), "ram": self.memory.read(0, RAM_BYTES),
        }  # fmt: skip


def handler(mode: str, vector: int) -> bytes:
    """The code of one vector's handler in `mode`."""
    counter = COUNTERS + 4 * (vector & 0x3F)
    skips = vector in (0, 6)
    reads = b"\x50\xe4" + bytes([TIME_PORT]) + b"\x58" if vector == IRQ_VECTOR else b""  # push ax; in al; pop ax
    if mode in ("real", "16"):
        skip = bytes.fromhex("55 89e5 8346 02 02 5d") if skips else b""  # add word [sp], 2
        return skip + reads + b"\xff\x06" + pack("<H", counter) + b"\xcf"
    if mode == "long":
        skip = bytes.fromhex("4883042402") if skips else b""
        return skip + reads + b"\xff\x04\x25" + pack("<I", counter) + b"\x48\xcf"
    skip = bytes.fromhex("83042402") if skips else b""
    return skip + reads + b"\xff\x05" + pack("<I", counter) + b"\xcf"
