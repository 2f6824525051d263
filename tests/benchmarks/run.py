"""Compare MiniVM with QEMU's TCG, side by side in one run: `python tests/benchmarks/run.py [--write]`.

Every program runs in a process of its own, MiniVM and QEMU by turns, so that a busy moment of the host hits both. The
best of the repeats counts, since noise only ever adds. "Net" times have the time of a guest that exits at once taken
off: what remains is the work itself. `--write` puts the table into docs/benchmarks.md, `--json` prints it for programs.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "guests" / "workload"
PAGE = ROOT / "docs" / "benchmarks.md"
MARKS = ("<!-- results -->", "<!-- end of results -->")
EXITED = 1  # (0 << 1) | 1: what isa-debug-exit makes of a guest's 0
TIMED_OUT = 124
IDLE_SECONDS = 5
SHORTEST = 0.001  # seconds; a net time below this is noise
MIB = 1 << 20
DISK_SECTORS = (17 * MIB) >> 9  # what the programs read, and some more
SECTOR_BYTES = 512
PLANES_PIXELS = 640 * 480

QEMU = "qemu-system-i386"
QEMU_OPTIONS = ["-accel", "tcg", "-m", "64", "-display", "none", "-net", "none", "-boot", "a", "-no-reboot"]
QEMU_OPTIONS += ["-serial", "null", "-debugcon", "null", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]


@dataclass(frozen=True)
class Result:
    """One line of the table: what was measured, on both sides, and whether the target is met (None: not comparable)."""

    name: str
    minivm: str
    qemu: str
    value: str
    target: str
    met: bool | None


@dataclass(frozen=True)
class Times:
    """The best wall times in seconds of one program, with MiniVM's CPU time; `qemu` is None where QEMU is not there."""

    minivm: float
    qemu: float | None

    minivm_cpu: float = 0

    def net_of(self, start: "Times") -> "Times":
        """Return these times without those of a guest that exits at once."""
        qemu = None if self.qemu is None or start.qemu is None else max(self.qemu - start.qemu, SHORTEST)
        cpu = max(self.minivm_cpu - start.minivm_cpu, SHORTEST)
        return Times(max(self.minivm - start.minivm, SHORTEST), qemu, cpu)


def minivm_command(image: Path, *options: str) -> list[str]:
    """Return the command line that a user would type, with the screen left out."""
    script = Path(sys.executable).with_name("minivm")
    return [str(script), "run", str(image), "--memory", "64M", "--display", "none", "--quiet", *options]


def qemu_command(image: Path) -> list[str]:
    """Return the same for QEMU."""
    medium = (
        ["-kernel", str(image)]
        if image.suffix == ".elf"
        else ["-drive", f"if=floppy,format=raw,readonly=on,file={image}"]
    )
    return [QEMU, *QEMU_OPTIONS, *medium]


def run(command: list[str], expected_status: int) -> tuple[float, float]:
    """Run a command and return its wall and CPU seconds; another exit status than the expected one ends everything."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, wait_status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(wait_status)
    if process.returncode != expected_status:
        sys.exit(f"status {process.returncode} instead of {expected_status}: {' '.join(command)}")
    return wall, usage.ru_utime + usage.ru_stime


def best_times(image: Path, repeats: int, *, disk: Path | None = None) -> Times:
    """Run one program on both, by turns, with a hard disk if there is one, and return the best time of each."""
    ours, theirs = [], []
    minivm_disk = [] if disk is None else ["--disk", f"{disk},snapshot"]
    qemu_disk = [] if disk is None else ["-drive", f"if=ide,format=raw,snapshot=on,file={disk}"]
    for _ in range(repeats):
        ours.append(run(minivm_command(image, *minivm_disk), EXITED))
        if shutil.which(QEMU):
            theirs.append(run([*qemu_command(image), *qemu_disk], EXITED)[0])
    return Times(min(wall for wall, _ in ours), min(theirs, default=None), min(cpu for _, cpu in ours))


def count_in(source: Path, constant: str) -> int:
    """Return how often a program does its thing: the constant in its source."""
    found = re.search(rf"^{constant}\s+equ\s+(\d+)", source.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"{source} has no line `{constant} equ NUMBER`"
    return int(found[1])


def start_up(start: Times) -> Result:
    """Compare the whole processes of a boot sector that prints and exits."""
    ratio = None if start.qemu is None else start.minivm / start.qemu
    met = None if ratio is None else ratio <= 1
    return Result(
        "boot sector, whole process",
        seconds(start.minivm),
        seconds(start.qemu),
        times(ratio),
        "≤ 1.00 × QEMU's time",
        met,
    )


def rate(name: str, program: str, constant: str, least: int, start: Times, repeats: int) -> Result:
    """Measure how many of something a second a program does, net of the start."""
    count = count_in(PROGRAMS / f"{program}.asm", constant)
    net = best_times(PROGRAMS / f"{program}.img", repeats).net_of(start)
    ours = count / net.minivm
    theirs = "–" if net.qemu is None else f"{count / net.qemu:,.0f}/s"
    return Result(name, f"{ours:,.0f}/s", theirs, f"{ours:,.0f}/s", f"≥ {least:,}/s", ours >= least)


def workload(start: Times, repeats: int) -> Result:
    """Compare the C workload's net times."""
    net = best_times(PROGRAMS / "workload.elf", repeats).net_of(start)
    speed = None if net.qemu is None else net.qemu / net.minivm
    met = None if speed is None else speed >= 0.35
    return Result("C workload, net", seconds(net.minivm), seconds(net.qemu), times(speed), "≥ 0.35 × QEMU's speed", met)


def idle(start: Times, repeats: int) -> Result:
    """Measure a halted guest's share of one core in real time, without the start's CPU time."""
    del start
    start_cpu = min(run(minivm_command(PROGRAMS / "exit.img"), EXITED)[1] for _ in range(repeats))
    command = minivm_command(PROGRAMS / "idle.img", "--speed", "1x", "--timeout", str(IDLE_SECONDS))
    share = max(run(command, TIMED_OUT)[1] - start_cpu, 0) / IDLE_SECONDS
    return Result("halted guest in real time", f"{share:.1%}", "–", f"{share:.1%}", "< 2 % of a core", share < 0.02)


def tui_open(start: Times, repeats: int) -> Result:
    """Compare the C workload's time alone with that under the open debugger; QEMU has no such thing."""
    del start
    command = [sys.executable, str(Path(__file__).with_name("tui_speed.py")), str(repeats)]
    output = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    alone, watched = map(float, output.split())
    share = alone / watched
    words = f"{share:.2f} × headless speed"
    return Result("TUI open in Learn layout", seconds(watched), "–", words, "≥ 0.90 × headless speed", share >= 0.9)


def snapshots(repeats: int) -> list[Result]:
    """Measure saving and restoring 64 MB of which 8 are used, and cloning 32 MB; QEMU is not asked."""
    command = [sys.executable, str(Path(__file__).with_name("snapshot_speed.py")), str(repeats)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    targets = (("save", "snapshot of 64 MB, 8 MB used", 150), ("restore", "its restore", 150),
               ("clone", "clone of 32 MB", 5))  # fmt: skip
    results = [
        Result(words, f"{found[name]:.1f} ms", "–", f"{found[name]:.1f} ms", f"≤ {most} ms", found[name] <= most)
        for name, words, most in targets
    ]
    size = found["bytes"] / (1 << 20)
    return [*results, Result("its file", f"{size:.2f} MB", "–", f"{size:.2f} MB", "< 4 MB", size < 4)]


def record(repeats: int) -> list[Result]:
    """Compare runs that are recorded with the same runs alone; QEMU is not asked."""
    command = [sys.executable, str(Path(__file__).with_name("record_speed.py")), str(2 * repeats)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    results = []
    for name, words in (("io", "port writes, recorded"), ("workload", "C workload, recorded")):
        alone, recorded = found[name]
        share = recorded / alone
        value = f"{share:.2f} × the time alone"
        results.append(Result(words, seconds(recorded), "–", value, "≤ 1.05 × the time alone", share <= 1.05))
    return results


def timeline(repeats: int) -> list[Result]:
    """Measure what keeping the past costs, and how long going back in it takes; QEMU is not asked."""
    command = [sys.executable, str(Path(__file__).with_name("timeline_speed.py")), str(repeats)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    results = []
    for name, (alone, kept) in found["kept"].items():
        share, target = kept / alone, "≤ 1.10 × the time alone"
        words = f"{share:.2f} × the time alone"
        results.append(Result(f"{name}, its past kept", seconds(kept), "–", words, target, share <= 1.1))
    times: list[tuple[str, float, float | None]] = [("one step back after 100 million", found["step"], 0.1)]
    times += [(f"who wrote, over 100 million: {name}", taken, 3) for name, taken in found["who"].items()]
    times += [(f"continue back to a {name} breakpoint", taken, None) for name, taken in found["back"].items()]
    for name, taken, most in times:
        met = None if most is None else taken < most
        target = "–" if most is None else f"< {most:g} s"
        results.append(Result(name, seconds(taken), "–", seconds(taken), target, met))
    return results


def testkit(repeats: int) -> list[Result]:
    """Measure tests of chips and of guests under pytest; QEMU is not asked."""
    command = [sys.executable, str(Path(__file__).with_name("testkit_speed.py")), str(repeats)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    bench, fork, speedup = found["bench_s"], found["fork"], found["speedup"]
    return [
        Result("1,000 device-bench tests, pytest's process", seconds(bench), "–", seconds(bench), "< 2 s", bench < 2),
        Result("a test that forks the booted machine", f"{fork:.1f} ms", "–", f"{fork:.1f} ms", "< 10 ms", fork < 10),
        Result("200 guest tests, two workers", seconds(found["two_workers_s"]), "–", f"{speedup:.2f} × one core",
               "≥ 1.8 × one core", speedup >= 1.8),
    ]  # fmt: skip


def disks(start: Times, repeats: int) -> list[Result]:
    """Compare reading 16 MiB, in four ways; by MiniVM's CPU time, since it waits for nothing, and QEMU's wall time."""
    programs = (
        ("disk-sectors", "ATA by REP INSW, READ SECTORS, net", 20),
        ("disk-multiple", "ATA by REP INSW, READ MULTIPLE 16, net", 20),
        ("disk-dma", "ATA by bus master, net", 200),
        ("disk-bios", "disk by INT 13h, net", 200),
    )
    results = []
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder) / "disk.img"
        disk.write_bytes(b"".join(number.to_bytes(4, "little") * 128 for number in range(DISK_SECTORS)))
        for program, words, least in programs:
            source = PROGRAMS / f"{program}.asm"
            passes = count_in(source, "PASSES") if least > 100 else 1  # those that are over in no time
            size = count_in(source, "SECTORS") * passes * SECTOR_BYTES / MIB
            net = best_times(PROGRAMS / f"{program}.img", repeats, disk=disk).net_of(start)
            ours, theirs = size / net.minivm_cpu, "–" if net.qemu is None else f"{size / net.qemu:,.0f} MiB/s"
            value = f"{ours:,.0f} MiB/s"
            results.append(Result(words, value, theirs, value, f"≥ {least} MiB/s", ours >= least))
    return results


def screens(start: Times, repeats: int) -> list[Result]:
    """Compare filling the screen by pixels in mode 13h, and by bytes through mode 12h's planes, each a trap."""
    linear = count_in(PROGRAMS / "screen-linear.asm", "FRAMES")
    net = best_times(PROGRAMS / "screen-linear.img", repeats).net_of(start)
    ours, theirs = linear / net.minivm_cpu, "–" if net.qemu is None else f"{linear / net.qemu:,.0f} frames/s"
    value = f"{ours:,.0f} frames/s"
    results = [Result("mode 13h, each pixel by a MOV, net", value, theirs, value, "≥ 70 frames/s", ours >= 70)]
    pixels = count_in(PROGRAMS / "screen-planes.asm", "SCREENS") * PLANES_PIXELS / 1e6
    net = best_times(PROGRAMS / "screen-planes.img", repeats).net_of(start)
    value = f"{pixels / net.minivm_cpu:,.1f} million pixels/s"
    theirs = "–" if net.qemu is None else f"{pixels / net.qemu:,.1f} million pixels/s"
    return [*results, Result("mode 12h, planes filled by REP STOSB, net", value, theirs, value, "–", None)]


def boots(repeats: int) -> list[Result]:
    """Compare CDs from the command to their first text."""
    command = [sys.executable, str(Path(__file__).with_name("boot_speed.py")), str(repeats)]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    results = []
    for name, words in (("grub", "GRUB's CD to its menu"), ("memtest86+", "memtest86+'s CD to its first screen")):
        if name not in found:
            continue
        ours, theirs = found[name]["minivm"][0], (found[name]["qemu"] or [None])[0]
        ratio = None if theirs is None else ours / theirs
        met = None if ratio is None else ratio <= 2
        results.append(Result(words, seconds(ours), seconds(theirs), times(ratio), "≤ 2.00 × QEMU's time", met))
    return results


BENCHMARKS: dict[str, Callable[[Times, int], Result]] = {
    "start": lambda start, _: start_up(start),
    "io": lambda start, repeats: rate("port writes (OUT), net", "io", "OUTS", 400_000, start, repeats),
    "interrupts": lambda start, repeats: rate(
        "interrupts by INT n, net", "interrupts", "INTERRUPTS", 30_000, start, repeats
    ),
    "timer": lambda start, repeats: rate(
        "timer interrupts through the 8259A, net", "timer-interrupts", "INTERRUPTS", 30_000, start, repeats
    ),
    "workload": workload,
    "idle": idle,
    "tui": tui_open,
}


def seconds(value: float | None) -> str:
    """Return a time for the table."""
    return "–" if value is None else f"{value:.3f} s"


def times(value: float | None) -> str:
    """Return a ratio for the table."""
    return "–" if value is None else f"{value:.2f} ×"


def machine() -> str:
    """Return what the numbers were measured on, without a date or a name."""
    qemu = "no QEMU"
    if shutil.which(QEMU):
        qemu = (
            subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout.split("(")[0].strip()
        )
        qemu = qemu.replace(" emulator version", "")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores ({platform.machine()}), {python}, Unicorn {version('unicorn')}, {qemu} (TCG)"


def table(results: list[Result]) -> str:
    """Return the results as a table in Markdown."""
    lines = [
        f"Measured on: {machine()}.",
        "",
        "| what | MiniVM | QEMU | result | target | met |",
        "|---|---|---|---|---|---|",
    ]
    verdicts = {True: "yes", False: "**no**", None: "–"}
    lines += [f"| {r.name} | {r.minivm} | {r.qemu} | {r.value} | {r.target} | {verdicts[r.met]} |" for r in results]
    return "\n".join(lines)


def write(text: str) -> None:
    """Put the table between the page's marks."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> int:
    """Measure what was asked for; return 1 when a target is missed."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every start would measure Python's compiler
    names = [*BENCHMARKS, "disks", "screens", "boots", "snapshots", "record", "timeline", "testkit"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all when left out")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    wanted = options.names or names
    programs = [measure for name, measure in BENCHMARKS.items() if name in wanted]
    against_start = programs or {"disks", "screens"} & set(wanted)
    start = best_times(PROGRAMS / "exit.img", options.repeats) if against_start else None
    results = [measure(start, options.repeats) for measure in programs if start is not None]
    results += disks(start, options.repeats) if start is not None and "disks" in wanted else []
    results += screens(start, options.repeats) if start is not None and "screens" in wanted else []
    results += boots(options.repeats) if "boots" in wanted else []
    results += snapshots(options.repeats) if "snapshots" in wanted else []
    results += testkit(options.repeats) if "testkit" in wanted else []
    results += record(options.repeats) if "record" in wanted else []
    results += timeline(options.repeats) if "timeline" in wanted else []
    print(json.dumps([asdict(result) for result in results]) if options.json else table(results))
    if options.write:
        write(table(results))
    return int(any(result.met is False for result in results))


if __name__ == "__main__":
    sys.exit(main())
