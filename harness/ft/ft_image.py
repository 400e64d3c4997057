#!/usr/bin/python3
"""Makes basic disks with NT fault-tolerant sets, and the registry hive that knows them, without any part of the server.

    ft_image.py DESCRIPTION.json FOLDER [--output FILE]
    ft_image.py --put VALUE HIVE          puts a record (a file) into a hive, which is made if it is not there

Prints what it made: {"hive", "value", "disks": [{"name", "path", "size", "sector", "signature"}],
"sets": [{"type", "group", "letter", "length", "members": [{"disk", "start", "length", "type", "number"}]}]}; offsets are octets.

A description:
    disks   list of
      name       "a"
      size       "64M"
      sector     512 or 4096
      signature  number; made from the name otherwise
      absent     true: the record knows the disk, but no image is made
      unlisted   true: the record does not know the disk (it may have no members then)
      partitions list of plain partitions {size, type: 7, logical: false, letter: "C"}; they lie behind the members
    sets    list of
      type       mirror, stripe, parity, volume
      letter     "E"
      state      of the set: ok, orphan, disabled, regenerating, initializing, check-parity, no-check-data
      filesystem ntfs, fat or fat32, made over the whole set and put onto its members; zeros otherwise
      label      of the file system
      members    list of
        disk     name; several members of a volume set may lie on one disk
        size     "8M"
        logical  true: a logical drive
        state    healthy, orphaned, regenerating, initializing, sync
        type     of the partition; by itself 86 or 87 by file system, C6 or C7 for orphaned members
        garbage  true: the first MiB of the member holds something else
    patch   {"44": "0200"}: octets of the value, in hexadecimal, written over in place
    names   text that becomes the value's part of names

The parity of row r lies on member n - 1 - r mod n, data follows behind it: as in Windows' dynamic RAID-5.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib
from dataclasses import dataclass, field

import hivex

UNIT = 64 * 1024
TRACK = 63
TYPES = {"mirror": 0, "stripe": 1, "parity": 2, "volume": 3}
PLAIN = 4
MEMBER_STATES = {"healthy": 0, "orphaned": 1, "regenerating": 2, "initializing": 3, "sync": 4}
SET_STATES = {"ok": 0, "orphan": 1, "disabled": 2, "regenerating": 3, "initializing": 4, "check-parity": 5, "no-check-data": 6}
REG_BINARY = 3
CHUNK = 1 << 20


def size_of(value: int | str) -> int:
    """Octets of "64M" or a number."""
    text = str(value)
    factor = {"K": 10, "M": 20, "G": 30}.get(text[-1])
    return int(text) if factor is None else int(text[:-1]) << factor


@dataclass
class Partition:
    size: int
    type: int
    logical: bool = False
    letter: str = ""
    start: int = 0
    number: int = 0  # as Windows counts: primaries first, then logical drives
    ft: tuple[int, int, int, int] = (PLAIN, 0, 0, 0)  # type, state, group, place


@dataclass
class Disk:
    name: str
    size: int
    sector: int
    signature: int
    absent: bool
    listed: bool
    partitions: list[Partition] = field(default_factory=list)
    path: pathlib.Path | None = None
    extended: int = 0  # first sector of the extended partition
    end: int = 0  # sector behind the last partition

    def place(self) -> None:
        """Gives every partition its place: primaries from sector 63 on, then an extended partition with the drives."""
        at = TRACK
        drives = [p for p in self.partitions if p.logical]
        primaries = [p for p in self.partitions if not p.logical]
        for number, partition in enumerate(primaries, 1):
            partition.start, partition.number = at * self.sector, number
            at += partition.size // self.sector
        self.extended = at if drives else 0
        for number, drive in enumerate(drives, len(primaries) + 1):
            drive.start, drive.number = (at + TRACK) * self.sector, number
            at += TRACK + drive.size // self.sector
        if at * self.sector > self.size:
            raise SystemExit(f"{self.name}: the partitions need {at * self.sector} octets")
        self.end = at
        self.partitions.sort(key=lambda p: p.start)

    def table(self) -> str:
        """A script of sfdisk, which counts logical drives from 5 on."""

        def entry(number: int, partition: Partition) -> str:
            return f"{number}: start={partition.start // self.sector}, size={partition.size // self.sector}, type={partition.type:x}"

        primaries = [p for p in self.partitions if not p.logical]
        lines = ["label: dos", f"label-id: {self.signature:#010x}"]
        lines += [entry(number, p) for number, p in enumerate(primaries, 1)]
        if self.extended:
            lines.append(f"{len(primaries) + 1}: start={self.extended}, size={self.end - self.extended}, type=5")
            lines += [entry(number, p) for number, p in enumerate((p for p in self.partitions if p.logical), 5)]
        return "\n".join(lines) + "\n"


@dataclass
class Member:
    disk: Disk
    partition: Partition
    state: int
    garbage: bool


@dataclass
class FtSet:
    type: str
    group: int
    state: int
    members: list[Member]
    filesystem: str
    label: str
    letter: str

    @property
    def column(self) -> int:
        return min(m.partition.size for m in self.members) // UNIT * UNIT

    @property
    def length(self) -> int:
        sizes = [m.partition.size for m in self.members]
        return {
            "mirror": min(sizes),
            "stripe": self.column * len(sizes),
            "parity": self.column * (len(sizes) - 1),
            "volume": sum(sizes),
        }[self.type]

    def pieces(self, data: bytes) -> list[bytes]:
        """What each member holds of the octets of the whole set."""
        count = len(self.members)
        if self.type == "mirror":
            return [data] * count
        if self.type == "volume":
            parts, at = [], 0
            for member in self.members:
                parts.append(data[at : at + member.partition.size])
                at += member.partition.size
            return parts
        units = [data[at : at + UNIT] for at in range(0, len(data), UNIT)]
        if self.type == "stripe":
            return [b"".join(units[place::count]) for place in range(count)]
        columns: list[list[bytes]] = [[] for _ in range(count)]
        for row in range(len(units) // (count - 1)):
            mine = units[row * (count - 1) : (row + 1) * (count - 1)]
            parity_at = count - 1 - row % count
            parity = 0
            for i, unit in enumerate(mine):
                columns[(parity_at + 1 + i) % count].append(unit)
                parity ^= int.from_bytes(unit, "little")
            columns[parity_at].append(parity.to_bytes(UNIT, "little"))
        return [b"".join(column) for column in columns]


def run(*argv: str, given: str = "") -> None:
    environment = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    done = subprocess.run(argv, input=given, text=True, capture_output=True, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"{argv[0]}: {done.stdout}{done.stderr}")


def contents(ft_set: FtSet, folder: pathlib.Path) -> bytes:
    """The octets of a set with a fresh file system."""
    sector = ft_set.members[0].disk.sector
    start = ft_set.members[0].partition.start // sector
    with tempfile.NamedTemporaryFile(dir=folder) as image:
        os.truncate(image.fileno(), ft_set.length)
        if ft_set.filesystem == "ntfs":
            run("mkntfs", "-F", "-Q", "-q", "-s", str(sector), "-p", str(start), "-H", "255", "-S", "63",
                "-L", ft_set.label, image.name)  # fmt: skip
        else:
            bits = "32" if ft_set.filesystem == "fat32" else "16"
            run("mkfs.fat", "-F", bits, "-S", str(sector), "-h", str(start), "-g", "255/63", "-n", ft_set.label or "NO NAME",
                image.name)  # fmt: skip
        return pathlib.Path(image.name).read_bytes()


def put_sparse(path: pathlib.Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as image:
        for at in range(0, len(data), CHUNK):
            part = data[at : at + CHUNK]
            if part.count(0) != len(part):
                image.seek(offset + at)
                image.write(part)


def pack_value(disks: list[Disk], sets: list[FtSet], names: bytes) -> bytes:
    """DISK_CONFIG_HEADER, DISK_REGISTRY and FT_REGISTRY of ntdskreg.h."""
    header_size, out, where = 44, bytearray(), {}
    listed = [disk for disk in disks if disk.listed]
    out += struct.pack("<HH", len(listed), 0)
    for disk in listed:
        out += struct.pack("<HHI", len(disk.partitions), 0, disk.signature)
        for part in disk.partitions:
            where[id(part)] = header_size + len(out)
            ft_type, state, group, place = part.ft
            letter = ord(part.letter[0]) if part.letter else 0
            out += struct.pack("<IIQQQIIBBHHHB3x", ft_type, state, part.start, part.size, 0, 0, 0,
                               letter, bool(letter), part.number, group, place, 0)  # fmt: skip
    disks_size = len(out)
    if sets:
        out += struct.pack("<HH", len(sets), 0)
    for ft_set in sets:
        out += struct.pack("<HHII", len(ft_set.members), TYPES[ft_set.type], 0, ft_set.state)
        for member in ft_set.members:
            out += struct.pack("<HHIII", member.state, 0, member.disk.signature, where[id(member.partition)],
                               member.partition.number)  # fmt: skip
    ft_size = len(out) - disks_size
    header = struct.pack("<II4xIIIIIIII", 3, 0, header_size, disks_size, header_size + disks_size if sets else 0, ft_size,
                         0, 0, header_size + len(out) if names else 0, len(names))  # fmt: skip
    assert len(header) == header_size
    return header + bytes(out) + names


def empty_hive() -> bytes:
    """A hive with a root key and its security descriptor, which hivex can go on with."""
    block, root, security, free = 4096, 0x20, 0x80, 0xC0
    octets = bytearray(2 * block)
    struct.pack_into("<4sIIQIIIIIII", octets, 0, b"regf", 1, 1, 0, 1, 3, 0, 1, root, block, 1)
    checksum = 0
    for (word,) in struct.iter_unpack("<I", octets[:508]):
        checksum ^= word
    struct.pack_into("<I", octets, 508, checksum)
    struct.pack_into("<4sII", octets, block, b"hbin", 0, block)
    none = 0xFFFFFFFF
    cell = block + root
    struct.pack_into("<i2sH", octets, cell, root - security, b"nk", 0x2C)
    struct.pack_into("<I", octets, cell + 20, root)
    for lists in (32, 36, 44, 52):
        struct.pack_into("<I", octets, cell + lists, none)
    struct.pack_into("<I", octets, cell + 48, security)
    struct.pack_into("<HH1s", octets, cell + 76, 1, 0, b"$")
    struct.pack_into("<i2sHIIII", octets, block + security, security - free, b"sk", 0, security, security, 1, 20)
    struct.pack_into("<I", octets, block + security + 24, 0x80000001)
    struct.pack_into("<I", octets, block + free, block - free)
    return bytes(octets)


def put_record(hive: pathlib.Path, value: bytes) -> None:
    """Makes HKLM\\SYSTEM\\DISK hold the record and nothing else; the hive is replaced in one step."""
    base = hive.read_bytes() if hive.exists() else empty_hive()
    fresh = hive.with_name(hive.name + ".new")
    fresh.write_bytes(base)
    handle = hivex.Hivex(str(fresh), write=True)
    root = handle.root()
    key = handle.node_get_child(root, "DISK")
    if key is None:
        key = handle.node_add_child(root, "DISK")
    handle.node_set_values(key, [{"key": "Information", "t": REG_BINARY, "value": value}])
    handle.commit(None)
    os.replace(fresh, hive)


def read_description(told: dict) -> tuple[list[Disk], list[FtSet]]:
    disks = {}
    for one in told["disks"]:
        signature = one.get("signature") or zlib.crc32(one["name"].encode()) | 1
        disks[one["name"]] = Disk(one["name"], size_of(one["size"]), one.get("sector", 512), signature, one.get("absent", False),
                                  not one.get("unlisted", False))  # fmt: skip
    sets: list[FtSet] = []
    for one in told.get("sets", []):
        kind, filesystem, letter = one["type"], one.get("filesystem", ""), one.get("letter", "")
        group = sum(other.type == kind for other in sets)
        members = []
        for place, member in enumerate(one["members"]):
            state = MEMBER_STATES[member.get("state", "healthy")]
            plain = {"fat": 0x06, "fat32": 0x0B}.get(filesystem, 0x07)
            marked = plain | (0xC0 if state == MEMBER_STATES["orphaned"] else 0x80)
            partition = Partition(size_of(member["size"]), member.get("type", marked), member.get("logical", False), letter,
                                  ft=(TYPES[kind], state, group, place))  # fmt: skip
            disk = disks[member["disk"]]
            disk.partitions.append(partition)
            members.append(Member(disk, partition, state, member.get("garbage", False)))
        sets.append(FtSet(kind, group, SET_STATES[one.get("state", "ok")], members, filesystem, one.get("label", ""), letter))
    for one in told["disks"]:
        disk = disks[one["name"]]
        for plain in one.get("partitions", []):
            disk.partitions.append(Partition(size_of(plain["size"]), plain.get("type", 7), plain.get("logical", False),
                                             plain.get("letter", "")))  # fmt: skip
        disk.place()
    return list(disks.values()), sets


def make(told: dict, folder: pathlib.Path) -> dict:
    disks, sets = read_description(told)
    for disk in disks:
        if disk.absent:
            continue
        disk.path = folder / f"ft-{disk.name}-{os.urandom(4).hex()}.raw"
        with disk.path.open("wb") as image:
            image.truncate(disk.size)
        # sfdisk cannot be told the size of sectors; fdisk takes its scripts.
        script = disk.path.with_suffix(".sfdisk")
        script.write_text(disk.table())
        run("fdisk", "-w", "always", "-W", "always", "-b", str(disk.sector), str(disk.path), given=f"I\n{script}\nw\n")
        script.unlink()
    for ft_set in sets:
        pieces = ft_set.pieces(contents(ft_set, folder)) if ft_set.filesystem else [b""] * len(ft_set.members)
        for member, piece in zip(ft_set.members, pieces):
            if member.disk.path is None:
                continue
            put_sparse(member.disk.path, member.partition.start, piece)
            if member.garbage:
                put_sparse(member.disk.path, member.partition.start, b"\xa5" * min(CHUNK, member.partition.size))
    value = bytearray(pack_value(disks, sets, told.get("names", "").encode("utf-16le")))
    for offset, octets in told.get("patch", {}).items():
        new = bytes.fromhex(octets)
        value[int(offset) : int(offset) + len(new)] = new
    stem = folder / f"ft-{os.urandom(4).hex()}"
    value_file, hive = stem.with_suffix(".value"), stem.with_suffix(".hive")
    value_file.write_bytes(value)
    put_record(hive, bytes(value))
    return {
        "hive": str(hive),
        "value": str(value_file),
        "disks": [
            {"name": d.name, "path": str(d.path), "size": d.size, "sector": d.sector, "signature": d.signature}
            for d in disks if not d.absent
        ],
        "sets": [
            {
                "type": s.type,
                "group": s.group,
                "letter": s.letter,
                "length": s.length,
                "members": [
                    {"disk": m.disk.name, "start": m.partition.start, "length": m.partition.size, "type": m.partition.type,
                     "number": m.partition.number}
                    for m in s.members
                ],
            }
            for s in sets
        ],
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("description", type=pathlib.Path, nargs="?")
    parser.add_argument("folder", type=pathlib.Path, nargs="?")
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--put", type=pathlib.Path, nargs=2, metavar=("VALUE", "HIVE"))
    arguments = parser.parse_args()
    if arguments.put:
        put_record(arguments.put[1], arguments.put[0].read_bytes())
        return 0
    if arguments.folder is None:
        parser.error("a description and a folder are needed")
    made = json.dumps(make(json.loads(arguments.description.read_text()), arguments.folder), indent=1)
    if arguments.output:
        arguments.output.write_text(made)
    else:
        print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
