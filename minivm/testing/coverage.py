"""Which code of a guest ran, gathered over machines, clones, tests and processes.

    coverage = GuestCoverage.of("kernel.elf")
    coverage.attach(vm)                        # its clones are covered, too
    vm.run(ms=500)
    print(coverage.report().as_table())

The engine's block hook notes each block that it enters, in a nanosecond (minivm/engine/thunk.py). All machines of one
guest share one map of such notes, so that nothing has to be collected between two tests. A note says that a block was
entered, never how often; addresses 64 MiB apart share a place.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minivm.core.record import record
from minivm.engine.paging import Fault, peek_bytes
from minivm.engine.thunk import NOTED_ADDRESSES, Sizes
from minivm.errors import ConfigError, MemoryRangeError, SnapshotError
from minivm.machine import Machine
from minivm.testing.coverage_marks import Marks, Range, marks_of

if TYPE_CHECKING:
    from minivm.debug.symbols_table import SymbolTable
    from minivm.testing.coverage_report import CoverageReport

FORMAT = 1
_MOST_CODE = 4 << 20
"""How many bytes of a guest's code are kept for its blocks and its listing."""


@record
class CoverageData:
    """What is saved of one guest: `digest` is BLAKE2b-128 of its image in hex, `at` how far it was moved.

    `ran` are ranges of addresses, `code` what stood at an address when it was looked at, in hex.
    """

    guest: str
    digest: str
    at: int
    ran: tuple[tuple[int, int], ...]
    code: dict[str, str]


@record
class CoverageFile:
    """The contents of a data file: one entry for each guest."""

    format: int
    guests: tuple[CoverageData, ...]


class GuestCoverage:
    """What ran of one guest. `of` finds its symbols; `attach` it to every machine that boots the guest.

    `symbols` may be a function that loads them, called once they are needed. `at` says how far above its symbols the
    guest runs, in bytes: a listing that counts from 0, of a kernel that runs at segment 1000h, is at 10000h. `image`
    are the guest's bytes.
    """

    def __init__(
        self,
        symbols: "SymbolTable | Callable[[], SymbolTable] | None" = None,
        *,
        guest: str = "guest",
        image: bytes = b"",
        at: int = 0,
    ) -> None:
        self.guest = guest
        self.digest = blake2b(image, digest_size=16).hexdigest()
        self.at = at
        self._image = image
        self._symbols = symbols
        self._table: SymbolTable | None = None
        self._sizes: Sizes | None = None
        self._marks = Marks()
        self._code: dict[int, bytes] = {}
        self._unseen: list[Range] | None = None

    @classmethod
    def of(cls, guest: "str | Path", *, symbols: "Path | str | None" = None, at: int = 0) -> "GuestCoverage":
        """Return an empty coverage of a guest: a path or a bundled guest's name; its symbols come from `symbols`.

        Without that, from the guest itself or the files beside it. Raises `ImageError` when there is no such guest,
        and `SymbolError` for `symbols` that cannot be read.
        """
        from minivm.api import find_guest

        path, image = find_guest(guest)
        return cls.of_image(path, image, symbols=symbols, at=at)

    @classmethod
    def of_image(
        cls, path: Path, image: bytes | None = None, *, symbols: "Path | str | None" = None, at: int = 0
    ) -> "GuestCoverage":
        """Return an empty coverage of the guest at `path`, or of `image` where it had to be assembled."""
        from minivm.debug.symbols import load_symbols, symbols_for_guest

        find = partial(load_symbols, symbols) if symbols is not None else partial(symbols_for_guest, path)
        content = image if image is not None else path.read_bytes() if path.is_file() else b""
        return cls(find, guest=str(path), image=content, at=at)

    # -- machines -----------------------------------------------------------------------------------------------
    def attach(self, machine: Machine) -> None:
        """Note from now on what runs in `machine` and in its clones; attaching twice is harmless.

        Raises `ConfigError` for an engine that cannot tell what it runs.
        """
        thunk: Any = getattr(machine.engine, "thunk", None)
        if thunk is None:
            name = type(machine.engine).__name__
            raise ConfigError(f"coverage: {name} cannot tell which code it runs; use the engine unicorn")
        if self._sizes is None:
            self._sizes = Sizes()
        if thunk.ran is self._sizes:
            return
        if thunk.ran is not None:
            self._marks |= marks_of(thunk.ran)
        thunk.ran = self._sizes
        thunk.note_what_runs(True)
        machine.before_close.append(partial(self.look_at_code, machine))
        self._follow_clones(machine)

    def _follow_clones(self, machine: Machine) -> None:
        make = machine.twin
        if make is None:
            return

        def covered_twin(*parts: Any) -> Machine:
            twin = make(*parts)
            self.attach(twin)
            return twin

        machine.twin = covered_twin

    def look_at_code(self, machine: Machine) -> None:
        """Remember the bytes of the guest's code while they are in memory; done when an attached machine closes.

        What is remembered of a chunk of code is what stood there when the first machine closed in which it ran; of one
        that never ran, what stood there last.
        """
        unseen, self._unseen = self._chunks_unseen(), []
        for start, end in unseen:
            with suppress(Fault, MemoryRangeError):
                content = peek_bytes(machine.engine, start, end - start)  # type: ignore[arg-type]
                if any(content):
                    self._code[start] = content
                    if self._sizes is not None and any(self._sizes.covered(start, end - start)):
                        continue
            self._unseen.append((start, end))

    def _chunks_unseen(self) -> list[Range]:
        """Return the chunks of code whose bytes are still to be looked at."""
        if self._unseen is None:
            from minivm.testing.coverage_code import chunks, code_in_file

            self._unseen = []
            for start, end in chunks(self.table, _MOST_CODE):
                content = code_in_file(self._image, start - self.at, end - start)
                if content is not None:
                    self._code[start] = content
                else:
                    self._unseen.append((start, end))
        return self._unseen

    # -- what is known ------------------------------------------------------------------------------------------
    @property
    def table(self) -> "SymbolTable":
        """The guest's symbols and lines, where it runs."""
        if self._table is None:
            from minivm.debug.symbols_table import SymbolTable

            found = self._symbols() if callable(self._symbols) else self._symbols
            found = found if found is not None else SymbolTable(self.guest)
            self._table = found.relocate(self.at) if self.at else found
        return self._table

    @property
    def bits(self) -> int:
        """The mode of code whose source says nothing: that of an ELF file, else 16."""
        return 32 * self._image[4] if self._image[:4] == b"\x7fELF" and self._image[4:5] in (b"\1", b"\2") else 16

    def marks(self) -> Marks:
        """Return all addresses that ran so far, each of the 64 MiB that are told apart."""
        if self._sizes is not None:
            self._marks |= marks_of(self._sizes)
        return self._marks

    def code(self) -> dict[int, bytes]:
        """Return the bytes of the guest's code that were seen, in chunks by their linear address."""
        self._chunks_unseen()
        return self._code

    def report(self) -> "CoverageReport":
        """Return lines, functions and blocks with what ran of them."""
        from minivm.testing.coverage_report import CoverageReport

        return CoverageReport.make(self.guest, self.table, self.marks(), self.code(), self.bits)

    # -- merging and files --------------------------------------------------------------------------------------
    def update(self, other: "GuestCoverage") -> None:
        """Take over what ran in `other`; raises `SnapshotError` when it is of another image."""
        self.add(other.data())

    def data(self) -> CoverageData:
        """Return what is known as plain values, for a file or another process."""
        code = {f"{start:X}": content.hex() for start, content in sorted(self.code().items())}
        return CoverageData(self.guest, self.digest, self.at, self.marks().ranges, code)

    def add(self, data: CoverageData) -> None:
        """Take over what another run has saved; raises `SnapshotError` when it is of another image or place."""
        if data.digest != self.digest:
            raise SnapshotError(f"{data.guest}: is not the image that was covered here; run its tests again")
        if data.at != self.at:
            raise SnapshotError(f"at: the coverage of {data.guest} is {data.at:X}h up, this one {self.at:X}h")
        for start, end in data.ran:
            if not 0 <= start < end <= NOTED_ADDRESSES:
                raise SnapshotError(f"ran: [{start}, {end}) is no range of addresses below 64 MiB")
        self._marks |= Marks(data.ran)
        for place, content in data.code.items():
            try:
                self.code().setdefault(int(place, 16), bytes.fromhex(content))
            except ValueError:
                raise SnapshotError(f"code.{place[:20]}: is not hexadecimal") from None


def save(path: Path | str, coverages: Iterable[GuestCoverage]) -> None:
    """Write the data of several guests into one file of JSON with named fields; raises `SnapshotError`."""
    import json

    from minivm.core.plain import to_plain
    from minivm.storage.whole_file import replace_file

    file = CoverageFile(FORMAT, tuple(coverage.data() for coverage in coverages))
    try:
        replace_file(Path(path), [json.dumps(to_plain(file)).encode() + b"\n"])
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be written: {error.strerror or error}") from error


def load(path: Path | str) -> tuple[CoverageData, ...]:
    """Return what `save` wrote; raises `SnapshotError` naming the file and what is wrong in it."""
    import json

    from minivm.core.plain import from_plain

    try:
        plain = json.loads(Path(path).read_bytes())
        file = from_plain(CoverageFile, plain)
        if file.format != FORMAT:
            raise SnapshotError(f"format: {file.format} is not {FORMAT}, the only one that this program knows")
    except (OSError, ValueError, RecursionError) as error:
        raise SnapshotError(f"{path}: is no coverage data: {getattr(error, 'strerror', None) or error}") from error
    except SnapshotError as error:
        raise SnapshotError(f"{path}: {error}") from error
    return file.guests


def combine(paths: Iterable[Path | str]) -> list[GuestCoverage]:
    """Return the coverage of each guest in several data files; their images are looked for where they were.

    Raises `SnapshotError` for a damaged file, a guest that is gone, or one that was changed since.
    """
    found: dict[tuple[str, str, int], GuestCoverage] = {}
    for path in paths:
        for data in load(path):
            join(found, data)
    return list(found.values())


def join(found: dict[tuple[str, str, int], GuestCoverage], data: CoverageData) -> None:
    """Add one guest's data to those `found`, by guest, image and place."""
    from minivm.api import find_guest
    from minivm.errors import ImageError

    key = data.guest, data.digest, data.at
    if key not in found:
        try:
            coverage = GuestCoverage.of_image(*find_guest(data.guest), at=data.at)
        except ImageError:
            raise SnapshotError(f"{data.guest}: the guest of this coverage is not there any more") from None
        found[key] = coverage
    found[key].add(data)
