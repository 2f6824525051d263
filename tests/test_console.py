"""The host's end of the console: the serial log and what `expect` sees."""

from minivm.console import Console, SerialLog
from minivm.core.screen import TextScreen


def screen_of(*rows: str) -> TextScreen:
    text = "".join(row.ljust(10) for row in rows).encode("latin-1")
    return TextScreen(
        columns=10, rows=len(rows), characters=text, attributes=bytes([7]) * len(text), cursor_column=0, cursor_row=0,
        cursor_visible=True, cursor_start=13, cursor_end=14, cell_height=16, blink_enabled=True,
        palette=((0, 0, 0),) * 16, underline_line=None,
    )  # fmt: skip


class Display:
    def __init__(self, *rows: str) -> None:
        self.rows = rows

    def screen(self) -> TextScreen:
        return screen_of(*self.rows)


class Keyboard:
    idle = True

    def __init__(self) -> None:
        self.typed = []

    def type(self, events) -> None:
        self.typed += list(events)


def console(*rows: str) -> Console:
    return Console(Display(*rows), Keyboard(), SerialLog())


def test_text_leaves_out_carriage_returns_and_shows_high_bytes_by_code_page_437():
    log = SerialLog()
    log.put(b"a\r\n\xdb\t")
    assert log.text() == "a\n█\t"


def test_serial_text_that_was_found_is_used_up():
    vm = console("")
    vm.serial.put(b"one\r\n> two\r\n> ")
    assert vm.shows("> ")
    assert vm.shows("> ")
    assert not vm.shows("> ")
    vm.serial.put(b"> ")
    assert vm.shows("> ")


def test_a_text_across_a_carriage_return_is_found():
    vm = console("")
    vm.serial.put(b"end\r\nstart")
    assert vm.shows("end\nstart")
    assert not vm.shows("start")


def test_a_long_log_drops_its_beginning_and_still_finds_what_comes_later():
    vm = console("")
    vm.serial.put(b"first")
    assert vm.shows("first")
    vm.serial.put(b"x" * (3 * SerialLog.KEEP) + b"last")
    assert len(vm.serial.data) <= 2 * SerialLog.KEEP
    assert not vm.shows("first")
    assert vm.shows("last")
    assert not vm.shows("last")


def test_a_prompt_that_ends_in_a_blank_is_seen_on_the_screen():
    vm = console("> ", "")
    assert vm.shows("> ")
    assert not vm.shows(">x")


def test_a_text_over_two_rows_is_seen_without_the_blanks_between():
    assert console("one", "two").shows("one\ntwo")


def test_listeners_hear_each_piece():
    log, heard = SerialLog(), []
    log.listeners.append(heard.append)
    log.put(b"ab")
    log.put_byte(0x63)
    assert heard == [b"ab", b"c"]
