; MiniVM's PC BIOS: 64 KiB at F0000h.
;
; The ROM holds the code that has to be real code: the reset vector, the entry points where programs expect them, the
; loops that wait with interrupts on, and the interrupt handlers that call further interrupts. The work itself is done
; in Python: a routine pushes a service number and writes to port B2h, the port by which a PC's firmware enters
; system-management mode. See docs/decisions/bios-traps.md; services.py holds the same numbers.
;
; Build: python -m minivm.firmware.build

bits 16
cpu 386
org 0

TRAP_PORT       equ 0B2h

SERVICE_POST            equ 100h
SERVICE_KERNEL          equ 101h
SERVICE_BOOT_CANDIDATE  equ 102h
SERVICE_WAIT_OVER       equ 103h
SERVICE_PAUSED          equ 104h
SERVICE_RTC_INTERRUPT   equ 105h
SERVICE_UNHANDLED       equ 106h
SERVICE_BOOT_CD         equ 107h
SERVICE_VBE_WINDOW      equ 110h
SERVICE_POINTING        equ 112h
SERVICE_POINTING_DONE   equ 113h

BOOT_STACK      equ 6F00h       ; below the boot sector, as other BIOSes leave it
BDA_SEGMENT     equ 40h
EBDA_SEGMENT    equ 9FC0h
EBDA_MESSAGE    equ 0A0h        ; what a service wants printed during the boot
FIRST_CD        equ 0E0h
BDA_RESUME      equ 67h         ; where a reset returns to when the CMOS shutdown byte asks for it
BDA_DISKETTE_DONE equ 3Eh
BDA_LAST_IRQ    equ 6Bh
BDA_DISK_DONE   equ 8Eh
BDA_KEYBOARD_HEAD equ 1Ah
BDA_KEYBOARD_TAIL equ 1Ch
BDA_TICKS       equ 6Ch
BDA_MIDNIGHT    equ 70h
BDA_EXTENDED    equ 0Eh         ; the extended data area's segment
MOUSE_DRIVER    equ 22h         ; in the extended data area: IBM's
MOUSE_INDEX     equ 26h
MOUSE_PACKAGE   equ 27h
MOUSE_DATA      equ 28h
MOUSE_SEND_COUNT   equ 30h      ; and ours; pointing.py has the same numbers
MOUSE_SEND         equ 31h
MOUSE_ANSWER_COUNT equ 35h
MOUSE_ANSWERS      equ 36h
MOUSE_RESULT       equ 3Ah
MOUSE_KEEP         equ 3Bh
MOUSE_ADD          equ 3Ch
ZERO_FLAG       equ 40h
PIC1            equ 20h
PIC2            equ 0A0h
EOI             equ 20h

; Call a service; it may change registers, ES, DS, memory and the flags image of the interrupt frame.
%macro TRAP 1
        push word %1
        out TRAP_PORT, al
        add sp, 2
%endmacro

; Call a service that answers yes (carry) or no. The answer replaces the service number on the stack.
%macro ASK 1
        push word %1
        out TRAP_PORT, al
        push bp
        mov bp, sp
        bt word [bp + 2], 0
        pop bp
        inc sp                  ; INC leaves the carry alone
        inc sp
%endmacro

; Let some 30 microseconds pass, about what this BIOS call took on an AT. Time goes by bytes of code, so NOPs as long as
; an instruction can be pass it at the least cost; a guest that polls would otherwise poll a million times for a key.
%macro TAKE_TIME 0
        push cx
        mov cx, 64
%%spin:
        %rep 34
        times 14 db 2Eh
        nop
        %endrep
        dec cx
        jnz %%spin
        pop cx
%endmacro

; Go on at a fixed offset, where the IBM PC had the same thing.
%macro AT_OFFSET 1
        times (%1) - ($ - $$) db 0
%endmacro

; ---------------------------------------------------------------------------------------------- fonts and tables
font_8x14:      incbin "font8x14.bin"
font_8x16:      incbin "font8x16.bin"
font_8x8:       incbin "font8x8.bin"    ; whole, for graphics modes; its lower half also stands where the PC had it
font_8x8_upper  equ font_8x8 + 1024

        AT_OFFSET 4000h
fixed_disk_tables:              ; filled by POST, one row of 16 bytes for each of the two first hard disks (INT 41h, 46h)
        times 32 db 0
video_functionality:            ; INT 10h AH=1Bh points here: which modes and functions exist
        db 0FFh, 0E0h, 0Fh, 0   ; modes 0-7 and 0Dh-13h
        db 0, 0, 0
        db 7                    ; 200, 350 and 400 scan lines
        db 2, 8                 ; two fonts at once out of eight
        dw 0EFFh                ; all but a light pen
        times 16 - ($ - video_functionality) db 0
video_save_pointers:            ; 40:A8 points here; no override is active
        dd 0, 0, 0, 0, 0, 0, 0

; ---------------------------------------------------------------------------------------------- code without a fixed place
        AT_OFFSET 5000h

reset:
        cli
        cld
        mov al, 8Fh             ; CMOS shutdown byte: a 286 program resets the CPU to leave protected mode
        out 70h, al
        in al, 71h
        mov ah, al
        cmp al, 5
        je .resume
        cmp al, 0Ah
        jne .post
.resume:
        mov al, 8Fh
        out 70h, al
        xor al, al
        out 71h, al
        cmp ah, 5
        jne .jump
        mov al, EOI
        out PIC2, al
        out PIC1, al
.jump:
        mov ax, BDA_SEGMENT
        mov ds, ax
        jmp far [BDA_RESUME]
.post:
        xor ax, ax
        mov ss, ax
        mov sp, BOOT_STACK
        mov ds, ax
        mov es, ax
        ASK SERVICE_POST
        pushf
        call set_up_keyboard
        popf
        jc .kernel
        sti
        int 19h
.kernel:
        TRAP SERVICE_KERNEL
.wait:
        hlt
        jmp .wait

; The keyboard controller takes its time, so this part of POST is not in Python: translation on, IRQ1 on, no mouse.
set_up_keyboard:
        mov al, 60h             ; write the command byte
        call .wait
        out 64h, al
        mov al, 65h
        call .wait
        out 60h, al
        mov al, 0AEh            ; enable the keyboard
        call .wait
        out 64h, al
.wait:                          ; until the controller has taken the last byte, but not for ever
        push ax
        mov cx, 1000h
.busy:
        in al, 64h
        test al, 2
        loopnz .busy
        pop ax
        ret

; INT 19h: try the drives in the boot order, each by INT 13h, so that whoever hooked it is asked.
boot:
        cli
        xor ax, ax
        mov ss, ax
        mov sp, BOOT_STACK
        xor si, si
        sti
.next:
        mov ax, si
        ASK SERVICE_BOOT_CANDIDATE      ; AX = which try; DL = drive; carry = no more
        jc .none
        inc si
        cmp dl, FIRST_CD
        jae .cd
        push dx
        mov ah, 0
        int 13h
        pop dx
        xor ax, ax
        mov es, ax
        mov ds, ax
        mov bx, 7C00h
        mov cx, 1
        mov dh, 0
        mov ax, 201h
        push dx
        int 13h
        pop dx
        jc .next
        cmp word [7DFEh], 0AA55h
        jne .next
        push word 0
        push word 7C00h
.enter:
        xor ax, ax
        mov es, ax
        mov ds, ax
        mov fs, ax
        mov gs, ax
        xor ebx, ebx
        xor ecx, ecx
        movzx edx, dl
        xor esi, esi
        xor edi, edi
        xor ebp, ebp
        mov eax, 0AA55h
        retf
.cd:
        ASK SERVICE_BOOT_CD     ; carry = loaded: AX:BX begins it, DL = its drive
        jc .loaded
        push si
        mov ax, EBDA_SEGMENT
        mov ds, ax
        mov si, EBDA_MESSAGE
        call print
        pop si
        jmp .next
.loaded:
        push ax
        push bx
        jmp .enter
.none:
        int 18h

print:                          ; the text at DS:SI, up to a zero
        cld
.character:
        lodsb
        or al, al
        jz .done
        mov ah, 0Eh
        mov bx, 7
        int 10h
        jmp .character
.done:
        ret

no_boot:
        push cs
        pop ds
        mov si, .message
        call print
.halt:
        cli
        hlt
        jmp .halt
.message:
        db "No bootable device", 13, 10, 0

; INT 08h, the timer: 18.2 times a second. Count, let INT 1Ch's owner have his turn with DS as on the PC, end.
timer:
        push ds
        push ax
        push dx
        mov ax, BDA_SEGMENT
        mov ds, ax
        TRAP 08h
        int 1Ch
        mov al, EOI
        out PIC1, al
        pop dx
        pop ax
        pop ds
        iret

; INT 09h, the keyboard. The scan code goes through INT 15h AH=4Fh, which may change or swallow it.
keyboard:
        push ax
        in al, 60h
        mov ah, 4Fh
        stc
        int 15h
        mov ah, 0
        jnc .end
        TRAP 09h                ; AL = scan code; AH = what is left to do
.end:
        mov al, EOI
        out PIC1, al
        cmp ah, 0
        je .done
        cmp ah, 1
        je .break
        cmp ah, 2
        je .print
        cmp ah, 3
        je .pause
        cmp ah, 4
        je .reset
        mov al, ah              ; 5 and 6: SysReq pressed and released
        sub al, 5
        mov ah, 85h
        sti
        int 15h
        jmp .done
.break:
        int 1Bh
        jmp .done
.print:
        int 5
        jmp .done
.pause:
        sti
        hlt
        cli
        ASK SERVICE_PAUSED
        jc .pause
.done:
        pop ax
        iret
.reset:
        mov al, 0FEh            ; the keyboard controller pulls the CPU's reset pin
        out 64h, al
        xor cx, cx
        loop $                  ; it takes a moment; without a controller, start over by hand
        jmp 0F000h:0FFF0h

; INT 16h. Programs poll AH=01h in tight loops, so "no key" is answered here, at the CPU's own speed. From the service,
; carry means "no key yet". CLI, because a key between the question and HLT would be lost.
keyboard_services:
        sti
        nop
        cli
        push bx
        push ds
        mov bx, BDA_SEGMENT
        mov ds, bx
        mov bx, [BDA_KEYBOARD_HEAD]
        cmp bx, [BDA_KEYBOARD_TAIL]
        pop ds
        pop bx
        jne .ask
        cmp ah, 1
        je .no_key
        cmp ah, 11h
        je .no_key
.ask:
        ASK 16h
        jnc .done
        sti
        hlt
        cli
        jmp .ask
.no_key:
        push bp
        mov bp, sp
        or byte [bp + 6], ZERO_FLAG
        pop bp
        sti
        TAKE_TIME
.done:
        iret

; INT 14h: the service needs time to pass until the UART is ready; the word on the stack is when the wait began.
serial_services:
        push word 0
.ask:
        push word 14h
        out TRAP_PORT, al
        push bp
        mov bp, sp
        bt word [bp + 2], 0
        pop bp
        inc sp
        inc sp
        jnc .done
        push cx
        mov cx, 1000h
        loop $
        pop cx
        jmp .ask
.done:
        add sp, 2
        iret

; INT 15h: carry means that AH=86h began to wait.
system_services:
        cmp ah, 0C2h
        je pointing_services
        ASK 15h
        jnc .done
.wait:
        sti
        hlt
        cli
        ASK SERVICE_WAIT_OVER
        jnc .wait
.done:
        iret

; INT 15h AH=C2h. Carry means that nothing has to be said to the mouse.
pointing_services:
        ASK SERVICE_POINTING
        jc .done
        sti
        push ax
        push cx
        push si
        push ds
        mov ax, BDA_SEGMENT
        mov ds, ax
        mov ds, [BDA_EXTENDED]
        call talk_to_mouse
        pop ds
        pop si
        pop cx
        pop ax
        cli
        TRAP SERVICE_POINTING_DONE
.done:
        iret

; Send what lies at DS:MOUSE_SEND, each byte to be acknowledged, and collect the answers. The keyboard waits meanwhile, and
; neither it nor the mouse interrupts; the timer does.
talk_to_mouse:
        mov al, 0ADh            ; the keyboard sends no more
        call .command
        mov cx, 0FFFFh
.settle:                        ; what it has sent goes to INT 09h, what the mouse has sent is old
        in al, 64h
        test al, 1
        jz .quiet
        test al, 20h
        jz .keyboard
        in al, 60h
.keyboard:
        call pass_time
        loop .settle
.quiet:
        mov al, 20h             ; the command byte
        cli
        call .command
        mov cx, 1000h
        call .receive
        sti
        mov ah, al
        and al, 0CCh            ; no interrupts; both cables open, but for the keyboard
        or al, 10h
        call .set
        mov byte [MOUSE_RESULT], 0
        mov si, MOUSE_SEND
.next:
        dec byte [MOUSE_SEND_COUNT]
        js .sent
        mov al, 0D4h            ; the next byte goes to the mouse
        call .command
        lodsb
        call .data
        mov cx, 1000h
        call .receive
        jc .failed
        cmp al, 0FAh
        je .next
        cmp al, 0FEh
        jne .failed
        mov byte [MOUSE_RESULT], 4
        jmp .restore
.sent:
        mov si, MOUSE_ANSWERS
.answer:
        dec byte [MOUSE_ANSWER_COUNT]
        js .restore
        mov cx, 0C000h          ; a self test takes half a second
        call .receive
        jc .failed
        mov [si], al
        inc si
        jmp .answer
.failed:
        mov byte [MOUSE_RESULT], 3
.restore:                       ; AH = the command byte as it was
        mov al, ah
        and al, [MOUSE_KEEP]
        or al, [MOUSE_ADD]
        and al, 0EFh            ; the keyboard goes on
.set:                           ; AL = command byte
        push ax
        mov al, 60h
        call .command
        pop ax
.data:
        call .ready
        out 60h, al
        jmp .ready
.command:
        call .ready
        out 64h, al
.ready:                         ; until the controller has taken the last byte, but not for ever
        push ax
        push cx
        mov cx, 1000h
.full:
        in al, 64h
        test al, 2
        jz .taken
        call pass_time
        loop .full
.taken:
        pop cx
        pop ax
        ret
.receive:                       ; AL = a byte; carry when none has come in CX times 30 microseconds
        in al, 64h
        test al, 1
        jnz .there
        call pass_time
        loop .receive
        stc
        ret
.there:
        in al, 60h
        clc
        ret

pass_time:
        TAKE_TIME
        ret

; INT 74h, the mouse: collect a packet, then call the program's handler with four words on the stack.
pointer_irq:
        push ax
        in al, 64h
        and al, 21h
        cmp al, 21h
        jne .end
        push bx
        push ds
        mov ax, BDA_SEGMENT
        mov ds, ax
        mov ds, [BDA_EXTENDED]
        in al, 60h
        test byte [MOUSE_PACKAGE], 80h
        jz .collected
        mov bx, [MOUSE_INDEX]   ; and the package in BH
        and bx, 707h
        mov ah, bh
        mov bh, 0
        mov [MOUSE_DATA + bx], al
        inc byte [MOUSE_INDEX]
        cmp bl, ah
        jb .collected
        mov byte [MOUSE_INDEX], 0
        call .deliver
.collected:
        pop ds
        pop bx
.end:
        mov al, EOI
        out PIC2, al
        out PIC1, al
        pop ax
        iret
.deliver:                       ; AH = bytes in the packet, less one
        pushad
        push es
        mov al, 0
        cmp ah, 3
        jb .three
        mov al, [MOUSE_DATA + 3]
.three:
        xor bx, bx
        mov bl, [MOUSE_DATA]
        push bx
        mov bl, [MOUSE_DATA + 1]
        push bx
        mov bl, [MOUSE_DATA + 2]
        push bx
        mov bl, al
        push bx
        sti
        call far [MOUSE_DRIVER]
        cli
        add sp, 8
        pop es
        popad
        ret

disk_services:
        sti
        TRAP 13h
        iret

print_screen:
        TRAP 05h
        iret

video_services:
        TRAP 10h
        iret

vbe_window:                     ; a far call; AX and DX may change
        TRAP SERVICE_VBE_WINDOW
        retf

equipment_services:
        TRAP 11h
        iret

memory_services:
        TRAP 12h
        iret

printer_services:
        TRAP 17h
        iret

; INT 1Ah. AH=00h, the ticks since midnight, is polled, too, so it is answered here. From the service, carry means that
; the RTC is just updating itself, which lasts 2 ms.
time_services:
        cmp ah, 0
        jne .ask
        push ds
        mov cx, BDA_SEGMENT
        mov ds, cx
        mov dx, [BDA_TICKS]
        mov cx, [BDA_TICKS + 2]
        mov al, 0
        xchg al, [BDA_MIDNIGHT] ; midnight is told once
        pop ds
        TAKE_TIME
        iret
.ask:
        ASK 1Ah
        jnc .done
        push cx
        xor cx, cx
        loop $
        pop cx
        jmp .ask
.done:
        iret

; A CPU exception, or an INT, that nobody handles: said in the trace, otherwise a bare IRET as in other BIOSes. A fault
; comes back at once and for ever; taking its time keeps that from costing the host a call of Python every few bytes.
unhandled_0:
        push word 0
        jmp unhandled
unhandled_6:
        push word 6
        jmp unhandled
unhandled_7:
        push word 7
unhandled:
        TRAP SERVICE_UNHANDLED
        add sp, 2
        TAKE_TIME
        iret

; An IRQ that nobody handles: end it at the chips that have it in service.
idle_irq:
        push ax
        push ds
        mov ax, BDA_SEGMENT
        mov ds, ax
        mov al, 0Bh             ; OCW3: read the in-service register
        out PIC1, al
        in al, PIC1
        mov ah, al
        or al, al
        jz .spurious
        test al, 4              ; the cascade: ask the slave, too
        jz .master
        mov al, EOI
        out PIC2, al
.master:
        mov al, EOI
        out PIC1, al
.spurious:
        mov [BDA_LAST_IRQ], ah
        pop ds
        pop ax
        iret

diskette_irq:
        push ax
        push ds
        mov ax, BDA_SEGMENT
        mov ds, ax
        or byte [BDA_DISKETTE_DONE], 80h
        mov al, EOI
        out PIC1, al
        pop ds
        pop ax
        iret

rtc_irq:
        push ax
        ASK SERVICE_RTC_INTERRUPT       ; carry: the alarm rang
        jnc .end
        sti
        int 4Ah
        cli
.end:
        mov al, EOI
        out PIC2, al
        out PIC1, al
        pop ax
        iret

redirected_irq:                 ; IRQ9 stands in for the PC's IRQ2
        push ax
        mov al, EOI
        out PIC2, al
        pop ax
        int 0Ah
        iret

coprocessor_irq:
        push ax
        xor al, al
        out 0F0h, al
        mov al, EOI
        out PIC2, al
        out PIC1, al
        pop ax
        int 2
        iret

fixed_disk_irq:
        push ax
        push ds
        mov ax, BDA_SEGMENT
        mov ds, ax
        mov byte [BDA_DISK_DONE], 0FFh
        mov al, EOI
        out PIC2, al
        out PIC1, al
        pop ds
        pop ax
        iret

; ---------------------------------------------------------------------------------------------- for operating systems
; Plug and Play BIOS 1.0A: nothing is configured by it. Real mode and 16-bit protected mode enter here alike.
plug_and_play:
        mov ax, 82h             ; FUNCTION_NOT_SUPPORTED
        retf

; The 32-bit services: real code, since no trap works outside real mode. They must not care where CS begins, so they use
; no absolute address. PCI BIOS Specification 2.1 and the BIOS32 Service Directory that it defines.
bits 32
bios32_directory:               ; EAX = which service, BL = 0; EBX = its base, ECX = its length, EDX = its entry
        or bl, bl
        jnz .unknown
        cmp eax, "$PCI"
        jne .absent
        mov ebx, 0F0000h
        mov ecx, 10000h
        mov edx, pci_bios_32
        mov al, 0
        retf
.unknown:
        mov al, 81h
        retf
.absent:
        mov al, 80h
        retf

pci_bios_32:                    ; the registers as in INT 1Ah AH=B1h; it keeps all that it does not answer in
        cmp ah, 0B1h
        jne near .unsupported
        cmp al, 1
        je near .present
        push edx
        push esi
        push edi
        push ebp
        push eax
        mov ah, 81h
        cmp al, 2
        je .find_device
        cmp al, 3
        je .find_class
        cmp al, 8
        jb .failed
        cmp al, 0Dh
        ja .failed
        mov ah, 87h             ; bad register
        cmp di, 0FFh
        ja .failed
        cmp al, 0Bh
        jae .write
        sub al, 8
        je .read_byte
        dec al
        je .read_word
        test di, 3
        jnz .failed
        call .select
        in eax, dx
        mov ecx, eax
        jmp .succeeded
.read_word:
        test di, 1
        jnz .failed
        call .select
        in ax, dx
        mov cx, ax
        jmp .succeeded
.read_byte:
        call .select
        in al, dx
        mov cl, al
        jmp .succeeded
.write:
        sub al, 0Bh
        je .write_byte
        dec al
        je .write_word
        test di, 3
        jnz .failed
        call .select
        mov eax, ecx
        out dx, eax
        jmp .succeeded
.write_word:
        test di, 1
        jnz .failed
        call .select
        mov ax, cx
        out dx, ax
        jmp .succeeded
.write_byte:
        call .select
        mov al, cl
        out dx, al
        jmp .succeeded

.find_device:                   ; CX = device, DX = vendor, SI = which of them
        mov ah, 83h             ; bad vendor
        cmp dx, 0FFFFh
        je .failed
        push ecx
        shl ecx, 16
        mov cx, dx
        xor edi, edi
        xor ebp, ebp
        dec ebp
        jmp .search
.find_class:                    ; ECX = class code, SI = which of them
        push ecx
        shl ecx, 8
        mov edi, 8
        mov ebp, 0FFFFFF00h
.search:                        ; ECX is what register EDI shall have in the bits of EBP
        movzx esi, si
        push ebx
        xor ebx, ebx
.next:
        call .select
        in eax, dx
        and eax, ebp
        cmp eax, ecx
        jne .other
        sub esi, 1
        jc .found
.other:
        inc bl
        jnz .next
        pop ebx
        pop ecx
        mov ah, 86h             ; not found
        jmp .failed
.found:
        mov esi, ebx
        pop ebx
        mov bx, si
        pop ecx
.succeeded:
        pop eax
        mov ah, 0
        clc
        jmp .restored
.failed:                        ; AH = why
        mov edx, eax
        pop eax
        mov ah, dh
        stc
.restored:
        pop ebp
        pop edi
        pop esi
        pop edx
        retf
.present:
        mov edx, "PCI "
        mov ax, 1               ; configuration mechanism 1
        mov bx, 0210h
        mov cl, 0               ; the last bus
        clc
        retf
.unsupported:
        mov ah, 81h
        stc
        retf

.select:                        ; BX = function, DI = register: DX = the port of its lowest byte; EAX is lost
        movzx eax, bx
        shl eax, 8
        mov edx, edi
        and edx, 0FCh
        or eax, edx
        or eax, 80000000h
        mov edx, 0CF8h
        out dx, eax
        mov eax, edi
        and al, 3
        mov dl, 0FCh
        or dl, al
        ret
bits 16

        AT_OFFSET 0B000h
system_tables:                  ; filled by POST: what operating systems look for in this segment
        times 3000h db 0

; ---------------------------------------------------------------------------------------------- fixed entry points
        AT_OFFSET 0E05Bh
        jmp reset
        AT_OFFSET 0E2C3h        ; NMI
        iret
        AT_OFFSET 0E3FEh
        jmp disk_services
        AT_OFFSET 0E6F2h
        jmp boot
        AT_OFFSET 0E6F5h
configuration_table:            ; INT 15h AH=C0h
        dw 8                    ; bytes that follow
        db 0FCh, 0, 0           ; an AT, submodel 0, revision 0
        db 01110100b            ; second PIC, RTC, INT 09h calls INT 15h AH=4Fh; EBDA
        db 01000000b            ; INT 16h AH=09h
        db 0, 0, 0
        AT_OFFSET 0E739h
        jmp serial_services
        AT_OFFSET 0E82Eh
        jmp keyboard_services
        AT_OFFSET 0E987h
        jmp keyboard
        AT_OFFSET 0EC59h
        jmp disk_services
        AT_OFFSET 0EF57h
        jmp diskette_irq
        AT_OFFSET 0EFC7h
diskette_parameters:            ; INT 1Eh: a 1.44 MB drive
        db 0AFh, 2, 25h, 2, 18, 1Bh, 0FFh, 6Ch, 0F6h, 0Fh, 8
        AT_OFFSET 0EFD2h
        jmp printer_services
        AT_OFFSET 0F065h
        jmp video_services
        AT_OFFSET 0F0A4h
video_parameters:               ; INT 1Dh: the 6845's registers for 40 columns, 80 columns, graphics, monochrome
        db 38h, 28h, 2Dh, 0Ah, 1Fh, 6, 19h, 1Ch, 2, 7, 6, 7, 0, 0, 0, 0
        db 71h, 50h, 5Ah, 0Ah, 1Fh, 6, 19h, 1Ch, 2, 7, 6, 7, 0, 0, 0, 0
        db 38h, 28h, 2Dh, 0Ah, 7Fh, 6, 64h, 70h, 2, 1, 6, 7, 0, 0, 0, 0
        db 61h, 50h, 52h, 0Fh, 19h, 6, 19h, 19h, 2, 0Dh, 0Bh, 0Ch, 0, 0, 0, 0
        dw 2048, 4096, 16384, 16384
        db 40, 40, 80, 80, 40, 40, 80, 80
        db 2Ch, 28h, 2Dh, 29h, 2Ah, 2Eh, 1Eh, 29h
        AT_OFFSET 0F841h
        jmp memory_services
        AT_OFFSET 0F84Dh
        jmp equipment_services
        AT_OFFSET 0F859h
        jmp system_services
        AT_OFFSET 0FA6Eh
        incbin "font8x8lo.bin"
        AT_OFFSET 0FE6Eh
        jmp time_services
        AT_OFFSET 0FEA5h
        jmp timer
        AT_OFFSET 0FEF3h
vector_table:                   ; read by POST: the offsets of INT 00h-1Fh, then of INT 70h-77h, all in this segment
        dw unhandled_0, dummy, 0E2C3h, dummy, dummy, 0FF54h, unhandled_6, unhandled_7
        dw 0FEA5h, 0E987h, idle_irq, idle_irq, idle_irq, idle_irq, 0EF57h, idle_irq
        dw 0F065h, 0F84Dh, 0F841h, 0E3FEh, 0E739h, 0F859h, 0E82Eh, 0EFD2h
        dw no_boot, 0E6F2h, 0FE6Eh, dummy, dummy, 0F0A4h, 0EFC7h, font_8x8_upper
        dw rtc_irq, redirected_irq, idle_irq, idle_irq, pointer_irq, coprocessor_irq, fixed_disk_irq, idle_irq
        AT_OFFSET 0FF53h
dummy:
        iret
        AT_OFFSET 0FF54h
        jmp print_screen
        AT_OFFSET 0FFD0h        ; for MiniVM itself: where the entries for operating systems are
        dw system_tables, bios32_directory, pci_bios_32, plug_and_play
        AT_OFFSET 0FFE0h        ; for MiniVM itself: where its tables are
        dw font_8x14, font_8x16, font_8x8, font_8x8_upper
        dw fixed_disk_tables, video_functionality, video_save_pointers
        dw vbe_window
        AT_OFFSET 0FFF0h
        jmp 0F000h:0E05Bh
        db "01/01/26"
        db 0
        db 0FCh                 ; the model byte: an AT
        db 0
