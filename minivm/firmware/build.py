"""Assemble the ROM: `python -m minivm.firmware.build` writes rom.bin beside rom.asm. Needs NASM, 2.15 or newer."""

import subprocess
import tempfile
from pathlib import Path

from minivm.errors import AssemblyError
from minivm.firmware import font
from minivm.firmware.rom import SIZE_BYTES

HERE = Path(__file__).parent


def build() -> bytes:
    """Return the ROM made from rom.asm and font.py; raises `AssemblyError` with NASM's own words."""
    with tempfile.TemporaryDirectory() as folder:
        for height in (8, 14, 16):
            Path(folder, f"font8x{height}.bin").write_bytes(font.table(height))
        Path(folder, "font8x8lo.bin").write_bytes(font.table(8)[:1024])
        Path(folder, "font8x8hi.bin").write_bytes(font.table(8)[1024:])
        output = Path(folder, "rom.bin")
        command = ["nasm", "-f", "bin", f"-I{folder}/", "-o", str(output), str(HERE / "rom.asm")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssemblyError(done.stderr.strip())
        rom = output.read_bytes()
    if len(rom) != SIZE_BYTES:
        raise AssemblyError(f"rom.asm: the ROM has {len(rom)} bytes, not {SIZE_BYTES}")
    return rom


if __name__ == "__main__":
    (HERE / "rom.bin").write_bytes(build())
