"""The library through ctypes: its constants and layouts are those of the unicorn package, its errors are clear."""

import ctypes

import pytest
import unicorn
import unicorn.unicorn_const as uc_const
import unicorn.x86_const as x86_const

from minivm.engine import library
from minivm.errors import EngineError

CONSTANTS = {
    "ARCH_X86": "UC_ARCH_X86", "MODE_64": "UC_MODE_64", "PROT_READ": "UC_PROT_READ", "PROT_WRITE": "UC_PROT_WRITE",
    "PROT_EXEC": "UC_PROT_EXEC", "PROT_ALL": "UC_PROT_ALL", "HOOK_INTR": "UC_HOOK_INTR", "HOOK_INSN": "UC_HOOK_INSN",
    "HOOK_CODE": "UC_HOOK_CODE", "HOOK_BLOCK": "UC_HOOK_BLOCK", "HOOK_MEM_READ": "UC_HOOK_MEM_READ",
    "HOOK_MEM_WRITE": "UC_HOOK_MEM_WRITE", "HOOK_MEM_INVALID": "UC_HOOK_MEM_INVALID",
    "HOOK_INSN_INVALID": "UC_HOOK_INSN_INVALID", "HOOK_EDGE_GENERATED": "UC_HOOK_EDGE_GENERATED",
    "HOOK_TLB_FILL": "UC_HOOK_TLB_FILL", "MEM_WRITE": "UC_MEM_WRITE", "MEM_FETCH": "UC_MEM_FETCH",
    "MEM_WRITE_PROT": "UC_MEM_WRITE_PROT", "MEM_FETCH_PROT": "UC_MEM_FETCH_PROT", "ERR_OK": "UC_ERR_OK",
    "ERR_EXCEPTION": "UC_ERR_EXCEPTION", "TLB_CPU": "UC_TLB_CPU", "TLB_VIRTUAL": "UC_TLB_VIRTUAL",
    "_CTL_USE_EXITS": "UC_CTL_UC_USE_EXITS", "_CTL_REMOVE_CACHE": "UC_CTL_TB_REMOVE_CACHE",
    "_CTL_FLUSH_TB": "UC_CTL_TB_FLUSH", "_CTL_FLUSH_TLB": "UC_CTL_TLB_FLUSH", "_CTL_TLB_TYPE": "UC_CTL_TLB_TYPE",
    "_CTL_BUFFER": "UC_CTL_TCG_BUFFER_SIZE", "_CTL_WRITE": "UC_CTL_IO_WRITE",
}  # fmt: skip
X86_CONSTANTS = {
    "INSN_CPUID": "UC_X86_INS_CPUID", "INSN_IN": "UC_X86_INS_IN", "INSN_OUT": "UC_X86_INS_OUT",
    "INSN_RDTSC": "UC_X86_INS_RDTSC", "INSN_RDTSCP": "UC_X86_INS_RDTSCP", "INSN_SYSCALL": "UC_X86_INS_SYSCALL",
    "INSN_SYSENTER": "UC_X86_INS_SYSENTER", "REG_EFLAGS": "UC_X86_REG_EFLAGS", "REG_RAX": "UC_X86_REG_RAX",
    "REG_CR0": "UC_X86_REG_CR0", "REG_CR3": "UC_X86_REG_CR3", "REG_CR4": "UC_X86_REG_CR4", "REG_MSR": "UC_X86_REG_MSR",
    "REG_FPCW": "UC_X86_REG_FPCW", "REG_MXCSR": "UC_X86_REG_MXCSR", "REG_FPSW": "UC_X86_REG_FPSW",
    "REG_FPTAG": "UC_X86_REG_FPTAG", "REG_ST0": "UC_X86_REG_ST0", "REG_XMM0": "UC_X86_REG_XMM0",
}  # fmt: skip


@pytest.mark.parametrize("ours", [*CONSTANTS, *X86_CONSTANTS])
def test_each_constant_is_the_packages_own(ours: str) -> None:
    if ours in CONSTANTS:
        assert getattr(library, ours) == getattr(uc_const, CONSTANTS[ours])
    else:
        assert getattr(library, ours) == getattr(x86_const, X86_CONSTANTS[ours])


def test_every_hook_constant_is_compared() -> None:
    names = {name for name in vars(library) if name.startswith(("HOOK_", "INSN_", "REG_", "PROT_", "ERR_", "TLB_"))}
    assert names == {
        name for name in {**CONSTANTS, **X86_CONSTANTS} if not name.startswith(("_", "MEM", "ARCH", "MODE"))
    }


def test_the_same_library_is_loaded_as_the_package_loads() -> None:
    assert library.library().version().startswith(f"{unicorn.__version__.split('.')[0]}.")
    assert library.library_path().endswith(("libunicorn.so.2", "libunicorn.2.dylib"))


def test_a_tlb_entry_has_the_layout_of_the_c_structure() -> None:
    assert library.TlbEntry.physical.offset == 0
    assert library.TlbEntry.permissions.offset == 8
    assert library.Msr.value.offset == 8  # uc_x86_msr: uint32_t rid; uint64_t value


def test_a_missing_package_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match="the unicorn package is missing"):
        library.library_path()


def test_a_refused_call_says_what_was_wanted_and_why() -> None:
    uc = library.library().open()
    ram = (ctypes.c_char * 4096)()
    with pytest.raises(EngineError, match=r"map RAM at 1h: Invalid"):
        uc.map_ram(1, 4096, ctypes.addressof(ram), library.PROT_ALL)
    uc.close()


def test_an_engine_can_be_closed_twice() -> None:
    uc = library.library().open()
    uc.close()
    uc.close()
    assert uc.address == 0


def test_a_function_that_is_not_exported_has_no_address() -> None:
    assert library.library().address("uc_no_such_function") == 0
