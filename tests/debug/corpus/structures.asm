struc point
.x:     resw 1
.y:     resw 1
.name:  resb 8
endstruc
struc entry, 4
.flags: resb 1
        alignb 4
.base:  resd 1
endstruc
absolute 0x500
drive:  resb 1
cursor: resw 2
scratch:
section .text
        mov al, [drive]
        mov bx, scratch
        mov word [si + point.x], 5
        mov ax, [si + point.y]
        add si, point_size
        db entry.base, entry_size, point.name
origin: istruc point
        at point.x, dw 1
        at point.y, dw 2
        at point.name, db 'origin'
        iend
        dw origin
