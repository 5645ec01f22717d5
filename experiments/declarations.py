"""What experiments/REPORT.mk declare: comparisons, their runs, figures and printed numbers, and claims.

    make list                                    # every comparison, its runs and what the reports printed
    make show RUN=keypoints/adam-bn              # the exact command of one run

The .mk files are the only place that has these. make expands the values; their order, the sentences above the
comparisons and the lines on which the runs stand are read here. A run's report is what stands before the slash of its
name. A comparison's report is the one whose file declares it, so it may begin with another report's run.

    ## What is compared. The sentence may go on in the next line, which begins with ## too.
    exp.NAME         = REPORT/RUN REPORT/RUN     the order of its table
    plots.NAME       = curves faces              its figures; without this line: curves
    run.REPORT/RUN   = --model lenet5 --lr 0.1   the flags for train.py
    alias.REPORT/NAME = REPORT/RUN               a second name of that run; it may have a want line of its own
    want.REPORT/RUN  = test_acc=0.68             what the report printed; without this line: no number
    claim.L2         = wide ReLU beats classic ReLU
    headline.REPORT  = REPORT/RUN test_acc       the number that stands for the report in the READMEs

What a report's page says in words stands in experiments/REPORT.md, see findings.py.
"""
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from experiments import runs

ROOT = Path(__file__).resolve().parent.parent
DECLARATION = re.compile(r"(exp|plots|run|alias|want|claim|headline)\.([^\s:=]+)\s*:?=")
# What a make that is under way hands to its children: it would change what the declarations say.
OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "FLAGS", "SYNTHETIC")


def declarations(root=ROOT):
    """Returns everything that the project in the folder `root` declares, in the order of the files.

    "exp": {comparison: [run, ...]}, "about": {comparison: its sentence, or ""}, "plots": {comparison: [word, ...]},
    "report": {comparison: the report whose file declares it}, "run": {run: flags}, "alias": {second name: run},
    "where": {run: file and line, as in "experiments/net.mk:12"}, "want": {run: printed numbers}, of runs that have
    some, "claim": {claim: sentence}, "headline": {report: [run, metric]}, and, in the order of their titles,
    "pages": {report: {"title": ..., "claims": [claim, ...]}}.

    An alias is in "run", too, with the flags of the run that it stands for, so that whoever has a name finds its
    flags; who trains or counts runs asks trained().

    Raises BadInput where make cannot read the files, which includes an alias of something that is no run, where
    something is declared twice, or a figure or number is of something that is not declared.
    """
    values = expanded(root)
    declared = {part: {} for part in ("exp", "about", "plots", "report", "run", "alias", "where", "want", "claim",
                                  "headline", "pages")}
    refuse_doubles(root)
    for file in mk_files(root):
        read_file(file, values, declared)
    for part, owner in (("plots", "exp"), ("want", "run")):
        for name in declared[part]:
            if name not in declared[owner]:
                where = place_of(f"{part}.{name}", root)
                raise runs.BadInput(f"{where}: there is no {owner}.{name} for {part}.{name}.")
    for report, words in declared["headline"].items():
        if report not in declared["pages"] or len(words) != 2 or words[0] not in declared["run"]:
            where = place_of(f"headline.{report}", root)
            raise runs.BadInput(f"{where}: headline.{report} is not headline.REPORT = REPORT/RUN METRIC of what is "
                                "declared.")
    for name in declared["exp"]:
        declared["plots"].setdefault(name, ["curves"])
    declared["pages"] = dict(sorted(declared["pages"].items(), key=lambda item: item[1]["title"]))
    return declared


def mk_files(root=ROOT):
    """The files that declare something, in the order in which make includes them."""
    return sorted((Path(root) / "experiments").glob("*.mk"))


def expanded(root):
    """Asks make for the values: {"run.net/adam": "--model net ..."}. Raises BadInput with what make says."""
    env = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
    asked = subprocess.run(["make", "-s", "declared"], cwd=root, env=env, capture_output=True, text=True)
    if asked.returncode != 0:
        raise runs.BadInput(f"make cannot read experiments/*.mk: {asked.stderr.strip()}")
    return dict(line.split("=", 1) for line in asked.stdout.splitlines())


def refuse_doubles(root):
    """Raises BadInput, naming both places, for what is declared twice: make takes the last and says nothing."""
    places = {}
    for file in mk_files(root):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = DECLARATION.match(line)
            if not match:
                continue
            variable, place = ".".join(match.groups()), f"experiments/{file.name}:{number}"
            if variable in places:
                raise runs.BadInput(f"{place}: {variable} is declared in {places[variable]} already. Give one of them "
                                    "another name.")
            places[variable] = place


def read_file(file, values, declared):
    """Adds to `declared` what one .mk file declares."""
    report, title, about, previous = file.stem, None, "", ""
    claims, declares_something = [], False
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if title is None and line.startswith("# "):
            title = line[2:].rstrip(".")
        if line.startswith("## "):
            goes_on = previous.startswith("## ")
            about = f"{about} {line[3:]}" if goes_on else line[3:]
        elif match := DECLARATION.match(line):
            declares_something = True
            kind, name = match.groups()
            value = values[f"{kind}.{name}"]
            declared[kind][name] = value.split() if kind in ("exp", "plots", "headline") else value
            if kind == "exp":
                declared["report"][name] = report
                declared["about"][name] = about
                about = ""  # used up: the next comparison has a sentence of its own, or none
            elif kind in ("run", "alias"):
                declared["where"][name] = f"experiments/{file.name}:{number}"
                if kind == "alias":
                    declared["run"][name] = values[f"run.{value}"]
            elif kind == "claim":
                claims.append(name)
        previous = line
    if declares_something:
        declared["pages"][report] = {"title": title or report, "claims": claims}


def place_of(variable, root=ROOT):
    """File and line on which a variable such as plots.adam is set: "experiments/keypoints.mk:15"."""
    for file in mk_files(root):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = DECLARATION.match(line)
            if match and ".".join(match.groups()) == variable:
                return f"experiments/{file.name}:{number}"
    return "experiments/*.mk"


def check(declared, kinds, functions, root=ROOT):
    """Raises BadInput, naming the file, for a comparison without runs, a figure of no known kind, a claim without a
    function, or the reverse.

    kinds: the kinds of figures that there are. functions: {report: the names of the functions that judge its claims}.
    """
    for name, names in declared["exp"].items():
        if not names:
            raise runs.BadInput(f"{place_of(f'exp.{name}', root)}: exp.{name} has no runs.")
    for name, words in declared["plots"].items():
        for word in words:
            kind = word.partition(":")[0]
            if kind not in kinds:
                where = place_of(f"plots.{name}", root)
                raise runs.BadInput(f"{where}: plots.{name} asks for {kind}; there are {', '.join(kinds)}.")
    for report, page in declared["pages"].items():
        judged = functions.get(report, ())
        for claim in page["claims"]:
            if claim not in judged:
                where = place_of(f"claim.{claim}", root)
                raise runs.BadInput(f"{where}: claim.{claim} needs a function {claim} in experiments/{report}.py "
                                    "that judges it.")
        for claim in judged:
            if claim not in page["claims"]:
                raise runs.BadInput(f"experiments/{report}.py: the function {claim} judges a claim without a sentence. "
                                    f"Declare claim.{claim} in experiments/{report}.mk.")


def real(declared, name):
    """The run that a name stands for: of an alias the run that it is a second name of, else the name itself."""
    return declared.get("alias", {}).get(name, name)


def trained(declared):
    """The flags {run: flags} of all runs that can be trained: those that are declared, without their second names."""
    return {run: flags for run, flags in declared["run"].items() if real(declared, run) == run}


def report_of(run):
    """The report of a run: what stands before the slash."""
    return run.partition("/")[0]


def short(run):
    """A run's name within its report: what stands behind the slash."""
    return run.partition("/")[2]


def as_dict(flags):
    """Returns "--lr 0.01 --flip" as {"lr": "0.01", "flip": ""}; of a flag that comes twice the last value counts."""
    values, flag = {}, None
    for word in flags.split():
        if word.startswith("--"):
            flag, _, value = word.removeprefix("--").partition("=")
            values[flag] = value
        elif flag is not None:
            values[flag] = f"{values[flag]} {word}".strip()
    return values


class Wanted(NamedTuple):
    """A number that a report printed, as a want line has it."""

    quantity: str  # the metric without its epoch: test_acc, train_loss+penalty/4
    epoch: int | None  # None for the end
    text: str  # 0.68, or 0.68..0.69 for a range

    def ends(self):
        """The ends of a range, [0.68, 0.69]; of one number that number alone."""
        return [float(end) for end in self.text.split("..")]


def wanted(declared, run):
    """What the report printed of a run, a list of Wanted, in the order of its want line; [] for nothing."""
    return read_want(declared["want"].get(run, ""))


def read_want(want):
    """The numbers of a want line, a list of Wanted, in its order."""
    found = []
    for word in want.split():
        metric, _, text = word.partition("=")
        quantity, _, epoch = metric.partition("@")
        found.append(Wanted(quantity, int(epoch) if epoch else None, text))
    return found


def as_declared(declared, records):
    """The records of runs that are declared now as they were made, as are the runs that they start from.

    A record that does not say what it starts from counts if that is nothing.
    """
    lines, found = {}, []
    for record in records:
        run = record["run"]
        if run not in declared["run"]:
            continue
        if run not in lines:
            lines[run] = expected_line(declared, run)
        if line_of(record) == lines[run]:
            found.append(record)
    return found


def line_of(record):
    """The line of flags that a record was made with, as runs.flags_line has that of its folder."""
    return runs.join_lines(record["flags"], record.get("init_flags"))


def own_records(declared, report, records):
    """The records of a report's own runs, without those under second names."""
    own = trained(declared)
    return [record for record in records if report_of(record["run"]) == report and record["run"] in own]


def is_of_ours(declared, name):
    """Is a comparison one of ours, which the report does not have? Then its sentence begins with "Ours"."""
    return (declared["about"].get(name) or "").startswith("Ours")


def is_ours(declared, run):
    """Is a run in no comparison but ours?"""
    return all(is_of_ours(declared, name) for name, names in declared["exp"].items() if run in names)


def source_of(declared, run):
    """The declared run that this one starts from (--init-from) or whose net cleans its data (--clean-by), or None."""
    flags = as_dict(declared["run"][run])
    source = flags.get("init-from", flags.get("clean-by"))
    return source if source in declared["run"] else None


def expected_line(declared, run, extra_flags=""):
    """What runs.flags_line of a run's folder must be for its result to count. The Makefile makes the same line.

    It has the declared flags, with those that make appends to every run (FLAGS), and behind them those of the run that
    this one starts from, if any.
    """
    own = f"{declared['run'][run]} {extra_flags}".strip()
    source = source_of(declared, run)
    start = expected_line(declared, source, extra_flags) if source else None
    return runs.join_lines(own, start)
