"""Structures as C lays them out in memory on 32-bit and 64-bit Windows, for streams that are not NDR.

Enumerations take 4 octets, a union takes the room of its largest arm, pointers are left out: the structure goes up to
its first pointer, and the arrays follow in the order of the pointers, without any padding. A structure without
pointers goes to its full size, trailing padding included.
"""

from __future__ import annotations

from .types import Base, ConfArray, Enum, FixedArray, GuidType, Pointer, Struct, Union, is_base, strip


def alignment(t) -> int:
    t = strip(t)
    match t:
        case Base():
            return t.size
        case Enum() | GuidType():
            return 4
        case FixedArray(string=False):
            return alignment(t.element)
        case Union():
            return max(alignment(a.field.type) for a in t.arms if a.field)
        case Struct():
            return max(alignment(f.type) for f in t.fields if not isinstance(strip(f.type), Pointer))
    raise TypeError(t)


def size(t) -> int:
    """Octets of a type without pointers, trailing padding included."""
    t = strip(t)
    match t:
        case Base():
            return t.size
        case Enum():
            return 4
        case GuidType():
            return 16
        case FixedArray(string=False):
            return t.count * size(t.element)
        case Union():
            return _up(max(size(a.field.type) for a in t.arms if a.field), alignment(t))
        case Struct():
            offset = 0
            for f in t.fields:
                offset = _up(offset, alignment(f.type)) + size(f.type)
            return _up(offset, alignment(t))
    raise TypeError(t)


def _up(offset: int, to: int) -> int:
    return (offset + to - 1) // to * to


def eligible(s: Struct) -> bool:
    """Whether the structure has only scalars, fixed arrays, unions and, behind them, pointers to counted characters."""
    counted = [name for f in s.fields if f.role == "count" and len(f.counts) == 1 and not f.bias for name in f.counts]
    pointers = False
    for f in s.fields:
        t = strip(f.type)
        if isinstance(t, Pointer):
            target = strip(t.target)
            if not isinstance(target, ConfArray) or not is_base(target.element, "wchar_t", "byte"):
                return False
            if f.name not in counted:
                return False
            pointers = True
            continue
        if pointers:
            return False
        try:
            size(t)
        except TypeError:
            return False
    return True


def _first_pointer(s: Struct) -> bool:
    return any(isinstance(strip(f.type), Pointer) for f in s.fields)


def encode(s: Struct) -> list[str]:
    lines = []
    for f in s.fields:
        t, q = strip(f.type), f'"{s.text}.{f.name}"'
        if isinstance(t, Pointer):
            continue
        if f.role == "count":
            lines.append(f"w.PutCount<{t.cpp}>(ndr::SizeOf(v.{f.counts[0]}).value_or(0), {q});")
        elif isinstance(t, Union):
            lines += [f"w.Align({alignment(t)});", f"const std::size_t union_end = w.size() + {size(t)};",
                      f"switch (v.{t.switch}) {{"]
            for arm in t.arms:
                lines += [f"  case {label}:" for label in arm.labels] or ["  default:"]
                if arm.field:
                    arm_q = f'"{s.text}.{arm.field.name}"'
                    lines += [f"    if (!v.{arm.field.name}) {{",
                              f"      w.Fail({arm_q}, \"absent, but {t.switch} selects it\");", "    } else {",
                              f"      PutMembers(w, *v.{arm.field.name}, pointers);", "    }"]
                lines.append("    break;")
            lines += ["}", "w.PadTo(union_end);"]
        elif isinstance(t, Enum):
            lines.append(f"w.Put(static_cast<std::uint32_t>(v.{f.name}));")
        elif isinstance(t, FixedArray):
            lines.append(f"for (const auto& x : v.{f.name}) w.Put(x);")
        else:
            lines.append(f"w.Put(v.{f.name});")
    if not _first_pointer(s):
        return lines + [f"w.Align({alignment(s)});"]
    lines.append("w.Align(ndr::OctetsOf(pointers));")
    return lines + [f"ndr::AppendArray(w, v.{f.name});" for f in s.fields if isinstance(strip(f.type), Pointer)]


def decode(s: Struct) -> list[str]:
    lines = []
    for f in s.fields:
        t, q = strip(f.type), f'"{s.text}.{f.name}"'
        if isinstance(t, Pointer):
            continue
        if f.role == "count":
            lines += [f"{t.cpp} {f.name} = 0;", f"r.GetCount({f.name}, {q});"]
        elif isinstance(t, Union):
            lines += [f"v.{a.field.name}.reset();" for a in t.arms if a.field]
            lines += [f"r.Align({alignment(t)}, {q});", f"const std::size_t union_end = r.offset() + {size(t)};",
                      f"switch (v.{t.switch}) {{"]
            for arm in t.arms:
                lines += [f"  case {label}:" for label in arm.labels] or ["  default:"]
                if arm.field:
                    lines += [f"    GetMembers(r, v.{arm.field.name}.emplace(), pointers);"]
                lines.append("    break;")
            lines += ["}", f"r.SkipTo(union_end, {q});"]
        elif isinstance(t, Enum):
            lines.append(f"ndr::GetEnum32(r, v.{f.name}, {q});")
        elif isinstance(t, FixedArray):
            lines.append(f"for (auto& x : v.{f.name}) r.Get(x, {q});")
        else:
            lines.append(f"r.Get(v.{f.name}, {q});")
    if not _first_pointer(s):
        return lines
    lines.append(f"r.Align(ndr::OctetsOf(pointers), \"{s.text}\");")
    counts = {name: f.name for f in s.fields for name in f.counts}
    for f in s.fields:
        if isinstance(strip(f.type), Pointer):
            lines.append(f"ndr::TakeArray(r, v.{f.name}, static_cast<std::size_t>({counts[f.name]}), "
                         f"\"{s.text}.{f.name}\");")
    return lines
