"""INT 09h and INT 16h, from IBM's tables for the 101-key keyboard."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minivm.core.keys import SCAN_CODES
from minivm.firmware.keyboard import BREAK, NOTHING, PAUSE, PRINT_SCREEN, RESET, SYSREQ_DOWN, SYSREQ_UP

A, ENTER, F1 = 0x1E, 0x1C, 0x3B
SHIFT, CTRL, ALT = 0x2A, 0x1D, 0x38


def read(pc, function=0x00):
    """Return the next key, None when the ROM would wait."""
    key = pc.interrupt(0x16, ax=function << 8).ax
    return None if pc.answer else key


def make(key):
    return SCAN_CODES[1][key].make


def test_a_key_comes_out_with_scan_code_and_character(pc):
    pc.type(A, A | 0x80)
    assert read(pc) == 0x1E61
    assert read(pc) is None


@pytest.mark.parametrize(
    ("held", "key", "wanted"),
    [
        ((), A, 0x1E61), ((SHIFT,), A, 0x1E41), ((CTRL,), A, 0x1E01), ((ALT,), A, 0x1E00), ((), 0x02, 0x0231),
        ((SHIFT,), 0x02, 0x0221), ((ALT,), 0x02, 0x7800), ((ALT,), 0x0D, 0x8300), ((CTRL,), 0x03, 0x0300),
        ((CTRL,), 0x07, 0x071E), ((CTRL,), 0x0C, 0x0C1F), ((), F1, 0x3B00), ((SHIFT,), F1, 0x5400),
        ((CTRL,), F1, 0x5E00), ((ALT,), F1, 0x6800), ((SHIFT,), 0x0F, 0x0F00), ((CTRL,), ENTER, 0x1C0A),
        ((), 0x48, 0x4800), ((SHIFT,), 0x48, 0x4838), ((CTRL,), 0x4B, 0x7300), ((), 0x0E, 0x0E08),
        ((CTRL,), 0x1A, 0x1A1B), ((ALT,), 0x39, 0x3920), ((SHIFT,), 0x28, 0x2822), ((), 0x4A, 0x4A2D),
    ],
)  # fmt: skip
def test_modifiers_choose_the_word(pc, held, key, wanted):
    pc.type(*held, key)
    assert read(pc) == wanted


def test_a_combination_without_a_word_gives_nothing(pc):
    pc.type(CTRL, 0x02)
    assert read(pc) is None


def test_caps_lock_changes_letters_only_and_shift_turns_it_back(pc):
    pc.type(0x3A, 0xBA, A, 0x02, SHIFT, A)
    assert [read(pc) for _ in range(3)] == [0x1E41, 0x0231, 0x1E61]


def test_a_held_lock_key_toggles_once(pc):
    pc.type(0x3A, 0x3A, 0x3A)
    assert pc.interrupt(0x16, ax=0x0200).al == 0x40
    pc.type(0xBA, 0x3A)
    assert pc.interrupt(0x16, ax=0x0200).al == 0x00


def test_num_lock_makes_digits_of_the_keypad_but_not_of_the_grey_keys(pc):
    pc.type(0x45, 0xC5, 0x47, *make("home"), SHIFT, 0x47)
    assert [read(pc, 0x10) for _ in range(3)] == [0x4737, 0x47E0, 0x4700]


def test_the_fake_shifts_around_grey_keys_are_ignored(pc):
    pc.type(0xE0, 0x2A, 0xE0, 0x48, 0xE0, 0xC8, 0xE0, 0xAA)
    assert pc.interrupt(0x16, ax=0x0200).al == 0
    assert read(pc) == 0x4800


def test_old_programs_see_grey_keys_as_the_keypads(pc):
    pc.type(*make("up"), *make("keypad_enter"), *make("keypad_divide"))
    assert [read(pc, 0x00) for _ in range(3)] == [0x4800, 0x1C0D, 0x352F]


def test_new_programs_see_which_key_it_was(pc):
    pc.type(*make("up"), *make("keypad_enter"), *make("keypad_divide"), 0x57)
    assert [read(pc, 0x10) for _ in range(4)] == [0x48E0, 0xE00D, 0xE02F, 0x8500]


def test_keys_that_old_programs_do_not_know_are_skipped(pc):
    pc.type(0x57, ALT, ENTER, ALT | 0x80, A)  # F11, Alt-Enter
    pc.interrupt(0x16, ax=0x0100)
    assert (pc.zero, pc.cpu.ax) == (False, 0x1E61)
    assert read(pc) == 0x1E61


def test_extended_calls_show_new_combinations_without_their_mark(pc):
    pc.type(ALT, ENTER)
    assert read(pc, 0x10) == 0x1C00


def test_looking_leaves_the_key_and_says_so_by_zf(pc):
    pc.interrupt(0x16, ax=0x0100)
    assert pc.zero
    pc.type(A)
    for _ in range(2):
        pc.interrupt(0x16, ax=0x0100)
        assert (pc.zero, pc.cpu.ax) == (False, 0x1E61)
    assert read(pc) == 0x1E61


def test_the_buffer_holds_fifteen_keys_and_loses_the_sixteenth(pc):
    pc.type(*range(0x02, 0x02 + 10), *range(0x10, 0x10 + 6))
    keys = [read(pc) for _ in range(16)]
    assert keys[:2] == [0x0231, 0x0332]
    assert keys[14:] == [0x1474, None]


def test_the_buffer_wraps_around(pc):
    for _ in range(40):
        pc.type(A, ENTER)
        assert (read(pc), read(pc)) == (0x1E61, 0x1C0D)
    assert 0x1E <= pc.bda[0x1A] < 0x3E


def test_a_program_may_move_the_buffer(pc):
    pc.memory.write(0x480, (0x1E).to_bytes(2, "little") + (0x22).to_bytes(2, "little"))
    pc.type(A, ENTER)
    assert (read(pc), read(pc)) == (0x1E61, None)


def test_a_program_may_put_keys_into_the_buffer(pc):
    assert pc.interrupt(0x16, ax=0x0500, cx=0x1234).al == 0
    assert read(pc) == 0x1234
    for _ in range(15):
        pc.interrupt(0x16, ax=0x0500, cx=0x1234)
    assert pc.interrupt(0x16, ax=0x0500, cx=0x1234).al == 1


def test_left_and_right_modifiers_are_told_apart(pc):
    pc.type(CTRL, 0xE0, CTRL, 0xE0, ALT)
    assert pc.interrupt(0x16, ax=0x1200).ax == 0x0D0C
    pc.type(CTRL | 0x80)
    assert pc.interrupt(0x16, ax=0x1200).ax == 0x0C0C
    pc.type(0xE0, CTRL | 0x80, 0xE0, ALT | 0x80)
    assert pc.interrupt(0x16, ax=0x1200).ax == 0


def test_alt_and_keypad_digits_make_a_character(pc):
    pc.type(ALT, 0x4D, 0xCD, 0x4C, 0xCC, ALT | 0x80)  # Alt-65
    assert read(pc) == 0x0041


def test_insert_toggles_its_state_and_is_a_key(pc):
    pc.type(0xE0, 0x52, 0xE0, 0x52, 0xE0, 0xD2)
    assert pc.interrupt(0x16, ax=0x0200).al == 0x80
    assert read(pc) == 0x5200


def test_special_keys_leave_work_to_the_rom(pc):
    assert pc.type(*make("print_screen"))[-1] == PRINT_SCREEN
    assert pc.type(ALT, 0x54, 0x54, 0xD4, ALT | 0x80) == [NOTHING, SYSREQ_DOWN, NOTHING, SYSREQ_UP, NOTHING]
    assert pc.type(CTRL, ALT, 0xE0, 0x53)[-1] == RESET
    assert pc.memory.read(0x472, 2) == b"\x34\x12"


def test_ctrl_break_empties_the_buffer_and_leaves_a_zero(pc):
    assert pc.type(A, CTRL, *make("pause with ctrl"))[4 - 1] == BREAK
    assert pc.bda[0x71] == 0x80
    assert read(pc) == 0
    assert read(pc) is None


def test_pause_holds_until_a_key_which_is_used_up(pc):
    assert pc.type(*make("pause")) == [NOTHING, NOTHING, PAUSE, NOTHING, NOTHING, NOTHING]
    pc.interrupt(0x104)
    assert pc.answer
    pc.type(SHIFT)
    pc.interrupt(0x104)
    assert pc.answer
    pc.type(A)
    pc.interrupt(0x104)
    assert not pc.answer
    assert read(pc) is None


def test_lock_keys_light_the_lamps_by_and_by(pc):
    sent = pc.keyboard_controller.writes
    sent.clear()
    pc.type(0x3A)
    assert sent == [(0, 0xED)]
    pc.type(0xFA)
    assert sent == [(0, 0xED), (0, 0x04)]
    pc.type(0xFA, 0xBA)
    assert len(sent) == 2
    assert pc.bda[0x97] & 0x47 == 0x04


def test_answers_of_the_keyboard_are_no_keys(pc):
    pc.type(0xFA, 0xFE)
    assert read(pc) is None


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(codes=st.lists(st.integers(0, 255), max_size=60))
def test_no_stream_of_bytes_breaks_the_buffer(pc, codes):
    pc.type(*codes)
    head, tail = pc.bda[0x1A], pc.bda[0x1C]
    assert 0x1E <= head < 0x3E
    assert 0x1E <= tail < 0x3E
    assert head % 2 == tail % 2 == 0
