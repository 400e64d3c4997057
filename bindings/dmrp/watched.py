"""Sessions under the rule monitor of the conformance suites.

    with guest.watch() as watch:
        first, third = watch.open("IVolumeClient"), watch.open("IVolumeClient3")
        first.change("MarkActivePartition", regionId=..., regionLastKnownState=...)
        assert not watch.violations()
"""
from typing import Any, NamedTuple

from dmrp import _dmrp


class Violation(NamedTuple):
    """A rule that did not hold."""

    requirements: list[str]
    statement: str  # what was expected
    actual: str  # what came

    def __str__(self):
        return f"{', '.join(self.requirements)}: {self.statement}\n  actual: {self.actual}"


class View(NamedTuple):
    """What one client's enumerations show. Disks and regions are DISK_INFO_EX and REGION_INFO_EX for either revision."""

    disks: list
    regions: dict[int, list]  # by the id of the disk
    file_systems: list | None  # None where the server refuses to list them
    letters: list | None

    def region(self, region_id) -> Any:
        return next((r for regions in self.regions.values() for r in regions if r.id == region_id), None)


class WatchedSession:
    """One client on one revision of the interface."""

    def __init__(self, session, interface):
        self._session = session
        self.interface = interface

    def __repr__(self):
        return f"<{self.interface}>"

    def call(self, method, **parameters):
        """A method that changes nothing; its reply."""
        return self._session.call(method, getattr(_dmrp, method + "Request")(**parameters), False)

    def change(self, method, **parameters):
        """A method that may change storage: what all clients of the watch were told is compared with what changed."""
        return self._session.call(method, getattr(_dmrp, method + "Request")(**parameters), True)

    def view(self):
        return View(*self._session.view())

    def count(self):
        """How many notifications have come: a mark for the waits."""
        return self._session.count()

    def wait_for(self, type, action, after=0, seconds=10.0):
        """The id of the first such object in a notification after the mark; TimeoutError when none comes."""
        found = self._session.wait_for(type, action, after, seconds)
        if found is None:
            raise TimeoutError(f"{self.interface}: no {type.name} {action.name} within {seconds} s")
        return found

    def wait_for_task(self, task, after=0, seconds=30.0):
        """The final status of a task, from its last notification; TimeoutError when it does not come."""
        status = self._session.wait_for_task(task, after, seconds)
        if status is None:
            raise TimeoutError(f"{self.interface}: task {task} did not end within {seconds} s")
        return status

    def close(self):
        self._session.close()


class Watch:
    """A client machine whose sessions share one rule monitor."""

    def __init__(self, host):
        self._host = host
        self._sessions = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def open(self, interface="IVolumeClient3"):
        session = WatchedSession(self._host.open(interface == "IVolumeClient3", interface), interface)
        self._sessions.append(session)
        return session

    def violations(self):
        """What the monitor found since the last time."""
        return [Violation(*entry) for entry in self._host.take_violations()]

    def close(self):
        for session in self._sessions:
            session.close()
        self._host.close()
