; pci: walk through configuration space: who is on the bus, what it is, and how much room it wants.
; Run:    minivm run pci
; Prints: 00:00.0 0600: 8086:1237
; Prints: 00:01.0 0601: 8086:7000
; Prints: 00:01.1 0101: 8086:7010
; Prints: bar 4: 00000010h ports at
; Prints: 00:01.3 0680: 8086:7113
; Prints: 00:02.0 0300: 1234:1111
; Prints: bar 0: 01000000h bytes at
; Exit:   0

; Each function of each device has 256 bytes of configuration. CF8h takes an address (bit 31, then 8 bits bus, 5 device,
; 3 function, 6 register), CFCh is the window to the double word there. An empty place reads as all ones.

        bits 16
        org 0x7C00

ADDRESS  equ 0xCF8
WINDOW   equ 0xCFC
ENABLE   equ 0x80000000

IDENTITY equ 0x00               ; device 31-16, vendor 15-0
COMMAND  equ 0x04               ; bits 1 and 0: it answers in memory, at ports
CLASS    equ 0x08               ; class 31-24, subclass 23-16
HEADER   equ 0x0C               ; bit 23: it has more functions than one; bits 22-16: 0 for a header with six BARs
BARS     equ 0x10

start:
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov ebx, ENABLE         ; EBX = bus 0, device 0, function 0
look:
        mov al, IDENTITY
        call get
        cmp ax, 0xFFFF          ; no vendor has this number
        je nobody
        call describe
        test bh, 7
        jnz next                ; it is one of several functions
        mov al, HEADER
        call get
        test eax, 1 << 23
        jnz next
nobody:
        test bh, 7
        jnz next                ; a gap among the functions
        or bh, 7                ; a device of one function, or of none: leave the other seven out
next:
        add ebx, 0x100
        cmp ebx, ENABLE | 0x10000
        jb look
        cli
        hlt

describe:                       ; "00:01.1 0101: 8086:7010" and its BARs, as lspci -n writes it
        mov eax, ebx
        shr eax, 16
        call put_byte           ; bus
        mov al, ':'
        call put
        mov al, bh
        shr al, 3
        call put_byte           ; device
        mov al, '.'
        call put
        mov al, bh
        and al, 7
        call put_nibble         ; function
        mov al, ' '
        call put
        mov al, CLASS
        call get
        shr eax, 16
        call put_word
        mov si, colon
        call print
        mov al, IDENTITY
        call get
        call put_word           ; vendor
        mov al, ':'
        call put
        shr eax, 16
        call put_word           ; device
        mov si, end_of_line
        call print
        mov al, HEADER
        call get
        test eax, 0x7F << 16
        jnz described           ; a bridge to another bus has other registers there
        mov bl, BARS
next_bar:
        call size_bar
        add bl, 4
        cmp bl, BARS + 6 * 4
        jb next_bar
        mov bl, 0
described:
        ret

size_bar:                       ; the BAR at BL: write all ones, and it keeps those that are not below its size
        mov al, COMMAND
        call get
        push ax
        and eax, 0xFFFC         ; while the address is wrong, answer nowhere (the upper half is a status: 0 leaves it)
        out dx, eax
        mov al, bl
        call get
        mov esi, eax            ; ESI = what was there
        mov eax, 0xFFFFFFFF
        out dx, eax
        in eax, dx
        mov edi, eax            ; EDI = what stayed
        mov eax, esi
        out dx, eax
        mov al, COMMAND
        call get
        pop ax
        and eax, 0xFFFF
        out dx, eax
        test edi, edi
        jz described            ; there is no such BAR

        mov cx, bytes_at
        mov eax, 0xFFFFFFF0     ; memory: bits 3-0 tell of which kind
        test edi, 1
        jz show_bar
        mov cx, ports_at
        mov eax, 0x0000FFFC     ; ports: bits 1-0
show_bar:
        and esi, eax
        and edi, eax
        neg edi                 ; the lowest bit that stayed is the size
        and edi, eax
        push si
        mov si, bar
        call print
        mov al, bl
        sub al, BARS
        shr al, 2
        call put_nibble
        mov si, colon
        call print
        mov eax, edi
        call put_long
        mov si, cx
        call print
        pop si
        mov eax, esi
        call put_long
        mov si, end_of_bar
        jmp print

get:                            ; EAX = register AL of the function in EBX; DX = the window to it
        push ebx
        mov bl, al
        mov eax, ebx
        pop ebx
        mov dx, ADDRESS
        out dx, eax
        mov dx, WINDOW
        in eax, dx
        ret

put_long:                       ; EAX, AX, AL in hexadecimal
        rol eax, 16
        call put_word
        rol eax, 16
put_word:
        xchg al, ah
        call put_byte
        xchg al, ah
put_byte:
        rol al, 4
        call put_nibble
        rol al, 4
put_nibble:
        push ax
        and al, 0x0F
        cmp al, 10
        sbb al, 0x69            ; 0-9 and 10-15 ...
        das                     ; ... become '0'-'9' and 'A'-'F'
        call put
        pop ax
        ret
put:
        push ax
        push bx
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        pop bx
        pop ax
        ret

print:
        lodsb
        test al, al
        jz printed
        call put
        jmp print
printed:
        ret

colon:       db ": ", 0
bar:         db "  bar ", 0
bytes_at:    db "h bytes at ", 0
ports_at:    db "h ports at ", 0
end_of_bar:  db "h"
end_of_line: db 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
