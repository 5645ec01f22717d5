"""How a part of a claim is judged: intervals by hand, on which side of a threshold they lie, and what has none."""
import math

import pytest

from by_hand import record
from experiments import verdicts
from experiments.records import NotRun
from experiments.thresholds import Threshold
from experiments.verdicts import (DEPENDS, FAILS, HOLDS, IN_PART, LOOKS_NOT_SO, LOOKS_SO, NOT_JUDGEABLE, NOT_RUN,
                                  ONE_DEPENDS, UNDECIDED, NotJudgeable, Part)


def asked(how, *limits):
    return Threshold(how, limits, ("2026-01-01", "0000000"))


def test_the_interval_is_students():
    # Mean 2, deviation 1 and three values: 4.303 / sqrt(3) to both sides. Of two values 12.706 / sqrt(2) deviations.
    assert verdicts.interval([1.0, 2.0, 3.0]) == pytest.approx((2, 2 - 4.303 / math.sqrt(3), 2 + 4.303 / math.sqrt(3)))
    assert verdicts.interval([0.0, 2.0]) == pytest.approx((1, 1 - 12.706, 1 + 12.706), rel=1e-6)
    assert verdicts.interval([3.0] * 4) == (3, 3, 3)
    wide = verdicts.interval([1.0, -1.0] * 20)  # beyond eleven values the quantile of eleven
    assert wide[2] == pytest.approx(2.228 * math.sqrt(40 / 39) / math.sqrt(40))


def test_the_quantiles_are_those_of_the_distribution():
    from scipy.stats import t

    assert verdicts.T_QUANTILES == pytest.approx([t.ppf(0.975, degrees) for degrees in range(1, 11)], abs=5e-4)


CLOSE_TO_5 = [4.9, 5.0, 5.1]  # its interval is 4.75 to 5.25


@pytest.mark.parametrize("how, limits, values, word", [
    ("at least", (4.7,), CLOSE_TO_5, HOLDS), ("at least", (5.0,), CLOSE_TO_5, UNDECIDED),
    ("at least", (5.3,), CLOSE_TO_5, FAILS), ("at most", (5.3,), CLOSE_TO_5, HOLDS),
    ("at most", (4.7,), CLOSE_TO_5, FAILS), ("more than", (4.7,), CLOSE_TO_5, HOLDS),
    ("less than", (4.7,), CLOSE_TO_5, FAILS), ("between", (4, 6), CLOSE_TO_5, HOLDS),
    ("between", (5, 6), CLOSE_TO_5, UNDECIDED), ("between", (6, 7), CLOSE_TO_5, FAILS),
    ("between", (4.9, 5.1), [-10, 0, 25], UNDECIDED),  # neither end of the interval is between them
    ("within", (6,), CLOSE_TO_5, HOLDS), ("within", (4,), CLOSE_TO_5, FAILS), ("within", (5,), CLOSE_TO_5, UNDECIDED),
    ("within", (1,), [-10, 0, 10], UNDECIDED), ("within", (6,), [-5.1, -5.0, -4.9], HOLDS),
    ("under", (4,), [-5.1, -5.0, -4.9], FAILS), ("under", (1,), [-10, 0, 10], UNDECIDED),
    ("at least", (5,), [5.0, 5.0], HOLDS), ("more than", (5,), [5.0, 5.0], FAILS), ("at most", (5,), [5, 5], HOLDS),
    ("less than", (5,), [5, 5], FAILS), ("under", (5,), [5, 5], FAILS), ("within", (5,), [5, 5], HOLDS),
    ("at least", (5,), [5.0], LOOKS_SO), ("at least", (5,), [4.9], LOOKS_NOT_SO),
    ("less than", (0,), [-math.inf] * 3, HOLDS), ("less than", (0,), [-math.inf] * 2, UNDECIDED),
    ("less than", (0,), [-math.inf, -1.0, 1.0], UNDECIDED), ("more than", (0,), [-math.inf, -1.0, -1.0], FAILS),
    ("at most", (25,), [math.nan], LOOKS_NOT_SO), ("at most", (25,), [math.nan] * 3, FAILS),
    ("yes", (), [True] * 3, HOLDS), ("yes", (), [True] * 2, UNDECIDED), ("yes", (), [False] * 3, FAILS),
    ("no", (), [False] * 3, HOLDS), ("no", (), [True], LOOKS_NOT_SO), ("yes", (), [True, True, False], UNDECIDED)])
def test_a_verdict_needs_the_whole_interval_on_one_side(how, limits, values, word):
    assert verdicts.word_for(asked(how, *limits), values) == word


@pytest.mark.parametrize("words, together", [
    ([HOLDS, HOLDS], HOLDS), ([HOLDS, FAILS], FAILS), ([NOT_RUN, FAILS], FAILS), ([NOT_RUN, HOLDS], IN_PART),
    ([NOT_RUN, NOT_RUN], NOT_RUN), ([UNDECIDED, HOLDS], UNDECIDED), ([UNDECIDED, LOOKS_NOT_SO], LOOKS_NOT_SO),
    ([NOT_JUDGEABLE, HOLDS], NOT_JUDGEABLE), ([NOT_JUDGEABLE, FAILS], FAILS), ([LOOKS_SO, HOLDS], LOOKS_SO),
    ([LOOKS_SO, LOOKS_NOT_SO], LOOKS_NOT_SO), ([NOT_JUDGEABLE, NOT_RUN], NOT_JUDGEABLE)])
def test_a_claim_is_as_good_as_its_worst_part(words, together):
    assert verdicts.together(words) == together
    assert verdicts.together(words[::-1]) == together


@pytest.mark.parametrize("word", [HOLDS, FAILS, LOOKS_SO, LOOKS_NOT_SO])
def test_of_two_readings_one_alone_decides_nothing(word):
    assert verdicts.together([word, NOT_RUN], readings=True) == IN_PART
    assert verdicts.together([word, word], readings=True) == word


@pytest.mark.parametrize("words, together", [
    ([HOLDS, FAILS], DEPENDS), ([LOOKS_SO, LOOKS_NOT_SO], ONE_DEPENDS), ([HOLDS, FAILS, UNDECIDED], DEPENDS),
    ([HOLDS, LOOKS_NOT_SO], ONE_DEPENDS), ([LOOKS_SO, FAILS], ONE_DEPENDS),
    ([HOLDS, LOOKS_SO], LOOKS_SO), ([FAILS, LOOKS_NOT_SO], LOOKS_NOT_SO),
    ([FAILS, UNDECIDED], UNDECIDED), ([HOLDS, UNDECIDED], UNDECIDED), ([LOOKS_NOT_SO, UNDECIDED], UNDECIDED),
    ([FAILS, NOT_JUDGEABLE], NOT_JUDGEABLE), ([LOOKS_SO, NOT_JUDGEABLE], NOT_JUDGEABLE),
    ([HOLDS, FAILS, NOT_JUDGEABLE], NOT_JUDGEABLE), ([NOT_RUN, NOT_JUDGEABLE], NOT_JUDGEABLE),
    ([UNDECIDED, NOT_RUN], IN_PART), ([NOT_RUN, NOT_RUN], NOT_RUN)])
def test_readings_are_one_question_and_none_of_them_decides_it_alone(words, together):
    assert verdicts.together(words, readings=True) == together
    assert verdicts.together(words[::-1], readings=True) == together


# ---- a part ---------------------------------------------------------------------------------------------------------

def judged(sides_by_seed, unit, monkeypatch, threshold=None, printed=None):
    """Judges a part whose sides are given for each seed."""
    monkeypatch.setitem(verdicts.THRESHOLDS, "X1", threshold or asked("more than", 0))

    def sides(run):
        found = run("the run")
        if isinstance(found, Exception):
            raise found
        return found

    lookups = {seed: lambda run, found=found: found for seed, found in sides_by_seed.items()}
    return verdicts.judge(Part("X1", "the part", sides, unit), lookups, printed)


@pytest.mark.parametrize("unit, by_seed, measured, difference", [
    (verdicts.POINTS, {0: (0.6123, 0.5623)}, "61.2 and 56.2 %", "+5.0 points"),
    (verdicts.POINTS, {0: (0.60, 0.5), 1: (0.62, 0.5)}, "61.0 and 50.0 %", "+11.0 [-1.7, +23.7] points"),
    (verdicts.GAINS, {0: (0.05, 0.02)}, "5.0 and 2.0 points", "+3.0 points"),
    (verdicts.PERCENT, {0: (0.25,)}, "25.0 %", "25.0 %"), (verdicts.LOSS, {0: (1.2, 1.3)}, "1.200 and 1.300", "-0.1"),
    (verdicts.TIMES, {0: (12.0, 8.0)}, "12.0 and 8.000", "1.50 times"),
    (verdicts.PX2, {0: (1e8, 8.0)}, "1e+08 and 8.000", "+1e+08 px²"),
    (verdicts.EPOCHS, {0: (88.0, 150.0)}, "88 and 150", "-62.0 epochs"),
    (verdicts.COUNT, {0: (93770, 1579530)}, "93,770 and 1,579,530", "-1,485,760"),
    (verdicts.POINTS, {0: (-math.inf, 0.5)}, "diverged and 50.0", "–"),
    (verdicts.YES_OR_NO, {0: (True,), 1: (True,)}, "yes", "–"),
    (verdicts.YES_OR_NO, {0: (True,), 1: (False,), 2: (True,)}, "yes in 2 of 3", "–")])
def test_what_was_measured_in_words(unit, by_seed, measured, difference, monkeypatch):
    threshold = asked("yes") if unit is verdicts.YES_OR_NO else None
    result = judged(by_seed, unit, monkeypatch, threshold)
    assert (result.measured, result.difference, result.seeds) == (measured, difference, str(len(by_seed)))


def test_a_difference_is_exact_to_the_last_image(monkeypatch):
    """0.6123 - 0.5623 is 0.04999999999999993 in floating point."""
    assert judged({0: (0.6123, 0.5623)}, verdicts.POINTS, monkeypatch, asked("at least", 5)).word == LOOKS_SO
    assert judged({0: (0.6122, 0.5623)}, verdicts.POINTS, monkeypatch, asked("at least", 5)).word == LOOKS_NOT_SO


def test_seeds_that_lack_a_run_are_left_out_and_those_that_went_wrong_are_not(monkeypatch):
    found = {0: (2.0, 1.0), 1: NotRun(), 2: (2.0, 1.0)}
    assert judged(found, verdicts.LOSS, monkeypatch)[2:] == ("2.000 and 1.000", "+1 [+1, +1]", "more than 0", "2",
                                                             HOLDS)
    assert judged({1: NotRun()}, verdicts.LOSS, monkeypatch)[2:] == ("–", "–", "more than 0", "–", NOT_RUN)
    refused = judged({**found, 3: NotJudgeable("adam blew up")}, verdicts.LOSS, monkeypatch)
    assert (refused.difference, refused.seeds, refused.word) == ("adam blew up", "3", NOT_JUDGEABLE)
    no_base = judged({0: (2.0, math.inf)}, verdicts.LOSS, monkeypatch)
    assert (no_base.difference, no_base.word) == ("the run to compare with diverged", NOT_JUDGEABLE)


@pytest.mark.parametrize("unit, sides, word", [
    (verdicts.LOSS, (math.inf, 1.0), NOT_JUDGEABLE), (verdicts.PX2, (math.inf, 1.0), NOT_JUDGEABLE),
    (verdicts.TIMES, (math.inf, 1.0), NOT_JUDGEABLE), (verdicts.GAINS, (math.inf, 0.1), NOT_JUDGEABLE),
    (verdicts.GAINS, (math.nan, 0.1), NOT_JUDGEABLE), (verdicts.TIMES, (1.0, 0.0), NOT_JUDGEABLE),
    (verdicts.LOSS, (1.0, 0.0), LOOKS_SO), (verdicts.TIMES, (0.0, 1.0), LOOKS_NOT_SO),
    (verdicts.POINTS, (-math.inf, 0.5), LOOKS_NOT_SO), (verdicts.PERCENT, (-math.inf,), LOOKS_NOT_SO),
    (verdicts.EPOCHS, (math.inf, 3.0), LOOKS_SO)])
def test_what_is_infinite_decides_only_where_it_is_the_worst_that_there_is(unit, sides, word, monkeypatch):
    """An accuracy after a divergence is below any, a goal never reached is later than any; a loss is no number."""
    assert judged({0: sides}, unit, monkeypatch).word == word
    of_two_seeds = judged({0: (2.0,) * len(sides), 1: sides}, unit, monkeypatch)
    assert (of_two_seeds.word == NOT_JUDGEABLE) == (word == NOT_JUDGEABLE)


@pytest.mark.parametrize("printed, reported", [
    ((0.65, 0.56), "65.0 and 56.0 %"), ((0.65, -math.inf), "–"), (NotRun(), "–"), (NotJudgeable("so"), "–")])
def test_what_the_report_printed_goes_through_the_same_function(printed, reported, monkeypatch):
    result = judged({0: (0.6, 0.5)}, verdicts.POINTS, monkeypatch, printed=lambda run: printed)
    assert result.reported == reported and result.word == LOOKS_SO


def test_a_run_that_blew_up_is_not_sound():
    fine = record("a/b", train=[10] + [5] * 20)
    assert verdicts.sound(fine) is fine
    for broken in (record("a/b", train=[10, 5], status="diverged"), record("a/b", train=[10] + [20] * 20)):
        with pytest.raises(NotJudgeable, match="b blew up"):
            verdicts.sound(broken)
