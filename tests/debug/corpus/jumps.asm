; Short and long jumps: the sizes depend on each other.
bits 16
org 0x7c00
first:  jmp near_one
        jmp far_one
        jz near_one
        jnz far_one
        jmp short near_one
        jmp near near_one
        call near_one
        call far_one
near_one: nop
        loop near_one
        loopne near_one
        jcxz near_one
        jecxz near_one
        loop near_one, ecx
        jmp $
        jmp $+2
        jmp first
        times 110 nop
edge:   jmp first
        jc first
        jmp edge2
        times 125 nop
        jmp far_one
edge2:  times 127 db 0x90
        jmp edge2
        jb edge2
far_one: jmp 0x08:first
        jmp dword 0x08:first
        jmp word 0x08:first
        call 0xF000:0xFFF0
        jmp far [first]
        call far [bx]
        jmp dword far [first]
        jmp far dword [first]
        jmp [first]
        jmp ax
        call eax
        call [bx+si]
        jmp dword first
        call dword first
        jz dword_target
        times 3 jmp first
dword_target: ret
        retf
        ret 4
        retf 2
        iret
        iretd
        o32 ret
        o32 iret
        int 0x80
        int3
        into
