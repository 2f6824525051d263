"""A whole machine as a snapshot's contents, and back: what `Machine.save` and `minivm.restore` do.

The file says everything by name (docs/snapshots.md): the configuration, the machine, its CPU, each device, the console;
RAM's pages, and each disk's changed sectors over an image that must be the same when the machine comes back.
"""

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, get_type_hints

from minivm.config import MachineConfig
from minivm.core.memory import PAGE
from minivm.core.plain import check_names, from_plain, to_plain
from minivm.core.record import names, record, replace
from minivm.device_entries import DeviceEntry, DeviceSpec, place_of
from minivm.engine.state import CpuState
from minivm.errors import DiskError, MiniVMError, SnapshotError
from minivm.machine import Machine, MachineState, Standing
from minivm.slots import saved_spec
from minivm.storage import snapshot
from minivm.storage.snapshot import Base, Contents, Info

HOST_FIELDS = ("serial", "display", "speed", "timeout", "max_ticks", "trace")
"""Fields of the configuration that are the host's affair: a restored machine may have others."""
_FIELDS = tuple(name for name in names(MachineConfig) if name != "devices")
_PLACES = ("guest", "firmware")
_ZEROS = bytes(PAGE)


@record
class SavedMachine(Standing):
    """The section "machine": what is neither CPU nor device.

    `files` are the images that a reset loads again, by what they are for, and `image` the guest itself where it came
    from no file.
    """

    files: dict[str, Base]
    image: bytes | None


_OWN = names(Standing)


# -- saving -----------------------------------------------------------------------------------------------------
def save(machine: Machine, path: str | Path, *, name: str = "", parent: str | Path | None = None) -> Info:
    """Write `machine` to `path`; raises `SnapshotError` in one line."""
    above = Path(parent) if parent is not None else None
    return snapshot.save(Path(path), contents(machine), name=name, parent=above)


def contents(machine: Machine) -> Contents:
    """Return everything of `machine` as plain values, pages and sectors; raises `SnapshotError`."""
    if machine.config is None:
        raise SnapshotError("this machine cannot be saved; build it by minivm.boot()")
    state, config = machine.state(), _absolute(machine.config)
    saved = SavedMachine(
        **{name: getattr(state, name) for name in _OWN}, files=_files(config, machine.image), image=machine.image
    )
    fields = {
        "config": _plain_config(config),
        "machine": to_plain(saved, blob=bytes, where="machine"),
        "cpu": to_plain(state.cpu, blob=bytes, where="cpu"),
        "devices": to_plain(state.devices, blob=bytes, where="devices"),
        "console": to_plain(state.console, blob=bytes, where="console"),
    }
    disks = {name: dict(disk.changes()) for name, disk in machine.disks.items()}
    return Contents(fields, machine.memory.size, pages_of(machine), disks, _bases(machine))


def pages_of(machine: Machine) -> dict[int, bytes]:
    """Return RAM's pages that are not all zeros."""
    view = machine.memory.view
    found = ((page, bytes(view[page * PAGE : (page + 1) * PAGE])) for page in machine.memory.used())
    return {page: data for page, data in found if data != _ZEROS}


def _bases(machine: Machine) -> dict[str, Base]:
    try:
        return {name: Base(*disk.base()) for name, disk in machine.disks.items()}
    except DiskError as error:
        raise SnapshotError(str(error)) from error


def _plain_config(config: MachineConfig) -> dict[str, Any]:
    """Return the configuration as plain values; of a device that the user has made, only its place."""
    values = {name: to_plain(getattr(config, name), where=name) for name in _FIELDS}
    return values | {"devices": [_plain_device(entry) for entry in config.devices]}


def _plain_device(entry: DeviceEntry | DeviceSpec) -> Any:
    place = place_of(entry)
    return to_plain(saved_spec(entry), where=f"devices: {place}") if isinstance(entry, DeviceSpec) else place


def _absolute(config: MachineConfig) -> MachineConfig:
    """Return the configuration with paths that hold in every working directory."""

    def place(spec: Any) -> Any:
        return spec if spec.path is None else replace(spec, path=spec.path.absolute())

    kept = {name: getattr(config, name) and getattr(config, name).absolute() for name in _PLACES}
    kept |= {name: tuple(map(place, getattr(config, name))) for name in ("disks", "floppies", "cdroms", "serial")}
    kept["media"] = tuple(replace(one, spec=one.spec and place(one.spec)) for one in config.media)
    modules = tuple(_with_words(Path(module).absolute(), words) for module, words in map(_split_words, config.initrd))
    return replace(config, **kept, initrd=modules, trace=(), timeout=None, max_ticks=None)


def _split_words(module: str) -> tuple[str, str]:
    path, _, words = module.partition(" ")
    return path, words


def _with_words(path: Path, words: str) -> str:
    return f"{path} {words}" if words else str(path)


def _files(config: MachineConfig, image: bytes | None) -> dict[str, Base]:
    """Return what the files that a reset reads hold; drives are looked at elsewhere."""
    places = {name: path for name in _PLACES if (path := getattr(config, name)) is not None}
    if image is not None:
        del places["guest"]
    places |= {f"initrd {number}": Path(_split_words(words)[0]) for number, words in enumerate(config.initrd)}
    return {name: _file(path) for name, path in places.items() if not (name == "guest" and _is_drive(config))}


def _is_drive(config: MachineConfig) -> bool:
    """Tell whether the guest is a writable drive, whose image and changed sectors are looked at as a disk's."""
    return not config.guest_snapshot


def _file(path: Path) -> Base:
    try:
        with path.open("rb") as stream:
            digest, size = blake2b(digest_size=32), 0
            while piece := stream.read(1 << 20):
                digest.update(piece)
                size += len(piece)
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be read: {error.strerror}") from error
    return Base(digest.hexdigest(), size)


# -- restoring --------------------------------------------------------------------------------------------------
def configuration(found: Contents, overrides: Mapping[str, Any]) -> MachineConfig:
    """Return the configuration in a snapshot with `overrides`; raises `SnapshotError` where one does not fit it."""
    for name in overrides:
        if name not in names(MachineConfig):
            raise SnapshotError(f"{name}: a configuration has no such field")
    plain = dict(found.fields["config"])
    saved = _read_config(plain)
    wanted = replace(saved, **overrides) if overrides else saved
    expected = {name: _what_matters(name, value) for name, value in plain.items() if name not in HOST_FIELDS}
    given = {name: _what_matters(name, value) for name, value in _plain_config(wanted).items() if name in expected}
    snapshot.check_config(expected, given)
    _check_options(saved, wanted)
    return wanted


def _check_options(saved: MachineConfig, wanted: MachineConfig) -> None:
    """Refuse a device with other options than that in the snapshot had."""
    given = {place_of(entry): entry for entry in wanted.devices}
    for spec in saved.devices:
        now = given[place_of(spec)]
        if isinstance(spec, DeviceSpec) and isinstance(now, DeviceSpec) and dict(spec.options) != dict(now.options):
            was, is_now = dict(spec.options), dict(now.options)
            raise SnapshotError(f"devices: {place_of(spec)}: the snapshot has the options {was}, this machine {is_now}")


def _read_config(plain: dict[str, Any]) -> MachineConfig:
    check_names(plain, (*_FIELDS, "devices"), "config")
    kinds = get_type_hints(MachineConfig)
    values = {name: from_plain(kinds[name], plain[name], f"config.{name}") for name in _FIELDS}
    entries = plain["devices"]
    if not isinstance(entries, list):
        raise SnapshotError("config.devices is not a list")
    made = [from_plain(DeviceSpec, one, "config.devices") for one in entries if not isinstance(one, str)]
    try:
        return MachineConfig(**values, devices=tuple(made))
    except MiniVMError as error:
        raise SnapshotError(f"config.{error}") from error


def _what_matters(name: str, value: Any) -> Any:
    """Return a field without its paths: files may have moved, and are known by what they hold."""
    match name:
        case "guest" | "firmware":
            return value is not None
        case "disks" | "floppies" | "cdroms":
            return [{key: kept for key, kept in spec.items() if key != "path"} for spec in value]
        case "media":
            return [one | {"spec": one["spec"] and _what_matters("disks", [one["spec"]])} for one in value]
        case "initrd":
            return [_split_words(module)[1] for module in value]
        case "devices":
            return [one if isinstance(one, str) else f"{one['bus']} {one['base']:X}h" for one in value]
    return value


def image_in(found: Contents) -> bytes | None:
    """Return the guest that lies in the snapshot itself, None where it is a file."""
    return _saved_machine(found).image


def check_files(found: Contents, config: MachineConfig) -> None:
    """Refuse files that are gone or were altered since; raises `SnapshotError` naming the file."""
    saved = _saved_machine(found)
    now = _files(config, saved.image)
    for name, base in saved.files.items():
        if now.get(name) != base:
            raise SnapshotError(f"{_path_of(config, name)}: was altered since the snapshot was made, as {name}")


def _path_of(config: MachineConfig, name: str) -> str:
    kind, _, number = name.partition(" ")
    return _split_words(config.initrd[int(number)])[0] if number else str(getattr(config, kind))


def fill(machine: Machine, found: Contents) -> None:
    """Bring a machine that was built for it to what the snapshot has; raises `SnapshotError`."""
    state = _state(machine, found)
    _check_bases(machine, found)
    memory = machine.memory
    memory.zero_pages(page for page in memory.used() if page not in found.pages)
    memory.put_pages(found.pages)
    for name, disk in machine.disks.items():
        if found.disks[name] and not disk.volatile:
            disk.hold()  # what had not reached the file then must not reach it before the machine is closed
        disk.restore_changes(sorted(found.disks[name].items()))
    machine.restore(state)


def _check_bases(machine: Machine, found: Contents) -> None:
    check_names(found.bases, tuple(machine.disks), "disks")
    for name, base in _bases(machine).items():
        if base != found.bases[name]:
            raise SnapshotError(
                f"{machine.disks[name].name}: was altered since the snapshot was made, as {name}: "
                f"{found.bases[name].size} bytes then, {base.size} now"
                if base.size != found.bases[name].size
                else f"{machine.disks[name].name}: was altered since the snapshot was made, as {name}"
            )


def _saved_machine(found: Contents) -> SavedMachine:
    return from_plain(SavedMachine, found.fields["machine"], "machine", unblob=_bytes)


def _state(machine: Machine, found: Contents) -> MachineState:
    """Return the state in a snapshot, read by the types that this machine's own parts have."""
    saved, fields = _saved_machine(found), found.fields
    own = machine.state()
    check_names(fields["devices"], tuple(own.devices), "devices")
    devices = {
        name: from_plain(type(state), fields["devices"][name], f"devices.{name}", unblob=_bytes)
        for name, state in own.devices.items()
    }
    return MachineState(
        **{name: getattr(saved, name) for name in _OWN},
        cpu=from_plain(CpuState, fields["cpu"], "cpu", unblob=_bytes),
        devices=devices,
        console=from_plain(type(own.console), fields["console"], "console", unblob=_bytes),
    )


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    raise SnapshotError(f"{value!r} is not bytes")
