"""The drives of a PC and what lies in them, by the configuration and the plan of how to boot."""

from contextlib import ExitStack

from minivm.config import DiskSpec, MachineConfig
from minivm.loaders.plan import BootPlan, ata_places
from minivm.storage.disk import Disk, Medium, open_disk

ATA_DRIVES = 4
USUAL_CD = 2
"""A PC has a CD drive as the second channel's first, also when no CD is in it."""


class DriveBays:
    """Every open image, in the order of the BIOS's numbers; `twins` are the disks of a machine that is cloned.

    Raises `ImageError` when an image cannot be had, with all others closed again.
    """

    def __init__(self, config: MachineConfig, plan: BootPlan, twins: dict[str, Disk] | None = None) -> None:
        self.floppies: list[Disk | None] = []
        self.disks: list[Disk] = []
        self.cdroms: list[Disk | None] = []
        self._open: list[Disk] = []
        try:
            if twins is None:
                self._open_all(config, plan)
            else:
                self._take(twins)
        except BaseException:
            self.close()
            raise
        self.ata = self._ata_places()

    def _open_all(self, config: MachineConfig, plan: BootPlan) -> None:
        if plan.drive is not None:
            self._attach(plan.drive, plan.drive.medium)
        media: tuple[tuple[tuple[DiskSpec, ...], Medium], ...] = (
            (config.floppies, "floppy"), (config.disks, "disk"), (config.cdroms, "cdrom"),
        )  # fmt: skip
        for specs, medium in media:
            for spec in specs:
                self._attach(_open(spec, medium), medium)

    def _take(self, twins: dict[str, Disk]) -> None:
        for disk in twins.values():
            self._attach(disk, disk.medium)

    def _attach(self, disk: Disk, medium: Medium) -> None:
        self._open.append(disk)
        {"floppy": self.floppies, "disk": self.disks, "cdrom": self.cdroms}[medium].append(disk)  # type: ignore[attr-defined]

    def _ata_places(self) -> tuple[tuple[str, Disk | None] | None, ...]:
        """Return what each of the four ATA drives is, ("disk" | "cdrom", its medium), or None for no drive."""
        places: list[tuple[str, Disk | None] | None] = [None] * ATA_DRIVES
        disks, cdroms = ata_places(len(self.disks), len(self.cdroms))
        for place, disk in zip(disks, self.disks, strict=True):
            places[place] = "disk", disk
        for place, cd in zip(cdroms, self.cdroms, strict=True):
            places[place] = "cdrom", cd
        if not self.cdroms and places[USUAL_CD] is None:
            places[USUAL_CD] = "cdrom", None
            self.cdroms.append(None)
        return tuple(places)

    def by_name(self) -> dict[str, Disk]:
        """Return every disk by its drive's name: floppy0 is A:, disk0 the BIOS's drive 80h, cdrom0 its first CD."""
        named = (("floppy", self.floppies), ("disk", self.disks), ("cdrom", self.cdroms))
        return {f"{kind}{number}": disk for kind, all_of in named for number, disk in enumerate(all_of) if disk}

    def close(self) -> None:
        """Give all images back; raises `DiskError` when the host fails at one, with the others given back too."""
        with ExitStack() as closing:
            while self._open:
                closing.callback(self._open.pop(0).close)


def _open(spec: DiskSpec, medium: Medium) -> Disk:
    return open_disk(spec.path, read_only=spec.read_only, snapshot=spec.snapshot, unlocked=spec.unlocked, medium=medium)
