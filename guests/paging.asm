; paging: a page that is not there, and a page-fault handler that puts it there.
; Run:    minivm run paging
; Prints: Page fault at 00400ABC, error code 00000002
; Prints: Retried; physical 00009ABC now holds C0FFEE11
; Exit:   0

        bits 16
        org 0x7C00

CODE      equ 0x08
DATA      equ 0x10
DIRECTORY equ 0x1000            ; one page of 1024 entries, each for 4 MiB
TABLE     equ 0x2000            ; one page of 1024 entries, each for 4 KiB
TABLE2    equ 0x3000            ; the table for 400000h-7FFFFFh: empty
IDT       equ 0x4000
FRAME     equ 0x9000            ; the physical page that the handler gives
PRESENT   equ 1
WRITABLE  equ 2
WANTED    equ 0x400ABC          ; no page there, at first

start:
        cli
        xor ax, ax
        mov ds, ax
        lgdt [gdt_pointer]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp CODE:protected

        bits 32
protected:
        mov ax, DATA
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov esp, 0x7C00
        cld

        xor eax, eax            ; all four tables empty: nothing is present
        mov edi, DIRECTORY
        mov ecx, 4 * 1024
        rep stosd
        mov edi, 0xB8000
        mov ecx, 80 * 25
        mov ax, 0x0720
        rep stosw

        mov edi, TABLE          ; the first 4 MiB: linear address = physical address, so that this
        mov eax, PRESENT + WRITABLE ; code is still here at the next instruction
        mov ecx, 1024
fill:
        stosd
        add eax, 0x1000
        loop fill
        mov dword [DIRECTORY], TABLE + PRESENT + WRITABLE
        mov dword [DIRECTORY + 4], TABLE2 + PRESENT + WRITABLE

        ; Vector 14, #PF: a 32-bit interrupt gate. Offset 15-0, selector, type 8Eh, offset 31-16.
        mov dword [IDT + 14 * 8], CODE * 0x10000 + (on_page_fault - $$ + 0x7C00)
        mov dword [IDT + 14 * 8 + 4], 0x00008E00
        lidt [idt_pointer]

        mov eax, DIRECTORY
        mov cr3, eax            ; where the directory is, as a physical address
        mov eax, cr0
        or eax, 0x80000000      ; CR0.PG: from the next instruction on every address is looked up
        mov cr0, eax

        mov ebx, 0xB8000
        mov dword [WANTED], 0xC0FFEE11 ; faults, and when the handler returns, this very instruction runs again

        mov ebx, 0xB8000 + 160
        mov esi, retried
        mov edx, [FRAME + 0xABC] ; the same byte under its other linear address
        call print
        cli
        hlt

on_page_fault:                  ; the CPU pushed EFLAGS, CS, EIP and, for this vector, an error code
        mov esi, fault
        mov edx, cr2            ; the linear address that was asked for
        call print
        mov esi, code
        pop edx                 ; bit 0: the page was present (then it was a matter of rights); bit 1: a write;
        call print              ; bit 2: from ring 3. It must leave the stack before IRET.
        mov dword [TABLE2], FRAME + PRESENT + WRITABLE
        iret                    ; the TLB keeps no "not present", so no INVLPG is needed for a new page

print:                          ; the text at ESI, then EDX in hexadecimal, to the screen at EBX
        mov ah, 0x0F
        lodsb
        test al, al
        jz hexadecimal
        mov [ebx], ax
        add ebx, 2
        jmp print
hexadecimal:
        mov ecx, 8
digit:
        rol edx, 4
        mov al, dl
        and al, 0x0F
        cmp al, 10              ; the shortest way to a digit, from the days of BCD:
        sbb al, 0x69            ; 0-9 borrow and 10-15 do not,
        das                     ; and the decimal adjustment makes '0'-'9', 'A'-'F' of it
        mov [ebx], ax
        add ebx, 2
        loop digit
        ret

fault:   db "Page fault at ", 0
code:    db ", error code ", 0
retried: db "Retried; physical 00009ABC now holds ", 0

gdt:
        dq 0
        dw 0xFFFF, 0x0000, 0x9A00, 0x00CF
        dw 0xFFFF, 0x0000, 0x9200, 0x00CF
gdt_pointer:
        dw gdt_pointer - gdt - 1
        dd gdt
idt_pointer:
        dw 15 * 8 - 1
        dd IDT

        times 510 - ($ - $$) db 0
        dw 0xAA55
