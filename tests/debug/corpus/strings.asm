bits 16
cld
rep movsb
rep movsw
rep movsd
rep stosb
repe cmpsb
repne scasb
repz scasw
repnz cmpsd
es lodsb
es movsb
fs rep movsw
a32 rep movsd
a32 stosb
insb
insw
outsb
outsd
lock add word [bx], 1
lock xchg [bx], al
xlatb
xlat
lodsw
es
nop
pusha
popa
pushad
popad
pushf
popfd
push ds
pop es
push fs
pop gs
push 5
push 0x1234
push byte -1
push word 5
push dword 5
push dword 0x12345678
enter 16, 0
leave
in al, 0x60
in ax, dx
in eax, dx
out 0x43, al
out dx, eax
xchg ax, bx
xchg bx, ax
xchg cx, dx
xchg al, [bx]
mov ax, ds
mov eax, ds
mov ds, [bx]
mov [bx], es
mov es, eax
sgdt [bx]
lidt [bx]
o32 lgdt [bx]
smsw ax
lmsw ax
clts
wbinvd
rdtsc
cpuid
rdmsr
sysenter
salc
wait
