; mouse: a pointer made by XOR, moved by the BIOS's mouse calls, that paints and wipes.
; Run:    minivm run mouse
; Type:   \e
; Prints: Left paints, right wipes, Esc ends.
; Prints: column 40, row 12
; Prints: Good-bye.
; Exit:   0

; The mouse sends three bytes for each movement: buttons and signs, how far right, how far up. INT 15h AH=C2h starts it
; and calls a routine of ours with them, out of an interrupt. That routine only adds up; the main loop draws.

        bits 16
        org 0x7C00

WIDTH   equ 80 * 8              ; the pointer moves by eighths of a cell
HEIGHT  equ 25 * 8
POINTER equ 0x77              ; the bits of a cell's colours that the pointer turns over
PAINTED equ 0x1F
WIPED   equ 0x07
STATUS  equ (24 * 80 + 2) * 2

start:
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov ax, 0xB800
        mov es, ax
        mov si, welcome
        mov di, 2 * 2
        call print

        push es
        push ds
        pop es
        mov ax, 0xC205          ; INT 15h: prepare for packets ...
        mov bh, 3               ; ... of three bytes
        int 0x15
        jc no_mouse
        mov ax, 0xC207
        mov bx, on_packet       ; ES:BX is to be called for each
        int 0x15
        jc no_mouse
        mov ax, 0xC200
        mov bh, 1               ; on
        int 0x15
        jc no_mouse
        pop es

        call cell
        xor byte [es:di + 1], POINTER
look:
        push di
        call cell
        mov bx, di
        pop di                  ; DI = where the pointer is seen, BX = where it ought to be
        cmp bx, di
        je same_cell
        xor byte [es:di + 1], POINTER ; a second time: as if it had never been there
        mov di, bx
        xor byte [es:di + 1], POINTER
same_cell:
        mov al, PAINTED ^ POINTER ; what XOR will make of it when the pointer goes counts
        test byte [buttons], 1
        jnz paint
        mov al, WIPED ^ POINTER
        test byte [buttons], 2
        jz show
paint:
        mov [es:di + 1], al
show:
        push di
        call show_place
        pop di
        mov ah, 0x01            ; INT 16h: a key? ZF = 1: none
        int 0x16
        jnz key
        hlt                     ; until the mouse, a key or the timer interrupts
        jmp look
key:
        mov ah, 0
        int 0x16
        cmp al, 27
        jne look
        xor byte [es:di + 1], POINTER
        mov ax, 0xC200
        mov bh, 0               ; off
        int 0x15
        mov si, good_bye
        jmp end
no_mouse:
        mov si, none
end:
        mov ax, 0xB800
        mov es, ax
        mov di, STATUS + 40 * 2
        call print
        cli
        hlt

on_packet:                      ; far, with four words on the stack: buttons and signs, X, Y, 0
        push bp
        mov bp, sp
        push ax
        push ds
        push cs
        pop ds
        mov al, [bp + 12]
        mov [buttons], al
        mov ah, 0               ; bit 4: X is negative
        test al, 0x10
        jz right
        dec ah
right:
        mov al, [bp + 10]
        add ax, [x]
        jns not_left
        xor ax, ax
not_left:
        cmp ax, WIDTH - 1
        jbe in_width
        mov ax, WIDTH - 1
in_width:
        mov [x], ax
        mov al, [bp + 12]
        mov ah, 0
        test al, 0x20           ; bit 5: Y is negative
        jz up
        dec ah
up:
        mov al, [bp + 8]
        neg ax                  ; a mouse's Y grows away from you, the screen's row towards you
        add ax, [y]
        jns not_above
        xor ax, ax
not_above:
        cmp ax, HEIGHT - 1
        jbe in_height
        mov ax, HEIGHT - 1
in_height:
        mov [y], ax
        pop ds
        pop ax
        pop bp
        retf

cell:                           ; DI = the cell where the pointer is
        cli                     ; both numbers from the same packet
        mov ax, [y]
        mov di, [x]
        sti
        shr ax, 3
        imul ax, ax, 80
        shr di, 3
        add di, ax
        add di, di
        ret

show_place:                     ; of the cell at DI
        mov ax, di
        shr ax, 1
        mov cl, 80
        div cl                  ; AL = row, AH = column
        push ax
        mov di, STATUS
        mov si, column
        call print
        pop ax
        push ax
        mov al, ah
        call put_number
        mov si, row
        call print
        pop ax
put_number:                     ; AL in two digits
        aam
        add ax, 0x3030
        xchg al, ah
        stosb
        inc di                  ; the colours stay
        mov al, ah
        stosb
        inc di
        ret

print:
        lodsb
        test al, al
        jz printed
        stosb
        inc di
        jmp print
printed:
        ret

x:        dw WIDTH / 2
y:        dw HEIGHT / 2
buttons:  db 0
welcome:  db "Left paints, right wipes, Esc ends.", 0
column:   db "column ", 0
row:      db ", row ", 0
good_bye: db "Good-bye.", 0
none:     db "There is no mouse.", 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
