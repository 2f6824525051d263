"""The graphics card's own ROM, as a BIOS that is not MiniVM's uses it."""

import re
from pathlib import Path

import pytest

from minivm.core.memory import Region
from minivm.engine.cpustate import CS, SS
from minivm.firmware import build, services, video_rom

SOURCE = Path(video_rom.__file__).with_name("vga_rom.asm")


@pytest.fixture
def rom_pc(flat_pc):
    """A PC with the ROM in RAM at C0000h, as a BIOS copies it there, and nothing else done by it yet."""
    flat_pc.space.show(Region(video_rom.BASE, 0x10000, writable=True))
    flat_pc.memory.write(video_rom.BASE, video_rom.image())
    rom = video_rom.VideoRom(
        cpu=flat_pc.cpu, space=flat_pc.space, ports=flat_pc.ports, clock=flat_pc.clock, trace=flat_pc.trace.append
    )
    flat_pc.ports.map(video_rom.TRAP_PORT, 1, rom.trap, name="video rom")
    return flat_pc


def ask(pc, number, segment=video_rom.SEGMENT, **registers):
    for name, value in registers.items():
        setattr(pc.cpu, name, value)
    for index, selector in ((CS, segment), (SS, 0x9000)):
        pc.cpu.head.segs[index].selector, pc.cpu.head.segs[index].base = selector, selector << 4
    pc.space.store(0x91000, 2, number)
    pc.cpu.sp = 0x1000
    pc.ports.write(video_rom.TRAP_PORT, 1, 0)
    return pc.cpu


def test_the_image_is_an_expansion_rom():
    image = video_rom.image()
    assert image[:2] == b"\x55\xaa"
    assert image[2] * 512 == len(image) == video_rom.SIZE_BYTES
    assert sum(image) % 256 == 0
    assert image[0x1E:0x21] == b"IBM"
    assert b"VGABIOS" in image


def test_its_pci_structure_names_the_card():
    image = video_rom.image()
    at = int.from_bytes(image[0x18:0x1A], "little")
    data = image[at : at + 0x18]
    assert at % 4 == 0
    assert data[:8] == b"PCIR" + bytes.fromhex("34121111")
    assert (data[0x0A], data[0x0D:0x10]) == (0x18, bytes([0, 0, 3]))
    assert (data[0x10] * 512, data[0x14], data[0x15]) == (len(image), 0, 0x80)


@pytest.mark.nasm
def test_the_shipped_image_is_the_source_assembled():
    assert build.build_video_rom() == video_rom.image()


def test_source_and_services_use_the_same_numbers():
    numbers = dict(re.findall(r"^SERVICE_(\w+)\s+equ (\w+)h", SOURCE.read_text(), re.MULTILINE))
    assert {name: int(number, 16) for name, number in numbers.items()} == {
        "VBE_WINDOW": services.VBE_WINDOW, "VIDEO_START": services.VIDEO_START,
    }  # fmt: skip
    assert int(re.findall(r"^TRAP_PORT\s+equ (\w+)h", SOURCE.read_text(), re.MULTILINE)[0], 16) == video_rom.TRAP_PORT


def test_the_start_takes_over_int_10h_and_sets_mode_3(rom_pc):
    rom_pc.memory.write(0x400, bytes(0x100))
    rom_pc.video(0x13)
    old = rom_pc.space.load(4 * 0x10, 4)
    ask(rom_pc, services.VIDEO_START)
    assert rom_pc.space.load(4 * 0x10 + 2, 2) == 0xC000
    assert rom_pc.space.load(4 * 0x42, 4) == old
    assert rom_pc.card.text_mode
    assert rom_pc.memory[0x449][0] == 3
    assert rom_pc.memory.read(0x487, 4) == bytes([0x60, 0xF9, 0x51, 8])
    far = rom_pc.space.load(4 * 0x43, 4)
    assert far >> 16 == 0xC000
    assert any(rom_pc.memory.read(0xC0000 + (far & 0xFFFF) + 16 * 0x41, 16))


def test_int_10h_is_answered_with_the_tables_of_the_rom(rom_pc):
    ask(rom_pc, services.VIDEO_START)
    ask(rom_pc, 0x10, ax=0x1130, bx=0x0300)
    assert rom_pc.cpu.es == 0xC000
    assert rom_pc.memory.read(0xC0000 + rom_pc.cpu.bp + 8 * 0x41, 8) != bytes(8)
    ask(rom_pc, 0x10, ax=0x4F01, cx=0x101, di=0x5000)
    assert rom_pc.cpu.ax == 0x4F
    far = rom_pc.space.load((rom_pc.cpu.es << 4) + 0x500C, 4)
    assert far >> 16 == 0xC000
    assert rom_pc.memory.read(0xC0000 + (far & 0xFFFF), 1) == b"\x68"  # PUSH of the service number


def test_a_write_from_elsewhere_does_nothing(rom_pc):
    before = rom_pc.card.state()
    ask(rom_pc, 0x10, segment=0x1000, ax=0x13)
    ask(rom_pc, 0x10, segment=0xF000, ax=0x13)
    assert rom_pc.card.state() == before
    ask(rom_pc, 0x7777, ax=0x13)
    assert rom_pc.card.state() == before
