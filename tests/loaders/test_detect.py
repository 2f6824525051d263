"""What a file is taken for."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.errors import ImageError, MiniVMError
from minivm.loaders.detect import detect

PARTITION = bytes([0x80, 1, 1, 0, 6, 3, 17, 100]) + struct.pack("<II", 17, 1000)


def kind_of(data: bytes, size: int | None = None) -> str:
    return detect(data[:0x9000], len(data) if size is None else size, "guest")


def test_512_bytes_with_a_signature_are_a_boot_sector(sector):
    assert kind_of(sector()) == "sector"


@pytest.mark.parametrize("size", [163840, 368640, 737280, 1228800, 1474560, 2949120])
def test_a_standard_size_is_a_floppy_with_or_without_a_signature(sector, size):
    assert kind_of(sector(), size) == "floppy"
    assert kind_of(b"\xeb\xfe".ljust(512, b"\0"), size) == "floppy"


def test_an_empty_floppy_does_not_boot(one_line):
    with pytest.raises(ImageError) as caught:
        kind_of(bytes(512), 1474560)
    assert "55AAh at byte 510" in one_line(caught, "guest")


def test_a_boot_sector_with_something_behind_it_is_a_floppy(sector):
    assert kind_of(sector() + b"kernel") == "floppy"
    assert kind_of(sector(), 2_000_000) == "floppy"


def test_a_partition_table_makes_a_hard_disk(sector):
    assert kind_of(sector(table=PARTITION), 1 << 20) == "disk"
    assert kind_of(sector(table=PARTITION), 1474560) == "floppy"  # an exact floppy keeps its drive


def test_a_table_beyond_the_images_end_is_none(sector):
    assert kind_of(sector(table=PARTITION), 16 * 512) == "floppy"


def test_what_is_larger_than_any_floppy_is_a_hard_disk(sector):
    assert kind_of(sector(), 2949121) == "disk"
    assert kind_of(sector(), 10 << 30) == "disk"


def test_a_loader_that_reads_by_lba_needs_a_hard_disk(sector):
    assert kind_of(sector(b"\xb4\x42\xcd\x13") + bytes(5000)) == "disk"
    assert kind_of(sector(b"\xb4\x02\xcd\x13") + bytes(5000)) == "floppy"


@pytest.mark.parametrize("code", [b"\xb2\x80\xcd\x13", b"\xba\x80\x00\xcd\x13"])
def test_a_loader_that_asks_for_drive_80h_by_number_needs_a_hard_disk(sector, code):
    assert kind_of(sector(code) + bytes(5000)) == "disk"
    assert kind_of(sector(code[:-2]) + bytes(5000)) == "floppy"  # nothing is read
    assert kind_of((sector(code) + bytes(5000)).ljust(1474560, b"\0")) == "floppy"


def test_an_elf_file_with_a_multiboot_header_is_multiboot(elf, header):
    assert kind_of(elf(((0x100000, 0x100000, header(3), 12),))) == "multiboot"
    assert kind_of(elf()) == "elf"
    assert kind_of(elf(bits=64)) == "elf"


def test_a_multiboot_header_lies_on_a_multiple_of_four_in_the_first_8192_bytes(elf, header):
    def at(offset):
        data = elf(((0x100000, 0x100000, b"\xf4" * 9000, 9000),))
        return data[:offset] + header() + data[offset + 12 :]

    assert kind_of(at(8180)) == "multiboot"
    assert kind_of(at(8182)) == "elf"
    assert kind_of(at(8184)) == "elf"


def test_a_wrong_checksum_is_told_instead_of_booting_without_information(elf, header, one_line):
    with pytest.raises(ImageError) as caught:
        kind_of(elf(((0x100000, 0x100000, header(3, checksum=1), 12),)))
    assert "wrong checksum" in one_line(caught, "guest")


def test_multiboot_2_is_named(elf, one_line):
    with pytest.raises(ImageError) as caught:
        kind_of(elf(((0x100000, 0x100000, struct.pack("<I", 0xE85250D6), 4),)))
    assert "Multiboot 2" in one_line(caught, "guest")


def test_a_kernel_with_load_addresses_needs_no_elf(header):
    assert kind_of(bytes(64) + header(1 << 16, 0x100040, 0x100000, 0, 0, 0x100000)) == "multiboot"


def test_a_header_without_load_addresses_needs_elf(header):
    with pytest.raises(ImageError):
        kind_of(bytes(64) + header(0))


def test_a_linux_kernel_and_a_cd_are_known(sector):
    assert kind_of(sector() + b"\xeb\x66HdrS" + bytes(2000)) == "linux"
    assert kind_of(bytes(0x8001) + b"CD001" + bytes(2000)) == "iso"
    assert kind_of(sector() + bytes(0x8001 - 512) + b"CD001" + bytes(2000)) == "iso"


def test_a_cd_that_is_also_a_disk_for_usb_sticks_is_a_cd(sector):
    hybrid = sector(b"\xb4\x42\xcd\x13", table=PARTITION) + bytes(0x8001 - 512) + b"CD001" + bytes(2000)
    assert kind_of(hybrid) == "iso"
    assert kind_of(hybrid, 650 << 20) == "iso"


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"QFI\xfb", "qcow2"), (b"KDMV", "VMDK"), (b"conectix", "VHD"), (bytes(64) + b"\x7f\x10\xda\xbe", "VDI"),
     (b"\x1f\x8b\x08", "gzip"), (b"\xfd7zXZ\0", "xz"), (b"PK\x03\x04", "ZIP"), (b"MZ", "DOS or EFI"),
     (b"org 0x7C00\n", "--boot flat"), (b"", "is empty")],
)  # fmt: skip
def test_what_does_not_boot_is_told_in_one_line(data, words, one_line):
    with pytest.raises(ImageError) as caught:
        kind_of(data)
    assert words in one_line(caught, "guest")


def test_every_kind_that_was_looked_for_is_named(one_line):
    with pytest.raises(ImageError) as caught:
        kind_of(b"\x90" * 600)
    text = one_line(caught, "guest")
    for word in ("boot sector", "floppy", "ELF", "Multiboot", "bzImage", "ISO", "--boot flat"):
        assert word in text


@settings(max_examples=100, deadline=None)
@given(
    start=st.sampled_from([b"", b"\x7fELF", b"\x02\xb0\xad\x1b", b"MZ", b"\xeb\x3c\x90"]),
    data=st.binary(max_size=1200),
    signature=st.booleans(),
    size=st.one_of(st.none(), st.integers(0, 1 << 40), st.sampled_from([512, 1474560])),
)
def test_random_bytes_have_a_kind_or_one_clear_line(start, data, signature, size):
    data = start + data
    if signature:
        data = data[:510].ljust(510, b"\0") + b"\x55\xaa" + data[512:]
    try:
        kind = kind_of(data, size)
    except MiniVMError as error:
        assert "\n" not in str(error)
    else:
        assert kind in ("sector", "floppy", "disk", "multiboot", "elf", "linux", "iso")
