; A plain number and a label of another section are never reached by a short jump; a prefix may stand alone.
org 0x7c00
x:      jmp 0x7c00
        jz 0x7c00
        call 0x7c00
        jmp short 0x7c00
        loop 0x7c00
        jmp x-$$+0x7c00
y       equ 0x7c00
        jmp y
        jmp later
        jnz other
        a32 rep
        o32
        cs
        jmp near_by
near_by: jmp x
later   equ 0x7c00
section .data
other:  jmp x
        jmp other
