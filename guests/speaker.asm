; speaker: three notes from the timer's third channel, and the gate that lets them out.
; Run:    minivm run speaker
; Prints: C5 (523 Hz)
; Prints: E5 (659 Hz)
; Prints: G5 (784 Hz)
; Prints: Silence.
; Exit:   0

        bits 16
        org 0x7C00

CONTROL equ 0x61                ; system control port B: bit 0 = gate of channel 2, bit 1 = speaker data
NOTE_TICKS equ 3                ; 3 / 18.2 s: a sixth of a second

start:
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov di, notes
next_note:
        mov cx, [di]
        test cx, cx
        jz silence
        mov al, 0xB6            ; 8254: channel 2, low and high byte, mode 3 (square wave), binary
        out 0x43, al
        mov al, cl
        out 0x42, al
        mov al, ch
        out 0x42, al
        in al, CONTROL
        or al, 0x03             ; channel 2 counts, and its output moves the membrane
        out CONTROL, al
        mov si, [di + 2]
        call print
        mov cx, NOTE_TICKS
        call wait_ticks
        add di, 4
        jmp next_note

silence:
        in al, CONTROL
        and al, 0xFC            ; the other bits belong to others (parity and channel checks): keep them
        out CONTROL, al
        mov si, quiet
        call print
        cli
        hlt

wait_ticks:                     ; CX ticks; INT 1Ah, AH=00h: CX:DX = ticks since midnight
        push cx
        mov ah, 0
        int 0x1A
        mov bx, dx
        pop cx
same_tick:
        hlt
        push cx
        mov ah, 0
        int 0x1A
        pop cx
        sub dx, bx              ; so that a carry beyond FFFFh does no harm
        cmp dx, cx
        jb same_tick
        ret

print:
        lodsb
        test al, al
        jz printed
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        jmp print
printed:
        ret

notes:                          ; divisor = 1193182 Hz / frequency
        dw 2280, c5
        dw 1810, e5
        dw 1522, g5
        dw 0
c5:     db "C5 (523 Hz)", 13, 10, 0
e5:     db "E5 (659 Hz)", 13, 10, 0
g5:     db "G5 (784 Hz)", 13, 10, 0
quiet:  db "Silence.", 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
