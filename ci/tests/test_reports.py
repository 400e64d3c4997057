"""What a failure shows, and in which order; the files a run leaves."""

import io
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from lib import failures, reports
from lib.judge import Exit
from lib.terminal import Terminal, print_summary

DISKS = ("IVolumeClient", "EnumDisks")
TASKS = ("IVolumeClient3", "EnumTasks")


@pytest.fixture
def violated(recorder, small):
    recorder.test("Enum.Both", ["DMRP-0001", "DMRP-0003"], calls=[DISKS, TASKS])
    recorder.write("test", event="start", test="Enum.Stale/0", file="suites/x_test.cpp", line=3)
    number = recorder.call("Enum.Stale/0", *DISKS, "0x80070057")
    recorder.write("disk", test="Enum.Stale/0", disk="disk0", when="before", layout={"style": "none", "partitions": []})
    recorder.write("disk", test="Enum.Stale/0", disk="disk0", when="after", layout={"style": "MBR", "partitions": []},
                   difference={"bytes_changed": 2, "summary": "MBR boot signature (LBA 0, offset 0x1fe): 0000 -> 55aa"})
    recorder.write("check", test="Enum.Stale/0", requirements=["DMRP-0002", "DMRP-0003"], outcome="fail", call=number,
                   statement="a refused call changes nothing", accepted="any error, disk unchanged",
                   actual="0x80070057 <LBA 0 written> & more", blame="target")
    recorder.write("log", test="Enum.Stale/0", source="guest", text="dmadmind: refused")
    recorder.write("test", event="end", test="Enum.Stale/0", requirements=["DMRP-0002", "DMRP-0003"], outcome="failed", seconds=1.5)
    recorder.description["expected"].append("Enum.Stale/0")
    return recorder.judge(**small)


def summary(result) -> str:
    stream = io.StringIO()
    print_summary(Terminal(stream), result, {"report": "out/report.html"})
    return stream.getvalue()


def test_a_failure_is_told_in_the_order_a_reader_needs(violated):
    text = summary(violated)
    parts = ["VIOLATED  3.2.4.4.1.1 (MUST)  DMRP-0002", "What DMRP-0002 says.", "any error, disk unchanged",
             "0x80070057 <LBA 0 written>", "IVolumeClient::EnumDisks(diskId=0x12) -> 0x80070057",
             "received from 10.9.0.11:135: 05000203", "MBR boot signature", "./ci/certify --repro"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_a_check_that_concerns_several_rules_is_told_once(violated):
    found = failures.failures_of(violated)
    assert [[each.rule.id for each in failure.judgements] for failure in found] == [["DMRP-0002", "DMRP-0003"]]


def test_the_command_that_repeats_a_failure_names_a_folder_without_slashes_of_the_test(violated):
    assert failures.failures_of(violated)[0].again.endswith("repro/Enum.Stale_0")


def test_the_last_line_is_the_verdict(violated):
    assert summary(violated).rstrip().splitlines()[-1] == "VIOLATED: 2 obligations"


def test_layouts_tell_the_difference_where_no_byte_comparison_was_made(recorder, small):
    recorder.write("test", event="start", test="A.B")
    recorder.write("disk", test="A.B", disk="disk0", when="before", layout={"style": "none"})
    recorder.write("disk", test="A.B", disk="disk0", when="after", layout={"style": "MBR"})
    test = recorder.load().tests["A.B"]
    assert failures.disk_text(test) == "disk0, before to after: style: none -> MBR"


def test_the_summary_counts_missing_methods_and_open_rules(recorder, small):
    recorder.test("Enum.Old", ["DMRP-0001"], calls=[DISKS])
    recorder.write("test", event="start", test="Raw.Eject")
    recorder.call("Raw.Eject", "IVolumeClient", "Eject", "0x80004001")
    recorder.write("test", event="end", test="Raw.Eject", outcome="passed", requirements=[])
    text = summary(recorder.judge(**small))
    assert "mandatory, in scope and not exercised (2): DMRP-0002, DMRP-0001@IVolumeClient3::EnumTasks" in text
    assert "1 methods: IVolumeClient::Eject" in text
    assert text.rstrip().splitlines()[-1].startswith("UNDECIDED: 2 mandatory obligations")


def test_json_holds_every_obligation_and_the_exit_code(violated):
    document = json.loads(json.dumps(reports.as_json(violated)))
    assert document["exit_code"] == Exit.VIOLATED == 1
    assert document["verdict"] == "violated"
    assert [each["key"] for each in document["obligations"]] == [
        "DMRP-0001", "DMRP-0002", "DMRP-0003", "DMRP-0001@IVolumeClient3::EnumTasks"]
    assert document["counts"]["proven"] == 2
    assert document["failures"][0]["rules"] == ["DMRP-0002", "DMRP-0003"]


def test_junit_holds_tests_and_rules(violated):
    root = ElementTree.fromstring(reports.junit(violated))
    tests, rules = root.findall("testsuite")
    assert (tests.get("tests"), tests.get("failures")) == ("2", "1")
    assert (rules.get("tests"), rules.get("failures")) == ("4", "2")
    failure = tests.find("testcase[@name='Stale/0']/failure")
    assert "accepted: any error, disk unchanged" in failure.text


def test_junit_survives_characters_that_xml_forbids(recorder, small):
    recorder.test("Enum.Both", ["DMRP-0002"], "failed", [], [
        {"requirements": ["DMRP-0002"], "outcome": "fail", "accepted": "a", "actual": "name \x00\x1b\ud800", "blame": "target"}])
    assert "name" in ElementTree.fromstring(reports.junit(recorder.judge(**small))).find(".//failure").text


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.stack = [], []

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "input", "br", "link"):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(violated):
    page = _Page()
    text = reports.html(violated)
    page.feed(text)
    assert page.links == [] and page.stack == []
    assert "http" not in re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert "&lt;LBA 0 written&gt; &amp; more" in text
    assert "dmadmind: refused" in text


def test_data_in_the_page_cannot_end_its_script(recorder, small):
    recorder.test("Enum.Both", ["DMRP-0002"], "failed", [], [
        {"requirements": ["DMRP-0002"], "outcome": "fail", "actual": "</script><b>", "blame": "target"}])
    text = reports.html(recorder.judge(**small))
    assert text.count("</script>") == 2


def test_all_reports_are_written(violated, tmp_path):
    written = reports.write_all(violated, tmp_path / "out")
    assert sorted(written) == ["json", "junit", "report"]
    assert all((tmp_path / "out" / name).stat().st_size for name in ("report.html", "report.json", "junit.xml"))


def test_rules_left_open_by_a_failure_are_told_with_it(recorder, small):
    recorder.test("Enum.Both", ["DMRP-0001", "DMRP-0002"], "failed", [DISKS, TASKS], [
        {"requirements": ["DMRP-0002"], "outcome": "fail", "accepted": "a", "actual": "b", "blame": "target"}])
    found = failures.failures_of(recorder.judge(**small))
    assert [failure.rule.id for failure in found] == ["DMRP-0002"]
    assert found[0].left_open == ["DMRP-0001", "DMRP-0001@IVolumeClient3::EnumTasks"]


def test_the_reading_of_an_unclear_text_is_told_with_a_failure_of_its_rule(recorder):
    recorder.test("Order.Test", ["DMRP-0532"], "failed", [], [
        {"requirements": ["DMRP-0532"], "outcome": "fail", "accepted": "a", "actual": "b", "blame": "target"}])
    result = recorder.judge()
    assert "29: Changes of storage come before the reply." in " ".join(summary(result).split())
    assert "29: Changes of storage come before the reply." in reports.html(result)


def test_the_answer_is_shown_and_in_clear_where_it_was_encrypted(recorder):
    recorder.write("test", event="start", test="A.B")
    recorder.call("A.B", *DISKS)
    for number, members in enumerate([dict(dir="sent", ptype=0, hex="aa"), dict(dir="received", ptype=2, hex="bb", stub="0102"),
                                      dict(dir="sent", ptype=2, hex="cc")], 50):
        recorder.write("frame", n=number, peer="10.9.0.11:135", **members)
    recorder.write("call", test="A.B", seq=9, interface="IVolumeClient", method="EnumDisks", text="t", frames=[50, 51, 52])
    run = recorder.load()
    assert failures.frame_text(run, run.tests["A.B"].calls[-1]) == "#51 received from 10.9.0.11:135: stub in clear 0102"


def test_a_structure_that_a_message_names_is_the_disks_part_of_the_failure(recorder):
    recorder.write("test", event="start", test="A.B")
    told = "2 notifications\n          disk0: MBR disk signature (LBA 0, offset 0x1b8, 4 octets): 00 -> 01\nmore"
    found = failures.disk_text(recorder.load().tests["A.B"], told)
    assert found == "disk0: MBR disk signature (LBA 0, offset 0x1b8, 4 octets): 00 -> 01"


def test_what_stopped_many_tests_is_told_once(recorder, small):
    for number in range(5):
        recorder.test(f"Stopped.Test{number}", ["DMRP-0002"], "failed", environment=["the guest did not start"])
    assert len(failures.failures_of(recorder.judge(**small))) == 1
