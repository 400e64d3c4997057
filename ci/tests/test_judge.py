"""From recorded histories to verdicts and exit codes."""

import datetime
import json

import pytest
from lib import history, judge
from lib.judge import Exit, Verdict

DISKS = ("IVolumeClient", "EnumDisks")
TASKS = ("IVolumeClient3", "EnumTasks")
ALL = ["DMRP-0001", "DMRP-0002", "DMRP-0003"]
FAIL = {"outcome": "fail", "statement": "s", "accepted": "S_OK", "actual": "E_FAIL", "blame": "target"}


def verdicts(result):
    return {each.obligation.key: each.verdict for each in result.judgements}


def prove_all(recorder):
    recorder.test("Enum.Both", ALL, calls=[DISKS, TASKS])


def test_everything_proven_is_exit_code_0(recorder, small):
    prove_all(recorder)
    result = recorder.judge(**small)
    assert set(verdicts(result).values()) == {Verdict.PROVEN}
    assert result.exit_code() is Exit.PROVEN


def test_a_rule_is_credited_only_for_the_method_that_was_called(recorder, small):
    recorder.test("Enum.OldRevision", ALL, calls=[DISKS])
    result = recorder.judge(**small)
    assert verdicts(result)["DMRP-0001"] is Verdict.PROVEN
    assert verdicts(result)["DMRP-0001@IVolumeClient3::EnumTasks"] is Verdict.NOT_EXERCISED
    assert result.exit_code() is Exit.UNDECIDED


def test_a_raw_call_is_credited_by_its_opnum(recorder, small):
    recorder.write("test", event="start", test="Raw.Opnum")
    recorder.call("Raw.Opnum", "IVolumeClient3", None, opnum=64)
    recorder.write("test", event="end", test="Raw.Opnum", requirements=["DMRP-0001"], outcome="passed")
    assert verdicts(recorder.judge(**small))["DMRP-0001@IVolumeClient3::EnumTasks"] is Verdict.PROVEN


def test_a_test_that_looks_at_what_another_did_is_credited_for_its_calls(recorder, small):
    recorder.test("Enum.Acts", ["DMRP-0002"], calls=[DISKS, TASKS])
    recorder.write("test", event="start", test="Enum.Looks")
    recorder.write("shared", test="Enum.Looks", by="Enum.Acts")
    recorder.write("shared", test="Enum.Looks", by="Enum.Acts")
    recorder.write("test", event="end", test="Enum.Looks", requirements=["DMRP-0001"], outcome="passed")
    result = recorder.judge(**small)
    assert verdicts(result)["DMRP-0001"] is Verdict.PROVEN
    assert verdicts(result)["DMRP-0001@IVolumeClient3::EnumTasks"] is Verdict.PROVEN


def test_naming_the_rule_that_takes_over_stands_for_those_taken_over(recorder, small):
    recorder.test("Enum.New", ["DMRP-0004"], calls=[TASKS])
    assert verdicts(recorder.judge(**small))["DMRP-0001@IVolumeClient3::EnumTasks"] is Verdict.PROVEN


def test_a_failed_check_violates_its_rule_only(recorder, small):
    recorder.test("Enum.Both", ALL, "failed", [DISKS, TASKS], [FAIL | {"requirements": ["DMRP-0002"]}])
    result = recorder.judge(**small)
    assert verdicts(result)["DMRP-0002"] is Verdict.VIOLATED
    assert verdicts(result)["DMRP-0001"] is Verdict.UNDECIDED
    assert result.exit_code() is Exit.VIOLATED


def test_a_failed_check_is_blamed_on_the_interface_of_its_call(recorder, small):
    recorder.test("Enum.Both", ALL, "failed", [DISKS, TASKS], [FAIL | {"requirements": ["DMRP-0001"]}])
    found = verdicts(recorder.judge(**small))
    assert found["DMRP-0001@IVolumeClient3::EnumTasks"] is Verdict.VIOLATED
    assert found["DMRP-0001"] is not Verdict.VIOLATED


def test_a_failure_is_kept_even_when_no_call_of_its_method_was_recorded(recorder, small):
    recorder.test("Enum.NoCall", ["DMRP-0001"], "failed", [], [FAIL | {"requirements": ["DMRP-0001"]}])
    assert verdicts(recorder.judge(**small))["DMRP-0001"] is Verdict.VIOLATED


def test_a_test_that_failed_without_a_check_violates_all_it_names(recorder, small):
    recorder.test("Enum.Both", ["DMRP-0002"], "failed")
    assert verdicts(recorder.judge(**small))["DMRP-0002"] is Verdict.VIOLATED


def test_one_failing_test_outweighs_passing_ones(recorder, small):
    prove_all(recorder)
    recorder.test("Other.Test", ["DMRP-0002"], "failed", [], [FAIL | {"requirements": ["DMRP-0002"]}])
    assert verdicts(recorder.judge(**small))["DMRP-0002"] is Verdict.VIOLATED


def test_what_a_failed_test_checked_before_it_failed_stays_proven(recorder, small):
    recorder.test("Enum.Both", ALL, "failed", [DISKS, TASKS], [
        {"requirements": ["DMRP-0001"], "outcome": "pass"}, FAIL | {"requirements": ["DMRP-0002"]}])
    found = verdicts(recorder.judge(**small))
    assert found["DMRP-0001@IVolumeClient3::EnumTasks"] is Verdict.PROVEN
    assert found["DMRP-0003"] is Verdict.UNDECIDED


def test_the_monitor_may_find_a_violation_in_a_test_that_passed(recorder, small):
    recorder.test("Enum.Both", ALL, "passed", [DISKS, TASKS], [FAIL | {"requirements": ["DMRP-0002"], "monitor": True}])
    result = recorder.judge(**small)
    assert verdicts(result)["DMRP-0002"] is Verdict.VIOLATED
    assert verdicts(result)["DMRP-0001"] is Verdict.PROVEN


@pytest.mark.parametrize("blame", ["harness", "environment", "text"])
def test_a_failure_that_is_not_the_targets_leaves_the_rule_undecided(recorder, small, blame):
    prove_all(recorder)
    recorder.test("Other.Test", ["DMRP-0002"], "failed", [], [FAIL | {"requirements": ["DMRP-0002"], "blame": blame}])
    result = recorder.judge(**small)
    found = next(each for each in result.judgements if each.obligation.key == "DMRP-0002")
    assert (found.verdict, found.blame) == (Verdict.UNDECIDED, blame)
    assert result.exit_code() is Exit.UNDECIDED


def test_a_crashed_process_leaves_its_test_undecided_and_blames_the_environment(recorder, small):
    prove_all(recorder)
    recorder.test("Other.Crash", end=False, checks=[{"requirements": ["DMRP-0003"], "outcome": "pass"}])
    recorder.description["processes"][0] = {"name": "shard0", "status": -11, "note": "in Other.Crash"}
    result = recorder.judge(**small)
    assert "shard0 ended with signal 11: in Other.Crash" in result.disorder
    assert "1 tests did not finish: Other.Crash" in result.disorder
    assert result.exit_code() is Exit.UNDECIDED


def test_the_rules_of_a_crashed_test_are_read_from_its_source(recorder, small, tmp_path):
    source = tmp_path / "suites" / "x_test.cpp"
    source.parent.mkdir()
    source.write_text('\n\nTEST(Other, Crash) {\n  Checks("DMRP-0002");\n}\nTEST(Next, One) {\n  Checks("DMRP-0003");\n}\n')
    recorder.test("Other.Crash", end=False)
    result = recorder.judge(**small, root=tmp_path)
    found = next(each for each in result.judgements if each.obligation.key == "DMRP-0002")
    assert (found.verdict, found.blame) == (Verdict.UNDECIDED, "environment")
    assert verdicts(result)["DMRP-0003"] is Verdict.NOT_EXERCISED


def test_a_test_that_left_no_record_is_missed(recorder, small):
    prove_all(recorder)
    recorder.description["expected"].append("Never.Ran")
    result = recorder.judge(**small)
    assert "1 tests left no record: Never.Ran" in result.disorder
    assert result.exit_code() is Exit.UNDECIDED


def test_a_run_without_a_test_proves_nothing(recorder, small):
    result = recorder.judge(**small)
    assert result.disorder == ["the run holds no test"]
    assert result.exit_code() is Exit.UNDECIDED


def test_a_rule_nobody_exercised_is_never_green(recorder, small):
    recorder.test("Enum.Both", ["DMRP-0001"], calls=[DISKS, TASKS])
    result = recorder.judge(**small)
    assert verdicts(result)["DMRP-0002"] is Verdict.NOT_EXERCISED
    assert result.exit_code() is Exit.UNDECIDED


def test_an_advised_rule_without_a_verdict_does_not_hold_the_certificate_up(recorder, small):
    recorder.test("Enum.Both", ["DMRP-0001", "DMRP-0002"], calls=[DISKS, TASKS])
    assert recorder.judge(**small).exit_code() is Exit.PROVEN


def test_a_selection_is_judged_by_what_it_exercised(recorder, small):
    recorder.test("Enum.Old", ["DMRP-0001"], calls=[DISKS])
    recorder.description["partial"] = True
    assert recorder.judge(**small).exit_code() is Exit.PROVEN


def test_a_skipped_test_proves_nothing_and_tells_why(recorder, small):
    recorder.test("Enum.Both", ["DMRP-0002"], "skipped", reason="the target has no GPT")
    found = next(each for each in recorder.judge(**small).judgements if each.obligation.key == "DMRP-0002")
    assert found.verdict is Verdict.NOT_EXERCISED
    assert "no GPT" in found.reason


def test_a_known_failure_is_waived_until_it_expires(recorder, small):
    recorder.test("Enum.Both", ALL, "failed", [DISKS, TASKS], [FAIL | {"requirements": ["DMRP-0002"]}])
    waivers = judge.waivers_of({"known_failure": [
        {"requirement": "DMRP-0002", "reason": "fixed in 2.1", "expires": datetime.date(2030, 1, 31)}]})
    for day, expected in ((datetime.date(2030, 1, 31), Verdict.WAIVED), (datetime.date(2030, 2, 1), Verdict.VIOLATED)):
        result = recorder.judge(**small, waivers=waivers, today=day)
        assert verdicts(result)["DMRP-0002"] is expected


def test_a_known_failing_test_waives_only_what_no_other_test_fails(recorder, small):
    recorder.test("Known.One", ["DMRP-0002"], "failed", [], [FAIL | {"requirements": ["DMRP-0002"]}])
    waivers = [judge.Waiver("Known.*", "r", datetime.date.max)]
    assert verdicts(recorder.judge(**small, waivers=waivers))["DMRP-0002"] is Verdict.WAIVED
    recorder.test("New.One", ["DMRP-0002"], "failed", [], [FAIL | {"requirements": ["DMRP-0002"]}])
    assert verdicts(recorder.judge(**small, waivers=waivers))["DMRP-0002"] is Verdict.VIOLATED


@pytest.mark.parametrize("entry", [
    {"reason": "r", "expires": datetime.date.max}, {"requirement": "DMRP-0002", "expires": datetime.date.max},
    {"requirement": "DMRP-0002", "reason": "r"}, {"requirement": "DMRP-0002", "reason": "r", "expires": "2030-01-01"},
])
def test_an_incomplete_known_failure_is_refused(entry):
    with pytest.raises(ValueError, match="known failure"):
        judge.waivers_of({"known_failure": [entry]})


def test_a_test_that_names_an_unknown_rule_disturbs_the_run(recorder, small):
    prove_all(recorder)
    recorder.test("Other.Test", ["DMRP-9999"])
    assert "Other.Test names DMRP-9999, which is not in the catalogue" in recorder.judge(**small).disorder


def test_a_test_that_fails_and_names_no_rule_disturbs_the_run(recorder, small):
    prove_all(recorder)
    recorder.test("Other.Test", [], "failed")
    result = recorder.judge(**small)
    assert "1 tests failed and name no rule: Other.Test" in result.disorder
    assert result.exit_code() is Exit.UNDECIDED


def test_methods_that_answer_not_implemented_are_listed(recorder, small):
    recorder.write("test", event="start", test="Raw.Methods")
    recorder.call("Raw.Methods", "IVolumeClient", "Eject", "0x80004001")
    assert recorder.load().unanswered == {("IVolumeClient", "Eject")}


def test_a_line_cut_off_by_a_crash_is_told_and_not_fatal(recorder, small):
    prove_all(recorder)
    with open(recorder.folder / "history" / "shard0.jsonl", "a") as file:
        file.write('{"kind": "call", "te')
    result = recorder.judge(**small)
    assert verdicts(result)["DMRP-0002"] is Verdict.PROVEN
    assert "unreadable lines" in result.disorder[0]


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(history.HistoryError):
        history.Run.load(tmp_path)


def test_the_bundled_catalogue_can_be_judged(recorder):
    recorder.test("EnumDisks.ListsEveryDisk", ["DMRP-0586", "DMRP-0589"], calls=[DISKS])
    result = recorder.judge()
    assert verdicts(result)["DMRP-0586"] is Verdict.PROVEN
    assert verdicts(result)["DMRP-0584"] is Verdict.NOT_OBSERVABLE
    assert verdicts(result)["DMRP-1700"] is Verdict.NOT_IMPLEMENTED
    assert verdicts(result)["DMRP-0319"] is Verdict.CLIENT_SIDE
    assert verdicts(result)["DMRP-0621"] is Verdict.OTHER_PROFILE
    assert sum(result.counts().values()) == 2729


def test_a_violation_out_of_scope_counts_as_well(recorder):
    recorder.test("Some.Test", ["DMRP-1700"], "failed", [], [FAIL | {"requirements": ["DMRP-0890"]}])
    assert recorder.judge().exit_code() is Exit.VIOLATED


@pytest.mark.parametrize("before, after, expected", [
    ({"a": 1}, {"a": 1}, ""),
    ({"style": "MBR"}, {"style": "GPT"}, "style: MBR -> GPT"),
    ({"p": [{"start": 1}]}, {"p": [{"start": 2}]}, "p[0].start: 1 -> 2"),
    ({"p": []}, {"p": [{"start": 2}]}, 'p[0]: None -> {"start": 2}'),
])
def test_the_first_difference_of_two_layouts_is_named(before, after, expected):
    assert history.first_difference(before, after) == expected


def test_a_record_survives_a_second_reading(recorder, small):
    prove_all(recorder)
    first = recorder.judge(**small)
    second = judge.judge(history.Run.load(recorder.folder), **small)
    assert verdicts(first) == verdicts(second)
    assert json.loads((recorder.folder / "run.json").read_text())["expected"] == ["Enum.Both"]


def test_another_process_may_record_about_a_test_and_a_second_attempt_replaces_the_first(recorder, small):
    recorder.write("log", file_name="guest", test="Enum.Both", source="guest", text="booted")
    recorder.test("Enum.Both", ["DMRP-0002"], "failed")
    recorder.test("Enum.Both", ["DMRP-0002"])
    run = recorder.load()
    assert run.tests["Enum.Both"].outcome == "passed"
    recorder.write("log", file_name="zzz", test="Enum.Both", source="server", text="stopped")
    assert recorder.load().tests["Enum.Both"].logs == ["server: stopped"]


def test_a_test_that_its_environment_stopped_leaves_its_rules_undecided(recorder, small, tmp_path):
    source = tmp_path / "suites" / "x_test.cpp"
    source.parent.mkdir()
    source.write_text('\n\nTEST(Other, NoGuest) {\n  Checks("DMRP-0002");\n}\n')
    prove_all(recorder)
    recorder.test("Other.NoGuest", [], "failed", environment=["the guest did not start"])
    result = recorder.judge(**small, root=tmp_path)
    found = next(each for each in result.judgements if each.obligation.key == "DMRP-0002")
    assert (found.verdict, found.blame, found.reason) == (Verdict.UNDECIDED, "environment", "the guest did not start")
    assert "1 tests failed in their environment: Other.NoGuest" in result.disorder
    assert result.exit_code() is Exit.UNDECIDED
