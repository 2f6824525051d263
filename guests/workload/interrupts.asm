; interrupts: 60,000 times INT 20h and back: the price of delivering an interrupt.
; Run:    minivm run guests/workload/interrupts.img
; Exit:   1

        bits 16
        org 0x7C00

INTERRUPTS equ 60000            ; tests/benchmarks/run.py reads this line

start:
        cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        mov word [0x20 * 4], handler
        mov word [0x20 * 4 + 2], 0
        xor ebx, ebx
        mov ecx, INTERRUPTS
next:
        int 0x20
        dec ecx
        jnz next

        cmp ebx, INTERRUPTS     ; each one must have been delivered: 0 when so, 1 when not
        setne al
        out 0xF4, al
        hlt

handler:
        inc ebx
        iret

        times 510 - ($ - $$) db 0
        dw 0xAA55
