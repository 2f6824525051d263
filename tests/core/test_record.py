"""Records do what frozen dataclasses do."""

import dataclasses

import pytest

from minivm.core.record import names, record, replace


@record
class Point:
    """A record with a default."""

    x: int
    y: int = 2

    @property
    def sum(self) -> int:
        return self.x + self.y


@record
class Point3(Point):
    """A record that inherits fields."""

    z: int = 3


@record
class Checked:
    """A record that changes a field after it was made."""

    size: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", int(self.size))


def test_values_are_given_in_order_or_by_name_and_defaults_fill_in():
    assert (Point(1).x, Point(1).y, Point(1, y=5).y, Point(x=4).sum) == (1, 2, 5, 6)


def test_inherited_fields_come_first():
    assert names(Point3) == ("x", "y", "z")
    assert Point3(1, 5, 6).z == 6


@pytest.mark.parametrize(
    ("values", "named", "says"),
    [((), {}, "needs x"), ((1, 2, 3), {}, "takes 2"), ((1,), {"x": 1}, "two values"), ((), {"x": 1, "q": 2}, "'q'")],
)
def test_a_wrong_call_is_a_type_error_that_names_the_field(values, named, says):
    with pytest.raises(TypeError, match=says):
        Point(*values, **named)


def test_a_record_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Point(1).x = 2
    with pytest.raises(AttributeError):
        del Point(1).x


def test_equal_records_are_equal_and_hash_alike_but_only_within_one_type():
    assert Point(1) == Point(1, 2)
    assert hash(Point(1)) == hash(Point(1, 2))
    assert Point(1) != Point(2)
    assert Point(1) != Point3(1)
    assert Point(1) != (1, 2)


def test_the_text_names_every_field():
    assert repr(Point(1)) == "Point(x=1, y=2)"


def test_replace_changes_some_fields_of_a_copy():
    assert replace(Point(1), y=9) == Point(1, 9)
    with pytest.raises(TypeError):
        replace(Point(1), q=9)


def test_post_init_may_convert():
    assert Checked("5").size == 5


def test_the_dataclasses_functions_work_on_records():
    assert dataclasses.asdict(Point(1)) == {"x": 1, "y": 2}
    assert dataclasses.replace(Point(1), x=7) == Point(7)
    assert [field.name for field in dataclasses.fields(Point3)] == ["x", "y", "z"]


def test_match_takes_a_record_apart():
    match Point(1, 8):
        case Point(1, y=found):
            assert found == 8
        case _:
            pytest.fail("did not match")
