; RIP-relative addresses by default.
bits 64
default rel
org 0x8000
start:  mov rax, [data]
        inc dword [data]
        mov dword [data], 5
        mov al, [abs data]
        cmp byte [start], 0
        lea rbx, [data]
        mov rcx, [fs:0x28]
data:   dq 0
