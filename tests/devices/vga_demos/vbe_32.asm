; VBE: 640 x 480 in true colour by the extension's registers, bank after bank at A0000h, on a virtual screen that is
; wider than the picture and begins a little inside it.
; Shows 640 x 480 pixels, SHA-256 b6bb9afa7ac6027a226e0acb4bce7428072f3df65e4dbed7aaf1c498a220f22d
%include "vga_demo.inc"
VIRTUAL equ 1024                ; pixels: a bank is 16 lines
LINES equ 496
%macro vbe 2                    ; register, value
    mov dx, 1CEh
    mov ax, %1
    out dx, ax
    inc dx
    mov ax, %2
    out dx, ax
%endmacro
    begin registers
    vbe 1, 640
    vbe 2, 480
    vbe 3, 32
    vbe 4, 41h
    vbe 6, VIRTUAL
    vbe 8, 40
    vbe 9, 13
    xor bp, bp                  ; y
.bank:
    mov bx, bp
    shr bx, 4
    vbe 5, bx
    xor di, di
.line:
    xor cx, cx                  ; x
.pixel:
    mov ax, cx
    imul ax, bp
    shr ax, 7
    movzx eax, al               ; blue where lines and columns meet
    mov bx, cx
    shr bx, 2
    mov ah, bl                  ; green to the right
    mov ebx, ebp
    shr bx, 1
    shl ebx, 16
    and ebx, 00FF0000h
    or eax, ebx                 ; red downwards
    stosd
    inc cx
    cmp cx, VIRTUAL
    jb .pixel
    inc bp
    test bp, 15
    jnz .line
    cmp bp, LINES
    jb .bank
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
