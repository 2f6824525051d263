"""Every record goes to plain values and back, and what does not fit is refused by the field's name."""

import json
import math
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minivm
from minivm.config import MachineConfig
from minivm.core.plain import check_names, from_plain, to_plain
from minivm.core.record import record
from minivm.errors import ConfigError, SnapshotError


class Colour(Enum):
    RED = "#F00"
    BLUE = "#00F"


class Level(IntEnum):
    LOW = 0
    HIGH = 5


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclass(frozen=True)
class Inner:
    data: bytes
    name: str | None = None


@record
class Positive:
    number: int

    def __post_init__(self) -> None:
        if self.number <= 0:
            raise ConfigError(f"{self.number} is not positive")


@record
class Everything:
    """One field of each kind."""

    count: int
    on: bool
    text: str
    data: bytes
    ratio: float
    maybe: int | None
    many: tuple[int, ...]
    pair: tuple[int, str]
    inner: Inner
    inners: tuple[Inner, ...]
    mode: Literal["a", "b"]
    colour: Colour
    level: Level
    table: dict[str, Inner]
    point: Point
    path: Path
    date: datetime
    either: Inner | Point | None


def everything(**changes: Any) -> Everything:
    values: dict[str, Any] = {
        "count": 1, "on": True, "text": "é", "data": b"\0\xff", "ratio": 0.5, "maybe": None, "many": (1, 2),
        "pair": (1, "x"), "inner": Inner(b"i"), "inners": (Inner(b"j", "k"),), "mode": "a", "colour": Colour.BLUE,
        "level": Level.HIGH, "table": {"a.b": Inner(b"")}, "point": Point(1, 2), "path": Path("/x"),
        "date": datetime(2026, 1, 1), "either": Point(3),
    }  # fmt: skip
    return Everything(**values | changes)


def there_and_back(kind: Any, value: object) -> Any:
    return from_plain(kind, json.loads(json.dumps(to_plain(value), allow_nan=False)), "top")


def test_every_kind_of_field_comes_back():
    assert there_and_back(Everything, everything()) == everything()


def test_a_record_becomes_its_named_fields():
    assert to_plain(Inner(b"ab", "n")) == {"data": {"base64": "YWI="}, "name": "n"}
    assert to_plain((Colour.RED, Level.LOW, Point(1))) == ["RED", "LOW", {"x": 1, "y": 0}]


@given(st.integers() | st.integers(-(1 << 20000), 1 << 20000))
def test_a_number_of_any_size_comes_back(number):
    assert there_and_back(int, number) == number


def test_numbers_that_json_readers_lose_are_written_in_hex():
    assert to_plain(1 << 64) == {"hex": "10000000000000000"}
    assert to_plain((1 << 64) - 1) == (1 << 64) - 1


@given(st.floats(allow_nan=False))
def test_a_float_comes_back(number):
    assert there_and_back(float, number) == number


def test_not_a_number_comes_back():
    assert math.isnan(there_and_back(float, math.nan))
    assert there_and_back(float, math.inf) == math.inf


def test_text_that_is_no_unicode_comes_back():
    assert there_and_back(str, "\udcff\0") == "\udcff\0"


def test_bytes_can_be_kept_elsewhere():
    kept: list[bytes] = []

    def keep(data: bytes) -> object:
        kept.append(data)
        return len(kept) - 1

    plain = to_plain(Inner(b"large"), blob=keep)
    assert plain == {"data": 0, "name": None}
    assert from_plain(Inner, plain, unblob=lambda place: kept[int(str(place))]) == Inner(b"large")


def test_bytes_left_as_they_are_come_back_without_more():
    assert to_plain(Inner(b"x"), blob=bytes)["data"] == b"x"
    assert from_plain(Inner, to_plain(Inner(b"x"), blob=bytes)) == Inner(b"x")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"count": ...}, "top.count is missing"),
        ({"colours": 1}, "top.colours is unknown"),
        ({"count": True}, "top.count: True is not a whole number"),
        ({"count": "1"}, "top.count: '1' is not a whole number"),
        ({"count": 1.0}, "top.count: 1.0 is not a whole number"),
        ({"count": {"hex": "zz"}}, "top.count: {'hex': 'zz'} is not a whole number"),
        ({"on": 1}, "top.on: 1 is not true or false"),
        ({"text": None}, "top.text: None is not a text"),
        ({"data": "x"}, "top.data: 'x' is not bytes"),
        ({"data": {"base64": "?"}}, "top.data: "),
        ({"ratio": "1"}, "top.ratio: '1' is not a number"),
        ({"ratio": 10**400}, "top.ratio: .* is too large"),
        ({"maybe": []}, r"top.maybe: \[\] is not a whole number"),
        ({"many": {}}, "top.many: {} is not a list"),
        ({"many": [1, None]}, r"top.many\[1\]: None is not a whole number"),
        ({"pair": [1]}, "top.pair has 1 entries, not 2"),
        ({"inner": {"data": {"base64": ""}}}, "top.inner.name is missing"),
        ({"inner": 7}, "top.inner: 7 is not the fields of a Inner"),
        ({"inners": [{"data": 1, "name": None}]}, r"top.inners\[0\].data: 1 is not bytes"),
        ({"mode": "c"}, "top.mode: 'c' is not one of 'a', 'b'"),
        ({"colour": "GREEN"}, "top.colour: 'GREEN' is not one of RED, BLUE"),
        ({"colour": None}, "top.colour: None is not one of"),
        ({"table": []}, r"top.table: \[\] is not a dict"),
        ({"table": {"a": {}}}, "top.table.a.data is missing"),
        ({"date": "today"}, "top.date: 'today' is not a date"),
        ({"path": 1}, "top.path: 1 is not a path"),
        ({"either": {"z": 1}}, "top.either.x is missing"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_fields_name(change, says):
    plain = to_plain(everything())
    plain |= change
    plain = {name: value for name, value in plain.items() if value is not ...}
    with pytest.raises(SnapshotError, match=f"^{says}"):
        from_plain(Everything, plain, "top")


def test_what_a_record_itself_refuses_is_told_with_its_place():
    with pytest.raises(SnapshotError, match=r"^top: -1 is not positive"):
        from_plain(Positive, {"number": -1}, "top")


@pytest.mark.parametrize("kind", [Any, object, dict, tuple, dict[int, str], set[int]])
def test_an_annotation_that_says_too_little_is_refused(kind):
    with pytest.raises(SnapshotError, match=r"^top: the type"):
        from_plain(kind, {}, "top")


def test_what_has_no_plain_form_is_refused_by_its_place():
    with pytest.raises(SnapshotError, match=r"^devices.mine\[1\]: a set cannot be saved"):
        to_plain([1, {2}], where="devices.mine")
    with pytest.raises(SnapshotError, match=r"^top.text: a function cannot be saved"):
        to_plain({"text": there_and_back}, where="top")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=3), inner, max_size=3)))  # fmt: skip
def test_foreign_data_is_never_anything_but_a_snapshot_error(data):
    with pytest.raises(SnapshotError):
        from_plain(Everything, data, "top")


# -- the real thing ---------------------------------------------------------------------------------------------
DEVICES = ("shadow_ram", "i440fx", "piix3", "ide", "pm", "vga_pci", "pci", "pit", "cmos", "uart0", "uart1", "keyboard",
           "mouse", "i8042", "vga", "dma", "floppy", "ata0", "ata1", "bus_master", "port_b", "speaker", "port_92",
           "a20", "reset_control", "post_code", "pic")  # fmt: skip


@pytest.fixture(scope="module")
def states():
    """The state of each device of a machine in the middle of its work: keys under way, bytes waiting."""
    with minivm.boot("echo", memory="2M") as vm:
        vm.run(ms=3)
        vm.type("aB<F1><Ctrl-C>")
        vm.serial.send(b"waiting")
        vm.run(ms=1)
        yield {name: device.state() for name, device in vm.devices.items()}


def test_no_device_is_forgotten_here(states):
    assert set(states) == set(DEVICES)


@pytest.mark.parametrize("name", DEVICES)
def test_every_devices_state_comes_back_equal(name, states):
    state = states[name]
    assert there_and_back(type(state), state) == state
    assert from_plain(type(state), to_plain(state, blob=bytes)) == state


@pytest.mark.parametrize("name", DEVICES)
def test_every_field_of_every_device_is_missed(name, states):
    plain = to_plain(states[name])
    assert plain
    for field in plain:
        with pytest.raises(SnapshotError, match=f"^devices.{name}.{field} is missing"):
            from_plain(type(states[name]), {key: plain[key] for key in plain if key != field}, f"devices.{name}")


def test_a_machines_configuration_becomes_plain():
    plain = to_plain(MachineConfig(guest=Path("x.img"), memory="2M", disks=("a.img,ro",)))
    assert (plain["memory"], plain["guest"]) == (2 << 20, "x.img")
    assert plain["disks"] == [{"path": "a.img", "read_only": True, "snapshot": False, "unlocked": False}]
    assert json.loads(json.dumps(plain)) == plain


@pytest.mark.parametrize("value", [None, 0.5, 7, "text", ["a"]])
def test_names_are_looked_for_in_nothing_but_a_dict(value):
    with pytest.raises(SnapshotError, match=r"devices: .* is not a dict"):
        check_names(value, ("a",), "devices")
