"""What docs/snapshots.md shows is what happens."""

import json
import re
import struct
from pathlib import Path

import zstandard

PAGE = (Path(__file__).parents[2] / "docs" / "snapshots.md").read_text(encoding="utf-8")


def make_the_example(folder, monkeypatch) -> bytes:
    monkeypatch.chdir(folder)
    exec(compile(re.findall(r"```python\n(.*?)```", PAGE, re.S)[0], "docs/snapshots.md", "exec"), {})
    return (folder / "tiny.mvm").read_bytes()


def test_the_example_prints_what_it_says(tmp_path, monkeypatch, capsys):
    make_the_example(tmp_path, monkeypatch)
    assert f"prints `{capsys.readouterr().out.strip()}`" in PAGE


def test_the_prologue_and_the_columns_are_as_shown(tmp_path, monkeypatch):
    data = make_the_example(tmp_path, monkeypatch)
    shown = re.findall(r"^0000(\w{4})  ((?:[0-9a-f]{2} +)+)(?:\.\.\.)?", PAGE, re.M)
    assert len(shown) == 11
    packed, length = struct.unpack_from("<IQ", data, 20)
    assert length == len(data)
    header = json.loads(zstandard.decompress(data[64 : 64 + packed]))
    after_header = 64 + packed - 0x119  # how a frame is packed depends on zstd's version
    for at, text in shown[4:9]:
        place = int(at, 16) + (after_header if int(at, 16) >= 0x119 else 0)
        assert data[place:].startswith(bytes.fromhex(text)), at
    assert data.startswith(bytes.fromhex(shown[0][1]))
    assert data[32:].startswith(bytes.fromhex(shown[2][1] + shown[3][1]))
    assert all(
        f"| `{name}` |" in PAGE for name in header if name not in ("config", "machine", "cpu", "devices", "console")
    )
