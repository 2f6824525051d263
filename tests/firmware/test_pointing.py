"""INT 15h AH=C2h: what comes before and after the talk with the mouse; the ROM's code has its own tests below."""

import re
import subprocess
from pathlib import Path

import pytest

from minivm.config import MachineConfig
from minivm.firmware import ebda, pointing, services
from minivm.pc import build

ROM_SOURCE = Path(pointing.__file__).with_name("rom.asm")


def begin(pc, function, **registers):
    return pc.interrupt(services.POINTING, ax=0xC200 | function, **registers)


def area(pc, offset, length=1):
    return pc.memory.read(ebda.BASE + offset, length)


def said(pc):
    return area(pc, pointing.SEND, area(pc, pointing.SEND_COUNT)[0])


@pytest.mark.parametrize(
    ("function", "bh", "sent", "answers"),
    [
        (0, 0, [0xF5], 0), (1, 0, [0xFF], 2), (2, 0, [0xF3, 10], 0), (2, 6, [0xF3, 200], 0), (3, 3, [0xE8, 3], 0),
        (4, 0, [0xF2], 1), (5, 3, [0xFF], 2), (6, 0, [0xE9], 3), (6, 1, [0xE6], 0), (6, 2, [0xE7], 0),
    ],
)  # fmt: skip
def test_each_function_says_what_the_mouse_understands(pc, function, bh, sent, answers):
    begin(pc, function, bx=bh << 8)
    assert not pc.answer
    assert (said(pc), area(pc, pointing.ANSWER_COUNT)[0]) == (bytes(sent), answers)


@pytest.mark.parametrize(
    ("function", "bh", "error"),
    [(0, 2, 2), (0, 1, 5), (2, 7, 2), (3, 4, 2), (5, 0, 2), (5, 9, 2), (6, 3, 2), (10, 0, 1)],
)
def test_what_cannot_be_asked_is_refused_at_once(pc, function, bh, error):
    begin(pc, function, bx=bh << 8)
    assert (pc.answer, pc.carry, pc.cpu.ah) == (True, True, error)


def test_a_handler_may_be_named_and_taken_back(pc):
    begin(pc, 7, es=0x1234, bx=0x5678)
    assert (pc.answer, pc.carry, pc.cpu.ah) == (True, False, 0)
    assert area(pc, 0x22, 4) == bytes.fromhex("78563412")
    assert area(pc, 0x27)[0] & 0x80
    begin(pc, 0, bx=0x0100)
    assert said(pc) == b"\xf4"
    assert area(pc, pointing.ADD)[0] == 2
    begin(pc, 7, es=0, bx=0)
    assert not area(pc, 0x27)[0] & 0x80


def test_the_answers_become_registers(pc):
    pc.memory.write(ebda.BASE + pointing.ANSWERS, bytes([0x21, 2, 100]))
    pc.memory.write(ebda.BASE + pointing.RESULT, b"\0")
    cpu = pc.interrupt(services.POINTING_DONE, ax=0xC206, bx=0, cx=0, dx=0)
    assert (pc.carry, cpu.ah, cpu.bl, cpu.cl, cpu.dl) == (False, 0, 0x21, 2, 100)
    pc.memory.write(ebda.BASE + pointing.RESULT, b"\3")
    assert pc.interrupt(services.POINTING_DONE, ax=0xC206, bx=0).ah == 3
    assert pc.carry


def test_source_and_services_have_the_same_places():
    numbers = dict(re.findall(r"^MOUSE_(\w+)\s+equ (\w+)h", ROM_SOURCE.read_text(), re.MULTILINE))
    assert {name: int(number, 16) for name, number in numbers.items()} == {
        name: getattr(pointing, name) for name in numbers
    }


PACKETS = """
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 7C00h
        mov di, 600h
        cld
        mov ax, 0C205h          ; packets of three bytes
        mov bh, {size}
        int 15h
        call note
        mov ax, 0C207h
        mov bx, handler
        int 15h
        call note
        mov ax, 0C203h
        mov bh, 3
        int 15h
        call note
        mov ax, 0C202h
        mov bh, 5
        int 15h
        call note
        mov ax, 0C204h
        int 15h
        call note
        mov ax, 0C206h
        mov bh, 0
        int 15h
        call note
        mov ax, 0C200h
        mov bh, 1
        int 15h
        call note
        mov word [5FEh], 1234h
wait_for_it:
        hlt
        jmp wait_for_it
note:   stosw
        mov ax, bx
        stosw
        mov al, cl
        mov ah, dl
        stosw
        setc al
        stosb
        ret
handler:
        push bp
        mov bp, sp
        push es
        push di
        mov di, [cs:700h]
        xor ax, ax
        mov es, ax
        mov ax, [bp + 12]
        stosw
        mov ax, [bp + 10]
        stosw
        mov ax, [bp + 8]
        stosw
        mov ax, [bp + 6]
        stosw
        mov [cs:700h], di
        pop di
        pop es
        pop bp
        retf
        times 510 - ($ - $$) db 0
        dw 0AA55h
"""


@pytest.fixture
def vm(tmp_path, request):
    source, image = tmp_path / "guest.asm", tmp_path / "guest.img"
    source.write_text("org 7C00h\nbits 16\nmov word [cs:700h], 710h\n" + PACKETS.format(size=request.param))
    subprocess.run(["nasm", "-f", "bin", "-o", str(image), str(source)], check=True)
    machine = build(MachineConfig(guest="guest.img"), image=image.read_bytes())
    yield machine
    machine.close()


@pytest.mark.nasm
@pytest.mark.parametrize("vm", [3], indirect=True)
def test_a_program_gets_the_mouses_packets(vm):
    vm.run(ms=800)
    assert vm.memory[0x5FE:0x600] == b"\x34\x12"
    notes = [vm.memory[0x600 + 7 * index : 0x607 + 7 * index] for index in range(7)]
    assert [(note[1], note[6]) for note in notes] == [(0, 0)] * 7
    assert notes[0][2:4] == bytes([0xAA, 0])
    assert notes[4][3] == 0
    assert (notes[5][2], notes[5][4], notes[5][5]) == (0, 3, 100)
    vm.console.move_mouse(5, -3)
    vm.run(ms=50)
    vm.console.press_button("left")
    vm.run(ms=50)
    packets = vm.memory[0x710:0x720]
    words = [int.from_bytes(packets[at : at + 2], "little") for at in range(0, 16, 2)]
    assert words == [0x28, 5, 0xFD, 0, 0x09, 0, 0, 0]


@pytest.mark.nasm
@pytest.mark.parametrize("vm", [3], indirect=True)
def test_keys_still_come_while_the_mouse_is_asked(vm):
    vm.type("ab")
    vm.run(ms=1500)
    vm.type("c")
    vm.run(ms=200)
    head, tail = (int.from_bytes(vm.memory[at : at + 2], "little") for at in (0x41A, 0x41C))
    keys = bytes(vm.memory[0x400 + at : 0x401 + at][0] for at in range(head, tail, 2))
    assert keys == b"abc"


@pytest.mark.nasm
@pytest.mark.parametrize("vm", [4], indirect=True)
def test_the_fourth_byte_of_a_packet_is_the_fourth_word(vm):
    vm.run(ms=800)
    mouse = vm.devices["mouse"]
    for rate in (200, 100, 80):
        for byte in (0xF3, rate):
            mouse.receive(byte)
    vm.run(ms=50)
    vm.memory[0x9FC26] = b"\0"  # the acknowledgements were no packet
    start = int.from_bytes(vm.memory[0x700:0x702], "little")
    vm.console.move_mouse(1, 2, 3)
    vm.run(ms=50)
    words = [int.from_bytes(vm.memory[start + at : start + at + 2], "little") for at in range(0, 8, 2)]
    assert words == [0x08, 1, 2, 3]
