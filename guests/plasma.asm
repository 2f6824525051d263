; plasma: a picture painted once, and 256 colours that wander through it.
; Run:    minivm run plasma
; Type:   \e
; Prints: Painted once: 64000 bytes, sum EE33h
; Prints: Still the same: 64000 bytes, sum EE33h
; Shows:  640 x 400, cc82e401fab915b95935cc83c7c2e2f56de62f58fbe7d38a6b95a1e4834ef7e7
; Exit:   0

; Mode 13h: 320 x 200 pixels, one byte each, in a row from A0000h. A byte is no colour but the number of one;
; the DAC holds red, green and blue for each of the 256 numbers, 6 bits apiece. Who changes these 768 bytes
; changes every pixel at once.

        bits 16
        org 0x7C00

WAVE    equ 0x8000              ; 256 bytes: one period of a wave between 1 and 63
COLOURS equ 0x8100              ; 512 colours of 3 bytes: the 256 twice, so that any 256 in a row can be sent
PIXELS  equ 320 * 200

start:
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov ax, 0x0013
        int 0x10

        mov di, WAVE            ; no sine in whole numbers: two parabolas look like one
        xor bx, bx
make_wave:
        mov al, bl
        and al, 0x7F
        mov ah, 0x80
        sub ah, al
        mul ah                  ; i * (128 - i): 0 at both ends of the half period, 4096 in its middle
        mov cx, 132
        xor dx, dx
        div cx                  ; 0 to 31
        test bl, 0x80
        jz upper_half
        neg al                  ; the second half period goes down
upper_half:
        add al, 32
        stosb
        inc bl
        jnz make_wave

        mov di, COLOURS         ; three waves, a third of a period apart
make_colours:
        mov al, bl
        call wave
        stosb                   ; red
        mov al, bl
        add al, 85
        call wave
        stosb                   ; green
        mov al, bl
        add al, 170
        call wave
        stosb                   ; blue
        inc bx
        cmp bx, 512
        jb make_colours

        call send_colours_from_start
        mov ax, 0xA000
        mov es, ax
        xor di, di
        xor dx, dx              ; DX = y
paint_line:
        xor cx, cx              ; CX = x
paint_pixel:
        mov al, dl
        call wave
        add al, cl
        call wave               ; wave(x + wave(y)): upright ribbons that sway
        mov ah, al
        mov al, cl
        call wave
        add al, al
        add al, dl
        add al, dl
        call wave               ; wave(2y + 2 wave(x)): narrow ones that lie
        add ah, al
        mov al, cl
        add al, dl
        call wave               ; wave(x + y): a slope
        add al, ah
        stosb
        inc cx
        cmp cx, 320
        jb paint_pixel
        inc dx
        cmp dx, 200
        jb paint_line

        mov si, painted
        call report
        mov si, COLOURS
frame:
        mov ah, 0x86            ; INT 15h: sleep for CX:DX microseconds; a frame takes 14286, and asking at
        xor cx, cx              ; every one of them whether it is over would keep the CPU busy for nothing
        mov dx, 12000
        int 0x15
        mov dx, 0x3DA           ; input status 1, bit 3: the beam is on its way back to the top
still_there:
        in al, dx
        test al, 8
        jnz still_there         ; the same retrace as before: let it pass
not_yet:
        in al, dx
        test al, 8
        jz not_yet
        call send_colours       ; now nobody sees half of the old and half of the new
        add si, 3
        cmp si, COLOURS + 256 * 3
        jb look_for_key
        mov si, COLOURS
look_for_key:
        mov ah, 0x01            ; INT 16h: a key? ZF = 1: none
        int 0x16
        jz frame

        call send_colours_from_start
        mov si, same
        call report
        cli
        hlt

send_colours_from_start:
        mov si, COLOURS
send_colours:                   ; 256 colours from SI
        push si
        mov dx, 0x3C8
        mov al, 0
        out dx, al              ; the first number; it counts on by itself after each third byte
        inc dx
        mov cx, 768
        rep outsb
        pop si
        ret

wave:                           ; AL = wave(AL)
        push bx
        mov bx, WAVE
        xlatb
        pop bx
        ret

report:                         ; the text at SI and the sum of all pixels, on the serial line
        call print
        xor di, di
        xor bx, bx
        mov cx, PIXELS
sum:
        mov al, [es:di]
        mov ah, 0
        add bx, ax
        inc di
        loop sum
        mov cx, 4
digit:
        rol bx, 4
        mov al, bl
        and al, 0x0F
        cmp al, 10
        sbb al, 0x69            ; 0-9 and 10-15 ...
        das                     ; ... become '0'-'9' and 'A'-'F'
        call put
        loop digit
        mov si, end_of_line
print:
        lodsb
        test al, al
        jz printed
        call put
        jmp print
put:
        mov ah, 0x01            ; INT 14h: send AL on serial line DX
        xor dx, dx
        int 0x14
printed:
        ret

painted:     db "Painted once: 64000 bytes, sum ", 0
same:        db "Still the same: 64000 bytes, sum ", 0
end_of_line: db "h", 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
