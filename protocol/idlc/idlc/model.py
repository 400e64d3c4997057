"""Syntax trees to interfaces, methods and types that the generators print. Every rule of the IDL is checked here."""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass, field

from . import syntax
from .syntax import Expr, IdlError
from .types import (Alias, Arm, Base, ConfArray, Enum, Field, FixedArray, GuidType, Handle, InterfacePtr, Pointer,
                    Struct, Union, has_pointees, is_base, strip)

_BASES = {
    "boolean": Base("boolean", "bool", 1),
    "byte": Base("byte", "std::byte", 1),
    "char": Base("char", "char", 1),
    "unsigned char": Base("unsigned char", "std::uint8_t", 1),
    "small": Base("small", "std::int8_t", 1),
    "wchar_t": Base("wchar_t", "char16_t", 2),
    "short": Base("short", "std::int16_t", 2),
    "unsigned short": Base("unsigned short", "std::uint16_t", 2),
    "long": Base("long", "std::int32_t", 4),
    "unsigned long": Base("unsigned long", "std::uint32_t", 4),
    "hyper": Base("hyper", "std::int64_t", 8),
    "unsigned hyper": Base("unsigned hyper", "std::uint64_t", 8),
    "error_status_t": Base("error_status_t", "std::uint32_t", 4),
    "void": Base("void", "void", 0),
}
_SYNONYMS = {"int": "long", "unsigned int": "unsigned long", "unsigned": "unsigned long", "long int": "long",
             "unsigned long int": "unsigned long", "short int": "short", "unsigned short int": "unsigned short",
             "signed long": "long", "signed int": "long", "signed short": "short", "__int64": "hyper",
             "unsigned __int64": "unsigned hyper", "signed char": "small"}

_RESERVED = re.compile(r"^(Reserved\w*|\w*NotUsedOnWire)$")


@dataclass
class Constant:
    name: str
    type: object
    value: int
    file: str


@dataclass
class ParamDecl:
    name: str
    type: object
    text: str
    is_in: bool
    is_out: bool
    line: int


@dataclass
class Method:
    name: str
    opnum: int
    reserved: bool
    params: list[ParamDecl]
    result: object  # Base void when nothing is returned
    request: list[Field]
    reply: list[Field]
    line: int
    file: str

    def signature(self) -> str:
        params = [(p.name, p.text, p.is_in, p.is_out, repr(p.type)) for p in self.params]
        return repr((params, repr(self.result)))


@dataclass
class Interface:
    name: str
    uuid: str
    version: tuple[int, int]
    is_object: bool
    is_local: bool
    base: "Interface | None"
    own_methods: list[Method]
    line: int
    file: str

    @property
    def methods(self) -> list[Method]:
        inherited = self.base.methods if self.base and not self.base.is_local else []
        return inherited + self.own_methods

    @property
    def next_opnum(self) -> int:
        first = self.base.next_opnum if self.base else 0
        return first + len(self.own_methods)


@dataclass
class Model:
    constants: list[Constant] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    enums: list[Enum] = field(default_factory=list)
    structs: list[Struct] = field(default_factory=list)
    interfaces: list[Interface] = field(default_factory=list)
    order: list = field(default_factory=list)  # aliases, enums and structs as declared

    @property
    def wire_interfaces(self) -> list[Interface]:
        return [i for i in self.interfaces if not i.is_local]

    @property
    def methods(self) -> list[Method]:
        """The distinct callable methods of all interfaces, in the order of first appearance."""
        seen: dict[str, Method] = {}
        for interface in self.wire_interfaces:
            for method in interface.own_methods:
                if method.reserved:
                    continue
                known = seen.setdefault(method.name, method)
                if known.signature() != method.signature():
                    raise IdlError(f"{method.file}:{method.line}",
                                   f"{method.name} differs from the method of the same name at "
                                   f"{known.file}:{known.line}; messages are named after methods, so rename one")
        return list(seen.values())

    def struct(self, name: str) -> Struct:
        return next(s for s in self.structs if s.name == name)

    def interface(self, name: str) -> Interface:
        return next(i for i in self.interfaces if i.name == name)


class _Resolver:
    def __init__(self):
        self.model = Model()
        self.names: dict[str, object] = {}
        self.tags: dict[str, Struct] = {}
        self.values: dict[str, int] = {}
        self.enum_labels: dict[str, str] = {}
        self.file = ""

    def fail(self, line: int, message: str):
        raise IdlError(f"{self.file}:{line}", message)

    # ---- expressions

    def evaluate(self, e: Expr, line: int) -> int:
        v = [self.evaluate(a, line) if isinstance(a, Expr) else a for a in e.args]
        match e.op:
            case "number":
                return v[0]
            case "name":
                if v[0] not in self.values:
                    self.fail(line, f"{v[0]} is not a constant")
                return self.values[v[0]]
            case "sign":
                return -v[1] if v[0] == "-" else v[1]
            case "invert":
                return ~v[0]
            case "cond":
                return v[1] if v[0] else v[2]
            case "+":
                return v[0] + v[1]
            case "-":
                return v[0] - v[1]
            case "*":
                return v[0] * v[1]
            case "/":
                if v[1] == 0:
                    self.fail(line, "division by zero")
                return v[0] // v[1]
            case "&":
                return v[0] & v[1]
            case "|":
                return v[0] | v[1]
            case "^":
                return v[0] ^ v[1]
            case "<<":
                return v[0] << v[1]
            case ">>":
                return v[0] >> v[1]
        self.fail(line, f"'{e.op}' cannot stand in a constant")

    # ---- types

    def spec(self, spec: syntax.Spec, parent: Struct | None, name: str | None):
        """The type of a specifier. `name` is what an unnamed structure or enumeration will be called."""
        match spec.kind:
            case "base":
                if spec.name == "handle_t":
                    return Handle()
                base = _BASES.get(_SYNONYMS.get(spec.name, spec.name))
                if base is None:
                    self.fail(spec.line, f"unknown type '{spec.name}'")
                return base
            case "named":
                if spec.name not in self.names:
                    self.fail(spec.line, f"unknown type {spec.name}")
                return self.names[spec.name]
            case "struct_ref":
                if spec.name not in self.tags:
                    self.fail(spec.line, f"unknown structure {spec.name}")
                return self.tags[spec.name]
            case "struct":
                return self.struct(spec, parent, name)
            case "enum":
                return self.enum(spec, name)
        self.fail(spec.line, "a union may only be an unnamed member with switch_is")

    def enum(self, spec: syntax.Spec, name: str | None) -> Enum:
        items, value = [], -1
        for label, expr in spec.members:
            value = value + 1 if expr is None else self.evaluate(expr, spec.line)
            if not 0 <= value <= 0x7FFF:
                self.fail(spec.line, f"{label} = {value} does not fit an enumeration of 16 bits")
            items.append((label, value))
            self.values[label] = value
            self.enum_labels[label] = name or str(spec.name)
        enum = Enum(name or str(spec.name), items, spec.line)
        self.model.enums.append(enum)
        self.model.order.append(enum)
        return enum

    def struct(self, spec: syntax.Spec, parent: Struct | None, name: str | None) -> Struct:
        struct = Struct(name or str(spec.name), parent=parent, line=spec.line, file=self.file)
        if spec.name:
            self.tags[spec.name] = struct
        for m in spec.members:
            if m.declarator is None:
                struct.fields.append(self.union_member(struct, m))
                continue
            t = self.declared(m.spec, m.declarator, m.attrs, embedded=True, parent=struct)
            if isinstance(strip(t), (InterfacePtr, Handle)):
                self.fail(m.line, f"{m.declarator.name}: interface pointers and handles are no members")
            struct.fields.append(Field(m.declarator.name, t, m.line))
        for f in struct.fields[:-1]:
            if isinstance(strip(f.type), ConfArray):
                self.fail(f.line, f"{f.name}: a conformant array must be the last member")
        for f in struct.fields:
            inner = strip(f.type)
            if isinstance(inner, Struct) and inner.conformant:
                self.fail(f.line, f"{f.name}: a structure with a conformant array may only stand behind a pointer")
        self.assign_counts(struct.fields, struct.name)
        if parent:
            parent.nested.append(struct)
        else:
            self.model.structs.append(struct)
            self.model.order.append(struct)
        return struct

    def union_member(self, struct: Struct, m: syntax.Member) -> Field:
        if m.spec is None or m.spec.kind != "union" or "switch_is" not in m.attrs.calls:
            self.fail(m.line, "only a union with switch_is may have no name")
        switch = m.attrs.calls["switch_is"][0]
        tag = struct.field_named(switch.args[0]) if switch.op == "name" else None
        if tag is None:
            self.fail(m.line, "switch_is must name a member that stands before the union")
        arms, has_default = [], False
        for a in m.spec.members:
            labels = []
            if "default" in a.attrs.flags:
                has_default = True
            elif "case" in a.attrs.calls:
                for label in a.attrs.calls["case"]:
                    self.evaluate(label, a.line)
                    labels.append(label.args[0] if label.op == "name" else str(self.evaluate(label, a.line)))
            else:
                self.fail(a.line, "an arm needs case or default")
            arm_field = None
            if a.spec is not None:
                name = a.declarator.name
                t = self.declared(a.spec, a.declarator, a.attrs, embedded=True, parent=struct,
                                  unnamed=name[0].upper() + name[1:])
                if has_pointees(t) or isinstance(strip(t), ConfArray):
                    self.fail(a.line, f"{name}: pointers in a union are not supported")
                arm_field = Field(name, t, a.line)
            arms.append(Arm(labels, arm_field))
        return Field("", Union(tag.name, tag.type, arms, has_default), m.line)

    def declared(self, spec, declarator, attrs, *, embedded: bool, parent=None, unnamed=None, pointer_default="unique"):
        """The type of a member or parameter from its specifier, its declarator and its attributes."""
        line, name = declarator.line, declarator.name
        t = self.spec(spec, parent, unnamed)
        stars = declarator.stars
        sizes = self.dimensions(attrs, line)
        lengths = attrs.calls.get("length_is", [])
        if isinstance(t, InterfacePtr) or t == "interface":
            t = InterfacePtr(spec.name)
            stars -= 1
            if stars < 0:
                self.fail(line, f"{name}: an interface can only be passed by pointer")
        if is_base(t, "void"):
            self.fail(line, f"{name}: void is no type of a member or parameter")
        string = "string" in attrs.flags
        levels = len(declarator.suffixes) + stars
        if len([s for s in sizes if s is not None]) and len(sizes) > levels:
            self.fail(line, f"{name}: size_is has more dimensions than the declarator")
        # Levels are counted from the outside: array suffixes first to last, then pointers.
        for level in range(levels - 1, -1, -1):
            size = sizes[level] if level < len(sizes) else None
            length = lengths[level] if level < len(lengths) else None
            innermost = level == levels - 1
            if level < len(declarator.suffixes):
                bound = declarator.suffixes[level]
                if isinstance(bound, Expr):
                    t = FixedArray(t, self.evaluate(bound, line), string and innermost)
                elif size is not None or (string and innermost):
                    t = ConfArray(t, size, length, string and innermost)
                else:
                    self.fail(line, f"{name}: an array without bound needs size_is")
                continue
            pointee = t
            if size is not None:
                pointee = ConfArray(t, size, length)
            elif string and innermost:
                pointee = ConfArray(t, None, None, True)
            t = Pointer(self.pointer_kind(attrs, level, embedded, pointer_default), pointee)
        return t

    @staticmethod
    def pointer_kind(attrs, level, embedded, pointer_default) -> str:
        if level == 0:
            for kind in ("ref", "unique", "ptr"):
                if kind in attrs.flags:
                    return kind
            if not embedded:
                return "ref"
        return pointer_default

    def dimensions(self, attrs, line) -> list:
        if "max_is" in attrs.calls:
            if "size_is" in attrs.calls:
                self.fail(line, "size_is and max_is exclude each other")
            return [e and Expr("+", (e, Expr("number", (1,)))) for e in attrs.calls["max_is"]]
        return attrs.calls.get("size_is", [])

    @staticmethod
    def array_of(t) -> ConfArray | None:
        """The counted array of a member or parameter, behind its pointers."""
        t = strip(t)
        while isinstance(t, Pointer):
            t = strip(t.target)
        return t if isinstance(t, ConfArray) and (t.size is not None or t.length is not None) else None

    @staticmethod
    def invertible(e: Expr) -> tuple[str, int] | None:
        """(name, bias) when the size is name + bias, so that the count follows from the array."""
        if e.op in ("name", "deref"):
            return e.args[0], 0
        if e.op == "+" and e.args[0].op in ("name", "deref") and e.args[1].op == "number":
            return e.args[0].args[0], e.args[1].args[0]
        return None

    def assign_counts(self, fields: list[Field], where: str) -> None:
        """Finds the members that only count arrays of the same list. Adds context members where needed."""
        by_name = {f.name: f for f in fields}
        position = {f.name: i for i, f in enumerate(fields)}
        for f in list(fields):
            array = self.array_of(f.type)
            if array is None:
                continue
            for expr, is_length in ((array.size, False), (array.length, True)):
                if expr is None:
                    continue
                simple = self.invertible(expr)
                for name in expr.names():
                    if name in by_name and by_name[name].role == "value" and position[name] > position[f.name]:
                        self.fail(f.line, f"{where}.{f.name}: its count {name} must stand before it")
                if simple is None or simple[0] not in by_name:
                    if array.length is not None and not is_length and simple and simple[0] not in by_name:
                        context = Field(simple[0], _BASES["unsigned long"], f.line, "context")
                        by_name[simple[0]] = context
                        fields.append(context)
                        position[simple[0]] = len(fields)
                    continue
                if array.length is not None and not is_length:
                    continue  # max_count is kept: only the actual count follows from the array
                count = by_name[simple[0]]
                if count.role == "context":
                    continue
                count.role, count.bias, count.counts_length = "count", simple[1], is_length
                count.counts.append(f.name)

    # ---- declarations

    def typedef(self, item: syntax.Typedef) -> None:
        first = item.declarators[0]
        plain = first.stars == 0 and not first.suffixes
        t = None
        for d in item.declarators:
            if d.name in self.names:
                if d.name in ("GUID",):
                    continue
                self.fail(d.line, f"{d.name} is declared twice")
            if item.spec.kind in ("struct", "enum") and t is None:
                t = self.spec(item.spec, None, first.name if plain else None)
                if d.name == "GUID" and isinstance(t, Struct):
                    self.model.structs.remove(t)
                    self.model.order.remove(t)
                    t = GuidType()
                    self.names["GUID"] = t
                    continue
                if d.stars == 0 and not d.suffixes:
                    self.names[d.name] = t
                    continue
            spec = item.spec if t is None else None
            if spec is not None and spec.kind == "struct_ref" and plain and d is first:
                t = self.spec(spec, None, None)
                if t.name == spec.name:
                    t.name = d.name  # `typedef struct tag NAME`: NAME is what everybody uses
                    self.names[d.name] = t
                    continue
            if t is not None:
                target = t
                for _ in range(d.stars):
                    target = Pointer(self.pointer_kind(item.attrs, 0, True, "unique"), target)
            else:
                target = self.declared(item.spec, d, item.attrs, embedded=True)
            alias = Alias(d.name, target)
            self.names[d.name] = alias
            self.model.aliases.append(alias)
            self.model.order.append(alias)

    def const(self, item: syntax.Const) -> None:
        if item.name in self.values:
            self.fail(item.line, f"{item.name} is defined twice")
        t = _BASES["unsigned long"] if item.spec is None else self.spec(item.spec, None, None)
        value = self.evaluate(item.value, item.line)
        self.values[item.name] = value
        self.model.constants.append(Constant(item.name, t, value, self.file))

    def item(self, item) -> None:
        match item:
            case syntax.Const():
                self.const(item)
            case syntax.Typedef():
                self.typedef(item)
            case syntax.BareType():
                t = self.spec(item.spec, None, None)
                if item.spec.name:
                    self.names.setdefault(item.spec.name, t)
            case syntax.Interface():
                self.interface(item)

    def interface(self, item: syntax.Interface) -> None:
        base = None
        if item.base:
            base = next((i for i in self.model.interfaces if i.name == item.base), None)
            if base is None:
                self.fail(item.line, f"unknown interface {item.base}")
        if item.attrs.uuid is None:
            self.fail(item.line, f"{item.name} has no uuid")
        is_local = "local" in item.attrs.flags
        self.names[item.name] = InterfacePtr(item.name)
        version = tuple(int(v) for v in (item.attrs.version or "0.0").split("."))
        interface = Interface(item.name, item.attrs.uuid, version, "object" in item.attrs.flags, is_local, base, [],
                              item.line, self.file)
        default = item.attrs.calls.get("pointer_default", [Expr("name", ("unique",))])[0].args[0]
        for inner in item.items:
            if not isinstance(inner, syntax.Method):
                self.item(inner)
                continue
            opnum = interface.next_opnum
            if is_local:
                interface.own_methods.append(Method(inner.name, opnum, False, [], None, [], [], inner.line, self.file))
                continue
            interface.own_methods.append(self.method(inner, opnum, default))
        self.model.interfaces.append(interface)

    def method(self, item: syntax.Method, opnum: int, pointer_default: str) -> Method:
        params = []
        for p in item.params:
            t = self.declared(p.spec, p.declarator, p.attrs, embedded=False, pointer_default=pointer_default)
            if isinstance(t, Handle):
                continue
            flags = p.attrs.flags
            is_in, is_out = "in" in flags, "out" in flags
            if not is_in and not is_out:
                self.fail(p.line, f"{item.name}.{p.declarator.name} is neither in nor out")
            if is_out and not isinstance(strip(t), (Pointer, ConfArray, FixedArray, InterfacePtr)):
                self.fail(p.line, f"{item.name}.{p.declarator.name}: an out parameter must be a pointer or an array")
            text = p.spec.text() + (" " + "*" * p.declarator.stars if p.declarator.stars else "")
            text += "[]" * len(p.declarator.suffixes)
            params.append(ParamDecl(p.declarator.name, t, text, is_in, is_out, p.line))
        result = self.spec(item.result, None, None)
        request = [Field(p.name, self.value_type(p), p.line) for p in params if p.is_in]
        reply = [Field(p.name, self.value_type(p), p.line) for p in params if p.is_out]
        self.assign_counts(request, item.name)
        self.assign_counts(reply, item.name)
        reserved = bool(_RESERVED.match(item.name)) and not params
        return Method(item.name, opnum, reserved, params, result, request, reply, item.line, self.file)

    @staticmethod
    def value_type(p: ParamDecl):
        """A top-level reference pointer is not on the wire: its target stands in its place."""
        t = p.type
        bare = strip(t)
        return bare.target if isinstance(bare, Pointer) and bare.kind == "ref" else t

    # ---- files

    def load(self, path: pathlib.Path, loaded: set[pathlib.Path]) -> None:
        path = path.resolve()
        if path in loaded:
            return
        loaded.add(path)
        tree = syntax.parse(path.name, path.read_text(encoding="utf-8"))
        for name in tree.imports:
            target = path.with_name(name)
            if not target.exists():
                raise IdlError(path.name, f"imports {name}, which does not exist")
            self.load(target, loaded)
        self.file = path.name
        for item in tree.items:
            self.item(item)


def load(paths: list[pathlib.Path]) -> Model:
    """Reads IDL files with their imports into one model."""
    resolver = _Resolver()
    loaded: set[pathlib.Path] = set()
    for path in paths:
        resolver.load(pathlib.Path(path), loaded)
    resolver.model.methods  # reports conflicting names early
    return resolver.model
