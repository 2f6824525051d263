; screen-linear: mode 13h, every pixel of 320 x 200 written by a MOV of its own, frame after frame.
; Run:    minivm run guests/workload/screen-linear.img
; Exit:   1

        bits 16
        org 0x7C00

FRAMES  equ 200                 ; tests/benchmarks/run.py reads this line

start:
        cli
        mov ax, 0x13
        int 0x10
        mov ax, 0xA000
        mov es, ax
        mov bp, FRAMES
frame:
        xor di, di
        mov dx, 200
row:
        mov ax, bp
        add al, dl
        mov cx, 320
pixel:
        mov [es:di], al
        inc al
        inc di
        dec cx
        jnz pixel
        dec dx
        jnz row
        dec bp
        jnz frame

        mov al, 0
        out 0xF4, al
        hlt

        times 510 - ($ - $$) db 0
        dw 0xAA55
