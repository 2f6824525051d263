"""What a guest has sent comes out of the serial port even when the guest ends at once."""

import pytest

import minivm

SEND = bytes.fromhex(
    "ba fb03 b0 83 ee"  # line control: DLAB, 8 bits
    "ba f803 b0 0c ee 42 30c0 ee"  # divisor 12: 9600 baud
    "ba fb03 b0 03 ee"
    "ba fa03 b0 07 ee"  # FIFOs on
    "ba f803 b0 41 ee b0 42 ee b0 43 ee"  # ABC
)
ENDS = {"halted": "fa f4", "debug-exit": "30c0 e6f4 ebfe", "powered-off": "ba0406 b80020 ef ebfe"}


@pytest.mark.parametrize("reason", ENDS)
def test_the_last_bytes_come_out(reason):
    code = SEND + bytes.fromhex(ENDS[reason])
    with minivm.boot(code.ljust(510, b"\0") + b"\x55\xaa") as vm:
        assert vm.run(ms=1000).reason == reason
        assert vm.serial.text() == "ABC"
