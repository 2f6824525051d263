"""Reading a recording: the whole file, checked."""

from collections.abc import Callable, Iterator
from pathlib import Path

from minivm.config import MachineConfig
from minivm.core.medium import MediumChange
from minivm.core.plain import from_plain
from minivm.core.record import replace
from minivm.errors import SnapshotError
from minivm.inputs import Input, Journal, from_plain_input
from minivm.recording.format import Check, End, Entry, Head, Image, parse, sections
from minivm.recording.images import LARGEST_IMAGE, digest, image_files, with_files
from minivm.storage.blocks import unpack

_MOST_FILE = 1 << 30


class Recording:
    """A recording file, read whole and checked: `head`, the `entries` of the run, and its `end`.

    `end` is None in what is salvaged of a file that was cut short. Raises `SnapshotError` naming the file and what is
    wrong with it.
    """

    def __init__(self, path: "Path | str", *, salvage: bool = False) -> None:
        self.path = path = Path(path)
        self.end: End | None = None
        self.entries: list[Entry] = []
        self.images: dict[str, bytes] = {}
        self.inserted: dict[str, bytes] = {}  # what was put into drives meanwhile, by digest
        self.snapshot = b""
        try:
            self._read(_read_file(path), salvage)
        except SnapshotError as error:
            raise SnapshotError(f"{path}: {error}") from error

    @property
    def journal(self) -> Journal:
        """The inputs alone."""
        return Journal(entry for entry in self.entries if isinstance(entry, Input))

    @property
    def ticks(self) -> int:
        """The position at which the recording ends."""
        return self.end.position if self.end is not None else self.entries[-1].position if self.entries else 0

    def _read(self, data: bytes, salvage: bool) -> None:
        parts = sections(data, salvage)
        kind, contents = next(parts, (b"", memoryview(b"")))
        if kind != b"HEAD":
            raise SnapshotError("is cut short: it has no header")
        self.head = self._read_head(contents)
        self._read_images(parts)
        if self.head.start == "snapshot":
            kind, contents = next(parts, (b"", memoryview(b"")))
            if kind != b"SNAP":
                raise SnapshotError("is cut short: the snapshot where it begins is missing")
            self.snapshot = bytes(contents)
        self._read_entries(parts)
        self._check_order(salvage)

    def _read_entries(self, parts: Iterator[tuple[bytes, memoryview]]) -> None:
        for kind, contents in parts:
            if self.end is not None:
                raise SnapshotError("goes on behind its end")
            if kind == b"RUN ":
                self._read_run(contents)
            elif kind == b"IMAG":
                data = unpack(contents, LARGEST_IMAGE)
                self.inserted[digest(data)] = data
            elif kind == b"END ":
                self.end = from_plain(End, parse(contents, "end"), "end")
            else:
                raise SnapshotError(f"has a section {bytes(kind)!r} where none can be")

    def _check_order(self, salvage: bool) -> None:
        last = 0
        for entry in self.entries:
            if entry.position < last:
                raise SnapshotError(f"an entry at {entry.position} follows one at {last}")
            last = entry.position
        if self.end is not None and self.end.position < last:
            raise SnapshotError(f"end.position: {self.end.position} lies before the last entry, at {last}")
        if self.end is None and not salvage:
            raise SnapshotError(
                f"is cut short at tick {last}: its end is missing; --salvage replays what there is up to there"
            )

    def _read_head(self, contents: memoryview) -> Head:
        head = from_plain(Head, parse(contents, "head"), "head")
        if head.start not in ("power-on", "snapshot"):
            raise SnapshotError(f"head.start: {head.start!r} is no start that this program knows")
        parts = [part for part, _ in image_files(head.config)]
        if parts != [image.part for image in head.images]:
            raise SnapshotError("head.images: are not the files that the configuration names")
        for image in head.images:
            _check_name(image.name, "head.images")
        return head

    def _read_images(self, parts: "Iterator[tuple[bytes, memoryview]]") -> None:
        for image in self.head.images:
            if not image.embedded:
                continue
            kind, contents = next(parts, (b"", memoryview(b"")))
            if kind != b"IMAG" or not 0 <= image.size <= LARGEST_IMAGE:
                raise SnapshotError(f"is cut short: the image {image.name} is missing")
            data = unpack(contents, image.size, image.size)
            if digest(data) != image.digest:
                raise SnapshotError(f"the image {image.name} does not fit its digest")
            self.images[image.part] = data

    def _read_run(self, contents: memoryview) -> None:
        entries = parse(contents, "run")
        if not isinstance(entries, list):
            raise SnapshotError("run: is not a list")
        for item in entries:
            where = f"run[{len(self.entries)}]"
            match item:
                case {"check": check, **rest} if not rest:
                    self.entries.append(from_plain(Check, check, f"{where}.check"))
                case {"input": given, **rest} if not rest:
                    self.entries.append(from_plain_input(given, f"{where}.input"))
                case _:
                    raise SnapshotError(f"{where}: is neither an input nor a check")

    def files(self, folder: Path) -> MachineConfig:
        """Return the configuration with its files in `folder`: those of the recording are put there, the others found.

        They are looked for beside the recording and in the current folder. Raises `SnapshotError` for one that is
        missing or is another.
        """
        files = {}
        for number, image in enumerate(self.head.images):
            if image.embedded:
                place = folder / str(number) / image.name
                place.parent.mkdir()
                place.write_bytes(self.images[image.part])
            else:
                place = self._find(image)
            files[image.part] = place
        config = with_files(self.head.config, files)
        kept = {image.part for image in self.head.images if not image.embedded}
        disks, floppies = (
            tuple(
                replace(spec, snapshot=True) if f"{part} {number}" in kept and not spec.read_only else spec
                for number, spec in enumerate(specs)
            )
            for part, specs in (("disk", config.disks), ("floppy", config.floppies))
        )
        media = tuple(
            replace(one, spec=one.spec and replace(one.spec, snapshot=not one.spec.read_only)) for one in config.media
        )
        in_memory = config.guest_snapshot or "guest" in kept
        return replace(config, disks=disks, floppies=floppies, media=media, guest_snapshot=in_memory)

    def bring_media(self, folder: Path, offer: Callable[[MediumChange, Path], None]) -> None:
        """Offer an image for each change of a medium: those of the recording are put into `folder`, the others found.

        Raises `SnapshotError` for one that is missing or is another.
        """
        whole = {image.digest: self.images[image.part] for image in self.head.images if image.embedded} | self.inserted
        for number, given in enumerate(self.journal):
            if given.kind == "medium" and (medium := given.data.medium) is not None:
                _check_name(medium.name, f"{self.path}: medium")
                place = folder / f"medium {number}" / medium.name
                if medium.digest in whole:
                    place.parent.mkdir()
                    place.write_bytes(whole[medium.digest])
                else:
                    part = f"medium for {given.data.drive}"
                    place = self._find(Image(part, place.name, medium.size, medium.digest, embedded=False))
                offer(given.data, place)

    def _find(self, image: Image) -> Path:
        for place in (self.path.parent / image.name, Path(image.name)):
            if place.is_file() and place.stat().st_size == image.size:
                if digest(place.read_bytes()) == image.digest:
                    return place
                raise SnapshotError(f"{place}: is not the {image.part} of {self.path}: its contents differ")
        raise SnapshotError(
            f"{self.path}: needs the file {image.name} ({image.size} bytes, the {image.part}) beside it or here"
        )


def _check_name(name: str, where: str) -> None:
    if name != Path(name).name or name in ("", ".", ".."):
        raise SnapshotError(f"{where}: {name!r} is no file's name")


def _read_file(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise SnapshotError("is not there" if not path.exists() else "is not a regular file")
        if path.stat().st_size > _MOST_FILE:
            raise SnapshotError(f"has more than {_MOST_FILE} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise SnapshotError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
