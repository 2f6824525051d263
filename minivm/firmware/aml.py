"""ACPI machine language, as much of it as a small DSDT needs: names, scopes, devices, packages and resources.

ACPI 6.4, chapter 20 (encoding) and section 6.4 (resource descriptors). Each function returns the encoded bytes.
"""

from collections.abc import Sequence

NAME, SCOPE, BUFFER, PACKAGE = 0x08, 0x10, 0x11, 0x12
DEVICE = b"\x5b\x82"
WORD_SPACE, DWORD_SPACE = 0x88, 0x87
MEMORY, IO, BUS = 0, 1, 2
FIXED = 0x0C
"""Both ends of a range are fixed."""
READ_WRITE, ALL_OF_IO = 0x01, 0x03


def integer(value: int) -> bytes:
    """Return a constant of the shortest kind."""
    if value < 2:
        return bytes([value])
    for prefix, size in ((0x0A, 1), (0x0B, 2), (0x0C, 4)):
        if value < 1 << 8 * size:
            return bytes([prefix]) + value.to_bytes(size, "little")
    return b"\x0e" + value.to_bytes(8, "little")


def path(name: str) -> bytes:
    """Return a name of up to four characters."""
    return name.ljust(4, "_").encode("ascii")


def block(opcode: bytes, body: bytes) -> bytes:
    """Return an opcode, the length of what follows (section 20.2.4), and the body."""
    length = len(body) + 1
    if length < 0x40:
        return opcode + bytes([length]) + body
    more = 1 if length + 1 < 0x1000 else 2 if length + 2 < 0x10_0000 else 3
    length += more
    rest = (length >> 4).to_bytes(more, "little")
    return opcode + bytes([more << 6 | length & 0xF]) + rest + body


def name(name: str, value: bytes) -> bytes:
    """Return the definition of a name."""
    return bytes([NAME]) + path(name) + value


def scope(name: str, *body: bytes) -> bytes:
    """Return a scope with what is defined in it."""
    return block(bytes([SCOPE]), path(name) + b"".join(body))


def device(name: str, *body: bytes) -> bytes:
    """Return a device with what is defined in it."""
    return block(DEVICE, path(name) + b"".join(body))


def package(elements: Sequence[bytes]) -> bytes:
    """Return a package of encoded elements."""
    return block(bytes([PACKAGE]), bytes([len(elements)]) + b"".join(elements))


def buffer(data: bytes) -> bytes:
    """Return a buffer of bytes."""
    return block(bytes([BUFFER]), integer(len(data)) + data)


def eisa_id(text: str) -> bytes:
    """Return a compressed identifier such as "PNP0A03" (three letters, four hexadecimal digits)."""
    first, second, third = (ord(letter) - 0x40 for letter in text[:3])
    letters = first << 10 | second << 5 | third
    return integer(int.from_bytes(letters.to_bytes(2, "big") + bytes.fromhex(text[3:]), "little"))


def ports(first: int, count: int) -> bytes:
    """Return the resource of `count` I/O ports at a fixed place."""
    place = first.to_bytes(2, "little")
    return b"\x47\x01" + place + place + bytes([1, count])


def irq(number: int) -> bytes:
    """Return the resource of an ISA interrupt."""
    return b"\x22" + (1 << number).to_bytes(2, "little")


def dma(channel: int) -> bytes:
    """Return the resource of an 8-bit DMA channel."""
    return b"\x2a" + bytes([1 << channel, 0])


def bus_range(first: int, last: int) -> bytes:
    """Return the resource of the buses behind a bridge."""
    return _space(WORD_SPACE, 2, bytes([BUS, FIXED, 0]), (first, last))


def port_range(first: int, last: int) -> bytes:
    """Return the resource of the ports that a bridge passes on."""
    return _space(WORD_SPACE, 2, bytes([IO, FIXED, ALL_OF_IO]), (first, last))


def memory_range(first: int, last: int) -> bytes:
    """Return the resource of the addresses that a bridge passes on."""
    return _space(DWORD_SPACE, 4, bytes([MEMORY, FIXED, READ_WRITE]), (first, last))


def resources(*descriptors: bytes) -> bytes:
    """Return the buffer that _CRS has, with its end tag."""
    return buffer(b"".join(descriptors) + b"\x79\x00")


def _space(tag: int, size: int, kind: bytes, ends: tuple[int, int]) -> bytes:
    first, last = ends
    body = kind + b"".join(value.to_bytes(size, "little") for value in (0, first, last, 0, last - first + 1))
    return bytes([tag]) + len(body).to_bytes(2, "little") + body
