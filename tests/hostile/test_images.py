"""Images that are broken before the machine starts: partition tables and CDs of noise, boot records that lie."""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minivm
from minivm.errors import MiniVMError
from minivm.testing.fuzz_chips import catalogue_seed
from minivm.testing.strategies import disk_images

SECTOR, CD_BLOCK = 512, 2048
BOOT_RECORD, CATALOGUE, IMAGE = 17, 18, 19
SAYS_K = b"\xb8K\x0e\xbb\x07\x00\xcd\x10\xfa\xf4"  # INT 10h prints "K"; CLI; HLT
relaxed = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def cd(catalogue: bytes, *, place: int = CATALOGUE, descriptor: bool = True, code: bytes = SAYS_K) -> bytes:
    """Return a CD with an ISO's descriptor, a boot record that points to `place`, a catalogue and a boot image."""
    data = bytearray(40 * CD_BLOCK)
    if descriptor:
        data[16 * CD_BLOCK : 16 * CD_BLOCK + 7] = b"\1CD001\1"
    record = b"\0CD001\1EL TORITO SPECIFICATION".ljust(71, b"\0") + struct.pack("<I", place)
    data[BOOT_RECORD * CD_BLOCK : BOOT_RECORD * CD_BLOCK + len(record)] = record
    data[CATALOGUE * CD_BLOCK : CATALOGUE * CD_BLOCK + len(catalogue)] = catalogue
    data[IMAGE * CD_BLOCK : IMAGE * CD_BLOCK + len(code)] = code
    return bytes(data)


def boots(image: bytes, ms: int = 100, **options: object) -> str:
    """Boot an image and return what the screen shows; an image that is refused says so in one line."""
    try:
        vm = minivm.boot(image, memory="2M", **options)
    except MiniVMError as error:
        assert "\n" not in str(error)
        return str(error)
    with vm:
        ended = vm.run(ms=ms)
        assert ended.reason in ("limit", "halted", "shutdown", "powered-off", "debug-exit")
        vm.picture()
        return vm.screen.text()


def test_the_cd_that_the_others_are_broken_from_boots() -> None:
    assert "K" in boots(cd(catalogue_seed()[4:]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"place": 0xFFFF_FFFF}, "catalogue lies past its end"),
        ({"place": 39}, "no validation entry"),
        ({"place": 16}, "no validation entry"),
    ],
)
def test_a_catalogue_in_the_wrong_place_is_told_on_the_screen(change: dict[str, int], words: str) -> None:
    assert words in boots(cd(catalogue_seed()[4:], **change)).replace("\n", "")  # type: ignore[arg-type]


@settings(max_examples=40, **relaxed)
@given(st.data())
def test_a_spoiled_catalogue_boots_or_is_told_on_the_screen(data: st.DataObject) -> None:
    rows = bytearray(catalogue_seed()[4:])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(rows) - 1))
        rows[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):  # a right checksum lets the rest be reached
        rows[28:30] = b"\0\0"
        rows[28:30] = struct.pack("<H", -sum(struct.unpack("<16H", rows[:32])) & 0xFFFF)
    assert boots(cd(bytes(rows))).strip()


@settings(max_examples=25, **relaxed)
@given(st.binary(max_size=3 * CD_BLOCK), st.sampled_from([0, 16, 17, 18]))
def test_a_cd_of_noise_ends_in_words(noise: bytes, block: int) -> None:
    image = bytearray(cd(catalogue_seed()[4:]))
    image[block * CD_BLOCK : block * CD_BLOCK + len(noise)] = noise
    assert boots(bytes(image)).strip()


@settings(max_examples=10, **relaxed)
@given(disk_images(damage=0.4))
def test_a_disk_with_a_partition_table_of_noise_is_readable_or_refused(image: bytes) -> None:
    boots(image, ms=20)


@settings(max_examples=25, **relaxed)
@given(table=st.binary(min_size=64, max_size=64), sectors=st.integers(1, 80))
def test_int_13h_keeps_to_the_disk_whatever_its_partition_table_says(
    tmp_path_factory: pytest.TempPathFactory, table: bytes, sectors: int
) -> None:
    """The table suggests a geometry; sectors beyond the image are beyond the disk, and each within can be read."""
    path = tmp_path_factory.mktemp("table") / "disk"
    data = bytes(446) + table + b"\x55\xaa" + bytes(SECTOR * (sectors - 1))
    path.write_bytes(data)
    with minivm.boot(b"\xeb\xfe", memory="2M", boot="flat", disks=f"{path},snapshot") as vm:
        shape = vm.disks["disk0"].geometry
        assert 1 <= shape.heads <= 255 and 1 <= shape.sectors_per_track <= 63 and shape.cylinders >= 1
        assert vm.disks["disk0"].sectors == sectors
        vm.disks["disk0"].read(0, sectors)
        for drive_register in (0xE0, 0xA0):
            for port, value in ((0x1F6, drive_register), (0x1F2, 1), (0x1F3, sectors), (0x1F4, 0), (0x1F5, 0),
                                (0x1F7, 0x20)):  # fmt: skip
                vm.ports.write(port, 1, value)
            vm.run(ms=1)
            status = vm.ports.read(0x1F7, 1)
            assert status == (0x51 if drive_register == 0xE0 else 0x58 if sectors <= 63 else 0x51)
            vm.ports.write(0x3F6, 1, 4)
            vm.ports.write(0x3F6, 1, 0)
            vm.run(ms=1)
    assert path.read_bytes() == data


@pytest.mark.parametrize("field", [0x1F1, 0x1FA, 0x1FE, 0x201, 0x206, 0x211, 0x214, 0x218, 0x228, 0x230, 0x258])
@pytest.mark.parametrize("value", [0, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_bzimage_whose_header_lies_starts_or_is_refused(field: int, value: int) -> None:
    from minivm.testing.fuzz_inputs import bzimage

    image = bytearray(bzimage())
    image[field : field + 4] = struct.pack("<I", value)
    boots(bytes(image), ms=5)


def test_a_guest_survives_its_image_shrinking_before_its_first_read(tmp_path: Path) -> None:
    path = tmp_path / "floppy.img"
    path.write_bytes((SAYS_K.ljust(510, b"\0") + b"\x55\xaa").ljust(1_474_560, b"\0"))
    with minivm.boot(path, memory="2M") as vm:
        path.write_bytes(b"")
        assert vm.run(ms=2000).reason in ("limit", "halted")
        assert vm.screen.text().strip()
