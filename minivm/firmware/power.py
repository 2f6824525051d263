"""INT 15h AH=53h: Advanced Power Management, by which small systems switch the machine off.

APM BIOS Interface Specification 1.2, section 4; only its real-mode interface is there. Nothing is connected to: a
connection is granted, and no function asks for one.
"""

from collections.abc import Callable

from minivm.firmware.services import Board, Call

POWER_SWITCH_PORT, SLEEP_ENABLE = 0x604, 0x2000
APM_1_2 = 0x0102
SIGNATURE = 0x504D  # "PM"
APM_BIOS, ALL_DEVICES = 0x0000, 0x0001
OFF = 3

NO_16_BIT_INTERFACE, NO_32_BIT_INTERFACE = 0x06, 0x08
UNKNOWN_DEVICE, BAD_STATE, NO_EVENT = 0x09, 0x0A, 0x80


class PowerManagement:
    """The functions of INT 15h AH=53h. `call` answers False for a function that is not there."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._functions: dict[int, Callable[[Call], int]] = {
            0x00: self._installation, 0x01: _granted, 0x02: _no_16_bit, 0x03: _no_32_bit, 0x04: _granted,
            0x05: _granted, 0x06: _granted, 0x07: self._set_state, 0x08: _granted, 0x0A: self._status,
            0x0B: _no_event, 0x0E: self._version, 0x0F: _granted, 0x10: _granted,
        }  # fmt: skip

    def call(self, call: Call) -> bool:
        """Do the function in AL; an error is carry with its number in AH."""
        function = self._functions.get(call.cpu.al)
        if function is None:
            call.unknown("INT 15h")
            return False
        error = function(call)
        call.carry = bool(error)
        if error:
            call.cpu.ah = error
        return True

    def _installation(self, call: Call) -> int:
        if call.cpu.bx != APM_BIOS:
            return UNKNOWN_DEVICE
        call.cpu.ax, call.cpu.bx, call.cpu.cx = APM_1_2, SIGNATURE, 0  # CX: no protected-mode interface
        return 0

    def _set_state(self, call: Call) -> int:
        """Switch off; standby and suspend are taken without effect."""
        if call.cpu.bx != ALL_DEVICES:
            return UNKNOWN_DEVICE
        if not 1 <= call.cpu.cx <= OFF:
            return BAD_STATE
        if call.cpu.cx == OFF:
            self._board.ports.write(POWER_SWITCH_PORT, 2, SLEEP_ENABLE)
        return 0

    def _status(self, call: Call) -> int:
        if call.cpu.bx != ALL_DEVICES:
            return UNKNOWN_DEVICE
        call.cpu.bx, call.cpu.cx, call.cpu.dx = 0x01FF, 0x80FF, 0xFFFF  # on the mains; no battery
        return 0

    def _version(self, call: Call) -> int:
        """Agree on the lower of the driver's version in CX and ours."""
        call.cpu.ax = min(call.cpu.cx, APM_1_2)
        return 0


def _granted(call: Call) -> int:
    return 0


def _no_16_bit(call: Call) -> int:
    return NO_16_BIT_INTERFACE


def _no_32_bit(call: Call) -> int:
    return NO_32_BIT_INTERFACE


def _no_event(call: Call) -> int:
    return NO_EVENT
