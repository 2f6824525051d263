"""Assembling by NASM or by the front end behind one function, and disassembling anything."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.debug.code import assemble, assemble_file, disassemble
from minivm.errors import AssemblyError

needs_nasm = pytest.mark.skipif(shutil.which("nasm") is None, reason="nasm is not installed")
ASSEMBLERS = [pytest.param("nasm", marks=[pytest.mark.nasm, needs_nasm]), "keystone"]


@pytest.mark.parametrize("assembler", ASSEMBLERS)
def test_a_file_finds_what_it_includes_beside_it(tmp_path: Path, assembler: str) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "main.asm").write_text('org 0x7c00\nstart: mov si, text\n%include "text.inc"\nincbin "data.bin"\n')
    (folder / "text.inc").write_text("text: db 'hi'\n")
    (folder / "data.bin").write_bytes(b"\x00\xff")
    made = assemble_file(folder / "main.asm", assembler=assembler)
    assert made.code == b"\xbe\x03\x7chi\x00\xff"
    assert (made.origin, made.bits, made.assembler) == (0x7C00, 16, assembler)
    assert made.symbols == {"start": 0x7C00, "text": 0x7C03}


@pytest.mark.parametrize("assembler", ASSEMBLERS)
def test_an_error_begins_with_the_file_as_it_was_given(tmp_path: Path, assembler: str) -> None:
    path = tmp_path / "wrong.asm"
    path.write_text("nop\nmov ax, [bx\n")
    with pytest.raises(AssemblyError) as caught:
        assemble_file(path, assembler=assembler)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("assembler", ASSEMBLERS)
def test_an_error_in_an_included_file_names_that_file(tmp_path: Path, assembler: str) -> None:
    (tmp_path / "part.inc").write_text("nop\nnop nop\n")
    with pytest.raises(AssemblyError, match=r"part\.inc:2: "):
        assemble('%include "part.inc"', assembler=assembler, directory=tmp_path)


@pytest.mark.parametrize("assembler", ASSEMBLERS)
def test_the_listing_places_sections_and_repeated_bytes(assembler: str) -> None:
    source = "org 0x100\nsection .data\nx: times 3 db 7\nsection .text\nmov si, x\nsection .bss\ny: resb 4\n"
    made = assemble(source, assembler=assembler)
    assert made.code == b"\xbe\x04\x01\x00\x07\x07\x07"
    stored = {line.number: (line.address, line.code) for line in made.listing if line.code}
    assert stored == {3: (0x104, b"\x07\x07\x07"), 5: (0x100, b"\xbe\x04\x01")}
    assert made.symbols == {"x": 0x104, "y": 0x108}


@pytest.mark.parametrize("assembler", ASSEMBLERS)
def test_bits_and_origin_hold_where_the_source_says_nothing(assembler: str) -> None:
    made = assemble("x: mov eax, x", assembler=assembler, bits=32, origin=0x1000)
    assert (made.code, made.origin, made.bits) == (b"\xb8\x00\x10\x00\x00", 0x1000, 32)


def test_without_nasm_the_front_end_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert assemble("mov ax, 10").assembler == "keystone"
    with pytest.raises(AssemblyError, match="nasm is not installed"):
        assemble("nop", assembler="nasm")


def test_a_path_that_is_no_source_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(AssemblyError, match="is a directory"):
        assemble_file(tmp_path)
    with pytest.raises(AssemblyError, match="cannot be read: No such file"):
        assemble_file(tmp_path / "missing.asm")
    (tmp_path / "garbage.asm").write_bytes(bytes(range(256)))
    with pytest.raises(AssemblyError, match=r"garbage\.asm:1: this is binary data"):
        assemble_file(tmp_path / "garbage.asm")


@pytest.mark.parametrize(
    ("code", "bits", "wanted"),
    [
        ("b80100", 16, "mov ax, 1"),
        ("b801000000", 32, "mov eax, 1"),
        ("268a05", 16, "mov al, byte [es:di]"),
        ("ea007c0000", 16, "jmp 0:0x7c00"),
        ("ff2e0010", 16, "jmp far [0x1000]"),
        ("f3a4", 16, "rep movsb"),
        ("2ef3a5", 16, "cs rep movsw"),
        ("4889c3", 64, "mov rbx, rax"),
    ],
)
def test_an_instruction_reads_as_nasm_would_write_it(code: str, bits: int, wanted: str) -> None:
    assert [one.text for one in disassemble(bytes.fromhex(code), origin=0x7C00, bits=bits)] == [wanted]


def test_bytes_that_are_no_instruction_become_db_and_the_rest_goes_on() -> None:
    found = disassemble(b"\x0f\x04\x90", origin=0x100)
    assert [(one.address, one.text) for one in found] == [(0x100, "db 0x0f"), (0x101, "add al, 0x90")]


def test_count_limits_the_instructions() -> None:
    assert len(disassemble(b"\x90" * 10, count=3)) == 3
    assert disassemble(b"", count=3) == []


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80), st.sampled_from((16, 32, 64)), st.integers(0, (1 << 64) - 1))
def test_any_bytes_are_disassembled_without_a_gap(code: bytes, bits: int, origin: int) -> None:
    found = disassemble(code, origin=origin, bits=bits)
    assert b"".join(one.code for one in found) == code
    assert all(one.mnemonic for one in found)


def test_importing_the_module_loads_neither_keystone_nor_capstone() -> None:
    program = (
        "import sys, minivm.debug.code, minivm.cli.asm, minivm.cli.disasm; "
        "print({'keystone', 'capstone'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("bits", "code", "name"),
    [
        (16, "98", "cbw"),
        (16, "6698", "cwde"),
        (16, "99", "cwd"),
        (16, "6699", "cdq"),
        (32, "98", "cwde"),
        (32, "6699", "cwd"),
    ],
)
def test_a_sign_extension_has_the_name_of_its_operand_size(bits, code, name):
    assert disassemble(bytes.fromhex(code), bits=bits)[0].text == name
