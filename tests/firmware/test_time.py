"""INT 08h, INT 1Ah and the RTC's interrupt."""

from minivm.firmware import services
from minivm.firmware.services import from_bcd


def ticks(pc):
    """Return the ticks since midnight, and whether midnight has passed, as INT 1Ah AH=00h in the ROM finds them."""
    return pc.space.load(0x46C, 4), pc.bda[0x70]


def test_each_timer_interrupt_is_a_tick(pc):
    before = ticks(pc)[0]
    for _ in range(3):
        pc.interrupt(0x08)
    assert ticks(pc) == (before + 3, 0)


def test_midnight_starts_over_and_is_noted(pc):
    pc.interrupt(0x1A, ax=0x0100, cx=0x18, dx=0x00AF)
    assert ticks(pc) == (0x1800AF, 0)
    pc.interrupt(0x08)
    assert ticks(pc) == (0, 1)
    pc.interrupt(0x08)
    assert ticks(pc) == (1, 1)


def test_setting_the_ticks_forgets_midnight(pc):
    pc.memory.write(0x470, b"\x01")
    pc.interrupt(0x1A, ax=0x0100, cx=0x0001, dx=0x2345)
    assert ticks(pc) == (0x12345, 0)


def test_the_diskette_motors_stop_when_their_time_is_over(pc):
    pc.memory.write(0x43F, b"\x01\x02")
    pc.interrupt(0x08)
    assert pc.bda[0x3F:0x41] == b"\x01\x01"
    pc.interrupt(0x08)
    assert pc.bda[0x3F:0x41] == b"\x00\x00"


def test_post_takes_the_ticks_from_the_clock(pc):
    pc.cmos.memory[0:5:2] = bytes([0x30, 0x59, 0x23])
    pc.bios.post()
    seconds = 23 * 3600 + 59 * 60 + 30
    assert ticks(pc)[0] == seconds * 1193182 // 65536


def test_time_and_date_of_the_clock_can_be_read(pc):
    pc.cmos.memory[0:5:2] = bytes([0x56, 0x34, 0x12])
    pc.cmos.memory[7:10] = bytes([0x31, 0x12, 0x26])
    pc.cmos.memory[0x32] = 0x20
    pc.interrupt(0x1A, ax=0x0200)
    assert (pc.carry, pc.cpu.cx, pc.cpu.dx) == (False, 0x1234, 0x5600)
    pc.interrupt(0x1A, ax=0x0400)
    assert (pc.carry, pc.cpu.cx, pc.cpu.dx) == (False, 0x2026, 0x1231)


def test_a_clock_that_is_updating_itself_lets_the_rom_ask_again(pc):
    pc.cmos.memory[0x0A] |= 0x80
    pc.interrupt(0x1A, ax=0x0200)
    assert pc.answer
    assert pc.cpu.ax == 0x0200
    pc.cmos.memory[0x0A] &= 0x7F
    pc.interrupt(0x1A, ax=0x0200)
    assert not pc.answer


def test_time_and_date_can_be_set(pc):
    pc.interrupt(0x1A, ax=0x0300, cx=0x2315, dx=0x4201)
    pc.interrupt(0x1A, ax=0x0500, cx=0x1999, dx=0x1231)
    assert pc.cmos.memory[0:5:2] == bytes([0x42, 0x15, 0x23])
    assert pc.cmos.memory[7:10] + pc.cmos.memory[0x32:0x33] == bytes([0x31, 0x12, 0x99, 0x19])
    assert pc.cmos.memory[0x0B] == 0x03


def test_an_alarm_is_set_once_and_dropped(pc):
    pc.interrupt(0x1A, ax=0x0600, cx=0x0715, dx=0x3000)
    assert not pc.carry
    assert pc.cmos.memory[1:6:2] == bytes([0x30, 0x15, 0x07])
    assert pc.cmos.memory[0x0B] & 0x20
    assert not pc.pic2.values[1] & 1
    pc.interrupt(0x1A, ax=0x0600, cx=0x0815, dx=0x3000)
    assert pc.carry
    pc.interrupt(0x1A, ax=0x0700)
    assert not pc.cmos.memory[0x0B] & 0x20


def test_the_alarm_interrupt_has_the_rom_call_int_4a(pc):
    pc.interrupt(0x1A, ax=0x0600, cx=0x0715, dx=0x3000)
    pc.cmos.memory[0x0C] = 0xA0
    pc.interrupt(services.RTC_INTERRUPT)
    assert pc.answer
    pc.cmos.memory[0x0C] = 0xC0  # the periodic flag alone, which nobody enabled
    pc.interrupt(services.RTC_INTERRUPT)
    assert not pc.answer


def test_unknown_functions_return_with_carry(pc):
    pc.interrupt(0x1A, ax=0x0900)
    assert pc.carry
    assert "INT 1Ah" in pc.trace[-1]


def periodic(pc, times):
    for _ in range(times):
        pc.cmos.memory[0x0C] = 0xC0
        pc.interrupt(services.RTC_INTERRUPT)


def test_a_wait_ends_after_its_microseconds(pc):
    pc.interrupt(0x15, ax=0x8600, cx=0, dx=5000)
    assert (pc.answer, pc.carry) == (True, False)
    assert pc.cmos.memory[0x0B] & 0x40
    periodic(pc, 5)
    pc.interrupt(services.WAIT_OVER)
    assert not pc.answer
    periodic(pc, 1)
    pc.interrupt(services.WAIT_OVER)
    assert pc.answer
    assert not pc.cmos.memory[0x0B] & 0x40


def test_a_second_wait_is_refused_while_one_runs(pc):
    pc.interrupt(0x15, ax=0x8600, cx=0, dx=5000)
    pc.interrupt(0x15, ax=0x8600, cx=0, dx=5000)
    assert (pc.answer, pc.carry, pc.cpu.ah) == (False, True, 0x83)


def test_an_event_sets_bit_7_of_the_callers_byte(pc):
    pc.memory.write(0x5000, b"\x01")
    pc.interrupt(0x15, ax=0x8300, cx=0, dx=900, bx=0x1000, es=0x400)
    assert (pc.answer, pc.carry) == (False, False)
    periodic(pc, 1)
    assert pc.memory.read(0x5000, 1) == b"\x81"


def test_an_event_can_be_cancelled(pc):
    pc.memory.write(0x5000, b"\x01")
    pc.interrupt(0x15, ax=0x8300, cx=0, dx=900, bx=0x1000, es=0x400)
    pc.interrupt(0x15, ax=0x8301)
    periodic(pc, 3)
    assert pc.memory.read(0x5000, 1) == b"\x01"
    pc.interrupt(0x15, ax=0x8300, cx=0, dx=900, bx=0x1000, es=0x400)
    assert not pc.carry


def test_bcd_reads_back():
    assert [from_bcd(services.bcd(value)) for value in range(100)] == list(range(100))
