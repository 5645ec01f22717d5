"""Verdicts on the reports' claims: the sentences of REPORT.mk, judged by the functions of REPORT.py beside it.

    make report                                  # the verdicts by the committed records open results/REPORT.md
    make exp-bn-dropout SEEDS="0 1 2"            # those by the runs of one comparison

The modules are found by the names of the .mk files that have claims. The functions of a claim are named as it is: K4
judges claim.K4, and returns its parts. How a part is judged stands in verdicts.py, by what in thresholds.py.
"""
import functools
import importlib
import math
import re
import statistics

from experiments import declarations, verdicts
from experiments.records import NotRun
from experiments.thresholds import CHANGES
from experiments.words import markdown

HEAD = ["claim", "the report says", "reported", "measured", "difference or value [95 %]", "threshold", "seeds",
        "verdict"]
# What a verdict counts as.
GROUPS = {verdicts.HOLDS: "holds", verdicts.FAILS: "does not hold", verdicts.UNDECIDED: "undecided",
          verdicts.DEPENDS: "undecided", verdicts.LOOKS_SO: "looks so", verdicts.LOOKS_NOT_SO: "does not look so",
          verdicts.ONE_DEPENDS: "undecided", verdicts.NOT_JUDGEABLE: "not judgeable", verdicts.IN_PART: "not run",
          verdicts.NOT_RUN: "not run"}
IN_SHORT = {"holds": "Holds", "does not hold": "Does not hold", "undecided": "Undecided, or dependent on the scoring",
            "looks so": "Looks so, by one seed", "does not look so": "Does not look so, by one seed",
            "not judgeable": "Not judgeable", "not run": "Not run, or only in part"}
ABOUT = """\
*Measured* is the mean of each side, over the seeds of which both sides were measured. *Difference* is the mean of the
differences seed by seed (of the ratios, where the unit is "times"; of one number that number), with its 95 % interval
by Student's t. A claim *holds* if the whole interval satisfies the threshold, *does not hold* if none of it does, and
is *undecided* between. One seed has no interval and gives no verdict. An accuracy after a divergence counts as worse
than any. *Not judgeable*: what the claim takes for granted did not happen, as where a run blew up that was to be
compared. A yes or no needs three seeds that agree. A claim of several parts holds if all of them do; parts called open
are shown and decide nothing. The interval takes the seeds for independent and their differences for roughly normal.
Runs of one seed share first weights and the order of images where their nets and optimizers let them; where they do
not, the pairing gains nothing, and the interval is only wider."""


@functools.cache
def modules():
    """Returns {report: the module with the functions that judge its claims}, of the reports that have both."""
    found = {}
    for file in declarations.mk_files():
        has_claims = re.search(r"^claim\.", file.read_text(), re.MULTILINE)
        if has_claims and file.with_suffix(".py").exists():
            found[file.stem] = importlib.import_module(f"experiments.{file.stem}")
    return found


def functions_of(module):
    """The functions of a module that judge a claim, by name, in the order in which they stand there."""
    return {name: thing for name, thing in vars(module).items()
            if re.fullmatch(r"[A-Z]\d+", name) and callable(thing)}


def names_by_report():
    """Returns {report: the names of the claims that its module judges}, for declarations.check."""
    return {report: list(functions_of(module)) for report, module in modules().items()}


def functions():
    """All functions that judge a claim, by name."""
    return {name: function for module in modules().values() for name, function in functions_of(module).items()}


def is_counted(claim):
    """Returns whether this claim is judged by the nets alone, so that it needs no run."""
    return any(claim in getattr(module, "COUNTED", ()) for module in modules().values())


def has_readings(claim):
    """Returns whether the parts of this claim are one question that is answered in different ways."""
    return any(claim in getattr(module, "READINGS", ()) for module in modules().values())


# ---- judging --------------------------------------------------------------------------------------------------------

def verdict(claim, records, declared=None):
    """Judges a claim by records. Returns its verdict, a word of verdicts.py, and what came out for each part.

    A seed of which a part lacks a run is not judged by that part. declared: for what the report printed, see
    declarations.declarations; without it nothing counts as printed.
    """
    found = {(record["run"], record["seed"]): record for record in records}
    counted = is_counted(claim)
    seeds = sorted({seed for _, seed in found}) or [0]
    if counted:
        seeds = [0]
    lookups = {seed: functools.partial(record_of, found, seed) for seed in seeds}
    printed = functools.partial(printed_record, declared) if declared and not counted else None
    parts = functions()[claim]()
    judged = [verdicts.judge(part, lookups, printed, counted) for part in parts]
    words = [result.word for part, result in zip(parts, judged) if part.judged]
    return verdicts.together(words, has_readings(claim)), judged


def record_of(found, seed, run):
    """The record of a run and seed among {(run, seed): record}; raises NotRun where it is not there."""
    if (run, seed) not in found:
        raise NotRun
    return found[run, seed]


def printed_record(declared, run):
    """What the report printed of a run, in the form of a record: of a range its middle. Raises NotRun for no number.

    Losses over the batch size are left out: what they are compared with stands in the tables.
    """
    metrics, curves = {}, {}
    for number in declarations.wanted(declared, run):
        middle = statistics.mean(number.ends())
        if number.epoch:
            by_epoch = curves.setdefault(number.quantity, [])
            by_epoch += [None] * (number.epoch - len(by_epoch))
            by_epoch[number.epoch - 1] = middle
        else:
            metrics[number.quantity] = middle
    if not metrics and not curves:
        raise NotRun
    numbers = [*metrics.values(), *(x for by_epoch in curves.values() for x in by_epoch if x is not None)]
    status = "diverged" if any(math.isnan(x) for x in numbers) else "printed"
    return {"run": run, "status": status, "metrics": metrics, "curves": curves}


# ---- on a page ------------------------------------------------------------------------------------------------------

def claims_table(declared, claims, records):
    """The verdicts on some claims, a Markdown table: a row for each, and one for each part where there are several.

    Of a claim of which no part was run, or none is judgeable, the parts are left out.
    """
    rows = []
    for claim in claims:
        word, judged = verdict(claim, records, declared)
        sentence = declared["claim"][claim]
        words = {part.word for part in judged}
        if len(judged) > 1 and words in ({verdicts.NOT_RUN}, {verdicts.NOT_JUDGEABLE}):
            reasons = ", ".join(sorted({reason for part in judged for reason in part.difference.split(", ")}))
            rows.append([f"**{claim}**", sentence, "", "–", reasons, "", judged[0].seeds, f"**{word}**"])
            continue
        if len(judged) == 1:
            part = judged[0]
            rows.append([f"**{claim}**", sentence, part.reported, part.measured, part.difference, part.asked,
                         part.seeds, f"**{word}**"])
            continue
        rows.append([f"**{claim}**", sentence, "", "", "", "", "", f"**{word}**"])
        for part in judged:
            rows.append(["", f"– {part.says}", part.reported, part.measured, part.difference, part.asked, part.seeds,
                         part.word])
    return markdown(HEAD, rows)


def once_more(declared, report, records):
    """A report's claims judged by other runs than its own, as its module's ONCE_MORE says: Markdown lines.

    ONCE_MORE: {"title", "about", "claims": their names, "runs": {a run of the report's: what stands in for it}}. Any
    other run stands for itself. [] where the module has none, or nothing that stands in was measured.
    """
    wanted = getattr(modules().get(report), "ONCE_MORE", None)
    if wanted is None:
        return []
    stands_for = {other: run for run, other in wanted["runs"].items()}
    stand_ins = [{**record, "run": stands_for[record["run"]]} for record in records if record["run"] in stands_for]
    if not stand_ins:
        return []
    others = [record for record in records if record["run"] not in wanted["runs"]]
    return [f"### {wanted['title']}", "", wanted["about"], "",
            claims_table(declared, wanted["claims"], [*others, *stand_ins]), ""]


def tally(declared, claims, records):
    """Returns {group: claims}, of the groups of GROUPS, in the order of IN_SHORT.

    A claim of which a part was not run and no other fails counts as not run. declared is there for the printed numbers.
    """
    found = {group: [] for group in IN_SHORT}
    for claim in claims:
        word, _ = verdict(claim, records, declared)
        found[GROUPS[word]].append(claim)
    return found


def in_short(declared, claims, records):
    """A list, in Markdown, of which claims hold, which do not, and so on; with the sentences of those judged."""
    lines = []
    for group, names in tally(declared, claims, records).items():
        if group in ("not judgeable", "not run"):
            said = ", ".join(names)
        else:
            said = "; ".join(f"{declared['claim'][name]} ({name})" for name in names)
        if names:
            lines.append(f"- **{IN_SHORT[group]}**: {said}")
    return "\n".join(lines)


def thresholds_section(claims):
    """What the verdicts of a page mean, and which of its thresholds were changed after a measurement, in Markdown."""
    lines = ["<details><summary>How the verdicts are made</summary>", "", ABOUT, "",
             "The thresholds stand in `experiments/thresholds.py`, each with the date and the commit that "
             "introduced it."]
    changes = [[claim, date, what, why] for claim, date, what, why in CHANGES if claim in claims]
    if changes:
        lines += ["Changed after a first measurement was there:", ""]
        lines += [f"- {claim}, {date}: {what}. Why: {why}." for claim, date, what, why in changes]
    return "\n".join([*lines, "", "</details>"])
