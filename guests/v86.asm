; v86: an 8086 inside protected mode, and the monitor that answers for it: a hypervisor of 1985.
; Run:    minivm run v86
; Prints: 8086 says hi
; Prints: monitor: the 8086 has halted
; Exit:   0

        bits 16
        org 0x7C00

CODE  equ 0x08
DATA  equ 0x10
TASK  equ 0x18
TSS   equ 0x1000
IDT   equ 0x2000
STACK equ 0x7000
VM    equ 0x20000               ; EFLAGS bit 17: virtual-8086 mode

start:
        cli
        xor ax, ax
        mov ds, ax
        lgdt [gdt_pointer]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp CODE:monitor

        bits 32
monitor:
        mov ax, DATA
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov esp, STACK
        cld
        xor eax, eax
        mov edi, TSS
        mov ecx, (0x2100 - TSS) / 4
        rep stosd
        mov edi, 0xB8000
        mov ecx, 80 * 25
        mov ax, 0x0720
        rep stosw
        mov dword [TSS + 4], STACK ; ESP0 and SS0: the way up from the 8086, which counts as ring 3
        mov dword [TSS + 8], DATA
        mov ax, TASK
        ltr ax
        mov dword [IDT + 13 * 8], CODE * 0x10000 + (on_protection_fault - $$ + 0x7C00)
        mov dword [IDT + 13 * 8 + 4], 0x00008E00
        lidt [idt_pointer]
        mov ebp, 0xB8000

        ; IRET to a frame with VM on takes nine words more than usual (SDM volume 3, "Entering Virtual-8086 Mode").
        push dword 0            ; GS
        push dword 0            ; FS
        push dword 0            ; DS
        push dword 0            ; ES
        push dword 0            ; SS
        push dword 0x6000       ; ESP
        push dword VM + 2       ; IOPL 0: CLI, STI, PUSHF, POPF, INT and IRET all fault
        push dword 0            ; CS: segment 0, as a paragraph again and not a selector
        push dword old_program  ; EIP
        iret

on_protection_fault:            ; stack: error code, EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS
        pusha                   ; EAX is at [esp + 28], the error code at [esp + 32]
        mov ax, DATA            ; the CPU has saved the 8086's segments and left us null ones
        mov ds, ax
        movzx ebx, word [esp + 40] ; where it was: CS * 16 + IP
        shl ebx, 4
        add ebx, [esp + 36]
        cmp byte [ebx], 0xCD    ; INT n?
        je interrupt
        mov esi, halted         ; anything else (its HLT) ends it
        mov ebp, 0xB8000 + 160
next:
        lodsb
        test al, al
        jz stop
        mov ah, 0x0F
        mov [ebp], ax
        add ebp, 2
        jmp next
stop:
        hlt

interrupt:                      ; do what INT 10h, AH=0Eh would have done
        mov al, [esp + 28]
        mov ah, 0x0C
        mov [ebp], ax
        add ebp, 2
        mov [esp + 8], ebp      ; where POPA takes EBP from
        add dword [esp + 36], 2 ; beyond the INT
        popa
        add esp, 4              ; the error code
        iret

        bits 16
old_program:                    ; knows nothing of all this
        mov si, text
say:
        lodsb
        test al, al
        jz old_end
        mov ah, 0x0E
        int 0x10
        jmp say
old_end:
        hlt                     ; for ring 0 only: faults here

text:   db "8086 says hi", 0
halted: db "monitor: the 8086 has halted", 0

gdt:
        dq 0
        dw 0xFFFF, 0x0000, 0x9A00, 0x00CF
        dw 0xFFFF, 0x0000, 0x9200, 0x00CF
        dw 103, TSS, 0x8900, 0
gdt_pointer:
        dw gdt_pointer - gdt - 1
        dd gdt
idt_pointer:
        dw 14 * 8 - 1
        dd IDT

        times 510 - ($ - $$) db 0
        dw 0xAA55
