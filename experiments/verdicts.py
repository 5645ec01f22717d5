"""How a part of a claim is judged: by the 95 % interval of its mean over the seeds, against a frozen threshold.

    make report                                  # the verdicts by the committed records open results/REPORT.md
    python -m pytest -q tests/test_verdicts.py   # intervals, words, and what has none

A claim is made of parts, the functions of REPORT.py say of which. A part takes one or two numbers from the runs of a
seed, its sides, and makes one number of them, as the difference of two accuracies. Each seed gives such a number. The
runs of one seed are compared with each other, so that two that share first weights and the order of images share what
these do; the interval is right without that, too, and then only wider. It takes the seeds for independent and their
numbers for roughly normal.
"""
import math
import statistics
from typing import Callable, NamedTuple

from experiments.records import NotRun, blew_up, number
from experiments.thresholds import THRESHOLDS, words_of

# 97.5 % quantiles of Student's t for 1 to 10 degrees of freedom; beyond, the tenth is on the safe side.
T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
ENOUGH_SEEDS = 3  # for a yes or no, of which there is no interval

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"
LOOKS_SO, LOOKS_NOT_SO = "one seed: looks so", "one seed: does not look so"
NOT_JUDGEABLE, NOT_RUN, IN_PART = "not judgeable", "not run", "measured in part"
DEPENDS, ONE_DEPENDS = "depends on the scoring", "one seed: depends on the scoring"


class NotJudgeable(Exception):
    """What a claim takes for granted did not happen, such as a run that was to learn and blew up. Says what."""


class Unit(NamedTuple):
    """What becomes of the sides of a part, and how numbers look."""

    value: Callable  # (side,) or (side, side) -> the number that is judged
    side: Callable  # a side -> its text
    digits: str  # the format of the number that is judged
    name: str = ""  # what stands behind it
    of_sides: str = ""  # what stands behind the sides
    may_be_infinite: bool = False  # may a side be, and so decide? The worst accuracy is, and an epoch never reached


def in_percent(accuracy):
    """An accuracy as text, without the sign."""
    return f"{100 * accuracy:.1f}" if math.isfinite(accuracy) else "diverged"


def as_loss(loss):
    """A loss as text."""
    return number(loss) if math.isfinite(loss) else "diverged"


def minus(a, b):
    return a - b


def points_between(a, b):
    """The difference of two accuracies in points, exact to the last image, so that 61.23 - 56.23 is 5."""
    return round(100 * (a - b), 4)


def percent_of(accuracy):
    """An accuracy in %; that of a run that diverged is no number, so that it is nothing that could be asked for."""
    return round(100 * accuracy, 4) if math.isfinite(accuracy) else math.nan


POINTS = Unit(points_between, in_percent, "+.1f", " points", " %", may_be_infinite=True)
GAINS = Unit(points_between, in_percent, "+.1f", " points", " points")  # of two numbers that are differences themselves
PERCENT = Unit(percent_of, in_percent, ".1f", " %", " %", may_be_infinite=True)
LOSS = Unit(minus, as_loss, "+.3g")
PX2 = Unit(minus, as_loss, "+.3g", " px²")
TIMES = Unit(lambda a, b: a / b, as_loss, ".2f", " times")
EPOCHS = Unit(minus, "{:g}".format, "+.1f", " epochs", may_be_infinite=True)
NUMBER = Unit(minus, "{:.2f}".format, "+.2f")
COUNT = Unit(minus, "{:,}".format, "+,.0f")
YES_OR_NO = Unit(bool, lambda answer: "yes" if answer else "no", "")


class Part(NamedTuple):
    """A number that a claim is judged by."""

    threshold: str  # its name in thresholds.py
    says: str  # what is compared, at most 58 characters; "" where the sentence of the claim says it
    sides: Callable  # run -> one number, or two with the one to compare with behind; raises NotRun and NotJudgeable
    unit: Unit
    judged: bool = True  # False: shown, since the report leaves it open, and no part of the verdict


class Judged(NamedTuple):
    """What came out for a part: the cells of its row."""

    says: str
    reported: str
    measured: str
    difference: str
    asked: str
    seeds: str
    word: str


def sound(record):
    """Returns the record. Raises NotJudgeable for one that blew up."""
    if blew_up(record):
        name = record["run"].partition("/")[2]
        raise NotJudgeable(f"{name} blew up")
    return record


# ---- the interval ---------------------------------------------------------------------------------------------------

def interval(values):
    """Returns the mean of two values or more and the ends of its 95 % interval by Student's t."""
    degrees = min(len(values) - 1, len(T_QUANTILES))
    mean = statistics.mean(values)
    half = T_QUANTILES[degrees - 1] * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def satisfies(asked, value):
    """Returns whether one number is what a threshold asks for."""
    if asked.asked in ("yes", "no"):
        return value == (asked.asked == "yes")
    if asked.asked == "between":
        return asked.limits[0] <= value <= asked.limits[1]
    limit = asked.limits[0]
    return {"more than": value > limit, "at least": value >= limit, "less than": value < limit,
            "at most": value <= limit, "within": abs(value) <= limit, "under": abs(value) < limit}[asked.asked]


def lies_outside(asked, low, high):
    """Returns whether no number between low and high is what a threshold asks for."""
    if satisfies(asked, low) or satisfies(asked, high):
        return False
    if asked.asked in ("between", "within", "under"):  # all that is asked for may lie between the ends
        wanted = asked.limits[0] if asked.asked == "between" else 0
        return not low < wanted < high
    return True


def word_for(asked, values):
    """The verdict on the values of some seeds."""
    answers = [satisfies(asked, value) for value in values]
    if len(values) == 1:
        return LOOKS_SO if answers[0] else LOOKS_NOT_SO
    has_interval = asked.limits and all(math.isfinite(value) for value in values)
    if has_interval:
        _, low, high = interval(values)
        if satisfies(asked, low) and satisfies(asked, high):
            return HOLDS
        return FAILS if lies_outside(asked, low, high) else UNDECIDED
    if len(values) >= ENOUGH_SEEDS and len(set(answers)) == 1:
        return HOLDS if answers[0] else FAILS
    return UNDECIDED


# ---- a part and a claim ---------------------------------------------------------------------------------------------

def judge(part, lookups, printed=None, counted=False):
    """Judges a part. Returns its cells, a Judged.

    lookups: {seed: run}, where run gives the record of a run for that seed or raises NotRun; printed: the same for what
    the report printed; counted: there is nothing but the nets to judge it by, and so no seed.
    """
    asked = THRESHOLDS[part.threshold]
    reported = printed_sides(part, printed) if printed else "–"
    in_words = words_of(asked, part.unit.name)

    def cells(measured, difference, seeds, word):
        return Judged(part.says, reported, measured, difference, in_words, seeds, word)

    sides, refused = {}, {}  # by seed
    for seed, run in lookups.items():
        try:
            sides[seed] = part.sides(run)
        except NotRun:
            continue
        except NotJudgeable as e:
            refused[seed] = str(e)
    # A verdict by those seeds alone in which all went well would be one on a choice by the outcome.
    if refused:
        reasons = ", ".join(sorted(set(refused.values())))
        return cells("–", reasons, str(len(sides) + len(refused)), NOT_JUDGEABLE)
    if not sides:
        return cells("–", "–", "–", NOT_RUN)
    reason = why_not_comparable(part.unit, sides.values())
    if reason:
        return cells("–", reason, str(len(sides)), NOT_JUDGEABLE)
    values = [part.unit.value(*of_seed) for of_seed in sides.values()]
    word = word_for(asked, values)
    if counted:
        word = HOLDS if satisfies(asked, values[0]) else FAILS
    return cells(in_short(part.unit, list(sides.values())), shown(part.unit, values, counted),
                 "count" if counted else str(len(values)), word)


def why_not_comparable(unit, sides):
    """Why the sides of some seeds make no number to judge by, or "".

    An accuracy that is -inf, after a divergence, is worse than any. An infinite loss is not higher than another: it
    says nothing of the net. Nor is there a difference to what is infinite.
    """
    for of_seed in sides:
        if len(of_seed) == 2 and not math.isfinite(of_seed[-1]):
            return "the run to compare with diverged"
        if not unit.may_be_infinite and not all(map(math.isfinite, of_seed)):
            return "a run diverged"
        if unit is TIMES and of_seed[-1] == 0:
            return "the number to compare with is 0"
    return ""


def printed_sides(part, printed):
    """The sides of a part as the report printed them, "–" where it did not."""
    try:
        sides = part.sides(printed)
    except (NotRun, NotJudgeable):
        return "–"
    return in_short(part.unit, [sides]) if all(math.isfinite(side) for side in sides) else "–"


def in_short(unit, sides):
    """The sides of all seeds, each by its mean: "63.0 and 54.4 %"."""
    if unit is YES_OR_NO:
        answers = [answer for answer, in sides]
        if len(set(answers)) == 1:
            return unit.side(answers[0])
        return f"yes in {sum(answers)} of {len(answers)}"
    means = [statistics.mean(of_one) for of_one in zip(*sides)]
    name = unit.of_sides if all(map(math.isfinite, means)) else ""
    return " and ".join(unit.side(mean) for mean in means) + name


def shown(unit, values, counted=False):
    """The mean of the values and its interval: "+8.6 [+7.4, +9.8] points"."""
    if unit is YES_OR_NO or not all(math.isfinite(value) for value in values):
        return "–"
    if counted or len(values) == 1:
        return f"{values[0]:{unit.digits}}{unit.name}"
    mean, low, high = (f"{x:{unit.digits}}" for x in interval(values))
    return f"{mean} [{low}, {high}]{unit.name}"


def together(words, readings=False):
    """The verdict on a claim by those on its parts.

    readings: the parts are the same question, measured in different ways, rather than all to be met.
    """
    if len(set(words)) == 1:
        return words[0]
    if readings:
        return of_readings(set(words))
    if NOT_RUN in words and not {FAILS, LOOKS_NOT_SO, NOT_JUDGEABLE} & set(words):
        return IN_PART
    for word in (FAILS, NOT_JUDGEABLE, LOOKS_NOT_SO, UNDECIDED, LOOKS_SO):
        if word in words:
            return word
    return HOLDS


def of_readings(words):
    """The verdict on a question by those of its readings, a set of several. One that fails decides nothing."""
    if NOT_JUDGEABLE in words:
        return NOT_JUDGEABLE
    if NOT_RUN in words:
        return IN_PART
    if words == {HOLDS, LOOKS_SO}:  # they agree, one of them by one seed alone
        return LOOKS_SO
    if words == {FAILS, LOOKS_NOT_SO}:
        return LOOKS_NOT_SO
    if words & {HOLDS, LOOKS_SO} and words & {FAILS, LOOKS_NOT_SO}:
        return ONE_DEPENDS if words & {LOOKS_SO, LOOKS_NOT_SO} else DEPENDS
    return UNDECIDED
