"""Every device of a real machine, saved in the middle of its work and restored into another machine of its kind.

The other machine must then have the same state, field by field, and do the same things afterwards.
"""

from pathlib import Path

import pytest

import minivm
from minivm.core.memory import PAGE
from minivm.core.record import names

SPIN = b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa"
"""A boot sector that jumps to itself: the BIOS has set up every chip, and nothing else happens."""
STEPS_NS = (1, 700, 15_000, 86_805, 250_000, 1_000_000, 3_333_333, 30_517_578, 1, 100_000, 244_140_625, 55_000_000)
QUIET_PORTS = (0x61, 0x64, 0x80, 0x92, 0xCF9, 0x4D0, 0x4D1, 0x20, 0xA0, 0x21, 0xA1)
PORTS = (
    *QUIET_PORTS, *range(0x40, 0x43), 0x60, 0x71, *range(0x3F8, 0x400), *range(0x2F8, 0x300),
    0x3C1, 0x3C5, 0x3CA, 0x3CC, 0x3CF, 0x3D5, 0x3C9, 0x3C0, 0x3DA,
    *range(0x3F0, 0x3F6), 0x3F7, *range(0x00, 0x10), 0xC4, 0xC6, 0xD0, 0x81,
    0x3F6, 0x376, *range(0x1F0, 0x1F8), *range(0x170, 0x178),
)  # fmt: skip


DISK = f"{Path(__file__).parents[2] / 'guests' / 'disk.img'},snapshot"


def with_a_disk():
    return minivm.boot(SPIN, memory="2M", disks=DISK)


def booted():
    vm = with_a_disk()
    vm.run(ms=20)
    return vm


def out(vm, port, *values):
    for value in values:
        vm.ports.write(port, 1, value)


def read(vm, port):
    return vm.ports.read(port, 1)


# -- how each device comes into the middle of its work -----------------------------------------------------------------
def pic_in_service_and_pending(vm):
    out(vm, 0x21, 0x00)
    out(vm, 0xA1, 0x00)
    out(vm, 0x4D1, 0x0E)
    for irq in (0, 10, 3):
        vm.devices["pic"].line(irq).set(True)
    vm.devices["pic"].acknowledge()
    vm.devices["pic"].acknowledge()
    out(vm, 0x20, 0x68, 0x0B, 0xC2)
    out(vm, 0xA0, 0x0C)


def pic_half_initialized(vm):
    vm.devices["pic"].line(5).set(True)
    out(vm, 0x20, 0x11)
    out(vm, 0x21, 0x40)
    out(vm, 0xA0, 0x11)


def pit_in(mode):
    def pit_in_mid_count(vm):
        out(vm, 0x61, 0x03)
        for channel in range(3):
            out(vm, 0x43, channel << 6 | 0x30 | mode << 1)
            out(vm, 0x40 + channel, 0x34, 0x12)
        vm.clock.advance(777_777)
        out(vm, 0x61, 0x02)
        vm.clock.advance(50_000)
        out(vm, 0x61, 0x03)
        vm.clock.advance(1_234)
        out(vm, 0x43, 0xE2)
        out(vm, 0x43, 0x40)
        read(vm, 0x41)
        out(vm, 0x42, 0x55)

    return pit_in_mid_count


def pit_in_bcd_with_a_new_count_waiting(vm):
    out(vm, 0x43, 0x37)
    out(vm, 0x40, 0x00, 0x10)
    vm.clock.advance(400_000)
    out(vm, 0x40, 0x00, 0x20)
    out(vm, 0x43, 0x14 | 0x40)
    out(vm, 0x41, 0x63)
    vm.clock.advance(10_001)


def cmos_with_an_update_and_interrupts_on_their_way(vm):
    for index, value in ((0x0A, 0x26), (0x0B, 0x72), (0x01, 0xC0), (0x03, 0xC0), (0x05, 0xC0), (0x33, 0x5A)):
        out(vm, 0x70, index)
        out(vm, 0x71, value)
    out(vm, 0x70, 0x8C)
    for _ in range(2000):  # to the time in which the update is announced
        vm.clock.advance(1_000_000)
        if vm.devices["cmos"].inspect().memory[0x0A] & 0x80:
            break
    assert vm.devices["cmos"].inspect().memory[0x0A] & 0x80


def cmos_with_its_clock_stopped(vm):
    out(vm, 0x70, 0x0B)
    out(vm, 0x71, 0x86)
    vm.clock.advance(300_000_000)
    out(vm, 0x70, 0x00)
    out(vm, 0x71, 0x59)


def uart_at(base):
    def uart_half_full_and_sending(vm):
        out(vm, base + 2, 0x87)
        out(vm, base + 3, 0x83)
        out(vm, base, 0x0C)
        out(vm, base + 1, 0x00)
        out(vm, base + 3, 0x1B)
        out(vm, base + 4, 0x0B)
        out(vm, base + 1, 0x0F)
        vm.devices["uart0" if base == 0x3F8 else "uart1"].receive(b"half full\xff and much more to come")
        vm.clock.advance(6_000_000)
        for byte in b"sending":
            out(vm, base, byte)
        vm.clock.advance(1_234_567)
        read(vm, base)
        out(vm, base + 7, 0x77)

    return uart_half_full_and_sending


def uart_waiting_for_its_timeout(vm):
    out(vm, 0x3FA, 0xC7)
    out(vm, 0x3FC, 0x0B)
    out(vm, 0x3F9, 0x05)
    vm.devices["uart0"].receive(b"abc")
    vm.devices["uart0"].receive(b"d", errors=0x04)
    vm.clock.advance(4_000_000)


def keyboard_with_queued_typing(vm):
    vm.type("Hello <F1>world")
    vm.clock.advance(37_000_000)
    out(vm, 0x60, 0xED)
    vm.clock.advance(150_000)


def keyboard_with_a_key_held_down(vm):
    keyboard = vm.devices["keyboard"]
    out(vm, 0x60, 0xF3)
    vm.clock.advance(3_000_000)
    read(vm, 0x60)
    out(vm, 0x60, 0x00)
    vm.clock.advance(3_000_000)
    read(vm, 0x60)
    keyboard.press("left_shift")
    keyboard.press("arrow_left" if "arrow_left" in minivm.core.keys.SCAN_CODES[2] else "a")
    vm.clock.advance(300_000_000)
    read(vm, 0x60)
    vm.clock.advance(10_000)


def keyboard_in_its_self_test(vm):
    out(vm, 0x60, 0xFF)
    vm.clock.advance(2_000_000)
    read(vm, 0x60)
    vm.type("x")
    vm.clock.advance(1_000_000)


def i8042_with_a_byte_on_the_cable_and_a_command(vm):
    keyboard = vm.devices["keyboard"]
    for key in ("a", "b", "c"):
        keyboard.press(key)
        keyboard.release(key)
    vm.clock.advance(500_000)
    out(vm, 0x64, 0xD1)
    vm.clock.advance(1_000)


def i8042_between_command_and_parameter(vm):
    out(vm, 0x64, 0x60)
    vm.clock.advance(400_000)
    out(vm, 0x60, 0x45)
    vm.clock.advance(400_000)
    out(vm, 0x64, 0x20)
    vm.clock.advance(400_000)
    out(vm, 0x64, 0xC1)
    vm.clock.advance(400_000)
    out(vm, 0x64, 0xD4)


def i8042_after_it_closed_the_a20_gate_that_port_92_had_opened(vm):
    out(vm, 0x92, 0x02)
    out(vm, 0x64, 0xD1)
    vm.clock.advance(400_000)
    out(vm, 0x60, 0xDD)
    vm.clock.advance(400_000)
    assert vm.space.a20_mask != ~0


def port_92_after_it_closed_the_a20_gate(vm):
    out(vm, 0x92, 0x02)
    out(vm, 0x92, 0x00)
    assert vm.space.a20_mask != ~0


def i8042_after_it_opened_the_a20_gate_again(vm):
    port_92_after_it_closed_the_a20_gate(vm)
    out(vm, 0x64, 0xDF)
    vm.clock.advance(400_000)


def vga_with_changed_registers_in_mid_index(vm):
    out(vm, 0x3C4, 0x04, 0x01)
    out(vm, 0x3D4, 0x0E)
    out(vm, 0x3D5, 0x03)
    out(vm, 0x3D4, 0x09)
    out(vm, 0x3D5, 0x4D)
    out(vm, 0x3CE, 0x06)
    out(vm, 0x3CF, 0x0A)
    read(vm, 0x3DA)
    out(vm, 0x3C0, 0x13)
    out(vm, 0x3C6, 0x7F)
    out(vm, 0x3C8, 0x05)
    out(vm, 0x3C9, 0x11, 0x22)
    out(vm, 0x3C2, 0x6B)
    vm.memory.write(0xB8000, b"H\x1fi\x1f")


def vga_between_the_reading_and_the_writing_of_a_pixel(vm):
    for port, index, value in ((0x3C4, 2, 0x0F), (0x3C4, 4, 0x06), (0x3CE, 5, 0x00), (0x3CE, 6, 0x05)):
        out(vm, port, index)
        out(vm, port + 1, value)
    vm.space.store(0xA0007, 1, 0x5A)
    out(vm, 0x3CE, 8)
    out(vm, 0x3CF, 0x18)
    assert vm.space.load(0xA0007, 1) == 0x5A
    assert vm.devices["vga"].state().latch == 0x5A5A5A5A


def vga_in_a_banked_vbe_mode(vm):
    for index, value in ((1, 640), (2, 480), (3, 8), (4, 0x61), (6, 800), (5, 3), (9, 7)):
        vm.ports.write(0x1CE, 2, index)
        vm.ports.write(0x1CF, 2, value)
    vm.space.store(0xA1234, 1, 0x77)
    assert vm.devices["vga"].aperture.offset == 0x30000


def system_control_with_the_speaker_on(vm):
    out(vm, 0x61, 0x03)
    out(vm, 0x43, 0xB6)
    out(vm, 0x42, 0xA9, 0x04)
    vm.clock.advance(123_456)


def speaker_clicking_by_hand(vm):
    out(vm, 0x61, 0x02)
    vm.clock.advance(1_000)


def reset_control_armed(vm):
    out(vm, 0xCF9, 0x02)


def post_code_shown(vm):
    out(vm, 0x80, 0xA5)


def program_dma(vm, channel, address, length, mode):
    """Program a byte channel and unmask it, with the cascade."""
    out(vm, 0xD6, 0xC0)
    out(vm, 0xD4, 0x00)
    out(vm, 0x0C, 0x00)
    out(vm, 0x0B, mode | channel)
    out(vm, 2 * channel, address & 0xFF, address >> 8 & 0xFF)
    out(vm, 2 * channel + 1, length - 1 & 0xFF, length - 1 >> 8)
    out(vm, (0x87, 0x83, 0x81, 0x82)[channel], address >> 16)
    out(vm, 0x0A, channel)


def dma_halfway_through_its_blocks(vm):
    pair = vm.devices["dma"]
    program_dma(vm, 1, 0x18000, 64, 0x54)
    pair.channel(1).to_memory(b"half of it")
    out(vm, 0xD6, 0x4A | 0x20)
    out(vm, 0xC8, 0x34, 0x12)
    out(vm, 0xCA, 0x07, 0x00)
    out(vm, 0xD4, 0x02)
    pair.channel(6).from_memory(6)
    pair.channel(3).set(True)
    out(vm, 0x0C, 0x00)
    read(vm, 0x02)


def floppy_out_of_reset(vm):
    out(vm, 0x3F2, 0x00)
    out(vm, 0x3F2, 0x3C)
    out(vm, 0x3F7, 0x00)
    vm.clock.advance(100_000)
    for _ in range(4):
        out(vm, 0x3F5, 0x08)
        read(vm, 0x3F5)
        read(vm, 0x3F5)


def floppy_command(vm, *values):
    out(vm, 0x3F5, *values)


def floppy_reading_in_the_middle_of_a_track(vm):
    floppy_out_of_reset(vm)
    program_dma(vm, 2, 0x20000, 4096, 0x44)
    floppy_command(vm, 0x03, 0xDF, 0x02)
    floppy_command(vm, 0xE6, 0, 0, 0, 3, 2, 18, 0x1B, 0xFF)
    vm.clock.advance(4_000_000)
    assert vm.devices["floppy"].state().transfer.sector > 3


def floppy_waiting_for_its_channel(vm):
    floppy_reading_in_the_middle_of_a_track(vm)
    out(vm, 0x0A, 0x06)
    vm.clock.advance(400_000)
    assert vm.devices["floppy"].state().transfer.stage == "wait"


def floppy_giving_bytes_to_the_processor(vm):
    floppy_out_of_reset(vm)
    floppy_command(vm, 0x03, 0xDF, 0x03)
    floppy_command(vm, 0x13, 0x00, 0x47, 0x05)
    floppy_command(vm, 0xE6, 4, 2, 1, 3, 2, 18, 0x1B, 0xFF)
    vm.clock.advance(12_000_000)
    read(vm, 0x3F5)
    assert len(vm.devices["floppy"].state().transfer.data) == 511


def floppy_taking_bytes_to_format(vm):
    floppy_out_of_reset(vm)
    floppy_command(vm, 0x03, 0xDF, 0x03)
    floppy_command(vm, 0x4D, 0, 2, 18, 0x54, 0xF6)
    vm.clock.advance(12_000_000)
    floppy_command(vm, 0, 0, 1)
    assert vm.devices["floppy"].state().transfer.data == bytes((0, 0, 1))


def floppy_with_its_heads_moving(vm):
    floppy_out_of_reset(vm)
    floppy_command(vm, 0x94)
    read(vm, 0x3F5)
    floppy_command(vm, 0x0F, 0, 40)
    floppy_command(vm, 0x07, 1)
    vm.clock.advance(3_000_000)
    floppy_command(vm, 0x46, 0)


def floppy_in_its_result_phase(vm):
    floppy_out_of_reset(vm)
    floppy_command(vm, 0x4A, 0)
    vm.clock.advance(400_000_000)
    read(vm, 0x3F5)
    assert len(vm.devices["floppy"].state().results) == 6


def floppy_coming_out_of_reset(vm):
    out(vm, 0x3F2, 0x00)
    out(vm, 0x3F2, 0x1C)
    vm.clock.advance(20_000)
    assert vm.devices["floppy"].state().reset_due is not None


def configure(vm, device, function, register, value, size=4):
    vm.ports.write(0xCF8, 4, 1 << 31 | device << 11 | function << 8 | register & 0xFC)
    vm.ports.write(0xCFC + (register & 3), size, value)


def host_bridge_with_the_bios_half_in_ram(vm):
    configure(vm, 0, 0, 0x59, 0x20, 1)
    configure(vm, 0, 0, 0x5A, 0x3132_1303)
    configure(vm, 0, 0, 0x72, 0x1A, 1)
    configure(vm, 0, 0, 0x04, 0x0140, 2)


def isa_bridge_with_routes_and_an_interrupt(vm):
    vm.devices["piix3"].pirq(1).set(True)
    configure(vm, 1, 0, 0x60, 0x800B_8005)
    configure(vm, 1, 0, 0x61, 0x0A, 1)


def ide_function_that_was_moved(vm):
    configure(vm, 1, 1, 0x20, 0xD120)
    configure(vm, 1, 1, 0x40, 0xA307_8000)
    configure(vm, 1, 1, 0x04, 0x0005, 2)


def graphics_card_that_was_moved(vm):
    configure(vm, 2, 0, 0x10, 0xF000_0000)
    configure(vm, 2, 0, 0x3C, 0x0B, 1)
    configure(vm, 2, 0, 0x04, 0x0002, 2)


def power_management_that_was_moved_and_waits_for_its_timer(vm):
    configure(vm, 1, 3, 0x40, 0xB101)
    configure(vm, 1, 3, 0x80, 0x01, 1)
    vm.ports.write(0xB104, 2, 0x1401)
    vm.ports.write(0xB102, 2, 0x0101)
    vm.devices["pm"].press_power_button()


def power_management_switched_off(vm):
    configure(vm, 1, 3, 0x80, 0x00, 1)
    configure(vm, 1, 3, 0x58, 0x1234_5678)


def configuration_address_chosen(vm):
    vm.ports.write(0xCF8, 4, 0x8000_0B58)


def to_mouse(vm, *values):
    for value in values:
        out(vm, 0x64, 0xD4)
        vm.clock.advance(1_000_000)
        out(vm, 0x60, value)
        for _ in range(8):
            vm.clock.advance(1_000_000)
            if read(vm, 0x64) & 0x20:
                read(vm, 0x60)


def mouse_with_a_wheel_in_the_middle_of_a_packet(vm):
    to_mouse(vm, 0xF3, 200, 0xF3, 100, 0xF3, 80, 0xE8, 3, 0xE7, 0xF4)
    mouse = vm.devices["mouse"]
    mouse.move(300, -20, 2)
    mouse.press("left")
    mouse.move(-3, 400)
    vm.clock.advance(7_000_000)
    read(vm, 0x60)
    vm.clock.advance(500_000)
    assert mouse.state().steps and mouse.state().output


def mouse_that_waits_for_its_next_sample(vm):
    to_mouse(vm, 0xF3, 10, 0xF4)
    vm.devices["mouse"].move(1, 1)
    for _ in range(30):
        vm.clock.advance(1_000_000)
        read(vm, 0x60)
    vm.devices["mouse"].move(2, 2)
    assert vm.devices["mouse"].state().sample_due is not None


def mouse_in_its_self_test(vm):
    out(vm, 0x64, 0xD4)
    vm.clock.advance(1_000_000)
    out(vm, 0x60, 0xFF)
    vm.clock.advance(3_000_000)
    assert vm.devices["mouse"].state().self_test_due is not None


def mouse_between_command_and_option(vm):
    to_mouse(vm, 0xF0, 0xF3)
    vm.devices["mouse"].move(7, 7)


def ata_command(vm, code, lba=0, count=1, base=0x1F0):
    for offset, value in ((6, 0xE0), (2, count), (3, lba), (4, 0), (5, 0), (7, code)):
        out(vm, base + offset, value)


def words(vm, port, count):
    return [vm.ports.read(port, 2) for _ in range(count)]


def disk_in_the_middle_of_a_block(vm):
    out(vm, 0x3F6, 0x02)
    ata_command(vm, 0x20, lba=5, count=3)
    vm.clock.advance(10_000)
    words(vm, 0x1F0, 100)


def disk_between_two_blocks(vm):
    ata_command(vm, 0x20, lba=5, count=3)
    vm.clock.advance(10_000)
    read(vm, 0x1F7)
    words(vm, 0x1F0, 256)
    vm.clock.advance(100)


def disk_that_takes_a_block(vm):
    ata_command(vm, 0x30, lba=7, count=2)
    vm.clock.advance(10_000)
    for value in range(77):
        vm.ports.write(0x1F0, 2, value)


def channel_in_reset(vm):
    out(vm, 0x1F6, 0xB0)
    out(vm, 0x3F6, 0x84)
    out(vm, 0x3F6, 0x80)
    vm.clock.advance(50_000)


def channel_with_an_interrupt_behind_nien(vm):
    ata_command(vm, 0xEF, count=0x45)
    out(vm, 0x3F6, 0x02)
    vm.clock.advance(10_000)


def drive_that_waits_for_its_packet(vm):
    out(vm, 0x176, 0xA0)
    out(vm, 0x171, 0x00)
    out(vm, 0x174, 0x0A, 0x00)
    out(vm, 0x175, 0x00)
    out(vm, 0x177, 0xA0)
    vm.clock.advance(10_000)
    for value in (0x12, 0x0000):
        vm.ports.write(0x170, 2, value)


def drive_in_the_middle_of_its_answer(vm):
    drive_that_waits_for_its_packet(vm)
    for value in (36, 0, 0, 0):
        vm.ports.write(0x170, 2, value)
    vm.clock.advance(10_000)
    words(vm, 0x170, 3)


def drive_with_its_tray_open(vm):
    drive = vm.devices["ata1"].units[0].drive
    drive.insert(None)
    drive_that_waits_for_its_packet(vm)
    out(vm, 0x176, 0xA0)
    out(vm, 0x177, 0x08)
    out(vm, 0x177, 0xA0)
    vm.clock.advance(10_000)
    for value in (0x1B, 0, 0x02, 0, 0, 0):
        vm.ports.write(0x170, 2, value)


def bus_master_in_the_middle_of_a_table(vm):
    base = 0xD140
    configure(vm, 1, 1, 0x20, base)
    configure(vm, 1, 1, 0x04, 0x0005, 2)
    vm.memory.write(0x30000, bytes.fromhex("0000040000020000 0040040000020080"))
    vm.ports.write(base + 4, 4, 0x30000)
    out(vm, base + 2, 0x64)
    out(vm, 0x3F6, 0x04, 0x00)
    vm.clock.advance(200_000)
    ata_command(vm, 0xC8, lba=3, count=2)
    out(vm, base, 0x09)
    vm.clock.advance(12_000)
    state = vm.devices["bus_master"].state().channels[0]
    assert state.due is not None and state.next_descriptor == 0x30010


def bus_master_that_waits_for_its_drive(vm):
    bus_master_in_the_middle_of_a_table(vm)
    out(vm, 0x3F6, 0x04)
    out(vm, 0x3F6, 0x00)


BUSY = {
    "ata0": [
        disk_in_the_middle_of_a_block,
        disk_between_two_blocks,
        disk_that_takes_a_block,
        channel_in_reset,
        channel_with_an_interrupt_behind_nien,
    ],
    "ata1": [drive_in_the_middle_of_its_answer, drive_that_waits_for_its_packet, drive_with_its_tray_open],
    "bus_master": [bus_master_in_the_middle_of_a_table, bus_master_that_waits_for_its_drive],
    "i440fx": [host_bridge_with_the_bios_half_in_ram],
    "shadow_ram": [host_bridge_with_the_bios_half_in_ram],
    "piix3": [isa_bridge_with_routes_and_an_interrupt],
    "ide": [ide_function_that_was_moved],
    "pm": [power_management_that_was_moved_and_waits_for_its_timer, power_management_switched_off],
    "vga_pci": [graphics_card_that_was_moved],
    "pci": [configuration_address_chosen],
    "mouse": [
        mouse_with_a_wheel_in_the_middle_of_a_packet,
        mouse_that_waits_for_its_next_sample,
        mouse_in_its_self_test,
        mouse_between_command_and_option,
    ],
    "dma": [dma_halfway_through_its_blocks],
    "floppy": [
        floppy_reading_in_the_middle_of_a_track,
        floppy_waiting_for_its_channel,
        floppy_giving_bytes_to_the_processor,
        floppy_taking_bytes_to_format,
        floppy_with_its_heads_moving,
        floppy_in_its_result_phase,
        floppy_coming_out_of_reset,
    ],
    "pic": [pic_in_service_and_pending, pic_half_initialized],
    "pit": [*map(pit_in, range(6)), pit_in_bcd_with_a_new_count_waiting],
    "cmos": [cmos_with_an_update_and_interrupts_on_their_way, cmos_with_its_clock_stopped],
    "uart0": [uart_at(0x3F8), uart_waiting_for_its_timeout],
    "uart1": [uart_at(0x2F8)],
    "keyboard": [keyboard_with_queued_typing, keyboard_with_a_key_held_down, keyboard_in_its_self_test],
    "i8042": [
        i8042_with_a_byte_on_the_cable_and_a_command,
        i8042_between_command_and_parameter,
        i8042_after_it_closed_the_a20_gate_that_port_92_had_opened,
        i8042_after_it_opened_the_a20_gate_again,
    ],
    "port_92": [port_92_after_it_closed_the_a20_gate],
    "a20": [port_92_after_it_closed_the_a20_gate],
    "vga": [
        vga_with_changed_registers_in_mid_index,
        vga_between_the_reading_and_the_writing_of_a_pixel,
        vga_in_a_banked_vbe_mode,
    ],
    "port_b": [system_control_with_the_speaker_on],
    "speaker": [system_control_with_the_speaker_on, speaker_clicking_by_hand],
    "reset_control": [reset_control_armed],
    "post_code": [post_code_shown],
}
EVERYTHING = "everything at once"
CASES = [(name, work) for name, works in BUSY.items() for work in works] + [(EVERYTHING, None)]


def bring_into_work(vm, work):
    """Do `work`; without one, bring every device into the middle of its work at the same time."""
    for each in [work] if work is not None else [works[0] for works in BUSY.values()]:
        each(vm)


# -- the other machine -------------------------------------------------------------------------------------------------
def restore_into(twin, vm):
    """Make `twin` what `vm` is, but for its CPU."""
    view = vm.memory.view  # RAM, and video memory behind it
    pages = {page: bytes(view[page * PAGE : (page + 1) * PAGE]) for page in vm.memory.used()}
    twin.memory.zero_pages(set(twin.memory.used()) - set(pages))
    twin.memory.put_pages(pages)
    states = {name: device.state() for name, device in vm.devices.items()}
    twin.clock.reset_to(vm.clock.now)
    for name, device in twin.devices.items():
        device.restore(states[name])
    return states


def fields(state, path):
    """Return every field of a state, down into nested ones, by its dotted name."""
    if isinstance(state, tuple):
        return {key: value for at, part in enumerate(state) for key, value in fields(part, f"{path}[{at}]").items()}
    if not hasattr(type(state), "_record_fields"):
        return {path: state}
    parts = ((f"{path}.{name}", getattr(state, name)) for name in names(state))
    return {key: value for name, part in parts for key, value in fields(part, name).items()}


def all_fields(vm):
    return {key: value for name, device in vm.devices.items() for key, value in fields(device.state(), name).items()}


def what_happens_next(vm, sent_before):
    """Let time pass, serve interrupts and look at everything that can be looked at; return all of it."""
    seen = []
    for step, nanoseconds in enumerate(STEPS_NS * 2):
        vm.clock.advance(nanoseconds)
        seen.append(("a20", vm.space.a20_mask, "due", vm.clock.next_due, "intr", vm.devices["pic"].pending))
        while vm.devices["pic"].pending and step % 3 == 2:
            seen.append(("vector", vm.devices["pic"].acknowledge()))
            out(vm, 0xA0, 0x20)
            out(vm, 0x20, 0x20)
        for port in QUIET_PORTS if step % 2 else PORTS:
            seen.append((hex(port), read(vm, port)))
        if step == 7:
            out(vm, 0x60, 0xDD)
        if step == 12:
            for irq in (0, 3, 10):
                vm.devices["pic"].line(irq).set(False)
            out(vm, 0x92, 0x02)
            out(vm, 0x92, 0x00)
            out(vm, 0x61, 0x01)
    seen.append(bytes(vm.serial.data)[sent_before:])
    seen.append(vm.screen.text())
    return seen


def test_every_device_has_a_case():
    with booted() as vm:
        assert set(vm.devices) == set(BUSY)


@pytest.mark.parametrize("busy_before", [False, True], ids=["fresh", "busy before"])
@pytest.mark.parametrize(
    ("name", "work"), CASES, ids=[f"{name}-{getattr(work, '__name__', 'all')}" for name, work in CASES]
)
def test_a_device_goes_on_in_another_machine_where_it_was_in_this(name, work, busy_before):
    with booted() as vm, with_a_disk() as twin:
        power_on = all_fields(vm)
        bring_into_work(vm, work)
        if busy_before:
            bring_into_work(twin, None)
        states = restore_into(twin, vm)
        before, after = all_fields(vm), all_fields(twin)
        assert {key: (before[key], after.get(key)) for key in before if before[key] != after.get(key)} == {}
        assert states == {name: device.state() for name, device in twin.devices.items()}
        assert before != power_on
        sent = [len(vm.serial.data), len(twin.serial.data)]
        first, second = what_happens_next(vm, sent[0]), what_happens_next(twin, sent[1])
        assert [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]] == []
        assert all_fields(vm) == all_fields(twin)
