"""`minivm asm` and `minivm disasm`, called as the command line does."""

import argparse
import io
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from minivm.cli import asm, disasm
from minivm.errors import AssemblyError, ConfigError, MiniVMError


def call(command: ModuleType, *arguments: str) -> int:
    parser = argparse.ArgumentParser("minivm")
    command.configure(parser)
    status: int = command.run(parser.parse_args(arguments))
    return status


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "boot.asm"
    path.write_text("org 0x7c00\nstart: mov ax, 10\n jmp start\n")
    return path


def test_asm_shows_the_bytes(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(asm, str(source), "--assembler", "keystone") == 0
    assert capsys.readouterr().out == f"00007C00  {'b8 0a 00 eb fb':<47}  .....\n"


def test_asm_shows_a_listing(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(asm, str(source), "--listing", "--assembler", "keystone") == 0
    assert "    3  00007C03  EBFB                    jmp start" in capsys.readouterr().out


def test_asm_reads_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"push eax")))
    assert call(asm, "-", "--bits", "32", "--origin", "100000h", "--assembler", "keystone") == 0
    assert capsys.readouterr().out.startswith("00100000  50 ")


def test_asm_writes_the_file_and_says_so(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "boot.img"
    assert call(asm, str(source), "-o", str(target), "--assembler", "keystone") == 0
    assert target.read_bytes() == b"\xb8\x0a\x00\xeb\xfb"
    assert capsys.readouterr().out == f"{target}: 5 bytes, origin 7C00h, made by keystone\n"


def test_asm_leaves_the_old_file_whole_when_the_source_is_wrong(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "boot.img"
    target.write_bytes(b"precious")
    source.write_text("nonsense here\n")
    with pytest.raises(AssemblyError):
        call(asm, str(source), "-o", str(target))
    assert target.read_bytes() == b"precious"


def test_asm_cleans_up_when_writing_fails(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(ConfigError, match="is a directory"):
        asm.write_atomically(tmp_path / "target", b"x")
    with pytest.raises(ConfigError, match="cannot be written"):
        asm.write_atomically(tmp_path / "missing" / "x", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_new_file_gets_the_usual_rights_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    asm.write_atomically(tmp_path / "new", b"x")
    assert (tmp_path / "new").stat().st_mode == plain.stat().st_mode
    plain.chmod(0o600)
    asm.write_atomically(plain, b"y")
    assert plain.stat().st_mode & 0o777 == 0o600


def test_repeated_lines_of_a_hex_dump_become_a_star() -> None:
    lines = asm.hex_lines(bytes(64) + b"U\xaa", 0)
    assert [line[:8] for line in lines] == ["00000000", "*", "00000040"]


def test_disasm_shows_instructions_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "code"
    path.write_bytes(b"\x90\xb8\x0a\x00\xeb\xfb\xf4")
    assert call(disasm, str(path), "--skip", "1", "--count", "2") == 0
    assert capsys.readouterr().out.splitlines() == [
        "00007C01  B80A00                  mov ax, 0xa",
        "00007C04  EBFB                    jmp 0x7c01",
    ]


@pytest.mark.parametrize("text", ["b80100", "b8 01 00", "0xb8,0x01, 0x0", "B8h 01h 00h", "b8\n0100"])
def test_disasm_reads_hex_in_every_spelling(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(disasm, "--hex", text) == 0
    assert capsys.readouterr().out.endswith("mov ax, 1\n")


@pytest.mark.parametrize(
    "arguments", [("--hex", "xyz"), ("--hex", "b8 123"), (), ("file", "--hex", "90"), ("missing",), ("/",), ("a\0b",)]
)
def test_disasm_refuses_wrong_input_in_one_line(arguments: tuple[str, ...]) -> None:
    with pytest.raises(MiniVMError) as caught:
        call(disasm, *arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["abc", "-1", "0x", "", "10000000000000000h"])
def test_a_wrong_number_is_a_usage_error(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        call(disasm, "--hex", "90", f"--origin={text}")
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error() -> None:
    program = "from minivm.cli.asm import print_lines; import sys; sys.exit(print_lines(['x' * 1000] * 1000))"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
