"""Let the tests of this folder say `from hostile_streams import ...`, and give them machines."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path


def _import(name: str) -> None:
    spec = spec_from_file_location(f"hostile_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    sys.modules[f"hostile_{name}"] = module = module_from_spec(spec)
    spec.loader.exec_module(module)


_import("streams")
_import("guests")
