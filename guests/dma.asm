; dma: a floppy sector by two chips alone: the controller finds it, the DMA chip carries it into memory.
; Run:    minivm run dma
; Prints: Interrupt 6: the drive has found track 0.
; Prints: Interrupt 6: the sector is here, 00 00 00 00 00 03 02
; Prints: No instruction has moved this line.
; Exit:   0

; The floppy controller (82077) knows tracks and sectors, but no memory; the DMA controller (8237) knows addresses, but
; no disks. Channel 2 joins them: for each byte that comes off the disk the one asks and the other takes the bus.

        bits 16
        org 0x7C00

BUFFER  equ 0x1000              ; must not cross a 64 KiB border: the 8237 counts 16 bits, the page register none

MOTORS  equ 0x3F2               ; bit 4: motor of drive 0; bit 3: interrupts and DMA; bit 2: 0 resets the controller
STATUS  equ 0x3F4               ; bit 7: a byte may pass; bit 6: from the controller
DATA    equ 0x3F5
RATE    equ 0x3F7

start:
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        cli
        mov word [0x0E * 4], on_interrupt
        mov word [0x0E * 4 + 2], 0
        in al, 0x21
        and al, 0xBF            ; let IRQ 6 through
        out 0x21, al

        mov dx, MOTORS
        mov al, 0x18            ; reset, the motor on
        out dx, al
        mov al, 0x1C            ; and out of it: the controller answers by an interrupt
        out dx, al
        call wait_for_interrupt
        mov cx, 4               ; one answer for each of its four drives
sense_reset:
        call sense
        loop sense_reset
        mov dx, RATE
        mov al, 0               ; 500 kbit/s, as a 1.44 MB floppy wants
        out dx, al
        mov si, specify
        call command
        mov si, recalibrate
        call command
        call wait_for_interrupt
        call sense
        mov si, found
        call print

        mov al, 0x06            ; 8237: channel 2 off while it is being set
        out 0x0A, al
        out 0x0C, al            ; whatever is written: the low byte comes next
        mov al, 0x46            ; one byte at a time, upwards, into memory, channel 2
        out 0x0B, al
        mov ax, BUFFER
        out 0x04, al
        mov al, ah
        out 0x04, al
        mov al, 0
        out 0x81, al            ; the page: address bits 16-23
        mov ax, 512 - 1         ; it stops when the count goes below 0
        out 0x05, al
        mov al, ah
        out 0x05, al
        mov al, 0x02            ; channel 2 on
        out 0x0A, al
        mov si, read
        call command
        call wait_for_interrupt
        mov si, here
        call print
        mov cx, 7               ; three status bytes, then where it stands: cylinder, head, sector, size
result:
        mov al, ' '
        call put
        call receive
        call put_byte
        loop result
        mov dx, MOTORS
        mov al, 0x0C            ; the motor off
        out dx, al
        mov si, end_of_line
        call print
        mov si, BUFFER
        call print
        cli
        hlt

on_interrupt:
        push ax
        mov byte [interrupted], 1
        mov al, 0x20
        out 0x20, al
        pop ax
        iret

wait_for_interrupt:
        cli
        cmp byte [interrupted], 1
        je came
        sti                     ; takes effect behind the next instruction: no interrupt gets between
        hlt
        jmp wait_for_interrupt
came:
        mov byte [interrupted], 0
        sti
        ret

sense:                          ; what was the interrupt about? a command of one byte, an answer of two
        mov si, sense_interrupt
        call command
        call receive
receive:                        ; AL = a byte from the controller
        mov dx, STATUS
nothing_yet:
        in al, dx
        and al, 0xC0
        cmp al, 0xC0
        jne nothing_yet
        inc dx
        in al, dx
        ret

command:                        ; the bytes at SI, the first of which says how many follow
        lodsb
        mov bl, al
next_byte:
        mov dx, STATUS
not_yet:
        in al, dx
        and al, 0xC0
        cmp al, 0x80
        jne not_yet
        inc dx
        lodsb
        out dx, al
        dec bl
        jnz next_byte
        ret

put_byte:                       ; AL in two digits
        push ax
        shr al, 4
        call put_nibble
        pop ax
put_nibble:
        and al, 0x0F
        cmp al, 10
        sbb al, 0x69            ; 0-9 and 10-15 ...
        das                     ; ... become '0'-'9' and 'A'-'F'
put:
        push bx
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        pop bx
        ret

print:
        lodsb
        test al, al
        jz printed
        call put
        jmp print
printed:
        ret

interrupted:     db 0
specify:         db 3, 0x03, 0xDF, 0x02 ; step rate and head times; bit 0 of the last byte: 0 = with DMA
recalibrate:     db 2, 0x07, 0  ; drive 0 to track 0
sense_interrupt: db 1, 0x08
read:            db 9, 0xE6, 0, 0, 0, 2, 2, 18, 27, 0xFF ; drive, cylinder, head, sector 2 of 512 bytes, of 18 a track
found:           db "Interrupt 6: the drive has found track 0.", 13, 10, 0
here:            db "Interrupt 6: the sector is here,", 0
end_of_line:     db 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55

        db "No instruction has moved this line.", 0
        times 2880 * 512 - ($ - $$) db 0 ; a whole 1.44 MB floppy, or it might be taken for another kind
