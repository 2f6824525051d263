"""The real-time clock at ports 70h and 71h (Motorola MC146818A; IBM PC AT Technical Reference; crystal 32.768 kHz).

A case starts the clock by taking the divider out of its reset: then the first update cycle begins half a second later.
UIP rises 244 us before that, and the new time is there 1984 us after it.
"""

from minivm.testing.contract import Contract, Probe

RTC = Contract("rtc", "MC146818A real-time clock", "Motorola MC146818A datasheet")

SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH, YEAR = range(10)
A, B, C, D = range(0x0A, 0x0E)
CENTURY = 0x32
READING_ORDER = (HOURS, MINUTES, SECONDS, WEEKDAY, DAY, MONTH, YEAR, CENTURY)
NAMES = dict(
    zip(READING_ORDER, ("hours", "minutes", "seconds", "weekday", "day", "month", "year", "century"), strict=True)
)
RUN, HOLD = 0x20, 0x70  # A: the divider
UIP = 0x80
BCD_12, BCD_24, BINARY_12, BINARY_24 = 0x00, 0x02, 0x04, 0x06  # B
SET, PIE, AIE, UIE = 0x80, 0x40, 0x20, 0x10
IRQF, PF, AF, UF = 0x80, 0x40, 0x20, 0x10  # C
SOME_DAY = (5, 0x15, 0x01, 0x26, 0x20)
"""A Thursday, in BCD: weekday, day, month, year, century."""
SOME_BINARY_DAY = (5, 15, 1, 26, 20)

BEFORE_UIP_MS = 499.7
AFTER_UPDATE_MS = 502.1
EVERY = (0xFF, 0xFF, 0xFF)

EVERY_DIVIDER_RUNS = "dividers 000 and 001 run like 010: docs/chips/cmos.md, known differences"
EVERY_DIVIDER_RUNS_TOO = "dividers 000 and 001 run like 010 (hw/rtc/mc146818rtc.c, rtc_running)"
NO_DAYLIGHT_SAVING = "DSE is stored and does nothing: docs/chips/cmos.md, known differences"
NO_DAYLIGHT_SAVING_EITHER = "DSE is stored and does nothing (hw/rtc/mc146818rtc.c, rtc_update_time)"
GREGORIAN = "leap years are those of the Gregorian calendar: docs/chips/cmos.md, known differences"
GREGORIAN_TOO = "leap years are those of the Gregorian calendar (hw/rtc/mc146818rtc.c, rtc_set_time)"
UIP_OF_244_US = "UIP is up for the last 244 us of a second, and the update then takes no time (hw/rtc/mc146818rtc.c)"
NO_PF_WITHOUT_PIE = "the periodic timer runs only while PIE is set (hw/rtc/mc146818rtc.c, rtc_periodic_clock_ticks)"
ITS_OWN_PHASE = "the periodic timer counts from when it was programmed, not from the divider (periodic_timer_update)"
PM_OF_NOW = "an alarm's hour takes the afternoon bit of the current hour (hw/rtc/mc146818rtc.c, convert_hour)"
WEEKDAY_OF_DATE = "the weekday is worked out from the date (hw/rtc/mc146818rtc.c, rtc_set_cmos)"
UF_IN_SET = "the update timer goes on while SET is 1 and raises UF (hw/rtc/mc146818rtc.c, rtc_update_timer)"
PERIODIC_IN_RESET = (
    "the periodic timer does not know of the divider's reset (hw/rtc/mc146818rtc.c, periodic_timer_update)"
)
BYTE_37H = "37h is another name of the century's byte (hw/rtc/mc146818rtc.c, RTC_IBM_PS2_CENTURY_BYTE)"


def cmos(pc: Probe, index: int, value: int | None = None) -> int:
    """Read a byte of the chip, or write one."""
    return pc.indexed(0x70, index, value)


def start(
    pc: Probe, *time: int, mode: int = BCD_24, alarm: tuple[int, ...] = (0x23, 0x23, 0x23), rate: int = 0
) -> None:
    """Set the time (`READING_ORDER`), the alarm (hours, minutes, seconds), A and B; clear the flags and start.

    `mode` is register B: the format, and interrupts to be enabled.
    """
    cmos(pc, B, SET | BCD_24 | mode & 0x06)
    cmos(pc, A, HOLD | rate)
    some_day = SOME_BINARY_DAY if mode & BINARY_12 else SOME_DAY
    for index, value in zip(READING_ORDER, time + some_day[len(time) - 3 :], strict=True):
        cmos(pc, index, value)
    for index, value in zip((HOURS_ALARM, MINUTES_ALARM, SECONDS_ALARM), alarm, strict=True):
        cmos(pc, index, value)
    cmos(pc, B, mode)
    cmos(pc, C)
    cmos(pc, A, RUN | rate)


def shows(pc: Probe, *expected: int) -> None:
    """Check the time and, as far as given, the date (`READING_ORDER`)."""
    for index, value in zip(READING_ORDER, expected, strict=False):
        pc.equal(cmos(pc, index), value, NAMES[index])


def becomes(pc: Probe, before: tuple[int, ...], after: tuple[int, ...], mode: int = BCD_24) -> None:
    """Check what a time and date, in `READING_ORDER`, are after the next update."""
    start(pc, *before, mode=mode)
    pc.step(ms=AFTER_UPDATE_MS)
    shows(pc, *after)


def flags(pc: Probe, expected: int, what: str) -> None:
    """Check register C, which clears it."""
    pc.equal(cmos(pc, C), expected, what)


# -- bytes ----------------------------------------------------------------------------------------------------------


@RTC.case("the index chooses the byte that the data port shows", "Address Map; AT Technical Reference, ports 70h, 71h")
def the_index_chooses(pc: Probe) -> None:
    for index in (0x0E, 0x0F, 0x10, 0x20, 0x3F):
        cmos(pc, index, index ^ 0xA5)
    for index in (0x20, 0x0E, 0x3F, 0x10, 0x0F):
        pc.equal(cmos(pc, index), index ^ 0xA5, f"byte {index:02X}h")


@RTC.case("the index stays through reads and writes of the data", "Signal Descriptions, AS: the address latch")
def the_index_stays(pc: Probe) -> None:
    pc.write(0x70, 0x40 - 1)
    for value in (0x00, 0xFF, 0x5A):
        pc.write(0x71, value)
        pc.reads(0x71, value)
        pc.reads(0x71, value)


@RTC.case("bit 7 of the index masks the NMI and is no part of the address", "AT Technical Reference, port 70h")
def bit_7_is_no_address(pc: Probe) -> None:
    cmos(pc, 0x0F, 0x11)
    cmos(pc, 0x8F, 0x22)
    pc.equal(cmos(pc, 0x0F), 0x22, "byte 0Fh after a write to 8Fh")


@RTC.case("each byte of the user RAM is a byte of its own", "Address Map, 50 bytes of user RAM")
def every_byte_of_ram(pc: Probe) -> None:
    places = [index for index in range(0x0E, 0x40) if index not in (CENTURY, 0x37)]
    for pattern in (0x55, 0xAA):
        for index in places:
            cmos(pc, index, index ^ pattern)
        for index in places:
            pc.equal(cmos(pc, index), index ^ pattern, f"byte {index:02X}h")


@RTC.case("a PC's chip has RAM from 40h to 7Fh too", "Intel 82371AB (PIIX4), RTC standard bank: 128 bytes")
def the_upper_bytes(pc: Probe) -> None:
    for index in (*range(0x40, 0x80), 0x0E, 0x3F):
        cmos(pc, index, index ^ 0x5A)
    for index in (*range(0x40, 0x80), 0x0E, 0x3F):
        pc.equal(cmos(pc, index), index ^ 0x5A, f"byte {index:02X}h")


@RTC.case("byte 37h is user RAM and has nothing to do with 32h", "Address Map", differs={"QEMU": BYTE_37H})
def byte_37h_is_ram(pc: Probe) -> None:
    cmos(pc, CENTURY, 0x20)
    cmos(pc, 0x37, 0x5A)
    pc.equal(cmos(pc, CENTURY), 0x20, "byte 32h after a write to 37h")


@RTC.case("an update changes neither the user RAM nor the alarm nor the control", "Update Cycle")
def an_update_leaves_the_rest(pc: Probe) -> None:
    kept = {SECONDS_ALARM: 0x12, MINUTES_ALARM: 0x34, HOURS_ALARM: 0x05, B: BCD_24, 0x0E: 0x59, 0x3F: 0x00}
    start(pc, 0x23, 0x59, 0x59, 7, 0x31, 0x12, 0x99, alarm=(0x05, 0x34, 0x12))
    for index in (0x0E, 0x3F):
        cmos(pc, index, kept[index])
    pc.step(ms=AFTER_UPDATE_MS)
    for index, value in kept.items():
        pc.equal(cmos(pc, index), value, f"byte {index:02X}h")


# -- the control registers ------------------------------------------------------------------------------------------


@RTC.case("divider and rate are read back, and UIP cannot be written", "Register A ($0A)")
def register_a_is_read_back(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00)
    for value in (HOLD | 0x05, 0x60 | 0x0A, RUN | 0x0F, RUN | 0x00):
        cmos(pc, A, UIP | value)
        pc.equal(cmos(pc, A), value, "register A")


@RTC.case("each bit of B is read back", "Register B ($0B), read/write bits")
def register_b_is_read_back(pc: Probe) -> None:
    cmos(pc, A, HOLD)
    for value in (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x7F, 0x00):
        cmos(pc, B, value)
        pc.equal(cmos(pc, B), value, "register B")


@RTC.case("writing SET takes UIE back, and leaves PIE and AIE", "Register B, UIE: cleared by SET going high")
def set_clears_uie(pc: Probe) -> None:
    cmos(pc, A, HOLD)
    cmos(pc, B, PIE | AIE | UIE | BCD_24)
    cmos(pc, B, SET | PIE | AIE | UIE | BCD_24)
    pc.equal(cmos(pc, B), SET | PIE | AIE | BCD_24, "register B")


@RTC.case("C cannot be written, neither a flag set nor one cleared", "Register C ($0C), read only")
def register_c_is_read_only(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00)
    cmos(pc, C, 0xFF)
    flags(pc, 0, "C after a write of FFh")
    pc.step(ms=AFTER_UPDATE_MS)
    cmos(pc, C, 0x00)
    flags(pc, UF, "C after an update and a write of 00h")


@RTC.case("D says that RAM and time are valid, and cannot be written", "Register D ($0D), VRT; bits 0-6 read as zero")
def register_d_is_valid(pc: Probe) -> None:
    for value in (0x00, 0xFF, 0x7F):
        cmos(pc, D, value)
        pc.equal(cmos(pc, D), 0x80, "register D")


# -- time -----------------------------------------------------------------------------------------------------------


@RTC.case("the seconds count once a second", "Update Cycle")
def the_seconds_count(pc: Probe) -> None:
    start(pc, 0x12, 0x34, 0x57)
    pc.step(ms=BEFORE_UIP_MS)
    shows(pc, 0x12, 0x34, 0x57, *SOME_DAY)
    pc.step(ms=AFTER_UPDATE_MS - BEFORE_UIP_MS)
    shows(pc, 0x12, 0x34, 0x58, *SOME_DAY)
    pc.step(ms=1000 - AFTER_UPDATE_MS + BEFORE_UIP_MS)
    shows(pc, 0x12, 0x34, 0x58, *SOME_DAY)
    pc.step(ms=AFTER_UPDATE_MS - BEFORE_UIP_MS)
    shows(pc, 0x12, 0x34, 0x59, *SOME_DAY)


@RTC.case("in BCD ten comes after nine, and a counter is not carried into early", "Time, Calendar, and Alarm Locations")
def bcd_counts_in_tens(pc: Probe) -> None:
    becomes(pc, (0x09, 0x09, 0x59), (0x09, 0x10, 0x00))
    becomes(pc, (0x09, 0x58, 0x59), (0x09, 0x59, 0x00))
    becomes(pc, (0x22, 0x59, 0x59), (0x23, 0x00, 0x00, *SOME_DAY))


@RTC.case("in binary ten is 0Ah", "Register B, DM")
def binary_counts_on(pc: Probe) -> None:
    becomes(pc, (9, 9, 9), (9, 9, 10), BINARY_24)


@RTC.case("the last second of a year carries through all counters", "Time, Calendar, and Alarm Locations")
def the_year_ends(pc: Probe) -> None:
    becomes(pc, (0x23, 0x59, 0x59, 7, 0x31, 0x12, 0x22), (0x00, 0x00, 0x00, 1, 0x01, 0x01, 0x23))


@RTC.case("the last second of a year carries in binary too", "Register B, DM: time, calendar and alarm bytes")
def the_year_ends_in_binary(pc: Probe) -> None:
    becomes(pc, (23, 59, 59, 4, 31, 12, 25), (0, 0, 0, 5, 1, 1, 26), BINARY_24)


@RTC.case("July and August have 31 days", "Clock/calendar: end of month")
def months_of_31_days(pc: Probe) -> None:
    for month, weekday in ((0x07, 6), (0x08, 2)):
        before = (0x23, 0x59, 0x59, weekday, 0x31, month, 0x26)
        becomes(pc, before, (0x00, 0x00, 0x00, weekday % 7 + 1, 0x01, month + 1, 0x26))


@RTC.case("September and November have 30 days", "Clock/calendar: end of month")
def months_of_30_days(pc: Probe) -> None:
    for month, after, weekday in ((0x09, 0x10, 4), (0x11, 0x12, 2)):
        before = (0x23, 0x59, 0x59, weekday, 0x30, month, 0x26)
        becomes(pc, before, (0x00, 0x00, 0x00, weekday % 7 + 1, 0x01, after, 0x26))


@RTC.case("February has 28 days in a common year", "Clock/calendar: leap year compensation")
def february_of_28_days(pc: Probe) -> None:
    becomes(pc, (0x23, 0x59, 0x59, 7, 0x28, 0x02, 0x26), (0x00, 0x00, 0x00, 1, 0x01, 0x03, 0x26))


@RTC.case("February has 29 days in each fourth year, 2000 too", "Clock/calendar: leap year compensation")
def february_of_29_days(pc: Probe) -> None:
    becomes(pc, (0x23, 0x59, 0x59, 5, 0x29, 0x02, 0x24), (0x00, 0x00, 0x00, 6, 0x01, 0x03, 0x24))
    becomes(pc, (0x23, 0x59, 0x59, 2, 0x28, 0x02, 0x00, 0x20), (0x00, 0x00, 0x00, 3, 0x29, 0x02, 0x00))


@RTC.case(
    "the day of the week is a counter of its own", "Address Map, day of week 1 to 7", differs={"QEMU": WEEKDAY_OF_DATE}
)
def the_weekday_is_a_counter(pc: Probe) -> None:
    becomes(pc, (0x23, 0x59, 0x59, 1, *SOME_DAY[1:]), (0x00, 0x00, 0x00, 2, 0x16, 0x01, 0x26))


@RTC.case(
    "each year 00 is a leap year: the chip knows two digits",
    "Clock/calendar: leap year compensation",
    differs={"MiniVM": GREGORIAN, "QEMU": GREGORIAN_TOO},
)
def the_year_2100(pc: Probe) -> None:
    becomes(pc, (0x23, 0x59, 0x59, 1, 0x28, 0x02, 0x00, 0x21), (0x00, 0x00, 0x00, 2, 0x29, 0x02, 0x00))


@RTC.case(
    "with DSE two o'clock is skipped on the last Sunday of April",
    "Register B, DSE",
    differs={"MiniVM": NO_DAYLIGHT_SAVING, "QEMU": NO_DAYLIGHT_SAVING_EITHER},
)
def daylight_saving(pc: Probe) -> None:
    becomes(pc, (0x01, 0x59, 0x59, 1, 0x26, 0x04, 0x26), (0x03, 0x00, 0x00, 1, 0x26, 0x04, 0x26), BCD_24 | 0x01)


@RTC.case("in 12 hours noon is 92h and one o'clock 81h", "Register B, 24/12; bit 7 of the hours is PM")
def noon_in_12_hours(pc: Probe) -> None:
    becomes(pc, (0x11, 0x59, 0x59), (0x92, 0x00, 0x00, *SOME_DAY), BCD_12)
    becomes(pc, (0x92, 0x59, 0x59), (0x81, 0x00, 0x00, *SOME_DAY), BCD_12)


@RTC.case("in 12 hours midnight is 12h, the day begins, and 01h follows", "Register B, 24/12; bit 7 of the hours is PM")
def midnight_in_12_hours(pc: Probe) -> None:
    becomes(pc, (0x91, 0x59, 0x59), (0x12, 0x00, 0x00, 6, 0x16, 0x01, 0x26), BCD_12)
    becomes(pc, (0x12, 0x59, 0x59), (0x01, 0x00, 0x00, *SOME_DAY), BCD_12)


@RTC.case("12 hours in binary: 8Bh ends the day and 8Ch is noon", "Register B, DM and 24/12")
def binary_12_hours(pc: Probe) -> None:
    becomes(pc, (0x8B, 59, 59), (12, 0, 0, 6, 16, 1, 26), BINARY_12)
    becomes(pc, (0x0B, 59, 59), (0x8C, 0, 0, *SOME_BINARY_DAY), BINARY_12)


@RTC.case("byte 32h holds the century", "AT Technical Reference, CMOS RAM, byte 32h")
def the_century_is_kept(pc: Probe) -> None:
    for century in (0x21, 0x20):
        start(pc, 0x12, 0x00, 0x00, *SOME_DAY[:4], century)
        pc.equal(cmos(pc, CENTURY), century, "century")


@RTC.case("a clock that keeps the century carries the year into it", "ACPI, section 4.8.2.4, centenary value")
def the_century_ends(pc: Probe) -> None:
    before = (0x23, 0x59, 0x59, 6, 0x31, 0x12, 0x99, 0x19)
    becomes(pc, before, (0x00, 0x00, 0x00, 7, 0x01, 0x01, 0x00, 0x20))


# -- the update cycle -----------------------------------------------------------------------------------------------


@RTC.case("UIP rises 244 us before the update", "Update Cycle, tBUC (table 6)")
def uip_rises(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00)
    pc.step(us=499_740)
    pc.equal(cmos(pc, A) & UIP, 0, "UIP 260 us before the update")
    pc.step(us=30)
    pc.equal(cmos(pc, A) & UIP, UIP, "UIP 230 us before the update")


@RTC.case("UIP stays up for the 1984 us of the update", "Update Cycle, tUC (table 6)", differs={"QEMU": UIP_OF_244_US})
def uip_lasts(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00)
    pc.step(us=500_100)
    pc.equal(cmos(pc, A) & UIP, UIP, "UIP 100 us into the update")
    pc.step(us=1_870)
    pc.equal(cmos(pc, A) & UIP, UIP, "UIP 1970 us into the update")


@RTC.case("UIP falls when the update has ended, and the new time is there", "Register A, UIP")
def uip_falls(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00)
    pc.step(ms=AFTER_UPDATE_MS)
    pc.equal(cmos(pc, A) & UIP, 0, "UIP")
    shows(pc, 0x12, 0x00, 0x01)


@RTC.case("who finds UIP down has 244 us to read the time", "Update Cycle, tBUC")
def the_time_is_whole(pc: Probe) -> None:
    start(pc, 0x12, 0x59, 0x59)
    pc.step(us=499_750)
    pc.equal(cmos(pc, A) & UIP, 0, "UIP")
    pc.step(us=240)
    shows(pc, 0x12, 0x59, 0x59)


@RTC.case("SET freezes the time, and nothing is made up for afterwards", "Register B, SET")
def set_freezes(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00)
    pc.step(ms=AFTER_UPDATE_MS)
    cmos(pc, B, SET | BCD_24)
    pc.step(ms=1000)
    shows(pc, 0x12, 0x00, 0x01)
    cmos(pc, B, BCD_24)
    shows(pc, 0x12, 0x00, 0x01)


@RTC.case("SET does not touch the divider: the second goes on behind it", "Register B, SET; Divider Control")
def set_leaves_the_fraction(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00)
    pc.step(ms=300)
    cmos(pc, B, SET | BCD_24)
    cmos(pc, SECONDS, 0x30)
    cmos(pc, B, BCD_24)
    pc.step(ms=BEFORE_UIP_MS - 300)
    pc.equal(cmos(pc, SECONDS), 0x30, "before the update")
    pc.step(ms=AFTER_UPDATE_MS - BEFORE_UIP_MS)
    pc.equal(cmos(pc, SECONDS), 0x31, "after the update")


@RTC.case("SET clears UIP and stops the update that was to come", "Register A, UIP; Register B, SET")
def set_clears_uip(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00)
    pc.step(us=499_900)
    pc.equal(cmos(pc, A) & UIP, UIP, "UIP")
    cmos(pc, B, SET | BCD_24)
    pc.equal(cmos(pc, A) & UIP, 0, "UIP while SET is 1")
    pc.step(ms=3)
    shows(pc, 0x12, 0x00, 0x00)


@RTC.case(
    "there is no update-ended flag while SET is 1", "Register C, UF; Register B, SET", differs={"QEMU": UF_IN_SET}
)
def set_gives_no_uf(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, alarm=EVERY)
    cmos(pc, B, SET | BCD_24)
    pc.step(ms=AFTER_UPDATE_MS)
    flags(pc, 0, "register C")


@RTC.case("the periodic interrupt goes on while SET is 1", "Divider Control; Periodic Interrupt Selection")
def set_leaves_the_periodic(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, mode=BCD_24 | PIE, rate=6)
    cmos(pc, B, SET | BCD_24 | PIE)
    cmos(pc, C)
    pc.step(ms=1.1)
    flags(pc, IRQF | PF, "register C after more than a period")


@RTC.case("the divider's reset stops the clock, and UIP stays down", "Divider Control; Register A, DV")
def the_divider_holds_the_clock(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00)
    pc.step(ms=400)
    cmos(pc, A, HOLD)
    pc.step(ms=BEFORE_UIP_MS - 400 + 0.2)
    pc.equal(cmos(pc, A), HOLD, "register A when UIP would have risen")
    pc.step(ms=500)
    shows(pc, 0x12, 0x00, 0x00)
    flags(pc, 0, "register C")


@RTC.case("the first update begins half a second after the divider's reset", "Divider Control; Register A, DV")
def the_first_update(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00)
    pc.step(ms=300)
    cmos(pc, A, 0x60)
    pc.step(ms=50)
    cmos(pc, A, RUN)
    pc.step(ms=BEFORE_UIP_MS)
    pc.equal(cmos(pc, A) & UIP, 0, "UIP before the update")
    pc.step(us=230)
    pc.equal(cmos(pc, A) & UIP, UIP, "UIP just before the update")
    pc.step(ms=2.2)
    shows(pc, 0x12, 0x00, 0x01)


@RTC.case(
    "a divider for 4.194304 MHz is 128 times too slow for this crystal",
    "Register A, DV; table 4",
    differs={"MiniVM": EVERY_DIVIDER_RUNS, "QEMU": EVERY_DIVIDER_RUNS_TOO},
)
def a_divider_for_another_crystal(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00)
    cmos(pc, A, 0x00)
    pc.step(ms=AFTER_UPDATE_MS)
    shows(pc, 0x12, 0x00, 0x00)


@RTC.case("a new rate does not reset the divider", "Divider Control; Register A, RS")
def a_new_rate(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00)
    pc.step(ms=300)
    cmos(pc, A, RUN | 6)
    pc.step(ms=AFTER_UPDATE_MS - 300)
    shows(pc, 0x12, 0x00, 0x01)


@RTC.case("the divider's reset stops the periodic interrupt", "Divider Control", differs={"QEMU": PERIODIC_IN_RESET})
def the_divider_holds_the_periodic(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, mode=BCD_24 | PIE, rate=6)
    cmos(pc, A, HOLD | 6)
    cmos(pc, C)
    pc.step(ms=20)
    flags(pc, 0, "register C")
    pc.irq_is(8, False)


# -- the periodic interrupt -----------------------------------------------------------------------------------------


def beats(pc: Probe, rate: int, period_us: float) -> None:
    """Check that the periodic flag comes back after 0.8 to 1.1 periods."""
    start(pc, 0x12, 0x00, 0x00, mode=SET | BCD_24 | PIE, rate=rate)
    for _ in range(12):
        pc.step(us=period_us / 8)
        if cmos(pc, C) & PF:
            break
    pc.step(us=0.8 * period_us)
    pc.equal(cmos(pc, C) & PF, 0, f"PF of rate {rate} after 0.8 periods of {period_us:g} us")
    pc.step(us=0.3 * period_us)
    pc.equal(cmos(pc, C) & PF, PF, f"PF of rate {rate} after 1.1 periods of {period_us:g} us")


@RTC.case("rates 3 to 8 give 8192 to 256 Hz", "Table 5, Periodic Interrupt Rate")
def fast_rates(pc: Probe) -> None:
    for rate in range(3, 9):
        beats(pc, rate, 1e6 * (1 << rate) / 65536)


@RTC.case("rates 1 and 2 give 256 and 128 Hz", "Table 5, Periodic Interrupt Rate, 32.768 kHz")
def the_first_two_rates(pc: Probe) -> None:
    beats(pc, 1, 1e6 / 256)
    beats(pc, 2, 1e6 / 128)


@RTC.case("rates 9, 11 and 14 give 128, 32 and 4 Hz", "Table 5, Periodic Interrupt Rate")
def slow_rates(pc: Probe) -> None:
    for rate in (9, 11, 14):
        beats(pc, rate, 1e6 * (1 << rate) / 65536)


@RTC.case("rate 0 gives no periodic flag", "Register A, RS; table 5")
def rate_zero(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, mode=BCD_24 | PIE, rate=0)
    pc.step(ms=50)
    flags(pc, 0, "register C")
    pc.irq_is(8, False)


@RTC.case("1024 Hz are 64 interrupts in 62.5 ms", "Table 5, Periodic Interrupt Rate")
def the_rate_does_not_drift(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, mode=SET | BCD_24 | PIE, rate=6)
    count = 0
    for _ in range(200):
        pc.step(us=312.5)
        count += bool(cmos(pc, C) & PF)
    pc.between(count, 63, 65, "interrupts in 62.5 ms")


@RTC.case("PF is set without PIE, and then interrupts nobody", "Register C, PF", differs={"QEMU": NO_PF_WITHOUT_PIE})
def pf_without_pie(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, rate=6)
    pc.step(ms=3)
    pc.irq_is(8, False)
    flags(pc, PF, "register C")


@RTC.case(
    "after a periodic interrupt half its period is left to read the time",
    "Update Cycle, figure of update-ended and periodic interrupts",
    differs={"QEMU": ITS_OWN_PHASE},
)
def the_periodic_phase(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, rate=0x0E)
    pc.step(ms=200)
    cmos(pc, C)
    cmos(pc, B, BCD_24 | PIE)
    while not pc.line(8) and pc.system.now < 1_000_000_000:
        pc.step(ms=5)
    pc.step(ms=115)
    shows(pc, 0x12, 0x00, 0x00)


# -- flags and IRQ 8 ------------------------------------------------------------------------------------------------


@RTC.case("UF is set after an update without UIE, and then interrupts nobody", "Register C, UF")
def uf_without_uie(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00)
    pc.step(ms=BEFORE_UIP_MS)
    flags(pc, 0, "before the update")
    pc.step(ms=AFTER_UPDATE_MS - BEFORE_UIP_MS)
    pc.irq_is(8, False)
    flags(pc, UF, "after the update")


@RTC.case("with UIE the end of an update raises IRQ 8", "Register B, UIE; IRQ pin")
def uie_interrupts(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, mode=BCD_24 | UIE)
    pc.step(ms=BEFORE_UIP_MS)
    pc.irq_is(8, False, "before the update")
    pc.step(ms=AFTER_UPDATE_MS - BEFORE_UIP_MS)
    pc.irq_is(8, True, "after the update")
    flags(pc, IRQF | UF, "register C")


@RTC.case("the update-ended interrupt waits for the update's end", "Register C, UF", differs={"QEMU": UIP_OF_244_US})
def the_update_has_ended(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, mode=BCD_24 | UIE)
    pc.step(ms=501.9)
    pc.irq_is(8, False, "1900 us into the update")
    pc.step(ms=0.2)
    pc.irq_is(8, True, "after it")


@RTC.case("reading C clears its flags and lets IRQ 8 fall", "Register C; Interrupts")
def reading_c_clears(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, mode=BCD_24 | PIE, rate=0x0A)
    pc.step(ms=17)
    flags(pc, IRQF | PF, "the first read")
    pc.irq_is(8, False)
    flags(pc, 0, "the second read")


@RTC.case("nothing but reading C clears the flags: IRQ 8 is held", "Interrupts")
def irq_8_is_held(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, mode=BCD_24 | PIE, rate=0x0A)
    pc.step(ms=17)
    for index in (A, B, D, SECONDS, 0x0E):
        cmos(pc, index)
    cmos(pc, SECONDS_ALARM, 0x00)
    pc.irq_is(8, True)
    flags(pc, IRQF | PF, "register C")


@RTC.case("the index port is write-only: reading it reads no register", "AT Technical Reference, port 70h")
def reading_the_index_port(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, mode=BCD_24 | PIE, rate=0x0A)
    pc.step(ms=17)
    pc.write(0x70, C)
    pc.read(0x70)
    pc.irq_is(8, True, "after a read of port 70h")
    pc.reads(0x71, IRQF | PF, "register C")


@RTC.case("each update interrupts again once C was read", "Interrupts")
def every_update_interrupts(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, mode=BCD_24 | UIE)
    pc.step(ms=AFTER_UPDATE_MS)
    cmos(pc, C)
    pc.step(ms=990)
    pc.irq_is(8, False, "before the second update")
    pc.step(ms=10)
    pc.irq_is(8, True, "after the second update")


@RTC.case("PIE raises IRQ 8 by the periodic flag", "Register B, PIE; Register C, IRQF")
def pie_interrupts(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, mode=BCD_24 | PIE, rate=6)
    pc.step(ms=1.1)
    pc.irq_is(8, True)
    flags(pc, IRQF | PF, "register C")
    pc.irq_is(8, False)


@RTC.case("enabling an interrupt whose flag is set raises IRQ 8 at once", "Register C, IRQF = PF PIE + AF AIE + UF UIE")
def enabling_late(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, mode=BCD_24 | PIE, rate=6)
    pc.step(ms=1.1)
    cmos(pc, B, BCD_24 | UIE | AIE)
    pc.irq_is(8, False, "with the two others enabled")
    cmos(pc, B, BCD_24 | PIE)
    pc.irq_is(8, True, "with PIE")
    flags(pc, IRQF | PF, "register C")


@RTC.case("disabling the interrupt lets IRQ 8 fall and keeps the flag", "Register C, IRQF = PF PIE + AF AIE + UF UIE")
def disabling_late(pc: Probe) -> None:
    start(pc, 0x12, 0x00, 0x00, mode=BCD_24 | PIE, rate=6)
    pc.step(ms=1.1)
    cmos(pc, B, BCD_24)
    pc.irq_is(8, False)
    flags(pc, PF, "register C without IRQF")


# -- alarms ---------------------------------------------------------------------------------------------------------


@RTC.case(
    "the alarm comes when hours, minutes and seconds match, and not before", "Time, Calendar, and Alarm Locations"
)
def the_alarm_comes(pc: Probe) -> None:
    start(pc, 0x06, 0x15, 0x29, mode=BCD_24 | AIE, alarm=(0x06, 0x15, 0x31))
    pc.step(ms=AFTER_UPDATE_MS)
    pc.irq_is(8, False, "a second early")
    flags(pc, UF, "a second early")
    pc.step(ms=1000)
    pc.irq_is(8, True, "at its time")
    flags(pc, IRQF | AF | UF, "at its time")


@RTC.case("the alarm flag is set without AIE, and then interrupts nobody", "Register C, AF")
def af_without_aie(pc: Probe) -> None:
    start(pc, 0x06, 0x15, 0x29, alarm=(0x06, 0x15, 0x30))
    pc.step(ms=AFTER_UPDATE_MS)
    pc.irq_is(8, False)
    flags(pc, AF | UF, "register C")


@RTC.case("one byte that does not match keeps the alarm away", "Time, Calendar, and Alarm Locations")
def all_three_must_match(pc: Probe) -> None:
    for alarm in ((0x07, 0x15, 0x30), (0x06, 0x16, 0x30)):
        start(pc, 0x06, 0x15, 0x29, alarm=alarm)
        pc.step(ms=AFTER_UPDATE_MS)
        flags(pc, UF, f"with the alarm at {bytes(alarm).hex(':')}")


@RTC.case("an alarm byte from C0h to FFh matches everything", "Time, Calendar, and Alarm Locations, don't care")
def do_not_care(pc: Probe) -> None:
    for alarm in ((0xC0, 0x15, 0x30), (0x06, 0xE0, 0x30), (0x06, 0x15, 0xD5)):
        start(pc, 0x06, 0x15, 0x29, alarm=alarm)
        pc.step(ms=AFTER_UPDATE_MS)
        flags(pc, AF | UF, f"with the alarm at {bytes(alarm).hex(':')}")


@RTC.case("beside a byte of don't care the others must match", "Time, Calendar, and Alarm Locations, don't care")
def do_not_care_is_for_one_byte(pc: Probe) -> None:
    start(pc, 0x06, 0x15, 0x29, alarm=(0xFF, 0x15, 0x31))
    pc.step(ms=AFTER_UPDATE_MS)
    flags(pc, UF, "with the alarm at 15:31 of every hour")


@RTC.case("with three bytes of don't care the alarm comes every second", "Time, Calendar, and Alarm Locations")
def every_second(pc: Probe) -> None:
    start(pc, 0x06, 0x15, 0x29, mode=BCD_24 | AIE, alarm=EVERY)
    pc.step(ms=AFTER_UPDATE_MS)
    flags(pc, IRQF | AF | UF, "the first second")
    pc.step(ms=1000)
    pc.irq_is(8, True, "the next second")


@RTC.case("an alarm in binary is compared in binary", "Register B, DM")
def the_alarm_in_binary(pc: Probe) -> None:
    start(pc, 22, 15, 29, mode=BINARY_24, alarm=(22, 15, 30))
    pc.step(ms=AFTER_UPDATE_MS)
    flags(pc, AF | UF, "register C")


@RTC.case("an alarm in the afternoon of 12 hours comes at its time", "Register B, 24/12")
def the_alarm_in_the_afternoon(pc: Probe) -> None:
    start(pc, 0x86, 0x59, 0x59, mode=BCD_12, alarm=(0x87, 0x00, 0x00))
    pc.step(ms=AFTER_UPDATE_MS)
    flags(pc, AF | UF, "register C at seven in the evening")


@RTC.case("an alarm at noon of 12 hours comes at its time", "Register B, 24/12", differs={"QEMU": PM_OF_NOW})
def the_alarm_at_noon(pc: Probe) -> None:
    start(pc, 0x11, 0x59, 0x59, mode=BCD_12, alarm=(0x92, 0x00, 0x00))
    pc.step(ms=AFTER_UPDATE_MS)
    flags(pc, AF | UF, "register C at noon")


@RTC.case("an alarm of the morning does not come in the evening", "Register B, 24/12")
def the_alarm_of_the_morning(pc: Probe) -> None:
    start(pc, 0x86, 0x59, 0x59, mode=BCD_12, alarm=(0x07, 0x00, 0x00))
    pc.step(ms=AFTER_UPDATE_MS)
    flags(pc, UF, "register C at seven in the evening")
    start(pc, 0x06, 0x59, 0x59, mode=BCD_12, alarm=(0x07, 0x00, 0x00))
    pc.step(ms=AFTER_UPDATE_MS)
    flags(pc, AF | UF, "register C at seven in the morning")


@RTC.case("an alarm of the evening does not come in the morning: 80h to BFh is a number", "Register B, 24/12")
def the_alarm_of_the_evening(pc: Probe) -> None:
    start(pc, 0x06, 0x59, 0x59, mode=BCD_12, alarm=(0x87, 0x00, 0x00))
    pc.step(ms=AFTER_UPDATE_MS)
    flags(pc, UF, "register C at seven in the morning")


@RTC.case("all three flags stand side by side in C under one IRQF", "Register C ($0C), bits 3-0 read as zero")
def all_flags_at_once(pc: Probe) -> None:
    start(pc, 0x06, 0x15, 0x29, mode=BCD_24 | PIE | AIE | UIE, alarm=EVERY, rate=6)
    pc.step(ms=AFTER_UPDATE_MS)
    shows(pc, 0x06, 0x15, 0x30)
    pc.step(ms=1.1)
    flags(pc, IRQF | PF | AF | UF, "register C")
    pc.irq_is(8, False)
