"""Machines for hostile guests: small, with every kind of drive, on files that a test can look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import minivm
from minivm.debug.code import assemble
from minivm.machine import Machine

SECTOR = 512
DISK_SECTORS, CD_BLOCKS = 400, 60
ORIGIN = 0x1000
SPIN = b"\xeb\xfe"


def numbered(sectors: int) -> bytes:
    """Return sectors filled with their own numbers."""
    return b"".join(bytes([number & 0xFF]) * SECTOR for number in range(sectors))


def images(folder: Path) -> dict[str, Any]:
    """Write a disk, a floppy and a CD into `folder` and return the options that attach them, nothing written back."""
    made = {"disks": numbered(DISK_SECTORS), "floppies": numbered(2880), "cdroms": numbered(4 * CD_BLOCKS)}
    for name, data in made.items():
        if not (folder / name).exists():
            (folder / name).write_bytes(data)
    return {name: f"{folder / name}{'' if name == 'cdroms' else ',snapshot'}" for name in made}


@contextmanager
def started(code: bytes, folder: Path, **options: Any) -> Iterator[Machine]:
    """Boot 16-bit `code` at 1000h, after the BIOS's POST, on a machine of 2 MB with every drive."""
    given = {"memory": "2M", "boot": "flat", "origin": ORIGIN, "bits": 16} | images(folder) | options
    with minivm.boot(code, **given) as vm:
        yield vm


def program(body: str) -> bytes:
    """Assemble 16-bit code at 1000h."""
    return assemble(f"bits 16\norg {ORIGIN:#x}\n{body}\n").code


# -- programs that drive the disks by their ports, and leave what they found at 500h --------------------------------
RESULTS, PRD_TABLE, BUFFER, STACK = 0x500, 0x6000, 0x2_0000, 0x7C00
ALIVE = "still alive"
_END = f"""
alive:
    mov ax, 3
    int 10h
    xor ax, ax
    mov ds, ax
    mov si, .text
    cld
.next:
    lodsb
    or al, al
    jz .done
    mov ah, 0Eh
    mov bx, 7
    int 10h
    jmp .next
.done:
    cli
    hlt
.text: db "{ALIVE}", 0
ata_wait:               ; until BSY is clear; the alternate status takes no interrupt back
    mov dx, 3F6h
    mov cx, 0FFFFh
.again:
    in al, dx
    test al, 80h
    loopnz .again
    ret
"""
_START = f"""
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, {STACK:#x}
    mov di, {RESULTS:#x}
"""


def hostile(body: str) -> bytes:
    """Assemble a program that does `body` in real mode and then prints that it is still alive.

    DS, ES and SS are 0, DI is where results go, interrupts are off.
    """
    return program(_START + body + "\n    jmp alive\n" + _END)


def ata_command(code: int, *, lba: int = 0, count: int = 1, device: int = 0xE0) -> str:
    """Return the instructions that give a command to the first channel, which then has its 400 ns."""
    values = (count & 0xFF, lba & 0xFF, lba >> 8 & 0xFF, lba >> 16 & 0xFF, device | lba >> 24 & 0x0F, code)
    lines = [f"    mov dx, {0x1F2 + place:#x}\n    mov al, {value:#x}\n    out dx, al" for place, value in
             enumerate(values)]  # fmt: skip
    return "\n".join([*lines, "    call ata_wait\n"])


def ata_results() -> str:
    """Return the instructions that store the registers 1 to 7 at DI."""
    return "\n".join(f"    mov dx, {0x1F0 + place:#x}\n    in al, dx\n    stosb\n" for place in range(1, 8))


def bus_master(command: int, *, table: int = PRD_TABLE) -> str:
    """Return the instructions that aim the bus master at `table` and write its command register."""
    return f"""
    mov dx, 0C004h
    mov eax, {table:#x}
    out dx, eax
    mov dx, 0C002h
    mov al, 66h
    out dx, al
    mov dx, 0C000h
    mov al, {command:#x}
    out dx, al
"""


def regions(*descriptors: tuple[int, int], table: int = PRD_TABLE) -> str:
    """Return the instructions that write a table of (address, second word) at `table`."""
    found = []
    for number, words in enumerate(descriptors):
        for half, word in enumerate(words):
            found.append(f"    mov dword [dword {table + 8 * number + 4 * half:#x}], {word:#x}")
    return "\n".join([*found, ""])


def pause(loops: int = 0xFFFF) -> str:
    """Return the instructions that let some time pass, 2 ns a loop."""
    return f"    mov cx, {loops:#x}\n    loop $\n"


def run_to_the_end(vm: Machine, ms: int = 500) -> bytes:
    """Run until the guest says that it is alive; return the 64 bytes of its results."""
    ended = vm.run(ms=ms)
    assert (ended.reason, ended.status) == ("halted", 0)
    assert ALIVE in vm.screen.text()
    return vm.memory.read(RESULTS, 64)


def changed_outside(vm: Machine, before: bytes, *allowed: tuple[int, int]) -> list[int]:
    """Return the pages of RAM that differ from `before`, but for the first 64 KiB, the screen and [start, end)s."""
    now = bytearray(vm.memory.view[: vm.memory.size])
    was = bytearray(before)
    for start, end in ((0, 0x1_0000), (0x9_F000, 0xC_0000), *allowed):
        now[start:end] = was[start:end]
    return [page for page in range(0, len(was), 4096) if now[page : page + 4096] != was[page : page + 4096]]


def ram(vm: Machine) -> bytes:
    """Return all of RAM."""
    return bytes(vm.memory.view[: vm.memory.size])
