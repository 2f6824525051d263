"""8259A: the PC's two interrupt controllers, without a CPU that would acknowledge: all is seen by reads and polls.

The lines driven are those whose chips are silent here: the serial ports (3, 4), the disks (6, 14) and the free ones.
"""

from minivm.testing.contract import Contract, Probe

PIC = Contract(
    "pic",
    "8259A interrupt controllers with ELCR",
    "Intel 8259A datasheet 231468; for the ELCR and the cascade Intel 82371SB (PIIX3) datasheet 290550",
)
MASTER, SLAVE = 0x20, 0xA0
MASTER_ELCR, SLAVE_ELCR = 0x4D0, 0x4D1
EOI, SPECIFIC_EOI = 0x20, 0x60
ROTATE_ON_EOI, ROTATE_ON_SPECIFIC_EOI, SET_PRIORITY = 0xA0, 0xE0, 0xC0
SPECIAL_MASK, NO_SPECIAL_MASK = 0x68, 0x48
ICW4, AUTO_EOI, SPECIAL_FULLY_NESTED = 0x01, 0x02, 0x10
NOTHING = 0x00
ANSWER = 0x87
"""What a poll's answer is made of: bit 7, and the level in bits 2-0; the others say nothing."""
KEEPS_EDGES = (
    "an edge stays requested when its line falls (pic_set_irq in hw/intc/i8259.c clears irr only if level-triggered)"
)


def initialize(pc: Probe, icw4: int = ICW4, *, icw1: int = 0x11) -> None:
    """Program both chips as an AT's BIOS does, all edge-triggered, and take the timer's line, IRQ0, low for 55 ms."""
    pc.write(0x43, 0x30)
    pc.write(0x40, 0, 0)
    pc.write(MASTER_ELCR, 0)
    pc.write(SLAVE_ELCR, 0)
    for chip, vector, icw3 in ((MASTER, 0x08, 0x04), (SLAVE, 0x70, 0x02)):
        pc.write(chip, icw1)
        pc.write(chip + 1, vector, icw3, *([icw4] if icw1 & 1 else []), 0x00)


def raise_irqs(pc: Probe, *irqs: int) -> None:
    """Drive lines high, one after the other."""
    for irq in irqs:
        pc.drive(irq, True)


def lower_irqs(pc: Probe, *irqs: int) -> None:
    """Drive lines low, one after the other."""
    for irq in irqs:
        pc.drive(irq, False)


def requests(pc: Probe, expected: int, what: str, *, chip: int = MASTER) -> None:
    """Check the interrupt request register."""
    pc.write(chip, 0x0A)
    pc.reads(chip, expected, f"IRR: {what}")


def in_service(pc: Probe, expected: int, what: str, *, chip: int = MASTER) -> None:
    """Check the in-service register."""
    pc.write(chip, 0x0B)
    pc.reads(chip, expected, f"ISR: {what}")


def polls(pc: Probe, level: int | None, what: str, *, chip: int = MASTER) -> None:
    """Poll, which acknowledges, and check which level the chip gives; None when there shall be none."""
    pc.write(chip, 0x0C)
    if level is None:
        pc.reads(chip, 0x00, f"poll: {what}", mask=0x80)
    else:
        pc.reads(chip, 0x80 | level, f"poll: {what}", mask=ANSWER)


# -- initialization -------------------------------------------------------------------------------------------------
@PIC.case(
    "with ICW4 announced, two chips take ICW2, ICW3 and ICW4, and only the next byte is the mask",
    "Initialization Sequence, figure 6",
)
def three_words_follow(pc: Probe) -> None:
    for chip in (MASTER, SLAVE):
        pc.write(chip, 0x11)
        pc.write(chip + 1, 0x40, 0x04, 0x01, 0xA5)
        pc.reads(chip + 1, 0xA5)


@PIC.case("a chip told that it is alone takes no ICW3", "Initialization Sequence, figure 6; ICW1 bit SNGL")
def a_single_chip_takes_no_icw3(pc: Probe) -> None:
    pc.write(MASTER, 0x13)
    pc.write(MASTER + 1, 0x40, 0x01, 0xA5)
    pc.reads(MASTER + 1, 0xA5, "the mask, third byte after ICW1")


@PIC.case("without IC4 there is no ICW4", "Initialization Sequence, figure 6; ICW1 bit IC4")
def no_icw4_without_ic4(pc: Probe) -> None:
    pc.write(MASTER, 0x10)
    pc.write(MASTER + 1, 0x40, 0x04, 0xA5)
    pc.reads(MASTER + 1, 0xA5, "the mask, third byte after ICW1")


@PIC.case("alone and without IC4, the byte after ICW2 is the mask", "Initialization Sequence, figure 6")
def a_single_chip_without_icw4(pc: Probe) -> None:
    pc.write(MASTER, 0x12)
    pc.write(MASTER + 1, 0x40, 0xA5)
    pc.reads(MASTER + 1, 0xA5, "the mask, second byte after ICW1")


@PIC.case(
    "an ICW1 in the middle of an initialization begins it anew", "Programming the 8259A: A0 = 0 and D4 = 1 is ICW1"
)
def icw1_begins_anew(pc: Probe) -> None:
    pc.write(MASTER, 0x11)
    pc.write(MASTER + 1, 0x40, 0x04)
    pc.write(MASTER, 0x11)
    pc.write(MASTER + 1, 0x40, 0x04, 0x01, 0xA5)
    pc.reads(MASTER + 1, 0xA5)


@PIC.case("ICW1 clears the mask", "ICW1, item b")
def icw1_clears_the_mask(pc: Probe) -> None:
    initialize(pc)
    pc.write(MASTER + 1, 0xFF)
    pc.write(MASTER, 0x11)
    pc.write(MASTER + 1, 0x08, 0x04, 0x01)
    pc.reads(MASTER + 1, 0x00)


@PIC.case("ICW1 resets the edge sense: a line that is high asks only after a new rise", "ICW1, item a")
def icw1_resets_the_edge_sense(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 5)
    initialize(pc)
    requests(pc, NOTHING, "high since before ICW1")
    polls(pc, None, "high since before ICW1")
    lower_irqs(pc, 5)
    raise_irqs(pc, 5)
    requests(pc, 0x20, "risen again")


@PIC.case("ICW1 gives IR7 the lowest priority again", "ICW1, item c")
def icw1_resets_the_priorities(pc: Probe) -> None:
    initialize(pc)
    pc.write(MASTER, SET_PRIORITY | 4)
    initialize(pc)
    raise_irqs(pc, 4, 5)
    polls(pc, 4, "4 before 5")


@PIC.case("ICW1 leaves special mask mode", "ICW1, item e")
def icw1_leaves_special_mask_mode(pc: Probe) -> None:
    initialize(pc)
    pc.write(MASTER, SPECIAL_MASK)
    initialize(pc)
    raise_irqs(pc, 3)
    polls(pc, 3, "IRQ3")
    pc.write(MASTER + 1, 0x08)
    raise_irqs(pc, 5)
    polls(pc, None, "IRQ3 is masked and in service, which holds IRQ5 back")


@PIC.case("after ICW1 a read gives the IRR", "ICW1, item e; Reading the 8259A Status")
def icw1_selects_the_irr(pc: Probe) -> None:
    initialize(pc)
    pc.write(MASTER, 0x0B)
    initialize(pc)
    raise_irqs(pc, 5)
    pc.reads(MASTER, 0x20)


@PIC.case("ICW1 without IC4 takes back automatic EOI", "ICW1, item f")
def icw1_without_ic4_clears_icw4(pc: Probe) -> None:
    initialize(pc, ICW4 | AUTO_EOI)
    initialize(pc, icw1=0x10)
    raise_irqs(pc, 5)
    polls(pc, 5, "IRQ5")
    in_service(pc, 0x20, "no automatic EOI")


# -- the mask -------------------------------------------------------------------------------------------------------
@PIC.case("each bit of both masks is read back at once", "OCW1; Reading the 8259A Status: A0 = 1 reads the IMR")
def the_mask_is_read_back(pc: Probe) -> None:
    initialize(pc)
    for bit in range(8):
        pc.write(MASTER + 1, 1 << bit)
        pc.write(SLAVE + 1, 0xFF ^ 1 << bit)
        pc.reads(MASTER + 1, 1 << bit, "the master's mask")
        pc.reads(SLAVE + 1, 0xFF ^ 1 << bit, "the slave's mask")


@PIC.case("a masked input asks in the IRR but for no interrupt", "Interrupt Mask Register")
def a_masked_input_waits(pc: Probe) -> None:
    initialize(pc)
    pc.write(MASTER + 1, 0x20)
    raise_irqs(pc, 5)
    requests(pc, 0x20, "masked")
    polls(pc, None, "masked")
    requests(pc, 0x20, "masked, after a poll")


@PIC.case("what rose while masked is served once the mask opens", "Interrupt Mask Register")
def an_unmasked_request_is_served(pc: Probe) -> None:
    initialize(pc)
    pc.write(MASTER + 1, 0xFF)
    raise_irqs(pc, 5)
    pc.write(MASTER + 1, 0xDF)
    polls(pc, 5, "unmasked")


@PIC.case("a request that waits is still there after a mask has come and gone", "Interrupt Mask Register")
def a_mask_takes_no_request(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 5)
    pc.write(MASTER + 1, 0x20)
    polls(pc, None, "masked")
    pc.write(MASTER + 1, 0x00)
    polls(pc, 5, "unmasked")


@PIC.case("a mask over a higher input leaves the lower ones alone", "Interrupt Mask Register")
def a_mask_holds_back_only_its_input(pc: Probe) -> None:
    initialize(pc)
    pc.write(MASTER + 1, 0x08)
    raise_irqs(pc, 3, 5)
    polls(pc, 5, "IRQ3 is masked")


@PIC.case("a level in service that is masked then still holds lower ones back", "Special Mask Mode, first paragraph")
def a_mask_ends_no_service(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 3)
    polls(pc, 3, "IRQ3")
    pc.write(MASTER + 1, 0x08)
    raise_irqs(pc, 5)
    polls(pc, None, "IRQ3 is in service")
    in_service(pc, 0x08, "only IRQ3")


# -- requests: edge and level ---------------------------------------------------------------------------------------
@PIC.case("each input has its bit in the IRR", "Interrupt Request Register")
def each_input_has_its_bit(pc: Probe) -> None:
    initialize(pc)
    for irq, chip in ((1, MASTER), (3, MASTER), (4, MASTER), (5, MASTER), (6, MASTER), (7, MASTER),
                      (9, SLAVE), (10, SLAVE), (11, SLAVE), (12, SLAVE), (14, SLAVE), (15, SLAVE)):  # fmt: skip
        initialize(pc)
        raise_irqs(pc, irq)
        requests(pc, 1 << (irq & 7), f"IRQ{irq}", chip=chip)
        lower_irqs(pc, irq)


@PIC.case("the timer's output is IRQ0", "PIIX3: Interrupt Controller, table of the typical sources")
def the_timer_is_irq0(pc: Probe) -> None:
    initialize(pc)
    pc.write(0x43, 0x30)
    pc.write(0x40, 0xE8, 0x03)
    requests(pc, NOTHING, "the timer counts")
    pc.step(ms=1)
    requests(pc, 0x01, "the count is over")
    polls(pc, 0, "IRQ0")


@PIC.case("an edge asks once, however long the line stays high", "ICW1, bit LTIM; Edge and Level Triggered Modes")
def an_edge_asks_once(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 5)
    polls(pc, 5, "the edge")
    requests(pc, NOTHING, "the edge was acknowledged")
    pc.write(MASTER, EOI)
    polls(pc, None, "the line is still high")


@PIC.case("an edge while its own level is in service waits for the end of it", "Fully Nested Mode")
def a_second_edge_waits(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 5)
    polls(pc, 5, "the first edge")
    lower_irqs(pc, 5)
    raise_irqs(pc, 5)
    polls(pc, None, "IRQ5 is in service")
    requests(pc, 0x20, "the second edge")
    pc.write(MASTER, EOI)
    polls(pc, 5, "the second edge")


@PIC.case(
    "a line must stay high until the acknowledge: a withdrawn edge is no request",
    "Edge and Level Triggered Modes",
    differs={"QEMU": KEEPS_EDGES},
)
def a_withdrawn_edge_is_lost(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 5)
    lower_irqs(pc, 5)
    requests(pc, NOTHING, "the line fell")
    polls(pc, None, "the line fell")


@PIC.case(
    "a withdrawn edge of the slave takes the master's IR2 with it",
    "Edge and Level Triggered Modes; Cascade Mode",
    differs={"QEMU": KEEPS_EDGES},
)
def a_withdrawn_slave_edge_is_lost(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 15)
    requests(pc, 0x04, "IRQ15 is high")
    lower_irqs(pc, 15)
    requests(pc, NOTHING, "IRQ15 fell")


@PIC.case(
    "with LTIM every input is level-triggered",
    "ICW1, bit LTIM",
    differs={
        "QEMU": "is a PIIX3, where the ELCR took LTIM's place (290550, ICW1); i8259.c logs the bit as unimplemented"
    },
)
def ltim_makes_levels(pc: Probe) -> None:
    initialize(pc, icw1=0x19)
    raise_irqs(pc, 5)
    polls(pc, 5, "the level")
    pc.write(MASTER, EOI)
    polls(pc, 5, "the line is still high")


@PIC.case("after power-on every input is edge-triggered", "PIIX3: ELCR1 and ELCR2, default value 00h")
def the_elcr_begins_at_zero(pc: Probe) -> None:
    pc.reads(MASTER_ELCR, 0x00)
    pc.reads(SLAVE_ELCR, 0x00)


@PIC.case(
    "IRQ0, 1, 2, 8 and 13 cannot be level-triggered; the other bits of the ELCR are read back", "PIIX3: ELCR1 and ELCR2"
)
def the_elcr_has_fixed_bits(pc: Probe) -> None:
    pc.write(MASTER_ELCR, 0xFF)
    pc.reads(SLAVE_ELCR, 0x00, "the other half")
    pc.write(SLAVE_ELCR, 0xFF)
    pc.reads(MASTER_ELCR, 0xF8)
    pc.reads(SLAVE_ELCR, 0xDE)
    pc.write(MASTER_ELCR, 0x50)
    pc.reads(MASTER_ELCR, 0x50)


@PIC.case("the initialization words leave the ELCR alone", "PIIX3: ELCR1 and ELCR2")
def icw1_keeps_the_elcr(pc: Probe) -> None:
    initialize(pc)
    pc.write(MASTER_ELCR, 0x20)
    pc.write(MASTER, 0x11)
    pc.write(MASTER + 1, 0x08, 0x04, 0x01)
    pc.reads(MASTER_ELCR, 0x20)


@PIC.case("a level-triggered line asks again after the EOI while it is high", "Edge and Level Triggered Modes")
def a_level_asks_again(pc: Probe) -> None:
    initialize(pc)
    pc.write(MASTER_ELCR, 0x20)
    raise_irqs(pc, 5)
    polls(pc, 5, "high")
    requests(pc, 0x20, "high, in service")
    polls(pc, None, "high, in service")
    pc.write(MASTER, EOI)
    polls(pc, 5, "high after the EOI")


@PIC.case("a level-triggered line that falls asks no more", "Edge and Level Triggered Modes")
def a_level_falls(pc: Probe) -> None:
    initialize(pc)
    pc.write(SLAVE_ELCR, 0x08)
    raise_irqs(pc, 11)
    requests(pc, 0x08, "high", chip=SLAVE)
    lower_irqs(pc, 11)
    requests(pc, NOTHING, "low", chip=SLAVE)
    polls(pc, None, "low", chip=SLAVE)


@PIC.case("a level-triggered line that was high before ICW1 asks", "Edge and Level Triggered Modes")
def a_level_needs_no_edge(pc: Probe) -> None:
    initialize(pc)
    pc.write(SLAVE_ELCR, 0x04)
    raise_irqs(pc, 10)
    pc.write(SLAVE, 0x11)
    pc.write(SLAVE + 1, 0x70, 0x02, 0x01)
    requests(pc, 0x04, "IRQ10", chip=SLAVE)
    polls(pc, 2, "IRQ10", chip=SLAVE)


@PIC.case("one input by level leaves its neighbours edge-triggered", "PIIX3: ELCR1 and ELCR2")
def the_elcr_is_for_each_line(pc: Probe) -> None:
    initialize(pc)
    pc.write(MASTER_ELCR, 0x20)
    raise_irqs(pc, 6)
    polls(pc, 6, "the edge")
    pc.write(MASTER, EOI)
    polls(pc, None, "IRQ6 is still high")


# -- priority, service and the end of it ----------------------------------------------------------------------------
@PIC.case("the lowest number has the highest priority, in whatever order the lines rise", "Fully Nested Mode")
def requests_come_by_priority(pc: Probe) -> None:
    initialize(pc, ICW4 | AUTO_EOI)
    raise_irqs(pc, 7, 5, 3, 4, 6, 1)
    for level in (1, 3, 4, 5, 6, 7):
        polls(pc, level, "in order")
    polls(pc, None, "all served")


@PIC.case("the acknowledge moves a request from the IRR to the ISR", "In-Service Register; Interrupt Sequence")
def a_request_moves_to_the_isr(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 4, 6)
    requests(pc, 0x50, "both wait")
    in_service(pc, NOTHING, "before the acknowledge")
    polls(pc, 4, "the first")
    requests(pc, 0x40, "IRQ6 waits")
    in_service(pc, 0x10, "IRQ4")


@PIC.case("a level in service holds back its own and lower levels, not higher ones", "Fully Nested Mode")
def service_is_nested(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 5)
    polls(pc, 5, "IRQ5")
    raise_irqs(pc, 6)
    polls(pc, None, "IRQ6 is lower")
    raise_irqs(pc, 4)
    polls(pc, 4, "IRQ4 is higher")
    in_service(pc, 0x30, "both are nested")


@PIC.case("a non-specific EOI ends the highest level in service", "End of Interrupt (EOI)")
def eoi_ends_the_highest(pc: Probe) -> None:
    initialize(pc)
    for irq in (6, 4):
        raise_irqs(pc, irq)
        polls(pc, irq, "nested")
    pc.write(MASTER, EOI)
    in_service(pc, 0x40, "IRQ4 has ended")
    pc.write(MASTER, EOI)
    in_service(pc, NOTHING, "both have ended")


@PIC.case("an EOI lets the next lower request through", "End of Interrupt (EOI)")
def eoi_lets_the_next_through(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 3, 5)
    polls(pc, 3, "the higher")
    polls(pc, None, "the lower waits")
    pc.write(MASTER, EOI)
    polls(pc, 5, "the lower")


@PIC.case("a specific EOI ends the level that it names", "End of Interrupt (EOI)")
def specific_eoi_ends_its_level(pc: Probe) -> None:
    initialize(pc)
    for irq in (6, 4):
        raise_irqs(pc, irq)
        polls(pc, irq, "nested")
    pc.write(MASTER, SPECIFIC_EOI | 6)
    in_service(pc, 0x10, "IRQ6 has ended, IRQ4 has not")


@PIC.case("the no-operation among the OCW2s ends nothing and rotates nothing", "OCW2, figure 8: the no-operation 010")
def the_no_operation_does_nothing(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 4)
    polls(pc, 4, "IRQ4")
    pc.write(MASTER, 0x44)
    in_service(pc, 0x10, "after the no-operation that names level 4")
    raise_irqs(pc, 3, 5)
    polls(pc, 3, "the priorities are as they were")


@PIC.case("automatic EOI leaves nothing in service", "Automatic End of Interrupt (AEOI) Mode")
def auto_eoi_leaves_nothing(pc: Probe) -> None:
    initialize(pc, ICW4 | AUTO_EOI)
    raise_irqs(pc, 3, 5)
    polls(pc, 3, "the higher")
    in_service(pc, NOTHING, "automatic EOI")
    requests(pc, 0x20, "the edge of IRQ3 was taken")
    polls(pc, 5, "the lower at once")


@PIC.case("an EOI at one chip does not end what the other serves", "Cascade Mode: an EOI for each of the two")
def each_chip_has_its_eoi(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 10)
    polls(pc, 2, "the cascade")
    polls(pc, 2, "IRQ10", chip=SLAVE)
    pc.write(SLAVE, EOI)
    in_service(pc, NOTHING, "ended", chip=SLAVE)
    in_service(pc, 0x04, "the cascade is still in service")


# -- rotation -------------------------------------------------------------------------------------------------------
@PIC.case("set priority names the lowest level; the next one up is the highest", "Specific Rotation")
def set_priority_names_the_lowest(pc: Probe) -> None:
    initialize(pc, ICW4 | AUTO_EOI)
    pc.write(MASTER, SET_PRIORITY | 4)
    raise_irqs(pc, 1, 3, 4, 5, 6, 7)
    for level in (5, 6, 7, 1, 3, 4):
        polls(pc, level, "5 is the highest, 4 the lowest")


@PIC.case("set priority ends no service", "Specific Rotation: independent of EOI")
def set_priority_ends_nothing(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 5)
    polls(pc, 5, "IRQ5")
    pc.write(MASTER, SET_PRIORITY | 5)
    in_service(pc, 0x20, "after set priority")
    raise_irqs(pc, 6)
    polls(pc, 6, "IRQ6 is the highest now")


@PIC.case(
    "rotate on non-specific EOI makes the level that ends the lowest", "Automatic Rotation (Equal Priority Devices)"
)
def rotate_on_eoi(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 4)
    polls(pc, 4, "IRQ4")
    pc.write(MASTER, ROTATE_ON_EOI)
    in_service(pc, NOTHING, "IRQ4 has ended")
    raise_irqs(pc, 3, 5)
    polls(pc, 5, "5 comes after 4")


@PIC.case(
    "rotate on specific EOI ends the level that it names and makes it the lowest",
    "Specific Rotation: rotate on specific EOI",
)
def rotate_on_specific_eoi(pc: Probe) -> None:
    initialize(pc)
    for irq in (5, 3):
        raise_irqs(pc, irq)
        polls(pc, irq, "nested")
    pc.write(MASTER, ROTATE_ON_SPECIFIC_EOI | 5)
    in_service(pc, 0x08, "IRQ5 has ended")
    pc.write(MASTER, SPECIFIC_EOI | 3)
    raise_irqs(pc, 4, 6)
    polls(pc, 6, "6 comes after 5")


@PIC.case(
    "after a rotation the non-specific EOI ends the highest by the new order",
    "End of Interrupt (EOI); Specific Rotation",
)
def eoi_follows_the_rotation(pc: Probe) -> None:
    initialize(pc)
    for irq in (6, 4):
        raise_irqs(pc, irq)
        polls(pc, irq, "nested")
    pc.write(MASTER, SET_PRIORITY | 5)
    pc.write(MASTER, EOI)
    in_service(pc, 0x10, "6 is the highest now, and has ended")


@PIC.case("rotate in automatic EOI mode gives each level its turn", "Automatic Rotation: the rotate in AEOI mode")
def rotate_in_auto_eoi(pc: Probe) -> None:
    initialize(pc, ICW4 | AUTO_EOI)
    pc.write(MASTER_ELCR, 0x38)
    pc.write(MASTER, 0x80)
    raise_irqs(pc, 3, 4, 5)
    for level in (3, 4, 5, 3):
        polls(pc, level, "in turn")


@PIC.case("rotation in automatic EOI mode can be taken back", "Automatic Rotation: the rotate in AEOI mode, clear")
def rotate_in_auto_eoi_is_cleared(pc: Probe) -> None:
    initialize(pc, ICW4 | AUTO_EOI)
    pc.write(MASTER_ELCR, 0x28)
    pc.write(MASTER, 0x80, 0x00)
    raise_irqs(pc, 3, 5)
    for _ in range(3):
        polls(pc, 3, "the higher each time")


# -- special modes --------------------------------------------------------------------------------------------------
@PIC.case("special mask mode lets lower levels through while a masked one is in service", "Special Mask Mode")
def special_mask_lets_lower_through(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 3)
    polls(pc, 3, "IRQ3")
    pc.write(MASTER + 1, 0x08)
    pc.write(MASTER, SPECIAL_MASK)
    raise_irqs(pc, 5)
    polls(pc, 5, "IRQ5 is lower")
    in_service(pc, 0x28, "both")


@PIC.case("special mask mode can be left", "OCW3, bits ESMM and SMM")
def special_mask_can_be_left(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 3)
    polls(pc, 3, "IRQ3")
    pc.write(MASTER + 1, 0x08)
    pc.write(MASTER, SPECIAL_MASK, NO_SPECIAL_MASK)
    raise_irqs(pc, 5)
    polls(pc, None, "IRQ3 holds it back")


@PIC.case("without ESMM the bit SMM does not count", "OCW3, bits ESMM and SMM")
def smm_needs_esmm(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 3)
    polls(pc, 3, "IRQ3")
    pc.write(MASTER + 1, 0x08)
    pc.write(MASTER, SPECIAL_MASK, 0x08)
    raise_irqs(pc, 5)
    polls(pc, 5, "the special mask mode is as it was: on")
    pc.write(MASTER, NO_SPECIAL_MASK, 0x28)
    raise_irqs(pc, 4)
    polls(pc, None, "the special mask mode is as it was: off")


@PIC.case(
    "in special mask mode a non-specific EOI passes over the masked levels",
    "End of Interrupt (EOI): an IS bit masked by an IMR bit",
    differs={"QEMU": "ends the highest in service, masked or not (pic_ioport_write in hw/intc/i8259.c)"},
)
def eoi_passes_over_the_masked(pc: Probe) -> None:
    initialize(pc)
    pc.write(MASTER, SET_PRIORITY | 2)
    raise_irqs(pc, 3)
    polls(pc, 3, "IRQ3")
    pc.write(MASTER + 1, 0x08)
    pc.write(MASTER, SPECIAL_MASK)
    raise_irqs(pc, 5)
    polls(pc, 5, "IRQ5")
    pc.write(MASTER, EOI)
    in_service(pc, 0x08, "IRQ5 has ended, the masked IRQ3 has not")
    pc.write(MASTER, EOI)
    in_service(pc, 0x08, "only the masked IRQ3 was there to end")


@PIC.case(
    "in special fully nested mode a higher slave request comes through while the slave is in service",
    "Special Fully Nested Mode, item a",
)
def special_fully_nested_slave(pc: Probe) -> None:
    initialize(pc, ICW4 | SPECIAL_FULLY_NESTED)
    raise_irqs(pc, 11)
    polls(pc, 2, "the cascade")
    polls(pc, 3, "IRQ11", chip=SLAVE)
    raise_irqs(pc, 9)
    polls(pc, 2, "the cascade again")
    polls(pc, 1, "IRQ9", chip=SLAVE)


@PIC.case(
    "in special fully nested mode an input without a slave does not interrupt itself", "Special Fully Nested Mode"
)
def special_fully_nested_other(pc: Probe) -> None:
    initialize(pc, ICW4 | SPECIAL_FULLY_NESTED)
    pc.write(MASTER_ELCR, 0x20)
    raise_irqs(pc, 5)
    polls(pc, 5, "the level")
    polls(pc, None, "still high, and in service")


@PIC.case(
    "in special fully nested mode the slave in service still holds lower levels back",
    "Special Fully Nested Mode",
    differs={
        "QEMU": "takes IR2 out of the comparison, so lower levels come through, too (pic_get_irq in hw/intc/i8259.c)"
    },
)
def special_fully_nested_lower(pc: Probe) -> None:
    initialize(pc, ICW4 | SPECIAL_FULLY_NESTED)
    raise_irqs(pc, 11)
    polls(pc, 2, "the cascade")
    polls(pc, 3, "IRQ11", chip=SLAVE)
    raise_irqs(pc, 5)
    polls(pc, None, "IRQ5 is lower than IR2")


# -- reading and polling --------------------------------------------------------------------------------------------
@PIC.case("the chip remembers which register reads give until another OCW3 says so", "Reading the 8259A Status")
def the_register_is_remembered(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 4, 6)
    polls(pc, 4, "IRQ4")
    pc.write(MASTER, 0x0B)
    pc.reads(MASTER, 0x10, "ISR")
    pc.write(MASTER, 0x08)
    pc.reads(MASTER, 0x10, "ISR still: RR was 0")
    pc.reads(MASTER, 0x10, "ISR still")
    pc.write(MASTER, 0x0A)
    pc.reads(MASTER, 0x40, "IRR")
    pc.write(MASTER, 0x09)
    pc.reads(MASTER, 0x40, "IRR still: RR was 0")


@PIC.case(
    "a poll command overrides the choice of a register in the same OCW3",
    "Reading the 8259A Status: polling overrides status read",
)
def a_poll_overrides_a_read(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 6)
    pc.write(MASTER, 0x0F)
    pc.reads(MASTER, 0x86, "the answer", mask=ANSWER)


@PIC.case("the poll's answer comes at either address", "Poll Command: the next RD pulse to the 8259A")
def a_poll_answers_at_both_addresses(pc: Probe) -> None:
    initialize(pc)
    pc.write(MASTER + 1, 0x60)
    raise_irqs(pc, 7)
    pc.write(MASTER, 0x0C)
    pc.reads(MASTER + 1, 0x87, "the answer at A0 = 1", mask=ANSWER)
    pc.reads(MASTER + 1, 0x60, "the mask again")
    in_service(pc, 0x80, "the read acknowledged")


@PIC.case("only the first read after a poll command is an acknowledge", "Poll Command: the next RD pulse")
def a_poll_is_for_one_read(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 4)
    polls(pc, 4, "IRQ4")
    raise_irqs(pc, 3)
    pc.read(MASTER)
    in_service(pc, 0x10, "the second read acknowledged nothing")
    requests(pc, 0x08, "IRQ3 waits")


@PIC.case("the poll command itself acknowledges nothing: what comes before the read counts", "Poll Command")
def the_read_acknowledges(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 6)
    pc.write(MASTER, 0x0C)
    raise_irqs(pc, 4)
    pc.reads(MASTER, 0x84, "the higher of the two", mask=ANSWER)
    requests(pc, 0x40, "IRQ6 waits")


@PIC.case("a poll without a request says so, and nothing is in service", "Poll Command: bit I")
def a_poll_without_a_request(pc: Probe) -> None:
    initialize(pc)
    for chip in (MASTER, SLAVE):
        polls(pc, None, "no request", chip=chip)
        in_service(pc, NOTHING, "no spurious level 7", chip=chip)


# -- cascade --------------------------------------------------------------------------------------------------------
@PIC.case("a request of the slave is IR2 at the master, between IRQ1 and IRQ3", "Cascade Mode")
def the_slave_is_ir2(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 3, 15)
    requests(pc, 0x0C, "the cascade and IRQ3")
    polls(pc, 2, "the cascade first")
    raise_irqs(pc, 1)
    polls(pc, 1, "IRQ1 is higher")


@PIC.case("the slave's own mask keeps its request from the master", "Cascade Mode; Interrupt Mask Register")
def a_masked_slave_line_stays_there(pc: Probe) -> None:
    initialize(pc)
    pc.write(SLAVE + 1, 0x80)
    raise_irqs(pc, 15)
    requests(pc, NOTHING, "masked at the slave")
    pc.write(SLAVE + 1, 0x00)
    requests(pc, 0x04, "unmasked")


@PIC.case("a mask over IR2 holds the whole slave back, whose request waits", "Cascade Mode; Interrupt Mask Register")
def a_masked_ir2_holds_the_slave(pc: Probe) -> None:
    initialize(pc)
    pc.write(MASTER + 1, 0x04)
    raise_irqs(pc, 9)
    polls(pc, None, "masked at the master")
    pc.write(MASTER + 1, 0x00)
    polls(pc, 2, "unmasked")
    polls(pc, 1, "IRQ9", chip=SLAVE)


@PIC.case(
    "polling the slave takes its request from the master", "Poll Command; Cascade Mode", differs={"QEMU": KEEPS_EDGES}
)
def polling_the_slave_takes_ir2(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 10)
    polls(pc, 2, "IRQ10", chip=SLAVE)
    requests(pc, NOTHING, "the slave's INT fell")


@PIC.case("the slave's next request comes after both have got an EOI", "Cascade Mode; End of Interrupt (EOI)")
def the_next_slave_request(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 9, 11)
    polls(pc, 2, "the cascade")
    polls(pc, 1, "IRQ9", chip=SLAVE)
    requests(pc, NOTHING, "IRQ11 is lower: INT is low")
    pc.write(SLAVE, EOI)
    requests(pc, 0x04, "IRQ11's turn")
    polls(pc, None, "the cascade is in service")
    pc.write(MASTER, EOI)
    polls(pc, 2, "the cascade again")
    polls(pc, 3, "IRQ11", chip=SLAVE)


@PIC.case(
    "with automatic EOI at both chips the master sees each request of the slave",
    "Automatic End of Interrupt (AEOI) Mode: 8259As of 1985 or later as a slave",
    differs={
        "QEMU": "the slave's INT stays high between two requests: no edge for the master (pic_update_irq, i8259.c)"
    },
)
def auto_eoi_at_both_chips(pc: Probe) -> None:
    initialize(pc, ICW4 | AUTO_EOI)
    raise_irqs(pc, 9, 11)
    for level in (1, 3):
        polls(pc, 2, "the cascade")
        polls(pc, level, f"IRQ{8 + level}", chip=SLAVE)
    polls(pc, None, "both are served")


@PIC.case(
    "in fully nested mode a slave in service keeps even its higher requests from the CPU",
    "Special Fully Nested Mode: in the normal nested mode a slave is masked out",
)
def a_slave_in_service_is_masked(pc: Probe) -> None:
    initialize(pc)
    raise_irqs(pc, 11)
    polls(pc, 2, "the cascade")
    polls(pc, 3, "IRQ11", chip=SLAVE)
    raise_irqs(pc, 9)
    requests(pc, 0x04, "the slave asks again")
    polls(pc, None, "IR2 is in service")


@PIC.case("the slave has priorities of its own", "Specific Rotation; Cascade Mode")
def the_slave_rotates_alone(pc: Probe) -> None:
    initialize(pc, ICW4 | AUTO_EOI)
    pc.write(SLAVE, SET_PRIORITY | 2)
    raise_irqs(pc, 3, 5, 9, 11)
    polls(pc, 3, "IRQ11 before IRQ9", chip=SLAVE)
    polls(pc, 1, "IRQ9", chip=SLAVE)
    pc.write(MASTER + 1, 0x04)
    polls(pc, 3, "the master's order is as it was")
