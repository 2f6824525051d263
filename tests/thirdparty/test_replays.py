"""Other people's software, recorded, saved in its menus and at its prompts, and cloned there: it goes on as it did.

Each program is recorded to a menu or a prompt and a little beyond, which is a prefix of what the other tests of this
folder do with it: by then it has used every chip that it uses. (`make slow` replays all those tests whole.)
"""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

import minivm
from minivm.cli.main import main
from minivm.core.picture import Picture

SEABIOS, U_BOOT = "/usr/share/seabios/bios-256k.bin", "/usr/lib/u-boot/qemu-x86/u-boot.rom"
U_BOOT_64 = "/usr/lib/u-boot/qemu-x86_64/u-boot.rom"
MEMTEST_CD, MEMTEST_X64_CD = "/usr/lib/memtest86+/memtest86+ia32.iso", "/usr/lib/memtest86+/memtest86+x64.iso"
MEMTEST, MEMTEST_X64 = "/boot/memtest86+ia32.bin", "/boot/memtest86+x64.bin"
IPXE_CD, IPXE = "/usr/lib/ipxe/ipxe.iso", "/boot/ipxe.lkrn"


class Program(NamedTuple):
    """How to come to a moment and how to go on: texts to wait for and keys to press, in turn; the last is a text."""

    options: dict[str, Any]
    to_the_moment: tuple[str, ...]
    and_on: tuple[str, ...]


STOP_AUTOBOOT = ("Hit any key to stop autoboot", " ", "=> ")
LIST_FUNCTIONS = ("pci\n", "00.02.00   0x1234     0x1111")
PROGRAMS = {
    "seabios": Program(
        {"firmware": SEABIOS, "memory": "32M", "cdroms": (MEMTEST_X64_CD,)},
        ("Press ESC for boot menu.", "<Esc>", "(MT86PLUS_64)"),
        ("2", "Press <F1> to configure"),
    ),
    "seabios, grub floppy": Program(
        {"firmware": SEABIOS, "memory": "32M", "floppies": ("grub_floppy",), "disks": ("partitioned_disk",)},
        ("Press ESC for boot menu.", "<Esc>", "DVD/CD"),
        ("1", "*A kernel of ours", "\n", "Loaded by: GRUB"),
    ),
    "u-boot": Program({"firmware": U_BOOT, "memory": "256M"}, STOP_AUTOBOOT, LIST_FUNCTIONS),
    "u-boot 64": Program({"firmware": U_BOOT_64, "memory": "256M"}, STOP_AUTOBOOT, LIST_FUNCTIONS),
    "memtest ia32 cd": Program(
        {"guest": MEMTEST_CD, "memory": "16M"}, ("Press <F1> to configure",), ("\n", "Pattern: 0x")
    ),
    "memtest x64 cd": Program(
        {"guest": MEMTEST_X64_CD, "memory": "16M"}, ("Press <F1> to configure",), ("\n", "Pattern: 0x")
    ),
    "memtest ia32": Program({"guest": MEMTEST, "memory": "16M"}, ("Press <F1> to configure",), ("\n", "Pattern: 0x")),
    "memtest x64": Program(
        {"guest": MEMTEST_X64, "memory": "16M"}, ("Press <F1> to configure",), ("\n", "Pattern: 0x")
    ),
    "ipxe cd": Program(
        {"guest": IPXE_CD, "memory": "32M"}, ("Press Ctrl-B", "<Ctrl-B>", "iPXE>"), ("echo 6 x 7\n", "\n6 x 7")
    ),
    "ipxe": Program(
        {"guest": IPXE, "memory": "32M"}, ("Press Ctrl-B", "<Ctrl-B>", "iPXE>"), ("echo 6 x 7\n", "\n6 x 7")
    ),
    "grub cd": Program({"guest": "grub_cd", "memory": "32M"}, ("*A kernel of ours",), ("\n", "Loaded by: GRUB")),
    "grub floppy": Program(
        {"guest": "grub_floppy", "memory": "32M"}, ("*A kernel of ours",), ("\n", "Loaded by: GRUB")
    ),
    "isolinux": Program({"guest": "menu_cd", "memory": "32M"}, ("Press [Tab] to edit",), ("<Down><Tab>", "> missing")),
    "syslinux floppy": Program(
        {"guest": "menu_floppy", "memory": "32M"}, ("Press [Tab] to edit",), ("<Down><Tab>", "> missing")
    ),
}


def walk(vm: minivm.Machine, steps: tuple[str, ...], *, first_is_keys: bool) -> None:
    """Press keys and wait for texts in turn."""
    for number, step in enumerate(steps):
        if (number % 2 == 0) == first_is_keys:
            vm.type(step)
        else:
            vm.expect(step, timeout=20)


class Outcome(NamedTuple):
    """Where a run stands: virtual nanoseconds, ticks, the screen in characters and in pixels, and the serial ports."""

    now: int
    ticks: int
    screen: str
    picture: Picture
    serial: str


def outcome(vm: minivm.Machine) -> Outcome:
    """Return where a run stands."""
    return Outcome(vm.now, vm.ticks, vm.screen.text(), vm.picture(), vm.serial.text())


class Run(NamedTuple):
    """A program that has run: its files, and where it and its clone of the moment in the middle came to."""

    program: Program
    recording: Path
    snapshot: Path
    outcome: Outcome
    of_the_clone: Outcome


@pytest.fixture(autouse=True)
def replay_of_every_run() -> None:
    """Leave these machines alone: they are recorded here."""


@pytest.fixture(scope="module", params=PROGRAMS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a program with a recording; in the middle it is saved and cloned."""
    program, folder = PROGRAMS[request.param], tmp_path_factory.mktemp("run")
    options = dict(program.options)

    def image(name: str) -> str:
        """Return the path of a Debian file or of the image that a fixture makes."""
        if not name.startswith("/"):
            return str(request.getfixturevalue(name))
        request.getfixturevalue("debian_file")(name)
        return name

    for part in options.keys() & {"guest", "firmware"}:
        options[part] = image(options[part])
    for part in options.keys() & {"floppies", "disks", "cdroms"}:
        options[part] = tuple(f"{image(name)},ro" for name in options[part])
    recording, snapshot = folder / "run.mvr", folder / "run.mvm"
    with minivm.boot(options.pop("guest", None), record=recording, **options) as vm:
        walk(vm, program.to_the_moment, first_is_keys=False)
        vm.save(snapshot)
        clone = vm.clone()
        walk(vm, program.and_on, first_is_keys=True)
        end = outcome(vm)
    with clone:
        walk(clone, program.and_on, first_is_keys=True)
        return Run(program, recording, snapshot, end, outcome(clone))


def test_its_replay_is_the_same_run(run):
    with minivm.replay(run.recording, slice_ticks=7_777_777) as replay:
        verdict = replay.verify()
        assert verdict.checks > 1
        assert outcome(replay.machine) == run.outcome


def test_restored_in_the_middle_it_goes_on_as_it_did(run):
    with minivm.restore(run.snapshot) as vm:
        assert vm.now < run.outcome.now
        walk(vm, run.program.and_on, first_is_keys=True)
        assert outcome(vm) == run.outcome


def test_its_clone_goes_on_as_it_did(run):
    assert run.of_the_clone == run.outcome


def test_the_command_line_records_and_replays_with_firmware_and_cd(tmp_path, monkeypatch, capsys, debian_file):
    for path in (SEABIOS, MEMTEST_X64_CD):
        debian_file(path)
    recording = str(tmp_path / "run.mvr")
    machine = ["--firmware", SEABIOS, "--cdrom", MEMTEST_X64_CD, "--memory", "16M", "--record", recording]
    script = ["--expect", "Press ESC for boot menu.", "--type", "<Esc>", "--expect", "(MT86PLUS_64)"]
    assert main(["run", *machine, *script]) == 0
    monkeypatch.chdir(tmp_path)
    assert main(["replay", recording, "--screen"]) == 0
    shown = capsys.readouterr()
    assert "2. DVD/CD [ata1-0: MINIVM CD-ROM ATAPI-6 DVD/CD] (MT86PLUS_64)" in shown.out
    assert "identical" in shown.out + shown.err
