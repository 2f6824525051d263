"""The explainer: exact sentences by SDM and datasheets, agreement with the engine, no state that upsets it."""

import importlib.util
import re
from functools import cache
from hashlib import shake_128
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minivm
from minivm.core.bus import Bus
from minivm.debug import explain
from minivm.debug.code import assemble, disassemble
from minivm.debug.explain_instructions import RULES
from minivm.devices.pic import PicPairState, PicState
from minivm.engine.base import Autopsy
from minivm.engine.cpustate import CR0_PE, CR0_PG, EFER_LMA, HF_CS32, HF_CS64, HF_LMA, HF_PE, IF, VM


def _world_module():
    """The processor without an engine that the engine's own tests use."""
    place = Path(__file__).parents[1] / "engine" / "conftest.py"
    spec = importlib.util.spec_from_file_location("engine_world", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


W = _world_module()


@cache
def code_of(source: str, bits: int, origin: int) -> bytes:
    return assemble(source, bits=bits, origin=origin).code


@pytest.fixture(scope="module")
def pc():
    """A machine in real mode at 0000:7C00, behind POST."""
    with minivm.boot(b"\xf4".ljust(510, b"\x00") + b"\x55\xaa") as machine:
        machine.run_until(lambda vm: vm.cpu.linear_ip == 0x7C00)
        yield machine


@pytest.fixture
def real(pc):
    """The same with known registers, flags and memory."""
    put(pc, eax=0x1234, ebx=0x100, ecx=3, edx=0x3D4, esi=0x100, edi=0x200, ebp=0x300, esp=0x6F00, rflags=0x202)
    for name in ("cs", "ds", "es", "ss"):
        put(pc, **{name: 0, f"{name}_base": 0})
    pc.memory[0x100:0x108] = bytes.fromhex("41 42 43 44 34 12 78 56")
    pc.memory[0x200:0x208] = bytes(8)
    pc.memory[0x300:0x304] = bytes.fromhex("50 60 00 00")
    pc.memory[0x6F00:0x6F10] = bytes.fromhex("20 7C 00 10 46 02 00 00") + bytes(8)
    return pc


def put(machine, **registers: int) -> None:
    for name, value in registers.items():
        setattr(machine.cpu, name, value)


def bench(world: object) -> SimpleNamespace:
    """What the explainer needs of a machine, around a processor without an engine."""
    return SimpleNamespace(engine=world, cpu=world.cpu, ports=Bus("port", 0x10000), devices={}, now=0)


def told(machine, source: str, bits: int = 16, at: int = 0x7C00, **registers: int) -> str:
    """Return the explanation of one instruction as one text, without the instruction itself."""
    put(machine, **registers)
    code = code_of(source, bits, at)
    machine.engine.space.memory[at : at + len(code)] = code
    first, *more = explain.explain_instruction(machine, at)
    return " ".join([first.partition(": ")[2], *more])


NONE = " Flags: none change."


@pytest.mark.parametrize(
    ("source", "registers", "words"),
    [
        # moving
        ("mov ax, [si+4]", {"ds": 0x7C0, "ds_base": 0x7C00, "esi": 0x100},
         "AX takes the word at DS:0104h (linear 7D04h), which is 0000h." + NONE),
        ("mov ax, [si+4]", {}, "AX takes the word at DS:0104h, which is 1234h." + NONE),
        ("mov ax, bx", {}, "AX takes BX, which is 0100h." + NONE),
        ("mov al, 41h", {}, "AL takes 41h." + NONE),
        ("mov [bp], bx", {}, "the word at SS:0300h takes BX, which is 0100h, in place of 6050h." + NONE),
        ("mov byte [es:di], 'A'", {}, "the byte at ES:0200h takes 41h, in place of 00h." + NONE),
        ("mov ds, ax", {}, "DS takes AX, which is 1234h. Its base becomes 12340h." + NONE),
        ("mov ss, ax", {}, "SS takes AX, which is 1234h. Its base becomes 12340h. No interrupt comes before the next "
                           "instruction is done." + NONE),
        ("movzx eax, byte [si]", {}, "EAX takes the byte at DS:0100h, which is 41h, extended with zeros to 00000041h."
                                     + NONE),
        ("movsx ax, bl", {"ebx": 0x80}, "AX takes BL, which is 80h, extended with its sign to FF80h." + NONE),
        ("lea bx, [si+8]", {}, "BX takes the address 0108h itself; no memory is read." + NONE),
        ("xchg bx, ax", {}, "BX (0100h) and AX (1234h) change places." + NONE),
        ("push ax", {}, "pushes AX, which is 1234h; SP becomes 6EFEh." + NONE),
        ("pop bx", {}, "BX takes the word at SS:6F00h, which is 7C20h, from the top of the stack; SP becomes 6F02h."
                       + NONE),
        ("pusha", {}, "pushes AX, CX, DX, BX, SP, BP, SI and DI; SP becomes 6EF0h." + NONE),
        ("xlatb", {"eax": 2}, "AL takes the byte at DS:0102h, which is 43h: entry 2 of the table at BX." + NONE),
        ("cbw", {"eax": 0x80}, "AX takes AL with its sign: FF80h." + NONE),
        ("cwd", {"eax": 0x8000}, "DX becomes FFFFh, the sign of AX." + NONE),
        ("les di, [si+4]", {}, "ES:DI takes the far pointer at DS:0104h, which is 5678:1234. Its base becomes 56780h."
                               + NONE),
        # computing
        ("add al, bl", {"eax": 0xFF, "ebx": 1},
         "AL becomes FFh + 01h = 00h. Flags: CF 0 -> 1, PF 0 -> 1, AF 0 -> 1, ZF 0 -> 1; unchanged SF=0 OF=0."),
        ("adc ax, bx", {"eax": 1, "ebx": 2, "rflags": 0x203},
         "AX becomes 0001h + 0002h + CF, 1, = 0004h. Flags: CF 1 -> 0; unchanged PF=0 AF=0 ZF=0 SF=0 OF=0."),
        ("sub ax, 1", {"eax": 0},
         "AX becomes 0000h - 0001h = FFFFh. Flags: CF 0 -> 1, PF 0 -> 1, AF 0 -> 1, SF 0 -> 1; unchanged ZF=0 OF=0."),
        ("xor cx, cx", {},
         "CX becomes 0: the usual way to clear a register. Flags: PF 0 -> 1, ZF 0 -> 1; unchanged CF=0 SF=0 OF=0; "
         "undefined AF."),
        ("cmp ax, 1234h", {},
         "compares AX (1234h) with 1234h: equal; only the flags change. Flags: PF 0 -> 1, ZF 0 -> 1; unchanged CF=0 "
         "AF=0 SF=0 OF=0."),
        ("cmp al, bl", {"eax": 0xFF, "ebx": 1},
         "compares AL (FFh) with BL (01h): above (with signs, less: -1 and 1); only the flags change. Flags: "
         "SF 0 -> 1; unchanged CF=0 PF=0 AF=0 ZF=0 OF=0."),
        ("test al, al", {"eax": 0},
         "looks whether AL is zero or negative: 00h is zero. Flags: PF 0 -> 1, ZF 0 -> 1; unchanged CF=0 SF=0 OF=0; "
         "undefined AF."),
        ("inc dx", {"edx": 0x7FFF},
         "DX becomes 7FFFh + 1 = 8000h. Flags: PF 0 -> 1, AF 0 -> 1, SF 0 -> 1, OF 0 -> 1; unchanged ZF=0."),
        ("not al", {"eax": 0x0F}, "AL becomes F0h: every bit turned over." + NONE),
        ("shl al, 1", {"eax": 0xC0},
         "AL (C0h) is shifted left by 1, and becomes 80h. Flags: CF 0 -> 1, SF 0 -> 1; unchanged PF=0 ZF=0 OF=0; "
         "undefined AF."),
        ("shr ax, cl", {"ecx": 0x20}, "nothing changes, because the count is 32, which counts as 0." + NONE),
        ("mul bx", {"eax": 0x200},
         "DX:AX becomes 0200h x 0100h = 00020000h. Flags: CF 0 -> 1, OF 0 -> 1; undefined PF AF ZF SF."),
        ("div bl", {"eax": 17, "ebx": 5},
         "0011h / 05h: AL becomes 03h, AH the remainder 02h. Flags: all six are undefined."),
        ("div bl", {"ebx": 0}, "divides AX by BL, which is 0: this raises #DE." + NONE),
        ("div bl", {"eax": 0x500, "ebx": 5},
         "divides 0500h by 05h: the quotient does not fit AL, so this raises #DE." + NONE),
        ("idiv bl", {"eax": 0xFFF9, "ebx": 2},
         "FFF9h / 02h: AL becomes FDh, AH the remainder FFh. Flags: all six are undefined."),
        ("bt ax, 2", {"eax": 4}, "CF takes bit 2 of AX, which is 1; the bit stays. Flags: CF 0 -> 1."),
        ("aam", {"eax": 52},
         "AL / 10: AH becomes 05h, AL the remainder 02h. Flags: PF, ZF and SF will follow the result."),
        ("lock inc word [bx]", {"ebx": 0x200},
         "the word at DS:0200h becomes 0000h + 1 = 0001h. Flags: unchanged PF=0 AF=0 ZF=0 SF=0 OF=0. LOCK: no other "
         "processor comes between its read and its write."),
        # strings
        ("rep movsb", {},
         "copies the byte at DS:0100h, which is 41h, to ES:0200h. Repeated 3 times (CX); each time SI and DI go up "
         "by 1, because DF is 0." + NONE),
        ("rep stosw", {"ecx": 0}, "does nothing, because CX is 0." + NONE),
        ("stosw", {"rflags": 0x602},
         "stores AX (1234h) in the word at ES:0200h. Then DI goes down by 2, because DF is 1." + NONE),
        ("lodsb", {}, "AL takes the byte at DS:0100h, which is 41h. Then SI goes up by 1, because DF is 0." + NONE),
        ("repne scasb", {"eax": 0x41},
         "compares AL (41h) with the byte at ES:0200h, which is 00h. Repeated at most 3 times (CX) while they differ; "
         "each time DI goes up by 1, because DF is 0. Flags: as CMP would set them at the last pair."),
        # control
        ("je 7C20h", {"rflags": 0x242}, "jumps to 0000:7C20 if equal or zero: yes, because ZF is 1." + NONE),
        ("ja 7C20h", {"rflags": 0x203}, "jumps to 0000:7C20 if above: no, because CF is 1 and ZF is 0." + NONE),
        ("jl 7C20h", {"rflags": 0x282}, "jumps to 0000:7C20 if less: yes, because SF is 1 and OF is 0." + NONE),
        ("jcxz 7C20h", {}, "jumps to 0000:7C20 if CX is 0: no, it is 0003h." + NONE),
        ("loop 7C00h", {}, "CX becomes 0002h, so it jumps to 0000:7C00 again." + NONE),
        ("loop 7C00h", {"ecx": 1}, "CX becomes 0000h, so the loop ends." + NONE),
        ("call 7C50h", {}, "calls 0000:7C50; pushes the return address 7C03h, and SP becomes 6EFEh." + NONE),
        ("ret", {}, "returns to 0000:7C20, which is on top of the stack; SP becomes 6F02h." + NONE),
        ("ret 4", {}, "returns to 0000:7C20, which is on top of the stack; SP becomes 6F06h, with 4 bytes of arguments."
                      + NONE),
        ("retf", {}, "returns far, to 1000:7C20 from the stack; SP becomes 6F04h. CS's base becomes 10000h." + NONE),
        ("iret", {}, "returns from an interrupt, to 1000:7C20. Flags: they become 0246h, from the stack. CS's base "
                     "becomes 10000h."),
        ("jmp 8:7C20h", {}, "jumps far, to 0008:7C20. CS's base becomes 80h." + NONE),
        ("jmp [bx]", {}, "jumps to 0000:4241, the address in the word at DS:0100h." + NONE),
        ("sete al", {"rflags": 0x242}, "AL becomes 1 (equal or zero), because ZF is 1." + NONE),
        ("into", {}, "interrupt 04h on overflow: no, because OF is 0." + NONE),
        # the machine
        ("cli", {}, "keeps interrupts out. Flags: IF 1 -> 0."),
        ("sti", {"rflags": 0x2}, "lets interrupts in, after the next instruction. Flags: IF 0 -> 1."),
        ("cld", {}, "makes string instructions go up. Flags: unchanged DF=0."),
        ("hlt", {}, "waits for the next interrupt." + NONE),
        ("hlt", {"rflags": 0x2}, "waits for ever, because IF is 0: only an NMI or a reset ends that." + NONE),
        ("popf", {}, "the flags take 7C20h, from the top of the stack; SP becomes 6F02h. Flags: OF 0 -> 1, DF 0 -> 1, "
                     "IF 1 -> 0; unchanged CF=0 PF=0 AF=0 ZF=0 SF=0."),
        ("out 21h, al", {"eax": 0xFE},
         "AL (FEh) goes to port 21h. OUT 21h, FEh: the master PIC's mask; only IRQ0, the timer, may now interrupt."
         + NONE),
        ("in al, 60h", {}, "AL takes what port 60h answers. IN 60h: the keyboard controller's output buffer." + NONE),
        ("lgdt [102h]", {}, "GDTR takes base 781234h and limit 4443h from DS:0102h: room for 2184 entries." + NONE),
        ("mov cr0, eax", {"eax": 0x6000_0011},
         "CR0 takes EAX, which is 60000011h. PE becomes 1: protected mode. Flags: all six are undefined."),
        ("cpuid", {"eax": 1}, "asks for leaf 1h: signature and features; EAX, EBX, ECX and EDX will tell." + NONE),
        ("rdmsr", {"ecx": 0xC000_0080},
         "EDX:EAX takes the model-specific register EFER (C0000080h), which is 0h." + NONE),
        ("enter 8, 0", {}, "makes a frame: pushes BP, BP takes SP, and 8 bytes are left for locals." + NONE),
        ("leave", {}, "drops the frame: BP takes the caller's 6050h from the word at SS:0300h, and SP becomes 0302h."
                      + NONE),
        ("fninit", {}, "an instruction of the floating-point unit (x87). It changes FPSW." + NONE),
    ],
)  # fmt: skip
def test_an_instruction_of_real_mode_is_told_with_its_values(real, source, registers, words):
    assert told(real, source, **registers) == words


def test_lgdt_with_a_16_bit_operand_takes_24_bits_of_the_base(real):
    real.memory[0x102:0x108] = bytes.fromhex("17 00 00 00 01 FF")
    assert told(real, "lgdt [102h]").startswith("GDTR takes base 10000h and limit 17h")
    assert told(real, "o32 lgdt [102h]").startswith("GDTR takes base FF010000h and limit 17h")


def test_the_first_sentence_begins_with_the_instruction(real):
    real.memory[0x7C00:0x7C03] = bytes.fromhex("8B 44 04")
    assert explain.explain_instruction(real, 0x7C00) == [
        "mov ax, word [si + 4]: AX takes the word at DS:0104h, which is 1234h.",
        "Flags: none change.",
    ]


def test_without_an_address_the_next_instruction_is_told(real):
    real.memory[0x7C10:0x7C11] = b"\x90"
    put(real, rip=0x7C10)
    assert explain.explain_instruction(real) == ["nop: does nothing.", "Flags: none change."]


def test_a_bios_call_is_told_with_its_function_and_values(real):
    put(real, eax=0x0E48)
    assert "INT 10h, AH=0Eh: video, write 'H' at the cursor and move it on." in told(real, "int 10h")


@pytest.mark.parametrize(
    ("vector", "registers", "words"),
    [
        (0x10, {"eax": 0x0003}, "INT 10h, AH=00h: video, set video mode 03h"),
        (0x10, {"eax": 0x0E0D}, "INT 10h, AH=0Eh: video, write a carriage return at the cursor and move it on"),
        (0x13, {"eax": 0x0201, "ebx": 0x7E00, "ecx": 0x0142, "edx": 0x0180},
         "INT 13h, AH=02h: disk, read 1 sectors from hard disk 0 (DL=80h), cylinder 257, head 1, "
         "sector 2, to 0000:7E00"),
        (0x13, {"eax": 0, "edx": 0}, "INT 13h, AH=00h: disk, reset diskette drive 0 (DL=00h)"),
        (0x13, {"eax": 0x4200, "edx": 0xE0},
         "INT 13h, AH=42h: disk, read from CD drive 0 (DL=E0h) by the packet at DS:SI"),
        (0x1A, {"eax": 0xB101}, "INT 1Ah, AH=B1h: clock, PCI BIOS, function 01h"),
        (0x16, {"eax": 0}, "INT 16h, AH=00h: keyboard, wait for a key; AH will be its scan code, AL its character"),
        (0x15, {"eax": 0xE820, "ebx": 0},
         "INT 15h, AX=E820h: system, the next entry of the memory map, to ES:DI; EBX is 00000000h"),
        (0x15, {"eax": 0x8600, "ecx": 0xF, "edx": 0x4240}, "INT 15h, AH=86h: system, wait 1000000 microseconds"),
        (0x12, {}, "INT 12h: AX will be the memory below 640 KiB, in KiB"),
        (0x10, {"eax": 0x7700}, "INT 10h, AH=77h: video, a function that few BIOSes have"),
        (0x80, {}, ""),
    ],
)  # fmt: skip
def test_a_bios_call_says_what_is_asked(real, vector, registers, words):
    put(real, **registers)
    assert explain.explain_bios_call(real, vector) == words


def test_the_bios_call_at_the_instruction_pointer_is_found(real):
    real.memory[0x7C00:0x7C02] = b"\xcd\x12"
    put(real, rip=0x7C00)
    assert explain.explain_bios_call(real).startswith("INT 12h")
    real.memory[0x7C00:0x7C02] = b"\x90\x90"
    assert explain.explain_bios_call(real) == ""


# -- protected and long mode


def in_mode(mode: str, level: int = 0, **how: str):
    world = W.World()
    world.enter(mode, level, **how)
    return world


@pytest.mark.parametrize(
    ("mode", "level", "source", "bits", "words"),
    [
        ("32", 0, "mov ds, ax", 32,
         "DS takes EAX, which is 00000010h. The selector is 32-bit data, base 0h, limit FFFFFFFFh, DPL 0, writable, "
         "accessed, present." + NONE),
        ("32", 0, "mov ss, bx", 32,
         "SS takes EBX, which is 00000000h. A null selector in SS raises #GP(0). No interrupt comes before the next "
         "instruction is done." + NONE),
        ("32", 3, "cli", 32,
         "keeps interrupts out. Flags: unchanged IF=0. Not allowed, because the level 3 is above IOPL 0: this raises "
         "#GP(0)."),
        ("32", 3, "hlt", 32,
         "waits for ever, because IF is 0: only an NMI or a reset ends that." + NONE + " Not allowed at level 3: this "
         "raises #GP(0)."),
        ("32", 3, "mov eax, cr0", 32,
         "EAX takes CR0, which is 00000001h." + NONE + " Not allowed at level 3: this raises #GP(0)."),
        ("32", 3, "out 21h, al", 32,
         "AL (10h) goes to port 21h. OUT 21h, 10h: nobody is there; the write is lost." + NONE
         + " Not allowed, by IOPL and the I/O permission bitmap in the TSS: this raises #GP(0)."),
        ("32", 3, "int 21h", 32,
         "calls the handler of interrupt 21h at 0008:00018123. Not allowed: its gate has DPL 0, and the CPU is at "
         "level 3, so this raises #GP(10Ah)."),
        ("32", 0, "int 21h", 32,
         "calls the handler of interrupt 21h at 0008:00018123. It goes through IDT 21h: 32-bit interrupt gate, to "
         "0008:00018123, DPL 0, present."),
        ("32", 0, "push byte 5", 32, "pushes 00000005h; ESP becomes 000207FCh." + NONE),
        ("32", 0, "push ds", 32, "pushes DS, which is 0010h; ESP becomes 000207FCh." + NONE),
        ("32", 0, "ltr ax", 32,
         "TR takes the selector AX, which is 0010h. It is 32-bit data, base 0h, limit FFFFFFFFh, DPL 0, "
         "writable, accessed, present." + NONE),
        ("32", 0, "jmp 8:1234h", 32,
         "jumps far, to 0008:00001234. The selector 0008h is 32-bit code, base 0h, limit FFFFFFFFh, DPL 0, readable, "
         "accessed, present." + NONE),
        ("32", 0, "jmp 3F8h:1234h", 32, "jumps far, to 03F8:00001234. The selector 03F8h is null." + NONE),
        ("64", 0, "mov rax, [rbx+8]", 64, "RAX takes the qword at 8h, which is 0000000000000000h." + NONE),
        ("64", 0, "cmove eax, ebx", 64,
         "EAX does not take EBX, because ZF is 0; its upper half is cleared all the same." + NONE),
        ("64", 0, "push rax", 64, "pushes RAX, which is 0000000000000010h; RSP becomes 00000000000207F8h." + NONE),
        ("64", 0, "syscall", 64,
         "goes to the kernel at 0h, level 0; RCX keeps the return address 18002h, R11 the flags. Flags: those that "
         "FMASK names are cleared. RSP stays the user's."),
        ("64", 0, "lidt [rbx]", 64, "IDTR takes base 0h and limit 0h from 0h: room for 0 entries." + NONE),
        ("vm86", 3, "int 21h", 16,
         "calls the handler of interrupt 21h at 0008:00018123. Not allowed in virtual-8086 mode with IOPL 0: this "
         "raises #GP(0)."),
    ],
)  # fmt: skip
def test_an_instruction_of_another_mode_is_told(mode, level, source, bits, words):
    world = in_mode(mode, level)
    if mode != "64":
        world.gate(0x21, 14, W.CODE_0, 0x18123)
    machine = bench(world)
    world.put(W.TSS_32 + 102, 2, 0xFFFF)  # no I/O permission bitmap
    put(machine, rax=0x10, rbx=0)
    found = told(machine, source, bits, machine.cpu.linear_ip)
    if source == "jmp 3F8h:1234h":
        assert "The selector 03F8h is null." in found
    else:
        assert found == words


def test_a_page_fault_is_foretold_with_its_reason():
    world = in_mode("32", 3, paging="32")
    world.put(world.page_entry(0x5000), 4, 0x5025)
    found = told(bench(world), "mov [5000h], eax", 32, W.CODE)
    assert found.endswith("The write raises #PF with error code 7h: the page is read-only.")


def test_code_that_cannot_be_read_is_told():
    world = in_mode("32", paging="32")
    assert explain.explain_instruction(bench(world), 0x40_0000) == [
        "The code at 400000h cannot be read: the PDE 00000000h at 00010004h is not present."
    ]


def test_the_permission_bitmap_lets_a_user_reach_a_port():
    world = in_mode("32", 3)
    world.put(W.TSS_32 + 102, 2, 0x68)
    world.cpu.head.tr.limit = 0x68 + 0x2000
    world.put(W.TSS_32 + 0x68 + 4, 1, 0xFD)
    assert "Not allowed" not in told(bench(world), "out 21h, al", 32, W.CODE)
    assert "Not allowed" in told(bench(world), "out 22h, al", 32, W.CODE)


# -- ports


@pytest.mark.parametrize(
    ("port", "size", "value", "write", "words"),
    [
        (0x21, 1, 0xFE, True, "OUT 21h, FEh: the master PIC's mask; only IRQ0, the timer, may now interrupt"),
        (0xA1, 1, 0xEF, True, "OUT A1h, EFh: the slave PIC's mask; only IRQ12, the mouse, may now interrupt"),
        (0x20, 1, 0x20, True,
         "OUT 20h, 20h: the master PIC's command (OCW2); non-specific end of interrupt: the highest in service "
         "is done"),
        (0x43, 1, 0x36, True, "OUT 43h, 36h: the timer's control word; channel 0, LSB, then MSB, mode 3, square wave, "
                              "binary"),
        (0x61, 1, 0x03, True,
         "OUT 61h, 03h: system control's port B; the timer reaches the speaker, timer channel 2 may count"),
        (0x64, 1, 0xD1, True, "OUT 64h, D1h: the keyboard controller's command; write the output port; it follows at "
                              "port 60h"),
        (0x60, 1, 0xF4, True, "OUT 60h, F4h: the keyboard controller's input buffer, for the keyboard; F4h goes to the "
                              "keyboard: start scanning"),
        (0x64, 1, 0x1C, False, "IN 64h, 1Ch: the keyboard controller's status; the last write was a command, self test "
                               "passed, may be written, no byte waits at port 60h"),
        (0x70, 1, 0x8F, True, "OUT 70h, 8Fh: the clock chip's index; chooses shutdown status, and masks the NMI"),
        (0x92, 1, 0x02, True, "OUT 92h, 02h: system control's port A; A20 open"),
        (0x3F8, 1, 0x41, True, "OUT 3F8h, 41h: COM1's transmitter; sends 'A' (41h)"),
        (0x3FD, 1, 0x60, False, "IN 3FDh, 60h: COM1's line status; transmitter idle, ready for a byte to send, nothing "
                                "received"),
        (0x3D4, 2, 0x050E, True,
         "OUT 3D4h, 050Eh: 3D4h 0Eh, the VGA's CRTC index; chooses cursor location, high byte; then 3D5h 05h, the "
         "VGA's cursor location, high byte; the cursor is at character 1280, row 16, column 0"),
        (0x80, 1, 0x42, True, "OUT 80h, 42h: the POST card's code; the diagnostic card shows 42"),
        (0xE9, 1, 0x21, True, "OUT E9h, 21h: the debug console's output; the host gets '!' (21h)"),
        (0xF4, 4, 0x10, True, "OUT F4h, 00000010h: the debug exit's exit code; the machine ends, with status 33"),
        (0x604, 2, 0x2000, True,
             "OUT 604h, 2000h: power management's control; no ACPI mode, sleep type 0: the machine goes off"),
        (0x999, 1, 0x00, True, "OUT 999h, 00h: nobody is there; the write is lost"),
        (0x999, 1, None, False, "IN 999h: nobody is there; it reads FFh"),
        (0x40, 1, None, False, "IN 40h: the timer's counter 0"),
    ],
)  # fmt: skip
def test_a_port_access_is_told_in_the_chips_words(real, port, size, value, write, words):
    real.devices["pic"].restore(PicPairState(PicState(awaited=0), PicState(awaited=0)))
    assert explain.explain_port(real, port, size, value, write) == words


def test_what_is_written_next_to_the_pic_depends_on_icw1(real):
    real.devices["pic"].restore(PicPairState(PicState(awaited=2, icw1=0x11), PicState()))
    assert explain.explain_port(real, 0x21, 1, 0x20, True) == (
        "OUT 21h, 20h: the master PIC's vector base (ICW2); its interrupts are vectors 20h to 27h"
    )


def test_the_answer_to_the_lights_command_is_known_as_its_option(real):
    keyboard = real.devices["keyboard"]
    before = keyboard.state()
    keyboard.receive(0xED)
    try:
        assert explain.explain_port(real, 0x60, 1, 0x02, True).endswith("02h goes to the keyboard: Num Lock lit")
    finally:
        keyboard.restore(before)


# -- interrupts, descriptors, flags, crashes


def test_a_page_fault_is_told_with_address_and_handler():
    world = in_mode("32", 3, paging="32")
    world.gate(14, 14, W.CODE_0, 0x18123)
    world.cpu.cr2 = 0x1234
    assert explain.explain_interrupt(14, 6, bench(world)) == [
        "Exception 0Eh, #PF, page fault: a page is not there, or its rights forbid the access.",
        "Error code 6h: writing by user code; no page is there.",
        "CR2, the address, is 1234h.",
        "The handler is behind IDT 0Eh: 32-bit interrupt gate, to 0008:00018123, DPL 0, present.",
    ]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "The error code is 0: no selector is to blame."),
        (0x10, "Error code 10h: the selector 0010h, entry 2 of the GDT, 32-bit data, base 0h, limit FFFFFFFFh, DPL 0, "
               "writable, accessed, present."),
        (0x10A, "Error code 10Ah: the IDT's entry 21h, null."),
        (0xFF9, "Error code FF9h: the selector 0FF8h, entry 511 of the GDT, which is not in the table; an event from "
                "outside was being delivered."),
    ],
)  # fmt: skip
def test_a_selector_error_code_names_what_is_to_blame(code, words):
    world = in_mode("32")
    assert explain.explain_error_code(13, code, world) == [words]


def test_a_vector_without_a_handler_is_told():
    world = in_mode("32")
    world.cpu.head.idt.limit = 0
    assert explain.explain_interrupt(13, 0, bench(world))[-1] == (
        "There is no handler: the vector lies beyond the table's limit 0h."
    )


def test_a_hardware_interrupt_is_told_by_its_line(real):
    ready = PicState(vector_base=8, icw1=0x11, icw3=4, icw4=1, awaited=0)
    real.devices["pic"].restore(PicPairState(ready, PicState(vector_base=0x70, awaited=0)))
    assert explain.explain_interrupt(8, None, real)[0] == (
        "Interrupt 08h: the vector that the PIC gives IRQ0, the timer (or #DF)."
    )
    assert explain.explain_interrupt(0x74, None, real)[0] == (
        "Interrupt 74h: the vector that the PIC gives IRQ12, the mouse."
    )


def test_a_descriptor_is_told_from_its_bytes():
    assert explain.explain_descriptor(0x00CF_9A00_0000_FFFF) == (
        "00CF9A000000FFFFh is 32-bit code, base 0h, limit FFFFFFFFh, DPL 0, readable, present."
    )
    assert explain.explain_descriptor(0) == "0000000000000000h is null."


def test_flag_changes_are_told_one_by_one():
    assert explain.explain_flags(0x202, 0x247) == [
        "CF 0 -> 1: a carry or a borrow.",
        "PF 0 -> 1: the low byte has an even number of ones.",
        "ZF 0 -> 1: the result is zero.",
    ]
    assert explain.explain_flags(0x3202, 0x2) == [
        "IF 1 -> 0: interrupts are kept out.",
        "IOPL 3 -> 0: I/O privilege level 0.",
    ]
    assert explain.explain_flags(0x202, 0x202) == []


def test_a_triple_fault_is_told_as_a_story():
    with minivm.boot("triplefault") as machine:
        ended = machine.run(ms=100)
        assert ended.autopsy is not None
        lines = explain.explain_autopsy(ended.autopsy)
    assert lines[0].startswith("It began with 03h, #BP, breakpoint (an INT3); it could not be delivered, because")
    assert lines[2].startswith("At last came 08h, #DF, double fault")
    assert lines[-1] == "Look first: LIDT set a limit that is too small for real mode; it should be 3FFh."


# -- agreement with the engine

REGISTERS = ("eax", "ebx", "ecx", "edx")
COMPUTING = [
    f"{name} {operands}"
    for name in ("add", "adc", "sub", "sbb", "and", "or", "xor", "cmp", "test")
    for operands in ("al, bl", "ax, bx", "eax, ebx", "ax, 7", "al, al")
] + [
    f"{name} {operand}" for name in ("inc", "dec", "neg", "not") for operand in ("al", "ax", "eax")
] + [
    f"{name} {operand}" for name in ("shl", "shr", "sar", "rol", "ror")
    for operand in ("al, 1", "ax, cl", "eax, 5", "al, cl")
] + ["mul bl", "mul bx", "imul bl", "imul ebx", "imul ax, bx", "imul ax, bx, -3", "div bl", "div bx", "idiv bl",
     "idiv bx", "bt ax, 5", "btc ax, 15", "bsf cx, ax", "bsr cx, ax", "xadd ax, bx", "cmpxchg bx, cx",
     "aad", "aam"]  # fmt: skip
BRANCHING = [f"j{letters} 7C20h" for letters in ("o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l",
             "ge", "le", "g")] + ["loop 7C20h", "loope 7C20h", "loopne 7C20h", "jcxz 7C20h"]  # fmt: skip
VALUE = st.one_of(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000]),
                  st.integers(0, 0xFFFF_FFFF))  # fmt: skip
ARITHMETIC = {"CF": 1, "PF": 4, "AF": 0x10, "ZF": 0x40, "SF": 0x80, "OF": 0x800}


def one_step(machine, source: str, values: list[int], flags: int) -> tuple[list[str], str]:
    """Explain one instruction at 7C00h, then let the engine execute it."""
    put(machine, rip=0x7C00, cs=0, cs_base=0, ss=0, ss_base=0, esp=0x6F00, rflags=flags & 0x8D5 | 2)
    put(machine, **dict(zip(REGISTERS, values, strict=True)))
    code = code_of(source, 16, 0x7C00)
    machine.memory[0x7C00 : 0x7C00 + len(code)] = code
    lines = explain.explain_instruction(machine, 0x7C00)
    machine.step()
    return lines, " ".join(lines)


def flags_told(text: str) -> dict[str, int]:
    """Return the flags that an explanation gives a value."""
    changed = {name: int(value) for name, value in re.findall(r"\b([A-Z]F) \d -> (\d)", text)}
    kept = {name: int(value) for name, value in re.findall(r"\b([A-Z]F)=(\d)", text)}
    return changed | kept


@given(st.sampled_from(COMPUTING), st.lists(VALUE, min_size=4, max_size=4), st.integers(0, 0xFFF))
@settings(max_examples=400, deadline=None)
def test_what_is_foretold_of_a_computation_is_what_the_engine_does(pc, source, values, flags):
    lines, text = one_step(pc, source, values, flags)
    ended = pc.cpu.rflags
    if "raises #DE" in text:
        assert pc.cpu.ip != 0x7C00 + len(code_of(source, 16, 0x7C00))
        return
    assert pc.cpu.ip == 0x7C00 + len(code_of(source, 16, 0x7C00))
    assert flags_told(text) == {name: int(bool(ended & ARITHMETIC[name])) for name in flags_told(text)}
    found = re.search(r": (\w+) (?:becomes|\(\w+\) is \w+ \w+ by) .*?= (\w+)h|and becomes (\w+)h", lines[0])
    if found and found[1]:
        assert getattr(pc.cpu, found[1].lower()) == int(found[2], 16)
    elif found:
        assert getattr(pc.cpu, source.split()[1].strip(",")) == int(found[3], 16)


@given(st.sampled_from(["mul bl", "imul bl", "mul bx", "imul ebx", "div bl", "div bx", "idiv bl", "idiv bx", "aam"]),
       st.lists(VALUE, min_size=4, max_size=4))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_products_and_quotients_are_those_of_the_engine(pc, source, values):
    lines, text = one_step(pc, source, values, 0)
    cpu = pc.cpu
    pairs = {"DX:AX": (cpu.dx << 16 | cpu.ax), "AX": cpu.ax, "EDX:EAX": cpu.edx << 32 | cpu.eax}
    product = re.search(r": ([A-Z:]+) becomes .* = (\w+)h", lines[0])
    quotient = re.search(r": (\w+) becomes (\w+)h, (\w+) the remainder (\w+)h", lines[0])
    if "raises #DE" in text:
        return
    if product:
        assert pairs[product[1]] == int(product[2], 16)
    else:
        assert quotient is not None
        assert getattr(cpu, quotient[1].lower()) == int(quotient[2], 16)
        assert getattr(cpu, quotient[3].lower()) == int(quotient[4], 16)


@given(st.sampled_from(BRANCHING), st.integers(0, 3), st.integers(0, 0xFFF))
@settings(max_examples=200, deadline=None)
def test_a_branch_goes_where_the_words_say(pc, source, count, flags):
    _, text = one_step(pc, source, [0, 0, count, 0], flags)
    jumps = ": yes" in text or "again" in text
    assert (pc.cpu.ip == 0x7C20) == jumps


# -- whatever the machine holds


@given(st.binary(min_size=1, max_size=15), st.sampled_from([16, 32, 64]),
       st.lists(st.integers(0, 2**64 - 1), min_size=16, max_size=16), st.integers(0, 2**32 - 1),
       st.sampled_from([0, 0x7C00, 0x5FFF, 0xFFFF8, 0xFFFF_FFF8]))  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_no_bytes_and_no_state_make_the_explainer_raise(code, bits, registers, noise, at):
    world = W.World()
    world.enter({16: "real", 32: "32", 64: "64"}[bits], noise & 3 if bits == 32 and noise & 3 in (0, 1, 3) else 0)
    world.memory[0x100:0x2100] = shake_128(noise.to_bytes(4, "little")).digest(0x2000)
    if at + len(code) <= W.RAM_BYTES:
        world.memory[at : at + len(code)] = code
    world.cpu.head.regs[:] = registers
    world.cpu.rflags = noise
    lines = explain.explain_instruction(bench(world), at)
    assert lines and all(line and line[-1] in ".!?" for line in lines)


@given(st.binary(min_size=300, max_size=300), st.binary(min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_no_processor_state_makes_the_explainer_raise(noise, code):
    world = W.World()
    head = world.cpu.head
    import ctypes

    raw = (noise * 8)[: ctypes.sizeof(head)]
    ctypes.memmove(ctypes.addressof(head), raw, ctypes.sizeof(head))
    head.hflags = int.from_bytes(noise[:4], "little") & (HF_PE | HF_LMA | HF_CS64 | HF_CS32 | 3 | 0x20)
    head.eflags = int.from_bytes(noise[4:8], "little") & (VM | IF | 0x3000)
    head.cr[0] &= CR0_PE | CR0_PG
    world.efer = EFER_LMA
    world.memory[0 : len(code)] = code
    machine = bench(world)
    assert explain.explain_instruction(machine)
    assert explain.explain_instruction(machine, 0)
    for vector in (0, 8, 13, 14, 0x21, 0xFF):
        assert explain.explain_interrupt(vector, noise[0] << 8 | noise[1], machine)
    assert isinstance(explain.explain_bios_call(machine), str)


@given(st.integers(0, 2**128 - 1), st.booleans(), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_any_descriptor_and_any_flags_have_words(raw, long, before, after):
    assert explain.explain_descriptor(raw, long=long).endswith(".")
    explain.explain_flags(before, after)


@given(st.integers(0, 0xFFFF), st.sampled_from([1, 2, 4]), st.integers(0, 0xFFFF_FFFF), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_port_access_has_words(pc, port, size, value, write):
    assert explain.explain_port(pc, port, size, value, write)
    assert explain.explain_port(pc, port & 0x3FF, size, None, False)


@given(st.lists(st.tuples(st.integers(0, 255), st.text(max_size=10)), max_size=4))
@settings(max_examples=50, deadline=None)
def test_any_autopsy_has_words(chain):
    assert explain.explain_autopsy(Autopsy(tuple(chain), {}, "real", b""))


def test_explaining_changes_nothing():
    with minivm.boot("paging") as machine:
        machine.run(ms=1)
        before = machine.state_hash()
        for _ in range(200):
            explain.explain_instruction(machine)
        for port in (0x20, 0x21, 0x40, 0x60, 0x64, 0x71, 0x3DA, 0x3F8, 0x3FD):
            explain.explain_port(machine, port, 1, None, False)
        assert machine.state_hash() == before


def test_every_instruction_of_every_guest_is_told():
    """Nothing in the bundled guests may be left to the words for unknown instructions."""
    unknown = set()
    with minivm.boot("hello-bios") as machine:
        machine.run_until(lambda vm: vm.cpu.linear_ip == 0x7C00)
        for image in sorted((Path(__file__).parents[2] / "guests").glob("*.img")):
            code = image.read_bytes()[:400]
            machine.memory[0x7C00 : 0x7C00 + len(code)] = code
            for one in disassemble(code, origin=0x7C00, bits=16):
                if one.mnemonic != "db" and "without words" in explain.explain_instruction(machine, one.address)[0]:
                    unknown.add(one.mnemonic)
    assert not unknown


def test_at_least_150_mnemonics_have_rules():
    assert len(RULES) >= 150


def test_the_configuration_data_is_the_register_that_the_address_chose(real):
    told = []
    for address in (0x8000_0920, 0x8000_0004, 0x8000_0B40, 0x8000_F800, 0x8000_0044, 0):
        real.ports.write(0xCF8, 4, address)
        told.append(explain.explain_port(real, 0xCFC, 4, 0x0000_C007, True))
    assert told == [
        "OUT CFCh, 0000C007h: PCI's bus master's base of the IDE function",
        "OUT CFCh, 0000C007h: PCI's command of the host bridge; may master the bus, memory decoded, I/O decoded",
        "OUT CFCh, 0000C007h: PCI's base of its ports of power management",
        "OUT CFCh, 0000C007h: PCI's register 00h of function 0 of device 31, who is not there",
        "OUT CFCh, 0000C007h: PCI's register 44h of the host bridge",
        "OUT CFCh, 0000C007h: PCI's configuration data; nobody answers",
    ]


def test_a_byte_for_the_mouse_is_told_in_the_mouses_words(real):
    real.ports.write(0x64, 1, 0xD4)
    real.clock.advance(1_000_000)
    assert explain.explain_port(real, 0x60, 1, 0xF4, True) == (
        "OUT 60h, F4h: the keyboard controller's input buffer, for the mouse; F4h goes to the mouse: start reporting"
    )
