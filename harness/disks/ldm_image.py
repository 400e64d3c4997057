#!/usr/bin/python3
"""Makes the disks of a dynamic disk group from a small description, without any part of the server.

    ldm_image.py DESCRIPTION FOLDER [--output FILE]        DESCRIPTION: a .json or .toml file, or a name in dynamic_groups.toml
    ldm_image.py --list

Prints what it made: {"group": {"name", "guid"}, "disks": [{"name", "path", "size", "sector", "table"}]}.

A description:
    name     of the group; "Own-Dg0"
    style    "2008" (PRIVHEAD 2.12; the default) or "2003" (2.11, one counter for ids and transactions)
    seed     makes GUIDs and signatures: groups of different seeds share none; 1
    disks    list of
      size     "64M"; table "mbr" or "gpt"; sector 512 or 4096
      name     "Disk1" and so on by itself
      absent   true: the group knows the disk, but no image is made: a missing member
      stale    n: the disk missed the last n transactions and bears the database of before
      step     how far the pending transaction came on this disk (default: as `step` of `pending`)
      damage   list of privhead-first, privhead-backup, privhead-primary, toc-primary, toc-secondary, vmdb, slot, log:
               the copy is overwritten with FF
      msr      size of the Microsoft reserved partition before the conversion (GPT); "32M", "0" for none
      oem      sectors of an OEM partition at the front (MBR)
      count    so many such disks, one after the other
    volumes  list of, each one transaction; {remove = "Volume1"} in between takes one away and frees its room
      kind     simple, spanned, striped, mirror, raid5
      size     of the volume: "16M"
      disks    names; one for simple, one each for every member, column or leg otherwise
      extents  instead of disks, for simple and spanned: list of {disk, size, start}; start in 512-byte blocks of the
               public region, may be left out
      letter   "E:"; retain: true gives the volume an entry of its own in the table; stripe: blocks, 128
    pending  {add: a volume, or remove: its name, step: 1..5}: an unfinished transaction, see ldm_group.STEPS
    set      {"Volume1-02": {"plex_flags": 4}}: values of records, written over in place
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import pathlib
import sys
import tomllib
import uuid
from dataclasses import dataclass, field

import ldm_tables as tables
from ldm_group import GroupDatabase, State
from ldm_structures import (
    CONCAT, DISK, PLEX, RAID5, SECTOR, STRIPE, SUBDISK, VOLUME, PrivHead, Record, Toc, TocRegion,
)  # fmt: skip

GROUPS = pathlib.Path(__file__).parent / "dynamic_groups.toml"
TIME = 0x01DA0000_00000000  # FILETIME, late in September 2023
REGION = 1 << 20  # bytes of the private region
CONFIG_BYTES, LOG_BYTES = 1481 * SECTOR, 224 * SECTOR
ALIGNMENT = 128  # blocks: 64 KiB, of the 2008 style


def size_of(value: int | str) -> int:
    """Bytes of "64M" or a number."""
    text = str(value)
    unit = {"K": 10, "M": 20, "G": 30, "T": 40}.get(text[-1:])
    return int(text[:-1]) << unit if unit else int(text)


@dataclass(frozen=True)
class Places:
    """Where things are in the private region, in sectors of the disk."""

    toc: tuple[int, int]  # the current pair
    config: tuple[int, int]  # start, size
    log: tuple[int, int]
    backup: int
    total: int

    @classmethod
    def of(cls, sector: int, windows_2003: bool) -> Places:
        if sector == 512:
            return cls((1, 2046) if windows_2003 else (2, 2045), (17, 1481), (1498, 224), 1856, 2048)
        # Larger sectors: no real disk is known; the same megabyte, with TOCs in its second and last but two sector,
        # and room for the same database, so that a group may have members of both kinds.
        return cls((1, 253), (3, -(-CONFIG_BYTES // sector)), (189, -(-LOG_BYTES // sector)), 232, 256)


@dataclass
class Disk:
    """A member as the description has it, and what follows from that. Positions are in sectors of the disk."""

    name: str
    size: int
    table: str = "mbr"
    sector: int = 512
    absent: bool = False
    stale: int = 0
    step: int | None = None
    damage: list[str] = field(default_factory=list)
    msr: int = 32 << 20
    oem: int = 0
    guid: str = ""
    public: tuple[int, int] = (0, 0)  # start, size
    private: int = 0
    taken: list[tuple[int, int]] = field(default_factory=list)  # (start, end) in blocks of the public region
    subdisks: int = 0
    record: Record | None = None

    @property
    def sectors(self) -> int:
        return self.size // self.sector

    @property
    def blocks(self) -> int:
        """512-byte blocks in a sector."""
        return self.sector // SECTOR

    @property
    def public_blocks(self) -> int:
        return self.public[1] * self.blocks


class GroupMaker:
    def __init__(self, description: dict):
        self.description = description
        self.windows_2003 = description.get("style", "2008") == "2003"
        self.name = description.get("name", "Own-Dg0")
        self.seed = description.get("seed", 1)
        self.guid = self._guid("group")
        self.disks: list[Disk] = []
        entries = [entry for entry in description["disks"] for _ in range(entry.get("count", 1))]
        for index, entry in enumerate(entries):
            known = {key: value for key, value in entry.items() if key not in ("size", "msr", "count")}
            known.setdefault("name", f"Disk{index + 1}")
            disk = Disk(size=size_of(entry.get("size", "64M")), **known)
            disk.guid = self._guid(disk.name)
            disk.msr = size_of(entry.get("msr", "32M" if disk.size > 48 << 20 else "0")) // disk.sector
            self._lay_out(disk)
            self.disks.append(disk)
        self.database = GroupDatabase(self.name, self.guid, self.windows_2003, CONFIG_BYTES, LOG_BYTES, TIME)
        self.history: list[State] = []  # at rest, after each transaction
        self.retained: list[tuple[Disk, int, int]] = []  # (disk, start, length) in sectors
        self.numbers = 4 if self.windows_2003 else 0
        self.pending: list[State] | None = None

    def _digest(self, what: str) -> bytes:
        return hashlib.sha256(f"{self.seed}/{what}".encode()).digest()

    def _guid(self, what: str) -> str:
        return str(uuid.UUID(bytes=self._digest(what)[:16], version=4))

    def _lay_out(self, disk: Disk) -> None:
        region = REGION // disk.sector
        if disk.table == "mbr":
            disk.private = disk.sectors - region
            start = tables.TRACK + disk.oem
            end = disk.private
            if self.windows_2003:
                end = end // tables.CYLINDER * tables.CYLINDER
            disk.public = (start, end - start)
        elif disk.msr:
            disk.private = self._first_usable(disk)
            start = disk.private + disk.msr
            disk.public = (start, self._last_usable(disk) + 1 - start)
        else:
            disk.private = self._last_usable(disk) + 1 - region
            start = self._first_usable(disk)
            disk.public = (start, disk.private - start)
        if disk.public[1] <= 0:
            raise ValueError(f"{disk.name} is too small")

    @staticmethod
    def _first_usable(disk: Disk) -> int:
        return 2 + tables.Gpt.ENTRIES * 128 // disk.sector

    @staticmethod
    def _last_usable(disk: Disk) -> int:
        return disk.sectors - 2 - tables.Gpt.ENTRIES * 128 // disk.sector

    def disk(self, name: str) -> Disk:
        return next(disk for disk in self.disks if disk.name == name)

    # ---- records ----

    def _disk_record(self, disk: Disk) -> Record:
        device = f"SCSI\\DISK&VEN_DMRP&PROD_HARNESS&REV_0001\\4&{disk.guid[:8].upper()}&0&000000" if self.windows_2003 else ""
        values = {"id": self.database.new_id(), "name": disk.name, "guid": disk.guid, "device": device}
        disk.record = Record(DISK, values | {"disk_flags": 0, "ct": 0})
        return disk.record

    def _allocate(self, disk: Disk, length: int, start: int | None) -> int:
        """Blocks from the start of the public region."""
        if start is None:
            base = disk.public[0] * disk.blocks
            step = disk.blocks if self.windows_2003 else ALIGNMENT
            start = -base % step
            for first, end in sorted(disk.taken):
                if start + length <= first:
                    break
                start = max(start, end + (-(base + end) % step))
        if start + length > disk.public_blocks:
            raise ValueError(f"{disk.name} has no room for {length} blocks")
        disk.taken.append((start, start + length))
        return start

    def _subdisk(self, disk: Disk, plex: Record, length: int, offset: int, column: int, start: int | None) -> Record:
        disk.subdisks += 1
        values = {
            "id": self.database.new_id(), "name": f"{disk.name}-{disk.subdisks:02}", "subdisk_flags": 0, "ct": 0,
            "start": self._allocate(disk, length, start), "offset": offset, "size": length, "plex": plex.id,
            "disk": disk.record.id, "column": column, "vista": 0,
        }  # fmt: skip
        return Record(SUBDISK, values, flags=(0x08 if column else 0) | (0 if self.windows_2003 else 0x40))

    def volume_records(self, entry: dict) -> tuple[list[Record], list[Disk]]:
        """The volume, its plexes each with their subdisks, and the disks that they lie on."""
        kind = entry["kind"]
        if kind not in ("simple", "spanned", "striped", "mirror", "raid5"):
            raise ValueError(f"there are no {kind} volumes")
        parts = entry.get("extents") or [{"disk": name} for name in entry["disks"]]
        disks = [self.disk(part["disk"]) for part in parts]
        stripe = entry.get("stripe", 128)
        size = size_of(entry["size"]) // SECTOR if "size" in entry else sum(size_of(part["size"]) // SECTOR for part in parts)
        striped = kind in ("striped", "raid5")
        columns = len(parts)
        data_columns = columns - (kind == "raid5")
        if striped:
            column = size // data_columns // stripe * stripe
            size = column * data_columns
            lengths = [column] * columns
        elif kind == "mirror":
            lengths = [size] * columns
        else:
            share = size // columns // ALIGNMENT * ALIGNMENT
            lengths = [size_of(part["size"]) // SECTOR if "size" in part else share for part in parts]
            if "size" not in parts[-1]:
                lengths[-1] = size - sum(lengths[:-1])
        self.numbers += 1
        name = entry.get("name") or self._volume_name(kind)
        volume = Record(
            VOLUME,
            {
                "id": self.database.new_id(), "name": name, "type": "raid5" if kind == "raid5" else "gen", "no_letter": "",
                "state": b"ACTIVE".ljust(14, b"\0"), "policy": 4 if kind == "raid5" else 3, "volume_number": self.numbers,
                "volume_flags": (0x13 if kind == "raid5" and self.windows_2003 else 0x11)
                | (0x800000 if entry.get("retain") else 0),
                "plexes": columns if kind == "mirror" else 1, "ct": 0, "update": 0, "size": size, "zero": 0,
                "partition_type": entry.get("partition_type", 7), "guid": uuid.UUID(self._guid(f"{name}/{self.numbers}")).bytes,
            },
        )  # fmt: skip
        if "letter" in entry:
            volume.flags |= 0x02
            volume.values["hint"] = entry["letter"]
        if kind == "raid5" and self.windows_2003:
            volume.flags |= 0x20
            volume.values["id2"] = self.database.next_number()
        records = [volume]
        groups = [[i] for i in range(columns)] if kind == "mirror" else [list(range(columns))]
        for plex_index, members in enumerate(groups):
            plex = Record(
                PLEX,
                {
                    "id": self.database.new_id(), "name": f"{name}-{plex_index + 1:02}", "state": "ACTIVE",
                    "layout": {"striped": STRIPE, "raid5": RAID5}.get(kind, CONCAT), "plex_flags": 0,
                    "subdisks": len(members), "ct": 0, "zero": bytes(8), "volume": volume.id, "log_subdisk": 0,
                    "stripe": stripe, "columns": columns,
                },
                flags=0x10 if striped else 0,
            )  # fmt: skip
            records.append(plex)
            offset = 0
            for i in members:
                column = i if striped else 0
                record = self._subdisk(disks[i], plex, lengths[i], offset, column, parts[i].get("start"))
                records.append(record)
                if entry.get("retain"):
                    blocks = disks[i].blocks
                    start = disks[i].public[0] + record.values["start"] // blocks
                    self.retained.append((disks[i], start, lengths[i] // blocks))
                if not striped:
                    offset += lengths[i]
        return records, disks

    def _volume_name(self, kind: str) -> str:
        stem = {"striped": "Stripe", "raid5": "Raid"}.get(kind, "Volume") if self.windows_2003 else "Volume"
        taken = {record.name for record in self.database.of(VOLUME)}
        return next(name for i in itertools.count(1) if (name := f"{stem}{i}") not in taken)

    # ---- transactions ----

    def _commit(self, **what) -> list[State]:
        states = self.database.commit(**what)
        self.history.append(states[-1])
        return states

    def _create_volume(self, entry: dict) -> dict:
        records, disks = self.volume_records(entry)
        changed = []
        if self.windows_2003:
            distinct = {disk.name: disk for disk in disks}
            changed = [self.database.find(name) for name in distinct]
        return {"new": records, "changed": changed}

    def _remove_volume(self, name: str) -> dict:
        volume = self.database.find(name)
        plexes = [plex for plex in self.database.of(PLEX) if plex.values["volume"] == volume.id]
        ids = {plex.id for plex in plexes}
        subdisks = [subdisk for subdisk in self.database.of(SUBDISK) if subdisk.values["plex"] in ids]
        for subdisk in subdisks:
            disk = next(disk for disk in self.disks if disk.record and disk.record.id == subdisk.values["disk"])
            start, size = subdisk.values["start"], subdisk.values["size"]
            disk.taken.remove((start, start + size))
            entry = (disk, disk.public[0] + start // disk.blocks, size // disk.blocks)
            self.retained = [each for each in self.retained if each != entry]
        return {"new": [], "removed": [volume, *plexes, *subdisks]}

    def build(self) -> None:
        """Runs all transactions."""
        if not self.windows_2003:
            self.database.commit(new=[])  # the group record alone, as transaction 0
        for disk in self.disks:
            self._commit(new=[self._disk_record(disk)])
        for entry in self.description.get("volumes", []):
            self._commit(**(self._remove_volume(entry["remove"]) if "remove" in entry else self._create_volume(entry)))
        for name, values in self.description.get("set", {}).items():
            self.database.find(name).values.update(values)
            self.history[-1] = self.database.state()
        pending = self.description.get("pending")
        if pending:
            what = self._create_volume(pending["add"]) if "add" in pending else self._remove_volume(pending["remove"])
            self.pending = self.database.commit(**what)

    def state_for(self, disk: Disk) -> State:
        if self.pending:
            step = disk.step if disk.step is not None else self.description["pending"]["step"]
            return self.pending[step]
        return self.history[-1 - disk.stale]

    # ---- images ----

    def _privhead(self, disk: Disk) -> PrivHead:
        places = Places.of(disk.sector, self.windows_2003)
        return PrivHead(
            minor=11 if self.windows_2003 else 12, time=TIME, sequence=5 if self.windows_2003 else 1,
            primary=places.total - 1, backup=places.backup, disk_guid=disk.guid.encode(),
            group_guid=self.guid.encode(), group_name=self.name.encode(), sector_bytes=disk.sector,
            public_start=disk.public[0], public_size=disk.public[1], private_start=disk.private,
            private_size=places.total, toc_primary=places.toc[0], toc_secondary=places.toc[1],
            config_size=places.config[1], log_size=places.log[1],
            boot_signature=int.from_bytes(self._digest("host")[:4], "big"),
        )  # fmt: skip

    @staticmethod
    def _toc(places: Places, sequence: int, log_flags: int = 0) -> bytes:
        return Toc(sequence=sequence, regions=[
            TocRegion(b"config", 0, *places.config), TocRegion(b"log", log_flags, *places.log)
        ]).pack()  # fmt: skip

    def _write_table(self, disk: Disk, write) -> None:
        retained = [(start, length) for owner, start, length in self.retained if owner is disk]
        if disk.table == "mbr":
            signature = int.from_bytes(self._digest(disk.name + "/signature")[:4], "little") | 1
            write(0, tables.dynamic_mbr(disk.sectors, disk.public, retained, disk.oem, signature).pack())
            return
        spans = [(tables.METADATA, disk.private, disk.private + REGION // disk.sector - 1)]
        if disk.msr:
            spans.append((tables.RESERVED, spans[0][2] + 1, disk.public[0] - 1))
        at, end = disk.public[0], sum(disk.public)
        for start, length in sorted(retained):
            if start > at:
                spans.append((tables.DATA, at, start - 1))
            spans.append((tables.DATA, start, start + length - 1))
            at = start + length
        if at < end:
            spans.append((tables.DATA, at, end - 1))
        entries = [
            tables.GptEntry(kind, uuid.UUID(self._guid(f"{disk.name}/entry{i}")), first, last, 0, tables.NAMES[kind])
            for i, (kind, first, last) in enumerate(spans)
        ]
        first, last = self._first_usable(disk), self._last_usable(disk)
        guid = uuid.UUID(self._guid(disk.name + "/gpt"))
        write(0, tables.PROTECTIVE.pack())
        for own, other, array in ((1, disk.sectors - 1, 2), (disk.sectors - 1, 1, last + 1)):
            header, raw = tables.Gpt(guid, own, other, first, last, array, entries).pack()
            write(own * disk.sector, header)
            write(array * disk.sector, raw)

    def _write_disk(self, disk: Disk, path: pathlib.Path) -> None:
        with open(path, "wb") as file:
            os.truncate(path, disk.size)

            def write(at: int, raw: bytes) -> None:
                file.seek(at)
                file.write(raw)

            def at(relative: int) -> int:
                return (disk.private + relative) * disk.sector

            self._write_table(disk, write)
            head, state = self._privhead(disk).pack(), self.state_for(disk)
            places = Places.of(disk.sector, self.windows_2003)
            pair = (at(places.toc[0]), at(places.toc[1]))
            for place in pair:
                write(place, self._toc(places, 5 if self.windows_2003 else 1))
            if self.windows_2003:
                for place in (at(2), at(places.total - 3)) if disk.sector == 512 else (at(0), at(places.total - 2)):
                    write(place, self._toc(places, 4, log_flags=8))
            write(at(places.config[0]), state.config)
            write(at(places.log[0]), state.log)
            copies = {"privhead-backup": at(places.backup), "privhead-primary": at(places.total - 1)}
            if disk.table == "mbr":
                copies["privhead-first"] = 6 * disk.sector
            for place in copies.values():
                write(place, head)
            structures = copies | {
                "toc-primary": pair[0], "toc-secondary": pair[1], "vmdb": at(places.config[0]),
                "slot": at(places.config[0]) + 4 * 128, "log": at(places.log[0]),
            }  # fmt: skip
            for what in disk.damage:
                write(structures[what], b"\xff" * (128 if what == "slot" else SECTOR))

    def write(self, folder: pathlib.Path) -> dict:
        """Makes the images of the disks that are there."""
        made = []
        for disk in self.disks:
            if disk.absent:
                continue
            path = folder / f"{self.name}-{disk.name}.raw"
            self._write_disk(disk, path)
            made.append({"name": disk.name, "path": str(path), "size": disk.size, "sector": disk.sector, "table": disk.table})
        return {"group": {"name": self.name, "guid": self.guid}, "disks": made}


def make(description: dict, folder: pathlib.Path | str) -> dict:
    """The images of a description; what main() prints. ValueError for a description that cannot be."""
    maker = GroupMaker(description)
    maker.build()
    return maker.write(pathlib.Path(folder))


def load(name: str) -> dict:
    path = pathlib.Path(name)
    if path.suffix == ".json":
        return json.loads(path.read_text())
    if path.suffix == ".toml":
        return tomllib.loads(path.read_text())
    return tomllib.loads(GROUPS.read_text())[name]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("description", nargs="?")
    parser.add_argument("folder", nargs="?", type=pathlib.Path)
    parser.add_argument("--list", action="store_true", help="the names in dynamic_groups.toml")
    parser.add_argument("--output", type=pathlib.Path, help="file for what is printed otherwise")
    options = parser.parse_args(arguments)
    if options.list:
        print(*tomllib.loads(GROUPS.read_text()), sep="\n")
        return 0
    if not options.folder:
        parser.error("DESCRIPTION and FOLDER are needed")
    try:
        made = make(load(options.description), options.folder)
    except (KeyError, TypeError, ValueError, OSError, StopIteration) as error:
        print(f"ldm_image.py: {options.description}: {type(error).__name__} {error}", file=sys.stderr)
        return 1
    document = json.dumps(made, indent=2) + "\n"
    if options.output:
        options.output.write_text(document)
    else:
        sys.stdout.write(document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
