"""The debugger's language: numbers, names, memory, operators, addresses, and messages for all that is none of it."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minivm
from minivm.debug.expressions import (
    REGISTERS,
    CpuContext,
    Place,
    compile_expression,
    mode_number,
    parse_address,
)
from minivm.debug.symbols import SymbolTable
from minivm.errors import ExpressionError, MemoryRangeError, MiniVMError

M64 = (1 << 64) - 1


class Guest:
    """A context of plain numbers: registers by name (0 when not given), and memory as bytes from address 0."""

    def __init__(self, *, bits: int = 32, mode: str = "32", memory: bytes = b"", **registers: int) -> None:
        self.registers = dict.fromkeys(REGISTERS, 0) | {"bits": bits, "mode": mode_number(mode)} | registers
        self.memory = memory
        self.loads: list[tuple[str, int, int]] = []

    def register(self, name: str, /) -> int:
        return self.registers[name]

    def load(self, linear: int, size: int, /) -> int:
        return self._load("linear", linear, size)

    def load_physical(self, address: int, size: int, /) -> int:
        return self._load("physical", address, size)

    def _load(self, kind: str, address: int, size: int) -> int:
        self.loads.append((kind, address, size))
        if address + size > len(self.memory):
            raise MemoryRangeError(f"{address:X}h is outside")
        return int.from_bytes(self.memory[address : address + size], "little")


def real_mode(memory: bytes = b"", **registers: int) -> Guest:
    bases = {f"{name}_base": registers.get(name, 0) << 4 for name in ("cs", "ds", "es", "ss", "fs", "gs")}
    return Guest(bits=16, mode="real", memory=memory, **bases | registers)


def value(text: str, guest: Guest | None = None, symbols: SymbolTable | None = None) -> int:
    return compile_expression(text, symbols).evaluate(guest or Guest())


def complaint(text: str, guest: Guest | None = None, symbols: SymbolTable | None = None) -> str:
    with pytest.raises(ExpressionError) as caught:
        value(text, guest, symbols)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def symbols() -> SymbolTable:
    table = SymbolTable("test")
    for name, address in (("start", 0x7C00), ("start.loop", 0x7C10), ("other.loop", 0x7C20), ("other.once", 0x7C24)):
        table.add(name, address)
    table.add("ticks", 0x9000, 4, "object")
    table.add("dx", 0x9004, 4, "object")
    file = table.add_file("src/kernel.c")
    table.add_lines(file, [(0x100000, 40), (0x100008, 42)], 0x100010)
    return table


# -- numbers and operators ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("16", 16),
        ("0x1F", 31),
        ("1Fh", 31),
        ("$1F", 31),
        ("1010b", 10),
        ("0b1010", 10),
        ("17q", 15),
        ("0xFFFF_0000", 0xFFFF0000),
        ("1_000", 1000),
        ("'A'", 65),
        ('"AB"', 0x4241),
        ("0xFFFFFFFFFFFFFFFF", M64),
    ],
)
def test_numbers_are_spelled_as_in_nasm(text: str, number: int) -> None:
    assert value(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("10 - 3 - 2", 5),
        ("1 << 4 | 1", 17),
        ("0xF0 & 0x3C ^ 1", 0x31),
        ("~0 & 0xFF", 0xFF),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("7 / -2", -3),
        ("!0 + !5", 1),
        ("- -3", 3),
        ("1 ? 2 : 3", 2),
        ("0 ? 2 : 0 ? 3 : 4", 4),
        ("1 < 2", 1),
        ("2 <= 1", 0),
        ("3 >= 3 && 2 > 1", 1),
        ("1 && 2", 1),
        ("0 || 7", 1),
        ("1 or 0 and 0", 1),
        ("not 1 == 2", 1),
        ("not not 5", 1),
        ("NOT 0 AND 1", 1),
        ("5 != 5", 0),
        ("1 << 64", 0),
        ("1 << 63 << 1", 0),
        ("0x8000000000000000 >> 63", 1),
        ("-8 >> 1", -4),
        ("5 >> 100", 0),
    ],
)
def test_operators_do_what_they_do_in_c(text: str, number: int) -> None:
    assert value(text) == number


def test_a_comparison_binds_looser_than_the_bits_it_compares() -> None:
    assert value("6 & 2 == 2") == 1
    assert value("1 | 6 == 7") == 1


def test_results_wrap_at_64_bits() -> None:
    assert value("0xFFFFFFFFFFFFFFFF + 1") == 0
    assert value("0x8000000000000000 * 2") == 0
    assert value("-0x8000000000000000 - 1") == 0x7FFF_FFFF_FFFF_FFFF


def test_all_ones_equal_minus_one_and_are_still_above_zero() -> None:
    guest = Guest(rax=M64)
    assert value("rax == -1", guest) == 1
    assert value("rax > 0", guest) == 1
    assert value("s64(rax) < 0", guest) == 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("s8(0xFF)", -1),
        ("s8(0x17F)", 127),
        ("s16(0x8000)", -0x8000),
        ("s32(0xFFFFFFFE)", -2),
        ("s64(0x8000000000000000)", -(1 << 63)),
        ("u8(-1)", 0xFF),
        ("u16(0x12345)", 0x2345),
        ("u32(-1)", 0xFFFFFFFF),
        ("unsigned(-1)", M64),
        ("signed(0xFFFFFFFFFFFFFFFF)", -1),
    ],
)
def test_casts_take_the_low_bits_and_their_sign(text: str, number: int) -> None:
    assert value(text) == number


def test_and_or_do_not_look_at_what_cannot_matter() -> None:
    assert value("0 and [0x999]") == 0
    assert value("1 or 1 / 0") == 1
    assert value("1 ? 5 : [0x999]") == 5


@settings(max_examples=100, deadline=None)
@given(st.integers(0, M64), st.integers(0, M64))
def test_arithmetic_is_that_of_64_bits(a: int, b: int) -> None:
    for operator, expected in (("+", a + b), ("-", a - b), ("*", a * b), ("&", a & b), ("|", a | b), ("^", a ^ b)):
        assert value(f"{a} {operator} {b}") & M64 == expected & M64
    assert value(f"{a} < {b}") == int(a < b)


# -- registers and symbols ------------------------------------------------------------------------------------------


def test_registers_flags_and_counters_have_their_names() -> None:
    guest = Guest(eax=3, cf=1, cr0=0x11, hits=7, cpl=3, ds_base=0x500)
    assert value("eax == 3 and cf and cr0 & 1 and hits > 6 and cpl == 3 and ds_base == 0x500", guest) == 1
    assert value("EAX", guest) == 3
    assert value("%eax + %eax %2", guest) == 4


def test_the_mode_is_compared_with_its_name() -> None:
    assert value("mode == 'real'", real_mode()) == 1
    assert value("mode == '64'", Guest(bits=64, mode="64")) == 1
    assert value("mode == 'vm86'", real_mode()) == 0


def test_symbols_are_their_addresses(symbols: SymbolTable) -> None:
    assert value("start + 4", symbols=symbols) == 0x7C04
    assert value("start.loop", symbols=symbols) == 0x7C10


def test_a_local_name_needs_its_parent_only_when_two_have_it(symbols: SymbolTable) -> None:
    assert value(".once", symbols=symbols) == 0x7C24
    said = complaint(".loop", symbols=symbols)
    assert "ambiguous" in said
    assert "start.loop" in said
    assert "other.loop" in said


def test_a_register_goes_before_a_symbol_and_a_dollar_turns_that_round(symbols: SymbolTable) -> None:
    assert value("dx", Guest(dx=5), symbols) == 5
    assert value("$dx", Guest(dx=5), symbols) == 0x9004
    assert value("$eax", Guest(eax=6), symbols) == 6


def test_a_counter_and_a_symbol_of_one_name_must_be_told_apart(symbols: SymbolTable) -> None:
    assert "$ticks or %ticks" in complaint("[ticks] > 100", symbols=symbols)
    assert value("%ticks", Guest(ticks=12), symbols) == 12
    assert value("$ticks", Guest(ticks=12), symbols) == 0x9000


def test_an_unknown_name_brings_the_nearest_one_known(symbols: SymbolTable) -> None:
    assert "did you mean eax?" in complaint("eaxx == 1")
    assert "did you mean start?" in complaint("strat", symbols=symbols)
    assert "no symbol 'xyzzy'" in complaint("xyzzy")
    assert "0xBEEF" in complaint("BEEF")


# -- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [("[0x10]", 4), ("byte [0x10]", 1), ("word ptr [0x10]", 2), ("dword [0x10]", 4), ("QWORD PTR [0x10]", 8)],
)
def test_the_size_before_the_bracket_says_how_much_is_read(text: str, size: int) -> None:
    guest = Guest(memory=bytes(range(64)))
    assert value(text, guest) == int.from_bytes(guest.memory[0x10 : 0x10 + size], "little")
    assert guest.loads == [("linear", 0x10, size)]


def test_without_a_size_16_bit_code_reads_words() -> None:
    assert value("[4]", real_mode(bytes(range(64)))) == 0x0504
    assert value("[4]", Guest(bits=64, mode="64", memory=bytes(range(64)))) == 0x07060504


def test_an_address_without_a_segment_is_linear() -> None:
    guest = real_mode(bytes(64), ds=0x1000, si=8)
    value("[si]", guest)
    assert guest.loads == [("linear", 8, 2)]


def test_a_segment_register_brings_its_hidden_base() -> None:
    guest = Guest(memory=bytes(0x600), ds_base=0x500, ds=0x10, si=4)
    value("byte [ds:si+4]", guest)
    assert guest.loads == [("linear", 0x508, 1)]


def test_a_16_bit_offset_wraps_in_its_segment() -> None:
    place = compile_expression("[ds:si-1]").place(real_mode(ds=0x1000, si=0))
    assert place == Place("linear", 0x1FFFF, 2)


def test_a_big_offset_reaches_beyond_64_kib_in_unreal_mode() -> None:
    place = compile_expression("byte [ds:ebx]").place(real_mode(ebx=0x100000))
    assert place == Place("linear", 0x100000, 1)


def test_in_real_mode_a_selector_is_shifted() -> None:
    guest = real_mode(bytes(0x500))
    value("[0x40:0x6c]", guest)
    value("[40:6c]", guest)
    assert guest.loads == [("linear", 0x46C, 2)] * 2


def test_in_protected_mode_a_selector_is_looked_up_in_its_table() -> None:
    code = bytes.fromhex("ffff 3412 009a cf56".replace(" ", ""))
    memory = bytes(0x108) + code + bytes(8)
    guest = Guest(memory=memory, gdt_base=0x100, gdt_limit=0xF)
    assert compile_expression("byte [8:1]").place(guest) == Place("linear", 0x56001235, 1)
    guest = Guest(memory=memory, ldt_base=0x100, ldt_limit=0xF)
    assert compile_expression("byte [0xF:1]").place(guest) == Place("linear", 0x56001235, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[3:0]", "null"),
        ("[0x20:0]", "outside the GDT"),
        ("[8:0]", "not present"),
        ("[0x10:0]", "gate"),
        ("[0x12345678:0]", "no selector"),
    ],
)
def test_a_selector_without_a_segment_is_refused(text: str, said: str) -> None:
    gate = bytes.fromhex("00000800008e0000")
    guest = Guest(memory=bytes(16) + gate + bytes(8), gdt_limit=0x17)
    assert said in complaint(text, guest)


def test_in_64_bit_code_only_fs_and_gs_have_bases() -> None:
    guest = Guest(bits=64, mode="64", ds_base=0x1000, gs_base=0xFFFF_8000_0000_0000, rax=0x10)
    assert compile_expression("byte [ds:rax]").place(guest) == Place("linear", 0x10, 1)
    assert compile_expression("byte [gs:rax]").place(guest) == Place("linear", 0xFFFF_8000_0000_0010, 1)


def test_linear_addresses_wrap_at_4_gib_outside_long_mode() -> None:
    assert compile_expression("byte [esp-4]").place(Guest()) == Place("linear", 0xFFFF_FFFC, 1)
    assert compile_expression("byte [rsp-4]").place(Guest(bits=64, mode="64")) == Place("linear", M64 - 3, 1)


def test_physical_memory_is_read_past_paging() -> None:
    guest = Guest(memory=bytes(64))
    value("byte phys[0x10] + phys[0x20]", guest)
    assert guest.loads == [("physical", 0x10, 1), ("physical", 0x20, 4)]


def test_brackets_may_stand_in_brackets() -> None:
    memory = bytearray(64)
    memory[0x10] = 0x20
    memory[0x24] = 0x99
    assert value("byte [byte [0x10] + 4]", Guest(memory=bytes(memory))) == 0x99


def test_memory_that_cannot_be_read_is_named_with_its_reason() -> None:
    said = complaint("1 + [0x1000]", Guest(memory=bytes(4)))
    assert "column 5" in said
    assert "00001000h" in said
    assert "outside" in said


def test_what_can_be_watched_has_a_place() -> None:
    guest = Guest(eax=0x10)
    assert compile_expression("word [eax]").place(guest) == Place("linear", 0x10, 2)
    assert compile_expression("(phys[8])").place(guest) == Place("physical", 8, 4)
    assert compile_expression("zf").place(guest) == Place("register", name="zf")
    assert compile_expression("eax + 1").place(guest) is None
    assert compile_expression("eax + [ds:si]").registers == {"eax", "ds", "si"}


# -- addresses ------------------------------------------------------------------------------------------------------


def test_addresses_of_every_kind(symbols: SymbolTable) -> None:
    guest = real_mode(cs=0x07C0, ip=0x10, ds=0x2000, si=2)
    for text, kind, linear in (
        ("0x7c00", "linear", 0x7C00),
        ("start+4", "linear", 0x7C04),
        ("07C0:0000", "segmented", 0x7C00),
        ("b800:a0", "segmented", 0xB80A0),
        ("40:17", "segmented", 0x417),
        ("0x40:17h", "segmented", 0x417),
        ("07C0:0010+4", "segmented", 0x7C14),
        ("cs:ip", "segmented", 0x7C10),
        ("ds:si + 1", "segmented", 0x20003),
        ("phys:0x1000", "physical", 0x1000),
        ("PHYS : start", "physical", 0x7C00),
        ("kernel.c:42", "linear", 0x100008),
        ("src/kernel.c:41", "linear", 0x100008),
    ):
        address = parse_address(text, guest, symbols)
        assert (address.kind, address.value, address.text) == (kind, linear, text)


def test_a_segmented_address_keeps_its_two_halves() -> None:
    address = parse_address("FFFF:0010", real_mode())
    assert (address.selector, address.offset, address.value) == (0xFFFF, 0x10, 0x100000)
    assert str(address) == "FFFF:0010"
    assert str(parse_address("phys:16", real_mode())) == "phys:00000010"


def test_a_64_bit_symbol_is_an_address_even_before_long_mode() -> None:
    table = SymbolTable()
    table.add("main", 0xFFFF_FFFF_8000_1000)
    assert parse_address("main", real_mode(), table).value == 0xFFFF_FFFF_8000_1000
    assert parse_address("0 - 4", real_mode()).value == 0xFFFF_FFFC


def test_a_symbol_local_to_a_file_is_named_with_it() -> None:
    table = SymbolTable()
    table.add("init", 0x1000, 4, "function", "src/a.c")
    table.add("init", 0x2000, 4, "function", "src/b.c")
    assert parse_address("b.c:init", Guest(), table).value == 0x2000
    said = complaint("init", symbols=table)
    assert "a.c:init" in said
    assert "0x2000" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kernel.c:900", "no code at line 900"),
        ("kernal.c:42", "did you mean kernel.c?"),
        ("phys:07C0:0000", "no segment"),
        ("", "missing"),
        ("0x7C0:", "missing"),
        ("cs:7c00", "0x7c00"),
        ("10:xyz", "no symbol 'xyz'"),
    ],
)
def test_an_address_that_is_none_says_why(symbols: SymbolTable, text: str, said: str) -> None:
    with pytest.raises(ExpressionError, match=r".") as caught:
        parse_address(text, real_mode(), symbols)
    assert said in str(caught.value)


def test_a_source_line_without_any_symbols_asks_for_them() -> None:
    with pytest.raises(ExpressionError, match="load symbols"):
        parse_address("kernel.c:42", real_mode())


# -- what cannot be read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("", 1, "missing"),
        ("eax ==", 7, "missing at the end"),
        ("eax == == 3", 8, "missing before '=='"),
        ("eax = 3", 5, "write '=='"),
        ("(1 + 2", 7, "closing ')'"),
        ("[ds:si", 7, "closing ']'"),
        ("1 + 2)", 6, "not expected"),
        ("1 2", 3, "not expected"),
        ("1 < 2 < 3", 7, "do not chain"),
        ("12abz", 1, "no number"),
        ("7c00", 1, "0x7c00"),
        ("'abc", 1, "not closed"),
        ("'123456789'", 1, "at most 8"),
        ("0x1FFFFFFFFFFFFFFFF", 1, "64 bits"),
        ("word eax", 6, "'[' is expected"),
        ("and 1", 1, "missing before 'and'"),
        ("1 / (2 - 2)", 3, "division by zero"),
        ("1 % 0", 3, "division by zero"),
        ("1 ? 2", 6, "':'"),
        ("a\nb", 1, "no symbol 'a'"),
        ("\x1b[31m", 1, "not expected"),
        ("é + ¤", 1, "no symbol"),
    ],
)
def test_a_mistake_is_shown_with_its_column(text: str, column: int, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert caught.value.column == column
    assert said in str(caught.value)
    assert f"column {column}:" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [start * 300 + end for start in ("(", "[", "-", "not ", "s8(", "1+", "0?0:", "a:", "1**") for end in ("", "1")],
)
def test_a_text_without_end_is_refused_early(text: str) -> None:
    for far in (text, text * 100):
        complaint(far)
        with pytest.raises(ExpressionError):
            parse_address(far, Guest())


def test_the_longest_chain_of_operands_still_evaluates() -> None:
    assert value("+".join(["1"] * 150)) == 150
    assert value("1+(" * 20 + "1" + ")" * 20) == 21


_WORDS = st.sampled_from(("eax", "ds", "si", "start", ".loop", "byte", "word", "ptr", "phys", "s8", "hits", "kernel.c"))
_NUMBERS = st.sampled_from(("0x40", "17", "7c00h", "'A'", "b800", "$", "'", "\0", "é"))
_OPERATORS = st.sampled_from((*"[]():+-*/%&|^~!<?=", "<<", ">>", "and", "or", "not", "==", ">="))
_PIECES = st.one_of(_WORDS, _NUMBERS, _OPERATORS)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.lists(_PIECES, max_size=12).map(" ".join), st.lists(_PIECES, max_size=9).map("".join), st.text()))
def test_any_text_is_a_number_or_one_clear_line(text: str) -> None:
    table = SymbolTable()
    table.add("start", 0x7C00)
    for guest in (real_mode(bytes(256)), Guest(memory=bytes(256)), Guest(bits=64, mode="64")):
        for use in (lambda: value(text, guest, table), lambda: parse_address(text, guest, table).value):  # noqa: B023
            try:
                assert -(1 << 63) <= use() <= M64
            except MiniVMError as error:
                assert str(error).isprintable()


# -- a real machine -------------------------------------------------------------------------------------------------


@pytest.fixture
def machine() -> Iterator[minivm.Machine]:
    code = bytes.fromhex("b83412 8ed8 f9 ebfe".replace(" ", ""))  # mov ax, 1234h; mov ds, ax; stc; jmp $
    with minivm.boot(code.ljust(510, b"\0") + b"\x55\xaa") as vm:
        yield vm


def context_of(vm: minivm.Machine) -> CpuContext:
    return CpuContext(vm.cpu, load=vm.space.load, load_physical=vm.space.load, ticks=lambda: vm.ticks)


def test_every_name_can_be_asked_of_a_real_cpu(machine: minivm.Machine) -> None:
    context = context_of(machine)
    for name, width in REGISTERS.items():
        assert 0 <= context.register(name) < 1 << width


def test_conditions_hold_on_a_running_guest(machine: minivm.Machine) -> None:
    condition = compile_expression("cf and ax == 0x1234 and ds_base == 0x12340 and bits == 16 and mode == 'real'")
    context = context_of(machine)
    assert condition.evaluate(context) == 0
    machine.run_until(lambda vm: vm.cpu.linear_ip == 0x7C06)
    assert condition.evaluate(context) == 1
    assert compile_expression("byte [cs:ip] == 0xEB and [0:7c06] == 0xFEEB and ticks > 0").evaluate(context) == 1
    context.hits = 3
    assert compile_expression("hits == 3 and if == (flags >> 9 & 1) and tf == 0").evaluate(context) == 1
