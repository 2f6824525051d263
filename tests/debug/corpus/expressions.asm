; Operators and their precedence.
a equ 5
b equ a*2+1
dd 1+2*3, (1+2)*3, 7/2, -7/2 & 0xff, -7//2, 17 % 5, -17 %% 5
dd 1<<4|1, 0xff^0x0f, ~5 & 0xff, !5, !0, 1<<2+1, 0x80000000>>4, -16>>>2
dd 3 == 3, 3 != 3, 2 < 3, 2 <= 1, 3 > 2, 1 >= 2, 1 && 0, 1 || 0, 1 ^^ 1
dd a, b, end-start, (end-start)/2, $-$$, $$-$
dw 'A'+1, "AB"+1, -(-(3)), - - 3, +a
start:
dw start, end, $, start+2, end-2
db end-start
end:
later equ last-start
dw later
last:
