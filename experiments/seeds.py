"""What one seed cannot tell: how often two single runs rank the other way, and how small a difference can be seen.

    make report                                  # a section and a figure of it on each page of results/
    python -m pytest -q tests/test_seeds.py

The quantity is that of the report's headline, of the runs that were measured with several seeds. A comparison here is
the first run of a comparison and one of its others. The report's claims are judged once more by each seed alone.
"""
import math
import statistics
from typing import NamedTuple

import matplotlib

from experiments import claims, declarations, verdicts
from experiments.panels import COLOURS, GREY, STYLE, empty_figure, save
from experiments.prepared import printed_of
from experiments.verdicts import T_QUANTILES
from experiments.words import in_words, is_fraction, markdown, number_of

TITLE = "What one seed cannot tell"
SEEDS = (1, 2, 3, 5, 10)  # of each run, for which the smallest difference that can be seen is told
LEAST = 3  # runs with several seeds, for a figure
HEAD = ["comparison", "difference of the means", "seeds", "rank the other way (a tie counts half)"]
HEAD_OF_CLAIMS = ["claim", "the report says", "by all seeds", "alone, looks so", "alone, does not look so"]


class Pair(NamedTuple):
    """Two runs with several seeds each, and how their single runs rank."""

    names: tuple
    difference: float  # of the means, second minus first
    seeds: tuple  # of each
    against: float  # of all pairs of single runs, one of each: how many rank the other way; a tie counts half

    @property
    def pairs(self):
        """How many pairs of single runs there are, one of each."""
        return math.prod(self.seeds)


def numbers_of(declared, report, found):
    """{run: [number, ...]}, one for every seed, of the report's own runs that have several; {} without a headline."""
    if report not in declared["headline"]:
        return {}
    metric, numbers = declared["headline"][report][1], {}
    for record in declarations.own_records(declared, report, found):
        number = number_of(record, metric)
        if number is not None and math.isfinite(number):
            numbers.setdefault(record["run"], []).append(number)
    return {run: several for run, several in numbers.items() if len(several) > 1}


def pairs_of(declared, report, numbers):
    """The comparisons of a report whose two runs are among `numbers` and differ, each once: a list of Pair."""
    found = {}
    for name, names in declared["exp"].items():
        if declared["report"][name] != report:
            continue
        first, *others = (declarations.real(declared, run) for run in names)
        for other in others:
            known = (first, other) in found or (other, first) in found
            if known or first not in numbers or other not in numbers:
                continue
            if numbers[first] != numbers[other]:  # else they are one training up to that number
                found[first, other] = pair((first, other), numbers[first], numbers[other])
    return list(found.values())


def pair(names, first, second):
    """Compares every single run of one with every single run of the other: a Pair."""
    difference = statistics.mean(second) - statistics.mean(first)
    against = 0
    for one in first:
        for other in second:
            if one == other or difference == 0:
                against += 0.5
            elif (other > one) != (difference > 0):
                against += 1
    return Pair(names, difference, (len(first), len(second)), against)


class ByEach(NamedTuple):
    """A claim that was judged on several seeds, and what each of them says alone."""

    claim: str
    verdict: str  # by all seeds
    so: int  # how many seeds alone look so
    not_so: int  # and how many do not

    @property
    def agree(self):
        """Says each seed alone what all of them say together?"""
        if self.verdict == verdicts.HOLDS:
            return self.not_so == 0
        if self.verdict == verdicts.FAILS:
            return self.so == 0
        return False


def claims_of(declared, report, found):
    """The claims of a report that two seeds or more can judge alone: a list of ByEach."""
    judged, by_seed = [], {}
    for record in found:
        by_seed.setdefault(record["seed"], []).append(record)
    for claim in declared["pages"][report].get("claims", ()):
        if claims.is_counted(claim):
            continue
        alone = [claims.verdict(claim, of_seed, declared)[0] for of_seed in by_seed.values()]
        so, not_so = alone.count(verdicts.LOOKS_SO), alone.count(verdicts.LOOKS_NOT_SO)
        if so + not_so > 1:
            word, _ = claims.verdict(claim, found, declared)
            judged.append(ByEach(claim, word, so, not_so))
    return judged


def deviation_of(numbers):
    """The usual deviation of a run over its seeds: the median, which one run that hardly learns does not spoil."""
    return statistics.median(statistics.stdev(several) for several in numbers.values())


def smallest_difference(deviation, seeds):
    """How far the means of two runs with so many seeds each must lie apart, for a 95 % interval that leaves out 0.

    deviation: of each of the two over its seeds. As the verdicts do it: by Student's t on the differences seed by seed,
    with seeds - 1 degrees of freedom, whose deviation is sqrt(2) times this one where the pairing gains nothing. One
    seed has no deviation of its own: then this one is taken for known, and the distribution for normal.
    """
    if seeds == 1:
        return statistics.NormalDist().inv_cdf(0.975) * deviation * math.sqrt(2)
    degrees = min(seeds - 1, len(T_QUANTILES))  # of more degrees the last quantile, which is on the safe side
    return T_QUANTILES[degrees - 1] * deviation * math.sqrt(2 / seeds)


# ---- on a page ------------------------------------------------------------------------------------------------------

def section(declared, report, found):
    """What a report's page says of it, Markdown lines; [] where no run has several seeds."""
    numbers = numbers_of(declared, report, found)
    if not numbers:
        return []
    metric, pairs = declared["headline"][report][1], pairs_of(declared, report, numbers)
    unsure = sorted((one for one in pairs if one.against), key=lambda one: -one.against / one.pairs)
    deviation = deviation_of(numbers)
    lines = [f"{scatter(metric, numbers)} With that deviation, two runs can be told apart by the verdicts' 95 % "
             "interval if their means differ by at least:", "",
             markdown(["seeds of each run", *map(str, SEEDS)],
                      [["smallest difference", *(said(metric, smallest_difference(deviation, n)) for n in SEEDS)]]), "",
             "With one seed each the deviation has to be taken for known. With more, the seeds themselves tell it, "
             "and two tell it badly: hence the larger number.", ""]
    if pairs:
        sure = f"{len(pairs) - len(unsure)} of {len(pairs)} comparisons"
        lines += [f"How two single runs rank, one of each: in {sure} of such runs always as their means do"
                  + (", in these not:" if unsure else "."), ""]
    else:
        lines += ["No comparison has two such runs yet.", ""]
    if unsure:
        lines += [markdown(HEAD, [row(metric, one) for one in unsure]), ""]
    return lines + section_of_claims(declared, report, found)


def section_of_claims(declared, report, found):
    """What single seeds say of the claims, Markdown lines; [] where no claim was judged on several."""
    judged = claims_of(declared, report, found)
    if not judged:
        return []
    unlike = [one for one in judged if not one.agree]
    rows = [[one.claim, declared["claim"][one.claim], one.verdict, one.so, one.not_so] for one in unlike]
    lines = ["Would one seed alone have said the same of a claim as all of them together? Every seed would of "
             f"{len(judged) - len(unlike)} of the {len(judged)} claims that several seeds can judge"
             + (", but not of these:" if unlike else "."), ""]
    return lines + ([markdown(HEAD_OF_CLAIMS, rows), ""] if rows else [])


def scatter(metric, numbers):
    """How much the runs scatter over their seeds, in a sentence."""
    deviations = {run: statistics.stdev(several) for run, several in numbers.items()}
    least, most = min(deviations, key=deviations.get), max(deviations, key=deviations.get)
    about = f"Over its seeds a run's {in_words(metric)} has a deviation of {said(metric, deviation_of(numbers))}"
    if len(numbers) == 1:
        return f"{about}: that of {declarations.short(most)}, the only run with several seeds."
    return (f"{about}: the median of {len(numbers)} runs with several seeds, from {said(metric, deviations[least])} "
            f"({declarations.short(least)}) to {said(metric, deviations[most])} ({declarations.short(most)}).")


def row(metric, one):
    """The cells of a comparison."""
    first, second = map(declarations.short, one.names)
    return [f"{second} minus {first}", said(metric, one.difference, "+"), " and ".join(map(str, one.seeds)),
            f"{one.against:g} of {one.pairs} pairs"]


def said(metric, x, sign=""):
    """A difference or deviation with its unit."""
    if is_fraction(metric):
        return f"{100 * x:{sign}.1f} points"
    return f"{x:{sign}.3g}" + (" px²" if metric == "best_valid_loss" else "")


# ---- the figure -----------------------------------------------------------------------------------------------------

def figure(declared, report, found, path):
    """Writes every seed of the runs that have several to the PNG file `path`. Returns whether there are enough."""
    numbers = numbers_of(declared, report, found)
    if len(numbers) < LEAST:
        return False
    metric = declared["headline"][report][1]
    quantity = metric.removeprefix("best_")
    printed = {}
    for number in sorted(printed_of(declared, list(numbers)), key=lambda number: number.epoch):
        if number.quantity == quantity:  # the last epoch's is kept
            printed[number.run] = (number.low, number.high)
    save(draw(metric, numbers, printed, declared["pages"][report]["title"]), path)
    return True


def draw(metric, numbers, printed, title):
    """Returns a Figure: a row for each run with a dot for each seed, their mean, and the number that the report prints.

    Behind a run's name stands how many seeds it has. Below, as long as they are: the smallest differences that can be
    seen with 3, 5 and 10 seeds of each run.
    """
    scale = 100 if is_fraction(metric) else 1
    order = sorted(numbers, key=lambda run: statistics.mean(numbers[run]))
    deviation, bars = deviation_of(numbers), (3, 5, 10)
    with matplotlib.rc_context(STYLE):
        fig = empty_figure(7.5, 1.7 + 0.23 * (len(order) + len(bars)))
        ax = fig.subplots()
        for place, run in enumerate(order):
            ax.plot([scale * x for x in numbers[run]], [place] * len(numbers[run]), "o", color=COLOURS[0], alpha=0.55,
                    markersize=6, markeredgewidth=0, label="one seed" if place == 0 else None)
            ax.plot(scale * statistics.mean(numbers[run]), place, "|", color="black", markersize=13,
                    markeredgewidth=1.6, label="mean" if place == 0 else None)
        known = [(scale * sum(printed[run]) / 2, place) for place, run in enumerate(order) if run in printed]
        if known:
            ax.plot(*zip(*known), "D", color="none", markeredgecolor=COLOURS[6], markersize=6, label="reported")
        low, _ = ax.get_xlim()
        for place, seeds in enumerate(bars, 1):
            length = scale * smallest_difference(deviation, seeds)
            ax.errorbar(low + length / 2, -place - 0.6, xerr=length / 2, capsize=3, linewidth=1.5, **GREY)
            ax.annotate(said(metric, length / scale), (low + length, -place - 0.6), (6, 0), textcoords="offset points",
                        va="center", fontsize=8, color="0.35")
        ax.axhline(-0.8, linewidth=0.8, **GREY)
        ax.set_yticks([*range(len(order)), *(-place - 0.6 for place in range(1, len(bars) + 1))],
                      [*(f"{declarations.short(run)} ({len(numbers[run])})" for run in order),
                       *(f"visible with {n} seeds each" for n in bars)])
        ax.set(ylim=(-len(bars) - 1.1, len(order) - 0.4),
               xlabel=in_words(metric) + (" (%)" if is_fraction(metric) else " (px²)"))
        ax.grid(axis="x")
        fig.legend(loc="outside lower center", ncols=3)
        ax.text(0.99, 0.01, "a difference as long as a bar is visible", transform=ax.transAxes, ha="right",
                va="bottom", fontsize=8, color="0.35")
        fig.suptitle(f"{title.partition(':')[0]}: every seed, and the smallest difference that can be seen",
                     fontweight="bold")
    return fig
