"""INT 05h, 11h, 12h, 14h, 15h and 17h."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SMAP = 0x534D4150
MIB = 1 << 20


def test_equipment_and_memory_size(pc):
    assert pc.interrupt(0x11).ax == 0x0227
    assert pc.interrupt(0x12).ax == 639


def memory_map(pc):
    entries, following = [], 0
    while True:
        pc.interrupt(0x15, eax=0xE820, ebx=following, ecx=20, edx=SMAP, edi=0x5000, es=0)
        assert (pc.carry, pc.cpu.eax, pc.cpu.ecx) == (False, SMAP, 20)
        data = pc.memory.read(0x5000, 20)
        entries.append(tuple(int.from_bytes(data[start:end], "little") for start, end in ((0, 8), (8, 16), (16, 20))))
        following = pc.cpu.ebx
        if not following:
            return entries


def test_the_memory_map_shows_ram_and_rom(pc):
    assert memory_map(pc) == [
        (0, 0x9FC00, 1), (0x9FC00, 0x400, 2), (0xF0000, 0x10000, 2), (MIB, 31 * MIB, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [{"edx": 0}, {"ecx": 19}, {"ebx": 4}])
def test_a_wrong_question_for_the_map_fails(pc, wrong):
    registers = {"eax": 0xE820, "ebx": 0, "ecx": 20, "edx": SMAP, "edi": 0x5000} | wrong
    pc.interrupt(0x15, es=0, **registers)
    assert (pc.carry, pc.cpu.ah) == (True, 0x86)


def test_older_questions_for_memory_agree_with_the_map(pc):
    assert pc.interrupt(0x15, ax=0x8800).ax == 31 * 1024
    pc.interrupt(0x15, ax=0xE801)
    assert (pc.carry, pc.cpu.ax, pc.cpu.bx, pc.cpu.cx, pc.cpu.dx) == (False, 15360, 256, 15360, 256)


def test_unknown_functions_say_86h(pc):
    for function in (0x8400, 0x8900, 0xFF00):
        pc.interrupt(0x15, ax=function)
        assert (pc.carry, pc.cpu.ah) == (True, 0x86), hex(function)
    assert "INT 15h" in pc.trace[-1]


def test_the_scan_code_hook_passes_everything_on(pc):
    pc.interrupt(0x15, ax=0x4F1E)
    assert (pc.carry, pc.cpu.ax) == (True, 0x4F1E)


def test_a20_is_switched_by_port_92h_and_never_resets(pc):
    pc.system_control.values[0] = 0x01
    pc.interrupt(0x15, ax=0x2401)
    assert (pc.carry, pc.cpu.ah, pc.system_control.values[0]) == (False, 0, 0x02)
    assert pc.interrupt(0x15, ax=0x2402).al == 1
    pc.interrupt(0x15, ax=0x2400)
    assert pc.system_control.values[0] == 0
    assert pc.interrupt(0x15, ax=0x2402).al == 0
    assert pc.interrupt(0x15, ax=0x2403).bx == 3
    pc.interrupt(0x15, ax=0x2404)
    assert (pc.carry, pc.cpu.ah) == (True, 0x86)


def descriptor(base):
    return b"\xff\xff" + (base & 0xFFFFFF).to_bytes(3, "little") + b"\x93\x00" + bytes([base >> 24])


def test_blocks_move_above_one_megabyte_even_with_a20_closed(pc):
    pc.memory.write(0x5000, b"block of bytes..")
    pc.memory.write(0x600, bytes(16) + descriptor(0x5000) + descriptor(0x10_0000) + bytes(16))
    pc.space.a20_mask = ~(1 << 20)
    pc.interrupt(0x15, ax=0x8700, cx=8, si=0x600, es=0)
    assert (pc.carry, pc.zero, pc.cpu.ah) == (False, True, 0)
    assert pc.memory.read(0x10_0000, 16) == b"block of bytes.."
    assert pc.space.a20_mask == ~(1 << 20)


def test_too_long_a_block_is_refused(pc):
    pc.interrupt(0x15, ax=0x8700, cx=0x8001, si=0x600, es=0)
    assert pc.carry
    assert pc.cpu.ah != 0


def test_the_configuration_table_says_at(pc):
    pc.interrupt(0x15, ax=0xC000)
    assert (pc.carry, pc.cpu.ah) == (False, 0)
    table = pc.memory.read(pc.cpu.es_base + pc.cpu.bx, 10)
    assert (table[0], table[2]) == (8, 0xFC)
    assert table[5] & 0x10  # INT 09h calls INT 15h AH=4Fh


def test_the_extended_data_area_is_the_end_of_conventional_memory(pc):
    pc.interrupt(0x15, ax=0xC100)
    assert (pc.carry, pc.cpu.es) == (False, 0x9FC0)
    assert pc.memory.read(0x9FC00, 1) == b"\x01"


def test_there_is_no_printer(pc):
    assert pc.interrupt(0x17, ax=0x0200, dx=0).ah & 0x01
    pc.interrupt(0x05)
    assert pc.memory.read(0x500, 1) == b"\xff"


# -- INT 14h -----------------------------------------------------------------------------------------------------
def test_initializing_a_serial_port_programs_the_uart(pc):
    pc.uart.values.update({5: 0x60, 6: 0xB0})
    pc.interrupt(0x14, ax=0x00E3, dx=0)  # 9600 baud, 8 bits, no parity
    assert pc.uart.writes[-5:] == [(3, 0x80), (0, 12), (1, 0), (3, 0x03), (1, 0)]
    assert pc.cpu.ax == 0x60B0


def test_sending_waits_until_the_uart_is_ready(pc):
    pc.uart.values[5] = 0
    pc.interrupt(0x14, ax=0x0141, dx=0)
    assert pc.answer
    pc.uart.values[5] = 0x60
    pc.interrupt(0x14, ax=0x0141, dx=0)
    assert (pc.answer, pc.cpu.ax) == (False, 0x6041)
    assert pc.uart.values[0] == 0x41


def test_receiving_gives_up_after_a_second(pc):
    pc.uart.values[5] = 0x60
    pc.interrupt(0x14, ax=0x0200, dx=0)
    assert pc.answer
    pc.clock.advance(999_000_000)
    pc.interrupt(0x14, ax=0x0200, dx=0)
    assert pc.answer
    pc.clock.advance(2_000_000)
    pc.interrupt(0x14, ax=0x0200, dx=0)
    assert (pc.answer, pc.cpu.ah & 0x80) == (False, 0x80)


def test_receiving_gives_the_character_and_its_errors(pc):
    pc.uart.values.update({5: 0x63, 0: 0x5A})
    pc.interrupt(0x14, ax=0x0200, dx=0)
    assert pc.cpu.ax == 0x025A


def test_a_serial_port_that_is_not_there_changes_nothing(pc):
    assert pc.interrupt(0x14, ax=0x0141, dx=1).ax == 0x0141
    assert pc.interrupt(0x14, ax=0x0141, dx=0xFFFF).ax == 0x0141
    assert not pc.answer


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.sampled_from([0x11, 0x12, 0x14, 0x15, 0x16, 0x17, 0x1A]), ax=st.integers(0, 0xFFFF),
    bx=st.integers(0, 0xFFFF), cx=st.integers(0, 0xFFFF), dx=st.integers(0, 0xFFFF),
)  # fmt: skip
def test_no_call_raises(pc, number, ax, bx, cx, dx):
    pc.interrupt(number, ax=ax, bx=bx, cx=cx, dx=dx, si=cx, di=dx, es=0x3000)
    assert pc.cpu.sp == 0x1000
