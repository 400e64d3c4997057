"""Resolved IDL types and what NDR20 makes of them: alignment, least size, whether pointees follow."""

from __future__ import annotations

from dataclasses import dataclass, field

from .syntax import Expr


@dataclass
class Base:
    """A scalar. `cpp` is its C++ type, `size` its octets and alignment."""

    name: str
    cpp: str
    size: int


@dataclass
class GuidType:
    name: str = "GUID"


@dataclass
class Alias:
    name: str
    target: object


@dataclass
class Enum:
    name: str
    items: list[tuple[str, int]]
    line: int = 0


@dataclass
class FixedArray:
    element: object
    count: int
    string: bool = False  # [string]: varying, offset and actual count before the characters


@dataclass
class ConfArray:
    """A conformant array. `length` makes it varying; `string` makes it a conformant varying string."""

    element: object
    size: Expr | None
    length: Expr | None = None
    string: bool = False


@dataclass
class Pointer:
    kind: str  # ref, unique or ptr
    target: object


@dataclass
class InterfacePtr:
    interface: str


@dataclass
class Handle:
    """handle_t: names the binding, never on the wire."""


@dataclass
class Arm:
    labels: list[str]
    field: "Field | None"  # None: nothing follows the tag


@dataclass
class Union:
    switch: str
    tag: object
    arms: list[Arm]
    has_default: bool


@dataclass
class Field:
    """A member, or a parameter in one direction.

    role: "value", "count" (only counts arrays of the same list, so it has no C++ member), or "context" (a C++ member
    that is not on the wire by itself: the max_count of a varying array whose size parameter travels the other way).
    """

    name: str
    type: object
    line: int = 0
    role: str = "value"
    counts: list[str] = field(default_factory=list)  # names of the arrays that this one counts
    bias: int = 0  # array elements = count + bias
    counts_length: bool = False


@dataclass
class Struct:
    name: str  # its C++ name
    fields: list[Field] = field(default_factory=list)
    nested: list["Struct"] = field(default_factory=list)
    parent: "Struct | None" = None
    line: int = 0
    file: str = ""

    @property
    def qualified(self) -> str:
        return f"{self.parent.qualified}_{self.name}" if self.parent else self.name

    @property
    def text(self) -> str:
        return f"{self.parent.text}.{self.name}" if self.parent else self.name

    @property
    def conformant(self) -> "Field | None":
        last = self.fields[-1] if self.fields else None
        return last if last and isinstance(strip(last.type), ConfArray) else None

    def field_named(self, name: str) -> Field | None:
        return next((f for f in self.fields if f.name == name), None)


def strip(t):
    while isinstance(t, Alias):
        t = t.target
    return t


def is_base(t, *names: str) -> bool:
    t = strip(t)
    return isinstance(t, Base) and t.name in names


def alignment(t) -> int:
    t = strip(t)
    match t:
        case Base():
            return t.size
        case GuidType() | Pointer() | InterfacePtr():
            return 4
        case Enum():
            return 2
        case FixedArray():
            return max(4, alignment(t.element)) if t.string else alignment(t.element)
        case ConfArray():
            return alignment(t.element)
        case Union():
            arms = [alignment(a.field.type) for a in t.arms if a.field]
            return max([alignment(t.tag), *arms])
        case Struct():
            return max([alignment(f.type) for f in t.fields if f.role != "context"], default=1)
    raise TypeError(t)


def least_size(t) -> int:
    """Octets that the flat part takes at least, padding left out."""
    t = strip(t)
    match t:
        case Base():
            return t.size
        case GuidType():
            return 16
        case Pointer() | InterfacePtr():
            return 4
        case Enum():
            return 2
        case FixedArray():
            return 8 if t.string else t.count * least_size(t.element)
        case ConfArray():
            return 0
        case Union():
            return alignment(t.tag)
        case Struct():
            return sum(least_size(f.type) for f in t.fields if f.role != "context")
    raise TypeError(t)


def has_pointees(t) -> bool:
    """Whether anything follows the flat part."""
    t = strip(t)
    match t:
        case Pointer():
            return True
        case FixedArray() | ConfArray():
            return has_pointees(t.element)
        case Union():
            return any(has_pointees(a.field.type) for a in t.arms if a.field)
        case Struct():
            return any(has_pointees(f.type) for f in t.fields if f.role != "context")
    return False


def has_pending(t) -> bool:
    """Whether decoding must carry counts from the flat part to the pointees."""
    t = strip(t)
    match t:
        case FixedArray():
            return has_pending(t.element)
        case Struct():
            return any(f.role == "count" or has_pending(f.type) for f in t.fields)
    return False
