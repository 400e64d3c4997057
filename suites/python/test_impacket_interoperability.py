"""A DCOM stack that shares nothing with ours drives the server: activation, calls, and a callback.

If this fails while the C++ suites pass, the two ends of this project agree with each other and not with the wire.
"""
import queue
import struct
from types import SimpleNamespace

import pytest
from impacket.dcerpc.v5.dcomrt import DCOMConnection, IRemUnknown
from impacket.dcerpc.v5.rpcrt import RPC_C_AUTHN_LEVEL_PKT_INTEGRITY, RPC_C_AUTHN_LEVEL_PKT_PRIVACY
from impacket.uuid import string_to_bin

from impacket_callback_sink import CallbackSink
from impacket_volume_client import (IID_IVolumeClient, IVolumeClient, REGION_FREE, REGION_PRIMARY,
                                    REQ_COMPLETED)

MIB = 1 << 20
DMNOTIFY_DISK_INFO, DMNOTIFY_REGION_INFO = 1, 3
LDMACTION_CREATED, LDMACTION_DELETED, LDMACTION_MODIFIED = 1, 2, 3


def frames(stream):
    """The (type, action) of each frame of an ObjectsChanged byte stream ([MS-DMRP] 3.1.4.4.1.1)."""
    result = []
    while stream:
        size, kind, action = struct.unpack_from("<LLL", stream)
        assert 12 <= size <= len(stream), f"frame of {size} octets in {len(stream)}"
        result.append((kind, action))
        stream = stream[size:]
    return result


def notified(sink):
    """All frames that have arrived; the server sends them before its reply, so none is still on its way."""
    result = []
    while True:
        try:
            result += frames(sink.streams.get_nowait()[1])
        except queue.Empty:
            return result


@pytest.fixture
def served_guest(guest):
    user, password, domain = guest.settings["accounts"]["administrator"]
    return SimpleNamespace(host=guest.host, user=user, password=password, domain=domain,
                           clsid=guest.settings["class_id"], callback_address=guest.callback_address,
                           callback_account=guest.settings["callback_accounts"][0])


@pytest.fixture(params=[RPC_C_AUTHN_LEVEL_PKT_PRIVACY, RPC_C_AUTHN_LEVEL_PKT_INTEGRITY],
                ids=["privacy", "integrity"])
def volume_client(served_guest, request):
    connection = DCOMConnection(served_guest.host, served_guest.user, served_guest.password,
                                served_guest.domain, authLevel=request.param)
    unknown = connection.CoCreateInstanceEx(string_to_bin(served_guest.clsid),
                                            string_to_bin("00000000-0000-0000-c000-000000000046"))
    yield IVolumeClient(IRemUnknown(unknown).RemQueryInterface(1, (IID_IVolumeClient,)))
    connection.disconnect()


def spec_of(region, region_type, length=None):
    return {"regionId": region["id"], "regionType": region_type, "diskId": region["diskId"],
            "start": region["start"], "length": length or region["length"],
            "lastKnownState": region["lastKnownState"]}


def regions(client, disk_id, region_type):
    answer = client.enum_disk_regions(disk_id)
    return [region for region in answer["regionList"] if region["regionType"] == region_type]


@pytest.mark.requirements("DMRP-0005", "DMRP-0606", interface="IVolumeClient")
def test_partition_is_created_and_deleted_with_callbacks(volume_client, served_guest):
    with CallbackSink(served_guest.callback_address, *served_guest.callback_account) as sink:
        assert volume_client.initialize(sink.objref())["clientId"] != 0
        assert sink.resolved_by == served_guest.callback_account[0]

        disks = volume_client.enum_disks()["diskList"]
        disk = next(d for d in disks if regions(volume_client, d["id"], REGION_FREE))
        free = regions(volume_client, disk["id"], REGION_FREE)[0]

        created = volume_client.create_partition(spec_of(free, REGION_PRIMARY, 8 * MIB))["tinfo"]
        assert created["status"] == REQ_COMPLETED
        partition = next(r for r in regions(volume_client, disk["id"], REGION_PRIMARY)
                         if r["id"] == created["storageId"])
        changes = notified(sink)
        assert (DMNOTIFY_REGION_INFO, LDMACTION_CREATED) in changes
        assert (DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED) in changes

        deleted = volume_client.delete_partition(spec_of(partition, REGION_PRIMARY), force=True)["tinfo"]
        assert deleted["status"] == REQ_COMPLETED
        assert created["storageId"] not in [r["id"] for r in regions(volume_client, disk["id"], REGION_PRIMARY)]
        changes = notified(sink)
        assert (DMNOTIFY_REGION_INFO, LDMACTION_DELETED) in changes
        assert (DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED) in changes
        volume_client.uninitialize()
