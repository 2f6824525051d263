"""Symbols and lines of ELF executables: the symbol table, and what `symbols_dwarf` finds in DWARF.

System V ABI "Symbol Table". pyelftools reads the containers, and unpacks and describes the units of compilation.
"""

from io import BytesIO
from struct import iter_unpack
from typing import Any

from minivm.debug.symbols_dwarf import line_programs
from minivm.debug.symbols_table import SymbolTable
from minivm.errors import SymbolError

MOST_SYMBOLS = 2_000_000
LARGEST_SECTION_BYTES = 256 << 20
_MACHINES = ("EM_386", "EM_X86_64", "EM_IAMCU")
_KINDS = {"ET_REL": "an object file, whose names have no addresses yet; link it", "ET_CORE": "a core dump"}
_SYMBOL_32, _SYMBOL_64 = "<IIIBBH", "<IBBHQQ"  # name value size info other section | name info other section value size
_TYPES = {0: "label", 1: "object", 2: "function", 10: "function"}  # STT_NOTYPE, _OBJECT, _FUNC, _GNU_IFUNC
_STT_FILE = 4
_UNDEFINED, _ABSOLUTE, _COMMON = 0, 0xFFF1, 0xFFF2
_SHF_ALLOC = 2


def load_elf(data: bytes, name: str) -> SymbolTable:
    """Return the symbols and lines of the executable `data`, called `name` in messages.

    Raises `SymbolError` for what is no x86 executable, has neither symbols nor lines, or is damaged.
    """
    try:
        return _Loader(data, name).load()
    except SymbolError:
        raise
    except (Exception, RecursionError) as error:
        # pyelftools trusts its input: a damaged file ends in whatever its parts raise, AttributeError and all.
        reason = " ".join(f"{type(error).__name__} {error}".split())[:100]
        raise SymbolError(f"{name}: is a damaged or truncated ELF file ({reason})") from error


class _Loader:
    def __init__(self, data: bytes, name: str) -> None:
        from elftools.elf.elffile import ELFFile

        self.data = data
        self.name = name
        self.elf: Any = ELFFile(BytesIO(data))
        self.table = SymbolTable(name)
        self.extents: list[tuple[int, int]] = []

    def load(self) -> SymbolTable:
        header = self.elf.header
        if header["e_machine"] not in _MACHINES or not self.elf.little_endian:
            raise SymbolError(f"{self.name}: is an ELF file for {header['e_machine']}, not for x86")
        if header["e_type"] in _KINDS:
            raise SymbolError(f"{self.name}: is {_KINDS[header['e_type']]}")
        self._sections()
        self._symbols()
        self._lines()
        if not self.table and not self.table.files():
            raise SymbolError(f"{self.name}: has no symbols and no lines; link it without -s, and compile with -g")
        return self.table

    def _sections(self) -> None:
        """Check that all sections lie in the file, and remember which addresses the program has."""
        for section in self.elf.iter_sections():
            header = section.header
            if header["sh_type"] not in ("SHT_NOBITS", "SHT_NULL"):
                end = header["sh_offset"] + header["sh_size"]
                if end > len(self.data):
                    raise SymbolError(f"{self.name}: is truncated: a section ends at byte {end} of {len(self.data)}")
                if section.compressed and section.data_size > LARGEST_SECTION_BYTES:
                    raise SymbolError(f"{self.name}: a section unpacks to {section.data_size} bytes, which is too much")
            if header["sh_flags"] & _SHF_ALLOC and header["sh_size"]:
                self.extents.append((header["sh_addr"], header["sh_addr"] + header["sh_size"]))
        for start, end in self.extents:
            self.table.add_extent(start, end)

    # Symbols -----------------------------------------------------------------------------------------------------

    def _symbols(self) -> None:
        tables = [s for s in self.elf.iter_sections() if s.header["sh_type"] in ("SHT_SYMTAB", "SHT_DYNSYM")]
        tables.sort(key=lambda section: section.header["sh_type"], reverse=True)  # .symtab has all of .dynsym
        if not tables:
            return
        strings = self.elf.get_section(tables[0].header["sh_link"]).data()
        packed = tables[0].data()
        layout, size = (_SYMBOL_32, 16) if self.elf.elfclass == 32 else (_SYMBOL_64, 24)
        if len(packed) // size > MOST_SYMBOLS:
            raise SymbolError(f"{self.name}: has {len(packed) // size} symbols; at most {MOST_SYMBOLS} are read")
        file = ""
        for fields in iter_unpack(layout, packed[: len(packed) // size * size]):
            if size == 16:
                at, value, length, info, _, section = fields
            else:
                at, info, _, section, value, length = fields
            kind = info & 0xF
            if kind == _STT_FILE:
                file = _text(strings, at)
            elif kind in _TYPES and section not in (_UNDEFINED, _COMMON):
                name = _text(strings, at)
                constant = section == _ABSOLUTE and _TYPES[kind] == "label"
                if name and not name.startswith(".L"):
                    is_global = info >> 4
                    self.table.add(
                        name, value, length, "constant" if constant else _TYPES[kind], "" if is_global else file
                    )

    # Lines -------------------------------------------------------------------------------------------------------

    def _lines(self) -> None:
        if self.elf.get_section_by_name(".zdebug_line") is not None:
            self.table.notes.append(f"{self.name}: its lines are packed in an old way; link without -gz=zlib-gnu")
        if self.elf.get_section_by_name(".debug_line") is None:
            return
        for program in line_programs(
            self._contents(".debug_line"),
            self._contents(".debug_line_str"),
            self._contents(".debug_str"),
            self._folders,
        ):
            numbers = [self.table.add_file(name) for name in program.files]
            for run in program.runs(numbers):
                if self._belongs(run.addresses[0]):
                    self.table.add_run(run)

    def _contents(self, name: str) -> bytes:
        section = self.elf.get_section_by_name(name)
        return bytes(section.data()) if section is not None else b""

    def _folders(self) -> dict[int, str]:
        """Return each unit's directory by the offset of its line program, which up to DWARF 4 only the unit knows."""
        if self.elf.get_section_by_name(".debug_info") is None:
            return {}
        # With --emit-relocs a linked file keeps its relocations, which are applied already.
        dwarf = self.elf.get_dwarf_info(relocate_dwarf_sections=False, follow_links=False)
        found: dict[int, str] = {}
        for unit in dwarf.iter_CUs():
            attributes = unit.get_top_DIE().attributes
            program, folder = attributes.get("DW_AT_stmt_list"), attributes.get("DW_AT_comp_dir")
            if program is not None and folder is not None:
                found[program.value] = folder.value.decode("utf-8", "replace")
        return found

    def _belongs(self, address: int) -> bool:
        """Tell code that is in the program from functions that the linker dropped, whose lines begin at 0."""
        return not self.extents or any(start <= address < end for start, end in self.extents)


def _text(strings: bytes, at: int) -> str:
    return strings[at : max(strings.find(b"\0", at), at)].decode("utf-8", "replace")
