; rtc: the battery-backed clock: read the date, set an alarm, sleep until it rings.
; Run:    minivm run rtc
; Prints: The date is 2026-01-01.
; Prints: Alarm set; sleeping.
; Prints: It rang after 2 seconds.
; Exit:   0

        bits 16
        org 0x7C00

; MC146818: port 70h chooses a register, port 71h is that register.
SECONDS       equ 0x00
SECONDS_ALARM equ 0x01
MINUTES_ALARM equ 0x03
HOURS_ALARM   equ 0x05
DAY           equ 0x07
MONTH         equ 0x08
YEAR          equ 0x09
STATUS_A      equ 0x0A          ; bit 7: an update is under way, do not read
STATUS_B      equ 0x0B          ; bit 5, AIE: the alarm interrupts; bit 4, UIE: each update does
STATUS_C      equ 0x0C          ; what interrupted; reading it takes the request back
CENTURY       equ 0x32
ANY           equ 0xC0          ; an alarm byte of C0h-FFh matches every value
IRQ8_VECTOR   equ 0x70          ; the second 8259A's vectors begin here

start:
        cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        cld

wait_for_update:                ; the registers change only in an update, once a second
        mov al, STATUS_A
        call read
        test al, 0x80
        jnz wait_for_update

        mov si, date
        call print
        mov al, CENTURY
        call put_register
        mov al, YEAR
        call put_register
        mov si, dash
        call print
        mov al, MONTH
        call put_register
        mov si, dash
        call print
        mov al, DAY
        call put_register

        mov word [IRQ8_VECTOR * 4], on_rtc
        mov word [IRQ8_VECTOR * 4 + 2], 0
        mov al, SECONDS
        call read
        add al, 2
        daa                     ; packed BCD: 59h + 2 is 61h,
        cmp al, 0x60
        jb in_this_minute
        sub al, 0x60            ; which is second 01 of the next minute
in_this_minute:
        mov ah, al
        mov al, SECONDS_ALARM
        call write
        mov ah, ANY
        mov al, MINUTES_ALARM
        call write
        mov al, HOURS_ALARM
        call write

        mov al, STATUS_C
        call read               ; an old request would keep the line high, and no edge would ever come
        mov al, STATUS_B
        call read
        or al, 0x30             ; AIE and UIE: ring at the alarm, and count the seconds until then
        mov ah, al
        mov al, STATUS_B
        call write
        in al, 0xA1             ; IRQ8 is input 0 of the second 8259A,
        and al, 0xFE
        out 0xA1, al
        in al, 0x21             ; which hangs on input 2 of the first
        and al, 0xFB
        out 0x21, al

        mov si, set
        call print
sleep:
        sti
        hlt
        cli
        cmp byte [rang], 0
        je sleep

        mov al, [updates]
        add al, '0'
        mov [count], al
        mov si, done
        call print
        cli
        hlt

on_rtc:
        push ax
        mov al, STATUS_C
        call read
        test al, 0x10           ; UF: a second has passed
        jz no_update
        inc byte [updates]
no_update:
        test al, 0x20           ; AF: it is the alarm
        jz no_alarm
        mov byte [rang], 1
no_alarm:
        mov al, 0x20            ; both chips have it in service: two ends of interrupt
        out 0xA0, al
        out 0x20, al
        pop ax
        iret

read:                           ; AL = register -> AL = value
        out 0x70, al
        in al, 0x71
        ret

write:                          ; AL = register, AH = value
        out 0x70, al
        xchg al, ah
        out 0x71, al
        xchg al, ah
        ret

put_register:                   ; register AL, two BCD digits
        call read
        push ax
        shr al, 4
        call put_digit
        pop ax
        and al, 0x0F
put_digit:
        add al, '0'
put:
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        ret

print:
        lodsb
        test al, al
        jz printed
        call put
        jmp print
printed:
        ret

rang:    db 0
updates: db 0
date:    db "The date is ", 0
dash:    db "-", 0
set:     db ".", 13, 10, "Alarm set; sleeping.", 13, 10, 0
done:    db "It rang after "
count:   db "0 seconds.", 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
