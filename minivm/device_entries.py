"""What a configuration says of devices of the user's own: an object that he has made, or how a machine makes one.

Each form becomes a `DeviceEntry` or a `DeviceSpec`: what Python says, a table of a TOML file, or what stands behind
`--device`. These are the user's own words, so a name in them may be that of a module to import. A `DeviceSpec` with a
name, as snapshots and recordings have them, is taken as it is: that name is looked for among installed devices only.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from minivm.core.device import Port
from minivm.core.record import record
from minivm.core.slot import Factory
from minivm.errors import ConfigError

DEVICE_BUSES = ("port", "mmio")

DeviceEntry = tuple[str, int, Port]
"""A device that the user has made: ("port" or "mmio", first address, the device)."""
OptionValue = bool | int | float | str | list[bool | int | float | str]
"""What an option of a device may be in a file."""


@record
class DeviceSpec:
    """A device that each machine makes for itself: on `bus` ("port" or "mmio") from address `base`.

    `device` is its class or a function that makes it, or the name that one is installed under; `options` go to it by
    keyword, beside its `minivm.core.slot.Slot`.
    """

    bus: str
    base: int
    device: str | Factory
    options: Mapping[str, OptionValue] = MappingProxyType({})

    @property
    def name(self) -> str:
        """What the device is called: its installed name, or that of its class."""
        return self.device if isinstance(self.device, str) else getattr(self.device, "__name__", "device")

    @classmethod
    def parse(cls, text: str) -> "DeviceSpec":
        """Read NAME,port=ADDRESS[,option=value...] or with mmio=; a comma inside a value is doubled."""
        from minivm.own_devices import load, read_int, read_options

        name, *rest = (part.replace("\0", ",") for part in text.replace(",,", "\0").split(","))
        pairs = dict(part.partition("=")[::2] for part in rest)
        buses = [bus for bus in DEVICE_BUSES if bus in pairs]
        base = read_int(pairs.pop(buses[0])) if buses else None
        if not name or len(buses) != 1 or base is None or len(pairs) + 1 != len(rest):
            raise ConfigError(f"{text!r} is no device; write NAME,port=0x500[,option=value...], or mmio=0xD0000000")
        factory = load(name)
        return _spec(buses[0], base, factory if ":" in name else name, read_options(factory, pairs, name))


def place_of(entry: DeviceEntry | DeviceSpec) -> str:
    """Return where a device is, which is how a machine knows it: "port 500h"."""
    bus, base = (entry.bus, entry.base) if isinstance(entry, DeviceSpec) else entry[:2]
    return f"{bus} {base:X}h"


def device_entry(value: object) -> DeviceEntry | DeviceSpec:
    """Return what `value`, as the user writes it, says of one device; raises `ConfigError`."""
    if isinstance(value, DeviceSpec):
        return _spec(value.bus, value.base, value.device, value.options)
    if isinstance(value, str):
        return DeviceSpec.parse(value)
    if isinstance(value, dict):
        return _of_table(value)
    if not isinstance(value, (tuple, list)) or not 3 <= len(value) <= 4:
        raise ConfigError(f'{value!r} is not a device; give ("port" or "mmio", first address, the device or its class)')
    bus, base, device, *options = value
    if hasattr(device, "read") and not isinstance(device, type):
        _check_place(bus, base)
        return bus, base, cast(Port, device)
    return _spec(bus, base, _loaded(device), *options)


def device_file_in(folder: Path, table: Any) -> Any:
    """Return a device's table with the place of its file, where it names one, seen from the configuration's folder."""
    name = table.get("device") if isinstance(table, dict) else None
    if not isinstance(name, str) or ".py:" not in name:
        return table
    return table | {"device": os.path.join(folder, name)}  # noqa: PTH118 - a class's name is behind it


def _of_table(table: dict[str, Any]) -> DeviceSpec:
    for key in ("bus", "base", "device"):
        if key not in table:
            raise ConfigError(f"{key} is missing; a device has bus, base and device, and then its own options")
    own = {key: value for key, value in table.items() if key not in ("bus", "base", "device")}
    return _spec(table["bus"], table["base"], _loaded(table["device"]), own)


def _loaded(device: object) -> object:
    """Import what the user's own words name by its module."""
    if isinstance(device, str) and ":" in device:
        from minivm.own_devices import load

        return load(device)
    return device


def _spec(bus: Any, base: Any, device: Any, options: Any = MappingProxyType({})) -> DeviceSpec:
    _check_place(bus, base)
    if not (callable(device) or isinstance(device, str)):
        raise ConfigError(f"{device!r} is not a device; give it, its class, or the name of one")
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise ConfigError(f"{options!r} are no options; give a dict with their names")
    return DeviceSpec(bus, base, device, options)


def _check_place(bus: object, base: object) -> None:
    if bus not in DEVICE_BUSES:
        raise ConfigError(f"{bus!r} is no bus for a device; give port or mmio")
    if not isinstance(base, int) or isinstance(base, bool) or base < 0:
        raise ConfigError(f"{base!r} is no address for a device; give a whole number such as 0x500")
