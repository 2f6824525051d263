; disk: reading sectors by INT 13h, by cylinder, head and sector.
; Run:    minivm run disk
; Prints: The drive has 80 cylinders, 2 heads, 18 sectors.
; Prints: Sector 2: a boot sector has room for 510 bytes; the rest must be fetched.
; Prints: Sector 2880: the very last one.
; Prints: No sector 19 on a track: error
; Exit:   0

; A floppy of 1.44 MB: 80 cylinders x 2 heads x 18 sectors = 2880 sectors of 512 bytes.
; LBA (0, 1, 2 ...) = (cylinder * heads + head) * sectors + (sector - 1): sectors alone count from 1.

        bits 16
        org 0x7C00

BUFFER  equ 0x1000

start:
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov [drive], dl         ; the BIOS says in DL which drive we came from

        mov ah, 0x08            ; drive parameters; they come as highest numbers, not as counts
        int 0x13
        jc failed
        push cx
        push dx
        xor ax, ax              ; for a floppy, ES:DI now points to its parameter table:
        mov es, ax              ; a forgotten ES is how many a loader reads into the BIOS
        mov si, has
        call print
        mov al, ch              ; CH: highest cylinder (two more bits are CL's highest)
        inc al
        call put_number
        mov si, cylinders
        call print
        pop dx
        mov al, dh              ; DH: highest head
        inc al
        call put_number
        mov si, heads
        call print
        pop cx
        mov al, cl
        and al, 0x3F            ; CL bits 5-0: sectors of a track, which count from 1
        call put_number
        mov si, sectors
        call print

        mov dh, 0
        mov cx, 0x0002          ; cylinder 0, head 0, sector 2
        call read
        jc failed
        mov si, BUFFER
        call print
        mov dh, 1
        mov cx, 0x4F12          ; cylinder 79, head 1, sector 18
        call read
        jc failed
        mov si, BUFFER
        call print

        mov dh, 1
        mov cx, 0x4F13          ; one too far
        call read
        jnc failed
        mov [error], ah
        mov si, missing
        call print
        mov al, [error]         ; 01h: no such sector; 04h: not found; a BIOS may also say 20h or 40h
        call put_number
        mov si, last
        call print
failed:
        cli
        hlt

read:                           ; one sector at CX, DH into the buffer; carry on and AH = why when it fails
        mov di, 3               ; a real floppy needs a moment to spin up: try three times
retry:
        mov ax, 0x0201          ; AH=02h read, AL=1 sector
        mov dl, [drive]
        mov bx, BUFFER          ; to ES:BX
        int 0x13
        jnc read_done
        push ax
        mov ah, 0               ; reset the drive between tries
        mov dl, [drive]
        int 0x13
        pop ax
        dec di
        jnz retry
        stc
read_done:
        ret

put_number:                     ; AL in decimal, two digits at most
        aam                     ; AH = AL / 10, AL = AL mod 10
        add ax, 0x3030
        cmp ah, '0'
        je put
        push ax
        mov al, ah
        call put
        pop ax
put:
        push bx
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        pop bx
        ret

print:
        lodsb
        test al, al
        jz printed
        call put
        jmp print
printed:
        ret

drive:     db 0
error:     db 0
has:       db "The drive has ", 0
cylinders: db " cylinders, ", 0
heads:     db " heads, ", 0
sectors:   db " sectors.", 13, 10, 0
missing:   db "No sector 19 on a track: error ", 0
last:      db ".", 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55

        db "Sector 2: a boot sector has room for 510 bytes; the rest must be fetched.", 13, 10, 0
        times 2879 * 512 - ($ - $$) db 0
        db "Sector 2880: the very last one.", 13, 10, 0
        times 2880 * 512 - ($ - $$) db 0
