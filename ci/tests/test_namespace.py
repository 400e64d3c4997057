"""ci/namespace.py: the command's status and signals pass through, and nothing is left, however it ends."""

import os
import pathlib
import select
import signal
import subprocess
import sys

import pytest

NAMESPACE = pathlib.Path(__file__).resolve().parent.parent / "namespace.py"
WAYS = ["bridge", "user-namespaced", "user-forwarded"]
DEADLINE = 20


def environment(way: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DMRP_")}
    return inherited | {"DMRP_NETWORK_LIMIT": way}


def start(way: str, script: str, **more) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, str(NAMESPACE), "--", "sh", "-c", script], env=environment(way),
                            stdout=subprocess.PIPE, text=True, **more)


@pytest.mark.parametrize("way", WAYS)
def test_status_is_passed_on(way):
    with start(way, "exit 7") as process:
        assert process.wait(DEADLINE) == 7


@pytest.mark.parametrize("way", WAYS)
def test_death_by_signal_is_told_as_shells_do(way):
    with start(way, "kill -9 $$") as process:
        assert process.wait(DEADLINE) == 128 + signal.SIGKILL


@pytest.mark.parametrize("way", WAYS)
def test_command_learns_the_network_and_a_directory_that_goes_with_it(way):
    with start(way, "echo $DMRP_NETWORK $DMRP_RUN_DIRECTORY; touch $DMRP_RUN_DIRECTORY/file") as process:
        network, directory = process.stdout.read().split()
        assert process.wait(DEADLINE) == 0
    assert WAYS.index(network) >= WAYS.index(way)
    assert not os.path.exists(directory)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_command(way, number):
    script = f"trap 'echo caught; exit 5' {int(number)}; echo ready; while :; do read line; done"
    with start(way, script, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        process.stdin.write("\n")  # wakes the shell's read, so that it looks at its traps
        process.stdin.flush()
        assert process.stdout.readline() == "caught\n"
        assert process.wait(DEADLINE) == 5


@pytest.mark.parametrize("way", WAYS)
def test_kill_leaves_neither_process_nor_directory(way):
    watch, held = os.pipe()
    # Every process of the run, the cleaner too, inherits the pipe: its end of file says that all are gone.
    script = "cat /dev/zero >/dev/null & echo $DMRP_RUN_DIRECTORY; wait"
    if way == "user-forwarded":  # without a process namespace only the command itself is certain to go
        script = "echo $DMRP_RUN_DIRECTORY; exec cat /dev/zero >/dev/null"
    with start(way, script, pass_fds=[held]) as process:
        os.close(held)
        directory = process.stdout.readline().strip()
        assert os.path.isdir(directory)
        process.kill()
        process.wait(DEADLINE)
        assert select.select([watch], [], [], DEADLINE)[0], "something of the run lives on"
        assert os.read(watch, 1) == b""
    os.close(watch)
    assert not os.path.exists(directory)


def test_bridge_has_the_client_addresses():
    with start("bridge", "echo $DMRP_NETWORK; ip -br addr show br0; ip -br addr show lo") as process:
        text = process.stdout.read()
    if not text.startswith("bridge"):
        pytest.skip("this host allows no bridge")
    assert "10.9.0.1/24" in text and "10.9.0.2/24" in text and "127.0.0.1/8" in text


def test_inside_it_executes_directly():
    with start("bridge", f"echo $DMRP_RUN_DIRECTORY; {sys.executable} {NAMESPACE} -- sh -c 'echo $DMRP_RUN_DIRECTORY'"
               ) as process:
        outer, inner = process.stdout.read().split()
    assert outer == inner


def test_without_a_command_it_tells_its_usage():
    done = subprocess.run([sys.executable, str(NAMESPACE)], capture_output=True, text=True, check=False)
    assert done.returncode == 254
    assert "COMMAND" in done.stdout
