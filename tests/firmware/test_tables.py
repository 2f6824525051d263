"""The tables for operating systems: found as systems look for them, with right sums, and read by dmidecode and iasl."""

import shutil
import struct
import subprocess

import pytest

from minivm.firmware import acpi, aml, smbios
from minivm.firmware.services import ROM_BASE

SEGMENT = range(0xF0000, 0x100000, 16)


def find(pc, signature):
    """Return the address of a signature on a 16-byte border of the F-segment; there must be just one."""
    found = [at for at in SEGMENT if pc.memory.read(at, len(signature)) == signature]
    assert len(found) <= 1
    return found[0] if found else None


def read_table(pc, address):
    """Return an ACPI table, whose checksum must be right."""
    length = pc.space.load(address + 4, 4)
    data = pc.memory.read(address, length)
    assert sum(data) & 0xFF == 0
    return data


@pytest.fixture
def tables(pc, plug_pci):
    """Return the ACPI tables of a machine with PCI, by their signatures."""
    plug_pci(pc)
    pointer = pc.memory.read(find(pc, b"RSD PTR "), 20)
    assert sum(pointer) & 0xFF == 0
    rsdt = read_table(pc, int.from_bytes(pointer[16:20], "little"))
    found = {b"RSDT": rsdt}
    for (address,) in struct.iter_unpack("<I", rsdt[36:]):
        table = read_table(pc, address)
        found[table[:4]] = table
    found[b"DSDT"] = read_table(pc, int.from_bytes(found[b"FACP"][40:44], "little"))
    return found


def test_every_table_is_found_and_sums_up_to_zero(pc, tables):
    assert set(tables) == {b"RSDT", b"FACP", b"APIC", b"DSDT"}
    for signature, length in ((b"_32_", 16), (b"$PnP", 33), (b"_SM_", 31)):
        assert sum(pc.memory.read(find(pc, signature), length)) & 0xFF == 0
    place = find(pc, b"$PIR")
    assert sum(pc.memory.read(place, pc.space.load(place + 6, 2))) & 0xFF == 0


def test_the_fixed_description_names_the_chips_registers(pc, tables):
    facp = tables[b"FACP"]
    assert len(facp) == 116
    assert int.from_bytes(facp[46:48], "little") == 9
    assert [int.from_bytes(facp[at : at + 4], "little") for at in (48, 56, 64, 76)] == [0, 0x600, 0x604, 0x608]
    assert list(facp[88:92]) == [4, 2, 0, 4]
    facs = int.from_bytes(facp[36:40], "little")
    assert (facs % 64, pc.memory.read(facs, 8)) == (0, b"FACS\x40\0\0\0")
    assert pc.space.region_at(facs, 64).writable


def test_one_processor_and_no_io_apic(tables):
    assert tables[b"APIC"][36:] == bytes.fromhex("0000e0fe 01000000 0008 0000 01000000")


def test_small_systems_find_how_to_switch_off(tables):
    """Without an interpreter, one searches for _S5_ and takes the package's first number."""
    data = tables[b"DSDT"]
    at = data.index(b"_S5_")
    assert data[at - 1] == 0x08 or data[at - 2 : at] == b"\x08\\"
    assert data[at + 4 : at + 9] == b"\x12\x06\x04\x00\x00"


def test_without_pci_there_is_neither_acpi_nor_a_routing_table(pc):
    assert find(pc, b"RSD PTR ") is None
    assert find(pc, b"$PIR") is None
    assert find(pc, b"_SM_") is not None


@pytest.mark.skipif(shutil.which("iasl") is None, reason="iasl (package acpica-tools) is not installed")
@pytest.mark.parametrize("signature", [b"FACP", b"APIC", b"DSDT"])
def test_intels_compiler_understands_the_tables_and_makes_them_again(tables, tmp_path, signature):
    table = tmp_path / "table.aml"
    table.write_bytes(tables[signature])
    source = run("iasl", "-d", str(table))
    assert "Error" not in source
    text = (tmp_path / "table.dsl").read_text()
    if signature == b"DSDT":
        assert "_S5" in text
        assert 'EisaId ("PNP0A03")' in text
        assert "Error" not in text
        run("iasl", "-p", str(tmp_path / "again"), str(tmp_path / "table.dsl"))
        assert (tmp_path / "again.aml").read_bytes()[36:] == tables[signature][36:]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("dmidecode") is None, reason="dmidecode is not installed")
def test_dmidecode_reads_the_machine(tmp_path):
    table = smbios.structures(64 << 20, "01/01/26")
    dump = smbios.entry_point(table, 0x20).ljust(0x20, b"\0") + b"".join(table)
    (tmp_path / "dump").write_bytes(dump)
    text = run("dmidecode", "--from-dump", str(tmp_path / "dump"))
    for line in ("SMBIOS 2.4 present.", "Vendor: MiniVM", "Release Date: 01/01/2026", "Size: 64 MB", "ROM Size: 64 kB",
                 "Range Size: 64 MB", "Status: Populated, Enabled", "Boot from CD is supported"):  # fmt: skip
        assert line in text
    assert "BROKEN" not in text.upper().replace("NOT BROKEN", "")
    assert "checksum" not in text.lower()


def test_the_smbios_entry_point_leads_to_its_structures(pc):
    entry = pc.memory.read(find(pc, b"_SM_"), 31)
    assert sum(entry) & 0xFF == sum(entry[16:]) & 0xFF == 0
    largest, length, address, count = struct.unpack_from("<H12xHIH", entry, 8)
    kinds, at, sizes = [], address, []
    for _ in range(count):
        kinds.append(pc.space.load(at, 1))
        text = pc.memory.read(at, 512)
        end = text.index(b"\0\0", text[1]) + 2
        sizes.append(end)
        at += end
    assert (at - address, max(sizes)) == (length, largest)
    assert kinds == [0, 1, 3, 4, 16, 17, 19, 32, 127]


@pytest.mark.parametrize("megabytes", [1, 16, 3072])
def test_any_memory_has_its_size_told(megabytes):
    device = next(row for row in smbios.structures(megabytes << 20, "01/01/26") if row[0] == 17)
    assert int.from_bytes(device[12:14], "little") == megabytes


def test_lengths_in_aml_take_one_to_three_bytes():
    for body, head in ((62, b"\x3f"), (63, b"\x41\x04"), (4093, b"\x4f\xff"), (4094, b"\x81\x00\x01")):
        block = aml.block(b"\x12", bytes(body))
        assert block[1 : 1 + len(head)] == head
        more = block[1] >> 6
        low = block[1] & (0x0F if more else 0x3F)
        length = low | int.from_bytes(block[2 : 2 + more], "little") << 4
        assert length == len(block) - 1


def test_constants_are_as_short_as_can_be():
    assert [aml.integer(value) for value in (0, 1, 2, 0x100, 0x1_0000)] == [
        b"\0", b"\1", b"\x0a\x02", b"\x0b\x00\x01", b"\x0c\x00\x00\x01\x00",
    ]  # fmt: skip


def test_identifiers_are_compressed_as_plug_and_play_has_them():
    assert aml.eisa_id("PNP0A03") == b"\x0c\x41\xd0\x0a\x03"


def test_a_checksum_replaces_what_stood_there():
    assert sum(acpi.checksummed(b"\x10\x55\x20", 1)) & 0xFF == 0


def test_the_tables_leave_the_roms_code_alone(pc, tables):
    assert find(pc, b"_32_") >= ROM_BASE + 0xB000
    assert pc.memory.read(0xFE05B, 1) == b"\xe9"
