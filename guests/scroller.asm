; scroller: a landscape twice as wide as the screen, moved by two registers, and a second page with the stars out.
; Run:    minivm run scroller
; Type:   \e
; Prints: 2 pages of 640 x 200 pixels are drawn.
; Prints: Back at the left; sum of a plane: C2C8h
; Shows:  640 x 400, c25adb6da10b0fb1f5958bd70a5501ce2370d642acf17cbe0b5e77f1287b3dbb
; Exit:   0

; Mode 13h wastes three quarters of the card's memory: chain-4 gives each byte address to one plane only. Without it
; ("mode X") pixel x lies in plane x mod 4 at offset y * PITCH + x / 4, and all 256 KiB can be used. Which part of them
; is seen is for the start address to say, in steps of four pixels, and for pixel panning, which moves the picture by
; one to three more. Nothing is copied: the landscape lies still, the window moves.

        bits 16
        org 0x7C00

PITCH     equ 160               ; offsets a line: 640 pixels, twice the screen
PAGE_SIZE equ 200 * PITCH       ; two of them are nearly all that a plane has
SKY       equ 0                 ; colours 0-99
HILL      equ 128               ; colours 128-191, from the top down
STAR      equ 192
STARS     equ 96

SEQUENCER equ 0x3C4
GRAPHICS  equ 0x3CE
CRTC      equ 0x3D4
STATUS    equ 0x3DA             ; bit 3: the beam is on its way back to the top
ATTRIBUTE equ 0x3C0

%macro set 3                    ; port, index, value
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
        mov ax, 0x0201          ; INT 13h: the second half of this program
        mov cx, 0x0002
        mov dh, 0
        mov bx, start + 512
        int 0x13
        jc stop
        mov ax, 0x0013
        int 0x10
        set SEQUENCER, 4, 0x06  ; no chain-4
        set CRTC, 0x14, 0x00    ; the CRTC counts bytes, not double words ...
        set CRTC, 0x17, 0xE3    ; ... and not words
        set CRTC, 0x13, 80      ; a line is so many pairs of offsets
        mov ax, 0xA000
        mov es, ax

        mov dx, 0x3C8           ; the DAC's first 193 colours
        mov al, 0
        out dx, al
        inc dx
        xor bx, bx              ; BL = colour
next_colour:
        mov al, bl
        test bl, HILL
        jnz of_the_hill
        shr al, 1
        out dx, al              ; the sky: from blue to red
        shr al, 1
        out dx, al
        neg al
        add al, 40
        out dx, al
        jmp colour_done
of_the_hill:
        and al, 0x3F
        neg al
        add al, 63
        shr al, 1
        out dx, al              ; the hill: from a light green to black
        mov ah, al
        add al, 8
        out dx, al
        mov al, ah
        shr al, 2
        out dx, al
colour_done:
        inc bl
        cmp bl, STAR
        jb next_colour
        mov al, 63              ; and white
        out dx, al
        out dx, al
        out dx, al

        set SEQUENCER, 2, 0x0F  ; map mask: a byte written goes to all planes, and so is four pixels
        xor di, di
        xor bx, bx              ; BL = y
sky_line:
        mov al, bl
        shr al, 1
        mov cx, PITCH
        rep stosb
        inc bl
        cmp bl, 200
        jb sky_line

        xor bp, bp              ; the hills: one plane after the other, so that the map mask changes four times only
next_plane:
        mov cx, bp
        mov ax, 0x0102
        shl ah, cl
        mov dx, SEQUENCER
        out dx, ax
        mov si, bp              ; SI = x
next_column:
        mov ax, si
        and al, 0x7F
        mov ah, 0x80
        sub ah, al
        mul ah                  ; t * (128 - t): a parabola for each 128 pixels
        shr ax, 6               ; 0 to 64
        test si, 0x80
        jz high_hill
        shr ax, 1               ; every second one is lower
high_hill:
        add ax, 63
        mov cx, ax              ; CX = height in pixels, as it goes down
        mov di, 200
        sub di, cx
        imul di, di, PITCH
        mov ax, si
        shr ax, 2
        add di, ax              ; the top
hill_pixel:
        mov ax, cx
        shr al, 1
        neg al
        add al, HILL + 63       ; the colour tells the height
        mov [es:di], al
        add di, PITCH
        loop hill_pixel
        add si, 4
        cmp si, 640
        jb next_column
        inc bp
        cmp bp, 4
        jb next_plane

        set SEQUENCER, 2, 0x0F  ; the second page is a copy of the first
        set GRAPHICS, 5, 0x41   ; write mode 1: a read takes four pixels into the latches, a write puts them down
        push ds
        push es
        pop ds
        xor si, si
        mov di, PAGE_SIZE
        mov cx, PAGE_SIZE
        rep movsb
        pop ds
        set GRAPHICS, 5, 0x40
        mov bp, STARS
        xor bx, bx
next_star:                      ; on the second page only
        imul bx, bx, 25173      ; scattered, but on every run the same
        add bx, 13849
        mov cl, bh
        and cl, 3
        mov ax, 0x0102
        shl ah, cl
        mov dx, SEQUENCER
        out dx, ax              ; one of four planes
        mov ax, bx
        xor dx, dx
        mov cx, 70 * PITCH
        div cx
        mov di, dx              ; and an offset above the hills
        mov byte [es:di + PAGE_SIZE], STAR
        dec bp
        jnz next_star
        jmp scroll

        times 510 - ($ - $$) db 0
        dw 0xAA55

scroll:
        mov si, drawn
        call print
        xor si, si              ; SI = the screen's left edge in the landscape
        mov bp, 1               ; and its speed
frame:
        call show
        add si, bp
        jz turn
        cmp si, 320
        jb look_for_key
turn:
        neg bp
look_for_key:
        mov ah, 0x01            ; INT 16h: a key? ZF = 1: none
        int 0x16
        jz frame
        xor si, si
        call show

        mov si, back
        call print
        xor di, di
        xor bx, bx
        mov cx, PAGE_SIZE
sum:
        mov al, [es:di]         ; of the plane that the read map select names: 0
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
        call print
stop:
        cli
        hlt

show:                           ; the screen at SI, beginning with the next retrace
        mov ah, 0x86            ; INT 15h: sleep for CX:DX microseconds, most of a frame's 14286
        xor cx, cx
        mov dx, 12000
        int 0x15
        mov bx, si
        shr bx, 2               ; the start address counts in four pixels
        test si, 0x20
        jz first_page
        add bx, PAGE_SIZE       ; page flip: 32 steps without, 32 with stars
first_page:
        mov dx, CRTC
        mov al, 0x0C
        mov ah, bh
        out dx, ax
        inc ax
        mov ah, bl
        out dx, ax              ; the card takes both when the next retrace begins, so nothing jumps before
        mov dx, STATUS
retrace_of_before:
        in al, dx
        test al, 8
        jnz retrace_of_before
no_retrace:
        in al, dx
        test al, 8
        jz no_retrace
        mov dx, ATTRIBUTE       ; index and data take turns at this port; reading STATUS has made it the index's
        mov al, 0x20 | 0x13     ; pixel panning; bit 5 leaves the picture on
        out dx, al
        mov ax, si
        and al, 3
        shl al, 1               ; in half pixels
        out dx, al
        ret

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

drawn:       db "2 pages of 640 x 200 pixels are drawn.", 13, 10, 0
back:        db "Back at the left; sum of a plane: ", 0
end_of_line: db "h", 13, 10, 0

        times 1024 - ($ - $$) db 0
