"""Fuzzing targets for what a guest does to the PC: streams of port accesses on chips, CDs' catalogues, BIOS packets.

An input for a chip is a row of records of four bytes: what (bits 0-1: read, write, let time pass, move data; bits 2-3:
how wide), where (an offset into the target's ports, or the unit of time), and a value of 16 bits.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

RAM_BYTES, SECTORS = 1 << 20, 64
SECTOR, CD_BLOCK = 512, 2048
_RECORD = 4
_MOST_RECORDS = 400
READ, WRITE, PASS_TIME, MOVE = range(4)
_BOOT_RECORD_BLOCK, _CATALOGUE_BLOCK, _IMAGE_BLOCK = 17, 18, 19

Place = tuple[Any, int]
"""A port, and an offset in it."""


class Ram:
    """RAM as chips reach it: FFh and nothing kept where there is none."""

    def __init__(self) -> None:
        self.data = bytearray(RAM_BYTES)

    def read(self, address: int, length: int) -> bytes:
        """Return `length` bytes."""
        return bytes(self.data[address : address + length]).ljust(length, b"\xff")

    def write(self, address: int, data: bytes) -> None:
        """Keep what meets RAM."""
        kept = data[: max(0, RAM_BYTES - address)]
        self.data[address : address + len(kept)] = kept


def _play(data: bytes, clock: Any, places: Sequence[Place]) -> None:
    """Do the records of an input on the ports in `places`."""
    for what, where, value in _records(data):
        size = min(1 << (what >> 2 & 3), 4)
        port, offset = places[where % len(places)]
        match what & 3:
            case 0:
                found = port.read(offset, size)
                if not 0 <= found < 1 << 8 * size:
                    raise AssertionError(f"{found:X}h does not fit {size} bytes")
            case 1:
                port.write(offset, size, value * 0x1_0001 & (1 << 8 * size) - 1)
            case 2:
                clock.advance_to(clock.now + (value << (where & 15)))
            case _:
                for _ in range(value % 300):
                    port.read(offset, size) if what & 0x10 else port.write(offset, size, value & (1 << 8 * size) - 1)


def _records(data: bytes) -> Iterator[tuple[int, int, int]]:
    for at in range(0, min(len(data), _MOST_RECORDS * _RECORD) - _RECORD + 1, _RECORD):
        yield data[at], data[at + 1], data[at + 2] | data[at + 3] << 8


def _all_of(port: Any, count: int) -> list[Place]:
    return [(port, offset) for offset in range(count)]


def _disk(sectors: int, medium: Any) -> Any:
    from minivm.storage.disk import Disk

    return Disk.from_bytes(bytes(SECTOR * sectors), "input", medium=medium)


# -- chips ------------------------------------------------------------------------------------------------------------
def ata(data: bytes) -> Any:
    """Play on a channel with a disk and a CD drive, and on its bus master; return their states."""
    from minivm.core.clock import Clock
    from minivm.core.device import Wire
    from minivm.devices.ata.atapi import AtapiCdrom
    from minivm.devices.ata.bus_master import IdeBusMaster
    from minivm.devices.ata.channel import AtaChannel
    from minivm.devices.ata.disk import AtaDisk

    clock, wire = Clock(), Wire()
    disk, cd = _disk(SECTORS, "disk"), _disk(SECTORS, "cdrom")
    channel = AtaChannel(clock, irq=wire, drives=(AtaDisk(disk), AtapiCdrom(cd)))
    other = AtaChannel(clock, irq=wire)
    master = IdeBusMaster(clock, memory=Ram(), channels=(channel, other))
    places = _all_of(channel.command_block, 8) + _all_of(channel.control_block, 1) + _all_of(master, 16)
    _play(data, clock, places)
    return channel.state(), master.state()


def floppy(data: bytes) -> Any:
    """Play on the floppy controller with one diskette and on its DMA controllers; return their states."""
    from minivm.core.clock import Clock
    from minivm.core.device import Wire
    from minivm.devices.dma import DmaPair
    from minivm.devices.floppy.controller import FloppyController
    from minivm.devices.floppy.drive import FloppyMedium

    clock, pair = Clock(), DmaPair(Ram())
    chip = FloppyController(clock, Wire(), dma=pair.channel(2), drives=(True, True))
    chip.insert(0, FloppyMedium(_disk(2880, "floppy"), 80, 2, 18))
    places = _all_of(chip, 6) + _all_of(chip.rate_port, 1) + _all_of(pair.byte_controller, 16)
    places += _all_of(pair.pages, 15) + _all_of(pair.word_controller, 32)
    _play(data, clock, places)
    return chip.state(), pair.state()


def pci(data: bytes) -> Any:
    """Play on the configuration mechanism with the chipset's functions behind it; return their states."""
    from minivm.core.clock import Clock
    from minivm.core.device import Wire
    from minivm.devices.i440fx import I440Fx
    from minivm.devices.pci_host import PciHost
    from minivm.devices.piix3 import Piix3, Piix3Ide
    from minivm.devices.piix4_pm import Piix4Pm
    from minivm.devices.vga_pci import VgaPci

    clock, wire = Clock(), Wire()
    power = Piix4Pm(clock, sci=wire, power_off=lambda: None, on_move=lambda base: _check_move(0, base))
    chips: dict[tuple[int, int], Any] = {
        (0, 0): I440Fx(pam=_check_piece), (1, 0): Piix3(irq=lambda number: wire),
        (1, 1): Piix3Ide(on_move=_check_move), (1, 3): power, (2, 0): VgaPci(on_move=_check_move, rom=True),
    }  # fmt: skip
    host = PciHost({place: chip.config for place, chip in chips.items()})
    places = [
        *_all_of(host.address, 4),
        (_Selector(host.address), 0),
        *_all_of(host.data, 4),
        *_all_of(power.ports, 64),
    ]
    _play(data, clock, places)
    return host.state(), *(chip.state() for chip in chips.values())


class _Selector:
    """Selects a register by 16 bits: the mechanism wants 32, and a record has no more."""

    def __init__(self, address: Any) -> None:
        self._address = address

    def read(self, offset: int, size: int) -> int:
        """Return what is selected."""
        return int(self._address.read(0, 4)) & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Select a function's register."""
        self._address.write(0, 4, 1 << 31 | value & 0xFFFC)


def _check_move(index: int, base: int | None) -> None:
    if base is not None and not 0 <= base < 1 << 32:
        raise AssertionError(f"window {index} at {base:X}h")


def _check_piece(base: int, length: int, read_ram: bool, write_ram: bool) -> None:
    if not 0xC_0000 <= base < base + length <= 0x10_0000:
        raise AssertionError(f"memory switched from {base:X}h, {length:X}h bytes")


def vga(data: bytes) -> Any:
    """Play on the graphics card's ports and its window, look at the picture, and return the state."""
    from minivm.core.clock import Clock
    from minivm.devices.vga.card import Vga

    clock = Clock()
    card = Vga(clock, memory=memoryview(bytearray(16 << 20)), text=memoryview(bytearray(128 << 10)), show=_check_window)
    places = _all_of(card, 48) + _all_of(card.vbe, 4) + [(card.window, at << 12 | at) for at in range(32)]
    _play(data, clock, places)
    picture = card.picture()
    if len(picture.rgb) != 3 * picture.width * picture.height:
        raise AssertionError(f"{len(picture.rgb)} bytes are no picture of {picture.width} x {picture.height}")
    return card.state()


def _check_window(aperture: Any) -> None:
    end = aperture.base + aperture.length
    if aperture.length and not 0xA_0000 <= aperture.base < end <= 0xC_0000:
        raise AssertionError(f"the window lies at {aperture.base:X}h")


# -- firmware ---------------------------------------------------------------------------------------------------------
def catalogue(data: bytes) -> Any:
    """Put a boot catalogue on a CD and look for its entry; return that, None for a CD that cannot be booted.

    The first four bytes of the input say where the catalogue lies, 0 for where the rest of the input does.
    """
    from minivm.firmware.el_torito import Unbootable, find_entry
    from minivm.storage.disk import Disk

    place = int.from_bytes(data[:4], "little") or _CATALOGUE_BLOCK
    boot_record = b"\0CD001\1EL TORITO SPECIFICATION".ljust(71, b"\0") + place.to_bytes(4, "little")
    image = bytes(_BOOT_RECORD_BLOCK * CD_BLOCK) + boot_record.ljust(CD_BLOCK, b"\0") + data[4:].ljust(CD_BLOCK, b"\0")
    cd = Disk.from_bytes(image + bytes(8 * CD_BLOCK), "input", medium="cdrom")
    try:
        entry = find_entry(cd)
    except Unbootable:
        return None
    if (entry.block * 4 + entry.sectors) > cd.sectors:
        raise AssertionError(f"{entry} lies past the end")
    return entry


def catalogue_seed() -> bytes:
    """Return an input with a catalogue of one entry, without emulation, and a section behind it."""
    validation = bytearray(b"\x01".ljust(30, b"\0") + b"\x55\xaa")
    words = [int.from_bytes(validation[at : at + 2], "little") for at in range(0, 32, 2)]
    validation[28:30] = (-sum(words) & 0xFFFF).to_bytes(2, "little")
    entry = b"\x88\0\0\0\0\0\4\0" + _IMAGE_BLOCK.to_bytes(4, "little") + bytes(20)
    section = b"\x91\0\1\0".ljust(32, b"\0") + entry
    return bytes(4) + bytes(validation) + entry + section


@cache
def _waiting() -> Any:
    """Return a machine that sleeps, booted from a diskette, and calls INT 13h whenever the timer wakes it."""
    import minivm

    code = b"\xfb\xf4\xcd\x13\xeb\xfa"  # again: STI; HLT; INT 13h; JMP again
    vm = minivm.boot((code.ljust(510, b"\0") + b"\x55\xaa").ljust(1_474_560, b"\0"), memory="2M")
    vm.run_until(lambda vm: vm.halted)
    return vm


def int13(data: bytes) -> Any:
    """Call INT 13h with a packet and registers out of the input, on a twin of a machine; return its registers."""
    memory_at, registers_at = 0x600, ("ax", "bx", "cx", "dx", "si", "di")
    with _waiting().clone() as vm:
        vm.memory.write(memory_at, data[12:].ljust(64, b"\0")[:64])
        for number, name in enumerate(registers_at):
            setattr(vm.cpu, name, int.from_bytes(data[2 * number : 2 * number + 2], "little"))
        vm.engine.flush()
        rom = vm.memory[0xF_0000:0x10_0000]
        vm.run(ms=56)  # the timer's period is 54.9 ms
        if vm.memory[0xF_0000:0x10_0000] != rom:
            raise AssertionError("the ROM was written")
        return vm.cpu.ax, vm.cpu.rflags


def _int13_seed(function: int, *, drive: int = 0, count: int = 1, pointer: int = 0x2000_0000, lba: int = 1) -> bytes:
    registers = (function if function > 0xFF else function << 8, 0x4000, 1, drive, 0x600, 0)
    packet = b"\x10\0" + count.to_bytes(2, "little") + pointer.to_bytes(4, "little") + lba.to_bytes(8, "little")
    return b"".join(number.to_bytes(2, "little") for number in registers) + packet


# -- their seeds ------------------------------------------------------------------------------------------------------
def _row(*records: tuple[int, int, int]) -> bytes:
    return b"".join(bytes([what, where]) + value.to_bytes(2, "little") for what, where, value in records)


def _ata_seeds() -> list[bytes]:
    registers = ((WRITE, 6, 0xE0), (WRITE, 2, 1), (WRITE, 3, 5), (WRITE, 4, 0), (WRITE, 5, 0))
    later = (PASS_TIME, 0, 50_000)
    packet = [(WRITE | 4, 0, word) for word in (0x28, 0, 0, 0, 1, 0)]
    table = ((WRITE | 4, 13, 0x100), (WRITE, 9, 9))
    return [
        _row(*registers, (WRITE, 7, 0x20), later, (READ, 7, 0), (MOVE | 4 | 16, 0, 256)),
        _row(*registers, (WRITE, 7, 0x30), later, (MOVE | 4, 0, 256), later, (READ, 7, 0)),
        _row(*registers, *table, (WRITE, 7, 0xC8), later, (READ, 11, 0), (READ, 7, 0)),
        _row((WRITE, 6, 0x10), (WRITE, 5, 8), (WRITE, 7, 0xA0), later, *packet, later, (MOVE | 4 | 16, 0, 256)),
    ]


def _floppy_seeds() -> list[bytes]:
    ready = ((WRITE, 2, 0x1C), (WRITE, 6, 0), (PASS_TIME, 8, 0xFFFF), (PASS_TIME, 8, 0xFFFF))
    channel = ((WRITE, 7 + 10, 6), (WRITE, 7 + 11, 0x46), (WRITE, 7 + 5, 0xFF), (WRITE, 7 + 5, 1), (WRITE, 7 + 10, 2))
    read = [(WRITE, 5, byte) for byte in b"\xe6\0\0\0\1\2\x12\x1b\xff"]
    seek = [(WRITE, 5, byte) for byte in b"\x03\xdf\x02\x0f\0\5\x08"]
    results = [(READ, 5, 0)] * 7
    return [
        _row(*ready, *channel, *read, *[(PASS_TIME, 12, 0xFFFF)] * 4, *results),
        _row(*ready, *seek, (PASS_TIME, 12, 0xFFFF), *results),
    ]


def _pci_seeds() -> list[bytes]:
    def write(register: int, value: int) -> tuple[tuple[int, int, int], ...]:
        return ((WRITE | 4, 4, register), (WRITE | 4, 5 + (register & 2), value), (READ | 8, 5, 0))

    return [
        _row(*write(0x1004, 7), *write(0x1012, 0xE000), *write(0x0904, 5), *write(0x0920, 0xC001)),
        _row(*write(0x5A, 0x3333), *write(0x0B40, 0x601), *write(0x0B80, 1)),
    ]


def _vga_seeds() -> list[bytes]:
    mode_13h = ((WRITE, 0x12, 0x63), (WRITE | 4, 0x14, 0x0E04), (WRITE | 4, 0x1E, 0x4005), (WRITE | 4, 0x1E, 0x0506))
    linear = [
        record
        for index, value in ((4, 0), (1, 640), (2, 480), (3, 32), (4, 0x41))
        for record in ((WRITE | 4, 48, index), (WRITE | 4, 50, value))
    ]
    return [_row(*mode_13h, (WRITE | 4, 60, 0x0F0F), (READ, 60, 0)), _row(*linear, (WRITE | 8, 61, 0x55AA))]


CHIP_TARGETS: dict[str, tuple[Callable[[bytes], Any], Callable[[], Sequence[bytes]], tuple[str, ...]]] = {
    "ata": (ata, _ata_seeds, tuple(f"minivm.devices.ata.{name}" for name in (
        "channel", "unit", "disk", "atapi", "cdrom_answers", "bus_master"))),
    "floppy": (floppy, _floppy_seeds, (*(f"minivm.devices.floppy.{name}" for name in (
        "controller", "transfer", "seek", "request")), "minivm.devices.dma")),
    "pci": (pci, _pci_seeds, ("minivm.devices.pci_host", "minivm.core.pci", "minivm.devices.i440fx",
                              "minivm.devices.piix3", "minivm.devices.piix4_pm", "minivm.devices.vga_pci")),
    "vga": (vga, _vga_seeds, tuple(f"minivm.devices.vga.{name}" for name in (
        "card", "window", "planes", "picture", "text", "dac", "vbe", "timing"))),
    "catalogue": (catalogue, lambda: [catalogue_seed()], ("minivm.firmware.el_torito",)),
    "int13": (int13, lambda: [_int13_seed(0x42), _int13_seed(0x48), _int13_seed(0x0203)],
              ("minivm.firmware.disk", "minivm.firmware.disk_extensions", "minivm.firmware.transfers")),
}  # fmt: skip
"""What plays an input, the valid inputs it begins from, and the modules that it tries."""
