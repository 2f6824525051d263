"""The PS/2 keyboard at the controller's cable: its commands, its scan codes and its buffer.

IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-key)". But where a case is about translation,
the controller passes the keyboard's bytes as they are: command byte 24h.
"""

from minivm.testing.contract import Contract, Probe
from minivm.testing.contracts.i8042 import DATA, OUTPUT_FULL, STATUS, answers, command, free, is_quiet, program, send

KEYBOARD = Contract(
    "ps2_keyboard",
    "PS/2 keyboard",
    "IBM PS/2 Hardware Interface Technical Reference, Keyboards (101- and 102-Key)",
)

PLAIN, TRANSLATED = 0x24, 0x64
ACKNOWLEDGE, RESEND = 0xFA, 0xFE


def tell(pc: Probe, *values: int) -> None:
    """Send a command and its options, and check that each is acknowledged."""
    for value in values:
        send(pc, value)
        answers(pc, ACKNOWLEDGE, what=f"the acknowledgement of {value:02X}h")


def scan_set_is(pc: Probe, expected: int, what: str) -> None:
    """Check which set of scan codes the keyboard says it uses."""
    tell(pc, 0xF0, 0x00)
    answers(pc, expected, what=what)


def sends(pc: Probe, key: str, *codes: int, pressed: bool = True) -> None:
    """Move a key and check what comes."""
    (pc.press if pressed else pc.release)(key)
    answers(pc, *codes, what=f"{key} {'down' if pressed else 'up'}")


def repeats_after(pc: Probe, delay_ms: int, code: int) -> None:
    """Check that a held key first repeats when `delay_ms` have gone by since its press, give or take 60 ms."""
    pc.step(ms=delay_ms - 60)
    pc.reads(STATUS, 0, f"a code {delay_ms - 60} ms after the first", mask=OUTPUT_FULL)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL, f"a code after {delay_ms} ms", within_ms=120)
    pc.reads(DATA, code)


def taken(pc: Probe, milliseconds: int) -> bytes:
    """Return the bytes that come in a time, each read within 10 ms."""
    got = bytearray()
    for _ in range(milliseconds // 10):
        pc.step(ms=10)
        if pc.read(STATUS) & OUTPUT_FULL:
            got.append(pc.read(DATA))
    return bytes(got)


# -- commands -------------------------------------------------------------------------------------------------------
@KEYBOARD.case("reset is acknowledged, and the self test says AAh within a second", "Commands: Reset (FFh)")
def reset(pc: Probe) -> None:
    program(pc, PLAIN)
    tell(pc, 0xFF)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL, "the end of the self test", within_ms=1000)
    pc.reads(DATA, 0xAA)
    is_quiet(pc, "a byte after AAh")


@KEYBOARD.case("the keyboard's identity is ABh 83h", "Commands: Read ID (F2h)")
def identity(pc: Probe) -> None:
    program(pc, PLAIN)
    send(pc, 0xF2)
    answers(pc, ACKNOWLEDGE, 0xAB, 0x83, what="the identity")
    is_quiet(pc, "a byte after it")


@KEYBOARD.case("echo comes back as EEh, without an acknowledgement", "Commands: Echo (EEh)")
def echo(pc: Probe) -> None:
    program(pc, PLAIN)
    send(pc, 0xEE)
    answers(pc, 0xEE)
    is_quiet(pc, "a byte after the echo")


@KEYBOARD.case("the lights' command and its option are acknowledged", "Commands: Set/Reset Status Indicators (EDh)")
def lights(pc: Probe) -> None:
    program(pc, PLAIN)
    for option in range(8):
        tell(pc, 0xED, option)
    send(pc, 0xEE)
    answers(pc, 0xEE, what="an echo after the option")


@KEYBOARD.case(
    "a command in place of the lights' option ends that command and is done",
    "Commands: Set/Reset Status Indicators (EDh)",
    differs={"QEMU": "takes any byte as the option: hw/input/ps2.c, ps2_write_keyboard"},
)
def command_for_option(pc: Probe) -> None:
    program(pc, PLAIN)
    tell(pc, 0xED)
    send(pc, 0xEE)
    answers(pc, 0xEE, what="the echo")


@KEYBOARD.case("the rate's command and its option are acknowledged", "Commands: Set Typematic Rate/Delay (F3h)")
def rate(pc: Probe) -> None:
    program(pc, PLAIN)
    tell(pc, 0xF3, 0x00, 0xF3, 0x7F)
    send(pc, 0xEE)
    answers(pc, 0xEE, what="an echo after the option")


@KEYBOARD.case("what is no command is asked for again, FEh", "Commands: Invalid Command (EFh and F1h)")
def invalid_commands(pc: Probe) -> None:
    program(pc, PLAIN)
    for value in (0xEF, 0xF1):
        send(pc, value)
        answers(pc, RESEND, what=f"the answer to {value:X}h")
    is_quiet(pc, "another byte")


@KEYBOARD.case(
    "resend brings the last byte again",
    "Commands: Resend (FEh)",
    differs={"QEMU": "takes FEh for no command and answers FEh: hw/input/ps2.c, ps2_write_keyboard"},
)
def resend(pc: Probe) -> None:
    program(pc, PLAIN)
    send(pc, 0xF2)
    answers(pc, ACKNOWLEDGE, 0xAB, 0x83, what="the identity")
    for _ in range(2):
        send(pc, 0xFE)
        answers(pc, 0x83, what="the last byte again")
    is_quiet(pc, "another byte")


@KEYBOARD.case("the scan-code set can be chosen and asked for", "Commands: Select Alternate Scan Codes (F0h)")
def choose_scan_set(pc: Probe) -> None:
    program(pc, PLAIN)
    for number in (1, 2):
        tell(pc, 0xF0, number)
        scan_set_is(pc, number, "the chosen set")


@KEYBOARD.case(
    "there is a third set of scan codes",
    "Commands: Select Alternate Scan Codes (F0h)",
    differs={"MiniVM": "no scan-code set 3, which no PC's software uses: docs/chips/keyboard.md"},
)
def third_scan_set(pc: Probe) -> None:
    program(pc, PLAIN)
    tell(pc, 0xF0, 0x03)
    scan_set_is(pc, 3, "the chosen set")


@KEYBOARD.case("at power-on the keyboard uses set 2", "Scan Codes: Scan Code Set 2")
def power_on_scan_set(pc: Probe) -> None:
    program(pc, PLAIN)
    scan_set_is(pc, 2, "the set at power-on")


@KEYBOARD.case("set default and default disable go back to set 2", "Commands: F6h and F5h")
def set_default(pc: Probe) -> None:
    program(pc, PLAIN)
    for default in (0xF6, 0xF5):
        tell(pc, 0xF0, 0x01, default)
        scan_set_is(pc, 2, f"the set after {default:X}h")


@KEYBOARD.case("reset goes back to set 2", "Commands: Reset (FFh)")
def reset_scan_set(pc: Probe) -> None:
    program(pc, PLAIN)
    tell(pc, 0xF0, 0x01, 0xFF)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL, "the end of the self test", within_ms=1000)
    pc.reads(DATA, 0xAA)
    scan_set_is(pc, 2, "the set after FFh")


@KEYBOARD.case("a disabled keyboard sends no keys until it is enabled", "Commands: Default Disable (F5h), Enable (F4h)")
def disable_and_enable(pc: Probe) -> None:
    program(pc, PLAIN)
    tell(pc, 0xF5)
    pc.press("a")
    pc.release("a")
    is_quiet(pc, "a key from a disabled keyboard")
    tell(pc, 0xF4)
    is_quiet(pc, "a key pressed before it was enabled")
    sends(pc, "b", 0x32)


@KEYBOARD.case(
    "enable throws away the keys that wait in the keyboard",
    "Commands: Enable (F4h)",
    differs={"QEMU": "F4h leaves the queue alone: hw/input/ps2.c, ps2_write_keyboard"},
)
def enable_clears_buffer(pc: Probe) -> None:
    program(pc, PLAIN)
    command(pc, 0xAD)
    pc.press("a")
    tell(pc, 0xF4)
    is_quiet(pc, "a key that had waited")


# -- scan codes -----------------------------------------------------------------------------------------------------
@KEYBOARD.case("in set 2 a release is F0h and the code of the press", "Scan Codes: Scan Code Set 2")
def set_2(pc: Probe) -> None:
    program(pc, PLAIN)
    for key, code in (("a", 0x1C), ("f7", 0x83), ("keypad_plus", 0x79), ("left_ctrl", 0x14), ("escape", 0x76)):
        sends(pc, key, code)
        sends(pc, key, 0xF0, code, pressed=False)
    is_quiet(pc, "another byte")


@KEYBOARD.case("the Enhanced Keyboard's keys send E0h before their code", "Scan Codes: Scan Code Set 2")
def extended_set_2(pc: Probe) -> None:
    program(pc, PLAIN)
    for key, code in (("up", 0x75), ("right_ctrl", 0x14), ("keypad_enter", 0x5A), ("delete", 0x71)):
        sends(pc, key, 0xE0, code)
        sends(pc, key, 0xE0, 0xF0, code, pressed=False)


@KEYBOARD.case("in set 1 a release is the code of the press with bit 7", "Scan Codes: Scan Code Set 1")
def set_1(pc: Probe) -> None:
    program(pc, PLAIN)
    tell(pc, 0xF0, 0x01)
    for key, code in (("a", 0x1E), ("f7", 0x41), ("keypad_plus", 0x4E), ("left_ctrl", 0x1D)):
        sends(pc, key, code)
        sends(pc, key, code | 0x80, pressed=False)
    sends(pc, "up", 0xE0, 0x48)
    sends(pc, "up", 0xE0, 0xC8, pressed=False)


@KEYBOARD.case("Pause sends all its codes at once and nothing on release", "Scan Codes: Scan Code Set 2, key 126")
def pause(pc: Probe) -> None:
    program(pc, PLAIN)
    sends(pc, "pause", 0xE1, 0x14, 0x77, 0xE1, 0xF0, 0x14, 0xF0, 0x77)
    pc.release("pause")
    is_quiet(pc, "a byte on release")


@KEYBOARD.case("Print Screen sends a pretended Shift around its code", "Scan Codes: Scan Code Set 2, key 124")
def print_screen(pc: Probe) -> None:
    program(pc, PLAIN)
    sends(pc, "print_screen", 0xE0, 0x12, 0xE0, 0x7C)
    sends(pc, "print_screen", 0xE0, 0xF0, 0x7C, 0xE0, 0xF0, 0x12, pressed=False)


@KEYBOARD.case(
    "a cursor key hides a held Shift by a release of it",
    "Scan Codes: Scan Code Set 2, keys 75 to 89, Shift case",
    differs={"QEMU": "sends the key's codes alone: hw/input/ps2.c, ps2_keyboard_event"},
)
def hidden_shift(pc: Probe) -> None:
    program(pc, PLAIN)
    sends(pc, "left_shift", 0x12)
    sends(pc, "up", 0xE0, 0xF0, 0x12, 0xE0, 0x75)
    sends(pc, "up", 0xE0, 0xF0, 0x75, 0xE0, 0x12, pressed=False)
    sends(pc, "left_shift", 0xF0, 0x12, pressed=False)


@KEYBOARD.case(
    "with Num Lock's light on a cursor key sends a pretended Shift",
    "Scan Codes: Scan Code Set 2, keys 75 to 89, Num Lock on",
    differs={"QEMU": "sends the key's codes alone: hw/input/ps2.c, ps2_keyboard_event"},
)
def pretended_shift(pc: Probe) -> None:
    program(pc, PLAIN)
    tell(pc, 0xED, 0x05)
    sends(pc, "up", 0xE0, 0x75)
    sends(pc, "up", 0xE0, 0xF0, 0x75, pressed=False)
    tell(pc, 0xED, 0x02)
    sends(pc, "up", 0xE0, 0x12, 0xE0, 0x75)
    sends(pc, "up", 0xE0, 0xF0, 0x75, 0xE0, 0xF0, 0x12, pressed=False)


@KEYBOARD.case(
    "Alt and Print Screen is System Request, 84h, translated 54h",
    "Scan Code Set 2, key 124, Alt case",
    differs={"QEMU": "lets Alt go and takes it again before the code: hw/input/ps2.c, ps2_keyboard_event"},
)
def system_request(pc: Probe) -> None:
    program(pc, TRANSLATED)
    sends(pc, "left_alt", 0x38)
    sends(pc, "print_screen", 0x54)
    sends(pc, "print_screen", 0xD4, pressed=False)


KEYS_IN_ORDER = (
    "escape 1 2 3 4 5 6 7 8 9 0 minus equals backspace tab q w e r t y u i o p left_bracket right_bracket enter "
    "left_ctrl a s d f g h j k l semicolon quote backquote left_shift backslash z x c v b n m comma period slash "
    "right_shift keypad_multiply left_alt space caps_lock f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 num_lock scroll_lock "
    "keypad_7 keypad_8 keypad_9 keypad_minus keypad_4 keypad_5 keypad_6 keypad_plus keypad_1 keypad_2 keypad_3 "
    "keypad_0 keypad_period"
)
"""The keys of the AT's keyboard in the order of set 1, which numbers them from 01h to 53h."""


@KEYBOARD.case("the controller translates set 2 to set 1", "8042: Scan Code Translation; Scan Code Sets 1 and 2")
def translated(pc: Probe) -> None:
    program(pc, TRANSLATED)
    for code, key in enumerate(KEYS_IN_ORDER.split(), 0x01):
        sends(pc, key, code)
    for key, code in (("less", 0x56), ("f11", 0x57), ("f12", 0x58)):
        sends(pc, key, code)


@KEYBOARD.case("translated, a release is one byte with bit 7", "8042: Scan Code Translation")
def translated_release(pc: Probe) -> None:
    program(pc, TRANSLATED)
    for key, code in (("a", 0x1E), ("f7", 0x41), ("f12", 0x58)):
        sends(pc, key, code)
        sends(pc, key, code | 0x80, pressed=False)
        sends(pc, key, code)
    is_quiet(pc, "another byte")


@KEYBOARD.case("translated, E0h passes as it is, and bit 7 goes to the code behind it", "8042: Scan Code Translation")
def translated_extended(pc: Probe) -> None:
    program(pc, TRANSLATED)
    for key, code in (("left", 0x4B), ("home", 0x47), ("right_alt", 0x38)):
        sends(pc, key, 0xE0, code)
        sends(pc, key, 0xE0, code | 0x80, pressed=False)


@KEYBOARD.case("translated, the numbers of the sets are 43h and 41h", "8042: Scan Code Translation; F0h")
def translated_set_numbers(pc: Probe) -> None:
    program(pc, TRANSLATED)
    for number, seen in ((1, 0x43), (2, 0x41)):
        tell(pc, 0xF0, number)
        scan_set_is(pc, seen, f"set {number}")


@KEYBOARD.case("translated, answers from 80h on pass as they are", "8042: Scan Code Translation")
def translated_answers(pc: Probe) -> None:
    program(pc, TRANSLATED)
    send(pc, 0xEE)
    answers(pc, 0xEE)
    send(pc, 0xEF)
    answers(pc, RESEND)
    tell(pc, 0xFF)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL, "the end of the self test", within_ms=1000)
    pc.reads(DATA, 0xAA)


# -- buffer and repeat ----------------------------------------------------------------------------------------------
@KEYBOARD.case("keys wait in the keyboard in the order in which they came", "Keyboard Buffer")
def order(pc: Probe) -> None:
    program(pc, 0x10 | PLAIN)
    pc.press("a", "b", "c")
    pc.release("a")
    program(pc, PLAIN)
    answers(pc, 0x1C, 0x32, 0x21, 0xF0, 0x1C, what="the keys")


@KEYBOARD.case(
    "the buffer has sixteen bytes, and an overrun shows as 00h behind them",
    "Keyboard Buffer; Commands to the System: Overrun (00h in set 2)",
    differs={"QEMU": "drops what has no room and says nothing: hw/input/ps2.c, ps2_queue"},
)
def overrun(pc: Probe) -> None:
    program(pc, 0x10 | PLAIN)
    pc.press(*"abcdefghijklmnopqr")
    program(pc, PLAIN)
    codes = bytes.fromhex("1C 32 21 23 24 2B 34 33 43 3B 42 4B 3A 31 44 4D")
    answers(pc, *codes, 0x00, what="the keys and the overrun")
    is_quiet(pc, "another byte")


HOST_REPEATS = "keys repeat only as the host's keyboard does: hw/input/ps2.c, F3h only stores its option"


@KEYBOARD.case(
    "a held key repeats after 500 ms, 10.9 times a second",
    "Typematic Keys; default rate and delay",
    differs={"QEMU": HOST_REPEATS},
)
def default_repeat(pc: Probe) -> None:
    program(pc, PLAIN)
    tell(pc, 0xF3, 0x00, 0xF6)
    sends(pc, "a", 0x1C)
    repeats_after(pc, 500, 0x1C)
    codes = taken(pc, 1000)
    pc.that(set(codes) == {0x1C}, "only the key's make code repeats")
    pc.between(len(codes), 10, 12, "codes in the second after that")


@KEYBOARD.case(
    "F3h sets delay and rate: 00h is 250 ms and 30 a second",
    "Commands: Set Typematic Rate/Delay (F3h)",
    differs={"QEMU": HOST_REPEATS},
)
def fast_repeat(pc: Probe) -> None:
    program(pc, PLAIN)
    tell(pc, 0xF3, 0x00)
    sends(pc, "a", 0x1C)
    repeats_after(pc, 250, 0x1C)
    pc.between(len(taken(pc, 500)), 13, 15, "codes in the half second after that")


@KEYBOARD.case(
    "F3h sets delay and rate: 7Fh is a second and 2 a second",
    "Commands: Set Typematic Rate/Delay (F3h)",
    differs={"QEMU": HOST_REPEATS},
)
def slow_repeat(pc: Probe) -> None:
    program(pc, PLAIN)
    tell(pc, 0xF3, 0x7F)
    sends(pc, "a", 0x1C)
    repeats_after(pc, 1000, 0x1C)
    repeats_after(pc, 500, 0x1C)
    repeats_after(pc, 500, 0x1C)


@KEYBOARD.case("a key that came up does not repeat", "Typematic Keys")
def released_key(pc: Probe) -> None:
    program(pc, PLAIN)
    sends(pc, "a", 0x1C)
    sends(pc, "a", 0xF0, 0x1C, pressed=False)
    pc.step(ms=600)
    pc.reads(STATUS, 0, "a byte after the release", mask=OUTPUT_FULL)


@KEYBOARD.case("Pause does not repeat, nor does a key that was pressed before it", "Typematic Keys")
def pause_does_not_repeat(pc: Probe) -> None:
    program(pc, PLAIN)
    sends(pc, "a", 0x1C)
    sends(pc, "pause", 0xE1, 0x14, 0x77, 0xE1, 0xF0, 0x14, 0xF0, 0x77)
    pc.step(ms=600)
    pc.reads(STATUS, 0, "a byte while both are held", mask=OUTPUT_FULL)


@KEYBOARD.case("of several held keys the last repeats", "Typematic Keys", differs={"QEMU": HOST_REPEATS})
def last_key_repeats(pc: Probe) -> None:
    program(pc, PLAIN)
    sends(pc, "a", 0x1C)
    sends(pc, "b", 0x32)
    repeats_after(pc, 500, 0x32)
    pc.that(set(taken(pc, 300)) == {0x32}, "only the last key repeats")


@KEYBOARD.case(
    "of Print Screen's codes only its own repeats, not the pretended Shift",
    "Scan Codes: Scan Code Set 2, key 124; Typematic Keys",
    differs={"QEMU": HOST_REPEATS},
)
def print_screen_repeats(pc: Probe) -> None:
    program(pc, PLAIN)
    sends(pc, "print_screen", 0xE0, 0x12, 0xE0, 0x7C)
    repeats_after(pc, 500, 0xE0)
    answers(pc, 0x7C, what="the code behind E0h")


@KEYBOARD.case("every key code raises IRQ 1", "8042: Controller Command Byte, bit 0")
def key_interrupts(pc: Probe) -> None:
    program(pc, TRANSLATED | 0x01)
    pc.irq_is(1, False, "before the key")
    pc.press("a")
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
    pc.irq_is(1, True, "with the key's code")
    pc.reads(DATA, 0x1E)
    pc.irq_is(1, False, "after the read")
    free(pc)
