"""A snapshot gives back exactly what was saved, from one file or a chain, and refuses everything else by name."""

import json
import os
import struct
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.core.memory import MOST_CARDS_BYTES, PAGE
from minivm.core.record import replace
from minivm.errors import SnapshotError
from minivm.storage import snapshot
from minivm.storage.snapshot import Base, Contents, Parent, check_config, identity, info, load, make_whole, save

FIELDS: dict[str, Any] = {
    "config": {"memory": 1 << 20, "guest": None},
    "machine": {"now": 12345, "halted": False},
    "cpu": {"rip": 0x7C00, "fpu": b"\x01" * 80},
    "devices": {"uart0": {"scratch": 7, "fifo": b"ab"}, "pit": {"counters": [{"gate": True}, {}, {}]}},
    "console": {"log": b"hello " * 100},
}
CARDS = MOST_CARDS_BYTES // PAGE
"""As many pages may lie behind RAM, on cards."""
BASE = Base("ab" * 32, 1 << 20)


def page(*numbers: int) -> bytes:
    return bytes(numbers).ljust(PAGE, b"\0")


def sector(number: int) -> bytes:
    return bytes([number]) * 512


def contents(pages: dict[int, bytes] | None = None, **changes: Any) -> Contents:
    whole = Contents(FIELDS, 1 << 20, pages if pages is not None else {0: page(1), 184: page(2, 3)})
    return replace(whole, **changes)


def with_disk(sectors: dict[int, bytes], pages: dict[int, bytes] | None = None) -> Contents:
    return contents(pages, disks={"hda": sectors}, bases={"hda": BASE})


# -- there and back ---------------------------------------------------------------------------------------------
def test_what_is_saved_is_what_is_loaded(tmp_path):
    saved = with_disk({0: sector(1), 1 << 40: sector(0)})
    save(tmp_path / "a.mvm", saved)
    assert load(tmp_path / "a.mvm") == saved


def test_an_empty_machine_is_saved_too(tmp_path):
    empty = Contents({name: {} for name in snapshot.SECTIONS}, 0, {})
    save(tmp_path / "a.mvm", empty)
    assert load(tmp_path / "a.mvm") == empty


def test_pages_of_zeros_are_left_out_and_equal_pages_are_stored_once(tmp_path):
    pages = {number: page(9) for number in range(100)} | {100: bytes(PAGE)}
    told = save(tmp_path / "a.mvm", contents(pages))
    assert (told.pages.stored, told.pages.unique) == (100, 1)
    assert load(tmp_path / "a.mvm").pages == {number: page(9) for number in range(100)}


def test_a_sector_of_zeros_is_stored_for_it_may_hide_the_images(tmp_path):
    save(tmp_path / "a.mvm", with_disk({5: bytes(512)}))
    assert load(tmp_path / "a.mvm").disks["hda"] == {5: bytes(512)}


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for name in ("a.mvm", "b.mvm"):
        save(tmp_path / name, with_disk({3: sector(3)}), name="same")
    assert (tmp_path / "a.mvm").read_bytes() == (tmp_path / "b.mvm").read_bytes()


def test_the_info_is_what_the_save_said(tmp_path):
    told = save(tmp_path / "a.mvm", with_disk({3: sector(3)}), name="first")
    child = save(tmp_path / "b.mvm", with_disk({4: sector(3)}), parent=tmp_path / "a.mvm")
    assert info(tmp_path / "a.mvm") == told
    assert info(tmp_path / "b.mvm") == child
    assert (told.name, told.parent, told.memory_size) == ("first", None, 1 << 20)
    assert told.size == (tmp_path / "a.mvm").stat().st_size
    assert told.config == FIELDS["config"]
    assert child.parent == Parent(told.digest, "first")
    assert child.disks["hda"] == snapshot.Blocks(stored=1, unique=1, cleared=1)


def test_the_info_does_not_unpack_pages(tmp_path, monkeypatch):
    save(tmp_path / "a.mvm", contents())
    monkeypatch.setattr(snapshot.BlockTable, "lay_over", None)
    assert info(tmp_path / "a.mvm").pages.stored == 2


def test_every_size_of_bytes_among_the_fields_comes_back(tmp_path):
    fields = FIELDS | {"devices": [bytes(range(256))[:length] for length in (0, 1, 63, 64, 65, 256)]}
    save(tmp_path / "a.mvm", contents(fields=fields))
    assert load(tmp_path / "a.mvm").fields == fields


# -- chains -----------------------------------------------------------------------------------------------------
def test_a_child_stores_only_what_differs(tmp_path):
    pages = {number: page(number, 1) for number in range(200)}
    save(tmp_path / "a.mvm", contents(pages))
    changed = pages | {7: page(77), 8: bytes(PAGE)}
    told = save(tmp_path / "b.mvm", contents(changed), parent=tmp_path / "a.mvm")
    assert told.pages == snapshot.Blocks(stored=1, unique=1, cleared=1)
    del changed[8]
    assert load(tmp_path / "b.mvm").pages == changed


def test_a_parent_is_found_by_what_it_holds_not_by_its_name(tmp_path):
    save(tmp_path / "a.mvm", contents())
    save(tmp_path / "b.mvm", contents({0: page(5)}), parent=tmp_path / "a.mvm")
    (tmp_path / "a.mvm").rename(tmp_path / "other.mvm")
    assert load(tmp_path / "b.mvm").pages == {0: page(5)}


def test_a_child_equal_to_its_parent_is_no_circle(tmp_path):
    save(tmp_path / "a.mvm", contents())
    for name, parent in (("b", "a"), ("c", "b"), ("a2", "a")):
        save(tmp_path / f"{name}.mvm", contents(), name="a", parent=tmp_path / f"{parent}.mvm")
    assert len({identity(tmp_path / f"{name}.mvm") for name in ("a", "b", "c")}) == 3
    assert load(tmp_path / "c.mvm") == contents()


def test_a_child_made_whole_needs_nobody_and_its_children_notice_nothing(tmp_path):
    a, b, c = (tmp_path / f"{name}.mvm" for name in "abc")
    save(a, contents({1: page(1)}))
    save(b, contents({1: page(1), 2: page(2)}), parent=a)
    save(c, contents({2: page(2), 3: page(3)}), parent=b)
    before = info(b)
    after = make_whole(b)
    a.unlink()
    assert (after.digest, after.parent) == (before.digest, None)
    assert load(b).pages == {1: page(1), 2: page(2)}
    assert load(c).pages == {2: page(2), 3: page(3)}


pages_strategy = st.dictionaries(st.integers(0, 20), st.integers(0, 5), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(pages_strategy, pages_strategy, st.integers(0, 9)), min_size=1, max_size=6), st.data())
def test_any_tree_of_snapshots_gives_back_what_was_saved(tmp_path_factory, steps, data):
    folder = tmp_path_factory.mktemp("tree")
    saved: list[Contents] = []
    for index, (pages, sectors, link) in enumerate(steps):
        new = with_disk({at: sector(value) for at, value in sectors.items()},
                        {at: page(value) for at, value in pages.items()})  # fmt: skip
        parent = folder / f"{link % index}.mvm" if index and link else None
        save(folder / f"{index}.mvm", new, parent=parent)
        saved.append(replace(new, pages={at: page(value) for at, value in pages.items() if value}))
    for index in data.draw(st.lists(st.integers(0, len(steps) - 1), max_size=2)):
        make_whole(folder / f"{index}.mvm")
    for index, wanted in enumerate(saved):
        assert load(folder / f"{index}.mvm") == wanted


# -- refusals ---------------------------------------------------------------------------------------------------
def small_file(tmp_path: Path) -> tuple[Path, bytes]:
    path = tmp_path / "small.mvm"
    save(path, with_disk({0: sector(1)}, {0: page(1)}))
    return path, path.read_bytes()


def test_every_cut_is_refused(tmp_path):
    path, data = small_file(tmp_path)
    for length in range(len(data)):
        path.write_bytes(data[:length])
        for reader in (load, info):
            with pytest.raises(SnapshotError, match="is not a snapshot" if length == 0 else "is cut short"):
                reader(path)


def test_every_altered_byte_is_refused(tmp_path):
    path, data = small_file(tmp_path)
    for at in range(len(data)):
        for change in (0x01, 0x80, 0xFF):
            path.write_bytes(data[:at] + bytes([data[at] ^ change]) + data[at + 1 :])
            for reader in (load, info):
                with pytest.raises(SnapshotError, match=r"small\.mvm: (is |format: )"):
                    reader(path)


def test_what_was_appended_is_refused(tmp_path):
    path, data = small_file(tmp_path)
    path.write_bytes(data + b"x")
    with pytest.raises(SnapshotError, match="is damaged"):
        load(path)


@pytest.mark.parametrize("data", [b"\0" * 4096, b"MINIVM-SNAPSHOX\n" + bytes(100), b"\x7fELF"])
def test_what_is_no_snapshot_is_called_so(tmp_path, data):
    (tmp_path / "a.mvm").write_bytes(data)
    with pytest.raises(SnapshotError, match=r"a\.mvm: is not a snapshot"):
        load(tmp_path / "a.mvm")


def test_files_that_cannot_be_read_are_refused_in_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, says in (
        ("none", "there is no such"),
        ("folder", "not a regular"),
        ("pipe", "not a regular"),
        ("a\0b", "cannot be read: "),
    ):
        with pytest.raises(SnapshotError, match=says):
            load(tmp_path / name)


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_any_bytes_with_a_right_checksum_are_still_refused(tmp_path_factory, junk):
    path = tmp_path_factory.mktemp("junk") / "a.mvm"
    path.write_bytes(sealed(junk, header_length=len(junk) // 2))
    with pytest.raises(SnapshotError):
        load(path)


def sealed(body: bytes, *, header_length: int, number: int = 1, digest: bytes = bytes(32)) -> bytes:
    """Return a file with a right prologue and checksum around `body`."""
    data = struct.pack("<16sIIQ32s", snapshot.MAGIC, number, header_length, 64 + len(body) + 32, digest) + body
    return data + blake2b(data, digest_size=32).digest()


def forged(path: Path, change: Any, *, tail: bytes | None = None) -> None:
    """Rewrite the header of `path` by `change`, and make the checksum right again."""
    data = path.read_bytes()
    length, digest = struct.unpack_from("<I", data, 20)[0], data[32:64]
    header = json.loads(zstandard.ZstdDecompressor().decompress(data[64 : 64 + length]))
    change(header)
    packed = zstandard.compress(json.dumps(header, separators=(",", ":")).encode())
    rest = data[64 + length : -32] if tail is None else tail
    path.write_bytes(sealed(packed + rest, header_length=len(packed), digest=digest))


def test_forging_nothing_changes_nothing(tmp_path):
    path, _ = small_file(tmp_path)
    before = load(path)
    forged(path, lambda header: None)
    assert load(path) == before


@pytest.mark.parametrize(
    ("number", "says"), [(2, "format: 2 is newer than this program's 1; update minivm"), (0, "format: 0 is unknown")]
)
def test_another_format_is_refused_by_its_number(tmp_path, number, says):
    path = tmp_path / "a.mvm"
    path.write_bytes(sealed(b"whatever a later format has", header_length=5, number=number))
    with pytest.raises(SnapshotError, match=f"a.mvm: {says}"):
        load(path)


def test_every_field_of_the_header_is_missed_by_name(tmp_path):
    path, data = small_file(tmp_path)
    names = ("format", "version", "name", "origin", "parent", "created", "config", "machine", "cpu", "devices",
             "console", "blobs", "memory", "disks")  # fmt: skip
    for name in names:
        path.write_bytes(data)
        forged(path, lambda header, name=name: header.pop(name))
        with pytest.raises(SnapshotError, match=rf"small\.mvm: {name} is missing"):
            load(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda header: header.update(colour=1), "colour is unknown"),
        (lambda header: header["memory"].update(colour=1), "memory.colour is unknown"),
        (lambda header: header["memory"].pop("pages"), "memory.pages is missing"),
        (lambda header: header["memory"].update(size=5), "memory.size: 5 is no number"),
        (lambda header: header["memory"].update(size=1 << 60), "memory.size: "),
        (lambda header: header["memory"].update(size=0), "what it holds does not fit its identity"),
        (lambda header: header["memory"]["pages"].update(stored=1 << 60), "bytes are announced"),
        (lambda header: header["memory"]["pages"].update(unique=-1), "memory.pages: the counts"),
        (lambda header: header["memory"]["pages"].update(cleared=-1), "memory.pages: the counts"),
        (lambda header: header["disks"]["hda"].pop("base"), "disks.hda.base is missing"),
        (lambda header: header["disks"]["hda"]["sectors"].update(stored=2), ""),
        (lambda header: header["blobs"].update(size=1 << 60), "blobs.size: "),
        (lambda header: header["blobs"].update(size=1), "a compressed part announces 680 bytes; 1 fit"),
        (lambda header: header["blobs"].update(packed=-1), "-1 bytes are announced"),
        (lambda header: header.update(format=2), "format: 2 does not fit"),
        (lambda header: header.update(created=1), "created: 1 is not None"),
        (lambda header: header.update(config=[]), "config: is not a dict"),
        (lambda header: header.update(parent={"name": "x"}), "parent.digest is missing"),
        (lambda header: header.update(parent={"name": "x", "digest": "00"}), r"its parent 'x' \(identity 00\) is not"),
        (lambda header: header["machine"].update(now=1), "what it holds does not fit its identity"),
        (lambda header: header.update(origin="x"), "what it holds does not fit its identity"),
    ],
)
def test_a_forged_header_is_refused_by_the_fields_name(tmp_path, change, says):
    path, _ = small_file(tmp_path)
    forged(path, change)
    with pytest.raises(SnapshotError, match=rf"small\.mvm: .*{says}"):
        load(path)


def test_a_bomb_allocates_nothing(tmp_path):
    bomb = zstandard.compress(bytes(200 << 20))
    path = tmp_path / "bomb.mvm"
    path.write_bytes(sealed(bomb, header_length=len(bomb)))
    program = (
        "import resource, sys\nfrom pathlib import Path\nfrom minivm.errors import SnapshotError\n"
        "from minivm.storage.snapshot import load\nimport zstandard\n"
        "resource.setrlimit(resource.RLIMIT_AS, (150 << 20, 150 << 20))\n"
        "try:\n    load(Path(sys.argv[1]))\nexcept SnapshotError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert "a compressed part announces 209715200 bytes" in done.stdout


def test_a_header_nested_without_end_is_refused(tmp_path):
    path, _ = small_file(tmp_path)
    packed = zstandard.compress(b"[" * 1_000_000)
    path.write_bytes(sealed(packed, header_length=len(packed)))
    with pytest.raises(SnapshotError, match="the header is not JSON"):
        load(path)


def test_a_missing_parent_is_refused_by_its_name(tmp_path):
    save(tmp_path / "base.mvm", contents())
    save(tmp_path / "child.mvm", contents({}), parent=tmp_path / "base.mvm")
    (tmp_path / "base.mvm").unlink()
    with pytest.raises(SnapshotError, match=r"child\.mvm: its parent 'base' .* is missing"):
        load(tmp_path / "child.mvm")
    assert info(tmp_path / "child.mvm").name == "child"


def test_a_replaced_parent_is_refused_by_its_name(tmp_path):
    save(tmp_path / "base.mvm", contents())
    save(tmp_path / "child.mvm", contents({}), parent=tmp_path / "base.mvm")
    save(tmp_path / "base.mvm", contents({1: page(1)}))
    with pytest.raises(SnapshotError, match=r"child\.mvm: its parent 'base' .* altered"):
        load(tmp_path / "child.mvm")


def test_a_damaged_parent_is_refused_by_its_name(tmp_path):
    save(tmp_path / "base.mvm", contents())
    save(tmp_path / "child.mvm", contents({}), parent=tmp_path / "base.mvm")
    data = bytearray((tmp_path / "base.mvm").read_bytes())
    data[100] ^= 1
    (tmp_path / "base.mvm").write_bytes(data)
    with pytest.raises(SnapshotError, match=r"child\.mvm: its parent 'base' cannot be used: .*base\.mvm: is damaged"):
        load(tmp_path / "child.mvm")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fields": {}}, "config is missing"),
        ({"fields": FIELDS | {"extra": 1}}, "extra is unknown"),
        ({"fields": FIELDS | {"config": []}}, "config: is not a dict"),
        ({"fields": FIELDS | {"cpu": {"a": [1, (2,)]}}}, r"cpu\.a\[1\]: a tuple is not a plain value"),
        ({"fields": FIELDS | {"cpu": {1: 2}}}, "cpu: 1 cannot be a field's name"),
        ({"fields": FIELDS | {"cpu": {"$hex": ""}}}, r"cpu: '\$hex' cannot be a field's name"),
        ({"fields": FIELDS | {"cpu": {"a": float("nan")}}}, "a field cannot be written"),
        ({"memory_size": 5}, "memory.size: 5"),
        ({"pages": {256 + CARDS: page(1)}}, rf"memory.pages\[{256 + CARDS}\]"),
        ({"pages": {-1: page(1)}}, r"memory.pages\[-1\]"),
        ({"pages": {0: b"x"}}, r"memory.pages\[0\]: has 1 bytes"),
        ({"disks": {"hda": {}}}, "bases.hda is missing"),
        ({"bases": {"hda": BASE}}, "bases.hda is unknown"),
        ({"disks": {"hda": {0: b""}}, "bases": {"hda": BASE}}, r"disks.hda.sectors\[0\]"),
    ],
)
def test_contents_that_could_not_be_loaded_are_not_saved(tmp_path, changes, says):
    with pytest.raises(SnapshotError, match=says):
        save(tmp_path / "a.mvm", contents(**changes))
    assert list(tmp_path.iterdir()) == []


def test_unfit_parents_are_refused(tmp_path):
    (tmp_path / "other").mkdir()
    save(tmp_path / "a.mvm", contents())
    save(tmp_path / "b.mvm", contents(), parent=tmp_path / "a.mvm")
    with pytest.raises(SnapshotError, match="must lie in the same folder"):
        save(tmp_path / "other" / "c.mvm", contents(), parent=tmp_path / "a.mvm")
    with pytest.raises(SnapshotError, match="would overwrite what it builds on"):
        save(tmp_path / "a.mvm", contents(), parent=tmp_path / "b.mvm")
    with pytest.raises(SnapshotError, match="there is no such snapshot"):
        save(tmp_path / "c.mvm", contents(), parent=tmp_path / "none.mvm")
    with pytest.raises(SnapshotError, match=r"memory\.size: the parent"):
        save(tmp_path / "c.mvm", contents(memory_size=2 << 20), parent=tmp_path / "a.mvm")


# -- configurations ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("saved", "wanted", "says"),
    [
        ({"memory": 1}, {"memory": 2}, "memory: the snapshot has 1, this machine 2"),
        ({"a": 1}, {}, "a: the snapshot has 1, this machine nothing"),
        ({}, {"a": None}, "a: the snapshot has nothing, this machine None"),
        ({"cpu": {"x": 1, "y": 2}}, {"cpu": {"x": 1, "y": 3}}, "cpu.y: the snapshot has 2, this machine 3"),
        ({"on": True}, {"on": 1}, "on: the snapshot has True, this machine 1"),
        ({"b": 1, "a": 1}, {"a": 2, "b": 2}, "a: the snapshot has 1, this machine 2"),
    ],
)
def test_the_first_difference_between_configurations_is_named(saved, wanted, says):
    with pytest.raises(SnapshotError, match=f"^{says}$"):
        check_config(saved, wanted)


def test_equal_configurations_pass():
    check_config({"a": [1], "b": {"c": None}}, {"b": {"c": None}, "a": [1]})


# -- start-up ---------------------------------------------------------------------------------------------------
def test_a_run_does_not_load_the_compressor():
    program = "import sys, minivm.storage.snapshot, minivm.storage.snapshots; print('zstandard' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
