; scancodes: the keyboard without the BIOS: an interrupt for each press and each release.
; Run:    minivm run scancodes
; Type:   aB\e
; Prints: Press keys; Esc ends.
; Prints: 1E 9E
; Prints: 30 B0
; Prints: Bye.
; Exit:   0

        bits 16
        org 0x7C00

DATA        equ 0x60            ; the keyboard controller's output: one scan code
IRQ1_VECTOR equ 0x09
ESCAPE_UP   equ 0x81            ; Esc is key 01; its release has bit 7 on

start:
        cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov si, welcome
        call print
        mov word [IRQ1_VECTOR * 4], on_key
        mov word [IRQ1_VECTOR * 4 + 2], 0

sleep:
        sti                     ; works one instruction late, so that nothing comes between STI and HLT:
        hlt                     ; a key that did would be missed until the next one
        cli
take:
        mov bx, [read_from]     ; a ring of 16: the handler writes ahead, we read behind
        cmp bx, [write_to]
        je sleep
        mov al, [ring + bx]
        inc bx
        and bx, 15
        mov [read_from], bx
        cmp al, ESCAPE_UP
        je quit
        call put_byte
        jmp take

quit:
        mov si, bye
        call print
        cli
        hlt

on_key:
        push ax
        push bx
        in al, DATA             ; the controller holds the next code back until this one is read
        mov bx, [cs:write_to]
        mov [cs:ring + bx], al
        inc bx
        and bx, 15
        mov [cs:write_to], bx
        mov al, 0x20
        out 0x20, al
        pop bx
        pop ax
        iret

put_byte:                       ; AL as two hexadecimal digits and a space
        push ax
        shr al, 4
        call put_digit
        pop ax
        and al, 0x0F
        call put_digit
        mov al, ' '
        jmp put
put_digit:
        cmp al, 10
        sbb al, 0x69
        das
put:
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        ret

print:
        lodsb
        test al, al
        jz printed
        call put
        jmp print
printed:
        ret

read_from: dw 0
write_to:  dw 0
ring:      times 16 db 0
welcome:   db "Press keys; Esc ends.", 13, 10, 0
bye:       db 13, 10, "Bye.", 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
