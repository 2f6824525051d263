; Mode 13h: two sets of rings over each other in 256 colours, pixel by pixel into a flat window.
; Shows 640 x 400 pixels, SHA-256 b78da8c2931ac25da4032bc17d6091f292e70e509efe6ab73edddc79be31997f
%include "vga_demo.inc"
    begin registers
    mov bx, 1
    call rainbow
    xor di, di
    xor bp, bp                  ; y
.line:
    xor cx, cx                  ; x
.pixel:
    mov ax, cx
    sub ax, 100
    imul ax, ax
    mov bx, bp
    sub bx, 60
    imul bx, bx
    add ax, bx
    shr ax, 6
    mov bl, al
    mov ax, cx
    sub ax, 230
    imul ax, ax
    mov dx, bp
    sub dx, 150
    imul dx, dx
    add ax, dx
    shr ax, 6
    add al, bl
    stosb
    inc cx
    cmp cx, 320
    jb .pixel
    inc bp
    cmp bp, 200
    jb .line
    finish
    library
registers:
    db 63h
    db 03h, 01h, 0Fh, 00h, 0Eh
    db 5Fh, 4Fh, 50h, 82h, 54h, 80h, 0BFh, 1Fh, 00h, 41h, 00h, 00h, 00h, 00h, 00h, 00h
    db 9Ch, 8Eh, 8Fh, 28h, 40h, 96h, 0B9h, 0A3h, 0FFh
    db 00h, 00h, 00h, 00h, 00h, 40h, 05h, 0Fh, 0FFh
    db 00h, 01h, 02h, 03h, 04h, 05h, 06h, 07h, 08h, 09h, 0Ah, 0Bh, 0Ch, 0Dh, 0Eh, 0Fh
    db 41h, 00h, 0Fh, 00h, 00h
    end_of_sector
