"""Where every run stands, why one cannot be trained here, and the list of what is declared.

    make status                                  # done, diverged, running, interrupted, failed, missing
    make list                                    # every comparison, its runs and what the reports printed
"""
import collections
import functools
import sys
from pathlib import Path

# What brings torch, seconds to load, is imported where it is used: the status of runs that are done needs none of it.
from experiments import runs
from experiments.declarations import as_dict, expected_line, real, source_of, trained


def status(declared, names, options, lines=True):
    """Prints where runs stand, a line each, and a closing line. Returns whether all of them are done or diverged.

    options: `runs` and `data_dir`, folders, `seeds`, a list, and `flags`, those that make appends to every run's own.
    lines=False leaves out the runs that are done or missing, and second names. For an alias the run counts that it
    stands for, and every run counts once.
    """
    count, lacking, to_fetch = collections.Counter(), {}, 0
    for run in dict.fromkeys([*names, *(real(declared, name) for name in names)]):
        if real(declared, run) != run:
            if lines:
                print(f"  {'alias':12}{run} = {real(declared, run)}")
            continue
        for seed in options.seeds:
            folder = Path(options.runs, run, f"seed{seed}")
            state, word = runs.state_of(folder, expected_line(declared, run, options.flags))
            count[state] += 1
            if state == "missing":
                lack = what_lacks(declared, run, seed, options)
                lacking.setdefault(lack, []).append(run)
                if not lack and is_fetched(flags_of(declared, run, options), options.data_dir):
                    to_fetch += 1
            if lines or state not in (*runs.DONE, "missing"):
                print(f"  {state:12}{run} seed {seed}" + (f"  {word}" if word else ""))
    for lack, of_runs in lacking.items():
        if lack:
            print(f"  {so_many(len(of_runs))} cannot be trained as things are: {lack}")
    if to_fetch:
        print(f"  for {so_many(to_fetch)} train.py fetches CIFAR-10, once for all. Without a network put its archive "
              "on this box and run `python data.py unpack ARCHIVE`.")
    counted = ", ".join(f"{count[state]} {state}" for state in runs.STATES if count[state])
    print(f"status: {counted or 'nothing declared'}")
    return all(state in runs.DONE for state in count)


def so_many(runs):
    """A number of runs in words."""
    return "1 run" if runs == 1 else f"{runs} runs"


def what_lacks(declared, run, seed, options):
    """Why a run that is missing cannot be trained as things are, or "".

    The run that it starts from, or whose net cleans its data, is made before it; what that one lacks, this one lacks.
    """
    from experiments import imagenet

    wrong = wrong_with(declared, run, options.flags)
    if wrong:
        return wrong
    source = source_of(declared, run)
    if source and not Path(options.runs, source, f"seed{seed}", "result.json").exists():
        lack = what_lacks(declared, source, seed, options)
        if lack:
            return lack
    flags = flags_of(declared, run, options)
    if "pretrained" in flags:
        file = imagenet.file_of(flags["model"])
        if not file.exists():
            return (f"the ImageNet weights of {flags['model']} are not in {file} yet. With a network train.py "
                    f"downloads them; without one copy {file.name} there.")
    if is_fetched(flags, options.data_dir):
        return ""
    return said_of_data(flags, options.data_dir)


def flags_of(declared, run, options):
    """The flags {flag: value} of a run, with those that make appends."""
    return as_dict(f"{declared['run'][run]} {options.flags}")


def said_of_data(flags, data_dir):
    """What data.py says against the data set of a run with these flags, where it is not there; else ""."""
    import data

    if "synthetic" in flags:
        return ""
    try:
        data.locate(flags.get("data", "cifar10"), data_dir)
    except data.DataError as e:
        return str(e)
    return ""


def is_fetched(flags, data_dir):
    """Will train.py fetch the data set of a run with these flags? That is CIFAR-10, where nothing of it is there."""
    from experiments import readers

    if flags.get("data", "cifar10") != "cifar10":
        return False
    if Path(data_dir, "cifar10").is_file():  # where the folder is to be
        return False
    return said_of_data(flags, data_dir) == readers.missing("cifar10", Path(data_dir))


def show_list(declared):
    """Prints every comparison with its runs and their printed numbers.

    Returns whether train.py takes the flags of all runs. Those whose flags it refuses are named after the list, on
    stderr.
    """
    from experiments.words import shown_wants

    print("all: " + ", ".join(f"report-{report}" for report in sorted(declared["pages"])))
    for name, names in declared["exp"].items():
        print("\n" + heading(declared, name))
        for run in names:
            words = []
            if real(declared, run) != run:
                words.append(f"= {real(declared, run)}")
            if run in declared["want"]:
                words.append(f"reported: {shown_wants(declared['want'][run])}")
            print(f"  {run:36}{', '.join(words)}")
    wrong = wrong_flags(declared)
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return not wrong


def heading(declared, name):
    """A comparison's target and sentence: "exp-flip: Mirrored images in training."."""
    about = declared["about"][name]
    return f"exp-{name}: {about}" if about else f"exp-{name}"


def wrong_flags(declared):
    """Sentences, with file and line, on the declared runs whose flags train.py refuses or make cannot follow."""
    import train

    sentences = []
    for run, flags in trained(declared).items():
        try:
            train.parse([*flags.split(), "--run", run])
            check_source(declared, flags)
            check_identity(flags)
        except runs.BadInput as e:
            sentences.append(f"{declared['where'][run]}: {run}: {e}")
    return sentences


def wrong_with(declared, run, extra_flags=""):
    """A sentence on flags that train.py refuses, of a run or of what it starts from: with file and line, or "".

    extra_flags: those that make appends to every run's own.
    """
    source = source_of(declared, run)
    wrong = wrong_with(declared, source, extra_flags) if source else ""
    if wrong:
        return wrong
    own = declared["run"][run]
    refusal = refused(f"{own} {extra_flags}".strip())
    if refusal and refused(own):
        return f"{declared['where'][run]}: {run}: {refused(own)}"
    return f"with {extra_flags} appended: {refusal}" if refusal else ""


@functools.cache  # asked for every seed, and again for what is left
def refused(flags):
    """What train.py says of flags that it does not take; of others ""."""
    import train

    try:
        train.parse(flags.split())
    except runs.BadInput as e:
        return str(e)
    return ""


def check_identity(flags):
    """Raises BadInput for a flag that says where or how a run is made. It is left out of what decides freshness, so a
    run that declares one would never count as done."""
    kept = runs.identity_flags(flags.split()).split()
    if kept != flags.split():
        word = next(word for word in flags.split() if word not in kept)
        raise runs.BadInput(f"{word} says where or how a run is made, not what it is: leave it out of the declaration.")


def check_source(declared, flags):
    """Raises BadInput for flags that start from a run that make cannot find, to train it first."""
    words = flags.split()
    for flag in ("--init-from", "--clean-by"):
        if flag in words:
            raise runs.BadInput(f"write {flag}=REPORT/RUN, with =, so that make knows what to train first.")
        for word in words:
            source = word.removeprefix(f"{flag}=")
            if word != source and source not in declared["run"]:
                raise runs.BadInput(f"{word} names no declared run.")
