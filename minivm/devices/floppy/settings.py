"""What software has told the 82077AA to keep: SPECIFY's times, CONFIGURE, LOCK, PERPENDICULAR MODE, the data rate.

Intel 82077AA datasheet (290166), section 5.2 "Control Commands" and table 5-12; DUMPREG shows it all.
"""

from minivm.core.record import names, record
from minivm.devices.floppy.drive import RATE_1M, RATE_250K, RATE_300K, RATE_500K

MILLISECOND_NS = 1_000_000
RATE_SELECT = 0x03
NON_DMA_MODE = 0x01
IMPLIED_SEEK, NO_FIFO, NO_POLLING, CONFIGURE_KEPT = 0x40, 0x20, 0x10, 0x7F
PERPENDICULAR_OVERWRITE, PERPENDICULAR_DRIVES, GAP_AND_GATE = 0x80, 0x3C, 0x03
LONGER_BY_RATE = {RATE_500K: (1, 1), RATE_300K: (5, 3), RATE_250K: (2, 1), RATE_1M: (1, 2)}
"""All times are given for 500 kbit/s and longer or shorter at other rates, as a fraction."""


@record
class FloppySettingsState:
    """The registers as they were written; `specified` has SRT and HUT in its first byte, HLT and ND in its second."""

    rate_select: int = RATE_250K
    """DSR without its reset bit; CCR changes bits 1-0."""
    specified: tuple[int, int] = (0, 0)
    configured: int = NO_FIFO
    precompensation: int = 0
    locked: bool = False
    perpendicular: int = 0
    last_sector: int = 0
    """EOT of the last command with data, or SC of a format."""


class FloppySettings:
    """The registers behind the commands that only set something."""

    rate_select: int
    specified: tuple[int, int]
    configured: int
    precompensation: int
    locked: bool
    perpendicular: int
    last_sector: int

    def __init__(self) -> None:
        self.restore(FloppySettingsState())

    def state(self) -> FloppySettingsState:
        """Return all registers."""
        return FloppySettingsState(**{name: getattr(self, name) for name in names(FloppySettingsState)})

    def restore(self, state: FloppySettingsState) -> None:
        """Take all registers."""
        for name in names(FloppySettingsState):
            setattr(self, name, getattr(state, name))

    def reset_by_software(self) -> None:
        """Forget what a reset by DOR or DSR takes: the FIFO's settings only when LOCK does not hold them."""
        self.perpendicular &= ~GAP_AND_GATE
        if not self.locked:
            self.configured, self.precompensation = NO_FIFO, 0
        self.configured &= ~(IMPLIED_SEEK | NO_POLLING)

    # -- commands: each gets all its bytes --------------------------------------------------------------------------
    def specify(self, received: bytes) -> None:
        """Take SRT, HUT, HLT and ND."""
        self.specified = received[1], received[2]

    def configure(self, received: bytes) -> None:
        """Take EIS, EFIFO, POLL, FIFOTHR and PRETRK."""
        self.configured, self.precompensation = received[2] & CONFIGURE_KEPT, received[3]

    def perpendicular_mode(self, received: bytes) -> None:
        """Take GAP and WGATE, and with OW the bits of the four drives."""
        drives = received[1] if received[1] & PERPENDICULAR_OVERWRITE else self.perpendicular
        self.perpendicular = drives & PERPENDICULAR_DRIVES | received[1] & GAP_AND_GATE

    def dump(self) -> bytes:
        """Return what DUMPREG says behind the four PCNs."""
        modes = self.locked << 7 | self.perpendicular
        return bytes((*self.specified, self.last_sector, modes, self.configured, self.precompensation))

    # -- what they mean ---------------------------------------------------------------------------------------------
    @property
    def rate(self) -> int:
        """The data rate's code."""
        return self.rate_select & RATE_SELECT

    @property
    def non_dma(self) -> bool:
        """Whether the processor moves the data."""
        return bool(self.specified[1] & NON_DMA_MODE)

    @property
    def implied_seek(self) -> bool:
        """Whether commands with data seek first."""
        return bool(self.configured & IMPLIED_SEEK)

    @property
    def step_ns(self) -> int:
        """The time between two step pulses."""
        return self._scaled(16 - (self.specified[0] >> 4))

    @property
    def head_load_ns(self) -> int:
        """How long a head takes to settle on the medium."""
        return self._scaled((self.specified[1] >> 1 or 128) * 2)

    @property
    def head_unload_ns(self) -> int:
        """How long a head stays on the medium after a command."""
        return self._scaled((self.specified[0] & 0xF or 16) * 16)

    def _scaled(self, milliseconds: int) -> int:
        times, over = LONGER_BY_RATE[self.rate]
        return milliseconds * MILLISECOND_NS * times // over
