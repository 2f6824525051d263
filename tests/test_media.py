"""Changing what lies in a drive: the guest notices, files are given back, and every copy of the machine knows."""

import subprocess
from pathlib import Path

import pytest

import minivm
from minivm.config import DiskSpec
from minivm.debug.code import assemble, assemble_file
from minivm.debug.timeline import Timeline
from minivm.errors import ConfigError, ImageError, SnapshotError
from minivm.inputs import Journal
from minivm.recording import Recorder, Recording

BOOTED = 150
"""Milliseconds until a guest on a floppy runs."""
TRACKS = 80 * 2 * 18 * 512
"""Reads sector 2 of drive A when INT 13h says that the disk was changed, and writes its first byte to port E9h."""
BY_BIOS = """
    org 7C00h
    xor ax, ax
    mov ds, ax
    mov es, ax
    sti
look:
    hlt
    mov ax, 1600h
    mov dx, 0
    int 13h
    cmp ah, 6
    jne look
    mov ax, 0201h
    mov cx, 2
    mov bx, 9000h
    int 13h
    mov al, [9000h]
    jnc tell
    mov al, 'E'
tell:
    out 0E9h, al
    jmp look
    times 510 - ($ - $$) db 0
    dw 0AA55h
"""
"""The same by DIR's bit 7, which a RECALIBRATE and a SEEK to cylinder 1 reset."""
BY_CHIP = """
    org 7C00h
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov dx, 3F2h
    mov al, 1Ch
    out dx, al
look:
    sti
    hlt
    mov dx, 3F7h
    in al, dx
    test al, 80h
    jz look
    mov bl, 1
    call seek
    mov bl, 0
    call seek
    mov dx, 3F7h
    in al, dx
    test al, 80h
    jnz look
    mov ax, 0201h
    mov cx, 2
    mov dx, 0
    mov bx, 9000h
    int 13h
    mov al, [9000h]
    out 0E9h, al
    jmp look
seek:
    mov al, 0Fh
    call send
    mov al, 0
    call send
    mov al, bl
    call send
    mov ah, 86h
    mov cx, 0
    mov dx, 60000
    int 15h
    mov al, 8
    call send
    call take
    call take
    ret
send:
    mov ah, al
ready:
    mov dx, 3F4h
    in al, dx
    and al, 0C0h
    cmp al, 80h
    jne ready
    mov al, ah
    inc dx
    out dx, al
    ret
take:
    mov dx, 3F4h
    in al, dx
    and al, 0C0h
    cmp al, 0C0h
    jne take
    inc dx
    in al, dx
    ret
    times 510 - ($ - $$) db 0
    dw 0AA55h
"""
"""Asks the CD drive with TEST UNIT READY again and again, and writes each new sense key to port E9h, as a digit."""
BY_PACKET = """
    org 7C00h
    xor ax, ax
    mov ds, ax
    mov byte [last], 0FFh
    sti
again:
    hlt
    mov dx, 176h
    mov al, 0A0h
    out dx, al
    mov dx, 171h
    mov al, 0
    out dx, al
    mov dx, 177h
    mov al, 0A0h
    out dx, al
want:
    in al, dx
    and al, 88h
    cmp al, 8
    jne want
    mov dx, 170h
    mov cx, 6
    xor ax, ax
send:
    out dx, ax
    loop send
    mov dx, 177h
done:
    in al, dx
    test al, 80h
    jnz done
    mov dx, 171h
    in al, dx
    shr al, 4
    cmp al, [last]
    je again
    mov [last], al
    add al, '0'
    out 0E9h, al
    jmp again
last: db 0
    times 510 - ($ - $$) db 0
    dw 0AA55h
"""
"""Writes the number of passes to sector 3 of drive A, over and over."""
WRITER = """
    org 7C00h
    xor ax, ax
    mov ds, ax
    mov es, ax
    sti
again:
    hlt
    inc word [9000h]
    mov ax, 0301h
    mov cx, 3
    mov dx, 0
    mov bx, 9000h
    int 13h
    jmp again
    times 510 - ($ - $$) db 0
    dw 0AA55h
"""


def floppy(folder: Path, letter: str, code: bytes = b"") -> Path:
    """A 1.44M floppy with `letter` in its second sector."""
    path = folder / f"{letter}.img"
    path.write_bytes(code.ljust(512, b"\0") + letter.encode() * 512 + bytes(TRACKS - 1024))
    return path


def disc(folder: Path, letter: str) -> Path:
    path = folder / f"{letter}.iso"
    path.write_bytes(letter.encode() * 2048 * 20)
    return path


def said(machine) -> str:
    return bytes(machine.serial.data).decode()


def assemble_guest(source: str) -> bytes:
    return assemble(source).code


# -- what the guest sees ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("source", [BY_BIOS, BY_CHIP])
def test_a_guest_that_waits_for_another_floppy_reads_it(tmp_path, source):
    first, second = floppy(tmp_path, "A", assemble_guest(source)), floppy(tmp_path, "B")
    with minivm.boot(first, memory="1M") as vm:
        vm.run(ms=600)
        assert said(vm) == "A"
        vm.insert("floppy0", second)
        vm.run(ms=600)
        assert said(vm) == "AB"
        vm.eject("floppy0")
        vm.run(ms=600)
        assert said(vm) == "AB"
        vm.insert("floppy0", f"{first},ro")
        vm.run(ms=600)
        assert said(vm) == "ABA"


def test_a_guest_sees_unit_attention_once_and_an_empty_tray(tmp_path):
    with minivm.boot(assemble_guest(BY_PACKET), memory="1M") as vm:
        vm.run(ms=120)
        assert said(vm) == "2"
        vm.insert("cdrom0", disc(tmp_path, "C"))
        vm.run(ms=120)
        assert said(vm) == "260"
        vm.insert("cdrom0", disc(tmp_path, "D"))
        vm.run(ms=120)
        assert said(vm) == "26060"
        vm.eject("cdrom0")
        vm.run(ms=120)
        assert said(vm) == "260602"


def test_a_medium_that_is_taken_out_in_the_middle_of_a_transfer_harms_nobody(tmp_path):
    source = Path(__file__).with_name("devices") / "floppy_boot.asm"
    path = floppy(tmp_path, "F", assemble_file(source, assembler="keystone").code)
    with minivm.boot(path, memory="1M") as vm:
        while vm.devices["floppy"].state().transfer is None:
            vm.step()
        clone = vm.clone()
        vm.eject("floppy0")
        vm.run(ms=1000)
        assert vm.ended is None or vm.ended.code != 0x10
        with clone:
            clone.insert("floppy0", f"{path},snapshot")
            clone.run(ms=2000)
            assert clone.ended is not None


def test_int_13h_opens_the_tray_and_reads_no_disc_from_an_open_one(tmp_path):
    eject = "org 7C00h\n mov ax, 4600h\n mov dl, 0E0h\n int 13h\n mov al, ah\n add al, '0'\n out 0E9h, al\n" + (
        "xor ax, ax\n mov ds, ax\n mov si, packet\n mov ah, 42h\n mov dl, 0E0h\n int 13h\n mov al, ah\n"
        "out 0E9h, al\n cli\n hlt\npacket: dw 10h, 1, 9000h, 0\n dd 0, 0\n times 510 - ($ - $$) db 0\n dw 0AA55h"
    )
    path = disc(tmp_path, "C")
    with minivm.boot(assemble_guest(eject), memory="1M", cdroms=[str(path)]) as vm:
        assert vm.media == {"floppy0": "boot code", "cdrom0": str(path)} or "cdrom0" in vm.media
        vm.run(ms=100)
        assert bytes(vm.serial.data) == b"0\x31"
        assert vm.media["cdrom0"] == f"{path} (open tray)"


def test_a_locked_tray_keeps_the_guest_out_and_not_the_user(tmp_path):
    with minivm.boot(assemble_guest(BY_PACKET), memory="1M", cdroms=[str(disc(tmp_path, "C"))]) as vm:
        drive = vm.devices["ata1"].units[0].drive
        drive._prevent_removal(bytes((0x1E, 0, 0, 0, 1)))
        assert not drive.open_tray()
        vm.eject("cdrom0")
        assert vm.media["cdrom0"] is None
        drive._prevent_removal(bytes(12))
        assert drive.open_tray()
        assert vm.media["cdrom0"] == "(open tray)"


# -- files ------------------------------------------------------------------------------------------------------------
def locked(path: Path) -> bool:
    return subprocess.run(["flock", "-n", path, "true"], check=False).returncode != 0


def test_a_change_gives_the_old_file_back_with_all_that_was_written_and_locks_the_new_one(tmp_path):
    first, second = floppy(tmp_path, "A"), floppy(tmp_path, "B")
    with minivm.boot(assemble_guest(WRITER), memory="1M", floppies=[str(first)]) as vm:
        vm.run(ms=BOOTED)
        vm.insert("floppy0", str(second))
        assert locked(second)
        vm.run(ms=120)
        vm.insert("floppy0", str(floppy(tmp_path, "Z")))
        assert not locked(second)
        assert second.read_bytes()[1024:1026] != bytes(2)
        written = second.read_bytes()
        vm.run(ms=120)
        assert second.read_bytes() == written
        assert sorted(vm.media) == ["cdrom0", "floppy0", "floppy1"]
        assert vm.disks["floppy0"].name == str(tmp_path / "Z.img")
    assert not locked(tmp_path / "Z.img")


def test_the_disk_that_is_in_may_be_put_in_again(tmp_path):
    path = floppy(tmp_path, "A")
    with minivm.boot(assemble_guest(WRITER), memory="1M") as vm:
        vm.run(ms=BOOTED)
        for _ in range(3):
            vm.insert("floppy0", str(path))
            vm.run(ms=120)
        assert locked(path)
        assert path.read_bytes()[1024:1026] != bytes(2)
        with pytest.raises(ImageError, match="lies in floppy0 already; eject it there first"):
            vm.insert("floppy0", f"{path},ro")
        vm.insert("floppy0", f"{floppy(tmp_path, 'B')},snapshot")
        vm.run(ms=120)
        assert vm.disks["floppy0"].changes()
        vm.insert("floppy0", f"{tmp_path / 'B.img'},snapshot")
        assert not vm.disks["floppy0"].changes()


def test_what_cannot_be_done_is_one_line_and_the_old_medium_stays(tmp_path):
    path = floppy(tmp_path, "A")
    (tmp_path / "large.img").write_bytes(bytes(4 << 20))
    with minivm.boot(assemble_guest(WRITER), memory="1M", disks=[str(tmp_path / "large.img")]) as vm:
        vm.insert("floppy0", str(path))
        for drive, medium, error, words in (
            ("floppy0", tmp_path / "none.img", ImageError, "there is no such file"),
            ("floppy0", tmp_path / "large.img", ImageError, "lies in disk0 already"),
            ("floppy0", f"{path},wo", ConfigError, "is not an option"),
            ("floppy1", path, ConfigError, "there is no drive floppy1; a medium can be put into floppy0, cdrom0"),
            ("disk0", path, ConfigError, "hard disk, which cannot be changed; floppy0, cdrom0 can"),
            ("", path, ConfigError, "there is no drive"),
        ):
            with pytest.raises(error, match=words) as raised:
                vm.insert(drive, medium)
            assert "\n" not in str(raised.value)
        assert vm.media["floppy0"] == str(path)
        with minivm.boot(assemble_guest(WRITER), memory="1M", disks=[]) as other:
            with pytest.raises(ImageError, match="writing to it"):
                other.insert("floppy0", path)
            vm.eject("floppy0")
            other.insert("floppy0", path)
    with pytest.raises(ConfigError, match="media: there is no drive floppy7"):
        minivm.boot(assemble_guest(WRITER), media={"floppy7": str(path)})


def test_a_machine_that_has_ended_takes_nothing(tmp_path):
    path = floppy(tmp_path, "A")
    with minivm.boot("triplefault") as vm:
        vm.run(ms=100)
        with pytest.raises(ConfigError, match="has ended"):
            vm.insert("floppy0", path)
        assert not locked(path)


# -- snapshots and clones ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["{}", "{},ro", "{},snapshot"])
def test_a_snapshot_knows_what_is_in_now(tmp_path, text):
    first, second, third = (floppy(tmp_path, letter) for letter in "ABC")
    guest = floppy(tmp_path, "G", assemble_guest(WRITER))
    with minivm.boot(guest, memory="1M", floppies=[str(first), f"{third},ro"]) as vm:
        vm.run(ms=BOOTED)
        vm.insert("floppy0", text.format(second))
        vm.insert("cdrom0", disc(tmp_path, "D"))
        vm.eject("floppy2")
        vm.run(ms=120)
        media, digest = vm.media, vm.state_hash()
        vm.save(tmp_path / "it.mvm")
    with minivm.restore(tmp_path / "it.mvm") as vm:
        assert vm.media == media
        assert vm.state_hash() == digest
        vm.run(ms=120)
        vm.eject("floppy0")
        vm.insert("floppy0", str(second))
        vm.insert("floppy2", third)
    second.write_bytes(bytes(TRACKS))
    with pytest.raises(SnapshotError, match=r"B\.img: was altered since the snapshot was made, as floppy0"):
        minivm.restore(tmp_path / "it.mvm")


def test_a_clone_has_what_is_in_now_and_changes_it_alone(tmp_path):
    first, second = floppy(tmp_path, "A", assemble_guest(BY_BIOS)), floppy(tmp_path, "B")
    with minivm.boot(first, memory="1M") as vm:
        vm.run(ms=120)
        vm.insert("floppy0", second)
        vm.insert("cdrom0", disc(tmp_path, "D"))
        with vm.clone() as clone:
            assert clone.state_hash() == vm.state_hash()
            assert clone.media == vm.media
            clone.run(ms=120)
            vm.run(ms=120)
            assert said(clone) == said(vm) == "AB"
            clone.eject("cdrom0")
            clone.insert("floppy0", f"{first},ro")
            clone.run(ms=120)
            vm.run(ms=120)
            assert said(clone) == "ABA"
            assert said(vm) == "AB"
            assert vm.media["cdrom0"] is not None
            clone.save(tmp_path / "it.mvm")
            with clone.clone() as third:
                assert third.media == clone.media
        vm.eject("floppy0")
    with minivm.restore(tmp_path / "it.mvm") as vm:
        assert vm.media == {"floppy0": str(first), "cdrom0": None}


# -- recordings -------------------------------------------------------------------------------------------------------
def record(tmp_path: Path, *, late: bool = False) -> str:
    first, second = floppy(tmp_path, "A", assemble_guest(BY_BIOS)), floppy(tmp_path, "B")
    with minivm.boot(first, memory="1M") as vm:
        if late:
            vm.run(ms=BOOTED)
            vm.insert("floppy0", second)
            vm.run(ms=120)
        with Recorder(vm, tmp_path / "it.mvr"):
            vm.run(ms=BOOTED)
            vm.insert("floppy0", str(second))
            vm.run(ms=120)
            vm.insert("floppy0", second)
            vm.run(ms=120)
            vm.eject("floppy0")
            vm.run(ms=120)
            vm.insert("floppy0", f"{floppy(tmp_path, 'C')},ro")
            vm.run(ms=120)
        assert said(vm)[-3:] == "BBC"
        return said(vm)


@pytest.mark.parametrize("late", [False, True])
def test_a_recording_has_the_images_that_were_put_in_and_no_folder(tmp_path, late):
    seen = record(tmp_path, late=late)
    for path in tmp_path.glob("*.img"):
        path.unlink()
    with minivm.replay(tmp_path / "it.mvr") as replay:
        assert replay.run().identical
        assert said(replay.machine) == seen
        assert Path(replay.machine.media["floppy0"]).name == "C.img"
    given = [one.data for one in Recording(tmp_path / "it.mvr").journal]
    assert [change.medium and change.medium.name for change in given] == ["B.img", "B.img", None, "C.img"]
    assert str(tmp_path) not in repr(given)


def test_a_replay_refuses_an_image_that_is_missing_or_altered_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr("minivm.recording.recorder.EMBED_BYTES", 0)
    record(tmp_path)
    with minivm.replay(tmp_path / "it.mvr") as replay:
        assert replay.run().identical
    path = tmp_path / "C.img"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"!")
    with pytest.raises(SnapshotError, match=r"C\.img: is not the medium for floppy0 of .*it\.mvr"):
        minivm.replay(tmp_path / "it.mvr")
    path.unlink()
    with pytest.raises(SnapshotError, match=r"needs the file C\.img \(1474560 bytes, the medium for floppy0\)"):
        minivm.replay(tmp_path / "it.mvr")


# -- time travel ------------------------------------------------------------------------------------------------------
def test_going_back_over_a_change_brings_the_old_medium_back_and_forward_the_new_one(tmp_path):
    first, second, third = floppy(tmp_path, "A", assemble_guest(WRITER)), floppy(tmp_path, "B"), floppy(tmp_path, "C")
    with minivm.boot(first, memory="1M") as vm:
        vm.run(ms=BOOTED)
        timeline = Timeline(vm, every=100_000)
        moments = []

        def stand() -> None:
            moments.append((timeline.moment(), vm.state_hash(), vm.media, vm.config))

        for step in (str(second), "", f"{third},ro", f"{second}", f"{third},snapshot", ""):
            timeline.run_to(vm.now + 120_000_000)
            stand()
            timeline.run_to(vm.now + 1000)
            vm.insert("floppy0", step) if step else vm.eject("floppy0")
            timeline.run_to(vm.now + 120_000_000)
            stand()
        assert second.read_bytes()[1024:1026] == bytes(2)
        for place in (9, 3, 5, 0, 11, 2, 7, 1, 10, 4, 6, 8, 11):
            moment, digest, media, config = moments[place]
            timeline.return_to(moment)
            assert (vm.state_hash(), vm.media, vm.config) == (digest, media, config), place
        assert locked(second)
        timeline.close()
        assert not locked(second)
        assert second.read_bytes()[1024:1026] != bytes(2)
        assert third.read_bytes()[1024:1026] == bytes(2)


def test_another_change_in_the_past_is_another_branch(tmp_path):
    first, second, third = floppy(tmp_path, "A", assemble_guest(BY_BIOS)), floppy(tmp_path, "B"), floppy(tmp_path, "C")
    with minivm.boot(first, memory="1M") as vm:
        timeline = Timeline(vm)
        timeline.run_to(240_000_000)
        fork = timeline.moment()
        assert said(vm) == "A"
        timeline.run_to(vm.now + 1000)
        vm.insert("floppy0", second)
        timeline.run_to(480_000_000)
        timeline.return_to(fork)
        vm.insert("floppy0", third)
        timeline.run_to(480_000_000)
        assert said(vm) == "AC"
        timeline.switch(1)
        assert said(vm) == "AB"
        assert vm.media["floppy0"] == str(second)
        with pytest.raises(ImageError, match="going back in time; insert it as it was"):
            vm.insert("floppy0", f"{third},ro")
        vm.eject("floppy0")
        timeline.close()


def test_what_was_written_to_a_disk_that_came_later_is_not_there_before(tmp_path):
    first, second = floppy(tmp_path, "A", assemble_guest(WRITER)), floppy(tmp_path, "B")
    with minivm.boot(first, memory="1M") as vm:
        vm.run(ms=BOOTED)
        timeline = Timeline(vm)
        before = timeline.moment()
        timeline.run_to(vm.now + 1000)
        vm.insert("floppy0", second)
        timeline.run_to(vm.now + 120_000_000)
        assert vm.disks["floppy0"].changes()
        timeline.return_to(before)
        vm.insert("floppy0", second)
        assert not vm.disks["floppy0"].changes()
        timeline.close()


def test_a_change_in_a_run_waits_for_the_next_block_while_a_journal_listens(tmp_path):
    first, second = floppy(tmp_path, "A", assemble_guest(BY_BIOS)), floppy(tmp_path, "B")
    with minivm.boot(first, memory="1M") as vm:
        vm.journal = Journal()
        vm.serial.listeners.append(lambda data: said(vm) == "A" and vm.insert("floppy0", DiskSpec(second)))
        vm.run(ms=120)
        assert said(vm) == "AB"
        assert [one.kind for one in vm.journal] == ["medium"]
        assert vm.journal.to_plain() == Journal.from_plain(vm.journal.to_plain()).to_plain()
