; serial: the 16550 UART, first by asking it again and again, then by its interrupt.
; Run:    minivm run serial
; Prints: Polled: one byte whenever LSR says there is room.
; Prints: By interrupt: the UART asks for each byte.
; Prints: All sent.
; Exit:   0

        bits 16
        org 0x7C00

COM1    equ 0x3F8
DATA    equ COM1 + 0            ; THR/RBR; with DLAB on: divisor, low byte
ENABLE  equ COM1 + 1            ; IER: which events interrupt; with DLAB on: divisor, high byte
FIFO    equ COM1 + 2            ; FCR when written, IIR (what interrupted) when read
FORMAT  equ COM1 + 3            ; LCR
MODEM   equ COM1 + 4            ; MCR
STATUS  equ COM1 + 5            ; LSR
ROOM    equ 0x20                ; LSR bit 5, THRE: the transmitter takes another byte
EMPTY   equ 0x40                ; LSR bit 6, TEMT: the last bit has left
IRQ4_VECTOR equ 0x0C

start:
        cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        cld

        mov dx, FORMAT
        mov al, 0x80            ; DLAB: the first two ports are the divisor now
        out dx, al
        mov dx, DATA
        mov al, 1               ; 1843200 Hz / 16 / 1 = 115200 bits a second
        out dx, al
        mov dx, ENABLE
        xor al, al
        out dx, al
        mov dx, FORMAT
        mov al, 0x03            ; DLAB off; 8 bits, no parity, 1 stop bit
        out dx, al
        mov dx, FIFO
        xor al, al              ; FIFOs off, as on an 8250: one byte at a time
        out dx, al

        mov si, polled
send:
        lodsb
        test al, al
        jz with_interrupts
        mov ah, al
        mov dx, STATUS
wait_for_room:
        in al, dx
        test al, ROOM
        jz wait_for_room
        mov al, ah
        mov dx, DATA
        out dx, al
        jmp send

with_interrupts:
        mov word [IRQ4_VECTOR * 4], on_uart
        mov word [IRQ4_VECTOR * 4 + 2], 0
        mov dx, MODEM
        mov al, 0x0B            ; DTR, RTS, and OUT2: on a PC, OUT2 connects the UART to IRQ4
        out dx, al
        in al, 0x21             ; the 8259A's mask (OCW1)
        and al, ~0x10 & 0xFF    ; let IRQ4 through
        out 0x21, al
        mov si, interrupting    ; on_uart owns SI from here on
        mov dx, ENABLE
        mov al, 0x02            ; "room for a byte" interrupts; there is room, so it does at once
        out dx, al
sleep:
        sti
        hlt
        cli
        cmp byte [finished], 0
        je sleep

        mov dx, STATUS
drain:
        in al, dx               ; a halted machine sends nothing more: wait for the last bit
        test al, EMPTY
        jz drain
        cli
        hlt

on_uart:
        push ax
        push dx
        mov dx, FIFO
        in al, dx               ; reading IIR says what it was, and takes this request back
        cmp al, 0x02            ; anything but "room for a byte"?
        jne handled
        lodsb
        test al, al
        jz no_more
        mov dx, DATA
        out dx, al
        jmp handled
no_more:
        mov byte [finished], 1
        mov dx, ENABLE
        xor al, al
        out dx, al
handled:
        mov al, 0x20
        out 0x20, al
        pop dx
        pop ax
        iret

finished:     db 0
polled:       db "Polled: one byte whenever LSR says there is room.", 13, 10, 0
interrupting: db "By interrupt: the UART asks for each byte.", 13, 10, "All sent.", 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
