"""What is kept between two sessions."""

import pytest

from minivm.tui import preferences
from minivm.tui.preferences import Preferences, load, store


def test_what_was_stored_is_there_again(tmp_path):
    file = tmp_path / "deep" / "tui.json"
    assert store(Preferences("debug", "minivm-light"), file)
    assert load(file) == Preferences("debug", "minivm-light")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"layout": 3}', "\0", '{"layout": "' + "x" * 100_000])
def test_a_file_of_nonsense_gives_the_usual(tmp_path, text):
    file = tmp_path / "tui.json"
    file.write_text(text)
    assert load(file) == Preferences()


def test_a_place_that_cannot_be_written_harms_nobody(tmp_path):
    (tmp_path / "file").write_text("")
    assert not store(Preferences(), tmp_path / "file" / "tui.json")
    assert load(tmp_path / "file" / "tui.json") == Preferences()


def test_the_users_own_folder_is_the_usual_place(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert preferences.default_file() == tmp_path / "minivm" / "tui.json"
