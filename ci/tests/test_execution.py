"""Test processes that fail, crash, hang and leave children; pytest's part of the history."""

import io
import json
import os
import pathlib
import select
import subprocess
import sys

import pytest
from lib import execution, history
from lib.terminal import Terminal

SUITE = pathlib.Path(__file__).with_name("fake_suite.py")


@pytest.fixture
def run_shard(tmp_path):
    (tmp_path / "history").mkdir()
    environment = os.environ | {"FAKE_CHILD": str(tmp_path / "child")}

    def run(tests, quiet_limit=30.0):
        told = []
        shard = execution.Shard("shard0", SUITE, execution.Work(tests, 1), environment, tmp_path, quiet_limit,
                                lambda _, name, outcome, seconds: told.append((name, outcome)))
        shard.start()
        shard.join(60)
        assert not shard.is_alive()
        return shard.ends, told

    run.folder = tmp_path
    return run


def ends_within(pid, seconds):
    """Whether a process is gone, or only waits for whoever adopted it, before the time is up."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], seconds)[0])
    finally:
        os.close(process)


def test_names_are_read_from_googletests_listing():
    listing = "Running main() from gtest\nSuite.\n  One\n  Two\nAll/Param.\n  Case/0  # GetParam() = 1\n"
    assert execution.gtest_names(listing) == ["Suite.One", "Suite.Two", "All/Param.Case/0"]


def test_a_pattern_selects_from_the_list():
    assert execution.list_tests(SUITE, "Good.*", dict(os.environ)) == ["Good.One", "Good.Two", "Good.Three"]
    assert execution.list_tests(SUITE, "None.*", dict(os.environ)) == []


def shares(work):
    return list(iter(work.take, []))


def test_whole_suites_are_dealt_out_in_shares_that_get_smaller():
    names = [f"{suite}.{number}" for suite in "ABCDEFGHIJKLMNOP" for number in range(4)]
    dealt = shares(execution.Work(names, 2))
    assert sorted(sum(dealt, [])) == sorted(names)
    sizes = [len(share) for share in dealt]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == 16 and sizes[-1] == 4
    for suite in "ABCDEFGHIJKLMNOP":
        assert sum(any(name.startswith(suite) for name in share) for share in dealt) == 1


def test_the_suites_that_take_longest_come_first():
    names = ["Short.1", "Short.2", "Short.3", "Long.1", "Unknown.1"]
    dealt = shares(execution.Work(names, 2, {"Short": 0.5, "Long": 60.0}))
    assert dealt[0] == ["Long.1"] and dealt[1] == ["Unknown.1"]


def test_a_suite_of_more_than_a_share_is_cut():
    names = [f"A.{number}" for number in range(8)]
    assert [len(share) for share in shares(execution.Work(names, 2))] == [2, 2, 2, 2]


def test_a_suite_is_cut_where_its_parameter_changes():
    names = [f"A.{test}/{parameter}" for test in "xyz" for parameter in ("one", "two")]
    assert shares(execution.Work(names, 2)) == [["A.x/two", "A.y/two", "A.z/two"], ["A.x/one", "A.y/one", "A.z/one"]]


def test_a_single_shard_takes_everything():
    assert [len(share) for share in shares(execution.Work(["A.1", "B.1", "B.2"], 1))] == [3]


def test_seconds_are_read_from_an_earlier_run(tmp_path):
    (tmp_path / "logs").mkdir()
    results = {"testsuites": [{"name": "A", "testsuite": [{"time": "1.5s"}, {"time": "0.5s"}]}]}
    (tmp_path / "logs" / "shard0.gtest.json").write_text(json.dumps(results))
    (tmp_path / "logs" / "shard1.gtest.json").write_text("{")
    assert execution.recorded_seconds(tmp_path) == {"A": 1.0}
    assert execution.recorded_seconds(tmp_path / "none") == {}


def test_shards_share_their_work(tmp_path):
    (tmp_path / "history").mkdir()
    told = []
    work = execution.Work(["Good.One", "Good.Two", "Good.Three", "Bad.Fails"], 2)
    shards = [execution.Shard(f"shard{index}", SUITE, work, dict(os.environ), tmp_path, 30.0,
                              lambda shard, name, outcome, seconds: told.append(name)) for index in range(2)]
    for shard in shards:
        shard.start()
    for shard in shards:
        shard.join(60)
    assert sorted(told) == ["Bad.Fails", "Good.One", "Good.Three", "Good.Two"]
    ends = [end.name for shard in shards for end in shard.ends]
    assert len(ends) == len(set(ends)), "each process has logs of its own"


def test_results_are_told_as_they_come(run_shard):
    ends, told = run_shard(["Good.One", "Bad.Fails"])
    assert told == [("Good.One", "OK"), ("Bad.Fails", "FAILED")]
    assert [(end.name, end.status) for end in ends] == [("shard0", 1)]


def test_after_a_crash_a_new_process_goes_on_with_the_rest(run_shard):
    ends, told = run_shard(["Good.One", "Bad.Crashes", "Good.Three"])
    assert told == [("Good.One", "OK"), ("Bad.Crashes", "CRASHED"), ("Good.Three", "OK")]
    assert [(end.name, end.status, end.note) for end in ends] == [
        ("shard0", -11, "in Bad.Crashes"), ("shard0-2", 0, "")]
    run = history.Run.load(run_shard.folder)
    assert {name: test.outcome for name, test in run.tests.items()} == {
        "Good.One": "passed", "Bad.Crashes": "unfinished", "Good.Three": "passed"}


def test_a_process_that_is_silent_for_too_long_is_ended(run_shard):
    ends, told = run_shard(["Bad.Hangs", "Good.Three"], quiet_limit=1.0)
    assert told == [("Bad.Hangs", "CRASHED"), ("Good.Three", "OK")]
    assert "silent for 1 s in Bad.Hangs" in ends[0].note


def test_a_child_that_a_test_leaves_behind_is_ended_and_holds_nothing_up(run_shard):
    ends, _ = run_shard(["Bad.LeavesAChild"])
    assert ends[0].status == 0
    child = int((run_shard.folder / "child").read_text())
    assert ends_within(child, 10)


def test_a_program_that_is_missing_ends_the_shard(run_shard, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SUITE", pathlib.Path("/nonexistent/suite"))
    ends, _ = run_shard(["Good.One"])
    assert ends[0].status == 127


def test_a_step_that_fails_shows_the_end_of_its_log(tmp_path):
    with pytest.raises(execution.StepFailed, match="the reason"):
        execution.run_step(Terminal(io.StringIO()), "step", ["sh", "-c", "echo the reason; exit 3"], tmp_path / "log")


def test_pytest_suites_write_their_tests_into_the_history(tmp_path):
    suite = tmp_path / "test_some.py"
    suite.write_text(
        "import pytest\n"
        "@pytest.mark.requirements('DMRP-0606', interface='IVolumeClient')\n"
        "def test_good(): pass\n"
        "@pytest.mark.requirements('DMRP-0612')\n"
        "def test_bad(): assert 1 == 2, 'one is not two'\n"
        "def test_skipped(): pytest.skip('no guest')\n"
        "@pytest.fixture\n"
        "def guest(): raise OSError('the guest did not start')\n"
        "@pytest.mark.requirements('DMRP-0612')\n"
        "def test_stopped(guest): pass\n")
    end = execution.run_pytest(Terminal(io.StringIO()), "pytest", [str(suite)], dict(os.environ), tmp_path / "run", 60)
    assert end.status == 1
    tests = {name.rpartition("::")[2]: test for name, test in history.Run.load(tmp_path / "run").tests.items()}
    assert {name: test.outcome for name, test in tests.items()} == {
        "test_good": "passed", "test_bad": "failed", "test_skipped": "skipped", "test_stopped": "failed"}
    assert tests["test_good"].requirements == ["DMRP-0606"]
    assert tests["test_good"].checks[0].interface == "IVolumeClient"
    assert "one is not two" in tests["test_bad"].checks[0].actual
    assert "did not start" in tests["test_stopped"].environment and not tests["test_stopped"].checks
    assert tests["test_skipped"].reason == "no guest"


@pytest.fixture
def certify(tmp_path):
    """Runs ci/lib/certify.py as inside the namespace, with the fake suite in place of the real one."""
    script = (
        "import sys, pathlib; from lib import certify\n"
        f"certify.BINARY = pathlib.Path({str(SUITE)!r})\n"
        "certify.run_pytest = lambda *a, **k: certify.ShardEnd('pytest', 0)\n"
        "sys.exit(certify.main(sys.argv[1:]))\n")

    def run(*arguments):
        environment = os.environ | {"DMRP_CERTIFY_INSIDE": "1", "PYTHONPATH": str(SUITE.parents[1])}
        answer = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, env=environment, timeout=120)
        return answer.returncode, answer.stdout, answer.stderr

    return run


def test_a_selection_that_matches_nothing_is_an_error(certify, tmp_path):
    status, _, error = certify("--filter", "None.*", "--out", str(tmp_path / "run"))
    assert (status, (tmp_path / "run").exists()) == (254, False)
    assert "no test matches 'None.*'" in error


def test_an_unknown_option_is_a_usage_error(certify):
    assert certify("--bogus")[0] == 254


def test_a_target_file_that_is_wrong_is_a_usage_error(certify, tmp_path):
    target = tmp_path / "target.toml"
    target.write_text("[[known_failure]]\ntest = 'A.*'\n")
    status, _, error = certify("--target", str(target), "--out", str(tmp_path / "run"))
    assert status == 254 and "expiry date" in error


def test_a_run_with_a_violation_is_reported_repeated_and_judged_again(certify, tmp_path):
    folder = tmp_path / "run"
    status, text, error = certify("--filter", "Good.*:Bad.Fails", "--out", str(folder))
    assert status == 1, error
    assert "VIOLATED (a selection of tests: no certificate)" in text
    assert json.loads((folder / "report.json").read_text())["exit_code"] == 1
    again = certify("--judge-again", str(folder))
    assert again[0] == 1
    repeated = certify("--repro", str(folder / "repro" / "Bad.Fails"), "--out", str(tmp_path / "second"))
    assert repeated[0] == 1
    assert json.loads((tmp_path / "second" / "run.json").read_text())["expected"] == ["Bad.Fails"]


def test_a_run_with_a_crash_is_undecided_and_blames_no_target(certify, tmp_path):
    status, text, _ = certify("--filter", "Good.*:Bad.Crashes", "--out", str(tmp_path / "run"), "--shards", "1")
    assert status == 2
    assert "shard0 ended with signal 11: in Bad.Crashes" in text


def test_the_folder_of_an_earlier_run_is_not_written_over(certify, tmp_path):
    assert certify("--filter", "Good.*", "--out", str(tmp_path / "run"))[0] == 0
    assert certify("--filter", "Good.*", "--out", str(tmp_path / "run"))[0] == 254


def test_judging_a_folder_that_holds_no_run_is_a_usage_error(certify, tmp_path):
    assert certify("--judge-again", str(tmp_path))[0] == 254
