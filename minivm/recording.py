"""A recording: one file with all that is needed to do a run again, bit for bit (docs/replay.md has the format).

    magic      16 bytes, then the format number
    sections   one behind the other: kind, length, contents (zstd), a checksum of this and of all before it
      HEAD     configuration, and the images' names, sizes and digests
      IMAG     one for each image that is in the file
      SNAP     where it begins, unless at power-on: a snapshot file
      RUN      inputs, and checks of the state, in the order of the run; a new one twice a second
      END      why it ended, where, and the state

The file begins to exist when the recording begins, written whole; from then on it only grows. So nothing is rewritten,
however long it takes, and when the host's process dies, all but the last half second is there and can be salvaged.
"""

import json
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import IO, Any

from minivm import pc
from minivm.config import DiskSpec, MachineConfig, TraceSpec
from minivm.core.memory import PAGE
from minivm.core.plain import from_plain, to_plain
from minivm.core.record import record, replace
from minivm.errors import MiniVMError, SnapshotError
from minivm.inputs import NEAR_TICKS, Departed, Input, Journal, Overshot, Player, from_plain_input, to_plain_input
from minivm.machine import NS_PER_MS, Ended, Machine
from minivm.storage.blocks import ZERO_PAGE, pack, unpack
from minivm.storage.whole_file import replace_file

MAGIC = b"MINIVM-RECORDING"
FORMAT = 1
SUFFIX = ".mvr"
CHECK_TICKS = 10 * NS_PER_MS
"""So many ticks of code lie between two checks of the state; a guest that sleeps is checked every 100 times as long."""
CHECK_REST = 40.0
"""By the host's clock: checks cost a fortieth of the run at most. Where they lie changes nothing in the run."""
EMBED_BYTES = 8 << 20
"""Images that need no more than this together, compressed, are put into the file."""
LARGEST_IMAGE = 512 << 20

_PROLOGUE = struct.Struct("<16sI")
_SECTION = struct.Struct("<4sI")
_CHECKSUM_BYTES = 16
_MOST_TEXT = 64 << 20
_MOST_FILE = 1 << 30
_FLUSH_S = 0.5
_HIDDEN = {"serial": (), "trace": (), "timeout": None, "max_ticks": None, "speed": None, "clock": "ticks"}
"""Fields of the configuration that belong to the host and change nothing in the run."""


@record
class Image:
    """A file that the machine was made of: its part ("guest", "disk 0"), name, bytes, and BLAKE2b-256 in hex."""

    part: str
    name: str
    size: int
    digest: str
    embedded: bool


@record
class Check:
    """A digest of the state at a position: of all but RAM, or `whole`."""

    position: int
    digest: str
    whole: bool = False


@record
class End:
    """Why and where a recording ended, and the digest of the whole state there."""

    reason: str
    code: int
    position: int
    in_block: bool
    final: bool
    digest: str


@record
class Head:
    """What stands at a file's beginning. `start` is "power-on", or "snapshot" when it began in the middle of a run."""

    version: str
    start: str
    config: MachineConfig
    images: tuple[Image, ...]


Entry = Input | Check


def light_digest(machine: Machine) -> str:
    """Return a digest of all of a machine but its RAM."""
    states = {name: device.state() for name, device in machine.devices.items() if hasattr(device, "state")}
    text = repr((machine.now, machine.halted, machine.cpu.as_dict(), sorted(states.items())))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def whole_digest(machine: Machine) -> str:
    """Return a digest of a machine with its RAM; pages of zeros take no time."""
    digest = blake2b(light_digest(machine).encode(), digest_size=16)
    view = machine.memory.view
    for number in machine.memory.used():
        page = view[number * PAGE : (number + 1) * PAGE]
        if page != ZERO_PAGE:
            digest.update(number.to_bytes(4, "little"))
            digest.update(page)
    return digest.hexdigest()


# -- images ---------------------------------------------------------------------------------------------------------
def _image_files(config: MachineConfig) -> Iterator[tuple[str, Path]]:
    """Yield every file that the machine is made of, by its part."""
    if config.guest is not None:
        yield "guest", config.guest
    if config.firmware is not None:
        yield "firmware", config.firmware
    for part, specs in (("disk", config.disks), ("floppy", config.floppies)):
        for number, spec in enumerate(specs):
            yield f"{part} {number}", spec.path
    for number, words in enumerate(config.initrd):
        yield f"initrd {number}", Path(words.split(maxsplit=1)[0])


def _with_files(config: MachineConfig, files: dict[str, Path]) -> MachineConfig:
    """Return the configuration with other files in place of its own."""

    def disks(part: str, specs: tuple[DiskSpec, ...]) -> tuple[DiskSpec, ...]:
        return tuple(replace(spec, path=files[f"{part} {number}"]) for number, spec in enumerate(specs))

    initrd = tuple(
        " ".join([str(files[f"initrd {number}"]), *words.split(maxsplit=1)[1:]])
        for number, words in enumerate(config.initrd)
    )
    return replace(
        config, guest=files.get("guest"), firmware=files.get("firmware"), initrd=initrd,
        disks=disks("disk", config.disks), floppies=disks("floppy", config.floppies),
    )  # fmt: skip


def _read_images(machine: Machine, config: MachineConfig) -> tuple[tuple[Image, ...], list[bytes]]:
    """Return what is to be said of each image, and the packed bytes of those that go into the file."""
    images, packed, room = [], [], EMBED_BYTES
    for part, path in _image_files(config):
        if part == "guest" and machine.image is not None:
            data = machine.image
        else:
            try:
                data = path.read_bytes()
            except OSError as error:
                raise SnapshotError(f"{path}: cannot be read for the recording: {error.strerror}") from error
        small = pack(data) if len(data) <= LARGEST_IMAGE else b""
        embedded = len(data) <= LARGEST_IMAGE and len(small) <= room
        if embedded:
            packed.append(small)
            room -= len(small)
        images.append(Image(part, path.name, len(data), _digest(data), embedded))
    return tuple(images), packed


def _refuse_images(path: Path, config: MachineConfig) -> None:
    for part, image in _image_files(config):
        if path.exists() and image.exists() and path.samefile(image):
            raise SnapshotError(f"{path}: is the machine's own {part}; record into another file")


def _snapshot_of(machine: Machine) -> bytes:
    """Return a machine in the middle of its run as a snapshot file's bytes, without the host's paths."""
    from minivm import saved
    from minivm.storage import snapshot

    machine.settle()
    engine: Any = machine.engine
    if engine.in_block:
        raise SnapshotError("a recording cannot begin inside a block, after single steps; run on a little")
    contents = saved.contents(machine)
    with TemporaryDirectory(prefix="minivm-record-") as folder:
        place = Path(folder) / "start.mvm"
        snapshot.save(place, replace(contents, fields=contents.fields | {"config": {}}))
        return place.read_bytes()


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=32).hexdigest()


# -- writing --------------------------------------------------------------------------------------------------------
class Recorder:
    """Writes what happens to `machine`, from where it stands on, into the file `path`; ended by `finish`.

    The state is checked every `check_ticks`, but after each check not for `rest` times as long as it took the host.
    Raises `SnapshotError` when the file cannot be written or the machine is not one that can be built again.
    """

    def __init__(
        self, machine: Machine, path: "Path | str", *, check_ticks: int = CHECK_TICKS, rest: float = CHECK_REST
    ) -> None:
        config = machine.config
        if config is None or config.devices:
            raise SnapshotError("devices: a machine with devices of its own cannot be recorded: no file can hold them")
        if machine.ended is not None or machine.journal is not None:
            raise SnapshotError("a machine that has ended, or whose inputs somebody else notes, cannot be recorded")
        snapshot = _snapshot_of(machine) if machine.now else b""
        path = Path(path)
        _refuse_images(path, config)
        self._machine, self._path, self._every = machine, path, check_ticks
        images, packed = _read_images(machine, config)
        names = {image.part: Path(image.name) for image in images}
        head = Head(
            _version(), "snapshot" if snapshot else "power-on", _with_files(replace(config, **_HIDDEN), names), images
        )
        self._sum = blake2b(digest_size=_CHECKSUM_BYTES)
        prologue = _PROLOGUE.pack(MAGIC, FORMAT)
        self._sum.update(prologue)
        parts = [prologue, self._section(b"HEAD", pack(_dump(to_plain(head))))]
        parts += [self._section(b"IMAG", data) for data in packed]
        parts += [self._section(b"SNAP", snapshot)] if snapshot else []
        try:
            replace_file(path, parts)
            self._file: IO[bytes] | None = path.open("ab", buffering=0)
        except OSError as error:
            raise self._error(error) from error
        self.journal = Journal()
        self._entries: list[int | Check] = []  # an input by its index in the journal
        self._flushed_at = time.monotonic()
        self._checked = (machine.ticks, machine.now)
        self._rest, self._next_check = rest, 0.0
        self.journal.listeners.append(self._take_input)
        machine.journal = self.journal
        self._slice, machine.slice_ticks = machine.slice_ticks, min(machine.slice_ticks, check_ticks)
        machine.before_close.append(self.close)
        self._arm()

    def finish(self, ended: Ended | None = None) -> None:
        """Write the end; `ended` says why, if the machine itself does not know."""
        machine = self._machine
        if self._file is None:
            return
        if machine.ended is None:
            machine.settle()
        ended = machine.ended or ended or Ended("closed")
        engine: Any = machine.engine
        end = End(
            ended.reason, ended.code, machine.now, engine.in_block, machine.ended is not None, whole_digest(machine)
        )
        try:
            self._flush()
            self._write(self._section(b"END ", pack(_dump(to_plain(end)))))
        finally:
            self._file.close()
            self._file = None
            machine.journal, machine.slice_ticks = None, self._slice

    def close(self) -> None:
        """End the recording if nobody has: the machine is about to go."""
        self.finish()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.finish()

    # -- what happens meanwhile ---------------------------------------------------------------------------------
    def _arm(self) -> None:
        # A quiet alarm: nobody stops or wakes for it, and the guest cannot tell.
        self._machine.clock.after(self._every, self._look, quiet=True)

    def _look(self) -> None:
        machine = self._machine
        if self._file is None:
            return
        self._arm()
        ticks, now = self._checked
        if time.perf_counter() < self._next_check:
            return
        if machine.ticks - ticks >= self._every * 3 // 4 or machine.now - now >= 100 * self._every:
            self._checked = machine.ticks, machine.now
            machine.at_safe_point(self._check)

    def _check(self) -> None:
        if self._file is not None and self._machine.ended is None:
            began = time.perf_counter()
            self._entries.append(Check(self._machine.now, light_digest(self._machine)))
            ended = time.perf_counter()
            self._next_check = ended + self._rest * (ended - began)
            self._flush_now_and_then()

    def _take_input(self, given: Input) -> None:
        self._entries.append(len(self.journal) - 1)
        self._flush_now_and_then()

    def _flush_now_and_then(self) -> None:
        if time.monotonic() >= self._flushed_at + _FLUSH_S:
            self._flush()

    def _flush(self) -> None:
        self._flushed_at = time.monotonic()
        entries, self._entries = self._entries, []
        self.journal.sealed = len(self.journal)
        if entries:
            plain = [
                {"check": to_plain(entry)}
                if isinstance(entry, Check)
                else {"input": to_plain_input(self.journal[entry])}
                for entry in entries
            ]
            self._write(self._section(b"RUN ", pack(_dump(plain))))

    def _section(self, kind: bytes, data: bytes) -> bytes:
        start = _SECTION.pack(kind, len(data))
        self._sum.update(start)
        self._sum.update(data)
        return start + data + self._sum.digest()

    def _write(self, data: bytes) -> None:
        try:
            assert self._file is not None
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> SnapshotError:
        return SnapshotError(f"{self._path}: cannot be written: {error.strerror or error}")


@contextmanager
def recording(machine: Machine, path: "Path | str | None") -> Iterator[Recorder | None]:
    """Record all that happens to a machine while the block lasts; without a path, nothing."""
    if path is None:
        yield None
        return
    with Recorder(machine, path) as recorder:
        yield recorder


# -- reading --------------------------------------------------------------------------------------------------------
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
        sections = _sections(data, salvage)
        kind, contents = next(sections, (b"", memoryview(b"")))
        if kind != b"HEAD":
            raise SnapshotError("is cut short: it has no header")
        self.head = self._read_head(contents)
        self._read_images(sections)
        if self.head.start == "snapshot":
            kind, contents = next(sections, (b"", memoryview(b"")))
            if kind != b"SNAP":
                raise SnapshotError("is cut short: the snapshot where it begins is missing")
            self.snapshot = bytes(contents)
        last = 0
        for kind, contents in sections:
            if self.end is not None:
                raise SnapshotError("goes on behind its end")
            if kind == b"RUN ":
                self._read_run(contents)
            elif kind == b"END ":
                self.end = from_plain(End, _parse(contents, "end"), "end")
            else:
                raise SnapshotError(f"has a section {bytes(kind)!r} where none can be")
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
        head = from_plain(Head, _parse(contents, "head"), "head")
        if head.start not in ("power-on", "snapshot"):
            raise SnapshotError(f"head.start: {head.start!r} is no start that this program knows")
        parts = [part for part, _ in _image_files(head.config)]
        if parts != [image.part for image in head.images]:
            raise SnapshotError("head.images: are not the files that the configuration names")
        for image in head.images:
            if image.name != Path(image.name).name or image.name in ("", ".", ".."):
                raise SnapshotError(f"head.images: {image.name!r} is no file's name")
        return head

    def _read_images(self, sections: "Iterator[tuple[bytes, memoryview]]") -> None:
        for image in self.head.images:
            if not image.embedded:
                continue
            kind, contents = next(sections, (b"", memoryview(b"")))
            if kind != b"IMAG" or not 0 <= image.size <= LARGEST_IMAGE:
                raise SnapshotError(f"is cut short: the image {image.name} is missing")
            data = unpack(contents, image.size, image.size)
            if _digest(data) != image.digest:
                raise SnapshotError(f"the image {image.name} does not fit its digest")
            self.images[image.part] = data

    def _read_run(self, contents: memoryview) -> None:
        entries = _parse(contents, "run")
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
        config = _with_files(self.head.config, files)
        kept = {image.part for image in self.head.images if not image.embedded}
        disks, floppies = (
            tuple(
                replace(spec, snapshot=True) if f"{part} {number}" in kept and not spec.read_only else spec
                for number, spec in enumerate(specs)
            )
            for part, specs in (("disk", config.disks), ("floppy", config.floppies))
        )
        return replace(config, disks=disks, floppies=floppies, guest_snapshot=config.guest_snapshot or "guest" in kept)

    def _find(self, image: Image) -> Path:
        for place in (self.path.parent / image.name, Path(image.name)):
            if place.is_file() and place.stat().st_size == image.size:
                if _digest(place.read_bytes()) == image.digest:
                    return place
                raise SnapshotError(f"{place}: is not the {image.part} of {self.path}: its contents differ")
        raise SnapshotError(
            f"{self.path}: needs the file {image.name} ({image.size} bytes, the {image.part}) beside it or here"
        )


def _read_file(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise SnapshotError("is not there" if not path.exists() else "is not a regular file")
        if path.stat().st_size > _MOST_FILE:
            raise SnapshotError(f"has more than {_MOST_FILE} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise SnapshotError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _sections(data: bytes, salvage: bool) -> Iterator[tuple[bytes, memoryview]]:
    """Yield kind and contents of each section whose checksum is right."""
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise SnapshotError("is not a recording")
    if len(data) < _PROLOGUE.size:
        raise SnapshotError("is cut short: it has no header")
    number = _PROLOGUE.unpack_from(data)[1]
    if number != FORMAT:
        hint = f"newer than this program's {FORMAT}; update minivm" if number > FORMAT else "unknown"
        raise SnapshotError(f"format: {number} is {hint}")
    view, at = memoryview(data), _PROLOGUE.size
    checksum = blake2b(data[:at], digest_size=_CHECKSUM_BYTES)
    while at < len(data):
        start, at = at, at + _SECTION.size
        if at <= len(data):
            kind, length = _SECTION.unpack_from(data, start)
            end = at + length
            if end + _CHECKSUM_BYTES <= len(data):
                checksum.update(view[start:end])
                if checksum.digest() != data[end : end + _CHECKSUM_BYTES]:
                    raise SnapshotError(f"is damaged: the checksum at byte {end} does not fit")
                yield kind, view[at:end]
                at = end + _CHECKSUM_BYTES
                continue
        if salvage:
            return
        raise SnapshotError(f"is cut short in the section at byte {start}; --salvage replays what is there before it")


def _parse(contents: memoryview, where: str) -> Any:
    try:
        return json.loads(unpack(contents, _MOST_TEXT))
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"{where}: is not JSON: {error}") from None


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _version() -> str:
    import sys

    return str(sys.modules["minivm"].__version__)  # an import would point up, to the front door


# -- replaying ------------------------------------------------------------------------------------------------------
@record
class Verdict:
    """What came of a replay: `identical` up to `position`, or departed between `good` and `bad`; in words, too."""

    identical: bool
    position: int
    inputs: int
    checks: int
    words: str
    good: int = 0
    bad: int = 0


class Replay:
    """A machine on its way through a recording; a context manager.

    `machine` is the machine, at power-on; `run` brings it to a position or the end and checks each digest on the way.
    `slice_ticks` may be anything: the run does not depend on it. The first `step_ticks` ticks of code are executed one
    instruction after the other. Raises `SnapshotError` for an unfit file.
    """

    def __init__(
        self,
        path: "Path | str",
        *,
        salvage: bool = False,
        slice_ticks: int | None = None,
        trace: tuple[TraceSpec, ...] = (),
        near: int = NEAR_TICKS,
        step_ticks: int = 0,
    ) -> None:
        self.recording = Recording(path, salvage=salvage)
        self._folder = TemporaryDirectory(prefix="minivm-replay-")
        try:
            config = replace(self.recording.files(Path(self._folder.name)), trace=trace)
            self.machine = pc.build(config)
            if self.recording.snapshot:
                self._begin_at_snapshot(Path(self._folder.name) / "start.mvm")
        except BaseException:
            self._folder.cleanup()
            raise
        if slice_ticks is not None:
            self.machine.slice_ticks = slice_ticks
        self.journal = Journal()
        self._step_ticks = step_ticks
        self._player = Player(self.machine, self.journal, near=near, run_to=self._run_to)
        self._next = self._checks = self._good = 0
        if any(isinstance(entry, Input) and entry.kind == "register" for entry in self.recording.entries):
            import minivm.debug.debugger  # noqa: F401 - it knows how registers are set
        self.departed: Verdict | None = None

    def _begin_at_snapshot(self, place: Path) -> None:
        from minivm import saved
        from minivm.storage import snapshot

        place.write_bytes(self.recording.snapshot)
        try:
            saved.fill(self.machine, snapshot.load(place))
        except BaseException as error:
            self.machine.close()
            if isinstance(error, MiniVMError):
                raise SnapshotError(f"{self.recording.path}: the snapshot where it begins: {error}") from error
            raise

    def run(self, until: int | None = None) -> Verdict:
        """Replay to the position `until` (to the end without one) and say whether all was as recorded."""
        try:
            self._run(until)
        except Overshot as error:
            words = f"{error}; a larger `near` finds the place inside a long block"
            self.departed = self._verdict(False, error.position, words)
        except Departed as error:
            self.departed = self._verdict(False, error.position, str(error))
        return self.departed or self._verdict(True, self.machine.now, "identical")

    def verify(self) -> Verdict:
        """Replay to the end and raise `Departed` when it was not the recorded run."""
        verdict = self.run()
        if not verdict.identical:
            raise Departed(verdict.bad, f"{self.recording.path}: {verdict.words}")
        return verdict

    def close(self) -> None:
        """Give everything back to the host."""
        self.machine.close()
        self._folder.cleanup()

    def __enter__(self) -> "Replay":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, until: int | None) -> None:
        entries = self.recording.entries
        while self._next < len(entries) and (until is None or entries[self._next].position <= until):
            entry = entries[self._next]
            self._next += 1
            if isinstance(entry, Input):
                self.journal.append(entry)
                self._reach(entry.position, safe_point=True, settle=False)
            else:
                self._reach(entry.position, safe_point=True)
                self._compare(entry)
        if until is not None and until < self.recording.ticks:
            self._reach(until, safe_point=False)
        elif self.recording.end is not None:
            self._end(self.recording.end)

    def _run_to(self, position: int) -> Ended:
        machine = self.machine
        engine: Any = machine.engine
        while machine.ticks < self._step_ticks and (machine.now < position or engine.in_block):
            ended = machine.run_to(min(position, machine.clock.next_due)) if machine.halted else machine.step()
            if ended.reason != "limit":
                return ended
        return machine.run_to(position)

    def _end(self, end: End) -> None:
        machine = self.machine
        if end.final:
            if machine.ended is None:
                machine.run_to(end.position + 1)
            ended = machine.ended or Ended("limit")
            if (ended.reason, ended.code, machine.now) != (end.reason, end.code, end.position):
                raise Departed(
                    end.position,
                    f"the recorded run ended at tick {end.position} ({end.reason}), this one is at {machine.now} "
                    f"({ended.reason})",
                )
        else:
            self._reach(end.position, safe_point=not end.in_block)
        self._compare(Check(end.position, end.digest, whole=True))

    def _reach(self, position: int, *, safe_point: bool, settle: bool = True) -> None:
        if position < self.machine.now:
            raise Departed(position, f"tick {position} was passed over: the machine is at {self.machine.now}")
        ended = self._player.reach(position, safe_point=safe_point, settle=settle)
        if ended is not None:
            raise Departed(
                position, f"the run ended at tick {self.machine.now} ({ended.reason}), before tick {position}"
            )

    def _compare(self, check: Check) -> None:
        found = whole_digest(self.machine) if check.whole else light_digest(self.machine)
        self._checks += 1
        if found != check.digest:
            what = "the memory or the machine's state differs" if check.whole else "the machine's state differs"
            raise Departed(check.position, f"{what} at tick {check.position}")
        self._good = check.position

    def _verdict(self, identical: bool, position: int, words: str) -> Verdict:
        inputs = self._player.done
        if identical:
            words = f"replayed {position} ticks, {inputs} inputs, {self._checks} checks: identical"
            return Verdict(True, position, inputs, self._checks, words, self._good, position)
        words = f"departed between tick {self._good} and tick {position}: {words}"
        return Verdict(False, position, inputs, self._checks, words, self._good, position)


def replay(path: "Path | str", **options: Any) -> Replay:
    """Return a `Replay` of the recording at `path`, its machine at power-on."""
    return Replay(path, **options)


__all__ = ["Head", "Recorder", "Recording", "Replay", "Verdict", "recording", "replay"]
