cpu 8086
bits 16
start:  jz far_away
        jz start
        jmp far_away
        times 200 nop
far_away: jnc start
        ret
