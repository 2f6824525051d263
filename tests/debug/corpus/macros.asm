%define TRUE 1
%define ADD(x, y) ((x) + (y))
%define TWICE(x) ADD(x, x)
%xdefine FROZEN TRUE
%define TRUE 2
%idefine loud 7
%macro print 1
        mov si, %1
        call puts
%endmacro
%macro store 2-3 0x55
        mov byte [%1], %2
        mov byte [%1 + 1], %3
%endmacro
%macro wait_for 2
%%again:
        in al, %1
        test al, %2
        jz %%again
%endmacro
%macro list 1-*
%rep %0
        db %1
%rotate 1
%endrep
%endmacro
%macro rest 2+
        db %1
        db %2
%endmacro
%macro field 2
%1_name: db %2, 0
%1_length equ $ - %1_name
%endmacro
%macro outer 1
        print %1
        wait_for 0x64, 1
%endmacro
%macro pair 0
        db 1
%endmacro
%macro pair 1
        db 2, %1
%endmacro
org 0x7c00
start:  print message
        store data, 1
        store data, 1, 2
        wait_for 0x60, 2
        wait_for 0x61, 3
        outer message
        list 1, 2, 3
        rest 9, 8, 7, "x, y"
        rest 9, {8, 7}
here:   pair
        pair 5
        field city, 'Paris'
        dw city_name, city_length
        dd ADD(1, 2), TWICE(3), FROZEN, TRUE, LOUD
        hlt
puts:   ret
message db 'x', 0
data    dw 0
%undef TRUE
%ifndef TRUE
        db 'undefined'
%endif
%define name_of(x) label_ %+ x
name_of(one): dw name_of(one)
%strlen size 'four'
        db size
