"""Bodies of the generated NDR codecs. Each function returns lines of C++.

A complete value is its flat part followed by its pointees (C706 14.3.12.3). For an array all flat parts come first.
`v` is the value, `w` the writer, `r` the reader, `p` what decoding carries from the flat part to the pointees.
"""

from __future__ import annotations

from . import cpp
from .syntax import Expr
from .types import (Base, ConfArray, Enum, Field, FixedArray, GuidType, InterfacePtr, Pointer, Struct, Union, alignment,
                    has_pending, has_pointees, is_base, least_size, strip)


def _indent(lines: list[str]) -> list[str]:
    return ["  " + line for line in lines]


def _quoted(where: str, name: str) -> str:
    return f'"{where}.{name}"'


def count_expr(e: Expr, names: dict[str, str]) -> str | None:
    """A size_is expression in C++; None when it names a parameter that travels the other way."""
    if e.op in ("name", "deref"):
        return names.get(e.args[0])
    if e.op == "number":
        return f"{e.args[0]}u"
    parts = [count_expr(a, names) if isinstance(a, Expr) else a for a in e.args]
    if None in parts:
        return None
    match e.op:
        case "sign":
            return f"({parts[0]}{parts[1]})"
        case "invert":
            return f"(~{parts[0]})"
        case "cond":
            return f"({parts[0]} ? {parts[1]} : {parts[2]})"
    return f"({parts[0]} {e.op} {parts[1]})"


class Encoder:
    def __init__(self, where: str, fields: list[Field], top_level: bool):
        self.where, self.fields, self.top_level = where, fields, top_level
        self.names = {f.name: f"static_cast<std::uint32_t>(v.{f.name})" for f in fields
                      if f.role != "count" and isinstance(strip(f.type), Base)}
        self.depth = 0

    def loop(self, element, e: str, body) -> list[str]:
        self.depth += 1
        x = f"x{self.depth}"
        lines = [f"for (const auto& {x} : {e}) {{", *_indent(body(x)), "}"]
        self.depth -= 1
        return lines

    def count_field(self, f: Field) -> list[str]:
        arrays = ", ".join(f"v.{name}" for name in f.counts)
        size = f"ndr::CommonSize(w, {_quoted(self.where, f.name)}, {arrays})"
        kind = strip(f.type).cpp
        if f.bias:
            return [f"w.Put(static_cast<{kind}>({size} - {f.bias}));"]
        return [f"w.PutCount<{kind}>({size}, {_quoted(self.where, f.name)});"]

    def flat(self, t, e: str, q: str, top: bool = False) -> list[str]:
        t = strip(t)
        match t:
            case Base() | Enum() | GuidType():
                return [f"w.Put({e});"]
            case Struct():
                return [f"EncodeFlat(w, {e});"]
            case FixedArray(string=True):
                return [f"w.PutFixedString({e}, {t.count}, {q});"]
            case FixedArray():
                return self.loop(t.element, e, lambda x: self.flat(t.element, x, q))
            case Pointer(kind="ref"):
                return ["w.PutReferent(true);"]
            case Pointer():
                present = f"!{e}.empty()" if cpp.flattened(t, top) else f"{e}.has_value()"
                return [f"w.PutReferent({present});"]
        raise TypeError(t)

    def pointees(self, t, e: str, q: str, top: bool = False) -> list[str]:
        t = strip(t)
        if not has_pointees(t):
            return []
        match t:
            case Struct():
                return [f"EncodePointees(w, {e});"]
            case FixedArray():
                return self.loop(t.element, e, lambda x: self.pointees(t.element, x, q))
            case Pointer(kind="ref"):
                return self.complete(t.target, e, q)
            case Pointer():
                if cpp.flattened(t, top):
                    return [f"if (!{e}.empty()) {{", *_indent(self.complete(t.target, e, q)), "}"]
                return [f"if ({e}) {{", *_indent(self.complete(t.target, f"(*{e})", q)), "}"]
        raise TypeError(t)

    def complete(self, t, e: str, q: str, top: bool = False) -> list[str]:
        t = strip(t)
        match t:
            case ConfArray():
                return self.array(t, e, q, hoisted=False)
            case Struct():
                return [f"Encode(w, {e});"]
            case InterfacePtr():
                return [f"w.PutInterfacePointer({e});"]
        return self.flat(t, e, q, top) + self.pointees(t, e, q, top)

    def array(self, t: ConfArray, e: str, q: str, hoisted: bool) -> list[str]:
        """The conformance (unless it stands before the structure already), the elements and their pointees."""
        lines = []
        if t.string:
            return [f"w.PutString({e}, {q});"]
        expected = count_expr(t.size, self.names) if t.size else None
        if t.length is not None:
            lines.append(f"w.PutConformance({expected or f'{e}.size()'}, {q});")
            if expected:
                lines.append(f"if ({e}.size() > {expected}) w.Fail({q}, \"more elements than max_count\");")
            lines += ["w.Put(std::uint32_t{0});", f"w.PutCount<std::uint32_t>({e}.size(), {q});"]
        elif not hoisted:
            lines.append(f"w.PutConformance({e}.size(), {q});")
        if expected and t.length is None:
            lines.append(f"w.CheckCount({e}.size(), {expected}, {q});")
        if is_base(t.element, "wchar_t", "char"):
            return lines + [f"w.PutText({e});"]
        if is_base(t.element, "byte"):
            return lines + [f"w.PutBytes({e});"]
        lines += self.loop(t.element, e, lambda x: self.flat(t.element, x, q))
        if has_pointees(t.element):
            lines += self.loop(t.element, e, lambda x: self.pointees(t.element, x, q))
        return lines

    def union(self, u: Union) -> list[str]:
        lines = [f"w.Put(v.{u.switch});", f"switch (v.{u.switch}) {{"]
        for arm in u.arms:
            lines += [f"  case {label}:" for label in arm.labels] or ["  default:"]
            if arm.field:
                q = _quoted(self.where, arm.field.name)
                lines += [f"    if (!v.{arm.field.name}) {{", f"      w.Fail({q}, \"absent, but its tag selects it\");",
                          "    } else {", *_indent(_indent(_indent(self.flat(arm.field.type, f"(*v.{arm.field.name})", q)))),
                          "    }"]
            lines.append("    break;")
        if not u.has_default:
            lines += ["  default:", f"    w.Fail({_quoted(self.where, u.switch)}, \"no arm of the union has this tag\");"]
        return lines + ["}"]

    def struct_flat(self, s: Struct) -> list[str]:
        lines = [f"w.Align({alignment(s)});"]
        for f in s.fields:
            q = _quoted(self.where, f.name)
            if f.role == "count":
                lines += self.count_field(f)
            elif isinstance(f.type, Union):
                lines += self.union(f.type)
            elif f is s.conformant:
                lines += self.array(strip(f.type), f"v.{f.name}", q, hoisted=True)
            else:
                lines += self.flat(f.type, f"v.{f.name}", q)
        return lines

    def struct_pointees(self, s: Struct) -> list[str]:
        return [line for f in s.fields if f.role == "value" and f is not s.conformant
                for line in self.pointees(f.type, f"v.{f.name}", _quoted(self.where, f.name))]

    def message(self, result) -> list[str]:
        lines = []
        for f in self.fields:
            if f.role == "count":
                lines += self.count_field(f)
            elif f.role == "value":
                lines += self.complete(f.type, f"v.{f.name}", _quoted(self.where, f.name), top=True)
        return lines + (["w.Put(v.result);"] if result else [])


class Decoder:
    def __init__(self, where: str, fields: list[Field], top_level: bool):
        self.where, self.fields, self.top_level = where, fields, top_level
        self.names = {}
        self.max_names = {f.name for f in fields if f.role == "context"}
        for f in fields:
            if f.role == "count":
                kept = f.name if top_level else f"p.{f.name}"
                self.names[f.name] = f"static_cast<std::uint32_t>({kept})"
            elif f.role == "value" and isinstance(strip(f.type), Base):
                self.names[f.name] = f"static_cast<std::uint32_t>(v.{f.name})"
        self.depth = 0

    def scalar(self, t, e: str, q: str) -> list[str]:
        return [f"GetEnum(r, {e}, {q});"] if isinstance(strip(t), Enum) else [f"r.Get({e}, {q});"]

    def flat(self, t, e: str, q: str, pending: str = "", top: bool = False) -> list[str]:
        t = strip(t)
        match t:
            case Base() | Enum() | GuidType():
                return self.scalar(t, e, q)
            case Struct():
                return [f"DecodeFlat(r, {e}{', ' + pending if has_pending(t) else ''});"]
            case FixedArray(string=True):
                return [f"r.GetFixedString({e}, {t.count}, {q});"]
            case FixedArray():
                if has_pending(t):
                    raise TypeError("fixed array of structures with counted arrays")
                return [f"for (auto& x : {e}) {{", *_indent(self.flat(t.element, "x", q)), "}"]
            case Pointer(kind="ref"):
                return [f"if (!r.GetReferent({q})) r.Fail({q}, \"null reference pointer\");"]
            case Pointer():
                return [f"if (r.GetReferent({q})) {{", f"  {e}.emplace();", "} else {", f"  {e}.reset();", "}"]
        raise TypeError(t)

    def pointees(self, t, e: str, q: str, pending: str = "") -> list[str]:
        t = strip(t)
        if not has_pointees(t):
            return []
        match t:
            case Struct():
                return [f"DecodePointees(r, {e}{', ' + pending if has_pending(t) else ''});"]
            case FixedArray():
                return [f"for (auto& x : {e}) {{", *_indent(self.pointees(t.element, "x", q)), "}"]
            case Pointer(kind="ref"):
                return self.complete(t.target, e, q)
            case Pointer():
                return [f"if ({e}) {{", *_indent(self.complete(t.target, f"(*{e})", q)), *self.null_arm(t, q)]
        raise TypeError(t)

    def null_arm(self, t: Pointer, q: str, clear: str = "") -> list[str]:
        target = strip(t.target)
        declared = None
        if isinstance(target, ConfArray):
            e = target.length if target.length is not None else target.size
            declared = count_expr(e, self.names) if e else None
        body = ([clear] if clear else []) + ([f"r.CheckNull({declared}, {q});"] if declared else [])
        return ["} else {", *_indent(body), "}"] if body else ["}"]

    def complete(self, t, e: str, q: str, top: bool = False) -> list[str]:
        t = strip(t)
        match t:
            case ConfArray():
                return self.array(t, e, q)
            case Struct():
                return [f"Decode(r, {e});"]
            case InterfacePtr():
                return [f"r.GetInterfacePointer({e}, {q});"]
            case Pointer() if cpp.flattened(t, top):
                return [f"if (r.GetReferent({q})) {{", *_indent(self.complete(t.target, e, q)),
                        *self.null_arm(t, q, f"{e}.clear();")]
        return self.flat(t, e, q) + self.pointees(t, e, q)

    def array(self, t: ConfArray, e: str, q: str, hoisted: str = "") -> list[str]:
        if t.string:
            return [f"r.GetString({e}, {q});"]
        self.depth += 1
        n, i, ps = (f"{letter}{self.depth}" for letter in ("n", "i", "p"))
        size = least_size(t.element) if t.length is None else 0
        lines = [f"const std::uint32_t {n} = {hoisted or f'r.GetConformance({size}, {q})'};"]
        declared = count_expr(t.size, self.names) if t.size else None
        if declared:
            lines.append(f"r.CheckCount({n}, {declared}, {q});")
        if t.length is not None:
            if t.size is not None and t.size.args[0] in self.max_names:
                lines.append(f"v.{t.size.args[0]} = {n};")
            a = f"a{self.depth}"
            lines.append(f"const std::uint32_t {a} = r.GetVariance({n}, {least_size(t.element)}, {q});")
            length = count_expr(t.length, self.names)
            if length:
                lines.append(f"r.CheckCount({a}, {length}, {q});")
            n = a
        if is_base(t.element, "wchar_t"):
            lines.append(f"{e} = r.GetText16({n}, {q});")
        elif is_base(t.element, "char"):
            lines.append(f"{e} = r.GetText8({n}, {q});")
        elif is_base(t.element, "byte"):
            lines.append(f"{e} = r.GetBytes({n}, {q});")
        else:
            kind = cpp.value_type(t)
            lines.append(f"{e} = {kind}(r.ok() ? {n} : 0);")
            element, pending = f"{e}[{i}]", f"{ps}[{i}]"
            if has_pending(t.element):
                lines.append(f"std::vector<{pending_name(strip(t.element))}> {ps}({e}.size());")
            loop = f"for (std::size_t {i} = 0; {i} < {e}.size() && r.ok(); ++{i}) {{"
            lines += [loop, *_indent(self.flat(t.element, element, q, pending)), "}"]
            if has_pointees(t.element):
                lines += [loop, *_indent(self.pointees(t.element, element, q, pending)), "}"]
        self.depth -= 1
        return lines if hoisted else ["{", *_indent(lines), "}"]

    def union(self, u: Union) -> list[str]:
        tag_type = cpp.value_type(u.tag)
        q = _quoted(self.where, "union tag")
        lines = [f"v.{arm.field.name}.reset();" for arm in u.arms if arm.field]
        lines += [f"{tag_type} tag{{}};", f"r.Get(tag, {q});",
                  f"if (r.ok() && tag != v.{u.switch}) r.Fail({q}, \"differs from {u.switch}\");",
                  f"switch (r.ok() ? tag : {tag_type}{{}}) {{"]
        for arm in u.arms:
            lines += [f"  case {label}:" for label in arm.labels] or ["  default:"]
            if arm.field:
                arm_q = _quoted(self.where, arm.field.name)
                lines += [f"    v.{arm.field.name}.emplace();",
                          *_indent(_indent(self.flat(arm.field.type, f"(*v.{arm.field.name})", arm_q)))]
            lines.append("    break;")
        if not u.has_default:
            lines += ["  default:", f"    r.Fail({q}, \"no arm of the union has this tag\");"]
        return lines + ["}"]

    def struct_flat(self, s: Struct) -> list[str]:
        lines = [f"r.Align({alignment(s)}, \"{self.where}\");"]
        for f in s.fields:
            q = _quoted(self.where, f.name)
            if f.role == "count":
                lines.append(f"r.GetCount(p.{f.name}, {q});")
            elif isinstance(f.type, Union):
                lines += self.union(f.type)
            elif f is s.conformant:
                lines += self.array(strip(f.type), f"v.{f.name}", q, hoisted="max_count")
            else:
                lines += self.flat(f.type, f"v.{f.name}", q, f"p.{f.name}")
        return lines

    def struct_pointees(self, s: Struct) -> list[str]:
        return [line for f in s.fields if f.role == "value" and f is not s.conformant
                for line in self.pointees(f.type, f"v.{f.name}", _quoted(self.where, f.name), f"p.{f.name}")]

    def message(self, result) -> list[str]:
        lines = []
        for f in self.fields:
            q = _quoted(self.where, f.name)
            if f.role == "count":
                kind = strip(f.type).cpp
                get = "Get" if f.bias else "GetCount"
                lines += [f"{kind} {f.name} = 0;", f"r.{get}({f.name}, {q});"]
            elif f.role == "value":
                lines += self.complete(f.type, f"v.{f.name}", q, top=True)
        if result:
            lines.append(f"r.Get(v.result, \"{self.where}.result\");")
        return lines


def pending_name(s: Struct) -> str:
    return "Pending" + s.qualified


def pending_members(s: Struct) -> list[tuple[str, str, str]]:
    """(type, name, initializer) of what decoding carries from a structure's flat part to its pointees."""
    result = []
    for f in s.fields:
        if f.role == "count":
            result.append((strip(f.type).cpp, f.name, " = 0"))
        elif has_pending(f.type):
            result.append((pending_name(strip(f.type)), f.name, ""))
    return result
