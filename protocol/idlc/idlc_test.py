"""What the IDL compiler accepts, what it refuses with which message, and what it makes of the project's IDL."""

import pathlib
import subprocess

import pytest

from idlc import generate, model
from idlc.syntax import IdlError, parse
from idlc.types import ConfArray, Pointer, alignment, least_size, strip

IDL = pathlib.Path(__file__).parent.parent / "idl"
ROOT = pathlib.Path(__file__).parent.parent.parent

HEADER = """
typedef long HRESULT;
typedef unsigned long DWORD;
[local, object, uuid(00000000-0000-0000-C000-000000000046), pointer_default(unique)]
interface IUnknown { HRESULT QueryInterface(); DWORD AddRef(void); DWORD Release(void); }
"""
INTERFACE = "[object, uuid(00000000-0000-0000-0000-000000000001), pointer_default(unique)] interface ITest : IUnknown"


def load(tmp_path, text, name="test.idl"):
    path = tmp_path / name
    path.write_text(HEADER + text)
    return model.load([path])


def line_of(text, needle):
    return next(n for n, line in enumerate((HEADER + text).split("\n"), 1) if needle in line)


def refused(tmp_path, text, needle):
    """The message for a faulty file; it must name the line that holds `needle`."""
    with pytest.raises(IdlError) as caught:
        load(tmp_path, text)
    where, message = str(caught.value).split(": ", 1)
    assert where == f"test.idl:{line_of(text, needle)}"
    return message


@pytest.fixture(scope="module")
def disks():
    return model.load([IDL / "dmintf.idl", IDL / "dmintf3.idl"])


@pytest.fixture(scope="module")
def dcom():
    return model.load([IDL / "dcom.idl", IDL / "dcom-activation.idl", IDL / "epmapper.idl"])


# ---- the project's IDL


@pytest.mark.parametrize("name, callable_count, reserved", [
    ("IVolumeClient", 64, [12, 27, 42, 46, 48, 49, 50, *range(59, 67)]),
    ("IVolumeClient2", 1, []),
    ("IVolumeClient3", 67, [12, *range(56, 64)]),
    ("IVolumeClient4", 2, []),
    ("IDMRemoteServer", 1, []),
    ("IDMNotify", 1, []),
])
def test_methods_and_reserved_numbers(disks, name, callable_count, reserved):
    methods = disks.interface(name).methods
    assert [m.opnum for m in methods] == list(range(3, 3 + len(methods)))
    assert [m.opnum for m in methods if m.reserved] == reserved
    assert len(methods) - len(reserved) == callable_count


def test_server_interfaces_have_135_methods(disks):
    callable_methods = [m for i in disks.wire_interfaces for m in i.methods
                        if not m.reserved and i.name != "IDMNotify"]
    assert len(callable_methods) == 135


def test_numbers_of_the_same_method_in_both_revisions(disks):
    numbers = {i: {m.name: m.opnum for m in disks.interface(i).methods} for i in ("IVolumeClient", "IVolumeClient3")}
    for method, first, third in [("CreatePartition", 5, 5), ("Format", 26, 26), ("EnumVolumes", 28, 27),
                                 ("DeleteVolume", 35, 34), ("AddMirror", 36, 38), ("EnumTasks", 67, 64),
                                 ("Initialize", 71, 68), ("DeleteAccessPath", 81, 78)]:
        assert (numbers["IVolumeClient"][method], numbers["IVolumeClient3"][method]) == (first, third)


def test_same_method_in_several_interfaces_is_one_message(disks):
    names = [m.name for m in disks.methods]
    assert len(names) == len(set(names)) == 77


def test_counts_are_no_members(disks):
    counts = {s.name: [f.name for f in s.fields if f.role == "count"] for s in disks.structs}
    assert counts["DISK_INFO_EX"] == ["cchName", "cchVendor", "cchDgid", "cchAdapterName", "cchDgName", "cchDevInstId"]
    assert counts["FILE_SYSTEM_INFO"] == ["cchLabel"]
    assert counts["TASK_INFO"] == []


def test_alignment_and_least_size(disks):
    assert (alignment(disks.struct("VOLUME_INFO")), least_size(disks.struct("VOLUME_INFO"))) == (8, 54)
    assert alignment(disks.struct("IFILE_SYSTEM_INFO")) == 4


def test_list_of_the_second_dimension_is_one_pointer_to_an_array(disks):
    reply = next(m for m in disks.methods if m.name == "EnumDisksEx").reply
    disk_list = next(f for f in reply if f.name == "diskList")
    assert isinstance(disk_list.type, Pointer) and disk_list.type.kind == "unique"
    array = strip(disk_list.type.target)
    assert isinstance(array, ConfArray) and array.element is disks.struct("DISK_INFO_EX")


def test_inherited_methods_come_first(dcom):
    assert [(m.name, m.opnum) for m in dcom.interface("IRemUnknown2").methods] == [
        ("RemQueryInterface", 3), ("RemAddRef", 4), ("RemRelease", 5), ("RemQueryInterface2", 6)]


def test_handles_are_not_on_the_wire(dcom):
    request = next(m for m in dcom.methods if m.name == "ServerAlive2").request
    assert request == []


# ---- faults in IDL


def test_syntax_error_names_the_line(tmp_path):
    assert "syntax error" in refused(tmp_path, "struct s {\n  long a\n  long b;\n};\n", "long b")


@pytest.mark.parametrize("text, needle, message", [
    ("struct s {\n  NOTHING a;\n};", "NOTHING", "unknown type NOTHING"),
    ("struct s {\n  long n[];\n};", "n[]", "n: an array without bound needs size_is"),
    ("struct s {\n  long a[NONE];\n};", "NONE", "NONE is not a constant"),
    ("struct s {\n  long n;\n  [size_is(n)] long a[];\n  long z;\n};", "a[]",
     "a: a conformant array must be the last member"),
    ("struct s {\n  [size_is(n)] long *a;\n  long n;\n};", "*a", "s.a: its count n must stand before it"),
    ("struct s {\n  union {\n    [default] ;\n  };\n};", "union", "only a union with switch_is may have no name"),
    ("struct s {\n  [switch_is(t)] union {\n    [default] ;\n  };\n};", "union",
     "switch_is must name a member that stands before the union"),
    ("typedef enum _E { A = 0x8000 } E;", "0x8000", "A = 32768 does not fit an enumeration of 16 bits"),
    ("const DWORD A = 1;\nconst DWORD A = 2;", "A = 2", "A is defined twice"),
    ("typedef long T;\ntypedef short T;", "short T", "T is declared twice"),
    (INTERFACE + " {\n  HRESULT M([out] long x);\n}", "long x", "M.x: an out parameter must be a pointer or an array"),
    (INTERFACE + " {\n  HRESULT M(long x);\n}", "long x", "M.x is neither in nor out"),
    (INTERFACE + " {\n  HRESULT M([in, size_is(n,n)] long *x);\n}", "*x",
     "x: size_is has more dimensions than the declarator"),
    ("[object] interface INone : IUnknown { }", "INone", "INone has no uuid"),
    ("[uuid(00000000-0000-0000-0000-000000000001)] interface I : IGone { }", "IGone", "unknown interface IGone"),
    ("const DWORD A = 1 / 0;", "1 / 0", "division by zero"),
])
def test_faults_name_the_line(tmp_path, text, needle, message):
    assert refused(tmp_path, text, needle) == message


def test_same_name_with_other_parameters_is_refused(tmp_path):
    text = (INTERFACE + " {\n  HRESULT M([in] long x);\n}\n"
            + INTERFACE.replace("0001", "0002").replace("ITest", "IOther") + " {\n  HRESULT M([in] short x);\n}\n")
    assert "differs from the method of the same name" in refused(tmp_path, text, "short x")


def test_missing_import_is_named(tmp_path):
    with pytest.raises(IdlError, match="imports gone.idl, which does not exist"):
        load(tmp_path, 'import "gone.idl";')


def test_command_line_prints_the_fault_and_fails(tmp_path, capsys):
    bad = tmp_path / "bad.idl"
    bad.write_text("struct s {\n  GONE a;\n};\n")
    assert generate.main(["--out", str(tmp_path / "out"), str(bad)]) == 1
    assert capsys.readouterr().err == "bad.idl:2: unknown type GONE\n"


# ---- what the language means


def test_constants_and_defines(tmp_path):
    m = load(tmp_path, "#define A 0x10 /* sixteen */\nconst long B = (A + 1) * 2 | ~0 & 0x100;\n"
             "#ifdef __WIDL__\n#define A 3\n#endif\nconst DWORD C = A << 4 ? 7 : 8;\n")
    assert [(c.name, c.value) for c in m.constants] == [("A", 16), ("B", 34 | 0x100), ("C", 7)]


def test_comments_keep_line_numbers():
    tree = parse("x.idl", "/* one\n two */ // three\ntypedef long T;\n")
    assert tree.items[0].line == 3


def test_max_is_counts_one_more(tmp_path):
    m = load(tmp_path, INTERFACE + " { HRESULT M([in] DWORD n, [in, max_is(n)] wchar_t *s); }")
    count = m.methods[0].request[0]
    assert (count.role, count.bias, count.counts) == ("count", 1, ["s"])


def test_size_that_is_no_plain_count_keeps_its_member(tmp_path):
    m = load(tmp_path, "typedef struct { DWORD n; [size_is((n + 7) & ~7)] byte a[]; } T;")
    assert [f.role for f in m.struct("T").fields] == ["value", "value"]


EXAMPLE = INTERFACE + """ {
  typedef struct { DWORD n; [size_is(n)] wchar_t *text; [string] wchar_t *z; } ENTRY;
  HRESULT Brand_New([in] DWORD count, [in, size_is(count)] ENTRY *entries, [in, out] hyper *x,
                    [out] DWORD *n, [out, size_is(,*n)] ENTRY **list);
  HRESULT Reserved7(void);
}
"""


def test_a_method_added_to_the_idl_reaches_every_generated_file(tmp_path):
    texts = generate.generate(load(tmp_path, EXAMPLE), "dmrp::example", "example", {}, "test.idl", True)
    assert "virtual HRESULT Brand_New(" in texts["handler.hpp"]
    assert "case 3:" in texts["skeleton.cpp"] and "case 4:" not in texts["skeleton.cpp"]
    assert "Brand_New" in texts["proxy.hpp"] and "Brand_New" in texts["method_table.hpp"]
    assert "Brand_NewReply" in texts["print.hpp"] and "Brand_NewReply" in texts["fields.hpp"]
    assert "Reserved7Request" not in texts["messages.hpp"]


def test_generated_code_compiles(tmp_path):
    texts = generate.generate(load(tmp_path, EXAMPLE), "dmrp::example", "example", {}, "test.idl", True)
    assert set(texts) == set(generate.outputs(True))
    folder = tmp_path / "example"
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text)
    unit = tmp_path / "all.cpp"
    sources = [name for name in sorted(texts) if name.endswith(".cpp") and not name.startswith(("print_", "python_"))]
    unit.write_text("".join(f'#include "example/{name}"\n' for name in [*sources, "fields.hpp"]))
    subprocess.run(["c++", "-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
                    f"-I{tmp_path}", f"-I{ROOT}", str(unit)], check=True)


def test_files_that_did_not_change_are_not_written(tmp_path):
    idl = tmp_path / "test.idl"
    idl.write_text(HEADER + EXAMPLE)
    out = tmp_path / "out"
    arguments = ["--out", str(out), "--c-layout", str(idl)]
    assert generate.main(arguments) == 0
    before = {f.name: f.stat().st_mtime_ns for f in out.iterdir()}
    assert set(before) == set(generate.outputs(True))
    assert generate.main(arguments) == 0
    assert {f.name: f.stat().st_mtime_ns for f in out.iterdir()} == before
