"""Ports 61h and 92h: the AT's system control ports (IBM PC AT Technical Reference; Intel 82371FB, PIIX3)."""

from minivm.testing.contract import Contract, Probe

PORT_B = Contract("port61", "system control port B, 61h", "Intel 82371SB (PIIX3) datasheet 290550")


@PORT_B.case("the gate and the speaker bit are read back", "NMI Status and Control Register, bits 1-0")
def low_bits_are_read_back(pc: Probe) -> None:
    for value in (0, 1, 2, 3):
        pc.write(0x61, value)
        pc.reads(0x61, value, mask=0x03)
