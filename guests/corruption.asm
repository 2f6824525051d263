; corruption: a program that dies of what happened to one byte sixty million instructions before.
; Run:    minivm run corruption
; Prints: Ada Edsger Grace Penelope
; Prints: Marking, this takes a while...
; Prints: Divide error: the program is broken.
; Exit:   0

; The bug is planted. docs/time-travel.md finds it backwards; do not look for it by reading.

        bits 16
        org 0x7C00

DIVIDE_ERROR equ 0              ; the exception's vector
NAME_SIZE    equ 8              ; characters in a name
ROUNDS       equ 10_000_000     ; of the long computation
TABLE        equ 0x3000         ; its 256 numbers, in a page of their own

start:
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov word [DIVIDE_ERROR * 4], on_divide_error
        mov word [DIVIDE_ERROR * 4 + 2], ax

        mov si, list            ; the names, each with a zero behind it, and a zero behind them all
next_name:
        call add_pupil
        cmp byte [si], 0
        jne next_name
        mov si, line_end
        call print

        mov si, marking
        call print
        call mark
        call average
        mov si, result
        call print
        cli
        hlt

add_pupil:                      ; SI: a name; behind it afterwards
        push si
        call print
        mov si, space
        call print
        pop si
        mov al, [pupils]
        mov ah, NAME_SIZE
        mul ah
        mov di, names
        add di, ax              ; the first place that is free
        inc byte [pupils]

copy_name:
        lodsb
        mov [di], al
        inc di
        test al, al
        jnz copy_name
        ret

mark:                           ; stands for whatever programs do all day: sixty million instructions
        mov ecx, ROUNDS
        mov eax, 1
round:
        imul eax, eax, 1664525
        add eax, 1013904223
        mov bl, cl
        mov [TABLE + bx], al
        dec ecx
        jnz round
        mov word [points], 36
        ret

average:
        mov ax, [points]
        div byte [pupils]
        add al, '0'
        mov [digits], al
        ret

on_divide_error:                ; the saved address is that of the DIV: to return would divide again
        mov si, died
        call print
        cli
        hlt

print:
        lodsb
        test al, al
        jz printed
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        jmp print
printed:
        ret

list:   db "Ada", 0, "Edsger", 0, "Grace", 0, "Penelope", 0, 0
space:  db " ", 0
line_end: db 13, 10, 0
marking: db "Marking, this takes a while...", 13, 10, 0
died:   db "Divide error: the program is broken.", 13, 10, 0
result: db "On average they have "
digits: db "0 points.", 13, 10, 0

names:  times 4 * NAME_SIZE db 0
pupils: db 0
points: dw 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
