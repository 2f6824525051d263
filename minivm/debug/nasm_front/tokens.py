"""Tokens of NASM source: strings, numbers, names and operators (NASM manual, section 3.4)."""

import math
import re
import struct
from functools import lru_cache
from typing import NamedTuple

from minivm.errors import AssemblyError

PASTE = "%+"
_STRING = r"'[^'\n]*'|\"[^\"\n]*\"|`(?:\\.|[^`\\\n])*`"
STRING = re.compile(_STRING)
_TOKEN = re.compile(
    rf"""(?P<space>[ \t\r\f\v]+)
    |(?P<comment>;.*)
    |(?P<string>{_STRING})
    |(?P<float>[0-9][0-9_]*\.[0-9_]*(?:[eE][+-]?[0-9]+)?|[0-9][0-9_]*[eE][+-]?[0-9]+(?![0-9A-Za-z_.]))
    |(?P<number>\$?[0-9][0-9A-Za-z_]*)
    |(?P<directive>%\$+[A-Za-z_?@][\w?@.]*|%%?[A-Za-z_][\w.]*|%\+(?!\d)|%\[)
    |(?P<name>\$?[A-Za-z_.?@][\w.?@$\#~]*)
    |(?P<operator>\$\$|\$|<<<|>>>|<=>|<<|>>|<=|>=|==|!=|<>|&&|\|\||\^\^|//|%%|[^\s])""",
    re.VERBOSE | re.ASCII,
)
_ESCAPES = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "e": 27, "f": 12, "v": 11}
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_BASES = {"h": 16, "x": 16, "b": 2, "y": 2, "o": 8, "q": 8, "d": 10, "t": 10}


class Token(NamedTuple):
    """One piece of a line: its kind (a group of the pattern above) and its text."""

    kind: str
    text: str


@lru_cache(maxsize=4096)
def tokenize(text: str) -> tuple[Token, ...]:
    """Cut one line into tokens, the comment dropped; an unclosed quote raises `AssemblyError`."""
    tokens = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind == "comment":
            break
        if kind == "operator" and match.group() in "'\"`":
            raise AssemblyError("a quote is opened and not closed")
        tokens.append(Token(kind, match.group()))
    return tuple(tokens)


def untokenize(tokens: "tuple[Token, ...] | list[Token]") -> str:
    """Return the text that the tokens came from."""
    return "".join(token.text for token in tokens)


def strip(tokens: "tuple[Token, ...] | list[Token]") -> list[Token]:
    """Return the tokens without any space."""
    return [token for token in tokens if token.kind != "space"]


def split(tokens: list[Token], separator: str = ",") -> list[list[Token]]:
    """Cut at each separator that stands outside round brackets and square brackets."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind == "operator":
            depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if token.kind == "operator" and token.text == separator and depth <= 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def string_bytes(text: str) -> bytes:
    """Return the bytes of a quoted string; back quotes take C escapes (NASM manual, section 3.4.2)."""
    body = text[1:-1].encode("latin-1", "replace")
    return _ESCAPE.sub(_escaped, body) if text[0] == "`" else body


def _escaped(match: "re.Match[bytes]") -> bytes:
    code = match.group(1).decode("latin-1")
    if code[0] == "x":
        return bytes([int(code[1:], 16)]) if len(code) > 1 else b"x"
    if code[0] in "uU" and len(code) > 1:
        return _utf8(int(code[1:], 16))
    if code[0] in "01234567":
        return bytes([int(code, 8) & 0xFF])
    return bytes([_ESCAPES[code]]) if code in _ESCAPES else code.encode("latin-1")


def _utf8(point: int) -> bytes:
    if point > 0x10FFFF or 0xD800 <= point < 0xE000:
        raise AssemblyError(f"there is no character U+{point:04X}")
    return chr(point).encode()


def number(text: str) -> int:
    """Return the value of a numeric constant in any of NASM's spellings (NASM manual, section 3.4.1)."""
    digits = text.replace("_", "").lower()
    for body, base in _spellings(digits):
        if body and all(digit in "0123456789abcdef"[:base] for digit in body) and len(body) <= 128:
            return int(body, base)
    raise AssemblyError(f"'{text}' is no number")


def _spellings(digits: str) -> list[tuple[str, int]]:
    if digits.startswith("$"):
        return [(digits[1:], 16)]
    choices = []
    if digits[-1] == "h":
        choices.append((digits[:-1], 16))
    if digits[0] == "0" and digits[1:2] in _BASES and digits[1:2]:
        choices.append((digits[2:], _BASES[digits[1]]))
    if digits[-1] in _BASES:
        choices.append((digits[:-1], _BASES[digits[-1]]))
    return [*choices, (digits, 10)]


def float_bytes(text: str, size: int) -> bytes:
    """Return an IEEE 754 constant of `size` bytes: 2, 4 or 8."""
    formats = {2: "<e", 4: "<f", 8: "<d"}
    if size not in formats:
        raise AssemblyError(f"a floating-point constant does not fit {size} byte(s); use dw, dd or dq")
    try:
        value = float(text.replace("_", ""))
        if math.isinf(value):
            raise OverflowError
        return struct.pack(formats[size], value)
    except OverflowError:
        raise AssemblyError(f"{text} is too large for {size} bytes") from None
