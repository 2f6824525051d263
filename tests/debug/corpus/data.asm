; Data in every spelling.
db 0x1F, 0h1F, 1Fh, $1F, $0FF, 0b11, 11b, 1_0, 0o17, 17o, 17q, 0q17, 0d10, 10d, 0y1, 1y, 0t9
db 'single', "double", `back\tquoted\n\x41\101\0\\\'`, "it's", ';', ","
dw 'ab', 'abc', "a", 0x1234, -1, ~0, 65535
dd 'abcd', 1.5, -2.25, 1e10, 0xdeadbeef, 1_000_000
dq 'abcdefgh', 1.0, 0x1122334455667788, -1
db 3 dup (1, 2), ?, 0
dw 2 dup (?)
resb 3
resw 2
resd 1
resq 1
align 8, db 0xCC
table: times 4 dw $-table, 7
times 3 db 'ab'
align 16
