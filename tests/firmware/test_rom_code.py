"""The ROM's own code on the real engine: booting, waiting, interrupt handlers that call further ones."""

import subprocess

import pytest

from minivm.config import MachineConfig
from minivm.pc import build

pytestmark = pytest.mark.nasm

PRINT = """
print:  mov ah, 0Eh
        mov bx, 7
        int 10h
        ret
"""


def assemble(folder, source):
    """Return a boot sector with this 16-bit code at 7C00h."""
    path = folder / "guest.asm"
    path.write_text(f"org 7C00h\nbits 16\n{source}\ntimes 510 - ($ - $$) db 0\ndw 0AA55h\n")
    subprocess.run(["nasm", "-f", "bin", "-o", str(folder / "guest.img"), str(path)], check=True)
    return (folder / "guest.img").read_bytes()


@pytest.fixture
def boot(tmp_path):
    """Return a function that boots assembly source and gives the machine."""
    machines = []

    def start(source, image=None, **config):
        data = image if image is not None else assemble(tmp_path, source)
        vm = build(MachineConfig(guest="guest.img", **config), image=data)
        machines.append(vm)
        return vm

    yield start
    for vm in machines:
        vm.close()


def words(vm, address, count):
    data = vm.memory[address : address + 2 * count]
    return [int.from_bytes(data[index : index + 2], "little") for index in range(0, 2 * count, 2)]


ENTRY_STATE = """
        mov [cs:600h], ax
        mov [cs:602h], bx
        mov [cs:604h], cx
        mov [cs:606h], dx
        mov [cs:608h], si
        mov [cs:60Ah], di
        mov [cs:60Ch], bp
        mov [cs:60Eh], sp
        mov [cs:610h], cs
        mov [cs:612h], ds
        mov [cs:614h], es
        mov [cs:616h], ss
        pushf
        pop word [cs:618h]
        cli
        hlt
"""


def test_a_boot_sector_starts_with_the_registers_of_other_bioses(boot):
    vm = boot(ENTRY_STATE)
    assert vm.run(ms=1000).reason == "halted"
    # as SeaBIOS leaves them, but for the lowest bits of SP
    assert words(vm, 0x600, 12) == [0xAA55, 0, 0, 0, 0, 0, 0, 0x6F00, 0, 0, 0, 0]
    assert words(vm, 0x618, 1)[0] & 0x0700 == 0x0200


def test_a_hard_disk_boots_with_dl_80h(boot, tmp_path):
    vm = boot("", image=assemble(tmp_path, ENTRY_STATE) + bytes(4 << 20))
    vm.run(ms=1000)
    assert words(vm, 0x606, 1) == [0x80]


def test_without_a_signature_nothing_boots_and_the_machine_halts_for_good(boot, tmp_path):
    path = tmp_path / "empty.img"
    path.write_bytes(bytes(512))
    vm = boot("", image=bytes(1474560), boot="floppy")
    ended = vm.run(ms=5000)
    assert (ended.reason, vm.screen.text()) == ("halted", "No bootable device")


def test_waiting_for_a_key_halts_the_cpu_and_loses_no_key(boot):
    vm = boot(f"""
        next: mov ah, 0
        int 16h
        call print
        jmp next
        {PRINT}""")
    vm.run(ms=500)
    busy = vm.ticks
    vm.run(ms=1000)
    assert vm.ticks - busy < 100_000
    vm.type("hello, 15 keys and more!")
    vm.expect("hello, 15 keys and more!")


def test_a_guest_with_interrupts_off_still_gets_keys(boot):
    vm = boot(f"""
        cli
        next: mov ah, 1
        int 16h
        jz next
        mov ah, 0
        int 16h
        call print
        jmp next
        {PRINT}""")
    vm.run(ms=100)
    vm.type("ok")
    vm.expect("ok")


@pytest.mark.parametrize("call", ["mov ah, 1\nint 16h", "mov ah, 11h\nint 16h", "mov ah, 0\nint 1Ah"])
def test_a_poll_takes_as_long_as_on_a_pc(boot, call):
    """Each poll costs the host a software interrupt; were it for free in the guest's time, polling would crawl."""
    vm = boot(f"""
        next: {call}
        inc dword [600h]
        jmp next""")
    vm.run(ms=100)
    before = words(vm, 0x600, 1)[0]
    vm.run(ms=100)
    assert 2000 < words(vm, 0x600, 1)[0] - before < 10_000


@pytest.mark.parametrize("microseconds", [100, 30_000, 1_000_000])
def test_int_15h_86h_waits_that_long(boot, microseconds):
    vm = boot(f"""
        mov ah, 86h
        mov cx, {microseconds >> 16}
        mov dx, {microseconds & 0xFFFF}
        out 0F0h, al
        int 15h
        setc [600h]
        cli
        hlt""")
    vm.run_until(lambda vm: vm.cpu.cs == 0 and vm.cpu.rip == 0x7C0A)
    start = vm.now
    assert vm.run(ms=3000).reason == "halted"
    assert vm.memory[0x600] == b"\0"
    # The RTC is somewhere in its period when the wait begins, so the first step may be a short one, as on the AT.
    assert microseconds - 977 <= (vm.now - start) / 1000 <= microseconds + 2100


def test_int_1ah_tells_the_ticks_and_midnight_once(boot):
    vm = boot(
        """
        mov ah, 0
        int 1Ah
        mov [600h], dx
        mov [602h], cx
        idle: hlt
        cmp byte [470h], 0
        je idle
        mov ah, 0
        int 1Ah
        mov [604h], al
        mov [606h], dx
        mov [608h], cx
        mov ah, 0
        int 1Ah
        mov [60Ah], al
        cli
        hlt""",
        rtc="2026-01-01T23:59:58",
    )
    assert vm.run(ms=5000).reason == "halted"
    assert words(vm, 0x602, 1) == [0x18]
    assert 0xB0 - 36 <= words(vm, 0x600, 1)[0] <= 0xB0 - 32
    assert words(vm, 0x604, 4) == [1, 0, 0, 0]


def test_int_1ch_is_called_18_times_a_second_with_ds_in_the_data_area(boot):
    vm = boot("""
        mov word [1Ch * 4], tick
        mov word [1Ch * 4 + 2], 0
        idle: hlt
        jmp idle
        tick: mov [cs:602h], ds
        inc word [cs:600h]
        iret""")
    vm.run(ms=100)
    before = words(vm, 0x600, 1)[0]
    vm.run(ms=10_000)
    assert words(vm, 0x602, 1) == [0x40]
    assert abs(words(vm, 0x600, 1)[0] - before - 182) <= 1


def test_a_hook_of_int_15h_4fh_may_swallow_and_change_scan_codes(boot):
    vm = boot(f"""
        mov word [15h * 4], hook
        mov word [15h * 4 + 2], 0
        next: mov ah, 0
        int 16h
        call print
        jmp next
        {PRINT}
        hook: cmp ah, 4Fh
        jne .end
        cmp al, 1Eh          ; A is swallowed
        je .swallow
        cmp al, 30h          ; B becomes C
        jne .pass
        mov al, 2Eh
        .pass: stc
        retf 2
        .swallow: clc
        retf 2
        .end: iret""")
    vm.run(ms=100)
    vm.type("abd")
    vm.expect("cd")
    assert vm.screen.text() == "cd"


def test_pause_stops_the_guest_until_a_key(boot):
    vm = boot("""
        next: inc dword [600h]
        jmp next""")
    vm.run(ms=100)
    vm.type("<Pause>")
    vm.run(ms=100)
    stopped = vm.memory[0x600:0x604]
    vm.run(ms=100)
    assert vm.memory[0x600:0x604] == stopped
    vm.type("x")
    vm.run(ms=100)
    assert vm.memory[0x600:0x604] != stopped


def test_ctrl_break_calls_int_1bh(boot):
    vm = boot("""
        mov word [1Bh * 4], hook
        mov word [1Bh * 4 + 2], 0
        next: hlt
        jmp next
        hook: mov byte [cs:600h], 1
        iret""")
    vm.run(ms=100)
    vm.type("<Break>")
    vm.run(ms=100)
    assert vm.memory[0x600] == b"\x01"
    assert vm.memory[0x471] == b"\x80"


def test_ctrl_alt_del_resets_the_machine_and_boots_again(boot):
    vm = boot("""
        inc byte [600h]
        next: hlt
        jmp next""")
    vm.run(ms=100)
    vm.type("<Ctrl-Alt-Del>")
    vm.run(ms=1000)
    assert (vm.resets, vm.memory[0x600]) == (1, b"\x02")


def test_a_reset_with_shutdown_byte_0ah_returns_to_the_program(boot):
    vm = boot("""
        mov word [467h], back
        mov word [469h], 0
        mov al, 8Fh
        out 70h, al
        mov al, 0Ah
        out 71h, al
        mov al, 0FEh
        out 64h, al
        idle: jmp idle
        back: mov byte [cs:600h], 1
        cli
        hlt""")
    assert vm.run(ms=1000).reason == "halted"
    assert vm.memory[0x600] == b"\x01"


def test_the_alarm_calls_int_4ah(boot):
    vm = boot(
        """
        mov word [4Ah * 4], ring
        mov word [4Ah * 4 + 2], 0
        mov ah, 6
        mov cx, 1200h
        mov dh, 2
        int 1Ah
        idle: hlt
        jmp idle
        ring: inc byte [cs:600h]
        iret""",
        rtc="2026-01-01T12:00:00",
    )
    vm.run(ms=1500)
    assert vm.memory[0x600] == b"\0"
    vm.run(ms=3000)
    assert vm.memory[0x600] == b"\x01"


def test_int_14h_sends_at_the_speed_of_the_line(boot):
    vm = boot("""
        mov ax, 00E3h        ; 9600 8N1
        xor dx, dx
        int 14h
        mov si, text
        next: lodsb
        or al, al
        jz end
        mov ah, 1
        int 14h
        jmp next
        end: mov ah, 3       ; until the last bit is out
        int 14h
        test ah, 40h
        jz end
        cli
        hlt
        text: db "serial text of thirty letters.", 0""")
    vm.run(ms=5000)
    assert vm.serial.text() == "serial text of thirty letters."
    assert vm.now > 25_000_000  # 30 characters at 960 a second


def test_a_divide_error_without_a_handler_returns_and_happens_again(boot):
    vm = boot("""
        xor cx, cx
        div cx""")
    assert vm.run(ms=5).reason == "limit"
    assert vm.cpu.cs in (0, 0xF000)


def test_the_stack_may_be_anywhere_and_wrap(boot):
    vm = boot(f"""
        mov ax, 8000h
        mov ss, ax
        mov sp, 0            ; the first push wraps to FFFEh
        mov al, "A"
        call print
        mov sp, 4            ; the interrupt frame itself wraps
        mov al, "B"
        call print
        cli
        hlt
        {PRINT}""")
    vm.run(ms=1000)
    assert vm.screen.text() == "AB"


def test_post_and_the_roms_code_reach_the_same_state(boot):
    """What `Bios.post` does for a kernel that is booted directly, the reset vector does, too."""
    vm = boot("cli\nhlt")
    vm.run(ms=100)
    before = vm.memory[0x410:0x46B] + vm.memory[0x470:0x500] + vm.memory[0x20:0x1C0]
    for place in (0x410, 0x449, 0x480):
        vm.memory[place : place + 2] = b"\xff\xff"
    vm.ended = None  # an ended machine hears no reset
    vm.reset()
    vm.run(ms=100)
    assert vm.memory[0x410:0x46B] + vm.memory[0x470:0x500] + vm.memory[0x20:0x1C0] == before


def test_the_plug_and_play_entry_says_that_it_has_no_functions(boot):
    vm = boot("""
        mov ax, 0F000h
        mov es, ax
        xor bx, bx
        find: add bx, 16
        cmp dword [es:bx], "$PnP"
        jne find
        push word 0F000h     ; the BIOS's data segment
        push word 0          ; function 0: how many nodes
        call far [es:bx + 0Dh]
        mov [600h], ax
        mov [602h], sp
        cli
        hlt""")
    assert vm.run(ms=1000).reason == "halted"
    assert words(vm, 0x600, 2) == [0x82, 0x6F00 - 4]
