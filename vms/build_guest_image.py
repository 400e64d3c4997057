#!/usr/bin/python3
"""Builds the guest image from the host's Debian packages: kernel, base file system and server.

Writes into the output directory

    vmlinux      the kernel as an uncompressed ELF file (boots faster than the distribution's bzImage)
    initrd.img   an uncompressed cpio with agent, server and its configuration, then the lz4-compressed base
    guest.json   names, sizes and SHA-256 of both, and what they were made from

Needs no root and no network. The same inputs give the same octets. What changes seldom (the unpacked kernel, the
compressed base) is kept in a cache directory under a hash of its inputs, so a rebuilt server costs little.
"""

import argparse
import hashlib
import json
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

from newc import Entry, archive

HERE = pathlib.Path(__file__).resolve().parent
BOOT = pathlib.Path("/boot")
MODULES = pathlib.Path("/lib/modules")
BUSYBOX = pathlib.Path("/usr/bin/busybox")
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
# First octets of a compressed stream inside a bzImage, and how to unpack what follows.
KERNEL_STREAMS = {
    bytes.fromhex("fd377a585a00"): lambda data: lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data),
    bytes.fromhex("02214c18"): lambda data: run(["lz4", "-dc"], data, check=False),
}


class BuildError(Exception):
    """What is missing, and what to do about it."""


def run(argv: list[str], data: bytes | None = None, check: bool = True) -> bytes:
    try:
        done = subprocess.run(argv, input=data, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise BuildError(f"{argv[0]} is not installed") from error
    if check and done.returncode != 0:
        raise BuildError(f"{' '.join(argv)} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(path: pathlib.Path, data: bytes) -> None:
    """Replaces the file in one step, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def cached(path: pathlib.Path, make) -> bytes:
    if not path.exists():
        write(path, make())
    return path.read_bytes()


def kernel_version() -> str:
    """The newest installed full kernel (the cloud flavour lacks the storage drivers)."""

    def key(version: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", version)]

    found = [path.name.removeprefix("vmlinuz-") for path in BOOT.glob("vmlinuz-*")]
    found = [version for version in found if "cloud" not in version and (MODULES / version / "modules.dep").exists()]
    if not found:
        raise BuildError("no kernel with modules in /boot: install linux-image-amd64")
    return max(found, key=key)


def unpack_kernel(image: bytes) -> bytes:
    for magic, unpack in KERNEL_STREAMS.items():
        at = image.find(magic)
        while at >= 0:
            try:
                kernel = unpack(image[at:])
            except lzma.LZMAError:
                kernel = b""
            if kernel.startswith(b"\x7fELF"):
                return kernel
            at = image.find(magic, at + 1)
    raise BuildError("the kernel image holds neither an XZ nor an LZ4 compressed ELF file")


def closure(programs: list[pathlib.Path]) -> dict[str, bytes]:
    """The shared libraries and the loader of the programs, by their path in the guest."""
    libraries: dict[str, bytes] = {}
    for program in programs:
        text = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
        if "not found" in text:
            raise BuildError(f"{program} lacks a library:\n{text}")
        for path in re.findall(r"(/\S+) \(0x", text):
            target = merged(path)
            libraries[target] = pathlib.Path(path).read_bytes()
    return libraries


def merged(path: str) -> str:
    """/lib/x becomes usr/lib/x: the image has its top-level program folders as links, as Debian does."""
    path = path.lstrip("/")
    top, _, rest = path.partition("/")
    return f"{LINKS[top]}/{rest}" if top in LINKS else path


def module_files(version: str, names: list[str]) -> dict[str, bytes]:
    """The modules with everything they depend on, and the indexes depmod makes for them."""
    text = run(["modinfo", "-k", version, "-F", "filename", *names]).decode()
    wanted = {line for line in text.splitlines() if line.startswith("/")}
    depends = {}
    for line in (MODULES / version / "modules.dep").read_text().splitlines():
        module, _, needs = line.partition(":")
        depends[str(MODULES / version / module)] = [str(MODULES / version / need) for need in needs.split()]
    for module in list(wanted):
        wanted.update(depends[module])
    with tempfile.TemporaryDirectory() as stage:
        root = pathlib.Path(stage)
        for source in [*wanted, *(str(MODULES / version / f"modules.{kind}") for kind in ("builtin", "order"))]:
            target = root / source.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        run(["/sbin/depmod", "-b", stage, version])
        found = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
        return {merged(str(name)): path.read_bytes() for name, path in found.items() if name.suffix != ".bin" or
                name.name in ("modules.dep.bin", "modules.alias.bin", "modules.symbols.bin")}


def base_entries(version: str, table: dict) -> list[Entry]:
    def installed(kind: str) -> list[pathlib.Path]:
        for name, package in table[kind].items():
            if not pathlib.Path(name).exists():
                raise BuildError(f"{name} is missing: install {package}")
        return [pathlib.Path(name) for name in table[kind]]

    programs = installed("programs")
    libraries = installed("libraries")
    if not BUSYBOX.exists():
        raise BuildError(f"{BUSYBOX} is missing: install busybox-static")
    entries = [Entry.link(name, target) for name, target in LINKS.items()]
    entries += [Entry.directory(name) for name in ("dev", "proc", "sys", "tmp", "run", "root", "mnt", "var/log", "usr/lib64")]
    entries += [Entry.file(merged(str(path)), path.read_bytes(), 0o755) for path in programs]
    shared = closure(programs + libraries) | {merged(str(path)): path.read_bytes() for path in libraries}
    entries += [Entry.file(path, data, 0o755) for path, data in shared.items()]
    entries += [Entry.link(path, target) for path, target in table["links"].items()]
    entries.append(Entry.file("usr/bin/busybox", BUSYBOX.read_bytes(), 0o755))
    taken = {entry.path for entry in entries}
    for applet in run([str(BUSYBOX), "--list-full"]).decode().split():
        path = merged(applet)
        if path not in taken and path.startswith("usr/"):
            entries.append(Entry.link(path, "/usr/bin/busybox"))
    names = [*table["boot_modules"], *table["modules"]]
    entries += [Entry.file(path, data) for path, data in module_files(version, names).items()]
    entries.append(Entry.file("etc/dmrp/boot-modules", "".join(f"{name}\n" for name in table["boot_modules"]).encode()))
    entries.append(Entry.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"))
    entries.append(Entry.file("etc/group", b"root:x:0:\n"))
    entries.append(Entry.link("etc/mtab", "/proc/self/mounts"))
    return entries


def stripped(path: pathlib.Path) -> bytes:
    with tempfile.NamedTemporaryFile() as file:
        run(["strip", "-s", "-o", file.name, str(path)])
        return pathlib.Path(file.name).read_bytes()


def server_entries(arguments: argparse.Namespace, base: set[str]) -> list[Entry]:
    entries = [Entry.file("init", (HERE / "init").read_bytes(), 0o755)]
    entries.append(Entry.file("usr/sbin/dmrp-agent", stripped(arguments.agent), 0o755))
    for path in arguments.program:
        entries.append(Entry.file(f"usr/sbin/{path.name}", stripped(path), 0o755))
    libraries = closure(arguments.program)
    entries += [Entry.file(path, data, 0o755) for path, data in libraries.items() if path not in base]
    for item in arguments.file:
        target, _, source = item.partition("=")
        entries.append(Entry.file(target.lstrip("/"), pathlib.Path(source).read_bytes()))
    return entries


def build(arguments: argparse.Namespace) -> dict:
    table_text = (HERE / "guest_image.toml").read_bytes()
    table = tomllib.loads(table_text.decode())
    version = arguments.kernel or kernel_version()
    image = (BOOT / f"vmlinuz-{version}").read_bytes()
    kernel = cached(arguments.cache / f"vmlinux-{sha256(image)[:16]}", lambda: unpack_kernel(image))

    # Gathering the base's files takes less than a second; compressing them is what the cache saves.
    entries = base_entries(version, table)
    base = archive(entries)
    packed = cached(arguments.cache / f"base-{sha256(base)[:16]}.lz4", lambda: run(["lz4", "-l", "-9", "-c"], base))
    initrd = archive(server_entries(arguments, {entry.path for entry in entries})) + packed

    manifest = {
        "kernel": {"file": "vmlinux", "version": version, "size": len(kernel), "sha256": sha256(kernel)},
        "initrd": {"file": "initrd.img", "size": len(initrd), "sha256": sha256(initrd)},
        "base": {"size": len(base), "sha256": sha256(base)},
        "programs": [path.name for path in arguments.program],
    }
    for name, data in (("vmlinux", kernel), ("initrd.img", initrd)):
        path = arguments.output / name
        if not path.exists() or path.read_bytes() != data:
            write(path, data)
    write(arguments.output / "guest.json", (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode())
    return manifest


def main() -> int:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True, help="directory for the three files")
    parser.add_argument("--agent", type=pathlib.Path, required=True, help="the statically linked guest agent")
    parser.add_argument("--program", type=pathlib.Path, action="append", default=[],
                        help="a program to put into /usr/sbin with its libraries; may be given again")
    parser.add_argument("--file", action="append", default=[], metavar="GUESTPATH=HOSTPATH",
                        help="a file to put into the guest; may be given again")
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path(home) / "dmrp" / "image")
    parser.add_argument("--kernel", help="kernel version, default: the newest installed")
    arguments = parser.parse_args()
    try:
        manifest = build(arguments)
    except (BuildError, OSError) as error:
        print(f"build_guest_image: {error}", file=sys.stderr)
        return 1
    print(f"guest image: kernel {manifest['kernel']['version']}, initrd {manifest['initrd']['size'] >> 10} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
