; A boot sector with a parameter block, as a FAT floppy begins.
        org 0x7c00
        bits 16
        jmp short start
        nop
oem             db 'MINIVM  '
bytes_per_sector dw 512
sectors_per_cluster db 1
        dw 1
        db 2
        dw 224, 2880
        db 0xF0
        dw 9, 18, 2
        dd 0, 0
        db 0, 0, 29h
        dd 12345678h
        db 'NO NAME    ', 'FAT12   '
start:
        cli
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7c00
        sti
        cld
        mov [drive], dl
        mov si, message
        call print
        call read
        jc failed
        jmp 0x0000:0x7e00
failed: mov al, 'E'
        mov ah, 0Eh
        int 10h
halt:   hlt
        jmp halt
print:
.next:  lodsb
        or al, al
        jz .done
        mov ah, 0x0e
        mov bx, 7
        int 0x10
        jmp .next
.done:  ret
read:
        mov ax, 0x0201
        mov cx, 2
        xor dh, dh
        mov dl, [drive]
        mov bx, 0x7e00
        int 0x13
        ret
message db "It's booting", 13, 10, 0
drive   db 0
        times 510-($-$$) db 0
        dw 0xaa55
