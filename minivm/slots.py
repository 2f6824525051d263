"""The machine's end of devices of the user's own: slots to make them in, their place on a bus, and whose fault it was.

A machine calls a device's factory once, with a `Slot` of its own parts, and reaches the device through `OwnPort`, which
keeps a wrong value of the user's Python away from the CPU.
"""

import sys
from collections.abc import Mapping
from operator import index
from types import FrameType
from typing import Any

from minivm.core.bus import Bus
from minivm.core.device import Port
from minivm.core.memory import AddressSpace
from minivm.core.record import replace
from minivm.core.slot import Slot
from minivm.device_entries import DeviceEntry, DeviceSpec, place_of
from minivm.errors import ConfigError, DeviceError, MiniVMError, WiringError
from minivm.own_devices import blame, blamed, blaming, checked_options, find, frames_of

_MASKS = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFF_FFFF}


class OwnPort:
    """What a bus reaches of a device of the user's own: the device, with values as wide as they may be."""

    def __init__(self, device: Port, name: str, place: str) -> None:
        self.device = device
        self.place = place
        self._name = name

    def read(self, offset: int, size: int) -> int:
        """Return what the device reads as; raises `DeviceError` when that is no number."""
        value: Any = self.device.read(offset, size)
        try:
            return index(value) & _MASKS[size]
        except TypeError:
            raise DeviceError(
                f"{self._name} at {self.place}: read({offset}, {size}) returned {value!r}, which is no whole number"
            ) from None

    def write(self, offset: int, size: int, value: int) -> None:
        """Hand the value on."""
        self.device.write(offset, size, value)


def plug(entry: DeviceEntry | DeviceSpec, bus: Bus, space: AddressSpace, slot: Slot) -> Any:
    """Make the device that `entry` says, unless it is one already, and map it; return it.

    Raises `ConfigError`, `WiringError` or `DeviceError` naming the device and its place, or what its Python raises.
    """
    place = place_of(entry)
    device, name = _made(entry, slot) if isinstance(entry, DeviceSpec) else (entry[2], type(entry[2]).__name__)
    base = entry.base if isinstance(entry, DeviceSpec) else entry[1]
    length, width = _size(device, "length", 1, name, place), _size(device, "width", 4, name, place)
    if width not in _MASKS:
        raise DeviceError(f"devices: {name} at {place} has a width of {width} bytes; give 1, 2 or 4")
    try:
        if bus is space.mmio:
            _check_hole(space, base, length)
        bus.map(base, length, OwnPort(device, name, place), width=width, name=name)
    except WiringError as error:
        raise WiringError(f"devices: {name} at {place}: {error}") from None
    return device


def _made(spec: DeviceSpec, slot: Slot) -> tuple[Any, str]:
    """Return the device that a factory makes, and its name."""
    name, place = spec.name, place_of(spec)
    try:
        factory = find(spec.device) if isinstance(spec.device, str) else spec.device
        options = checked_options(factory, spec.options, name)
    except ConfigError as error:
        raise ConfigError(f"devices: {place}: {error}") from None
    try:
        with blaming(f"{name} at {place}"):
            device = factory(slot, **options)
    except (ConfigError, WiringError) as error:
        raise type(error)(f"devices: {name} at {place}: {error}") from error
    if not (callable(getattr(device, "read", None)) and callable(getattr(device, "write", None))):
        raise DeviceError(f"devices: {name} at {place}: {device!r} is no device; it has no read() and write()")
    return device, name


def _size(device: object, what: str, default: int, name: str, place: str) -> int:
    size = getattr(device, what, default)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise DeviceError(f"devices: {name} at {place} has the {what} {size!r}; give a number of bytes")
    return size


def _check_hole(space: AddressSpace, base: int, length: int) -> None:
    """Refuse an address that RAM or ROM answers, so that no access would ever come."""
    for region in space.regions:
        if base < region.end and region.base < base + length:
            what = "RAM" if region.writable else "ROM"
            holes = "C0000h-EFFFFh, and from the end of RAM to 4 GiB, are free"
            raise WiringError(f"{region.base:X}h-{region.end - 1:X}h is {what}; {holes}")


def saved_spec(spec: DeviceSpec) -> DeviceSpec:
    """Return a spec as a file can have it: with the name that its device is installed under, if it has one."""
    from minivm.own_devices import name_of

    return spec if isinstance(spec.device, str) else replace(spec, device=name_of(spec.device))


def blame_device(error: BaseException, devices: Mapping[str, Any]) -> None:
    """Note on an exception that one of `devices` (by place) has raised it, when that can be seen in its traceback."""
    if isinstance(error, MiniVMError) or blamed(error) is not None:
        return
    frames = frames_of(error)[::-1]
    for is_its_frame in (_is_method, _is_in_file):
        for frame, line in frames:
            for place, device in devices.items():
                if is_its_frame(frame, device):
                    blame(error, f"{type(device).__name__} at {place}", frame, line)
                    return


def _is_method(frame: FrameType, device: object) -> bool:
    return frame.f_locals.get("self") is device


def _is_in_file(frame: FrameType, device: object) -> bool:
    """Tell whether a frame runs code of the device's module: a function of it, or an alarm's lambda."""
    module = sys.modules.get(type(device).__module__)
    return module is not None and frame.f_code.co_filename == getattr(module, "__file__", None)
