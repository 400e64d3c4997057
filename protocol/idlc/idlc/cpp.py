"""C++ names and types of the model."""

from __future__ import annotations

from .types import (Alias, Base, ConfArray, Enum, Field, FixedArray, GuidType, InterfacePtr, Pointer, Struct, Union,
                    is_base, strip)


def array_type(element) -> str:
    if is_base(element, "wchar_t"):
        return "std::u16string"
    if is_base(element, "byte"):
        return "Bytes"
    if is_base(element, "char"):
        return "std::string"
    return f"std::vector<{value_type(element)}>"


def value_type(t, top_level: bool = False) -> str:
    """The C++ type of a member, parameter or element. At top level a null array is an empty one."""
    if isinstance(t, Alias) and not isinstance(strip(t), (Pointer, ConfArray, FixedArray)):
        return t.name
    t = strip(t)
    match t:
        case Base():
            return t.cpp
        case GuidType():
            return "Guid"
        case Enum():
            return t.name
        case Struct():
            return t.qualified
        case InterfacePtr():
            return "InterfacePointer"
        case ConfArray():
            return array_type(t.element)
        case FixedArray():
            if t.string:
                return array_type(t.element)
            return f"std::array<{value_type(t.element)}, {t.count}>"
        case Pointer():
            target = strip(t.target)
            if t.kind == "ref" or flattened(t, top_level):
                return value_type(target)
            return f"std::optional<{value_type(target)}>"
    raise TypeError(t)


def flattened(t, top_level: bool) -> bool:
    """Whether a pointer has no C++ counterpart because null and empty are the same to every caller."""
    t = strip(t)
    if not (top_level and isinstance(t, Pointer)):
        return False
    target = strip(t.target)
    return isinstance(target, ConfArray) and not target.string


def initial(t) -> str:
    """The member initializer: scalars are zero, everything else has a constructor."""
    t = strip(t)
    match t:
        case Base(cpp="bool"):
            return " = false"
        case Base(cpp="std::byte"):
            return "{}"
        case Base():
            return " = 0"
        case Enum():
            return f" = {t.items[0][0]}" if t.items[0][1] == 0 else "{}"
        case FixedArray(string=False):
            return "{}"
    return ""


def members(fields: list[Field], top_level: bool) -> list[tuple[str, str, str]]:
    """(type, name, initializer) of the C++ members; counts are derived and have none."""
    result = []
    for f in fields:
        if f.role == "count":
            continue
        if isinstance(f.type, Union):
            for arm in f.type.arms:
                if arm.field:
                    result.append((f"std::optional<{strip(arm.field.type).name}>", arm.field.name, ""))
            continue
        result.append((value_type(f.type, top_level), f.name, initial(f.type)))
    return result


def literal(value: int, t) -> str:
    cpp = strip(t).cpp
    if cpp == "std::int32_t" and value > 0x7FFFFFFF:
        return f"static_cast<std::int32_t>({value:#x}u)"
    return f"{value:#x}" if value > 9 else str(value)
