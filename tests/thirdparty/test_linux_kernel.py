"""A Linux kernel as Debian ships it, with a first program of our own in its initial RAM disk.

It needs no package on the host but the kernel itself: `apt-get install linux-image-cloud-amd64`.
"""

from pathlib import Path

import pytest

import minivm
from minivm.debug.code import assemble

KERNELS = "vmlinuz-*-amd64"
INIT = """
 bits 64
 org 0x400000
 db 0x7F, "ELF", 2, 1, 1
 times 9 db 0
 dw 2, 62
 dd 1
 dq start, 64, 0
 dd 0
 dw 64, 56, 1, 0, 0, 0
 dd 1, 7
 dq 0, $$, $$, end - $$, end - $$, 4096
start:
 mov eax, 1
 mov edi, eax
 lea rsi, [rel text]
 mov edx, end - text
 syscall
 mov eax, 35
 lea rdi, [rel second]
 xor esi, esi
 syscall
 mov eax, 169
 mov edi, 0xFEE1DEAD
 mov esi, 672274793
 mov edx, 0x4321FEDC
 syscall
second:
 dq 1, 0
text:
 db "The first program runs.", 10
end:
"""
"""write(1, text), nanosleep(one second), reboot(power off), with the system calls' numbers of x86-64."""


def archive(files):
    """Return an initial RAM disk in the format "newc" of cpio; `files` are (name, mode, major and minor, bytes)."""
    packed = b""
    for number, (name, mode, (major, minor), data) in enumerate([*files, ("TRAILER!!!", 0, (0, 0), b"")]):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name) + 1, 0)
        packed += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        packed += bytes(-len(packed) % 4) + data
        packed += bytes(-len(packed) % 4)
    return packed


@pytest.mark.slow
def test_debians_kernel_runs_its_first_program_and_powers_the_machine_off(tmp_path):
    kernels = sorted(Path("/boot").glob(KERNELS))
    if not kernels:
        pytest.skip(f"there is no /boot/{KERNELS}")
    files = [("dev", 0o040755, (0, 0), b""), ("dev/console", 0o020600, (5, 1), b"")]
    files.append(("init", 0o100755, (0, 0), assemble(INIT).code))
    (tmp_path / "initrd").write_bytes(archive(files))
    words = "console=ttyS0,115200 panic=-1"
    with minivm.boot(kernels[-1], memory="256M", initrd=str(tmp_path / "initrd"), append=words) as vm:
        vm.expect("Linux version", timeout=5)
        vm.expect(f"Command line: {words}", timeout=5)
        vm.expect("RAMDISK: [mem 0x0ffff000-0x0fffffff]", timeout=5)
        vm.expect("The first program runs.", timeout=60)
        ended = vm.run(ms=5000)
    assert ended.reason == "powered-off"
