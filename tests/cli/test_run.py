"""`minivm run` with its output in a pipe: options, statuses, bad input."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from hashlib import shake_128
from pathlib import Path

import pytest

import minivm as package
from minivm import bundled
from minivm.debug.code import assemble
from minivm.errors import WiringError

MINIVM = Path(sys.executable).with_name("minivm")
HELLO = "Hello from the BIOS!"
SPIN = " jmp $"
SLEEP = "again: sti\n hlt\n jmp again"
ONLY_IRQ = """ mov al, 0x30
 out 0x43, al
 mov al, 1
 out 0x40, al
 mov al, 0
 out 0x40, al
 mov al, ~(1 << IRQ) & 0xFF
 out 0x21, al
 mov al, 0xFF
 out 0xA1, al
 mov word [(8 + IRQ) * 4], wake
 mov word [(8 + IRQ) * 4 + 2], 0
again: sti
 hlt
 jmp again
wake: mov al, 5
 out 0xF4, al
 hlt"""
"""Sleeps with the timer run out and every interrupt masked but one; that one ends it."""
COM1_8N1 = " mov dx, 0x3FB\n mov al, 3\n out dx, al\n"
COM2_8N1 = " mov dx, 0x2FB\n mov al, 3\n out dx, al\n"


def exits_with(value):
    return f" mov al, {value}\n out 0xF4, al\n hlt"


# -- what is printed --------------------------------------------------------------------------------------------------
def test_the_screen_is_printed_at_the_end(minivm):
    ran = minivm("run", "hello-bios")
    assert (ran.status, ran.out, ran.err) == (0, f"{HELLO}\n", "")


def test_display_none_prints_no_screen_and_screen_prints_it_nevertheless(minivm):
    assert minivm("run", "hello-bios", "--display", "none").out == ""
    assert minivm("run", "hello-bios", "--display", "none", "--screen").out == f"{HELLO}\n"


def test_display_text_prints_an_empty_screen_too(minivm, sector):
    guest = sector(exits_with(0))
    assert minivm("run", guest).out == ""
    assert minivm("run", guest, "--display", "text").out == "\n"


def test_serial_output_is_plain_text_before_the_screen(minivm):
    out = minivm("run", "serial").out
    assert out.startswith("Polled: one byte whenever LSR says there is room.\n")
    assert "\r" not in out


def test_serial_stdio_gives_the_exact_bytes(minivm, sector):
    guest = sector(COM1_8N1 + " mov dx, 0x3F8\n mov al, 13\n out dx, al\n mov al, 10\n out dx, al\n" + exits_with(0))
    assert minivm("run", guest, "--serial", "stdio").out == "\r\n"
    assert minivm("run", guest).out == "\n"


def test_a_byte_above_7f_is_code_page_437_in_text(command, sector):
    guest = sector(COM1_8N1 + " mov dx, 0x3F8\n mov al, 0xE1\n out dx, al\n" + SLEEP)
    assert command("run", guest, "--max-ticks", 999_999, "--quiet").stdout == "ß".encode()
    ran = command("run", guest, "--serial", "stdio", "--max-ticks", 999_999, "--quiet")
    assert ran.stdout == b"\xe1"


def test_serial_output_comes_while_the_guest_runs(sector):
    guest = sector(COM1_8N1 + " mov dx, 0x3F8\n mov al, 'x'\n out dx, al\n" + SPIN)
    with subprocess.Popen([MINIVM, "run", guest], stdout=subprocess.PIPE) as process:
        first = process.stdout.read(1)
        process.terminate()
        assert (first, process.wait(10)) == (b"x", 143)


def test_a_guest_assembled_on_the_spot_runs(minivm):
    assert minivm("run", bundled.find("hello-bios").source).out == f"{HELLO}\n"


# -- statuses ---------------------------------------------------------------------------------------------------------
def test_the_debug_exit_port_gives_the_status(minivm, sector):
    assert minivm("run", sector(exits_with(0x15))).status == 0x15 << 1 | 1


def test_a_triple_fault_gives_3_and_an_autopsy(minivm):
    ran = minivm("run", "triplefault")
    assert ran.status == 3
    for words in ("1. 03h breakpoint", "2. 0Dh general protection", "3. 08h double fault", "eip", "real mode"):
        assert words in ran.err
    assert "Traceback" not in ran.err
    assert minivm("run", "triplefault", "--quiet").err == ""


def test_the_autopsy_shows_the_code(minivm, sector):
    ran = minivm("run", sector(" lidt [none]\n ud2\nnone: times 6 db 0"))
    assert "ud2" in ran.err


def test_a_timeout_gives_124_with_the_screen_on_standard_error(minivm, sector):
    guest = sector(" mov ax, 0x0E41\n int 0x10\n" + SPIN)
    began = time.monotonic()
    ran = minivm("run", guest, "--timeout", "0.3")
    assert time.monotonic() - began < 5
    assert (ran.status, ran.out) == (124, "")
    assert ran.err.startswith("minivm: timed out after ")
    assert ran.err.endswith("the screen:\nA\n")


def test_a_guest_that_only_faults_times_out_too(minivm, sector):
    guest = sector(" mov word [6 * 4], handler\n mov [6 * 4 + 2], ax\nagain: ud2\nhandler: iret")
    began = time.monotonic()
    assert minivm("run", guest, "--timeout", "0.3").status == 124
    assert time.monotonic() - began < 5


def test_max_ticks_ends_at_the_same_tick_every_time(minivm, sector):
    guest = sector(SPIN)
    reports = [json.loads(minivm("run", guest, "--max-ticks", 54_321, "--json").out) for _ in range(2)]
    assert [report.pop("wall_seconds") > 0 for report in reports] == [True, True]
    assert reports[0] == reports[1]
    assert (reports[0]["reason"], reports[0]["status"]) == ("max-ticks", 124)
    assert 54_321 <= reports[0]["ticks"] < 54_321 + 16


def test_max_ticks_does_not_count_sleep(minivm, sector):
    report = json.loads(minivm("run", sector(SLEEP), "--max-ticks", 100_000, "--json").out)
    assert report["virtual_ns"] > 10 * report["ticks"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
@pytest.mark.parametrize("options", [(), ("--speed", "1x")])
def test_a_signal_ends_the_run_at_once(sector, number, status, options):
    guest = sector(COM1_8N1 + " mov dx, 0x3F8\n mov al, 'x'\n out dx, al\n" + (SLEEP if options else SPIN))
    with subprocess.Popen([MINIVM, "run", guest, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1)
        process.send_signal(number)
        assert process.wait(5) == status
        assert process.stderr.read() == b""


# -- the script -------------------------------------------------------------------------------------------------------
def test_a_script_is_done_in_order_and_ends_the_run(minivm):
    ran = minivm(
        "run", "shell", "--expect", "Try:", "--type", r"echo one\n", "--expect", "\none",
        "--type", r"x<Backspace>mem\n", "--expect", "KiB below", "--json",
    )  # fmt: skip
    report = json.loads(ran.out)
    assert (ran.status, report["reason"]) == (0, "script-met")
    assert "> echo one\none\n" in report["screen"]


def test_a_script_that_ends_in_keys_lets_the_guest_finish(minivm):
    ran = minivm("run", "echo", "--type", r"hey\e")
    assert ran.status == 0
    assert "hey" in ran.out
    assert "Bye." in ran.out


def test_a_text_that_never_comes_gives_1_and_says_what_stands_there(minivm):
    ran = minivm("run", "hello-bios", "--expect", "Good evening")
    assert ran.status == 1
    assert "'Good evening' did not come; the machine ended: halted" in ran.err
    assert HELLO in ran.err


def test_patience_is_counted_in_virtual_time(minivm, sector):
    began = time.monotonic()
    ran = minivm("run", sector(SLEEP), "--expect", "nothing")
    assert ran.status == 1
    assert "30 virtual seconds are over" in ran.err
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [("--type", r"\q", r"\q is no escape"), ("--type", "<Nokey>", "names no key"), ("--expect", "", "is empty")],
)
def test_a_bad_step_is_refused_before_the_guest_starts(minivm, option, text, words):
    minivm("run", "hello-bios", option, text).assert_one_line(2, option, words)


def test_a_step_wakes_a_guest_that_only_a_key_can_wake(minivm, sector):
    guest = sector(" mov al, 'p'\n out 0xE9, al\n" + ONLY_IRQ.replace("IRQ", "1"))
    assert minivm("run", guest).status == 0
    assert minivm("run", guest, "--expect", "p", "--type", "a").status == 11


# -- the report -------------------------------------------------------------------------------------------------------
def test_the_report_has_every_field_and_nothing_else_is_printed(minivm):
    ran = minivm("run", "serial", "--json")
    report = json.loads(ran.out)
    assert list(report) == [
        "guest", "reason", "status", "ticks", "virtual_ns", "wall_seconds", "state_hash", "exits", "resets", "screen",
        "serial",
    ]  # fmt: skip
    assert "All sent." in report["serial"]
    assert report["exits"]["port writes"] > 0
    assert ran.err == ""


def test_the_report_of_a_triple_fault_has_the_autopsy(minivm):
    report = json.loads(minivm("run", "triplefault", "--json", "--quiet").out)
    assert [one["vector"] for one in report["autopsy"]["chain"]] == [3, 13, 8]
    assert report["autopsy"]["chain"][0]["name"] == "breakpoint"


# -- options that make the machine ------------------------------------------------------------------------------------
def test_memory_is_what_the_bios_reports(minivm):
    out = minivm("run", "shell", "--memory", "3M", "--type", r"mem\nexit\n").out
    assert "2048 KiB above" in out or "2048" in out


def test_rtc_is_the_guests_date(minivm):
    assert "1999-12-31 23:" in minivm("run", "shell", "--rtc", "1999-12-31T23:00:00", "--type", r"time\nexit\n").out


def test_a_flat_binary_goes_where_it_is_told(minivm, tmp_path):
    code = tmp_path / "flat"
    code.write_bytes(bytes.fromhex("B040 E6F4 F4"))
    assert minivm("run", code, "--boot", "flat", "--origin", "0x8000", "--bits", "32").status == 0x81
    minivm("run", code).assert_one_line(2, "flat")


KERNEL = """ bits 32
 org 0x100000
header: dd 0x1BADB002, 0x10000, -(0x1BADB002 + 0x10000), header, header, end, end, start
start: mov esi, [ebx + 16]
 call print
 mov edi, [ebx + 24]
 mov esi, [edi]
 call print
 mov al, 0
 out 0xF4, al
 hlt
print: lodsb
 out 0xE9, al
 test al, al
 jnz print
 ret
end:
"""
"""A Multiboot kernel that prints its command line and its first module."""


def test_append_and_initrd_reach_a_kernel(command, tmp_path):
    kernel, module = tmp_path / "kernel", tmp_path / "module"
    kernel.write_bytes(assemble(KERNEL).code)
    module.write_bytes(b"a module's text\0")
    ran = command("run", kernel, "--append", "one two", "--initrd", module, "--serial", "stdio")
    assert ran.returncode == 1
    assert b"one two" in ran.stdout
    assert b"a module's text" in ran.stdout


DISK_PROBE = """ mov ah, 8
 mov dl, DRIVE
 int 0x13
 mov al, dl
 out 0xF4, al
 hlt"""


@pytest.mark.parametrize(("option", "drive", "count"), [("--disk", "0x80", 2), ("--floppy", "0", 2)])
def test_drives_are_attached(minivm, sector, tmp_path, option, drive, count):
    more = tmp_path / "more.img"
    more.write_bytes(bytes(1_474_560))
    extra = [option, f"{more},snapshot", option, f"{more},ro"][: 2 if option == "--floppy" else 4]
    assert minivm("run", sector(DISK_PROBE.replace("DRIVE", drive)), *extra).status == count << 1 | 1


def test_engine_kvm_is_refused_in_one_line(minivm):
    minivm("run", "hello-bios", "--engine", "kvm").assert_one_line(2, "engine", "later")


def test_firmware_replaces_the_bios(minivm, tmp_path):
    rom = tmp_path / "rom"
    rom.write_bytes(bytes.fromhex("B003 E6F4 F4").ljust(65520, b"\0") + bytes.fromhex("EA000000F0").ljust(16, b"\0"))
    assert minivm("run", "hello-bios", "--firmware", rom).status == 7
    rom.write_bytes(bytes(65536) + rom.read_bytes())
    assert minivm("run", "hello-bios", "--firmware", rom).status == 7


@pytest.mark.parametrize("size", [0, 15, (16 << 20) + 1])
def test_firmware_of_a_wrong_size_is_refused(minivm, tmp_path, size):
    rom = tmp_path / "rom"
    rom.write_bytes(bytes(size))
    minivm("run", "hello-bios", "--firmware", rom).assert_one_line(2, "firmware", "16777216")


def test_firmware_is_refused_where_a_kernel_needs_the_bios(minivm, tmp_path):
    rom = tmp_path / "rom"
    rom.write_bytes(bytes(65536))
    minivm("run", "multiboot", "--firmware", rom).assert_one_line(2, "firmware", "multiboot")


def test_stop_at_start_shows_the_reset_vector(minivm):
    ran = minivm("run", "hello-bios", "--stop-at-start")
    assert ran.status == 0
    assert "eip 0000FFF0" in ran.out
    assert "cs F000" in ran.out


def test_trace_goes_to_its_file_or_to_standard_error(minivm, tmp_path):
    file = tmp_path / "trace"
    assert minivm("run", "hello-bios", "--trace", f"int,io:{file}").err == ""
    text = file.read_text(encoding="utf-8")
    assert "int  10h" in text
    assert "io   out" in text
    assert "exc" in minivm("run", "exceptions", "--trace", "exc").err
    heard = minivm("run", "speaker", "--trace", "sound").err.splitlines()
    assert [line.split("us ")[1] for line in heard[:2]] == [
        "sound tone of 523.3 Hz begins", "sound tone of 523.3 Hz ends after 164.8 ms",
    ]  # fmt: skip
    assert len(heard) == 6


def test_a_configuration_file_is_overridden_by_options(minivm, tmp_path):
    guest = tmp_path / "guest.img"
    guest.write_bytes(bundled.find("shell").image.read_bytes())
    config = tmp_path / "vm.toml"
    config.write_text('guest = "guest.img"\nmemory = "2M"\nrtc = "2001-02-03T04:05:06"\n', encoding="utf-8")
    script = ("--type", r"time\nexit\n")
    assert "2001-02-03" in minivm("run", "--config", config, *script).out
    assert "2011-02-03" in minivm("run", "--config", config, "--rtc", "2011-02-03", *script).out
    assert HELLO in minivm("run", "hello-bios", "--config", config).out


def test_speed_paces_the_guest(minivm, sector):
    wait_ticks = " sti\n mov cx, 6\nagain: hlt\n loop again\n" + exits_with(0)
    began = time.monotonic()
    minivm("run", sector(wait_ticks), "--speed", "1x")
    assert time.monotonic() - began > 0.25
    began = time.monotonic()
    minivm("run", sector(wait_ticks), "--speed", "10x")
    assert time.monotonic() - began < 0.25


def test_clock_host_keeps_up_with_the_host(minivm, sector):
    report = json.loads(minivm("run", sector(SLEEP), "--clock", "host", "--timeout", "0.5", "--json").out)
    assert report["virtual_ns"] == pytest.approx(0.5e9, rel=0.3)


@pytest.mark.timing
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs wait4")
def test_a_paced_idle_guest_costs_next_to_nothing():
    def cpu_of(seconds):
        process = subprocess.Popen(
            [MINIVM, "run", bundled.find("idle").image, "--speed", "1x", "--timeout", str(seconds)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_utime + usage.ru_stime

    start = min(cpu_of(0.1) for _ in range(2))
    assert cpu_of(3.1) - start < 3 * 0.04  # the target is 2 %; other tests share this CPU


# -- serial lines -----------------------------------------------------------------------------------------------------
COM1_COM2 = f"""{COM1_8N1}{COM2_8N1} mov dx, 0x3F8
 mov al, '1'
 out dx, al
 mov dx, 0x2F8
 mov al, '2'
 out dx, al
 mov al, 'e'
 out 0xE9, al
 mov cx, 5000
pause: in al, 0x80
 loop pause
{exits_with(0)}"""
ECHO_SERIAL = f"""{COM1_8N1} mov dx, 0x3FD
again: in al, dx
 test al, 1
 jz again
 mov dl, 0xF8
 in al, dx
 cmp al, 'q'
 je done
 inc al
 out dx, al
 mov dl, 0xFD
 jmp again
done: mov al, 0
 out 0xF4, al
 hlt"""


def test_each_port_has_its_own_file_and_the_debug_console_goes_with_com1(minivm, sector, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("what was there before is gone", encoding="utf-8")
    ran = minivm("run", sector(COM1_COM2), "--serial", f"file:{one}", "--serial", f"file:{two}", "--json")
    assert sorted(one.read_text(encoding="utf-8")) == ["1", "e"]
    assert two.read_text(encoding="utf-8") == "2"
    assert sorted(json.loads(ran.out)["serial"]) == ["1", "2", "e"]


def test_serial_none_is_silent_and_one_option_leaves_com2_unconnected(minivm, sector):
    guest = sector(COM1_COM2)
    assert sorted(minivm("run", guest).out) == ["1", "2", "e"]
    assert minivm("run", guest, "--serial", "none").out == ""
    assert minivm("run", guest, "--serial", "none", "--serial", "stdio").out == "2"


def test_standard_input_reaches_com1(command, sector):
    ran = command("run", sector(ECHO_SERIAL), "--serial", "stdio", stdin=b"HAL" * 40 + b"q")
    assert (ran.returncode, ran.stdout) == (1, b"IBM" * 40)


def test_without_serial_stdio_standard_input_is_left_alone(command):
    ran = command("run", "hello-bios", stdin=b"something")
    assert ran.stdout.decode() == f"{HELLO}\n"


def test_a_sleeping_guest_is_woken_by_its_serial_line(command, sector):
    interrupts_on = " mov dx, 0x3F9\n mov al, 1\n out dx, al\n mov dl, 0xFC\n mov al, 8\n out dx, al\n"
    guest = sector(interrupts_on + ONLY_IRQ.replace("IRQ", "4"))
    reader, writer = os.pipe()
    with subprocess.Popen([MINIVM, "run", guest, "--serial", "stdio"], stdin=reader) as process:
        os.close(reader)
        time.sleep(0.5)
        assert process.poll() is None
        os.write(writer, b"!")
        os.close(writer)
        assert process.wait(10) == 11
    assert command("run", guest, "--serial", "stdio").returncode == 0


def test_a_unix_socket_carries_bytes_both_ways_and_goes_away(sector, tmp_path):
    path = tmp_path / "socket"
    with subprocess.Popen(
        [MINIVM, "run", sector(ECHO_SERIAL), "--serial", f"unix:{path}", "--timeout", "20"]
    ) as process:
        line = connected(path)
        line.sendall(b"HAL")
        got = b""
        while len(got) < 3:
            got += line.recv(10)
        line.close()
        line = connected(path)
        line.sendall(b"q")
        assert process.wait(30) == 1
        line.close()
    assert got == b"IBM"
    assert not path.exists()


def connected(path):
    """Return a connection to a socket that will be there soon."""
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(10)
    for _ in range(500):
        try:
            line.connect(str(path))
            break
        except OSError:
            time.sleep(0.02)
    return line


def test_a_socket_in_use_is_refused_and_a_stale_one_is_taken(minivm, tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(1)
        minivm("run", "hello-bios", "--serial", f"unix:{path}").assert_one_line(2, str(path))
    assert path.exists()
    assert minivm("run", "hello-bios", "--serial", f"unix:{path}").status == 0


def test_a_full_disk_behind_a_serial_file_is_one_line(minivm):
    minivm("run", "serial", "--serial", "file:/dev/full").assert_one_line(2, "/dev/full", "No space left")


def test_a_serial_file_never_overwrites_the_guest(minivm, sector):
    guest = sector(COM1_COM2)
    before = guest.read_bytes()
    minivm("run", guest, "--serial", f"file:{guest}").assert_one_line(2, "serial", "own file")
    assert guest.read_bytes() == before


@pytest.mark.parametrize("place", ["file:{}", "unix:{}", "file:{}/no/such", "unix:{}/" + "long" * 40])
def test_a_place_where_no_line_can_lead_is_one_line(minivm, tmp_path, place):
    minivm("run", "hello-bios", "--serial", place.format(tmp_path)).assert_one_line(2, "serial")


def test_a_file_is_not_replaced_by_a_socket(minivm, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    minivm("run", "hello-bios", "--serial", f"unix:{file}").assert_one_line(2, "file")
    assert file.read_text(encoding="utf-8") == "mine"


# -- bad input --------------------------------------------------------------------------------------------------------
def bad_files(folder):
    """Give each kind of file that cannot be booted."""
    noise = shake_128(b"noise").digest
    contents = {"empty": b"", "short": b"\xeb\xfe", "truncated": bytes(510) + b"\x55", "random": noise(5000),
                "zeros": bytes(512), "elf": b"\x7fELF" + bytes(40)}  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        yield folder / name
    yield folder
    yield folder / "missing"
    yield ""
    yield "a\0b"
    yield "x" * 5000


def test_what_cannot_be_booted_is_one_line_with_status_2(minivm, tmp_path):
    for guest in bad_files(tmp_path):
        minivm("run", guest).assert_one_line(2)


def test_an_oversized_sparse_file_is_one_line_or_a_disk(minivm, tmp_path):
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(3 << 40)
    minivm("run", huge).assert_one_line(2)
    minivm("run", huge, "--boot", "flat").assert_one_line(2)
    minivm("run", "hello-bios", "--firmware", huge).assert_one_line(2)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_one_line(minivm, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(512))
    secret.chmod(0)
    minivm("run", secret).assert_one_line(2, "Permission denied")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--memory", "lots"], "memory"), (["--memory", "0"], "memory"), (["--memory", "4G"], "memory"),
        (["--memory", "1025K"], "memory"), (["--display", "hologram"], "display"), (["--rtc", "tomorrow"], "rtc"),
        (["--speed", "0"], "speed"), (["--clock", "sand"], "clock"), (["--timeout", "0"], "timeout"),
        (["--timeout", "nan"], "timeout"), (["--max-ticks", "-1"], "max_ticks"), (["--max-ticks", "x"], "max-ticks"),
        (["--trace", "dreams"], "trace"), (["--serial", "somewhere"], "serial"), (["--boot", "shoe"], "boot"),
        (["--origin", "x"], "origin"), (["--bits", "7"], "bits"), (["--disk", "/no/such/disk"], "/no/such/disk"),
        (["--floppy", "/"], "/"), (["--initrd", "/no/such"], "/no/such"), (["--config", "/no/such.toml"], "/no/such"),
        (["--serial", "none"] * 3, "serial"), (["--serial", "stdio"] * 2, "serial"), (["--cdrom", "x,rw"], "cdroms"),
        (["--boot-order", "ab"], "boot_order"),
        (["--memory"], "--memory"), (["--trace", "io:/no/such/file"], "/no/such/file"), (["--engine", "V8"], "engine"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_one_line_that_names_it(minivm, options, words):
    guest = "multiboot" if "--initrd" in options else "hello-bios"
    minivm("run", guest, *options).assert_one_line(2, words)


def test_no_guest_is_one_line(minivm):
    minivm("run").assert_one_line(2, "GUEST")


def test_a_configuration_with_an_unknown_key_is_one_line(minivm, tmp_path):
    config = tmp_path / "vm.toml"
    config.write_text('memroy = "2M"\n', encoding="utf-8")
    minivm("run", "hello-bios", "--config", config).assert_one_line(2, "memroy", "memory")


def test_two_devices_at_one_port_are_a_wiring_error():
    class Nothing:
        def read(self, offset, size):
            return 0

        def write(self, offset, size, value):
            pass

    with pytest.raises(WiringError, match="3F8h"):
        package.boot("hello-bios", devices=[("port", 0x3F8, Nothing())])
