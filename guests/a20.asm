; a20: address line 20: the same byte, one megabyte apart, until a gate opens.
; Run:    minivm run a20
; Prints: A20 off: FFFF:0510 is 0000:0500
; Prints: A20 on:  FFFF:0510 is another byte
; Exit:   0

        bits 16
        org 0x7C00

; FFFF0h + 0510h = 100500h. The 8086 had no 21st address line, and programs came to rely on the wrap to 00500h.
; The AT's engineers kept them alive with an AND gate on line A20; port 92h (fast A20) and the keyboard
; controller open and close it.
LOW_BYTE  equ 0x0500            ; free memory, right behind the BIOS data area
HIGH_BYTE equ 0x0510
FAST_A20  equ 0x92              ; bit 1: the gate; bit 0 RESETS THE CPU on a 0-to-1 change: keep it 0

start:
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        not ax
        mov es, ax              ; ES = FFFFh
        cld

        in al, FAST_A20
        and al, ~0x03 & 0xFF    ; gate shut
        out FAST_A20, al
        mov si, off
        call report

        in al, FAST_A20
        and al, ~0x01 & 0xFF
        or al, 0x02             ; gate open
        out FAST_A20, al
        mov si, on
        call report

        cli
        hlt

report:                         ; prints the text at SI, and whether the two addresses are one byte
        call print
        mov byte [LOW_BYTE], 0x55
        mov byte [es:HIGH_BYTE], 0xAA
        cmp byte [LOW_BYTE], 0xAA
        mov si, same
        je print
        mov si, other
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

off:    db "A20 off: FFFF:0510 is ", 0
on:     db "A20 on:  FFFF:0510 is ", 0
same:   db "0000:0500", 13, 10, 0
other:  db "another byte", 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
