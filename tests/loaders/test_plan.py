"""prepare(): from a configuration to a plan, or to one clear line."""

import dataclasses
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.config import MachineConfig
from minivm.core.memory import Memory
from minivm.errors import ConfigError, DiskError, ImageError, MiniVMError
from minivm.loaders import BootPlan, prepare
from minivm.loaders.plan import ata_places, pc_memory_map

CD = bytes(0x8001) + b"CD001" + bytes(2000)


@pytest.fixture
def memory():
    """16 MiB of RAM."""
    ram = Memory(16 << 20)
    yield ram
    ram.close()


def test_a_bare_sector_is_a_floppy_in_memory(sector, tmp_path):
    path = tmp_path / "boot.bin"
    path.write_bytes(sector())
    plan = prepare(MachineConfig(guest=path))
    assert (plan.kind, plan.entry, plan.segments, plan.boot_drive) == ("sector", None, (), 0x00)
    assert plan.drive.floppy_type.name == "1.44M"
    assert plan.drive.read(0, 1) == sector()


def test_code_without_a_signature_gets_one_only_when_it_is_forced_to_be_a_sector(one_line):
    with pytest.raises(ImageError):
        prepare(MachineConfig(), data=b"\xeb\xfe")
    plan = prepare(MachineConfig(boot="sector"), data=b"\xeb\xfe")
    assert plan.drive.read(0, 1) == b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa"
    with pytest.raises(ImageError) as caught:
        prepare(MachineConfig(guest="a.bin", boot="sector"), data=bytes(512))
    assert "bytes 510 and 511 must be 55h and AAh" in one_line(caught, "a.bin")
    with pytest.raises(ImageError, match="at most 512"):
        prepare(MachineConfig(boot="sector"), data=bytes(513))


def test_what_a_guest_writes_to_its_own_image_is_gone_at_the_next_run(sector, tmp_path):
    path = tmp_path / "floppy.img"
    path.write_bytes(sector().ljust(1474560, b"\0"))
    plan = prepare(MachineConfig(guest=path))
    plan.drive.write(5, b"x" * 512)
    plan.drive.close()
    assert path.read_bytes()[512:] == bytes(1474560 - 512)
    plan = prepare(MachineConfig(guest=path, guest_snapshot=False))
    plan.drive.write(5, b"x" * 512)
    plan.drive.close()
    assert path.read_bytes()[5 * 512 : 6 * 512] == b"x" * 512


def test_a_disk_is_drive_80h(sector, tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(sector().ljust(4 << 20, b"\0"))
    plan = prepare(MachineConfig(guest=path))
    assert (plan.kind, plan.boot_drive, plan.drive.floppy_type) == ("disk", 0x80, None)
    plan.drive.close()


def test_the_kind_may_be_forced(sector):
    assert prepare(MachineConfig(boot="disk"), data=sector()).boot_drive == 0x80
    assert prepare(MachineConfig(boot="floppy"), data=b"x" * 600).drive.floppy_type.name == "1.44M"
    assert prepare(MachineConfig(boot="flat"), data=sector()).kind == "flat"


def test_without_a_guest_there_is_nothing_to_prepare():
    assert prepare(MachineConfig()) == BootPlan("none")


@pytest.mark.parametrize("kind", [None, "sector", "floppy", "disk", "iso", "linux", "flat", "multiboot", "elf"])
def test_files_that_are_no_files_get_one_line_for_every_kind(tmp_path, kind, one_line):
    empty = tmp_path / "empty.bin"
    empty.touch()
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (tmp_path / "none", "no such file"),
        (empty, "is empty"),
        (tmp_path, "is a directory"),
        (tmp_path / "pipe", "not a regular file"),
        (empty / "below", "no such file"),
    ):
        with pytest.raises(ImageError) as caught:
            prepare(MachineConfig(guest=path, boot=kind))
        assert words in one_line(caught, path)


def test_a_cd_is_drive_e0h_and_nobody_writes_it(tmp_path):
    path = tmp_path / "cd.iso"
    path.write_bytes(CD)
    for plan in (prepare(MachineConfig(guest=path, guest_snapshot=False)), prepare(MachineConfig(), data=CD)):
        assert (plan.kind, plan.boot_drive, plan.drive.medium, plan.entry) == ("iso", 0xE0, "cdrom", None)
        assert plan.drive.read_only
        with pytest.raises(DiskError, match="is read-only"):
            plan.drive.write(0, bytes(512))
        plan.drive.close()


def test_a_cd_made_for_usb_sticks_starts_as_a_disk_when_it_is_forced(sector):
    hybrid = sector() + CD[512:]
    assert prepare(MachineConfig(), data=hybrid).boot_drive == 0xE0
    assert prepare(MachineConfig(boot="disk"), data=hybrid).boot_drive == 0x80


def test_the_guests_own_drive_boots_first_unless_an_order_is_given(sector):
    orders = {kind: prepare(MachineConfig(boot=kind), data=CD).boot_order(None) for kind in ("floppy", "disk", "iso")}
    assert orders == {"floppy": (0x00, 0x80, 0xE0), "disk": (0x80, 0x00, 0xE0), "iso": (0xE0, 0x00, 0x80)}
    assert BootPlan("none").boot_order(None) == (0x00, 0x80, 0xE0)
    assert BootPlan("none").boot_order("dc") == (0xE0, 0x80)


def test_disks_fill_the_ata_drives_from_the_front_and_a_cd_is_the_secondary_master():
    assert ata_places(1, 1) == ((0,), (2,))
    assert ata_places(0, 4) == ((), (2, 3, 1, 0))
    assert ata_places(2, 2) == ((0, 1), (2, 3))
    assert ata_places(3, 1) == ((0, 1, 2), (3,))
    assert ata_places(4, 0) == ((0, 1, 2, 3), ())


def test_a_fifth_drive_is_refused_also_when_the_guest_is_one(sector):
    four = {"disks": ["a", "b"], "cdroms": ["c", "d"]}
    prepare(MachineConfig(**four), data=sector())
    for data, boot in ((CD, None), (sector(), "disk"), (None, None)):
        more = {"disks": ["a", "b", "e"]} if data is None else {}
        with pytest.raises(ConfigError, match=r"^disks: .* are 5 drives, but .* take 4; leave 1 out$"):
            prepare(MachineConfig(**four | more, boot=boot), data=data)


def test_loading_writes_segments_and_clears_what_must_be_zero(memory):
    memory.write(0x20000, b"\xff" * 0x30000)
    changed = []
    memory.write_listeners.append(lambda start, end: changed.append((start, end)))
    BootPlan("x", segments=((0x20000, b"ab"),), zeroed=((0x20002, 0x1FFFE), (0x200000, 0x100000))).load(memory)
    assert memory[0x20000:0x40000] == b"ab" + bytes(0x1FFFE)
    assert memory[0x40000] == b"\xff"
    assert max(end for _, end in changed) == 0x40000  # what is zero already is not written


def test_the_memory_map_ends_where_ram_ends():
    assert pc_memory_map(16 << 20)[-1] == (0x100000, 15 << 20, 1)
    assert all(kind == 2 or base == 0 for base, _, kind in pc_memory_map(1 << 20))


@settings(max_examples=100, deadline=None)
@given(
    data=st.one_of(st.binary(max_size=700), st.binary(max_size=64).map(lambda tail: b"\x7fELF\1\1\1" + tail)),
    kind=st.sampled_from([None, "sector", "floppy", "disk", "iso", "linux", "flat", "multiboot", "elf"]),
    origin=st.integers(0, (1 << 32) - 1),
    bits=st.sampled_from([16, 32, 64]),
)
def test_random_bytes_make_a_plan_or_one_clear_line(data, kind, origin, bits):
    config = MachineConfig(guest="random", boot=kind, origin=origin, bits=bits, memory=16 << 20)
    try:
        plan = prepare(config, data=data)
    except MiniVMError as error:
        assert "\n" not in str(error)
    else:
        assert all(address + len(content) <= config.memory for address, content in plan.segments)


def test_a_plan_is_frozen(sector):
    with pytest.raises(dataclasses.FrozenInstanceError):
        prepare(MachineConfig(), data=sector()).kind = "disk"
