"""The preprocessor: macros, conditions, repetition and inclusion (NASM manual, chapter 4).

It runs inside each pass, since `%if $-$$ > 510` and `%assign` may ask the assembler for labels seen before.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from minivm.debug.nasm_front.expressions import Value
from minivm.debug.nasm_front.lines import Files, Line, PlacedError, Where, decode, split_lines
from minivm.debug.nasm_front.macros import Call, Define, Defines, Macro, bind, parse_signature
from minivm.debug.nasm_front.tokens import STRING, Token, split, string_bytes, strip, tokenize, untokenize
from minivm.errors import AssemblyError

MOST_LINES = 100_000
"""Lines that one pass may produce, repetitions and macros counted."""
DEEPEST = 60
_DIRECTIVE = re.compile(r"\s*%\s*([A-Za-z]\w*)[ \t]*", re.ASCII)
_OPENS = re.compile(r"(?:if|ifn)(?:|def|macro|idn|idni|num|str|id|empty|token|ctx|env)$")
_Handler = Callable[["Preprocessor", str, Where], None]


@dataclass(frozen=True, slots=True)
class Statement:
    """A line ready to assemble: its tokens after expansion, and the text to show in a listing."""

    tokens: tuple[Token, ...]
    where: Where
    text: str


@dataclass
class _Frame:
    """A run of lines being read: a file, one macro expansion, or one `%rep` block."""

    lines: list[Line]
    origin: Where | None = None
    call: Call | None = None
    kind: str = "file"
    """`file`, `macro` or `rep`."""
    times: int = 1
    conditions: int = 0
    position: int = 0


@dataclass
class _Condition:
    where: Where
    active: bool
    done: bool
    outer: bool
    otherwise: bool = field(default=False)


class Preprocessor:
    """One pass over a source. `evaluate` gives the value of an expression that is known already."""

    def __init__(self, files: Files, evaluate: Callable[[list[Token]], Value], defines: dict[str, str]) -> None:
        self._files = files
        self._evaluate = evaluate
        self.defines = Defines()
        self.macros: dict[str, list[Macro]] = {}
        self._frames: list[_Frame] = []
        self._conditions: list[_Condition] = []
        self._serial = 0
        self._produced = 0
        for name, body in defines.items():
            self.defines.exact[name] = Define(tokenize(body))

    def run(self, lines: list[Line]) -> Iterator[Statement]:
        """Yield the statements of `lines`; raises `AssemblyError` that begins with file and line."""
        self._push(_Frame(lines))
        while (line := self._next()) is not None:
            try:
                yield from self._process(line)
            except PlacedError:
                raise
            except AssemblyError as error:
                raise line.where.error(error) from None
        if self._conditions:
            raise self._conditions[-1].where.error("this %if has no %endif")

    # Reading lines -----------------------------------------------------------------------------------------------

    def _push(self, frame: _Frame) -> None:
        if len(self._frames) >= DEEPEST:
            raise AssemblyError(f"files, macros or %rep inside each other more than {DEEPEST} deep")
        frame.conditions = len(self._conditions)
        self._frames.append(frame)

    def _next(self) -> Line | None:
        """Return the next line, finished frames left behind; None at the end of everything."""
        while self._frames:
            frame = self._frames[-1]
            if frame.position < len(frame.lines):
                line = frame.lines[frame.position]
                frame.position += 1
                self._count(line.where)
                return self._seen_from(frame, line)
            if len(self._conditions) > frame.conditions:
                raise self._conditions[-1].where.error("this %if has no %endif")
            frame.times -= 1
            frame.position = 0
            if frame.times < 1 or not frame.lines:
                self._frames.pop()
        return None

    def _count(self, where: Where) -> None:
        self._produced += 1
        if self._produced > MOST_LINES:
            raise where.error(f"macros and %rep make more than {MOST_LINES} lines")

    def _seen_from(self, frame: _Frame, line: Line) -> Line:
        """Return a macro's line with the place of its call."""
        if frame.origin is None:
            return line
        return Line(line.text, frame.origin)

    def _collect(self, opening: str, closing: tuple[str, ...], where: Where) -> list[Line]:
        """Return the raw lines up to the directive that closes this block."""
        body: list[Line] = []
        depth = 0
        frame = self._frames[-1]
        while frame.position < len(frame.lines):
            line = frame.lines[frame.position]
            frame.position += 1
            word = _directive(line.text)
            if word in closing:
                if depth == 0:
                    return body
                depth -= 1
            elif word is not None and word.removeprefix("i") == opening:
                depth += 1
            body.append(line)
        raise where.error(f"this %{opening} has no %{closing[0]}")

    # One line ----------------------------------------------------------------------------------------------------

    def _process(self, line: Line) -> Iterator[Statement]:
        call = self._call()
        word = _directive(line.text)
        active = not self._conditions or self._conditions[-1].active
        if word is not None and (
            active or _OPENS.match(word) or word == "else" or word.startswith("elif") or word == "endif"
        ):
            text = call.substitute(line.text) if call else line.text
            match = _DIRECTIVE.match(text)
            yield Statement((), line.where, line.text)
            if match is not None:
                self._directive(match[1].lower(), text[match.end() :], line.where)
        elif active:
            yield from self._statement(call.substitute(line.text) if call else line.text, line)

    def _call(self) -> Call | None:
        return self._frames[-1].call if self._frames else None

    def _statement(self, text: str, line: Line) -> Iterator[Statement]:
        tokens = self.defines.expand(tokenize(text))
        found = self._macro_call(tokens) if self.macros else None
        if found is None:
            shown = text if line.text == text else text.rstrip()
            yield Statement(tuple(strip(tokens)), line.where, shown)
            return
        label, macro, arguments = found
        yield Statement(tuple(label), line.where, line.text)
        self._serial += 1
        call = Call(macro, arguments, self._serial, untokenize(label).rstrip(":"))
        origin = Where(line.where.file, line.where.line, line.where.macro or macro.name)
        self._push(_Frame(macro.body, origin, call, "macro"))

    def _macro_call(self, tokens: list[Token]) -> tuple[list[Token], Macro, list[str]] | None:
        """Find a macro's name at the start of the line or behind a label."""
        solid = [index for index, token in enumerate(tokens) if token.kind != "space"]
        for start in self._starts(tokens, solid):
            name = tokens[start].text
            text = untokenize(tokens[start + 1 :])
            for macro in self._candidates(name):
                arguments = bind(macro, text)
                if arguments is not None:
                    return strip(tokens[:start]), macro, arguments
        return None

    def _starts(self, tokens: list[Token], solid: list[int]) -> list[int]:
        starts = [solid[0]] if solid and tokens[solid[0]].kind == "name" else []
        if len(solid) > 2 and tokens[solid[1]].text == ":" and tokens[solid[2]].kind == "name":
            starts.append(solid[2])
        elif len(solid) > 1 and starts and tokens[solid[1]].kind == "name":
            starts.append(solid[1])
        return starts

    def _candidates(self, name: str) -> list[Macro]:
        """Return the macros of that name that are not being expanded: a macro never calls itself."""
        busy = {id(frame.call.macro) for frame in self._frames if frame.call}
        return [macro for macro in self._named(name) if id(macro) not in busy]

    def _named(self, name: str) -> list[Macro]:
        return self.macros.get(name) or self.macros.get("\0" + name.lower(), [])

    def is_macro(self, name: str) -> bool:
        """Return whether `name` is a multi-line macro."""
        return bool(self._named(name))

    def refuse_macro(self, name: str) -> None:
        """Raise an error that says why the macro `name` was not expanded; do nothing when it is no macro."""
        if not self.is_macro(name):
            return
        if self._candidates(name):
            raise AssemblyError(f"macro '{name}' does not take this number of arguments")
        raise AssemblyError(f"macro '{name}' calls itself")

    # Directives --------------------------------------------------------------------------------------------------

    def _directive(self, word: str, rest: str, where: Where) -> None:
        if _OPENS.match(word):
            self._if(word, rest, where)
        elif word.startswith("elif") and _OPENS.match(word[2:]):
            self._elif(word[2:], rest, where)
        elif word in _DIRECTIVES:
            _DIRECTIVES[word](self, rest, where)
        else:
            raise AssemblyError(f"'%{word}' is not supported")

    def _if(self, word: str, rest: str, where: Where) -> None:
        outer = not self._conditions or self._conditions[-1].active
        met = outer and self._test(word, rest)
        self._conditions.append(_Condition(where, met, met, outer))

    def _elif(self, word: str, rest: str, where: Where) -> None:
        condition = self._innermost("%elif")
        if condition.otherwise:
            raise AssemblyError("%elif stands behind %else")
        condition.active = condition.outer and not condition.done and self._test(word, rest)
        condition.done = condition.done or condition.active

    def _else(self, rest: str, where: Where) -> None:
        condition = self._innermost("%else")
        if condition.otherwise:
            raise AssemblyError("a second %else for one %if")
        condition.active = condition.outer and not condition.done
        condition.otherwise = True

    def _endif(self, rest: str, where: Where) -> None:
        self._innermost("%endif")
        self._conditions.pop()

    def _innermost(self, word: str) -> _Condition:
        if len(self._conditions) <= self._frames[-1].conditions:
            raise AssemblyError(f"{word} without %if")
        return self._conditions[-1]

    def _test(self, word: str, rest: str) -> bool:
        negated = word.startswith("ifn") and word not in ("ifnum",)
        kind = word[3:] if negated else word[2:]
        return _TESTS[kind](self, rest) != negated

    def _test_value(self, rest: str) -> bool:
        return self._number(rest) != 0

    def _test_defined(self, rest: str) -> bool:
        return any(self.defines.get(name) is not None for name in _words(rest))

    def _test_macro(self, rest: str) -> bool:
        return any(self.is_macro(name) for name in _words(rest)[:1])

    def _test_identical(self, rest: str, *, any_case: bool = False) -> bool:
        parts = split(self.defines.expand(tokenize(rest)))
        if len(parts) != 2:
            raise AssemblyError("%ifidn needs two things to compare, with a comma between")
        left, right = (untokenize(strip(part)) for part in parts)
        return left.lower() == right.lower() if any_case else left == right

    def _test_kind(self, rest: str, kinds: tuple[str, ...]) -> bool:
        tokens = strip(self.defines.expand(tokenize(rest)))
        if kinds == ("number",) and tokens and tokens[0].text in "+-":
            tokens = tokens[1:]
        return bool(tokens) and tokens[0].kind in kinds and (len(tokens) == 1 or kinds != ("number",))

    def _number(self, text: str) -> int:
        value = self._evaluate(strip(self.defines.expand(tokenize(text))))
        if not value.plain:
            raise AssemblyError("a plain number is needed here, not a label's address")
        return value.number

    def _define(self, rest: str, where: Where, *, at_once: bool = False, any_case: bool = False) -> None:
        match = re.match(r"([A-Za-z_.?@$][\w.?@$#~]*)(\(([^()]*)\))?[ \t]*", rest, re.ASCII)
        if match is None:
            raise AssemblyError("%define needs a name")
        body = _stripped(tokenize(rest[match.end() :]))
        if at_once:
            body = tuple(self.defines.expand(body))
        names = match[3].split(",") if match[3] and match[3].strip() else []
        parameters = tuple(name.strip() for name in names) if match[2] else None
        self._set(match[1], Define(body, parameters), any_case)

    def _set(self, name: str, define: Define, any_case: bool) -> None:
        self.defines.remove(name)
        if any_case:
            self.defines.any_case[name.lower()] = define
        else:
            self.defines.exact[name] = define

    def _xdefine(self, rest: str, where: Where) -> None:
        self._define(rest, where, at_once=True)

    def _idefine(self, rest: str, where: Where) -> None:
        self._define(rest, where, any_case=True)

    def _undef(self, rest: str, where: Where) -> None:
        for name in _words(rest):
            self.defines.remove(name)

    def _assign(self, rest: str, where: Where) -> None:
        name, text = _name_and_rest(rest, "%assign")
        value = self._number(text)
        body = tokenize(str(value)) if value >= 0 else tokenize(f"({value})")
        self._set(name, Define(body), any_case=False)

    def _strlen(self, rest: str, where: Where) -> None:
        name, text = _name_and_rest(rest, "%strlen")
        tokens = strip(self.defines.expand(tokenize(text)))
        if len(tokens) != 1 or tokens[0].kind != "string":
            raise AssemblyError("%strlen needs one quoted string")
        self._set(name, Define(tokenize(str(len(string_bytes(tokens[0].text))))), any_case=False)

    def _macro(self, rest: str, where: Where, *, any_case: bool = False) -> None:
        macro = parse_signature(untokenize(tokenize(rest)))
        macro.body = self._collect("macro", ("endmacro", "endm"), where)
        key = "\0" + macro.name.lower() if any_case else macro.name
        same = (macro.least, macro.most)
        others = [other for other in self.macros.get(key, []) if (other.least, other.most) != same]
        self.macros[key] = [macro, *others]

    def _imacro(self, rest: str, where: Where) -> None:
        self._macro(rest, where, any_case=True)

    def _unmacro(self, rest: str, where: Where) -> None:
        name = (rest.split() or [""])[0]
        self.macros.pop(name, None)
        self.macros.pop("\0" + name.lower(), None)

    def _rep(self, rest: str, where: Where) -> None:
        count = self._number(rest)
        frame = self._frames[-1]
        body = self._collect("rep", ("endrep",), where)
        if count > MOST_LINES:
            raise AssemblyError(f"%rep {count}: at most {MOST_LINES} times")
        if count > 0:
            origin = where if frame.origin else None
            self._push(_Frame(body, origin, frame.call, "rep", times=count))

    def _exitrep(self, rest: str, where: Where) -> None:
        if not any(frame.kind == "rep" for frame in self._frames):
            raise AssemblyError("%exitrep without %rep")
        while self._frames[-1].kind != "rep":
            self._frames.pop()
        frame = self._frames.pop()
        del self._conditions[frame.conditions :]

    def _rotate(self, rest: str, where: Where) -> None:
        call = self._call()
        if call is None:
            raise AssemblyError("%rotate outside a macro")
        call.rotate(self._number(rest))

    def _include(self, rest: str, where: Where) -> None:
        name = self._quoted(rest, "%include")
        if sum(frame.kind == "file" for frame in self._frames) > 30:
            raise AssemblyError(f"'{name}' includes itself, more than 30 deep")
        text = decode(self._files.read(name), name)
        self._push(_Frame(split_lines(text, name)))

    def _quoted(self, rest: str, what: str) -> str:
        tokens = strip(self.defines.expand(tokenize(rest)))
        if not tokens or not STRING.fullmatch(tokens[0].text):
            raise AssemblyError(f"{what} needs a file name in quotes")
        return tokens[0].text[1:-1]

    def _error(self, rest: str, where: Where) -> None:
        text = untokenize(tokenize(rest)).strip()
        raise AssemblyError("%error: " + (text[1:-1] if STRING.fullmatch(text) else text))

    def _ignore(self, rest: str, where: Where) -> None:
        """Do nothing: a message to the author, or something that only matters to a linker."""

    def _unmatched(self, rest: str, where: Where) -> None:
        raise AssemblyError("this %endmacro or %endrep closes nothing")


_TESTS: dict[str, Callable[[Preprocessor, str], bool]] = {
    "": Preprocessor._test_value,
    "def": Preprocessor._test_defined,
    "macro": Preprocessor._test_macro,
    "idn": Preprocessor._test_identical,
    "idni": lambda self, rest: self._test_identical(rest, any_case=True),
    "num": lambda self, rest: self._test_kind(rest, ("number",)),
    "str": lambda self, rest: self._test_kind(rest, ("string",)),
    "id": lambda self, rest: self._test_kind(rest, ("name",)),
    "empty": lambda self, rest: not strip(self.defines.expand(tokenize(rest))),
    "token": lambda self, rest: len(strip(self.defines.expand(tokenize(rest)))) == 1,
    "ctx": lambda self, rest: False,
    "env": lambda self, rest: False,
}
_DIRECTIVES: dict[str, _Handler] = {
    "else": Preprocessor._else,
    "endif": Preprocessor._endif,
    "define": Preprocessor._define,
    "xdefine": Preprocessor._xdefine,
    "idefine": Preprocessor._idefine,
    "undef": Preprocessor._undef,
    "assign": Preprocessor._assign,
    "strlen": Preprocessor._strlen,
    "macro": Preprocessor._macro,
    "imacro": Preprocessor._imacro,
    "unmacro": Preprocessor._unmacro,
    "endmacro": Preprocessor._unmatched,
    "endm": Preprocessor._unmatched,
    "rep": Preprocessor._rep,
    "endrep": Preprocessor._unmatched,
    "exitrep": Preprocessor._exitrep,
    "rotate": Preprocessor._rotate,
    "include": Preprocessor._include,
    "error": Preprocessor._error,
    "fatal": Preprocessor._error,
    "warning": Preprocessor._ignore,
    "pragma": Preprocessor._ignore,
    "line": Preprocessor._ignore,
}


def _directive(text: str) -> str | None:
    match = _DIRECTIVE.match(text)
    return match[1].lower() if match else None


def _words(text: str) -> list[str]:
    return text.partition(";")[0].split()


def _stripped(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    start, end = 0, len(tokens)
    while start < end and tokens[start].kind == "space":
        start += 1
    while end > start and tokens[end - 1].kind == "space":
        end -= 1
    return tokens[start:end]


def _name_and_rest(text: str, what: str) -> tuple[str, str]:
    match = re.match(r"([A-Za-z_.?@$][\w.?@$#~]*)[ \t]*", text, re.ASCII)
    if match is None:
        raise AssemblyError(f"{what} needs a name")
    return match[1], text[match.end() :]
