#!/usr/bin/python3
"""Ties the catalogue, the tests and the scope together: fails when they disagree.

Fails when a test names a rule that does not exist, when a mandatory rule in scope is named by no test, has no
recorded reason and is not pending, and (with --strict) when anything is pending at all.

    check_catalogue.py [--strict] [--list] [--root DIR]
    check_catalogue.py --write-pending    # rewrites the pending list of scope.toml to what is really missing
"""

from __future__ import annotations

import argparse
import pathlib
import re
import sys

import catalogue as cat


def missing_rules(catalogue: cat.Catalogue, scope: cat.Scope, named: set[str]) -> list[cat.Rule]:
    """The mandatory rules in scope that no test names."""
    found = {}
    for obligation in catalogue.obligations():
        rule = obligation.rule
        if rule.mandatory and rule.id not in named and scope.classify(obligation) is cat.Class.IN_SCOPE:
            found[rule.id] = rule
    return [found[rule_id] for rule_id in sorted(found)]


def problems(catalogue: cat.Catalogue, scope: cat.Scope, mentions: list[cat.Mention], strict: bool) -> list[str]:
    """What the build must fail for, one sentence each."""
    result = []
    for mention in mentions:
        if mention.rule_id not in catalogue:
            result.append(f"{mention.path}:{mention.line}: {mention.rule_id} is not in the catalogue")
    named = {mention.rule_id for mention in mentions}
    missing = {rule.id: rule for rule in missing_rules(catalogue, scope, named)}
    for rule in missing.values():
        if rule.id not in scope.pending:
            place = f"{rule.interface}::{rule.method}" if rule.method else rule.interface
            result.append(f"{rule.id} ({rule.section}, {place}) is named by no test: {rule.statement}")
    if strict:
        result += [f"{rule_id} is pending" for rule_id in sorted(scope.pending)]
    return result


def write_pending(path: pathlib.Path, ids: list[str]) -> None:
    text = path.read_text(encoding="utf-8")
    lines = [", ".join(f'"{each}"' for each in ids[start : start + 8]) for start in range(0, len(ids), 8)]
    body = "".join(f"  {line},\n" for line in lines)
    changed, count = re.subn(r"^pending = \[.*?^\]", f"pending = [\n{body}]", text, flags=re.M | re.S)
    if count != 1:
        raise cat.CatalogueError(f"{path} has no pending list")
    path.write_text(changed, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strict", action="store_true", help="fail while anything is pending")
    parser.add_argument("--list", action="store_true", help="list the rules in scope with the places that name them")
    parser.add_argument("--write-pending", action="store_true", help="rewrite the pending list of scope.toml")
    parser.add_argument("--root", type=pathlib.Path, default=cat.FOLDER.parents[1], help="the project's root folder")
    options = parser.parse_args(arguments)

    catalogue = cat.Catalogue.load()
    scope = cat.Scope.load(catalogue)
    mentions = cat.mentions(options.root)
    named = {mention.rule_id for mention in mentions}
    missing = missing_rules(catalogue, scope, named)
    in_scope = {o.rule.id for o in catalogue.obligations() if scope.classify(o) is cat.Class.IN_SCOPE}

    if options.write_pending:
        write_pending(cat.FOLDER / "scope.toml", [rule.id for rule in missing])
        return 0
    if options.list:
        for rule_id in sorted(in_scope):
            places = [f"{m.path.name}:{m.line}" for m in mentions if m.rule_id == rule_id]
            print(rule_id, catalogue[rule_id].level, ", ".join(places) or "-", "|", catalogue[rule_id].statement)
    found = problems(catalogue, scope, mentions, options.strict)
    for problem in found:
        print(problem, file=sys.stderr)
    tested = len(in_scope & named)
    print(f"{len(in_scope)} rules in scope, {tested} named by tests, {len(scope.pending)} pending, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
