"""The integer instructions: which operands each takes and how it is encoded, in the notation of Intel's manual.

SDM vol. 2, chapters 3 to 5. A line is `names | operands | encoding`; an earlier line is preferred, in NASM's order.

Operands: `r8 r16 r32 r64` a register, `rm8`… a register or memory, `m` memory of any size, `i8`… a number; `v` in
place of the size stands for 16, 32 or 64, the same in the whole line, and `w` for any of them. `e8 e16 e32` are like
`rm`, but memory must say its size. `ib` is a number kept as one sign-extended byte, `u8 u16` a number that gives no
size, `a8 av` the accumulator, `mo8 mov` memory at a plain address, `sr cr dr` the special registers; other words are
themselves.

Encoding: hexadecimal bytes; `/r` and `/0`…`/7` the ModRM byte; `+r` a register in the opcode's low bits; `mo` a plain
address; `ib iw iz iv` a number of that size (`z`: as `v`, but four bytes for 64 bits); `o16 o32 o64` that operand
size; `d64` 64 bits by default in long mode; `x86` not in long mode, `x64` only there.
"""

from dataclasses import dataclass
from functools import cache

_CONDITION_NAMES = """
o | no | b,c,nae | nb,nc,ae | z,e | nz,ne | be,na | nbe,a | s | ns | p,pe | np,po | l,nge | nl,ge | le,ng | nle,g
"""
CONDITIONS = {name.strip(): code for code, names in enumerate(_CONDITION_NAMES.split("|")) for name in names.split(",")}
"""The sixteen conditions of Jcc, SETcc and CMOVcc, by their low four bits (SDM vol. 2, appendix B)."""

_TABLE = """
aaa | | x86 37
aas | | x86 3F
aam | | x86 D4 0A
aam | u8 | x86 D4 ib
aad | | x86 D5 0A
aad | u8 | x86 D5 ib
daa | | x86 27
das | | x86 2F
arpl | rm16,r16 | x86 63 /r
bound | rv,m | x86 62 /r
bsf | rv,rmv | 0F BC /r
bsr | rv,rmv | 0F BD /r
bswap | r32 | o32 0F C8 +r
bswap | r64 | o64 0F C8 +r
bt | rmv,rv | 0F A3 /r
bt | rmv,u8 | 0F BA /4 ib
bts | rmv,rv | 0F AB /r
bts | rmv,u8 | 0F BA /5 ib
btr | rmv,rv | 0F B3 /r
btr | rmv,u8 | 0F BA /6 ib
btc | rmv,rv | 0F BB /r
btc | rmv,u8 | 0F BA /7 ib
cbw | | o16 98
cwde | | o32 98
cdqe | | o64 98
cwd | | o16 99
cdq | | o32 99
cqo | | o64 99
clc | | F8
cld | | FC
cli | | FA
clts | | 0F 06
cmc | | F5
cmpxchg | rm8,r8 | 0F B0 /r
cmpxchg | rmv,rv | 0F B1 /r
cmpxchg8b | m | 0F C7 /1
cpuid | | 0F A2
dec | rv16 | x86 48 +r
inc | rv16 | x86 40 +r
dec | rm8 | FE /1
dec | rmv | FF /1
inc | rm8 | FE /0
inc | rmv | FF /0
div | rm8 | F6 /6
div | rmv | F7 /6
idiv | rm8 | F6 /7
idiv | rmv | F7 /7
mul | rm8 | F6 /4
mul | rmv | F7 /4
neg | rm8 | F6 /3
neg | rmv | F7 /3
not | rm8 | F6 /2
not | rmv | F7 /2
imul | rm8 | F6 /5
imul | rmv | F7 /5
imul | rv,rmv | 0F AF /r
imul | rv,rmv,ib | 6B /r ib
imul | rv,rmv,iv | 69 /r iz
enter | u16,u8 | C8 iw ib
leave | | C9
hlt | | F4
in | al,u8 | E4 ib
in | ax,u8 | o16 E5 ib
in | eax,u8 | o32 E5 ib
in | al,dx | EC
in | ax,dx | o16 ED
in | eax,dx | o32 ED
out | u8,al | E6 ib
out | u8,ax | o16 E7 ib
out | u8,eax | o32 E7 ib
out | dx,al | EE
out | dx,ax | o16 EF
out | dx,eax | o32 EF
int | u8 | CD ib
int1,icebp | | F1
int3 | | CC
into | | x86 CE
invd | | 0F 08
invlpg | m | 0F 01 /7
wbinvd | | 0F 09
iret | | CF
iretw | | o16 CF
iretd | | o32 CF
iretq | | o64 CF
lahf | | 9F
sahf | | 9E
lar | rv,rmw | 0F 02 /r
lsl | rv,rmw | 0F 03 /r
lds | rv,m | x86 C5 /r
les | rv,m | x86 C4 /r
lss | rv,m | 0F B2 /r
lfs | rv,m | 0F B4 /r
lgs | rv,m | 0F B5 /r
lea | rv,m | 8D /r
lgdt | m | 0F 01 /2
lidt | m | 0F 01 /3
sgdt | m | 0F 01 /0
sidt | m | 0F 01 /1
lldt | rm16 | 0F 00 /2
ltr | rm16 | 0F 00 /3
verr | rm16 | 0F 00 /4
verw | rm16 | 0F 00 /5
lmsw | rm16 | 0F 01 /6
sldt | m16 | 0F 00 /0
sldt | rv | 0F 00 /0
str | m16 | 0F 00 /1
str | rv | 0F 00 /1
smsw | m16 | 0F 01 /4
smsw | rv | 0F 01 /4
mov | m16,sr | 8C /r
mov | r16,sr | o16 8C /r
mov | r32,sr | o32 8C /r
mov | r64,sr | x64 d64 8C /r
mov | sr,rmw | 8E /r
mov | a8,mo8 | A0 mo
mov | av,mov | A1 mo
mov | mo8,a8 | A2 mo
mov | mov,av | A3 mo
mov | r32,cr | x86 0F 20 /r
mov | r64,cr | x64 d64 0F 20 /r
mov | cr,r32 | x86 0F 22 /r
mov | cr,r64 | x64 d64 0F 22 /r
mov | r32,dr | x86 0F 21 /r
mov | r64,dr | x64 d64 0F 21 /r
mov | dr,r32 | x86 0F 23 /r
mov | dr,r64 | x64 d64 0F 23 /r
mov | rm8,r8 | 88 /r
mov | rmv,rv | 89 /r
mov | r8,rm8 | 8A /r
mov | rv,rmv | 8B /r
mov | r8,i8 | B0 +r ib
mov | r16,i16 | o16 B8 +r iv
mov | r32,i32 | o32 B8 +r iv
mov | r64,i64 | o64 B8 +r iv
mov | rm8,i8 | C6 /0 ib
mov | rmv,iv | C7 /0 iz
movbe | rv,m | 0F 38 F0 /r
movbe | m,rv | 0F 38 F1 /r
movsx | r16,rm8only | o16 0F BE /r
movsx | rv,e8 | 0F BE /r
movsx | r32,e16 | o32 0F BF /r
movsx | r64,e16 | o64 0F BF /r
movsxd | r64,rm32 | x64 o64 63 /r
movsx | r64,e32 | x64 o64 63 /r
movzx | r16,rm8only | o16 0F B6 /r
movzx | rv,e8 | 0F B6 /r
movzx | r32,e16 | o32 0F B7 /r
movzx | r64,e16 | o64 0F B7 /r
nop | | 90
nop | rmv | 0F 1F /0
pause | | F3 90
push | r16 | o16 50 +r
push | r32 | x86 o32 50 +r
push | r64 | x64 d64 50 +r
push | e16 | o16 FF /6
push | e32 | x86 o32 FF /6
push | e64 | x64 d64 FF /6
push | es | x86 06
push | cs | x86 0E
push | ss | x86 16
push | ds | x86 1E
push | fs | 0F A0
push | gs | 0F A8
pop | r16 | o16 58 +r
pop | r32 | x86 o32 58 +r
pop | r64 | x64 d64 58 +r
pop | e16 | o16 8F /0
pop | e32 | x86 o32 8F /0
pop | e64 | x64 d64 8F /0
pop | es | x86 07
pop | ss | x86 17
pop | ds | x86 1F
pop | fs | 0F A1
pop | gs | 0F A9
pusha | | x86 60
pushaw | | x86 o16 60
pushad | | x86 o32 60
popa | | x86 61
popaw | | x86 o16 61
popad | | x86 o32 61
pushf | | 9C
pushfw | | o16 9C
pushfd | | x86 o32 9C
pushfq | | x64 9C
popf | | 9D
popfw | | o16 9D
popfd | | x86 o32 9D
popfq | | x64 9D
rdmsr | | 0F 32
wrmsr | | 0F 30
rdpmc | | 0F 33
rdtsc | | 0F 31
rdtscp | | 0F 01 F9
ret,retn | | C3
ret,retn | u16 | C2 iw
retw | | o16 C3
retd | | x86 o32 C3
retq | | x64 C3
retf | | CB
retf | u16 | CA iw
retfw | | o16 CB
retfd | | o32 CB
retfq | | o64 CB
salc | | x86 D6
shld | rmv,rv,u8 | 0F A4 /r ib
shld | rmv,rv,cl | 0F A5 /r
shrd | rmv,rv,u8 | 0F AC /r ib
shrd | rmv,rv,cl | 0F AD /r
stc | | F9
std | | FD
sti | | FB
swapgs | | x64 0F 01 F8
syscall | | 0F 05
sysret | | 0F 07
sysretq | | o64 0F 07
sysenter | | 0F 34
sysexit | | 0F 35
test | rm8,r8 | 84 /r
test | rmv,rv | 85 /r
test | r8,rm8 | 84 /r
test | rv,rmv | 85 /r
test | a8,i8 | A8 ib
test | av,iv | A9 iz
test | rm8,i8 | F6 /0 ib
test | rmv,iv | F7 /0 iz
ud2 | | 0F 0B
wait,fwait | | 9B
xadd | rm8,r8 | 0F C0 /r
xadd | rmv,rv | 0F C1 /r
xchg | eax,eax | x64 o32 87 C0
xchg | av,rv | 90 +r
xchg | rv,av | 90 +r
xchg | r8,rm8 | 86 /r
xchg | rv,rmv | 87 /r
xchg | rm8,r8 | 86 /r
xchg | rmv,rv | 87 /r
xlat,xlatb | | D7
mfence | | 0F AE F0
lfence | | 0F AE E8
sfence | | 0F AE F8
vmcall | | 0F 01 C1
vmmcall | | 0F 01 D9
monitor | | 0F 01 C8
mwait | | 0F 01 C9
"""

_STRINGS = {"ins": 0x6C, "outs": 0x6E, "movs": 0xA4, "cmps": 0xA6, "stos": 0xAA, "lods": 0xAC, "scas": 0xAE}
_ARITHMETIC = ("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp")
_SHIFTS = ("rol", "ror", "rcl", "rcr", "shl,sal", "shr", "", "sar")


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write an instruction: operand patterns, then the pieces of its encoding."""

    operands: tuple[str, ...]
    encoding: tuple[str, ...]


def _arithmetic() -> str:
    lines = []
    for row, name in enumerate(_ARITHMETIC):
        code = row * 8
        lines += [
            f"{name} | rm8,r8 | {code:02X} /r",
            f"{name} | rmv,rv | {code + 1:02X} /r",
            f"{name} | r8,rm8 | {code + 2:02X} /r",
            f"{name} | rv,rmv | {code + 3:02X} /r",
            f"{name} | rmv,ib | 83 /{row} ib",
            f"{name} | a8,i8 | {code + 4:02X} ib",
            f"{name} | av,iv | {code + 5:02X} iz",
            f"{name} | rm8,i8 | 80 /{row} ib",
            f"{name} | rmv,iv | 81 /{row} iz",
        ]
    return "\n".join(lines)


def _shifts() -> str:
    lines = []
    for row, names in enumerate(_SHIFTS):
        if names:
            lines += [
                f"{names} | rm8,1 | D0 /{row}",
                f"{names} | rm8,cl | D2 /{row}",
                f"{names} | rm8,u8 | C0 /{row} ib",
                f"{names} | rmv,1 | D1 /{row}",
                f"{names} | rmv,cl | D3 /{row}",
                f"{names} | rmv,u8 | C1 /{row} ib",
            ]
    return "\n".join(lines)


def _generated() -> str:
    lines = [_arithmetic(), _shifts()]
    for name, code in CONDITIONS.items():
        lines.append(f"set{name} | rm8only | 0F {0x90 + code:02X} /0")
        lines.append(f"cmov{name} | rv,rmv | 0F {0x40 + code:02X} /r")
    for name, code in _STRINGS.items():
        lines.append(f"{name}b | | {code:02X}")
        lines.append(f"{name}w | | o16 {code + 1:02X}")
        lines.append(f"{name}d | | o32 {code + 1:02X}")
        if code >= 0xA4:
            lines.append(f"{name}q | | o64 {code + 1:02X}")
    return "\n".join(lines)


@cache
def forms() -> dict[str, tuple[Form, ...]]:
    """Return every instruction of the table by its name."""
    found: dict[str, list[Form]] = {}
    for line in (_TABLE + _generated()).splitlines():
        if not line:
            continue
        names, operands, encoding = (part.strip() for part in line.split("|"))
        form = Form(tuple(operands.split(",")) if operands else (), tuple(encoding.split()))
        for name in names.split(","):
            found.setdefault(name, []).append(form)
    return {name: tuple(choices) for name, choices in found.items()}
