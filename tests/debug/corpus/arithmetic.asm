bits 16
%macro each 1
        %1 al, 5
        %1 ax, 5
        %1 ax, 500
        %1 bx, -1
        %1 bx, 0xfff0
        %1 cl, 0x80
        %1 eax, 5
        %1 eax, 0x12345678
        %1 edx, -128
        %1 ax, bx
        %1 al, ah
        %1 eax, esi
        %1 [di], al
        %1 [di], bx
        %1 dx, [di]
        %1 byte [di], 1
        %1 word [di], 1
        %1 word [di], 1000
        %1 dword [di], 1000
        %1 word [di], byte 3
        %1 ax, strict word 5
%endmacro
each add
each or
each adc
each sbb
each and
each sub
each xor
each cmp
%macro shift 1
        %1 al, 1
        %1 ax, cl
        %1 eax, 4
        %1 byte [bx], 1
        %1 word [bx], cl
        %1 dword [bx], 31
%endmacro
shift rol
shift ror
shift rcl
shift rcr
shift shl
shift sal
shift shr
shift sar
mul bl
mul word [bx]
imul cx
imul ax, bx
imul ax, 5
imul ax, bx, 500
imul eax, [bx], 7
div ecx
idiv byte [di]
neg ax
not dword [bx]
inc ax
inc al
dec esi
test al, 1
test ax, 0x100
test bx, 0x100
test [bx], al
test cx, [bx]
test byte [bx], 0x80
bt ax, 3
bts [bx], cx
btr word [bx], 5
bsf eax, ebx
shld ax, bx, 4
shrd eax, ebx, cl
xadd [bx], ax
cmpxchg [bx], cx
bswap eax
aam
aad 16
daa
das
aaa
aas
cbw
cwde
cwd
cdq
setz al
setnbe [bx]
movzx eax, byte [bx]
movzx ax, bl
movsx eax, ax
cmovz ax, bx
