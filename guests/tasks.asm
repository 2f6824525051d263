; tasks: three tasks take turns, though none of them ever offers to.
; Run:    minivm run tasks
; Prints: A A A A A A A A A A
; Prints: B B B B B B B B B B
; Prints: C C C C C C C C C C
; Prints: Ten turns each: done.
; Exit:   0

        bits 16
        org 0x7C00

TASKS      equ 3
TURNS      equ 10
STACK_SIZE equ 0x200
STACKS     equ 0x8000           ; task n's stack is [STACKS + n * STACK_SIZE, + STACK_SIZE)
FRAME      equ 22               ; what a sleeping task's stack holds: PUSHA 16, IP 2, CS 2, FLAGS 2
PIT_RATE   equ 11932            ; 1193182 Hz / 11932 = 100 switches a second

start:
        cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov ax, 0xB800
        mov es, ax
        mov ax, 0x0720
        xor di, di
        mov cx, 80 * 25
        rep stosw

        ; Give every task a stack that looks as if the timer had just interrupted it.
        mov bx, STACKS + STACK_SIZE - FRAME
        mov si, stack_pointers
        mov dx, 0               ; the task's number, in the DX that POPA will bring
prepare:
        mov word [bx + 10], dx  ; PUSHA's order from the top: DI SI BP SP BX DX CX AX
        mov word [bx + 16], task
        mov word [bx + 18], 0   ; CS
        mov word [bx + 20], 0x0202 ; FLAGS with IF on: the new task can be interrupted in its turn
        mov [si], bx
        add bx, STACK_SIZE
        add si, 2
        inc dx
        cmp dx, TASKS
        jb prepare

        mov word [8 * 4], on_timer
        mov word [8 * 4 + 2], 0
        mov al, 0x34            ; 8254, channel 0, low and high byte, mode 2 (rate generator), binary
        out 0x43, al
        mov al, PIT_RATE & 0xFF
        out 0x40, al
        mov al, PIT_RATE >> 8
        out 0x40, al
        mov sp, [stack_pointers]
        jmp resume              ; become task 0

task:                           ; DX = 0, 1 or 2. It never yields.
        mov di, dx
        imul di, di, 160        ; each task has a row of its own
        mov cx, TURNS
print:
        mov al, 'A'
        add al, dl
        mov ah, 0x0A
        add ah, dl
        mov [es:di], ax
        add di, 4               ; one cell and one space
        mov bx, [turn]
wait_for_turn:                  ; busy: only the timer can take the CPU from this loop
        cmp bx, [turn]
        je wait_for_turn
        loop print
        inc byte [finished]
        jmp $                   ; even this does no harm to the others

on_timer:                       ; FLAGS, CS and IP are on the interrupted task's stack: add the registers
        pusha
        mov al, 0x20
        out 0x20, al
        cmp byte [finished], TASKS
        je all_done
        mov si, [current]
        mov [stack_pointers + si], sp ; that is all there is to remember of a task
        add si, 2
        cmp si, TASKS * 2
        jb switch
        xor si, si
        inc word [turn]         ; everybody had a turn
switch:
        mov [current], si
        mov sp, [stack_pointers + si]
resume:
        popa
        iret                    ; returns to where that task once was interrupted

all_done:
        mov si, message
        mov di, TASKS * 160
        mov ah, 0x0F
next:
        lodsb
        test al, al
        jz stop
        stosw
        jmp next
stop:
        hlt                     ; interrupt handlers begin with IF off: for good

current:        dw 0            ; the running task's number, times 2
turn:           dw 0
finished:       db 0
stack_pointers: times TASKS dw 0
message:        db "Ten turns each: done.", 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
