"""Disks that fail under a running guest, seen through every way that a PC has to its disks.

ATA/ATAPI-6 (section 8: outputs of each command), the 82077's result phase and INT 13h's status codes say what a guest
must see. Then the guest goes on, and neither its memory nor the host's files have changed anywhere else.
"""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hostile_guests import (
    BUFFER,
    DISK_SECTORS,
    RESULTS,
    SECTOR,
    ata_command,
    ata_results,
    bus_master,
    changed_outside,
    hostile,
    images,
    numbered,
    pause,
    ram,
    regions,
    run_to_the_end,
    started,
)

from minivm.testing.faults import Faults

BAD = 7
OK, ERROR, FAULT = 0x50, 0x51, 0x71
UNCORRECTABLE, NOT_FOUND, ABORTED = 0x40, 0x10, 0x04
LAST = 0x8000_0000
MARK = 0xA5


def pio(code: int, lba: int, *, out: bool = False) -> bytes:
    """Four sectors by PIO, from or to BUFFER; results: how many never came, then registers 1 to 7."""
    move = "mov si, bp\n    rep es outsw\n    mov bp, si" if out else "mov di, bp\n    rep insw\n    mov bp, di"
    return hostile(
        ata_command(code, lba=lba, count=4)
        + f"""
    mov ax, {BUFFER >> 4:#x}
    mov es, ax
    xor bp, bp
    mov bx, 4
.sector:
    call ata_wait
    mov dx, 1F7h
    in al, dx
    test al, 8
    jz .over
    mov dx, 1F0h
    mov cx, 256
    {move}
    dec bx
    jnz .sector
.over:
    xor ax, ax
    mov es, ax
    mov di, {RESULTS:#x}
    mov al, bl
    stosb
"""
        + ata_results()
    )


def dma(code: int, lba: int, *descriptors: tuple[int, int], count: int = 4, table: int = 0x6000) -> bytes:
    """A DMA command with these regions; results: registers 1 to 7, the bus master's status, and its status stopped."""
    into_memory = code in (0xC8, 0x25)
    return hostile(
        regions(*(descriptors or ((BUFFER, count * SECTOR | LAST),)), table=table)
        + bus_master(8 if into_memory else 0, table=table)
        + ata_command(code, lba=lba, count=count)
        + f"    mov dx, 0C000h\n    mov al, {9 if into_memory else 1}\n    out dx, al\n"
        + pause()
        + ata_results()
        + """
    mov dx, 0C002h
    in al, dx
    stosb
    mov dx, 0C000h
    mov al, 0
    out dx, al
    mov dx, 0C002h
    in al, dx
    stosb
"""
    )


class Pio:
    def __init__(self, found: bytes) -> None:
        self.missing, self.error, self.count = found[0], found[1], found[2]
        self.lba = int.from_bytes(found[3:6], "little")
        self.status = found[7]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images(tmp_path)
    return tmp_path


def direct(folder: Path) -> dict[str, Any]:
    """Return options with a disk whose writes reach its file."""
    return {"disks": str(folder / "disks")}


def prepared(vm: Any) -> bytes:
    """Fill memory around and behind the buffer with a mark, and return all of RAM."""
    vm.memory.write(BUFFER - 4096, bytes([MARK]) * 0x1_2000)
    return ram(vm)


# -- reading --------------------------------------------------------------------------------------------------------
def test_a_sector_that_cannot_be_read_by_pio_ends_the_command_there(folder: Path) -> None:
    with started(pio(0x20, BAD - 2), folder) as vm:
        before = prepared(vm)
        with Faults(vm) as faults:
            faults.disk("disk0").fail(BAD)
            found = Pio(run_to_the_end(vm))
        assert (found.missing, found.status, found.error) == (2, ERROR, UNCORRECTABLE)
        assert (found.lba, found.count) == (BAD, 2)
        assert vm.memory.read(BUFFER, 1024) == numbered(BAD)[-1024:]
        assert not changed_outside(vm, before, (BUFFER, BUFFER + 1024))


def test_a_sector_that_cannot_be_read_by_dma_ends_the_command_there(folder: Path) -> None:
    with started(dma(0xC8, BAD - 2), folder) as vm:
        before = prepared(vm)
        with Faults(vm) as faults:
            faults.disk("disk0").fail(BAD)
            found = run_to_the_end(vm)
        assert (found[6], found[0]) == (ERROR, UNCORRECTABLE)
        assert int.from_bytes(found[2:5], "little") == BAD
        assert found[7] & 0x04
        assert found[8] & 0x01 == 0
        assert not changed_outside(vm, before, (BUFFER, BUFFER + 1024))


def test_an_image_made_shorter_by_the_host_reads_to_its_new_end(folder: Path) -> None:
    with started(pio(0x20, 98), folder, **direct(folder)) as vm:
        before = prepared(vm)
        os.truncate(folder / "disks", 100 * SECTOR)
        found = Pio(run_to_the_end(vm))
        assert (found.missing, found.status, found.error, found.lba) == (2, ERROR, UNCORRECTABLE, 100)
        assert not changed_outside(vm, before, (BUFFER, BUFFER + 1024))
    assert (folder / "disks").stat().st_size == 100 * SECTOR


def test_an_image_that_the_host_deletes_stays_the_guests(folder: Path) -> None:
    with started(pio(0x20, 98), folder, **direct(folder)) as vm:
        prepared(vm)
        (folder / "disks").unlink()
        found = Pio(run_to_the_end(vm))
        assert (found.missing, found.status) == (0, OK)
        assert vm.memory.read(BUFFER, 2048) == numbered(102)[-2048:]
    assert not (folder / "disks").exists()


@pytest.mark.parametrize(("lba", "came"), [(DISK_SECTORS - 2, 2), (DISK_SECTORS, 0), (0xFFF_FFFE, 0)])
def test_reading_past_the_end_by_pio_finds_no_such_sector(folder: Path, lba: int, came: int) -> None:
    with started(pio(0x20, lba), folder) as vm:
        before = prepared(vm)
        found = Pio(run_to_the_end(vm))
        assert (found.missing, found.status, found.error) == (4 - came, ERROR, NOT_FOUND)
        assert not changed_outside(vm, before, (BUFFER, BUFFER + came * SECTOR))


@pytest.mark.parametrize("lba", [DISK_SECTORS - 2, DISK_SECTORS, 0xFFF_FFFE])
@pytest.mark.parametrize("code", [0xC8, 0xCA])
def test_dma_past_the_end_finds_no_such_sector(folder: Path, lba: int, code: int) -> None:
    with started(dma(code, lba), folder, **direct(folder)) as vm:
        before = prepared(vm)
        found = run_to_the_end(vm)
        assert (found[6], found[0]) == (ERROR, NOT_FOUND)
        assert found[7] & 0x04
        assert not changed_outside(vm, before, (BUFFER, BUFFER + 1024))
    now, was = (folder / "disks").read_bytes(), numbered(DISK_SECTORS)
    assert len(now) == len(was)
    assert now[: (DISK_SECTORS - 2) * SECTOR] == was[: (DISK_SECTORS - 2) * SECTOR]


# -- writing --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["PIO", "DMA"])
@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EIO])
def test_a_host_that_cannot_write_is_a_device_fault(
    folder: Path, how: str, why: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = pio(0x30, BAD, out=True) if how == "PIO" else dma(0xCA, BAD)

    def refuse(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(why, os.strerror(why))

    with started(code, folder, **direct(folder)) as vm:
        before = prepared(vm)
        monkeypatch.setattr(os, "pwrite", refuse)
        found = run_to_the_end(vm)
        monkeypatch.undo()
        error, status = (found[1], found[7]) if how == "PIO" else (found[0], found[6])
        assert (status, error) == (FAULT, ABORTED)
        assert not changed_outside(vm, before)
    assert (folder / "disks").read_bytes() == numbered(DISK_SECTORS)


@pytest.mark.parametrize(("lba", "taken"), [(DISK_SECTORS - 2, 2), (DISK_SECTORS, 0), (0xFFF_FFFE, 0)])
def test_writing_past_the_end_by_pio_leaves_the_file_its_size(folder: Path, lba: int, taken: int) -> None:
    with started(pio(0x30, lba, out=True), folder, **direct(folder)) as vm:
        prepared(vm)
        found = Pio(run_to_the_end(vm))
        assert (found.missing, found.status, found.error) == (4 - taken, ERROR, NOT_FOUND)
    kept = (DISK_SECTORS - taken) * SECTOR
    data = (folder / "disks").read_bytes()
    assert data[:kept] == numbered(DISK_SECTORS)[:kept]
    assert data[kept:] == bytes([MARK]) * (taken * SECTOR)


# -- regions of the bus master ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "place",
    [0x20_0000 - 1024, 0x20_0000, 0x9_FC00, 0xA_0000, 0xE_0000, 0xF_0000, 0xFFFF_FC00, 0xFFFF_FFFE, 0x8000_0000],
)
@pytest.mark.parametrize("code", [0xC8, 0xCA])
def test_a_region_that_is_not_all_ram_moves_only_what_is(folder: Path, place: int, code: int) -> None:
    with started(dma(code, 10, (place, 4 * SECTOR | LAST)), folder) as vm:
        before = prepared(vm)
        found = run_to_the_end(vm)
        assert (found[6], found[0]) == (OK, 0)
        assert not changed_outside(vm, before, (place, place + 4 * SECTOR))
        rom = slice(0xF_0000, 0x10_0000)
        assert vm.memory[rom] == before[rom]
        if place == 0x20_0000 - 1024 and code == 0xC8:
            assert vm.memory.read(place, 1024) == numbered(12)[-1024:]


@pytest.mark.parametrize("table", [0x20_0000 - 8, 0x20_0000, 0xA_0000, 0xFFFF_FFF8, 0xF_0000, 0x7FFF_FFFC])
def test_a_table_outside_ram_ends_in_no_harm(folder: Path, table: int) -> None:
    with started(dma(0xC8, 10, (BUFFER, 4 * SECTOR | LAST), table=table), folder) as vm:
        prepared(vm)
        run_to_the_end(vm)


def test_a_table_without_an_end_stops_with_its_drive(folder: Path) -> None:
    with started(dma(0xC8, 0, (BUFFER, 512), (BUFFER, 512), (BUFFER, 512), (BUFFER, 512)), folder) as vm:
        before = prepared(vm)
        found = run_to_the_end(vm)
        assert (found[6], found[7] & 0x05) == (OK, 0x05)
        assert not changed_outside(vm, before, (BUFFER, BUFFER + SECTOR))


def test_a_table_that_is_longer_than_the_command_stays_active(folder: Path) -> None:
    """SFF-8038i, section 3.1: interrupt and active both set say that the regions were larger than the transfer."""
    with started(dma(0xC8, 0, (BUFFER, 0), (BUFFER, LAST)), folder) as vm:
        before = prepared(vm)
        found = run_to_the_end(vm)
        assert (found[6], found[7] & 0x07, found[8] & 0x01) == (OK, 0x05, 0)
        assert not changed_outside(vm, before, (BUFFER, BUFFER + 4 * SECTOR))


def test_a_table_that_is_shorter_than_the_command_leaves_the_drive_waiting(folder: Path) -> None:
    """SFF-8038i, section 3.1: neither active nor interrupt says that the drive wants more; a reset ends it."""
    with started(dma(0xC8, 0, (BUFFER, SECTOR | LAST)), folder) as vm:
        before = prepared(vm)
        found = run_to_the_end(vm)
        assert (found[7] & 0x05, vm.memory.read(BUFFER, SECTOR)) == (0, bytes(SECTOR))
        assert not changed_outside(vm, before, (BUFFER, BUFFER + SECTOR))


def test_a_table_that_its_own_transfer_overwrites_does_no_harm(folder: Path) -> None:
    cycle = ((0x6000, 8), (0x6008, 8), (0x6000, 0x200))
    with started(dma(0xC8, 0, *cycle, count=200), folder) as vm:
        prepared(vm)
        run_to_the_end(vm)


def test_a_bus_master_without_a_command_and_a_command_without_a_bus_master(folder: Path) -> None:
    body = (
        regions((BUFFER, 512 | LAST)) + bus_master(9) + pause() + "    mov dx, 0C002h\n    in al, dx\n    stosb\n"
        + bus_master(0) + ata_command(0xC8) + pause() + ata_results()
        + "    mov dx, 3F6h\n    mov al, 4\n    out dx, al\n    mov al, 0\n    out dx, al\n" + "    call ata_wait\n"
        + ata_command(0xEC) + ata_results()
    )  # fmt: skip
    with started(hostile(body), folder) as vm:
        before = prepared(vm)
        found = run_to_the_end(vm)
        assert found[0] & 0x05 == 0x01  # it waits
        assert found[7] & 0x89 == 0x80 or found[7] & 0x09 == 0x08  # the drive waits, without an error
        assert found[14] == 0x58  # after a reset it identifies itself
        assert not changed_outside(vm, before)


# -- INT 13h ----------------------------------------------------------------------------------------------------------
def int13(registers: str, packet: str = "") -> bytes:
    """Call INT 13h; results: carry, then AH, then AL."""
    return hostile(f"""
{registers}
    int 13h
    push word 0
    pop es
    mov di, {RESULTS:#x}
    mov bx, ax
    setc al
    stosb
    mov al, bh
    stosb
    mov al, bl
    stosb
    jmp alive
packet:
{packet}
""")


def chs(function: int, drive: int, *, count: int = 4, cylinder: int = 0, head: int = 0, sector: int = 1) -> str:
    return (
        f"    mov ax, {BUFFER >> 4:#x}\n    mov es, ax\n    xor bx, bx\n    mov ax, {function << 8 | count:#x}\n"
        f"    mov cx, {(cylinder & 0xFF) << 8 | cylinder >> 2 & 0xC0 | sector:#x}\n    mov dx, {head << 8 | drive:#x}"
    )


def extended(function: int, drive: int, lba: int, count: int, pointer: int = BUFFER >> 4 << 16) -> bytes:
    packet = f"    db 10h, 0\n    dw {count}\n    dd {pointer:#x}\n    dq {lba:#x}"
    return int13(f"    mov ax, {function << 8:#x}\n    mov dx, {drive:#x}\n    mov si, packet", packet)


@pytest.mark.parametrize(
    ("drive", "name", "code"),
    [
        (0x80, "disk0", int13(chs(2, 0x80, sector=BAD - 1))),
        (0x80, "disk0", extended(0x42, 0x80, BAD - 2, 4)),
        (0x00, "floppy0", int13(chs(2, 0x00, sector=BAD - 1))),
        (0x00, "floppy0", extended(0x42, 0x00, BAD - 2, 4)),
        (0xE0, "cdrom0", extended(0x42, 0xE0, 1, 2)),
    ],
    ids=["disk CHS", "disk LBA", "floppy CHS", "floppy LBA", "CD"],
)  # fmt: skip
def test_int_13h_tells_of_a_host_that_cannot_read(folder: Path, drive: int, name: str, code: bytes) -> None:
    with started(code, folder) as vm:
        before = prepared(vm)
        with Faults(vm) as faults:
            faults.disk(name).fail(BAD)
            found = run_to_the_end(vm)
        assert (found[0], found[1]) == (1, 0x20)
        assert not changed_outside(vm, before)


@pytest.mark.parametrize("lba", [DISK_SECTORS - 1, DISK_SECTORS, 1 << 32, (1 << 64) - 1, (1 << 63) + 5])
@pytest.mark.parametrize("function", [0x42, 0x43, 0x44, 0x47])
def test_packets_past_the_end_are_refused(folder: Path, lba: int, function: int) -> None:
    with started(extended(function, 0x80, lba, 2), folder, **direct(folder)) as vm:
        before = prepared(vm)
        found = run_to_the_end(vm)
        assert (found[0], found[1]) == (1, 0x01)
        assert not changed_outside(vm, before)
    assert (folder / "disks").read_bytes() == numbered(DISK_SECTORS)


@pytest.mark.parametrize("count", [127, 128, 0xFFFF])
@pytest.mark.parametrize("pointer", [0xFFFF_FFFF, 0xFFFF_0010, 0xA000_0000, 0xF000_0000, 0xB800_0000, 0xC000_8000])
def test_packets_with_absurd_buffers_touch_no_rom(folder: Path, pointer: int, count: int) -> None:
    with started(extended(0x42, 0x00, 0, min(count, 2880), pointer), folder) as vm:
        before = prepared(vm)
        run_to_the_end(vm)
        assert vm.memory[0xF_0000:0x10_0000] == before[0xF_0000:0x10_0000]


@pytest.mark.parametrize("cylinder", [79, 80, 1023])
@pytest.mark.parametrize("function", [2, 3, 4])
def test_sectors_past_the_end_of_a_floppy_are_not_found(folder: Path, cylinder: int, function: int) -> None:
    with started(int13(chs(function, 0, cylinder=cylinder, head=1, sector=17)), folder) as vm:
        before = prepared(vm)
        found = run_to_the_end(vm)
        assert found[0] == 1
        assert found[1] in (0x01, 0x04)
        assert not changed_outside(vm, before, (BUFFER, BUFFER + 1024))


def test_a_full_host_fails_int_13h(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with started(int13(chs(3, 0x80)), folder, **direct(folder)) as vm:
        prepared(vm)
        monkeypatch.setattr(os, "pwrite", refuse)
        found = run_to_the_end(vm)
        monkeypatch.undo()
        assert (found[0], found[1]) == (1, 0x20)
    assert (folder / "disks").read_bytes() == numbered(DISK_SECTORS)


@pytest.mark.parametrize("function", [0x43, 0x03])
def test_a_cd_takes_no_writes(folder: Path, function: int) -> None:
    code = extended(0x43, 0xE0, 3, 1) if function == 0x43 else int13(chs(3, 0xE0))
    with started(code, folder) as vm:
        found = run_to_the_end(vm)
        assert found[0] == 1
        assert found[1] in (0x01, 0x03)
    assert (folder / "cdroms").read_bytes() == numbered(240)
