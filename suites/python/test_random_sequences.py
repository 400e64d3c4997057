"""Random sequences of operations from two clients, one on each revision of the interface, each in a guest of its own.

After every step the rule monitor must have found nothing, both clients must list the same objects, independent readers
of the disks must find what the clients list, and the machine's registry must keep the letters that they list.
Hypothesis shrinks what fails to a short sequence: each one begins with the same pristine guest.

The sequences are the same in every run. DMRP_SEQUENCES=long runs many more, others each time.
"""
import collections
import errno
import hashlib
import os
import re
import struct

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

import dmrp

MIB = 1 << 20
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None, "print_blob": True}
# Hypothesis' first ten sequences are short, whatever their number.
PROFILES = {
    "certify": settings(max_examples=20, stateful_step_count=12, derandomize=True,
                        phases=[Phase.explicit, Phase.generate, Phase.shrink], **QUIET),
    "long": settings(max_examples=100, stateful_step_count=40, **QUIET),
}
FIXED_DISKS = ["size=64M,label=mbr", "size=60M,label=gpt"]
ATTACHED = ["size=40M", "size=48M,label=mbr", "size=44M,bus=usb,label=gpt"]
MOST_DISKS = len(FIXED_DISKS) + 1
PARTITIONS = (dmrp.REGION_PRIMARY, dmrp.REGION_LOGICAL)
FREE = (dmrp.REGION_FREE, dmrp.REGION_EXTENDED_FREE)
STYLES = [dmrp.PARTITIONSTYLE_MBR, dmrp.PARTITIONSTYLE_GPT]
# type and allocation unit
FORMATS = [(dmrp.FSTYPE_FAT, 2048), (dmrp.FSTYPE_NTFS, 512)]

clients = st.sampled_from(["IVolumeClient", "IVolumeClient3"])
picks = st.integers(min_value=0, max_value=31)


def spec_of(region, **changes):
    members = {name: getattr(region, name) for name in ("regionType", "diskId", "start", "length", "lastKnownState")}
    return dmrp.REGION_SPEC(regionId=region.id, **{**members, **changes})


def common(view):
    """What clients of both revisions are told alike."""
    disks = sorted((d.id, d.length, d.freeBytes, d.regionCount, d.deviceState, d.lastKnownState) for d in view.disks)
    regions = sorted((r.id, r.diskId, r.fsId, r.start, r.length, int(r.regionType), r.rflags, r.lastKnownState)
                     for listed in view.regions.values() for r in listed)
    systems = sorted((f.id, f.storageId, f.fsType, f.lastKnownState) for f in view.file_systems or [])
    letters = sorted((letter_of(entry), entry.storageId, entry.isUsed, entry.lastKnownState)
                     for entry in view.letters or [])
    return disks, regions, systems, letters


def unique_id(region, disk):
    """The octets by which MountedDevices names a partition of a basic disk."""
    if region.gpt is not None:
        return b"DMIO:ID:" + region.gpt.partitionId.bytes_le
    return struct.pack("<IQ", disk.mbr.signature, region.start)


def letter_of(entry):
    return entry.letter if isinstance(entry.letter, str) else chr(entry.letter)


def digest_of(image):
    """Of the data of a sparse file and its places: equal digests, equal contents."""
    digest = hashlib.sha256()
    with open(image, "rb", buffering=0) as file:
        end = os.fstat(file.fileno()).st_size
        start = 0
        while start < end:
            try:
                start = os.lseek(file.fileno(), start, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole is left
                    break
                raise
            hole = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            digest.update(b"%d %d " % (start, hole))
            while start < hole:
                data = os.pread(file.fileno(), min(hole - start, MIB), start)
                digest.update(data)
                start += len(data)
    return digest.digest()


def start_guest(attempts=3):
    """A guest with the disks. A start that a busy machine cannot make in time says nothing about the sequence."""
    try:
        return dmrp.Guest(FIXED_DISKS)
    except dmrp.Error as error:
        if error.kind == "Unsupported":
            pytest.skip(f"the target attaches no disks: {error}")
        if error.kind != "Timeout" or attempts == 1:
            raise
        return start_guest(attempts - 1)


class TwoClients(RuleBasedStateMachine):
    """Each sequence has a guest of its own, a clone that begins like that of every other."""

    succeeded = collections.Counter()  # by method: a run in which nothing worked proves nothing

    def __init__(self):
        super().__init__()
        self.guest = start_guest()
        self.watch = self.guest.watch()
        self.sessions = {name: self.watch.open(name) for name in ("IVolumeClient", "IVolumeClient3")}
        self.seen = None  # IVolumeClient3's view after the last step
        self.read = {}  # by disk: the digest of what it held, and what readers found there

    def teardown(self):
        self.watch.close()
        self.guest.close()

    # --- what there is to work on ----------------------------------------------------------------------------------

    @property
    def third(self):
        return self.sessions["IVolumeClient3"]

    def disk_ids(self, view):
        """The server's ids of the guest's disks, told apart by their sizes: [(id, disk of the guest)]."""
        sizes = {int(disk["spec"].split("size=")[1].split(",")[0].rstrip("M")) * MIB: disk for disk in self.guest.disks}
        return [(d.id, sizes[d.length]) for d in view.disks if d.length in sizes]

    def look(self):
        self.seen = self.third.view()

    def regions(self, client, types):
        """The regions of those types that the client may work on: GPT disks are IVolumeClient3's."""
        disks = {d.id: d for d in self.seen.disks}
        return [r for disk, _ in sorted(self.disk_ids(self.seen), key=lambda pair: pair[1]["id"])
                for r in self.seen.regions.get(disk, []) if r.regionType in types
                and (client == "IVolumeClient3" or disks[disk].partitionStyle == dmrp.PARTITIONSTYLE_MBR)]

    def has(self, *types):
        """Whether either client finds such a region: steps that could do nothing are not taken."""
        return bool(self.regions("IVolumeClient", types))

    def lettered(self, client):
        ours = {r.id: r for r in self.regions(client, PARTITIONS)}
        return [(e, ours[e.storageId]) for e in self.seen.letters if e.isUsed and e.storageId in ours]

    def pick(self, choices, number):
        return choices[number % len(choices)] if choices else None

    def tried(self, client, method, changed, **parameters):
        """Calls a method. A refusal must leave everything as it was, a success must have had an effect."""
        before = common(self.seen)
        reply = self.sessions[client].change(method, **parameters)
        self.look()
        after = common(self.seen)
        if reply.result < 0:
            assert after == before, f"{method} was refused with {dmrp.hresult_name(reply.result & 0xFFFFFFFF)} and changed"
        else:
            self.succeeded[method] += 1
            assert after != before or not changed, f"{method} succeeded and changed nothing"
        return reply

    def layout(self, disk):
        """What independent readers find on a disk. They are asked only when it has changed."""
        image = self.guest.snapshot(disk)
        try:
            digest = digest_of(image)
            if self.read.get(disk["id"], (None,))[0] != digest:
                self.read[disk["id"]] = digest, dmrp.read_layout(image, disk["sector"])
        finally:
            os.unlink(image)
        return self.read[disk["id"]][1]

    # --- the steps -------------------------------------------------------------------------------------------------

    @initialize()
    def begin_with_a_partition_of_each_kind(self):
        self.look()
        for region in self.regions("IVolumeClient3", (dmrp.REGION_FREE,)):
            self.make(region, dmrp.REGION_PRIMARY, 12 * MIB)
        self.look()
        self.make(self.regions("IVolumeClient", (dmrp.REGION_FREE,))[0], dmrp.REGION_EXTENDED, 24 * MIB)
        self.look()
        self.make(self.regions("IVolumeClient", (dmrp.REGION_EXTENDED_FREE,))[0], dmrp.REGION_LOGICAL, 8 * MIB)
        self.look()

    def make(self, region, kind, length):
        dmrp.check(self.third.call("CreatePartition", partitionSpec=spec_of(region, regionType=kind, length=length)))

    @rule(client=clients, free=picks, start=picks, length=st.integers(1, 12),
          kind=st.sampled_from([dmrp.REGION_PRIMARY, dmrp.REGION_EXTENDED]))
    def create(self, client, free, start, length, kind):
        region = self.pick(self.regions(client, FREE), free)
        if region is None or region.length < MIB:
            return
        if region.regionType == dmrp.REGION_EXTENDED_FREE:
            kind = dmrp.REGION_LOGICAL
        gap = (start % 4) * MIB if region.length > 8 * MIB else 0
        size = min(length * MIB, (region.length - gap) // 4096 * 4096)
        self.tried(client, "CreatePartition", True,
                   partitionSpec=spec_of(region, regionType=kind, start=region.start + gap, length=size))

    @precondition(lambda self: self.has(*PARTITIONS, dmrp.REGION_EXTENDED))
    @rule(client=clients, partition=picks)
    def delete(self, client, partition):
        region = self.pick(self.regions(client, (*PARTITIONS, dmrp.REGION_EXTENDED)), partition)
        if region is not None:
            self.tried(client, "DeletePartition", True, partitionSpec=spec_of(region), force=False)

    @precondition(lambda self: self.has(*PARTITIONS))
    @rule(client=clients, partition=picks, system=st.sampled_from(FORMATS))
    def format(self, client, partition, system):
        region = self.pick([r for r in self.regions(client, PARTITIONS) if r.length >= 6 * MIB], partition)
        if region is None:
            return
        session = self.sessions[client]
        marks = {each: each.count() for each in self.sessions.values()}
        spec = dmrp.FILE_SYSTEM_INFO(fsType=system[0], allocationUnitSize=system[1], label="RANDOM\0")
        reply = session.change("Format", storageId=region.id, fsSpec=spec, quickFormat=True, force=False,
                               storageLastKnownState=region.lastKnownState)
        if reply.result < 0 or reply.tinfo.status != dmrp.REQ_STARTED:
            self.look()
            return
        for each, mark in marks.items():
            assert each.wait_for_task(reply.tinfo.id, mark) == dmrp.REQ_COMPLETED
        self.look()
        made = [f for f in self.seen.file_systems if f.storageId == region.id]
        assert [f.fsType for f in made] == [system[0]], "one file system, of the type asked for"
        self.succeeded["Format"] += 1

    @precondition(lambda self: self.has(dmrp.REGION_PRIMARY))
    @rule(client=clients, partition=picks)
    def mark_active(self, client, partition):
        mbr = {d.id for d in self.seen.disks if d.partitionStyle == dmrp.PARTITIONSTYLE_MBR}
        region = self.pick([r for r in self.regions(client, (dmrp.REGION_PRIMARY,)) if r.diskId in mbr], partition)
        if region is not None:
            reply = self.tried(client, "MarkActivePartition", False, regionId=region.id,
                               regionLastKnownState=region.lastKnownState)
            if reply.result >= 0:
                active = [r.id for r in self.seen.regions[region.diskId] if r.mbr and r.mbr.isActive]
                assert active == [region.id], "one partition is active"

    @precondition(lambda self: self.has(*PARTITIONS))
    @rule(client=clients, partition=picks, letter=picks)
    def assign_letter(self, client, partition, letter):
        region = self.pick(self.regions(client, PARTITIONS), partition)
        free = [entry for entry in self.seen.letters if not entry.isUsed]
        entry = self.pick(free, letter)
        if region is None or entry is None:
            return
        reply = self.tried(client, "AssignDriveLetter", True, letter=entry.letter, forceOption=dmrp.FORCE_OPERATION,
                           letterLastKnownState=entry.lastKnownState, storageId=region.id,
                           storageLastKnownState=region.lastKnownState)
        if reply.result >= 0:
            own = [e.letter for e in self.seen.letters if e.isUsed and e.storageId == region.id]
            assert own == [entry.letter], "a volume has one letter"

    @precondition(lambda self: self.lettered("IVolumeClient"))
    @rule(client=clients, letter=picks)
    def free_letter(self, client, letter):
        entry, region = self.pick(self.lettered(client), letter)
        self.tried(client, "FreeDriveLetter", True, letter=entry.letter, forceOption=dmrp.FORCE_OPERATION,
                   letterLastKnownState=entry.lastKnownState, storageId=region.id,
                   storageLastKnownState=region.lastKnownState)

    @precondition(lambda self: self.has(*PARTITIONS))
    @rule(client=clients, partition=picks)
    def delete_with_a_stale_state(self, client, partition):
        region = self.pick(self.regions(client, PARTITIONS), partition)
        if region is not None:
            spec = spec_of(region, lastKnownState=region.lastKnownState - 1)
            reply = self.tried(client, "DeletePartition", False, partitionSpec=spec, force=True)
            assert reply.result < 0, "a stale state is refused"

    @rule(client=clients, method=st.sampled_from(["Refresh", "RescanDisks", "RefreshFileSys"]))
    def look_again(self, client, method):
        before = common(self.seen)
        dmrp.check(self.sessions[client].change(method))
        self.look()
        assert common(self.seen) == before, f"{method} found something after everything was told"

    @precondition(lambda self: len(self.guest.disks) < MOST_DISKS)
    @rule(spec=st.sampled_from(ATTACHED), style=st.sampled_from(STYLES))
    def attach(self, spec, style):
        marks = {each: each.count() for each in self.sessions.values()}
        self.guest.attach(spec)
        for each, mark in marks.items():
            each.wait_for(dmrp.DMNOTIFY_DISK_INFO, dmrp.LDMACTION_CREATED, mark)
        self.look()
        if "label" not in spec:
            self.initialize_disk(style)

    @precondition(lambda self: len(self.guest.disks) > len(FIXED_DISKS))
    @rule()
    def pull(self):
        self.detach(self.guest.disks[-1])

    @precondition(lambda self: len(self.guest.disks) > len(FIXED_DISKS))
    @rule(style=st.sampled_from(STYLES))
    def initialize_again(self, style):
        self.initialize_disk(style)

    def initialize_disk(self, style):
        view = self.seen
        disk = dict((guest_disk["id"], disk) for disk, guest_disk in self.disk_ids(view))[self.guest.disks[-1]["id"]]
        state = next(d.lastKnownState for d in view.disks if d.id == disk)
        self.tried("IVolumeClient3", "InitializeDiskStyle", False, diskId=disk, style=style, diskLastKnownState=state)

    def detach(self, disk):
        marks = {each: each.count() for each in self.sessions.values()}
        self.guest.detach(disk)
        for each, mark in marks.items():
            each.wait_for(dmrp.DMNOTIFY_DISK_INFO, dmrp.LDMACTION_DELETED, mark)
        self.look()

    # --- what holds after every step -------------------------------------------------------------------------------

    @invariant()
    def the_monitor_found_nothing(self):
        assert not (found := self.watch.violations()), "\n".join(str(each) for each in found)

    @invariant()
    def both_clients_list_the_same(self):
        assert common(self.sessions["IVolumeClient"].view()) == common(self.seen)

    @invariant()
    def the_disks_hold_what_is_listed(self):
        view = self.seen
        for disk_id, disk in self.disk_ids(view):
            observed = self.layout(disk)
            assert observed["dissents"] == []
            layout = observed["layout"]
            assert not layout.get("problems"), layout["problems"]
            listed = sorted((r.start, r.length) for r in view.regions.get(disk_id, []) if r.regionType not in FREE)
            assert sorted((p["start"], p["length"]) for p in layout["partitions"]) == listed

    @invariant()
    def letters_lead_to_what_exists(self):
        for entry in self.seen.letters:
            assert not entry.isUsed or self.seen.region(entry.storageId) is not None, f"{entry!r} leads nowhere"

    @invariant()
    def the_registry_keeps_the_letters(self):
        kept = self.guest.kept_letters()
        used = {letter_of(entry): entry.storageId for entry in self.seen.letters if entry.isUsed}
        assert used.keys() <= kept.keys(), "a letter that a client lists is not kept"
        disks = {disk.id: disk for disk in self.seen.disks}
        for region in self.regions("IVolumeClient3", PARTITIONS):
            listed = {letter for letter, storage in used.items() if storage == region.id}
            name = unique_id(region, disks[region.diskId])
            assert {letter for letter, of in kept.items() if of == name} == listed, f"{region!r}: {kept}"

    @invariant()
    def no_task_is_left(self):
        for session in self.sessions.values():
            assert dmrp.check(session.call("EnumTasks")).taskList == []


@pytest.mark.requirements("DMRP-0435", "DMRP-0490", "DMRP-0494", "DMRP-0522", "DMRP-0523", "DMRP-0524", "DMRP-0528",
                          "DMRP-0532")
def test_random_sequences_keep_every_rule():
    run_state_machine_as_test(TwoClients, settings=PROFILES[os.environ.get("DMRP_SEQUENCES", "certify")])
    print(dict(TwoClients.succeeded))
    assert set(TwoClients.succeeded) >= {"CreatePartition", "DeletePartition", "Format", "MarkActivePartition",
                                         "AssignDriveLetter", "FreeDriveLetter", "InitializeDiskStyle"}


def steps_of(machine, failure):
    """The steps of the sequence that Hypothesis reports, in order."""
    called = re.findall(r"^state\.(\w+)\(", "\n".join(failure.value.__notes__), re.MULTILINE)
    rules = {each.function.__name__ for each in machine.rules()}
    return [name for name in called if name in rules]


@pytest.mark.skipif(os.environ.get("DMRP_SEQUENCES") != "long", reason="takes minutes; runs with DMRP_SEQUENCES=long")
def test_a_failing_sequence_in_guests_is_shrunk_to_the_steps_that_matter():
    """A rule that no server keeps: no letter for a partition that was marked active."""

    class WithAFalseRule(TwoClients):
        # Hypothesis shrinks for five minutes at the most: nothing is looked at that costs time.
        the_disks_hold_what_is_listed = the_registry_keeps_the_letters = None
        both_clients_list_the_same = no_task_is_left = None

        @invariant()
        def no_active_partition_has_a_letter(self):
            active = {r.id for regions in self.seen.regions.values() for r in regions if r.mbr and r.mbr.isActive}
            assert not [e for e in self.seen.letters if e.isUsed and e.storageId in active], "the false rule"

    with pytest.raises(AssertionError, match="the false rule") as failure:
        run_state_machine_as_test(WithAFalseRule, settings=PROFILES["certify"])
    steps = steps_of(WithAFalseRule, failure)
    assert {"assign_letter", "mark_active"} <= set(steps)
    assert len(steps) <= 4, "two steps do it; on a busy machine the time may not suffice for the last ones"


def test_the_profile_shrinks_a_failing_sequence_to_the_steps_that_matter():
    """The same without guests, whose steps cost nothing."""

    class Steps(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.taken = []

        @rule(client=clients, partition=picks)
        def one(self, client, partition):
            self.taken.append("one")

        @rule(client=clients, partition=picks)
        def another(self, client, partition):
            self.taken.append("another")

        @rule(client=clients, partition=picks, letter=picks)
        def harmless(self, client, partition, letter):
            self.taken.append("harmless")

        @invariant()
        def not_both(self):
            assert not {"one", "another"} <= set(self.taken)

    with pytest.raises(AssertionError) as failure:
        run_state_machine_as_test(Steps, settings=PROFILES["certify"])
    assert sorted(steps_of(Steps, failure)) == ["another", "one"]
