; Text, 80 x 25: a font of our own in plane 2, all 256 characters in all bright and dark colours of our own, and a
; cursor of half a character.
; Shows 720 x 400 pixels, SHA-256 a25860bf2d2a98d2ed983691a8517147cca9f56d0bc2264d8ae7af3a84536311
%include "vga_demo.inc"
    begin registers
    mov bx, 11
    call rainbow
    set 3C4h, 2, 04h            ; reach plane 2 alone, byte by byte
    set 3C4h, 4, 06h
    set 3CEh, 5, 00h
    set 3CEh, 6, 05h
    xor di, di
.glyph:
    mov ax, di                  ; the character is in the upper bits, the line in the lower five
    shr ax, 5
    mov cx, di
    and cl, 7
    rol al, cl
    xor al, cl
    cmp di, 0B0h * 32           ; QEMU draws a ninth pixel for these sixteen, a VGA does not
    jb .store
    cmp di, 0C0h * 32
    jae .store
    and al, 0FEh
.store:
    stosb
    cmp di, 2000h
    jb .glyph
    set 3C4h, 2, 03h
    set 3C4h, 4, 02h
    set 3CEh, 5, 10h
    set 3CEh, 6, 0Eh
    push word 0B800h
    pop es
    xor di, di
.cell:
    mov ax, di
    shr ax, 1
    mov ah, al
    add ah, 37
    imul bx, di, 7
    xor ah, bh
    stosw
    cmp di, 4000
    jb .cell
    finish
    library
registers:
    db 67h
    db 03h, 00h, 03h, 00h, 02h
    db 5Fh, 4Fh, 50h, 82h, 55h, 81h, 0BFh, 1Fh, 00h, 4Fh, 07h, 0Eh, 00h, 00h, 03h, 0C5h
    db 9Ch, 8Eh, 8Fh, 28h, 1Fh, 96h, 0B9h, 0A3h, 0FFh
    db 00h, 00h, 00h, 00h, 00h, 10h, 0Eh, 00h, 0FFh
    db 00h, 11h, 22h, 33h, 04h, 15h, 26h, 37h, 08h, 19h, 2Ah, 3Bh, 0Ch, 1Dh, 2Eh, 3Fh
    db 04h, 00h, 0Fh, 08h, 00h
    end_of_sector
