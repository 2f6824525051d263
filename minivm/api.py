"""The front door: from a guest's name, path or bytes to a running machine."""

from pathlib import Path
from typing import Any, overload

from minivm import bundled, pc
from minivm.config import MachineConfig
from minivm.errors import ImageError
from minivm.machine import Machine


def boot(guest: str | Path | bytes | None = None, *, record: str | Path | None = None, **options: Any) -> Machine:
    """Return a machine with `guest` in it, at its first instruction; use it as a context manager.

    `guest` is a bundled guest's name, a path (a `.asm` file is assembled), or an image's bytes; without one, the drives
    among the options are booted. `options` are the
    fields of `MachineConfig`: `memory="64M"`, `append="..."`, `disks=("data.img",)`. `record` names a file for
    `replay`, complete when the machine is closed. Raises `ConfigError`,
    `ImageError`, `AssemblyError` or `WiringError`, each with one clear line.
    """
    path, image = (Path("image"), guest) if isinstance(guest, bytes) else find_guest(guest)
    machine = pc.build(MachineConfig(guest=path, **options), image=image)
    return machine if record is None else _recorded(machine, Path(record))


def _recorded(machine: Machine, path: Path) -> Machine:
    from minivm.recording import Recorder

    try:
        Recorder(machine, path)
    except BaseException:
        machine.close()
        raise
    return machine


def restore(path: str | Path, **overrides: Any) -> Machine:
    """Return the machine that `Machine.save` wrote to the file `path`.

    `overrides` are fields of `MachineConfig`: where files lie now (`guest`, `disks`, ...), devices of the user's own,
    and the host's affairs (`serial`, `speed`, ...). Raises `SnapshotError` in one line when one would make another
    machine, or when the snapshot or a file that it needs was altered.
    """
    from minivm import saved
    from minivm.errors import MiniVMError, SnapshotError
    from minivm.storage import snapshot

    found = snapshot.load(Path(path))
    try:
        config = saved.configuration(found, overrides)
        saved.check_files(found, config)
        machine = pc.build(config, image=saved.image_in(found))
        try:
            saved.fill(machine, found)
        except BaseException:
            machine.close()
            raise
    except MiniVMError as error:
        raise SnapshotError(f"{path}: {error}") from error
    return machine


@overload
def find_guest(guest: str | Path) -> tuple[Path, bytes | None]: ...
@overload
def find_guest(guest: str | Path | None) -> tuple[Path | None, bytes | None]: ...


def find_guest(guest: str | Path | None) -> tuple[Path | None, bytes | None]:
    """Return the path of `guest`, and its bytes when it had to be assembled.

    A file of that name goes before a bundled guest; no guest has no path. Raises `ImageError` when there is neither.
    """
    if guest is None:
        return None, None
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


__all__ = ["boot", "find_guest", "restore"]
