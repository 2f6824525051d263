"""CPUID as this machine has it.

The engine's own answer advertises an APIC, a machine-check unit and more that the machine does not have. This table
keeps the features that both the engine executes and the machine wires up (Intel SDM vol. 2, CPUID; AMD APM vol. 3,
appendix E).
"""

from struct import unpack

SIGNATURE = 0x0000_0663
"""Family 6, model 6, stepping 3; EDX has it after a reset (SDM vol. 3, section 9.1.2)."""

VENDOR = b"AuthenticAMD"
BRAND = b"MiniVM virtual CPU"

# leaf 1, EDX: FPU DE PSE TSC MSR PAE CX8 SEP MTRR PGE CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2
_FEATURES_EDX = sum(1 << bit for bit in (0, 2, 3, 4, 5, 6, 8, 11, 12, 13, 15, 16, 17, 19, 23, 24, 25, 26))
# leaf 1, ECX: SSE3 CX16
_FEATURES_ECX = 1 << 0 | 1 << 13
# leaf 80000001h, EDX: SYSCALL NX LM; ECX: LAHF in 64-bit mode
_EXTENDED_EDX = (_FEATURES_EDX & 0x0183_F3FF) | 1 << 11 | 1 << 20 | 1 << 29
_EXTENDED_ECX = 1 << 0
_HIGHEST, _HIGHEST_EXTENDED = 1, 0x8000_0008
_ADDRESS_BITS = 48 << 8 | 40

Answer = tuple[int, int, int, int]


def _vendor(highest: int) -> Answer:
    ebx, edx, ecx = unpack("<III", VENDOR)
    return highest, ebx, ecx, edx


def _brand(index: int) -> Answer:
    text = BRAND.ljust(48, b"\0")[16 * index : 16 * index + 16]
    eax, ebx, ecx, edx = unpack("<IIII", text)
    return eax, ebx, ecx, edx


_LEAVES: dict[int, Answer] = {
    0: _vendor(_HIGHEST),
    1: (SIGNATURE, 8 << 8, _FEATURES_ECX, _FEATURES_EDX),
    0x8000_0000: _vendor(_HIGHEST_EXTENDED),
    0x8000_0001: (SIGNATURE, 0, _EXTENDED_ECX, _EXTENDED_EDX),
    0x8000_0002: _brand(0),
    0x8000_0003: _brand(1),
    0x8000_0004: _brand(2),
    0x8000_0008: (_ADDRESS_BITS, 0, 0, 0),
}


def answer(leaf: int, subleaf: int) -> Answer:
    """Return EAX, EBX, ECX, EDX for `leaf`; one above the highest answers like the highest basic leaf."""
    return _LEAVES.get(leaf, _LEAVES[_HIGHEST] if leaf < 0x8000_0000 and leaf > _HIGHEST else (0, 0, 0, 0))
