; hello-vga: the text screen is memory; writing a cell is all it takes.
; Run:    minivm run hello-vga
; Prints: Hello from B8000h!
; Exit:   0

        bits 16
        org 0x7C00

COLUMNS equ 80
ROW     equ 12
MESSAGE_LENGTH equ 18

start:
        xor ax, ax
        mov ds, ax
        mov ax, 0xB800          ; segment B800h is address B8000h: the colour text screen
        mov es, ax
        cld

        ; Clear: 80 x 25 cells of two bytes each, character first, attribute second.
        xor di, di
        mov cx, COLUMNS * 25
        mov ax, 0x1F20          ; 20h = space; 1Fh = bright white (F) on blue (1)
        rep stosw

        ; Print in the middle of row 12, each letter in the next of 15 colours.
        mov di, (ROW * COLUMNS + (COLUMNS - MESSAGE_LENGTH) / 2) * 2
        mov si, message
        mov cx, MESSAGE_LENGTH
        mov ah, 0x10            ; attribute: background in bits 6-4, foreground in bits 3-0
next:
        lodsb
        inc ah                  ; the next foreground colour
        test ah, 0x0F
        jnz store
        mov ah, 0x19            ; ran over into the background: begin again at light blue
store:
        stosw                   ; one cell: AL the character, AH its colours
        loop next

        ; The cursor is no cell but two registers of the CRT controller (6845: R14 and R15).
        mov dx, 0x3D4           ; index port; the data port is the one behind it
        mov ax, 0x200E          ; R14, cursor location high: bit 5 on is beyond the screen,
        out dx, ax              ; which hides it. One OUT of a word writes both ports.

        cli
        hlt

message: db "Hello from B8000h!"

        times 510 - ($ - $$) db 0
        dw 0xAA55
