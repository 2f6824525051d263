"""A CD and a diskette that fail or go away while their drives read: by ATAPI packets and by the floppy controller."""

from pathlib import Path

import pytest
from hostile_guests import BUFFER, images, numbered, started
from hostile_streams import Action, guest_of

from minivm.testing.faults import Faults

CHANNEL = 0x170
FIRST, COUNT, BLOCK = 2, 4, 2048
MARK = bytes([0xA5])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images(tmp_path)
    return tmp_path


def packet(*, count: int = COUNT, first: int = FIRST) -> list[Action]:
    """Give READ(10) to the CD drive, in chunks of a block."""
    command = bytes([0x28, 0]) + first.to_bytes(4, "big") + b"\0" + count.to_bytes(2, "big") + bytes(3)
    words = [int.from_bytes(command[at : at + 2], "little") for at in range(0, 12, 2)]
    registers = ((0x206, 2), (6, 0xA0), (1, 0), (4, 0), (5, BLOCK >> 8), (7, 0xA0))
    found: list[Action] = [("out", CHANNEL + place, 1, value) for place, value in registers]
    return [*found, ("wait", 0x8000), *[("out", CHANNEL, 2, word) for word in words], ("wait", 0x8000)]


def taken(blocks: int) -> list[Action]:
    """Read so many chunks to the buffer."""
    found: list[Action] = []
    for number in range(blocks):
        found += [("ins", CHANNEL, 2, BLOCK // 2, BUFFER + number * BLOCK), ("wait", 0x8000)]
    return found


def test_a_block_of_a_cd_that_cannot_be_read_is_a_medium_error(folder: Path) -> None:
    clear = [*packet(), *taken(COUNT)]  # the first command only hears that there is a disc
    with started(guest_of([*clear, *packet(), *taken(2)]), folder) as vm:
        vm.memory.write(BUFFER, MARK * COUNT * BLOCK)
        with Faults(vm) as faults:
            faults.disk("cdrom0").fail(4 * (FIRST + 1) + 2)
            assert vm.run(ms=100).reason == "halted"
            status, error = vm.ports.read(CHANNEL + 7, 1), vm.ports.read(CHANNEL + 1, 1)
        assert "K" in vm.serial.text()
        assert (status & 0x89, error >> 4) == (0x01, 0x03)
        assert vm.memory.read(BUFFER, BLOCK) == numbered(4 * FIRST + 4)[-BLOCK:]
        assert vm.memory.read(BUFFER + COUNT * BLOCK, 64) == bytes(64)


def test_a_cd_that_is_taken_out_in_the_middle_of_a_read_ends_it(folder: Path) -> None:
    clear = [*packet(), *taken(COUNT)]
    with started(guest_of([*clear, *packet(), *taken(1), ("wait", 0xFFFF), *taken(2)]), folder) as vm:
        unit = vm.devices["ata1"].units[0]
        read: list[int] = []

        def look(verb: str, port: int, size: int, value: int) -> None:
            if (verb, port, size) == ("in", CHANNEL, 2) and unit.status & 0x08:
                read.append(value)
                if len(read) == 8:
                    unit.drive.insert(None)

        vm.engine.port_listener = look  # type: ignore[attr-defined]
        assert vm.run(ms=200).reason == "halted"
        assert "K" in vm.serial.text()
        status, error = vm.ports.read(CHANNEL + 7, 1), vm.ports.read(CHANNEL + 1, 1)
        assert len(read) >= BLOCK // 2 - 1  # the block that was there came whole
        assert (status & 0x89, error >> 4) in ((0x01, 0x02), (0x01, 0x06))


def floppy_command(*command: int) -> list[Action]:
    return [("out", 0x3F5, 1, byte) for byte in command]


def floppy(command: int) -> list[Action]:
    """Bring drive A: to track 0 and read or write two sectors by channel 2."""
    mode = 0x46 if command & 1 == 0 else 0x4A
    setup: list[Action] = [("out", port, 1, value) for port, value in (
        (0x0A, 6), (0x0C, 0), (0x0B, mode), (4, 0), (4, 0), (0x81, BUFFER >> 16), (5, 0xFF), (5, 3), (0x0A, 2),
        (0x3F7, 0), (0x3F2, 0x1C),
    )]  # fmt: skip
    setup += [("sleep",)] * 10 + floppy_command(3, 0xDF, 2, 7, 0) + [("sleep",)] * 3
    setup += [*floppy_command(8), ("in", 0x3F5, 1), ("in", 0x3F5, 1)]
    return setup + floppy_command(command, 0, 0, 0, 3, 2, 18, 0x1B, 0xFF) + [("sleep",)] * 12


@pytest.mark.parametrize("command", [0xE6, 0xC5])
def test_a_diskette_that_the_host_cannot_serve_ends_the_command_with_an_error(folder: Path, command: int) -> None:
    with started(guest_of(floppy(command)), folder) as vm:
        vm.memory.write(BUFFER, MARK * 4096)
        with Faults(vm) as faults:
            faults.disk("floppy0").fail(3)
            assert vm.run(ms=4000).reason == "halted"
        assert "K" in vm.serial.text()
        results = [vm.ports.read(0x3F5, 1) for _ in range(7)]
        assert results[0] & 0xC0 == 0x40  # ST0: it ended abnormally
        assert results[1] | results[2]  # ST1 and ST2 say why
        assert vm.memory.read(BUFFER + 1024, 64) == MARK * 64


def test_a_diskette_that_is_taken_out_in_the_middle_of_a_read_ends_it(folder: Path) -> None:
    with started(guest_of(floppy(0xE6)), folder) as vm:
        vm.memory.write(BUFFER, MARK * 4096)
        while vm.devices["floppy"].state().phase != "execution":
            vm.run(ticks=100_000)
            assert vm.now < 4_000_000_000
        vm.devices["floppy"].insert(0, None)
        assert vm.run(ms=4000).reason == "halted"
        assert "K" in vm.serial.text()
        assert vm.memory.read(BUFFER + 1024, 64) == MARK * 64
