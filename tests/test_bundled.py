"""The bundled guests' headers: each is complete, and each image is what its source makes."""

import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from minivm import bundled

BUILD = Path(__file__).parents[1] / "guests" / "build.py"
PAGES = Path(__file__).parents[1] / "docs" / "guests"
ALL = bundled.guests()


def test_there_are_enough_guests_and_the_default_is_among_them() -> None:
    assert len(ALL) >= 14
    assert bundled.DEFAULT_GUEST in [guest.name for guest in ALL]


@pytest.mark.parametrize("guest", ALL, ids=lambda guest: guest.name)
def test_a_header_is_complete(guest: bundled.Guest) -> None:
    assert guest.title.endswith(".")
    assert guest.prints
    assert guest.image.is_file()
    assert guest.name == guest.source.stem


@pytest.mark.parametrize("guest", ALL, ids=lambda guest: guest.name)
def test_each_guest_has_a_page_that_says_what_it_prints(guest: bundled.Guest) -> None:
    page = (PAGES / f"{guest.name}.md").read_text(encoding="utf-8")
    assert f"minivm run {guest.name}\n" in page
    assert "\n".join(guest.prints) in page


@pytest.mark.parametrize("guest", ALL, ids=lambda guest: guest.name)
def test_find_gives_the_guest_that_the_list_gives(guest: bundled.Guest) -> None:
    assert bundled.find(guest.name) == guest


def test_the_header_s_fields_are_read() -> None:
    echo = bundled.find("echo")
    assert echo is not None
    assert echo.title == "the keyboard through the BIOS; what you type appears, Esc ends."
    assert echo.types == r"hi there\n<Up>\e"
    assert echo.prints[0] == "Type; Esc ends."
    triple = bundled.find("triplefault")
    assert triple is not None
    assert (triple.types, triple.exit_status) == (None, 3)


def test_the_benchmarks_programs_are_found_but_not_listed() -> None:
    workload = bundled.find("workload")
    assert workload is not None
    assert workload.image.name == "workload.elf"
    assert workload.prints[0].startswith("sieve")
    assert "workload" not in [guest.name for guest in ALL]


@pytest.mark.parametrize(
    "name", ["", "nosuch", "../guests/echo", "echo.asm", "/etc/passwd", "workload/io", "x\\y", "a\0b", "a" * 5000]
)
def test_a_name_that_is_no_guest_s_finds_nothing(name: str) -> None:
    assert bundled.find(name) is None


def test_the_workload_s_checksums_are_right() -> None:
    """What its header claims was not copied from an emulator's output alone: Python computes the same."""
    workload = bundled.find("workload")
    assert workload is not None
    assert f"sieve     {148933:08X}" == workload.prints[0], "there are 148933 primes below 2,000,000"
    state, source = 42, bytearray()
    for _ in range(1 << 20):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        source.append(state >> 24)
    assert f"crc32     {zlib.crc32(source):08X}" == workload.prints[2]


@pytest.mark.nasm
@pytest.mark.skipif(shutil.which("nasm") is None, reason="nasm is not installed")
def test_the_checked_in_images_are_what_the_sources_make() -> None:
    outcome = subprocess.run([sys.executable, str(BUILD), "--check"], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
