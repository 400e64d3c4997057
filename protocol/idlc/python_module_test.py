"""The generated Python types: construction, conversion, the wire, the method tables."""

import uuid

import dmrp_wire as wire
import pytest

FREE_REGION = dict(id=7, diskId=3, start=0, length=1 << 40, regionType=wire.REGION_FREE)


def test_members_by_keyword_and_by_assignment():
    region = wire.REGION_INFO(**FREE_REGION)
    assert (region.id, region.length, region.regionType) == (7, 1 << 40, wire.REGION_FREE)
    region.id = 8
    assert region != wire.REGION_INFO(**FREE_REGION)
    region.id = 7
    assert region == wire.REGION_INFO(**FREE_REGION)
    assert region != wire.TASK_INFO()


def test_unknown_members_and_wrong_values_are_refused():
    with pytest.raises(TypeError, match="REGION_INFO has no member nothing"):
        wire.REGION_INFO(nothing=1)
    with pytest.raises((TypeError, RuntimeError)):
        wire.REGION_INFO(id="seven")


def test_structures_inside_a_message_are_references():
    request = wire.CreatePartitionRequest()
    request.partitionSpec.length = 512
    assert wire.CreatePartitionRequest.decode(request.encode()).partitionSpec.length == 512


def test_text_keeps_its_null_and_lone_surrogates():
    for text in ("Disk 0\0", "", "\ud800x\0"):
        disk = wire.DISK_INFO(name=text)
        assert disk.name == text
        reply = wire.EnumDisksReply(diskList=[disk])
        assert wire.EnumDisksReply.decode(reply.encode()).diskList == [disk]
    assert wire.DISK_INFO().name is None


def test_guids_octets_and_characters():
    style = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    disk = wire.DISK_INFO_EX(partitionStyle=wire.PARTITIONSTYLE_GPT, gpt=wire.DISK_INFO_EX_Gpt(diskId=style),
                             dgid=b"\x01\x02")
    assert (disk.gpt.diskId, disk.dgid) == (style, b"\x01\x02")
    assert wire.DRIVE_LETTER_INFO(letter="C").letter == "C"
    assert wire.DRIVE_LETTER_INFO(letter=0x43).letter == "C"
    assert wire.IFILE_SYSTEM_INFO(fsName="NTFS").fsName == "NTFS"
    with pytest.raises(ValueError):
        wire.IFILE_SYSTEM_INFO(fsName="far too long")


def test_enumerations_take_numbers_that_have_no_name():
    region = wire.REGION_INFO(regionType=77)
    assert int(region.regionType) == 77
    assert region.to_dict()["regionType"] == 77
    assert wire.REGION_INFO(regionType=wire.REGION_PRIMARY).to_dict()["regionType"] == "REGION_PRIMARY"


def test_the_wire():
    reply = wire.InitializeReply(ulIDLVersion=3, clientId=42)
    assert reply.encode() == bytes.fromhex("0300000000000000 2a00000000000000 00000000")
    with pytest.raises(ValueError, match="Initialize.result at offset 16"):
        wire.InitializeReply.decode(reply.encode()[:-1])
    with pytest.raises(ValueError, match="DISK_INFO_EX.mbr"):
        wire.EnumDisksExReply(diskList=[wire.DISK_INFO_EX(partitionStyle=wire.PARTITIONSTYLE_MBR)]).encode()


def test_repr_names_type_and_members():
    assert repr(wire.RefreshExReply(result=-2147467263)) == 'RefreshExReply {result: "E_NOTIMPL"}'


def test_constants():
    assert (wire.DEVICETYPE_FDISK, wire.MAX_FS_NAME_SIZE, wire.FSTYPE_OTHER) == (4, 8, -0x80000000)


def test_method_tables():
    tables = {interface["name"]: interface for interface in wire.INTERFACES}
    assert tables["IVolumeClient3"]["iid"] == uuid.UUID("135698d2-3a37-4d26-99df-e2bb6ae3ac61")
    methods = tables["IVolumeClient3"]["methods"]
    assert sum(not m["reserved"] for m in methods) == 67
    enum_disks = methods[0]
    assert (enum_disks["name"], enum_disks["opnum"]) == ("EnumDisksEx", 3)
    assert enum_disks["params"][1] == {"name": "diskList", "type": "DISK_INFO_EX **", "in": False, "out": True}


def test_every_callable_method_has_its_messages():
    for module in (wire, wire.dcom):
        for interface in module.INTERFACES:
            for method in interface["methods"]:
                if method["reserved"]:
                    continue
                for side in ("Request", "Reply"):
                    message = getattr(module, method["name"] + side)()
                    if method["name"] not in ("RemoteActivation",):
                        type(message).decode(message.encode())


def test_dcom_types():
    that = wire.dcom.ORPCTHIS(version=wire.dcom.COMVERSION(MajorVersion=5, MinorVersion=7))
    assert that.encode()[:4] == b"\x05\x00\x07\x00"
