"""The files a run leaves: report.json, junit.xml and report.html. Each is made from the judged history alone."""

from __future__ import annotations

import json
import pathlib
import re
import xml.etree.ElementTree as ElementTree

import jinja2

from . import judge
from .failures import Failure, failures_of
from .judge import Exit, Judgement, Result, Verdict

_MOST_EVIDENCE = 6
_MOST_FRAME_IN_PAGE = 4096


def write_all(result: Result, folder: pathlib.Path) -> dict[str, str]:
    """Writes every report into the run's folder; name -> path."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"report": folder / "report.html", "json": folder / "report.json", "junit": folder / "junit.xml"}
    paths["report"].write_text(html(result), encoding="utf-8")
    paths["json"].write_text(json.dumps(as_json(result), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    paths["junit"].write_text(junit(result), encoding="utf-8")
    return {name: str(path) for name, path in paths.items()}


def _evidence(judgement: Judgement) -> list[dict]:
    """The telling evidence first: failures, then what was undecided, then passes by tests before the monitor's."""
    order = {"fail": 0, "undecided": 1, "pass": 2, "skipped": 3}
    chosen: dict[tuple, dict] = {}
    ranked = sorted(judgement.evidence, key=lambda each: (order[each.outcome], bool(each.check and each.check.monitor)))
    for each in ranked:
        entry = {"test": each.test.name, "outcome": each.outcome}
        if each.check and each.check.monitor:
            entry["monitor"] = True
        if each.outcome != "pass":
            entry |= {"blame": each.blame, "reason": each.reason or (each.check.actual if each.check else "")}
        else:
            call = next((c for c in each.test.calls if judgement.obligation.method in (None, c.method)
                         and judgement.obligation.interface in ("common", c.interface)), None)
            if call and call.text:
                entry["call"] = call.text[:400]
        chosen.setdefault((each.test.name, each.outcome), entry)
    return list(chosen.values())


def _judgement(judgement: Judgement, result: Result) -> dict:
    rule, obligation = judgement.rule, judgement.obligation
    evidence = _evidence(judgement)
    return {
        "key": obligation.key, "id": rule.id, "section": rule.section, "interface": obligation.interface,
        "method": obligation.method, "level": rule.level, "kind": rule.kind, "statement": rule.statement,
        "scope": judgement.scope.value, "needed": judgement.needed, "verdict": judgement.verdict.value,
        "reason": judgement.reason, "blame": judgement.blame, "tests": len(evidence),
        "evidence": evidence[:_MOST_EVIDENCE],
        "readings": [f"{each.number}. {each.title}: {each.reading}" for each in result.readings.get(rule.id, [])],
    }


def _failure(failure: Failure) -> dict:
    return {
        "verdict": failure.verdict.value, "rules": [each.obligation.key for each in failure.judgements],
        "section": failure.rule.section, "level": failure.rule.level, "statement": failure.rule.statement,
        "accepted": failure.accepted, "actual": failure.actual, "call": failure.call, "frame": failure.frame,
        "disk": failure.disk, "again": failure.again, "test": failure.test, "place": failure.place,
        "blame": failure.blame, "left_open": failure.left_open,
        "readings": list(failure.readings), "logs": list(failure.logs),
    }


def _verdict_word(code: Exit, partial: bool) -> str:
    word = {Exit.PROVEN: "proven", Exit.VIOLATED: "violated"}.get(code, "undecided")
    return f"{word}, of a selection of tests" if partial else word


def as_json(result: Result) -> dict:
    code = result.exit_code()
    run = result.run
    return {
        "format": 1,
        "verdict": _verdict_word(code, run.partial),
        "exit_code": int(code),
        "run": {key: value for key, value in run.info.items() if key != "expected"},
        "counts": result.counts(),
        "needed": {
            verdict.value: sum(each.needed and each.verdict is verdict for each in result.judgements) for verdict in Verdict
        },
        "not_implemented_methods": [f"{interface}::{method}" for interface, method in sorted(run.unanswered)],
        "disorder": result.disorder,
        "failures": [_failure(each) for each in failures_of(result)],
        "tests": [
            {"name": test.name, "outcome": test.outcome, "seconds": test.seconds, "section": test.section,
             "requirements": test.requirements, "reason": test.reason, "calls": len(test.calls)}
            for test in run.tests.values()
        ],
        "obligations": [_judgement(each, result) for each in result.judgements],
    }


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _xml_text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _failure_text(failure: Failure) -> str:
    fields = ("accepted", "actual", "call", "frame", "disk", "again")
    told = "\n".join(f"{name}: {value}" for name in fields if (value := getattr(failure, name)))
    return _xml_text(f"{failure.rule.section} ({failure.rule.level}) {failure.rule.statement}\n{told}")


def junit(result: Result) -> str:
    """Two groups: the tests as they ran, and the rules in scope as test cases of their own."""
    root = ElementTree.Element("testsuites", name="DMRP conformance")
    failures = failures_of(result)
    by_test: dict[str, list[Failure]] = {}
    for failure in failures:
        by_test.setdefault(failure.test, []).append(failure)

    tests = ElementTree.SubElement(root, "testsuite", name="tests")
    for test in result.run.tests.values():
        suite, _, name = test.name.rpartition(".")
        case = ElementTree.SubElement(tests, "testcase", classname=_xml_text(suite or test.name),
                                      name=_xml_text(name), time=f"{test.seconds:.3f}")
        for failure in by_test.get(test.name, []):
            kind = "failure" if failure.verdict is Verdict.VIOLATED else "error"
            ElementTree.SubElement(case, kind, message=_xml_text(failure.actual)[:300]).text = _failure_text(failure)
        if test.outcome in ("failed", "unfinished") and test.name not in by_test:
            ElementTree.SubElement(case, "error", message=f"the test is {test.outcome}")
        if test.outcome == "skipped":
            ElementTree.SubElement(case, "skipped", message=_xml_text(test.reason))

    rules = ElementTree.SubElement(root, "testsuite", name="rules")
    for judgement in result.judgements:
        if judgement.scope is not judge.cat.Class.IN_SCOPE and judgement.verdict is not Verdict.VIOLATED:
            continue
        case = ElementTree.SubElement(rules, "testcase", classname=f"{judgement.rule.section}.{judgement.obligation.interface}",
                                      name=f"{judgement.obligation.key} {judgement.rule.level}")
        message = _xml_text(judgement.reason or judgement.rule.statement)
        match judgement.verdict:
            case Verdict.VIOLATED:
                ElementTree.SubElement(case, "failure", message=_xml_text(judgement.rule.statement))
            case Verdict.UNDECIDED:
                ElementTree.SubElement(case, "error", message=message)
            case Verdict.NOT_EXERCISED | Verdict.WAIVED:
                ElementTree.SubElement(case, "skipped", message=f"{judgement.verdict.value}: {message}")
    for suite in root:
        cases = suite.findall("testcase")
        suite.set("tests", str(len(cases)))
        for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(name, str(sum(case.find(kind) is not None for case in cases)))
        suite.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _methods(result: Result) -> list[dict]:
    """Per interface and method, how its mandatory obligations stand."""
    table: dict[tuple[str, str], dict] = {}
    for judgement in result.judgements:
        obligation = judgement.obligation
        if obligation.method is None or not judgement.needed:
            continue
        row = table.setdefault((obligation.interface, obligation.method), {"counts": {}, "total": 0})
        row["counts"][judgement.verdict.value] = row["counts"].get(judgement.verdict.value, 0) + 1
        row["total"] += 1
    return [{"interface": interface, "method": method, **row} for (interface, method), row in sorted(table.items())]


def html(result: Result) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    document = as_json(result)
    for failure in document["failures"]:
        if len(failure["frame"]) > _MOST_FRAME_IN_PAGE:
            failure["frame"] = failure["frame"][:_MOST_FRAME_IN_PAGE] + "..."
    statements = {each["key"]: each for each in document["obligations"]}
    needed_total = sum(document["needed"].values())
    return environment.get_template("report.html.j2").render(
        report=document, statements=statements, methods=_methods(result), needed_total=needed_total,
        meanings={verdict.value: judge.MEANING[verdict] for verdict in Verdict}, partial=result.run.partial,
        slug=lambda text: re.sub(r"[^a-z]+", "-", text.lower()),
    )
