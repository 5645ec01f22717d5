"""Verdicts on the reports' claims: the sentences of REPORT.mk, judged by the functions of REPORT.py beside it.

    make report                                  # the verdicts by the committed records, in results/REPORT.md
    make exp-bn-dropout SEEDS="0 1 2"            # those by the runs of one comparison

The modules are found by the names of the .mk files that have claims. The functions of a claim are named as it is: K4
judges claim.K4.
"""
import functools
import importlib
import re

from experiments import declarations
from experiments.records import NotRun
from experiments.tables import markdown

# The fraction of the seeds that must agree: all of up to four, all but one of five.
HOLDS_FROM, FAILS_UP_TO = 0.8, 0.2


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


def verdict(claim, records):
    """Judges a claim by records, seed by seed.

    Returns ("holds" | "does not hold" | "undecided (needs more seeds)" | "not run", seeds judged, what was seen). The
    runs of one seed share its order of images and their first weights, so each seed is one paired comparison. A seed of
    which a run is missing is not judged.
    """
    function = functions()[claim]
    if is_counted(claim):
        holds, seen = function()
        return "holds" if holds else "does not hold", 0, seen
    found = {(record["run"], record["seed"]): record for record in records}
    judged = []
    for seed in sorted({seed for _, seed in found}):
        try:
            holds, seen = function(functools.partial(record_of, found, seed))
        except NotRun:
            continue
        judged.append((seed, bool(holds), seen))
    if not judged:
        return "not run", 0, ""
    if len(judged) == 1:
        seen = judged[0][2]
    else:
        seen = "; ".join(f"seed {seed}: {words}" for seed, _, words in judged)
    return word_of([holds for _, holds, _ in judged]), len(judged), seen


def record_of(found, seed, run):
    """The record of a run and seed among {(run, seed): record}; raises NotRun where it is not there."""
    if (run, seed) not in found:
        raise NotRun
    return found[run, seed]


def word_of(votes):
    """The verdict where a claim holds for some seeds (True) and does not for others (False)."""
    fraction = sum(votes) / len(votes)
    if fraction >= HOLDS_FROM:
        return "holds"
    if fraction <= FAILS_UP_TO:
        return "does not hold"
    return "undecided (needs more seeds)"


def claims_table(declared, claims, records):
    """The verdicts on some claims, a Markdown table."""
    rows = []
    for claim in claims:
        word, seeds, seen = verdict(claim, records)
        judged_by = "by count" if is_counted(claim) else seeds or "–"
        rows.append([claim, declared["claim"][claim], word, judged_by, seen or "–"])
    return markdown(["claim", "what it says", "verdict", "seeds", "seen, seed by seed"], rows)
