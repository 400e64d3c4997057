"""Reads a recorded run: the JSON lines that the suites wrote while they ran.

    run = Run.load(pathlib.Path("out/20260101-120000"))
    run.tests["EnumDisks.ListsEveryDisk"].calls

The folder of a run holds history/*.jsonl, one file per process, and run.json, which says what was asked for and
how each process ended. docs/run-history.md lists the records.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator

UNDECIDED_BLAMES = ("harness", "environment", "text")


class HistoryError(Exception):
    """The folder is no recorded run."""


@dataclasses.dataclass
class Call:
    """One method call, as typed values."""

    source: str
    seq: int
    interface: str
    method: str | None
    opnum: int | None
    text: str
    hresult: str | None
    error: str | None
    frames: list[int]
    t: float


@dataclasses.dataclass
class Check:
    """A judgement made while a test ran, about the rules it names."""

    requirements: list[str]
    outcome: str  # pass, fail or undecided
    statement: str
    accepted: str
    actual: str
    blame: str
    detail: str
    call: int | None
    interface: str | None
    monitor: bool
    times: int


@dataclasses.dataclass
class TestRun:
    """One test of the suites, with all that was recorded while it ran."""

    __test__ = False  # for pytest: not a test itself

    name: str
    source: str
    file: str = ""
    line: int = 0
    section: str = ""
    requirements: list[str] = dataclasses.field(default_factory=list)
    started: bool = False
    outcome: str = "unfinished"  # passed, failed, skipped; unfinished: its process ended first
    seconds: float = 0.0
    reason: str = ""
    environment: str = ""
    """What stood in the test's way and is not the target's fault; empty if nothing did."""
    calls: list[Call] = dataclasses.field(default_factory=list)
    checks: list[Check] = dataclasses.field(default_factory=list)
    disks: list[dict] = dataclasses.field(default_factory=list)
    notifications: int = 0
    logs: list[str] = dataclasses.field(default_factory=list)
    shared: set[str] = dataclasses.field(default_factory=set)
    """Tests whose operation it looks at; their calls are among its own."""

    def call(self, seq: int | None) -> Call | None:
        return next((call for call in self.calls if call.seq == seq), None) if seq else None

    def failed_checks(self) -> list[Check]:
        return [check for check in self.checks if check.outcome == "fail"]


@dataclasses.dataclass
class Process:
    """One process of the run, from run.json."""

    name: str
    status: int | None
    note: str = ""

    @property
    def orderly(self) -> bool:
        """Whether it ended by itself with a result: GoogleTest's and pytest's 0 (passed) and 1 (failed)."""
        return self.status in (0, 1)


_MOST_LOGS = 40
_ANSWERS = {2: "response", 3: "fault"}
"""PDU types of DCE/RPC; a fault answers as well."""


class Run:
    """A recorded run. Reading is lenient: a line that was cut off by a crash is counted, not fatal."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.tests: dict[str, TestRun] = {}
        self.info: dict = {}
        self.processes: list[Process] = []
        self.expected: list[str] = []
        self.partial = False
        self.broken_lines: list[str] = []
        self.unanswered: set[tuple[str, str]] = set()
        """(interface, method) pairs that answered E_NOTIMPL."""
        self._frames: dict[tuple[str, int], dict] = {}
        self._current: dict[str, str] = {}

    @classmethod
    def load(cls, folder: pathlib.Path) -> Run:
        run = cls(folder)
        description = folder / "run.json"
        files = sorted((folder / "history").glob("*.jsonl"))
        if not description.is_file() and not files:
            raise HistoryError(f"{folder} holds no recorded run: neither run.json nor history/*.jsonl")
        if description.is_file():
            run._describe(json.loads(description.read_text(encoding="utf-8")))
        for path in files:
            for record in run._records(path):
                run._take(path.stem, record)
        return run

    def frame(self, call: Call) -> dict | None:
        """The PDU that answered a call (a response or a fault), else the last one that went by meanwhile."""
        frames = [self._frames[key] for number in call.frames if (key := (call.source, number)) in self._frames]
        answers = [each for each in frames if each.get("dir") == "received" and each.get("ptype") in _ANSWERS]
        return answers[-1] if answers else frames[-1] if frames else None

    def missing(self) -> list[str]:
        """Tests that were to run and left no record."""
        return [name for name in self.expected if name not in self.tests]

    def _describe(self, document: dict) -> None:
        self.info = document
        self.expected = document.get("expected", [])
        self.partial = document.get("partial", False)
        self.processes = [Process(each["name"], each.get("status"), each.get("note", "")) for each in document.get("processes", [])]

    def _records(self, path: pathlib.Path) -> Iterator[dict]:
        with open(path, encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                    record["kind"]
                except (ValueError, TypeError, KeyError):
                    self.broken_lines.append(f"{path.name}:{number}")
                    continue
                yield record

    def _take(self, source: str, record: dict) -> None:
        match record["kind"]:
            case "run":
                if record.get("event") == "start":
                    self.info.setdefault("target", record.get("target"))
                    self.info.setdefault("version", record.get("version"))
            case "test":
                self._take_test(source, record)
            case "frame":
                self._frames[(source, record.get("n", 0))] = record
            case _:
                test = self._test_of(source, record)
                if test is not None:
                    self._take_member(test, source, record)
                elif record["kind"] == "check":
                    # Judged outside of any test: keep it under a name of its own.
                    self._take_member(self._test(f"{source}: outside of tests", source), source, record)

    def _test(self, name: str, source: str) -> TestRun:
        return self.tests.setdefault(name, TestRun(name, source))

    def _test_of(self, source: str, record: dict) -> TestRun | None:
        name = record.get("test") or self._current.get(source)
        return self._test(name, source) if name else None

    def _take_test(self, source: str, record: dict) -> None:
        name = record.get("test")
        if not name:
            return
        if record.get("event") == "start":
            known = self.tests.get(name)
            if known is None or known.started:  # a test run again replaces its first attempt
                self.tests[name] = TestRun(name, source)
            self.tests[name].started = True
            self.tests[name].source = source
            self._current[source] = name
        test = self._test(name, source)
        test.file = record.get("file", test.file)
        test.line = record.get("line", test.line)
        test.section = record.get("section") or test.section
        test.requirements = list(dict.fromkeys([*test.requirements, *record.get("requirements", [])]))
        if record.get("event") == "end":
            test.outcome = record.get("outcome", "unfinished")
            test.seconds = record.get("seconds", 0.0)
            test.environment = _text(record.get("environment"))
            test.reason = record.get("reason") or record.get("detail") or ""
            self._current.pop(source, None)

    def _take_member(self, test: TestRun, source: str, record: dict) -> None:
        match record["kind"]:
            case "call":
                call = Call(
                    source, record.get("seq") or record.get("call") or 0, record.get("interface") or "",
                    record.get("method"), record.get("opnum"), record.get("text") or "", record.get("hresult"),
                    record.get("error"), record.get("frames") or [], record.get("t", 0.0),
                )
                test.calls.append(call)
                if (call.hresult or "").lower() == "0x80004001" and call.method:
                    self.unanswered.add((call.interface, call.method))
            case "check":
                test.checks.append(Check(
                    record.get("requirements") or [], record.get("outcome") or "undecided",
                    record.get("statement") or "", _text(record.get("accepted")), _text(record.get("actual")),
                    record.get("blame") or "target", _text(record.get("detail")), record.get("call"),
                    record.get("interface"), bool(record.get("monitor")), record.get("times", 1),
                ))
            case "disk":
                test.disks.append(record)
            case "notification":
                test.notifications += 1
            case "shared":
                # The operation that it looks at was done by another test of its process.
                by = record.get("by") or ""
                if by in self.tests and by not in test.shared:
                    test.shared.add(by)
                    test.calls = [*self.tests[by].calls, *test.calls]
                    test.logs.append(f"suite: the operation under test was done by {by}")
            case "log":
                test.logs.append(f"{record.get('source', '')}: {record.get('text', '')}")
                del test.logs[:-_MOST_LOGS]


def _text(value) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "\n".join(value)
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


_ID = re.compile(r'"(DMRP-\d{4})"')


def ids_in_source(root: pathlib.Path, file: str, line: int) -> list[str]:
    """The rules that a test names, read from its source: for a test that ended before it could tell."""
    path = pathlib.Path(file)
    path = path if path.is_absolute() else root / path
    if not file or line < 1 or not path.is_file():
        return []
    found: list[str] = []
    for text in path.read_text(encoding="utf-8").splitlines()[line - 1 :]:
        found += _ID.findall(text)
        if text.startswith("}"):
            break
    return list(dict.fromkeys(found))


def first_difference(before, after, path: str = "") -> str:
    """The first place in which two JSON values differ, "" if they are equal."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            found = first_difference(before.get(key), after.get(key), f"{path}.{key}" if path else key)
            if found:
                return found
        return ""
    if isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            one = before[index] if index < len(before) else None
            other = after[index] if index < len(after) else None
            found = first_difference(one, other, f"{path}[{index}]")
            if found:
                return found
        return ""
    return "" if before == after else f"{path}: {_text(before) or before} -> {_text(after) or after}"
