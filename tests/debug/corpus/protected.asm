; Real mode to protected mode, with a descriptor table.
        org 0x7C00
        [bits 16]
CODE    equ code_descriptor - gdt
DATA    equ data_descriptor - gdt
start:  cli
        lgdt [gdt_pointer]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp CODE:protected
        [bits 32]
protected:
        mov ax, DATA
        mov ds, ax
        mov ss, ax
        mov esp, 0x90000
        mov edi, 0xB8000
        mov esi, message
        mov ah, 0x0F
.next:  lodsb
        test al, al
        jz .done
        stosw
        jmp .next
.done:  mov dword [0xB8000], 0x07690748
        mov [0xB8004], ax
        mov eax, [message + ecx*4]
        push dword 5
        push word 5
        push 0x12345
        pushad
        pushf
        lidt [eax]
        mov cr3, eax
        mov eax, dr7
        invlpg [edi]
        ltr ax
        mov ax, ds
        mov [di], al
        in al, 0x60
        in eax, dx
        out 0x20, al
        out dx, ax
        jmp dword 0x10:16
        jmp word 0x10:16
        rep movsd
        a16 rep movsb
        iretd
        hlt
        jmp $-1
message db 'Protected', 0
        align 8
gdt:    dq 0
code_descriptor: dw 0xFFFF, 0
        db 0, 0x9A, 0xCF, 0
data_descriptor: dq 0x00CF92000000FFFF
gdt_pointer: dw $ - gdt - 1
        dd gdt
        times 510 - ($ - $$) db 0
        dw 0xAA55
