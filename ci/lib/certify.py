"""Certifies a server of the Disk Management Remote Protocol: ci/certify.

Without an argument the bundled server is certified, in guests of its own. Everything needed is installed and
built first. The run's folder then holds report.html, report.json, junit.xml, the history they were made from,
packet captures, and the disk images of failed tests.

Exit status: 0 every mandatory rule in scope is proven, 1 a rule is violated, 2 undecided (a mandatory rule in scope
got no verdict), 254 usage, 255 the harness itself failed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time
import tomllib
import traceback

from . import failures, history, judge, reports
from .execution import PYTHON, ROOT, Progress, Shard, ShardEnd, StepFailed, Work, build, list_tests, recorded_seconds, run_pytest
from .judge import Exit
from .terminal import Terminal, print_summary

BINARY = pathlib.Path("suites") / "dmrp_conformance"
INSIDE = "DMRP_CERTIFY_INSIDE"
PRESET = "default"
SHARDS = 3  # guests wait at times, so that two processors have room for a third one: 775 s against 870 s


class UsageError(Exception):
    pass


def parse(arguments: list[str]) -> argparse.Namespace:
    class Parser(argparse.ArgumentParser):
        def error(self, message):
            raise UsageError(message)

    parser = Parser(prog="ci/certify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=pathlib.Path, metavar="FILE", help="certify the server that this file describes (docs/target-files.md)")
    parser.add_argument("--filter", default="", metavar="PATTERN", help="run these tests only (GoogleTest's patterns); no certificate then")
    parser.add_argument("--test", metavar="NAME", help="run this one test only")
    parser.add_argument("--full", action="store_true", help="also the tests that only long runs make: every row of vms/geometries.toml")
    parser.add_argument("--shards", type=int, default=SHARDS, metavar="N", help=f"test processes side by side ({SHARDS})")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="the run's folder (out/<date>-<time>)")
    parser.add_argument("--list", action="store_true", help="list the tests and exit")
    parser.add_argument("--repro", type=pathlib.Path, metavar="DIR", help="repeat the failure that this folder of a former run describes")
    parser.add_argument("--judge-again", type=pathlib.Path, metavar="OUT", help="judge a recorded run by today's rules, without the target")
    parser.add_argument("--build", type=pathlib.Path, metavar="DIR", help="use this build folder as it is instead of building build/default")
    parser.add_argument("--stall", type=float, default=120, metavar="SECONDS", help="end a test process that is silent for so long (120)")
    options = parser.parse_args(arguments)
    if not 1 <= options.shards <= 64:
        raise UsageError("--shards: a number from 1 to 64")
    if options.target and not options.target.is_file():
        raise UsageError(f"--target: {options.target} is no file")
    if sum(bool(each) for each in (options.repro, options.filter, options.test)) > 1:
        raise UsageError("--repro, --filter and --test exclude each other")
    options.filter = options.filter or options.test or ""
    return options


def read_target(path: pathlib.Path | None) -> tuple[dict, list[judge.Waiver]]:
    if path is None:
        return {"name": "bundled server"}, []
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
        return document, judge.waivers_of(document)
    except (tomllib.TOMLDecodeError, ValueError, OSError) as error:
        raise UsageError(f"{path}: {error}") from error


def describe_target(document: dict, path: pathlib.Path | None) -> dict:
    """What a report says about the target; nothing secret."""
    known = {key: document[key] for key in ("name", "kind", "host", "port", "address", "profile") if key in document}
    return known | ({"file": str(path)} if path else {})


def version() -> str:
    answer = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return answer.stdout.strip() or "unknown"


def build_folder(options: argparse.Namespace) -> pathlib.Path:
    return (options.build or ROOT / "build" / PRESET).resolve()


def environment_of(options: argparse.Namespace, folder: pathlib.Path) -> dict[str, str]:
    result = dict(os.environ)
    result["DMRP_RUN_DIR"] = str(folder)
    result["DMRP_BUILD_DIR"] = str(build_folder(options))
    result["DMRP_FULL"] = "1" if options.full else "0"
    if options.target:
        result["DMRP_TARGET"] = str(options.target.resolve())
    return result


def select(options: argparse.Namespace, environment: dict[str, str]) -> list[str]:
    """The tests to run; a UsageError if there is none (GoogleTest itself would call that a success)."""
    try:
        names = list_tests(build_folder(options) / BINARY, options.filter, environment)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not names:
        raise UsageError(f"no test matches {options.filter!r}")
    return names


def run_suites(out: Terminal, options: argparse.Namespace, names: list[str], folder: pathlib.Path,
               seconds: dict[str, float]) -> dict:
    """Runs the selected tests; returns what run.json is to say."""
    environment = environment_of(options, folder)
    binary = build_folder(options) / BINARY
    progress = Progress(out, len(names))
    count = min(options.shards, len(names))
    work = Work(names, count, seconds)
    shards = [Shard(f"shard{index}", binary, work, environment, folder, options.stall, progress) for index in range(count)]
    out.step(f"run {len(names)} tests in {len(shards)} processes")
    interrupted = False
    ends: list[ShardEnd] = []
    try:
        for shard in shards:
            shard.start()
        # Beside the others: its guests and theirs wait at different times.
        if not options.filter and (ROOT / "suites" / "python").is_dir():
            ends.append(run_pytest(out, "pytest", ["suites/python"], environment, folder, 600))
        for shard in shards:
            while shard.is_alive():
                shard.join(0.5)
    except KeyboardInterrupt:
        interrupted = True
        out.step("interrupted; ending what runs")
        for shard in shards:
            shard.stop()
        for shard in shards:
            shard.join(15)
    ends = [end for shard in shards for end in shard.ends] + ends
    return {
        "expected": names, "partial": bool(options.filter), "interrupted": interrupted,
        "processes": [{"name": end.name, "status": end.status, "note": end.note} for end in ends]
        + ([{"name": "run", "status": None, "note": "interrupted by the user"}] if interrupted else []),
    }


def write_repro(result: judge.Result, options: argparse.Namespace, folder: pathlib.Path) -> None:
    """One folder per failing test with what repeating it takes: its name, its target, and its part of the history."""
    for test in result.failing_tests():
        place = folder / "repro" / failures.test_slug(test.name)
        place.mkdir(parents=True, exist_ok=True)
        target = str(options.target.resolve()) if options.target else None
        description = {"test": test.name, "target": target, "run": str(folder), "source": test.source, "full": options.full}
        (place / "repro.json").write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def report(out: Terminal, folder: pathlib.Path, waivers: list[judge.Waiver], options: argparse.Namespace) -> Exit:
    result = judge.judge(history.Run.load(folder), waivers=waivers)
    write_repro(result, options, folder)
    paths = reports.write_all(result, folder)
    paths |= {name: str(folder / name) for name in ("captures", "images", "logs") if any((folder / name).glob("*"))}
    print_summary(out, result, paths)
    return result.exit_code()


def apply_repro(options: argparse.Namespace) -> None:
    try:
        description = json.loads((options.repro / "repro.json").read_text(encoding="utf-8"))
        options.filter = description["test"]
        options.shards = 1
        options.full = options.full or bool(description.get("full"))
        if options.target is None and description.get("target"):
            options.target = pathlib.Path(description["target"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--repro: {options.repro} does not describe a failure: {error}") from error


def enter_namespace(arguments: list[str]) -> None:
    """Goes on inside a namespace in which guests have a network of their own; does not return."""
    environment = os.environ | {INSIDE: "1"}
    command = [PYTHON, str(ROOT / "ci" / "namespace.py"), "--", PYTHON, "-m", "lib.certify", *arguments]
    sys.stdout.flush()
    os.execve(PYTHON, command, environment)


def default_folder() -> pathlib.Path:
    return ROOT / "out" / time.strftime("%Y%m%d-%H%M%S")


def keep_latest(folder: pathlib.Path) -> None:
    """out/latest points at the newest run."""
    link = folder.parent / "latest"
    if folder.parent == ROOT / "out" and (link.is_symlink() or not link.exists()):
        link.unlink(missing_ok=True)
        link.symlink_to(folder.name)


def certify(arguments: list[str], out: Terminal) -> Exit:
    options = parse(arguments)
    if options.judge_again:
        try:
            stored = json.loads((options.judge_again / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            stored = {}
        options.full = options.full or bool(stored.get("full"))
        path = options.target or (pathlib.Path(stored["target_file"]) if stored.get("target_file") else None)
        options.target = path if path and path.is_file() else None
        return report(out, options.judge_again, read_target(options.target)[1], options)
    if options.repro:
        apply_repro(options)
    document, waivers = read_target(options.target)

    if INSIDE not in os.environ:
        if not options.build:
            build(out, PRESET, ROOT / "build" / "logs")
        if options.list:
            print("\n".join(select(options, environment_of(options, ROOT / "out"))))
            return Exit.PROVEN
        if not options.out:
            arguments = [*arguments, "--out", str(default_folder())]
        enter_namespace(arguments)

    folder = (options.out or default_folder()).resolve()
    if (folder / "history").exists():
        raise UsageError(f"--out: {folder} holds a run already")
    names = select(options, environment_of(options, folder))
    (folder / "history").mkdir(parents=True)
    seconds = recorded_seconds(ROOT / "out" / "latest")
    keep_latest(folder)
    started = datetime.datetime.now().astimezone()
    clock = time.monotonic()
    described = {
        "target": describe_target(document, options.target), "started": f"{started:%Y-%m-%d %H:%M %z}",
        "target_file": str(options.target.resolve()) if options.target else None, "full": options.full,
        "version": version(), "host": f"{platform.system()} {platform.release()} {platform.machine()}",
        "command": ["ci/certify", *arguments], "profile": document.get("profile", "strict"),
    }
    described |= run_suites(out, options, names, folder, seconds)
    described["seconds"] = round(time.monotonic() - clock, 1)
    (folder / "run.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    out.step(f"judge ({described['seconds']} s of tests)")
    return report(out, folder, waivers, options)


def main(arguments: list[str]) -> int:
    out = Terminal()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as tidily as Ctrl-C
    try:
        return int(certify(arguments, out))
    except (UsageError, history.HistoryError) as error:
        print(f"ci/certify: {error}\nci/certify --help tells more", file=sys.stderr)
        return Exit.USAGE
    except StepFailed as error:
        print(f"ci/certify: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("ci/certify: interrupted", file=sys.stderr)
        return Exit.UNDECIDED
    except Exception:
        traceback.print_exc()
    return Exit.INTERNAL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
