; Claim: reads cylinder 1, head 1, sector 3 of drive A by the 82077AA, DMA channel 2 and IRQ 6, without the BIOS, prints
; the text there on COM1, writes it back to sector 4 in capitals, and ends by the debug exit: 10h when all went well.
; tests/devices/test_floppy_guest.py assembles it and runs it on MiniVM and on QEMU.
bits 16
org 0x7c00

BUFFER equ 0x9000
DOR equ 0x3f2
MSR equ 0x3f4
FIFO equ 0x3f5
CCR equ 0x3f7

start:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    cld
    mov word [0x0e * 4], irq6
    mov [0x0e * 4 + 2], cs
    in al, 0x21
    and al, 0xbf                    ; let IRQ 6 through
    out 0x21, al
    sti

    mov dx, DOR                     ; reset, then motor A, interrupts and DMA on
    xor al, al
    out dx, al
    mov al, 0x1c
    mov byte [came], 0
    out dx, al
    call wait_irq
    mov cx, 4
.sense:
    call sense
    loop .sense
    mov dx, CCR                     ; 500 kbit/s
    xor al, al
    out dx, al
    mov si, specify
    mov cx, 3
    call send
    mov si, recalibrate
    mov cx, 2
    call send_and_wait
    call sense
    mov si, seek
    mov cx, 3
    call send_and_wait
    call sense
    cmp al, 1
    jne failed

    mov al, 0x46                    ; single mode, to memory, channel 2
    call program_dma
    mov si, read
    mov cx, 9
    call send_and_wait
    call result

    mov si, BUFFER
.print:
    lodsb
    test al, al
    jz .write_back
    mov dx, 0x3f8
    out dx, al
    cmp al, 'a'
    jb .print
    and byte [si - 1], 0xdf
    jmp .print
.write_back:
    mov al, 0x4a                    ; single mode, from memory, channel 2
    call program_dma
    mov si, write
    mov cx, 9
    call send_and_wait
    call result
    mov al, 0x10
end:
    out 0xf4, al
    hlt
failed:
    mov al, 0x11
    jmp end

; AL: DMA mode register. 512 bytes at BUFFER.
program_dma:
    mov ah, al
    mov al, 0xc0                    ; channel 4 cascades
    out 0xd6, al
    xor al, al
    out 0xd4, al
    mov al, 6                       ; channel 2 masked
    out 0x0a, al
    out 0x0c, al
    mov al, ah
    out 0x0b, al
    mov al, BUFFER & 0xff
    out 0x04, al
    mov al, BUFFER >> 8
    out 0x04, al
    xor al, al
    out 0x81, al
    mov al, 0xff
    out 0x05, al
    mov al, 1
    out 0x05, al
    mov al, 2                       ; unmasked
    out 0x0a, al
    ret

send_and_wait:
    mov byte [came], 0
    call send
wait_irq:
    cli
    cmp byte [came], 0
    jne .done
    sti
    hlt
    jmp wait_irq
.done:
    sti
    ret

; CX bytes at SI to the FIFO.
send:
    mov dx, MSR
    in al, dx
    and al, 0xc0
    cmp al, 0x80
    jne send
    inc dx
    lodsb
    out dx, al
    loop send
    ret

take:
    mov dx, MSR
    in al, dx
    and al, 0xc0
    cmp al, 0xc0
    jne take
    inc dx
    in al, dx
    ret

; SENSE INTERRUPT STATUS; AL: the cylinder.
sense:
    push cx
    mov si, sense_interrupt
    mov cx, 1
    call send
    pop cx
    call take
    jmp take

; Seven bytes; fails unless ST0 says that it ended well.
result:
    call take
    test al, 0xc0
    jnz failed
    mov cx, 6
.next:
    call take
    loop .next
    ret

irq6:
    push ax
    mov byte [came], 1
    mov al, 0x20
    out 0x20, al
    pop ax
    iret

came: db 0
specify: db 0x03, 0xdf, 0x02
recalibrate: db 0x07, 0
seek: db 0x0f, 0x04, 1
sense_interrupt: db 0x08
read: db 0xe6, 0x04, 1, 1, 3, 2, 18, 0x1b, 0xff
write: db 0xc5, 0x04, 1, 1, 4, 2, 18, 0x1b, 0xff

times 510 - ($ - $$) db 0
dw 0xaa55
