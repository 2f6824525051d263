; ata: a disk without the BIOS: a drive tells what it is, and gives its sectors by asking and by interrupt.
; Run:    minivm run ata
; Prints: Model:
; Prints: Sectors: 64
; Prints: LBA 0, by asking, ends in 55 AA
; Prints: LBA 1, by interrupt 14: Here lies the second sector.
; Exit:   0

; The first drive of the first channel has eight ports at 1F0h and one at 3F6h. A command is a byte at 1F7h; the
; answer is a status there, and data as words at 1F0h when the drive says that it has some (DRQ).

        bits 16
        org 0x7C00

DATA     equ 0x1F0
COUNT    equ 0x1F2              ; then 1F3h-1F5h: bits 0-7, 8-15 and 16-23 of the sector's number (LBA)
DRIVE    equ 0x1F6              ; bit 6: LBA; bit 4: the second drive; bits 3-0: LBA's highest four bits
COMMAND  equ 0x1F7              ; read: status
CONTROL  equ 0x3F6              ; bit 1: no interrupts; read: the status, but an interrupt waits on

BUSY     equ 0x80
REQUEST  equ 0x08
ERROR    equ 0x21               ; error or device fault
IDENTIFY equ 0xEC
READ     equ 0x20

BUFFER   equ 0x1000

start:
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov dx, CONTROL
        mov al, 0x02            ; no interrupts: we ask
        out dx, al
        mov dx, DRIVE
        mov al, 0xE0
        out dx, al
        mov al, IDENTIFY
        call command
        call take_when_ready

        mov si, model
        call print
        mov si, BUFFER + 27 * 2 ; words 27-46: 40 characters, of each two the second first
        mov cx, 20
next_pair:
        lodsw
        xchg al, ah
        call put
        mov al, ah
        call put
        loop next_pair
        mov si, sectors
        call print
        mov eax, [BUFFER + 60 * 2] ; words 60 and 61: how many sectors LBA can name
        call put_number

        mov al, 0
        call read
        call take_when_ready
        mov si, first
        call print
        mov al, [BUFFER + 510]
        call put_hex
        mov al, ' '
        call put
        mov al, [BUFFER + 511]
        call put_hex

        cli
        mov word [0x76 * 4], on_interrupt ; the second interrupt controller begins at 70h, so IRQ 14 is 76h
        mov word [0x76 * 4 + 2], 0
        in al, 0xA1
        and al, 0xBF            ; let IRQ 14 through
        out 0xA1, al
        in al, 0x21
        and al, 0xFB            ; and IRQ 2, on which the second controller hangs
        out 0x21, al
        mov dx, CONTROL
        mov al, 0
        out dx, al
        mov al, 1
        call read
sleep:
        sti                     ; takes effect behind the next instruction: no interrupt gets between
        hlt
        cli
        cmp byte [interrupted], 0
        je sleep
        sti
        call take
        mov si, second
        call print
        mov si, BUFFER
        call print
        jmp stop
failed:
        mov si, no_disk
        call print
stop:
        cli
        hlt

on_interrupt:
        push ax
        push dx
        mov dx, COMMAND
        in al, dx               ; reading the status takes the request back
        mov byte [interrupted], 1
        mov al, 0x20
        out 0xA0, al            ; both controllers wait for an end of interrupt
        out 0x20, al
        pop dx
        pop ax
        iret

read:                           ; one sector, number AL
        mov ah, al
        mov dx, COUNT
        mov al, 1
        out dx, al
        inc dx
        mov al, ah
        out dx, al              ; LBA bits 0-7
        inc dx
        mov al, 0
        out dx, al
        inc dx
        out dx, al
        mov al, READ
command:
        mov dx, COMMAND
        out dx, al
        mov dx, CONTROL
        in al, dx               ; the drive may need 400 ns to show that it is busy: four reads of a status
        in al, dx
        in al, dx
        in al, dx
        ret

take_when_ready:
        mov dx, COMMAND
busy:
        in al, dx
        test al, BUSY
        jnz busy                ; its other bits say nothing until then
        test al, ERROR
        jnz failed
        test al, REQUEST
        jz failed
take:                           ; 256 words into the buffer
        mov dx, DATA
        mov di, BUFFER
        mov cx, 256
        rep insw
        ret

put_number:                     ; EAX in decimal
        mov ebx, 10
        xor cx, cx
divide:
        xor edx, edx
        div ebx
        push dx
        inc cx
        test eax, eax
        jnz divide
next_digit:
        pop ax
        add al, '0'
        call put
        loop next_digit
        ret

put_hex:                        ; AL in two digits
        push ax
        shr al, 4
        call put_nibble
        pop ax
put_nibble:
        and al, 0x0F
        cmp al, 10
        sbb al, 0x69            ; 0-9 and 10-15 ...
        das                     ; ... become '0'-'9' and 'A'-'F'
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

interrupted: db 0
model:       db "Model: ", 0
sectors:     db 13, 10, "Sectors: ", 0
first:       db 13, 10, "LBA 0, by asking, ends in ", 0
second:      db 13, 10, "LBA 1, by interrupt 14: ", 0
no_disk:     db "no disk answers", 0

        times 446 - ($ - $$) db 0
        db 0x80, 0, 2, 0        ; a partition table makes the image a hard disk: bootable, from head 0, sector 2
        db 0xDA, 0, 63, 0       ; "other data", to sector 63
        dd 1, 62                ; the same as LBA: first sector, and how many
        times 510 - ($ - $$) db 0
        dw 0xAA55

        db "Here lies the second sector.", 0
        times 64 * 512 - ($ - $$) db 0
