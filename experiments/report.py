"""What is declared in experiments/*.mk beside what was measured: lists, status, tables, verdicts and pages.

    python experiments/report.py exp bn-dropout  # what `make exp-bn-dropout` ends with: figures, table, status line
    python experiments/report.py report          # what `make report` does: the pages of results/; never trains

Exit codes: 0; 2 for bad arguments, a declaration that is wrong, after `exp` and `done` runs that are not done, after
`left` runs that are to be trained, and, after the others were shown, for runs of which a file cannot be read; 1 for a
disk that is full, say.
"""
import argparse
import contextlib
import fcntl
import os
import re
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: the project's folder is where imports begin
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

# What brings torch or matplotlib, seconds to load, is imported where something is made: a comparison that is as it was
# is said in a moment.
from experiments import campaign, declarations, runs, status, unchanged

OF_CAMPAIGN = ("targets", "left")  # what make campaign asks: see campaign.py


def main(argv=None):
    """The command line. Returns an exit code."""
    parser = make_parser()
    options = parser.parse_args(argv)
    default = "" if options.command in OF_CAMPAIGN else "0"
    if options.seeds is None:
        options.seeds = default
    if options.seeds != default and not re.fullmatch(r"\d+( \d+)*", options.seeds):
        parser.error(f'--seeds "{options.seeds}" is no list of whole numbers such as "0 1 2"')
    options.seeds = [int(seed) for seed in options.seeds.split()]
    try:
        return obey(options)
    except runs.BadInput as e:
        print(f"report.py: {e}", file=sys.stderr)
        return runs.BAD_INPUT
    except BrokenPipeError:  # whoever was reading, head say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return runs.FAILED
    except OSError as e:
        print(f"report.py: {e}", file=sys.stderr)
        return runs.FAILED


def obey(options):
    """Does what the command line asks for. Returns an exit code; raises BadInput for wrong declarations and names."""
    declared = declarations.declarations()
    if options.command not in ("exp", "done", *OF_CAMPAIGN):
        check(declared)
    known = declared["run"] if options.command in ("status", "done") else declared["exp"]
    unknown = [name for name in options.names if name not in known]
    if unknown:
        raise runs.BadInput(f"{', '.join(unknown)} is not declared; there are {', '.join(known)}.")
    names = options.names or list(known)

    well = True
    if options.command == "list":
        well = status.show_list(declared)
    elif options.command == "exp":
        well = make_exp(declared, names, options)
    elif options.command == "done":
        well = status.status(declared, names, options, lines=False)
    elif options.command == "status":
        status.status(declared, names, options)
        if not options.names and not options.flags:
            print(campaign.in_words(*campaign.left(declared, options)))
    elif options.command == "targets":
        print("\n".join(campaign.targets(declared, options, options.seeds)))
    elif options.command == "left":
        found = campaign.left(declared, options, options.seeds)
        print(campaign.in_words(*found))
        well = not found[0]
    else:
        from experiments import pages

        well = pages.make_report(declared, options.runs, options.data_dir)
    return runs.FINISHED if well else runs.BAD_INPUT


def check(declared):
    """Raises BadInput, naming the file, for figures of no known kind and claims that no function judges."""
    from experiments import claims, figures

    declarations.check(declared, figures.KINDS, claims.names_by_report())


def make_parser():
    """The parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0], allow_abbrev=False)
    parser.add_argument("command", choices=("list", "status", "done", "exp", "report", *OF_CAMPAIGN))
    parser.add_argument("names", nargs="*", help="comparisons (exp) or runs (status, done); default: all")
    parser.add_argument("--runs", default="runs", help="folder of the runs (default: runs)")
    parser.add_argument("--data-dir", default="data", help="folder of the data sets (default: data)")
    parser.add_argument("--seeds", help='seeds, as in "0 1 2" (default: 0; targets, left: by cost, see campaign.py)')
    parser.add_argument("--flags", default="", help="flags that were appended to every run's own")
    return parser


def make_exp(declared, names, options):
    """Writes figures and table of each comparison into RUNS/figures/exp-NAME/, prints the table, and the status last.

    Where nothing changed since they were made they are left as they are, and named. Returns whether all runs of these
    comparisons are done or diverged, and could be read.
    """
    unread = []
    digests = {name: unchanged.digest(declared, name, options) for name in names}
    folders = {name: Path(options.runs, "figures", f"exp-{name}") for name in names}
    if not all(unchanged.files_of(folders[name], digests[name]) for name in names):
        check(declared)
    with one_at_a_time():
        for name in names:
            there = unchanged.files_of(folders[name], digests[name])
            print("\n" + status.heading(declared, name))
            if there:
                print(f"as before: its table and figures are in {folders[name]}")
                continue
            before = len(unread)
            paths = make_comparison(declared, name, options, folders[name], unread)
            if paths and len(unread) == before:  # else it is said again the next time
                unchanged.keep(folders[name], digests[name], paths)
        of_names = dict.fromkeys(run for name in names for run in declared["exp"][name])
        well = status.status(declared, of_names, options, lines=False)
        sys.stdout.flush()
    return well and not unread


@contextlib.contextmanager
def one_at_a_time():
    """Lets one process of this project print and draw at a time: `make -j2 exp-flip exp-adam` ends with two tables."""
    with open(declarations.ROOT / "Makefile") as file:
        with contextlib.suppress(OSError):  # some network file systems lock only what may be written
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_comparison(declared, name, options, out, unread):
    """Prints the table of a comparison and writes it, table.md, and the figures into the folder `out`.

    Returns the paths of these files; none where nothing is trained yet. unread: see records_of.
    """
    found = records_of(declared, name, options, unread)
    if not found:
        print("nothing trained yet")
        return []
    from experiments import figures

    out.mkdir(parents=True, exist_ok=True)
    text = text_of(declared, name, found, options.flags)
    (out / "table.md").write_text(text)
    print(text)
    paths = figures.draw(declared, name, found, out, "", options.runs, options.data_dir, options.seeds[0])
    for path in paths:
        print(f"wrote {path}")
    return [out / "table.md", *paths]


def records_of(declared, name, options, unread=None):
    """The records of a comparison's runs, also of those not finished, but not of those made with other flags.

    A run that has a second name has its records under that, too. What is wrong with runs that cannot be read is said on
    stderr and added to the list `unread`.
    """
    from experiments import ask, records

    found = []
    for run in dict.fromkeys(declarations.real(declared, run) for run in declared["exp"][name]):
        expected = declarations.expected_line(declared, run, options.flags)
        for seed in options.seeds:
            folder = Path(options.runs, run, f"seed{seed}")
            try:
                record = runs.read_run(folder)
                if record and runs.flags_line(folder) in (None, expected):
                    found.append(ask.described(record, folder, options.data_dir))
            except runs.BadInput as e:
                print(f"report.py: {e}", file=sys.stderr)
                if unread is not None:
                    unread.append(str(e))
    return records.with_aliases(declared, found)


def text_of(declared, name, found, extra_flags):
    """What a comparison came to: the verdicts that its runs allow, its table, and where it was measured.

    Results that say nothing about the reports are not judged, and the text says why.
    """
    from experiments import claims
    from experiments.tables import table
    from experiments.words import made_on

    finished = [record for record in found if record["status"] != "unfinished"]
    text = table(declared, name, finished) + "\n\n"
    if any(record["data"]["synthetic"] for record in finished):
        return text + "Made with generated data: nothing here says anything about the reports.\n"
    if extra_flags:
        return text + f"Made with {extra_flags} appended: not the reports' settings.\n"
    of_runs = [claim for claim in declared["claim"] if not claims.is_counted(claim)]
    not_run = claims.tally(declared, of_runs, finished)["not run"]
    judged = [claim for claim in of_runs if claim not in not_run]
    if judged:
        text = claims.claims_table(declared, judged, finished) + "\n\n" + text
    if finished:
        text += made_on(finished) + "\n"
    return text


if __name__ == "__main__":
    sys.exit(main())
