"""The summary that ci/certify prints, and its progress lines."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from typing import TextIO

from .failures import Failure, failures_of
from .judge import Exit, Result, Verdict

_COLOUR = {
    Verdict.PROVEN: "32", Verdict.VIOLATED: "31;1", Verdict.WAIVED: "33", Verdict.UNDECIDED: "35",
    Verdict.NOT_EXERCISED: "33",
}
_MOST_FAILURES = 25
_MOST_FRAME = 160


class Terminal:
    """Writes plain text, with colours where a person reads it."""

    def __init__(self, stream: TextIO = sys.stdout):
        self._stream = stream
        self._tty = stream.isatty()
        self._started = time.monotonic()
        self.width = min(shutil.get_terminal_size((110, 24)).columns, 130) if self._tty else 110

    def paint(self, text: str, colour: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if self._tty else text

    def line(self, text: str = "") -> None:
        print(text, file=self._stream, flush=True)

    def step(self, text: str) -> None:
        """A line of progress, with the time since the start."""
        self.line(f"{self.paint(f'[{time.monotonic() - self._started:6.1f} s]', '2')} {text}")

    def field(self, name: str, text: str) -> None:
        if not text:
            return
        indent = " " * 13
        lines = []
        for each in text.splitlines():
            lines += textwrap.wrap(each, max(self.width - 13, 40), break_long_words=True) or [""]
        self.line(f"  {name:<10} {lines[0]}")
        for each in lines[1:12]:
            self.line(indent + each)


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def print_failure(out: Terminal, failure: Failure) -> None:
    rule = failure.rule
    word = out.paint(failure.verdict.value.upper(), _COLOUR.get(failure.verdict, "0"))
    where = failure.judgements[0].obligation
    subject = f"{where.interface}::{where.method}" if where.method else where.interface
    out.line()
    out.line(f"{word}  {rule.section} ({rule.level})  {rule.id}  {subject}")
    out.field("rule", rule.statement)
    out.field("accepted", failure.accepted)
    out.field("actual", failure.actual)
    out.field("call", failure.call)
    out.field("frame", _shorten(failure.frame, _MOST_FRAME))
    out.field("disk", failure.disk)
    out.field("again", failure.again)
    out.field("read as", "\n".join(failure.readings))
    others = [each.obligation.key for each in failure.judgements[1:]]
    out.field("also", _shorten(", ".join(others), 300))
    out.field("left open", _shorten(", ".join(failure.left_open), 300))
    out.field("test", f"{failure.test} ({failure.place})")
    if failure.blame and failure.blame != "target":
        out.field("whose", f"the {failure.blame}'s, not the target's")


def print_summary(out: Terminal, result: Result, reports: dict[str, str]) -> None:
    """Failures first, in full; then the counts; then the files; the verdict last, where the eye ends."""
    failures = failures_of(result)
    for failure in failures[:_MOST_FAILURES]:
        print_failure(out, failure)
    if len(failures) > _MOST_FAILURES:
        out.line(f"\n... and {len(failures) - _MOST_FAILURES} more; the reports have them all")
    for judgement in result.of(Verdict.WAIVED):
        out.line(f"waived {judgement.obligation.key} ({judgement.rule.section}): {judgement.reason}")
    skipped = [each for each in result.judgements if each.needed and each.verdict is Verdict.NOT_EXERCISED]
    if skipped and not result.run.partial:
        keys = ", ".join(each.obligation.key for each in skipped)
        out.line(f"\nmandatory, in scope and not exercised ({len(skipped)}): {_shorten(keys, 900)}")
    for problem in result.disorder:
        out.line(out.paint("run", "35") + f"        {problem}")

    out.line()
    needed = [each for each in result.judgements if each.needed]
    for verdict in Verdict:
        here = result.of(verdict)
        if here:
            mandatory = sum(each.needed for each in here)
            note = f"{mandatory:>6} of them mandatory and in scope" if mandatory else ""
            out.line(f"  {out.paint(f'{verdict.value:<16}', _COLOUR.get(verdict, '0'))}{len(here):>6}{note}")
    tests = result.run.tests.values()
    outcomes = {word: sum(test.outcome == word for test in tests) for word in ("passed", "failed", "skipped", "unfinished")}
    told = ", ".join(f"{count} {word}" for word, count in outcomes.items() if count) or "none"
    missing = ", ".join(f"{interface}::{method}" for interface, method in sorted(result.run.unanswered))
    out.line(f"\n  tests           {told}")
    out.line(f"  obligations     {len(result.judgements)}, of them mandatory and in scope {len(needed)}")
    if missing:
        out.field("E_NOTIMPL", f"{len(result.run.unanswered)} methods: {_shorten(missing, 400)}")
    for name, path in reports.items():
        out.line(f"  {name:<15} {path}")
    out.line()
    code = result.exit_code()
    partial = " (a selection of tests: no certificate)" if result.run.partial else ""
    match code:
        case Exit.PROVEN:
            out.line(out.paint(f"PROVEN{partial}: every mandatory rule in scope" + (" that was exercised" if partial else ""), "32;1"))
        case Exit.VIOLATED:
            out.line(out.paint(f"VIOLATED{partial}: {len(result.of(Verdict.VIOLATED))} obligations", "31;1"))
        case _:
            lacking = (Verdict.UNDECIDED,) if result.run.partial else (Verdict.UNDECIDED, Verdict.NOT_EXERCISED)
            open_count = sum(each.verdict in lacking for each in needed)
            out.line(out.paint(f"UNDECIDED{partial}: {open_count} mandatory obligations without a verdict, "
                               f"{len(result.disorder)} disorders of the run", "35;1"))
