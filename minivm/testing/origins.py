"""Where a test's run began, so that it can begin there once more; and what a replay must be told of its devices."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from minivm.config import DiskSpec
from minivm.core.record import record, replace
from minivm.device_entries import DeviceSpec
from minivm.device_entries import place_of as place_of_device
from minivm.errors import SnapshotError
from minivm.machine import Machine


class Origin(Protocol):
    """Where a run began; it can begin there once more."""

    def again(self) -> Machine:
        """Return a machine that stands there; raises `MiniVMError` when there cannot be one."""


@record
class Booted:
    """A run that began at power-on."""

    guest: str | Path | bytes
    options: Mapping[str, Any]

    def again(self) -> Machine:
        """Boot once more; what it writes to disks and serial ports stays in memory."""
        import minivm

        options = {name: value for name, value in self.options.items() if name != "record"}
        return minivm.boot(self.guest, **options | _harmless(options))


def _harmless(options: dict[str, Any]) -> dict[str, Any]:
    """Return options that change nothing outside, and refuse devices that are not as they were when the test began."""
    from minivm.config import MachineConfig

    names = ("disks", "floppies", "devices")
    config = MachineConfig(**{name: options[name] for name in names if name in options})
    for entry in config.devices:
        if not isinstance(entry, DeviceSpec):
            raise SnapshotError(
                f"the device at {place_of_device(entry)} is not as it was; give its class in place of it"
            )
    return {
        "disks": tuple(map(_copy, config.disks)),
        "floppies": tuple(map(_copy, config.floppies)),
        "guest_snapshot": True, "serial": (), "trace": (),
    }  # fmt: skip


def _copy(spec: DiskSpec) -> DiskSpec:
    """Return a disk that reads the image, also while the machine that failed still has it, and changes nothing."""
    return replace(spec, snapshot=not spec.read_only, unlocked=True)


@record
class Forked:
    """A run that began as a clone of a machine which has stood still since."""

    parent: Machine

    def again(self) -> Machine:
        """Clone it once more."""
        return Machine.clone(self.parent)


# -- devices of the user's own -----------------------------------------------------------------------------------------
def devices_to_name(machine: Machine) -> tuple[str, ...]:
    """Return a machine's own devices as the option `--device` has them, where one is not installed under a name."""
    from minivm.own_devices import installed, name_of

    specs = [one for one in machine.config.devices if isinstance(one, DeviceSpec)] if machine.config is not None else []
    if all(isinstance(spec.device, str) or name_of(spec.device) in installed() for spec in specs):
        return ()
    return tuple(_device_option(spec) for spec in specs)


def _device_option(spec: DeviceSpec) -> str:
    name = spec.device
    if not isinstance(name, str):
        module = sys.modules.get(getattr(name, "__module__", ""))
        name = f"{getattr(module, '__file__', None)}:{getattr(name, '__qualname__', spec.name)}"
    words = [name, f"{spec.bus}={spec.base:#x}", *(f"{key}={value}" for key, value in spec.options.items())]
    return ",".join(word.replace(",", ",,") for word in words)
