"""A dataclass whose methods are made late is as one of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import pprint
import subprocess
import sys
from dataclasses import field
from typing import Any, ClassVar, Generic, TypeVar, get_type_hints

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.runtime.dataclass import dataclass, replace

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Late:
    """Everything that a field can be."""

    kind: ClassVar[str] = "kind"
    number: int
    text: str = "text"
    many: list[int] = field(default_factory=list[int])
    hidden: int = field(default=7, repr=False)

    @property
    def doubled(self) -> int:
        """A property stays."""
        return 2 * self.number


@dataclasses.dataclass(frozen=True, slots=True)
class Original:
    """The same, by the standard library."""

    kind: ClassVar[str] = "kind"
    number: int
    text: str = "text"
    many: list[int] = field(default_factory=list[int])
    hidden: int = field(default=7, repr=False)


@dataclass(frozen=True)
class Boxed(Generic[T]):
    """Of one field, and without slots."""

    value: T


@dataclass(slots=True)
class Counted:
    """One that changes."""

    number: int = 0

    def __post_init__(self) -> None:
        self.number += 1


@dataclass(frozen=True, slots=True, order=True)
class Ordered:
    """Compared by its fields, from the first on."""

    first: int
    second: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Asked for by name alone."""

    first: int
    second: int = 2


@dataclass(eq=False, slots=True)
class Itself:
    """Equal to itself alone."""

    number: int


@dataclass(slots=True, unsafe_hash=True)
class Hashed:
    """A key, though it changes."""

    number: int


@dataclass(frozen=True, slots=True)
class Derived:
    """Of which some fields are not asked for."""

    number: int
    given: int = field(default=3, init=False)
    fresh: list[int] = field(default_factory=list[int], init=False)
    twice: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * self.number)


@dataclass(frozen=True, slots=True)
class Empty:
    """Of no fields."""


def test_it_is_what_the_standard_library_makes() -> None:
    late, original = Late(1, many=[2]), Original(1, many=[2])
    assert repr(late) == repr(original).replace("Original", "Late")
    assert dataclasses.asdict(late) == dataclasses.asdict(original)
    assert orjson.dumps(late) == orjson.dumps(original)
    assert [one.name for one in dataclasses.fields(late)] == ["number", "text", "many", "hidden"]
    assert Late.__match_args__ == Original.__match_args__
    assert (late.kind, late.doubled, late.hidden) == ("kind", 2, 7)
    assert not hasattr(late, "__dict__")
    assert Late(1).many is not Late(1).many
    assert str(inspect.signature(Late)) == str(inspect.signature(Original))


def test_a_signature_is_known_before_the_first_object() -> None:
    @dataclass(frozen=True, slots=True)
    class Fresh:
        number: int
        text: str = "text"

    assert str(inspect.signature(Fresh)) == "(number: 'int', text: 'str' = 'text') -> None"
    with pytest.raises(TypeError, match=r"Fresh\.__init__\(\) missing 1 required positional"):
        Fresh()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert Fresh(1) == Fresh(1, "text")


@given(st.integers(), st.text(), st.integers(), st.text())
def test_equality_order_and_hash_are_those_of_the_fields(a: int, b: str, c: int, d: str) -> None:
    one, other = Ordered(a, b), Ordered(c, d)
    assert (one == other) == ((a, b) == (c, d))
    assert (one < other, one >= other) == ((a, b) < (c, d), (a, b) >= (c, d))
    assert hash(one) == hash((a, b))
    assert hash(Boxed(a)) == hash((a,))
    assert sorted([one, other]) == [Ordered(*pair) for pair in sorted([(a, b), (c, d)])]


@pytest.mark.parametrize("one", [Late(1), Boxed("text"), Ordered(1, "a"), Empty()])
def test_a_frozen_one_does_not_change(one: Any) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field"):
        one.number = 3
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field"):
        del one.number


@pytest.mark.parametrize(
    "one", [Late(1, many=[1, 2]), Boxed("text"), Ordered(1, "a"), Counted(3), Named(first=1)]
)
def test_it_is_copied_and_pickled(one: Any) -> None:
    for again in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert again == one
        assert again is not one


def test_replace_is_that_of_the_standard_library() -> None:
    class Longer(Late):
        """One that inherits, and has no more fields."""

    pairs: list[tuple[Any, dict[str, Any]]] = [
        (Late(1, "text", [3], 9), {"number": 2, "hidden": 8}),
        (Original(1, "text", [3], 9), {"text": "other"}),
        (Longer(1), {"number": 5}),
        (Named(first=1), {"second": 3}),
        (Counted(3), {}),
        (Derived(4), {"number": 5}),
        (Empty(), {}),
    ]
    for one, changes in pairs:
        mine, theirs = replace(one, **changes), dataclasses.replace(one, **changes)
        assert mine == theirs
        assert type(mine) is type(one)
        assert mine is not one
    for one, wrong in [(Derived(1), {"twice": 3}), (Late(1), {"nowhere": 3}), ("text", {})]:
        with pytest.raises((TypeError, ValueError)) as expected:
            dataclasses.replace(one, **wrong)  # type: ignore[type-var]
        with pytest.raises(expected.type) as caught:
            replace(one, **wrong)  # type: ignore[type-var]
        assert str(caught.value) == str(expected.value)


def test_to_replace_needs_nothing_of_the_original(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True, slots=True)
    class Fresh:
        number: int
        text: str = "text"

    monkeypatch.setattr(dataclasses, "replace", None)
    assert replace(Fresh(1), text="other") == Fresh(1, "other")
    assert "__dataclass_fields__" in vars(Fresh)
    assert not isinstance(vars(Fresh)["__dataclass_fields__"], dict)


def test_it_is_replaced_and_matched() -> None:
    late = dataclasses.replace(Late(1, "text", [3]), number=2)
    assert late == Late(2, "text", [3])
    match late:
        case Late(number, text):
            assert (number, text) == (2, "text")
    assert dataclasses.is_dataclass(Late)
    assert dataclasses.is_dataclass(late)


def test_one_that_changes_has_no_hash_unless_it_is_asked_for() -> None:
    counted = Counted(2)
    counted.number += 1
    assert counted == Counted(3)
    with pytest.raises(TypeError, match="unhashable"):
        hash(counted)
    assert hash(Hashed(3)) == hash((3,))
    assert Itself(1) != Itself(1)
    assert {Itself(1), Itself(1)}.__len__() == 2


def test_a_field_that_is_not_asked_for_has_its_value() -> None:
    one = Derived(2)
    assert (one.given, one.fresh, one.twice) == (3, [], 4)
    assert one.fresh is not Derived(2).fresh
    assert Derived.__match_args__ == ("number",)
    with pytest.raises(TypeError, match="positional"):
        Derived(2, 3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_a_method_that_the_class_has_stays() -> None:
    @dataclass(frozen=True, slots=True)
    class Own:
        number: int

        def __repr__(self) -> str:
            return "own"

        def __hash__(self) -> int:
            return 5

    assert (repr(Own(1)), hash(Own(1)), Own(1) == Own(1)) == ("own", 5, True)


def test_keywords_alone() -> None:
    assert Named(first=1) == Named(first=1, second=2)
    with pytest.raises(TypeError, match="positional"):
        Named(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_what_is_not_offered_is_refused() -> None:
    with pytest.raises(ValueError, match="the default of many can change"):

        @dataclass(slots=True)
        class Shared:  # pyright: ignore[reportUnusedClass]
            many: list[int] = []  # noqa: RUF012

    with pytest.raises(TypeError, match="inherits from another dataclass"):

        @dataclass(frozen=True, slots=True)
        class Heir(Late):  # pyright: ignore[reportUnusedClass]
            more: int = 0


def test_a_class_of_the_standard_library_may_inherit() -> None:
    @dataclasses.dataclass(frozen=True)
    class More(Late):
        further: int = 1

    more = More(1, further=4)
    assert (more.number, more.further, more.many) == (1, 4, [])
    with pytest.raises(dataclasses.FrozenInstanceError):
        more.further = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


@dataclasses.dataclass(frozen=True)
class Heavier(Late):
    """One of the standard library that inherits, with a field more."""

    further: int = 1


def test_one_that_inherits_is_copied_and_pickled_whole() -> None:
    one = Heavier(1, further=4)
    for again in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert again == one
        assert again.further == 4


def test_a_signature_is_that_of_the_original_whoever_asks() -> None:
    @dataclass(frozen=True, slots=True)
    class Fresh:
        number: int
        late: Late

    class Below(Fresh):
        pass

    told = "(number: 'int', late: 'Late') -> None"
    assert str(inspect.signature(Below)) == told
    assert str(inspect.signature(Fresh)) == told
    assert str(inspect.signature(Fresh.__init__)) == told.replace("(", "(self, ")
    kinds = {"number": int, "late": Late, "return": type(None)}
    assert get_type_hints(Fresh.__init__) == kinds
    assert Below(1, Late(2)).late == Late(2)


def test_fields_may_be_left_out_of_a_comparison_and_a_hash() -> None:
    @dataclass(frozen=True, slots=True, order=True)
    class Partly:
        number: int
        note: str = field(default="", compare=False)
        more: int = field(default=0, hash=False)

    assert Partly(1, "a") == Partly(1, "b")
    assert hash(Partly(1, "a", 2)) == hash(Partly(1, "b", 3)) == hash((1,))
    assert not Partly(1, "a") < Partly(1, "b")
    assert Partly(1, "b", 1) < Partly(1, "a", 2)


def test_names_that_its_making_uses_are_names_of_fields() -> None:
    @dataclass(frozen=True)
    class Odd:
        _set: int
        _made: int = 2
        _make1: list[int] = field(default_factory=list[int])

    assert dataclasses.astuple(Odd(1)) == (1, 2, [])


def test_own_methods_for_a_pickle_stay() -> None:
    assert pickle.loads(pickle.dumps(Told(2))) == Told(3)


@dataclass(frozen=True, slots=True)
class Told:
    """Says itself what is kept of it."""

    number: int

    def __getstate__(self) -> int:
        return self.number

    def __setstate__(self, state: int) -> None:
        object.__setattr__(self, "number", state + 1)


def test_a_long_one_is_printed_on_several_lines() -> None:
    told = pprint.pformat(Ordered(1, "long " * 20))
    assert told.startswith("Ordered(first=1,\n")


@pytest.mark.parametrize(
    ("options", "body", "match"),
    [
        ({}, {"__annotations__": {"a": "int", "b": "int"}, "a": 1}, "'b' follows default"),
        ({}, {"__annotations__": {"a": "InitVar[int]"}}, "InitVar"),
        ({}, {"__annotations__": {"_": "KW_ONLY"}}, "KW_ONLY"),
        ({}, {"__annotations__": {"a": "int"}, "a": field(kw_only=True)}, "kw_only"),
        ({"frozen": True}, {"__setattr__": setattr}, "Cannot overwrite"),
        ({"order": True}, {"__lt__": max}, "Cannot overwrite"),
        ({"unsafe_hash": True}, {"__hash__": len}, "Cannot overwrite"),
    ],
)
def test_what_would_come_out_otherwise_is_refused(
    options: dict[str, bool], body: dict[str, Any], match: str
) -> None:
    made = type("Refused", (), body)
    with pytest.raises(TypeError, match=match):
        dataclass(**options)(made)


def test_the_public_face_compiles_no_method_of_a_dataclass() -> None:
    code = (
        "import dataclasses\n"
        "made, before = [], dataclasses._process_class\n"
        "def seen(cls, *given):\n"
        "    made.append(cls.__module__)\n"
        "    return before(cls, *given)\n"
        "dataclasses._process_class = seen\n"
        "import thalweg, thalweg.operators, thalweg.operators.sources, thalweg.operators.sinks\n"
        "print([name for name in made if name.startswith('thalweg')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "[]"
