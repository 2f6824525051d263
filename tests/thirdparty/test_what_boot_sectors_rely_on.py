"""What other people's boot sectors take for granted, each thing in a few lines of our own.

The expected values were compared with QEMU 7.2 and its BIOS, except where a case says otherwise. A case stores its
results from 600h on and ends by CLI and HLT.
"""

import struct

import pytest

import minivm
from minivm.debug.code import assemble

SECTOR = 512
EDGE, BOTTOM = 79, 24


def boot_sector(code: str) -> bytes:
    return assemble(f"bits 16\norg 7C00h\n{code}\ncli\nhlt\n").code.ljust(510, b"\0") + b"\x55\xaa"


def finish(code: str, keys: str = "", image: bytes = b"", **options):
    """Run `code` to its CLI and HLT and return the machine; the caller closes it."""
    vm = minivm.boot(boot_sector(code) + image, **options)
    if keys:
        vm.run(ms=20)
        vm.type(keys)
    ended = vm.run(ms=20_000)
    assert ended.reason == "halted", (ended, vm.screen.text())
    return vm


def words(vm, count: int, at: int = 0x600) -> tuple[int, ...]:
    return struct.unpack(f"<{count}H", vm.memory[at : at + 2 * count])


def byte(vm, at: int) -> int:
    return vm.memory[at : at + 1][0]


def cell(vm, row: int, column: int) -> tuple[str, int]:
    at = 0xB8000 + 160 * row + 2 * column
    return chr(byte(vm, at)), byte(vm, at + 1)


STORE = "\n".join(f"mov [cs:{0x600 + 2 * number:X}h], {name}" for number, name in enumerate(("ax", "bx", "cx", "dx")))
CLEAR = "mov ax, 3\nint 10h\nxor bx, bx\n"
LETTERS = """
    mov ax, 0B800h
    mov es, ax
    xor di, di
    mov ax, 1E41h
    mov cx, 80 * 25
    fill: stosw
    inc ax
    cmp al, 'A' + 23
    jne next
    mov al, 'A'
    next: loop fill
"""


# ------------------------------------------------------------------------------------------ at the first instruction
def test_the_first_instruction_finds_the_registers_that_programs_never_set():
    vm = minivm.boot(boot_sector(""))
    vm.run_until(lambda vm: vm.cpu.cs == 0 and vm.cpu.rip == 0x7C00)
    cpu = vm.cpu
    assert (cpu.ax, cpu.bx, cpu.cx, cpu.dx, cpu.si, cpu.di, cpu.bp) == (0xAA55, 0, 0, 0, 0, 0, 0)
    assert (cpu.ds, cpu.es, cpu.ss, cpu.fs, cpu.gs) == (0, 0, 0, 0, 0)
    assert 0x600 < cpu.sp < 0x7C00
    assert cpu.rflags & 0x600 == 0x200  # interrupts on, direction up
    vm.close()


@pytest.mark.parametrize(("boot", "drive"), [("floppy", 0x00), ("disk", 0x80)])
def test_dl_is_the_drive_that_booted(boot, drive):
    with finish("mov [600h], dl", image=bytes(4 * SECTOR), boot=boot) as vm:
        assert byte(vm, 0x600) == drive


def test_the_data_area_is_filled():
    with finish("") as vm:
        found = {at: byte(vm, 0x400 + at) for at in (0x17, 0x49, 0x62, 0x75, 0x84, 0x96)}
        assert found == {0x17: 0, 0x49: 3, 0x62: 0, 0x75: 0, 0x84: 24, 0x96: 0x10}
        assert words(vm, 1, 0x413) == (639,)
        assert words(vm, 2, 0x41A) == (0x1E, 0x1E)
        assert words(vm, 2, 0x44A) == (80, 0x1000)
        assert words(vm, 2, 0x450) == (0, 0)
        assert words(vm, 2, 0x460) == (0x0607, 0xD400)
        assert words(vm, 2, 0x480) == (0x1E, 0x3E)
        assert words(vm, 1, 0x400) == (0x3F8,)


def test_vectors_60h_to_66h_are_free_and_all_others_are_not():
    with finish("") as vm:
        vectors = struct.unpack("<256I", vm.memory[0:0x400])
        assert [number for number, vector in enumerate(vectors) if not vector] == list(range(0x60, 0x67))


@pytest.mark.parametrize("instruction", ["int 20h", "int 21h", "int3", "int 1Bh", "int 1Ch", "int 0FFh"])
def test_an_interrupt_that_nobody_took_comes_back(instruction):
    with finish(f"{instruction}\nmov word [600h], 1") as vm:
        assert words(vm, 1) == (1,)


# ------------------------------------------------------------------------------------------ INT 10h
def test_a_character_in_the_last_cell_scrolls_the_screen():
    with finish(
        CLEAR + LETTERS + "mov dx, 184Fh\nmov ah, 2\nint 10h\nmov ax, 0E58h\nint 10h\nmov ax, 0E59h\nint 10h"
    ) as vm:
        assert cell(vm, BOTTOM - 1, EDGE)[0] == "X"
        assert [cell(vm, BOTTOM, column)[0] for column in (0, 1, EDGE)] == ["Y", " ", " "]
        assert words(vm, 1, 0x450) == (BOTTOM << 8 | 1,)


def test_a_line_feed_keeps_the_column_and_a_backspace_stops_at_the_edge():
    code = CLEAR + "mov dx, 0510h\nmov ah, 2\nint 10h\nmov ax, 0E0Ah\nint 10h\nmov ax, [450h]\nmov [600h], ax\n"
    code += "mov ax, 0E0Dh\nint 10h\nmov ax, 0E08h\nint 10h\nmov ax, [450h]\nmov [602h], ax"
    with finish(code) as vm:
        assert words(vm, 2) == (0x0610, 0x0600)


def test_a_cursor_beyond_the_edge_goes_on_there():
    with finish(
        CLEAR + "mov dx, 0550h\nmov ah, 2\nint 10h\nmov ax, 0E41h\nint 10h\nmov ah, 3\nint 10h\n" + STORE
    ) as vm:
        assert words(vm, 4)[3] == 0x0551
        assert cell(vm, 6, 0)[0] == "A"


def test_teletype_keeps_colours_and_registers():
    code = CLEAR + LETTERS + "mov cx, 1234h\nmov dx, 5678h\nmov ax, 0E58h\nmov bx, 0007h\nint 10h\n" + STORE
    with finish(code) as vm:
        assert words(vm, 4) == (0x0E58, 0x0007, 0x1234, 0x5678)
        assert cell(vm, 0, 0) == ("X", 0x1E)


@pytest.mark.parametrize(
    ("ax", "cx", "dx", "row", "column", "expected"),
    [
        pytest.param(0x0601, 0x0305, 0x0A20, 3, 5, "row 4", id="up by one line"),
        pytest.param(0x0600, 0x0305, 0x0A20, 3, 5, "blank", id="lines 0 clear"),
        pytest.param(0x0702, 0x0305, 0x0A20, 5, 5, "row 3", id="down by two lines"),
        pytest.param(0x06FF, 0x0000, 0x184F, 0, 0, "blank", id="more lines than there are"),
        pytest.param(0x0700, 0x0000, 0x1950, 24, 79, "blank", id="a corner beyond the screen"),
        pytest.param(0x0601, 0x0A20, 0x0305, 3, 5, "row 3", id="corners the wrong way round"),
    ],
)  # fmt: skip
def test_a_window_scrolls(ax, cx, dx, row, column, expected):
    with finish(CLEAR + LETTERS + f"mov ax, {ax}\nmov bx, 4F00h\nmov cx, {cx}\nmov dx, {dx}\nint 10h") as vm:
        here = cell(vm, row, column)
        if expected == "blank":
            assert here == (" ", 0x4F)
        else:
            assert here == (chr(ord("A") + (int(expected[4:]) * 80 + column) % 23), 0x1E)
        assert words(vm, 1, 0x450) == (0,)


def test_a_repeated_character_runs_over_the_rows_end_and_leaves_the_cursor():
    code = CLEAR + "mov dx, 054Eh\nmov ah, 2\nint 10h\nmov ax, 090Ah\nmov bx, 1Eh\nmov cx, 3\nint 10h\n"
    with finish(code + "mov cx, 0\nmov ax, 0958h\nint 10h") as vm:
        assert [cell(vm, *place) for place in ((5, 78), (5, 79), (6, 0))] == [("\n", 0x1E)] * 3
        assert cell(vm, 6, 1) == (" ", 0x07)
        assert words(vm, 1, 0x450) == (0x054E,)


@pytest.mark.parametrize(
    ("mode", "data", "cursor", "attributes"),
    [(0, "'ab'", 0, (0x1E, 0x1E)), (1, "'ab'", 0x0512, (0x1E, 0x1E)), (2, "'a', 12h, 'b', 34h", 0, (0x12, 0x34)),
     (3, "'a', 12h, 'b', 34h", 0x0512, (0x12, 0x34))],
)  # fmt: skip
def test_a_string_is_written_in_each_of_four_ways(mode, data, cursor, attributes):
    code = CLEAR + f"mov ax, {0x1300 + mode}\nmov bx, 1Eh\nmov cx, 2\nmov dx, 0510h\nmov bp, text\nint 10h\njmp end\n"
    with finish(code + f"text: db {data}\nend:") as vm:
        assert [cell(vm, 5, column) for column in (16, 17)] == list(zip("ab", attributes, strict=True))
        assert words(vm, 1, 0x450) == (cursor,)


def test_a_cursor_shape_comes_back_as_it_was_given():
    with finish("mov cx, 2607h\nmov ah, 1\nint 10h\nxor cx, cx\nmov bh, 0\nmov ah, 3\nint 10h\n" + STORE) as vm:
        assert words(vm, 4)[2] == 0x2607
        assert not vm.screen.cursor_visible


def test_a_mode_set_returns_to_page_0_and_keeps_the_text_only_with_bit_7():
    code = "mov ax, 0502h\nint 10h\nmov ax, 0E41h\nint 10h\nmov ax, {}\nint 10h\nmov ah, 0Fh\nint 10h\n" + STORE
    for mode, left in ((3, b" "), (0x83, b"A")):
        with finish(code.format(mode)) as vm:
            assert words(vm, 2) == (0x5000 | mode, 0)
            assert vm.memory[0xBA000:0xBA001] == left


def test_a_page_flip_by_the_crt_controller_shows_the_other_page():
    code = "mov ax, 0B900h\nmov es, ax\nmov word [es:0], 1E42h\nmov dx, 3D4h\nmov ax, 080Ch\nout dx, ax\n"
    with finish(code + "mov ax, 000Dh\nout dx, ax") as vm:
        assert vm.screen.text().startswith("B")


@pytest.mark.parametrize("bit", [1, 8])
def test_a_wait_for_retrace_ends(bit):
    code = f"mov dx, 3DAh\nmov cx, 5\non: in al, dx\ntest al, {bit}\n"
    code += f"jz on\noff: in al, dx\ntest al, {bit}\njnz off\nloop on"
    finish(code).close()


def test_40_columns_have_40_columns():
    with finish("mov ax, 1\nint 10h\nmov dx, 0127h\nxor bx, bx\nmov ah, 2\nint 10h\nmov ax, 0E41h\nint 10h") as vm:
        assert words(vm, 1, 0x450) == (0x0200,)
        assert byte(vm, 0xB8000 + 2 * (40 + 39)) == ord("A")


# ------------------------------------------------------------------------------------------ the keyboard
@pytest.mark.parametrize(
    ("keys", "function", "codes"),
    [
        ("aB1!", 0x00, (0x1E61, 0x3042, 0x0231, 0x0221)),
        ("\n\b\t ", 0x00, (0x1C0D, 0x0E08, 0x0F09, 0x3920)),
        ("<Esc><Ctrl-C><Alt-X><Ctrl-J>", 0x00, (0x011B, 0x2E03, 0x2D00, 0x240A)),
        ("<Up><Left><F1><Delete>", 0x00, (0x4800, 0x4B00, 0x3B00, 0x5300)),
        ("<Up><Left><F11><Delete>", 0x10, (0x48E0, 0x4BE0, 0x8500, 0x53E0)),
    ],
)
def test_keys_have_the_codes_that_games_compare_with(keys, function, codes):
    code = f"xor di, di\nmore: mov ah, {function}\nint 16h\nmov [600h + di], ax\n"
    code += f"add di, 2\ncmp di, {2 * len(codes)}\njb more"
    with finish(code, keys) as vm:
        assert words(vm, len(codes)) == codes


def test_looking_at_a_key_leaves_it_and_reading_takes_it():
    code = "look: mov ah, 1\nint 16h\njz look\nmov [600h], ax\nmov ah, 1\nint 16h\nmov [602h], ax\n"
    code += "mov ah, 0\nint 16h\nmov [604h], ax\nmov ah, 1\nint 16h\nsetz [606h]"
    with finish(code, "z") as vm:
        assert words(vm, 4) == (0x2C7A, 0x2C7A, 0x2C7A, 1)


def test_a_program_empties_the_buffer_by_its_pointers():
    code = (
        "until: hlt\ncmp word [41Ch], 22h\njb until\nmov ax, [41Eh]\nmov [600h], ax\nmov ax, [41Ch]\nmov [41Ah], ax\n"
    )
    with finish(code + "mov ah, 1\nint 16h\nsetz [602h]", "qw") as vm:
        assert words(vm, 2) == (0x1071, 1)


def test_a_program_with_its_own_int_9_sees_makes_and_breaks():
    code = """
        cli
        mov word [24h], handler
        mov word [26h], 0
        xor di, di
        sti
        until: hlt
        cmp di, 4
        jb until
        jmp end
        handler: push ax
        in al, 60h
        mov [600h + di], al
        inc di
        in al, 61h
        or al, 80h
        out 61h, al
        and al, 7Fh
        out 61h, al
        mov al, 20h
        out 20h, al
        pop ax
        iret
        end:"""
    with finish(code, "a<Esc>") as vm:
        assert vm.memory[0x600:0x604] == b"\x1e\x9e\x01\x81"


def test_a_program_that_chains_int_9_still_gets_keys():
    code = """
        cli
        mov eax, [24h]
        mov [700h], eax
        mov word [24h], handler
        mov word [26h], 0
        sti
        mov ah, 0
        int 16h
        mov [600h], ax
        until: hlt
        cmp word [602h], 2
        jb until
        jmp end
        handler: inc word [cs:602h]
        pushf
        call far [cs:700h]
        iret
        end:"""
    with finish(code, "x") as vm:
        assert words(vm, 2) == (0x2D78, 2)


@pytest.mark.parametrize("mask", ["in al, 21h\nor al, 2\nout 21h, al", "cli"])
def test_a_program_polls_port_60h_with_the_interrupt_off(mask):
    code = f"{mask}\nxor di, di\npoll: in al, 64h\ntest al, 1\njz poll\n"
    code += "in al, 60h\nmov [600h + di], al\ninc di\ncmp di, 4\njb poll"
    with finish(code, "as") as vm:
        assert vm.memory[0x600:0x604] == b"\x1e\x9e\x1f\x9f"


def test_int_16h_works_with_interrupts_off_and_turns_them_on_meanwhile_only():
    with finish("cli\nmov ah, 0\nint 16h\npushf\npop bx\nand bx, 200h\n" + STORE, "k") as vm:
        assert words(vm, 2) == (0x256B, 0)


# ------------------------------------------------------------------------------------------ time and chance
def test_ticks_at_46ch_and_from_int_1ah_are_the_same_and_move():
    code = "mov bx, [46Ch]\nuntil: cmp bx, [46Ch]\nje until\nmov ah, 0\nint 1Ah\nsub dx, bx\n" + STORE
    with finish(code) as vm:
        ax, _, cx, dx = words(vm, 4)
        assert (ax & 0xFF, dx) == (0, 1)
        assert cx == words(vm, 1, 0x46E)[0]


def test_the_timers_count_changes_between_two_reads():
    with finish(
        "in al, 40h\nmov ah, al\nin al, 40h\nmov bx, ax\nmov cx, 100\nloop $\nin al, 40h\nmov ah, al\nin al, 40h\n"
        + STORE
    ) as vm:
        ax, bx, _, _ = words(vm, 4)
        assert ax != bx


def test_a_program_hooks_the_tick_and_passes_it_on():
    code = """
        cli
        mov eax, [20h]
        mov [700h], eax
        mov word [20h], handler
        mov word [22h], 0
        mov word [70h], tick
        mov word [72h], 0
        sti
        until: hlt
        cmp word [600h], 3
        jb until
        jmp end
        handler: inc word [cs:600h]
        jmp far [cs:700h]
        tick: inc word [cs:602h]
        mov [cs:604h], ds
        iret
        end:"""
    with finish(code) as vm:
        assert words(vm, 3) == (3, 3, 0x40)


def test_a_faster_tick_with_an_own_handler_comes_at_its_rate():
    code = """
        cli
        mov word [20h], handler
        mov word [22h], 0
        mov al, 36h
        out 43h, al
        mov al, 0A9h
        out 40h, al
        mov al, 04h
        out 40h, al
        sti
        until: hlt
        cmp word [600h], 200
        jb until
        jmp end
        handler: inc word [cs:600h]
        push ax
        mov al, 20h
        out 20h, al
        pop ax
        iret
        end:"""
    with finish(code) as vm:
        assert vm.now == pytest.approx(200_000_000, rel=0.15)  # 1193 clocks of 1193182 Hz, 200 times


def test_a_delay_by_int_15h_lasts_as_long_as_it_says():
    with finish(
        "mov bx, [46Ch]\nmov ah, 86h\nmov cx, 3\nmov dx, 0D40h\nint 15h\nsetc [608h]\nmov ax, [46Ch]\nsub ax, bx\n"
        + STORE
    ) as vm:
        assert 3 <= words(vm, 1)[0] <= 4  # 200 ms are 3.6 ticks
        assert byte(vm, 0x608) == 0


def test_a_delay_by_channel_2_of_the_timer_ends():
    code = """
        in al, 61h
        and al, 0FCh
        or al, 1
        out 61h, al
        mov al, 0B0h
        out 43h, al
        mov al, 0A9h
        out 42h, al
        mov al, 04h
        out 42h, al
        until: in al, 61h
        test al, 20h
        jz until"""
    with finish(code) as vm:
        assert vm.now >= 1_000_000


def test_the_speakers_bits_at_port_61h_read_back():
    with finish(
        "mov al, 3\nout 61h, al\nin al, 61h\nand al, 0Fh\nmov [600h], al\n"
        "mov al, 0\nout 61h, al\nin al, 61h\nand al, 0Fh\nmov [601h], al"
    ) as vm:
        assert vm.memory[0x600:0x602] == b"\x03\x00"


def test_the_date_and_time_are_bcd():
    with finish(
        "mov ah, 2\nint 1Ah\nmov [600h], cx\nmov [602h], dh\nmov ah, 4\nint 1Ah\nmov [604h], cx\nmov [606h], dx",
        rtc="2026-03-04T15:16:17",
    ) as vm:
        assert vm.memory[0x600:0x602] == b"\x16\x15"
        assert vm.memory[0x604:0x608] == b"\x26\x20\x04\x03"


# ------------------------------------------------------------------------------------------ diskettes and disks
def numbered(sectors: int) -> bytes:
    """Sectors 1, 2, 3, ... that each begin with their number."""
    return b"".join(struct.pack("<H510x", number) for number in range(1, sectors + 1))


def test_the_following_sectors_are_read_one_by_one_and_at_once():
    code = """
        mov di, 1
        again: mov ax, 0201h
        mov bx, 8000h
        mov cx, di
        inc cx
        mov dx, 0
        int 13h
        jc again
        mov ax, [8000h]
        add [600h], ax
        inc di
        cmp di, 18
        jb again
        mov ax, 0211h
        mov bx, 9000h
        mov cx, 2
        int 13h
        mov [602h], ax
        mov ax, [9000h + 16 * 512]
        mov [604h], ax"""
    with finish(code, image=numbered(17)) as vm:
        assert words(vm, 3) == (sum(range(1, 18)), 0x0011, 17)


def test_an_image_shorter_than_its_diskette_reads_zeros_behind_its_end():
    code = "mov word [8200h], 1234h\nmov ax, 0202h\nmov bx, 8000h\nmov cx, 2\nmov dx, 0\nint 13h\nsetc [604h]\n"
    with finish(code + "mov ax, [8000h]\nmov bx, [8200h]\n" + STORE, image=b"\x07\x00 half a sector") as vm:
        assert words(vm, 2) == (7, 0)


@pytest.mark.parametrize(
    ("cx", "dx"), [(0x0013, 0x0000), (0x5001, 0x0000), (0x0001, 0x0200), (0x0000, 0x0000), (0x0001, 0x0001)]
)
def test_a_place_that_is_not_there_fails_until_a_reset_and_a_better_try(cx, dx):
    code = f"mov ax, 0201h\nmov bx, 8000h\nmov cx, {cx}\nmov dx, {dx}\nint 13h\nsetc [600h]\n"
    code += "mov ax, 0\nmov dx, 0\nint 13h\nsetc [601h]\nmov ax, 0201h\nmov cx, 1\nint 13h\nsetc [602h]\nmov [604h], ax"
    with finish(code) as vm:
        assert vm.memory[0x600:0x606] == b"\x01\x00\x00\x00\x01\x00"


def test_what_is_written_is_read_again():
    code = "mov ax, 0301h\nmov bx, 7C00h\nmov cx, 0605h\nmov dx, 0100h\nint 13h\nsetc [600h]\n"
    code += "mov ax, 0201h\nmov bx, 8000h\nint 13h\nsetc [601h]\nmov ax, [81FEh]\nmov [602h], ax"
    with finish(code) as vm:
        assert words(vm, 2) == (0, 0xAA55)


def test_a_program_that_asks_for_drive_80h_finds_itself_there():
    code = (
        "mov ax, 0201h\nmov bx, 8000h\nmov cx, 2\nmov dx, 0080h\nint 13h\nsetc [600h]\nmov ax, [8000h]\nmov [602h], ax"
    )
    with finish(code, image=numbered(3)) as vm:
        assert words(vm, 2) == (0, 1)


def test_int_1eh_points_to_a_diskette_table_that_can_be_copied_and_changed():
    code = "lds si, [78h]\nmov di, 600h\nmov cx, 11\nrep movsb\nxor ax, ax\n"
    code += "mov ds, ax\nmov word [78h], 600h\nmov word [7Ah], 0\n"
    with finish(code + "mov ah, 0\nmov dl, 0\nint 13h\nsetc [610h]") as vm:
        assert vm.memory[0x603:0x605] == bytes([2, 18])  # 512 bytes, 18 sectors
        assert byte(vm, 0x610) == 0


# ------------------------------------------------------------------------------------------ starting over
HOW_TO_RESTART = {
    "the first instruction's address": "jmp 0FFFFh:0",
    "the same, warm": "mov word [472h], 1234h\njmp 0FFFFh:0",
    "INT 19h": "int 19h",
    "INT 19h with interrupts off": "cli\nint 19h",
    "the keyboard controller": "mov al, 0FEh\nout 64h, al\nhlt",
    "port 92h": "in al, 92h\nor al, 1\nout 92h, al\nhlt",
    "port CF9h": "mov dx, 0CF9h\nmov al, 6\nout dx, al\nhlt",
}


@pytest.mark.parametrize("how", HOW_TO_RESTART.values(), ids=HOW_TO_RESTART)
def test_a_program_starts_over_and_finds_what_it_left_in_memory(how):
    with finish(f"cmp word [9000h], 0BEA7h\nje second\nmov word [9000h], 0BEA7h\ncli\n{how}\nsecond:") as vm:
        assert words(vm, 1, 0x7DFE) == (0xAA55,)
        assert byte(vm, 0x449) == 3


def test_int_18h_says_that_nothing_boots():
    with finish("int 18h") as vm:
        assert "No bootable device" in vm.screen.text()


def test_hlt_waits_for_the_tick_and_with_interrupts_off_for_ever():
    with finish("mov bx, [46Ch]\nhlt\nsti\nuntil: hlt\ncmp bx, [46Ch]\nje until\ncli\nhlt\nmov word [600h], 1") as vm:
        assert words(vm, 1) == (0,)


# ------------------------------------------------------------------------------------------ the processor's old habits
def test_the_flags_tell_a_386_from_an_8086_and_a_286():
    code = "pushf\npop ax\nand ax, 0FFFh\npush ax\npopf\npushf\npop bx\n"
    code += "and bx, 0F000h\nor ax, 7000h\npush ax\npopf\npushf\npop cx\n"
    with finish(code + "and cx, 7000h\nmov dx, sp\npush sp\npop ax\nsub ax, dx\n" + STORE) as vm:
        assert words(vm, 3) == (0, 0, 0x7000)


def test_code_that_changes_itself_runs_as_changed():
    with finish("mov cx, 5\nagain: inc byte [place + 1]\nplace: mov al, 10h\nloop again\nmov [600h], al") as vm:
        assert byte(vm, 0x600) == 0x15


def test_a_division_by_zero_reaches_the_programs_handler():
    code = "mov word [0], handler\nmov word [2], 0\nxor cx, cx\nmov ax, 1\nxor dx, dx\nwhere: div cx\njmp end\n"
    code += "handler: mov bp, sp\nmov ax, [bp]\nsub ax, where\nmov [600h], ax\n"
    code += "add word [bp], 2\nmov word [602h], 7\niret\nend:"
    with finish(code) as vm:
        assert words(vm, 2) == (0, 7)


def test_a_program_steps_itself_by_the_trap_flag():
    code = "mov word [4], handler\nmov word [6], 0\npushf\nor byte [esp + 1], 1\n"
    code += "popf\nnop\nnop\nnop\npushf\nand byte [esp + 1], 0FEh\npopf\njmp end\n"
    with finish(code + "handler: inc word [cs:600h]\niret\nend:") as vm:
        assert words(vm, 1) == (6,)


def test_an_instruction_that_is_none_comes_back_for_ever_at_little_cost():
    with minivm.boot(boot_sector("db 0Fh, 0Bh")) as vm:
        vm.run(ms=10)
        before = vm.exits["port writes"]
        vm.run(ms=200)
        assert (vm.cpu.cs in (0, 0xF000), vm.exits["port writes"] - before < 10_000) == (True, True)


def test_the_segment_wraps_at_64_kib():
    code = "mov ax, 1000h\nmov es, ax\nmov di, 0FFFFh\nmov al, 7\nstosb\n"
    code += "stosb\nmov bl, [es:0FFFFh]\nmov bh, [es:0]\nmov [600h], bx"
    with finish(code) as vm:
        assert words(vm, 1) == (0x0707,)


def test_ports_without_a_chip_read_all_ones():
    with finish("mov dx, 201h\nin al, dx\nmov [600h], al\nmov dx, 388h\nin al, dx\nmov [601h], al") as vm:
        assert vm.memory[0x600:0x602] == b"\xff\xff"
