"""Types as projects have them in their states, in a module of their own: they are found by module and name."""

import dataclasses
from enum import Enum, Flag, IntEnum, auto
from typing import Any, Generic, NamedTuple, TypeVar

import pydantic.v1
from pydantic import BaseModel, Field, RootModel, SecretStr, computed_field

T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    PAIR = ("a", 1)


class Level(IntEnum):
    LOW = 1


class Mode(str, Enum):  # noqa: UP042  (what projects of before 3.11 have)
    FAST = "fast"


class Rights(Flag):
    READ = auto()
    WRITE = auto()


class Point(NamedTuple):
    x: int
    y: Any = None


@dataclasses.dataclass
class Note:
    text: str
    tags: list[str] = dataclasses.field(default_factory=list)
    length: int = dataclasses.field(init=False, default=0)
    factor: dataclasses.InitVar[int] = 1

    def __post_init__(self, factor: int) -> None:
        self.length = len(self.text) * factor


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    value: Any


@dataclasses.dataclass
class Strict:
    """Its constructor takes what it does not keep."""

    total: int

    def __init__(self, *, a: int, b: int) -> None:
        self.total = a + b


class Report(BaseModel):
    class Line(BaseModel):
        text: str

    title: str = Field(default="", alias="reportTitle")
    lines: list[Line] = []
    colour: Colour = Colour.RED
    key: SecretStr = SecretStr("")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def size(self) -> int:
        return len(self.lines)


class Page(BaseModel, Generic[T]):
    items: list[T]


class Names(RootModel[list[str]]):
    pass


class Old(pydantic.v1.BaseModel):
    n: int = 0


class Plain:
    """No class that holds data."""

    def __init__(self, value: str = "") -> None:
        self.value = value


Reports = Page[Report]
