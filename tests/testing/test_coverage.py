"""Coverage of guests: what is marked is what ran, and lines, functions and blocks follow from it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import minivm
from minivm.cli.main import main
from minivm.debug.code import assemble, disassemble
from minivm.debug.symbols import load_symbols
from minivm.engine.thunk import Sizes
from minivm.errors import ConfigError, SnapshotError
from minivm.testing import coverage as gathering
from minivm.testing.coverage import GuestCoverage
from minivm.testing.coverage_lcov import tracefile
from minivm.testing.coverage_listing import coloured, html, plain
from minivm.testing.coverage_marks import Marks, marks_of

SECTOR = """
        bits 16
        org 0x7C00
start:  xor ax, ax
        mov ds, ax
        cmp al, [choice]
        jne other
        mov bx, 1
        jmp done
other:  mov bx, 2               ; runs only when the choice is not 0
        call unused
done:   cli
        hlt
unused: inc bx
        ret
choice: db 0
        times 510 - ($ - $$) db 0
        dw 0xAA55
"""


def read_tracefile(text):
    """Return {source: (lines, functions, totals)} of a tracefile, which must be well formed."""
    assert text.endswith("end_of_record\n")
    found = {}
    for part in text.removesuffix("end_of_record\n").split("end_of_record\n"):
        rows = [line.partition(":") for line in part.splitlines()]
        assert [kind for kind, _, _ in rows][:2] == ["TN", "SF"]
        source = rows[1][2]
        lines = dict(map(int, value.split(",")) for kind, _, value in rows if kind == "DA")
        named = {name: int(line) for line, name in (v.split(",") for k, _, v in rows if k == "FN")}
        ran = {name: int(count) for count, name in (v.split(",") for k, _, v in rows if k == "FNDA")}
        assert set(named) == set(ran)
        totals = {kind: int(value) for kind, _, value in rows if kind in ("LF", "LH", "FNF", "FNH")}
        assert totals == {"LF": len(lines), "LH": sum(lines.values()), "FNF": len(ran), "FNH": sum(ran.values())}
        found[source] = lines, ran, totals
    return found


@pytest.fixture
def sector(tmp_path):
    """Write a boot sector's source, and return its path."""
    source = tmp_path / "sector.asm"
    source.write_text(SECTOR.lstrip("\n"))
    return source


def covered(guest, ms=100, **options):
    coverage = GuestCoverage.of(guest, **options)
    with minivm.boot(guest) as machine:
        coverage.attach(machine)
        machine.run(ms=ms)
    return coverage


# -- what is marked is what ran ---------------------------------------------------------------------------------


def stepped(guest, keys, ms):
    """Return every address inside an instruction that the step gear executed, found by disassembling it."""
    ranges = set()
    with minivm.boot(guest) as machine:
        if keys:
            machine.type(keys)
        end = machine.now + round(ms * 1e6)
        while machine.ended is None and machine.now < end:
            machine.settle()  # an interrupt that is due here is delivered, and its handler is what the step executes
            address, bits = machine.cpu.linear_ip, machine.cpu.code_bits
            halted, before = machine.halted, machine.now
            code = machine.space.load_bytes(address & machine.space.a20_mask, 15)
            if machine.step().reason not in ("limit", "breakpoint") and machine.ended is None:
                break
            if not halted and machine.now > before:
                ranges.add((address, address + len(disassemble(code, bits=bits, count=1)[0].code)))
    return Marks(ranges)


@pytest.mark.parametrize("guest", ["hello-bios", "hello-vga", "protected", "longmode", "a20", "multiboot", "echo"])
def test_the_marked_addresses_are_those_that_the_step_gear_walks_through(guest):
    keys = "ab\n" if guest == "echo" else ""
    coverage = GuestCoverage.of(guest)
    with minivm.boot(guest) as machine:
        coverage.attach(machine)
        if keys:
            machine.type(keys)
        machine.run(ms=8)
    found, wanted = coverage.marks(), stepped(guest, keys, 8)
    assert found.size_bytes > 30
    assert found.ranges == wanted.ranges


@pytest.mark.parametrize("guest", ["exceptions", "v86"])
def test_a_block_that_faults_in_its_middle_counts_as_a_whole_and_nothing_else_does(guest):
    marks, walked = covered(guest, 8).marks(), stepped(guest, "", 8)
    assert (marks | walked).size_bytes == marks.size_bytes
    assert marks.size_bytes - walked.size_bytes < 100


@pytest.mark.parametrize("guest", ["hello-bios", "exceptions", "syscall64"])
def test_both_gears_mark_the_same_also_at_interrupts_and_faults(guest):
    coverage = GuestCoverage.of(guest)
    with minivm.boot(guest) as machine:
        coverage.attach(machine)
        while machine.now < 3_000_000 and machine.step().reason == "limit":
            pass
    assert coverage.marks() == covered(guest, 3).marks()


def test_the_step_gear_marks_too(sector):
    coverage = GuestCoverage.of(sector)
    with minivm.boot(sector) as machine:
        coverage.attach(machine)
        machine.run_until(lambda vm: vm.cpu.linear_ip == 0x7C00)
        machine.step(4)
    assert [line.number for line in coverage.report().sources[0].lines if line.ran_bytes] == [3, 4, 5, 6]


def test_clones_are_covered_and_share_the_marks(sector):
    coverage = GuestCoverage.of(sector)
    with minivm.boot(sector) as machine:
        coverage.attach(machine)
        machine.run_until(lambda vm: vm.cpu.linear_ip == 0x7C00)
        with machine.clone() as twin, twin.clone() as second:
            second.memory.write(0x7C00 + SECTOR_CHOICE, b"\1")
            second.run(ms=10)
    assert ran_in(coverage.report()) == [3, 4, 5, 6, 9, 10, 11, 12, 13, 14]


SECTOR_CHOICE = assemble(SECTOR).symbols["choice"] - 0x7C00


def ran_in(report):
    return [line.number for line in report.sources[0].lines if line.ran_bytes]


def test_what_an_engine_noted_before_is_not_lost(sector):
    coverage = GuestCoverage.of(sector)
    with minivm.boot(sector) as machine:
        machine.engine.cover()
        machine.run(ms=10)
        coverage.attach(machine)
        coverage.attach(machine)
    assert ran_in(coverage.report()) == [3, 4, 5, 6, 7, 8, 11, 12]


def test_an_engine_that_cannot_tell_is_refused_in_one_line():
    class Other:
        engine = object()

    with pytest.raises(ConfigError, match="cannot tell which code it runs; use the engine unicorn"):
        GuestCoverage().attach(Other())


# -- lines, functions, blocks -----------------------------------------------------------------------------------


def test_lines_functions_and_blocks_of_our_own_assemblers_listing(sector):
    report = covered(sector).report()
    source = report.source("sector.asm")
    assert ran_in(report) == [3, 4, 5, 6, 7, 8, 11, 12]
    assert source.missing() == "9-10, 13-14"
    assert {(f.name, f.ran) for f in source.functions} == {
        ("start", True), ("other", False), ("done", True), ("unused", False)
    }  # fmt: skip
    assert [(block.line, block.ran) for block in source.blocks] == [
        (3, True), (7, True), (9, False), (11, True), (13, False)
    ]  # fmt: skip
    assert (str(report.blocks), str(report.lines), str(report.functions)) == ("3/5", "8/12", "2/4")


@pytest.mark.skipif(shutil.which("nasm") is None, reason="nasm is not installed")
def test_a_nasm_listing_beside_an_image_gives_the_same(sector, tmp_path):
    image = tmp_path / "kernel.img"
    command = ["nasm", "-f", "bin", sector, "-o", image, "-l", tmp_path / "kernel.lst"]
    subprocess.run(command, check=True, timeout=20)
    report = covered(image).report()
    assert ran_in(report) == [3, 4, 5, 6, 7, 8, 11, 12]
    assert str(report.blocks) == "3/5"


def test_a_guest_that_runs_at_a_segment_is_found_above_its_symbols(tmp_path):
    source = tmp_path / "moved.asm"
    source.write_text("bits 16\nstart: inc ax\n jmp short next\n dec ax\nnext: cli\n hlt\n")
    boot = tmp_path / "boot.asm"
    inner = assemble(source.read_text()).code
    data = ", ".join(map(str, inner))
    boot.write_text(
        "bits 16\norg 0x7C00\n mov ax, 0x1000\n mov es, ax\n xor di, di\n mov ds, di\n mov si, code\n"
        f" mov cx, {len(inner)}\n rep movsb\n jmp 0x1000:0\ncode: db {data}\n times 510-($-$$) db 0\n dw 0xAA55\n"
    )
    coverage = GuestCoverage(lambda: load_symbols(source), guest="moved", at=0x10000)
    with minivm.boot(boot) as machine:
        coverage.attach(machine)
        machine.run(ms=10)
    assert ran_in(coverage.report()) == [2, 3, 5, 6]
    assert coverage.report().sources[0].lines[0].ranges[0][0] == 0x10000


C_SOURCE = """
static volatile int count;
static void used(int n) { while (n-- > 0) count += n; }
static void never(void) { count = 7; }
int choose(int wanted)
{
    if (wanted)
        never();
    else
        used(3);
    return count;
}
__attribute__((naked, section(".start"))) void start(void)
{
    __asm__("mov $0x80000, %esp; push $0; call choose; cli; hlt");
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_the_functions_of_a_c_kernel_that_did_not_run_are_found_by_dwarf(tmp_path):
    (tmp_path / "kernel.c").write_text(C_SOURCE)
    command = [
        "gcc", "-m32", "-g", "-O0", "-ffreestanding", "-fno-pic", "-no-pie", "-nostdlib", "-static",
        "-fno-stack-protector", "-fcf-protection=none", "-fno-asynchronous-unwind-tables",
        "-Wl,-Ttext=0x100000,-n,--build-id=none,-e,start",
        "kernel.c", "-o", "kernel.elf",
    ]  # fmt: skip
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    if made.returncode:
        pytest.skip(f"gcc cannot make a 32-bit kernel: {made.stderr.splitlines()[0]}")
    report = covered(tmp_path / "kernel.elf").report()
    (lines, ran, _), *others = read_tracefile(tracefile([report])).values()
    assert not others
    assert ran == {"used": 1, "never": 0, "choose": 1, "start": 1}
    text = C_SOURCE.splitlines()
    assert lines[text.index("        used(3);") + 1] == 1
    assert lines[text.index("        never();") + 1] == 0
    assert report.blocks.ran < report.blocks.total


def test_every_bundled_guest_has_lines_that_ran():
    from minivm.bundled import guests

    for guest in guests():
        report = covered(guest.name, 2).report()
        assert report.lines.ran > 3, guest.name
        assert 0 < report.blocks.ran <= report.blocks.total, guest.name


def test_a_block_that_crosses_a_page_is_marked_on_both():
    sizes = Sizes()
    sizes.add(0x1FFE, 6)
    sizes.add(0x3FF_FFFE, 2)
    assert marks_of(sizes).ranges == ((0x1FFE, 0x2004), (0x3FF_FFFE, 0x400_0000))


def test_the_target_of_a_jump_begins_a_block_without_a_name(tmp_path):
    source = tmp_path / "target.asm"
    source.write_text("org 0x7C00\n jz $ + 3\n nop\n nop\n cli\n hlt\ntimes 510-($-$$) db 0\ndw 0xAA55\n")
    assert [(block.line, block.end - block.start) for block in covered(source).report().sources[0].blocks] == [
        (2, 2), (3, 1), (4, 3)
    ]  # fmt: skip


LOADS = """
        org 0x7C00
start:  xor ax, ax
        mov es, ax
        mov ax, 0x0201
        mov bx, second
        mov cx, 2
        mov dh, 0
        int 0x13
        jmp second
        times 510 - ($ - $$) nop
        dw 0xAA55
second: cli
        hlt
        times 1024 - ($ - $$) db 0
"""


def test_code_that_one_machine_had_not_loaded_yet_is_taken_from_the_next(tmp_path):
    source = tmp_path / "loads.asm"
    source.write_text(LOADS)
    coverage = GuestCoverage.of(source)
    found = []
    for goes_on in (False, True):
        with minivm.boot(source) as machine:
            coverage.attach(machine)
            machine.run_until(lambda vm: vm.cpu.linear_ip == 0x7C00)
            machine.step(2)
            if goes_on:
                machine.run(ms=50)
        found.append([(block.line, block.ran) for block in coverage.report().sources[0].blocks])
    assert found == [[(3, False), (10, False), (11, False)], [(3, True), (10, True), (11, False), (13, True)]]


# -- code that changes -------------------------------------------------------------------------------------------

REWRITES = """
        bits 16
        org 0x7C00
        xor ax, ax
        mov ds, ax
again:  inc ax
patch:  jmp short first
first:  mov byte [patch + 1], second - first
        cmp ax, 2
        jb again
second: cli
        hlt
        times 510 - ($ - $$) db 0
        dw 0xAA55
"""


def test_code_that_rewrites_itself_is_covered_by_address(tmp_path):
    source = tmp_path / "rewrites.asm"
    source.write_text(REWRITES)
    report = covered(source).report()
    assert report.lines.ran == report.lines.total
    assert 0 < report.blocks.ran <= report.blocks.total


def test_a_guest_without_symbols_says_what_it_needs(tmp_path):
    image = tmp_path / "raw.img"
    image.write_bytes(assemble(SECTOR).code)
    report = covered(image).report()
    assert report.sources == () and report.bytes_ran > 20
    assert "has no source lines; give its ELF file" in report.as_table()


def test_addresses_64_mib_apart_share_a_mark():
    marks = Marks([(0x100000, 0x100010)])
    assert marks.count(0xC0100008, 0xC0100018) == 8
    assert marks.count(0x100010, 0x100020) == 0


# -- faces --------------------------------------------------------------------------------------------------------


def test_the_tracefile_names_each_line_and_function_once(sector):
    (place, (lines, ran, _)), *others = read_tracefile(tracefile([covered(sector).report()])).items()
    assert (place, others) == (str(sector), [])
    assert lines == dict.fromkeys(range(3, 15), 1) | dict.fromkeys((9, 10, 13, 14), 0)
    assert ran == {"start": 1, "other": 0, "done": 1, "unused": 0}


def test_the_listing_marks_what_ran_with_address_and_bytes(sector):
    shown = plain([covered(sector).report()])
    assert "+     3 00007C00 31C0               start:  xor ax, ax" in shown
    assert re.search(r"^-     9 0000\w{4} BB0200             other:  mov bx, 2", shown, re.MULTILINE)
    assert re.search(r"^     15 +choice: db 0$", shown, re.MULTILINE)


def test_the_coloured_listing_says_the_same_in_colours(sector):
    report = covered(sector).report()
    shown = coloured([report])
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown).split() == plain([report]).split()
    assert "\x1b[32m+     3" in shown and "\x1b[31m-     9" in shown


def test_the_page_is_whole_and_escapes_the_source(tmp_path):
    source = tmp_path / "odd.asm"
    source.write_text("org 0x7C00\n cli ; <script>&\n hlt\ntimes 510-($-$$) db 0\ndw 0xAA55\n")
    page = html([covered(source).report()])
    assert "&lt;script&gt;&amp;" in page and "<script>" not in page
    assert not re.search(r"(?:src|href)=", page)
    assert '<tr class="ran"><td>+ 2</td><td>00007C00</td><td>FA</td>' in page


def test_a_line_that_ran_in_part_is_told_apart():
    from minivm.testing.coverage_report import NOT_RUN, PARTLY, RAN, Line

    assert [Line(1, ((0, 4),), 4, ran).standing for ran in (0, 2, 4)] == [NOT_RUN, PARTLY, RAN]


def test_the_command_prints_the_table_and_writes_the_files(sector, tmp_path, capsys):
    lcov, page = tmp_path / "c.info", tmp_path / "c.html"
    status = main(["cover", str(sector), "--quiet", "--listing", "--lcov", str(lcov), "--html", str(page)])
    shown = capsys.readouterr().out
    assert status == 0
    assert re.search(r"sector\.asm +3/5 +60% +8/12 +67% +2/4 +9-10, 13-14", shown)
    assert read_tracefile(lcov.read_text()) and page.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "xterm")])
def test_the_commands_listing_has_colours_only_on_a_terminal_that_wants_them(monkeypatch, name, value):
    from minivm.cli import cover

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(cover.sys.stdout, "isatty", lambda: True, raising=False)
    assert cover.wants_colours() == (value == "xterm")
    monkeypatch.setattr(cover.sys.stdout, "isatty", lambda: False, raising=False)
    assert not cover.wants_colours()


def test_with_json_the_command_prints_nothing_else(sector, capsys):
    main(["cover", str(sector), "--json"])
    assert json.loads(capsys.readouterr().out)["reason"] == "halted"


def test_the_command_adds_earlier_runs(sector, tmp_path, capsys):
    data = str(tmp_path / "first.json")
    main(["cover", str(sector), "--quiet", "--data", data])
    first = capsys.readouterr().out
    main(["cover", str(sector), "--quiet", "--with", data, "--max-ticks", "10"])
    assert capsys.readouterr().out.splitlines()[-1] == first.splitlines()[-1]


# -- files and merging -------------------------------------------------------------------------------------------


def test_data_files_of_several_runs_are_combined(sector, tmp_path):
    both = GuestCoverage.of(sector)
    for number, byte in enumerate((b"\0", b"\1")):
        coverage = GuestCoverage.of(sector)
        with minivm.boot(sector) as machine:
            coverage.attach(machine)
            machine.run_until(lambda vm: vm.cpu.linear_ip == 0x7C00)
            machine.memory.write(0x7C00 + SECTOR_CHOICE, byte)
            machine.run(ms=10)
        gathering.save(tmp_path / f"{number}.json", [coverage])
        both.update(coverage)
    (found,) = gathering.combine([tmp_path / "0.json", tmp_path / "1.json"])
    assert found.marks() == both.marks()
    assert ran_in(found.report()) == list(range(3, 15))
    assert found.report().blocks.ran == found.report().blocks.total == 5


def test_data_of_another_image_is_refused(sector, tmp_path):
    gathering.save(tmp_path / "old.json", [covered(sector)])
    sector.write_text(sector.read_text().replace("mov bx, 2", "mov bx, 3"))
    with pytest.raises(SnapshotError, match="is not the image that was covered"):
        gathering.combine([tmp_path / "old.json"])
    sector.unlink()
    with pytest.raises(SnapshotError, match="is not there any more"):
        gathering.combine([tmp_path / "old.json"])


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "is no coverage data"),
        ("[" * 100000, "is no coverage data"),
        ("{}", "format is missing"),
        ('{"format": 2, "guests": []}', "format: 2 is not 1"),
        ('{"format": 1, "guests": [{}]}', r"guests\[0\]"),
        ('{"format": 1, "guests": 5}', "guests: 5 is not a list"),
    ],
)
def test_a_damaged_data_file_is_refused_in_one_line(tmp_path, text, wrong):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(SnapshotError, match=wrong) as caught:
        gathering.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_ranges_are_joined_and_counted():
    marks = Marks([(10, 20), (15, 25), (25, 30), (40, 41)])
    assert marks.ranges == ((10, 30), (40, 41)) and marks.size_bytes == 21
    assert [marks.count(0, 10), marks.count(0, 11), marks.count(29, 41), marks.count(41, 99)] == [0, 1, 2, 0]
    assert (marks | Marks([(30, 40)])).ranges == ((10, 41),)


def test_the_example_in_the_documentation_runs(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "coverage.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(example, {})
