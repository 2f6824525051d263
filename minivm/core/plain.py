"""Records to plain values and back, for a file that is to be read in ten years.

What is plain: None, bool, int, float, str, and lists and dicts (by name) of them, which is what JSON has. A record, a
dataclass or a named tuple becomes a dict by its field names, and only its class's annotations bring it back, so that a
file can never make a program build anything but what the program asked for. A field that is missing, unknown or of
another type is a `SnapshotError` that begins with the path to it: `devices.uart0.line_status is missing`.
"""

import binascii
import math
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from minivm.errors import MiniVMError, SnapshotError

T = TypeVar("T")
Blob = Callable[[bytes], object]
"""Takes a field's bytes away to where they are kept, and returns the plain value that stands for them."""
Unblob = Callable[[object], bytes]

EXACT_BITS = 64
"""Wider whole numbers are written in hex: other readers of JSON lose their digits, and Python's own stops at 4300."""


def to_plain(value: object, *, blob: Blob | None = None, where: str = "") -> Any:
    """Return `value` as plain values: records as dicts, tuples as lists, enums by name, bytes as {"base64": ...}.

    With `blob`, what it returns stands for every bytes value; `bytes` itself leaves them as they are. `where` is the
    path to `value`, for the `SnapshotError` that is raised when something has no plain form.
    """
    match value:
        case None | bool() | str() if not isinstance(value, Enum):
            return value
        case Enum():
            return value.name
        case int():
            return int(value) if value.bit_length() <= EXACT_BITS else {"hex": format(value, "x")}
        case float():
            return value if math.isfinite(value) else {"float": str(value)}
        case bytes() | bytearray() | memoryview():
            return blob(bytes(value)) if blob is not None else base64_of(bytes(value))
        case Path():
            return str(value)
        case datetime():
            return value.isoformat()
    kind: Any = type(value)
    if (names := field_names(kind)) is not None:
        return {name: to_plain(getattr(value, name), blob=blob, where=join(where, name)) for name in names}
    match value:
        case tuple() | list():
            return [to_plain(item, blob=blob, where=f"{where}[{index}]") for index, item in enumerate(value)]
        case Mapping() if all(isinstance(key, str) for key in value):
            return {str(key): to_plain(item, blob=blob, where=join(where, key)) for key, item in value.items()}
    raise SnapshotError(f"{_named(where)}: a {type(value).__name__} cannot be saved; use a record of plain values")


def from_plain(kind: type[T], data: object, where: str = "", *, unblob: Unblob | None = None) -> T:
    """Return the `kind` that `to_plain` made `data` of; `kind` is a class or a type annotation such as `int | None`.

    `unblob` undoes `blob` and may be left out when that was `bytes`. Raises `SnapshotError` naming the field, which is
    also what happens when an annotation says too little (`Any`, `dict` without its types).
    """
    return typing.cast(T, _Reader(unblob).read(kind, data, where))


def base64_of(data: bytes) -> dict[str, str]:
    """Return bytes as JSON can hold them."""
    return {"base64": binascii.b2a_base64(data, newline=False).decode()}


def join(where: str, name: str) -> str:
    """Return the dotted path to the field `name` of what is at `where`."""
    return f"{where}.{name}" if where else name


def check_names(found: Mapping[str, object], wanted: "tuple[str, ...]", where: str = "") -> None:
    """Refuse a dict that lacks a wanted field or has another one, and what is no dict; raises `SnapshotError`."""
    if not isinstance(found, Mapping):
        raise SnapshotError(f"{_named(where)}: {_short(found)} is not a dict")
    for name in wanted:
        if name not in found:
            raise SnapshotError(f"{join(where, name)} is missing")
    for name in found:
        if name not in wanted:
            raise SnapshotError(f"{join(where, name)} is unknown")


@cache
def field_names(kind: type) -> tuple[str, ...] | None:
    """Return the field names of a record, dataclass or named tuple class; None for any other."""
    if hasattr(kind, "_record_fields"):
        return tuple(kind._record_fields)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return tuple(kind._fields)
    if hasattr(kind, "__dataclass_fields__"):
        from dataclasses import fields

        return tuple(field.name for field in fields(kind))
    return None


@cache
def _annotations(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


class _Reader:
    """Rebuilds values by their annotations."""

    def __init__(self, unblob: Unblob | None) -> None:
        self._unblob = unblob

    def read(self, kind: Any, data: object, where: str) -> Any:
        """Return `data` as a `kind`; raises `SnapshotError`."""
        origin = typing.get_origin(kind)
        if origin is not None:
            return self._read_generic(kind, origin, data, where)
        if kind in (None, type(None)):
            return _wanted(data, data is None, "None", where)
        simple = _SIMPLE.get(kind)
        if simple is not None:
            return simple(data, where)
        if kind is bytes:
            return self._read_bytes(data, where)
        if isinstance(kind, type) and issubclass(kind, Enum):
            found = kind.__members__.get(data) if isinstance(data, str) else None
            return _wanted(found, found is not None, f"one of {', '.join(kind.__members__)}", where, shown=data)
        names = field_names(kind) if isinstance(kind, type) else None
        if names is None:
            raise SnapshotError(f"{_named(where)}: the type {kind} says too little to read it back")
        return self._read_fields(kind, names, data, where)

    def _read_generic(self, kind: Any, origin: Any, data: object, where: str) -> Any:
        arguments = typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            return self._read_union(arguments, data, where)
        if origin is Literal:
            same = [value for value in arguments if value == data and type(value) is type(data)]
            return _wanted(data, bool(same), f"one of {', '.join(map(repr, arguments))}", where)
        if origin is typing.Annotated:
            return self.read(arguments[0], data, where)
        if origin in (tuple, list):
            return origin(self._read_items(arguments, origin, data, where))
        if origin in (dict, Mapping) and arguments[0] is str:
            found: dict[str, object] = _wanted(data, isinstance(data, dict), "a dict", where)
            return {name: self.read(arguments[1], value, join(where, name)) for name, value in found.items()}
        raise SnapshotError(f"{_named(where)}: the type {kind} cannot be read back")

    def _read_items(self, kinds: tuple[Any, ...], origin: type, data: object, where: str) -> list[Any]:
        items: list[object] = _wanted(data, isinstance(data, list), "a list", where)
        if origin is list or kinds[1:] == (...,):
            kinds = kinds[:1] * len(items)
        elif len(items) != len(kinds):
            raise SnapshotError(f"{_named(where)} has {len(items)} entries, not {len(kinds)}")
        return [
            self.read(kind, item, f"{where}[{index}]")
            for index, (kind, item) in enumerate(zip(kinds, items, strict=True))
        ]

    def _read_union(self, kinds: tuple[Any, ...], data: object, where: str) -> Any:
        """Read the first of `kinds` that fits; with only one beside None, its own complaint is the clearest."""
        if data is None and type(None) in kinds:
            return None
        kinds = tuple(kind for kind in kinds if kind is not type(None))
        for kind in kinds[:-1]:
            try:
                return self.read(kind, data, where)
            except SnapshotError:
                continue
        return self.read(kinds[-1], data, where)

    def _read_bytes(self, data: object, where: str) -> bytes:
        if isinstance(data, bytes):
            return data
        if isinstance(data, dict) and list(data) == ["base64"] and isinstance(data["base64"], str):
            try:
                return binascii.a2b_base64(data["base64"], strict_mode=True)
            except ValueError as error:
                raise SnapshotError(f"{_named(where)}: {error}") from None
        if self._unblob is not None:
            return self._unblob(data)
        raise SnapshotError(f"{_named(where)}: {_short(data)} is not bytes")

    def _read_fields(self, kind: type, names: tuple[str, ...], data: object, where: str) -> Any:
        found: dict[str, object] = _wanted(data, isinstance(data, dict), f"the fields of a {kind.__name__}", where)
        check_names(found, names, where)
        annotations = _annotations(kind)
        values = {name: self.read(annotations[name], found[name], join(where, name)) for name in names}
        try:
            return kind(**values)
        except (TypeError, ValueError, MiniVMError) as error:  # what the class itself checks
            raise SnapshotError(f"{_named(where)}: {error}") from error


def _named(where: str) -> str:
    return where or "the value"


def _wanted(data: Any, fits: bool, what: str, where: str, shown: object = None) -> Any:
    if not fits:
        raise SnapshotError(f"{_named(where)}: {_short(data if shown is None else shown)} is not {what}")
    return data


def _short(data: object) -> str:
    text = repr(data)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _read_int(data: object, where: str) -> int:
    if isinstance(data, dict) and list(data) == ["hex"] and isinstance(data["hex"], str):
        try:
            return int(data["hex"], 16)
        except ValueError:
            pass
    number: int = _wanted(data, isinstance(data, int) and not isinstance(data, bool), "a whole number", where)
    return number


def _read_float(data: object, where: str) -> float:
    if isinstance(data, dict) and data.get("float") in ("inf", "-inf", "nan") and len(data) == 1:
        return float(data["float"])
    number: float = _wanted(data, isinstance(data, int | float) and not isinstance(data, bool), "a number", where)
    try:
        return float(number)
    except OverflowError:
        raise SnapshotError(f"{_named(where)}: {_short(data)} is too large") from None


def _read_date(data: object, where: str) -> datetime:
    text: str = _wanted(data, isinstance(data, str), "a date", where)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise SnapshotError(f"{_named(where)}: {_short(text)} is not a date") from None


_SIMPLE: dict[Any, Callable[[object, str], Any]] = {
    bool: lambda data, where: _wanted(data, isinstance(data, bool), "true or false", where),
    int: _read_int,
    float: _read_float,
    str: lambda data, where: _wanted(data, isinstance(data, str), "a text", where),
    Path: lambda data, where: Path(_wanted(data, isinstance(data, str), "a path", where)),
    datetime: _read_date,
}
