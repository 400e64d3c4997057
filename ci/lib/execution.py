"""Runs programs for ci/test and ci/certify: builds, GoogleTest shards with a watchdog, pytest. Leaves no process."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable

from .terminal import Terminal

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"

Report = Callable[[str], None]


class StepFailed(Exception):
    """A step before the tests failed (setup, build, image); the message tells what to look at."""


def _end(process: subprocess.Popen, grace: float = 5.0) -> None:
    """Asks a process group to end, then makes it."""
    for number, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            continue
        # The leader is gone; a child of it that stays gets the second signal.
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
    process.wait()


def lines_of(process: subprocess.Popen, quiet_limit: float | None) -> Iterable[str | None]:
    """The lines a process prints as they come; None when it was silent for quiet_limit seconds."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    rest = b""
    heard = time.monotonic()
    while True:
        ended = process.poll() is not None
        ready, _, _ = select.select([descriptor], [], [], 0 if ended else 1)
        if ready:
            chunk = os.read(descriptor, 65536)
            if not chunk:
                break
            heard = time.monotonic()
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line.decode("utf-8", "replace")
        elif ended:  # a child that outlives it may hold the pipe open
            break
        elif quiet_limit is not None and time.monotonic() - heard > quiet_limit:
            heard = time.monotonic()
            yield None
    if rest:
        yield rest.decode("utf-8", "replace")


def run_step(out: Terminal, title: str, command: list[str], log: pathlib.Path, environment: dict | None = None,
             progress: re.Pattern | None = None) -> None:
    """Runs a command with its output in a log file. StepFailed with the log's end if it fails."""
    out.step(title)
    log.parent.mkdir(parents=True, exist_ok=True)
    shown = time.monotonic()
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   cwd=ROOT, env=environment, start_new_session=True)
        try:
            for line in lines_of(process, None):
                file.write(f"{line}\n")
                if progress and progress.match(line) and time.monotonic() - shown > 5:
                    shown = time.monotonic()
                    out.step(f"  {line[:100]}")
        except BaseException:
            _end(process)
            raise
        status = process.wait()
    if status != 0:
        last = log.read_text(encoding="utf-8").splitlines()[-25:]
        raise StepFailed(f"{title}: {command[0]} ended with {status}; {log} ends with\n" + "\n".join(last))


def build(out: Terminal, preset: str, logs: pathlib.Path, targets: tuple[str, ...] = ()) -> pathlib.Path:
    """Configures and builds a preset; returns its folder."""
    folder = ROOT / "build" / preset
    run_step(out, f"configure ({preset})", ["cmake", "--preset", preset], logs / f"configure-{preset}.log")
    run_step(out, f"build ({preset})", ["ninja", "-C", str(folder), *targets], logs / f"build-{preset}.log",
             progress=re.compile(r"\[\d+/\d+\]"))
    return folder


# --- GoogleTest -------------------------------------------------------------------------------------------------


def gtest_names(listing: str) -> list[str]:
    """The full names in the output of --gtest_list_tests."""
    names, suite = [], ""
    for line in listing.splitlines():
        text = line.partition("#")[0].rstrip()
        if not text or text.startswith("Running main"):
            continue
        if text.startswith("  "):
            names.append(suite + text.strip())
        elif text.endswith("."):
            suite = text
    return names


def list_tests(binary: pathlib.Path, pattern: str, environment: dict) -> list[str]:
    command = [str(binary), "--gtest_list_tests"] + ([f"--gtest_filter={pattern}"] if pattern else [])
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, stdin=subprocess.DEVNULL)
    if answer.returncode == 254:  # the program does not like what it was told, such as the target file
        raise ValueError(answer.stderr.strip())
    if answer.returncode != 0:
        raise StepFailed(f"{' '.join(command)} ended with {answer.returncode}: {answer.stderr.strip()[-400:]}")
    return [name for name in gtest_names(answer.stdout) if ".DISABLED_" not in name and not name.startswith("DISABLED_")]


def suite_of(name: str) -> str:
    return name.partition(".")[0]


def parameter_of(name: str) -> str:
    """The parameter of a test, its name if it has none: tests of one suite with the same one may share what they look
    at."""
    return name.partition(".")[2].partition("/")[2] or name


def recorded_seconds(folder: pathlib.Path) -> dict[str, float]:
    """How long a test of each suite took on average in the run that this folder holds; nothing where it holds none."""
    spent: dict[str, list[float]] = {}
    for file in folder.glob("logs/shard*.gtest.json"):
        try:
            for suite in json.loads(file.read_text(encoding="utf-8"))["testsuites"]:
                spent.setdefault(suite["name"], []).extend(float(test["time"].rstrip("s")) for test in suite["testsuite"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return {name: sum(times) / len(times) for name, times in spent.items() if times}


class Work:
    """The tests that no shard has taken yet. Whole suites are dealt out, since tests of one suite like the same machine
    and a shard keeps it for them; the longest first, in shares that get smaller, so that all shards end together.

    seconds: what a test of a suite takes, as far as that is known.
    """

    LEAST_SHARE = 1 / 64  # of everything: below it the start of a process costs more than it saves

    def __init__(self, names: list[str], shards: int, seconds: dict[str, float] | None = None):
        known = [value for value in (seconds or {}).values() if value > 0]
        average = sum(known) / len(known) if known else 1.0
        self._each = lambda name: max((seconds or {}).get(suite_of(name), average), average / 100)
        groups: dict[str, list[str]] = {}
        for name in names:
            groups.setdefault(suite_of(name), []).append(name)
        self._left = sum(map(self._each, names))
        self._least = self._left * self.LEAST_SHARE
        self._shards = shards
        # A suite of more than a share is cut, where its parameter changes.
        most = self._share()
        pieces: list[list[str]] = []
        for group in groups.values():
            pieces.append([])
            for _, alike in itertools.groupby(sorted(group, key=parameter_of), key=parameter_of):
                tests = list(alike)
                if shards > 1 and pieces[-1] and self._weight(pieces[-1] + tests) > most:
                    pieces.append([])
                pieces[-1] += tests
        self._pieces = sorted(pieces, key=self._weight)
        self._lock = threading.Lock()

    def _weight(self, piece: list[str]) -> float:
        return sum(map(self._each, piece))

    def _share(self) -> float:
        return max(self._left / (2 * self._shards), self._least) if self._shards > 1 else self._left

    def take(self) -> list[str]:
        """The next share; empty when nothing is left."""
        with self._lock:
            share, taken = self._share(), []
            weight = 0.0
            while self._pieces and (not taken or weight + self._weight(self._pieces[-1]) <= share * (1 + 1e-9)):
                piece = self._pieces.pop()
                weight += self._weight(piece)
                taken += piece
            self._left -= weight
            return taken


@dataclasses.dataclass
class ShardEnd:
    name: str
    status: int | None
    note: str = ""


_RAN = re.compile(r"\[ +(OK|FAILED|SKIPPED) +\] (\S+?)(?:, where .*)? \((\d+) ms\)")
_STARTED = re.compile(r"\[ RUN +\] (\S+)")


class Shard(threading.Thread):
    """One GoogleTest process after another, until no work is left and each test that it took has run once.

    A process that crashes or is silent for too long costs the test that it was running; a new process goes on
    with the rest.
    """

    MOST_RESTARTS = 5

    def __init__(self, name: str, binary: pathlib.Path, work: Work, environment: dict, folder: pathlib.Path,
                 quiet_limit: float, on_test: Callable[[str, str, str, float], None]):
        super().__init__(name=name, daemon=True)
        self.ends: list[ShardEnd] = []
        self._binary, self._work, self._environment = binary, work, environment
        self._folder, self._quiet_limit, self._on_test = folder, quiet_limit, on_test
        self._process: subprocess.Popen | None = None
        self._processes = 0
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()
        process = self._process
        if process and process.poll() is None:
            _end(process)

    def run(self) -> None:
        while not self._stopped.is_set() and (tests := self._work.take()):
            self._run_all(tests)

    def _run_all(self, left: list[str]) -> None:
        for _ in range(self.MOST_RESTARTS + 1):
            if not left or self._stopped.is_set():
                return
            done, end = self._run_once(left)
            self.ends.append(end)
            left = [name for name in left if name not in done]
            if end.status in (0, 1) or self._stopped.is_set():
                return

    def _run_once(self, tests: list[str]) -> tuple[set[str], ShardEnd]:
        self._processes += 1
        name = self.name if self._processes == 1 else f"{self.name}-{self._processes}"
        flags = self._folder / "logs" / f"{name}.flags"
        flags.parent.mkdir(parents=True, exist_ok=True)
        flags.write_text(f"--gtest_filter={':'.join(tests)}\n", encoding="utf-8")
        results = self._folder / "logs" / f"{name}.gtest.json"
        command = [str(self._binary), f"--gtest_flagfile={flags}", f"--gtest_output=json:{results}", "--gtest_color=no"]
        environment = self._environment | {"DMRP_SHARD": name, "DMRP_HISTORY": str(self._folder / "history" / f"{name}.jsonl")}
        done: set[str] = set()
        running, note = "", ""
        with open(self._folder / "logs" / f"{name}.log", "w", encoding="utf-8") as log:
            try:
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
                                           stdin=subprocess.DEVNULL, env=environment, start_new_session=True)
            except OSError as error:
                return set(tests), ShardEnd(name, 127, str(error))
            self._process = process
            for line in lines_of(process, self._quiet_limit):
                if line is None:
                    note = f"silent for {self._quiet_limit:.0f} s in {running or 'start-up'}; ended by the watchdog"
                    _end(process)
                    continue
                log.write(f"{line}\n")
                log.flush()
                if match := _STARTED.match(line):
                    running = match[1]
                    done.add(running)
                elif match := _RAN.match(line):
                    self._on_test(self.name, match[2], match[1], int(match[3]) / 1000)
                    running = ""
            status = process.wait()
            _end(process)
        if status not in (0, 1) and not note:
            note = f"in {running}" if running else "outside of a test"
        if status not in (0, 1) and running:
            self._on_test(self.name, running, "CRASHED", 0.0)
        return done, ShardEnd(name, status, note)


class Progress:
    """Counts tests as they end and says so now and then; failures at once."""

    def __init__(self, out: Terminal, total: int, every: float = 10.0):
        self._out, self._total, self._every = out, total, every
        self._lock = threading.Lock()
        self._counts = {"OK": 0, "FAILED": 0, "SKIPPED": 0, "CRASHED": 0}
        self._said = time.monotonic()

    def __call__(self, shard: str, name: str, outcome: str, seconds: float) -> None:
        with self._lock:
            self._counts[outcome] += 1
            if outcome in ("FAILED", "CRASHED"):
                self._out.step(f"{self._out.paint(outcome.lower(), '31;1')} {name} ({seconds:.1f} s)")
            now = time.monotonic()
            if now - self._said >= self._every or sum(self._counts.values()) == self._total:
                self._said = now
                self._out.step(self.text())

    def text(self) -> str:
        told = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped", "CRASHED": "crashed"}
        counts = ", ".join(f"{count} {told[word]}" for word, count in self._counts.items() if count)
        return f"{sum(self._counts.values())} of {self._total} tests: {counts or 'none yet'}"


# --- pytest -----------------------------------------------------------------------------------------------------


def python_path(environment: dict) -> str:
    """PYTHONPATH for pytest: the plugin of ci/, and the package `dmrp` of the build in $DMRP_BUILD_DIR."""
    folder = pathlib.Path(environment.get("DMRP_BUILD_DIR") or ROOT / "build" / "default")
    return os.pathsep.join(filter(None, [str(ROOT / "ci"), str(folder / "python"), environment.get("PYTHONPATH")]))


def run_pytest(out: Terminal, name: str, arguments: list[str], environment: dict, folder: pathlib.Path,
               limit: float) -> ShardEnd:
    """Runs pytest with the plugin that writes its tests into the history."""
    environment = environment | {"PYTHONPATH": python_path(environment), "DMRP_SHARD": name,
                                 "DMRP_HISTORY": str(folder / "history" / f"{name}.jsonl")}
    command = [PYTHON, "-m", "pytest", "-p", "lib.pytest_history", "-p", "no:cacheprovider", "-q",
               f"--junitxml={folder / 'logs' / (name + '.xml')}", *arguments]
    out.step(f"run {name}")
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with open(folder / "logs" / f"{name}.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=ROOT,
                                   env=environment, start_new_session=True)
        try:
            status = process.wait(limit)
            note = ""
        except subprocess.TimeoutExpired:
            note = f"not done after {limit:.0f} s; ended"
            status = None
        finally:
            _end(process)
    if status == 5:  # pytest: no test was collected
        status, note = 0, "no test selected"
    last = (folder / "logs" / f"{name}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    out.step(f"  {last[-1] if last else 'no output'} ({time.monotonic() - started:.1f} s)")
    return ShardEnd(name, status, note)
