"""Device contracts: what a chip's datasheet promises, as cases that run on any `System`.

A contract is written once, against ports, memory, time and interrupt lines. It runs on MiniVM's chips and on those of a
real QEMU; where one of the two departs from the datasheet, the case says so with its reason, and a departure that is
gone is reported as well. `minivm/testing/contracts` has one file a chip, which `contracts()` finds by itself.

    PIT = Contract("pit", "8254 timer", "Intel 8254 datasheet, order 231164")

    @PIT.case("a latched count stands still", "Counter Latch Command")
    def latched(pc: Probe) -> None:
        pc.write(0x43, 0x30)
        ...
        pc.reads(0x40, 0x34, "the count at the latch")
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules

from minivm.core.describe import Access
from minivm.core.record import record
from minivm.testing.register_trace import RegisterTrace, duration
from minivm.testing.system import NO_MEDIA, RESOLUTION_NS, Media, System, SystemGone, chip_at

LONGEST_WAIT_NS = 5_000_000_000
Body = Callable[["Probe"], None]


class ContractBroken(AssertionError):
    """A chip did not do what its datasheet says; the message has what was expected, what came, and the trace."""


@record
class Case:
    """One promise of a chip: its `title` as a sentence, the `section` of the datasheet, and what checks it.

    `differs` says for a system, by name, why it departs here, with the reference; `cannot` why a case cannot be
    tried on it at all.
    """

    contract: "Contract"
    title: str
    section: str
    body: Body
    differs: Mapping[str, str]
    cannot: Mapping[str, str]

    @property
    def id(self) -> str:
        """The chip and the function's name, for a test's id."""
        return f"{self.contract.name}-{self.body.__name__}"


class Contract:
    """The cases of one chip: its short `name`, its `title`, and the `datasheet` that sections refer to.

    Each case finds fresh copies of the images `disks`, `cdrom` and `floppy` in its system's drives (see `Media`).
    """

    def __init__(
        self,
        name: str,
        title: str,
        datasheet: str,
        *,
        disks: tuple[bytes, ...] = (),
        cdrom: bytes | None = None,
        floppy: bytes | None = None,
    ) -> None:
        self.name = name
        self.title = title
        self.datasheet = datasheet
        self.media = Media(disks, cdrom, floppy)
        self.cases: list[Case] = []

    def case(
        self,
        title: str,
        section: str,
        *,
        differs: Mapping[str, str] | None = None,
        cannot: Mapping[str, str] | None = None,
    ) -> Callable[[Body], Body]:
        """Add the decorated function, which takes a `Probe`, as a case."""

        def add(body: Body) -> Body:
            if any(case.body.__name__ == body.__name__ for case in self.cases):
                raise ValueError(f"contract {self.name}: there are two cases called {body.__name__}")
            self.cases.append(Case(self, title, section, body, dict(differs or {}), dict(cannot or {})))
            return body

        return add


class Probe:
    """What a case holds in its hands: a system's pins, with a memory of all that was done to them.

    Addresses and values are numbers; every method that checks takes words that say what for.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self.trace = RegisterTrace()

    # -- to do ------------------------------------------------------------------------------------------------------
    def read(self, port: int, size: int = 1) -> int:
        """Return what an IN gives."""
        value = self.system.read_port(port, size)
        self._note(port, size, value, write=False)
        return value

    def write(self, port: int, *values: int, size: int = 1) -> None:
        """Do an OUT for each of `values`, one after the other."""
        for value in values:
            self._note(port, size, value, write=True)
            self.system.write_port(port, size, value)

    def indexed(self, index_port: int, index: int, value: int | None = None) -> int:
        """Write `index` and then `value` to the port behind it; without a value, read from there and return that."""
        self.write(index_port, index)
        if value is None:
            return self.read(index_port + 1)
        self.write(index_port + 1, value)
        return value

    def peek(self, address: int, length: int = 1) -> bytes:
        """Return bytes of memory."""
        data = self.system.read_memory(address, length)
        self.trace.note(self.system.now, "load", f"{address:05X}h", data.hex(" "))
        return data

    def poke(self, address: int, data: bytes) -> None:
        """Put bytes into memory."""
        self.trace.note(self.system.now, "store", f"{address:05X}h", data.hex(" "))
        self.system.write_memory(address, data)

    def step(self, *, ns: float = 0, us: float = 0, ms: float = 0) -> None:
        """Let time pass, rounded up to the systems' common resolution."""
        wanted = round(ns + us * 1_000 + ms * 1_000_000)
        delay = -(-wanted // RESOLUTION_NS) * RESOLUTION_NS
        self.system.pass_time(delay)
        self.trace.note(self.system.now, "wait", duration(delay))

    def line(self, irq: int) -> bool:
        """Return the level of an interrupt line."""
        level = self.system.irq(irq)
        self.trace.note(self.system.now, "line", f"IRQ{irq}", "high" if level else "low")
        return level

    def drive(self, irq: int, level: bool) -> None:
        """Drive an interrupt line that no chip uses, such as 5, 9, 10, 11 or 15."""
        self.trace.note(self.system.now, "drive", f"IRQ{irq}", "high" if level else "low")
        self.system.drive_irq(irq, level)

    def insert(self, drive: str, image: bytes | None) -> None:
        """Change the medium of the drive "cdrom" or "floppy"; None leaves it empty."""
        self.trace.note(self.system.now, "medium", drive, "none" if image is None else f"{len(image)} bytes")
        self.system.change_medium(drive, image)

    def press(self, *keys: str) -> None:
        """Push keys down, one after the other, by their names in `minivm.core.keys`; time may go by."""
        self._move(keys, pressed=True)

    def release(self, *keys: str) -> None:
        """Let keys up, one after the other."""
        self._move(keys, pressed=False)

    # -- to check ---------------------------------------------------------------------------------------------------
    def reads(self, port: int, expected: int, what: str = "", *, mask: int | None = None, size: int = 1) -> None:
        """Check what an IN gives, only the bits of `mask`."""
        got = self.read(port, size)
        self.equal(got if mask is None else got & mask, expected, what or f"port {port:X}h", digits=2 * size)

    def irq_is(self, irq: int, level: bool, what: str = "") -> None:
        """Check the level of an interrupt line."""
        if self.line(irq) != level:
            raise self._broken(f"IRQ{irq} is {'low' if level else 'high'}, not {'high' if level else 'low'}", what)

    def waits_for(self, port: int, mask: int, value: int, what: str = "", *, within_ms: float = 100) -> int:
        """Poll until the bits of `mask` in `port` have `value`, check that it happens in time, return the byte."""
        for _ in range(200):
            got = self.read(port)
            if got & mask == value:
                return got
            self.step(us=within_ms * 5)
        raise self._broken(f"port {port:X}h never had {value:02X}h under mask {mask:02X}h in {within_ms:g} ms", what)

    def equal(self, got: int, expected: int, what: str = "", *, digits: int = 2) -> None:
        """Check a number."""
        if got != expected:
            raise self._broken(f"{got:0{digits}X}h came, {expected:0{digits}X}h was expected", what)

    def between(self, got: int, least: int, most: int, what: str = "") -> None:
        """Check that a number lies in a range, both ends included."""
        if not least <= got <= most:
            raise self._broken(f"{got} came, {least} to {most} was expected", what)

    def that(self, truth: bool, what: str) -> None:
        """Check anything else; `what` says what must be true."""
        if not truth:
            raise self._broken("it is not so", what)

    def _move(self, keys: tuple[str, ...], *, pressed: bool) -> None:
        for key in keys:
            self.trace.note(self.system.now, "key", key, "down" if pressed else "up")
            self.system.move_key(key, pressed)

    def _broken(self, words: str, what: str) -> ContractBroken:
        return ContractBroken(f"{what}: {words}" if what else words)

    def _note(self, port: int, size: int, value: int, *, write: bool) -> None:
        chip, offset = chip_at(port)
        access = Access(offset, write, value)
        self.trace.access(self.system.now, f"{port:02X}h", access, size, chip=chip)


@record
class Outcome:
    """What became of a case on a system.

    `result` is "agrees", "differs" (as the case says it does), "broken" (it does not do what the datasheet says and
    nobody knew), "agrees after all" (the case says that it differs, and it does not) or "not tried".
    """

    case: Case
    system: str
    result: str
    words: str = ""
    trace: str = ""

    @property
    def good(self) -> bool:
        """True when nothing came that the case does not say."""
        return self.result in ("agrees", "differs", "not tried")


def run_case(case: Case, make_system: Callable[..., System], name: str) -> Outcome:
    """Run a case on a fresh system called `name`; raises `SystemGone` when there is none.

    `make_system` is called with the contract's `Media` when it has any.
    """
    if name in case.cannot:
        return Outcome(case, name, "not tried", case.cannot[name])
    media = case.contract.media
    system = make_system() if media == NO_MEDIA else make_system(media)
    probe = Probe(system)
    try:
        case.body(probe)
    except ContractBroken as broken:
        result = "differs" if name in case.differs else "broken"
        return Outcome(case, name, result, case.differs.get(name, str(broken)), f"{broken}\n{probe.trace.table()}")
    finally:
        system.close()
    return Outcome(case, name, "agrees after all" if name in case.differs else "agrees", trace=probe.trace.table())


def contracts() -> list[Contract]:
    """Return every chip's contract, sorted by the file's name: all the modules of `minivm.testing.contracts`."""
    from minivm.testing import contracts as package

    names = sorted(module.name for module in iter_modules(package.__path__) if not module.name.startswith("_"))
    return [found for name in names for found in _contracts_in(f"{package.__name__}.{name}")]


def _contracts_in(module: str) -> Iterator[Contract]:
    return (value for value in vars(import_module(module)).values() if isinstance(value, Contract))


__all__ = ["Case", "Contract", "ContractBroken", "Outcome", "Probe", "SystemGone", "contracts", "run_case"]
