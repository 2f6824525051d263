; syscall64: SYSCALL and SYSRET, the fast door between 64-bit programs and their kernel.
; Run:    minivm run syscall64
; Prints: kernel: down to ring 3
; Prints: user: my CS is 23
; Prints: kernel: the program has ended
; Exit:   0

        bits 16
        org 0x7C00

KERNEL_CODE equ 0x08            ; SYSCALL wants kernel data behind kernel code, and
KERNEL_DATA equ 0x10            ; SYSRET wants user data before user code: the GDT's order is not free
PML4        equ 0x1000
POINTERS    equ 0x2000
DIRECTORY   equ 0x3000
PAGE_RIGHTS equ 7               ; present, writable, and user: ring 3 needs the U bit on every level
LARGE       equ 0x80
EFER        equ 0xC0000080
STAR        equ 0xC0000081      ; selectors: bits 47-32 for SYSCALL, bits 63-48 for SYSRET
LSTAR       equ 0xC0000082      ; where SYSCALL jumps
FMASK       equ 0xC0000084      ; which flags SYSCALL clears
LME_SCE     equ 0x101           ; EFER: long mode, and SYSCALL enabled
KERNEL_STACK equ 0x7C00
USER_STACK   equ 0x7000

start:
        cli
        xor ax, ax
        mov ds, ax
        mov es, ax
        cld
        xor eax, eax
        mov di, PML4
        mov cx, 3 * 4096 / 4
        rep stosd
        mov dword [PML4], POINTERS + PAGE_RIGHTS
        mov dword [POINTERS], DIRECTORY + PAGE_RIGHTS
        mov dword [DIRECTORY], 0 + PAGE_RIGHTS + LARGE
        mov eax, cr4
        or al, 0x20
        mov cr4, eax
        mov eax, PML4
        mov cr3, eax
        mov ecx, EFER
        rdmsr
        or ax, LME_SCE
        wrmsr
        lgdt [gdt_pointer]
        mov eax, cr0
        or eax, 0x80000001
        mov cr0, eax
        jmp KERNEL_CODE:kernel

        bits 64
kernel:
        xor eax, eax
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov esp, KERNEL_STACK
        mov edi, 0xB8000
        mov ecx, 80 * 25
        mov ax, 0x0720
        rep stosw
        mov edi, 0xB8000

        mov ecx, STAR
        xor eax, eax
        mov edx, 0x10 * 0x10000 + KERNEL_CODE ; SYSRET to 64 bits: CS = 10h + 16 + 3, SS = 10h + 8 + 3
        wrmsr
        mov ecx, LSTAR
        mov eax, system_call
        xor edx, edx
        wrmsr
        mov ecx, FMASK
        mov eax, 0x700          ; DF, IF and TF off: the kernel begins undisturbed
        wrmsr

        mov esi, down
        call print
        mov ecx, user           ; SYSRET takes RIP from RCX and RFLAGS from R11. Nothing says that a SYSCALL
        mov r11d, 0x002         ; must have come before.
        mov esp, USER_STACK
        o64 sysret

user:
        mov eax, cs             ; reading a selector is no privilege
        shr al, 4
        add [digits], al        ; 23h: index 4, ring 3
        mov eax, cs
        and al, 15
        add [digits + 1], al
        mov esi, hello
        mov eax, 0              ; system call 0: print the text at RSI
        syscall
        mov eax, 1              ; system call 1: end
        syscall

system_call:                    ; RCX = where to go on, R11 = the flags; RSP is still the user's
        mov r8, rsp
        mov esp, KERNEL_STACK
        test eax, eax
        jnz end
        call print
        mov rsp, r8
        o64 sysret

end:
        mov esi, ended
        call print
        hlt                     ; IF is off

print:                          ; the text at RSI on the line at RDI
        push rdi
        mov ah, 0x0E
next:
        lodsb
        test al, al
        jz printed
        stosw
        jmp next
printed:
        pop rdi
        add edi, 160
        ret

down:   db "kernel: down to ring 3", 0
hello:  db "user: my CS is "
digits: db "00", 0
ended:  db "kernel: the program has ended", 0

gdt:
        dq 0
        dq 0x00209A0000000000   ; 08h: kernel code, 64-bit
        dq 0x0000920000000000   ; 10h: kernel data
        dq 0x0000F20000000000   ; 18h: user data
        dq 0x0020FA0000000000   ; 20h: user code, 64-bit
gdt_pointer:
        dw gdt_pointer - gdt - 1
        dd gdt

        times 510 - ($ - $$) db 0
        dw 0xAA55
