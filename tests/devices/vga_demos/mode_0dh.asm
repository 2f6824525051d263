; Mode 0Dh: 320 x 200 in 16 colours, by the write modes and the read mode that compare and spread colours.
; Shows 640 x 400 pixels, SHA-256 f5092b51728d6c305756470766ce0e63ecdbc2c9ef5d87530d4d39a5996ed33b
%include "vga_demo.inc"
PITCH equ 40
LINES equ 200
    begin registers
%include "ega.inc"
registers:
    db 63h
    db 03h, 09h, 0Fh, 00h, 06h
    db 2Dh, 27h, 28h, 90h, 2Bh, 80h, 0BFh, 1Fh, 00h, 0C0h, 00h, 00h, 00h, 00h, 00h, 00h
    db 9Ch, 8Eh, 8Fh, 14h, 00h, 96h, 0B9h, 0E3h, 0FFh
    db 00h, 00h, 00h, 00h, 00h, 00h, 05h, 0Fh, 0FFh
    db 00h, 01h, 02h, 03h, 04h, 05h, 06h, 07h, 10h, 11h, 12h, 13h, 14h, 15h, 16h, 17h
    db 01h, 00h, 0Fh, 00h, 00h
    end_of_sector
