; Mode 6: 640 x 200 in two colours; a pattern that no two lines share.
; Shows 640 x 400 pixels, SHA-256 e22d57ebaebf2d469790e7b193310161805b1a2d267742becc3eddf00162eb1b
%include "vga_demo.inc"
    begin registers
    mov bx, 9
    call rainbow
    push word 0B800h
    pop es
    xor di, di
    mov ax, 1234h
.word:
    mov dx, di
    and dx, 1Fh
    cmp dx, 10h
    jb .put
    ror ax, 1
    xor ax, di
.put:
    stosw
    cmp di, 4000h
    jb .word
    finish
    library
registers:
    db 63h
    db 03h, 01h, 01h, 00h, 06h
    db 5Fh, 4Fh, 50h, 82h, 54h, 80h, 0BFh, 1Fh, 00h, 0C1h, 00h, 00h, 00h, 00h, 00h, 00h
    db 9Ch, 8Eh, 8Fh, 28h, 00h, 96h, 0B9h, 0C2h, 0FFh
    db 00h, 00h, 00h, 00h, 00h, 00h, 0Dh, 00h, 0FFh
    db 00h, 17h, 17h, 17h, 17h, 17h, 17h, 17h, 17h, 17h, 17h, 17h, 17h, 17h, 17h, 17h
    db 01h, 00h, 01h, 00h, 00h
    end_of_sector
