; crossing: drives the traffic light of traffic_light.py by its ports and its interrupt.
; Run:    minivm run --config crossing.toml      (in this folder)
; The button, or any key, lets the walkers cross once.

LAMPS   equ 0x500                       ; the device's ports, as crossing.toml places it
STATUS  equ LAMPS + 1
TIMER   equ LAMPS + 2
BUTTON  equ 1
TIME_UP equ 2

; LAMPS: cars' red 01h, amber 02h, green 04h; walkers' red 08h, green 10h
CARS_GO     equ 0x0C
CARS_STOP   equ 0x0A
ALL_RED     equ 0x09
WALKERS_GO  equ 0x11
CARS_READY  equ 0x0B

        org 0x7C00
        bits 16
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        mov word [4 * 0x0D], on_interrupt       ; IRQ5 is vector 0Dh
        mov [4 * 0x0D + 2], ax
        in al, 0x21
        and al, 0xDF                            ; let IRQ5 through the master PIC
        out 0x21, al
        sti

cars:   mov al, CARS_GO
        mov dx, LAMPS
        out dx, al

ready:  hlt                                     ; until the button or a key
        test byte [happened], BUTTON
        jnz cross
        mov ah, 0x01
        int 0x16
        jz ready
        xor ah, ah
        int 0x16

cross:  mov si, phases
.phase: lodsw                                   ; AL the lamps, AH the tenths of a second
        test ah, ah
        jz .done
        mov dx, LAMPS
        out dx, al
        mov al, ah
        mov dx, TIMER
        out dx, al
.wait:  hlt
        test byte [happened], TIME_UP
        jz .wait
        and byte [happened], ~TIME_UP & 0xFF
        jmp .phase
.done:  and byte [happened], ~BUTTON & 0xFF     ; who pressed meanwhile has crossed
        jmp cars

on_interrupt:
        push ax
        push dx
        mov dx, STATUS
.more:  in al, dx
        and al, BUTTON | TIME_UP
        jz .served
        or [happened], al
        out dx, al                              ; cleared is only what was seen: something new keeps the line high,
        jmp .more                               ; and the PIC waits for a rise, so look until nothing is left
.served:
        mov al, 0x20
        out 0x20, al
        pop dx
        pop ax
        iret

phases: db CARS_STOP, 20, ALL_RED, 10, WALKERS_GO, 50, ALL_RED, 20, CARS_READY, 10, 0, 0
happened: db 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
