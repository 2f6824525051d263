"""Ports of one or four bytes: debug exit F4h, POST code 80h, reset control CF9h."""

from minivm.testing.contract import Contract, Probe

DEBUG_EXIT = Contract("debug_exit", "debug exit, F4h", "QEMU's isa-debug-exit: hw/misc/debugexit.c")
POST_CODE = Contract("post_code", "POST code, 80h", "IBM PC AT Technical Reference (1502494)")
RESET_CONTROL = Contract("reset_control", "reset control, CF9h", "Intel 82371SB (PIIX3) datasheet 290550")

HARD, RESET = 0x02, 0x04


# -- debug exit -----------------------------------------------------------------------------------------------------
@DEBUG_EXIT.case("a byte ends the machine with the status (value << 1) | 1", "debug_exit_write")
def exit_by_byte(pc: Probe) -> None:
    pc.write(0xF4, 0x10)
    pc.equal(pc.system.exit_status() or 0, 0x21, "exit status")


@DEBUG_EXIT.case("a word counts as a whole", "debug_exit_write")
def exit_by_word(pc: Probe) -> None:
    pc.write(0xF4, 0x1205, size=2)
    pc.equal(pc.system.exit_status() or 0, 0x0B, "exit status, of which a process keeps eight bits")


@DEBUG_EXIT.case("a doubleword counts as a whole", "debug_exit_write")
def exit_by_doubleword(pc: Probe) -> None:
    pc.write(0xF4, 0xFFFF_FF31, size=4)
    pc.equal(pc.system.exit_status() or 0, 0x63, "exit status, of which a process keeps eight bits")


@DEBUG_EXIT.case("zero ends with the status 1: no guest can imitate the 0 of a clean end", "debug_exit_write")
def exit_by_zero(pc: Probe) -> None:
    pc.write(0xF4, 0x00)
    pc.equal(pc.system.exit_status() or 0, 0x01, "exit status")


@DEBUG_EXIT.case("bit 7 of the value is lost, since a status has eight bits", "debug_exit_write")
def exit_by_high_byte(pc: Probe) -> None:
    pc.write(0xF4, 0xC2)
    pc.equal(pc.system.exit_status() or 0, 0x85, "exit status")


@DEBUG_EXIT.case("each of the four ports ends the machine", "iosize=4")
def exit_by_last_port(pc: Probe) -> None:
    pc.write(0xF7, 0x02)
    pc.equal(pc.system.exit_status() or 0, 0x05, "exit status")


@DEBUG_EXIT.case("reading ends nothing and gives 0", "debug_exit_read")
def exit_is_not_read(pc: Probe) -> None:
    for port in (0xF4, 0xF7):
        pc.reads(port, 0)
    pc.that(pc.system.exit_status() is None, "the machine lives")


# -- POST code ------------------------------------------------------------------------------------------------------
@POST_CODE.case(
    "the last byte written reads back",
    "System Board I/O: DMA page registers, 80h",
    differs={"QEMU": "80h swallows writes and reads FFh: hw/i386/pc.c, ioport80_read"},
)
def post_code_reads_back(pc: Probe) -> None:
    for code in (0x01, 0xA5, 0x5A):
        pc.write(0x80, code)
        pc.reads(0x80, code)


@POST_CODE.case("a POST code ends and resets nothing", "System Board I/O: Manufacturing Diagnostic Port")
def post_code_is_harmless(pc: Probe) -> None:
    for code in (0x00, 0xFF, 0x55):
        pc.write(0x80, code)
    pc.step(us=10)
    pc.equal(pc.system.resets(), 0, "resets")


# -- reset control --------------------------------------------------------------------------------------------------
@RESET_CONTROL.case("bit 1, the kind of reset, reads back, and the reserved bits read 0", "RC, bits 1 and 7-3")
def kind_reads_back(pc: Probe) -> None:
    for value, seen in ((HARD, HARD), (0x00, 0x00), (0xF8 | HARD, HARD), (0xF9, 0x00)):
        pc.write(0xCF9, value)
        pc.reads(0xCF9, seen, f"after {value:02X}h")


@RESET_CONTROL.case("choosing the kind of reset does not reset", "RC, bit 1")
def kind_does_not_reset(pc: Probe) -> None:
    pc.write(0xCF9, HARD, 0x00, HARD)
    pc.step(us=10)
    pc.equal(pc.system.resets(), 0, "resets")


@RESET_CONTROL.case("bit 2 going from 0 to 1 resets the machine, once", "RC, bit 2")
def reset(pc: Probe) -> None:
    pc.write(0xCF9, HARD, HARD | RESET)
    pc.step(us=10)
    pc.equal(pc.system.resets(), 1, "resets")


@RESET_CONTROL.case("a soft reset resets as well, and each edge does", "RC, bits 2 and 1")
def reset_again(pc: Probe) -> None:
    for number in (1, 2):
        pc.write(0xCF9, 0x00, RESET)
        pc.step(us=10)
        pc.equal(pc.system.resets(), number, "resets")
