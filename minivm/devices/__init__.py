"""The chips of the PC, one file each. A chip knows only offsets, lines and the clock; `minivm.pc` wires them."""
