"""IDL text to a syntax tree with line numbers. Nothing is resolved here; see model.py."""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass, field

import lark


class IdlError(Exception):
    """A fault in an IDL file; its text is "file:line: message"."""

    def __init__(self, where: str, message: str):
        super().__init__(f"{where}: {message}")


@dataclass(frozen=True)
class Expr:
    """op is one of number, name, deref, sign (+ -), invert, cond and the C binary operators."""

    op: str
    args: tuple

    def names(self) -> list[str]:
        if self.op in ("name", "deref"):
            return [self.args[0]]
        return [n for a in self.args if isinstance(a, Expr) for n in a.names()]


@dataclass
class Attrs:
    flags: set[str] = field(default_factory=set)
    calls: dict[str, list] = field(default_factory=dict)
    uuid: str | None = None
    version: str | None = None


@dataclass
class Declarator:
    stars: int
    name: str
    suffixes: list  # one a suffix: an Expr, None for [] or "*" for [*]
    line: int


@dataclass
class Spec:
    """A type as written: kind is base, named, struct, union, enum or struct_ref."""

    kind: str
    line: int
    name: str | None = None  # base words joined, or the tag or type name
    members: list = field(default_factory=list)

    def text(self) -> str:
        return f"struct {self.name}" if self.kind == "struct_ref" else str(self.name)


@dataclass
class Member:
    attrs: Attrs
    spec: Spec | None
    declarator: Declarator | None
    line: int


@dataclass
class Param:
    attrs: Attrs
    spec: Spec
    declarator: Declarator
    line: int


@dataclass
class Method:
    name: str
    result: Spec
    params: list[Param]
    line: int


@dataclass
class Interface:
    name: str
    base: str | None
    attrs: Attrs
    items: list
    line: int


@dataclass
class Const:
    name: str
    spec: Spec | None  # None for a #define
    value: Expr
    line: int


@dataclass
class Typedef:
    attrs: Attrs
    spec: Spec
    declarators: list[Declarator]
    line: int


@dataclass
class BareType:
    spec: Spec
    line: int


@dataclass
class File:
    name: str
    imports: list[str]
    items: list


_GRAMMAR = pathlib.Path(__file__).with_name("idl.lark").read_text(encoding="ascii")


class _Build(lark.Transformer):
    """Parse tree to the classes above."""

    def NAME(self, token):
        return token

    @staticmethod
    def _number(text: str) -> Expr:
        return Expr("number", (int(text.rstrip("uUlL"), 0),))

    def number(self, c):
        return self._number(str(c[0]))

    def name(self, c):
        return Expr("name", (str(c[0]),))

    def deref(self, c):
        if c[1].op != "name":
            raise IdlError(f"line {c[0].line}", "only a name can follow '*' in an expression")
        return Expr("deref", c[1].args)

    def sign(self, c):
        return Expr("sign", (str(c[0]), c[1]))

    def invert(self, c):
        return Expr("invert", (c[0],))

    def conditional(self, c):
        return Expr("cond", tuple(c))

    @staticmethod
    def _chain(c):
        left = c[0]
        for op, right in zip(c[1::2], c[2::2]):
            left = Expr(str(op), (left, right))
        return left

    sum = product = shift = _chain

    @staticmethod
    def _same(op):
        def build(_, c):
            left = c[0]
            for right in c[1:]:
                left = Expr(op, (left, right))
            return left

        return build

    binary_or = _same("|")
    binary_xor = _same("^")
    binary_and = _same("&")

    def flag(self, c):
        return ("flag", str(c[0]))

    def default_flag(self, _):
        return ("flag", "default")

    def uuid(self, c):
        return ("uuid", str(c[0]))

    def version(self, c):
        return ("version", str(c[0]))

    def call(self, c):
        return ("call", (str(c[0]), c[1]))

    def attr_args(self, c):
        return c

    def attr_arg(self, c):
        return c[0]

    def attrs(self, c):
        attrs = Attrs()
        for kind, value in c:
            if kind == "flag":
                attrs.flags.add(value)
            elif kind == "call":
                attrs.calls[value[0]] = value[1]
            else:
                setattr(attrs, kind, value)
        return attrs

    def base_words(self, c):
        return c

    @lark.v_args(meta=True)
    def base(self, meta, c):
        words = [str(w) for w in c[0]] or ["void"]
        return Spec("base", getattr(meta, "line", 0), " ".join(words))

    def named(self, c):
        return Spec("named", c[0].line, str(c[0]))

    def struct_ref(self, c):
        return Spec("struct_ref", c[0].line, str(c[0]))

    @lark.v_args(meta=True)
    def struct_def(self, meta, c):
        return Spec("struct", meta.line, c[0] and str(c[0]), c[1:])

    @lark.v_args(meta=True)
    def union_def(self, meta, c):
        return Spec("union", meta.line, c[0] and str(c[0]), c[1:])

    @lark.v_args(meta=True)
    def enum_def(self, meta, c):
        return Spec("enum", meta.line, c[0] and str(c[0]), c[1:])

    def enumerator(self, c):
        return (str(c[0]), c[1])

    def stars(self, c):
        return len(c)

    def suffix(self, c):
        return "*" if isinstance(c[0], lark.Token) else c[0]

    def declarator(self, c):
        return Declarator(c[0], str(c[1]), c[2:], c[1].line)

    @staticmethod
    def _split(c):
        return (c[0], c[1:]) if c and isinstance(c[0], Attrs) else (Attrs(), c)

    def named_member(self, c):
        attrs, (spec, declarator) = self._split(c)
        return Member(attrs, spec, declarator, declarator.line)

    def anonymous_member(self, c):
        attrs, (spec,) = self._split(c)
        return Member(attrs, spec, None, spec.line)

    def empty_arm(self, c):
        return Member(c[0], None, None, 0)

    def param(self, c):
        attrs, (spec, declarator) = self._split(c)
        return Param(attrs, spec, declarator, declarator.line)

    def params(self, c):
        return [p for p in c if p is not None]

    def method(self, c):
        _, (spec, name, params) = self._split(c)
        return Method(str(name), spec, params, name.line)

    def interface_(self, c):
        attrs, name, base, *items = c
        return Interface(str(name), base and str(base), attrs, [i for i in items if i is not None], name.line)

    def forward(self, _):
        return None

    def const_(self, c):
        return Const(str(c[1]), c[0], c[2], c[1].line)

    def define(self, c):
        _, name, value = str(c[0]).split(None, 2)
        value = re.sub(r"/\*.*|//.*", "", value).strip()
        if not re.fullmatch(r"0[xX][0-9a-fA-F]+[uUlL]*|[0-9]+[uUlL]*", value):
            raise IdlError(f"line {c[0].line}", f"#define {name}: only a number can be its value")
        return Const(name, None, self._number(value), c[0].line)

    @lark.v_args(meta=True)
    def typedef_(self, meta, c):
        attrs, (spec, *declarators) = self._split(c)
        return Typedef(attrs, spec, declarators, meta.line)

    @lark.v_args(meta=True)
    def bare_type(self, meta, c):
        return BareType(c[0], meta.line)

    def import_(self, c):
        return [str(s).strip('"') for s in c]

    def start(self, c):
        return c


_PARSER = lark.Lark(_GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=True)


def _drop_conditionals(name: str, text: str) -> str:
    """No macro is ever defined here, so every #ifdef block goes; line numbers stay."""
    kept, depth = [], 0
    for number, line in enumerate(text.split("\n"), 1):
        word = line.strip().split(" ")[0]
        if word == "#ifdef":
            depth += 1
        drop = depth > 0
        if word == "#endif":
            depth -= 1
        elif word.startswith("#") and word not in ("#ifdef", "#define") and not drop:
            raise IdlError(f"{name}:{number}", f"unknown directive {word}")
        kept.append("" if drop else line)
    if depth:
        raise IdlError(name, "#ifdef without #endif")
    return "\n".join(kept)


def parse(name: str, text: str) -> File:
    """Parses one file; `name` is what messages call it."""
    try:
        items = _Build().transform(_PARSER.parse(_drop_conditionals(name, text)))
    except lark.exceptions.VisitError as error:
        raise IdlError(name, str(error.orig_exc)) from error
    except lark.exceptions.UnexpectedInput as error:
        shown = error.get_context(text).rstrip()
        raise IdlError(f"{name}:{error.line}", f"syntax error\n{shown}") from error
    imports = [i for item in items if isinstance(item, list) for i in item]
    return File(name, imports, [i for i in items if i is not None and not isinstance(i, list)])
