"""The same INT 10h calls on MiniVM and on QEMU's VGA with the BIOS that comes with it: the same answers."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from minivm.config import MachineConfig
from minivm.pc import build

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.nasm,
    pytest.mark.skipif(shutil.which("qemu-system-i386") is None, reason="qemu-system-i386 is not installed"),
]

RUNNER = """
; Do each INT 10h of the script (AX, BX, CX, DX; ES:DI is a buffer) and note what came back.
org 7C00h
bits 16
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 7C00h
        cld
        mov ax, 0220h
        mov bx, 7E00h
        mov cx, 2
        mov dh, 0
        int 13h
        mov si, script
.next:
        mov ax, 1000h
        mov es, ax
        lodsw
        cmp ax, 0FFFFh
        je .done
        push ax
        lodsw
        mov bx, ax
        lodsw
        mov cx, ax
        lodsw
        mov dx, ax
        pop ax
        push si
        push ds
        push es
        xor di, di
        xor bp, bp
        int 10h
        pop es
        pop ds
        push ax
        push bx
        push cx
        push dx
        mov ax, [notes]
        mov es, ax
        xor di, di
        pop dx
        pop cx
        pop bx
        pop ax
        stosw
        mov ax, bx
        stosw
        mov ax, cx
        stosw
        mov ax, dx
        stosw
        mov si, 449h
        mov cx, 1Eh
        rep movsb
        mov si, 484h
        mov cx, 7
        rep movsb
        mov di, 40h
        push ds
        mov ax, 1000h
        mov ds, ax
        xor si, si
        mov cx, 40h
        rep movsb
        pop ds
        add word [notes], 8
        pop si
        jmp .next
.done:
        mov word [600h], 1234h
        cli
        hlt
        jmp .done
notes:  dw 2000h
        times 510 - ($ - $$) db 0
        dw 0AA55h
script:
"""
NOTE_BYTES, NOTES, DONE = 0x80, 0x20000, 0x600


def image_of(calls, folder):
    """Return a diskette that makes the calls."""
    rows = "\n".join("dw " + ", ".join(f"0{value:X}h" for value in call) for call in [*calls, (0xFFFF, 0, 0, 0)])
    source, image = folder / "calls.asm", folder / "calls.img"
    source.write_text(RUNNER + rows)
    subprocess.run(["nasm", "-f", "bin", "-o", str(image), str(source)], check=True)
    image.write_bytes(image.read_bytes().ljust(1474560, b"\0"))
    return image


def on_minivm(image, length):
    vm = build(MachineConfig(guest=str(image), boot="floppy"), image=image.read_bytes())
    try:
        while vm.memory[DONE : DONE + 2] != b"\x34\x12":
            assert vm.run(ms=1000).reason != "shutdown"
        return vm.memory[NOTES : NOTES + length]
    finally:
        vm.close()


def on_qemu(image, length):
    command = ["qemu-system-i386", "-accel", "tcg", "-m", "32", "-nodefaults", "-vga", "std", "-display", "none"]
    command += ["-qmp", "stdio", "-drive", f"file={image},format=raw,if=floppy,snapshot=on"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as qemu:

        def ask(command, **arguments):
            qemu.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            qemu.stdin.flush()
            while "return" not in json.loads(qemu.stdout.readline()):
                pass

        def read(address, length):
            dump = Path(image).with_suffix(".dump")
            ask("pmemsave", val=address, size=length, filename=str(dump))
            return dump.read_bytes()

        try:
            qemu.stdout.readline()
            ask("qmp_capabilities")
            deadline = time.monotonic() + 30
            while read(DONE, 2) != b"\x34\x12":
                assert time.monotonic() < deadline, "the guest never ended on QEMU"
                time.sleep(0.05)
            return read(NOTES, length)
        finally:
            qemu.kill()


def both(calls, folder):
    """Return what each machine noted after each call."""
    image, length = image_of(calls, folder), len(calls) * NOTE_BYTES
    sides = [on_minivm(image, length), on_qemu(image, length)]
    return [[side[at : at + NOTE_BYTES] for at in range(0, length, NOTE_BYTES)] for side in sides]


def differences(calls, folder, parts):
    """Return the calls after which `parts`, pairs of name and slice, are not the same."""
    ours, theirs = both(calls, folder)
    return [
        (" ".join(f"{value:04X}" for value in call), name, one[part].hex(" "), other[part].hex(" "))
        for call, one, other in zip(calls, ours, theirs, strict=True)
        for name, part in parts
        if one[part] != other[part]
    ]


REGISTERS = [("AX", slice(0, 2)), ("BX", slice(2, 4)), ("CX", slice(4, 6)), ("DX", slice(6, 8))]
# 40:49 mode, columns, page bytes; page, port; 40:84 rows, height, flags. Not 40:65, 66, which QEMU's BIOS leaves zero.
AREA = [("40:49", slice(8, 0x1F)), ("40:60", slice(0x1F, 0x24)), ("40:84", slice(0x26, 0x2D))]
BUFFER = [("buffer", slice(0x40, 0x80))]


def test_modes_pixels_and_characters(tmp_path):
    calls = []
    for mode in (0, 1, 2, 3, 4, 5, 6, 7, 0x0D, 0x0E, 0x10, 0x11, 0x12):  # 0Fh is a colour mode there
        calls += [(mode, 0, 0, 0), (0x0F00, 0, 0, 0)]
        if mode >= 4 and mode != 7:
            calls += [
                (0x0C01, 0, 100, 50), (0x0D00, 0, 100, 50), (0x0C81, 0, 100, 50), (0x0D00, 0, 100, 50),
                (0x0D00, 0, 101, 50),
            ]  # fmt: skip
        calls += [
            (0x0200, 0, 0, 0x0305), (0x0941, 0x0003, 1, 0), (0x0800, 0, 0, 0), (0x0E42, 0x0003, 0, 0),
            (0x0300, 0, 0, 0), (0x0E0A, 3, 0, 0), (0x0E0D, 3, 0, 0), (0x0300, 0, 0, 0),
        ]  # fmt: skip
    found = differences(calls, tmp_path, [*REGISTERS, *AREA])
    assert not found, "\n".join(map(str, found))


def test_colours_fonts_and_states(tmp_path):
    calls = [
        (0x0003, 0, 0, 0), (0x1007, 0x0006, 0, 0), (0x1008, 0, 0, 0), (0x1009, 0, 0, 0), (0x1015, 7, 0, 0),
        (0x1010, 5, 0x1122, 0x3300), (0x1015, 5, 0, 0), (0x1017, 0, 16, 0), (0x101A, 0, 0, 0),
        (0x1013, 0x0100, 0, 0), (0x101A, 0, 0, 0), (0x1013, 0x0501, 0, 0), (0x101A, 0, 0, 0), (0x101B, 0, 16, 0),
        (0x1017, 0, 16, 0), (0x1A00, 0, 0, 0), (0x1200, 0xFF10, 0, 0), (0x1112, 0, 0, 0), (0x0F00, 0, 0, 0),
        (0x1111, 0, 0, 0), (0x0013, 0, 0, 0), (0x1017, 0, 21, 0), (0x1015, 200, 0, 0), (0x0C0F, 0, 319, 199),
        (0x0D00, 0, 319, 199),
    ]  # fmt: skip
    found = differences(calls, tmp_path, [*REGISTERS, *BUFFER])
    assert not found, "\n".join(map(str, found))


def test_vesa_modes(tmp_path):
    modes = (0x100, 0x101, 0x103, 0x105, 0x110, 0x111, 0x112, 0x115, 0x118, 0x142, 0x144, 0x1FE)
    calls = [(0x4F01, 0, mode, 0) for mode in modes]
    ours, theirs = both(calls, tmp_path)
    # all but which attributes, the window's function, how many pages, and the linear modes' own fields
    for mode, one, other in zip(modes, ours, theirs, strict=True):
        assert one[:2] == other[:2], f"{mode:X}h"
        one, other = one[0x40:], other[0x40:]
        for part in (slice(2, 0x0C), slice(0x10, 0x1C), slice(0x1F, 0x28)):
            assert one[part] == other[part], f"{mode:X}h from {part.start:X}h"


def test_vesa_functions(tmp_path):
    calls = [
        (0x0003, 0, 0, 0), (0x4F03, 0, 0, 0), (0x4F02, 0x0101, 0, 0), (0x4F03, 0, 0, 0), (0x4F05, 0, 0, 3),
        (0x4F05, 0x0100, 0, 0), (0x4F06, 1, 0, 0), (0x4F06, 0, 1024, 0), (0x4F06, 1, 0, 0), (0x4F07, 0, 8, 20),
        (0x4F07, 1, 0, 0), (0x4F08, 1, 0, 0), (0x4F08, 0x0800, 0, 0), (0x4F08, 1, 0, 0), (0x4F08, 0x0600, 0, 0),
        (0x4F02, 0x4144, 0, 0), (0x4F03, 0, 0, 0), (0x4F06, 1, 0, 0), (0x4F02, 0x01F0, 0, 0),
        (0x4F02, 0x0003, 0, 0), (0x4F03, 0, 0, 0),
    ]  # fmt: skip
    found = differences(calls, tmp_path, [*REGISTERS, *BUFFER])
    assert not found, "\n".join(map(str, found))
