"""The package dmrp as a person at a prompt meets it."""
import pytest

import dmrp
from scenario import MIB, create_partition, delete_partition, disk_with_free_region, region_spec


def test_every_method_of_the_idl_can_be_called_by_name(session):
    methods = {d["name"]: [m["name"] for m in d["methods"] if not m["reserved"]] for d in dmrp.INTERFACES}
    assert {name: len(callables) for name, callables in methods.items()} == {
        "IVolumeClient": 64, "IVolumeClient2": 1, "IVolumeClient3": 67, "IVolumeClient4": 2, "IDMRemoteServer": 1,
        "IDMNotify": 1}
    for interface, names in methods.items():
        for name in names:
            assert callable(getattr(getattr(session, interface), name))


def test_partition_is_made_seen_and_deleted(guest, session):
    session.initialize()
    partition = create_partition(session)
    created = session.wait_for(dmrp.DMNOTIFY_REGION_INFO, dmrp.LDMACTION_CREATED)
    assert created.value == partition

    observation = guest.layout()
    assert observation["dissents"] == []
    assert [(p["start"], p["length"]) for p in observation["layout"]["partitions"]] == [(partition.start, 8 * MIB)]

    delete_partition(session, partition)
    deleted = session.wait_for(dmrp.DMNOTIFY_REGION_INFO, dmrp.LDMACTION_DELETED)
    assert deleted.id == partition.id
    assert guest.layout()["layout"]["partitions"] == []


def test_disk_is_attached_and_pulled_while_the_guest_runs(guest, session):
    session.initialize()
    disk = guest.attach("size=32M,sector=4096,label=gpt")
    arrived = session.wait_for(dmrp.DMNOTIFY_DISK_INFO, dmrp.LDMACTION_CREATED, timeout=10)
    assert (arrived.value.bytesPerSector, arrived.value.partitionStyle) == (4096, dmrp.PARTITIONSTYLE_GPT)
    guest.detach(disk)
    gone = session.wait_for(dmrp.DMNOTIFY_DISK_INFO, dmrp.LDMACTION_DELETED, timeout=10)
    assert gone.id == arrived.id


def test_refused_call_raises_its_result_by_name(session):
    _, free = disk_with_free_region(session)
    stale = region_spec(free, regionType=dmrp.REGION_PRIMARY, lastKnownState=free.lastKnownState - 1)
    with pytest.raises(dmrp.Failure, match="LDM_E_OBJECT_STALED") as caught:
        dmrp.check(session.IVolumeClient3.CreatePartition(partitionSpec=stale))
    assert caught.value.result >> 31 == 1


def test_unknown_operation_is_a_fault_with_its_status(session):
    with pytest.raises(dmrp.Error) as caught:
        session.call_raw("IVolumeClient3", 200)
    assert (caught.value.kind, caught.value.status) == ("Fault", 0x1C010002)


def test_wrong_password_is_denied(guest):
    with pytest.raises(dmrp.Error) as caught:
        guest.connect(password="wrong")
    assert caught.value.kind in ("Denied", "Fault")


def test_parameter_that_does_not_exist_is_named(session):
    with pytest.raises(TypeError, match="IVolumeClient3.EnumDiskRegionsEx has no .in. parameter disk; it has diskId"):
        session.IVolumeClient3.EnumDiskRegionsEx(disk=1)


def test_waiting_in_vain_tells_what_came(session):
    session.initialize()
    with pytest.raises(TimeoutError, match="came: nothing"):
        session.wait_for(dmrp.DMNOTIFY_DISK_INFO, timeout=0.2)


def test_disk_specification_that_makes_no_sense_is_refused(guest):
    with pytest.raises(dmrp.Error, match="sector"):
        guest.attach("size=64M,sector=1000")


def test_layout_of_a_file_that_is_no_image(tmp_path):
    with pytest.raises(dmrp.Error) as caught:
        dmrp.read_layout(tmp_path / "missing.img")
    assert caught.value.kind == "System"
