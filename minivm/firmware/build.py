"""Assemble the ROMs: `python -m minivm.firmware.build` writes rom.bin and vga_rom.bin beside their sources.

Needs NASM, 2.15 or newer.
"""

import subprocess
import tempfile
from pathlib import Path

from minivm.errors import AssemblyError
from minivm.firmware import font, video_rom
from minivm.firmware.rom import SIZE_BYTES

HERE = Path(__file__).parent


def build() -> bytes:
    """Return the BIOS's ROM made from rom.asm and font.py; raises `AssemblyError` with NASM's own words."""
    return _assemble("rom.asm", SIZE_BYTES)


def build_video_rom() -> bytes:
    """Return the graphics card's ROM made from vga_rom.asm and font.py, whose bytes' sum its last byte makes 0."""
    rom = _assemble("vga_rom.asm", video_rom.SIZE_BYTES)
    return rom[:-1] + bytes([-sum(rom[:-1]) & 0xFF])


def _assemble(source: str, size_bytes: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        for height in (8, 14, 16):
            Path(folder, f"font8x{height}.bin").write_bytes(font.table(height))
        Path(folder, "font8x8lo.bin").write_bytes(font.table(8)[:1024])
        output = Path(folder, "rom.bin")
        command = ["nasm", "-f", "bin", f"-I{folder}/", "-o", str(output), str(HERE / source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssemblyError(done.stderr.strip())
        rom = output.read_bytes()
    if len(rom) != size_bytes:
        raise AssemblyError(f"{source}: the ROM has {len(rom)} bytes, not {size_bytes}")
    return rom


if __name__ == "__main__":
    (HERE / "rom.bin").write_bytes(build())
    (HERE / "vga_rom.bin").write_bytes(build_video_rom())
