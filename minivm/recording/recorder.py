"""The recorder: writes a run into a file while it happens.

The file begins to exist when the recording begins, written whole; from then on it only grows. So nothing is rewritten,
however long it takes, and when the host's process dies, all but the last half second is there and can be salvaged.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import IO, Any

from minivm.config import MachineConfig
from minivm.core.medium import MediumInfo
from minivm.core.plain import to_plain
from minivm.core.record import replace
from minivm.device_entries import DeviceSpec, place_of
from minivm.errors import SnapshotError
from minivm.inputs import Input, Journal, to_plain_input
from minivm.machine import NS_PER_MS, Ended, Machine
from minivm.recording.format import (
    FORMAT,
    MAGIC,
    PROLOGUE,
    Check,
    Checksum,
    End,
    Head,
    dump,
    light_digest,
    section,
    whole_digest,
)
from minivm.recording.images import EMBED_BYTES, LARGEST_IMAGE, read_images, refuse_images, with_files
from minivm.slots import saved_spec
from minivm.storage.blocks import pack
from minivm.storage.whole_file import replace_file

CHECK_TICKS = 10 * NS_PER_MS
"""So many ticks of code lie between two checks of the state; a guest that sleeps is checked every 100 times as long."""
CHECK_REST = 40.0
"""By the host's clock: checks cost a fortieth of the run at most. Where they lie changes nothing in the run."""

_FLUSH_S = 0.5
_HIDDEN = {"serial": (), "trace": (), "timeout": None, "max_ticks": None, "speed": None, "clock": "ticks"}
"""Fields of the configuration that belong to the host and change nothing in the run."""


class Recorder:
    """Writes what happens to `machine`, from where it stands on, into the file `path`; ended by `finish`.

    The state is checked every `check_ticks`, but after each check not for `rest` times as long as it took the host.
    Raises `SnapshotError` when the file cannot be written or the machine is not one that can be built again.
    """

    def __init__(
        self, machine: Machine, path: "Path | str", *, check_ticks: int = CHECK_TICKS, rest: float = CHECK_REST
    ) -> None:
        config = _recordable(machine.config)
        if machine.ended is not None or machine.journal is not None:
            raise SnapshotError("a machine that has ended, or whose inputs somebody else notes, cannot be recorded")
        snapshot = _snapshot_of(machine) if machine.now else b""
        path = Path(path)
        refuse_images(path, config)
        self._machine, self._path, self._every = machine, path, check_ticks
        self._file: IO[bytes] | None = self._begin(config, snapshot)
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

    def _begin(self, config: MachineConfig, snapshot: bytes) -> IO[bytes]:
        """Write the file's beginning, whole, and return the file, open for what follows."""
        images, packed = read_images(self._machine, config)
        self._embedded = {image.digest for image in images if image.embedded}
        self._room = EMBED_BYTES - sum(map(len, packed))
        named = with_files(replace(config, **_HIDDEN), {image.part: Path(image.name) for image in images})
        head = Head(_version(), "snapshot" if snapshot else "power-on", named, images)
        prologue = PROLOGUE.pack(MAGIC, FORMAT)
        self._sum = Checksum(prologue)
        parts = [prologue, section(b"HEAD", pack(dump(to_plain(head))), self._sum)]
        parts += [section(b"IMAG", data, self._sum) for data in packed]
        parts += [section(b"SNAP", snapshot, self._sum)] if snapshot else []
        try:
            replace_file(self._path, parts)
            return self._path.open("ab", buffering=0)
        except OSError as error:
            raise self._error(error) from error

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
            self._write_section(b"END ", to_plain(end))
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
        if given.kind == "medium" and given.data.medium is not None:
            self._embed(given.data.medium)
        self._entries.append(len(self.journal) - 1)
        self._flush_now_and_then()

    def _embed(self, medium: MediumInfo) -> None:
        """Put an image that comes into a drive ahead of the input that tells of it, unless the file has it."""
        bays = self._machine.bays
        if bays is None or medium.digest in self._embedded or medium.size > LARGEST_IMAGE:
            return
        packed = pack(bays.image(medium.key))
        if len(packed) <= self._room:
            self._flush()
            self._write(section(b"IMAG", packed, self._sum))
            self._embedded.add(medium.digest)
            self._room -= len(packed)

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
            self._write_section(b"RUN ", plain)

    def _write_section(self, kind: bytes, plain: Any) -> None:
        self._write(section(kind, pack(dump(plain)), self._sum))

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


def _recordable(config: MachineConfig | None) -> MachineConfig:
    """Return the configuration as a file can have it; raises `SnapshotError` when none can make the machine again."""
    if config is None:
        raise SnapshotError("this machine cannot be recorded; build it by minivm.boot()")
    made = [entry for entry in config.devices if not isinstance(entry, DeviceSpec)]
    if made:
        raise SnapshotError(
            f"devices: a machine with devices of its own cannot be recorded when it has not made them itself: "
            f"give the class of the one at {place_of(made[0])}"
        )
    specs = tuple(saved_spec(entry) for entry in config.devices if isinstance(entry, DeviceSpec))
    return replace(config, devices=specs)


@contextmanager
def recording(machine: Machine, path: "Path | str | None") -> Iterator[Recorder | None]:
    """Record all that happens to a machine while the block lasts; without a path, nothing."""
    if path is None:
        yield None
        return
    with Recorder(machine, path) as recorder:
        yield recorder


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


def _version() -> str:
    return str(sys.modules["minivm"].__version__)  # an import would point up, to the front door
