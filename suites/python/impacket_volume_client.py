"""IVolumeClient as impacket sees it: the second witness on the wire.

Everything here is declared with impacket's own NDR classes and sent by impacket's own DCOM stack, so that
nothing of the project's marshaling takes part. Only what the interoperability scenario needs is declared.
Source of the layouts: [MS-DMRP] 2.2, 2.3.1 and 6.1.
"""
from impacket.dcerpc.v5.dcomrt import (DCERPCSessionError, DCOMANSWER, DCOMCALL, INTERFACE,
                                       PMInterfacePointer)
from impacket.dcerpc.v5.dtypes import LONG, ULONG
from impacket.dcerpc.v5.ndr import (NDRBOOLEAN, NDRENUM, NDRHYPER, NDRPOINTER, NDRSTRUCT,
                                    NDRUniConformantArray)
from impacket.uuid import string_to_bin, uuidtup_to_bin

IID_IVolumeClient = uuidtup_to_bin(("d2d79df5-3400-11d0-b40b-00aa005ff586", "0.0"))
IID_IDMNotify = string_to_bin("d2d79df7-3400-11d0-b40b-00aa005ff586")

REGION_FREE = 1
REGION_PRIMARY = 3
REQ_COMPLETED = 3

__all__ = ["DCERPCSessionError", "IID_IVolumeClient", "IVolumeClient"]  # impacket looks the first one up here


class WCharArray(NDRUniConformantArray):
    item = "<H"


class WCharPointer(NDRPOINTER):
    referent = (("Data", WCharArray),)


class OctetArray(NDRUniConformantArray):
    item = "c"


class OctetPointer(NDRPOINTER):
    referent = (("Data", OctetArray),)


class DISK_INFO(NDRSTRUCT):
    structure = (
        ("id", NDRHYPER), ("length", NDRHYPER), ("freeBytes", NDRHYPER),
        ("bytesPerTrack", ULONG), ("bytesPerCylinder", ULONG), ("bytesPerSector", ULONG),
        ("regionCount", ULONG), ("dflags", ULONG), ("deviceType", ULONG), ("deviceState", ULONG),
        ("busType", ULONG), ("attributes", ULONG), ("isUpgradeable", NDRBOOLEAN),
        ("portNumber", LONG), ("targetNumber", LONG), ("lunNumber", LONG),
        ("lastKnownState", NDRHYPER), ("taskId", NDRHYPER),
        ("cchName", LONG), ("cchVendor", LONG), ("cchDgid", LONG), ("cchAdapterName", LONG),
        ("cchDgName", LONG),
        ("name", WCharPointer), ("vendor", WCharPointer), ("dgid", OctetPointer),
        ("adapterName", WCharPointer), ("dgName", WCharPointer),
    )


class REGION_INFO(NDRSTRUCT):
    structure = (
        ("id", NDRHYPER), ("diskId", NDRHYPER), ("volId", NDRHYPER), ("fsId", NDRHYPER),
        ("start", NDRHYPER), ("length", NDRHYPER), ("regionType", NDRENUM), ("partitionType", ULONG),
        ("isActive", NDRBOOLEAN), ("status", NDRENUM), ("lastKnownState", NDRHYPER),
        ("taskId", NDRHYPER), ("rflags", ULONG), ("currentPartitionNumber", ULONG),
    )


class REGION_SPEC(NDRSTRUCT):
    structure = (
        ("regionId", NDRHYPER), ("regionType", NDRENUM), ("diskId", NDRHYPER),
        ("start", NDRHYPER), ("length", NDRHYPER), ("lastKnownState", NDRHYPER),
    )


class TASK_INFO(NDRSTRUCT):
    structure = (
        ("id", NDRHYPER), ("storageId", NDRHYPER), ("createTime", NDRHYPER), ("clientID", NDRHYPER),
        ("percentComplete", ULONG), ("status", NDRENUM), ("type", NDRENUM), ("error", LONG),
        ("tflag", ULONG),
    )


class DiskInfoArray(NDRUniConformantArray):
    item = DISK_INFO


class DiskInfoList(NDRPOINTER):
    referent = (("Data", DiskInfoArray),)


class RegionInfoArray(NDRUniConformantArray):
    item = REGION_INFO


class RegionInfoList(NDRPOINTER):
    referent = (("Data", RegionInfoArray),)


class EnumDisks(DCOMCALL):
    opnum = 3
    structure = ()


class EnumDisksResponse(DCOMANSWER):
    structure = (("diskCount", ULONG), ("diskList", DiskInfoList), ("ErrorCode", LONG))


class EnumDiskRegions(DCOMCALL):
    opnum = 4
    structure = (("diskId", NDRHYPER), ("numRegions", ULONG))


class EnumDiskRegionsResponse(DCOMANSWER):
    structure = (("numRegions", ULONG), ("regionList", RegionInfoList), ("ErrorCode", LONG))


class CreatePartition(DCOMCALL):
    opnum = 5
    structure = (("partitionSpec", REGION_SPEC),)


class CreatePartitionResponse(DCOMANSWER):
    structure = (("tinfo", TASK_INFO), ("ErrorCode", LONG))


class DeletePartition(DCOMCALL):
    opnum = 8
    structure = (("partitionSpec", REGION_SPEC), ("force", NDRBOOLEAN))


class DeletePartitionResponse(DCOMANSWER):
    structure = (("tinfo", TASK_INFO), ("ErrorCode", LONG))


class EnumTasks(DCOMCALL):
    opnum = 67
    structure = (("taskCount", ULONG),)


class TaskInfoArray(NDRUniConformantArray):
    item = TASK_INFO


class TaskInfoList(NDRPOINTER):
    referent = (("Data", TaskInfoArray),)


class EnumTasksResponse(DCOMANSWER):
    structure = (("taskCount", ULONG), ("taskList", TaskInfoList), ("ErrorCode", LONG))


class Initialize(DCOMCALL):
    opnum = 71
    structure = (("notificationInterface", PMInterfacePointer), ("cRemote", ULONG))


class InitializeResponse(DCOMANSWER):
    structure = (("ulIDLVersion", ULONG), ("pdwFlags", ULONG), ("clientId", NDRHYPER),
                 ("ErrorCode", LONG))


class Uninitialize(DCOMCALL):
    opnum = 72
    structure = ()


class UninitializeResponse(DCOMANSWER):
    structure = (("ErrorCode", LONG),)


class IVolumeClient(INTERFACE):
    """The methods of the scenario over one activated object; each returns impacket's answer structure.

    impacket raises DCERPCSessionError for any answer whose ErrorCode is not zero.
    """

    def __init__(self, interface):
        INTERFACE.__init__(self, interfaceInstance=interface)

    def _call(self, request):
        return self.request(request, IID_IVolumeClient, self.get_iPid())

    def enum_disks(self):
        return self._call(EnumDisks())

    def enum_disk_regions(self, disk_id):
        request = EnumDiskRegions()
        request["diskId"] = disk_id
        request["numRegions"] = 0
        return self._call(request)

    def create_partition(self, spec):
        request = CreatePartition()
        _fill(request["partitionSpec"], spec)
        return self._call(request)

    def delete_partition(self, spec, force):
        request = DeletePartition()
        _fill(request["partitionSpec"], spec)
        request["force"] = int(force)
        return self._call(request)

    def initialize(self, notification_objref):
        request = Initialize()
        request["notificationInterface"]["ulCntData"] = len(notification_objref)
        request["notificationInterface"]["abData"] = list(notification_objref)
        request["cRemote"] = 1
        return self._call(request)

    def uninitialize(self):
        return self._call(Uninitialize())


def _fill(structure, values):
    for name, value in values.items():
        structure[name] = value
