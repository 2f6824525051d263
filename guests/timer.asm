; timer: sleep until the timer ticks: an interrupt handler of one's own, and HLT.
; Run:    minivm run timer
; Prints: tick 1
; Prints: tick 2
; Prints: tick 9
; Prints: Half a second has passed.
; Exit:   0

        bits 16
        org 0x7C00

IRQ0_VECTOR equ 0x08            ; the BIOS has the first 8259A send IRQ0 as interrupt 08h
TICKS       equ 9               ; the 8254 divides 1193182 Hz by 65536: 18.2 ticks a second

start:
        cli                     ; nobody may interrupt while the vector is half written
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        cld

        ; The vector table starts at address 0: four bytes each, offset then segment.
        mov word [IRQ0_VECTOR * 4], on_tick
        mov word [IRQ0_VECTOR * 4 + 2], 0
        sti

wait_for_tick:
        hlt                     ; the CPU sleeps until an interrupt; its handler returns behind the HLT
        mov al, [ticks]
        cmp al, [shown]
        je wait_for_tick        ; it was some other interrupt
        mov [shown], al
        add al, '0'
        mov [digit], al
        mov si, line
        call print
        cmp byte [shown], TICKS
        jb wait_for_tick

        mov si, done
        call print
        cli
        hlt

on_tick:                        ; comes between any two instructions: it must leave every register as it was
        push ax
        inc byte [cs:ticks]     ; DS may be anyone's; CS is ours
        mov al, 0x20            ; OCW2, non-specific end of interrupt: without it
        out 0x20, al            ; the 8259A never sends this or any lower interrupt again
        pop ax
        iret

print:
        lodsb
        test al, al
        jz printed
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        jmp print
printed:
        ret

ticks:  db 0
shown:  db 0
line:   db "tick "
digit:  db "0", 13, 10, 0
done:   db "Half a second has passed.", 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
