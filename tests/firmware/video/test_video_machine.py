"""INT 10h on the whole machine: the ROMs' own code runs on the CPU, under MiniVM's BIOS and under another one."""

import subprocess
from pathlib import Path

import pytest

from minivm.config import MachineConfig
from minivm.pc import build

SEABIOS = Path("/usr/share/seabios/bios.bin")
pytestmark = pytest.mark.nasm

BANKS = """
        mov ax, 4F02h
        mov bx, 101h
        int 10h
        xor ax, ax
        mov es, ax
        mov ax, 4F01h
        mov cx, 101h
        mov di, 800h
        int 10h
        mov ax, 0A000h
        mov es, ax
        mov bx, 0
        mov dx, 2
        call far [80Ch]         ; the window function
        mov byte [es:0], 15
        mov bx, 100h
        call far [80Ch]
        mov [600h], ax
        mov [602h], dx
"""
PIXELS = """
        mov ax, 12h
        int 10h
        mov ax, 0C0Fh
        mov bx, 0
        mov cx, 300
        mov dx, 200
        int 10h
        mov ax, 0D00h
        int 10h
        mov [600h], ax
"""


@pytest.fixture(params=["minivm", "seabios"])
def boot(request, tmp_path):
    """Return a function that runs code as a boot sector until it halts, and gives the machine."""
    if request.param == "seabios" and not SEABIOS.is_file():
        pytest.skip(f"{SEABIOS} is not installed")
    machines = []

    def start(code):
        source, image = tmp_path / "guest.asm", tmp_path / "guest.img"
        source.write_text(
            f"org 7C00h\nbits 16\n xor ax, ax\n mov ds, ax\n{code}\n cli\n hlt\n times 510 - ($ - $$) db 0\n dw 0AA55h"
        )
        subprocess.run(["nasm", "-f", "bin", "-o", str(image), str(source)], check=True)
        data = image.read_bytes().ljust(1474560, b"\0")
        image.write_bytes(data)
        firmware = SEABIOS if request.param == "seabios" else None
        vm = build(MachineConfig(guest=str(image), boot="floppy", firmware=firmware), image=data)
        machines.append(vm)
        assert vm.run(ms=20_000).reason == "halted"
        return vm

    yield start
    for vm in machines:
        vm.close()


def colour(vm, x, y):
    picture = vm.console.picture()
    return tuple(picture.rgb[3 * (y * picture.width + x) :][:3])


def test_the_window_function_is_called_by_far_call(boot):
    vm = boot(BANKS)
    assert vm.memory[0x600:0x604] == bytes([0x4F, 0, 2, 0])
    assert min(colour(vm, 0x20000 % 640, 0x20000 // 640)) > 0xF0
    assert colour(vm, 0x20000 % 640 + 1, 0x20000 // 640) == (0, 0, 0)


def test_a_pixel_is_written_and_read_and_text_comes_back(boot):
    vm = boot(PIXELS + "mov ax, 3\n int 10h\n mov ax, 0E41h\n mov bx, 7\n int 10h\n")
    assert vm.memory[0x600] == b"\x0f"
    assert vm.screen.text() == "A"
