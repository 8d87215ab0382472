import pytest

from gan_exp.errors import UserError
from gan_exp.generators.classes import find_class

CLOTHES = ("T-shirt/top", "Trouser", "Ankle boot")


@pytest.mark.parametrize(
    ("wanted", "names", "number"),
    [
        ("Trouser", CLOTHES, 1),
        ("ankle BOOT", CLOTHES, 2),
        ("2", CLOTHES, 2),
        (2, CLOTHES, 2),
        ("7", tuple("0123456789"), 7),
        ("seven", tuple("0123456789"), 7),
        ("1", ("1", "2", "3"), 0),  # a name goes before a number
        (1, ("1", "2", "3"), 1),
        ("0", ("1", "2", "3"), 0),
        ("two", ("one", "two"), 1),
        ("a", ("A", "a"), 1),
    ],
)
def test_by_name_or_number(wanted: str | int, names: tuple[str, ...], number: int) -> None:
    assert find_class(wanted, names) == number


@pytest.mark.parametrize(
    ("wanted", "names", "sentence"),
    [
        ("trousers", CLOTHES, "--class trousers: no such class; did you mean Trouser? it has T-shirt/top, Trouser, "),
        ("3", CLOTHES, "--class 3: the run has 3 classes, numbered from 0; it has T-shirt/top, Trouser, Ankle boot"),
        (-1, CLOTHES, "--class -1: the run has 3 classes"),
        ("x", tuple(map(str, range(100))), "it has 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 88 others"),
        ("", CLOTHES, "--class : no such class"),
    ],
)
def test_no_such_class(wanted: str | int, names: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError) as found:
        find_class(wanted, names)
    assert sentence in str(found.value)
