"""8254 programmable interval timer: three 16-bit counters on one 1.193182 MHz clock.

Intel 8254 datasheet (231164). A `Counter` knows only CLK pulses: `advance` carries it to any later pulse in constant
time, so a counter costs nothing until somebody looks. `Pit` turns the virtual clock into pulses, decodes the ports, and
sets an alarm for the next edge of an output, but only where a line is connected.
"""

from collections.abc import Callable
from functools import partial

from minivm.core.clock import Alarm, Clock
from minivm.core.device import Line
from minivm.core.record import names, record

INPUT_HZ = 1_193_182
"""A third of the colour burst, 14.31818 MHz / 12, rounded to a whole hertz."""
SECOND_NS = 1_000_000_000

CONTROL_OFFSET = 3
CONTROL_BCD = 0x01
CONTROL_KEPT = 0x3F
READ_BACK = 3
READ_BACK_NO_COUNT = 0x20
READ_BACK_NO_STATUS = 0x10
STATUS_OUT = 0x80
STATUS_NULL_COUNT = 0x40
ACCESS_LATCH, ACCESS_LSB, ACCESS_MSB, ACCESS_BOTH = range(4)
FLOATING = 0xFF


def pulses_at(time_ns: int) -> int:
    """Return how many CLK pulses have passed at a virtual time."""
    return time_ns * INPUT_HZ // SECOND_NS


def time_of(pulse: int) -> int:
    """Return the first nanosecond at which `pulse` CLK pulses have passed."""
    return -(-pulse * SECOND_NS // INPUT_HZ)


def from_bcd(digits: int) -> int:
    """Return the value of four decimal digits; a digit above 9 counts for what it is."""
    return sum((digits >> 4 * place & 0xF) * 10**place for place in range(4))


def to_bcd(value: int) -> int:
    """Return a value below 10000 as four decimal digits."""
    return int(f"{value:04d}", 16)


@record
class CounterState:
    """Everything one counter remembers. The datasheet leaves power-on undefined: here mode 0, OUT low, no count."""

    control: int = ACCESS_BOTH << 4
    """Bits 5-0 of the last control word: access, mode, BCD."""
    gate: bool = True
    out: bool = False
    pulse: int = 0
    """The CLK pulse up to which the fields tell the truth."""
    initial_count: int = 0
    """The count register CR."""
    written: bool = False
    """A whole count was written since the control word."""
    null_count: bool = True
    """The count last written is not in the counting element yet."""
    load_pending: bool = False
    """The next CLK pulse loads the counting element."""
    loaded: bool = False
    active: bool = False
    """Modes 0, 1, 4, 5: the terminal count is still to come."""
    period: int = 0
    """The count in use, 1-65537."""
    remaining: int = 0
    """CLK pulses until the terminal count; in mode 3, until OUT changes."""
    low_byte: int | None = None
    """The first of two bytes, when the second is still to be written."""
    read_high: bool = False
    latched_count: int | None = None
    latched_status: int | None = None


class Counter:
    """One counter, in CLK pulses. Who calls anything but `advance` has called that first."""

    control: int
    gate: bool
    out: bool
    pulse: int
    initial_count: int
    written: bool
    null_count: bool
    load_pending: bool
    loaded: bool
    active: bool
    period: int
    remaining: int
    low_byte: int | None
    read_high: bool
    latched_count: int | None
    latched_status: int | None

    def __init__(self, state: CounterState) -> None:
        self.restore(state)

    def state(self) -> CounterState:
        """Return everything the counter remembers."""
        return CounterState(**{name: getattr(self, name) for name in names(CounterState)})

    def restore(self, state: CounterState) -> None:
        """Become `state` again."""
        for name in names(CounterState):
            setattr(self, name, getattr(state, name))

    @property
    def mode(self) -> int:
        """The mode, 0-5; 6 and 7 are other names of 2 and 3."""
        bits = self.control >> 1 & 7
        return bits - 4 if bits > 5 else bits

    @property
    def access(self) -> int:
        """Which bytes of the count the port carries."""
        return self.control >> 4

    @property
    def modulus(self) -> int:
        """How many values the counting element has."""
        return 10_000 if self.control & CONTROL_BCD else 0x10000

    # --- Time --------------------------------------------------------------------------------------------------

    def advance(self, pulse: int) -> None:
        """Let CLK pulses come up to `pulse`, in constant time; GATE has been steady since the last call."""
        pulses = pulse - self.pulse
        if pulses <= 0:
            return
        self.pulse = pulse
        if self.load_pending:
            self._load()
            pulses -= 1
        if pulses and self.loaded:
            self._count(pulses)

    def pulses_to_edge(self) -> int | None:
        """Return how many CLK pulses from now OUT may change, or None when it never will by itself."""
        if self.load_pending:
            return 1
        if not self.loaded:
            return None
        match self.mode:
            case 2 if self.gate:
                return self.remaining - 1 if self.remaining > 1 else 1
            case 3 if self.gate:
                return self.remaining
            case 4 | 5 if not self.out:
                return 1
            case 1 | 5:
                return self.remaining if self.active else None
            case 0 | 4:
                return self.remaining if self.active and self._counting_enabled() else None
        return None

    @property
    def falls_next(self) -> bool:
        """True while OUT is the high part of a wave (modes 2 and 3), whose fall and next rise are both known."""
        return self.mode in (2, 3) and self.out and self.gate and self.loaded and not self.load_pending

    @property
    def low_pulses(self) -> int:
        """How long OUT will stay low after its next fall in modes 2 and 3; mode 3 loads the count register then."""
        return 1 if self.mode == 2 else self._length() // 2

    @property
    def wave(self) -> int | None:
        """The CLK pulses in one period of the wave that OUT makes by the count register, or None when it makes none."""
        return self._length() if self.mode in (2, 3) and self.written and self.gate else None

    def _counting_enabled(self) -> bool:
        """Modes 0 and 4: the gate, and in mode 0 no half-written count."""
        return self.gate and (self.mode != 0 or self.low_byte is None)

    def _length(self) -> int:
        """Return the count register as a number of CLK pulses; 0 stands for the largest count.

        A count of 1, which modes 2 and 3 forbid, slips past the terminal count and goes round once: 65537.
        """
        count = from_bcd(self.initial_count) if self.control & CONTROL_BCD else self.initial_count
        if count == 1 and self.mode in (2, 3):
            return 1 + self.modulus
        return count or self.modulus

    def _load(self) -> None:
        """The CLK pulse that copies the count register to the counting element; it does not count."""
        self.load_pending = self.null_count = False
        self.loaded = self.active = True
        self.period = self.remaining = self._length()
        match self.mode:
            case 1:
                self.out = False
            case 3:
                self.out = True
                self.remaining = self._half(True)
            case 2 | 4 | 5:
                self.out = True

    def _half(self, high: bool) -> int:
        """Mode 3: an odd count is high for one CLK pulse longer than low."""
        return (self.period + high) // 2

    def _count(self, pulses: int) -> None:
        match self.mode:
            case 0:
                if self._counting_enabled() and self._count_down(pulses):
                    self.out = True
            case 1:
                if self._count_down(pulses):
                    self.out = True
            case 2:
                self._count_rate(pulses)
            case 3:
                self._count_square(pulses)
            case _:
                self._count_strobe(pulses)

    def _count_down(self, pulses: int) -> bool:
        """Count and wrap; return whether the terminal count was reached, which matters once a load."""
        expired = self.active and pulses >= self.remaining
        self.active = self.active and not expired
        self.remaining -= pulses
        if not self.active:
            self.remaining %= self.modulus
        return expired

    def _count_strobe(self, pulses: int) -> None:
        """Modes 4 and 5: OUT is low for the one CLK period that begins at the terminal count."""
        self.out = True
        before = self.remaining
        if (self.mode == 5 or self.gate) and self._count_down(pulses):
            self.out = pulses > before

    def _count_rate(self, pulses: int) -> None:
        """Mode 2: OUT is low while the count is 1, then the count register is loaded again."""
        if not self.gate:
            return
        if pulses >= self.remaining:
            pulses -= self.remaining
            self.null_count = False
            self.period = self.remaining = self._length()
            pulses %= self.period
        self.remaining -= pulses
        self.out = self.remaining != 1

    def _count_square(self, pulses: int) -> None:
        """Mode 3: OUT changes, and the count register is loaded again, at the end of each half-cycle."""
        if not self.gate:
            return
        if pulses >= self.remaining:
            pulses -= self.remaining
            self.null_count = False
            self.period = self._length()
            pulses %= self.period
            self.out = not self.out
            if pulses >= self._half(self.out):
                pulses -= self._half(self.out)
                self.out = not self.out
            self.remaining = self._half(self.out)
        self.remaining -= pulses

    # --- The gate ----------------------------------------------------------------------------------------------

    def set_gate(self, level: bool) -> None:
        """Drive GATE: rising triggers in modes 1, 2, 3 and 5; low forces OUT high in 2 and 3 (datasheet, figure 21)."""
        if level == self.gate:
            return
        self.gate = level
        if level and self.mode in (1, 2, 3, 5) and self.written:
            self.load_pending = True
        if not level and self.mode in (2, 3) and not self.out:
            self.out = True
            if self.mode == 3:
                self.remaining += self.period & 1

    # --- Programming -------------------------------------------------------------------------------------------

    def write_control(self, value: int) -> None:
        """Take a control word: everything but the counting element starts anew, and OUT with it."""
        self.remaining = self._element()
        self.control = value & CONTROL_KEPT
        self.out = self.mode != 0
        self.null_count = True
        self.written = self.load_pending = self.loaded = self.active = self.read_high = False
        self.initial_count = 0
        self.low_byte = self.latched_count = self.latched_status = None

    def write(self, byte: int) -> None:
        """Take one byte of a count."""
        if self.access == ACCESS_LSB:
            self._write_count(byte)
        elif self.access == ACCESS_MSB:
            self._write_count(byte << 8)
        elif self.low_byte is None:
            self.low_byte = byte
            if self.mode == 0:
                self.out = False
        else:
            count = byte << 8 | self.low_byte
            self.low_byte = None
            self._write_count(count)

    def _write_count(self, count: int) -> None:
        self.initial_count = count
        self.null_count = True
        if self.mode in (0, 4) or (self.mode in (2, 3) and not self.written):
            self.load_pending = True
        if self.mode == 0:
            self.out = False
        self.written = True

    # --- Reading -----------------------------------------------------------------------------------------------

    def _element(self) -> int:
        """Return the number in the counting element. Mode 3 counts by twos, an odd count less one."""
        if self.mode == 3 and self.loaded:
            longer = self.period & 1 and self.out
            return (2 * self.remaining - (2 if longer else 0)) % self.modulus
        return self.remaining % self.modulus

    @property
    def count(self) -> int:
        """The count as a read shows it: binary, or four decimal digits."""
        return to_bcd(self._element()) if self.control & CONTROL_BCD else self._element()

    @property
    def status(self) -> int:
        """The status byte: OUT, null count, and the control word."""
        return self.out * STATUS_OUT | self.null_count * STATUS_NULL_COUNT | self.control

    def latch_count(self) -> None:
        """Hold the count until it is read; a second latch before that is ignored."""
        if self.latched_count is None:
            self.latched_count = self.count

    def latch_status(self) -> None:
        """Hold the status until it is read; a second latch before that is ignored."""
        if self.latched_status is None:
            self.latched_status = self.status

    def read(self) -> int:
        """Return the next byte: a latched status first, then the count, latched or as it runs."""
        if self.latched_status is not None:
            status, self.latched_status = self.latched_status, None
            return status
        count = self.count if self.latched_count is None else self.latched_count
        high = self.access == ACCESS_MSB or self.read_high
        if self.access == ACCESS_BOTH:
            self.read_high = not self.read_high
        if high or self.access == ACCESS_LSB:
            self.latched_count = None
        return count >> 8 if high else count & 0xFF


class _Gate:
    """The GATE pin of one counter."""

    def __init__(self, pit: "Pit", channel: int) -> None:
        self._pit = pit
        self._channel = channel

    def set(self, level: bool) -> None:
        """Drive the pin."""
        self._pit.drive_gate(self._channel, level)


@record
class PitState:
    """The three counters, each up to the pulse of its own `pulse` field."""

    counters: tuple[CounterState, CounterState, CounterState]


class Pit:
    """The timer chip: a `Port` at offsets 0-3 and a `Device`.

    `outputs` are the OUT pins; None where nobody listens, which spares the alarms. Gates are high until driven.
    """

    def __init__(self, clock: Clock, outputs: tuple[Line | None, Line | None, Line | None]) -> None:
        self._clock = clock
        self._outputs = outputs
        self._counters = tuple(Counter(CounterState(pulse=pulses_at(clock.now))) for _ in range(3))
        self._alarms: list[tuple[Alarm, ...]] = [(), (), ()]
        self._comes_back = [partial(self._come_back, channel) for channel in range(3)]
        self._falls = [partial(self._fall, channel) for channel in range(3)]
        self._watchers: list[Callable[[], None] | None] = [None, None, None]

    def gate(self, channel: int) -> Line:
        """Return the GATE pin of a channel, 0-2."""
        return _Gate(self, channel)

    def drive_gate(self, channel: int, level: bool) -> None:
        """Set the GATE pin of a channel."""
        counter = self._counter(channel)
        changed = counter.gate != level
        counter.set_gate(level)
        self._drive(channel, counter)
        if changed:
            self._tell(channel)

    def watch(self, channel: int, watcher: Callable[[], None]) -> None:
        """Call `watcher` after every write to a channel and every change of its gate; not at each edge of its output.

        A reset or a restore of the chip tells nobody: who watches is reset and restored as well.
        """
        self._watchers[channel] = watcher

    def wave(self, channel: int) -> int | None:
        """Return how many CLK pulses one period of a channel's wave has (modes 2 and 3), None when it makes no wave.

        It is the count written last, which mode 3 takes at the end of the half-cycle under way.
        """
        return self._counter(channel).wave

    def output(self, channel: int) -> bool:
        """Return the level of an OUT pin right now."""
        return self._counter(channel).out

    def count(self, channel: int) -> int:
        """Return what a latched read of a channel would show right now, for whoever only looks."""
        return self._counter(channel).count

    # --- Ports -------------------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        """Return a counter's next byte; the control word cannot be read and floats."""
        channel = offset & 3
        return FLOATING if channel == CONTROL_OFFSET else self._counter(channel).read()

    def write(self, offset: int, size: int, value: int) -> None:
        """Take a byte of a count (offsets 0-2), or a control word, counter latch or read-back command (3)."""
        channel, value = offset & 3, value & 0xFF
        if channel == CONTROL_OFFSET:
            self._command(value)
            return
        counter = self._counter(channel)
        counter.write(value)
        self._drive(channel, counter)
        self._tell(channel)

    def _command(self, value: int) -> None:
        channel = value >> 6
        if channel == READ_BACK:
            self._read_back(value)
            return
        counter = self._counter(channel)
        if (value >> 4) & 3 == ACCESS_LATCH:
            counter.latch_count()
            return
        counter.write_control(value)
        self._drive(channel, counter)
        self._tell(channel)

    def _tell(self, channel: int) -> None:
        watcher = self._watchers[channel]
        if watcher is not None:
            watcher()

    def _read_back(self, value: int) -> None:
        """Latch count and status, each where its bit is 0, of every counter chosen by bits 3-1."""
        for channel in range(3):
            if value & (2 << channel):
                counter = self._counter(channel)
                if not value & READ_BACK_NO_COUNT:
                    counter.latch_count()
                if not value & READ_BACK_NO_STATUS:
                    counter.latch_status()

    # --- Time --------------------------------------------------------------------------------------------------

    def _counter(self, channel: int) -> Counter:
        """Return a counter that has come up to now. To look at one drives no line, so looking changes nothing."""
        counter = self._counters[channel]
        counter.advance(pulses_at(self._clock.now))
        return counter

    def _drive(self, channel: int, counter: Counter) -> None:
        """Put OUT on its line, and come back at its next edge."""
        output = self._outputs[channel]
        if output is None:
            return
        output.set(counter.out)
        for alarm in self._alarms[channel]:
            alarm.cancel()
        self._alarms[channel] = self._appointments(channel, counter)

    def _appointments(self, channel: int, counter: Counter) -> tuple[Alarm, ...]:
        """Arm for the next edge; where a wave falls and rises again, for both, and quietly for the fall.

        A fall interrupts nobody. Without this, a sleeping machine would wake twice a period.
        """
        pulses = counter.pulses_to_edge()
        if pulses is None:
            return ()
        edge = counter.pulse + pulses
        if not counter.falls_next:
            return (self._clock.at(time_of(edge), self._comes_back[channel]),)
        fall = self._clock.at(time_of(edge), self._falls[channel], quiet=True)
        return fall, self._clock.at(time_of(edge + counter.low_pulses), self._comes_back[channel])

    def _come_back(self, channel: int) -> None:
        self._drive(channel, self._counter(channel))

    def _fall(self, channel: int) -> None:
        """OUT has fallen; the alarm for its rise is armed already."""
        output = self._outputs[channel]
        if output is not None:
            output.set(self._counter(channel).out)

    # --- Device ------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Return to power-on: all OUT pins low, nothing counting; the gates keep the level that others drive."""
        now = pulses_at(self._clock.now)
        for channel, counter in enumerate(self._counters):
            counter.restore(CounterState(gate=counter.gate, pulse=now))
            self._drive(channel, counter)

    def state(self) -> PitState:
        """Return everything the chip remembers, as of now."""
        first, second, third = (self._counter(channel).state() for channel in range(3))
        return PitState((first, second, third))

    def restore(self, state: PitState) -> None:
        """Become `state` again, drive the lines and arm the alarms; the clock stands where it stood."""
        for channel, counter in enumerate(self._counters):
            counter.restore(state.counters[channel])
            self._drive(channel, self._counter(channel))
