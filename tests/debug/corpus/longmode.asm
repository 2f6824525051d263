bits 64
org 0x8000
start:  mov rax, 5
        mov rax, -1
        mov rax, 0x123456789abc
        mov rax, start
        mov eax, start
        mov rbx, [start]
        mov rbx, [rel start]
        lea rdi, [rel data]
        lea rsi, [r12+r13*8+16]
        mov r8, rax
        mov r9d, 5
        mov r10w, ax
        mov r11b, sil
        mov spl, 1
        push rax
        push r12
        push 5
        push 500
        push qword [rax]
        pop r15
        mov cr3, rax
        mov rax, cr4
        mov cr8, rax
        mov rcx, dr7
        xchg eax, eax
        xchg rax, rbx
        inc rax
        dec byte [r8]
        add rsp, 8
        add rax, 0x1000
        cmp byte [rsp], 0
        test rax, rax
        movzx eax, byte [r9]
        movsxd rax, ecx
        imul rax, rbx, 10
        shl r14, 4
        call start
        jmp [rax]
        jmp rax
        call qword [rel data]
        jz start
        syscall
        sysret
        o64 sysret
        iretq
        rdmsr
        wrmsr
        swapgs
        stosq
        rep movsq
        cqo
        cdqe
        mov [gs:0x10], rsp
        mov rax, [abs data]
        mov ax, ds
        mov fs, ax
        out dx, eax
        lock cmpxchg [rdi], rcx
        ud2
data:   dq start, 0x1122334455667788
