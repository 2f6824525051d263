"""The second opinion: a program on the host's processor through /dev/kvm."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest

from minivm.testing import kvm
from minivm.testing.kvm import Fpu, KvmError, KvmExit, Regs, SecondOpinion, Sregs

needs_kvm = pytest.mark.skipif(kvm.unavailable() is not None, reason=str(kvm.unavailable()))


@pytest.fixture
def cpu() -> Iterator[SecondOpinion]:
    with SecondOpinion(0x4_0000) as opinion:
        yield opinion


def run_real(cpu: SecondOpinion, code: str) -> KvmExit:
    """Run 16-bit code at 7C00h."""
    data = bytes.fromhex(code)
    cpu.ram[0x7C00 : 0x7C00 + len(data)] = data
    for name in ("ds", "es", "fs", "gs", "ss", "cs"):
        getattr(cpu.sregs, name).set(0, 0, 0xFFFF, 0x9B00 if name == "cs" else 0x9300)
    cpu.sregs.cr0, cpu.sregs.cr4 = 0x30, 0x600
    cpu.sregs.idt.base, cpu.sregs.idt.limit = 0, 0x3FF
    cpu.regs.rip, cpu.regs.rsp, cpu.regs.rflags = 0x7C00, 0x7000, 2
    cpu.fpu.control, cpu.fpu.mxcsr = 0x37F, 0x1F80
    cpu.load()
    return cpu.run()


@pytest.mark.parametrize(("structure", "size"), [(Regs, 144), (Sregs, 312), (Fpu, 4096)])
def test_a_structure_has_the_size_that_its_request_names(structure: type[ctypes.Structure], size: int) -> None:
    assert ctypes.sizeof(structure) == size
    requests = {144: kvm.KVM_GET_REGS, 312: kvm.KVM_GET_SREGS, 4096: kvm.KVM_GET_XSAVE}
    assert requests[size] >> 16 & 0x3FFF == size


@needs_kvm
def test_a_program_runs_to_its_hlt(cpu: SecondOpinion) -> None:
    assert run_real(cpu, "b83412 a30020 f4") == KvmExit("hlt")
    assert cpu.regs.rax == 0x1234
    assert cpu.regs.rip == 0x7C07
    assert cpu.ram[0x2000:0x2002] == b"\x34\x12"


@needs_kvm
def test_an_exception_goes_through_the_interrupt_table(cpu: SecondOpinion) -> None:
    cpu.ram[0:4] = bytes.fromhex("00300000")
    cpu.ram[0x3000] = 0xF4
    assert run_real(cpu, "31c9 f7f1 f4").reason == "hlt"
    assert cpu.regs.rip == 0x3001


@needs_kvm
def test_a_port_access_and_one_outside_of_ram_come_back(cpu: SecondOpinion) -> None:
    assert run_real(cpu, "e680 f4").reason == "io"
    assert run_real(cpu, "b80080 8ed8 a10000 f4").reason == "mmio"


@needs_kvm
def test_an_access_that_came_back_does_not_reach_the_next_program(cpu: SecondOpinion) -> None:
    assert run_real(cpu, "b80080 8ed8 8b1e0000 f4").reason == "mmio"
    assert run_real(cpu, "bb3412 b90100 f4").reason == "hlt"
    assert (cpu.regs.rbx, cpu.regs.rcx, cpu.regs.rip) == (0x1234, 1, 0x7C07)


@needs_kvm
def test_sse_registers_arrive_and_come_back(cpu: SecondOpinion) -> None:
    cpu.fpu.xmm[1][:] = bytes(range(16))
    reason = run_real(cpu, "f30f7f0e0020 f4")
    if reason.reason != "hlt":
        pytest.skip(f"this KVM does not execute SSE in real mode: {reason}")
    assert cpu.ram[0x2000:0x2010] == bytes(range(16))
    assert bytes(cpu.fpu.xmm[1]) == bytes(range(16))


@needs_kvm
def test_a_program_without_an_end_is_interrupted(cpu: SecondOpinion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "LONGEST_SECONDS", 0.05)
    assert run_real(cpu, "ebfe").reason == "timeout"
    assert run_real(cpu, "40 f4").reason == "hlt"


@needs_kvm
def test_a_state_that_no_processor_has_is_refused_in_one_line(cpu: SecondOpinion) -> None:
    cpu.sregs.cr0 = 0x8000_0000  # paging without protection
    with pytest.raises(KvmError, match=r"^/dev/kvm: refuses this state of the processor: [^\n]+$"):
        cpu.load()


def test_a_missing_device_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kvm, "DEVICE", str(tmp_path / "kvm"))
    why = kvm.unavailable()
    assert why is not None
    assert why.endswith("kvm: No such file or directory")


def test_a_device_that_is_not_kvm_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "DEVICE", "/dev/null")
    assert str(kvm.unavailable()).startswith("/dev/null: ")
