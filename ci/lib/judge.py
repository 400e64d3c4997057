"""From a recorded run to a verdict per obligation: pure functions of the history, so that a run can be judged again.

A test that passed speaks for every rule it names; a check that failed speaks against the rules it names. A rule
of a method gets credit only from a test that really called that method on that interface, which the recorded
calls show: so one test that runs over both revisions covers two obligations, and one that does not covers one.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import fnmatch
import pathlib
import sys

from . import history

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "suites" / "requirements"))
import catalogue as cat  # noqa: E402
import readings  # noqa: E402


class Verdict(enum.Enum):
    """What a run says about an obligation."""

    VIOLATED = "violated"
    UNDECIDED = "undecided"
    WAIVED = "waived"
    NOT_EXERCISED = "not exercised"
    PROVEN = "proven"
    NOT_OBSERVABLE = "not observable"
    NOT_IMPLEMENTED = "not implemented"
    CLIENT_SIDE = "client side"
    OTHER_PROFILE = "other profile"


MEANING = {
    Verdict.PROVEN: "Every test that checks the rule passed, and at least one did.",
    Verdict.VIOLATED: "At least one check of the rule failed, and nothing but the target explains it.",
    Verdict.WAIVED: "Violated, and the target file lists it with a reason that has not expired.",
    Verdict.UNDECIDED: "A check came to no result: the harness, the environment or an unclear text stood in the way.",
    Verdict.NOT_EXERCISED: "No test checked the rule in this run.",
    Verdict.NOT_OBSERVABLE: "No test from outside can tell whether the rule is kept.",
    Verdict.NOT_IMPLEMENTED: "The rule belongs to a method or an object that this version does not judge yet.",
    Verdict.CLIENT_SIDE: "The rule binds the client, and a server was judged.",
    Verdict.OTHER_PROFILE: "The rule describes a product, and the strict profile was judged.",
}

_OUT_OF_SCOPE = {
    cat.Class.NOT_OBSERVABLE: Verdict.NOT_OBSERVABLE,
    cat.Class.NOT_IMPLEMENTED: Verdict.NOT_IMPLEMENTED,
    cat.Class.CLIENT_SIDE: Verdict.CLIENT_SIDE,
    cat.Class.OTHER_PROFILE: Verdict.OTHER_PROFILE,
}

FAILED_ELSEWHERE = "the test failed on another rule"


class Exit(enum.IntEnum):
    PROVEN = 0
    VIOLATED = 1
    UNDECIDED = 2
    USAGE = 254
    INTERNAL = 255


@dataclasses.dataclass
class Evidence:
    """What one test says about one obligation."""

    test: history.TestRun
    outcome: str  # pass, fail, undecided, skipped
    blame: str = ""
    check: history.Check | None = None
    call: history.Call | None = None
    reason: str = ""


@dataclasses.dataclass
class Judgement:
    obligation: cat.Obligation
    scope: cat.Class
    verdict: Verdict
    reason: str = ""
    blame: str = ""
    evidence: list[Evidence] = dataclasses.field(default_factory=list)

    @property
    def rule(self) -> cat.Rule:
        return self.obligation.rule

    @property
    def needed(self) -> bool:
        """Whether the certificate depends on it."""
        return self.rule.mandatory and self.scope is cat.Class.IN_SCOPE


@dataclasses.dataclass(frozen=True)
class Waiver:
    """A known failure of the target: from [[known_failure]] of its file."""

    pattern: str  # a rule's id, an obligation's key, or a test name with wildcards
    reason: str
    expires: datetime.date

    def covers(self, judgement: Judgement) -> bool:
        if fnmatch.fnmatchcase(judgement.obligation.key, self.pattern) or judgement.rule.id == self.pattern:
            return True
        failing = [each.test.name for each in judgement.evidence if each.outcome == "fail"]
        return bool(failing) and all(fnmatch.fnmatchcase(name, self.pattern) for name in failing)


def waivers_of(document: dict) -> list[Waiver]:
    """Reads [[known_failure]] requirement|test, reason, expires; a ValueError names what is missing."""
    result = []
    for entry in document.get("known_failure", []):
        pattern = entry.get("requirement") or entry.get("test")
        expires = entry.get("expires")
        if not pattern or not str(entry.get("reason", "")).strip() or not isinstance(expires, datetime.date):
            raise ValueError(f"a known failure needs a requirement or a test, a reason and an expiry date (2026-12-31): {entry}")
        result.append(Waiver(pattern, entry["reason"], expires))
    return result


@dataclasses.dataclass
class Result:
    """The judged run."""

    run: history.Run
    judgements: list[Judgement]
    disorder: list[str]
    """What was not in order with the run itself: crashed processes, tests that left no record."""
    readings: dict[str, list[readings.Reading]] = dataclasses.field(default_factory=dict)
    """By rule: how the suites read the text where it contradicts itself."""

    def of(self, verdict: Verdict) -> list[Judgement]:
        return [each for each in self.judgements if each.verdict is verdict]

    def counts(self) -> dict[str, int]:
        return {verdict.value: len(self.of(verdict)) for verdict in Verdict}

    def exit_code(self) -> Exit:
        if self.of(Verdict.VIOLATED):
            return Exit.VIOLATED
        open_verdicts = {Verdict.UNDECIDED} if self.run.partial else {Verdict.UNDECIDED, Verdict.NOT_EXERCISED}
        if self.disorder or any(each.needed and each.verdict in open_verdicts for each in self.judgements):
            return Exit.UNDECIDED
        return Exit.PROVEN

    def failing_tests(self) -> list[history.TestRun]:
        return [test for test in self.run.tests.values() if test.outcome in ("failed", "unfinished") or test.failed_checks()]


class _Evidence:
    """Collects what each test says about each rule, and hands it to the obligations it concerns."""

    def __init__(self, catalogue: cat.Catalogue, root: pathlib.Path):
        self._catalogue = catalogue
        self._root = root
        self._obligations: dict[str, list[cat.Obligation]] = {}
        for obligation in catalogue.obligations():
            self._obligations.setdefault(obligation.rule.id, []).append(obligation)
        self._opnums = {(rule.interface, rule.opnum): rule.method for rule in catalogue.rules.values() if rule.method}
        self.by_key: dict[str, list[Evidence]] = {}
        self.unknown: list[str] = []

    def _expand(self, ids: list[str], test: history.TestRun) -> list[str]:
        """Replaces an "inherits" rule by those it takes over, and notes ids that do not exist."""
        result = []
        for rule_id in ids:
            if rule_id not in self._catalogue:
                self.unknown.append(f"{test.name} names {rule_id}, which is not in the catalogue")
                continue
            rule = self._catalogue[rule_id]
            result += [each.id for each in self._catalogue.inherited(rule)] if rule.kind == "inherits" else [rule_id]
        return list(dict.fromkeys(result))

    def _method(self, call: history.Call) -> tuple[str, str | None]:
        return call.interface, self._opnums.get((call.interface, call.opnum), call.method)

    def _concerned(self, rule_id: str, test: history.TestRun, check: history.Check | None) -> list[cat.Obligation]:
        """The obligations of a rule that a test (or one check in it) speaks about."""
        obligations = self._obligations.get(rule_id, [])
        if check and check.interface:
            return [each for each in obligations if each.interface == check.interface] or obligations
        called = {self._method(call) for call in test.calls}
        single = test.call(check.call) if check else None
        if single and any(self._speaks(each, {self._method(single)}) for each in obligations if each.method):
            called = {self._method(single)}
        return [each for each in obligations if self._speaks(each, called)]

    @staticmethod
    def _speaks(obligation: cat.Obligation, called: set[tuple[str, str | None]]) -> bool:
        if obligation.method is None or obligation.interface == "IDMNotify":
            return True
        return (obligation.interface, obligation.method) in called

    def _add(self, rule_id: str, evidence: Evidence) -> None:
        concerned = self._concerned(rule_id, evidence.test, evidence.check)
        if not concerned and evidence.outcome != "pass":
            concerned = self._obligations.get(rule_id, [])  # a failure is never lost
        for obligation in concerned:
            self.by_key.setdefault(obligation.key, []).append(evidence)

    def take(self, test: history.TestRun) -> None:
        told: set[str] = set()
        for check in test.checks:
            outcome, blame = check.outcome, check.blame
            if outcome == "fail" and blame in history.UNDECIDED_BLAMES:
                outcome = "undecided"
            for rule_id in self._expand(check.requirements, test):
                told.add(rule_id)
                self._add(rule_id, Evidence(test, outcome, blame, check, test.call(check.call), check.detail))
        named = test.requirements
        if not named and (test.environment or test.outcome == "unfinished"):
            named = history.ids_in_source(self._root, test.file, test.line)
        explained = any(check.outcome in ("fail", "undecided") for check in test.checks)
        for rule_id in self._expand(named, test):
            match test.outcome:
                case "passed":
                    self._add(rule_id, Evidence(test, "pass"))
                case "skipped":
                    self._add(rule_id, Evidence(test, "skipped", reason=test.reason))
                case "failed" if rule_id in told:
                    pass
                case "failed" if test.environment:
                    self._add(rule_id, Evidence(test, "undecided", "environment", reason=test.environment))
                case "failed" if not explained:
                    self._add(rule_id, Evidence(test, "fail", "target", reason="the test failed and does not say on which rule"))
                case "failed":
                    self._add(rule_id, Evidence(test, "undecided", "target", reason=FAILED_ELSEWHERE))
                case "unfinished":
                    reason = "the test's process ended before the test did"
                    self._add(rule_id, Evidence(test, "undecided", "environment", reason=reason))


def _decide(obligation: cat.Obligation, scope: cat.Scope, evidence: list[Evidence]) -> Judgement:
    kind = scope.classify(obligation)
    outcomes = {each.outcome for each in evidence}
    judgement = Judgement(obligation, kind, Verdict.NOT_EXERCISED, evidence=evidence)
    if "fail" in outcomes:
        judgement.verdict = Verdict.VIOLATED
        judgement.blame = "target"
    elif kind is not cat.Class.IN_SCOPE:
        judgement.verdict = _OUT_OF_SCOPE[kind]
        judgement.reason = scope.explain(obligation)
    elif "undecided" in outcomes:
        judgement.verdict = Verdict.UNDECIDED
        first = next(each for each in evidence if each.outcome == "undecided")
        judgement.blame, judgement.reason = first.blame, first.reason
    elif "pass" in outcomes:
        judgement.verdict = Verdict.PROVEN
    elif "skipped" in outcomes:
        judgement.reason = "skipped: " + next(each.reason for each in evidence if each.outcome == "skipped")
    return judgement


def judge(run: history.Run, catalogue: cat.Catalogue | None = None, scope: cat.Scope | None = None,
          waivers: list[Waiver] | None = None, today: datetime.date | None = None, root: pathlib.Path = ROOT) -> Result:
    """Judges a recorded run by the catalogue and scope of this version."""
    catalogue = catalogue or cat.Catalogue.load()
    scope = scope or cat.Scope.load(catalogue)
    today = today or datetime.date.today()
    collected = _Evidence(catalogue, root)
    for test in run.tests.values():
        collected.take(test)
    judgements = [_decide(each, scope, collected.by_key.get(each.key, [])) for each in catalogue.obligations()]
    for judgement in judgements:
        if judgement.verdict is not Verdict.VIOLATED:
            continue
        for waiver in waivers or []:
            if not waiver.covers(judgement):
                continue
            if waiver.expires >= today:
                judgement.verdict = Verdict.WAIVED
                judgement.reason = f"{waiver.reason} (until {waiver.expires})"
            else:
                judgement.reason = f"the waiver expired on {waiver.expires}: {waiver.reason}"
    return Result(run, judgements, _disorder(run) + sorted(set(collected.unknown)), _readings())


def _readings() -> dict[str, list[readings.Reading]]:
    return readings.by_rule(readings.load(cat.Catalogue.load()))


def _disorder(run: history.Run) -> list[str]:
    found = []
    for process in run.processes:
        if not process.orderly:
            ending = f"signal {-process.status}" if (process.status or 0) < 0 else f"status {process.status}"
            found.append(f"{process.name} ended with {ending}" + (f": {process.note}" if process.note else ""))
    groups = {
        "did not finish": [test.name for test in run.tests.values()
                           if test.outcome == "unfinished" and not test.name.endswith(": outside of tests")],
        "failed in their environment": [test.name for test in run.tests.values() if test.environment],
        "failed and name no rule": [
            test.name for test in run.tests.values()
            if test.outcome == "failed" and not test.requirements and not test.failed_checks() and not test.environment],
        "left no record": run.missing(),
    }
    for what, names in groups.items():
        if names:
            found.append(f"{len(names)} tests {what}: {', '.join(names[:5])}" + (", ..." if len(names) > 5 else ""))
    if not run.tests:
        found.append("the run holds no test")
    if run.broken_lines:
        found.append(f"{len(run.broken_lines)} unreadable lines of history, the first at {run.broken_lines[0]}")
    return found
