"""Partition tables of dynamic disks: written and read with struct alone.

Positions and lengths are in sectors of the disk. See ldm_structures.py for the database itself.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass, field

DYNAMIC = 0x42
METADATA = uuid.UUID("5808c8aa-7e8f-42e0-85d2-e1e90434cfb3")
DATA = uuid.UUID("af9b60a0-1431-4f62-bc68-3311714a69ad")
RESERVED = uuid.UUID("e3c9e316-0b5c-4db8-817d-f92df00215ae")
BASIC = uuid.UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")
NAMES = {METADATA: "LDM metadata partition", DATA: "LDM data partition", RESERVED: "Microsoft reserved partition"}
HEADS, TRACK = 255, 63  # the geometry that Windows writes
CYLINDER = HEADS * TRACK


def chs(lba: int) -> bytes:
    """The three bytes of a place in the table; behind cylinder 1023 they stand still."""
    cylinder, rest = divmod(lba, CYLINDER)
    head, sector = divmod(rest, TRACK)
    if cylinder > 1023:
        cylinder, head, sector = 1023, HEADS - 1, TRACK - 1
    return bytes([head, (cylinder >> 2 & 0xC0) | sector + 1, cylinder & 0xFF])


def sole_end(sectors: int) -> bytes:
    """The end that a sole entry bears: that of the last whole cylinder of the disk."""
    cylinder = min(max(sectors // CYLINDER - 1, 0), 1023)
    return bytes([HEADS - 1, (cylinder >> 2 & 0xC0) | TRACK, cylinder & 0xFF])


@dataclass
class MbrEntry:
    type: int
    start: int
    length: int
    status: int = 0
    start_chs: bytes = b""
    end_chs: bytes = b""

    @property
    def end(self) -> int:
        return self.start + self.length

    def pack(self) -> bytes:
        return struct.pack("<B3sB3sII", self.status, self.start_chs, self.type, self.end_chs, self.start, self.length)


@dataclass
class Mbr:
    """Sector 0. `slots` are the four entries as they stand; unused ones too."""

    slots: list[MbrEntry]
    signature: int = 0
    word: int = 0  # at 1BC
    magic: bytes = b"\x55\xaa"

    @property
    def entries(self) -> list[MbrEntry]:
        return [slot for slot in self.slots if slot.type]

    @classmethod
    def read(cls, sector: bytes) -> Mbr:
        signature, word = struct.unpack_from("<IH", sector, 0x1B8)
        slots = []
        for at in range(446, 510, 16):
            status, start_chs, kind, end_chs, start, length = struct.unpack_from("<B3sB3sII", sector, at)
            slots.append(MbrEntry(kind, start, length, status, start_chs, end_chs))
        return cls(slots, signature, word, sector[510:512])

    def pack(self) -> bytes:
        table = b"".join(slot.pack() for slot in self.slots).ljust(64, b"\0")
        return bytes(0x1B8) + struct.pack("<IH", self.signature, self.word) + table + self.magic


def dynamic_mbr(sectors: int, public: tuple[int, int], retained: list[tuple[int, int]], oem: int, signature: int) -> Mbr:
    """Entries of type 42 that tile the public region, one of its own for each retained (start, length)."""
    entries = [MbrEntry(0xDE, TRACK, oem)] if oem else []
    at, end = public[0], public[0] + public[1]
    for start, length in sorted(retained):
        if start > at:
            entries.append(MbrEntry(DYNAMIC, at, start - at))
        entries.append(MbrEntry(DYNAMIC, start, length))
        at = start + length
    if at < end:
        entries.append(MbrEntry(DYNAMIC, at, end - at))
    if len(entries) > 4:
        raise ValueError(f"the table needs {len(entries)} entries and has room for 4")
    for entry in entries:
        entry.start_chs, entry.end_chs = chs(entry.start), chs(entry.end - 1)
    if len(entries) == 1:
        entries[0].end_chs = sole_end(sectors)
    return Mbr(entries, signature)


@dataclass
class GptEntry:
    type: uuid.UUID
    guid: uuid.UUID
    first: int
    last: int
    attributes: int = 0
    name: str = ""

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    def pack(self) -> bytes:
        name = self.name.encode("utf-16-le").ljust(72, b"\0")
        return self.type.bytes_le + self.guid.bytes_le + struct.pack("<QQQ", self.first, self.last, self.attributes) + name


@dataclass
class Gpt:
    """One of a disk's two tables, with what is wrong with it."""

    FORMAT = "<8sIIIIQQQQ16sQIII"
    ENTRIES = 128

    disk_guid: uuid.UUID
    own: int
    alternate: int
    first_usable: int
    last_usable: int
    array: int
    entries: list[GptEntry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def pack(self) -> tuple[bytes, bytes]:
        """Header and entries."""
        array = b"".join(entry.pack() for entry in self.entries).ljust(self.ENTRIES * 128, b"\0")
        fields = [
            b"EFI PART", 0x10000, 92, 0, 0, self.own, self.alternate, self.first_usable, self.last_usable,
            self.disk_guid.bytes_le, self.array, self.ENTRIES, 128, zlib.crc32(array),
        ]  # fmt: skip
        fields[3] = zlib.crc32(struct.pack(self.FORMAT, *fields))
        return struct.pack(self.FORMAT, *fields), array

    @classmethod
    def read(cls, disk, lba: int, alternate: int) -> Gpt | None:
        """`disk` is an Image; none when nothing at the place bears the magic."""
        raw = disk.sector(lba)
        fields = struct.unpack_from(cls.FORMAT, raw)
        if fields[0] != b"EFI PART":
            return None
        gpt = cls(uuid.UUID(bytes_le=fields[9]), fields[5], fields[6], fields[7], fields[8], fields[10])
        if zlib.crc32(raw[:16] + bytes(4) + raw[20:92]) != fields[3]:
            gpt.problems.append(f"the header at {lba} has a wrong checksum")
        if (gpt.own, gpt.alternate) != (lba, alternate):
            gpt.problems.append(f"the header at {lba} says that it is at {gpt.own} and the other at {gpt.alternate}")
        if fields[12] != 128 or fields[11] > 1024:
            gpt.problems.append(f"{fields[11]} entries of {fields[12]} bytes")
            return gpt
        array = disk.bytes(gpt.array * disk.sector_bytes, fields[11] * 128)
        if zlib.crc32(array) != fields[13]:
            gpt.problems.append(f"the entries of the header at {lba} have a wrong checksum")
        for at in range(0, len(array) // 128 * 128, 128):
            kind = uuid.UUID(bytes_le=array[at : at + 16])
            if kind.int == 0:
                continue
            first, last, attributes = struct.unpack_from("<QQQ", array, at + 32)
            name = array[at + 56 : at + 128].decode("utf-16-le", "replace").split("\0", 1)[0]
            gpt.entries.append(GptEntry(kind, uuid.UUID(bytes_le=array[at + 16 : at + 32]), first, last, attributes, name))
        return gpt


PROTECTIVE = Mbr([MbrEntry(0xEE, 1, 0xFFFFFFFF, 0, b"\x00\x02\x00", b"\xff\xff\xff")])


class Image:
    """A raw image, read by bytes and by sectors of its disk. What lies behind its end reads as zeros."""

    def __init__(self, path, sector_bytes: int = 512):
        self.path = path
        self.sector_bytes = sector_bytes
        self._file = open(path, "rb")  # noqa: SIM115 - closed by close()
        self.size = self._file.seek(0, 2)
        self.sectors = self.size // sector_bytes

    def close(self) -> None:
        self._file.close()

    def bytes(self, at: int, count: int) -> bytes:
        if at >= self.size:
            return bytes(count)
        self._file.seek(at)
        return self._file.read(count).ljust(count, b"\0")

    def sector(self, lba: int, count: int = 1) -> bytes:
        return self.bytes(lba * self.sector_bytes, count * self.sector_bytes)
