"""`minivm compare`: what it prints, its exit statuses, and what docs/compare.md says of it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minivm as package

PAGE = (Path(package.__file__).parents[1] / "docs" / "compare.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.S)


def test_the_command_on_the_page_prints_what_it_says(minivm):
    [(command, expected)] = re.findall(r"```console\n\$ minivm (.*?)\n(.*?)```", PAGE, re.S)
    shown = minivm(*command.split())
    assert (shown.status, shown.out, shown.err) == (0, expected, "")


def test_the_difference_on_the_page_is_what_is_found():
    [expected] = re.findall(r"```text\n(.*?)```", PAGE, re.S)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXAMPLES[0]], capture_output=True, text=True, check=False
    )
    assert (result.stdout, result.stderr) == (expected, "")
    assert "in al, 0x61" in expected


def test_the_other_example_on_the_page_runs():
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXAMPLES[1]], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_every_way_is_on_the_page():
    from minivm.debug.compare_ways import WAYS

    assert all(re.search(rf"^\| `{way}[:`]", PAGE, re.M) for way in WAYS)


def test_two_guests_that_differ_are_told_apart_with_status_1(minivm, sector):
    one, other = sector(" mov cx, 5\n cli\n hlt", "one.img"), sector(" mov cx, 6\n cli\n hlt", "other.img")
    shown = minivm("compare", one, "--with", other)
    assert shown.status == 1
    assert shown.out.startswith("run and step differ at tick ")
    assert re.search(r"memory 00007C..h: run 05, step 06$", shown.out, re.M)


def test_the_report_as_json_names_the_difference(minivm, sector):
    one, other = sector(" mov cx, 5\n cli\n hlt", "one.img"), sector(" mov cx, 6\n cli\n hlt", "other.img")
    shown = minivm("compare", one, "--with", other, "--json")
    report = json.loads(shown.out)
    assert (shown.status, report["identical"]) == (1, False)
    difference = report["difference"]
    assert difference["kind"] == "instruction"
    assert [[here, there] for _, here, there in difference["memory"]] == [[5, 6]]
    assert difference["before"]["code"] == "e6b2"  # the BIOS reads the sector
    assert difference["registers"] == []


def test_the_same_guest_as_json_is_identical(minivm):
    shown = minivm("compare", "hello-bios", "--ways", "sliced:50,python", "--json")
    report = json.loads(shown.out)
    assert (shown.status, report["identical"], report["ended"]) == (0, True, "halted")
    assert (report["difference"], report["instructions"]) == (None, None)


def test_a_limit_ends_the_comparison(minivm):
    shown = minivm("compare", "fractal", "--max-ticks", 50_000)
    assert (shown.status, shown.err) == (0, "")
    ticks = int(shown.out.split()[2].replace(",", ""))
    assert 50_000 <= ticks < 51_000
    assert shown.out.endswith("both go on\n")


def test_keys_are_typed_and_texts_awaited(minivm):
    shown = minivm("compare", "echo", "--expect", "Esc ends", "--type", "hi<Esc>")
    assert (shown.status, shown.err) == (0, "")
    assert "both ended: halted" in shown.out


def test_a_text_that_does_not_come_is_status_1(minivm):
    shown = minivm("compare", "echo", "--expect", "never", "--seconds", 0.05)
    assert shown.status == 1
    assert "'never' did not come" in shown.err


def test_a_disk_is_not_written(minivm, tmp_path):
    from minivm import bundled

    image = tmp_path / "disk.img"
    image.write_bytes(bundled.find("disk").image.read_bytes())
    before = image.read_bytes()
    assert minivm("compare", image, "--max-ticks", 3_000_000, "--ways", "run,restored").status == 0
    assert image.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "GUEST"),
        (["no-such-guest"], "no-such-guest"),
        (["hello-bios", "--with", "no-such-guest"], "no-such-guest"),
        (["hello-bios", "--ways", "run"], "--ways run"),
        (["hello-bios", "--ways", "run,step,run"], "--ways"),
        (["hello-bios", "--ways", "run,walk"], "'walk' is no way"),
        (["hello-bios", "--ways", "run,sliced:many"], "many"),
        (["hello-bios", "--max-ticks", "0"], "more than nothing"),
        (["hello-bios", "--max-ticks", "x"], "--max-ticks"),
        (["hello-bios", "--chunk", "-1"], "more than nothing"),
        (["hello-bios", "--seconds", "nan"], "seconds"),
        (["hello-bios", "--seconds", "inf"], "seconds"),
        (["hello-bios", "--memory", "lots"], "lots"),
        (["hello-bios", "--type", ""], "--type"),
        (["hello-bios", "--config", "no-such-file.toml"], "no-such-file.toml"),
    ],
)
def test_wrong_usage_is_one_line_with_status_2(minivm, words, named):
    minivm("compare", *words).assert_one_line(2, named)
