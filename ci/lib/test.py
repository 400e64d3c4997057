"""Builds this project and runs every test of its own code: ci/test.

First the fast tests (ctest without the label "guest"), then those that boot guests, then the Python suites. The last
line is "N passed, N failed". Exit status: 0 all passed, 1 some failed, 254 usage, 255 a step before the tests failed.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

from .execution import PYTHON, ROOT, StepFailed, _end, build, lines_of, python_path
from .terminal import Terminal

INSIDE = "DMRP_TEST_INSIDE"
_CTEST_LINE = re.compile(r"\s*(\d+)/(\d+) Test\s+#\d+: (\S+) \.*\s*(?:\*\*\*)?(.+?)\s+([\d.]+) sec")

_CTEST_NOISE = ("Start ", "Test project", "Internal ctest", "100% tests passed", "Total Test time", "Label Time Summary", "guest ")


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed: list[str] = []

    def take(self, name: str, good: bool) -> None:
        if good:
            self.passed += 1
        else:
            self.failed.append(name)


def run_ctest(out: Terminal, folder: pathlib.Path, label_arguments: list[str], jobs: int, tally: Tally) -> None:
    """Runs ctest and counts GoogleTest's own test cases, where a program reports them, else one a program."""
    with tempfile.TemporaryDirectory(prefix="dmrp-test-") as results:
        environment = os.environ | {"GTEST_OUTPUT": f"xml:{results}/"}
        command = ["ctest", "--test-dir", str(folder), "-j", str(jobs), "--output-on-failure", "--no-tests=ignore", *label_arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=False, cwd=ROOT,
                                   stdin=subprocess.DEVNULL, env=environment, start_new_session=True)
        try:
            for line in lines_of(process, None):
                if not (match := _CTEST_LINE.match(line or "")):
                    if line and not line.lstrip().startswith(_CTEST_NOISE):
                        out.line(f"    {line}")
                    continue
                good = match[4].strip() == "Passed"
                out.step(f"{match[1]}/{match[2]} {match[3]} {out.paint('passed', '32') if good else out.paint(match[4].strip(), '31;1')} ({match[5]} s)")
                cases = _cases(pathlib.Path(results) / f"{match[3]}.xml")
                for name, case_good in cases:
                    tally.take(f"{match[3]}: {name}", case_good)
                if not cases or (not good and all(case_good for _, case_good in cases)):
                    tally.take(match[3], good)
        except BaseException:
            _end(process)
            raise
        process.wait()


def _cases(path: pathlib.Path) -> list[tuple[str, bool]]:
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return []
    found = []
    for case in root.iter("testcase"):
        if case.get("status") == "run" and case.get("result") != "skipped":
            found.append((f"{case.get('classname')}.{case.get('name')}", case.find("failure") is None))
    return found


def run_pytest_suites(out: Terminal, preset: str, tally: Tally) -> None:
    """ci's own tests; those beside C++ code are ctest's."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as results:
        command = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={results.name}", "ci/tests"]
        if (ROOT / "suites" / "python").is_dir() and preset == "default":
            command.append("suites/python")
        out.step("pytest " + " ".join(command[6:]))
        answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": python_path(dict(os.environ))})
        try:
            cases = list(ElementTree.parse(results.name).getroot().iter("testcase"))
        except ElementTree.ParseError:
            cases = []
        for case in cases:
            if case.find("skipped") is None:
                tally.take(f"{case.get('classname')}.{case.get('name')}", case.find("failure") is None and case.find("error") is None)
        if answer.returncode not in (0, 5):
            out.line(answer.stdout)
            if not any(case.find("failure") is not None or case.find("error") is not None for case in cases):
                tally.take(f"pytest ended with {answer.returncode}", False)


def parse(arguments: list[str]) -> argparse.Namespace:
    class Parser(argparse.ArgumentParser):
        def error(self, message):
            print(f"ci/test: {message}", file=sys.stderr)
            sys.exit(254)

    parser = Parser(prog="ci/test", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--asan", action="store_true", help="with address and undefined-behaviour sanitizers; fast tests only")
    which.add_argument("--tsan", action="store_true", help="with the thread sanitizer; fast tests only")
    parser.add_argument("--fast", action="store_true", help="leave out the tests that boot guests")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="fast tests side by side")
    return parser.parse_args(arguments)


def run(arguments: list[str], out: Terminal) -> int:
    options = parse(arguments)
    preset = "asan" if options.asan else "tsan" if options.tsan else "default"
    folder = ROOT / "build" / preset
    if INSIDE not in os.environ:
        build(out, preset, ROOT / "build" / "logs")
        # Guests want a network of their own; the namespace also takes along whatever a test leaves running.
        command = [PYTHON, str(ROOT / "ci" / "namespace.py"), "--", PYTHON, "-m", "lib.test", *arguments]
        sys.stdout.flush()
        os.execve(PYTHON, command, os.environ | {INSIDE: "1"})
    tally = Tally()
    out.step("fast tests")
    run_ctest(out, folder, ["-LE", "guest"], options.jobs, tally)
    if preset == "default" and not options.fast:
        out.step("tests that boot guests")
        run_ctest(out, folder, ["-L", "guest"], 1, tally)
    if preset == "default":
        run_pytest_suites(out, "fast" if options.fast else preset, tally)
    for name in tally.failed:
        out.line(f"{out.paint('failed', '31;1')} {name}")
    out.line(f"{tally.passed} passed, {len(tally.failed)} failed")
    return 1 if tally.failed or not tally.passed else 0


def main(arguments: list[str]) -> int:
    try:
        return run(arguments, Terminal())
    except StepFailed as error:
        print(f"ci/test: {error}", file=sys.stderr)
        return 255
    except KeyboardInterrupt:
        print("ci/test: interrupted", file=sys.stderr)
        return 255


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
