"""Kitty's protocol, taken apart again."""

import re
import zlib
from base64 import b64decode
from hashlib import shake_128

from minivm.core.picture import Picture
from minivm.pictures.kitty import CHUNK, kitty

COMMAND = re.compile(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\")


def test_a_picture_comes_in_chunks_and_says_its_size_once():
    picture = Picture(80, 60, shake_128(b"noise").digest(80 * 60 * 3))
    text = kitty(picture, 40, 15)
    commands = COMMAND.findall(text)
    assert COMMAND.sub("", text) == ""
    assert all(len(data) <= CHUNK for _, data in commands)
    assert [keys for keys, _ in commands][1:] == ["m=1"] * (len(commands) - 2) + ["m=0"]
    keys = dict(pair.split("=") for pair in commands[0][0].split(","))
    wanted = {"a": "T", "f": "24", "o": "z", "s": "80", "v": "60", "c": "40", "r": "15", "q": "2", "C": "1", "m": "1"}
    assert keys.items() >= wanted.items()
    assert zlib.decompress(b64decode("".join(data for _, data in commands))) == picture.rgb


def test_a_small_picture_is_one_command(draw):
    ((keys, _),) = COMMAND.findall(kitty(draw(["r"]), 1, 1))
    assert keys.endswith("m=0")
