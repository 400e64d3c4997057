"""Reads docs/readings.md: which reading the suites take where the specification contradicts itself."""

from __future__ import annotations

import dataclasses
import pathlib
import re

from catalogue import FOLDER, ID, Catalogue, CatalogueError

PAGE = FOLDER.parents[1] / "docs" / "readings.md"
_HEADING = re.compile(r"### (\d+)\. (.+)")


@dataclasses.dataclass(frozen=True)
class Reading:
    number: int
    title: str
    where: str
    problem: str
    reading: str
    rules: tuple[str, ...] = ()


def load(catalogue: Catalogue, path: pathlib.Path = PAGE) -> list[Reading]:
    """Every entry of the page, in order. CatalogueError for an entry that is incomplete, out of order, or names an
    unknown rule."""
    result: list[Reading] = []
    entries = re.split(r"^(?=### )", path.read_text(encoding="utf-8"), flags=re.M)[1:]
    for entry in entries:
        heading = _HEADING.match(entry)
        fields = dict(re.findall(r"^- (Where|Problem|Reading|Rules): (.+)$", entry, flags=re.M))
        missing = {"Where", "Problem", "Reading"} - set(fields)
        if not heading or missing:
            raise CatalogueError(f"{path}: an entry without a number or {sorted(missing)}: {entry[:60]!r}")
        rules = tuple(ID.findall(fields.get("Rules", "")))
        unknown = [rule_id for rule_id in rules if rule_id not in catalogue]
        if unknown:
            raise CatalogueError(f"{path}: entry {heading[1]} names {', '.join(unknown)}, which the catalogue lacks")
        number = int(heading[1])
        if number != len(result) + 1:
            raise CatalogueError(f"{path}: entry {number} stands where {len(result) + 1} is expected")
        result.append(Reading(number, heading[2], fields["Where"], fields["Problem"], fields["Reading"], rules))
    return result


def by_rule(readings: list[Reading]) -> dict[str, list[Reading]]:
    found: dict[str, list[Reading]] = {}
    for reading in readings:
        for rule_id in reading.rules:
            found.setdefault(rule_id, []).append(reading)
    return found
