"""Symbols and lines: the table, and every kind of file that they come from."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm import bundled
from minivm.debug import symbols as symbols_module
from minivm.debug.symbols import SourceLine, Symbol, SymbolTable, load_symbols, symbols_for_guest
from minivm.errors import MiniVMError, SymbolError

needs_nasm = pytest.mark.skipif(shutil.which("nasm") is None, reason="nasm is not installed")


def found(table: SymbolTable, address: int) -> tuple[str, int] | None:
    near = table.nearest(address)
    return (near[0].name, near[1]) if near is not None else None


def line_of(table: SymbolTable, address: int) -> int | None:
    line = table.source(address)
    return line.line if line is not None else None


# -- the table ------------------------------------------------------------------------------------------------------


def test_an_address_is_named_after_the_symbol_before_it() -> None:
    table = SymbolTable()
    table.add("first", 0x1000)
    table.add("second", 0x1010)
    assert found(table, 0x0FFF) is None
    assert found(table, 0x1000) == ("first", 0)
    assert found(table, 0x100F) == ("first", 15)
    assert found(table, 0x1010) == ("second", 0)
    assert table.describe(0x101A) == "second+Ah"


def test_a_symbol_with_a_size_ends_there() -> None:
    table = SymbolTable()
    table.add("whole", 0x1000, 0x100, "function")
    table.add("inner", 0x1010, 4, "object")
    assert found(table, 0x1013) == ("inner", 3)
    assert found(table, 0x1014) == ("whole", 0x14)
    assert found(table, 0x1100) is None


def test_a_symbol_without_a_size_ends_with_its_section() -> None:
    table = SymbolTable()
    table.add("last", 0x7C10)
    table.add("variable", 0x500)
    assert found(table, 0x7C10 + 0xFFFF) == ("last", 0xFFFF)
    assert found(table, 0x7C10 + 0x10000) is None
    table.add_extent(0x7C00, 0x7C20)
    assert found(table, 0x7C1F) == ("last", 15)
    assert found(table, 0x7C20) is None
    assert found(table, 0x504) == ("variable", 4)
    assert found(table, 0x600) is None


def test_constants_are_looked_up_but_are_no_addresses() -> None:
    table = SymbolTable()
    table.add("PRESENT", 1, 0, "constant")
    assert table.lookup("PRESENT") == Symbol("PRESENT", 1, 0, "constant")
    assert found(table, 1) is None


def test_of_several_names_for_one_address_the_global_function_is_shown() -> None:
    table = SymbolTable()
    table.add("main", 0x1000, 8, "function")
    table.add("__text_start", 0x1000)
    table.add("local_alias", 0x1000, 8, "function", "a.c")
    assert found(table, 0x1002) == ("main", 2)


def test_a_local_name_is_found_alone_when_it_is_the_only_one() -> None:
    table = SymbolTable()
    for name, address in (("a.once", 1), ("a.loop", 2), ("b.loop", 3)):
        table.add(name, address)
    assert table.lookup(".once") == Symbol("a.once", 1, 0, "label")
    assert table.lookup(".loop") is None
    assert [symbol.name for symbol in table.matches(".loop")] == ["a.loop", "b.loop"]
    assert table.names() == ["a.loop", "a.once", "b.loop"]


def test_static_functions_of_one_name_are_told_apart_by_their_files() -> None:
    table = SymbolTable()
    table.add("init", 0x1000, 4, "function", "drivers/a.c")
    table.add("init", 0x2000, 4, "function", "drivers/b.c")
    assert table.lookup("init") is None
    assert table.lookup("b.c:init") == Symbol("init", 0x2000, 4, "function", "drivers/b.c")
    table.add("init", 0x3000, 4, "function")
    assert table.lookup("init") == Symbol("init", 0x3000, 4, "function")


def lines_table() -> SymbolTable:
    table = SymbolTable()
    first = table.add_file("/src/a.c", {10: "int a;", 12: "a++;"})
    second = table.add_file("/src/sub/b.c")
    table.add_lines(second, [(0x3000, 5)], 0x3010)
    table.add_lines(first, [(0x1000, 10), (0x1004, 12), (0x1008, 10)], 0x1010)
    return table


def test_an_address_has_the_line_that_begins_before_it_and_gaps_have_none() -> None:
    table = lines_table()
    assert table.source(0x1005) == SourceLine("/src/a.c", 12, "a++;")
    assert table.source(0x100F) == SourceLine("/src/a.c", 10, "int a;")
    assert table.source(0x3000) == SourceLine("/src/sub/b.c", 5, None)
    assert [table.source(address) for address in (0xFFF, 0x1010, 0x2FFF, 0x3010)] == [None] * 4
    assert table.files() == ("/src/a.c", "/src/sub/b.c")
    assert table.line_text("/src/a.c", 12) == "a++;"


def test_a_line_has_an_address_or_the_next_one_that_has_code() -> None:
    table = lines_table()
    assert table.address_of_line("a.c", 12) == 0x1004
    assert table.address_of_line("/src/a.c", 11) == 0x1004
    assert table.addresses_of_line("a.c", 10) == (0x1000, 0x1008)
    assert table.address_of_line("sub/b.c", 1) == 0x3000
    assert table.address_of_line("a.c", 13) is None
    assert table.address_of_line("c", 1) is None


def test_merged_tables_keep_all_names_and_lines_apart() -> None:
    one, two = lines_table(), SymbolTable()
    one.add("a", 0x1000)
    two.add_lines(two.add_file("/src/z.c"), [(0x5000, 7)], 0x5004)
    two.add_lines(two.add_file("/src/a.c"), [(0x6000, 99)], 0x6004)
    two.add("a", 0x1000)
    two.add("z", 0x5000)
    whole = SymbolTable.merged([one, two])
    assert len(whole) == 2
    assert [line_of(whole, address) for address in (0x1004, 0x3000, 0x5000, 0x6000)] == [12, 5, 7, 99]
    assert whole.address_of_line("z.c", 7) == 0x5000
    assert whole.address_of_line("a.c", 99) == 0x6000


def test_a_relocated_table_moves_all_but_constants() -> None:
    table = lines_table()
    table.add("start", 0x1000)
    table.add("SIZE", 0x1000, 0, "constant")
    table.add_extent(0x1000, 0x1010)
    moved = table.relocate(-0x800)
    assert (moved.lookup("start"), moved.lookup("SIZE")) == (
        Symbol("start", 0x800, 0, "label"),
        Symbol("SIZE", 0x1000, 0, "constant"),
    )
    assert (line_of(moved, 0x804), moved.address_of_line("a.c", 12)) == (12, 0x804)
    assert found(moved, 0x80F) == ("start", 15)
    assert (table.lookup("start"), line_of(table, 0x1004)) == (Symbol("start", 0x1000, 0, "label"), 12)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from([0, 1, 5, 40])), max_size=20),
    st.lists(st.integers(0, 260), min_size=1, max_size=20),
)
def test_the_nearest_symbol_holds_the_address(symbols: list[tuple[int, int]], addresses: list[int]) -> None:
    table = SymbolTable()
    for number, (address, size) in enumerate(symbols):
        table.add(f"s{number}", address, size)
    for address in addresses:
        near = table.nearest(address)
        holding = [(a, s) for a, s in symbols if a <= address < a + s]
        if near is None:
            assert not [a for a, s in symbols if a == address]
        else:
            symbol, offset = near
            assert symbol.address + offset == address
            assert offset < (symbol.size or 1 << 16)
            assert not holding or symbol.address >= min(a for a, _ in holding)


# -- NASM -----------------------------------------------------------------------------------------------------------

SOURCE = """\
        bits 16
        org 0x7C00
VALUE   equ 0x55 + 1
struc point
.x:     resw 1
.y:     resw 1
endstruc
%macro twice 1
        %1
        %1
%endmacro
start:
        mov ax, VALUE
.loop:  jmp .loop
        times 5 nop
message db "a text that is longer than one line of a listing", 0
        twice inc ax
%if 0
skipped: nop
%endif
other:
.loop:  hlt
section .data
table:  dw 0x1234
section .bss
buffer: resb 64
absolute 0x500
counter: resd 1
section .text
%include "part.inc"
last:   ret
"""
PART = "included:\n        nop\n        ret\n"
LABELS = {
    "start": 0x7C00,
    "start.loop": 0x7C03,
    "message": 0x7C0A,
    "other": 0x7C3D,
    "other.loop": 0x7C3D,
    "included": 0x7C3E,
    "last": 0x7C40,
    "table": 0x7C44,
    "buffer": 0x7C48,
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Assemble SOURCE with a listing and a map; return the image, which has those beside it."""
    if shutil.which("nasm") is None:
        pytest.skip("nasm is not installed")
    folder = tmp_path_factory.mktemp("program")
    (folder / "boot.asm").write_text(SOURCE)
    (folder / "part.inc").write_text(PART)
    command = ["nasm", "-f", "bin", "--before", "[map all boot.map]", "boot.asm", "-o", "boot.img", "-l", "boot.lst"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "boot.img"


def labels(table: SymbolTable) -> dict[str, int]:
    return {symbol.name: symbol.address for symbol in table if symbol.kind == "label" and symbol.name != "counter"}


def constants(table: SymbolTable) -> dict[str, int]:
    return {symbol.name: symbol.address for symbol in table if symbol.kind == "constant"}


def test_a_map_has_labels_and_constants(program: Path) -> None:
    table = load_symbols(program.with_suffix(".map"))
    assert labels(table) == LABELS
    assert constants(table)["VALUE"] == 0x56
    assert constants(table)["point.y"] == 2
    assert found(table, 0x7C06) == ("start.loop", 3)
    assert found(table, 0x7C48 + 63) == ("buffer", 63)
    assert found(table, 0x7C48 + 64) is None


def check_listing(table: SymbolTable) -> None:
    lines = SOURCE.splitlines()
    for text, address in (
        ("mov ax, VALUE", 0x7C00),
        (".loop:  jmp .loop", 0x7C04),
        ("times 5 nop", 0x7C09),
        ("message db", 0x7C2F),
        (".loop:  hlt", 0x7C3D),
        ("table:", 0x7C44),
        ("last:", 0x7C40),
    ):
        line = table.source(address)
        assert line is not None
        assert text in lines[line.line - 1]
        assert line.text == lines[line.line - 1]
    included = table.source(0x7C3F)
    assert included is not None
    assert (included.file, included.line, included.text) == ("part.inc", 3, "        ret")
    assert line_of(table, 0x7C3B) in (9, 10, 17)  # a macro's line: its definition, or its call
    assert table.source(0x7C41) is None
    assert table.address_of_line("boot.asm", 12) == 0x7C00
    assert found(table, 0x502) == ("counter", 2)


def test_a_listing_alone_has_labels_and_lines(program: Path, tmp_path: Path) -> None:
    alone = tmp_path / "boot.lst"
    shutil.copy(program.with_suffix(".lst"), alone)
    table = load_symbols(alone)
    # What %if leaves out cannot be told from a label before the next line.
    assert labels(table) == LABELS | {"skipped": 0x7C3D}
    assert constants(table) == {"VALUE": 0x56, "point": 0, "point.x": 0, "point.y": 2, "point_size": 4}
    check_listing(table)


def test_a_listing_takes_its_names_from_the_map_beside_it(program: Path) -> None:
    table = load_symbols(program.with_suffix(".lst"))
    assert labels(table) == LABELS
    check_listing(table)


def test_an_origin_that_is_given_overrides_the_one_in_the_listing(program: Path) -> None:
    table = load_symbols(program.with_suffix(".lst"), origin=0x600)
    assert table.lookup("start") == Symbol("start", 0x600, 0, "label")
    assert table.lookup("buffer") == Symbol("buffer", 0x648, 0, "label")
    assert table.address_of_line("boot.asm", 12) == 0x600


@needs_nasm
def test_a_section_lies_where_vstart_says(tmp_path: Path) -> None:
    source = "org 0x7C00\nnop\nsection high vstart=0x9000 align=16\nfar_away: nop\nsection .data\nnear_by: db 1\n"
    (tmp_path / "a.asm").write_text(source)
    subprocess.run(["nasm", "-f", "bin", "a.asm", "-o", "a.img", "-l", "a.lst"], cwd=tmp_path, check=True)
    table = load_symbols(tmp_path / "a.lst")
    assert table.lookup("far_away") == Symbol("far_away", 0x9000, 0, "label")
    assert line_of(table, 0x9000) == 4
    assert labels(table) == labels(load_symbols(tmp_path / "a.asm"))


def test_a_source_is_assembled_for_its_symbols(program: Path) -> None:
    table = load_symbols(program.with_suffix(".asm"))
    assert labels(table) == LABELS
    assert constants(table)["VALUE"] == 0x56
    assert line_of(table, 0x7C00) == 13
    assert found(table, 0x502) == ("counter", 2)
    assert table.address_of_line("boot.asm", 13) == 0x7C00


def test_a_guest_finds_what_lies_beside_it(program: Path, tmp_path: Path) -> None:
    assert line_of(symbols_for_guest(program), 0x7C04) == 14
    image = tmp_path / "kernel.bin"
    image.write_bytes(b"\x90")
    Path(f"{image}.sym").write_text("00007c00 T entry\n")
    assert symbols_for_guest(image).lookup("entry") == Symbol("entry", 0x7C00, 0, "function")


def test_a_guest_takes_its_source_only_when_that_makes_the_image(program: Path, tmp_path: Path) -> None:
    image = tmp_path / "boot.img"
    for name in ("boot.asm", "part.inc", "boot.img"):
        shutil.copy(program.parent / name, tmp_path)
    assert labels(symbols_for_guest(image)) == LABELS
    image.write_bytes(b"\xeb" + image.read_bytes()[1:])
    table = symbols_for_guest(image)
    assert len(table) == 0
    assert "not what the image was made from" in table.notes[0]


def test_a_guest_with_broken_neighbours_has_notes_and_no_error(tmp_path: Path) -> None:
    image = tmp_path / "a.img"
    image.write_bytes(b"\x90" * 512)
    (tmp_path / "a.map").write_bytes(b"\0\1\2")
    (tmp_path / "a.asm").write_text("bogus bogus\n")
    table = symbols_for_guest(image)
    assert (len(table), len(table.notes)) == (0, 2)
    assert all("\n" not in note for note in table.notes)
    assert len(symbols_for_guest(tmp_path / "missing.img")) == 0


@pytest.mark.parametrize("name", ["hello-bios", "paging", "longmode"])
def test_a_bundled_guest_brings_its_own_source(name: str) -> None:
    guest = bundled.find(name)
    assert guest is not None
    table = symbols_for_guest(guest.image)
    start = table.lookup("start")
    assert start is not None
    line = table.source(start.address)
    assert line is not None
    assert line.text == guest.source.read_text().splitlines()[line.line - 1]
    assert table.notes == []


# -- text -----------------------------------------------------------------------------------------------------------


def test_nm_and_system_map_lines_are_understood(tmp_path: Path) -> None:
    text = tmp_path / "System.map"
    text.write_text(
        "# made by nm -n\n\n         U missing\nffffffff81000000 T _text\nffffffff81000010 00000020 t local\n"
        "0x00001000 plain\n00002000 B bss\nc0100000 A absolute\nffffffffa0000000 t other\t[module]\nfile.o:\n"
    )
    table = load_symbols(text)
    assert table.lookup("_text") == Symbol("_text", 0xFFFF_FFFF_8100_0000, 0, "function")
    assert table.lookup("local") == Symbol("local", 0xFFFF_FFFF_8100_0010, 0x20, "function")
    assert table.lookup("plain") == Symbol("plain", 0x1000, 0, "label")
    assert table.lookup("bss") == Symbol("bss", 0x2000, 0, "object")
    assert table.lookup("absolute") == Symbol("absolute", 0xC010_0000, 0, "constant")
    assert table.lookup("other") == Symbol("other", 0xFFFF_FFFF_A000_0000, 0, "function")
    assert len(table) == 6


def test_the_map_of_gnu_ld_is_understood(tmp_path: Path) -> None:
    text = tmp_path / "kernel.map"
    text.write_text(
        "Memory Configuration\n\nLinker script and memory map\n\n"
        ".text           0x0000000000100000       0x20\n"
        " .text          0x0000000000100000       0x20 a.o\n"
        "                0x0000000000100000                start\n"
        "                0x0000000000100010                main\n"
        "                0x0000000000100020                end = .\n"
    )
    table = load_symbols(text)
    assert {symbol.name: symbol.address for symbol in table} == {"start": 0x100000, "main": 0x100010, "end": 0x100020}
    assert found(table, 0x10001F) == ("main", 15)


def test_a_line_that_is_no_symbol_is_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("00001000 T fine\nDear diary\n")
    with pytest.raises(SymbolError, match=r"notes\.txt:2: 'Dear diary' is not an address"):
        load_symbols(text)


# -- ELF ------------------------------------------------------------------------------------------------------------

C_SOURCE = """\
volatile int counter;
static int helper(int x) {
    volatile int y = x;
    return y * 3;
}
__attribute__((noinline)) int total(int n) {
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += helper(i);
    return sum;
}
void _start(void) {
    counter = total(5);
    for (;;)
        ;
}
"""
LINK = ["-ffreestanding", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-fno-stack-protector", "-Wl,--build-id=none"]


def compiled(folder: Path, *flags: str, name: str = "kernel.elf") -> Path:
    """Compile C_SOURCE; skip the test where that cannot be done."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    (folder / "kernel.c").write_text(C_SOURCE)
    done = subprocess.run(["gcc", *LINK, *flags, "kernel.c", "-o", name], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"gcc cannot do {' '.join(flags)}")
    return folder / name


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("elf"), "-m32", "-g", "-O2", "-Wl,-Ttext=0x100000")


@pytest.mark.parametrize("version", [2, 3, 4, 5])
@pytest.mark.parametrize("flags", ["-m32 -O2", "-m32 -O0", "-m16 -O2", "-m64 -O2 -mcmodel=kernel"])
def test_symbols_and_lines_of_every_dwarf_version(tmp_path: Path, version: int, flags: str) -> None:
    base = {"-m32": 0x100000, "-m16": 0x7C00, "-m64": 0xFFFF_FFFF_8010_0000}[flags[:4]]
    elf = compiled(tmp_path, *flags.split(), f"-gdwarf-{version}", f"-Wl,-Ttext={base:#x}")
    table = load_symbols(elf)
    total = table.lookup("total")
    assert total is not None
    assert (total.kind, total.address >= base, total.size > 8) == ("function", True, True)
    assert found(table, total.address + 5) == ("total", 5)
    line = table.source(total.address)
    assert line is not None
    assert line.line in (6, 7, 8)  # an optimizer may move the first statements before the function's entry
    assert line == SourceLine(str(tmp_path / "kernel.c"), line.line, C_SOURCE.splitlines()[line.line - 1])
    start = table.lookup("_start")
    assert start is not None
    inside = table.address_of_line("kernel.c", 13)
    assert inside is not None
    assert start.address <= inside < start.address + start.size
    assert line_of(table, inside) == 13
    assert all(line_of(table, a) == 13 for a in table.addresses_of_line("kernel.c", 13))
    assert table.lookup("counter") in list(table)
    assert found(table, table.lookup("counter").address + 3) == ("counter", 3)  # type: ignore[union-attr]


def test_our_lines_are_those_of_pyelftools(kernel: Path) -> None:
    from elftools.elf.elffile import ELFFile

    table = load_symbols(kernel)
    with kernel.open("rb") as file:
        dwarf = ELFFile(file).get_dwarf_info()
        rows: dict[int, int] = {}
        for unit in dwarf.iter_CUs():
            states = [entry.state for entry in dwarf.line_program_for_CU(unit).get_entries() if entry.state is not None]
            rows |= {state.address: state.line for state in states if not state.end_sequence}
            end = next(state.address for state in states if state.end_sequence)
    assert len(rows) > 10
    assert {address: line_of(table, address) for address in rows} == rows
    assert table.source(end) is None


@needs_nasm
def test_assembly_linked_into_an_elf_has_lines_too(tmp_path: Path) -> None:
    if shutil.which("ld") is None:
        pytest.skip("ld is not installed")
    (tmp_path / "a.asm").write_text("global _start\nsection .text\n_start:\n  nop\n.loop:\n  jmp .loop\n")
    subprocess.run(["nasm", "-f", "elf32", "-g", "-F", "dwarf", "a.asm", "-o", "a.o"], cwd=tmp_path, check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-Ttext", "0x8000", "a.o", "-o", "a.elf"], cwd=tmp_path, check=True)
    table = load_symbols(tmp_path / "a.elf")
    assert found(table, 0x8001) == ("_start.loop", 0)
    assert (line_of(table, 0x8000), line_of(table, 0x8001)) == (4, 6)
    with pytest.raises(SymbolError, match="object file"):
        load_symbols(tmp_path / "a.o")


def test_lines_of_dropped_functions_do_not_appear_at_zero(tmp_path: Path) -> None:
    (tmp_path / "extra.h").write_text("int unused(int a) { return a + 1; }\n")
    drop = ["-ffunction-sections", "-Wl,--gc-sections", "-include", "extra.h"]
    elf = compiled(tmp_path, "-m32", "-g", "-O0", *drop, "-Wl,-Ttext=0x100000")
    table = load_symbols(elf)
    assert table.lookup("unused") is None
    assert table.source(0) is None
    assert table.source(4) is None


def test_packed_debug_information_is_unpacked(tmp_path: Path) -> None:
    table = load_symbols(compiled(tmp_path, "-m32", "-g", "-O2", "-gz=zlib", "-Wl,-Ttext=0x100000"))
    assert table.address_of_line("kernel.c", 13) is not None


def test_debug_information_packed_the_old_way_is_left_out_with_a_note(tmp_path: Path) -> None:
    elf = compiled(tmp_path, "-m32", "-g", "-O2")
    packed = tmp_path / "packed.elf"
    command = ["objcopy", "--compress-debug-sections=zlib-gnu", str(elf), str(packed)]
    if shutil.which("objcopy") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("objcopy cannot do zlib-gnu")
    table = load_symbols(packed)
    assert table.lookup("total") is not None
    assert "old way" in table.notes[0]


@pytest.mark.parametrize("which", ["directories", "files"])
def test_a_count_in_a_damaged_header_is_not_believed(tmp_path: Path, which: str) -> None:
    elf = compiled(tmp_path, "-m32", "-gdwarf-5", "-O2")
    content = bytearray(elf.read_bytes())
    lengths = content.index(bytes.fromhex("000101010100000001000001"))  # the standard opcodes' numbers of operands
    formats = lengths + 12
    if which == "directories":
        content[formats : formats + 9] = b"\0" + b"\xff" * 7 + b"\x7f"
    else:
        content[formats : formats + 11] = b"\0\0\0" + b"\xff" * 7 + b"\x7f"
    elf.write_bytes(content)
    with pytest.raises(SymbolError, match="entries in a line program"):
        load_symbols(elf)


def test_a_source_that_moved_is_found_beside_the_program(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    elf = compiled(tmp_path / "old", "-m32", "-g", "-O2")
    for path in (elf, tmp_path / "old" / "kernel.c"):
        path.rename(tmp_path / "new" / path.name)
    table = load_symbols(tmp_path / "new" / "kernel.elf")
    line = table.source(table.lookup("total").address)  # type: ignore[union-attr]
    assert line is not None
    assert line.text == C_SOURCE.splitlines()[line.line - 1]


def test_a_stripped_program_says_that_it_has_no_symbols(tmp_path: Path) -> None:
    with pytest.raises(SymbolError, match="no symbols and no lines"):
        load_symbols(compiled(tmp_path, "-m32", "-s"))
    workload = bundled.find("workload")
    assert workload is not None
    assert "no symbols" in symbols_for_guest(workload.image).notes[0]


def test_symbols_beside_a_stripped_kernel_are_used(kernel: Path, tmp_path: Path) -> None:
    shutil.copy(kernel, tmp_path / "kernel.elf")
    (tmp_path / "kernel.bin").write_bytes(b"\x90" * 100)
    assert symbols_for_guest(tmp_path / "kernel.bin").lookup("total") is not None


def test_a_kernel_of_a_megabyte_loads_in_a_second(tmp_path: Path) -> None:
    code = ['.file "big.c"', '.file 1 "big.c"', ".text"]
    for number in range(5000):
        code += [f".globl f{number}", f".type f{number}, @function", f"f{number}:"]
        code += [f".loc 1 {number * 50 + line} {line % 9}\nmovl ${line}, %eax" for line in range(40)]
        code.append(f".size f{number}, .-f{number}")
    (tmp_path / "big.s").write_text("\n".join(code) + "\n")
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    command = ["gcc", *LINK, "-m32", "-Wl,-Ttext=0x100000,-e,f0", "big.s", "-o", "big.elf"]
    if subprocess.run(command, cwd=tmp_path, check=False).returncode:
        pytest.skip("gcc -m32 does not work")
    before = time.process_time()
    table = load_symbols(tmp_path / "big.elf")
    first = table.lookup("f4999")
    assert first is not None
    assert (len(table) > 5000, line_of(table, first.address)) == (True, 4999 * 50)
    assert time.process_time() - before < 1
    before = time.process_time()
    for offset in range(2000):
        table.source(first.address - offset)
        table.nearest(first.address - offset)
    assert time.process_time() - before < 0.2


# -- what is no symbol file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\x7fELF", "damaged"),
        (b"\x7fELF\x01\x01\x01" + bytes(200), "ELF"),
        (b"MZ\0\0", "neither ELF nor text"),
        (b"\xff\xfe\xfd", "not an address"),
        (b"- NASM Map file ----\n", "no symbols"),
        (b"     1                                  nop\n", "without code"),
        (b"# only a comment\n", "no symbols"),
    ],
)
def test_a_file_without_symbols_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(SymbolError) as caught:
        load_symbols(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "missing", Path("/dev/zero"), "a\0b"):
        with pytest.raises(SymbolError):
            load_symbols(path)


def test_a_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge"
    path.write_bytes(b"00001000 T name\n" * 1000)
    monkeypatch.setattr(symbols_module, "LARGEST_TEXT_BYTES", 1000)
    with pytest.raises(SymbolError, match="at most 1000"):
        load_symbols(path)
    monkeypatch.setattr(symbols_module, "LARGEST_ELF_BYTES", 100)
    with pytest.raises(SymbolError, match="more than"):
        load_symbols(path)


def _load_all(path: Path) -> None:
    """Load a file and use everything; only an error of ours may come out."""
    try:
        table = load_symbols(path)
    except MiniVMError as error:
        assert "\n" not in str(error)
        return
    for symbol in list(table)[:50]:
        table.nearest(symbol.address)
        table.source(symbol.address)
    for file in table.files()[:5]:
        table.address_of_line(file, 1)
    table.relocate(16)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_elf_never_raises_anything_else(kernel: Path, data: st.DataObject) -> None:
    content = bytearray(kernel.read_bytes())
    for place, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8)
    ):
        content[place] = byte
    headers = int.from_bytes(kernel.read_bytes()[32:36], "little")
    for place, byte in data.draw(st.lists(st.tuples(st.integers(headers, len(content) - 1), st.integers(0, 255)))):
        content[place] = byte
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    damaged = kernel.with_name("damaged.elf")
    damaged.write_bytes(content)
    _load_all(damaged)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_listing_or_map_never_raises_anything_else(program: Path, data: st.DataObject) -> None:
    text = program.with_suffix(data.draw(st.sampled_from([".lst", ".map"]))).read_text()
    lines = text.splitlines()
    junk = st.one_of(
        st.text(max_size=30), st.sampled_from(lines), st.from_regex(r"     1 [0-9A-F]{8} [0-9A-F<>rep h]{1,20}")
    )
    for place, line in data.draw(st.lists(st.tuples(st.integers(0, len(lines) - 1), junk), max_size=10)):
        lines[place] = line
    damaged = program.with_name("damaged.lst")
    damaged.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    _load_all(damaged)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda data: b"\x7fELF" + data)))
def test_random_bytes_never_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random-symbols"
    path.write_bytes(data)
    _load_all(path)


def test_loading_symbols_imports_pyelftools_only_for_elf(tmp_path: Path) -> None:
    (tmp_path / "a.sym").write_text("00001000 T name\n")
    check = (
        "import sys; from minivm.debug.symbols import load_symbols; load_symbols(sys.argv[1]);"
        "assert not [name for name in sys.modules if name.startswith(('elftools', 'unicorn', 'textual', 'keystone'))]"
    )
    subprocess.run([sys.executable, "-c", check, str(tmp_path / "a.sym")], check=True)
