; protected: from real mode to 32-bit protected mode in the fewest steps.
; Run:    minivm run protected
; Prints: 32 bits: EDX holds 12345678
; Exit:   0

        bits 16
        org 0x7C00

CODE    equ 0x08                ; selectors: the descriptor's place in the table, times 8
DATA    equ 0x10

start:
        cli                     ; the vector table means nothing in protected mode; no interrupts without an IDT
        xor ax, ax
        mov ds, ax
        lgdt [gdt_pointer]
        mov eax, cr0
        or al, 1                ; CR0.PE
        mov cr0, eax            ; protected from here on, but CS still holds what real mode left there
        jmp CODE:protected      ; the far jump loads CS from the table; its D bit makes the code 32-bit

        bits 32
protected:
        mov ax, DATA            ; the other segment registers, too, get descriptors in place of paragraphs
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov esp, 0x7C00
        cld

        mov edi, 0xB8000        ; a flat 32-bit pointer: no segment arithmetic any more
        mov ecx, 80 * 25
        mov ax, 0x0720
        rep stosw
        mov edi, 0xB8000
        mov esi, message
        mov ah, 0x0A            ; light green on black
next:
        lodsb
        test al, al
        jz number
        stosw
        jmp next

number:                         ; EDX in hexadecimal, most significant digit first
        mov edx, 0x12345678
        mov ecx, 8
digit:
        rol edx, 4
        mov al, dl
        and al, 0x0F
        add al, '0'
        cmp al, '9'
        jbe store
        add al, 'A' - '9' - 1
store:
        stosw
        loop digit

        cli
        hlt

message: db "32 bits: EDX holds ", 0

gdt:                            ; SDM volume 3, "Segment Descriptors": limit and base lie scattered, for the 286's sake
        dq 0                    ; the null descriptor: selector 0 loads, but may not be used
        dw 0xFFFF, 0x0000       ; code: limit 15-0, base 15-0
        db 0x00                 ; base 23-16
        db 0x9A                 ; present, ring 0, code, readable
        db 0xCF                 ; G: limit in 4 KiB pages; D: 32-bit; limit 19-16
        db 0x00                 ; base 31-24
        dw 0xFFFF, 0x0000       ; data: the same 4 GiB, but
        db 0x00
        db 0x92                 ; present, ring 0, data, writable
        db 0xCF
        db 0x00
gdt_pointer:
        dw gdt_pointer - gdt - 1 ; the limit is the last valid byte, not the size
        dd gdt

        times 510 - ($ - $$) db 0
        dw 0xAA55
