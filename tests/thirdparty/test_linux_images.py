"""Programs that Debian ships as Linux kernels: booted by Linux's protocol, they show what they show on a PC."""

import re

import pytest

import minivm

MEMTEST, IPXE = ("/boot/memtest86+ia32.bin", "/boot/memtest86+x64.bin"), "/boot/ipxe.lkrn"


@pytest.mark.parametrize("path", MEMTEST)
def test_memtest86_shows_the_cpu_and_the_memory_and_tests_it(path, debian_file):
    with minivm.boot(debian_file(path), memory="16M") as vm:
        vm.expect("Press <F1> to configure")
        vm.type("\n")
        vm.expect("Pattern: 0x")
        text = vm.screen.text()
        assert "Memtest86+ v6.10      │ MiniVM virtual CPU" in text
        assert "Memory  :   16MB" in text
        assert "MB of 15.6MB]" in text
        vm.expect("Time:  0:00:01  Status: Testing")
        passed = re.search(r"Pass +(\d+)%", vm.screen.text())
        assert passed is not None
        assert int(passed[1]) > 0
        assert "Errors: 0" in vm.screen.text()


def test_ipxe_reaches_its_prompt_and_answers(debian_file):
    with minivm.boot(debian_file(IPXE)) as vm:
        vm.expect("iPXE initialising devices...ok")
        vm.expect("Press Ctrl-B", timeout=20)
        vm.type("<Ctrl-B>")
        vm.expect("iPXE>")
        vm.type("echo 6 x 7\n")
        vm.expect("\n6 x 7")
