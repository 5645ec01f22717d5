"""What is still to be measured, and in which order: the runs first that decide most claims and comparisons per hour.

    make campaign                                # trains them, as many at a time as there are cores
    python experiments/report.py targets         # their results, as make names them, in that order
    make status                                  # ends with how many are left, and how many hours they take

A run that takes less than half an hour is wanted with three seeds, which give a claim an interval, any other with one.
What results/records.jsonl has of the same flags need not be trained again. Hours are those of one core on a CPU, of the
device on a GPU; costs.py measures or estimates them.
"""
import contextlib
from pathlib import Path

# What judges claims brings torch, seconds to load, and is imported where it is needed.
from experiments import costs, declarations, jobs, runs, status

SHORT, SEEDS = 1800, (0, 1, 2)  # seconds


# ---- what is left ---------------------------------------------------------------------------------------------------

def left(declared, options, seeds=()):
    """Returns what is still to be trained, and what cannot be: ({(run, seed): seconds}, the same, {why: [run, ...]}).

    The second are recorded, but what is to be trained starts from their weights, which are not here.
    options: `runs` and `data_dir`, folders, and `flags`, those that make appends to every run's own; with such flags
    what is recorded does not count. seeds: those that are wanted of every run; if there are none, SEEDS are.
    """
    flags, gpu = declarations.trained(declared), jobs.has_gpu()
    found = costs.read_records()
    records, steps = costs.of_kind(found, gpu), costs.read_steps()
    recorded = set()
    if not options.flags:
        recorded = {(record["run"], record["seed"]) for record in declarations.as_declared(declared, found)}

    def is_done(run, seed):
        line = declarations.expected_line(declared, run, options.flags)
        return runs.state_of(Path(options.runs, run, f"seed{seed}"), line)[0] in runs.DONE

    todo, again, lacking, seconds = {}, {}, {}, {}
    for run, line in flags.items():
        seconds[run], _ = costs.cost(run, line, records, steps, gpu)
        for seed in seeds or (SEEDS if seconds[run] < SHORT else SEEDS[:1]):
            if (run, seed) in recorded or is_done(run, seed):
                continue
            lack = status.what_lacks(declared, run, seed, options)
            if lack:
                lacking.setdefault(lack, []).append(run)
            else:
                todo[run, seed] = seconds[run]
    for run, seed in todo:
        for source in sources_of(declared, run):
            if (source, seed) not in todo and not is_done(source, seed):
                again[source, seed] = seconds[source]
    return todo, again, lacking


def sources_of(declared, run):
    """The run that a run starts from, the one that that one starts from, and so on."""
    found = []
    while run := declarations.source_of(declared, run):
        found.append(run)
    return found


def in_words(todo, again, lacking):
    """A line on what is left, of what `left` returns: "left: 3 runs, about 1.5 hours of a core; make campaign ..."."""
    unable = sum(len(of_runs) for of_runs in lacking.values())
    but = f", and {unable} that cannot be trained as things are" if unable else ""
    if not todo:
        return f"left: nothing{but}"
    many = "1 run" if len(todo) == 1 else f"{len(todo)} runs"
    hours, of_what = sum([*todo.values(), *again.values()]) / 3600, "the GPU" if jobs.has_gpu() else "a core"
    return f"left: {many}, about {hours:.1f} hours of {of_what}{but}; make campaign trains what it can"


# ---- in which order -------------------------------------------------------------------------------------------------

class Anything(dict):
    """Has the same value under every name."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def __contains__(self, name):
        return True

    def __missing__(self, name):
        return self.value

    def get(self, name, default=None):
        return self.value


def runs_of(claim):
    """Returns the names of the runs that a claim is judged by.

    Its parts are asked for their sides of runs that are made up, and what they look at is noted. That these runs say
    nothing that makes sense does not matter.
    """
    from experiments import claims

    asked = {}

    def made_up(run):
        asked[run] = None
        curve = [1 / epoch for epoch in range(1, 401)]
        return {"run": run, "status": "finished", "metrics": Anything(0.5), "curves": Anything(curve),
                "described": Anything(Anything(0.5))}

    for part in claims.functions()[claim]():
        with contextlib.suppress(ArithmeticError, LookupError, TypeError, ValueError, claims.verdicts.NotJudgeable):
            part.sides(made_up)
    return list(asked)


def order(todo, again, wanted, declared):
    """Returns the runs of `todo` and `again`, as of `left`, those first that answer most questions per hour.

    wanted: for each question the names of its runs. A question is answered twice: by one seed, as far as that goes, and
    by all. The one that costs least, by what is not planned yet, is next. Runs of none come last, the shortest first.
    """
    seconds, steps = {**again, **todo}, []
    for names in wanted:
        names = [declarations.real(declared, name) for name in names]
        for seeds in ({0}, {seed for _, seed in todo}):
            step = [(run, seed) for run, seed in todo if run in names and seed in seeds]
            sources = [(source, seed) for run, seed in step for source in sources_of(declared, run)]
            steps.append(dict.fromkeys([*(source for source in sources if source in seconds), *step]))
    planned = {}
    while True:
        steps = [[run for run in step if run not in planned] for step in steps]
        steps = [step for step in steps if step]
        if not steps:
            break
        planned.update(dict.fromkeys(min(steps, key=lambda step: sum(seconds[run] for run in step))))
    return [*planned, *sorted((run for run in seconds if run not in planned), key=seconds.get)]


def targets(declared, options, seeds=()):
    """The results that are still to be made, as make names them, in the order of `order`. The arguments are `left`'s.

    Questions are the claims and the comparisons, but for those of which a run cannot be trained here.
    """
    from experiments import claims

    todo, again, lacking = left(declared, options, seeds)
    unable = {run for of_runs in lacking.values() for run in of_runs}
    wanted = [runs_of(claim) for claim in claims.functions() if not claims.is_counted(claim)]
    wanted = [names for names in [*wanted, *declared["exp"].values()] if unable.isdisjoint(names)]
    return [f"{options.runs}/{run}/seed{seed}/result.json" for run, seed in order(todo, again, wanted, declared)]
