; The graphics card's own ROM: 16 KiB at C0000h, for a BIOS that is not MiniVM's.
;
; It is an expansion ROM (PCI Local Bus Specification 2.1, section 6.3): a BIOS finds its signature and calls its fourth
; byte. The work is done in Python, as in rom.asm, but by a port of its own, since other BIOSes use port B2h themselves:
; B6h, which no PC has. video_rom.py holds the same numbers.
;
; Build: python -m minivm.firmware.build

bits 16
cpu 386
org 0

TRAP_PORT               equ 0B6h
SERVICE_VBE_WINDOW      equ 110h
SERVICE_VIDEO_START     equ 111h

SIZE            equ 4000h

; Call a service; it may change registers, ES and memory.
%macro TRAP 1
        push word %1
        out TRAP_PORT, al
        add sp, 2
%endmacro

; Go on at a fixed offset.
%macro AT_OFFSET 1
        times (%1) - ($ - $$) db 0
%endmacro

        db 55h, 0AAh, SIZE / 512
        jmp near start
        AT_OFFSET 18h
        dw pci_data, 0          ; no Plug and Play header
        AT_OFFSET 1Eh           ; programs look for the first word here
        db "IBM VGA compatible. MiniVM VGABIOS 1.0", 13, 10, 0

        AT_OFFSET 60h
pci_data:
        db "PCIR"
        dw 1234h, 1111h         ; vendor, device: a Bochs or QEMU standard VGA
        dw 0, 18h               ; no vital product data; bytes that this structure has
        db 0, 0, 0, 3           ; revision; class 030000h, a VGA
        dw SIZE / 512, 100h     ; length; revision of the code
        db 0, 80h               ; for a PC; the last image
        dw 0

        AT_OFFSET 80h           ; for MiniVM itself: where the tables are, as in rom.asm, and INT 10h
        dw font_8x14, font_8x16, font_8x8, font_8x8 + 1024
        dw 0, video_functionality, video_save_pointers
        dw vbe_window, video_services

; A BIOS calls this by far call in POST: take over INT 10h and set mode 3.
start:
        pushad
        push ds
        push es
        TRAP SERVICE_VIDEO_START
        pop es
        pop ds
        popad
        xor ax, ax
        retf

video_services:
        TRAP 10h
        iret

vbe_window:                     ; a far call; AX and DX may change
        TRAP SERVICE_VBE_WINDOW
        retf

video_functionality:            ; INT 10h AH=1Bh points here: which modes and functions exist
        db 0FFh, 0E0h, 0Fh, 0   ; modes 0-7 and 0Dh-13h
        db 0, 0, 0
        db 7                    ; 200, 350 and 400 scan lines
        db 2, 8                 ; two fonts at once out of eight
        dw 0EFFh                ; all but a light pen
        times 16 - ($ - video_functionality) db 0
video_save_pointers:            ; 40:A8 points here; no override is active
        dd 0, 0, 0, 0, 0, 0, 0

font_8x8:       incbin "font8x8.bin"
font_8x14:      incbin "font8x14.bin"
font_8x16:      incbin "font8x16.bin"

        AT_OFFSET SIZE - 1
        db 0                    ; makes the sum of all bytes 0: build.py fills it in
