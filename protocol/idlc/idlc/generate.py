"""Prints the C++ of a model: one file per template, written only when its text changed."""

from __future__ import annotations

import argparse
import pathlib
import sys
from dataclasses import dataclass

import jinja2

from . import codec, cpp, model as model_module
from .syntax import IdlError
from .types import Alias, Enum, GuidType, Struct, has_pending, has_pointees, least_size, strip

MESSAGE_FILES = 4  # the codecs and printers of messages are split over so many files, for compile time

_ONCE = ["types.hpp", "messages.hpp", "codec.hpp", "codec_parts.hpp", "codec_types.cpp", "method_table.hpp",
         "handler.hpp", "handler.cpp", "skeleton.hpp", "skeleton.cpp", "proxy.hpp", "proxy.cpp"]
_SPLIT = ["codec_messages"]


def outputs() -> list[str]:
    """The names of all generated files."""
    return _ONCE + [f"{stem}_{n}.cpp" for stem in _SPLIT for n in range(MESSAGE_FILES)]


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


def generate(model, namespace: str, include: str, merges: dict[str, list[str]], sources: str) -> dict[str, str]:
    """File name to text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).with_name("templates")), trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    environment.globals.update(
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
    texts = {name: environment.get_template(name + ".j2").render() for name in _ONCE}
    for stem in _SPLIT:
        template = environment.get_template(stem + ".cpp.j2")
        for n in range(MESSAGE_FILES):
            texts[f"{stem}_{n}.cpp"] = template.render(methods=model.methods[n::MESSAGE_FILES])
    return texts


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="idlc", description="Generates C++ from IDL files.")
    parser.add_argument("--out", type=pathlib.Path, help="folder of the generated files")
    parser.add_argument("--namespace", default="dmrp")
    parser.add_argument("--include", default="dmrp/interfaces", help="the folder as #include directives name it")
    parser.add_argument("--merge", action="append", default=[], metavar="HANDLER=INTERFACE,...",
                        help="serve these interfaces by one handler class")
    parser.add_argument("--list-outputs", action="store_true", help="print the names of the generated files")
    parser.add_argument("--list-inputs", action="store_true", help="print the files that the generator is made of")
    parser.add_argument("idl", nargs="*", type=pathlib.Path)
    options = parser.parse_args(arguments)
    if options.list_outputs:
        print(";".join(outputs()), end="")
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
        texts = generate(model, options.namespace, options.include, merges, sources)
    except IdlError as error:
        print(error, file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        target = options.out / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
    return 0
