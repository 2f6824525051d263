; hello-bios: the shortest way to print, by asking the BIOS.
; Run:    minivm run hello-bios
; Prints: Hello from the BIOS!
; Exit:   0

        bits 16
        org 0x7C00              ; the BIOS puts a boot sector here and jumps to it

start:
        xor ax, ax              ; the BIOS promises nothing about DS (only DL = the boot drive),
        mov ds, ax              ; and our labels count from address 0
        cld                     ; LODSB shall walk upwards

        mov si, message
next:
        lodsb                   ; AL = the byte at DS:SI, SI = SI + 1
        test al, al
        jz done
        mov ah, 0x0E            ; INT 10h, AH=0Eh: write a character and move the cursor,
        mov bx, 0x0007          ; on page BH=0; BL is a colour in graphics modes only
        int 0x10
        jmp next

done:
        cli                     ; no interrupt can wake the CPU any more,
        hlt                     ; so this halt is the machine's end

message: db "Hello from the BIOS!", 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55               ; without this mark the BIOS does not boot it
