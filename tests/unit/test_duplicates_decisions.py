"""Decisions are kept for good, by contents."""

from duplicates.decisions import Action, Decisions, Rules


def test_decisions_are_there_after_reopening_until_they_are_undone(tmp_path):
    with Decisions(tmp_path) as decisions:
        made = decisions.put("photos", "near-1", Action.KEEP_ALL, [["a"], ["b"]])
    with Decisions(tmp_path) as decisions:
        assert decisions.all("photos") == [made]
        assert decisions.all("other") == []
        assert not decisions.undo("other", "near-1")
        assert decisions.undo("photos", "near-1") and not decisions.undo("photos", "near-1")
        assert decisions.all("photos") == []


def test_a_new_decision_takes_the_place_of_the_old_one(tmp_path):
    with Decisions(tmp_path) as decisions:
        decisions.put("photos", "near-1", Action.KEEP_ALL, [["a"], ["b"]])
        decisions.put("photos", "near-1", Action.NOT_DUPLICATES, [["a"], ["b"]])
        assert [decision.action for decision in decisions.all("photos")] == [Action.NOT_DUPLICATES]


def test_kept_contents_stay_kept_until_a_new_one_joins_them(tmp_path):
    with Decisions(tmp_path) as decisions:
        rules = Rules([decisions.put("photos", "near-1", Action.KEEP_ALL, [["a"], ["b"], ["c"]])])
    assert rules.kept(frozenset("abc")) and rules.kept(frozenset("ab"))
    assert not rules.kept(frozenset("abcd")) and not rules.separate("a", "b")


def test_parts_are_separated_from_each_other_and_not_within(tmp_path):
    with Decisions(tmp_path) as decisions:
        rules = Rules([decisions.put("photos", "similar-1", Action.NOT_DUPLICATES, [["a", "b"], ["c"]])])
    assert rules.separate("a", "c") and rules.separate("c", "b")
    assert not rules.separate("a", "b") and not rules.kept(frozenset("ac"))
