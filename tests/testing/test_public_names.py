"""The names that `minivm.testing` gives to the world."""

import pytest

import minivm.testing


@pytest.mark.parametrize("name", minivm.testing.__all__)
def test_a_public_name_is_there(name):
    assert getattr(minivm.testing, name).__name__ == name


def test_every_name_has_a_home_and_every_home_a_name():
    assert sorted(minivm.testing._HOMES) == sorted(minivm.testing.__all__)


def test_another_name_is_not_there():
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        getattr(minivm.testing, "nope")  # noqa: B009 - the name is asked for as a user would
