; disk-dma: eight times 16 MiB of the first ATA disk by READ DMA and the bus master, asleep until its interrupt.
; Run:    minivm run guests/workload/disk-dma.img --disk FILE (of 16 MiB at least)
; Exit:   1

        bits 16
        org 0x7C00

SECTORS equ 32768               ; 16 MiB; tests/benchmarks/run.py reads this line
PASSES  equ 8
EACH    equ 256
IDE     equ 0x80000900          ; PCI bus 0, device 1, function 1: the PIIX3's IDE controller

start:
        cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        mov eax, IDE | 0x20     ; where the bus master's ports are
        mov dx, 0xCF8
        out dx, eax
        mov dx, 0xCFC
        in eax, dx
        and al, 0xF0
        mov [ports], ax
        mov eax, IDE | 0x04
        mov dx, 0xCF8
        out dx, eax
        mov dx, 0xCFC
        mov ax, 5               ; ports and bus mastering on
        out dx, ax
        mov word [0x76 * 4], interrupt
        mov word [0x76 * 4 + 2], 0
        in al, 0xA1
        and al, ~0x40 & 0xFF    ; IRQ14
        out 0xA1, al
        in al, 0x21
        and al, ~0x04 & 0xFF    ; the slave
        or al, 0x01             ; and no timer
        out 0x21, al
        mov bp, PASSES
pass:
        xor ebx, ebx
next:
        mov dx, [ports]
        add dx, 4
        mov eax, table
        out dx, eax
        sub dx, 2
        mov al, 0x06            ; forget an error and an interrupt
        out dx, al
        mov ah, 0xC8            ; READ DMA
        call command
        mov dx, [ports]
        mov al, 0x09            ; start, into memory
        out dx, al
        sti
        hlt
        cli
        mov dx, [ports]
        mov al, 0
        out dx, al
        mov dx, 0x1F7
        in al, dx               ; takes the interrupt back
        add ebx, EACH
        cmp ebx, SECTORS
        jb next
        dec bp
        jnz pass

        mov al, 0
        out 0xF4, al
        hlt

interrupt:
        push ax
        mov al, 0x20
        out 0xA0, al
        out 0x20, al
        pop ax
        iret

; Give the drive command AH for EACH sectors from EBX on.
command:
        mov dx, 0x1F6
        mov al, 0xE0            ; drive 0, by LBA
        out dx, al
        mov dx, 0x1F2
        mov al, EACH & 0xFF
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

ports:  dw 0
        align 4
table:  dd 0x10000, 0, 0x20000, 0x80000000      ; two regions of 64 KiB

        times 510 - ($ - $$) db 0
        dw 0xAA55
