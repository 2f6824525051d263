"""Code page 437."""

import pytest

from minivm.core import cp437
from minivm.errors import ConfigError


def test_every_byte_has_one_glyph() -> None:
    assert len(cp437.GLYPHS) == 256
    assert len(cp437.decode(bytes(range(256)))) == 256


def test_printable_bytes_agree_with_pythons_codec() -> None:
    printable = bytes([*range(0x20, 0x7F), *range(0x80, 0xFF)])
    assert cp437.decode(printable) == printable.decode("cp437")


def test_control_bytes_are_pictures() -> None:
    assert cp437.decode(b"\x01\x02\x03\x0e\x10\x1f\x7f") == "☺☻♥♫►▼⌂"


def test_nul_and_ffh_are_blank() -> None:
    assert cp437.decode(b"A\x00B\xffC") == "A B C"


def test_encoding_undoes_decoding_but_for_the_blanks() -> None:
    shown = bytes(range(1, 255))
    assert cp437.encode(cp437.decode(shown)) == shown
    assert cp437.encode(" ") == b" "


def test_a_missing_character_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match="€"):
        cp437.encode("5 €")
