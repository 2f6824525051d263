; echo: the keyboard through the BIOS; what you type appears, Esc ends.
; Run:    minivm run echo
; Type:   hi there\n<Up>\e
; Prints: Type; Esc ends.
; Prints: hi there
; Prints: [scan code 48]
; Prints: Bye.
; Exit:   0

        bits 16
        org 0x7C00

start:
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00          ; the stack grows down from below our code
        cld
        mov si, welcome
        call print

again:
        mov ah, 0x00            ; INT 16h, AH=00h: wait for a key.
        int 0x16                ; AL = its character, AH = its scan code (set 1)
        test al, al
        jz special              ; arrows and function keys have no character
        cmp al, 0xE0            ; the grey ones may say E0h in its place
        je special
        cmp al, 27
        je quit
        call put
        cmp al, 13              ; Enter is a carriage return alone: add the line feed
        jne again
        mov al, 10
        call put
        jmp again

special:
        push ax
        mov si, before
        call print
        pop ax
        mov al, ah
        shr al, 4
        call put_digit
        mov al, ah
        and al, 0x0F
        call put_digit
        mov si, after
        call print
        jmp again

quit:
        mov si, bye
        call print
        cli
        hlt

put_digit:                      ; AL = 0..15, printed as one hexadecimal digit
        cmp al, 10
        jb put_decimal
        add al, 'A' - 10 - '0'
put_decimal:
        add al, '0'
put:                            ; AL printed; AX and SI kept
        push ax
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        pop ax
        ret

print:                          ; the text at SI, which ends with a zero
        lodsb
        test al, al
        jz printed
        call put
        jmp print
printed:
        ret

welcome: db "Type; Esc ends.", 13, 10, 0
before:  db "[scan code ", 0
after:   db "]", 13, 10, 0
bye:     db "Bye.", 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
