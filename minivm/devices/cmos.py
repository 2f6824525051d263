"""MC146818 real-time clock with 114 bytes of battery-backed RAM: ports 70h (index) and 71h (data) of the PC AT.

Motorola MC146818A datasheet; IBM PC AT Technical Reference, "Real-time clock/CMOS RAM". The crystal is 32.768 kHz. Its
divider chain has 15 stages; whenever it overflows, an update cycle begins: 1984 us later the clock has moved on by one
second and UIP falls. Nothing runs in the background: what happened since the last look is counted when someone looks,
and an alarm of the machine's clock is armed only for an interrupt that the guest enabled.
"""

import datetime
from collections.abc import Mapping, Sequence

from minivm.core.clock import NEVER, Alarm, Clock
from minivm.core.device import Line
from minivm.core.record import record

SECOND_NS = 1_000_000_000
CRYSTAL_HZ = 32768
UPDATE_NS = 1_984_000
"""How long an update cycle lasts with this crystal (datasheet, table 6, tUC)."""
BEFORE_UPDATE_NS = 244_000
"""How long UIP is up before the update cycle begins (table 6, tBUC)."""
RELEASE_NS = SECOND_NS // 2
"""From the end of the divider's reset to the first update cycle."""

SIZE = 128
FIRST_NVRAM = 0x0E
SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM = range(6)
DAY_OF_WEEK, DAY, MONTH, YEAR = range(6, 10)
REGISTER_A, REGISTER_B, REGISTER_C, REGISTER_D = range(0x0A, 0x0E)
CENTURY = 0x32
"""Plain RAM in Motorola's chip; PC clones carry the year into it, and every PC guest looks for the century here."""
TIME_FIELDS = (SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DAY, MONTH, YEAR, CENTURY)
"""In the order of `CalendarTime.fields`."""

UPDATE_IN_PROGRESS = 0x80  # A: UIP
DIVIDER = 0x70  # A: DV2-DV0
RATE = 0x0F  # A: RS3-RS0
SET = 0x80  # B
PERIODIC, ALARM, UPDATE = 0x40, 0x20, 0x10  # B: PIE AIE UIE; C: PF AF UF
BINARY = 0x04  # B: DM
HOURS_24 = 0x02  # B: 24/12
INTERRUPT = 0x80  # C: IRQF
VALID = 0x80  # D: VRT
AFTERNOON = 0x80
DO_NOT_CARE = 0xC0

POST_LEAVES_A = 0x26  # 32.768 kHz, 1024 Hz
POST_LEAVES_B = HOURS_24


@record
class CmosState:
    """What the chip remembers; times are virtual nanoseconds."""

    memory: bytes
    """All 128 bytes; those of the clock hold the time at `settled_ns`, register A without UIP."""
    index: int
    nmi_masked: bool
    flags: int
    """PF, AF and UF as they were at `settled_ns`."""
    settled_ns: int
    chain_start_ns: int
    """A time at which the divider chain was zero."""


@record
class CalendarTime:
    """The numbers in the clock's counters, of which a guest may have made nonsense; weekday 1 is Sunday."""

    second: int
    minute: int
    hour: int
    weekday: int
    day: int
    month: int
    year: int
    century: int

    @classmethod
    def of(cls, moment: datetime.datetime) -> "CalendarTime":
        """Return the counters that show `moment`."""
        century, year = divmod(moment.year, 100)
        weekday = moment.isoweekday() % 7 + 1
        return cls(moment.second, moment.minute, moment.hour, weekday, moment.day, moment.month, year, century)

    def fields(self) -> tuple[int, ...]:
        """Return the counters from the fastest to the slowest."""
        return self.second, self.minute, self.hour, self.weekday, self.day, self.month, self.year, self.century

    def plus(self, seconds: int) -> "CalendarTime":
        """Return what the counters show `seconds` updates later, in constant time.

        A counter beyond its last value wraps at its next step, and one that nothing is carried into stays as it is.
        """
        carry, second = _count(self.second, seconds, 60)
        carry, minute = _count(self.minute, carry, 60)
        days, hour = _count(self.hour, carry, 24)
        if days == 0:
            return CalendarTime(second, minute, hour, self.weekday, self.day, self.month, self.year, self.century)
        weekday = (min(self.weekday, 7) - 1 + days) % 7 + 1
        return CalendarTime(second, minute, hour, weekday, *self._date_after(days))

    def _date_after(self, days: int) -> tuple[int, int, int, int]:
        """Return day, month, year and century `days` later; the calendar repeats every 400 years."""
        cycle, year = divmod(self.century * 100 + min(self.year, 99), 400)
        month = min(max(self.month, 1), 12)
        first = datetime.date(400 + year, month, 1).toordinal()
        day = min(self.day, datetime.date(400 + year + month // 12, month % 12 + 1, 1).toordinal() - first)
        later = datetime.date.fromordinal(first + day - 1 + days)
        century, year = divmod(later.year - 400 + cycle * 400, 100)
        return later.day, later.month, year, century % 100

    def seconds_until(self, seconds: Sequence[int], minutes: Sequence[int], hours: Sequence[int]) -> int:
        """Return in how many seconds, 1 at least, the time of day is next among those given.

        Each sequence is sorted and not empty.
        """
        later = self.plus(1)
        second, minute, hour = min(later.second, 59), min(later.minute, 59), min(later.hour, 23)
        this_hour = hour in hours
        if this_hour and minute in minutes and seconds[-1] >= second:
            found = hour, minute, _first(seconds, second)
        elif this_hour and minutes[-1] > minute:
            found = hour, _first(minutes, minute + 1), seconds[0]
        elif hours[-1] > hour:
            found = _first(hours, hour + 1), minutes[0], seconds[0]
        else:
            found = hours[0] + 24, minutes[0], seconds[0]
        return 1 + (found[0] - hour) * 3600 + (found[1] - minute) * 60 + found[2] - second


def _count(value: int, steps: int, limit: int) -> tuple[int, int]:
    """Let one counter make `steps` steps; return how often it wrapped, and where it stands."""
    return divmod(min(value, limit - 1) + steps, limit) if steps else (0, value)


def _first(values: Sequence[int], at_least: int) -> int:
    return next(value for value in values if value >= at_least)


class Cmos:
    """The clock chip on two ports: offset 0 is the index (bit 7 masks the NMI), offset 1 the data.

    `start` is the date and time at virtual time 0. `nvram` gives power-on values of the bytes from 0Eh on (but for the
    century); the others are zero. The registers start as the AT's POST leaves them: 24 hours, BCD, NMI allowed. The
    index is write-only on the AT and reads as open bus, FFh.
    """

    def __init__(
        self, clock: Clock, irq: Line, start: datetime.datetime, *, nvram: Mapping[int, int] | None = None
    ) -> None:
        self._clock = clock
        self._irq = irq
        self._alarm: Alarm | None = None
        self._memory = bytearray(SIZE)
        self._memory[REGISTER_A] = POST_LEAVES_A
        self._memory[REGISTER_B] = POST_LEAVES_B
        self._index = REGISTER_D
        self._flags = 0
        self._settled_ns = clock.now
        self._chain_start_ns = -UPDATE_NS - start.microsecond * 1000
        self.nmi_masked = False
        self._set_clock(CalendarTime.of(start))
        for index, value in (nvram or {}).items():
            if FIRST_NVRAM <= index < SIZE and index != CENTURY:
                self._memory[index] = value & 0xFF
        self._advance_clock(self._updates_until(clock.now) - self._updates_until(0))

    def read(self, offset: int, size: int) -> int:
        """Return the byte that the index names; the index port itself gives FFh."""
        return self.read_register(self._index) if offset & 1 else 0xFF

    def write(self, offset: int, size: int, value: int) -> None:
        """Choose a byte, or write the chosen one."""
        if offset & 1:
            self.write_register(self._index, value & 0xFF)
        else:
            self._index = value & 0x7F
            self.nmi_masked = bool(value & 0x80)

    def read_register(self, index: int) -> int:
        """Return byte `index` (0-7Fh) as the guest would read it: reading register C clears its flags."""
        if index in TIME_FIELDS or index == REGISTER_C:
            self._settle()
        match index:
            case 0x0A:
                return self._memory[REGISTER_A] | (UPDATE_IN_PROGRESS if self._update_in_progress() else 0)
            case 0x0C:
                return self._take_flags()
            case 0x0D:
                return VALID
        return self._memory[index]

    def write_register(self, index: int, value: int) -> None:
        """Write byte `index` (0-7Fh) as the guest would; C and D are read-only."""
        if index > REGISTER_D and index != CENTURY:
            self._memory[index] = value
            return
        self._settle()
        match index:
            case 0x0A:
                self._write_register_a(value)
            case 0x0B:
                # SET going high also takes UIE back (datasheet, Register B).
                self._memory[REGISTER_B] = value & ~UPDATE & 0xFF if value & SET else value
            case 0x0C | 0x0D:
                return
            case _:
                self._memory[index] = value
        self._drive()

    def reset(self) -> None:
        """Pull the RESET pin: interrupts off and flags clear; the battery keeps the time, the RAM and the rates."""
        self._settle()
        self._memory[REGISTER_B] &= ~(PERIODIC | ALARM | UPDATE | 0x08) & 0xFF  # 08h: SQWE
        self._flags = 0
        self._index = REGISTER_D
        self.nmi_masked = False
        self._drive()

    def state(self) -> CmosState:
        """Return everything the chip remembers."""
        return CmosState(
            memory=bytes(self._memory),
            index=self._index,
            nmi_masked=self.nmi_masked,
            flags=self._flags,
            settled_ns=self._settled_ns,
            chain_start_ns=self._chain_start_ns,
        )

    def restore(self, state: CmosState) -> None:
        """Become `state` again; the clock stands already at the time when it was taken."""
        self._memory[:] = state.memory
        self._index = state.index
        self.nmi_masked = state.nmi_masked
        self._flags = state.flags
        self._settled_ns = state.settled_ns
        self._chain_start_ns = state.chain_start_ns
        self._drive()

    def inspect(self) -> CmosState:
        """Return what the guest would find now, UIP and pending flags included, and change nothing by looking.

        `state()` is as of the last look at the clock, and settling it here would make an inspected machine another one.
        """
        before = self.state()
        self._settle()
        if self._update_in_progress():
            self._memory[REGISTER_A] |= UPDATE_IN_PROGRESS
        now = self.state()
        self._memory[:], self._flags, self._settled_ns = before.memory, before.flags, before.settled_ns
        return now

    # Time: what happened between two looks.

    def _settle(self) -> None:
        """Account for everything between the last look and now, in constant time."""
        since, now = self._settled_ns, self._clock.now
        self._settled_ns = now
        if not self._dividing() or now == since:
            return
        if self._edges_until(now) > self._edges_until(since):
            self._flags |= PERIODIC
        updates = self._updates_until(now) - self._updates_until(since)
        if updates and not self._memory[REGISTER_B] & SET:
            self._flags |= UPDATE
            if self._seconds_to_alarm() <= updates:
                self._flags |= ALARM
            self._advance_clock(updates)

    def _dividing(self) -> bool:
        """Say whether the chain runs: DV of 3 to 5 is for the factory's tests, 6 and 7 hold it at zero."""
        return self._memory[REGISTER_A] & DIVIDER <= 0x20

    def _updates_until(self, time_ns: int) -> int:
        """Count ends of update cycles up to `time_ns`."""
        return (time_ns - self._chain_start_ns - UPDATE_NS) // SECOND_NS

    def _update_in_progress(self) -> bool:
        if self._memory[REGISTER_B] & SET or not self._dividing():
            return False
        into_second = (self._clock.now - self._chain_start_ns - UPDATE_NS) % SECOND_NS
        return into_second >= SECOND_NS - UPDATE_NS - BEFORE_UPDATE_NS

    def _period(self) -> int:
        """Return the periodic rate in crystal ticks, 0 for none (datasheet, table 5)."""
        rate = self._memory[REGISTER_A] & RATE
        if rate == 0:
            return 0
        # The last taps do not exist with this crystal: the codes 1 and 2 repeat 8 and 9.
        return 1 << (rate + 6 if rate < 3 else rate - 1)

    def _edges_until(self, time_ns: int) -> int:
        """Count edges of the periodic output up to `time_ns`.

        A tap of the chain rises half a period away from the overflow that begins an update (datasheet, figure of
        update-ended and periodic interrupts), so that a handler has its time to read the clock.
        """
        period = self._period()
        if period == 0:
            return 0
        ticks = (time_ns - self._chain_start_ns) * CRYSTAL_HZ // SECOND_NS
        return (ticks + period // 2) // period

    def _next_edge_ns(self) -> int:
        period = self._period()
        if period == 0:
            return NEVER
        tick = (self._edges_until(self._settled_ns) + 1) * period - period // 2
        return self._chain_start_ns - (-tick * SECOND_NS // CRYSTAL_HZ)

    def _update_end_ns(self, updates_ahead: int) -> int:
        number = self._updates_until(self._settled_ns) + updates_ahead
        return self._chain_start_ns + UPDATE_NS + number * SECOND_NS

    def _write_register_a(self, value: int) -> None:
        was_held = not self._dividing()
        self._memory[REGISTER_A] = value & ~UPDATE_IN_PROGRESS
        if was_held and self._dividing():
            self._chain_start_ns = self._clock.now - (SECOND_NS - RELEASE_NS)

    # The interrupt.

    def _take_flags(self) -> int:
        """Return register C and clear it, which lets the interrupt line fall."""
        flags = self._flags | (INTERRUPT if self._requests() else 0)
        self._flags = 0
        self._drive()
        return flags

    def _requests(self) -> int:
        return self._flags & self._memory[REGISTER_B] & (PERIODIC | ALARM | UPDATE)

    def _drive(self) -> None:
        """Set the line, and arm the alarm for the next enabled event; while the line is up none is needed."""
        requested = bool(self._requests())
        self._irq.set(requested)
        due = NEVER if requested else self._next_interrupt_ns()
        if self._alarm is not None and self._alarm.active:
            if self._alarm.due == due:
                return
            self._alarm.cancel()
        self._alarm = self._clock.at(due, self._ring) if due < NEVER else None

    def _ring(self) -> None:
        self._settle()
        self._drive()

    def _next_interrupt_ns(self) -> int:
        enabled = self._memory[REGISTER_B]
        if not enabled & (PERIODIC | ALARM | UPDATE) or not self._dividing():
            return NEVER
        due = self._next_edge_ns() if enabled & PERIODIC else NEVER
        if not enabled & SET:
            if enabled & UPDATE:
                due = min(due, self._update_end_ns(1))
            elif enabled & ALARM:
                seconds = self._seconds_to_alarm()
                due = min(due, self._update_end_ns(seconds) if seconds < NEVER else NEVER)
        return due

    def _seconds_to_alarm(self) -> int:
        """Return how many updates from now all three alarm bytes match, `NEVER` when they cannot."""
        matching = (
            self._matching(SECONDS_ALARM, 60),
            self._matching(MINUTES_ALARM, 60),
            self._matching(HOURS_ALARM, 24),
        )
        if not all(matching):
            return NEVER
        return self._get_clock().seconds_until(*matching)

    def _matching(self, register: int, limit: int) -> list[int]:
        """Return the values below `limit` which the alarm byte equals; C0h-FFh equals every one."""
        wanted = self._memory[register]
        if wanted >= DO_NOT_CARE:
            return list(range(limit))
        encode = self._encode_hours if register == HOURS_ALARM else self._encode
        return [value for value in range(limit) if encode(value) == wanted]

    # Bytes and numbers.

    def _get_clock(self) -> CalendarTime:
        memory = self._memory
        return CalendarTime(
            *(
                self._decode_hours(memory[field]) if field == HOURS else self._decode(memory[field])
                for field in TIME_FIELDS
            )
        )

    def _set_clock(self, time: CalendarTime) -> None:
        for field, value in zip(TIME_FIELDS, time.fields(), strict=True):
            self._memory[field] = self._encode_hours(value) if field == HOURS else self._encode(value)

    def _advance_clock(self, seconds: int) -> None:
        """Count on; a byte that does not change keeps its bits, be they a valid number or not."""
        before = self._get_clock()
        after = before.plus(seconds)
        for field, old, new in zip(TIME_FIELDS, before.fields(), after.fields(), strict=True):
            if new != old:
                self._memory[field] = self._encode_hours(new) if field == HOURS else self._encode(new)

    def _encode(self, value: int) -> int:
        if self._memory[REGISTER_B] & BINARY:
            return value & 0xFF
        return (value // 10 << 4 | value % 10) & 0xFF

    def _decode(self, byte: int) -> int:
        return byte if self._memory[REGISTER_B] & BINARY else (byte >> 4) * 10 + (byte & 0x0F)

    def _encode_hours(self, hours: int) -> int:
        if self._memory[REGISTER_B] & HOURS_24:
            return self._encode(hours)
        return self._encode(hours % 12 or 12) | (AFTERNOON if hours >= 12 else 0)

    def _decode_hours(self, byte: int) -> int:
        if self._memory[REGISTER_B] & HOURS_24:
            return self._decode(byte)
        hours = self._decode(byte & ~AFTERNOON) % 12
        return hours + 12 if byte & AFTERNOON else hours
