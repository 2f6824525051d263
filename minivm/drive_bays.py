"""The drives of a PC and what lies in them, by the configuration and the plan of how to boot; changing it meanwhile.

A medium is told apart by a key: the drive's name for what was in it from the beginning ("floppy0"), "medium N" for what
was put in later. While somebody may go back in time (`keep`), what was taken out stays open and keeps its sectors.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from minivm.config import DiskSpec, DriveMedium, MachineConfig
from minivm.core.medium import MediumChange, MediumInfo
from minivm.errors import ConfigError, ImageError, SnapshotError
from minivm.loaders.plan import BootPlan, ata_places
from minivm.storage.disk import Disk, Medium, open_disk

ATA_DRIVES = 4
USUAL_CD = 2
"""A PC has a CD drive as the second channel's first, also when no CD is in it."""
USUAL_FLOPPY = "floppy0"
"""A PC has this drive, also when no floppy is in it."""
MOST_FLOPPY_DRIVES = 2
"""So many floppy drives hang on the controller's cable; further ones are the BIOS's alone."""
_KINDS: tuple[Medium, ...] = ("floppy", "disk", "cdrom")


class _Opened:
    """An open image, and how it was asked for; without `spec` it came from no file of its own."""

    def __init__(self, disk: Disk, spec: DiskSpec | None, *, forked: bool = False) -> None:
        self.disk, self.spec, self.forked = disk, spec, forked


class DriveBays:
    """Every open image, in the order of the BIOS's numbers; `twins` are the disks of a machine that is cloned.

    `floppies`, `disks` and `cdroms` are the BIOS's lists and stay the same objects. `put(drive, disk)` shows a drive
    its new medium. Raises `ImageError` when an image cannot be had, with all others closed again.
    """

    def __init__(self, config: MachineConfig, plan: BootPlan, twins: dict[str, Disk] | None = None) -> None:
        self.floppies: list[Disk | None] = []
        self.disks: list[Disk] = []
        self.cdroms: list[Disk | None] = []
        self.put: Callable[[str, Disk | None], None] = _nowhere
        self.keeps = False
        self._opened: dict[str, _Opened] = {}
        self._in: dict[str, str | None] = {}  # which key lies in which drive
        self._configured: set[str] = set()
        self._changed: dict[str, DiskSpec | None] = {}
        self._built_with: dict[str, DiskSpec | None] = {}
        self._serial = 0
        try:
            self._open_all(config, plan, twins)
        except BaseException:
            self.close()
            raise
        self.ata = self._ata_places()

    # -- the beginning ----------------------------------------------------------------------------------------------
    def _open_all(self, config: MachineConfig, plan: BootPlan, twins: dict[str, Disk] | None) -> None:
        specs = dict(_configured(config, plan))
        self._configured = set(specs)
        if not any(kind_of(name) == "floppy" for name in specs):
            specs[USUAL_FLOPPY] = None
        if plan.drive is not None and twins is None:
            self._opened[f"{plan.drive.medium}0"] = _Opened(plan.drive, specs[f"{plan.drive.medium}0"])
        self._change_first(specs, config.media)
        for name, spec in specs.items():
            if twins is not None and name in twins:
                self._opened[name] = _Opened(twins[name], spec, forked=True)
            elif twins is None and spec is not None and name not in self._opened:
                self._opened[name] = _Opened(_open(spec, kind_of(name)), spec)
            self._in[name] = name if name in self._opened else None
        self._show_bios()

    def _change_first(self, specs: dict[str, DiskSpec | None], media: Iterable[DriveMedium]) -> None:
        """Let other media be in the drives than those that were asked for."""
        for change in media:
            if change.drive not in specs and not (change.drive == "cdrom0" and _has_usual_cd(specs)):
                raise ConfigError(f"media: there is no drive {change.drive}; there is {', '.join(specs)}")
            if kind_of(change.drive) == "disk":
                raise ConfigError(f"media: {change.drive} is a hard disk, which cannot be changed")
            specs[change.drive] = self._changed[change.drive] = change.spec
            if change.drive in self._opened:
                self._opened.pop(change.drive).disk.close()  # the guest, which lies elsewhere by now
        self._built_with = dict(self._changed)

    def _ata_places(self) -> tuple[tuple[str, Disk | None] | None, ...]:
        """Return what each of the four ATA drives is, ("disk" | "cdrom", its medium), or None for no drive."""
        places: list[tuple[str, Disk | None] | None] = [None] * ATA_DRIVES
        for number, place in enumerate(ata_places(len(self.disks), 0)[0]):
            places[place] = "disk", self.disks[number]
        if not self.cdroms and places[USUAL_CD] is None:
            self._in.setdefault("cdrom0", None)
            self._show_bios()
        self.cd_places = ata_places(len(self.disks), len(self.cdroms))[1]
        for place, cd in zip(self.cd_places, self.cdroms, strict=True):
            places[place] = "cdrom", cd
        return tuple(places)

    def _show_bios(self) -> None:
        """Fill the BIOS's lists; the usual floppy drive is in them only if it was asked for or has a floppy."""
        drives = {name: self._disk(name) for name in self._in}
        if drives.get(USUAL_FLOPPY) is None and USUAL_FLOPPY not in self._configured:
            drives.pop(USUAL_FLOPPY, None)
        self.floppies[:] = [disk for name, disk in drives.items() if kind_of(name) == "floppy"]
        self.cdroms[:] = [disk for name, disk in drives.items() if kind_of(name) == "cdrom"]
        self.disks[:] = [disk for name, disk in drives.items() if kind_of(name) == "disk" and disk is not None]

    def _disk(self, drive: str) -> Disk | None:
        key = self._in[drive]
        return None if key is None else self._opened[key].disk

    # -- what is in now ---------------------------------------------------------------------------------------------
    def by_name(self) -> dict[str, Disk]:
        """Return every disk by its drive's name: floppy0 is A:, disk0 the BIOS's drive 80h, cdrom0 its first CD."""
        return {name: disk for name in self._in if (disk := self._disk(name)) is not None}

    def media(self) -> dict[str, str | None]:
        """Return the image's name in every drive whose medium can be changed, None where it is empty."""
        drives = {name: self._disk(name) for name in self._in if kind_of(name) != "disk"}
        return {name: None if disk is None else disk.name for name, disk in drives.items()}

    def changed(self) -> tuple[DriveMedium, ...]:
        """Return what lies in the drives in place of what the rest of the configuration says."""
        return tuple(DriveMedium(drive, spec) for drive, spec in sorted(self._changed.items()))

    def open_disks(self) -> dict[str, Disk]:
        """Return every open disk by its key, also those that were taken out and may come back."""
        return {key: opened.disk for key, opened in self._opened.items()}

    def keys(self) -> dict[str, str | None]:
        """Return the key of what lies in each drive: what a keyframe remembers, and `go_back` takes."""
        return dict(self._in)

    # -- changing it ------------------------------------------------------------------------------------------------
    def prepare(self, drive: str, spec: DiskSpec | None, *, noted: bool) -> MediumChange:
        """Open what comes into a drive, while the old medium still is in it; `noted` wants its digest.

        Raises `ConfigError` where there is no such drive, `ImageError` when the image cannot be had.
        """
        self._check_drive(drive)
        if spec is None:
            return MediumChange(drive, None)
        kind = kind_of(drive)
        if kind == "cdrom":
            spec = DiskSpec(spec.path, read_only=True, unlocked=spec.unlocked)
        opened, key = self._known(drive, spec), ""
        if opened is not None and self.keeps:
            key = next(name for name, one in self._opened.items() if one is opened)
        else:
            if opened is None:
                opened = _Opened(self._open_new(spec, kind), spec)
            opened.disk.commit()
            key = self._new_key()
            self._opened[key] = opened
        disk = opened.disk
        if self.keeps:
            disk.hold()
        digest, size = disk.base() if noted else ("", 0)
        return MediumChange(drive, MediumInfo(key, spec.path.name, size, digest, disk.read_only))

    def change(self, change: MediumChange) -> None:
        """Do what was prepared: exchange the medium and, unless somebody keeps it, give the old one back.

        Raises `SnapshotError` for an image that nobody has brought, `DiskError` when the host fails at the old one.
        """
        drive, key = change.drive, None if change.medium is None else change.medium.key
        if drive not in self._in or (key is not None and key not in self._opened):
            name = change.medium.name if change.medium is not None else "nothing"
            raise SnapshotError(f"{drive}: {name} cannot be put in: the image or the drive is not there")
        old = self._in[drive]
        self._place(drive, key)
        if key is not None and self._opened[key].disk.volatile:
            self._opened[key].disk.discard()  # what was kept in memory went with its last stay in a drive
        if old is not None and old != key and not self.keeps:
            self._let_go(old)

    def go_back(self, keys: dict[str, str | None]) -> None:
        """Put everything where it was when `keys()` returned this; the drives' own state is restored after it."""
        for drive, key in keys.items():
            if self._in[drive] != key:
                self._place(drive, key)

    def keep(self, keeps: bool) -> None:
        """Keep what is taken out open from now on; or give all of it back, written to its file.

        Raises `DiskError` when the host fails at one, with the others given back too.
        """
        self.keeps = keeps
        if not keeps:
            with ExitStack() as closing:
                for key in [key for key in self._opened if key not in self._in.values()]:
                    closing.callback(self._let_go, key)

    def offer(self, change: MediumChange, path: Path) -> None:
        """Open an image for a change that a recording tells of; what the guest writes to it stays in memory."""
        medium = change.medium
        if medium is not None and medium.key not in self._opened:
            spec = DiskSpec(path, read_only=medium.read_only, snapshot=not medium.read_only)
            self._opened[medium.key] = _Opened(_open(spec, kind_of(change.drive)), spec)

    def image(self, key: str) -> bytes:
        """Return the bytes of an open image, without what is kept in memory."""
        return self._opened[key].disk.image()

    def close(self) -> None:
        """Give all images back; raises `DiskError` when the host fails at one, with the others given back too."""
        with ExitStack() as closing:
            for key in list(self._opened)[::-1]:
                closing.callback(self._opened.pop(key).disk.close)

    def _check_drive(self, drive: str) -> None:
        if drive not in self._in:
            raise ConfigError(f"there is no drive {drive}; a medium can be put into {', '.join(self.media())}")
        if kind_of(drive) == "disk":
            raise ConfigError(f"{drive} is a hard disk, which cannot be changed; {', '.join(self.media())} can")

    def _place(self, drive: str, key: str | None) -> None:
        self._in[drive] = key
        if key != drive:
            self._changed[drive] = None if key is None else self._opened[key].spec
        elif drive in self._built_with:
            self._changed[drive] = self._built_with[drive]
        else:
            self._changed.pop(drive, None)
        self._show_bios()
        self.put(drive, self._disk(drive))

    def _let_go(self, key: str) -> None:
        opened = self._opened.pop(key)
        if not any(one.disk is opened.disk for one in self._opened.values()):
            opened.disk.close()

    def _new_key(self) -> str:
        while (key := f"medium {self._serial}") in self._opened:
            self._serial += 1
        self._serial += 1
        return key

    def _known(self, drive: str, spec: DiskSpec) -> _Opened | None:
        """Return the same image, opened in the same way, that lies in this drive or is kept outside all drives."""
        elsewhere = {key for name, key in self._in.items() if name != drive and key is not None}
        for key, opened in self._opened.items():
            at_hand = key == self._in[drive] or (self.keeps and key not in elsewhere)
            if at_hand and not opened.forked and opened.spec is not None and _same(opened.spec, spec):
                return opened
        return None

    def _open_new(self, spec: DiskSpec, kind: Medium) -> Disk:
        try:
            return _open(spec, kind)
        except ImageError:
            holder = next((key for key, one in self._opened.items() if one.spec and _same_file(one.spec, spec)), None)
            if holder is None:
                raise
            place = next((drive for drive, key in self._in.items() if key == holder), None)
            if place is not None and not self.keeps:
                raise ImageError(f"{spec.path}: lies in {place} already; eject it there first") from None
            raise ImageError(
                f"{spec.path}: this machine keeps it open for going back in time; insert it as it was: "
                f"{_words(self._opened[holder].spec)}"
            ) from None


class CdTrays(Sequence["Disk | None"]):
    """The CDs as the BIOS sees them: a drive whose tray the guest has opened has none."""

    def __init__(self, cdroms: Sequence[Disk | None], is_open: Callable[[int], bool]) -> None:
        self._cdroms, self._is_open = cdroms, is_open

    def __len__(self) -> int:
        return len(self._cdroms)

    def __getitem__(self, index: Any) -> Any:
        """Return the CD in a drive, None where none can be read."""
        return None if self._is_open(index) else self._cdroms[index]


def kind_of(drive: str) -> Medium:
    """Return what goes into a drive, by its name: "floppy", "disk" or "cdrom"; any other name is no drive's."""
    return next((kind for kind in _KINDS if drive.rstrip("0123456789") == kind), "disk")


def _configured(config: MachineConfig, plan: BootPlan) -> Iterator[tuple[str, DiskSpec | None]]:
    """Yield each drive that was asked for and what is in it; of a guest that came from no file, None."""
    for kind, specs in (("floppy", config.floppies), ("disk", config.disks), ("cdrom", config.cdroms)):
        whole: tuple[DiskSpec | None, ...] = specs
        if plan.drive is not None and plan.drive.medium == kind:
            whole = (_guest_spec(config, plan.drive), *specs)
        yield from ((f"{kind}{number}", spec) for number, spec in enumerate(whole))


def _guest_spec(config: MachineConfig, drive: Disk) -> DiskSpec | None:
    if config.guest is None:
        return None
    return DiskSpec(config.guest, read_only=drive.read_only, snapshot=drive.volatile and not drive.read_only)


def _has_usual_cd(specs: "dict[str, DiskSpec | None]") -> bool:
    return sum(name.startswith("disk") for name in specs) <= USUAL_CD


def _words(spec: DiskSpec | None) -> str:
    return "" if spec is None else f"{spec.path}{',ro' * spec.read_only}{',snapshot' * spec.snapshot}"


def _same(one: DiskSpec, other: DiskSpec) -> bool:
    ways = [(spec.read_only, spec.snapshot) for spec in (one, other)]
    return ways[0] == ways[1] and _same_file(one, other)


def _same_file(one: DiskSpec, other: DiskSpec) -> bool:
    try:
        return one.path.samefile(other.path)
    except OSError:
        return False


def _open(spec: DiskSpec, medium: Medium) -> Disk:
    return open_disk(spec.path, read_only=spec.read_only, snapshot=spec.snapshot, unlocked=spec.unlocked, medium=medium)


def _nowhere(drive: str, disk: Disk | None) -> None:
    """Show a medium to no drive: there is none yet."""
