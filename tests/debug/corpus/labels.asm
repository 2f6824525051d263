org 0x7c00
one:
.loop:  dec cx
        jnz .loop
.end    ret
two     mov ax, one.loop
.loop:  jmp .loop
        jmp one.end
..@special: jmp .loop
three   equ 3
.after: dw .after, two.after
$five:  dw $five, five
Case:   dw Case
case:   dw case, Case
a_b.c:  dw a_b.c
_x?y@z: dw _x?y@z
msg: db 'text'
len equ $ - msg
        mov cx, len
        mov dx, 1 + \
                2
