; exit: a boot sector that prints a word and leaves: the price of starting an emulator.
; Run:    minivm run guests/workload/exit.img
; Prints: booted
; Exit:   1

        bits 16
        org 0x7C00

start:
        xor ax, ax
        mov ds, ax
        cld
        mov si, message
next:
        lodsb
        test al, al
        jz done
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        jmp next
done:
        mov al, 0
        out 0xF4, al            ; isa-debug-exit: status (0 << 1) | 1
        cli
        hlt

message: db "booted", 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
