"""The structures of a dynamic disk's database: bytes to values and back, field by field.

Both the maker of images (ldm_image.py) and the checker (ldm_invariants.py) read with it; no part of the server does.
All integers are big-endian. Reading is lenient where it can be: a value that is wrong is for the checker to name,
only bytes that cannot be cut into fields at all raise Malformed.
"""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass, field

SECTOR = 512  # every structure's own size, and the block that records count in
SLOT = 128  # one VBLK
PAYLOAD = SLOT - 16  # of a slot
HOST_GUID = "1b77da20-c717-11d0-a5be-00a0c91db73c"  # the same on every host

VOLUME, PLEX, SUBDISK, DISK, GROUP = 0x51, 0x32, 0x33, 0x34, 0x35
STRIPE, CONCAT, RAID5 = 1, 2, 3  # layouts of a plex
ALL_COPIES = 0xFFFFFFFF


class Malformed(ValueError):
    """Bytes that cannot be this structure."""


def checksum(block: bytes) -> int:
    """Of a PRIVHEAD or TOCBLOCK: the sum of its 512 bytes with the checksum's own four as zero."""
    return (sum(block[:8]) + sum(block[12:SECTOR])) & 0xFFFFFFFF


def _summed(block: bytes) -> bytes:
    return block[:8] + struct.pack(">I", checksum(block)) + block[12:]


def text(raw: bytes) -> str:
    """The characters before the padding; latin-1, so that no byte is lost."""
    return raw.split(b"\0", 1)[0].decode("latin-1")


@dataclass
class PrivHead:
    """What a disk is: 512 bytes, in two or three copies. Numbers of sectors are the device's."""

    FORMAT = ">8sIHHQQQQ64s64s64s31sIIHHQQQQQQIIQQI32s121s"

    magic: bytes = b"PRIVHEAD"
    sum: int = 0
    major: int = 2
    minor: int = 12
    time: int = 0  # FILETIME
    sequence: int = 1
    primary: int = 0x7FF
    backup: int = 0x740
    disk_guid: bytes = b""
    host_guid: bytes = HOST_GUID.encode()
    group_guid: bytes = b""
    group_name: bytes = b""
    sector_bytes: int = 512
    flags: int = 0
    public_slice: int = 0
    private_slice: int = 0
    public_start: int = 0
    public_size: int = 0
    private_start: int = 0
    private_size: int = 0x800
    toc_primary: int = 2
    toc_secondary: int = 0x7FD
    configs: int = 1
    logs: int = 1
    config_size: int = 1481
    log_size: int = 224
    boot_signature: int = 0
    set_guids: bytes = bytes(32)
    tail: bytes = bytes(121)

    @classmethod
    def read(cls, block: bytes) -> PrivHead:
        return cls(*struct.unpack(cls.FORMAT, block[:SECTOR]))

    def pack(self) -> bytes:
        """With the checksum that fits."""
        return _summed(struct.pack(self.FORMAT, *dataclasses.astuple(self)))


@dataclass
class TocRegion:
    FORMAT = ">8sHQQHH4s"

    name: bytes
    flags: int
    start: int
    size: int
    unknown: int = 6
    copy: int = 1
    zero: bytes = bytes(4)


@dataclass
class Toc:
    """Where config and log are, in sectors from the start of the private region."""

    magic: bytes = b"TOCBLOCK"
    sum: int = 0
    sequence: int = 1
    zero: bytes = bytes(16)
    regions: list[TocRegion] = field(default_factory=list)
    tail: bytes = b""

    @classmethod
    def read(cls, block: bytes) -> Toc:
        magic, total, sequence, zero = struct.unpack_from(">8sIQ16s", block)
        regions, at = [], 0x24
        while at + 34 <= SECTOR and block[at]:
            regions.append(TocRegion(*struct.unpack_from(TocRegion.FORMAT, block, at)))
            at += 34
        return cls(magic, total, sequence, zero, regions, block[at:SECTOR])

    def pack(self) -> bytes:
        block = struct.pack(">8sIQ16s", self.magic, 0, self.sequence, self.zero)
        for region in self.regions:
            block += struct.pack(TocRegion.FORMAT, *dataclasses.astuple(region))
        return _summed(block + self.tail.ljust(SECTOR - len(block), b"\0"))

    def region(self, name: str) -> TocRegion | None:
        return next((each for each in self.regions if text(each.name) == name), None)


@dataclass
class Vmdb:
    """The header of the database."""

    magic: bytes = b"VMDB"
    slots: int = 5924  # the header counts as the first four
    slot_bytes: int = SLOT
    header_bytes: int = SECTOR
    status: int = 1  # 1 clean, 2 change, 3 commit
    major: int = 4
    minor: int = 10
    group_name: bytes = b""
    group_guid: bytes = b""
    committed: int = 0
    pending: int = 0
    committed_counts: tuple[int, ...] = (0,) * 7  # volumes, plexes, subdisks, disks, disk accesses, -, -
    pending_counts: tuple[int, ...] = (0,) * 7
    time: int = 0  # FILETIME of the last change
    tail: bytes = bytes(315)

    @classmethod
    def read(cls, block: bytes) -> Vmdb:
        head = struct.unpack_from(">4sIIIHHH31s64sQQ", block)
        counts = struct.unpack_from(">14I", block, 0x85)
        return cls(*head, counts[:7], counts[7:], *struct.unpack_from(">Q315s", block, 0xBD))

    def pack(self) -> bytes:
        head = [getattr(self, each.name) for each in dataclasses.fields(self)[:11]]
        counts = struct.pack(">14I", *self.committed_counts, *self.pending_counts)
        return struct.pack(">4sIIIHHH31s64sQQ", *head) + counts + struct.pack(">Q315s", self.time, self.tail)


@dataclass
class LogEntry:
    status: int = 0  # 0 none, 1 detach, 2 dirty, 3 commit
    first: int = 0  # commit: the id before; dirty: the object
    second: int = 0  # commit: the id after; dirty: a transaction of the object
    recovery: int = 0
    zero: bytes = bytes(3)


@dataclass
class LogPage:
    """One page of KLOG, 512 bytes; two are used."""

    magic: bytes = b"KLOG"
    transaction: int = 0
    sequence: int = 0
    pages: int = 2
    index: int = 0
    entries: list[LogEntry] = field(default_factory=lambda: [LogEntry() for _ in range(20)])
    tail: bytes = bytes(8)

    @classmethod
    def read(cls, block: bytes) -> LogPage:
        entries = [LogEntry(*struct.unpack_from(">BQQI3s", block, 0x18 + 24 * i)) for i in range(20)]
        return cls(*struct.unpack_from(">4sQIII", block), entries, block[0x1F8:SECTOR])

    def pack(self) -> bytes:
        block = struct.pack(">4sQIII", self.magic, self.transaction, self.sequence, self.pages, self.index)
        for entry in self.entries:
            block += struct.pack(">BQQI3s", *dataclasses.astuple(entry))
        return block + self.tail


# ---- the encodings inside of records ----


class Fields:
    """Reads the fields of one record, in order. `padded` and `long_numbers` tell how numbers were written."""

    def __init__(self, raw: bytes):
        self.raw = raw
        self.at = 0
        self.complaints: list[str] = []

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.raw):
            raise Malformed(f"the record ends within a field, at byte {self.at} of {len(self.raw)}")
        self.at += count
        return self.raw[self.at - count : self.at]

    def fixed(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def number(self, padded: bool = False) -> int:
        count = self.fixed(1)
        if count > 8:
            raise Malformed(f"a number of {count} bytes at byte {self.at - 1}")
        raw = self.take(count)
        if count and raw[0] == 0 and not (padded and count == 8):
            self.complaints.append(f"the number {raw.hex()} has leading zeros")
        if padded and 4 < count < 8:
            self.complaints.append(f"the size {raw.hex()} takes {count} bytes instead of 8")
        if padded and count == 8 and raw[:4] == bytes(4):
            self.complaints.append(f"the size {raw.hex()} takes 8 bytes for nothing")
        return int.from_bytes(raw, "big")

    def string(self) -> str:
        raw = self.take(self.fixed(1))
        if any(not 0x20 <= each < 0x7F for each in raw):
            self.complaints.append(f"the string {raw!r} is not printable")
        return raw.decode("latin-1")


def number(value: int) -> bytes:
    """Minimal; zero is the single byte 00."""
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(raw)]) + raw


def padded(value: int) -> bytes:
    """A size: from 2^32 on always eight bytes."""
    return number(value) if value < 1 << 32 else b"\x08" + value.to_bytes(8, "big")


def string(value: str) -> bytes:
    raw = value.encode("latin-1")
    return bytes([len(raw)]) + raw


@dataclass
class Record:
    """One record of the database; `values` by the names that READERS below gives them."""

    kind: int  # revision and kind, such as VOLUME
    values: dict
    flags: int = 0  # which optional fields follow
    status: int = 0  # 0 active, 1 to be deleted, 2 to be activated
    number: int = 0  # of this version: "group number" of its slots
    slots: list[int] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)  # of the encoding, when read

    @property
    def id(self) -> int:
        return self.values["id"]

    @property
    def name(self) -> str:
        return self.values["name"]

    def fields(self) -> bytes:
        return WRITERS[self.kind](self.values, self.flags)

    def pack(self) -> bytes:
        """Header and fields, not yet cut into slots."""
        raw = self.fields()
        return struct.pack(">HBBI", self.status, self.flags, self.kind, len(raw)) + raw

    def fragments(self) -> list[bytes]:
        """The slots, in order; len(self.slots) of them."""
        raw = self.pack()
        count = -(-len(raw) // PAYLOAD)
        return [
            struct.pack(">4sIIHH", b"VBLK", slot, self.number, index, count)
            + raw[index * PAYLOAD : (index + 1) * PAYLOAD].ljust(PAYLOAD, b"\0")
            for index, slot in zip(range(count), self.slots, strict=True)
        ]


def _read_group(f: Fields, flags: int) -> dict:
    values = {"guid": f.string(), "reserved": f.fixed(4), "ct": f.fixed(8)}
    if flags & 0x08:
        values |= {"config_copies": f.number(), "log_copies": f.number()}
    if flags & 0x10:
        values["minors"] = f.number()
    return values


def _write_group(v: dict, flags: int) -> bytes:
    raw = string(v["guid"]) + struct.pack(">IQ", v["reserved"], v["ct"])
    if flags & 0x08:
        raw += number(v["config_copies"]) + number(v["log_copies"])
    return raw + (number(v["minors"]) if flags & 0x10 else b"")


def _read_disk(f: Fields, _flags: int) -> dict:
    return {"guid": f.string(), "device": f.string(), "disk_flags": f.fixed(4), "ct": f.fixed(8)}


def _write_disk(v: dict, _flags: int) -> bytes:
    return string(v["guid"]) + string(v["device"]) + struct.pack(">IQ", v["disk_flags"], v["ct"])


def _read_volume(f: Fields, flags: int) -> dict:
    values = {
        "type": f.string(), "no_letter": f.string(), "state": f.take(14), "policy": f.fixed(1),
        "volume_number": f.number(), "volume_flags": f.fixed(4), "plexes": f.number(), "ct": f.fixed(8),
        "update": f.fixed(8), "size": f.number(padded=True), "zero": f.fixed(4), "partition_type": f.fixed(1),
        "guid": f.take(16),
    }  # fmt: skip
    for bit, name in ((0x08, "id1"), (0x20, "id2")):
        if flags & bit:
            values[name] = f.number()
    if flags & 0x80:
        values["column_size"] = f.number(padded=True)
    if flags & 0x02:
        values["hint"] = f.string()
    return values


def _write_volume(v: dict, flags: int) -> bytes:
    raw = string(v["type"]) + string(v["no_letter"]) + v["state"] + bytes([v["policy"]]) + number(v["volume_number"])
    raw += struct.pack(">I", v["volume_flags"]) + number(v["plexes"]) + struct.pack(">QQ", v["ct"], v["update"])
    raw += padded(v["size"]) + struct.pack(">IB", v["zero"], v["partition_type"]) + v["guid"]
    raw += number(v["id1"]) if flags & 0x08 else b""
    raw += number(v["id2"]) if flags & 0x20 else b""
    raw += padded(v["column_size"]) if flags & 0x80 else b""
    return raw + (string(v["hint"]) if flags & 0x02 else b"")


def _read_plex(f: Fields, flags: int) -> dict:
    values = {
        "state": f.string(), "layout": f.fixed(1), "plex_flags": f.fixed(4), "subdisks": f.number(),
        "ct": f.fixed(8), "zero": f.take(8), "volume": f.number(), "log_subdisk": f.number(),
    }  # fmt: skip
    if flags & 0x10:
        values |= {"stripe": f.number(padded=True), "columns": f.number()}
    return values


def _write_plex(v: dict, flags: int) -> bytes:
    raw = string(v["state"]) + struct.pack(">BI", v["layout"], v["plex_flags"]) + number(v["subdisks"])
    raw += struct.pack(">Q", v["ct"]) + v["zero"] + number(v["volume"]) + number(v["log_subdisk"])
    return raw + (padded(v["stripe"]) + number(v["columns"]) if flags & 0x10 else b"")


def _read_subdisk(f: Fields, flags: int) -> dict:
    values = {
        "subdisk_flags": f.fixed(4), "ct": f.fixed(8), "start": f.fixed(8), "offset": f.fixed(8),
        "size": f.number(padded=True), "plex": f.number(), "disk": f.number(),
    }  # fmt: skip
    values["column"] = f.number() if flags & 0x08 else 0
    if flags & 0x20:
        values["second"] = f.fixed(8)
    if flags & 0x40:
        values["vista"] = f.number()
    if flags & 0x02:
        values["hidden"] = f.number(padded=True)
    return values


def _write_subdisk(v: dict, flags: int) -> bytes:
    raw = struct.pack(">IQQQ", v["subdisk_flags"], v["ct"], v["start"], v["offset"])
    raw += padded(v["size"]) + number(v["plex"]) + number(v["disk"])
    raw += number(v["column"]) if flags & 0x08 else b""
    raw += struct.pack(">Q", v["second"]) if flags & 0x20 else b""
    raw += number(v["vista"]) if flags & 0x40 else b""
    return raw + (padded(v["hidden"]) if flags & 0x02 else b"")


def _named(write):
    return lambda values, flags: number(values["id"]) + string(values["name"]) + write(values, flags)


READERS = {VOLUME: _read_volume, PLEX: _read_plex, SUBDISK: _read_subdisk, DISK: _read_disk, GROUP: _read_group}
WRITERS = {
    VOLUME: _named(_write_volume), PLEX: _named(_write_plex), SUBDISK: _named(_write_subdisk),
    DISK: _named(_write_disk), GROUP: _named(_write_group),
}  # fmt: skip
KNOWN_FLAGS = {VOLUME: 0x02 | 0x08 | 0x20 | 0x80, PLEX: 0x10, SUBDISK: 0x08 | 0x20 | 0x40 | 0x02, DISK: 0, GROUP: 0x18}


def read_record(raw: bytes) -> Record:
    """A record whose fragments are joined. Its length may be wrong and its kind unknown: Malformed."""
    if len(raw) < 8:
        raise Malformed("a record without a header")
    status, flags, kind, length = struct.unpack_from(">HBBI", raw)
    if kind not in READERS:
        raise Malformed(f"a record of kind {kind:02x}")
    if 8 + length > len(raw):
        raise Malformed(f"a record of {length} bytes in fragments of {len(raw)}")
    fields = Fields(raw[8 : 8 + length])
    values = {"id": fields.number(), "name": fields.string()} | READERS[kind](fields, flags)
    if fields.at != length:
        fields.complaints.append(f"LENGTH: the fields take {fields.at} bytes, the header says {length}")
    if any(raw[8 + length :]):
        fields.complaints.append("LENGTH: behind the fields are bytes that are not zero")
    return Record(kind, values, flags, status, complaints=fields.complaints)


def empty_slot(index: int) -> bytes:
    return struct.pack(">4sI", b"VBLK", index).ljust(SLOT, b"\0")


@dataclass
class Database:
    """The config region as values. `problems`: (invariant of the format, text) of what could not be read."""

    header: Vmdb
    records: list[Record]
    size: int  # bytes of the region
    problems: list[tuple[int, str]] = field(default_factory=list)

    def pack(self) -> bytes:
        """The whole region."""
        region = bytearray(self.header.pack().ljust(self.size, b"\0"))
        for slot in range(4, self.header.slots):
            region[slot * SLOT : (slot + 1) * SLOT] = empty_slot(slot)
        for record in self.records:
            for slot, raw in zip(record.slots, record.fragments(), strict=True):
                region[slot * SLOT : (slot + 1) * SLOT] = raw
        return bytes(region)

    @classmethod
    def read(cls, region: bytes) -> Database:
        header = Vmdb.read(region)
        found: dict[int, list[tuple[int, int, int, bytes]]] = {}
        problems: list[tuple[int, str]] = []
        for slot in range(4, min(header.slots, len(region) // SLOT)):
            raw = region[slot * SLOT : (slot + 1) * SLOT]
            magic, index, group, fragment, count = struct.unpack_from(">4sIIHH", raw)
            if magic != b"VBLK" or index != slot:
                problems.append((36, f"slot {slot} bears {magic!r} and the number {index}"))
                continue
            if count == 0:
                if any(raw[8:]):
                    problems.append((37, f"the free slot {slot} is not zero"))
                continue
            if group == 0:
                problems.append((38, f"slot {slot} is used under the record number 0"))
            found.setdefault(group, []).append((slot, fragment, count, raw[16:]))
        records = []
        for group, parts in found.items():
            count = parts[0][2]
            if [part[1] for part in parts] != list(range(count)) or any(part[2] != count for part in parts) or count > 4:
                problems.append((38, f"record {group}: fragments {[part[1:3] for part in parts]} in slots {[p[0] for p in parts]}"))
                parts.sort(key=lambda part: part[1])
            raw = b"".join(part[3] for part in parts)
            try:
                record = read_record(raw)
            except Malformed as error:
                problems.append((39 if "of kind" in str(error) else 40, f"record {group}: {error}"))
                continue
            length = struct.unpack_from(">I", raw, 4)[0]
            if count != -(-(8 + length) // PAYLOAD):
                problems.append((38, f"record {group}: {count} fragments for {length} bytes"))
            record.number, record.slots = group, [part[0] for part in parts]
            records.append(record)
        return cls(header, records, len(region), problems)

    def of(self, kind: int) -> list[Record]:
        return [record for record in self.records if record.kind == kind]
