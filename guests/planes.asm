; planes: sixteen colours are four bits, and each bit lies in a memory of its own.
; Run:    minivm run planes
; Prints: Pixels of colour 15, all four planes: 1400h
; Prints: Pixels of colour 12, planes 2 and 3: 1BFFh
; Shows:  640 x 480, b1832e48b42399238b40b04170469d9920c755724ca9157d3e3745a888768b85
; Exit:   0

; Mode 12h: 640 x 480. One byte at A0000h is eight pixels, 80 bytes are a line, and behind each address there are four
; bytes, one a plane: bit 0 of the eight colours, bit 1, bit 2, bit 3. So a write goes to four places, and registers
; say which of them take what. A read fills four latches, one a plane; whatever a write leaves out comes from there.

        bits 16
        org 0x7C00

SECTORS   equ 1                 ; behind the boot sector
LINE      equ 80
SEQUENCER equ 0x3C4             ; 2: map mask, the planes that take part in a write
GRAPHICS  equ 0x3CE             ; 0: set/reset, 1: which planes take it, 2: colour to compare, 5: modes, 7: planes
                                ; to compare, 8: bit mask
%macro set 3                    ; port, index, value: two writes of a byte each, in one of 16 bits
        mov dx, %1
        mov ax, %3 << 8 | %2
        out dx, ax
%endmacro

start:
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov ax, 0x0200 + SECTORS ; INT 13h: the rest of this program
        mov cx, 0x0002
        mov dh, 0
        mov bx, start + 512
        int 0x13
        jc stop
        mov ax, 0x0012
        int 0x10
        mov ax, 0xA000
        mov es, ax
        call overlap
        call box
        call triangle
        call dots
        call copies
        call count
stop:
        cli
        hlt

; The map mask: four squares, each drawn into one plane only. Where they overlap, their bits add up.
overlap:
        mov bx, squares
        mov ah, 1               ; a plane's bit
next_square:
        mov dx, SEQUENCER
        mov al, 2
        out dx, ax
        push ax
        mov di, [bx]
        mov al, 0xFF            ; eight pixels at once
        mov cx, 16              ; bytes wide: 128 pixels
        mov dx, 128             ; lines
        call fill
        pop ax
        add bx, 2
        shl ah, 1
        cmp ah, 16
        jb next_square
        set SEQUENCER, 2, 0x0F
        ret

; Set/reset: the colour comes from a register, and the byte written does not matter.
box:
        set GRAPHICS, 0, 0x09   ; bright blue
        set GRAPHICS, 1, 0x0F   ; for all four planes
        mov di, 40 * LINE + 44
        mov cx, 28
        mov dx, 128
        call fill
        ret                     ; set/reset stays on for the triangle

; The bit mask: pixels finer than a byte. A read first, so that the other pixels of the byte come from the latches.
triangle:
        set GRAPHICS, 0, 0x0C   ; bright red, on the box
        mov bp, 1               ; BP = pixels of this line
        mov di, 56 * LINE + 46
triangle_line:
        xor bx, bx              ; BX = x
triangle_pixel:
        mov cl, bl
        and cl, 7
        mov ah, 0x80            ; the leftmost pixel is the highest bit
        shr ah, cl
        mov al, 8
        mov dx, GRAPHICS
        out dx, ax
        mov si, bx
        shr si, 3
        add si, di
        mov al, [es:si]         ; fills the latches; what is read is of no use
        mov [es:si], al         ; set/reset gives the colour, the mask the pixel, the latches all others
        inc bx
        cmp bx, bp
        jb triangle_pixel
        add di, LINE
        inc bp
        cmp bp, 91
        jb triangle_line
        set GRAPHICS, 8, 0xFF
        set GRAPHICS, 1, 0x00   ; from now on bytes count again
        ret

        times 510 - ($ - $$) db 0
        dw 0xAA55

; Write mode 2: the byte is a colour, the bit mask says for which pixels.
dots:
        set GRAPHICS, 5, 0x02
        mov di, 220 * LINE + 4
        mov bl, 0               ; BL = colour
next_dot:
        mov dx, GRAPHICS
        mov ax, 0xAA08          ; every second pixel
        out dx, ax
        mov al, bl
        mov cx, 4
        mov dx, 48
        call fill
        add di, 4 - 48 * LINE   ; back to the top, beside the last one
        inc bl
        cmp bl, 16
        jb next_dot
        set GRAPHICS, 8, 0xFF
        ret

; Write mode 1: only the latches count. One byte read and one written move 8 pixels in 16 colours.
copies:
        set GRAPHICS, 5, 0x01
        mov si, 24 * LINE       ; squares, box and triangle once more, but only every second line of them
        mov di, 320 * LINE
        push ds
        mov ax, es
        mov ds, ax
        mov bx, 88
copy_line:
        mov cx, LINE
        push si
        rep movsb
        pop si
        add si, 2 * LINE
        dec bx
        jnz copy_line
        pop ds
        set GRAPHICS, 5, 0x00
        ret

; Read mode 1: the card compares the planes itself; a bit is 1 where a pixel has the colour asked for.
count:
        set GRAPHICS, 5, 0x08
        set GRAPHICS, 7, 0x0F   ; all four planes count
        mov si, white
        set GRAPHICS, 2, 0x0F
        call count_colour
        mov si, red
        set GRAPHICS, 2, 0x0C
        call count_colour
        set GRAPHICS, 5, 0x00
        ret

count_colour:                   ; print the text at SI and how many pixels of the upper 200 lines have the colour
        call print
        xor di, di
        xor bx, bx
count_byte:
        mov al, [es:di]
next_bit:
        shl al, 1               ; the highest bit goes into the carry, and so into BX
        adc bx, 0
        test al, al
        jnz next_bit
        inc di
        cmp di, 200 * LINE
        jb count_byte
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

fill:                           ; AL into DX lines of CX bytes from ES:DI; DI moves to the line behind them
        push cx
        push di
fill_byte:
        mov ah, [es:di]         ; fills the latches, for writes that leave pixels out
        stosb
        loop fill_byte
        pop di
        pop cx
        add di, LINE
        dec dx
        jnz fill
        ret

squares:     dw 24 * LINE + 4, 24 * LINE + 12, 72 * LINE + 4, 72 * LINE + 12
white:       db "Pixels of colour 15, all four planes: ", 0
red:         db "Pixels of colour 12, planes 2 and 3: ", 0
end_of_line: db "h", 13, 10, 0

        times 1024 - ($ - $$) db 0
