"""Sessions: one activated server object, its interfaces, and the notifications it sends."""
import inspect
import time
from typing import Any, NamedTuple

from dmrp import _dmrp

DEFAULT_PORT = 135


class Failure(Exception):
    """A method answered with an error HRESULT. reply: what came with it; result: the code."""

    def __init__(self, reply):
        self.reply = reply
        self.result = reply.result & 0xFFFFFFFF
        super().__init__(f"{_dmrp.hresult_name(self.result)}: {reply!r}")


class Notification(NamedTuple):
    """One object of an ObjectsChanged call."""

    type: Any  # DMNOTIFY_INFO_TYPE
    action: Any  # LDMACTION
    id: int  # of the object
    value: Any  # DISK_INFO_EX, REGION_INFO_EX, TASK_INFO, FILE_SYSTEM_INFO, or a dict of other kinds
    stream: bytes  # the whole byte stream of the call


def check(reply):
    """Returns a reply whose HRESULT is no error; raises Failure for any other."""
    if reply.result < 0:
        raise Failure(reply)
    return reply


class _Interface:
    """The methods of one interface, each taking its [in] parameters by keyword."""

    def __init__(self, connection, description):
        self._connection = connection
        self._name = description["name"]
        for method in description["methods"]:
            if not method["reserved"]:
                setattr(self, method["name"], self._bind(method))

    def __repr__(self):
        return f"<{self._name}: {', '.join(sorted(n for n in vars(self) if not n.startswith('_')))}>"

    def _bind(self, method):
        request_type = getattr(_dmrp, method["name"] + "Request")
        names = [p["name"] for p in method["params"] if p["in"]]

        def call(**parameters):
            for name in parameters:
                if name not in names:
                    raise TypeError(f"{self._name}.{method['name']} has no [in] parameter {name}; it has "
                                    f"{', '.join(names) or 'none'}")
            return self._connection.call(self._name, method["name"], request_type(**parameters))

        call.__name__ = method["name"]
        call.__qualname__ = f"{self._name}.{method['name']}"
        call.__signature__ = inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in names])
        call.__doc__ = "\n".join(
            [f"Opnum {method['opnum']}. Parameters that are left out are zero."]
            + [f"[{'in' if p['in'] else ''}{', ' if p['in'] and p['out'] else ''}{'out' if p['out'] else ''}] "
               f"{p['type']} {p['name']}" for p in method["params"]])
        return call


class Session:
    """One activated object. Its interfaces are attributes: session.IVolumeClient3.EnumDisksEx()."""

    def __init__(self, connection):
        self._connection = connection
        self._seen = 0
        for description in _dmrp.INTERFACES:
            setattr(self, description["name"], _Interface(connection, description))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def initialize(self, interface="IVolumeClient3", cRemote=1):
        """Calls Initialize of "IVolumeClient" or "IVolumeClient3" with a sink; notifications arrive from then on."""
        self._seen = 0
        reference = self._connection.make_sink(interface)
        return check(getattr(self, interface).Initialize(notificationInterface=reference, cRemote=cRemote))

    def call_raw(self, interface, opnum, stub=b""):
        """Any operation number with any stub octets (behind ORPCTHIS); the reply's octets behind ORPCTHAT."""
        return self._connection.call_raw(interface, opnum, stub)

    def notifications(self):
        """What has arrived since Initialize, as a list of Notification."""
        return [Notification(*entry) for entry in self._connection.notifications(0)]

    def wait_for(self, type=None, action=None, predicate=None, timeout=5.0):
        """The next notification of that type and action that fits the predicate; TimeoutError lists what came.

        Each notification is returned once; those that did not fit are skipped.
        """
        deadline = time.monotonic() + timeout
        came = []
        while True:
            count = self._connection.notification_count()
            arrived = [Notification(*entry) for entry in self._connection.notifications(self._seen)]
            self._seen = count
            came += arrived
            for notification in arrived:
                if ((type is None or notification.type == type)
                        and (action is None or notification.action == action)
                        and (predicate is None or predicate(notification))):
                    return notification
            left = deadline - time.monotonic()
            if left <= 0 or not self._connection.wait_for_notifications(count + 1, left):
                raise TimeoutError(f"no {type or 'notification'} {action or ''} in {timeout} s; came: "
                                   + (", ".join(f"{n.type.name} {n.action.name} {n.id}" for n in came) or "nothing"))

    def close(self):
        """Gives the object back and closes the connections."""
        self._connection.close()


def connect(host, *, user, password, clsid, domain="DMRP", port=DEFAULT_PORT, auth_level="privacy", auth_type="ntlm",
            callback_address="127.0.0.1", advertise="", callback_port=0, callback_accounts=(), timeout=20.0):
    """Activates an object of class `clsid` on a server and returns its Session.

    auth_level: none, connect, packet, integrity or privacy. auth_type: ntlm or spnego.
    callback_address: the numeric address at which we listen for notifications, callback_port its resolver port (135
    for servers that dial nothing else); advertise: what the server must dial, where it differs.
    callback_accounts: (user, password, domain) of those who may call back. timeout: seconds for one call.
    """
    return Session(_dmrp.Connection(
        host=host, port=port, clsid=clsid, account=(user, password, domain), auth_level=auth_level,
        auth_type=auth_type, listen_address=callback_address, advertise=advertise, resolver_port=callback_port,
        callback_accounts=list(callback_accounts), timeout=timeout))
