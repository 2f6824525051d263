"""INT 15h AH=C2h, the pointing device, and what its interrupt handler in the ROM works with.

IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 15h, AH=C2h" and "Extended BIOS data area". The bytes to
the mouse and back take milliseconds, so the talking is done by the ROM's code. Here is what comes before, which writes
into the extended data area what to say, and what comes after, which makes registers of the answers.
"""

from collections.abc import Callable

from minivm.firmware import ebda
from minivm.firmware.services import Board, Call

# Offsets in the extended data area: IBM's
DRIVER = ebda.MOUSE  # 22h: far pointer to the program's handler
INDEX, PACKAGE, DATA = 0x26, 0x27, 0x28
HANDLER_INSTALLED = 0x80
COUNT_MASK = 0x07
# and our own, for the ROM's code, which has the same numbers
SEND_COUNT, SEND, ANSWER_COUNT, ANSWERS, RESULT, KEEP, ADD = 0x30, 0x31, 0x35, 0x36, 0x3A, 0x3B, 0x3C
MOST_SENT = MOST_ANSWERED = 4

# AH
SUCCESS, BAD_FUNCTION, BAD_INPUT, INTERFACE_ERROR, RESEND, NO_HANDLER = range(6)

# What the mouse understands (IBM PS/2 Hardware Interface Technical Reference, "Mouse")
ENABLE, DISABLE, RESET, SET_RATE, SET_RESOLUTION = 0xF4, 0xF5, 0xFF, 0xF3, 0xE8
READ_TYPE, STATUS, SCALING_1, SCALING_2 = 0xF2, 0xE9, 0xE6, 0xE7
RATES = (10, 20, 40, 60, 80, 100, 200)
INTERRUPT_12, MOUSE_OFF = 0x02, 0x20
"""Bits of the keyboard controller's command byte."""
ALL = 0xFF

Plan = tuple[bytes, int]
"""The bytes to send, and how many answers come after they were acknowledged."""


class Pointing:
    """The services before (`begin`) and after (`end`) the ROM's talk with the mouse."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._area = board.ebda
        self._plans: dict[int, Callable[[Call], Plan | int]] = {
            0x00: self._enable, 0x01: _reset, 0x02: _set_rate, 0x03: _set_resolution, 0x04: _read_type,
            0x05: self._initialize, 0x06: _extended, 0x07: self._set_handler, 0x08: _write_port, 0x09: _read_port,
        }  # fmt: skip

    def begin(self, call: Call) -> None:
        """Write down what to say; the answer "yes" means that there is nothing, and that the call is over."""
        make = self._plans.get(call.cpu.al)
        if make is None:
            call.unknown("INT 15h")
        plan = BAD_FUNCTION if make is None else make(call)
        if isinstance(plan, int):
            _finish(call, plan)
            call.answer = True
            return
        sent, answers = plan
        self._area.store(SEND_COUNT, 1, len(sent))
        self._area.store_bytes(SEND, sent)
        self._area.store(ANSWER_COUNT, 1, answers)
        keep, add = ALL, 0
        if sent in (bytes([ENABLE]), bytes([DISABLE])):  # only a mouse that reports interrupts
            keep = ALL & ~(INTERRUPT_12 | MOUSE_OFF)
            add = INTERRUPT_12 if sent[0] == ENABLE else 0
        self._area.store(KEEP, 1, keep)
        self._area.store(ADD, 1, add)

    def end(self, call: Call) -> None:
        """Make registers of the answers; AL is still the function that `begin` had."""
        cpu, area = call.cpu, self._area
        result = area.load(RESULT, 1)
        answers = area.load_bytes(ANSWERS, MOST_ANSWERED)
        if result == SUCCESS:
            match cpu.al:
                case 0x01 | 0x05:
                    cpu.bl, cpu.bh = answers[0], answers[1]
                case 0x04:
                    cpu.bh = answers[0]
                case 0x06 if cpu.bh == 0:
                    cpu.bl, cpu.cl, cpu.dl = answers[:3]
                case 0x09:
                    cpu.bl, cpu.cl, cpu.dl = answers[:3]
        _finish(call, result)

    def _enable(self, call: Call) -> Plan | int:
        if call.cpu.bh > 1:
            return BAD_INPUT
        package = self._area.load(PACKAGE, 1)
        if call.cpu.bh and not package & HANDLER_INSTALLED:
            return NO_HANDLER
        self._area.store(INDEX, 1, 0)
        return bytes([ENABLE if call.cpu.bh else DISABLE]), 0

    def _initialize(self, call: Call) -> Plan | int:
        """AL=05h: BH is how many bytes a packet has, 1 to 8."""
        size = call.cpu.bh
        if not 1 <= size <= 8:
            return BAD_INPUT
        self._area.store(INDEX, 1, 0)
        self._area.store(PACKAGE, 1, self._area.load(PACKAGE, 1) & ~COUNT_MASK | size - 1)
        return _reset(call)

    def _set_handler(self, call: Call) -> int:
        """AL=07h: ES:BX is called for each packet, 0000:0000 for nobody."""
        handler = call.cpu.es << 16 | call.cpu.bx
        self._area.store(DRIVER, 4, handler)
        package = self._area.load(PACKAGE, 1) & ~HANDLER_INSTALLED
        self._area.store(PACKAGE, 1, package | (HANDLER_INSTALLED if handler else 0))
        return SUCCESS


def _finish(call: Call, result: int) -> None:
    call.cpu.ah = result
    call.carry = result != SUCCESS


def _reset(call: Call) -> Plan:
    del call
    return bytes([RESET]), 2


def _set_rate(call: Call) -> Plan | int:
    return (bytes([SET_RATE, RATES[call.cpu.bh]]), 0) if call.cpu.bh < len(RATES) else BAD_INPUT


def _set_resolution(call: Call) -> Plan | int:
    return (bytes([SET_RESOLUTION, call.cpu.bh]), 0) if call.cpu.bh < 4 else BAD_INPUT


def _read_type(call: Call) -> Plan:
    del call
    return bytes([READ_TYPE]), 1


def _extended(call: Call) -> Plan | int:
    plans: dict[int, Plan] = {0: (bytes([STATUS]), 3), 1: (bytes([SCALING_1]), 0), 2: (bytes([SCALING_2]), 0)}
    return plans.get(call.cpu.bh, BAD_INPUT)


def _write_port(call: Call) -> Plan:
    return bytes([call.cpu.bl]), 0


def _read_port(call: Call) -> Plan:
    del call
    return b"", 3
