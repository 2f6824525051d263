"""The Unicorn library called through ctypes.

The `unicorn` package brings the shared library. Its Python wrappers cost 50 ms to import and ten times a plain call,
so this file loads the library itself and names the few functions and constants that the engine uses
(docs/decisions/unicorn-by-ctypes.md). A test compares every constant with the package's own.
"""

import ctypes
import sys
from ctypes import CFUNCTYPE, POINTER, c_bool, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from importlib.util import find_spec
from os import R_OK, access
from typing import Any

from minivm.errors import EngineError

ARCH_X86, MODE_64 = 4, 8
PROT_READ, PROT_WRITE, PROT_EXEC, PROT_ALL = 1, 2, 4, 7

HOOK_INTR, HOOK_INSN, HOOK_CODE, HOOK_BLOCK = 1, 2, 4, 8
HOOK_MEM_READ, HOOK_MEM_WRITE = 1024, 2048
HOOK_MEM_INVALID, HOOK_INSN_INVALID, HOOK_EDGE_GENERATED, HOOK_TLB_FILL = 1008, 16384, 32768, 131072
INSN_CPUID, INSN_IN, INSN_OUT, INSN_RDTSC, INSN_RDTSCP, INSN_SYSCALL, INSN_SYSENTER = 113, 218, 500, 608, 609, 699, 700
REG_EFLAGS, REG_RAX, REG_CR0, REG_CR3, REG_CR4, REG_FPCW, REG_MSR, REG_MXCSR = 25, 35, 50, 53, 54, 246, 248, 249
REG_FPSW, REG_ST0, REG_XMM0, REG_FPTAG = 31, 114, 122, 247

MEM_WRITE, MEM_FETCH = 17, 18
MEM_WRITE_PROT, MEM_READ_PROT, MEM_FETCH_PROT = 22, 23, 24
ERR_OK, ERR_EXCEPTION = 0, 21

_CTL_USE_EXITS, _CTL_REMOVE_CACHE, _CTL_FLUSH_TB, _CTL_FLUSH_TLB, _CTL_TLB_TYPE, _CTL_BUFFER = 4, 9, 10, 11, 12, 13
_CTL_WRITE = 1
_PAGE = 4096
TLB_CPU, TLB_VIRTUAL = 0, 1


class TlbEntry(ctypes.Structure):
    """The answer to a TLB miss: the physical page and what may be done with it."""

    _fields_ = (("physical", c_uint64), ("permissions", c_uint32))
    physical: int
    permissions: int


class TranslatedBlock(ctypes.Structure):
    """Unicorn's description of a block that it has translated."""

    _fields_ = (("address", c_uint64), ("instructions", ctypes.c_uint16), ("size", ctypes.c_uint16))
    address: int
    instructions: int
    size: int


class Msr(ctypes.Structure):
    """How `uc_reg_read` and `uc_reg_write` take a model-specific register."""

    _fields_ = (("index", c_uint32), ("value", c_uint64))
    index: int
    value: int


IN_CALLBACK = CFUNCTYPE(c_uint32, c_void_p, c_uint32, c_int, c_void_p)
OUT_CALLBACK = CFUNCTYPE(None, c_void_p, c_uint32, c_int, c_uint32, c_void_p)
INTR_CALLBACK = CFUNCTYPE(None, c_void_p, c_uint32, c_void_p)
BLOCK_CALLBACK = CFUNCTYPE(None, c_void_p, c_uint64, c_uint32, c_void_p)
EDGE_CALLBACK = CFUNCTYPE(None, c_void_p, c_void_p, c_void_p, c_void_p)
FLAG_CALLBACK = CFUNCTYPE(c_int, c_void_p, c_void_p)
FILL_CALLBACK = CFUNCTYPE(c_bool, c_void_p, c_uint64, c_int, POINTER(TlbEntry), c_void_p)
MEMORY_CALLBACK = CFUNCTYPE(c_bool, c_void_p, c_int, c_uint64, c_int, c_int64, c_void_p)
ACCESS_CALLBACK = CFUNCTYPE(None, c_void_p, c_int, c_uint64, c_int, c_int64, c_void_p)
MMIO_READ_CALLBACK = CFUNCTYPE(c_uint64, c_void_p, c_uint64, c_uint32, c_void_p)
MMIO_WRITE_CALLBACK = CFUNCTYPE(None, c_void_p, c_uint64, c_uint32, c_uint64, c_void_p)

_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "uc_open": (c_int, c_int, c_void_p),
    "uc_close": (c_void_p,),
    "uc_version": (c_void_p, c_void_p),
    "uc_emu_start": (c_void_p, c_uint64, c_uint64, c_uint64, c_size_t),
    "uc_emu_stop": (c_void_p,),
    "uc_reg_read": (c_void_p, c_int, c_void_p),
    "uc_reg_write": (c_void_p, c_int, c_void_p),
    "uc_mem_map_ptr": (c_void_p, c_uint64, c_uint64, c_uint32, c_void_p),
    "uc_mem_unmap": (c_void_p, c_uint64, c_uint64),
    "uc_mem_protect": (c_void_p, c_uint64, c_uint64, c_uint32),
    "uc_mmio_map": (c_void_p, c_uint64, c_size_t, MMIO_READ_CALLBACK, c_void_p, MMIO_WRITE_CALLBACK, c_void_p),
}


def library_path() -> str:
    """Return where the `unicorn` package keeps its shared library; raises `EngineError` when it is missing."""
    spec = find_spec("unicorn")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for name in ("libunicorn.so.2", "libunicorn.2.dylib"):
            candidate = f"{folder}/lib/{name}"
            if access(candidate, R_OK):
                return candidate
    raise EngineError("the unicorn package is missing or has no shared library; pip install 'unicorn>=2.1.4,<2.2'")


class Library:
    """The loaded library, with typed functions; `lib.uc_open` and the rest are called as in C."""

    def __init__(self) -> None:
        self.path = library_path()
        try:
            self.dll = ctypes.CDLL(self.path)
        except OSError as error:
            raise EngineError(f"{self.path} cannot be loaded: {error}; reinstall the unicorn package") from error
        for name, arguments in _SIGNATURES.items():
            getattr(self.dll, name).argtypes = arguments
        self.dll.uc_strerror.restype = c_char_p
        self._ctl = self.dll.uc_ctl
        self.ram_address = self._private("qemu_ram_addr_from_host_x86_64", c_uint64, c_void_p, c_void_p)
        self.forget_range = self._private("tb_invalidate_phys_range_x86_64", None, c_void_p, c_uint64, c_uint64)

    def _private(self, name: str, result: Any, *arguments: Any) -> Any:
        """Return a function of QEMU's that the library exports besides its own; None when this build does not."""
        function = getattr(self.dll, name, None)
        if function is not None:
            function.restype, function.argtypes = result, arguments
        return function

    def address(self, name: str) -> int:
        """Return the address of an exported function, 0 when there is none of that name."""
        try:
            return ctypes.cast(getattr(self.dll, name), c_void_p).value or 0
        except AttributeError:
            return 0

    def version(self) -> str:
        """Return the library's version, like "2.1"."""
        combined = self.dll.uc_version(None, None)
        return f"{combined >> 24 & 0xFF}.{combined >> 16 & 0xFF}.{combined >> 8 & 0xFF}"

    def open(self) -> "Uc":
        """Open one x86 engine in 64-bit mode, the only one that lets the guest switch modes by itself."""
        handle = c_void_p()
        self.check(self.dll.uc_open(ARCH_X86, MODE_64, ctypes.byref(handle)), "open the engine")
        return Uc(self, handle)

    def check(self, status: int, what: str) -> None:
        """Raise `EngineError` unless `status` is UC_ERR_OK."""
        if status != ERR_OK:
            raise EngineError(f"Unicorn could not {what}: {self.dll.uc_strerror(status).decode()}")


class Uc:
    """One open engine: the calls that need its handle, and everything that must outlive it."""

    def __init__(self, library: Library, handle: c_void_p) -> None:
        self.library = library
        self.handle = handle
        self._kept: list[object] = []
        self._ram: list[tuple[int, int, int]] = []
        self._places: dict[int, int] = {}

    @property
    def address(self) -> int:
        """Where the library's `uc_struct` lies."""
        return self.handle.value or 0

    def control(self, kind: int, *arguments: Any) -> None:
        """Call `uc_ctl` with a write request."""
        request = c_uint32(kind | len(arguments) << 26 | _CTL_WRITE << 30)
        self.library.check(self.library._ctl(self.handle, request, *arguments), f"do control {kind}")

    def ignore_until(self) -> None:
        """Let no address end a run: `until` would be translated, and so raise a hidden page fault."""
        self.control(_CTL_USE_EXITS, c_int(1))

    def set_buffer_size(self, size_bytes: int) -> None:
        """Choose how much room translated code has; only before the first run."""
        self.control(_CTL_BUFFER, c_uint32(size_bytes))

    def set_tlb_mode(self, mode: int) -> None:
        """Let the engine's own MMU (`TLB_CPU`) or the fill hook (`TLB_VIRTUAL`) answer TLB misses."""
        self.control(_CTL_TLB_TYPE, c_int(mode))

    def flush_tlb(self) -> None:
        """Forget every translated address."""
        self.control(_CTL_FLUSH_TLB)

    def flush_code(self) -> None:
        """Forget all translated code."""
        self.control(_CTL_FLUSH_TB)

    def remove_code(self, start: int, end: int) -> None:
        """Forget the code that was translated from the RAM at the physical [start, end), wherever the guest saw it.

        `uc_ctl_remove_cache` takes linear addresses and goes through the guest's page tables. So QEMU's own function
        is called where the library exports it, by QEMU's name for the place: its number in all the guest's RAM.
        """
        forget = self.library.forget_range
        while start < end:  # by pages: what was protected page by page need not lie together
            page, offset = divmod(start, _PAGE)
            place = self._places.get(page) or self._place(page)
            piece = min(end - start, _PAGE - offset)
            if place < 0:
                self.control(_CTL_REMOVE_CACHE, c_uint64(start), c_uint64(start + piece))
            else:
                forget(self.handle, place + offset, place + offset + piece)
            start += piece

    def _place(self, page: int) -> int:
        """Return QEMU's name for a page of RAM, and remember it; -1 where there is no RAM or no such function."""
        base = page * _PAGE
        hosts = [host + base - start for start, length, host in self._ram if start <= base < start + length]
        known = hosts and self.library.ram_address is not None and self.library.forget_range is not None
        self._places[page] = int(self.library.ram_address(self.handle, hosts[0])) if known else -1
        return self._places[page]

    def hook(self, kind: int, callback: Any, *, begin: int = 1, end: int = 0, data: Any = None, insn: int = 0) -> int:
        """Add a hook and return its handle; `callback` and `data` are kept alive. `begin` > `end`: everywhere."""
        self._kept += [callback, data]
        hook_handle = c_size_t()
        extra = (c_int(insn),) if insn else ()
        pointer = callback if isinstance(callback, c_void_p) else ctypes.cast(callback, c_void_p)
        argument = ctypes.byref(data) if isinstance(data, ctypes.Structure) else None
        status = self.library.dll.uc_hook_add(
            self.handle,
            ctypes.byref(hook_handle),
            c_int(kind),
            pointer,
            argument,
            c_uint64(begin),
            c_uint64(end),
            *extra,
        )
        self.library.check(status, f"add a hook of kind {kind}")
        return hook_handle.value

    def unhook(self, handle: int) -> None:
        """Take a hook away again."""
        self.library.check(self.library.dll.uc_hook_del(self.handle, c_size_t(handle)), "remove a hook")

    def map_ram(self, base: int, length: int, host_address: int, permissions: int) -> None:
        """Let the guest see `length` bytes of the host's memory at `base`."""
        self._ram.append((base, length, host_address))
        status = self.library.dll.uc_mem_map_ptr(self.handle, base, length, permissions, host_address)
        self.library.check(status, f"map RAM at {base:X}h")

    def unmap(self, base: int, length: int) -> None:
        """Take away everything that was mapped in [base, base + length); from inside the engine, in a port access."""
        self._ram = [one for one in self._ram if not base <= one[0] < base + length]
        self._places.clear()
        self.library.check(self.library.dll.uc_mem_unmap(self.handle, base, length), f"unmap {base:X}h")

    def make_read_only(self, base: int, length: int) -> None:
        """Let the guest only read and execute what was mapped as RAM; a write is dropped where a hook allows it."""
        self.protect(base, length, PROT_READ | PROT_EXEC)

    def protect(self, base: int, length: int, rights: int) -> None:
        """Let the guest do only what `rights` say with these physical pages; not while the engine runs."""
        self._places.clear()  # the pages get names of their own
        status = self.library.dll.uc_mem_protect(self.handle, base, length, rights)
        self.library.check(status, f"protect the memory at {base:X}h")

    def map_mmio(self, base: int, length: int, read: Any, write: Any) -> None:
        """Send accesses to [base, base + length) to two callbacks, which are kept alive with the engine."""
        if read not in self._kept:
            self._kept += [read, write]
        status = self.library.dll.uc_mmio_map(self.handle, base, length, read, None, write, None)
        self.library.check(status, f"map I/O at {base:X}h")

    def close(self) -> None:
        """Free the engine; only then its callbacks."""
        if self.handle:
            self.library.dll.uc_close(self.handle)
            self.handle = c_void_p()
        self._kept.clear()


_LOADED: list[Library] = []


def library() -> Library:
    """Return the library, loaded once in a process."""
    if not _LOADED:
        if sys.platform not in ("linux", "darwin"):
            raise EngineError(f"MiniVM runs on Linux, not yet on {sys.platform}")
        _LOADED.append(Library())
    return _LOADED[0]
