; triplefault: an exception without a handler, and another for want of one, and a third: a lab for crashes.
; Run:    minivm run triplefault
; Prints: No vector table, and then INT3. Good-bye.
; Exit:   3

        bits 16
        org 0x7C00

start:
        xor ax, ax
        mov ds, ax
        cld
        mov si, message
next:
        lodsb
        test al, al
        jz crash
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        jmp next

crash:
        cli
        lidt [nothing]          ; in real mode, too, the vector table is where IDTR says: now nowhere
        int3                    ; vector 3 lies beyond the limit: #GP. Vector 13 does, too: #DF. Vector 8 does,
                                ; too: the CPU gives up and shuts down; a PC's chipset then resets it
        hlt                     ; never reached

nothing: dw 0                   ; limit 0: a table of one byte
         dd 0
message: db "No vector table, and then INT3. Good-bye.", 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
