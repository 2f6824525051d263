"""MachineConfig: what a user may say, and how it is refused."""

import dataclasses
import math
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.config import (
    DiskSpec,
    MachineConfig,
    SerialSpec,
    TraceSpec,
    parse_address,
    parse_size,
    parse_speed,
)
from minivm.errors import ConfigError, MiniVMError


class Card:
    """A device of a user's own."""

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        pass


@pytest.mark.parametrize(
    ("text", "size"),
    [("64M", 64 << 20), ("64m", 64 << 20), ("64MB", 64 << 20), ("64MiB", 64 << 20), ("512K", 512 << 10),
     ("1G", 1 << 30), ("1.5G", 3 << 29), (" 4096 ", 4096), ("0", 0)],
)  # fmt: skip
def test_a_size_is_read_in_units_of_1024(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "M", "64X", "-1M", "1.0001", "nan", "inf", "6 4M", "1e999", "1_000", "0x10", "MM"]
)
def test_a_size_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match="64M, 512K or 1G"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0x7C00", "7C00h", "31744", "7c00H"])
def test_an_address_is_read_in_the_three_usual_ways(text):
    assert parse_address(text) == 0x7C00


@pytest.mark.parametrize("text", ["", "h", "7C00", "0x", "zz", "-0x1h"])
def test_an_address_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="not an address"):
        parse_address(text)


def test_speed_is_a_multiple_or_without_limit():
    assert (parse_speed("1x"), parse_speed("0.1x"), parse_speed("max")) == (1.0, 0.1, None)
    for text in ("0x", "-1x", "fast", "nan", "inf"):
        with pytest.raises(ConfigError, match="not a speed"):
            parse_speed(text)


def test_a_disk_is_a_file_with_options():
    assert DiskSpec.parse("a.img") == DiskSpec(Path("a.img"))
    assert DiskSpec.parse("a.img,ro,snapshot") == DiskSpec(Path("a.img"), read_only=True, snapshot=True)
    assert DiskSpec.parse("a.img,unlocked,ro") == DiskSpec(Path("a.img"), read_only=True, unlocked=True)
    assert DiskSpec.parse("a,,b.img,snapshot") == DiskSpec(Path("a,b.img"), snapshot=True)


def test_a_cd_is_always_read_only():
    config = MachineConfig(cdroms=["a.iso", "b,,c.iso,snapshot", DiskSpec(Path("d.iso"))])
    assert config.cdroms == tuple(DiskSpec(Path(name), read_only=True) for name in ("a.iso", "b,c.iso", "d.iso"))
    assert MachineConfig(cdroms="e.iso,unlocked").cdroms == (DiskSpec(Path("e.iso"), read_only=True, unlocked=True),)
    with pytest.raises(ConfigError, match=r"^cdroms: .* names no file"):
        MachineConfig(cdroms="")


def test_a_boot_order_has_the_letters_of_the_drives():
    assert MachineConfig(boot_order="DC").boot_order == "dc"
    with pytest.raises(ConfigError, match=r"^boot_order: 'cb' is no boot order; write each of a \(floppy\)"):
        MachineConfig(boot_order="cb")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.img,rw", "'rw' is not an option"),
        ("a,unlocked", "a writer always locks"),
        ("", "names no file"),
        (",ro", "no"),
    ],
)
def test_a_disk_with_an_unknown_option_is_refused_by_name(text, words):
    with pytest.raises(ConfigError, match=words):
        DiskSpec.parse(text)


def test_a_serial_port_leads_to_one_of_four_places():
    assert SerialSpec.parse("stdio") == SerialSpec("stdio")
    assert SerialSpec.parse("file:a:b") == SerialSpec("file", Path("a:b"))
    for text in ("tcp:1", "file", "file:", "stdio:x", ""):
        with pytest.raises(ConfigError, match="write stdio, none, file:PATH or unix:PATH"):
            SerialSpec.parse(text)


def test_a_trace_names_its_kinds_and_its_file():
    assert TraceSpec.parse("io,irq:out.log") == TraceSpec(("io", "irq"), Path("out.log"))
    assert TraceSpec.parse("all") == TraceSpec(("io", "irq", "int", "exc", "mode", "sound"))
    for text in ("io,dma", "", "io:"):
        with pytest.raises(ConfigError):
            TraceSpec.parse(text)


def test_texts_and_final_values_make_the_same_machine():
    said = MachineConfig(guest="k.img", memory="16M", disks="d.img,ro", serial=["stdio"], speed="2x", origin="0x500")
    made = MachineConfig(
        guest=Path("k.img"),
        memory=16 << 20,
        disks=(DiskSpec(Path("d.img"), read_only=True),),
        serial=(SerialSpec("stdio"),),
        speed=2.0,
        origin=0x500,
    )
    assert said == made


def test_the_clock_begins_at_a_fixed_date():
    assert MachineConfig().rtc == datetime(2026, 1, 1)
    assert MachineConfig(rtc="1999-12-31T23:59:59+02:00").rtc == datetime(1999, 12, 31, 23, 59, 59)


def test_replace_checks_again():
    with pytest.raises(ConfigError, match=r"^memory: "):
        dataclasses.replace(MachineConfig(), memory="3")


@pytest.mark.parametrize(
    ("field", "value"),
    [("memory", "64X"), ("memory", 4097), ("memory", "1K"), ("memory", "4G"), ("memory", True), ("memory", None),
     ("guest", 7), ("guest", ""), ("guest", "a\0b"), ("boot", "cdrom"), ("boot", True), ("origin", -1),
     ("origin", 1 << 32), ("bits", 8), ("bits", []), ("guest_snapshot", 1), ("disks", 3), ("disks", [3]),
     ("floppies", "a,b"), ("cdroms", "a,b"), ("cdroms", 1), ("boot_order", ""), ("boot_order", "cc"),
     ("boot_order", "ab"), ("boot_order", 1), ("initrd", [1]), ("append", 1),
     ("serial", "x"), ("display", "gtk"), ("engine", 1),
     ("rtc", "soon"), ("rtc", 5), ("speed", "0x"), ("speed", -1), ("clock", "wall"), ("firmware", 1),
     ("timeout", 0), ("timeout", math.nan), ("timeout", "5"), ("max_ticks", 0), ("max_ticks", 1.5),
     ("trace", "dma"), ("devices", [("port", 1)]), ("devices", [("isa", 1, Card())]), ("devices", 5)],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused_by_its_fields_name(field, value):
    with pytest.raises(ConfigError, match=rf"^{field}: ") as caught:
        MachineConfig(**{field: value})
    assert "\n" not in str(caught.value)


def test_a_users_device_keeps_its_identity():
    card = Card()
    assert MachineConfig(devices=[("port", 0x500, card)]).devices == (("port", 0x500, card),)


def test_a_file_says_the_same_as_the_options(tmp_path):
    file = tmp_path / "vm.toml"
    file.write_text(
        'guest = "k.img"\nmemory = "16M"\nrtc = 1995-05-23T08:00:00\ninitrd = ["a.txt one two"]\n'
        'disks = ["d.img,snapshot", "/abs.img"]\ncdroms = ["c.iso"]\nserial = ["stdio", "file:out.txt"]\ntimeout = 5\n'
    )
    config = MachineConfig.from_toml(file)
    assert config.guest == tmp_path / "k.img"
    assert config.memory == 16 << 20
    assert config.rtc == datetime(1995, 5, 23, 8)
    assert config.initrd == (f"{tmp_path}/a.txt one two",)
    assert config.disks == (DiskSpec(tmp_path / "d.img", snapshot=True), DiskSpec(Path("/abs.img")))
    assert config.cdroms == (DiskSpec(tmp_path / "c.iso", read_only=True),)
    assert config.serial == (SerialSpec("stdio"), SerialSpec("file", tmp_path / "out.txt"))
    assert config.timeout == 5.0


def test_an_unknown_key_is_refused_with_the_nearest_one(tmp_path):
    file = tmp_path / "vm.toml"
    file.write_text('memry = "16M"\n')
    with pytest.raises(ConfigError, match=r"vm.toml: memry: there is no such key; did you mean memory\?"):
        MachineConfig.from_toml(file)


@pytest.mark.parametrize("content", [b"memory = ", b"\xff\xfe", b"memory = [1]", b"[memory]\na = 1"])
def test_a_broken_file_is_refused_with_its_name(tmp_path, content):
    file = tmp_path / "vm.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"vm\.toml: "):
        MachineConfig.from_toml(file)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            MachineConfig.from_toml(path)


values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(),
                   st.lists(st.one_of(st.integers(), st.text())))  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(field=st.sampled_from([field.name for field in dataclasses.fields(MachineConfig)]), value=values)
def test_any_value_for_any_field_fits_or_is_refused(field, value):
    try:
        config = MachineConfig(**{field: value})
    except MiniVMError:
        return
    assert hash(dataclasses.replace(config)) == hash(config)
