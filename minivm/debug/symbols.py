"""Symbols and source lines: names for addresses, and back.

    table = load_symbols("kernel.elf")            # ELF with DWARF, NASM listing or map, ld map, nm, .asm
    table.lookup("main")                          # Symbol, or None
    table.nearest(0x100010)                       # (Symbol main, 16)
    table.source(0x100010)                        # SourceLine kernel.c 42

What finds out a file's kind is here; the formats are read in `symbols_elf`, `symbols_nasm` and `symbols_text`, which
are imported when they are needed. `SymbolTable` itself is in `symbols_table`.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from minivm.debug.symbols_table import SourceLine, Symbol, SymbolTable, read_source
from minivm.errors import MiniVMError, SymbolError

LARGEST_ELF_BYTES = 512 << 20
LARGEST_TEXT_BYTES = 64 << 20
_SOURCES = (".asm", ".nasm", ".s")
_LISTING = re.compile(rb"\A(?:\s*\n)* {0,5}\d{1,7} (?:[0-9A-F]{8} \S| {33}|\s*(?:<\d+>)?\s*\n)")


def load_symbols(path: str | Path, *, origin: int | None = None) -> SymbolTable:
    """Return the symbols and lines in a file, whose kind is found by its contents.

    Understood are ELF executables (symbols, DWARF 2 to 5), NASM's listings and maps, maps of GNU ld, `nm` output and
    System.map, and assembly sources (which are assembled). `origin` overrides the `org` of a listing.
    Raises `SymbolError` of one line, and `AssemblyError` for a source that does not assemble.
    """
    path = Path(path)
    if path.suffix.lower() in _SOURCES and not _read(path, 4).startswith(b"\x7fELF"):
        return _from_source(path, None)
    data = _read(path, LARGEST_ELF_BYTES)
    name = str(path)
    if data.startswith(b"\x7fELF"):
        from minivm.debug.symbols_elf import load_elf

        table = load_elf(data, name)
        table.folders.append(path.absolute().parent)
        return table
    return _from_text(data, path, origin)


def _from_text(data: bytes, path: Path, origin: int | None) -> SymbolTable:
    name = str(path)
    if len(data) > LARGEST_TEXT_BYTES:
        raise SymbolError(f"{name}: has {len(data)} bytes; a symbol file in text has at most {LARGEST_TEXT_BYTES}")
    if not data.strip() or b"\0" in data:
        what = "is empty" if not data.strip() else "is neither ELF nor text"
        raise SymbolError(f"{name}: {what}; symbols come from ELF, NASM listings and maps, and nm output")
    text = data.decode("utf-8", "replace")
    if "NASM Map file" in text[:200]:
        from minivm.debug.symbols_nasm import load_map

        return load_map(text, name)
    if _LISTING.match(data):
        from minivm.debug.symbols_nasm import load_listing

        return load_listing(text, name, origin=origin, map_text=_map_beside(path))
    from minivm.debug.symbols_text import load_text

    return load_text(text, name)


def _read(path: Path, most: int) -> bytes:
    """Return a file's bytes, at most `most` and one: a pipe or a device is refused, since it may never end."""
    try:
        if path.is_dir() or (path.exists() and not path.is_file()):
            raise SymbolError(f"{path}: is not a file; give one with symbols")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise SymbolError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > most and most == LARGEST_ELF_BYTES:
        raise SymbolError(f"{path}: has more than {most >> 20} MiB")
    return data


def _map_beside(path: Path) -> str:
    """Return NASM's map of the same program, which knows where its sections lie; "" when there is none."""
    place = path.with_suffix(".map")
    if not place.is_file():
        return ""
    text = _read(place, LARGEST_TEXT_BYTES).decode("utf-8", "replace")
    return text if "NASM Map file" in text[:200] else ""


def _from_source(path: Path, image: bytes | None) -> SymbolTable:
    """Assemble a source for its labels and lines; when `image` is given, it must begin with the same bytes."""
    from minivm.debug.code import assemble_file
    from minivm.debug.symbols_nasm import from_assembled

    assembled = assemble_file(path)
    if image is not None and not image.startswith(assembled.code.rstrip(b"\0")):
        raise SymbolError(f"{path}: is not what the image was made from; assemble it again for its symbols")
    lines = read_source(str(path), [])
    return from_assembled(assembled, str(path), lines)


# Best first: what a linker wrote knows sizes and lines, a map knows only names.
_BESIDE = (".elf", ".lst", ".map", ".sym")


def symbols_for_guest(path: str | Path | None) -> SymbolTable:
    """Return what is known about a guest: from itself, files beside it (.elf .lst .map .sym), or its .asm source.

    Of no guest nothing is known. A source beside an image counts only when it assembles to that image. Never raises for
    the files it looks at: one that cannot be used is named in the table's `notes`.
    """
    if path is None:
        return SymbolTable("")
    path = Path(path)
    table = SymbolTable(str(path))
    if path.suffix.lower() in _SOURCES:
        _try(table, partial(_from_source, path, None))
        return table
    image = _guest_bytes(path)
    if image.startswith(b"\x7fELF"):
        _try(table, partial(load_symbols, path))
    if not table:
        for found in _beside(path):
            _try(table, partial(load_symbols, found))
    source = next((path.with_suffix(s) for s in _SOURCES if path.with_suffix(s).is_file()), None)
    if not table.files() and source is not None:
        _try(table, partial(_from_source, source, image))
    return table


def _guest_bytes(path: Path) -> bytes:
    """Return the image, or nothing when it cannot be read; what wants to boot it says why."""
    try:
        return _read(path, LARGEST_ELF_BYTES)
    except SymbolError:
        return b""


def _beside(path: Path) -> list[Path]:
    """Return the symbol files of a guest: `kernel.map` and `kernel.bin.map` for `kernel.bin`."""
    choices = [place for end in _BESIDE for place in (path.with_suffix(end), Path(f"{path}{end}"))]
    return [place for place in choices if place != path and place.is_file()]


def _try(table: SymbolTable, load: Callable[[], SymbolTable]) -> None:
    try:
        table.update(load())
    except MiniVMError as error:
        table.notes.append(" ".join(str(error).splitlines()))


__all__ = ["SourceLine", "Symbol", "SymbolTable", "load_symbols", "symbols_for_guest"]
