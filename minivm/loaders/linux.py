"""Linux kernels, and what else is packed as one (memtest86+, iPXE): bzImage and zImage, boot protocol 2.00 to 2.15.

Such a file is a boot sector that nobody starts any more, up to 64 sectors of setup code for real mode, and the kernel
for protected mode. They go where the protocol wants them, its header is filled in, and the setup code is entered with
the BIOS's services at hand: it asks them itself for memory, disks and the screen.

Documentation/arch/x86/boot.rst in Linux's sources is the specification; sections below are its.
"""

import struct
from pathlib import Path

from minivm.config import MachineConfig, parse_size
from minivm.core.memory import PAGE
from minivm.core.record import record
from minivm.errors import ConfigError, ImageError
from minivm.loaders.image import Image
from minivm.loaders.layout import Layout
from minivm.loaders.plan import HIGH_START, RAM, BootPlan, Entry, MemoryMap
from minivm.storage.geometry import SECTOR

# The real-mode kernel header: name, offset, format, and the first protocol that has it
_FIELDS = {
    "setup_sects": (0x1F1, "B", 0x000), "syssize": (0x1F4, "I", 0x204), "boot_flag": (0x1FE, "H", 0x000),
    "header": (0x202, "4s", 0x000), "version": (0x206, "H", 0x200), "loadflags": (0x211, "B", 0x200),
    "initrd_addr_max": (0x22C, "I", 0x203), "kernel_alignment": (0x230, "I", 0x205),
    "relocatable_kernel": (0x234, "B", 0x205), "cmdline_size": (0x238, "I", 0x206),
    "pref_address": (0x258, "Q", 0x20A), "init_size": (0x260, "I", 0x20A),
}  # fmt: skip
_DEFAULTS = {"initrd_addr_max": 0x37FF_FFFF, "cmdline_size": 255}
"""What holds for kernels that are too old to say it."""
_HEADER_END = 0x268
_LOADED_HIGH, _CAN_USE_HEAP = 0x01, 0x80
_UNKNOWN_LOADER = 0xFF
_COMMAND_LINE_MAGIC = 0xA33F
_OLDEST, _SINCE_COMMAND_LINE_POINTER = 0x200, 0x202

_SETUP_LOW, _SETUP_OLD = 0x1_0000, 0x9_0000
"""Where the setup goes, and where it must go before protocol 2.02 (section "Memory layout")."""
_KERNEL_LOW = 0x1_0000
_HEAP_END, _HEAP_END_OLD = 0xE000, 0x9800
"""From the setup's start: above the code the heap, the stack from here downwards, then the command line."""
_SMALLEST_HEAP = 0x1000
_VIDEO_MODES = {"normal": 0xFFFF, "ext": 0xFFFE, "ask": 0xFFFD}
_LARGEST_FILE_BYTES = 1 << 30


@record
class Setup:
    """What of the header matters to a boot loader; `length` is that of boot sector and setup in bytes."""

    length: int
    version: int
    syssize: int
    loadflags: int
    initrd_addr_max: int
    kernel_alignment: int
    relocatable_kernel: int
    cmdline_size: int
    pref_address: int
    init_size: int

    @property
    def kernel_start(self) -> int:
        """Where the protected-mode kernel is loaded."""
        return HIGH_START if self.loadflags & _LOADED_HIGH else _KERNEL_LOW

    @property
    def base(self) -> int:
        """Where the setup is loaded."""
        modern = self.version >= _SINCE_COMMAND_LINE_POINTER and self.loadflags & _LOADED_HIGH
        return _SETUP_LOW if modern else _SETUP_OLD

    @property
    def heap_end(self) -> int:
        """Where heap and stack end and the command line begins, from `base`."""
        return _HEAP_END if self.base == _SETUP_LOW else _HEAP_END_OLD

    @property
    def unpacked_end(self) -> int:
        """The end of what the kernel needs before it can look at the memory map; 0 when it does not say so."""
        if not self.init_size:
            return 0
        alignment = max(self.kernel_alignment, 1) if self.relocatable_kernel else 1
        return max(-(-HIGH_START // alignment) * alignment, self.pref_address) + self.init_size


def load(image: Image, config: MachineConfig, memory_map: MemoryMap) -> BootPlan:
    """Place setup, kernel, command line and initial RAM disk, and enter the setup in real mode."""
    data = image.read(_LARGEST_FILE_BYTES)
    setup = read_setup(data, image.name)
    layout = Layout(config.memory, image.name)
    code, kernel = bytearray(data[: setup.length]), data[setup.length :]
    line = _command_line(config.append, setup, image.name)
    _fill_in(code, setup, config.append, len(line))
    _place_kernel(kernel, setup, layout, config.memory)
    if config.initrd:
        disk = _read_initrd(config.initrd)
        start = _place_initrd(disk, setup, len(kernel), layout, _ram_end(memory_map, config.append))
        struct.pack_into("<II", code, 0x218, start, len(disk))
    layout.place(setup.base, bytes(code), "the setup", setup.heap_end)
    layout.place(setup.base + setup.heap_end, line, "the command line")
    segment = setup.base >> 4
    entry = Entry("real", 0, (("esp", setup.heap_end),), cs=segment + (SECTOR >> 4), ds=segment, ss=segment, fs=segment)
    return layout.plan("linux", entry)


def read_setup(data: bytes, name: str) -> Setup:
    """Return the setup header; raises `ImageError` when there is none, or the file ends before the kernel does."""
    if len(data) < _HEADER_END or data[0x202:0x206] != b"HdrS" or data[0x1FE:0x200] != b"\x55\xaa":
        raise ImageError(f"{name}: is no Linux kernel: needs 55AAh at byte 510 and HdrS at byte 202h")
    version = _field(data, "version", _OLDEST)
    if version < _OLDEST:
        raise ImageError(f"{name}: its setup header has version {version:X}h; the first there is is {_OLDEST:X}h")
    values = {field: _field(data, field, version) for field in Setup.__annotations__ if field in _FIELDS}
    length = (_field(data, "setup_sects", version) or 4) * SECTOR + SECTOR
    setup = Setup(length=length, **values)
    if len(data) <= length:
        raise ImageError(f"{name}: is truncated: its setup alone has {length} bytes, the file {len(data)}")
    if setup.syssize and len(data) - length <= (setup.syssize - 1) * 16:
        whole = length + setup.syssize * 16
        raise ImageError(f"{name}: is truncated: has {len(data)} bytes of about {whole} that its header tells")
    if length + _SMALLEST_HEAP > setup.heap_end:
        raise ImageError(f"{name}: its setup of {length} bytes leaves no room for a heap below {setup.heap_end:X}h")
    return setup


def _field(data: bytes, name: str, version: int) -> int:
    offset, form, since = _FIELDS[name]
    if version < since:
        return _DEFAULTS.get(name, 0)
    value: int = struct.unpack_from(f"<{form}", data, offset)[0]
    return value


def _fill_in(code: bytearray, setup: Setup, words: str, line_bytes: int) -> None:
    """Write what the header wants of a boot loader (section "Details of header fields")."""
    struct.pack_into("<H", code, 0x1FA, _video_mode(words))
    code[0x210] = _UNKNOWN_LOADER
    if setup.version > _OLDEST:
        code[0x211] = setup.loadflags | _CAN_USE_HEAP
        struct.pack_into("<H", code, 0x224, setup.heap_end - 0x200)
    if setup.version >= _SINCE_COMMAND_LINE_POINTER:
        struct.pack_into("<I", code, 0x228, setup.base + setup.heap_end)
    else:
        struct.pack_into("<HH", code, 0x20, _COMMAND_LINE_MAGIC, setup.heap_end)
        struct.pack_into("<H", code, 0x212, setup.heap_end + line_bytes)


def _video_mode(words: str) -> int:
    """Return the number behind the last `vga=`, which is for the loader (section "Special Command Line Options")."""
    given = _last(words, "vga=")
    try:
        mode = _VIDEO_MODES.get(given) if given in _VIDEO_MODES else int(given, 0)
    except ValueError:
        raise ConfigError(f"append: vga={given}: is no video mode; give a number, normal, ext or ask") from None
    if mode is None or not 0 <= mode <= 0xFFFF:
        raise ConfigError(f"append: vga={given}: a video mode has 16 bits")
    return mode


def _last(words: str, start: str, without: str = "normal") -> str:
    return next((word.removeprefix(start) for word in reversed(words.split()) if word.startswith(start)), without)


def _command_line(words: str, setup: Setup, name: str) -> bytes:
    line = words.encode("utf-8", "surrogateescape")
    room = min(setup.cmdline_size, 0x1_0000 - setup.heap_end - 1 if setup.base == _SETUP_LOW else 0x7FF)
    if len(line) > room:
        raise ImageError(f"{name}: takes a command line of {room} bytes, but --append has {len(line)}")
    return line + b"\0"


def _place_kernel(kernel: bytes, setup: Setup, layout: Layout, memory_bytes: int) -> None:
    layout.place(setup.kernel_start, kernel, "the kernel")
    if setup.unpacked_end > memory_bytes:
        raise ImageError(
            f"{layout.name}: needs RAM up to {setup.unpacked_end:X}h to unpack itself, but RAM ends at "
            f"{memory_bytes:X}h; give more --memory"
        )


def _read_initrd(names: tuple[str, ...]) -> bytes:
    """Return the initial RAM disk: several archives one behind the other, each from a multiple of four bytes."""
    joined = bytearray()
    for name in names:
        joined += bytes(-len(joined) % 4) + Image.open(Path(name)).read(_LARGEST_FILE_BYTES)
    return bytes(joined)


def _place_initrd(disk: bytes, setup: Setup, kernel_bytes: int, layout: Layout, ram_end: int) -> int:
    """Put the RAM disk as high as the kernel can reach, on a page's start; return where."""
    top = min(ram_end, setup.initrd_addr_max + 1)
    start = (top - len(disk)) // PAGE * PAGE
    lowest = max(HIGH_START, setup.kernel_start + kernel_bytes, setup.unpacked_end)
    if start < lowest:
        raise ImageError(
            f"{layout.name}: the initial RAM disk has {len(disk)} bytes, but only {max(top - lowest, 0)} are free "
            f"between the kernel and {top:X}h; give more --memory"
        )
    layout.place(start, disk, "the initial RAM disk")
    return start


def _ram_end(memory_map: MemoryMap, words: str) -> int:
    """Return the end of the RAM from 1 MiB on, or what `mem=` says if that is less (as its section demands)."""
    end = next((base + length for base, length, kind in memory_map if base == HIGH_START and kind == RAM), HIGH_START)
    try:
        return min(end, parse_size(_last(words, "mem=", str(end))))
    except ConfigError:
        return end  # mem= has more forms than sizes; those are for the kernel alone
