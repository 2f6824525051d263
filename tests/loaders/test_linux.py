"""Linux's boot protocol: what goes where, and what the setup is told (Documentation/arch/x86/boot.rst)."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.config import MachineConfig
from minivm.errors import ConfigError, ImageError, MiniVMError
from minivm.loaders import prepare

MIB = 1 << 20
KERNEL = bytes(range(256)) * 5


def build(version=0x20F, sectors=4, kernel=KERNEL, flags=0x01, **fields):
    """Return a kernel's file; `fields` are (offset, format, value)."""
    image = bytearray((sectors or 4) * 512 + 512) + kernel
    image[0x1F1], image[0x1FE:0x200], image[0x202:0x206] = sectors, b"\x55\xaa", b"HdrS"
    values = {
        "version": (0x206, "H", version), "loadflags": (0x211, "B", flags), "max": (0x22C, "I", 0x7FFF_FFFF),
        "line": (0x238, "I", 2047), "syssize": (0x1F4, "I", -(-len(kernel) // 16)), **fields,
    }  # fmt: skip
    for offset, form, value in values.values():
        struct.pack_into("<" + form, image, offset, value)
    return bytes(image)


def plan(data=None, **options):
    return prepare(MachineConfig(guest="vmlinuz", **{"memory": 16 * MIB} | options), data=data or build())


def contents(made):
    """Return RAM's low 16 MiB as the plan leaves it."""
    memory = bytearray(16 * MIB)
    for address, data in made.segments:
        memory[address : address + len(data)] = data
    return memory


def number(memory, offset, form):
    """Return a field of the header of the setup at 10000h."""
    return struct.unpack_from("<" + form, memory, 0x1_0000 + offset)[0]


def test_the_kernel_lies_at_1_mib_and_its_setup_below_it():
    made = plan()
    memory = contents(made)
    assert memory[MIB : MIB + len(KERNEL)] == KERNEL
    assert memory[0x1_0202:0x1_0206] == b"HdrS"
    assert made.kind == "linux"


def test_the_setup_begins_in_real_mode_behind_its_boot_sector():
    entry = plan().entry
    assert (entry.mode, entry.cs, entry.ip, entry.interrupts) == ("real", 0x1020, 0, False)
    assert (entry.ds, entry.ss, entry.fs, dict(entry.registers)) == (0x1000, 0x1000, 0x1000, {"esp": 0xE000})


def test_the_setup_is_told_of_its_loader_heap_screen_and_command_line():
    memory = contents(plan(append="console=ttyS0 quiet"))
    assert number(memory, 0x210, "B") == 0xFF
    assert number(memory, 0x211, "B") == 0x81
    assert number(memory, 0x224, "H") == 0xE000 - 0x200
    assert number(memory, 0x1FA, "H") == 0xFFFF
    line = number(memory, 0x228, "I")
    assert line == 0x1_E000
    assert memory[line:].startswith(b"console=ttyS0 quiet\0")
    assert (number(memory, 0x218, "I"), number(memory, 0x21C, "I")) == (0, 0)


@pytest.mark.parametrize(
    ("words", "mode"), [("vga=791", 791), ("vga=0x317 vga=ask", 0xFFFD), ("vga=ext", 0xFFFE), ("vga=normal", 0xFFFF)]
)
def test_the_video_mode_is_the_last_that_the_command_line_says(words, mode):
    assert number(contents(plan(append=words)), 0x1FA, "H") == mode


@pytest.mark.parametrize("words", ["vga=best", "vga=65536", "vga=-1", "vga="])
def test_a_video_mode_that_is_none_is_refused(words):
    with pytest.raises(ConfigError, match=r"^append: vga="):
        plan(append=words)


def test_a_ram_disk_lies_on_the_highest_page_that_ram_has(tmp_path):
    disk = tmp_path / "initrd"
    disk.write_bytes(b"disk" * 2000)
    memory = contents(plan(initrd=str(disk)))
    start, size = number(memory, 0x218, "I"), number(memory, 0x21C, "I")
    assert (start, size) == (16 * MIB - 8192, 8000)
    assert memory[start : start + size] == b"disk" * 2000


def test_a_ram_disk_lies_no_higher_than_the_kernel_and_the_user_say(tmp_path):
    disk = tmp_path / "initrd"
    disk.write_bytes(b"d" * 4096)

    def start(words="", **fields):
        return number(contents(plan(build(**fields), initrd=str(disk), append=words)), 0x218, "I")

    assert start(max=(0x22C, "I", 8 * MIB - 1)) == 8 * MIB - 4096
    assert start(max=(0x22C, "I", 8 * MIB)) == 8 * MIB - 4096
    assert start("mem=4M") == 4 * MIB - 4096
    assert start("mem=nopentium") == 16 * MIB - 4096


def test_an_old_kernel_reaches_less_high(tmp_path):
    disk = tmp_path / "initrd"
    disk.write_bytes(b"d" * 4096)
    made = plan(build(version=0x202, max=(0x22C, "I", 0)), initrd=str(disk), memory=1 << 30)
    assert max(address for address, _ in made.segments) == 0x3800_0000 - 4096


def test_several_ram_disks_follow_each_other_on_multiples_of_four(tmp_path):
    names = [str(tmp_path / name) for name in ("one", "two")]
    for name, content in zip(names, (b"first", b"second"), strict=True):
        (tmp_path / name).write_bytes(content)
    memory = contents(plan(initrd=names))
    start, size = number(memory, 0x218, "I"), number(memory, 0x21C, "I")
    assert memory[start : start + size] == b"first\0\0\0second"


def test_a_setup_of_no_sectors_has_four():
    assert contents(plan(build(sectors=0)))[MIB : MIB + len(KERNEL)] == KERNEL


def test_an_old_setup_lies_at_90000h_and_finds_its_command_line_by_offset():
    made = plan(build(version=0x201), append="ro")
    memory, entry = contents(made), made.entry
    assert (entry.cs, entry.ds, dict(entry.registers)) == (0x9020, 0x9000, {"esp": 0x9800})
    assert struct.unpack_from("<HH", memory, 0x9_0020) == (0xA33F, 0x9800)
    assert memory[0x9_9800:0x9_9803] == b"ro\0"
    assert struct.unpack_from("<H", memory, 0x9_0212) == (0x9803,)
    assert memory[0x9_0211] == 0x81
    assert contents(plan(build(version=0x200)))[0x9_0211] == 0x01  # protocol 2.00 knows no heap


def test_a_small_kernel_of_old_lies_in_low_memory():
    memory = contents(plan(build(flags=0)))
    assert memory[0x1_0000 : 0x1_0000 + len(KERNEL)] == KERNEL
    assert memory[0x9_0202:0x9_0206] == b"HdrS"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bytes(2000), "needs 55AAh at byte 510 and HdrS"), (build()[:600], "no Linux|truncated"),
        (build()[:2560], "is truncated: its setup alone has 2560 bytes"), (build()[:-20], "is truncated: has 3820"),
        (build(version=0x1FF), "version 1FFh"), (build(sectors=255), "no room for a heap"),
        (build(kernel=bytes(16 * MIB)), "more --memory"), (build(flags=0, kernel=bytes(0x8_0001)), "overlaps"),
        (build(size=(0x260, "I", 15 * MIB + 1)), "needs RAM up to 1000001h to unpack itself.* more --memory"),
        (build(size=(0x260, "I", 1), pref=(0x258, "Q", 1 << 63)), "more --memory"),
    ],
    ids=range(10),
)  # fmt: skip
def test_a_kernel_that_cannot_run_is_one_clear_line(data, words, one_line):
    with pytest.raises(ImageError, match=words) as caught:
        plan(data, boot="linux")
    one_line(caught, "vmlinuz")


def test_a_kernel_that_just_fits_is_taken():
    plan(build(size=(0x260, "I", 15 * MIB)))
    plan(build()[:-15])  # the size in the header counts in paragraphs of 16 bytes


def test_a_ram_disk_that_does_not_fit_is_one_clear_line(tmp_path, one_line):
    disk = tmp_path / "initrd"
    disk.write_bytes(bytes(MIB))
    for data in (build(size=(0x260, "I", 14 * MIB + 1)), build(max=(0x22C, "I", MIB))):
        with pytest.raises(ImageError, match=r"initial RAM disk has 1048576 bytes, but only \d+ are free") as caught:
            plan(data, initrd=str(disk))
        one_line(caught, "vmlinuz")
    plan(build(size=(0x260, "I", 14 * MIB)), initrd=str(disk))


def test_a_command_line_longer_than_the_kernel_takes_is_refused():
    plan(build(line=(0x238, "I", 5)), append="12345")
    with pytest.raises(ImageError, match=r"takes a command line of 5 bytes, but --append has 6"):
        plan(build(line=(0x238, "I", 5)), append="123456")
    with pytest.raises(ImageError, match="of 8191 bytes"):
        plan(build(line=(0x238, "I", 0xFFFF_FFFF)), append="x" * 8192)


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0x1F0, 0x270), st.integers(0, 255)), max_size=30),
    version=st.integers(0x1FE, 0x212),
    cut=st.integers(0, 4000),
)
def test_any_header_makes_a_plan_inside_ram_or_one_clear_line(changes, version, cut):
    image = bytearray(build(version=version))
    for offset, value in changes:
        image[offset] = value
    try:
        made = plan(bytes(image[: len(image) - cut]) or b"x", boot="linux")
    except MiniVMError as error:
        assert "\n" not in str(error)
    else:
        assert all(address + len(data) <= 16 * MIB for address, data in made.segments)
        assert all(address + length <= 16 * MIB for address, length in made.zeroed)
