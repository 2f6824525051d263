"""Build the bundled guests: `python guests/build.py`, or with `--check` compare a fresh build with the images here.

NASM makes the images (flat binaries); GCC, where it is found, makes the C workload. The images are checked in, so that
nobody needs either tool to boot them. Names behind the options limit the work to those guests.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parent
WORKLOAD = HOME / "workload"

# No libc, no position independence, no unwind tables, no host-dependent choices: the same bytes from the same compiler.
C_FLAGS = [
    *(
        "-m32",
        "-march=i686",
        "-O2",
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-ffreestanding",
        "-nostdlib",
        "-static",
    ),
    *(
        "-fno-pie",
        "-no-pie",
        "-fno-stack-protector",
        "-fno-asynchronous-unwind-tables",
        "-fno-builtin",
        "-fcf-protection=none",
    ),
    *("-fno-tree-loop-distribute-patterns", "-fno-tree-vectorize", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-s"),
]


def assemble(source: Path, image: Path) -> None:
    """Assemble one NASM source into a flat image; NASM prints what is wrong, and CalledProcessError follows."""
    subprocess.run(["nasm", "-f", "bin", "-Wall", "-Werror", "-o", str(image), str(source)], check=True, cwd=HOME)


def compile_workload(source: Path, image: Path) -> None:
    """Compile one C program into a Multiboot ELF executable, linked by the script beside it."""
    script = source.with_suffix(".ld")
    subprocess.run(["gcc", *C_FLAGS, f"-Wl,-T,{script}", "-o", str(image), str(source)], check=True, cwd=HOME)


def sources() -> list[Path]:
    """Return every guest's source, the benchmarks' programs included."""
    return sorted([*HOME.glob("*.asm"), *WORKLOAD.glob("*.asm"), *WORKLOAD.glob("*.c")])


def image_of(source: Path) -> Path:
    """Return where the image of `source` is checked in."""
    return source.with_suffix(".elf" if source.suffix == ".c" else ".img")


def build(source: Path, image: Path) -> bool:
    """Build one guest, and return False where the tool for it is missing."""
    tool, make = ("gcc", compile_workload) if source.suffix == ".c" else ("nasm", assemble)
    if shutil.which(tool) is None:
        print(f"{source.name}: skipped, {tool} is not installed", file=sys.stderr)
        return False
    make(source, image)
    return True


def compiler_of(image: Path) -> bytes:
    """Return the compiler's name and version from an ELF file's comment, or nothing for a flat image."""
    start = image.read_bytes().find(b"GCC: (")
    return b"" if start < 0 else image.read_bytes()[start:].split(b"\0")[0]


def check(source: Path, folder: Path) -> str | None:
    """Build one guest in `folder`, and say how the checked-in image differs, or None when it does not.

    Another GCC release may well make other code from the same C, so a workload made by another one is not compared.
    """
    fresh, kept = folder / image_of(source).name, image_of(source)
    if not kept.is_file():
        return f"{kept.name} is missing; run guests/build.py"
    if not build(source, fresh) or compiler_of(fresh) != compiler_of(kept):
        return None
    return (
        None
        if fresh.read_bytes() == kept.read_bytes()
        else f"{kept.name} is not what {source.name} makes; run guests/build.py"
    )


def main() -> int:
    """Build, or check; return 1 when an image differs or a source does not build."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare a fresh build with the checked-in images")
    parser.add_argument("names", nargs="*", help="guests to build; all when none is given")
    options = parser.parse_args()
    chosen = [source for source in sources() if not options.names or source.stem in options.names]
    try:
        if not options.check:
            return int(False in [build(source, image_of(source)) for source in chosen])
        with tempfile.TemporaryDirectory() as folder:
            complaints = [text for source in chosen if (text := check(source, Path(folder)))]
    except subprocess.CalledProcessError:
        return 1
    print("\n".join(complaints) or f"{len(chosen)} images are what their sources make")
    return int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main())
