"""Which printed numbers are not what is measured: those that are off by more than two deviations over the seeds.

    make report                                  # a table of them in each results/REPORT.md, above what explains them
    python -m pytest -q tests/test_off.py

A printed number stands for all that would be printed so: 0.563 for 0.5625 to 0.5635, an accuracy of report 2, which is
cut off, for 0.64 to 0.65. Off is what the mean over the seeds lies beyond that, in sample deviations of the run; of a
single seed in the median deviation of that quantity over the runs of the report that have several and learn something.
Second names are left out: their printed numbers are not compared.
"""
import decimal
import math
import statistics
from typing import NamedTuple

from experiments import declarations
from experiments.declarations import is_ours
from experiments.records import blew_up, learned_nothing, value
from experiments.words import as_measured, family_of, in_words, is_fraction, markdown, printed_number

MOST = 2.0  # deviations
CUT_OFF = ("lenet_vgg",)  # reports whose accuracies are cut off, not rounded
# Report 1 does not say of which epoch its valid losses are, and here the last epoch may follow a jump.
IS_OF_BEST_EPOCH = {"keypoints": {"valid_loss": "best_valid_loss"}}
TITLE = "Printed numbers that are off"
HEAD = ["run", "number", "printed", "measured", "seeds", "deviations", "numbers off"]
ABOUT = """\
Off: the mean over the seeds lies more than two of their sample deviations beyond what would be printed so; of a single
seed (*) two median deviations of that quantity over this report's runs. Of each run the number that is furthest off,
and how many of its printed numbers of that kind are. Below a run: others of ours, beside the same printed numbers.
A report's number is itself of one run: by chance alone every sixth or so would be off by that much (23 % of those that
are compared with three seeds, 14 % with five, 16 % with one)."""


class Compared(NamedTuple):
    """A printed number beside what was measured."""

    wanted: declarations.Wanted
    mean: float  # nan where the runs diverged
    deviation: float | None  # over the seeds; None for one
    seeds: int
    beyond: float  # how far the mean lies outside what would be printed so

    def times(self, usual):
        """Beyond, in deviations: the run's own or, of a single seed, the usual one. None where there is none."""
        deviation = self.deviation if self.seeds > 1 else usual
        if self.beyond in (0, math.inf):
            return self.beyond
        if deviation is None:
            return None
        return self.beyond / deviation if deviation else math.inf


def printed_range(report, wanted):
    """The lowest and the highest number that would be printed so."""
    low, high = min(wanted.ends()), max(wanted.ends())
    unit = 10.0 ** min(decimal.Decimal(end).as_tuple().exponent for end in wanted.text.split(".."))
    if report in CUT_OFF and is_fraction(wanted.quantity):
        return low, high + unit
    return low - unit / 2, high + unit / 2


def compared(report, wanted, records):
    """A printed number beside these records of a run, Compared; None where none of them has it."""
    metric = wanted.quantity if wanted.epoch is None else f"{wanted.quantity}@{wanted.epoch}"
    found = [value(record, metric) for record in records]
    numbers = [x for x in found if x is not None]
    if not numbers and not any(record["status"] == "diverged" for record in records):
        return None
    mean = statistics.mean(numbers) if numbers else math.nan
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
    if wanted.text == "nan" or not numbers:
        beyond = 0.0 if math.isnan(mean) == (wanted.text == "nan") else math.inf
    else:
        low, high = printed_range(report, wanted)
        beyond = max(low - mean, mean - high, 0.0)
        beyond = 0.0 if beyond < 1e-9 else beyond
    return Compared(wanted, mean, deviation, len(numbers) or len(records), beyond)


def printed(declared, run):
    """The printed numbers of a run, a list of Wanted, each with the quantity that it is compared with."""
    other, found = IS_OF_BEST_EPOCH.get(declarations.report_of(run), {}), []
    for wanted in declarations.wanted(declared, run):
        if wanted.epoch is None and wanted.quantity in other:
            wanted = wanted._replace(quantity=other[wanted.quantity])
        found.append(wanted)
    return found


def of_run(declared, run, found):
    """{family: [Compared, ...]} of a run's printed numbers that were measured.

    Of two quantities of a family, of which the report printed one, the nearer one counts at each epoch.
    """
    report, records = declarations.report_of(run), [record for record in found if record["run"] == run]
    nearest = {}
    for wanted in printed(declared, run):
        one = compared(report, wanted, records) if records else None
        key = family_of(wanted.quantity), wanted.epoch
        if one and (key not in nearest or one.beyond < nearest[key].beyond):
            nearest[key] = one
    families = {}
    for (family, _), one in nearest.items():
        families.setdefault(family, []).append(one)
    return families


def rows(declared, report, found):
    """The rows of the table on a report: of each run of its own that is off, and of those that stand for it."""
    mine = [run for run in declarations.trained(declared) if declarations.report_of(run) == report]
    numbers = {run: of_run(declared, run, found) for run in mine}
    usual = usual_deviations(numbers, found)
    lines = []
    for run in mine:
        if is_ours(declared, run):
            continue
        for family, several in numbers[run].items():
            if any(is_off(one, usual.get(family)) for one in several):
                lines.append(row(declarations.short(run), several, usual.get(family)))
                same = printed_in(family, declared, run)
                lines += [row(f"– {declarations.short(other)}", numbers[other][family], usual.get(family))
                          for other in mine if stands_for(declared, other, run) and family in numbers[other]
                          and printed_in(family, declared, other) == same]
    return lines


def usual_deviations(numbers, found):
    """{family: its median deviation} over the runs with several seeds, each of which counts once.

    numbers: {run: what of_run returns}. Runs that blew up or learned nothing are left out: the seeds of a net that is
    stuck at chance agree to a tenth of a point.
    """
    deviations = {}
    for run, of_family in numbers.items():
        if any(blew_up(record) or learned_nothing(record) for record in found if record["run"] == run):
            continue
        for family, several in of_family.items():
            known = [one.deviation for one in several if one.deviation]
            if known:
                deviations.setdefault(family, []).append(statistics.median(known))
    return {family: statistics.median(of_runs) for family, of_runs in deviations.items()}


def stands_for(declared, other, run):
    """Is `other` a run of ours that is compared with this run in some comparison?"""
    together = any(run in names and other in names for names in declared["exp"].values())
    return other != run and is_ours(declared, other) and together


def printed_in(family, declared, run):
    """The printed numbers of one kind that stand beside a run, as a set."""
    return {wanted for wanted in printed(declared, run) if family_of(wanted.quantity) == family}


def is_off(one, usual):
    """Is a number off by more than MOST deviations?"""
    times = one.times(usual)
    return times is not None and times > MOST


def row(name, several, usual):
    """The cells of a run: of its numbers of one kind the one that is furthest off."""
    def how_far(one):
        times = one.times(usual)
        return -1 if times is None else times

    worst = max(several, key=how_far)
    times, quantity = worst.times(usual), worst.wanted.quantity
    words = in_words(quantity) + (f", epoch {worst.wanted.epoch}" if worst.wanted.epoch else "")
    unit = " %" if is_fraction(quantity) else ""
    measured = "diverged" if math.isnan(worst.mean) else as_measured(quantity, worst.mean, worst.deviation)
    off, count = "–", f"{sum(is_off(one, usual) for one in several)} of {len(several)}"
    if times is None:  # there is no deviation to measure by
        count = "–"
    elif math.isfinite(times):  # else one of the two diverged
        off = ("over 100" if times > 100 else f"{times:.1f}") + ("" if worst.seeds > 1 else " *")
    return [name, words, printed_number(quantity, worst.wanted.text) + unit, measured, worst.seeds, off, count]


def section(declared, report, found):
    """The table on a report's page, Markdown lines; [] where no printed number is off."""
    lines = rows(declared, report, found)
    return [ABOUT, "", markdown(HEAD, lines), ""] if lines else []
