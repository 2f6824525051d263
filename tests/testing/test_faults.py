"""Faults in a running machine, as its guest sees them."""

import pytest

import minivm
from minivm.debug.code import assemble
from minivm.errors import WiringError
from minivm.testing.faults import Faults

TYPED = """
    org 7c00h
    next: mov ah, 0
    int 16h
    mov ah, 0eh
    int 10h
    jmp next
    times 510-($-$$) db 0
    dw 0aa55h
"""
READS_SECTOR_2 = """
    org 7c00h
    mov cx, 3
again:
    push cx
    mov ax, 0201h
    mov bx, 600h
    mov cx, 2
    mov dx, 80h
    int 13h
    mov al, ah
    add al, '0'
    mov ah, 0eh
    int 10h
    mov al, [600h]
    int 10h
    mov al, [77fh]
    int 10h
    pop cx
    loop again
    cli
    hlt
    times 510-($-$$) db 0
    dw 0aa55h
"""


def boot(source, **options):
    return minivm.boot(bytes(assemble(source).code), memory="2M", **options)


@pytest.fixture
def typed():
    with boot(TYPED) as vm:
        vm.run(ms=50)
        yield vm


@pytest.fixture
def reader(tmp_path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(512) + b"X" * 512 + bytes(510 * 512))
    with boot(READS_SECTOR_2, disks=(str(disk),)) as vm:
        yield vm


def test_a_lost_keyboard_interrupt_stops_the_typing_and_no_more(typed):
    with Faults(typed) as faults:
        faults.lose_interrupts(1)
        typed.type("a")
        typed.run(ms=300)
        assert "a" not in typed.screen.text()


def test_a_stuck_line_lets_no_key_through_and_a_free_one_does(typed):
    faults = Faults(typed)
    faults.stick(1, False)
    typed.type("a")
    typed.run(ms=300)
    assert "a" not in typed.screen.text()
    faults.free(1)
    typed.expect("a", timeout=1)


def test_after_mending_the_machine_works_as_before(typed):
    with Faults(typed) as faults:
        faults.stick(1, False)
        faults.lose_interrupts(1, 5)
    typed.type("b")
    typed.expect("b", timeout=1)


def test_other_lines_are_not_touched(typed):
    with Faults(typed) as faults:
        faults.stick(4, False)
        faults.stick(12, False)
        typed.type("c")
        typed.expect("c", timeout=1)


def test_a_bad_sector_is_the_controllers_failure_to_the_guest(reader):
    Faults(reader).disk("disk0").fail(1)
    reader.run(ms=50)
    assert "P  P  P" in reader.screen.text()  # 20h + '0', and nothing was read


def test_without_faults_the_sector_comes(reader):
    reader.run(ms=50)
    assert "0XX0XX0XX" in reader.screen.text()


def test_only_writes_may_fail(reader):
    Faults(reader).disk("disk0").fail(1, reads=False)
    reader.run(ms=50)
    assert "0XX0XX0XX" in reader.screen.text()


def test_a_short_read_brings_the_first_bytes_and_zeros(reader):
    faults = Faults(reader).disk("disk0")
    faults.short(1, 100)
    reader.run(ms=50)
    assert "0X 0X 0X" in reader.screen.text()
    assert faults.accesses == [("read", 1, 1)] * 3


def test_a_slow_disk_takes_virtual_time(reader):
    Faults(reader).disk("disk0").slow(5_000_000)
    reader.run(ms=10_000)
    assert "0XX0XX0XX" in reader.screen.text()
    slow = reader.now
    assert reader.ended is not None
    assert slow > 15_000_000


def test_a_mended_disk_is_the_old_one(reader):
    faults = Faults(reader)
    faults.disk("disk0").fail(1)
    faults.disk("disk0").slow(1_000_000_000)
    faults.mend()
    reader.run(ms=100)
    assert "0XX0XX0XX" in reader.screen.text()


def test_clones_have_no_faults(reader):
    Faults(reader).disk("disk0").fail(1)
    with reader.clone() as twin:
        twin.run(ms=50)
        assert "0XX0XX0XX" in twin.screen.text()


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (lambda faults: faults.disk("disk7"), "there is no drive 'disk7'; this machine has disk0"),
        (lambda faults: faults.stick(2, True), "IRQ2 is no line of a chip"),
        (lambda faults: faults.stick(16, True), "IRQ16 is no line of a chip"),
    ],
)
def test_what_is_not_there_cannot_fail(reader, do, words):
    with pytest.raises(WiringError, match=f"^{words}"):
        do(Faults(reader))
