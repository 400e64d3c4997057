"""Invariants 31 to 58 of a group's database: header, slots and records. See ldm_invariants.py."""

from __future__ import annotations

import itertools
import re
from collections import Counter

from ldm_structures import (
    ALL_COPIES, CONCAT, DISK, GROUP, KNOWN_FLAGS, PLEX, RAID5, SLOT, STRIPE, SUBDISK, VOLUME, Record, text,
)  # fmt: skip

FILETIME_1996, FILETIME_2150 = 0x01BAD800_00000000, 0x02C00000_00000000
HEALTHY_VOLUME_FLAGS = 0x1 | 0x2 | 0x10 | 0x100000 | 0x200000 | 0x400000 | 0x800000
PARTITION_TYPES = {0x01, 0x04, 0x06, 0x07, 0x0B, 0x0C, 0x0E}
MOST_MEMBERS = 32
GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class RecordChecker:
    """Checks the database of one disk; findings go to the disk."""

    def __init__(self, disk, degraded: bool):
        self.find = disk.find
        self.head = disk.head
        self.database = disk.database
        self.header = disk.database.header
        self.config = disk.config
        self.sector = disk.image.sector_bytes
        self.degraded = degraded
        self.volumes, self.plexes, self.subdisks, self.disks, self.groups = (
            disk.database.of(kind) for kind in (VOLUME, PLEX, SUBDISK, DISK, GROUP)
        )
        self.by_id = {record.id: record for record in disk.database.records}

    def run(self) -> None:
        for number, problem in self.database.problems:
            self.find(number, problem)
        self._header()
        self._generic()
        self._group()
        self._disks()
        self._volumes()
        self._plexes()
        self._subdisks()
        for volume in self.volumes:
            self._shape(volume)
        self._overlaps()

    def _header(self) -> None:
        header = self.header
        format_ = (header.magic, header.major, header.minor, header.slot_bytes, header.header_bytes)
        # In sectors of more than 512 bytes a part of the last one may be left over.
        slack = self.config[header.slots * SLOT :]
        if format_ != (b"VMDB", 4, 10, SLOT, 512) or header.slots * SLOT > len(self.config) or len(slack) >= self.sector or any(slack):
            self.find(31, f"{format_} and {header.slots} slots in {len(self.config)} bytes")
        if header.status != 1 or header.committed != header.pending or header.committed < 1:
            self.find(32, f"status {header.status}, committed {header.committed}, pending {header.pending}")
        if (header.group_name, header.group_guid) != (self.head.group_name, self.head.group_guid):
            self.find(33, f"{text(header.group_name)} {text(header.group_guid)}")
        counts = tuple(len(each) for each in (self.volumes, self.plexes, self.subdisks, self.disks)) + (0, 0, 0)
        for name, claimed in (("committed", header.committed_counts), ("pending", header.pending_counts)):
            if claimed != counts:
                self.find(34, f"{name} {claimed}, found {counts}")
        if not FILETIME_1996 < header.time < FILETIME_2150 or any(header.tail):
            self.find(35, f"time {header.time:x}, tail {'not ' if any(header.tail) else ''}zero")

    def _generic(self) -> None:
        numbers = Counter(record.number for record in self.database.records)
        for record in self.database.records:
            label = f"{record.name} (id {record.id})"
            if numbers[record.number] > 1:
                self.find(38, f"{label}: another record bears the number {record.number}")
            if record.status != 0:
                self.find(39, f"{label}: status {record.status}")
            if record.flags & ~KNOWN_FLAGS[record.kind] or (record.kind == VOLUME and record.flags & 0x28 == 0x28):
                self.find(39, f"{label}: flags {record.flags:02x}")
            for complaint in record.complaints:
                self.find(40 if complaint.startswith("LENGTH") else 41, f"{label}: {complaint}")
            if not 0 < record.id < 1 << 32:
                self.find(42, f"{label}")
            times = [record.values["ct"], record.values.get("update", 0), record.values.get("second", 0)]
            if max(times) > self.header.committed or times[1] > times[0]:
                self.find(43, f"{label}: transactions {times}, committed {self.header.committed}")
        for value, count in Counter(record.id for record in self.database.records).items():
            if count > 1:
                self.find(42, f"{count} records have the id {value}")

    def _group(self) -> None:
        if len(self.groups) != 1:
            self.find(44, f"{len(self.groups)} group records")
            return
        values = self.groups[0].values
        copies = (values.get("config_copies", ALL_COPIES), values.get("log_copies", ALL_COPIES))
        named = (values["name"], values["guid"]) == (text(self.head.group_name), text(self.head.group_guid))
        if not named or copies != (ALL_COPIES, ALL_COPIES) or values["reserved"]:
            self.find(44, f"{values}")

    def _distinct(self, number: int, what: str, values: list) -> None:
        for value, count in Counter(values).items():
            if count > 1:
                self.find(number, f"{count} records have the {what} {value}")

    def _disks(self) -> None:
        for disk in self.disks:
            if not re.fullmatch(GUID, disk.values["guid"]):
                self.find(45, f"{disk.name}: GUID {disk.values['guid']!r}")
            if not re.fullmatch(r"(Disk|Miss)\d+" if self.degraded else r"Disk\d+", disk.name):
                self.find(45, f"name {disk.name!r}")
            if disk.values["disk_flags"] and not self.degraded:
                self.find(45, f"{disk.name}: flags {disk.values['disk_flags']:x}")
        self._distinct(45, "disk GUID", [disk.values["guid"] for disk in self.disks])
        self._distinct(45, "disk name", [disk.name for disk in self.disks])

    def _volumes(self) -> None:
        for volume in self.volumes:
            v = volume.values
            states = [b"ACTIVE", b"SYNC"] if self.degraded else [b"ACTIVE"]
            allowed = HEALTHY_VOLUME_FLAGS | (0x4 | 0x100 | 0x400 | 0x1000 | 0x2000 if self.degraded else 0)
            checks = {
                "type and policy": (v["type"], v["policy"]) in (("gen", 3), ("raid5", 4)),
                "state": v["state"] in [state.ljust(14, b"\0") for state in states],
                "number": 1 <= v["volume_number"] <= 255,
                "flags": v["volume_flags"] & 0x10 and not v["volume_flags"] & ~allowed,
                "zeros": v["zero"] == 0,
                "partition type": v["partition_type"] in PARTITION_TYPES,
                "drive-letter word": v["no_letter"] in ("", "8000000000000000"),
                "size": v["size"] > 0,
            }
            for what, good in checks.items():
                if not good:
                    self.find(47, f"{volume.name}: {what}")
            if not re.fullmatch(r"[!-~]{1,30}", volume.name) or not any(v["guid"]):
                self.find(48, f"volume {volume.name!r}, GUID {v['guid'].hex()}")
            if "hint" in v and not re.fullmatch(r"[A-Z]:", v["hint"]):
                self.find(48, f"{volume.name}: hint {v['hint']!r}")
        for what in ("name", "volume_number", "guid", "hint"):
            self._distinct(48, what, [v.values[what] for v in self.volumes if what in v.values])

    def _plexes(self) -> None:
        for plex in self.plexes:
            v = plex.values
            parent = self.by_id.get(v["volume"])
            if not parent or parent.kind != VOLUME:
                self.find(49, f"{plex.name}: there is no volume {v['volume']}")
            elif not re.fullmatch(re.escape(parent.name) + r"-\d\d", plex.name):
                self.find(49, f"{plex.name}: a plex of {parent.name}")
            checks = {
                "state": v["state"] == "ACTIVE" or self.degraded,
                "layout": v["layout"] in (STRIPE, CONCAT, RAID5),
                "stripe flag": bool(plex.flags & 0x10) == (v["layout"] in (STRIPE, RAID5)),
                "flags": v["plex_flags"] == 0 or self.degraded,
                "zeros": not any(v["zero"]),
            }
            for what, good in checks.items():
                if not good:
                    self.find(49, f"{plex.name}: {what}")
        self._distinct(49, "plex name", [plex.name for plex in self.plexes])

    def _subdisks(self) -> None:
        for subdisk in self.subdisks:
            v = subdisk.values
            plex, disk = self.by_id.get(v["plex"]), self.by_id.get(v["disk"])
            if not plex or plex.kind != PLEX:
                self.find(52, f"{subdisk.name}: there is no plex {v['plex']}")
            if not disk or disk.kind != DISK:
                self.find(52, f"{subdisk.name}: there is no disk {v['disk']}")
            elif not re.fullmatch(re.escape(disk.name) + r"-\d\d+", subdisk.name):
                self.find(52, f"{subdisk.name}: a subdisk of {disk.name}")
            if (v["subdisk_flags"] and not self.degraded) or v["size"] == 0:
                self.find(52, f"{subdisk.name}: flags {v['subdisk_flags']:x}, size {v['size']}")
        self._distinct(52, "subdisk name", [subdisk.name for subdisk in self.subdisks])

    # ---- how records hang together ----

    def plexes_of(self, volume: Record) -> list[Record]:
        return [plex for plex in self.plexes if plex.values["volume"] == volume.id]

    def subdisks_of(self, plex: Record) -> list[Record]:
        return [subdisk for subdisk in self.subdisks if subdisk.values["plex"] == plex.id]

    def _shape(self, volume: Record) -> None:
        plexes = self.plexes_of(volume)
        if not plexes or len(plexes) != volume.values["plexes"]:
            self.find(50, f"{volume.name}: {len(plexes)} plexes, claims {volume.values['plexes']}")
        layouts = [plex.values["layout"] for plex in plexes]
        raid5 = volume.values["type"] == "raid5"
        wrong = layouts != [RAID5] if raid5 else RAID5 in layouts or len(layouts) > MOST_MEMBERS
        if wrong:
            self.find(51, f"{volume.name}: type {volume.values['type']}, layouts {layouts}")
        used = []
        for plex in plexes:
            subdisks = self.subdisks_of(plex)
            if not subdisks or len(subdisks) != plex.values["subdisks"]:
                self.find(53, f"{plex.name}: {len(subdisks)} subdisks, claims {plex.values['subdisks']}")
            if plex.values["layout"] == CONCAT:
                self._concat(volume, plex, subdisks)
            else:
                self._columns(volume, plex, subdisks)
            used.append({subdisk.values["disk"] for subdisk in subdisks})
        for one, other in itertools.combinations(used, 2):
            if one & other:
                self.find(56, f"{volume.name}: two plexes use the disks {sorted(one & other)}")

    def _concat(self, volume: Record, plex: Record, subdisks: list[Record]) -> None:
        at = 0
        for subdisk in sorted(subdisks, key=lambda each: each.values["offset"]):
            if subdisk.values["offset"] != at or subdisk.flags & 0x08:
                self.find(54, f"{subdisk.name}: offset {subdisk.values['offset']} instead of {at}, flags {subdisk.flags:02x}")
            at += subdisk.values["size"]
        if at != volume.values["size"]:
            self.find(54, f"{plex.name}: {at} blocks of {volume.values['size']}")

    def _columns(self, volume: Record, plex: Record, subdisks: list[Record]) -> None:
        stripe, count = plex.values.get("stripe", 0), plex.values.get("columns", 0)
        columns: dict[int, list[Record]] = {}
        for subdisk in subdisks:
            columns.setdefault(subdisk.values["column"], []).append(subdisk)
            if bool(subdisk.flags & 0x08) != (subdisk.values["column"] > 0):
                self.find(55, f"{subdisk.name}: flags {subdisk.flags:02x} for column {subdisk.values['column']}")
        if sorted(columns) != list(range(count)) or count < (3 if plex.values["layout"] == RAID5 else 1):
            self.find(55, f"{plex.name}: columns {sorted(columns)} of {count}")
        lengths = set()
        for parts in columns.values():
            at = 0
            for subdisk in sorted(parts, key=lambda each: each.values["offset"]):
                if subdisk.values["offset"] != at:
                    self.find(55, f"{subdisk.name}: offset {subdisk.values['offset']} instead of {at} in its column")
                at += subdisk.values["size"]
            lengths.add(at)
        length = min(lengths, default=0)
        data = count - (plex.values["layout"] == RAID5)
        if len(lengths) > 1 or not stripe or length % stripe or length * data != volume.values["size"]:
            self.find(55, f"{plex.name}: columns of {sorted(lengths)} in stripes of {stripe}, volume {volume.values['size']}")
        disks = [{subdisk.values["disk"] for subdisk in parts} for parts in columns.values()]
        if any(one & other for one, other in itertools.combinations(disks, 2)):
            self.find(56, f"{plex.name}: two columns on one disk")

    def _overlaps(self) -> None:
        for disk in self.disks:
            own = sorted((s.values["start"], s.values["size"], s.name) for s in self.subdisks if s.values["disk"] == disk.id)
            for (start, size, name), (next_start, _, next_name) in itertools.pairwise(own):
                if start + size > next_start:
                    self.find(57, f"{name} and {next_name} overlap on {disk.name}")


def check_records(disk, degraded: bool) -> None:
    """Reports to `disk` (a DynamicDisk with config and database) what breaks I31 to I57 in its database."""
    RecordChecker(disk, degraded).run()
