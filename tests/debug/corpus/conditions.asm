%define DEBUG
%assign LEVEL 3
%ifdef DEBUG
        db 'debug'
%else
        db 'release'
%endif
%if LEVEL > 5
        db 5
%elif LEVEL == 3
        db 3
%else
        db 0
%endif
%ifndef MISSING
        db 1
  %if 0
        nonsense here that is never read
        %if 1
        more
        %endif
  %endif
%endif
%ifidn abc, abc
        db 2
%endif
%ifidni ABC, abc
        db 4
%endif
%ifnum 5
        db 6
%endif
%ifstr "x"
        db 7
%endif
%assign i 0
%rep 10
%if i == 5
%exitrep
%endif
        dw i * i
%assign i i + 1
%endrep
%rep 2
%rep 3
        db 0x11
%endrep
        db 0x22
%endrep
start:  times 20 nop
%if ($ - $$) > 510
%error "too long"
%endif
%assign used $ - $$
        dw used
%macro choose 1
%if %1 > 10
        db 'big'
%else
        db 'small'
%endif
%endmacro
        choose 5
        choose 50
%ifmacro choose
        db 'known'
%endif
