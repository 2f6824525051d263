"""The two kinds of macro: `%define` inside a line, `%macro` for whole lines (NASM manual, sections 4.1 and 4.3)."""

import re
from dataclasses import dataclass, field

from minivm.debug.nasm_front.lines import Line
from minivm.debug.nasm_front.tokens import PASTE, Token, tokenize
from minivm.errors import AssemblyError

MOST_TOKENS = 20_000
"""A line may grow to this many tokens by expansion; more is a definition that feeds itself."""
_DEEPEST = 60
_QUOTED = r"'[^'\n]*'|\"[^\"\n]*\"|`(?:\\.|[^`\\\n])*`|;.*"
_PARAMETER = re.compile(rf"{_QUOTED}|%%(?P<local>[A-Za-z_][\w.]*)|%(?P<plain>\d+)|%\{{(?P<braced>-?\d+(?::-?\d+)?)\}}")


@dataclass(frozen=True)
class Define:
    """A single-line macro; `parameters` is None for one that takes no brackets."""

    body: tuple[Token, ...]
    parameters: tuple[str, ...] | None = None


@dataclass
class Macro:
    """A multi-line macro that takes `least` to `most` arguments."""

    name: str
    least: int
    most: float
    greedy: bool
    defaults: list[str]
    body: list[Line] = field(default_factory=list)


@dataclass
class Call:
    """One expansion of a multi-line macro in progress."""

    macro: Macro
    arguments: list[str]
    serial: int
    label: str = ""

    def substitute(self, text: str) -> str:
        """Return a body line with `%1`, `%0` and `%%local` filled in, strings left alone."""
        return _PARAMETER.sub(self._replacement, text)

    def rotate(self, count: int) -> None:
        """Shift the arguments to the left (NASM manual, section 4.3.7)."""
        if self.arguments:
            count %= len(self.arguments)
            self.arguments = self.arguments[count:] + self.arguments[:count]

    def _replacement(self, match: "re.Match[str]") -> str:
        if match["local"]:
            return f"..@{self.serial}.{match['local']}"
        chosen = match["plain"] or match["braced"]
        if chosen is None:
            return match.group()
        if chosen == "00":
            return self.label
        if ":" in chosen:
            first, last = (self._index(int(part)) for part in chosen.split(":"))
            return ",".join(self.arguments[first - 1 : last])
        index = self._index(int(chosen))
        if index == 0:
            return str(len(self.arguments))
        return self.arguments[index - 1] if index <= len(self.arguments) else ""

    def _index(self, written: int) -> int:
        return written if written >= 0 else max(len(self.arguments) + written + 1, 1)


class Defines:
    """All single-line macros; names of `%idefine` match in any case."""

    def __init__(self) -> None:
        self.exact: dict[str, Define] = {}
        self.any_case: dict[str, Define] = {}

    def get(self, name: str) -> Define | None:
        """Return what `name` stands for, or None."""
        return self.exact.get(name) or (self.any_case.get(name.lower()) if self.any_case else None)

    def remove(self, name: str) -> None:
        """Forget `name`; a name that means nothing is fine."""
        self.exact.pop(name, None)
        self.any_case.pop(name.lower(), None)

    def expand(self, tokens: tuple[Token, ...] | list[Token]) -> list[Token]:
        """Return the tokens with every macro replaced, and `%+` joined."""
        if not any(token.kind in ("name", "directive") for token in tokens):
            return list(tokens)
        budget = [MOST_TOKENS]
        expanded = self._expand(list(tokens), frozenset(), budget, 0)
        return _paste(expanded) if Token("directive", PASTE) in expanded else expanded

    def _expand(self, tokens: list[Token], active: frozenset[str], budget: list[int], depth: int) -> list[Token]:
        if depth > _DEEPEST:
            raise AssemblyError(f"%define is nested more than {_DEEPEST} deep")
        result: list[Token] = []
        position = 0
        while position < len(tokens):
            token = tokens[position]
            position += 1
            define = self.get(token.text) if token.kind == "name" and token.text not in active else None
            if define is None:
                result.append(token)
                continue
            body = list(define.body)
            if define.parameters is not None:
                found = _arguments(tokens, position)
                if found is None:
                    result.append(token)
                    continue
                arguments, position = found
                body = _fill(token.text, define, [self._expand(a, active, budget, depth + 1) for a in arguments])
            budget[0] -= len(body) + 1
            if budget[0] < 0:
                raise AssemblyError(f"'{token.text}' expands to more than {MOST_TOKENS} pieces")
            result += self._expand(body, active | {token.text}, budget, depth + 1)
        return result


def _arguments(tokens: list[Token], position: int) -> tuple[list[list[Token]], int] | None:
    """Read `(a, b)` from `position`; None when no bracket follows."""
    while position < len(tokens) and tokens[position].kind == "space":
        position += 1
    if position >= len(tokens) or tokens[position].text != "(":
        return None
    arguments: list[list[Token]] = [[]]
    depth = 0
    for end in range(position, len(tokens)):
        token = tokens[end]
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        if depth == 0:
            return [_trim(argument) for argument in arguments], end + 1
        if depth == 1 and token.text == ",":
            arguments.append([])
        elif end > position:
            arguments[-1].append(token)
    raise AssemblyError("a macro's arguments have no closing ')'")


def _trim(tokens: list[Token]) -> list[Token]:
    start, end = 0, len(tokens)
    while start < end and tokens[start].kind == "space":
        start += 1
    while end > start and tokens[end - 1].kind == "space":
        end -= 1
    return tokens[start:end]


def _fill(name: str, define: Define, arguments: list[list[Token]]) -> list[Token]:
    parameters = define.parameters or ()
    if not parameters and len(arguments) == 1 and not arguments[0]:
        arguments = []
    if len(arguments) != len(parameters):
        raise AssemblyError(f"'{name}' takes {len(parameters)} argument(s), not {len(arguments)}")
    given = dict(zip(parameters, arguments, strict=True))
    filled: list[Token] = []
    for token in define.body:
        filled += given.get(token.text, [token]) if token.kind == "name" else [token]
    return filled


def _paste(tokens: list[Token]) -> list[Token]:
    """Join the neighbours of each `%+`."""
    text = ""
    glue = False
    for token in tokens:
        if token == ("directive", PASTE):
            text, glue = text.rstrip(" \t"), True
        elif not (glue and token.kind == "space"):
            text += token.text
            glue = False
    return list(tokenize(text))


def split_arguments(text: str) -> list[str]:
    """Cut a macro call's arguments at its commas; braces protect a comma (NASM manual, section 4.3)."""
    parts: list[str] = [""]
    depth = 0
    for token in tokenize(text):
        if token.text == "{":
            depth += 1
            if depth == 1:
                continue
        elif token.text == "}":
            depth -= 1
            if depth == 0:
                continue
        if token.text == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += token.text
    parts = [part.strip() for part in parts]
    return [] if parts == [""] else parts


def parse_signature(text: str) -> Macro:
    """Read `NAME 1-3+ default, default` from a `%macro` line."""
    match = re.fullmatch(
        r"\s*([\w.$?@]+)(?:\s+(\d{1,4})(?:-(\d{1,4}|\*))?(\+)?)?(?:\.nolist)?(?:\s+(.*))?\s*", text, re.ASCII
    )
    if match is None:
        raise AssemblyError("%macro needs a name and a number of parameters, as '%macro name 2'")
    name, least, most, plus, defaults = match.groups()
    fewest = int(least or 0)
    largest = float("inf") if most == "*" else float(most or fewest)
    if largest < fewest:
        raise AssemblyError(f"%macro {name}: at most {most} parameters is less than at least {least}")
    return Macro(name, fewest, largest, plus is not None, split_arguments(defaults or ""))


def bind(macro: Macro, text: str) -> list[str] | None:
    """Return the arguments for a call of `macro`, defaults filled in; None when their number does not fit."""
    arguments = split_arguments(text)
    if macro.greedy and len(arguments) > macro.most:
        arguments = _greedy(text, int(macro.most))
    if not macro.least <= len(arguments) <= macro.most:
        return None
    return arguments + macro.defaults[len(arguments) - macro.least :]


def _greedy(text: str, most: int) -> list[str]:
    arguments = split_arguments(text)
    if most == 0:
        return []
    return [*arguments[: most - 1], ", ".join(arguments[most - 1 :])]
