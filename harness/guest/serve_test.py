"""dmrp_serve, the program behind ci/serve: its two modes, its ends, its mistakes. Boots guests."""

import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SERVE = pathlib.Path(os.environ.get("DMRP_SERVE", ROOT / "build/default/harness/guest/dmrp_serve"))
WAYS = ["bridge", "user-namespaced", "user-forwarded"]
DEADLINE = 120

needs_program = pytest.mark.skipif(not SERVE.exists(), reason=f"{SERVE} is not built")
pytestmark = needs_program


def environment(way: str) -> dict[str, str]:
    keep = {"DMRP_GUEST_DIRECTORY", "DMRP_ACCELERATION"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DMRP_") or name in keep}
    return inherited | {"DMRP_NETWORK_LIMIT": way}


def await_closed(host: str, port: int) -> None:
    """A killed QEMU's process is gone a little before its sockets are."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            return
    raise AssertionError(f"{host}:{port} still answers")


def run(way: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(SERVE), *arguments], env=environment(way), capture_output=True, text=True,
                          timeout=DEADLINE, check=False)


PROBE = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as connection:
    print(connection.getpeername()[0])
"""


@pytest.mark.parametrize("way", WAYS)
def test_command_finds_the_server_and_its_status_is_returned(way):
    script = "import os, sys; sys.argv = ['', os.environ['DMRP_HOST'], os.environ['DMRP_PORT']];" + \
        "exec(os.environ['PROBE']); sys.exit(7)"
    os.environ["PROBE"] = PROBE
    done = run(way, "--disk", "size=8M", "--", sys.executable, "-c", script)
    assert done.returncode == 7, done.stderr
    assert done.stdout.strip()


def test_command_is_told_everything_a_client_needs():
    done = run("bridge", "--disk", "size=8M,serial=S1", "--", "env")
    assert done.returncode == 0, done.stderr
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    for name in ("HOST", "PORT", "USER", "PASSWORD", "DOMAIN", "CLSID", "LISTEN_ADDRESS", "CALLBACK_ADDRESS"):
        assert told[f"DMRP_{name}"], name
    assert json.loads(told["DMRP_DISKS"])[0]["serial"] == "S1"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_serving_prints_one_line_and_leaves_nothing(way, number):
    watch, held = os.pipe()
    # Every process that serving starts inherits the pipe, except guests: those are seen by their port.
    with subprocess.Popen([str(SERVE), "--disk", "size=8M"], env=environment(way), stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE, pass_fds=[held]) as process:
        os.close(held)
        told = json.loads(process.stdout.readline())
        image = pathlib.Path(told["disks"][0]["image"])
        assert image.stat().st_size == 8 << 20
        reached = subprocess.run([*told["run"], sys.executable, "-c", PROBE, told["host"], str(told["port"])],
                                 capture_output=True, text=True, timeout=DEADLINE, check=False)
        assert reached.stdout.strip() == told["host"], reached.stderr
        process.send_signal(number)
        status = process.wait(DEADLINE)
        assert process.stdout.read() == "", "exactly one line"
        assert select.select([watch], [], [], DEADLINE)[0], "a process lives on"
        assert os.read(watch, 1) == b""
    os.close(watch)
    assert status == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    assert not image.exists()
    if not told["run"]:
        await_closed(told["host"], told["port"])


@pytest.mark.parametrize(("arguments", "named"), [
    (["--disk", "size=1"], "1048576"),
    (["--disk", "bus=scsi"], "virtio-scsi"),
    (["--disk", "no-such-name"], "mbr-512n"),
    (["--nonsense"], "nonsense"),
    (["--"], "COMMAND"),
])
def test_mistakes_are_told_before_anything_starts(arguments, named):
    done = run("bridge", *arguments)
    assert done.returncode == 254
    assert named in done.stderr
    assert done.stdout == ""
