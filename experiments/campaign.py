"""What is still to be measured, and in which order: the runs first that decide most claims per hour.

    make campaign                                # trains them, as many at a time as there are cores
    python experiments/report.py targets         # their results, as make names them, in that order
    make status                                  # ends with how many are left, and how many hours they take

A run that takes less than half an hour is wanted with three seeds where they give an interval, any other with one: see
`seeds_of`. A comparison counts a tenth of a claim: see `order`. What results/records.jsonl has of the same flags need
not be trained again. Hours are those of one core on a CPU, of the device on a GPU; costs.py measures or estimates them.
"""
import contextlib
from pathlib import Path

# What judges claims brings torch, seconds to load, and is imported where it is needed.
from experiments import costs, declarations, jobs, runs, status

SHORT, SEEDS = 1800, (0, 1, 2)  # seconds
# What a comparison counts, where a claim counts 1. Less would leave the cheap ones until the dearest claim is answered.
COMPARISON = 0.1


# ---- what is left ---------------------------------------------------------------------------------------------------

def left(declared, options, seeds=()):
    """Returns what is still to be trained, and what cannot be: ({(run, seed): seconds}, the same, {why: [run, ...]}).

    The second are recorded, but what is to be trained starts from their weights, which are not here.
    options: `runs` and `data_dir`, folders, and `flags`, those that make appends to every run's own; with such flags
    what is recorded does not count. seeds: those that are wanted of every run; if there are none, see `seeds_of`.
    """
    todo, again, lacking, _ = left_and_wanted(declared, options, seeds)
    return todo, again, lacking


def left_and_wanted(declared, options, seeds=()):
    """What `left` returns and, behind it, {run: the seeds that are wanted of it}. The arguments are `left`'s."""
    found, recorded = costs.read_records(), set()
    if not options.flags:
        recorded = {(record["run"], record["seed"]) for record in declarations.as_declared(declared, found)}

    def is_done(run, seed):
        line = declarations.expected_line(declared, run, options.flags)
        return runs.state_of(Path(options.runs, run, f"seed{seed}"), line)[0] in runs.DONE

    seconds, lacking = seconds_of(declared, options, found)
    wanted = seeds_of(declared, seconds, seeds)
    todo, again = {}, {}
    for run, of_run in wanted.items():
        for seed in of_run:
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
    return todo, again, lacking, wanted


def seconds_of(declared, options, found):
    """Returns {run: its seconds}, with the flags that make appends, and {why: [run, ...]} of those with wrong flags.

    found: all records.
    """
    gpu = jobs.has_gpu()
    records, steps = costs.of_kind(found, gpu), costs.read_steps()
    seconds, wrong = {}, {}
    for run, line in declarations.trained(declared).items():
        sentence = status.wrong_with(declared, run, options.flags)
        if sentence:
            wrong.setdefault(sentence, []).append(run)
        else:
            seconds[run], _ = costs.cost(run, f"{line} {options.flags}".strip(), records, steps, gpu)
    return seconds, wrong


def seeds_of(declared, seconds, seeds=()):
    """Returns {run: the seeds that are wanted of it} of the runs in `seconds`: `seeds` or, if there are none, of SEEDS.

    One of a long run, all of a short one where they give an interval. Runs are compared seed by seed, within a part of
    a claim and within a comparison: beside a long run, the second seed of a short one has nothing to be compared with.
    So it is wanted where all runs of such a part or comparison are short, and of a run that no claim asks for.
    """
    if seeds:
        return dict.fromkeys(seconds, tuple(seeds))
    short = {run for run in seconds if seconds[run] < SHORT}
    of_claims = real_names(declared, (names for claim in judged_claims() for names in parts_of(claim)))
    asked, paired = set(), set()
    for names in of_claims:
        asked.update(names)
    for names in [*of_claims, *real_names(declared, declared["exp"].values())]:
        if short.issuperset(names):
            paired.update(names)
    return {run: SEEDS if run in short and (run in paired or run not in asked) else SEEDS[:1] for run in seconds}


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
    hours, of_what = sum([*todo.values(), *again.values()]) / 3600, "the GPU" if jobs.has_gpu() else "a core"
    return (f"left: {status.so_many(len(todo))}, about {hours:.1f} hours of {of_what}{but}; "
            "make campaign trains what it can")


# ---- which runs a claim asks for ------------------------------------------------------------------------------------

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


def parts_of(claim):
    """Returns for each part of a claim the names of the runs that it is judged by.

    The parts are asked for their sides of runs that are made up, and what they look at is noted. That these runs say
    nothing that makes sense does not matter.
    """
    from experiments import claims

    found = []
    for part in claims.functions()[claim]():
        asked = {}

        def made_up(run, asked=asked):
            asked[run] = None
            curve = [1 / epoch for epoch in range(1, 401)]
            return {"run": run, "status": "finished", "metrics": Anything(0.5), "curves": Anything(curve),
                    "described": Anything(Anything(0.5))}

        with contextlib.suppress(ArithmeticError, LookupError, TypeError, ValueError, claims.verdicts.NotJudgeable):
            part.sides(made_up)
        found.append(list(asked))
    return found


def runs_of(claim):
    """Returns the names of the runs that a claim is judged by, all its parts together."""
    return list(dict.fromkeys(name for names in parts_of(claim) for name in names))


def judged_claims():
    """The names of the claims that are judged by runs; of others the nets are looked at alone."""
    from experiments import claims

    return [claim for claim in claims.functions() if not claims.is_counted(claim)]


def real_names(declared, questions):
    """The runs of questions, lists of names, each with the runs that its second names stand for."""
    return [[declarations.real(declared, name) for name in names] for names in questions]


# ---- in which order -------------------------------------------------------------------------------------------------

def order(todo, again, questions, wanted, declared):
    """Returns the runs of `todo` and `again`, as of `left`, those first that answer most questions per hour.

    questions: a list of (runs, weight); a claim weighs 1, a comparison COMPARISON. wanted: {run: its seeds}. A question
    is answered twice: by one seed, as far as that goes, and by all that are wanted of each of its runs. What such an
    answer still takes is a step. The next one is always that with most answers per second, by their weight, those
    included that it gives on the way; of equals the shortest. Runs that no question asks for come last, the shortest
    first.
    """
    seconds, planned, steps = {**again, **todo}, {}, []
    for names, weight in questions:
        steps += [(step, weight) for step in steps_of(names, todo, again, wanted, declared)]
    while True:
        steps = [({run: None for run in step if run not in planned}, weight) for step, weight in steps]
        steps = [(step, weight) for step, weight in steps if step]
        if not steps:
            break
        next_step, _ = max(steps, key=lambda found: worth_of(found[0], steps, seconds))
        planned.update(next_step)
    return [*planned, *sorted((run for run in seconds if run not in planned), key=seconds.get)]


def steps_of(names, todo, again, wanted, declared):
    """What the answers to a question of these runs take: a dict of (run, seed) for one seed, one for all of them."""
    seeds = [seed for seed in wanted[names[0]] if all(seed in wanted[name] for name in names)]
    steps = []
    for of_step in ([min(seeds)], seeds):
        step = {}
        for run, seed in todo:
            if run in names and seed in of_step:
                sources = [(source, seed) for source in sources_of(declared, run)]
                step.update(dict.fromkeys(source for source in sources if source in todo or source in again))
                step[run, seed] = None
        if step not in steps:
            steps.append(step)
    return steps


def worth_of(step, steps, seconds):
    """By what steps, all that are left, are compared: the answers per second that one gives, and that it is short."""
    answers = sum(weight for other, weight in steps if other.keys() <= step.keys())
    takes = sum(seconds[run] for run in step)
    return answers / max(1, takes), -takes


def targets(declared, options, seeds=()):
    """The results that are still to be made, as make names them, in the order of `order`. The arguments are `left`'s.

    Questions are the claims and the comparisons, but for those of which a run cannot be trained here.
    """
    todo, again, lacking, wanted = left_and_wanted(declared, options, seeds)
    able = wanted.keys() - {run for of_runs in lacking.values() for run in of_runs}
    questions = [(names, 1) for names in real_names(declared, map(runs_of, judged_claims()))]
    questions += [(names, COMPARISON) for names in real_names(declared, declared["exp"].values())]
    questions = [(names, weight) for names, weight in questions if names and able.issuperset(names)]
    ordered = order(todo, again, questions, wanted, declared)
    return [f"{options.runs}/{run}/seed{seed}/result.json" for run, seed in ordered]
