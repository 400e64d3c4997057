"""What a reader has to know of each failure, gathered once for every kind of report."""

from __future__ import annotations

import dataclasses
import pathlib
import re

from . import history
from .judge import FAILED_ELSEWHERE, Judgement, Result, Verdict


@dataclasses.dataclass
class Failure:
    """One failed (or undecided) check with everything that explains it, in the order in which it is told."""

    verdict: Verdict
    judgements: list[Judgement]
    """The obligations it concerns; the first is shown."""
    accepted: str
    actual: str
    call: str
    frame: str
    disk: str
    again: str
    test: str
    place: str
    blame: str
    logs: tuple[str, ...] = ()
    readings: tuple[str, ...] = ()
    """How the suites read the text, where it contradicts itself about this rule."""
    left_open: list[str] = dataclasses.field(default_factory=list)
    """Obligations that got no verdict because their test failed here."""

    @property
    def rule(self):
        return self.judgements[0].rule


def test_slug(name: str) -> str:
    """A test's name as the name of a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)


def repeat_command(result: Result, test: str) -> str:
    return f"./ci/certify --repro {result.run.folder / 'repro' / test_slug(test)}"


def frame_text(run: history.Run, call: history.Call | None) -> str:
    """The PDU that answered; its stub in clear where the connection was encrypted."""
    frame = run.frame(call) if call else None
    if frame is None:
        return ""
    way = "received from" if frame.get("dir") == "received" else "sent to"
    octets = f"stub in clear {frame['stub']}" if frame.get("stub") else frame.get("hex", "")
    return f"#{frame.get('n')} {way} {frame.get('peer', '?')}: {octets}"


_STRUCTURE = re.compile(r"^.*\(LBA \d+, offset 0x[0-9a-f]+, \d+ octets\).*$", re.M)


def disk_text(test: history.TestRun, told: str = "") -> str:
    """The first structure that differs on the test's disks: as a check told it, else as the records show it."""
    if found := _STRUCTURE.search(told):
        return found[0].strip()
    last: dict[str, dict] = {}
    for record in test.disks:
        name = str(record.get("disk", "disk"))
        difference = record.get("difference")
        if isinstance(difference, dict) and difference.get("bytes_changed"):
            return f"{name}: {difference.get('summary')}"
        if name in last and "layout" in record and "layout" in last[name]:
            found = history.first_difference(last[name]["layout"], record["layout"])
            if found:
                return f"{name}, {last[name].get('when', 'before')} to {record.get('when', 'after')}: {found}"
        last[name] = record
    return f"{', '.join(last)}: no change" if last else ""


def _noted_call(test: history.TestRun, detail: str) -> history.Call | None:
    """The call that a message names behind "call", else the last one, which is the nearest that is known."""
    _, found, noted = detail.partition("\n  call ")
    for call in reversed(test.calls):
        if not found or (call.text and noted.strip().startswith(call.text)) or f"#{call.seq} " in noted[:20]:
            return call
    return test.calls[-1] if test.calls else None


def _failure(result: Result, judgement: Judgement, evidence) -> Failure:
    test, check = evidence.test, evidence.check
    call = evidence.call or _noted_call(test, check.detail if check else "")
    place = f"{pathlib.Path(test.file).name}:{test.line}" if test.file else test.source
    return Failure(
        verdict=judgement.verdict,
        judgements=[judgement],
        accepted=(check.accepted or check.statement) if check else "the test passes",
        actual=(check.actual or check.detail) if check else evidence.reason,
        call=f"#{call.seq} {call.text or call.interface + '::' + str(call.method or call.opnum)}" if call else "",
        frame=frame_text(result.run, call),
        disk=disk_text(test, f"{check.actual}\n{check.detail}" if check else ""),
        again=repeat_command(result, test.name),
        test=test.name,
        place=place,
        blame=evidence.blame or judgement.blame,
        logs=tuple(test.logs),
        readings=tuple(f"{each.number}: {each.reading}" for each in result.readings.get(judgement.rule.id, [])),
    )


def failures_of(result: Result, verdicts=(Verdict.VIOLATED, Verdict.UNDECIDED)) -> list[Failure]:
    """Every failure, each check once even where it concerns several rules; violated mandatory rules first."""
    found: dict[tuple, Failure] = {}
    left_open: dict[str, list[str]] = {}
    for judgement in result.judgements:
        if judgement.verdict not in verdicts:
            continue
        wanted = "undecided" if judgement.verdict is Verdict.UNDECIDED else "fail"
        for evidence in judgement.evidence:
            if evidence.outcome != wanted:
                continue
            if wanted == "undecided" and evidence.reason == FAILED_ELSEWHERE:
                left_open.setdefault(evidence.test.name, []).append(judgement.obligation.key)
                continue
            key = (judgement.verdict, evidence.test.name, id(evidence.check) if evidence.check else None)
            if evidence.blame in ("environment", "harness"):  # what stops many tests is told once
                key = (judgement.verdict, evidence.blame, evidence.reason)
            if key in found:
                known = found[key]
                if judgement.rule.id not in {each.rule.id for each in known.judgements}:
                    known.judgements.append(judgement)
            else:
                found[key] = _failure(result, judgement, evidence)
    for failure in found.values():
        failure.left_open = left_open.pop(failure.test, [])
    order = {Verdict.VIOLATED: 0, Verdict.UNDECIDED: 1}
    return sorted(found.values(), key=lambda each: (order.get(each.verdict, 2), not each.rule.mandatory))
