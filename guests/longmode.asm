; longmode: straight from real mode to 64 bits, with four levels of page tables.
; Run:    minivm run longmode
; Prints: 64 bits: R15 = 0123456789ABCDEF
; Exit:   0

        bits 16
        org 0x7C00

CODE64    equ 0x08
PML4      equ 0x1000            ; each table is one page of 512 eight-byte entries
POINTERS  equ 0x2000            ; page-directory-pointer table: 1 GiB an entry
DIRECTORY equ 0x3000            ; page directory: 2 MiB an entry, as one large page
PRESENT_WRITABLE equ 3
LARGE     equ 0x80              ; PS: this entry is a page, not the address of one more table
EFER      equ 0xC0000080
LME       equ 0x100             ; EFER bit 8: long mode is wanted

start:
        cli
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7C00
        cld

        ; Does this CPU know long mode? CPUID 80000001h, EDX bit 29.
        mov eax, 0x80000001
        cpuid
        bt edx, 29
        jnc no_long_mode

        xor eax, eax
        mov di, PML4
        mov cx, 3 * 4096 / 4
        rep stosd
        mov dword [PML4], POINTERS + PRESENT_WRITABLE
        mov dword [POINTERS], DIRECTORY + PRESENT_WRITABLE
        mov dword [DIRECTORY], 0 + PRESENT_WRITABLE + LARGE ; the first 2 MiB, where they are

        ; SDM volume 3, "Initializing IA-32e Mode": CR4.PAE, CR3, EFER.LME, then CR0.PG. Protection and paging
        ; may come on in one write, so that there is no 32-bit stop on the way.
        mov eax, cr4
        or al, 0x20             ; PAE: entries of eight bytes
        mov cr4, eax
        mov eax, PML4
        mov cr3, eax
        mov ecx, EFER
        rdmsr
        or ax, LME
        wrmsr
        lgdt [gdt_pointer]
        mov eax, cr0
        or eax, 0x80000001      ; PG and PE
        mov cr0, eax            ; EFER.LMA is on now: compatibility mode, until CS says L = 1
        jmp CODE64:long_mode

no_long_mode:
        mov si, sorry
say:
        lodsb
        test al, al
        jz stop
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        jmp say
stop:
        hlt

        bits 64
long_mode:
        xor eax, eax            ; writing a 32-bit register clears its upper half
        mov ds, eax             ; segments hardly matter any more: base 0, no limit, null is allowed
        mov es, eax
        mov ss, eax
        mov rsp, 0x7C00

        mov edi, 0xB8000
        mov ecx, 80 * 25
        mov ax, 0x0720
        rep stosw
        mov edi, 0xB8000
        mov esi, message
        mov ah, 0x0B
next:
        lodsb
        test al, al
        jz number
        stosw
        jmp next

number:
        mov r15, 0x0123456789ABCDEF ; the only instruction with an immediate of eight bytes
        mov ecx, 16
digit:
        rol r15, 4
        mov al, r15b
        and al, 0x0F
        add al, '0'
        cmp al, '9'
        jbe store
        add al, 'A' - '9' - 1
store:
        stosw
        loop digit
        hlt

sorry:   db "This CPU has no long mode.", 0
message: db "64 bits: R15 = ", 0

gdt:
        dq 0
        dq 0x00209A0000000000   ; present code with L (bit 53) on and D off; base and limit are ignored
gdt_pointer:
        dw gdt_pointer - gdt - 1
        dd gdt

        times 510 - ($ - $$) db 0
        dw 0xAA55
