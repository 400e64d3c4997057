"""A disk group's database as a sequence of transactions: what each leaves on disk, and every state in between.

    database = GroupDatabase("Own-Dg0", guid, windows_2003=False, config_bytes=1481 * 512, log_bytes=224 * 512, time=0)
    states = database.commit(new=[...], changed=[...], removed=[...])
    states[0]   # (config, log) at rest before
    states[4]   # behind the commit point, before the cleaning up
    states[6]   # at rest again
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

from ldm_structures import (
    ALL_COPIES, DISK, GROUP, PAYLOAD, PLEX, SLOT, SUBDISK, VOLUME, Database, LogEntry, LogPage, Record, Vmdb,
)  # fmt: skip

STEPS = ("at rest", "records written", "status 2", "logged", "status 3", "records cleaned", "at rest again")


@dataclass(frozen=True)
class State:
    """What the two regions hold at a moment."""

    config: bytes
    log: bytes


class GroupDatabase:
    """Follows the counters and the slot allocation of either Windows generation."""

    def __init__(self, name: str, guid: str, windows_2003: bool, config_bytes: int, log_bytes: int, time: int):
        self.windows_2003 = windows_2003
        self.log_bytes = log_bytes
        slots = config_bytes // SLOT
        header = Vmdb(slots=slots, group_name=name.encode(), group_guid=guid.encode(), time=time)
        self.database = Database(header, [], config_bytes)
        self._counter = 1023 if windows_2003 else -1  # of transactions; on 2003 of ids too
        self._ids = 0
        self._versions = 0
        self._log = [LogPage(index=0), LogPage(index=1)]
        values = {"id": self.new_id(), "name": name, "guid": guid, "reserved": 0, "ct": 0}
        if windows_2003:
            values |= {"config_copies": ALL_COPIES, "log_copies": ALL_COPIES}
        self.group = Record(GROUP, values, flags=0x08 if windows_2003 else 0)

    def new_id(self) -> int:
        if self.windows_2003:
            self._counter += 2
            return self._counter
        self._ids += 1
        return self._ids

    def next_number(self) -> int:
        """2003: one more of the counter, as the second id of a RAID-5 volume takes it."""
        self._counter += 1
        return self._counter

    def find(self, name: str) -> Record:
        return next(record for record in self.database.records if record.name == name and record.kind != GROUP)

    def of(self, kind: int) -> list[Record]:
        return self.database.of(kind)

    def state(self) -> State:
        log = b"".join(page.pack() for page in self._log)
        return State(self.database.pack(), log.ljust(self.log_bytes, b"\0"))

    def _place(self, record: Record, taken: set[int]) -> None:
        self._versions += 1
        record.number = self._versions
        count = -(-len(record.pack()) // PAYLOAD)
        free = (slot for slot in range(4, self.database.header.slots) if slot not in taken)
        record.slots = [next(free) for _ in range(count)]
        taken.update(record.slots)

    def commit(self, new: list[Record], changed: list[Record] = (), removed: list[Record] = ()) -> list[State]:
        """One transaction. `changed`: the new values of records that are there under the same id.

        @return the states before, after each of the steps, and at rest again: len(STEPS).
        """
        database, header = self.database, self.database.header
        states = [self.state()]
        first = not database.records
        self._counter += 1
        transaction = self._counter
        if first:
            self.group.values["ct"] = transaction if self.windows_2003 else 0
            new = [self.group, *new]
            for page in self._log:
                page.transaction = self.group.values["ct"]
        gone = {record.id for record in [*changed, *removed]}
        old = [record for record in database.records if record.id in gone]
        taken = {slot for record in database.records for slot in record.slots}
        added = []
        for record in [*new, *changed]:
            record = Record(record.kind, copy.deepcopy(record.values), record.flags, status=2)
            if record.kind != GROUP:
                record.values["ct"] = transaction
            self._place(record, taken)
            added.append(record)
        for record in old:
            record.status = 1
        database.records = database.records + added
        states.append(self.state())

        header.status, header.pending = 2, transaction
        after = [record for record in database.records if record.status != 1]
        header.pending_counts = tuple(
            sum(record.kind == kind for record in after) for kind in (VOLUME, PLEX, SUBDISK, DISK)
        ) + (0, 0, 0)
        states.append(self.state())

        self._log[0].sequence += 1
        self._log[0].entries[0] = LogEntry(3, header.committed, transaction)
        states.append(self.state())

        header.status = 3
        states.append(self.state())

        for record in after:
            record.status = 0
        database.records = after
        states.append(self.state())

        header.status, header.committed, header.committed_counts = 1, transaction, header.pending_counts
        header.time += 10_000_000  # a second later
        states.append(self.state())
        return states
