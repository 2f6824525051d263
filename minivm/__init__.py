"""MiniVM: an educational x86 hypervisor and emulator.

    with minivm.boot("kernel.img", memory="64M") as vm:
        vm.expect("login:")
        vm.type("root\\n")

The names below are public; everything else may change. They are imported when they are first used, so that
`import minivm` stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minivm.api import boot, restore
    from minivm.config import MachineConfig
    from minivm.core.clock import Clock
    from minivm.core.device import Device, Line, Port
    from minivm.core.slot import Slot
    from minivm.device_entries import DeviceSpec
    from minivm.errors import (
        AssemblyError,
        ConfigError,
        DeviceError,
        DiskError,
        EngineError,
        ExpectationFailed,
        ImageError,
        MemoryRangeError,
        MiniVMError,
        SnapshotError,
        WiringError,
    )
    from minivm.machine import Ended, Machine
    from minivm.recording import Replay, replay

__version__ = "0.1.0"

_HOMES = {
    "boot": "minivm.api",
    "restore": "minivm.api",
    "Machine": "minivm.machine",
    "Ended": "minivm.machine",
    "Replay": "minivm.recording",
    "replay": "minivm.recording",
    "MachineConfig": "minivm.config",
    "Clock": "minivm.core.clock",
    "Device": "minivm.core.device",
    "Line": "minivm.core.device",
    "Port": "minivm.core.device",
    "Slot": "minivm.core.slot",
    "DeviceSpec": "minivm.device_entries",
} | dict.fromkeys(
    (
        "AssemblyError", "ConfigError", "DeviceError", "DiskError", "EngineError", "ExpectationFailed",
        "ImageError", "MemoryRangeError", "MiniVMError", "SnapshotError", "WiringError",
    ),
    "minivm.errors",
)  # fmt: skip

__all__ = [
    "AssemblyError",
    "Clock",
    "ConfigError",
    "Device",
    "DeviceError",
    "DeviceSpec",
    "DiskError",
    "Ended",
    "EngineError",
    "ExpectationFailed",
    "ImageError",
    "Line",
    "Machine",
    "MachineConfig",
    "MemoryRangeError",
    "MiniVMError",
    "Port",
    "Replay",
    "Slot",
    "SnapshotError",
    "WiringError",
    "boot",
    "replay",
    "restore",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'minivm' has no attribute {name!r}")
    return getattr(import_module(home), name)
