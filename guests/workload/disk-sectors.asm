; disk-sectors: 16 MiB of the first ATA disk by READ SECTORS and REP INSW, an interrupt and a status read a sector.
; Run:    minivm run guests/workload/disk-sectors.img --disk FILE (of 16 MiB at least)
; Exit:   1

        bits 16
        org 0x7C00

SECTORS equ 32768               ; 16 MiB; tests/benchmarks/run.py reads this line
EACH    equ 128                 ; sectors a command

start:
        cli
        cld
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        mov ax, 0x1000
        mov es, ax
        xor ebx, ebx
next:
        mov ah, 0x20               ; READ SECTORS
        call command
        mov bp, EACH / 1
        xor di, di
block:
        call ready
        mov dx, 0x1F0
        mov cx, 256
        rep insw
        dec bp
        jnz block
        add ebx, EACH
        cmp ebx, SECTORS
        jb next

        mov al, 0
        out 0xF4, al
        hlt

; Give the drive command AH for EACH sectors from EBX on.
command:
        mov dx, 0x1F6
        mov al, 0xE0            ; drive 0, by LBA
        out dx, al
        mov dx, 0x1F2
        mov al, EACH
        out dx, al
        inc dx
        mov ecx, ebx
        mov al, cl
        out dx, al
        inc dx
        mov al, ch
        out dx, al
        inc dx
        shr ecx, 16
        mov al, cl
        out dx, al
        mov dx, 0x1F7
        mov al, ah
        out dx, al
        ret

; Wait until the drive has a block for us.
ready:
        mov dx, 0x1F7
.busy:
        in al, dx
        test al, 0x80           ; BSY
        jnz .busy
        test al, 0x08           ; DRQ
        jz .busy
        ret

        times 510 - ($ - $$) db 0
        dw 0xAA55
