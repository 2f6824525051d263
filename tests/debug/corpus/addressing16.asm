bits 16
org 0x100
mov al, [bx]
mov al, [si]
mov al, [bp]
mov al, [bp+si]
mov al, [bp+di-1]
mov al, [bx+si+127]
mov al, [bx+di+128]
mov al, [bx-128]
mov al, [bx-129]
mov ax, [value]
mov [value], ax
mov [value], al
mov cx, [value]
mov cl, [value+1]
mov word [value], 5
mov byte [value], value-$$
mov [es:di], al
mov al, [es:bx+si]
mov al, [cs:value]
mov ax, [ds:0x46c]
mov eax, [fs:0]
mov eax, [ebx]
mov eax, [ebx+ecx*4+8]
mov eax, [esp]
mov eax, [ebp]
mov al, [eax*2]
mov al, [eax*3]
mov al, [nosplit eax*2]
mov al, [dword value]
mov al, [byte bx+1]
mov al, [word bx+1]
lea si, [bx+value]
lea di, [value+bx+si]
les di, [value]
lds si, [bx]
add word [bx+si], 1
inc byte [bx]
dec word [di+2]
push word [bx]
pop word [value]
value: dw 0
