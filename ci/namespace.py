#!/usr/bin/python3
"""Runs a command where guests can live, and leaves nothing of it behind.

    ci/namespace.py [--] COMMAND [ARGUMENT...]

Guests want addresses of their own, port 135 and callbacks, without root. So the command runs in a user, network,
process and mount namespace of its own, with a bridge. What the host forbids is done without; the command learns
from the environment how guests are reached:

    DMRP_NETWORK            bridge            taps on br0, guests are 10.9.0.N
                            user-namespaced   no taps: QEMU's user-mode network, all ports
                            user-forwarded    no namespaces: the same, high ports on 127.77.0.N
    DMRP_CLIENT_ADDRESSES   addresses of this side on the bridge
    DMRP_NAMESPACE_PID      the process outside by which the namespaces can be entered; empty without them
    DMRP_RUN_DIRECTORY      for temporary files; removed at the end

The command's exit status is passed on; SIGINT, SIGTERM and SIGHUP are passed to it. When this program dies, by
SIGKILL too, every process inside dies, and the run directory is removed. A command that is inside already is
executed as it is. DMRP_NETWORK_LIMIT=user-namespaced or user-forwarded forbids the better ways.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

BRIDGE = "br0"
# Fixed: a bridge without an address of its own takes that of a port, and guests lose us when that port goes.
BRIDGE_ADDRESS = "52:54:00:09:ff:01"
CLIENT_ADDRESSES = ["10.9.0.1", "10.9.0.2", "10.9.0.3"]
PREFIX_LENGTH = 24
WAYS = ["bridge", "user-namespaced", "user-forwarded"]
PASSED_SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x10000000, 0x20000000, 0x40000000
MS_REC, MS_PRIVATE, MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x4000, 0x40000, 2, 4, 8
PR_SET_PDEATHSIG = 1
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def die_with_parent(alive: int) -> None:
    """Ends this process with its parent; `alive` is a pipe whose other end only the parent holds."""
    check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    os.set_blocking(alive, False)
    try:
        if os.read(alive, 1) == b"":
            os._exit(1)
    except BlockingIOError:
        pass


def enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def can_make_taps() -> bool:
    try:
        with open("/dev/net/tun", "rb+", buffering=0) as tun:
            fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"probe", IFF_TAP | IFF_NO_PI))
        return True
    except OSError:
        return False


def ip(arguments: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input=arguments, text=True, check=True)


def make_network(bridge: bool) -> None:
    lines = ["link set lo up"]
    if bridge:
        lines += [f"link add {BRIDGE} address {BRIDGE_ADDRESS} type bridge", f"link set {BRIDGE} up"]
        lines += [f"addr add {address}/{PREFIX_LENGTH} dev {BRIDGE}" for address in CLIENT_ADDRESSES]
    ip("\n".join(lines) + "\n")


def namespaces_allowed() -> bool:
    """Tried in a child: entering cannot be undone."""
    pid = os.fork()
    if pid == 0:
        try:
            enter_user_namespace()
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def pass_signals_to(pid: int) -> None:
    for number in PASSED_SIGNALS:
        signal.signal(number, lambda received, _frame: kill_quietly(pid, received))


def kill_quietly(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def wait_for(pid: int) -> int:
    """Reaps whatever ends; returns the exit status of `pid` as a shell would."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def execute(command: list[str], environment: dict[str, str], alive: int) -> None:
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_SIGNALS)
        die_with_parent(alive)
        os.execvpe(command[0], command, environment)
    except OSError as error:
        print(f"namespace: {command[0]}: {error.strerror}", file=sys.stderr)
    os._exit(127 if not shutil.which(command[0]) else 126)


def run_command(command: list[str], environment: dict[str, str]) -> int:
    """Runs the command as a child; returns its status."""
    alive, held = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(held)
        for number in PASSED_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        execute(command, environment, alive)
    os.close(alive)
    pass_signals_to(pid)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_SIGNALS)
    return wait_for(pid)


def start_cleaner(directory: str) -> int:
    """A process that removes the directory once the returned descriptor, and every copy of it, is closed."""
    watch, held = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.close(held)
        for number in PASSED_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.read(watch, 1)
        shutil.rmtree(directory, ignore_errors=True)
        os._exit(0)
    os.close(watch)
    return held


def as_first_process(command: list[str], environment: dict[str, str], start: int, report: int) -> None:
    """The namespaces' process 1: sets the network up, runs the command, and takes everything along when it ends."""
    status = 1
    try:
        words = b""
        while not words.endswith(b"\n"):
            piece = os.read(start, 64)
            if not piece:
                os._exit(1)
            words += piece
        environment["DMRP_NAMESPACE_PID"] = words.decode().strip()
        check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount /")
        check(libc.mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None), "mount /proc")
        bridge = environment["DMRP_NETWORK"] == "bridge" and can_make_taps()
        try:
            make_network(bridge)
        except (OSError, subprocess.CalledProcessError):
            bridge = False
            make_network(False)
        environment["DMRP_NETWORK"] = "bridge" if bridge else "user-namespaced"
        environment["DMRP_CLIENT_ADDRESSES"] = ",".join(CLIENT_ADDRESSES) if bridge else "127.0.0.1"
        os.close(report)
        status = run_command(command, environment)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"namespace: {error}", file=sys.stderr)
    os._exit(status)


def inside_namespaces(command: list[str], environment: dict[str, str]) -> int:
    start, starter = os.pipe()
    report, reporter = os.pipe()
    alive, held = os.pipe()
    enter_user_namespace()
    pid = os.fork()
    if pid == 0:
        os.close(starter)
        os.close(report)
        os.close(held)
        die_with_parent(alive)
        as_first_process(command, environment, start, reporter)
    for end in (start, reporter, alive):
        os.close(end)
    pass_signals_to(pid)
    os.write(starter, f"{pid}\n".encode())
    os.close(starter)
    # Process 1 of a namespace ignores signals it has no handler for: hold them back until it runs the command.
    os.read(report, 1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_SIGNALS)
    return wait_for(pid)


def best_way() -> str:
    limit = os.environ.get("DMRP_NETWORK_LIMIT", WAYS[0])
    if limit not in WAYS:
        raise SystemExit(f"namespace: DMRP_NETWORK_LIMIT is \"{limit}\"; known: {', '.join(WAYS)}")
    if limit != "user-forwarded" and namespaces_allowed():
        return limit
    return "user-forwarded"


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] == "--":
        arguments = arguments[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 254
    environment = dict(os.environ)
    if environment.get("DMRP_NETWORK"):
        environment["DMRP_NAMESPACE_PID"] = ""  # whoever calls this is inside and has nothing to enter
        os.execvpe(arguments[0], arguments, environment)
    environment["DMRP_NETWORK"] = way = best_way()
    # The parent's pid on either side of the namespace is needed inside; signals wait until somebody can take them.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_SIGNALS)
    directory = tempfile.mkdtemp(prefix="dmrp-run-")
    environment["DMRP_RUN_DIRECTORY"] = directory
    held = start_cleaner(directory)
    try:
        if way == "user-forwarded":
            environment["DMRP_CLIENT_ADDRESSES"] = "127.0.0.1"
            environment["DMRP_NAMESPACE_PID"] = ""
            status = run_command(arguments, environment)
        else:
            status = inside_namespaces(arguments, environment)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(held)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
