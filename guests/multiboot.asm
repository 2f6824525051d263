; multiboot: a kernel without a boot sector: the loader does the work and leaves a letter.
; Run:    minivm run multiboot
; Prints: EAX = 2BADB002: a Multiboot loader
; Prints: KiB above 1 MiB:
; Prints: Loaded by:
; Exit:   0

; Multiboot 0.6.96. This is a flat binary, so the header itself says where what goes (the "a.out kludge").

        bits 32
        org 0x100000            ; at 1 MiB, above everything a BIOS ever used

MAGIC         equ 0x1BADB002
ADDRESSES     equ 0x10000       ; flag 16: the five addresses below are valid
MEMORY        equ 0x2           ; flag 1: we want to know the memory's size

header:                         ; must lie in the file's first 8192 bytes, at a multiple of 4
        dd MAGIC
        dd ADDRESSES + MEMORY
        dd -(MAGIC + ADDRESSES + MEMORY) & 0xFFFFFFFF ; the three words must add up to 0
        dd header               ; where the header goes
        dd header               ; where the load begins
        dd end                  ; where the load ends
        dd stack_top            ; where the zeroed memory behind it ends
        dd start                ; where to jump

start:                          ; 32-bit protected mode, flat segments, A20 open, interrupts off; no stack, no IDT
        mov esp, stack_top
        cld
        mov ebp, eax            ; the loader's magic
        mov edx, ebx            ; the letter: the Multiboot information structure
        mov edi, 0xB8000
        mov ecx, 80 * 25
        mov ax, 0x0720
        rep stosw

        mov edi, 0xB8000
        mov esi, register
        call print
        call hexadecimal
        cmp ebp, 0x2BADB002
        jne stop                ; then EBX means nothing
        mov esi, loader
        call print

        mov edi, 0xB8000 + 160
        mov esi, memory
        call print
        mov ebp, [edx + 8]      ; mem_upper, valid when flag 0 of the information is on
        call hexadecimal

        mov edi, 0xB8000 + 320
        mov esi, name
        call print
        test dword [edx], 0x200 ; flag 9: the loader gives its name
        jz stop
        mov esi, [edx + 64]
        call print
stop:
        cli
        hlt

print:                          ; the text at ESI to the screen at EDI
        mov ah, 0x0E
        lodsb
        test al, al
        jz printed
        stosw
        jmp print
printed:
        ret

hexadecimal:                    ; EBP to the screen at EDI
        mov ecx, 8
digit:
        rol ebp, 4
        mov eax, ebp
        and al, 0x0F
        cmp al, 10
        sbb al, 0x69
        das
        mov ah, 0x0F
        stosw
        loop digit
        ret

register: db "EAX = ", 0
loader:   db ": a Multiboot loader", 0
memory:   db "KiB above 1 MiB: ", 0
name:     db "Loaded by: ", 0

end:
stack_top equ end + 4096
