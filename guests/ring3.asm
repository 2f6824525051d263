; ring3: a program that may do little, and the one door to the kernel: INT 80h.
; Run:    minivm run ring3
; Prints: kernel: going to ring 3
; Prints: user: hello from ring 3
; Prints: kernel: no CLI in ring 3 (#GP)
; Exit:   0

        bits 16
        org 0x7C00

KERNEL_CODE equ 0x08
KERNEL_DATA equ 0x10
USER_CODE   equ 0x18 + 3        ; the two low bits of a selector ask for ring 3
USER_DATA   equ 0x20 + 3
TASK        equ 0x28
TSS         equ 0x1000          ; task state segment: 104 bytes, of which two fields matter here
IDT         equ 0x2000
KERNEL_STACK equ 0x7C00
USER_STACK   equ 0x7000

start:
        cli
        xor ax, ax
        mov ds, ax
        lgdt [gdt_pointer]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp KERNEL_CODE:protected

        bits 32
protected:
        mov ax, KERNEL_DATA
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov esp, KERNEL_STACK
        cld
        xor eax, eax
        mov edi, TSS
        mov ecx, (0x3000 - TSS) / 4
        rep stosd
        mov edi, 0xB8000
        mov ecx, 80 * 25
        mov ax, 0x0720
        rep stosw
        mov edi, 0xB8000

        ; On the way from ring 3 to ring 0 the CPU takes the stack from the TSS: the user's might be anything.
        mov dword [TSS + 4], KERNEL_STACK ; ESP0
        mov dword [TSS + 8], KERNEL_DATA  ; SS0
        mov ax, TASK
        ltr ax

        ; INT 80h: a trap gate with DPL 3 (EFh), or INT 80h from ring 3 would be a #GP itself.
        mov dword [IDT + 0x80 * 8], KERNEL_CODE * 0x10000 + (system_call - $$ + 0x7C00)
        mov dword [IDT + 0x80 * 8 + 4], 0x0000EF00
        ; Vector 13, #GP: an interrupt gate with DPL 0 (8Eh). Exceptions do not ask for the DPL.
        mov dword [IDT + 13 * 8], KERNEL_CODE * 0x10000 + (on_protection_fault - $$ + 0x7C00)
        mov dword [IDT + 13 * 8 + 4], 0x00008E00
        lidt [idt_pointer]

        mov esi, going
        call print

        ; There is no jump down to ring 3, but IRET goes there if the stack says that we came from there.
        push dword USER_DATA    ; SS
        push dword USER_STACK   ; ESP
        push dword 0x00000002   ; EFLAGS: IF off, and IOPL 0: ring 3 may not touch ports nor IF
        push dword USER_CODE    ; CS
        push dword user         ; EIP
        iret

user:
        mov esi, hello          ; the convention of this little system: ESI = the text
        int 0x80
        cli                     ; ring 3 must not stop the machine's interrupts: #GP
        jmp $                   ; never reached

system_call:
        call print
        iret                    ; back to ring 3, whose SS and ESP lie on the stack

on_protection_fault:
        add esp, 4              ; the error code: 0, since no selector is to blame
        mov esi, refused
        call print
        hlt                     ; the interrupt gate has switched IF off: this is the end

print:                          ; the text at ESI on the line at EDI; moves EDI to the next line
        push ds
        push es
        mov ax, KERNEL_DATA     ; on entry from ring 3 they may hold anything: IRET left them null
        mov ds, ax
        mov es, ax
        push edi
        mov ah, 0x0E
next:
        lodsb
        test al, al
        jz printed
        stosw
        jmp next
printed:
        pop edi
        add edi, 160
        pop es
        pop ds
        ret

going:   db "kernel: going to ring 3", 0
hello:   db "user: hello from ring 3", 0
refused: db "kernel: no CLI in ring 3 (#GP)", 0

gdt:                            ; access bytes: 9Ah/92h for ring 0, FAh/F2h for ring 3 (DPL in bits 6-5)
        dq 0
        dw 0xFFFF, 0x0000, 0x9A00, 0x00CF
        dw 0xFFFF, 0x0000, 0x9200, 0x00CF
        dw 0xFFFF, 0x0000, 0xFA00, 0x00CF
        dw 0xFFFF, 0x0000, 0xF200, 0x00CF
        dw 103, TSS, 0x8900, 0  ; 89h: an available 32-bit TSS
gdt_pointer:
        dw gdt_pointer - gdt - 1
        dd gdt
idt_pointer:
        dw 0x81 * 8 - 1
        dd IDT

        times 510 - ($ - $$) db 0
        dw 0xAA55
