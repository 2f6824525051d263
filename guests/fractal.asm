; fractal: the Mandelbrot set in text cells: fractions for a CPU that has only whole numbers.
; Run:    minivm run fractal
; Prints: Mandelbrot, in fixed point: 12 bits behind the point
; Exit:   0

        bits 16
        org 0x7C00

ONE       equ 4096              ; 1.0; a number is so many 4096ths
COLUMNS   equ 80
ROWS      equ 24
LEFT      equ -10240            ; -2.5
TOP       equ -4915             ; -1.2
STEP_X    equ 179               ; 3.5 / 80
STEP_Y    equ 410               ; 2.4 / 24
MOST      equ 60                ; who has not escaped by then never will

start:
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov ax, 0x1003          ; attribute bit 7: a bright background, not blinking
        mov bl, 0
        int 0x10
        mov ax, 0xB800
        mov es, ax
        xor di, di

        mov ebp, TOP            ; EBP = imaginary part of c
row:
        mov esi, LEFT           ; ESI = real part of c
column:
        call escape
        mov bx, MOST            ; CX = steps left, 0 in the set itself
        sub bx, cx
        and bx, 15              ; the colour tells how many steps it took
        mov ah, [colours + bx]
        test cx, cx
        jnz paint
        mov ah, 0x00            ; the set is black
paint:
        mov al, ' '             ; a space shows nothing but its background
        stosw
        add esi, STEP_X
        cmp esi, LEFT + COLUMNS * STEP_X
        jl column
        add ebp, STEP_Y
        cmp di, ROWS * COLUMNS * 2
        jb row

        mov si, caption
        mov ah, 0x0F
next:
        lodsb
        test al, al
        jz stop
        stosw
        jmp next
stop:
        cli
        hlt

escape:                         ; z = z * z + c, until |z| > 2 or CX steps are done
        mov cx, MOST
        xor eax, eax
        mov [real], eax
        mov [imaginary], eax
again:
        mov eax, [real]
        imul eax, eax           ; the product of two 4096ths is 4096 times too large:
        sar eax, 12             ; shift the 12 bits out again
        mov ebx, [imaginary]
        imul ebx, ebx
        sar ebx, 12
        mov edx, eax
        add edx, ebx            ; |z| squared
        cmp edx, 4 * ONE
        ja escaped
        sub eax, ebx
        add eax, esi            ; new real part
        mov ebx, [real]
        imul ebx, [imaginary]
        sar ebx, 11             ; 11 and not 12: twice the product
        add ebx, ebp
        mov [real], eax
        mov [imaginary], ebx
        loop again
escaped:
        ret

real:      dd 0
imaginary: dd 0
colours:   db 0x10, 0x10, 0x90, 0x90, 0x30, 0x30, 0xB0, 0xB0, 0xF0, 0xF0, 0xE0, 0xE0, 0x60, 0x60, 0x40, 0x40
caption:   db "Mandelbrot, in fixed point: 12 bits behind the point", 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
