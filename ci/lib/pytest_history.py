"""A pytest plugin: writes each test into the history of the run, with the rules that it names.

    @pytest.mark.requirements("DMRP-0606", "DMRP-0612", interface="IVolumeClient")
    def test_something(...): ...

`interface` says on which interface a method's rule was checked, since calls made from Python by other stacks are
not recorded. Without $DMRP_HISTORY nothing is written.
"""

from __future__ import annotations

import json
import os
import pathlib
import time

import pytest


class _Writer:
    def __init__(self, path: pathlib.Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a", encoding="utf-8", buffering=1)
        self._started = time.monotonic()

    def write(self, kind: str, **members) -> None:
        record = {"t": round(time.monotonic() - self._started, 6), "kind": kind} | members
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")


def pytest_configure(config):
    config.addinivalue_line("markers", "requirements(*ids, interface=None): the rules that a test checks")
    path = os.environ.get("DMRP_HISTORY")
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    # With xdist the workers run the tests; their controller has nothing of its own to tell.
    if path and (worker or not getattr(config.option, "numprocesses", None)):
        file = pathlib.Path(path)
        config.pluginmanager.register(_Plugin(_Writer(file.with_stem(f"{file.stem}-{worker}") if worker else file)))


class _Plugin:
    def __init__(self, writer: _Writer):
        self._writer = writer
        self._outcomes: dict[str, tuple[str, str]] = {}

    def _name(self, item) -> str:
        return item.nodeid.removeprefix("suites/")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item, nextitem):
        markers = list(item.iter_markers("requirements"))
        ids = [rule_id for marker in markers for rule_id in marker.args]
        name = self._name(item)
        self._writer.write("test", event="start", test=name, file=str(item.path), line=item.location[1] + 1,
                           requirements=ids)
        started = time.monotonic()
        yield
        outcome, reason = self._outcomes.pop(item.nodeid, ("passed", ""))
        stopped = {"environment": [reason]} if outcome == "stopped" else {}
        outcome = "failed" if stopped else outcome
        for marker in markers:
            if outcome == "passed" and marker.kwargs.get("interface"):
                self._writer.write("check", test=name, requirements=list(marker.args), outcome="pass",
                                   interface=marker.kwargs["interface"])
        if outcome == "failed" and ids and not stopped:
            self._writer.write("check", test=name, requirements=ids, outcome="fail", statement="the test passes",
                               accepted="the test passes", actual=reason, blame="target")
        self._writer.write("test", event="end", test=name, outcome=outcome, reason=reason, requirements=ids,
                           **stopped, seconds=round(time.monotonic() - started, 3))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = (yield).get_result()
        if report.failed:
            lines = [line for line in report.longreprtext.splitlines() if line.startswith("E ")]
            text = "\n".join(line[1:].strip() for line in lines[:8]) or report.longreprtext[-400:]
            # A fixture that fails says nothing about the server: no guest, no capture, a missing program.
            self._outcomes[item.nodeid] = ("stopped" if report.when == "setup" else "failed", text)
        elif report.skipped and item.nodeid not in self._outcomes:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self._outcomes[item.nodeid] = ("skipped", reason.removeprefix("Skipped: "))
