"""Small recorded runs to judge."""

import json
import pathlib
import sys

import pytest

CI = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CI))

from lib import history, judge  # noqa: E402
from lib.judge import cat  # noqa: E402


class Recorder:
    """Writes a run's folder the way the suites do."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        (folder / "history").mkdir(parents=True)
        self.description = {"expected": [], "partial": False, "processes": [{"name": "shard0", "status": 0, "note": ""}]}
        self._seq = 0

    def write(self, kind, file_name="shard0", **members):
        with open(self.folder / "history" / f"{file_name}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"t": 0.5, "kind": kind} | members) + "\n")

    def call(self, test, interface, method, hresult="0x00000000", **members):
        self._seq += 1
        self.write("call", test=test, seq=self._seq, interface=interface, method=method, hresult=hresult,
                   text=f"{interface}::{method}(diskId=0x12) -> {hresult}", frames=[self._seq * 2, self._seq * 2 + 1], **members)
        self.write("frame", n=self._seq * 2, conn=1, dir="sent", peer="10.9.0.11:135", hex="05000003 10000000")
        self.write("frame", n=self._seq * 2 + 1, conn=1, dir="received", peer="10.9.0.11:135", hex="05000203 10000000")
        return self._seq

    def test(self, name, requirements=(), outcome="passed", calls=(), checks=(), end=True, **members):
        """calls: (interface, method) pairs; checks: dicts. Returns the numbers of the calls."""
        self.write("test", event="start", test=name, file="suites/x_test.cpp", line=3)
        numbers = [self.call(name, interface, method) for interface, method in calls]
        for check in checks:
            self.write("check", test=name, **({"call": numbers[-1]} if numbers else {}), **check)
        if end:
            self.write("test", event="end", test=name, requirements=list(requirements), outcome=outcome, seconds=0.25,
                       section="3.2.4.4.1.1", **members)
        self.description["expected"].append(name)
        return numbers

    def load(self) -> history.Run:
        (self.folder / "run.json").write_text(json.dumps(self.description))
        return history.Run.load(self.folder)

    def judge(self, **arguments) -> judge.Result:
        return judge.judge(self.load(), **arguments)


@pytest.fixture
def recorder(tmp_path):
    return Recorder(tmp_path / "run")


def rule(rule_id, **changes):
    entry = dict(
        id=rule_id, section="3.2.4.4.1.1", interface="IVolumeClient", method="EnumDisks", opnum=3, level="MUST",
        role="server", kind="return", statement=f"What {rule_id} says.", inherits=(), notes=(), observable="wire", how="",
    )
    return cat.Rule(**(entry | changes))


@pytest.fixture
def small():
    """Three rules: one of EnumDisks taken over by EnumTasks of IVolumeClient3, one common, one advised."""
    catalogue = cat.Catalogue([
        rule("DMRP-0001"),
        rule("DMRP-0002", interface="common", method=None, opnum=None),
        rule("DMRP-0003", interface="common", method=None, opnum=None, level="SHOULD"),
        rule("DMRP-0004", interface="IVolumeClient3", method="EnumTasks", opnum=64, kind="inherits", inherits=("DMRP-0001",)),
    ])
    scope = cat.Scope(catalogue, {"implemented": {"IVolumeClient": ["EnumDisks"], "IVolumeClient3": ["EnumTasks"]}})
    return {"catalogue": catalogue, "scope": scope}
