org 0x7c00
%include "part.inc"
        dw included
        db FROM_INCLUDE
whole:  incbin "part.bin"
        incbin "part.bin", 6
        incbin "part.bin", 1, 3
        dw whole
