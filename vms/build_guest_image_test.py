"""The image builder makes the same octets twice, in the format that kernels and cpio read."""

import os
import pathlib
import stat
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from newc import Entry, archive  # noqa: E402


def build(output: pathlib.Path, cache: pathlib.Path, *more: str) -> subprocess.CompletedProcess:
    agent = os.environ.get("DMRP_GUEST_AGENT", "/bin/true")
    return subprocess.run([sys.executable, str(HERE / "build_guest_image.py"), "--output", str(output), "--cache",
                           str(cache), "--agent", agent, "--program", "/bin/true", *more],
                          capture_output=True, text=True, check=False)


def test_two_builds_from_nothing_give_the_same_octets(tmp_path):
    for name in ("first", "second"):
        done = build(tmp_path / name, tmp_path / f"{name}-cache")
        assert done.returncode == 0, done.stderr
    for file in ("vmlinux", "initrd.img", "guest.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes(), file


def test_kernel_is_an_elf_file(tmp_path):
    assert build(tmp_path / "out", tmp_path / "cache").returncode == 0
    assert (tmp_path / "out" / "vmlinux").read_bytes()[:4] == b"\x7fELF"


def test_missing_program_is_named(tmp_path):
    done = build(tmp_path / "out", tmp_path / "cache", "--program", "/nonexistent/server")
    assert done.returncode == 1
    assert "/nonexistent/server" in done.stderr


def test_archive_is_read_by_cpio_as_written(tmp_path):
    entries = [Entry.file("usr/bin/tool", b"#!/bin/sh\n", 0o755), Entry.link("bin", "usr/bin"),
               Entry.file("etc/empty", b"")]
    (tmp_path / "a.cpio").write_bytes(archive(entries))
    busybox = subprocess.run(["busybox", "cpio", "-idm"], input=archive(entries), cwd=tmp_path, check=True,
                             capture_output=True)
    assert busybox.returncode == 0
    tool = tmp_path / "usr/bin/tool"
    assert tool.read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE(tool.stat().st_mode) == 0o755
    assert tool.stat().st_mtime == 0
    assert os.readlink(tmp_path / "bin") == "usr/bin"
    assert (tmp_path / "etc/empty").read_bytes() == b""


def test_archive_does_not_depend_on_the_order_of_entries():
    entries = [Entry.file("b", b"2"), Entry.file("a/x", b"1"), Entry.link("c", "b")]
    assert archive(entries) == archive(reversed(entries))


def test_archive_refuses_two_contents_of_one_path():
    with pytest.raises(ValueError, match="a/x"):
        archive([Entry.file("a/x", b"1"), Entry.file("a/x", b"2")])
