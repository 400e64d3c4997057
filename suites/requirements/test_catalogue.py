"""Tests of the catalogue's loader and of the check that ties it to the suites."""

import json
import pathlib
import shutil

import catalogue as cat
import check_catalogue
import pytest
import readings


@pytest.fixture(scope="module")
def bundled():
    return cat.Catalogue.load()


@pytest.fixture(scope="module")
def scope(bundled):
    return cat.Scope.load(bundled)


def rule(rule_id, **changes):
    entry = dict(
        id=rule_id, section="3.2", interface="IVolumeClient", method="EnumDisks", opnum=3, level="MUST",
        role="server", kind="return", statement="a rule", inherits=(), notes=(), observable="wire", how="",
    )
    return cat.Rule(**(entry | changes))


def small_scope(catalogue, **changes):
    return cat.Scope(catalogue, {"implemented": {"IVolumeClient": ["EnumDisks"]}} | changes)


def mention(rule_id):
    return cat.Mention(rule_id, pathlib.Path("suites/some_test.cpp"), 7)


def test_every_rule_is_there_and_every_obligation_has_a_key_of_its_own(bundled):
    keys = [obligation.key for obligation in bundled.obligations()]
    assert len(bundled.rules) == 1921
    assert len(keys) == len(set(keys)) == 2729


def test_a_rule_taken_over_is_an_obligation_of_the_other_interface(bundled):
    found = {o.key: o for o in bundled.obligations()}
    taken = found["DMRP-0606@IVolumeClient3::CreatePartition"]
    assert (taken.interface, taken.method, taken.via) == ("IVolumeClient3", "CreatePartition", "DMRP-1561")
    assert found["DMRP-0606"].via is None
    assert "DMRP-1561" not in found


def test_a_rule_that_refers_to_a_rule_that_refers_is_followed_to_the_end(bundled):
    inherited = [each.id for each in bundled.inherited(bundled["DMRP-1864"])]
    assert inherited == [f"DMRP-{number}" for number in range(1456, 1461)]


@pytest.mark.parametrize(
    "rule_id, expected",
    [
        ("DMRP-0002", cat.Class.CLIENT_SIDE),
        ("DMRP-0021", cat.Class.OTHER_PROFILE),
        ("DMRP-0584", cat.Class.NOT_OBSERVABLE),
        ("DMRP-0583", cat.Class.IN_SCOPE),
        ("DMRP-1060", cat.Class.NOT_IMPLEMENTED),
        ("DMRP-1700", cat.Class.NOT_IMPLEMENTED),
    ],
)
def test_each_class_is_derived_from_role_level_channel_and_scope(bundled, scope, rule_id, expected):
    obligation = next(o for o in bundled.obligations() if o.key == rule_id)
    assert scope.classify(obligation) is expected
    assert bool(scope.explain(obligation)) == (expected is not cat.Class.IN_SCOPE)


def test_the_same_rule_may_be_in_scope_for_one_interface_only():
    catalogue = cat.Catalogue([
        rule("DMRP-0001"),
        rule("DMRP-0002", interface="IVolumeClient3", kind="inherits", inherits=("DMRP-0001",)),
    ])
    scope = small_scope(catalogue)
    assert [scope.classify(o) for o in catalogue.obligations()] == [cat.Class.IN_SCOPE, cat.Class.NOT_IMPLEMENTED]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"reason": [{"why": "not observable", "rules": ["DMRP-0009"], "reason": "x"}]}, "does not exist"),
        ({"reason": [{"why": "not observable", "rules": ["DMRP-1"], "reason": "x"}]}, "neither an id nor a range"),
        ({"reason": [{"why": "not observable", "rules": ["DMRP-0001"], "reason": " "}]}, "why"),
        ({"reason": [{"why": "in scope", "rules": ["DMRP-0001"], "reason": "x"}]}, "must say"),
        ({"reason": [{"why": "not observable", "rules": ["DMRP-0001", "DMRP-0001..0001"], "reason": "x"}]}, "two reasons"),
        ({"implemented": {"IVolumeClient": ["Nothing"]}}, "not in the catalogue"),
        ({"pending": ["DMRP-0009"]}, "does not exist"),
    ],
)
def test_a_scope_that_contradicts_the_catalogue_is_refused(changes, message):
    with pytest.raises(cat.CatalogueError, match=message):
        small_scope(cat.Catalogue([rule("DMRP-0001")]), **changes)


def test_a_reference_to_a_missing_rule_is_refused():
    with pytest.raises(cat.CatalogueError, match="DMRP-0002"):
        cat.Catalogue([rule("DMRP-0001", inherits=("DMRP-0002",))])


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "requirements.jsonl"
    path.write_text(json.dumps({"id": "DMRP-0001", "inherits": [], "notes": []}) + "\n")
    with pytest.raises(cat.CatalogueError, match="requirements.jsonl:1"):
        cat.Catalogue.load(path)


def check(pending=(), mentions=(), strict=False, **changes):
    catalogue = cat.Catalogue([rule("DMRP-0001", **changes)])
    return check_catalogue.problems(catalogue, small_scope(catalogue, pending=list(pending)), list(mentions), strict)


def test_a_mandatory_rule_without_a_test_fails_the_check():
    assert "named by no test" in check()[0]


def test_a_named_rule_satisfies_the_check():
    assert check(mentions=[mention("DMRP-0001")], strict=True) == []


def test_a_rule_that_is_only_advised_needs_no_test():
    assert check(level="SHOULD", strict=True) == []


def test_a_pending_rule_passes_until_the_check_is_strict():
    assert check(pending=["DMRP-0001"]) == []
    assert check(pending=["DMRP-0001"], strict=True) == ["DMRP-0001 is pending"]


def test_a_test_that_names_an_unknown_rule_fails_the_check():
    found = check(mentions=[mention("DMRP-0001"), mention("DMRP-0777")])
    assert found == ["suites/some_test.cpp:7: DMRP-0777 is not in the catalogue"]


def test_only_string_literals_outside_of_comments_name_a_rule(tmp_path):
    suite = tmp_path / "suites" / "section"
    suite.mkdir(parents=True)
    (suite / "some_test.cpp").write_text('Checks("DMRP-0001",\n  "DMRP-0002");  // not "DMRP-0003"\nDMRP-0004\n')
    python = tmp_path / "suites" / "python"
    python.mkdir()
    (python / "test_some.py").write_text("@checks('DMRP-0005')  # not 'DMRP-0006'\n")
    monitor = tmp_path / "harness" / "client"
    monitor.mkdir(parents=True)
    (monitor / "monitor.cpp").write_text('Violated("DMRP-0007");\n')
    (monitor / "monitor_test.cpp").write_text('EXPECT_EQ(id, "DMRP-0008");\n')
    assert sorted((m.rule_id, m.line) for m in cat.mentions(tmp_path)) == [
        ("DMRP-0001", 1), ("DMRP-0002", 2), ("DMRP-0005", 1), ("DMRP-0007", 1),
    ]


def test_the_pending_list_is_rewritten_in_place(tmp_path):
    path = tmp_path / "scope.toml"
    shutil.copy(cat.FOLDER / "scope.toml", path)
    check_catalogue.write_pending(path, ["DMRP-0583", "DMRP-0585"])
    assert cat.Scope.load(cat.Catalogue.load(), path).pending == {"DMRP-0583", "DMRP-0585"}


def test_the_page_of_readings_holds_all_of_them(bundled):
    found = readings.load(bundled)
    assert [each.number for each in found] == list(range(1, 85))
    assert [each.number for each in readings.by_rule(found)["DMRP-0532"]] == [29, 30]


@pytest.mark.parametrize(
    "page, message",
    [
        ("### 1. A\n- Where: 1\n- Problem: p\n", "Reading"),
        ("### 2. A\n- Where: 1\n- Problem: p\n- Reading: r\n", "entry 2 stands where 1"),
        ("### 1. A\n- Where: 1\n- Problem: p\n- Reading: r\n- Rules: DMRP-9999\n", "DMRP-9999"),
    ],
)
def test_a_page_of_readings_that_is_wrong_is_refused(bundled, tmp_path, page, message):
    path = tmp_path / "readings.md"
    path.write_text(page)
    with pytest.raises(cat.CatalogueError, match=message):
        readings.load(bundled, path)
