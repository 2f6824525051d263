; Mode 12h: a fan of lines in 16 colours, 640 x 480. Each pixel is set through the latches with set/reset as its colour
; and the bit mask as its place; a bar below is turned over by the logical XOR of the data rotate register.
; Shows 640 x 480 pixels, SHA-256 c9ef5f20ca5fb29f9125a579d800564d5d7c09d6698a8f0451c1d869b19f1b81
%include "vga_demo.inc"
    begin registers
    mov bx, 5
    call rainbow
    mov dx, 3C8h                ; but black is black
    mov al, 0
    out dx, al
    inc dx
    out dx, al
    out dx, al
    out dx, al
    xor di, di                  ; all planes empty
    xor eax, eax
    mov cx, 16384
    rep stosd
    set 3CEh, 1, 0Fh            ; the colour comes from set/reset
.fan:
    mov ax, [number]
    and ax, 15
    mov ah, al
    mov al, 0
    mov dx, 3CEh
    out dx, ax
    mov si, [number]            ; from (16 * n, 0) to (639 - 16 * n, 479)
    shl si, 4
    mov ax, 639
    sub ax, si
    sub ax, si
    movsx ebp, ax
    shl ebp, 16
    mov eax, ebp
    cdq
    mov ebx, 480
    idiv ebx
    mov ebp, eax                ; the slope in 65536ths
    shl esi, 16
    xor di, di                  ; the line's first byte
.step:
    mov ebx, esi
    shr ebx, 16
    mov cl, bl
    and cl, 7
    shr bx, 3
    mov ax, 8008h
    shr ah, cl
    mov dx, 3CEh
    out dx, ax
    mov al, [es:bx + di]        ; fill the latches
    mov [es:bx + di], al
    add esi, ebp
    add di, 80
    cmp di, 80 * 480
    jb .step
    inc word [number]
    cmp word [number], 40
    jb .fan
    set 3CEh, 8, 0FFh
    set 3CEh, 0, 0Ah
    set 3CEh, 3, 18h            ; XOR with the latches
    mov di, 80 * 300
    mov cx, 80 * 40
.turn:
    mov al, [es:di]
    stosb
    loop .turn
    finish
number:
    dw 1
    library
registers:
    db 0E3h
    db 03h, 01h, 0Fh, 00h, 06h
    db 5Fh, 4Fh, 50h, 82h, 54h, 80h, 0Bh, 3Eh, 00h, 40h, 00h, 00h, 00h, 00h, 00h, 00h
    db 0EAh, 8Ch, 0DFh, 28h, 00h, 0E7h, 04h, 0E3h, 0FFh
    db 00h, 00h, 00h, 00h, 00h, 00h, 05h, 0Fh, 0FFh
    db 00h, 03h, 06h, 09h, 0Ch, 0Fh, 12h, 15h, 18h, 1Bh, 1Eh, 21h, 24h, 27h, 2Ah, 2Dh
    db 01h, 00h, 0Fh, 00h, 00h
    end_of_sector
