; idle: nothing to do, for ever: the price of a guest that only sleeps.
; Run:    minivm run idle --speed 1x --timeout 5
; Exit:   124

; The BIOS's own timer interrupt wakes it 18.2 times a second.

        bits 16
        org 0x7C00

start:
        sti
        hlt
        jmp start

        times 510 - ($ - $$) db 0
        dw 0xAA55
