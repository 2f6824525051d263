"""The test kit: drive a chip without a CPU, hold it to its datasheet beside QEMU, and test guests with pytest.

`minivm.testing.plugin` is the pytest plugin, which an installed MiniVM brings by itself. The names below are public.
They are imported when they are first used, since pytest loads the plugin in every session.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minivm.testing.bench import DeviceBench
    from minivm.testing.contract import Contract, ContractBroken, Outcome, Probe, run_case
    from minivm.testing.coverage import GuestCoverage
    from minivm.testing.faults import DiskFaults, Faults
    from minivm.testing.guest import Guest, GuestSpec
    from minivm.testing.qtest import QemuSystem
    from minivm.testing.system import MiniVmSystem, System, SystemGone
    from minivm.testing.wires import BenchLine, Edge, Output

_HOMES = {
    "BenchLine": "wires",
    "Contract": "contract",
    "ContractBroken": "contract",
    "DeviceBench": "bench",
    "DiskFaults": "faults",
    "Edge": "wires",
    "Faults": "faults",
    "Guest": "guest",
    "GuestCoverage": "coverage",
    "GuestSpec": "guest",
    "MiniVmSystem": "system",
    "Outcome": "contract",
    "Output": "wires",
    "Probe": "contract",
    "QemuSystem": "qtest",
    "System": "system",
    "SystemGone": "system",
    "run_case": "contract",
}

__all__ = [
    "BenchLine",
    "Contract",
    "ContractBroken",
    "DeviceBench",
    "DiskFaults",
    "Edge",
    "Faults",
    "Guest",
    "GuestCoverage",
    "GuestSpec",
    "MiniVmSystem",
    "Outcome",
    "Output",
    "Probe",
    "QemuSystem",
    "System",
    "SystemGone",
    "run_case",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'minivm.testing' has no attribute {name!r}")
    return getattr(import_module(f"minivm.testing.{home}"), name)
