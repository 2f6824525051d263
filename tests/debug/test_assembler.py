"""The NASM-language front end: what it makes, against Intel's manual and NASM, and what it refuses."""

import hashlib
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.debug.code import Assembled, assemble, assemble_file
from minivm.debug.nasm_front.expressions import Value, evaluate
from minivm.debug.nasm_front.forms import forms
from minivm.debug.nasm_front.tokens import strip, tokenize
from minivm.errors import AssemblyError

CORPUS = Path(__file__).parent / "corpus"
GUESTS = Path(__file__).parents[2] / "guests"
SOURCES = sorted(CORPUS.glob("*.asm"))
EXPECTED = dict(line.split() for line in (CORPUS / "expected.txt").read_text().splitlines())
needs_nasm = [pytest.mark.nasm, pytest.mark.skipif(shutil.which("nasm") is None, reason="nasm is not installed")]


def front(source: str, **options: int) -> Assembled:
    return assemble(source, assembler="keystone", **options)


def code(source: str, **options: int) -> str:
    return front(source, **options).code.hex(" ")


def refusal(source: str, **options: int) -> str:
    with pytest.raises(AssemblyError) as caught:
        front(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


# The whole corpus ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_corpus_gives_the_bytes_that_nasm_gave(path: Path) -> None:
    made = assemble_file(path, assembler="keystone").code
    assert hashlib.sha256(made).hexdigest() == EXPECTED[path.stem]


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem, marks=needs_nasm) for path in SOURCES])
def test_nasm_and_the_front_end_agree_on_code_symbols_and_listing(path: Path) -> None:
    ours, theirs = assemble_file(path, assembler="keystone"), assemble_file(path, assembler="nasm")
    assert ours.code == theirs.code
    assert (ours.origin, ours.bits, ours.symbols) == (theirs.origin, theirs.bits, theirs.symbols)
    assert _stored(ours) == _stored(theirs)


def _stored(assembled: Assembled) -> set[tuple[int, bytes]]:
    return {(line.address, line.code) for line in assembled.listing if line.code}


@pytest.mark.parametrize("path", sorted(GUESTS.glob("*.asm")), ids=lambda path: path.stem)
def test_every_bundled_guest_assembles_to_its_image_without_nasm(path: Path) -> None:
    image = path.with_suffix(".img")
    if not image.exists():
        pytest.skip("the guest has no image of its own")
    assert assemble_file(path, assembler="keystone").code == image.read_bytes()


def test_a_boot_sector_of_300_lines_assembles_in_under_a_second() -> None:
    source = "org 0x7c00\n" + "start: mov ax, [bx+si+5]\n" + "add ax, start\n jmp near_by\n cmp word [bx], 5\n" * 75
    began = time.perf_counter()
    front(source + "near_by: fninit\n")
    assert time.perf_counter() - began < 1


# Instructions, by Intel's manual ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("mov ax, 10", "b8 0a 00"),  # Keystone alone would read 10 as hexadecimal
        ("ret", "c3"),  # and would put 66h before these four
        ("retf", "cb"),
        ("x: times 200 nop\njmp x", "90 " * 200 + "e9 35 ff"),
        ("call x\nx:", "e8 00 00"),
        ("jmp $", "eb fe"),
        ("jmp 0x08:0x1234", "ea 34 12 08 00"),
        ("jmp dword 0x08:0x1234", "66 ea 34 12 00 00 08 00"),
        ("jmp far [bx]", "ff 2f"),
        ("call dword far [bx]", "66 ff 1f"),
        ("push 5", "6a 05"),
        ("push 500", "68 f4 01"),
        ("push dword 5", "66 6a 05"),
        ("add ax, 5", "83 c0 05"),
        ("add ax, 0xffff", "83 c0 ff"),
        ("add ax, strict word 5", "05 05 00"),
        ("mov al, [es:di+4]", "26 8a 45 04"),
        ("mov [0x1234], ax", "a3 34 12"),
        ("mov ds, ax", "8e d8"),
        ("mov eax, cr0", "0f 20 c0"),
        ("lgdt [0x1234]", "0f 01 16 34 12"),
        ("o32 lgdt [bx]", "66 0f 01 17"),
        ("rep movsd", "f3 66 a5"),
        ("a32 es lodsb", "26 67 ac"),
        ("lock add word [bx], 1", "f0 83 07 01"),
        ("iretd", "66 cf"),
        ("o32 ret", "66 c3"),
        ("in al, 60h", "e4 60"),
        ("out dx, eax", "66 ef"),
        ("int 13h", "cd 13"),
        ("shl ax, 1", "d1 e0"),
        ("loop $, ecx", "67 e2 fd"),
        ("mov eax, [ebx+ecx*4+8]", "66 67 8b 44 8b 08"),
        ("cpu 8086\njz x\ntimes 200 nop\nx:", "75 03 e9 c8 00 " + "90 " * 200),
    ],
)
def test_a_16_bit_instruction_is_encoded_as_in_the_manual(source: str, wanted: str) -> None:
    assert code(source) == wanted.strip()


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("mov rax, 5", "b8 05 00 00 00"),
        ("mov rax, -1", "48 c7 c0 ff ff ff ff"),
        ("mov rax, 0x123456789a", "48 b8 9a 78 56 34 12 00 00 00"),
        ("mov r12, [r13]", "4d 8b 65 00"),
        ("mov sil, 1", "40 b6 01"),
        ("push r8", "41 50"),
        ("mov eax, [rel x]\nx:", "8b 05 00 00 00 00"),
        ("mov eax, [0x1234]", "8b 04 25 34 12 00 00"),
        ("mov cr3, rax", "0f 22 d8"),
        ("iretq", "48 cf"),
        ("rep stosq", "f3 48 ab"),
    ],
)
def test_a_64_bit_instruction_is_encoded_as_in_the_manual(source: str, wanted: str) -> None:
    assert code(source, bits=64) == wanted


def test_an_instruction_outside_the_table_comes_from_keystone_checked() -> None:
    assert code("fild dword [0x1234]\nmovaps xmm0, xmm1") == "db 06 34 12 0f 28 c1"


def test_an_encoding_that_is_not_what_was_asked_for_is_refused() -> None:
    message = refusal("nop\nfadd")
    assert message.startswith("<source>:2: 'fadd' was wanted, and Keystone made 'faddp st(1)'")


def test_the_table_has_no_line_that_cannot_be_read() -> None:
    for name, choices in forms().items():
        assert name and all(len(form.operands) <= 3 and form.encoding for form in choices)


# Language --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1+2*3", 7), ("(1+2)*3", 9), ("-7//2", -3), ("-7 %% 3", -1), ("17 % 5", 2), ("1<<4|1", 17), ("~0", -1),
        ("!5", 0), ("- - 3", 3), ("0xff ^ 0x0f", 0xF0), ("'A'", 65), ("'AB'", 0x4241), ("3 > 2 && 1", 1),
        ("-1 >> 60", 15),
        ("1_000", 1000), ("0h1F", 31), ("1Fh", 31), ("$1F", 31), ("11b", 3), ("17q", 15), ("0b1h", 0xB1), ("0d10", 10),
        ("7 / 2", 3), ("2 <=> 3", -1),
    ],
)  # fmt: skip
def test_an_expression_has_nasms_value(text: str, wanted: int) -> None:
    def nothing(name: str) -> Value:
        raise AssertionError(name)

    assert evaluate(strip(tokenize(text)), nothing).number == wanted


def test_local_labels_belong_to_the_label_before_them() -> None:
    made = front("org 0x100\na:\n.x: nop\nb:\n.x: nop\ndw a.x, b.x, .x")
    assert made.code.hex(" ") == "90 90 00 01 01 01 01 01"
    assert made.symbols == {"a": 0x100, "a.x": 0x100, "b": 0x101, "b.x": 0x101}


def test_jumps_are_as_short_as_they_can_be_when_they_depend_on_each_other() -> None:
    assert len(front("jmp a\n" + "jmp b\n" * 63 + "a: times 125 nop\nb:").code) > 2 + 63 * 2 + 125
    assert code("jmp a\njmp a\na:") == "eb 02 eb 00"


def test_macro_arguments_and_local_labels_are_filled_in() -> None:
    source = "%macro spin 1\n%%again: cmp al, %1\njne %%again\n%endmacro\nspin 1\nspin 2"
    assert code(source) == "3c 01 75 fc 3c 02 75 fc"


def test_a_macro_may_carry_the_name_of_the_instruction_that_it_uses() -> None:
    assert code("%macro ret 0\nnop\nret\n%endmacro\nret") == "90 c3"


def test_a_condition_may_ask_for_the_size_of_what_stands_before() -> None:
    assert code("times 3 nop\n%if ($-$$) > 2\ndb 1\n%else\ndb 2\n%endif") == "90 90 90 01"
    assert refusal("times 511 nop\n%if ($-$$) > 510\n%error too long\n%endif") == "<source>:3: %error: too long"


def test_strings_keep_the_bytes_of_the_source() -> None:
    assert front("db 'é'").code == "é".encode()
    assert assemble(b"db '\x82'", assembler="keystone").code == b"\x82"


def test_bits_and_origin_hold_where_the_source_says_nothing() -> None:
    assert code("x: mov eax, x", bits=32, origin=0x100000) == "b8 00 00 10 00"
    assert front("org 0x7c00\nx: nop", origin=0x500).symbols == {"x": 0x7C00}
    assert front("bits 16\nnop\nbits 32\nnop", bits=32).bits == 16


def test_the_listing_gives_every_line_its_address_and_bytes() -> None:
    listing = front("org 0x7c00\nstart: ; here\n mov al, 5\n\n hlt").listing
    assert [(line.number, line.address, line.code.hex(), line.source) for line in listing] == [
        (1, 0x7C00, "", "org 0x7c00"),
        (2, 0x7C00, "", "start: ; here"),
        (3, 0x7C00, "b005", " mov al, 5"),
        (4, 0x7C02, "", ""),
        (5, 0x7C02, "f4", " hlt"),
    ]


# Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("nop\nmov ax, missing", "<source>:2: symbol 'missing' is not defined"),
        ("foo bar", "<source>:1: unknown instruction 'foo'"),
        ("  htl", "<source>:1: unknown instruction 'htl' (a label would end in a colon)"),
        ("a: nop\na: nop", "<source>:2: 'a' is defined twice, first at <source>:1"),
        ("times -3 db 0", "<source>:1: times -3 is negative: the code before it is 3 bytes too long"),
        ("times 99999999999 db 0", "<source>:1: times 99999999999 makes 99999999999 bytes; at most 16777216 are made"),
        ("mov ax, bl", "<source>:1: 'mov' does not take these operands"),
        ("mov [bx], 5", "<source>:1: the operand's size is not given: write byte, word or dword"),
        ("mov al, 300", "<source>:1: number 0x12c does not fit 8 bits"),
        ("mov ax, [bx+cx]", "<source>:1: a 16-bit address is made of bx or bp, and si or di"),
        ("jmp short x\ntimes 200 nop\nx:", "<source>:1: the target is 200 bytes away, too far for a short jump"),
        ("%macro m 0\nm\n%endmacro\nm", "<source>:4: macro 'm' calls itself (in macro 'm')"),
        ("%macro m 2\n%endmacro\nm 1", "<source>:3: macro 'm' does not take this number of arguments"),
        ("%macro m 1\nmov ax, %1\n%endmacro\n\nm foo", "<source>:5: symbol 'foo' is not defined (in macro 'm')"),
        ("%include 'nothing.inc'", "<source>:1: cannot read 'nothing.inc': no such file"),
        ("incbin '/'", "<source>:1: cannot read '/': Is a directory"),
        ("%if 1\nnop", "<source>:1: this %if has no %endif"),
        ("%rep 1000\n%rep 1000\nnop\n%endrep\n%endrep", "<source>:3: macros and %rep make more than 100000 lines"),
        ("db 'abc", "<source>:1: a quote is opened and not closed"),
        ("x equ x + 1\ndb x", "<source>:1: the addresses do not settle in 60 passes: a size depends on itself"),
        ("org 1\norg 2", "<source>:2: a second org: a flat binary has one origin"),
        ("mov eax, [rbx]", "<source>:1: 64-bit addresses do not exist in 16-bit code"),
        ("db 1\x00", "<source>:1: this is binary data (a zero byte), not assembly source"),
        ("dw 1/0", "<source>:1: division by zero"),
        ("resb later\nlater:", "<source>:1: 'later' must be known here, and is not defined before this line"),
        ("extern printf", "<source>:1: extern: a flat binary cannot refer to another file"),
        ("%define f(x) x\ndb f(1, 2)", "<source>:2: 'f' takes 1 argument(s), not 2"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_place(source: str, wanted: str) -> None:
    assert refusal(source) == wanted


def test_a_file_that_includes_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop.asm").write_text("nop\n%include 'loop.asm'\n")
    with pytest.raises(AssemblyError, match=r"^loop\.asm:2: 'loop\.asm' includes itself"):
        assemble_file(tmp_path / "loop.asm", assembler="keystone")


def test_a_definition_that_feeds_itself_ends() -> None:
    nested = "%define x(a) a a a a a a a a\ndb " + "x(" * 12 + "1" + ")" * 12
    assert "expands to more than" in refusal(nested)
    assert code("%define a b\n%define b a\na equ 5\nmov al, a") == "b0 05"


VOCABULARY = """
mov add jmp call push lea fld db dw times equ org bits section struc endstruc istruc iend at align resb incbin
%macro %endmacro %rep %endrep %if %else %endif %define %assign %include %1 %0 %%x
ax eax rax al ds xmm0 [bx] [eax*2+5] label .local label: 5 0x10 -1 'a' 0x7c00 $ $$ ( ) , + - * / :
lock rep o32 byte word dword short near far strict rel
"""
WORDS = st.sampled_from([*VOCABULARY.split(), "\n", "\n", "\n"])


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS, max_size=40).map(" ".join), st.sampled_from((16, 32, 64)))
def test_a_random_heap_of_words_is_assembled_or_refused_in_one_line(source: str, bits: int) -> None:
    try:
        front(source, bits=bits)
    except AssemblyError as error:
        assert "\n" not in str(error)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(), st.binary()))
def test_random_text_is_assembled_or_refused(source: str | bytes) -> None:
    try:
        assemble(source, assembler="keystone")
    except AssemblyError as error:
        assert str(error)
