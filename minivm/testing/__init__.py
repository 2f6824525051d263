"""The test kit: drive a chip without a CPU, hold it to its datasheet beside QEMU, and test guests with pytest.

`minivm.testing.plugin` is the pytest plugin, which an installed MiniVM brings by itself. The names below are public.
They are imported when they are first used, since pytest loads the plugin in every session.
"""

from importlib import import_module
from typing import Any

_HOMES: dict[str, str] = {}

__all__: list[str] = []


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'minivm.testing' has no attribute {name!r}")
    return getattr(import_module(home), name)
