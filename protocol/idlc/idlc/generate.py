"""Prints the C++ of a model: one file per template, written only when its text changed."""

from __future__ import annotations

import argparse
import pathlib
import sys
from dataclasses import dataclass

import jinja2

from . import c_layout, codec, cpp, model as model_module
from .syntax import IdlError
from .types import Alias, ConfArray, Enum, GuidType, Pointer, Struct, has_pending, has_pointees, least_size, strip

CODEC_FILES = 4  # message codecs are split over so many files, for compile time
PRINT_FILES = 3  # the same for printers
PYTHON_FILES = 6  # the same for Python bindings

_ONCE = ["types.hpp", "messages.hpp", "codec.hpp", "codec_parts.hpp", "codec_types.cpp", "method_table.hpp",
         "handler.hpp", "handler.cpp", "skeleton.hpp", "skeleton.cpp", "proxy.hpp", "proxy.cpp", "fields.hpp", "print.hpp", "python.hpp"]
_C_LAYOUT = ["c_layout.hpp", "c_layout.cpp"]


def outputs(with_c_layout: bool) -> list[str]:
    """The names of all generated files."""
    return (_ONCE + (_C_LAYOUT if with_c_layout else []) + [f"codec_messages_{n}.cpp" for n in range(CODEC_FILES)]
            + [f"print_{n}.cpp" for n in range(PRINT_FILES)] + [f"python_{n}.cpp" for n in range(PYTHON_FILES)])


@dataclass
class Handler:
    name: str
    interfaces: list
    methods: list


def _handlers(model, merges: dict[str, list[str]]) -> list[Handler]:
    distinct = {m.name: m for m in model.methods}
    grouped = {name: group for group, names in merges.items() for name in names}
    by_name: dict[str, Handler] = {}
    for interface in model.wire_interfaces:
        name = grouped.get(interface.name, interface.name + "Handler")
        handler = by_name.setdefault(name, Handler(name, [], []))
        handler.interfaces.append(interface)
        for m in interface.methods:
            if not m.reserved and distinct[m.name] not in handler.methods:
                handler.methods.append(distinct[m.name])
    return list(by_name.values())


def _all_structs(model) -> list[Struct]:
    """Nested structures before the ones that hold them."""
    result = []

    def visit(s):
        for n in s.nested:
            visit(n)
        result.append(s)

    for s in model.structs:
        visit(s)
    return result


def _guid(text: str) -> str:
    a, b, c, d, e = text.lower().split("-")
    octets = ", ".join(f"0x{(d + e)[i:i + 2]}" for i in range(0, 16, 2))
    return f"{{0x{a}, 0x{b}, 0x{c}, {{{octets}}}}}"


def _alias_target(alias: Alias) -> str:
    if isinstance(alias.target, GuidType):
        return "dmrp::Guid"
    return cpp.value_type(alias.target)


def _distinct(items):
    seen, result = set(), []
    for label, value in items:
        if value not in seen:
            seen.add(value)
            result.append((label, value))
    return result


def _result_type(method) -> str:
    return "" if strip(method.result).cpp == "void" else cpp.value_type(method.result)


@dataclass
class Printed:
    """A type with a printer; members are (name, whether it is an HRESULT)."""

    type: str
    text: str
    members: list[tuple[str, bool]]


def _is_result(t) -> bool:
    """Whether a type is HRESULT, or an array of them behind any pointers."""
    while True:
        if isinstance(t, Alias) and t.name == "HRESULT":
            return True
        if isinstance(t, (Pointer, Alias)):
            t = t.target
        elif isinstance(t, ConfArray):
            t = t.element
        else:
            return False


def _printed(model) -> list[Printed]:
    def members(fields, top_level):
        results = {f.name for f in fields if _is_result(f.type)}
        return [(name, name in results) for _, name, _ in cpp.members(fields, top_level)]

    result = [Printed(s.qualified, s.text, members(s.fields, False)) for s in _all_structs(model)]
    for m in model.methods:
        result.append(Printed(m.name + "Request", m.name + "Request", members(m.request, True)))
        own = [("result", _is_result(m.result))] if _result_type(m) else []
        result.append(Printed(m.name + "Reply", m.name + "Reply", members(m.reply, True) + own))
    return result


def generate(model, namespace: str, include: str, merges: dict[str, list[str]], sources: str,
             with_c_layout: bool) -> dict[str, str]:
    """File name to text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).with_name("templates")), trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    printed = _printed(model)
    environment.globals.update(
        c_layout=c_layout, c_structs=[s for s in _all_structs(model) if c_layout.eligible(s)],
        printed=[p.type for p in printed],
        model=model, namespace=namespace, include=include, cpp=cpp, handlers=_handlers(model, merges),
        all_structs=_all_structs(model), has_pending=has_pending, has_pointees=has_pointees,
        pending_name=codec.pending_name, pending_members=codec.pending_members, guid=_guid,
        banner=f"// Generated from {sources} by idlc. Do not edit.",
        is_alias=lambda t: isinstance(t, Alias), is_enum=lambda t: isinstance(t, Enum), alias_target=_alias_target,
        distinct=_distinct, result_type=_result_type,
        conformant_size=lambda s: least_size(strip(s.conformant.type).element),
        lines=lambda ls: "\n".join("  " + line for line in ls),
        encoder=lambda s: codec.Encoder(s.text, s.fields, False),
        decoder=lambda s: codec.Decoder(s.text, s.fields, False),
        message_encoder=lambda m, fields: codec.Encoder(m.name, fields, True),
        message_decoder=lambda m, fields: codec.Decoder(m.name, fields, True))
    once = _ONCE + (_C_LAYOUT if with_c_layout else [])
    texts = {name: environment.get_template(name + ".j2").render() for name in once}
    for n in range(CODEC_FILES):
        template = environment.get_template("codec_messages.cpp.j2")
        texts[f"codec_messages_{n}.cpp"] = template.render(methods=model.methods[n::CODEC_FILES])
    for n in range(PRINT_FILES):
        template = environment.get_template("print_part.cpp.j2")
        texts[f"print_{n}.cpp"] = template.render(part=printed[n::PRINT_FILES])
    for n in range(PYTHON_FILES):
        template = environment.get_template("python_part.cpp.j2")
        texts[f"python_{n}.cpp"] = template.render(part=printed[n::PYTHON_FILES], number=n, python_files=PYTHON_FILES)
    return texts


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="idlc", description="Generates C++ from IDL files.")
    parser.add_argument("--out", type=pathlib.Path, help="folder of the generated files")
    parser.add_argument("--namespace", default="dmrp")
    parser.add_argument("--include", default="dmrp/interfaces", help="the folder as #include directives name it")
    parser.add_argument("--merge", action="append", default=[], metavar="HANDLER=INTERFACE,...",
                        help="serve these interfaces by one handler class")
    parser.add_argument("--c-layout", action="store_true", help="generate codecs of C memory layouts too")
    parser.add_argument("--list-outputs", action="store_true", help="print the names of the generated files")
    parser.add_argument("--list-inputs", action="store_true", help="print the files that the generator is made of")
    parser.add_argument("idl", nargs="*", type=pathlib.Path)
    options = parser.parse_args(arguments)
    if options.list_outputs:
        print(";".join(outputs(options.c_layout)), end="")
        return 0
    if options.list_inputs:
        own = pathlib.Path(__file__).parent
        files = [*own.glob("*.py"), *own.glob("*.lark"), *own.glob("templates/*.j2")]
        print(";".join(str(f) for f in sorted(files)), end="")
        return 0
    if not options.out or not options.idl:
        parser.error("--out and at least one IDL file are required")
    merges = {name: members.split(",") for name, members in (m.split("=") for m in options.merge)}
    try:
        model = model_module.load(options.idl)
        sources = ", ".join(p.name for p in options.idl)
        texts = generate(model, options.namespace, options.include, merges, sources, options.c_layout)
    except IdlError as error:
        print(error, file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        target = options.out / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
    return 0
