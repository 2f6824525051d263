"""INT 14h, the serial ports (IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 14h").

The service never waits. When the UART is not ready it answers "ask again", and the ROM lets time pass; the word above
the service number on the stack holds when the wait began, so that several callers can wait at once.
"""

from collections.abc import Callable

from minivm.firmware.services import Board, Call

DIVISORS = (1047, 768, 384, 192, 96, 48, 24, 12)
"""For 110, 150, 300, 600, 1200, 2400, 4800 and 9600 baud, from 1.8432 MHz / 16."""
DATA, INTERRUPT_ENABLE, LINE_CONTROL, MODEM_CONTROL, LINE_STATUS, MODEM_STATUS = 0, 1, 3, 4, 5, 6
DIVISOR_LATCH = 0x80
READY_TO_SEND, RECEIVED, RECEIVE_ERRORS = 0x20, 0x01, 0x1E
TIMED_OUT = 0x80
DTR_RTS, OUT2_KEPT = 0x03, 0x08
MILLISECOND_NS = 1_000_000
START_SLOT = 2


class Serial:
    """INT 14h, AH=00h to 03h, on the ports that 40:00 to 40:06 name."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._functions: dict[int, Callable[[Call, int], None]] = {
            0x00: self._initialize, 0x01: self._send, 0x02: self._receive, 0x03: self._status,
        }  # fmt: skip

    def call(self, call: Call) -> None:
        """Do the function in AH on port DX; without such a port nothing changes."""
        cpu = call.cpu
        function = self._functions.get(cpu.ah)
        base = self._board.bda.com_port(cpu.dx) if cpu.dx < 4 else 0
        if function is None:
            call.unknown("INT 14h")
        elif base:
            function(call, base)

    def _initialize(self, call: Call, base: int) -> None:
        settings, out = call.cpu.al, self._board.out
        divisor = DIVISORS[settings >> 5]
        out(base + LINE_CONTROL, DIVISOR_LATCH)
        out(base + DATA, divisor)
        out(base + INTERRUPT_ENABLE, divisor >> 8)
        out(base + LINE_CONTROL, settings & 0x1F)  # length, stop bits and parity lie as the UART has them
        out(base + INTERRUPT_ENABLE, 0)
        self._status(call, base)

    def _status(self, call: Call, base: int) -> None:
        call.cpu.ah = self._board.ports.read(base + LINE_STATUS, 1)
        call.cpu.al = self._board.ports.read(base + MODEM_STATUS, 1)

    def _send(self, call: Call, base: int) -> None:
        self._raise_lines(base)
        status = self._wait_for(call, base, READY_TO_SEND)
        if status is not None:
            self._board.out(base + DATA, call.cpu.al)
            call.cpu.ah = status

    def _receive(self, call: Call, base: int) -> None:
        self._raise_lines(base)
        status = self._wait_for(call, base, RECEIVED)
        if status is not None:
            call.cpu.al = self._board.ports.read(base + DATA, 1)
            call.cpu.ah = status & RECEIVE_ERRORS

    def _raise_lines(self, base: int) -> None:
        kept = self._board.ports.read(base + MODEM_CONTROL, 1) & OUT2_KEPT
        self._board.out(base + MODEM_CONTROL, kept | DTR_RTS)

    def _wait_for(self, call: Call, base: int, wanted: int) -> int | None:
        """Return the line status once `wanted` is in it; None while waiting, and after a timeout (AH bit 7)."""
        status = self._board.ports.read(base + LINE_STATUS, 1)
        if status & wanted:
            return status
        # 0 means "not waiting yet", so bit 15 is always set in a start time
        now = self._board.clock.now // MILLISECOND_NS & 0x7FFF
        start = call.stack(START_SLOT)
        limit = self._board.bda.serial_timeout(call.cpu.dx) * 1000
        if not start:
            call.set_stack(START_SLOT, now | 0x8000)
        elif (now - start & 0x7FFF) >= min(limit, 0x7000):
            call.cpu.ah = status & 0x7F | TIMED_OUT
            return None
        call.answer = True
        return None
