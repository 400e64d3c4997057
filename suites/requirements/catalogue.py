"""The requirement catalogue: every rule of [MS-DMRP], and which of them the suites judge.

    catalogue = Catalogue.load()
    scope = Scope.load(catalogue)
    for obligation in catalogue.obligations():
        print(obligation.key, scope.classify(obligation))

A *rule* is one entry of requirements.jsonl. An *obligation* is what a test has to show: a rule for one
method. Rules of kind "inherits" take over the rules of another method for their own opnum, so each rule taken
over is an obligation once more, under the key "DMRP-0606@IVolumeClient3::CreatePartition".
"""

from __future__ import annotations

import dataclasses
import enum
import json
import pathlib
import re
import tomllib

FOLDER = pathlib.Path(__file__).resolve().parent
ID = re.compile(r"DMRP-\d{4}")
_RANGE = re.compile(r"(DMRP-(\d{4}))(?:\.\.(\d{4}))?")


class CatalogueError(Exception):
    """The catalogue, its scope or the page of readings contradicts itself."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """One entry of the catalogue; the members are explained in README.md beside it."""

    id: str
    section: str
    interface: str
    method: str | None
    opnum: int | None
    level: str
    role: str
    kind: str
    statement: str
    inherits: tuple[str, ...]
    notes: tuple[int, ...]
    observable: str
    how: str

    @property
    def mandatory(self) -> bool:
        return self.level in ("MUST", "MUST NOT")


@dataclasses.dataclass(frozen=True)
class Obligation:
    """A rule that has to hold for one method (or for no method in particular)."""

    rule: Rule
    interface: str
    method: str | None
    via: str | None = None
    """The id of the "inherits" rule that brings this obligation; None for the rule's own method."""

    @property
    def key(self) -> str:
        return self.rule.id if self.via is None else f"{self.rule.id}@{self.interface}::{self.method}"


class Class(enum.Enum):
    """What the suites do with an obligation before any test has run."""

    IN_SCOPE = "in scope"
    NOT_OBSERVABLE = "not observable"
    NOT_IMPLEMENTED = "not implemented"
    CLIENT_SIDE = "client side"
    OTHER_PROFILE = "other profile"


class Catalogue:
    def __init__(self, rules: list[Rule]):
        self.rules = {rule.id: rule for rule in rules}
        if len(self.rules) != len(rules):
            raise CatalogueError("an id occurs twice")
        for rule in rules:
            for inherited in rule.inherits:
                if inherited not in self.rules:
                    raise CatalogueError(f"{rule.id} refers to {inherited}, which does not exist")

    @classmethod
    def load(cls, path: pathlib.Path = FOLDER / "requirements.jsonl") -> Catalogue:
        rules = []
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    entry = json.loads(line)
                    entry["inherits"] = tuple(entry["inherits"])
                    entry["notes"] = tuple(entry["notes"])
                    rules.append(Rule(**entry))
                except (ValueError, TypeError, KeyError) as error:
                    raise CatalogueError(f"{path}:{number}: {error}") from error
        return cls(rules)

    def __getitem__(self, rule_id: str) -> Rule:
        return self.rules[rule_id]

    def __contains__(self, rule_id: str) -> bool:
        return rule_id in self.rules

    def inherited(self, rule: Rule) -> list[Rule]:
        """The rules an "inherits" entry takes over, with those of entries it names in turn, each once."""
        found: dict[str, Rule] = {}
        for rule_id in rule.inherits:
            taken = self.rules[rule_id]
            for each in self.inherited(taken) if taken.kind == "inherits" else [taken]:
                found.setdefault(each.id, each)
        return list(found.values())

    def obligations(self) -> list[Obligation]:
        """Every obligation, in the order of the catalogue; those of an "inherits" rule follow in its place."""
        result = []
        for rule in self.rules.values():
            if rule.kind == "inherits":
                result += [
                    Obligation(taken, rule.interface, rule.method, rule.id) for taken in self.inherited(rule)
                ]
            else:
                result.append(Obligation(rule, rule.interface, rule.method))
        return result

    def method_of_opnum(self, interface: str, opnum: int) -> str | None:
        for rule in self.rules.values():
            if rule.interface == interface and rule.opnum == opnum:
                return rule.method
        return None


@dataclasses.dataclass(frozen=True)
class Reason:
    why: Class
    reason: str


class Scope:
    """scope.toml: the methods that have suites, and the recorded reasons for rules left out."""

    def __init__(self, catalogue: Catalogue, document: dict):
        self._catalogue = catalogue
        self.implemented = {name: frozenset(methods) for name, methods in document["implemented"].items()}
        self.pending = frozenset(document.get("pending", []))
        self.reasons: dict[str, Reason] = {}
        known = {(rule.interface, rule.method) for rule in catalogue.rules.values()}
        for interface, methods in self.implemented.items():
            for method in methods:
                if (interface, method) not in known:
                    raise CatalogueError(f"scope.toml: {interface}::{method} is not in the catalogue")
        for entry in document.get("reason", []):
            why = Class(entry["why"])
            if why not in (Class.NOT_OBSERVABLE, Class.NOT_IMPLEMENTED) or not entry["reason"].strip():
                raise CatalogueError(f"scope.toml: a reason must say not observable or not implemented, and why: {entry}")
            for text in entry["rules"]:
                self._add(text, Reason(why, entry["reason"]))
        for rule_id in self.pending:
            if rule_id not in catalogue:
                raise CatalogueError(f"scope.toml: pending names {rule_id}, which does not exist")

    @classmethod
    def load(cls, catalogue: Catalogue, path: pathlib.Path = FOLDER / "scope.toml") -> Scope:
        with open(path, "rb") as file:
            return cls(catalogue, tomllib.load(file))

    def _add(self, text: str, reason: Reason) -> None:
        match = _RANGE.fullmatch(text)
        if not match:
            raise CatalogueError(f"scope.toml: {text!r} is neither an id nor a range of ids")
        first = int(match[2])
        last = int(match[3] or match[2])
        if last < first:
            raise CatalogueError(f"scope.toml: the range {text} is empty")
        for number in range(first, last + 1):
            rule_id = f"DMRP-{number:04}"
            if rule_id not in self._catalogue:
                raise CatalogueError(f"scope.toml: {text} holds {rule_id}, which does not exist")
            if rule_id in self.reasons:
                raise CatalogueError(f"scope.toml: two reasons for {rule_id}")
            self.reasons[rule_id] = reason

    def classify(self, obligation: Obligation) -> Class:
        rule = obligation.rule
        if rule.level == "PRODUCT":
            return Class.OTHER_PROFILE
        if rule.role == "client":
            return Class.CLIENT_SIDE
        if rule.observable == "none":
            return Class.NOT_OBSERVABLE
        if obligation.method and obligation.method not in self.implemented.get(obligation.interface, ()):
            return Class.NOT_IMPLEMENTED
        if rule.id in self.reasons:
            return self.reasons[rule.id].why
        return Class.IN_SCOPE

    def explain(self, obligation: Obligation) -> str:
        """Why an obligation is not in scope; empty for one that is."""
        rule = obligation.rule
        match self.classify(obligation):
            case Class.IN_SCOPE:
                return ""
            case Class.OTHER_PROFILE:
                return "Describes a product; the strict profile does not ask for it."
            case Class.CLIENT_SIDE:
                return "Binds the client, not the server under test."
            case Class.NOT_OBSERVABLE if rule.observable == "none":
                return rule.how
            case Class.NOT_IMPLEMENTED if rule.id not in self.reasons:
                return f"{obligation.interface}::{obligation.method} has no suite yet."
            case _:
                return self.reasons[rule.id].reason


_STRING_ID = re.compile(r'["\'](DMRP-\d{4})["\']')
_LINE_COMMENT = {".cpp": re.compile(r"//.*"), ".hpp": re.compile(r"//.*"), ".py": re.compile(r"(?<!['\"])#.*")}


@dataclasses.dataclass(frozen=True)
class Mention:
    rule_id: str
    path: pathlib.Path
    line: int


def mentions(root: pathlib.Path) -> list[Mention]:
    """Where the suites and the always-on rule monitor name a rule: each id that stands as a string literal.

    Tests name ids literally (`Checks("DMRP-0532")`, `@checks("DMRP-0532")`), so the sources can be read for
    them. An id in a comment does not count.
    """
    result = []
    suites, client = root / "suites", root / "harness" / "client"
    paths = [*suites.rglob("*.cpp"), *suites.rglob("*.hpp"), *(suites / "python").rglob("*.py")]
    paths += [path for path in [*client.rglob("*.cpp"), *client.rglob("*.hpp")] if not path.stem.endswith("_test")]
    for path in sorted(paths):
        if path.is_relative_to(suites / "requirements"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            code = _LINE_COMMENT[path.suffix].sub("", line)
            result += [Mention(match[1], path, number) for match in _STRING_ID.finditer(code)]
    return result
