; Mode 10h: 640 x 350 in 16 colours, by the write modes and the read mode that compare and spread colours.
; Shows 640 x 350 pixels, SHA-256 3682d6a8854736448b86ae2aebc1032704af4c06f72bebfc6d2e1ba96d0bad20
%include "vga_demo.inc"
PITCH equ 80
LINES equ 350
    begin registers
%include "ega.inc"
registers:
    db 0A3h
    db 03h, 01h, 0Fh, 00h, 06h
    db 5Fh, 4Fh, 50h, 82h, 54h, 80h, 0BFh, 1Fh, 00h, 40h, 00h, 00h, 00h, 00h, 00h, 00h
    db 83h, 85h, 5Dh, 28h, 0Fh, 63h, 0BAh, 0E3h, 0FFh
    db 00h, 00h, 00h, 00h, 00h, 00h, 05h, 0Fh, 0FFh
    db 00h, 01h, 02h, 03h, 04h, 05h, 14h, 07h, 38h, 39h, 3Ah, 3Bh, 3Ch, 3Dh, 3Eh, 3Fh
    db 01h, 00h, 0Fh, 00h, 00h
    end_of_sector
