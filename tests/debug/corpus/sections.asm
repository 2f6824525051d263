org 0x7c00
section .data
greeting: db 'hi', 0
pointer: dw start, greeting, buffer
section .text
start:  mov si, greeting
        mov di, buffer
        mov ax, [pointer]
        mov [buffer + 2], ax
        jmp start
section .bss
buffer: resb 64
tail:   resw 1
section .text
more:   mov bx, tail
        mov cx, tail - buffer
        ret
section .data
        dw more, $$, $
