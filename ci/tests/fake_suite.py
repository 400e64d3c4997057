#!/usr/bin/python3
"""Behaves like a GoogleTest program with good and bad tests, and writes a history like the suites do."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

TESTS = ["Good.One", "Good.Two", "Bad.Fails", "Bad.Crashes", "Bad.Hangs", "Good.Three", "Bad.LeavesAChild"]


def main() -> int:
    flags = [flag for flag in sys.argv[1:]]
    for flag in list(flags):
        if flag.startswith("--gtest_flagfile="):
            flags += pathlib.Path(flag.partition("=")[2]).read_text().splitlines()
    pattern = next((flag.partition("=")[2] for flag in flags if flag.startswith("--gtest_filter=")), "*")
    chosen = [name for name in TESTS if pattern == "*" or any(
        name == each or (each.endswith("*") and name.startswith(each[:-1])) for each in pattern.split(":"))]
    if "--gtest_list_tests" in flags:
        for name in chosen:
            suite, _, test = name.partition(".")
            print(f"{suite}.\n  {test}")
        return 0
    failed = False
    with open(os.environ["DMRP_HISTORY"], "a") as history:
        def record(**members):
            history.write(json.dumps({"t": 0.1, "kind": "test"} | members) + "\n")
            history.flush()

        for name in chosen:
            print(f"[ RUN      ] {name}", flush=True)
            record(event="start", test=name)
            if name == "Bad.Crashes":
                os.kill(os.getpid(), signal.SIGSEGV)
            if name == "Bad.Hangs":
                time.sleep(600)
            if name == "Bad.LeavesAChild":
                child = subprocess.Popen(["sleep", "600"])
                pathlib.Path(os.environ["FAKE_CHILD"]).write_text(str(child.pid))
            bad = name == "Bad.Fails"
            failed = failed or bad
            record(event="end", test=name, outcome="failed" if bad else "passed", requirements=["DMRP-0002"])
            print(f"[  {'FAILED ' if bad else '     OK'} ] {name} (12 ms)", flush=True)
    return int(failed)


sys.exit(main())
