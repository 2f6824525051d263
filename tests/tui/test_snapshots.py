"""The three layouts at three sizes, as text; `MINIVM_UPDATE_SNAPSHOTS=1` writes them anew."""

import os
from pathlib import Path

import pytest

SNAPSHOTS = Path(__file__).parent / "snapshots"
SIZES = ((80, 24), (120, 40), (200, 60))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("layout", ["run", "learn", "debug"])
def test_a_layout_looks_as_it_did(play, layout, size):
    async def script(stage):
        for _ in range(3):
            await stage.settle()
        if layout == "run":
            await stage.press("f12")
        found = "\n".join(stage.lines) + "\n"
        file = SNAPSHOTS / f"{layout}-{size[0]}x{size[1]}.txt"
        if os.environ.get("MINIVM_UPDATE_SNAPSHOTS"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(found, encoding="utf-8")
        assert found == file.read_text(encoding="utf-8")

    play(script, ms=50, layout=layout, size=size)
