"""Fuzzing of everything that reads what others wrote: `python -m minivm.testing.fuzz TARGET [CORPUS ...]`.

With Atheris installed (pip install atheris) libFuzzer drives a target and takes its options, such as
`-max_total_time=60`; files it finds go into the first corpus folder. `--without-atheris --runs N --seed S` drives the
same targets by a plain loop that damages the same small valid files in a way that the seed decides, for CI.

A `MiniVMError` of one line is a right answer. Any other exception, an error of several lines, or an input that takes
longer than ten seconds is a finding: its input is kept in a file, its path is printed, and the exit status is 1.
"""

import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from minivm.errors import ConfigError, ImageError, MiniVMError
from minivm.testing.fuzz_targets import TARGETS

MOST_SECONDS = 10
MOST_BYTES = 1 << 16


# -- the plain loop -------------------------------------------------------------------------------------------------
class Chance:
    """Numbers that follow from a seed alone, the same on every host: BLAKE2b of a counter."""

    def __init__(self, seed: int) -> None:
        self._key, self._count = str(seed).encode()[:64], 0

    def below(self, end: int) -> int:
        """Return a number from 0 to `end` - 1."""
        self._count += 1
        digest = blake2b(self._count.to_bytes(8, "little"), key=self._key, digest_size=8).digest()
        return int.from_bytes(digest, "little") % end


_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, (1 << 63) - 1)


def damaged(data: bytes, chance: Chance, others: Sequence[bytes] = ()) -> bytes:
    """Return `data` with one to four changes: bits, bytes, numbers at their edges, cuts, copies, parts of `others`.

    Text mostly stays text, since a parser of text looks no further than the first byte that is none.
    """
    found = bytearray(data)
    is_text = data.isascii() and b"\0" not in data and chance.below(8) > 0
    for _ in range(1 + chance.below(4)):
        at, length = chance.below(len(found) + 1), 1 + chance.below(16)
        match chance.below(8):
            case 0 if at < len(found):
                found[at] = _any_byte(chance, is_text) if is_text else found[at] ^ 1 << chance.below(8)
            case 1 if at < len(found):
                found[at] = _any_byte(chance, is_text)
            case 2:
                _put_edge(found, at, chance, is_text)
            case 3:
                del found[at : at + length]
            case 4:
                source = chance.below(len(found) + 1)
                found[at:at] = found[source : source + length]
            case 5:
                found[at:at] = bytes(_any_byte(chance, is_text) for _ in range(length))
            case 6 if others:
                other = others[chance.below(len(others))]
                source = chance.below(len(other) + 1)
                found[at : at + length] = other[source : source + 4 * length]
            case 7 if chance.below(8) == 0:
                del found[at:]
    return bytes(found[:MOST_BYTES])


def _any_byte(chance: Chance, is_text: bool) -> int:
    return 0x20 + chance.below(0x5F) if is_text else chance.below(256)


def _put_edge(found: bytearray, at: int, chance: Chance, is_text: bool) -> None:
    """Write a number at the edge of its size over what stands there, or in text over the number that stands there."""
    value = _EDGES[chance.below(len(_EDGES))]
    if is_text:
        end = at
        while end < len(found) and found[end : end + 1].isdigit():
            end += 1
        found[at:end] = (hex(value) if chance.below(2) else str(-value if chance.below(4) == 0 else value)).encode()
    else:
        size = 1 << chance.below(4)
        found[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")


def plain_inputs(seeds: Sequence[bytes], runs: int, seed: int) -> Iterator[bytes]:
    """Yield `runs` inputs: first the seeds as they are, then damaged ones."""
    chance = Chance(seed)
    for number in range(runs):
        if number < len(seeds):
            yield seeds[number]
        else:
            yield damaged(seeds[chance.below(len(seeds))], chance, seeds)


class Finding(Exception):
    """An input that made a target fail; the text is one line, with the path where the input is kept."""


def check(name: str, data: bytes, folder: Path, keep: Path) -> None:
    """Give one input to a target; raises `Finding` when the answer is wrong, and keeps the input in `keep`."""
    try:
        with _patience():
            TARGETS[name].run(data, folder)
    except Exception as error:
        path = _keep(name, data, keep)
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise Finding(f"{name}: {what}; the input is {path}") from error


def _keep(name: str, data: bytes, keep: Path) -> Path:
    """Write an input down, and return where; the same input has the same name."""
    path = keep / f"finding-{name}-{blake2b(data, digest_size=6).hexdigest()}"
    path.write_bytes(data)
    return path


class _patience:  # noqa: N801 - reads as what it does
    """Interrupts what takes longer than `MOST_SECONDS`, where the host has such an alarm."""

    def __enter__(self) -> None:
        self._old: Any = None
        try:
            self._old = signal.signal(signal.SIGALRM, self._ring)
            signal.alarm(MOST_SECONDS)
        except (AttributeError, ValueError):
            pass  # No such signal here, or not the main thread: whoever called has a limit of his own.

    def __exit__(self, *_: object) -> None:
        if self._old is not None:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, self._old)

    @staticmethod
    def _ring(*_: object) -> None:
        raise TimeoutError(f"took longer than {MOST_SECONDS} seconds")


def run_plain(name: str, corpus: Sequence[Path], *, runs: int, seed: int, keep: Path) -> int:
    """Give `runs` inputs to a target and return how many that were; raises `Finding` at the first wrong answer."""
    seeds = [*TARGETS[name].seeds(), *_corpus(corpus)]
    done = 0
    with TemporaryDirectory(prefix="minivm-fuzz-") as folder:
        for data in plain_inputs(seeds, runs, seed):
            check(name, data, Path(folder), keep)
            done += 1
    return done


def _corpus(places: Sequence[Path]) -> list[bytes]:
    """Return the files in some folders, or the files named; raises `ImageError` for one that is not there."""
    found = []
    for place in places:
        if not place.exists():
            raise ImageError(f"{place}: there is no such file or folder to fuzz from")
        files = sorted(file for file in place.iterdir() if file.is_file()) if place.is_dir() else [place]
        found += [file.read_bytes()[:MOST_BYTES] for file in files]
    return found


# -- Atheris --------------------------------------------------------------------------------------------------------
def run_atheris(name: str, words: Sequence[str], keep: Path) -> int:
    """Let libFuzzer drive a target with its own options, and return its exit status.

    Raises `ConfigError` without Atheris.
    """
    try:
        atheris: Any = import_module("atheris")
    except ImportError:
        raise ConfigError(
            "Atheris is not installed: pip install atheris; or use --without-atheris --runs 1000"
        ) from None
    target = TARGETS[name]
    with atheris.instrument_imports(include=["minivm"], enable_loader_override=False):
        for module in target.modules:
            import_module(module)
    with TemporaryDirectory(prefix="minivm-fuzz-") as folder:
        begin = Path(folder) / "seeds"
        begin.mkdir()
        for number, data in enumerate(target.seeds()):
            (begin / f"seed-{number}").write_bytes(data)
        child = os.fork()  # libFuzzer ends its process, and somebody has to remove the folder
        if child == 0:
            atheris.Setup([sys.argv[0], *_libfuzzer_words(words), str(begin)], _one_input(name, Path(folder), keep))
            atheris.Fuzz()
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _libfuzzer_words(words: Sequence[str]) -> list[str]:
    """Return options, with the limits that are not given, and then folders."""
    options = [word for word in words if word.startswith("-")]
    for limit, value in (("-max_len", MOST_BYTES), ("-timeout", MOST_SECONDS)):
        if not any(option.startswith(limit) for option in options):
            options.append(f"{limit}={value}")
    return options + [word for word in words if not word.startswith("-")]


def _one_input(name: str, folder: Path, keep: Path) -> Callable[[bytes], None]:
    def one_input(data: bytes) -> None:
        try:
            TARGETS[name].run(data, folder)
        except Exception:
            print(f"minivm fuzz: {name}: the input is {_keep(name, data, keep)}", file=sys.stderr)
            raise

    return one_input


# -- the command ----------------------------------------------------------------------------------------------------
def main(words: Sequence[str] | None = None) -> int:
    """Fuzz as the command line says; 0 when nothing was found, 1 for a finding, 2 for a wrong command line."""
    arguments, rest = _parser().parse_known_args(words)
    options = [word for word in rest if word.startswith("-")]
    arguments.corpus += [word for word in rest if not word.startswith("-")]  # argparse leaves those behind options
    try:
        return _fuzz(arguments, options)
    except Finding as finding:
        print(f"minivm fuzz: {finding}", file=sys.stderr)
        return 1
    except MiniVMError as error:
        print(f"minivm fuzz: {error}", file=sys.stderr)
        return 2


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m minivm.testing.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=sorted(TARGETS), help="what is to read the inputs")
    parser.add_argument("corpus", nargs="*", help="files or folders with more inputs to begin from")
    parser.add_argument("--without-atheris", action="store_true", help="drive it by the plain loop")
    parser.add_argument("--runs", type=int, default=1000, metavar="N", help="so many inputs, in the plain loop (1000)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="what decides them (0)")
    parser.add_argument("--keep", type=Path, default=Path(), metavar="DIR", help="where findings are put (here)")
    return parser


def _fuzz(arguments: Namespace, rest: Sequence[str]) -> int:
    if not arguments.keep.is_dir():
        raise ConfigError(f"{arguments.keep}: is no folder to keep findings in")
    if not arguments.without_atheris:
        return run_atheris(arguments.target, [*arguments.corpus, *rest], arguments.keep)
    if rest:
        raise ConfigError(f"{rest[0]} is libFuzzer's; leave out --without-atheris")
    places = [Path(place) for place in arguments.corpus]
    done = run_plain(arguments.target, places, runs=arguments.runs, seed=arguments.seed, keep=arguments.keep)
    print(f"{arguments.target}: {done} inputs, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
