"""The front door: from a guest's name, path or bytes to a running machine."""

from pathlib import Path
from typing import Any

from minivm import bundled, pc
from minivm.config import MachineConfig
from minivm.errors import ImageError
from minivm.machine import Machine


def boot(guest: str | Path | bytes, **options: Any) -> Machine:
    """Return a machine with `guest` in it, at its first instruction; use it as a context manager.

    `guest` is a bundled guest's name, a path (a `.asm` file is assembled), or an image's bytes. `options` are the
    fields of `MachineConfig`: `memory="64M"`, `append="..."`, `disks=("data.img",)`. Raises `ConfigError`,
    `ImageError`, `AssemblyError` or `WiringError`, each with one clear line.
    """
    if isinstance(guest, bytes):
        return pc.build(MachineConfig(guest=Path("image"), **options), image=guest)
    path, image = find_guest(guest)
    return pc.build(MachineConfig(guest=path, **options), image=image)


def find_guest(guest: str | Path) -> tuple[Path, bytes | None]:
    """Return the path of `guest`, and its bytes when it had to be assembled.

    A file of that name goes before a bundled guest. Raises `ImageError` when there is neither.
    """
    path = Path(guest)
    if path.suffix.lower() in (".asm", ".s", ".nasm") and path.is_file():
        from minivm.debug.code import assemble_file

        return path, assemble_file(path).code
    if path.exists():
        return path, None
    found = bundled.find(str(guest))
    if found is not None:
        return found.image, None
    raise ImageError(f"{guest}: there is no such file and no bundled guest of that name; `minivm guests` lists them")


__all__ = ["boot", "find_guest"]
