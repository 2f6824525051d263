"""What a machine is made of, as its user says it: one frozen dataclass.

Every field takes the final value (`memory=64 << 20`) or the text that a command line or a TOML file has
(`memory="64M"`); what does not fit is a `ConfigError` that begins with the field's name. Change one with
`minivm.core.record.replace`.
"""

import math
import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from minivm.core.memory import LARGEST_BYTES, MIB, PAGE, SMALLEST_BYTES
from minivm.core.record import names, record, replace
from minivm.device_entries import DeviceEntry, DeviceSpec, device_entry, device_file_in
from minivm.errors import ConfigError

BOOT_KINDS = ("sector", "floppy", "disk", "iso", "linux", "flat", "multiboot", "elf")
BOOT_LETTERS = {"a": "floppy", "c": "disk", "d": "cdrom"}
"""What the letters of a boot order stand for, as QEMU's -boot order has them."""
DISPLAYS = ("auto", "text", "none", "blocks", "sixel", "kitty")
ENGINES = ("auto", "unicorn", "kvm")
CLOCKS = ("ticks", "host")
TRACE_KINDS = ("io", "irq", "int", "exc", "mode", "sound")
CODE_BITS = (16, 32, 64)
EPOCH = datetime(2026, 1, 1)
"""The date in a fresh machine's clock: always the same, so that two runs are the same."""

_SIZE_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_size(text: str) -> int:
    """Return the bytes that "64M", "512K", "1G", "1.5G" or a plain number of bytes stand for (units of 1024)."""
    number = text.strip().upper().removesuffix("IB").removesuffix("B")
    unit = number[-1:] if number[-1:] in ("K", "M", "G") else ""
    try:
        size = float(number.removesuffix(unit)) * _SIZE_UNITS[unit]
        if not math.isfinite(size) or size != int(size) or size < 0 or "_" in number:
            raise ValueError
    except ValueError:
        raise ConfigError(f"{text!r} is not a size; write it like 64M, 512K or 1G") from None
    return int(size)


def parse_address(text: str) -> int:
    """Return the number that "0x7C00", "7C00h" or "31744" stands for."""
    number = text.strip().lower()
    try:
        if number.endswith("h") and not number.startswith(("0x", "-")):
            return int(number[:-1], 16)
        return int(number, 0)
    except ValueError:
        raise ConfigError(f"{text!r} is not an address; write it like 0x7C00, 7C00h or 31744") from None


def parse_speed(text: str) -> float | None:
    """Return how many virtual seconds pass in one of the host's: "1x" is 1.0, and "max" is None, without a limit."""
    if text.strip().lower() == "max":
        return None
    try:
        speed = float(text.strip().lower().removesuffix("x"))
    except ValueError:
        speed = math.nan
    if not math.isfinite(speed) or speed <= 0:
        raise ConfigError(f"{text!r} is not a speed; write 1x, 0.1x or max")
    return speed


def parse_date(text: str) -> datetime:
    """Return the date of an ISO 8601 text like 2026-01-01T00:00:00; a time zone is not kept, the PC knows none."""
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(f"{text!r} is not a date; write it like 2026-01-01T00:00:00") from None


_DISK_OPTIONS = {"ro": "read_only", "snapshot": "snapshot", "unlocked": "unlocked"}


@record
class DiskSpec:
    """A disk image to attach. `read_only` refuses the guest's writes, `snapshot` keeps them in memory.

    Either of them may be `unlocked`: it reads also what another machine is writing, and sees some of that and some not.
    """

    path: Path
    read_only: bool = False
    snapshot: bool = False
    unlocked: bool = False

    @classmethod
    def parse(cls, text: str) -> "DiskSpec":
        """Read FILE[,ro][,snapshot][,unlocked]; a comma in the file's own name is doubled, as QEMU has it."""
        first, *options = text.replace(",,", "\0").split(",")
        name = first.replace("\0", ",")
        if not name:
            raise ConfigError(f"{text!r} names no file; write FILE[,ro][,snapshot]")
        for option in options:
            if option not in _DISK_OPTIONS:
                shown = option.replace("\0", ",,")
                raise ConfigError(f"{shown!r} is not an option of {name}; a disk takes ro, snapshot and unlocked")
        if options == ["unlocked"]:
            raise ConfigError(f"{name}: a writer always locks its image; unlocked goes with ro or snapshot")
        return cls(Path(name), **{_DISK_OPTIONS[option]: True for option in options})


@record
class DriveMedium:
    """What lies in a drive ("floppy0", "cdrom0") in place of what the rest of a configuration says; None: nothing."""

    drive: str
    spec: DiskSpec | None


@record
class SerialSpec:
    """Where a serial port leads: "stdio", "none", "file" or "unix", the last two with a `path`."""

    kind: str
    path: Path | None = None

    @classmethod
    def parse(cls, text: str) -> "SerialSpec":
        """Read stdio, none, file:PATH or unix:PATH."""
        kind, colon, path = text.partition(":")
        if kind in ("stdio", "none") and not colon:
            return cls(kind)
        if kind in ("file", "unix") and path:
            return cls(kind, Path(path))
        raise ConfigError(f"{text!r} is no place for a serial port; write stdio, none, file:PATH or unix:PATH")


@record
class TraceSpec:
    """What to trace, and into which file; without one, to standard error."""

    kinds: tuple[str, ...]
    path: Path | None = None

    @classmethod
    def parse(cls, text: str) -> "TraceSpec":
        """Read KIND,KIND[:FILE] with the kinds io, irq, int, exc, mode, sound, or all."""
        names, colon, path = text.partition(":")
        if colon and not path:
            raise ConfigError(f"{text!r} ends in a colon; write the file behind it")
        kinds = tuple(dict.fromkeys(name.strip() for name in names.split(",")))
        for kind in kinds:
            if kind not in (*TRACE_KINDS, "all"):
                raise ConfigError(f"{kind!r} cannot be traced; choose from {', '.join(TRACE_KINDS)}, all")
        return cls(TRACE_KINDS if "all" in kinds else kinds, Path(path) if path else None)


@record
class MachineConfig:
    """Everything that makes one machine different from another.

    `memory` is in bytes, `timeout` in seconds of the host, `max_ticks` in bytes of code retired, `speed` in virtual
    seconds per second of the host (None: as fast as it goes). `boot` forces a kind of guest; `origin` and `bits` are
    for a flat binary. `initrd` are the modules of a Multiboot kernel, each "FILE" or "FILE words for it"; for Linux,
    the one initial RAM disk. `cdroms` are always read-only. `boot_order` has the letters a (floppy), c (hard disk)
    and d (CD); without it the guest's own drive comes first, then a, c, d.
    `guest_snapshot` keeps what a guest writes to the image that it was booted from in memory, so that the next run
    is the same; images named by `disks` and `floppies` say for themselves. `media` is what was put into drives later,
    in place of what they had, or taken out of them: {"floppy0": "b.img,ro", "cdrom0": ""}.
    """

    guest: Path | None = None
    memory: int = 64 * MIB
    boot: str | None = None
    origin: int = 0x7C00
    bits: int = 16
    guest_snapshot: bool = True
    disks: tuple[DiskSpec, ...] = ()
    floppies: tuple[DiskSpec, ...] = ()
    cdroms: tuple[DiskSpec, ...] = ()
    boot_order: str | None = None
    initrd: tuple[str, ...] = ()
    append: str = ""
    serial: tuple[SerialSpec, ...] = ()
    display: str = "auto"
    engine: str = "auto"
    rtc: datetime = EPOCH
    speed: float | None = None
    clock: str = "ticks"
    firmware: Path | None = None
    timeout: float | None = None
    max_ticks: int | None = None
    trace: tuple[TraceSpec, ...] = ()
    devices: tuple[DeviceEntry | DeviceSpec, ...] = ()
    media: tuple[DriveMedium, ...] = ()

    def __post_init__(self) -> None:
        for name, convert in _CONVERT.items():
            try:
                object.__setattr__(self, name, convert(getattr(self, name)))
            except ConfigError as error:
                raise ConfigError(f"{name}: {error}") from None

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """Return the names that a TOML file may use."""
        return names(cls)

    @classmethod
    def from_toml(cls, path: str | Path) -> "MachineConfig":
        """Read a configuration file; relative paths in it count from where the file lies.

        Raises `ConfigError` naming the file and the key that is unknown or does not fit.
        """
        values = _read_toml(Path(path))
        known = cls.keys()
        for key in values:
            if key not in known:
                raise ConfigError(f"{path}: {key}: there is no such key{_suggestion(key, known)}")
        folder = Path(path).parent
        if isinstance(values.get("devices"), list):
            values["devices"] = [device_file_in(folder, table) for table in values["devices"]]
        try:
            return _relative_to(folder, cls(**values))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None


def _suggestion(key: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key, list(known), 1)
    return f"; did you mean {close[0]}?" if close else f"; the keys are {', '.join(known)}"


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error


def _relative_to(folder: Path, config: MachineConfig) -> MachineConfig:
    def place(spec: Any) -> Any:
        return spec if spec.path is None else replace(spec, path=folder / spec.path)

    return replace(
        config,
        guest=config.guest and folder / config.guest,
        firmware=config.firmware and folder / config.firmware,
        initrd=tuple(os.path.join(folder, module) for module in config.initrd),  # noqa: PTH118 - words may follow
        disks=tuple(map(place, config.disks)),
        floppies=tuple(map(place, config.floppies)),
        cdroms=tuple(map(place, config.cdroms)),
        serial=tuple(map(place, config.serial)),
        trace=tuple(map(place, config.trace)),
        media=tuple(replace(one, spec=one.spec and place(one.spec)) for one in config.media),
    )


# -- how each field becomes its final value ---------------------------------------------------------------------------
def _wrong(value: object, wanted: str) -> ConfigError:
    return ConfigError(f"{value!r} is {_kind_of(value)}; give {wanted}")


def _kind_of(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
    return f"a {type(value).__name__}"


def _text(value: object) -> str:
    if isinstance(value, str) and "\0" not in value:
        return value
    raise _wrong(value, "a text")


def _path(value: object) -> Path:
    if isinstance(value, Path):
        return value
    text = _text(value)
    if not text:
        raise ConfigError("is empty; give a file")
    return Path(text)


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _wrong(value, "a whole number")


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise _wrong(value, "true or false")


def _memory(value: object) -> int:
    size = parse_size(value) if isinstance(value, str) else _whole(value)
    if size % PAGE or not SMALLEST_BYTES <= size <= LARGEST_BYTES:
        raise ConfigError(f"{value} does not fit; give whole pages of 4K between 1M and 3G")
    return size


def _origin(value: object) -> int:
    origin = parse_address(value) if isinstance(value, str) else _whole(value)
    if not 0 <= origin < 1 << 32:
        raise ConfigError(f"{value} lies outside the 4 GiB of addresses")
    return origin


def _positive(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    raise _wrong(value, "a number above 0")


def _ticks(value: object) -> int:
    if _whole(value) < 1:
        raise ConfigError(f"{value} is too few; give at least 1")
    return _whole(value)


def _speed(value: object) -> float | None:
    return parse_speed(value) if isinstance(value, str) else _positive(value)


def _date(value: object) -> datetime:
    date = parse_date(value) if isinstance(value, str) else value
    if isinstance(date, datetime):
        return date.replace(tzinfo=None)
    raise _wrong(value, "a date like 2026-01-01T00:00:00")


def _choice(choices: tuple[Any, ...]) -> Callable[[object], Any]:
    def convert(value: object) -> Any:
        if isinstance(value, bool) or value not in choices:
            raise ConfigError(f"{value!r} is not one of {', '.join(map(str, choices))}")
        return choices[choices.index(value)]

    return convert


def _optional(convert: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda value: None if value is None else convert(value)


def _spec(kind: type[DiskSpec] | type[SerialSpec] | type[TraceSpec]) -> Callable[[object], Any]:
    return lambda value: value if isinstance(value, kind) else kind.parse(_text(value))


def _cdrom(value: object) -> DiskSpec:
    spec = value if isinstance(value, DiskSpec) else DiskSpec.parse(_text(value) + ",ro")
    return replace(spec, read_only=True, snapshot=False)


def _media(value: object) -> tuple[DriveMedium, ...]:
    if isinstance(value, (list, tuple)) and all(isinstance(one, DriveMedium) for one in value):
        return tuple(value)
    if isinstance(value, dict) and all(isinstance(drive, str) for drive in value):
        return tuple(DriveMedium(drive, _in_drive(drive, spec)) for drive, spec in value.items())
    raise _wrong(value, 'drives and files like {cdrom0 = "disc.iso"}')


def _in_drive(drive: str, value: object) -> DiskSpec | None:
    if value in (None, ""):
        return None
    if drive.startswith("cdrom"):
        return _cdrom(value)
    return value if isinstance(value, DiskSpec) else DiskSpec.parse(_text(value))


def _boot_order(value: object) -> str:
    letters = _text(value).strip().lower()
    if not letters or len(set(letters)) < len(letters) or not set(letters) <= set(BOOT_LETTERS):
        raise ConfigError(
            f"{value!r} is no boot order; write each of a (floppy), c (hard disk) and d (CD) at most once, like dca"
        )
    return letters


def _many(convert: Callable[[object], Any]) -> Callable[[object], Any]:
    """Convert a list; one value alone is a list of one."""

    def convert_all(value: object) -> Any:
        return tuple(map(convert, value)) if isinstance(value, (list, tuple)) else (convert(value),)

    return convert_all


_CONVERT: dict[str, Callable[[object], Any]] = {
    "guest": _optional(_path),
    "memory": _memory,
    "boot": _optional(_choice(BOOT_KINDS)),
    "origin": _origin,
    "bits": _choice(CODE_BITS),
    "guest_snapshot": _truth,
    "disks": _many(_spec(DiskSpec)),
    "floppies": _many(_spec(DiskSpec)),
    "cdroms": _many(_cdrom),
    "boot_order": _optional(_boot_order),
    "initrd": _many(_text),
    "append": _text,
    "serial": _many(_spec(SerialSpec)),
    "display": _choice(DISPLAYS),
    "engine": _choice(ENGINES),
    "rtc": _date,
    "speed": _optional(_speed),
    "clock": _choice(CLOCKS),
    "firmware": _optional(_path),
    "timeout": _optional(_positive),
    "max_ticks": _optional(_ticks),
    "trace": _many(_spec(TraceSpec)),
    "devices": _many(device_entry),
    "media": _media,
}
