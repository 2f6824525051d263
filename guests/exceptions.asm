; exceptions: a fault, a breakpoint, and the trap flag that every debugger lives on.
; Run:    minivm run exceptions
; Prints: #DE: a division by zero
; Prints: #BP: a breakpoint
; Prints: #DB: 5 instructions stepped
; Exit:   0

        bits 16
        org 0x7C00

start:
        cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov word [0 * 4], on_divide_error
        mov word [0 * 4 + 2], 0
        mov word [1 * 4], on_debug
        mov word [1 * 4 + 2], 0
        mov word [3 * 4], on_breakpoint
        mov word [3 * 4 + 2], 0

        ; Vector 0 is a fault: the saved address is that of the DIV itself. A handler that only returned
        ; would see it again for ever, so ours moves the address beyond it. (On an 8086 it was a trap.)
        xor bx, bx
divide:
        div bx                  ; two bytes: F7 F3
after_divide:

        ; Vector 3 is a trap: the saved address is that of the next instruction. INT3 has an opcode of one
        ; byte (CC) of its own, so that a debugger can put it over any instruction.
        int3

        ; Vector 1 comes after every instruction that began with TF on.
        pushf
        pop ax
        or ax, 0x0100           ; TF
        push ax
        popf                    ; this one began with TF off: no trap yet
        nop                     ; 1
        nop                     ; 2
        pushf                   ; 3
        pop ax                  ; 4: the copy has TF on, too
        and ax, ~0x0100 & 0xFFFF ; 5
        push ax
        popf
        mov al, [steps]         ; by now 7: the last two began with TF on as well
        sub al, 2
        add al, '0'
        mov [digit], al
        mov si, stepped
        call print
        hlt

on_divide_error:
        push bp
        mov bp, sp
        add word [bp + 2], after_divide - divide
        pop bp
        mov si, divided
        call print
        iret

on_breakpoint:
        mov si, broke
        call print
        iret

on_debug:                       ; delivery has switched TF off: the handler itself is not stepped
        inc byte [steps]
        iret                    ; and this brings TF back

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

steps:   db 0
divided: db "#DE: a division by zero", 13, 10, 0
broke:   db "#BP: a breakpoint", 13, 10, 0
stepped: db "#DB: "
digit:   db "0 instructions stepped", 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
