; io: 500,000 writes to a port, one after the other: the price of a trap to a device.
; Run:    minivm run guests/workload/io.img
; Exit:   1

        bits 16
        org 0x7C00

OUTS    equ 500000              ; tests/benchmarks/run.py reads this line
POST    equ 0x80                ; the power-on self test's display: takes any byte

start:
        cli
        mov ecx, OUTS
next:
        mov al, cl
        out POST, al
        dec ecx
        jnz next

        mov al, 0
        out 0xF4, al
        hlt

        times 510 - ($ - $$) db 0
        dw 0xAA55
