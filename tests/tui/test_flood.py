"""A guest that writes to port E9h as fast as it can: the user interface stays awake, and nothing is lost."""

import asyncio
import time

import pytest

from minivm.debug.code import assemble

FLOOD_BYTES = 1 << 20

DEBUG_PORT = """
    org 7C00h
        mov al, 'x'
again:  out 0E9h, al
        jmp again
"""


def image(source):
    return assemble(source).code.ljust(510, b"\0") + b"\x55\xaa"


@pytest.mark.slow  # its limit is in milliseconds of the host, and it takes a core
@pytest.mark.timeout(120)
@pytest.mark.parametrize("layout", ["learn", "debug"])
def test_a_key_acts_while_a_guest_floods_port_e9h(play, layout):
    async def script(stage):
        stage.send("f5")
        await stage.until(lambda: stage.app.view.running)
        data = stage.machine.console.serial.data
        await stage.until(lambda: len(data) > FLOOD_BYTES // 8, seconds=60)
        slowest = 0.0
        for key, depth in [("f1", 2), ("escape", 1)] * 4:
            begin = time.monotonic()
            stage.send(key)
            await stage.until(lambda depth=depth: len(stage.app.screen_stack) == depth)
            slowest = max(slowest, time.monotonic() - begin)
            await asyncio.sleep(0.1)
        await stage.until(lambda: len(data) > FLOOD_BYTES, seconds=60)
        await asyncio.wait_for(asyncio.wrap_future(stage.session.pause()), 30)
        await stage.until(lambda: not stage.app.view.running, seconds=30)
        assert slowest < 1.0, slowest  # generous, for a busy host; a freeze lasts as long as the flood
        assert set(data) == {ord("x")}

    play(script, image(DEBUG_PORT), layout=layout)
