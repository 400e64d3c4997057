"""Explore and test servers of the Disk Management Remote Protocol, [MS-DMRP].

    import dmrp

    with dmrp.Guest(["size=64M,label=mbr"]) as guest, guest.connect() as session:
        session.initialize()
        disk = session.IVolumeClient3.EnumDisksEx().diskList[0]
        free = session.IVolumeClient3.EnumDiskRegionsEx(diskId=disk.id).regionList[0]
        spec = dmrp.REGION_SPEC(regionId=free.id, diskId=disk.id, regionType=dmrp.REGION_PRIMARY,
                                start=free.start, length=8 << 20, lastKnownState=free.lastKnownState)
        print(dmrp.check(session.IVolumeClient3.CreatePartition(partitionSpec=spec)))
        print(session.wait_for(dmrp.DMNOTIFY_REGION_INFO, dmrp.LDMACTION_CREATED))
        print(guest.layout())

Any server: `dmrp.connect("server.example", user=..., password=...)`. All structures, enumerations, constants and
messages of the IDL are names of this module; `help(session.IVolumeClient3)` lists the methods.
"""
from dmrp._dmrp import *  # noqa: F401,F403 - the types of the IDL
from dmrp._dmrp import Error, INTERFACES, hresult_name
from dmrp.client import Failure, Notification, Session, check, connect
from dmrp.guest import Guest, read_layout

__all__ = ["Error", "Failure", "Guest", "INTERFACES", "Notification", "Session", "check", "connect",
           "hresult_name", "read_layout"]
