"""The pytest plugin's fixtures, markers, options and golden screens, in sessions of their own."""

import re
import subprocess
import sys

import pytest

import minivm.testing.kernels
import minivm.testing.reports
import minivm.testing.settings  # noqa: F401 - loaded here once, so that no session in this process loads it again

pytest_plugins = ["pytester"]

SPIN = """
        bits 16
        org 0x7C00
spin:   jmp spin
        times 510 - ($ - $$) db 0
        dw 0xAA55
"""
STRICT = "[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n"


@pytest.fixture
def project(pytester):
    pytester.makeini(STRICT)
    pytester.makefile(".asm", spin=SPIN)
    return pytester


def run(project, source, *options, ini=""):
    if ini:
        project.makeini(STRICT + ini)
    project.makepyfile(test_guest=source)
    return project.runpytest_inprocess(*options)


def text(result):
    return "\n".join(result.outlines + result.errlines)


# -- fixtures -------------------------------------------------------------------------------------------------------
def test_each_test_has_a_fork_of_the_guest_that_was_booted_once(project):
    result = run(
        project,
        """
        import pytest
        pytestmark = pytest.mark.minivm_guest("shell", ready="> ")
        seen = []

        def test_first(booted):
            seen.append((booted.now, booted.state_hash()))
            booted.type("echo one\\n")
            booted.expect("one\\n>")
            assert booted.now > seen[0][0]

        def test_second(booted):
            assert (booted.now, booted.state_hash()) == seen[0]
            assert "one" not in booted.screen.text()
            booted.type("echo two\\n")
            booted.expect_screen("two", row=2)
        """,
    )
    result.assert_outcomes(passed=2)


def test_the_guest_of_a_session_is_booted_once(project, monkeypatch):
    import minivm

    boots, boot = [], minivm.boot
    monkeypatch.setattr(minivm, "boot", lambda *args, **options: boots.append(args) or boot(*args, **options))
    result = run(
        project,
        """
        import pytest

        @pytest.mark.parametrize("number", range(5))
        @pytest.mark.minivm_guest("shell", ready="> ")
        def test_it(booted, number):
            assert "Try: help" in booted.screen.text()

        @pytest.mark.minivm_guest("shell", ready="> ", memory="2M")
        def test_another(booted):
            assert booted.config.memory == 2 << 20
        """,
    )
    result.assert_outcomes(passed=6)
    assert len(boots) == 2


def test_a_machine_is_fresh_and_booted_guests_close_by_themselves(project):
    result = run(
        project,
        """
        import pytest
        import minivm
        from minivm.testing.guest import Guest
        kept = []

        @pytest.mark.minivm_guest("hello-bios")
        def test_machine(machine):
            assert isinstance(machine, minivm.machine.Machine)
            assert repr(machine) == "<Guest hello-bios.img>"
            assert machine.now == 0
            machine.expect("Hello")
            kept.append(machine)

        def test_boot(boot_guest):
            one, two = boot_guest("hello-bios"), boot_guest("spin.asm", memory="2M")
            one.expect("Hello")
            two.run(ms=1)
            clone = two.clone()
            assert isinstance(clone, Guest)
            assert clone.state_hash() == two.state_hash()
            kept.extend([one, two, clone])

        def test_all_are_closed():
            assert len(kept) == 4
            for machine in kept:
                with pytest.raises(ValueError, match="released"):
                    machine.memory.view[0]
        """,
    )
    result.assert_outcomes(passed=3)


def test_paths_count_from_the_tests_file_then_from_the_root(project):
    folder = project.mkdir("kernels")
    (folder / "beside.asm").write_text(SPIN)
    (folder / "test_here.py").write_text(
        "def test_it(boot_guest):\n"
        "    assert boot_guest('beside.asm').config.guest.name == 'beside.asm'\n"
        "    assert boot_guest('spin.asm').config.guest.name == 'spin.asm'\n"
    )
    project.runpytest_inprocess("kernels").assert_outcomes(passed=1)


def test_the_guest_may_come_from_a_fixture_or_the_ini_file(project):
    project.makeconftest(
        """
        import pytest
        from minivm.testing.guest import GuestSpec

        @pytest.fixture(scope="session")
        def minivm_guest():
            return GuestSpec.of("echo", ready="Esc ends.", memory="2M")
        """
    )
    source = """
        def test_it(booted, machine):
            assert machine.config.memory == {size} << 20
            assert "{text}" in booted.screen.text()
    """
    run(project, source.format(size=2, text="Type")).assert_outcomes(passed=1)
    project.makeconftest("")
    ini = "minivm_guest = shell\nminivm_ready = Try: help\nminivm_memory = 4M\n"
    run(project, source.format(size=4, text="Try: help"), ini=ini).assert_outcomes(passed=1)


def test_the_closest_marker_counts(project):
    result = run(
        project,
        """
        import pytest
        pytestmark = pytest.mark.minivm_guest("spin.asm", memory="2M")

        def test_module(machine):
            assert machine.config.memory == 2 << 20

        @pytest.mark.minivm_guest("echo", memory="4M")
        class TestIt:
            def test_class(self, machine):
                assert machine.config.memory == 4 << 20

            @pytest.mark.minivm_guest("echo")
            def test_own(self, machine):
                assert machine.config.memory == 64 << 20 or machine.config.memory == 32 << 20
        """,
    )
    result.assert_outcomes(passed=3)


def test_a_test_without_guests_is_as_it_was(project):
    result = run(project, "def test_fails():\n    assert 1 == 2\ndef test_passes():\n    pass\n")
    result.assert_outcomes(passed=1, failed=1)
    assert "minivm" not in text(result).partition("collected")[2]


def test_the_plugin_loads_nothing_of_the_machine():
    code = "import sys, minivm.testing.plugin; print([n for n in ('unicorn', 'minivm.machine') if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_machine_that_cannot_be_closed_does_not_keep_the_others_open(project):
    result = run(
        project,
        """
        import pytest
        kept = []

        def test_it(boot_guest):
            def refuse():
                raise OSError("disk full")
            kept.extend([boot_guest("hello-bios"), boot_guest("hello-bios")])
            kept[1].before_close.append(refuse)

        def test_the_other_is_closed():
            with pytest.raises(ValueError, match="released"):
                kept[0].memory.view[0]
        """,
    )
    result.assert_outcomes(passed=2, errors=1)
    assert "disk full" in text(result)


# -- markers --------------------------------------------------------------------------------------------------------
def test_limits_of_time_and_instructions(project):
    result = run(
        project,
        """
        import pytest

        @pytest.mark.minivm_timeout(0.25)
        def test_time(boot_guest):
            boot_guest("spin.asm").run()

        @pytest.mark.minivm_max_instructions(5000)
        def test_instructions(boot_guest):
            boot_guest("spin.asm").run()

        @pytest.mark.minivm_timeout(0.25)
        @pytest.mark.minivm_guest("shell", ready="> ")
        def test_from_the_fork_on(booted):
            booted.run(ms=240)
            booted.clone().run(ms=240)
            booted.run_until(lambda vm: False)
        """,
    )
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "E  *the guest's 0.25 virtual seconds are over, at 0000:7C00",
            "E  *the guest's 5,000 instructions are over, at 0000:7C00",
            ">       booted.run_until(lambda vm: False)",
            "E  *the guest's 0.25 virtual seconds are over*",
        ]
    )


@pytest.mark.parametrize(
    ("marker", "reason"),
    [
        ("minivm_timeout()", "the marker minivm_timeout takes one number above 0, not nothing; write"),
        ("minivm_timeout('2')", "not '2'; write @pytest.mark.minivm_timeout(2.5)"),
        ("minivm_timeout(-1)", "not -1"),
        ("minivm_max_instructions(1.5)", "not 1.5; write @pytest.mark.minivm_max_instructions(1_000_000)"),
        ("minivm_guest('shell', 'echo')", "the marker minivm_guest: it takes one guest"),
        ("minivm_guest(7)", "the marker minivm_guest: 7 names no guest"),
        ("minivm_guest('shell', redy='x')", "the marker minivm_guest: redy: a machine has no such option"),
        ("minivm_guest('shell', timeout=0)", "timeout=0 is not a number of virtual seconds above 0"),
        ("minivm_guest('shell', ready='')", "ready='' is not a text"),
        ("minivm_guest('none.img')", "none.img: there is no such guest in"),
        ("minivm_guest('shell', memory='1K')", "memory: 1K does not fit"),
        ("minivm_guest(ready='x')", "this test does not say which guest it wants"),
    ],
)
def test_a_marker_that_does_not_fit_fails_in_one_line(project, marker, reason):
    result = run(project, f"import pytest\n@pytest.mark.{marker}\ndef test_it(machine):\n    pass\n")
    result.assert_outcomes(errors=1)
    assert reason in text(result)
    assert "Traceback" not in text(result)
    assert "During handling" not in text(result)
    assert "minivm/testing" not in text(result)


# -- guests that do not come up ---------------------------------------------------------------------------------------
def test_a_guest_that_never_gets_ready_fails_once_slowly_and_then_at_once(project, monkeypatch):
    import minivm

    boots, boot = [], minivm.boot
    monkeypatch.setattr(minivm, "boot", lambda *args, **options: boots.append(args) or boot(*args, **options))
    result = run(
        project,
        """
        import pytest
        pytestmark = pytest.mark.minivm_guest("shell", ready="login:", timeout=0.5)

        @pytest.mark.parametrize("number", range(4))
        def test_it(booted, number):
            pass
        """,
    )
    result.assert_outcomes(errors=4)
    why = "booted: shell never got ready: 'login:' did not come; 0.5 virtual seconds are over"
    assert text(result).count(f"\n{why}\n") == 4
    assert text(result).count("|MiniVM shell. Try: help") == 4
    assert len(boots) == 2  # once, and once more for the replay file


def test_a_guest_that_ends_before_it_is_ready_says_so(project):
    result = run(
        project,
        """
        import pytest

        @pytest.mark.minivm_guest("triplefault", ready="login:")
        def test_it(booted):
            pass
        """,
    )
    assert "booted: triplefault never got ready: 'login:' did not come; the machine ended: shutdown" in text(result)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def test_it(booted):\n    pass", "this test does not say which guest it wants"),
        ("def test_it(boot_guest):\n    boot_guest('none.img')", "none.img: there is no such guest in"),
        ("def test_it(boot_guest):\n    boot_guest('shell', colour=1)", "colour: a machine has no such option"),
        ("def test_it(boot_guest):\n    boot_guest('broken.asm')", "broken.asm:1"),
    ],
)
def test_a_guest_that_cannot_be_booted_fails_in_one_line(project, source, reason):
    project.makefile(".asm", broken="not an instruction")
    result = run(project, source)
    assert result.ret == 1
    assert reason in text(result)
    assert "minivm/testing" not in text(result)


def test_booted_without_a_ready_text_says_what_to_write(project):
    result = run(project, "def test_it(booted):\n    pass", ini="minivm_guest = shell\n")
    assert "booted: nobody says when the guest is ready" in text(result)


# -- options ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "ini", "reason"),
    [
        (("--minivm-engine=qemu",), "", "argument --minivm-engine: invalid choice: 'qemu'"),
        (("--minivm-record=test_guest.py/x",), "", "--minivm-record test_guest.py/x: cannot be made"),
        ((), "minivm_memory = much\n", "minivm: the ini value minivm_memory: 'much' is not a size"),
        ((), "minivm_kernel_timeout = soon\n", "the ini value minivm_kernel_timeout: 'soon' is not a number above 0"),
        ((), "minivm_kernel_ticks = -1\n", "the ini value minivm_kernel_ticks: '-1' is not a number above 0"),
        ((), "minivm_pass_exit = zero\n", "the ini value minivm_pass_exit: 'zero' is no number"),
        ((), "minivm_kernels = ../*.img\n", "minivm_kernels: '../*.img' does not lie under the root"),
        ((), "minivm_kernels = a/**b\n", "minivm_kernels: 'a/**b' is no glob"),
    ],
)
def test_a_setting_that_does_not_fit_is_a_usage_error(project, options, ini, reason):
    result = run(project, "def test_it():\n    pass", *options, ini=ini)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert reason in text(result)
    assert "Traceback" not in text(result)


def test_an_engine_that_is_not_there_is_a_usage_error(project, monkeypatch):
    import minivm
    from minivm.errors import ConfigError

    def refuse(*_, engine, **__):
        raise ConfigError(f"engine: {engine} is not here")

    monkeypatch.setattr(minivm, "boot", refuse)
    result = run(project, "def test_it():\n    pass", "--minivm-engine=kvm")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "minivm: engine: kvm is not here" in text(result)


def test_the_engine_reaches_every_machine(project):
    result = run(
        project,
        "def test_it(boot_guest):\n    assert boot_guest('spin.asm').config.engine == 'unicorn'\n",
        "--minivm-engine=unicorn",
    )
    result.assert_outcomes(passed=1)


# -- screens ----------------------------------------------------------------------------------------------------------
GOLDEN = """
import pytest
pytestmark = pytest.mark.minivm_guest("shell", ready="> ")

def test_help(booted):
    booted.type("help\\n")
    booted.expect_screen("exit\\n>")
    booted.assert_screen(golden="help")
"""


def test_a_golden_screen_is_missing_then_written_then_met_then_different(project):
    missing = run(project, GOLDEN)
    missing.assert_outcomes(failed=1)
    assert 'there is no golden screen \'help\' yet; look, then write it: pytest --minivm-update "test_guest.py::test_help"' in text(missing)  # fmt: skip # noqa: E501
    run(project, GOLDEN, "--minivm-update").assert_outcomes(passed=1)
    file = project.path / "__screens__" / "test_guest" / "help.txt"
    assert file.read_text().startswith("MiniVM shell. Try: help\n> help\nhelp echo")
    run(project, GOLDEN).assert_outcomes(passed=1)
    file.write_text(file.read_text().replace("echo mem", "echo men"))
    different = run(project, GOLDEN)
    different.assert_outcomes(failed=1)
    different.stdout.fnmatch_lines(
        [
            ">       booted.assert_screen(golden=?help?)",
            "E  *the screen, against its golden help.txt, is not as expected",
            "E  *- row  2 expected   |help echo men time*",
            "E  *+ row  2 on screen  |help echo mem time*",
            "E    *^",
        ]
    )
    assert "minivm/testing" not in text(different)


def test_one_golden_screen_for_two_different_ones_is_noticed_when_they_are_written(project):
    result = run(
        project,
        """
        import pytest

        @pytest.mark.parametrize("words", ["one", "two"])
        @pytest.mark.minivm_guest("shell", ready="> ")
        def test_it(booted, words):
            booted.type(words)
            booted.run(ms=500)
            booted.assert_screen(golden="same")
        """,
        "--minivm-update",
    )
    result.assert_outcomes(passed=1, failed=1)
    assert "the golden screen same.txt was written in this session already, as another one" in text(result)


def test_the_session_says_which_golden_screens_it_wrote(project):
    result = run(project, GOLDEN, "--minivm-update")
    result.stdout.fnmatch_lines(["minivm: wrote 1 golden screen: __screens__/test_guest/help.txt"])


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("assert_screen()", "assert_screen: give either the text that is expected or golden=NAME"),
        ("assert_screen('x', golden='y')", "assert_screen: give either"),
        ("assert_screen('x', attributes=True)", "attributes are compared with a golden screen"),
        ("assert_screen(golden='../x')", "cannot name a golden screen"),
        ("expect_screen('x', row=25)", "row 25: the screen has rows 0 to 24"),
    ],
)
def test_a_question_that_cannot_be_asked_says_why(project, call, reason):
    result = run(project, f"def test_it(boot_guest):\n    boot_guest('spin.asm').{call}\n")
    result.assert_outcomes(failed=1)
    assert reason in text(result)


def test_a_text_on_the_screen_is_waited_for_in_its_row(project):
    result = run(
        project,
        """
        def test_comes(boot_guest):
            vm = boot_guest("shell")
            vm.expect_screen("> ")
            vm.expect_screen("Try", row=0)

        def test_other_row(boot_guest):
            boot_guest("shell").expect_screen("Try", row=1, timeout=0.25)
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    assert "'Try' did not come in row 1 of the screen; 0.25 virtual seconds are over" in text(result)
    assert not re.search(r"^minivm/", text(result), re.M)
