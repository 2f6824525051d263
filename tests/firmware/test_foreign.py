"""ROMs of the user's own."""

import pytest

from minivm.errors import ConfigError
from minivm.firmware.foreign import below_one_mib, read_rom


@pytest.fixture
def rom(tmp_path):
    """Return `make(size)`, which writes a ROM whose last byte is 5Ah."""

    def make(size):
        path = tmp_path / "rom.bin"
        path.write_bytes(bytes(size - 1) + b"\x5a" if size else b"")
        return path

    return make


@pytest.mark.parametrize("size", [16, 65536, 1 << 17, 1 << 20, 16 << 20])
def test_a_rom_has_16_bytes_to_16_mib(rom, size):
    assert len(read_rom(rom(size))) == size


@pytest.mark.parametrize(
    ("size", "words"), [(0, "has 0 bytes"), (15, "has 15 bytes"), ((16 << 20) + 1, "has more than")]
)
def test_any_other_size_is_refused_in_one_line(rom, size, words):
    with pytest.raises(ConfigError, match=rf"^firmware: .*rom.bin: {words}.*; a ROM has 16 to 16777216$"):
        read_rom(rom(size))


def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigError, match=r"^firmware: .*: cannot be read: "):
            read_rom(path)


def test_the_last_128_kib_are_seen_below_1_mib(rom):
    whole = read_rom(rom(1 << 20))
    assert below_one_mib(whole) == whole[-0x20000:]
    assert below_one_mib(whole[-16:]) == whole[-16:]
