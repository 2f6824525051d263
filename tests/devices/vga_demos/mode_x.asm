; Mode X: 320 x 240 in 256 colours without chain-4. A field wider than the screen is drawn plane by plane, copied
; downwards through the latches four pixels at a time, and scrolled by the start address, while the lower part of the
; screen shows a bar from address 0: line compare splits the picture.
; Shows 640 x 480 pixels, SHA-256 39c77e71068a7b0fb3db61755a1b1b52f237d060722dd6b1b18bea3af428a1d1
%include "vga_demo.inc"
PITCH equ 100                   ; offsets a line: 400 pixels
BAR equ 40                      ; lines of the bar at address 0
BAND equ 32                     ; lines that are drawn; the others are copies
FIELD equ BAR * PITCH
    begin registers
    mov bx, 1
    call rainbow
    mov ah, 1                   ; a plane's bit in the map mask
    xor bp, bp                  ; and its number
.plane:
    mov dx, 3C4h
    mov al, 2
    out dx, ax
    xor di, di
    xor bx, bx                  ; y
.line:
    mov si, bp                  ; x
.pixel:
    mov dx, si
    mov cx, bx
    cmp bx, BAR
    jae .tile
    shl cl, 2                   ; the bar is a slope of colours
    add dl, cl
    jmp .put
.tile:
    xor dl, cl                  ; tiles of 16 x 16 pixels, each with its own corner
    and dl, 0Fh
    shl cl, 1
    and cl, 40h
    add dl, cl
    mov cx, si
    and cl, 0F0h
    add dl, cl
.put:
    mov [es:di], dl
    inc di
    add si, 4
    cmp si, 400
    jb .pixel
    inc bx
    cmp bx, BAR + BAND + 1      ; one line more, for the copies begin three offsets late
    jb .line
    inc bp
    shl ah, 1
    cmp ah, 10h
    jb .plane
    set 3C4h, 2, 0Fh
    set 3CEh, 5, 41h            ; write mode 1: what the latches hold
    push es
    pop ds
    mov si, FIELD
    mov di, FIELD + BAND * PITCH + 3
    mov cx, 6 * BAND * PITCH
    rep movsb
    mov bx, FIELD
.scroll:
    mov dx, 3DAh
.shown:
    in al, dx
    test al, 8
    jnz .shown
.retrace:
    in al, dx
    test al, 8
    jz .retrace
    mov dl, 0D4h
    mov al, 0Ch
    mov ah, bh
    out dx, ax
    inc ax
    mov ah, bl
    out dx, ax
    add bx, PITCH + 1           ; one line down and four pixels to the right
    cmp bx, FIELD + 12 * (PITCH + 1)
    jbe .scroll
    finish
    library
registers:
    db 0E3h
    db 03h, 01h, 0Fh, 00h, 06h
    db 5Fh, 4Fh, 50h, 82h, 54h, 80h, 0Dh, 3Eh, 00h, 01h, 00h, 00h, 00h, 00h, 00h, 00h
    db 0EAh, 0ACh, 0DFh, PITCH / 2, 00h, 0E7h, 06h, 0E3h, 8Fh
    db 00h, 00h, 00h, 00h, 00h, 40h, 05h, 0Fh, 0FFh
    db 00h, 01h, 02h, 03h, 04h, 05h, 06h, 07h, 08h, 09h, 0Ah, 0Bh, 0Ch, 0Dh, 0Eh, 0Fh
    db 41h, 00h, 0Fh, 00h, 00h
    end_of_sector
