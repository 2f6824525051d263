; tour: the machine shows itself: colours, the cursor, the timer, the keyboard.
; Run:    minivm
; Type:   <Up>aq
; Prints: Welcome to MiniVM
; Prints: You pressed: a
; Prints: Good-bye
; Exit:   0

; Every second of the clock below is 18.2 timer interrupts; between two of them the CPU is halted.

        bits 16
        org 0x7C00

SECTORS   equ 4                 ; behind the boot sector
BDA       equ 0x40              ; segment of the BIOS data area
TICKS_LOW equ 0x6C              ; in it: timer ticks since midnight, counted by the BIOS's INT 08h

WHITE_ON_BLUE  equ 0x1F
GREY_ON_BLUE   equ 0x17
YELLOW_ON_BLUE equ 0x1E
CYAN_ON_BLUE   equ 0x1B
BLACK_ON_CYAN  equ 0x30

start:
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov ax, 0x0200 + SECTORS ; the BIOS loaded 512 bytes only: fetch the rest
        mov cx, 0x0002
        mov dh, 0
        mov bx, start + 512
        int 0x13
        jnc main
        mov si, no_disk
no_disk_next:
        lodsb
        test al, al
        jz no_disk_stop
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        jmp no_disk_next
no_disk_stop:
        cli
        hlt

no_disk: db "The rest of the tour cannot be read.", 0

        times 510 - ($ - $$) db 0
        dw 0xAA55

main:
        mov ax, 0x0003          ; INT 10h, AH=00h: 80 x 25 text in 16 colours, cleared
        int 0x10
        mov ax, 0x1003          ; attribute bit 7 shall be a bright background, not blinking
        mov bl, 0
        int 0x10
        mov ax, 0xB800
        mov es, ax

        xor di, di              ; a blue desk
        mov cx, 80 * 25
        mov ax, WHITE_ON_BLUE * 256 + ' '
        rep stosw
        xor di, di              ; a bar above and one below
        mov cx, 80
        mov ax, BLACK_ON_CYAN * 256 + ' '
        rep stosw
        mov di, 24 * 160
        mov cx, 80
        rep stosw

        call frame
        mov si, texts
        call print_all
        call palette
        mov dx, [cursor]
        call place

main_loop:
        call show_clock
        mov ah, 0x01            ; INT 16h, AH=01h: is there a key? ZF on: no. It does not wait.
        int 0x16
        jnz key
        hlt                     ; until the next interrupt: a tick, or a key
        jmp main_loop

key:
        mov ah, 0x00            ; take the key out of the BIOS's buffer
        int 0x16
        cmp al, 27              ; Esc
        je quit
        mov bl, al
        or bl, 0x20             ; Q and q alike
        cmp bl, 'q'
        je quit
        call show_key
        call move_cursor
        jmp main_loop

quit:
        mov si, goodbye
        call print_entry
        mov dx, 0x1700          ; leave the cursor below the text, where a terminal's prompt may follow
        mov ah, 0x02
        mov bh, 0
        int 0x10
        cli                     ; halted with interrupts off: nothing can wake this machine,
        hlt                     ; which is how a PC without power management says "off"

; --- the clock: ticks become seconds -------------------------------------------------------------------------------

show_clock:
        push ds
        mov ax, BDA
        mov ds, ax
        mov ax, [TICKS_LOW]
        pop ds
        cmp ax, [last_tick]
        je clock_done           ; still the same tick
        mov [last_tick], ax
        inc word [ticks]

        mov ax, [ticks]         ; the number itself
        mov di, 12 * 160 + 34 * 2
        call put_decimal
        mov bx, [ticks]         ; and a spinner: four pictures, one every second tick
        shr bx, 1
        and bx, 3
        mov al, [spinner + bx]
        mov ah, YELLOW_ON_BLUE
        mov [es:12 * 160 + 44 * 2], ax

        mov ax, [ticks]         ; 18.2 ticks a second: seconds = ticks * 10 / 182
        mov bx, 10
        mul bx
        mov bx, 182
        div bx
        mov di, 13 * 160 + 34 * 2
        call put_decimal
clock_done:
        ret

; --- keys ------------------------------------------------------------------------------------------------------------

show_key:                       ; AL = character, AH = scan code
        push ax
        mov di, 15 * 160 + 37 * 2
        mov cl, al
        cmp cl, 0xE0            ; arrows and other grey keys have no character
        je no_character
        cmp cl, ' '
        jae character
no_character:
        mov cl, 0xFA            ; a middle dot in code page 437
character:
        mov al, cl
        mov ah, YELLOW_ON_BLUE
        stosw
        mov di, 15 * 160 + 52 * 2
        pop ax
        push ax
        mov al, ah
        shr al, 4
        call put_digit
        pop ax
        push ax
        mov al, ah
        and al, 0x0F
        call put_digit
        pop ax
        ret

put_digit:                      ; AL = 0..15 as a hexadecimal digit at DI
        add al, '0'
        cmp al, '9'
        jbe decimal_digit
        add al, 'A' - '9' - 1
decimal_digit:
        mov ah, YELLOW_ON_BLUE
        stosw
        ret

move_cursor:                    ; the arrow keys carry the cursor about; AH = scan code
        mov dx, [cursor]        ; DH = row, DL = column, as INT 10h wants them
        cmp ah, 0x48
        je go_up
        cmp ah, 0x50
        je go_down
        cmp ah, 0x4B
        je go_left
        cmp ah, 0x4D
        je go_right
        ret
go_up:
        cmp dh, 1
        je place
        dec dh
        jmp place
go_down:
        cmp dh, 23
        je place
        inc dh
        jmp place
go_left:
        cmp dl, 0
        je place
        dec dl
        jmp place
go_right:
        cmp dl, 79
        je place
        inc dl
place:
        mov [cursor], dx
        mov ah, 0x02            ; INT 10h, AH=02h: the cursor to DH, DL on page BH
        mov bh, 0
        int 0x10
        ret

; --- drawing ---------------------------------------------------------------------------------------------------------

frame:                          ; a double-lined box, rows 2 to 5, columns 14 to 65
        mov di, 2 * 160 + 14 * 2
        mov al, 0xC9
        mov bx, 0xBBCD          ; BL = the line, BH = the right corner
        call frame_row
        mov di, 3 * 160 + 14 * 2
        mov al, 0xBA
        mov bx, 0xBA20
        call frame_row
        mov di, 4 * 160 + 14 * 2
        mov al, 0xBA
        mov bx, 0xBA20
        call frame_row
        mov di, 5 * 160 + 14 * 2
        mov al, 0xC8
        mov bx, 0xBCCD
frame_row:
        mov ah, CYAN_ON_BLUE
        stosw
        mov al, bl
        mov cx, 50
        rep stosw
        mov al, bh
        stosw
        ret

palette:                        ; the 16 colours, three cells of each, as backgrounds
        mov di, 10 * 160 + 24 * 2
        xor bx, bx
colour:
        mov ah, bl
        shl ah, 4
        mov al, ' '
        mov cx, 3
        rep stosw
        inc bl
        cmp bl, 16
        jb colour
        ret

put_decimal:                    ; AX at DI, without leading zeros
        xor cx, cx
        mov bx, 10
divide:
        xor dx, dx
        div bx
        push dx
        inc cx
        test ax, ax
        jnz divide
put_digits:
        pop ax
        add al, '0'
        mov ah, YELLOW_ON_BLUE
        stosw
        loop put_digits
        ret

print_all:                      ; a list of entries: place, attribute, text, zero; a place of FFFFh ends it
        cmp word [si], 0xFFFF
        je print_done
        call print_entry
        jmp print_all
print_entry:
        lodsw
        mov di, ax
        lodsb
        mov ah, al
print_next:
        lodsb
        test al, al
        jz print_done
        stosw
        jmp print_next
print_done:
        ret

texts:
        dw 2
        db BLACK_ON_CYAN, "MiniVM", 0
        dw 37 * 2
        db BLACK_ON_CYAN, "a PC that you can look into while it runs", 0
        dw 3 * 160 + 31 * 2
        db WHITE_ON_BLUE, "Welcome to MiniVM", 0
        dw 4 * 160 + 20 * 2
        db GREY_ON_BLUE, "2560 bytes of machine code on a bare PC", 0
        dw 7 * 160 + 14 * 2
        db WHITE_ON_BLUE, "Text", 0
        dw 7 * 160 + 24 * 2
        db GREY_ON_BLUE, "each cell is two bytes at B8000h: a character and its", 0
        dw 8 * 160 + 24 * 2
        db GREY_ON_BLUE, "colours. ", 1, " ", 2, " ", 3, " ", 4, " ", 5, " ", 6, " ", 14, " are characters, too.", 0
        dw 10 * 160 + 14 * 2
        db WHITE_ON_BLUE, "Colours", 0
        dw 12 * 160 + 14 * 2
        db WHITE_ON_BLUE, "Timer", 0
        dw 12 * 160 + 24 * 2
        db GREY_ON_BLUE, "ticks:", 0
        dw 13 * 160 + 24 * 2
        db GREY_ON_BLUE, "seconds:", 0
        dw 15 * 160 + 14 * 2
        db WHITE_ON_BLUE, "Keyboard", 0
        dw 15 * 160 + 24 * 2
        db GREY_ON_BLUE, "You pressed:      scan code", 0
        dw 17 * 160 + 14 * 2
        db WHITE_ON_BLUE, "Cursor", 0
        dw 17 * 160 + 24 * 2
        db GREY_ON_BLUE, "the arrow keys move it", 0
        dw 24 * 160 + 2
        db BLACK_ON_CYAN, "Esc or Q: switch off", 0
        dw 24 * 160 + 56 * 2
        db BLACK_ON_CYAN, "more: minivm guests", 0
        dw 0xFFFF
goodbye:
        dw 20 * 160 + 14 * 2
        db WHITE_ON_BLUE, "Good-bye! The CPU halts with interrupts off.", 0

spinner:   db "|/-", 0x5C
last_tick: dw 0
ticks:     dw 0
cursor:    dw 17 * 256 + 50     ; row 17, column 50

        times (1 + SECTORS) * 512 - ($ - $$) db 0
        times 320 * 512 - ($ - $$) db 0
