"""INT 08h, 18.2 ticks a second; INT 1Ah, the time of day; and the RTC's interrupt, INT 70h.

IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 1Ah"; Motorola MC146818A datasheet.
"""

from collections.abc import Callable

from minivm.firmware.services import Board, Call, from_bcd

TICKS_PER_DAY = 0x1800B0
PIT_HZ, PIT_DIVISOR = 1_193_182, 65536
PERIODIC_MICROSECONDS = 976
"""How often the RTC interrupts at the rate that POST sets, 1024 Hz."""

SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM = range(6)
DAY, MONTH, YEAR, STATUS_A, STATUS_B, STATUS_C = 7, 8, 9, 0x0A, 0x0B, 0x0C
CENTURY = 0x32
UPDATING = 0x80  # status A
SET, PERIODIC, ALARM, BINARY, DAYLIGHT = 0x80, 0x40, 0x20, 0x04, 0x01  # status B
PIC2_MASK = 0xA1
WAIT_RUNNING, WAIT_OVER = 0x01, 0x80  # 40:A0


class Time:
    """The timer tick, the time of day and the RTC."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._bda = board.bda
        self._functions: dict[int, Callable[[Call], None]] = {
            0x01: self._set_ticks, 0x02: self._get_time, 0x03: self._set_time,
            0x04: self._get_date, 0x05: self._set_date, 0x06: self._set_alarm, 0x07: self._drop_alarm,
        }  # fmt: skip

    def tick(self, call: Call) -> None:
        """INT 08h: count, note midnight, and stop the diskette's motors when their time is over."""
        bda = self._bda
        ticks = bda.ticks + 1
        if ticks >= TICKS_PER_DAY:
            ticks = 0
            bda.midnight = 1
        bda.ticks = ticks
        if bda.diskette_motor_count:
            bda.diskette_motor_count -= 1
            if bda.diskette_motor_count == 0:
                bda.diskette_motors &= 0xF0

    def call(self, call: Call) -> None:
        """Do the function in AH, but for 00h, which the ROM does itself; unknown ones return with carry set."""
        function = self._functions.get(call.cpu.ah)
        if function is None:
            call.unknown("INT 1Ah")
            call.carry = True
        else:
            call.carry = False
            function(call)

    def ticks_of_day(self) -> int:
        """Return how many ticks have passed since midnight by the RTC."""
        hours, minutes, seconds = (self._number(index) for index in (HOURS, MINUTES, SECONDS))
        ticks = (hours * 3600 + minutes * 60 + seconds) * PIT_HZ // PIT_DIVISOR
        return ticks % TICKS_PER_DAY

    def _number(self, index: int) -> int:
        value = self._board.cmos(index)
        return value if self._board.cmos(STATUS_B) & BINARY else from_bcd(value)

    # -- INT 1Ah ------------------------------------------------------------------------------------------------
    def _set_ticks(self, call: Call) -> None:
        self._bda.ticks, self._bda.midnight = call.cpu.cx << 16 | call.cpu.dx, 0

    def _updating(self, call: Call) -> bool:
        call.answer = bool(self._board.cmos(STATUS_A) & UPDATING)
        return call.answer

    def _get_time(self, call: Call) -> None:
        if not self._updating(call):
            cpu, cmos = call.cpu, self._board.cmos
            cpu.ch, cpu.cl, cpu.dh = cmos(HOURS), cmos(MINUTES), cmos(SECONDS)
            cpu.dl = cmos(STATUS_B) & DAYLIGHT

    def _get_date(self, call: Call) -> None:
        if not self._updating(call):
            cpu, cmos = call.cpu, self._board.cmos
            cpu.ch, cpu.cl, cpu.dh, cpu.dl = cmos(CENTURY), cmos(YEAR), cmos(MONTH), cmos(DAY)

    def _set_time(self, call: Call) -> None:
        cpu = call.cpu
        self._stop_and_set({HOURS: cpu.ch, MINUTES: cpu.cl, SECONDS: cpu.dh}, cpu.dl & DAYLIGHT)

    def _set_date(self, call: Call) -> None:
        cpu = call.cpu
        daylight = self._board.cmos(STATUS_B) & DAYLIGHT
        self._stop_and_set({CENTURY: cpu.ch, YEAR: cpu.cl, MONTH: cpu.dh, DAY: cpu.dl}, daylight)

    def _stop_and_set(self, values: dict[int, int], daylight: int) -> None:
        """Write clock registers with SET in force, so that the chip does not update half of them."""
        status = self._board.cmos(STATUS_B) & ~(SET | DAYLIGHT) | daylight
        self._board.set_cmos(STATUS_B, status | SET)
        for index, value in values.items():
            self._board.set_cmos(index, value)
        self._board.set_cmos(STATUS_B, status)

    def _set_alarm(self, call: Call) -> None:
        cpu, board = call.cpu, self._board
        status = board.cmos(STATUS_B)
        if status & ALARM:
            call.carry = True
            return
        for index, value in {HOURS_ALARM: cpu.ch, MINUTES_ALARM: cpu.cl, SECONDS_ALARM: cpu.dh}.items():
            board.set_cmos(index, value)
        self._unmask()
        board.set_cmos(STATUS_B, status & ~SET | ALARM)

    def _drop_alarm(self, call: Call) -> None:
        self._board.set_cmos(STATUS_B, self._board.cmos(STATUS_B) & ~ALARM)

    # -- waiting, INT 15h AH=83h and 86h ------------------------------------------------------------------------
    def start_wait(self, microseconds: int, segment: int, offset: int) -> bool:
        """Set bit 7 of segment:offset after that time; False when somebody waits already."""
        bda, board = self._bda, self._board
        if bda.wait_active & WAIT_RUNNING:
            return False
        bda.wait_flag_pointer = segment << 16 | offset
        bda.wait_microseconds = microseconds
        bda.wait_active = WAIT_RUNNING
        self._unmask()
        board.set_cmos(STATUS_A, board.cmos(STATUS_A) & 0x70 | 6)
        board.set_cmos(STATUS_B, board.cmos(STATUS_B) | PERIODIC)
        return True

    def stop_wait(self) -> None:
        """Forget the wait and silence the RTC's periodic interrupt."""
        self._bda.wait_active &= ~WAIT_RUNNING
        self._board.set_cmos(STATUS_B, self._board.cmos(STATUS_B) & ~PERIODIC)

    def wait_over(self, call: Call) -> None:
        """Answer the ROM's question whether AH=86h may return."""
        call.answer = not self._bda.wait_active & WAIT_RUNNING
        if call.answer:
            self._bda.wait_active = 0

    def rtc_interrupt(self, call: Call) -> None:
        """INT 70h: count a wait down; answer yes when the alarm rang, so that the ROM calls INT 4Ah."""
        cause = self._board.cmos(STATUS_C) & self._board.cmos(STATUS_B)
        if cause & PERIODIC:
            self._count_down()
        call.answer = bool(cause & ALARM)

    def _count_down(self) -> None:
        bda = self._bda
        if bda.wait_microseconds > PERIODIC_MICROSECONDS:
            bda.wait_microseconds -= PERIODIC_MICROSECONDS
            return
        bda.wait_microseconds = 0
        self.stop_wait()
        pointer = bda.wait_flag_pointer
        flag = self._board.load(pointer >> 16, pointer & 0xFFFF)
        self._board.store(pointer >> 16, pointer & 0xFFFF, 1, flag | WAIT_OVER)

    def _unmask(self) -> None:
        self._board.out(PIC2_MASK, self._board.ports.read(PIC2_MASK, 1) & ~1)
