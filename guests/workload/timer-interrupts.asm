; timer-interrupts: 30,000 ticks of a fast timer, each delivered through the 8259A and acknowledged.
; Run:    minivm run guests/workload/timer-interrupts.img
; Exit:   1

; Between ticks the CPU is halted. On MiniVM a halted CPU skips to the next tick; on QEMU it must wait for it, so
; that there the run lasts 30,000 x 42 microseconds at least, and the two do not compare.

        bits 16
        org 0x7C00

INTERRUPTS equ 30000            ; tests/benchmarks/run.py reads this line
DIVISOR    equ 50               ; 1193182 Hz / 50: a tick every 41.9 microseconds

start:
        cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        mov word [8 * 4], on_tick
        mov word [8 * 4 + 2], 0
        mov al, 0x34            ; channel 0, low and high byte, mode 2
        out 0x43, al
        mov al, DIVISOR & 0xFF
        out 0x40, al
        mov al, DIVISOR >> 8
        out 0x40, al
        xor ebx, ebx
wait_for_tick:
        sti
        hlt
        cli
        cmp ebx, INTERRUPTS
        jb wait_for_tick

        mov al, 0
        out 0xF4, al
        hlt

on_tick:
        inc ebx
        mov al, 0x20
        out 0x20, al
        iret

        times 510 - ($ - $$) db 0
        dw 0xAA55
