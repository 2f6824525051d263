; screen-planes: mode 12h, 640 x 480 in four planes, filled by REP STOSB in write mode 0: each byte goes through the card.
; Run:    minivm run guests/workload/screen-planes.img
; Exit:   1

        bits 16
        org 0x7C00

SCREENS equ 4                   ; tests/benchmarks/run.py reads this line
BYTES   equ 640 / 8 * 480

start:
        cli
        cld
        mov ax, 0x12
        int 0x10
        mov ax, 0xA000
        mov es, ax
        mov bp, SCREENS
screen:
        xor di, di
        mov ax, bp
        mov cx, BYTES
        rep stosb
        dec bp
        jnz screen

        mov al, 0
        out 0xF4, al
        hlt

        times 510 - ($ - $$) db 0
        dw 0xAA55
