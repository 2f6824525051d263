"""8259A programmable interrupt controllers: the PC's two, the slave behind the master's IR2.

Intel 8259A datasheet (231468). `Pic` is one chip; `PicPair` is the cascade of an AT with the edge/level control
registers (ELCR) that EISA and PCI chipsets added at 4D0h-4D1h.

How to read `Pic`: lines come in and make requests (IRR); the priority resolver picks one that the mask (IMR) and the
interrupts in service (ISR) let through, and raises INT; the CPU acknowledges, which moves the request to the ISR until
an end of interrupt (EOI).
"""

from functools import partial

from minivm.core.device import Line, Wire
from minivm.core.record import names, record
from minivm.errors import WiringError

CASCADE_IR = 2
"""The master's input that the slave's INT drives."""
SPURIOUS_IR = 7
"""What a chip answers when it is acknowledged and no request is left."""
MASTER_ELCR_WRITABLE = 0xF8
"""IRQ0, 1 and 2 are edge-triggered for ever."""
SLAVE_ELCR_WRITABLE = 0xDE
"""IRQ8 and 13 are edge-triggered for ever."""
FLOATING = 0xFF

ICW1_IC4 = 0x01
ICW1_SNGL = 0x02
ICW1_LTIM = 0x08
ICW1 = 0x10
ICW4_AEOI = 0x02
ICW4_SFNM = 0x10
OCW2_LEVEL = 0x07
OCW3_RIS = 0x01
OCW3_RR = 0x02
OCW3_POLL = 0x04
OCW3 = 0x08
OCW3_SMM = 0x20
OCW3_ESMM = 0x40
POLL_REQUEST = 0x80

OPERATIONAL = 0
NEVER_INITIALIZED = 1


@record
class PicState:
    """Everything one 8259A remembers; registers are bytes with one bit an input."""

    lines: int = 0
    """Levels at the inputs."""
    edges: int = 0
    """The edge sense latch: inputs that rose, are still high and are not acknowledged."""
    imr: int = 0
    isr: int = 0
    elcr: int = 0
    vector_base: int = 0
    icw1: int = 0
    icw3: int = 0
    icw4: int = 0
    awaited: int = NEVER_INITIALIZED
    """Number of the initialization command word that comes next, 0 when the chip is operational."""
    lowest: int = 7
    """The input with the lowest priority; the next one, modulo 8, has the highest."""
    special_mask: bool = False
    read_isr: bool = False
    poll: bool = False
    rotate_on_auto_eoi: bool = False


class _Input:
    """One IR pin of a chip."""

    def __init__(self, pic: "Pic", bit: int) -> None:
        self._pic = pic
        self._bit = bit

    def set(self, level: bool) -> None:
        """Drive the pin."""
        self._pic.drive(self._bit, level)


class Pic:
    """One 8259A, a `Port` at offsets 0-1 (its A0 pin) and a `Device`.

    `output` is the INT pin; `is_master` the SP/EN pin. Until its first initialization (ICW1-ICW4) the chip takes
    requests but never raises INT. The datasheet leaves that condition undefined.
    """

    lines: int
    edges: int
    imr: int
    isr: int
    elcr: int
    vector_base: int
    icw1: int
    icw3: int
    icw4: int
    awaited: int
    lowest: int
    special_mask: bool
    read_isr: bool
    poll: bool
    rotate_on_auto_eoi: bool

    def __init__(self, output: Line, *, is_master: bool) -> None:
        self._output = output
        self._is_master = is_master
        self.pending = False
        self._load(PicState())

    def line(self, ir: int) -> Line:
        """Return the input pin `ir`, 0-7."""
        return _Input(self, 1 << ir)

    def drive(self, bit: int, level: bool) -> None:
        """Set the level of the input whose mask is `bit`; a request that is withdrawn before INTA is lost."""
        if level == bool(self.lines & bit):
            return
        if level:
            self.lines |= bit
            self.edges |= bit
        else:
            self.lines &= ~bit
            self.edges &= ~bit
        self._resolve()

    @property
    def irr(self) -> int:
        """The interrupt request register: what asks for service, masked or not."""
        level_triggered = 0xFF if self.icw1 & ICW1_LTIM else self.elcr
        if not level_triggered:
            return self.edges
        return (self.lines & level_triggered) | (self.edges & ~level_triggered)

    # --- Ports -------------------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        """Return IRR or ISR (offset 0, as OCW3 chose), IMR (offset 1), or at both the answer to a poll."""
        if self.poll:
            return self._answer_poll()
        if offset & 1:
            return self.imr
        return self.isr if self.read_isr else self.irr

    def write(self, offset: int, size: int, value: int) -> None:
        """Take a command word, told apart by A0 and bits 4 and 3."""
        value &= 0xFF
        if offset & 1:
            self._write_data(value)
        elif value & ICW1:
            self._begin_initialization(value)
        elif value & OCW3:
            self._write_ocw3(value)
        else:
            self._write_ocw2(value)
        self._resolve()

    def _begin_initialization(self, value: int) -> None:
        """ICW1: requests need a new edge, the mask opens, priorities and modes return to their defaults."""
        self.icw1 = value
        self.icw3 = SPURIOUS_IR if not self._is_master else 0
        self.icw4 = 0
        self.edges = self.imr = self.isr = 0
        self.lowest = 7
        self.special_mask = self.read_isr = self.poll = self.rotate_on_auto_eoi = False
        self.awaited = 2

    def _write_data(self, value: int) -> None:
        match self.awaited:
            case 2:
                self.vector_base = value & 0xF8
                self.awaited = self._word_after(2)
            case 3:
                self.icw3 = value
                self.awaited = self._word_after(3)
            case 4:
                self.icw4 = value
                self.awaited = OPERATIONAL
            case _:
                self.imr = value

    def _word_after(self, word: int) -> int:
        if word == 2 and not self.icw1 & ICW1_SNGL:
            return 3
        return 4 if self.icw1 & ICW1_IC4 else OPERATIONAL

    def _write_ocw2(self, value: int) -> None:
        """End of interrupt and rotation: bits R, SL, EOI, then the level L2-L0."""
        level = value & OCW2_LEVEL
        match value >> 5:
            case 0b001:
                self._end_highest()
            case 0b011:
                self.isr &= ~(1 << level)
            case 0b101:
                self.lowest = self._end_highest(self.lowest)
            case 0b111:
                self.isr &= ~(1 << level)
                self.lowest = level
            case 0b110:
                self.lowest = level
            case 0b100:
                self.rotate_on_auto_eoi = True
            case 0b000:
                self.rotate_on_auto_eoi = False

    def _write_ocw3(self, value: int) -> None:
        """Special mask mode, poll, and which register the next reads show."""
        if value & OCW3_ESMM:
            self.special_mask = bool(value & OCW3_SMM)
        if value & OCW3_RR:
            self.read_isr = bool(value & OCW3_RIS)
        self.poll = bool(value & OCW3_POLL)

    # --- The priority resolver ---------------------------------------------------------------------------------

    def _rank(self, mask: int) -> int:
        """Return the priority of the best bit of `mask`, 0 the highest, 8 when there is none."""
        if not mask:
            return 8
        first = (self.lowest + 1) & 7
        rotated = (mask >> first) | (mask << (8 - first)) & 0xFF
        return (rotated & -rotated).bit_length() - 1

    def _level_at(self, rank: int) -> int:
        return (self.lowest + 1 + rank) & 7

    def _blockers(self) -> int:
        """Return the interrupts in service that hold others back; in special mask mode a masked one does not."""
        return self.isr & ~self.imr if self.special_mask else self.isr

    def _best_request(self) -> int | None:
        """Return the level that INT asks service for."""
        if not self.lines:
            return None
        requests = self.irr & ~self.imr
        if not requests or self.awaited != OPERATIONAL:
            return None
        rank = self._rank(requests)
        level = (self.lowest + 1 + rank) & 7
        if self.isr:
            in_service = self._rank(self._blockers())
            if rank > in_service or (rank == in_service and not self._nests_in_itself(level)):
                return None
        return level

    def _nests_in_itself(self, level: int) -> bool:
        """Special fully nested mode: a slave in service may come back with a request of a higher priority."""
        return bool(self.icw4 & ICW4_SFNM) and self.is_cascade(level)

    def _resolve(self) -> None:
        pending = self._best_request() is not None
        if pending != self.pending or pending:
            self.pending = pending
            self._output.set(pending)

    def _end_highest(self, otherwise: int = 0) -> int:
        """Non-specific EOI: end the highest interrupt in service and return its level, or `otherwise` if none."""
        rank = self._rank(self._blockers())
        if rank == 8:
            return otherwise
        level = self._level_at(rank)
        self.isr &= ~(1 << level)
        return level

    # --- Acknowledging -----------------------------------------------------------------------------------------

    def acknowledge(self) -> int:
        """Take the INTA cycle and return the input served: 7, and nothing in service, if the request is gone."""
        level = self._best_request()
        # INT falls during INTA even when more is pending, so that an edge-triggered master sees a slave again.
        self._output.set(False)
        if level is not None:
            self._serve(level)
        self._resolve()
        return SPURIOUS_IR if level is None else level

    def is_cascade(self, level: int) -> bool:
        """Whether a master was told (ICW1, ICW3) that a slave answers for its input `level`."""
        return self._is_master and not self.icw1 & ICW1_SNGL and bool(self.icw3 >> level & 1)

    @property
    def slave_id(self) -> int:
        """The master's input that a slave believes to be wired to (ICW3)."""
        return self.icw3 & 7

    def _serve(self, level: int) -> None:
        self.edges &= ~(1 << level)
        if not self.icw4 & ICW4_AEOI:
            self.isr |= 1 << level
        elif self.rotate_on_auto_eoi:
            self.lowest = level

    def _answer_poll(self) -> int:
        """Treat the read after a poll command as INTA: bit 7 says whether bits 2-0 are a level now in service."""
        self.poll = False
        if self._best_request() is None:
            return 0
        return POLL_REQUEST | self.acknowledge()

    def write_elcr(self, value: int) -> None:
        """Choose level (1) or edge (0) triggering for each input; the caller masks what is fixed."""
        self.elcr = value
        self._resolve()

    # --- Device ------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Return to power-on; the inputs keep the level that others drive."""
        self._load(PicState(lines=self.lines))
        self._resolve()

    def state(self) -> PicState:
        """Return everything the chip remembers."""
        return PicState(**{name: getattr(self, name) for name in names(PicState)})

    def restore(self, state: PicState) -> None:
        """Become `state` again and drive INT accordingly."""
        self._load(state)
        self._resolve()

    def _load(self, state: PicState) -> None:
        for name in names(PicState):
            setattr(self, name, getattr(state, name))


class EdgeLevelControl:
    """The ELCR: offset 0 for IRQ0-7, offset 1 for IRQ8-15; a 1 makes the input level-triggered."""

    def __init__(self, master: Pic, slave: Pic) -> None:
        self._halves = ((master, MASTER_ELCR_WRITABLE), (slave, SLAVE_ELCR_WRITABLE))

    def read(self, offset: int, size: int) -> int:
        """Return one half."""
        return self._halves[offset & 1][0].elcr

    def write(self, offset: int, size: int, value: int) -> None:
        """Set one half; inputs that must be edge-triggered stay so."""
        pic, writable = self._halves[offset & 1]
        pic.write_elcr(value & writable)


@record
class PicPairState:
    """Both chips."""

    master: PicState
    slave: PicState


class PicPair:
    """The AT's interrupt system: `output` is the INTR line to the CPU.

    `master`, `slave` and `elcr` are the ports; `line(irq)` is what a device drives.
    """

    def __init__(self, output: Line) -> None:
        self.master = Pic(output, is_master=True)
        self.slave = Pic(Wire(partial(self.master.drive, 1 << CASCADE_IR)), is_master=False)
        self.elcr = EdgeLevelControl(self.master, self.slave)

    def line(self, irq: int) -> Line:
        """Return the wire of `irq`, 0-15; raises `WiringError` for 2, the cascade, and for what does not exist."""
        if not 0 <= irq <= 15 or irq == CASCADE_IR:
            raise WiringError(f"IRQ{irq} cannot be wired; give the device one of 0, 1 and 3 to 15")
        return self.slave.line(irq - 8) if irq >= 8 else self.master.line(irq)

    @property
    def pending(self) -> bool:
        """Whether INTR is high."""
        return self.master.pending

    @property
    def deaf(self) -> bool:
        """Whether no interrupt can come: every line of the master is masked, or only the slave's deaf ones are not."""
        open_lines = ~self.master.imr & 0xFF
        return not open_lines or (open_lines == 1 << CASCADE_IR and self.slave.imr == 0xFF)

    def acknowledge(self) -> int:
        """Take the CPU's INTA cycle and return the vector.

        A request that has gone gives the spurious vector 7 of the chip that was asked; if that is the slave, the
        master holds IR2 in service all the same. Where ICW3 of master and slave disagree nobody answers: FFh.
        """
        level = self.master.acknowledge()
        if not self.master.is_cascade(level):
            return self.master.vector_base | level
        if self.slave.slave_id != level:
            return FLOATING
        return self.slave.vector_base | self.slave.acknowledge()

    def reset(self) -> None:
        """Return both chips to power-on, INTR low; the input lines keep the level that others drive."""
        self.slave.reset()
        self.master.reset()

    def state(self) -> PicPairState:
        """Return what both chips remember."""
        return PicPairState(self.master.state(), self.slave.state())

    def restore(self, state: PicPairState) -> None:
        """Become `state` again: the slave first, since its INT is an input of the master."""
        self.slave.restore(state.slave)
        self.master.restore(state.master)
