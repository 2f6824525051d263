; Mode 4: 320 x 200 in four colours, as a CGA has it: two bits a pixel, odd lines 8 KiB behind even ones.
; Shows 640 x 400 pixels, SHA-256 92e0b2430e86be55e61eeda20f17313a6dac4bb3b2aff4215b87e01b9e99251a
%include "vga_demo.inc"
    begin registers
    mov bx, 5
    call rainbow
    push word 0B800h
    pop es
    xor bp, bp                  ; y
.line:
    mov di, bp
    shr di, 1
    imul di, 80
    test bp, 1
    jz .even
    add di, 2000h
.even:
    xor si, si                  ; x / 4
.byte:
    mov cx, 4
.pixel:
    mov ax, si
    shl ax, 2
    add ax, 4
    sub ax, cx
    imul ax, ax
    mov dx, bp
    imul dx, dx
    add ax, dx
    shr ax, 9
    and al, 3
    shl bl, 2
    or bl, al
    loop .pixel
    mov al, bl
    stosb
    inc si
    cmp si, 80
    jb .byte
    inc bp
    cmp bp, 200
    jb .line
    finish
    library
registers:
    db 63h
    db 03h, 09h, 03h, 00h, 02h
    db 2Dh, 27h, 28h, 90h, 2Bh, 80h, 0BFh, 1Fh, 00h, 0C1h, 00h, 00h, 00h, 00h, 00h, 00h
    db 9Ch, 8Eh, 8Fh, 14h, 00h, 96h, 0B9h, 0A2h, 0FFh
    db 00h, 00h, 00h, 00h, 00h, 30h, 0Fh, 00h, 0FFh
    db 00h, 13h, 15h, 17h, 02h, 04h, 06h, 07h, 10h, 11h, 12h, 13h, 14h, 15h, 16h, 17h
    db 01h, 00h, 03h, 00h, 00h
    end_of_sector
