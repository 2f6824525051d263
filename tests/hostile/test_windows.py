"""Windows that a guest moves, opens and closes where nobody would: over RAM, over ROM, under its own feet."""

from pathlib import Path
from typing import Any

import pytest
from hostile_guests import (
    ALIVE,
    BUFFER,
    SECTOR,
    ata_command,
    changed_outside,
    hostile,
    images,
    numbered,
    ram,
    run_to_the_end,
    started,
)
from hostile_streams import Action, guest_of

from minivm.machine import Machine

VIDEO_BYTES = 16 << 20
LFB = 0xE000_0000
HOST_BRIDGE, ISA_BRIDGE, IDE, POWER, GRAPHICS = 0x8000_0000, 0x8000_0800, 0x8000_0900, 0x8000_0B00, 0x8000_1000
MARK = 0xA5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the images lie."""
    place = tmp_path_factory.mktemp("windows")
    images(place)
    return place


def configure(function: int, register: int, value: int) -> list[Action]:
    """Write a doubleword of a function's configuration space."""
    return [("out", 0xCF8, 4, function | register), ("out", 0xCFC, 4, value)]


def configured(function: int, register: int, value: int) -> str:
    """Return the same as instructions."""
    return f"""
    mov dx, 0CF8h
    mov eax, {function | register:#x}
    out dx, eax
    mov dx, 0CFCh
    mov eax, {value:#x}
    out dx, eax
"""


def play_out(vm: Machine, ms: int = 300) -> None:
    """Run a program made of actions to its end."""
    ended = vm.run(ms=ms)
    assert (ended.reason, ended.status) == ("halted", 0)
    assert "K" in vm.serial.text()


def cards_behind_video(vm: Machine) -> bytes:
    """Return what lies behind video memory on the host: the RAM under the ROMs, the card's ROM and the flash."""
    return bytes(vm.memory.view[vm.memory.size + VIDEO_BYTES :])


def mark_ram(vm: Machine) -> bytes:
    """Fill RAM above the programs with a mark and return all of it."""
    for start, end in ((0x1_0000, 0x9_F000), (0x10_0000, vm.memory.size)):
        vm.memory.write(start, bytes([MARK]) * (end - start))
    return ram(vm)


# -- windows of memory ------------------------------------------------------------------------------------------------
PLACES = (
    0, 0x1_0000, 0x10_0000, 0x1F_F000, 0x20_0000, 0xA_0000, 0xF_0000, 0xFE00_0000, 0xFF00_0000, 0xFFFF_F000, LFB,
    0xFEBF_F000,
)  # fmt: skip


@pytest.mark.parametrize("base", PLACES)
def test_a_framebuffer_anywhere_takes_neither_ram_nor_rom(folder: Path, base: int) -> None:
    stores: list[Action] = [
        ("store", address, 4, 0x1234_5678)
        for address in (0xF_0000, 0xF_FFFC, 0xFFFF_0000, 0xFFFF_FFF0, base & 0xFF00_0000 | 0xFF_FFFC)
    ]
    with started(guest_of([*configure(GRAPHICS, 0x10, base), *stores]), folder) as vm:
        before, behind = mark_ram(vm), cards_behind_video(vm)
        play_out(vm)
        allowed = [(address, address + 4) for _, address, _, _ in stores if 0x10_0000 <= address < vm.memory.size]
        assert not changed_outside(vm, before, *allowed)
        assert vm.memory[0xF_0000:0x10_0000] == before[0xF_0000:0x10_0000]
        assert cards_behind_video(vm) == behind


def test_stores_around_the_end_of_the_framebuffer_stay_in_it(folder: Path) -> None:
    end = LFB + VIDEO_BYTES
    stores: list[Action] = [("store", place, 4, 0x5566_7788) for place in range(end - 6, end + 64, 3)]
    stores += [("store", end + place, 4, 0x99AA_BBCC) for place in (0x1000, 0x4_0000, 0x8_0000, 0x100_0000)]
    with started(guest_of(stores), folder) as vm:
        before, behind = mark_ram(vm), cards_behind_video(vm)
        play_out(vm)
        assert bytes(vm.memory.view[vm.memory.size + VIDEO_BYTES - 6 :][:6]) == b"\x88\x77\x66\x88\x77\x66"
        assert cards_behind_video(vm) == behind
        assert not changed_outside(vm, before)


@pytest.mark.parametrize("base", [0, 0x20, 0x40, 0x60, 0x70, 0xA0, 0x1F0, 0x3F0, 0xCF0, 0xB0, 0xFFF0])
def test_ports_over_other_chips_ports_change_nothing(folder: Path, base: int) -> None:
    windows = [
        *configure(IDE, 0x20, base | 1),
        *configure(POWER, 0x40, base & ~0x3F | 1),
        *configure(POWER, 0x90, base),
    ]
    with started(guest_of([*windows, ("out", 0x70, 1, 0x0F), ("out", 0x71, 1, 0x5A)]), folder) as vm:
        play_out(vm)
        vm.ports.write(0x70, 1, 0x0F)
        assert vm.ports.read(0x71, 1) == 0x5A
        vm.ports.write(0xCF8, 4, HOST_BRIDGE)
        assert vm.ports.read(0xCFC, 4) == 0x1237_8086


def test_windows_over_each_other_come_apart_again(folder: Path) -> None:
    moves = [*configure(IDE, 0x20, 0xC101), *configure(POWER, 0x40, 0xC101), *configure(IDE, 0x20, 0xC201),
             *configure(POWER, 0x40, 0x601), *configure(GRAPHICS, 0x10, 0xD000_0000),
             ("store", 0xD000_0010, 4, 0xCAFE_F00D), *configure(GRAPHICS, 0x10, LFB)]  # fmt: skip
    with started(guest_of(moves), folder) as vm:
        play_out(vm)
        assert vm.space.load(LFB + 0x10, 4) == 0xCAFE_F00D
        assert vm.space.load(0xD000_0010, 4) == 0xFFFF_FFFF
        assert vm.ports.find(0xC200).name == "ide bus master"  # type: ignore[union-attr]
        assert vm.ports.find(0x600).name == "acpi"  # type: ignore[union-attr]


# -- RAM under the ROMs -----------------------------------------------------------------------------------------------
INVALID_OPCODE = """
    mov word [6*4], alive
    mov word [6*4+2], 0
"""


@pytest.mark.parametrize("pam", [0x00, 0x10, 0x20, 0x30])
def test_the_bios_goes_on_when_its_segment_changes_under_it(folder: Path, pam: int) -> None:
    """The ROM is copied into the RAM under it; then each is switched on and off between and in the BIOS's calls."""
    switch = configured(HOST_BRIDGE, 0x58, pam << 8 | 0x33 << 16)
    body = f"""
{configured(HOST_BRIDGE, 0x58, 0x2000)}
    push ds
    mov ax, 0F000h
    mov ds, ax
    mov es, ax
    xor si, si
    xor di, di
    mov cx, 8000h
    rep movsw
    pop ds
    mov bp, 20
.turn:
{switch if pam else configured(HOST_BRIDGE, 0x58, 0x1000)}
    mov ax, 0E2Eh
    int 10h
{configured(HOST_BRIDGE, 0x58, 0)}
    mov ax, 0E2Eh
    int 10h
    dec bp
    jnz .turn
"""
    with started(hostile(body), folder) as vm:
        before = ram(vm)
        run_to_the_end(vm)
        assert vm.memory[0xF_0000:0x10_0000] == before[0xF_0000:0x10_0000]


@pytest.mark.parametrize("piece", [0xD_0000, 0xE_0000, 0xE_C000])
def test_code_in_ram_that_it_switches_off_meets_nothing_and_faults(folder: Path, piece: int) -> None:
    register = 0x5A + (piece - 0xC_0000) // 0x8000
    body = f"""
{INVALID_OPCODE}
{configured(HOST_BRIDGE, register & 0xFC, 0x33333333)}
    mov ax, {piece >> 4:#x}
    mov es, ax
    mov si, inside
    xor di, di
    mov cx, inside_end - inside
    rep movsb
    mov dx, 0CF8h
    mov eax, {HOST_BRIDGE | register & 0xFC:#x}
    out dx, eax
    jmp {piece >> 4:#x}:0
inside:
    mov dx, 0CFCh
    xor eax, eax
    out dx, eax
    mov word [cs:100h], 0
    jmp $+2
    mov ax, [cs:100h]
.forever:
    in al, 80h
    jmp .forever
inside_end:
"""
    with started(hostile(body), folder) as vm:
        run_to_the_end(vm)
        assert vm.space.load(piece, 4) == 0xFFFF_FFFF


@pytest.mark.parametrize(
    "close",
    [
        "mov dx, 3CEh\n mov ax, 0C06h\n out dx, ax",  # the window is at B8000h now
        "mov dx, 3C4h\n mov ax, 0604h\n out dx, ax",  # it is no longer flat: planes
        "mov dx, 3C2h\n mov al, 61h\n out dx, al",  # the card does not answer the CPU
        "mov dx, 1CEh\n mov ax, 4\n out dx, ax\n mov dx, 1D0h\n mov ax, 1\n out dx, ax",
    ],
    ids=["moved", "planar", "off", "banked"],
)
def test_code_in_video_memory_that_it_takes_away_faults_or_goes_on(folder: Path, close: str) -> None:
    body = f"""
{INVALID_OPCODE}
    mov ax, 13h
    int 10h
    mov ax, 0A000h
    mov es, ax
    mov si, inside
    xor di, di
    mov cx, inside_end - inside
    rep movsb
    jmp 0A000h:0
inside:
    {close}
    jmp $+2
    mov cx, 100h
    loop $
    jmp 0:alive
inside_end:
"""
    with started(hostile(body), folder) as vm:
        run_to_the_end(vm)


# -- what DMA reaches -------------------------------------------------------------------------------------------------
def floppy_read(address: int, *, count: int = SECTOR, write: bool = False) -> list[Action]:
    """Read or write the first sector by channel 2; pauses let the heads settle."""
    setup: list[Action] = [("out", 0x0A, 1, 6), ("out", 0x0C, 1, 0), ("out", 0x0B, 1, 0x4A if write else 0x46)]
    setup += [("out", 4, 1, address & 0xFF), ("out", 4, 1, address >> 8 & 0xFF), ("out", 0x81, 1, address >> 16 & 0xFF)]
    setup += [("out", 5, 1, (count - 1) & 0xFF), ("out", 5, 1, (count - 1) >> 8), ("out", 0x0A, 1, 2)]
    setup += [("out", 0x3F7, 1, 0), ("out", 0x3F2, 1, 0x1C), *sleep(10)]
    setup += [("out", 0x3F5, 1, byte) for byte in b"\x03\xdf\x02\x07\x00"] + sleep(3)
    setup += [("out", 0x3F5, 1, 8), ("in", 0x3F5, 1), ("in", 0x3F5, 1)]
    command = b"\xc5" if write else b"\xe6"
    return setup + [("out", 0x3F5, 1, byte) for byte in command + b"\0\0\0\1\2\x12\x1b\xff"] + sleep(20)


def sleep(interrupts: int) -> list[Action]:
    """Sleep until so many interrupts have come; the timer's come 18 times a second."""
    return [("sleep",)] * interrupts


@pytest.mark.parametrize(
    ("address", "count", "allowed"),
    [
        (0x7_0000, SECTOR, (0x7_0000, 0x7_0200)),
        (0xF_0000, SECTOR, (0, 0)),
        (0xA_0000, SECTOR, (0, 0)),
        (0xFF_0000, SECTOR, (0, 0)),
        (0x1F_FF00, SECTOR, (0x1F_0000, 0x20_0000)),
        (0x7_FF00, SECTOR, (0x7_0000, 0x8_0000)),
        (0x7_0000, 0x1_0000, (0x7_0000, 0x7_4800)),
    ],
    ids=["RAM", "ROM", "video window", "above RAM", "end of RAM", "end of a page", "64 KiB"],
)
def test_a_floppys_dma_reaches_ram_and_nothing_else(
    folder: Path, address: int, count: int, allowed: tuple[int, int]
) -> None:
    with started(guest_of(floppy_read(address, count=count)), folder) as vm:
        before, behind = mark_ram(vm), cards_behind_video(vm)
        play_out(vm, ms=4000)
        assert not changed_outside(vm, before, allowed)
        assert vm.memory[0xF_0000:0x10_0000] == before[0xF_0000:0x10_0000]
        assert cards_behind_video(vm) == behind
        if address == 0x7_0000:
            assert vm.memory.read(address, SECTOR) == bytes(SECTOR)
        if address == 0x7_FF00:  # the 8237 counts in 16 bits: the page stays
            assert vm.memory.read(0x7_0000, 0x100) == bytes(0x100)
            assert vm.memory.read(0x8_0000, 0x100) == bytes([MARK]) * 0x100


# -- REP INS into anything --------------------------------------------------------------------------------------------
def ins_to(address: int) -> list[Action]:
    """Read sectors 3 and 4 by PIO to an address."""
    values = (2, 3, 0, 0, 0xE0, 0x20)
    command: list[Action] = [("out", 0x1F2 + place, 1, value) for place, value in enumerate(values)]
    return [("out", 0x3F6, 1, 2), *command, ("wait", 0xFFFF), ("ins", 0x1F0, 2, 256, address), ("wait", 0xFFFF),
            ("ins", 0x1F0, 4, 128, address + 512), ("in", 0x1F7, 1)]  # fmt: skip


def outcome(code: bytes, folder: Path, *, singly: bool) -> tuple[Any, ...]:
    """Run a program with bursts or with every access by itself; a listener wants to see each of them."""
    with started(code, folder) as vm:
        vm.memory.write(BUFFER, bytes([MARK]) * 0x2_0000)
        if singly:
            vm.engine.port_listener = lambda *access: None  # type: ignore[attr-defined]
        vm.run(ms=20)
        return vm.ended, vm.now, vm.ticks, vm.serial.text(), vm.state_hash()


@pytest.mark.parametrize(
    "address",
    [
        0x7_0000,
        0x7_0001,
        0x9_FF00,
        0xA_0000,
        0xB_8000,
        0xB_FF01,
        0xE_0000,
        0xF_0000,
        0x1F_FF01,
        0x20_0000,
        LFB,
        0xFFFF_FB01,
    ],
)
def test_a_burst_into_anything_does_what_single_reads_do(folder: Path, address: int) -> None:
    code = guest_of(ins_to(address))
    burst, single = outcome(code, folder, singly=False), outcome(code, folder, singly=True)
    assert burst == single
    with started(code, folder) as vm:
        before, behind = mark_ram(vm), cards_behind_video(vm)
        play_out(vm)
        assert not changed_outside(vm, before, (address, address + 1024))
        assert vm.memory[0xF_0000:0x10_0000] == before[0xF_0000:0x10_0000]
        assert cards_behind_video(vm) == behind
        if address in (0x7_0000, 0x7_0001):
            assert vm.memory.read(address, 1024) == numbered(5)[-1024:]


PAGED = """
    lgdt [gdtr]
    mov ebx, 11000h
    mov ecx, 1024
    mov eax, 3
    mov edi, ebx
.fill:
    a32 mov [edi], eax
    add edi, 4
    add eax, 1000h
    dec ecx
    jnz .fill
    mov dword [dword 10000h], 11003h
    mov eax, 10000h
    mov cr3, eax
{absent}
    mov eax, cr0
    or eax, 80000001h
    mov cr0, eax
    jmp 8:inside
gdt: dq 0
    dq 00CF9A000000FFFFh
    dq 00CF92000000FFFFh
    dq 00009A000000FFFFh
    dq 000092000000FFFFh
gdtr: dw 39
    dd gdt
idtr: dw 127
    dd idt
real_idtr: dw 3FFh
    dd 0
bits 32
inside:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 7C00h
    lidt [idtr]
    xor ebp, ebp
    mov edi, {address:#x}
    mov edx, 1F0h
    mov ecx, 256
{code}
    mov [500h], ebp
    mov [504h], edi
    mov [508h], ecx
    jmp 24:leaving
page_fault:                     ; brings the page, which the table has at its own place
    inc ebp
    push eax
    push ebx
    mov ebx, cr2
    shr ebx, 12
    mov eax, ebx
    shl eax, 12
    or eax, 3
    mov [11000h + ebx * 4], eax
    mov eax, cr2
    invlpg [eax]
    pop ebx
    pop eax
    add esp, 4
    iretd
bits 16
leaving:
    mov ax, 32
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, cr0
    and eax, 7FFFFFFEh
    mov cr0, eax
    jmp 0:back
align 8
idt: times 14 dq 0
    dw page_fault, 8, 8E00h, 0
    dq 0
back:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    lidt [real_idtr]
"""


@pytest.mark.parametrize("offset", [0xE00, 0xF00, 0xFFE, 0xFFF, 0xF01, 0])
@pytest.mark.parametrize(("instruction", "size"), [("rep insw", 2), ("rep insd", 4)])
def test_a_page_fault_in_the_middle_of_a_burst_loses_nothing(
    folder: Path, offset: int, instruction: str, size: int
) -> None:
    address = BUFFER + offset
    absent = "\n".join(f"    mov dword [dword {0x1_1000 + 4 * (BUFFER >> 12) + 4 * page}], 0" for page in range(4))
    command = ata_command(0x20, lba=9, count=2)
    body = command + PAGED.format(
        absent=absent, address=address, code="\n".join([f"mov ecx, {512 // size}\n    {instruction}"] * 2)
    )  # fmt: skip
    code = hostile(body)
    with started(code, folder) as vm:
        vm.memory.write(BUFFER, bytes([MARK]) * 0x1_0000)
        before = ram(vm)
        found = run_to_the_end(vm)
        faults, edi, ecx = (int.from_bytes(found[at : at + 4], "little") for at in (0, 4, 8))
        pages = (address + 1023 >> 12) - (address >> 12) + 1
        assert (faults, edi, ecx) == (pages, address + 1024, 0)
        assert vm.memory.read(address, 1024) == numbered(11)[-1024:]
        assert not changed_outside(vm, before, (address, address + 1024), (0x1_0000, 0x1_2000))
    assert outcome(code, folder, singly=False) == outcome(code, folder, singly=True)


def test_a_burst_over_its_own_instruction_runs_what_it_brought(folder: Path) -> None:
    """INT3s over the REP INSW and what follows: the handler of INT 3 says that it was met."""
    sector = b"\xcc" * SECTOR
    (folder / "int3").write_bytes(sector * 4)
    body = (
        "    mov word [3*4], alive\n    mov word [3*4+2], 0\n"
        + ata_command(0x20, lba=1)
        + """
    mov dx, 1F0h
    mov cx, 256
    mov di, here - 20
here:
    rep insw
    times 600 nop
    cli
    hlt
"""
    )
    for singly in (False, True):
        with started(hostile(body), folder, disks=f"{folder / 'int3'},snapshot") as vm:
            if singly:
                vm.engine.port_listener = lambda *access: None  # type: ignore[attr-defined]
            vm.run(ms=100)
            assert ALIVE in vm.screen.text()
