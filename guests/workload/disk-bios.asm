; disk-bios: eight times 16 MiB of drive 80h by INT 13h AH=42h, 127 sectors a call.
; Run:    minivm run guests/workload/disk-bios.img --disk FILE (of 16 MiB and a half at least)
; Exit:   1, 15 after an error

        bits 16
        org 0x7C00

SECTORS equ 32768               ; 16 MiB; tests/benchmarks/run.py reads this line
PASSES  equ 8
EACH    equ 127                 ; what every BIOS takes (EDD 3.0)

start:
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        sti
        mov bp, PASSES
pass:
        mov dword [packet + 8], 0
next:
        mov si, packet
        mov ah, 0x42
        mov dl, 0x80
        int 0x13
        mov al, 7
        jc leave_with
        add dword [packet + 8], EACH
        cmp dword [packet + 8], SECTORS
        jb next
        dec bp
        jnz pass
        mov al, 0
leave_with:
        out 0xF4, al
        cli
        hlt

        align 4
packet: db 16, 0
        dw EACH
        dw 0, 0x1000            ; to 1000:0000
        dq 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
