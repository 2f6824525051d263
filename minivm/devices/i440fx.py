"""Intel 440FX, the 82441FX (PMC): the host bridge, function 0 of device 0.

Intel 82441FX datasheet (290549). Of what it does for memory, two registers matter to software here: PAM (59h-5Fh) says
for each piece of C0000h-FFFFFh whether reads and writes reach RAM or the ROM on the other side, which is how a BIOS
copies itself into RAM; SMRAM (72h) hides the memory of system management mode, which this machine does not have.
"""

from collections.abc import Callable

from minivm.core.pci import (
    COMMAND,
    QEMU_MACHINE,
    QUMRANET,
    STATUS,
    STATUS_ERRORS,
    ConfigSpace,
    ConfigState,
    header,
)
from minivm.core.record import record
from minivm.core.register_file import MaskedRegister

PAM = 0x59
PAM_READ, PAM_WRITE = 1, 2
SMRAM = 0x72
SMRAM_OPEN, SMRAM_CLOSED, SMRAM_LOCK, SMRAM_ENABLE = 0x40, 0x20, 0x10, 0x08
SMRAM_SEGMENT = 0x02
"""Bits 2-0 are wired to 010b: A0000h-BFFFFh."""

REGISTERS = (
    MaskedRegister(COMMAND, 2, 0x0006, writable=0x0142),
    MaskedRegister(STATUS, 2, 0x0280, clear=STATUS_ERRORS),
    MaskedRegister(0x0D, 1, writable=0xF8),  # MLT: latency timer
    MaskedRegister(0x50, 2, writable=0xFFFF),  # PMCCFG
    MaskedRegister(0x52, 1, writable=0xFF),  # DETURBO
    MaskedRegister(0x53, 1, 0x80, writable=0xFF),  # DBC: data buffers
    MaskedRegister(0x54, 1, writable=0xFF),  # AXC: auxiliary control
    MaskedRegister(0x55, 2, writable=0xFFFF),  # DRT: row types
    MaskedRegister(0x57, 1, 0x01, writable=0xFF),  # DRAMC
    MaskedRegister(0x58, 1, 0x10, writable=0xFF),  # DRAMT: timing
    MaskedRegister(0x59, 1, writable=0x30),  # PAM0: F0000h-FFFFFh
    MaskedRegister(0x5A, 4, writable=0x33333333),  # PAM1-4: C0000h-DFFFFh
    MaskedRegister(0x5E, 2, writable=0x3333),  # PAM5-6: E0000h-EFFFFh
    MaskedRegister(0x60, 4, 0x01010101, writable=0xFFFFFFFF),  # DRB0-3: where each row of DRAM ends
    MaskedRegister(0x64, 4, 0x01010101, writable=0xFFFFFFFF),  # DRB4-7
    MaskedRegister(0x68, 1, writable=0xFF),  # FDHC: fixed DRAM hole
    MaskedRegister(0x70, 1, 0x20, writable=0xFF),  # MTT: multi-transaction timer
    MaskedRegister(0x71, 1, 0x10, writable=0xFF),  # CLT: CPU latency
    MaskedRegister(SMRAM, 1, SMRAM_SEGMENT, writable=SMRAM_OPEN | SMRAM_CLOSED | SMRAM_LOCK | SMRAM_ENABLE),
    MaskedRegister(0x90, 1, writable=0xFF),  # ERRCMD
    MaskedRegister(0x91, 1, clear=0x13),  # ERRSTS
    MaskedRegister(0x93, 1, writable=0x0B),  # TRC: turbo reset control, without the reset itself, which is port CF9h
)

Pam = Callable[[int, int, bool, bool], None]
"""Told that the piece `(base, length)` now reads from RAM or not, and writes to RAM or not."""


@record
class Piece:
    """One piece of C0000h-FFFFFh and where its two bits are."""

    base: int
    length: int
    register: int
    shift: int


def _pieces() -> tuple[Piece, ...]:
    pieces = [Piece(0xC0000 + 0x4000 * n, 0x4000, PAM + 1 + n // 2, n % 2 * 4) for n in range(12)]
    return (*pieces, Piece(0xF0000, 0x10000, PAM, 4))


PIECES = _pieces()
"""Twelve of 16 KiB from C0000h, and the BIOS's 64 KiB."""


@record
class I440FxState:
    """The configuration space."""

    config: ConfigState


class I440Fx:
    """The host bridge, a `Device`; its `config` goes to the PCI host as device 0.

    `pam(base, length, read_ram, write_ram)` hears of each piece that changes; after reset all are ROM (False, False).
    """

    def __init__(self, *, pam: Pam) -> None:
        self._pam = pam
        self._attributes = [0] * len(PIECES)
        self._smram = SMRAM_SEGMENT
        identity = header(vendor=0x8086, device=0x1237, class_code=0x060000, revision=0x02,
                          subsystem_vendor=QUMRANET, subsystem=QEMU_MACHINE)  # fmt: skip
        self.config = ConfigSpace((*identity, *REGISTERS), on_write=self._written)

    def reset(self) -> None:
        """Return to power-on: C0000h-FFFFFh is ROM."""
        self._smram = SMRAM_SEGMENT
        self.config.reset()

    def state(self) -> I440FxState:
        """Return the configuration space."""
        return I440FxState(self.config.state())

    def restore(self, state: I440FxState) -> None:
        """Take the configuration space back and tell of every piece that differs."""
        self._smram = state.config.registers[SMRAM]
        self.config.restore(state.config)

    def _written(self) -> None:
        self._guard_smram()
        for number, piece in enumerate(PIECES):
            attributes = self.config.get(piece.register) >> piece.shift & (PAM_READ | PAM_WRITE)
            if attributes != self._attributes[number]:
                self._attributes[number] = attributes
                self._pam(piece.base, piece.length, bool(attributes & PAM_READ), bool(attributes & PAM_WRITE))

    def _guard_smram(self) -> None:
        """DLCK, once set, closes SMRAM and holds the register until the next reset (datasheet, SMRAM register)."""
        if self._smram & SMRAM_LOCK:
            kept = self._smram & ~SMRAM_CLOSED | self.config.get(SMRAM) & SMRAM_CLOSED
            self.config.put(SMRAM, 1, kept)
        elif self.config.get(SMRAM) & SMRAM_LOCK:
            self.config.put(SMRAM, 1, self.config.get(SMRAM) & ~SMRAM_OPEN)
        self._smram = self.config.get(SMRAM)
