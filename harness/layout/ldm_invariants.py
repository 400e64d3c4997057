#!/usr/bin/python3
"""Checks images of dynamic disks against the 66 invariants of the format, each under its number.

    ldm_invariants.py IMAGE[:SECTOR]... [--degraded] [--complete] [--no-data] [--json]

Prints a line for every finding, "I34 disk1.raw: ...", and exits with 1 when there is one. --degraded: states of
failed members and missing redundancy are no findings; --complete: every disk of a group must have an image;
--no-data: the contents of mirrors and RAID-5 volumes are not compared.

The invariants are those that every known disk of Windows keeps; INVARIANTS tells them. What reads here is
harness/disks/ldm_structures.py, the reading side of the harness's own maker of images; the server has no part in it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import re
import sys
from dataclasses import dataclass

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "disks"))

import ldm_tables as tables  # noqa: E402
from ldm_data import check_data  # noqa: E402
from ldm_records import FILETIME_1996, FILETIME_2150, check_records  # noqa: E402
from ldm_structures import (  # noqa: E402
    DISK, HOST_GUID, PLEX, SECTOR, SLOT, SUBDISK, VOLUME, Database, LogPage, PrivHead, Toc, checksum, text,
)  # fmt: skip

OEM_TYPES = {0x12, 0x27, 0x84, 0xA0, 0xDE, 0xFE}
RETAIN = 0x800000

INVARIANTS = {
    1: "sector 0 ends in 55 AA",
    2: "MBR: an entry of type 42 is there, every other is an OEM partition before the public region",
    3: "MBR: the entries of type 42 tile the public region",
    4: "MBR: status bytes are 00 or 80, at most one 80; unused entries are zero",
    5: "MBR: start CHS translates the start; a sole entry ends on the last whole cylinder",
    6: "each subdisk of a volume that retains its partition has an entry of its own",
    7: "MBR: the signature is not zero, the word behind it is",
    8: "GPT: the protective MBR is one EE entry",
    9: "GPT: both tables are valid and equal",
    10: "GPT: one LDM metadata partition, that is the private region; LDM data; no basic data",
    11: "GPT: LDM data partitions lie in the public region and reach its ends",
    12: "GPT: partitions do not overlap, are usable and have distinct GUIDs",
    13: "GPT: LDM partitions bear the standard names and no attributes",
    14: "PRIVHEAD copies are in their places and equal",
    15: "PRIVHEAD checksum",
    16: "PRIVHEAD version",
    17: "PRIVHEAD GUIDs are lower-case text; the host GUID is the constant one",
    18: "PRIVHEAD group name",
    19: "PRIVHEAD sector size; flags, slices, set GUIDs and tail are zero",
    20: "private region is 1 MiB at its place",
    21: "public region is inside of the disk, apart from the private one, with the usual ends",
    22: "PRIVHEAD: one config and one log, as long as the TOC says",
    23: "PRIVHEAD time is plausible",
    24: "PRIVHEAD sequence is that of the TOC",
    25: "TOC pointers name a pair",
    26: "both TOCs are valid and equal",
    27: "the other pair of TOCs is zero or the one before",
    28: "TOC: config, then log, and nothing else",
    29: "config and log lie apart in the private region",
    30: "all other sectors of the private region are zero",
    31: "VMDB header",
    32: "VMDB is clean",
    33: "VMDB names the group as PRIVHEAD does",
    34: "VMDB counts its records",
    35: "VMDB time is plausible, padding is zero",
    36: "every VBLK slot has magic and number",
    37: "free slots are zero",
    38: "records are whole",
    39: "records are at rest, of known kinds and flags",
    40: "record lengths are exact",
    41: "numbers and strings are well formed",
    42: "object ids are distinct",
    43: "transaction ids are not above the committed one",
    44: "one group record",
    45: "disk records",
    46: "the disk is in its own database",
    47: "volume fields",
    48: "volume names, numbers, GUIDs and hints are distinct",
    49: "plex fields",
    50: "volumes have the plexes they claim",
    51: "plex layouts fit the volume's type",
    52: "subdisk fields",
    53: "plexes have the subdisks they claim",
    54: "concatenated plexes are contiguous and as long as the volume",
    55: "columns are complete, equal and as long as the volume says",
    56: "legs and columns lie on distinct disks",
    57: "subdisks do not overlap and lie in the public region",
    58: "subdisks are whole sectors",
    59: "KLOG pages",
    60: "KLOG entries",
    61: "config and log are equal on all disks of the group",
    62: "PRIVHEADs of the group agree",
    63: "disk GUIDs and signatures are distinct",
    64: "every disk of the group has an image",
    65: "legs of mirrors hold the same bytes",
    66: "RAID-5 rows add up to zero",
}


@dataclass(frozen=True)
class Finding:
    number: int
    image: str  # or the group, where it is about more than one image
    text: str

    def __str__(self) -> str:
        return f"I{self.number:02} {self.image}: {self.text}"


@dataclass(frozen=True)
class Options:
    degraded: bool = False
    complete: bool = False
    data: bool = True


class DynamicDisk:
    """One image with its structures, as far as they could be read."""

    def __init__(self, image: tables.Image, report):
        self.image = image
        self.name = pathlib.Path(image.path).name
        self._report = report
        self.mbr = tables.Mbr.read(image.sector(0))
        self.gpts = [tables.Gpt.read(image, 1, image.sectors - 1), tables.Gpt.read(image, image.sectors - 1, 1)]
        self.is_gpt = any(entry.type == 0xEE for entry in self.mbr.entries)
        self.gpt = min((gpt for gpt in self.gpts if gpt), key=lambda gpt: bool(gpt.problems), default=None)
        self.metadata = next((e for e in self.gpt.entries if e.type == tables.METADATA), None) if self.gpt else None
        self.head: PrivHead | None = self._find_head()
        self.toc: Toc | None = None
        self.config = self.log = b""
        self.database: Database | None = None

    def find(self, number: int, text_: str) -> None:
        self._report(number, self.name, text_)

    @property
    def blocks(self) -> int:
        return self.image.sector_bytes // SECTOR

    @property
    def region_sectors(self) -> int:
        """Of a private region as it should be, whatever PRIVHEAD says."""
        return (1 << 20) // self.image.sector_bytes

    def head_places(self) -> dict[str, int]:
        """Where the copies belong, in sectors: by the table and the size of the disk alone."""
        region = self.region_sectors
        start = self.metadata.first if self.is_gpt and self.metadata else self.image.sectors - region
        size = self.metadata.length if self.is_gpt and self.metadata else region
        primary = start + size - 1
        backup = 1856 if self.blocks == 1 else None
        if backup is None:
            raw = self.image.sector(primary)
            backup = PrivHead.read(raw).backup if raw[:8] == b"PRIVHEAD" else 232
        places = {"primary": primary, "backup": start + backup}
        if not self.is_gpt:
            places["first"] = 6
        return places

    def _find_head(self) -> PrivHead | None:
        for place in self.head_places().values():
            raw = self.image.sector(place)
            if raw[:8] == b"PRIVHEAD" and PrivHead.read(raw).sum == checksum(raw):
                return PrivHead.read(raw)
        for place in self.head_places().values():
            raw = self.image.sector(place)
            if raw[:8] == b"PRIVHEAD":
                return PrivHead.read(raw)
        return None

    def relative(self, sector: int, count: int = 1) -> bytes:
        """Sectors of the private region."""
        return self.image.sector(self.head.private_start + sector, count)

    @property
    def disk_guid(self) -> str:
        return text(self.head.disk_guid)

    def byte_of(self, subdisk_start: int) -> int:
        return self.head.public_start * self.image.sector_bytes + subdisk_start * SECTOR

    # ---- I01 to I13: the partition table ----

    def check_table(self) -> None:
        if self.mbr.magic != b"\x55\xaa":
            self.find(1, f"sector 0 ends in {self.mbr.magic.hex()}")
        if self.is_gpt:
            self._check_gpt()
        else:
            self._check_mbr()

    def _check_mbr(self) -> None:
        head, entries = self.head, self.mbr.entries
        dynamic = sorted((e for e in entries if e.type == tables.DYNAMIC), key=lambda e: e.start)
        if not dynamic:
            self.find(2, "no entry of type 42")
        for entry in entries:
            if entry.type != tables.DYNAMIC and (entry.type not in OEM_TYPES or entry.end > head.public_start):
                self.find(2, f"an entry of type {entry.type:02x} at {entry.start} + {entry.length}")
        at = head.public_start
        for entry in dynamic:
            if entry.start != at:
                self.find(3, f"an entry starts at {entry.start} instead of {at}")
            at = entry.end
        if dynamic and at != head.public_start + head.public_size:
            self.find(3, f"the entries end at {at}, the public region at {head.public_start + head.public_size}")
        if any(slot.status not in (0, 0x80) for slot in self.mbr.slots) or sum(s.status == 0x80 for s in self.mbr.slots) > 1:
            self.find(4, f"status bytes {[slot.status for slot in self.mbr.slots]}")
        for index, slot in enumerate(self.mbr.slots):
            if slot.type == 0 and any(slot.pack()):
                self.find(4, f"the unused entry {index + 1} is not zero")
        for entry in entries:
            if entry.start_chs != tables.chs(entry.start):
                self.find(5, f"start CHS {entry.start_chs.hex()} for LBA {entry.start}: {tables.chs(entry.start).hex()}")
        if len(entries) == 1 and entries[0].end_chs != tables.sole_end(self.image.sectors):
            self.find(5, f"end CHS {entries[0].end_chs.hex()}, expected {tables.sole_end(self.image.sectors).hex()}")
        if self.mbr.signature == 0 or self.mbr.word != 0:
            self.find(7, f"signature {self.mbr.signature:08x}, word {self.mbr.word:04x}")

    def _check_gpt(self) -> None:
        mbr, head = self.mbr, self.head
        first = mbr.slots[0]
        good = (first.type, first.start, first.start_chs) == (0xEE, 1, b"\x00\x02\x00")
        if not good or first.length not in (self.image.sectors - 1, 0xFFFFFFFF):
            self.find(8, f"the first entry is {first}")
        if any(any(slot.pack()) for slot in mbr.slots[1:]) or mbr.signature:
            self.find(8, "other entries or the signature are not zero")
        for which, gpt in zip(("primary", "backup"), self.gpts, strict=True):
            for problem in gpt.problems if gpt else [f"no {which} header"]:
                self.find(9, problem)
        if all(self.gpts):
            one, other = self.gpts
            same = ("disk_guid", "first_usable", "last_usable", "entries")
            if any(getattr(one, name) != getattr(other, name) for name in same):
                self.find(9, "the two tables differ")
        if not self.gpt:
            return
        entries = self.gpt.entries
        metadata = [entry for entry in entries if entry.type == tables.METADATA]
        data = [entry for entry in entries if entry.type == tables.DATA]
        if [(e.first, e.length) for e in metadata] != [(head.private_start, head.private_size)]:
            self.find(10, f"metadata partitions {[(e.first, e.length) for e in metadata]}")
        if not data:
            self.find(10, "no LDM data partition")
        if any(entry.type == tables.BASIC for entry in entries):
            self.find(10, "a basic data partition")
        start, end = head.public_start, head.public_start + head.public_size - 1
        if data and (min(e.first for e in data) != start or max(e.last for e in data) != end):
            self.find(11, f"data partitions {[(e.first, e.last) for e in data]}, public region {start} to {end}")
        for one, other in itertools.combinations(entries, 2):
            if one.first <= other.last and other.first <= one.last:
                self.find(12, f"{one.name!r} and {other.name!r} overlap")
            if one.guid == other.guid:
                self.find(12, f"two partitions have the GUID {one.guid}")
        for entry in entries:
            if not self.gpt.first_usable <= entry.first <= entry.last <= self.gpt.last_usable:
                self.find(12, f"{entry.name!r} at {entry.first} to {entry.last} is not in the usable range")
            if entry.guid.int == 0:
                self.find(12, f"{entry.name!r} has no GUID")
            if entry.type in (tables.METADATA, tables.DATA) and (entry.name != tables.NAMES[entry.type] or entry.attributes):
                self.find(13, f"name {entry.name!r}, attributes {entry.attributes:x}")

    # ---- I14 to I30: the private region ----

    def check_heads(self) -> None:
        head = self.head
        copies = {name: self.image.sector(place)[:SECTOR] for name, place in self.head_places().items()}
        for name, raw in copies.items():
            if raw[:8] != b"PRIVHEAD":
                self.find(14, f"no {name} copy")
            elif PrivHead.read(raw).sum != checksum(raw):
                self.find(15, f"{name} copy: {PrivHead.read(raw).sum:x} instead of {checksum(raw):x}")
        if len({raw for raw in copies.values() if raw[:8] == b"PRIVHEAD"}) > 1:
            self.find(14, "the copies differ")
        if head.primary != head.private_size - 1 or (self.blocks == 1 and head.backup != 1856):
            self.find(14, f"copies are said to be at {head.primary} and {head.backup}")
        if (head.major, head.minor) not in ((2, 11), (2, 12)):
            self.find(16, f"version {head.major}.{head.minor}")
        for name, raw in (("disk", head.disk_guid), ("host", head.host_guid), ("group", head.group_guid)):
            if not re.fullmatch(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\0{28}", raw):
                self.find(17, f"{name} GUID {raw!r}")
        if text(head.host_guid) != HOST_GUID:
            self.find(17, f"host GUID {text(head.host_guid)}")
        name = text(head.group_name)
        if not re.fullmatch(r"[!-~]{1,30}", name) or not re.search(r"Dg\d+$", name) or any(head.group_name[len(name) :]):
            self.find(18, f"group name {head.group_name!r}")
        if head.sector_bytes != self.image.sector_bytes:
            self.find(19, f"{head.sector_bytes} bytes in a sector")
        if head.flags or head.public_slice or head.private_slice or any(head.set_guids) or any(head.tail):
            self.find(19, "flags, slices, set GUIDs or tail are not zero")
        self._check_regions()
        if not FILETIME_1996 < head.time < FILETIME_2150:
            self.find(23, f"time {head.time:x}")

    def _check_regions(self) -> None:
        head, sectors = self.head, self.image.sectors
        if head.private_size * self.image.sector_bytes != 1 << 20:
            self.find(20, f"{head.private_size} sectors")
        if not self.is_gpt and head.private_start + head.private_size != sectors:
            self.find(20, f"it ends at {head.private_start + head.private_size} on a disk of {sectors}")
        if self.is_gpt and (not self.metadata or self.metadata.first != head.private_start):
            self.find(20, f"it starts at {head.private_start}, away from the metadata partition")
        end = head.public_start + head.public_size
        private_end = head.private_start + head.private_size
        if not head.public_size or end > sectors or (head.public_start < private_end and head.private_start < end):
            self.find(21, f"{head.public_start} + {head.public_size} beside {head.private_start} + {head.private_size}")
        if self.is_gpt:
            return
        start = max((e.end for e in self.mbr.entries if e.type in OEM_TYPES), default=tables.TRACK)
        if head.public_start != start:
            self.find(21, f"it starts at {head.public_start} instead of {start}")
        if end != head.private_start and (head.minor != 11 or end % tables.CYLINDER or end > head.private_start):
            self.find(21, f"it ends at {end}")

    def check_tocs(self) -> None:
        head = self.head
        size = head.private_size
        pair = (head.toc_primary, head.toc_secondary)
        pairs = {(1, size - 2), (2, size - 3)}
        if self.blocks > 1:
            pairs = set(itertools.product((0, 1, 2), (size - 3, size - 2)))
        if pair not in pairs:
            self.find(25, f"pointers {pair}")
        tocs = [self.relative(place)[:SECTOR] for place in pair]
        for place, raw in zip(pair, tocs, strict=True):
            if raw[:8] != b"TOCBLOCK":
                self.find(26, f"no TOCBLOCK at {place}")
            elif Toc.read(raw).sum != checksum(raw):
                self.find(26, f"the TOCBLOCK at {place} has a wrong checksum")
        if tocs[0] != tocs[1] and all(raw[:8] == b"TOCBLOCK" for raw in tocs):
            self.find(26, "the two differ")
        good = [raw for raw in tocs if raw[:8] == b"TOCBLOCK" and Toc.read(raw).sum == checksum(raw)]
        if not good:
            return
        toc = self.toc = Toc.read(good[0])
        self._check_other_pair(pair, toc)
        if head.sequence < 1 or head.sequence != toc.sequence:
            self.find(24, f"PRIVHEAD {head.sequence}, TOC {toc.sequence}")
        names = [text(region.name) for region in toc.regions]
        constants = [(region.flags, region.unknown, region.copy, any(region.zero)) for region in toc.regions]
        if names != ["config", "log"] or constants != [(0, 6, 1, False)] * 2 or any(toc.zero) or any(toc.tail):
            self.find(28, f"regions {toc.regions}")
        config, log = toc.region("config"), toc.region("log")
        if not config or not log:
            return
        self._check_places(config, log, pair)
        if (head.configs, head.logs, head.config_size, head.log_size) != (1, 1, config.size, log.size):
            self.find(22, f"{head.configs} of {head.config_size}, {head.logs} of {head.log_size}")
        if max(config.start + config.size, log.start + log.size) > min(head.private_size, self.region_sectors):
            return
        self.config = self.relative(config.start, config.size)
        self.log = self.relative(log.start, log.size)

    def _other_tocs(self, pair) -> list[int]:
        size = self.head.private_size
        places = {1, 2, size - 3, size - 2} if self.blocks == 1 else {0, 1, 2, size - 3, size - 2}
        return sorted(places - set(pair))

    def _check_other_pair(self, pair, toc: Toc) -> None:
        others = [self.relative(place)[:SECTOR] for place in self._other_tocs(pair)]
        used = {raw for raw in others if any(raw)}
        if not used:
            return
        if len(used) > 1 or (self.blocks == 1 and not all(any(raw) for raw in others)):
            self.find(27, "the other pair differs in itself")
            return
        raw = used.pop()
        old = Toc.read(raw)

        def places(each: Toc) -> list:
            return [(region.name, region.start, region.size) for region in each.regions]

        if old.magic != b"TOCBLOCK" or old.sum != checksum(raw) or old.sequence != toc.sequence - 1 or places(old) != places(toc):
            self.find(27, f"the other pair: {old}")

    def _check_places(self, config, log, pair) -> None:
        headers = {*pair, *self._other_tocs(pair)} - ({0} if self.blocks > 1 else set())
        headers |= {self.head.primary, self.head.backup}
        config_range = range(config.start, config.start + config.size)
        log_range = range(log.start, log.start + log.size)
        apart = config_range.stop <= log_range.start or log_range.stop <= config_range.start
        inside = max(config_range.stop, log_range.stop) <= self.head.private_size
        clear = not any(place in config_range or place in log_range for place in headers)
        usual = self.blocks > 1 or (config.start, config.size, log.start, log.size) == (17, 1481, 1498, 224)
        if not (apart and inside and clear and usual):
            self.find(29, f"config {config.start} + {config.size}, log {log.start} + {log.size}")
        if not inside:
            return
        headers |= {*pair, *self._other_tocs(pair)}
        for sector in range(min(self.head.private_size, self.region_sectors)):
            if sector in config_range or sector in log_range:
                continue
            skip = SECTOR if sector in headers else 0
            if any(self.relative(sector)[skip:]):
                self.find(30, f"relative sector {sector} is not zero")

    # ---- I59, I60: the log ----

    def check_log(self) -> None:
        committed = self.database.header.committed
        pages = [LogPage.read(self.log[at : at + SECTOR]) for at in (0, SECTOR)]
        for index, page in enumerate(pages):
            same = (page.transaction, page.pages) == (pages[0].transaction, 2)
            if page.magic != b"KLOG" or not same or page.index != index or page.transaction > committed:
                self.find(59, f"page {index}: {page.magic!r} {page.transaction} {page.pages} {page.index}")
            if any(page.tail):
                self.find(59, f"page {index}: bytes behind the entries")
            for entry in page.entries:
                commit_ends = entry.status != 3 or (entry.second == committed and entry.first <= entry.second)
                if entry.status not in (0, 3) or not commit_ends or any(entry.zero):
                    self.find(60, f"page {index}: {entry}")
        if any(self.log[2 * SECTOR :]):
            self.find(59, "the rest of the log is not zero")


class Checker:
    def __init__(self, images: list[tuple[pathlib.Path, int]], options: Options):
        self.options = options
        self.findings: list[Finding] = []
        self.disks = [DynamicDisk(tables.Image(path, sector), self.report) for path, sector in images]

    def report(self, number: int, image: str, text_: str) -> None:
        finding = Finding(number, image, text_)
        if finding not in self.findings:
            self.findings.append(finding)

    def run(self) -> list[Finding]:
        try:
            self._run()
        finally:
            for disk in self.disks:
                disk.image.close()
        return sorted(self.findings, key=lambda finding: finding.number)

    def _run(self) -> None:
        seen: dict[bytes, Database] = {}
        for disk in self.disks:
            if not disk.head:
                disk.find(14, "no PRIVHEAD in any of its places")
                continue
            disk.check_table()
            disk.check_heads()
            disk.check_tocs()
            if not disk.config:
                continue
            if disk.config in seen:
                disk.database = seen[disk.config]
            else:
                disk.database = seen[disk.config] = Database.read(disk.config)
                check_records(disk, self.options.degraded)
            self._check_own(disk)
            disk.check_log()
        groups: dict[bytes, list[DynamicDisk]] = {}
        for disk in self.disks:
            if disk.head:
                groups.setdefault(disk.head.group_guid, []).append(disk)
        for members in groups.values():
            self._check_group(members)
        self._check_distinct()

    def _check_own(self, disk: DynamicDisk) -> None:
        """What a database says of the disk that it lies on: I06, I46, I57, I58."""
        records = disk.database
        own = next((each for each in records.of(DISK) if each.values["guid"] == disk.disk_guid), None)
        if own is None or own.values["disk_flags"] & 0x300:
            disk.find(46, "the database " + ("marks its own disk as gone" if own else "does not have its own disk"))
        if own is None:
            return
        volumes = {each.id: each for each in records.of(VOLUME)}
        plexes = {each.id: each for each in records.of(PLEX)}
        ranges = []
        if disk.is_gpt and disk.gpt:
            ranges = [(entry.first, entry.length) for entry in disk.gpt.entries if entry.type == tables.DATA]
        elif not disk.is_gpt:
            ranges = [(entry.start, entry.length) for entry in disk.mbr.entries if entry.type == tables.DYNAMIC]
        for subdisk in records.of(SUBDISK):
            if subdisk.values["disk"] != own.id:
                continue
            start, size = subdisk.values["start"], subdisk.values["size"]
            if start + size > disk.head.public_size * disk.blocks:
                disk.find(57, f"{subdisk.name} ends at {start + size}, behind the public region")
            if any(value % disk.blocks for value in (start, size, subdisk.values["offset"])):
                disk.find(58, f"{subdisk.name}: {start} + {size} at {subdisk.values['offset']}")
            plex = plexes.get(subdisk.values["plex"])
            volume = volumes.get(plex.values["volume"]) if plex else None
            entry = (disk.head.public_start + start // disk.blocks, size // disk.blocks)
            if volume and volume.values["volume_flags"] & RETAIN and entry not in ranges:
                disk.find(6, f"{subdisk.name} of {volume.name} has no entry of its own")

    def _check_group(self, members: list[DynamicDisk]) -> None:
        group = text(members[0].head.group_name)
        whole = [disk for disk in members if disk.database]
        contents = {(disk.config[: disk.database.header.slots * SLOT], disk.log.rstrip(b"\0")) for disk in whole}
        if len(contents) > 1:
            self.report(61, group, "they differ between " + ", ".join(disk.name for disk in whole))
        for name in ("group_name", "host_guid", "boot_signature"):
            if len({getattr(disk.head, name) for disk in members}) > 1:
                self.report(62, group, f"{name} differs")
        if not whole:
            return
        guids = {disk.disk_guid for disk in members}
        newest = max(whole, key=lambda disk: disk.database.header.committed)
        if self.options.complete:
            for record in newest.database.of(DISK):
                if record.values["guid"] not in guids:
                    self.report(64, group, f"{record.name} has no image")
        if self.options.data:
            committed = newest.database.header.committed
            fresh = {disk.disk_guid: disk for disk in whole if disk.database.header.committed == committed}
            check_data(newest.database, fresh, lambda number, words: self.report(number, group, words))

    def _check_distinct(self) -> None:
        for what, values in {
            "disk GUID": [(disk.disk_guid, disk) for disk in self.disks if disk.head],
            "signature": [(disk.mbr.signature, disk) for disk in self.disks if not disk.is_gpt],
            "GUID of the table": [(disk.gpt.disk_guid, disk) for disk in self.disks if disk.is_gpt and disk.gpt],
        }.items():
            for (one, disk), (other, second) in itertools.combinations(values, 2):
                if one == other:
                    second.find(63, f"{what} {one} is that of {disk.name} too")


def check(images: list[tuple[pathlib.Path, int]], options: Options = Options()) -> list[Finding]:
    """Findings on images with their sector sizes, by the number of the invariant; empty: all of them hold."""
    return Checker(images, options).run()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", nargs="+", metavar="IMAGE[:SECTOR]")
    parser.add_argument("--degraded", action="store_true")
    parser.add_argument("--complete", action="store_true")
    parser.add_argument("--no-data", action="store_true")
    parser.add_argument("--json", action="store_true", help="a list of {number, image, text}")
    options = parser.parse_args(arguments)
    images = []
    for argument in options.image:
        path, _, sector = argument.rpartition(":") if re.search(r":\d+$", argument) else (argument, "", "512")
        if not pathlib.Path(path).is_file() or sector not in ("512", "4096"):
            parser.error(f"{argument}: no such image, or a sector size other than 512 and 4096")
        images.append((pathlib.Path(path), int(sector)))
    findings = check(images, Options(options.degraded, options.complete, not options.no_data))
    if options.json:
        json.dump([vars(finding) for finding in findings], sys.stdout, indent=2)
        print()
    else:
        for finding in findings:
            print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
