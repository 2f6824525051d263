"""INT 09h, which turns scan codes into keys, and INT 16h, which hands them out.

IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 09h" and "Interrupt 16h", with the tables of the
101-key keyboard. A key is a word: scan code << 8 | character. E0h or F0h as the character marks keys that only the
101-key keyboard has; AH=00h and 01h hide them from programs that do not know them.
"""

from collections.abc import Callable

from minivm.firmware.services import Board, Call

# 40:17
RIGHT_SHIFT, LEFT_SHIFT, CTRL, ALT, SCROLL, NUM, CAPS, INSERT = (1 << bit for bit in range(8))
# 40:18
LEFT_CTRL, LEFT_ALT, SYSREQ, PAUSED = (1 << bit for bit in range(4))
# 40:96
AFTER_E1, AFTER_E0, RIGHT_CTRL, RIGHT_ALT, ENHANCED = (1 << bit for bit in range(5))
# 40:97
LED_BITS, LED_ACKNOWLEDGED, LED_UPDATING = 0x07, 0x10, 0x40

ACKNOWLEDGE, RESEND, SET_LEDS = 0xFA, 0xFE, 0xED
DATA_PORT = 0x60

# What INT 09h in the ROM has to do after the service: the value in AH
NOTHING, BREAK, PRINT_SCREEN, PAUSE, RESET, SYSREQ_DOWN, SYSREQ_UP = range(7)

KEYBOARD_ID = 0x41AB
"""What INT 16h AH=0Ah says: an MF2 keyboard behind a translating controller."""


def _rows(start: int, plain: str, shifted: str) -> dict[int, tuple[int, int, int, int]]:
    """Return the table rows for a run of keys that make characters; Alt gives the bare scan code."""
    rows = {}
    for code, (low, high) in enumerate(zip(plain, shifted, strict=True), start=start):
        control = ord(low) & 0x1F if low.isalpha() else -1
        word = code << 8
        rows[code] = (word | ord(low), word | ord(high), word | control if control >= 0 else -1, word)
    return rows


def _keys() -> dict[int, tuple[int, int, int, int]]:
    """Return scan code -> key alone, with Shift, with Ctrl, with Alt; -1 where there is none."""
    rows = _rows(0x02, "1234567890-=", "!@#$%^&*()_+")
    rows = {code: (*row[:3], 0x7600 + (code << 8)) for code, row in rows.items()}
    rows[0x03] = (*rows[0x03][:2], 0x0300, rows[0x03][3])
    rows[0x07] = (*rows[0x07][:2], 0x071E, rows[0x07][3])
    rows[0x0C] = (*rows[0x0C][:2], 0x0C1F, rows[0x0C][3])
    rows |= _rows(0x10, "qwertyuiop", "QWERTYUIOP") | _rows(0x1E, "asdfghjkl", "ASDFGHJKL")
    rows |= _rows(0x2C, "zxcvbnm", "ZXCVBNM")
    for code, characters, control in (
        (0x1A, "[{", 0x1A1B), (0x1B, "]}", 0x1B1D), (0x27, ";:", -1), (0x28, "'\"", -1), (0x29, "`~", -1),
        (0x2B, "\\|", 0x2B1C), (0x33, ",<", -1), (0x34, ".>", -1), (0x35, "/?", -1), (0x56, "\\|", -1),
    ):  # fmt: skip
        rows[code] = (code << 8 | ord(characters[0]), code << 8 | ord(characters[1]), control, code << 8 | 0xF0)
    rows[0x56] = (*rows[0x56][:3], -1)
    for number in range(10):  # F1-F10
        rows[0x3B + number] = tuple((first + number) << 8 for first in (0x3B, 0x54, 0x5E, 0x68))  # type: ignore[assignment]
    return rows | {
        0x01: (0x011B, 0x011B, 0x011B, 0x01F0),
        0x0E: (0x0E08, 0x0E08, 0x0E7F, 0x0EF0),
        0x0F: (0x0F09, 0x0F00, 0x9400, 0xA500),
        0x1C: (0x1C0D, 0x1C0D, 0x1C0A, 0x1CF0),
        0x37: (0x372A, 0x372A, 0x9600, 0x37F0),
        0x39: (0x3920, 0x3920, 0x3920, 0x3920),
        0x4A: (0x4A2D, 0x4A2D, 0x8E00, 0x4AF0),
        0x4E: (0x4E2B, 0x4E2B, 0x9000, 0x4EF0),
        0x57: (0x8500, 0x8700, 0x8900, 0x8B00),
        0x58: (0x8600, 0x8800, 0x8A00, 0x8C00),
    }


KEYS = _keys()

# The numeric keypad: cursor key, digit, with Ctrl
KEYPAD: dict[int, tuple[int, int, int]] = {
    0x47: (0x4700, 0x4737, 0x7700), 0x48: (0x4800, 0x4838, 0x8D00), 0x49: (0x4900, 0x4939, 0x8400),
    0x4B: (0x4B00, 0x4B34, 0x7300), 0x4C: (0x4CF0, 0x4C35, 0x8F00), 0x4D: (0x4D00, 0x4D36, 0x7400),
    0x4F: (0x4F00, 0x4F31, 0x7500), 0x50: (0x5000, 0x5032, 0x9100), 0x51: (0x5100, 0x5133, 0x7600),
    0x52: (0x5200, 0x5230, 0x9200), 0x53: (0x5300, 0x532E, 0x9300),
}  # fmt: skip

# Behind E0h: alone, with Shift, with Ctrl, with Alt
EXTENDED: dict[int, tuple[int, int, int, int]] = {
    0x1C: (0xE00D, 0xE00D, 0xE00A, 0xA600), 0x35: (0xE02F, 0xE02F, 0x9500, 0xA400),
    0x47: (0x47E0, 0x47E0, 0x77E0, 0x9700), 0x48: (0x48E0, 0x48E0, 0x8DE0, 0x9800),
    0x49: (0x49E0, 0x49E0, 0x84E0, 0x9900), 0x4B: (0x4BE0, 0x4BE0, 0x73E0, 0x9B00),
    0x4D: (0x4DE0, 0x4DE0, 0x74E0, 0x9D00), 0x4F: (0x4FE0, 0x4FE0, 0x75E0, 0x9F00),
    0x50: (0x50E0, 0x50E0, 0x91E0, 0xA000), 0x51: (0x51E0, 0x51E0, 0x76E0, 0xA100),
    0x52: (0x52E0, 0x52E0, 0x92E0, 0xA200), 0x53: (0x53E0, 0x53E0, 0x93E0, 0xA300),
}  # fmt: skip

KEYPAD_DIGITS = {code: row[1] - 0x30 & 0xFF for code, row in KEYPAD.items() if code != 0x53}
LETTERS = frozenset(code for code, row in KEYS.items() if chr(row[0] & 0xFF).isalpha() and row[0] >> 8 == code)
_LOCKS = {0x3A: CAPS, 0x45: NUM, 0x46: SCROLL}
_SHIFTS = {0x2A: LEFT_SHIFT, 0x36: RIGHT_SHIFT}


class KeyBuffer:
    """The ring of 16 words in the data area; one stays empty, so it holds 15 keys."""

    def __init__(self, board: Board) -> None:
        self._bda = board.bda

    def put(self, key: int) -> bool:
        """Store a key; False when the buffer is full."""
        tail = self._bda.keyboard_tail
        following = self._after(tail)
        if following == self._bda.keyboard_head:
            return False
        self._bda.store(tail, 2, key)
        self._bda.keyboard_tail = following
        return True

    def peek(self) -> int | None:
        """Return the oldest key, None when there is none."""
        head = self._bda.keyboard_head
        return None if head == self._bda.keyboard_tail else self._bda.load(head, 2)

    def drop(self) -> None:
        """Forget the oldest key."""
        self._bda.keyboard_head = self._after(self._bda.keyboard_head)

    def clear(self) -> None:
        """Forget all keys."""
        self._bda.keyboard_head = self._bda.keyboard_tail = self._bda.keyboard_start

    def _after(self, offset: int) -> int:
        offset = offset + 2 & 0xFFFF
        return self._bda.keyboard_start if offset >= self._bda.keyboard_end else offset


class Keyboard:
    """INT 09h (`interrupt`) and INT 16h (`call`)."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._bda = board.bda
        self.buffer = KeyBuffer(board)
        self._functions: dict[int, Callable[[Call], None]] = {
            0x00: self._read, 0x10: self._read, 0x01: self._look, 0x11: self._look, 0x02: self._shift_flags,
            0x03: self._typematic, 0x05: self._store, 0x09: self._abilities, 0x0A: self._identify,
            0x12: self._all_flags,
        }  # fmt: skip

    # -- INT 09h ------------------------------------------------------------------------------------------------
    def interrupt(self, call: Call) -> None:
        """Take the scan code in AL; AH becomes what the ROM has to do next."""
        call.cpu.ah = self.scan_code(call.cpu.al)
        self._update_leds()

    def scan_code(self, code: int) -> int:
        """Take one byte from the keyboard and return what is left to do."""
        if code in (ACKNOWLEDGE, RESEND):
            self._led_answer(code)
            return NOTHING
        if code in (0xE0, 0xE1):
            self._bda.keyboard_flags_3 |= AFTER_E0 if code == 0xE0 else AFTER_E1
            return NOTHING
        flags = self._bda.keyboard_flags_3
        after_e0, after_e1 = bool(flags & AFTER_E0), bool(flags & AFTER_E1)
        if after_e1 and code & 0x7F == 0x1D:  # the middle of Pause, E1 1D 45
            return NOTHING
        self._bda.keyboard_flags_3 = flags & ~(AFTER_E0 | AFTER_E1)
        if after_e1:
            return self._pause() if code == 0x45 else NOTHING
        if code & 0x80:
            return self._released(code & 0x7F, after_e0)
        return self._pressed(code, after_e0)

    def _released(self, code: int, extended: bool) -> int:
        bda = self._bda
        if code in _SHIFTS and not extended:
            bda.shift_flags &= ~_SHIFTS[code]
        elif code in _LOCKS:
            bda.shift_flags_2 &= ~_LOCKS[code]
        elif code == 0x52:
            bda.shift_flags_2 &= ~INSERT
        elif code == 0x1D:
            self._modifier(False, extended, LEFT_CTRL, RIGHT_CTRL, CTRL)
        elif code == 0x38:
            self._modifier(False, extended, LEFT_ALT, RIGHT_ALT, ALT)
            self._end_keypad_number()
        elif code == 0x54 and bda.shift_flags_2 & SYSREQ:
            bda.shift_flags_2 &= ~SYSREQ
            return SYSREQ_UP
        return NOTHING

    def _pressed(self, code: int, extended: bool) -> int:
        bda, shifts = self._bda, self._bda.shift_flags
        if code in _SHIFTS:
            if not extended:  # E0 2A and E0 36 are no keys: they frame the grey cursor keys
                bda.shift_flags |= _SHIFTS[code]
            return NOTHING
        if code == 0x1D:
            return self._modifier(True, extended, LEFT_CTRL, RIGHT_CTRL, CTRL)
        if code == 0x38:
            return self._modifier(True, extended, LEFT_ALT, RIGHT_ALT, ALT)
        if code == 0x53 and shifts & CTRL and shifts & ALT:
            bda.reset_flag = 0x1234
            return RESET
        if code == 0x46 and shifts & CTRL:
            return self._break()
        if code == 0x45 and shifts & CTRL:
            return self._pause()
        if code in _LOCKS and not extended:
            return self._lock(_LOCKS[code])
        if bda.shift_flags_2 & PAUSED:  # any key ends the pause, and is used up by that
            bda.shift_flags_2 &= ~PAUSED
            return NOTHING
        return self._key(code, extended)

    def _key(self, code: int, extended: bool) -> int:
        bda, shifts = self._bda, self._bda.shift_flags
        if code == 0x54:
            if bda.shift_flags_2 & SYSREQ:
                return NOTHING
            bda.shift_flags_2 |= SYSREQ
            return SYSREQ_DOWN
        if code == 0x37 and extended and not shifts & ALT:
            if not shifts & CTRL:
                return PRINT_SCREEN
            self.buffer.put(0x7200)
            return NOTHING
        if code in KEYPAD_DIGITS and not extended and shifts & ALT:
            bda.keypad_number = bda.keypad_number * 10 + KEYPAD_DIGITS[code]
            return NOTHING
        if code == 0x52 and not shifts & (ALT | CTRL) and not self._types_digit(code, extended):
            self._toggle(INSERT)
        key = self._look_up(code, extended)
        if key >= 0:
            self.buffer.put(key)  # a full buffer loses the key; a real BIOS beeps
        return NOTHING

    def _look_up(self, code: int, extended: bool) -> int:
        shifts = self._bda.shift_flags
        shifted = bool(shifts & (LEFT_SHIFT | RIGHT_SHIFT))
        column = 3 if shifts & ALT else 2 if shifts & CTRL else 1 if shifted else 0
        if extended:
            return EXTENDED.get(code, (-1, -1, -1, -1))[column]
        if code in KEYPAD:
            if column >= 2:
                return KEYPAD[code][2] if column == 2 else -1
            return KEYPAD[code][self._types_digit(code, extended)]
        if column < 2 and code in LETTERS and shifts & CAPS:
            column = 1 - column
        return KEYS.get(code, (-1, -1, -1, -1))[column]

    def _types_digit(self, code: int, extended: bool) -> bool:
        shifts = self._bda.shift_flags
        return code in KEYPAD and not extended and bool(shifts & NUM) != bool(shifts & (LEFT_SHIFT | RIGHT_SHIFT))

    def _modifier(self, down: bool, extended: bool, left: int, right: int, either: int) -> int:
        """Press or release Ctrl or Alt: the left ones are in 40:18, the right ones in 40:96, both in 40:17."""
        bda = self._bda
        if extended:
            bda.keyboard_flags_3 = bda.keyboard_flags_3 | right if down else bda.keyboard_flags_3 & ~right
        else:
            bda.shift_flags_2 = bda.shift_flags_2 | left if down else bda.shift_flags_2 & ~left
        held = bda.shift_flags_2 & left or bda.keyboard_flags_3 & right
        bda.shift_flags = bda.shift_flags | either if held else bda.shift_flags & ~either
        return NOTHING

    def _end_keypad_number(self) -> None:
        number, self._bda.keypad_number = self._bda.keypad_number, 0
        if number:
            self.buffer.put(number)

    def _lock(self, bit: int) -> int:
        self._toggle(bit)
        return NOTHING

    def _toggle(self, bit: int) -> None:
        """Flip a state in 40:17 unless its key is only repeating (40:18)."""
        if not self._bda.shift_flags_2 & bit:
            self._bda.shift_flags_2 |= bit
            self._bda.shift_flags ^= bit

    def _break(self) -> int:
        self._bda.break_flag = 0x80
        self.buffer.clear()
        self.buffer.put(0)
        return BREAK

    def _pause(self) -> int:
        if self._bda.shift_flags_2 & PAUSED:
            return NOTHING
        self._bda.shift_flags_2 |= PAUSED
        return PAUSE

    def paused(self, call: Call) -> None:
        """Answer the ROM's question whether Pause still holds."""
        call.answer = bool(self._bda.shift_flags_2 & PAUSED)

    # -- the keyboard's lamps -----------------------------------------------------------------------------------
    def _update_leds(self) -> None:
        """Begin to send the lock states to the keyboard; its answers come back as scan codes, see `_led_answer`."""
        lamps = self._bda.shift_flags >> 4 & LED_BITS
        status = self._bda.keyboard_leds
        if lamps != status & LED_BITS and not status & LED_UPDATING:
            self._bda.keyboard_leds = status & ~(LED_BITS | LED_ACKNOWLEDGED) | LED_UPDATING | lamps
            self._board.out(DATA_PORT, SET_LEDS)

    def _led_answer(self, code: int) -> None:
        status = self._bda.keyboard_leds
        if not status & LED_UPDATING:
            return
        if code == ACKNOWLEDGE and not status & LED_ACKNOWLEDGED:
            self._bda.keyboard_leds = status | LED_ACKNOWLEDGED
            self._board.out(DATA_PORT, status & LED_BITS)
        else:
            self._bda.keyboard_leds = status & ~(LED_UPDATING | LED_ACKNOWLEDGED)

    # -- INT 16h ------------------------------------------------------------------------------------------------
    def call(self, call: Call) -> None:
        """Do the function in AH. The answer "yes" lets the ROM wait for a key and ask again."""
        function = self._functions.get(call.cpu.ah)
        if function is None:
            call.unknown("INT 16h")
        else:
            function(call)

    def _next(self, extended: bool) -> int | None:
        """Return the oldest key as the caller may see it; keys that he must not see are dropped."""
        while (key := self.buffer.peek()) is not None:
            seen = key if extended else standard_key(key)
            if seen is not None:
                return seen & 0xFF00 if seen & 0xFF == 0xF0 and seen >> 8 else seen
            self.buffer.drop()
        return None

    def _read(self, call: Call) -> None:
        self._update_leds()
        key = self._next(call.cpu.ah == 0x10)
        if key is None:
            call.answer = True
        else:
            call.cpu.ax = key
            self.buffer.drop()

    def _look(self, call: Call) -> None:
        key = self._next(call.cpu.ah == 0x11)
        call.zero = key is None
        if key is not None:
            call.cpu.ax = key

    def _shift_flags(self, call: Call) -> None:
        call.cpu.al = self._bda.shift_flags

    def _typematic(self, call: Call) -> None:
        """Take the repeat rate without effect: whoever types here repeats keys himself."""

    def _store(self, call: Call) -> None:
        call.cpu.al = 0 if self.buffer.put(call.cpu.cx) else 1

    def _abilities(self, call: Call) -> None:
        call.cpu.al = 0x30  # AH=0Ah and 10h-12h are there; rates cannot be read

    def _identify(self, call: Call) -> None:
        call.cpu.bx = KEYBOARD_ID

    def _all_flags(self, call: Call) -> None:
        second, third = self._bda.shift_flags_2, self._bda.keyboard_flags_3
        call.cpu.al = self._bda.shift_flags
        call.cpu.ah = second & 0x73 | (second & SYSREQ) << 5 | third & (RIGHT_CTRL | RIGHT_ALT)


def standard_key(key: int) -> int | None:
    """Return `key` as the 84-key keyboard would have given it, None when it had no such key (AH=00h, 01h)."""
    scan, character = key >> 8, key & 0xFF
    if scan == 0xE0:  # keypad Enter and /
        return (0x1C00 if character in (0x0D, 0x0A) else 0x3500) | character
    if scan > 0x84:
        return None
    if character == 0xF0 and scan:
        return None
    return key & 0xFF00 if character == 0xE0 and scan else key
