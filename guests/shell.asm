; shell: a prompt, a line editor, a table of commands: a tiny operating system's face.
; Run:    minivm run shell
; Type:   help\necho it lives\nmem\nnonsenx<Backspace>se\ntime\nexit\n
; Prints: MiniVM shell. Try: help
; Prints: help echo mem time clear reboot exit
; Prints: it lives
; Prints: KiB below 1 MiB
; Prints: nonsense: no such command
; Prints: 2026-01-01 00:0
; Prints: Bye.
; Exit:   0

; It is longer than the one sector that the BIOS loads, so its first act is to fetch the rest of itself.

        bits 16
        org 0x7C00

LINE      equ 0x1000            ; where the line typed is collected
LINE_SIZE equ 64
SECTORS   equ 2                 ; behind the boot sector

start:
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov ax, 0x0200 + SECTORS ; INT 13h, AH=02h: read; DL is still the drive we came from
        mov cx, 0x0002          ; cylinder 0, sector 2
        mov dh, 0
        mov bx, start + 512
        int 0x13
        mov si, no_disk
        jc fatal
        mov si, welcome
        call print

prompt:
        mov si, prompt_text
        call print
        call read_line
        call run_line
        jmp prompt

fatal:
        call print
        cli
        hlt

read_line:                      ; a line from the keyboard into LINE, ended by a zero
        mov di, LINE
key:
        mov ah, 0
        int 0x16
        cmp al, 13
        je line_ready
        cmp al, 8
        je rub_out
        cmp al, ' '
        jb key                  ; no use for other control characters
        cmp di, LINE + LINE_SIZE - 1
        jae key                 ; full
        stosb
        call put
        jmp key
rub_out:
        cmp di, LINE
        je key
        dec di
        mov si, erase
        call print
        jmp key
line_ready:
        mov byte [di], 0
        jmp new_line

run_line:                       ; look the first word up in the table, and jump to its code
        cmp byte [LINE], 0
        je found_nothing
        mov bx, commands
compare:
        mov di, [bx]            ; the command's name
        test di, di
        jz unknown
        mov si, LINE
same:
        lodsb
        cmp al, ' '
        jne not_space
        mov al, 0               ; a space ends the word, as the end of the line does
not_space:
        cmp al, [di]
        jne another
        inc di
        test al, al
        jnz same
        jmp [bx + 2]            ; SI is behind the word: at the argument, if there is one
another:
        add bx, 4
        jmp compare
unknown:
        mov si, LINE
        call print
        mov si, unknown_text
        jmp print
found_nothing:
        ret

commands:
        dw name_help, help
        dw name_echo, echo
        dw name_mem, mem
        dw name_time, time
        dw name_clear, clear
        dw name_reboot, reboot
        dw name_exit, exit
        dw 0

help:
        mov bx, commands
each:
        mov si, [bx]
        test si, si
        jz new_line
        call print
        mov al, ' '
        call put
        add bx, 4
        jmp each

echo:
        cmp byte [si - 1], 0    ; no argument
        je new_line
        call print
new_line:
        mov si, line_end

print:                          ; the text at SI up to a zero; BX and DI kept
        push bx
        mov bx, 7
print_next:
        lodsb
        test al, al
        jz printed
        mov ah, 0x0E
        int 0x10
        jmp print_next
printed:
        pop bx
        ret

put:
        push bx
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        pop bx
        ret

no_disk: db "The rest of the shell cannot be read.", 0

        times 510 - ($ - $$) db 0
        dw 0xAA55

; From here on: sectors 2 and 3.

mem:
        int 0x12                ; AX = KiB below 1 MiB that are free to use
        call put_decimal
        mov si, conventional
        call print
        mov ax, 0xE801          ; AX = KiB from 1 to 16 MiB, BX = 64-KiB blocks above that
        int 0x15
        jc no_extended
        push bx
        call put_decimal
        mov si, extended
        call print
        pop ax
        shr ax, 4               ; 64 KiB * 16 = 1 MiB
        call put_decimal
        mov si, high
        jmp print
no_extended:
        ret

time:                           ; the battery-backed clock, in packed BCD: two digits a byte
        mov ah, 0x04
        int 0x1A                ; CH CL = century and year, DH = month, DL = day
        mov al, ch
        call put_bcd
        mov al, cl
        call put_bcd
        mov al, '-'
        call put
        mov al, dh
        call put_bcd
        mov al, '-'
        call put
        mov al, dl
        call put_bcd
        mov al, ' '
        call put
        mov ah, 0x02
        int 0x1A                ; CH = hours, CL = minutes, DH = seconds
        mov al, ch
        call put_bcd
        mov al, ':'
        call put
        mov al, cl
        call put_bcd
        mov al, ':'
        call put
        mov al, dh
        call put_bcd
        jmp new_line

clear:
        mov ax, 0x0003          ; setting the text mode again clears the screen
        int 0x10
        ret

reboot:
        mov al, 0xFE            ; the keyboard controller's output 0 is the CPU's reset line:
        out 0x64, al            ; FEh pulses it
        jmp $

exit:
        mov si, bye
        call print
        cli
        hlt

put_bcd:
        push ax
        shr al, 4
        add al, '0'
        call put
        pop ax
        and al, 0x0F
        add al, '0'
        jmp put

put_decimal:                    ; AX, without leading zeros: the digits come last first, so the stack turns them
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
        call put
        loop put_digits
        ret

name_help:    db "help", 0
name_echo:    db "echo", 0
name_mem:     db "mem", 0
name_time:    db "time", 0
name_clear:   db "clear", 0
name_reboot:  db "reboot", 0
name_exit:    db "exit", 0
welcome:      db "MiniVM shell. Try: help", 13, 10, 0
prompt_text:  db "> ", 0
unknown_text: db ": no such command", 13, 10, 0
conventional: db " KiB below 1 MiB, ", 0
extended:     db " KiB from 1 to 16 MiB, ", 0
high:         db " MiB above", 13, 10, 0
erase:        db 8, " ", 8, 0
line_end:     db 13, 10, 0
bye:          db "Bye.", 13, 10, 0

        times (1 + SECTORS) * 512 - ($ - $$) db 0
        times 320 * 512 - ($ - $$) db 0 ; a floppy of 160 KiB, the smallest standard one
