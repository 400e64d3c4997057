"""What several suites do with the first disk: find its free region, make a partition, delete it."""
import dmrp

MIB = 1 << 20


def region_spec(region, **changes):
    members = {name: getattr(region, name) for name in ("regionType", "diskId", "start", "length", "lastKnownState")}
    return dmrp.REGION_SPEC(regionId=region.id, **{**members, **changes})


def regions(session, disk, region_type):
    reply = dmrp.check(session.IVolumeClient3.EnumDiskRegionsEx(diskId=disk.id))
    return [region for region in reply.regionList if region.regionType == region_type]


def disk_with_free_region(session):
    """The first disk of the server that has a free region, and that region."""
    for disk in dmrp.check(session.IVolumeClient3.EnumDisksEx()).diskList:
        for free in regions(session, disk, dmrp.REGION_FREE):
            return disk, free
    raise AssertionError("no disk has a free region")


def create_partition(session, length=8 * MIB):
    """Makes a primary partition at the start of the first free region and returns its REGION_INFO_EX."""
    disk, free = disk_with_free_region(session)
    spec = region_spec(free, regionType=dmrp.REGION_PRIMARY, length=length)
    tinfo = dmrp.check(session.IVolumeClient3.CreatePartition(partitionSpec=spec)).tinfo
    return next(r for r in regions(session, disk, dmrp.REGION_PRIMARY) if r.id == tinfo.storageId)


def delete_partition(session, partition):
    return dmrp.check(session.IVolumeClient3.DeletePartition(partitionSpec=region_spec(partition), force=True))
