"""The thresholds: each belongs to a part of a claim, is of its own commit, and every change is of a claim there is."""
import subprocess

import pytest

from conftest import ROOT
from experiments import claims, thresholds
from experiments.thresholds import THRESHOLDS, Threshold, words_of


def test_every_part_has_a_threshold_and_every_threshold_a_part():
    used = {part.threshold for function in claims.functions().values() for part in function()}
    assert used == set(THRESHOLDS)
    assert all(name.partition(".")[0] in claims.functions() for name in THRESHOLDS)


def test_every_threshold_is_of_a_kind_and_says_since_when_it_stands():
    for name, threshold in THRESHOLDS.items():
        limits = {"yes": 0, "no": 0, "between": 2}.get(threshold.asked, 1)
        assert len(threshold.limits) == limits, name
        date, commit = threshold.since
        assert len(date) == 10 and len(commit) == 7, name
    assert all(claim in claims.functions() for claim, *_ in thresholds.CHANGES)
    dates = [date for _, date, *_ in thresholds.CHANGES]
    assert dates == sorted(dates)


def has_history():
    """Is this a clone that has all commits?"""
    asked = subprocess.run(["git", "rev-parse", "--is-shallow-repository"], cwd=ROOT, capture_output=True, text=True)
    return (ROOT / ".git").exists() and asked.stdout.strip() == "false"


@pytest.mark.skipif(not has_history(), reason="a copy without its history")
def test_the_commits_are_those_of_the_dates():
    for date, commit in {threshold.since for threshold in THRESHOLDS.values()}:
        asked = subprocess.run(["git", "show", "-s", "--format=%cs", commit], cwd=ROOT, capture_output=True, text=True)
        assert asked.stdout.strip() == date, commit


@pytest.mark.parametrize("asked, limits, unit, words", [
    ("at least", (5,), " points", "at least 5 points"), ("between", (0.5, 2), " times", "between 0.5 and 2 times"),
    ("yes", (), "", "yes"), ("within", (2,), " points", "within 2 points"),
    ("under", (3,), " %", "less than 3 % either way")])
def test_what_is_asked_in_words(asked, limits, unit, words):
    assert words_of(Threshold(asked, limits, None), unit) == words
