"""Run folders in, pictures out: curves, sweeps of a setting, landmarks, confusion matrices, features, layers of nets.

    python plots.py curves --runs runs --out figures --seeds "0 1 2" --last 50 keypoints/adam keypoints/adam-sgd
    python plots.py sweep --what lr --seeds "0 1 2" mlp_cnn/lr-1e-1 mlp_cnn/lr-1e-2 mlp_cnn/lr-1e-3
    python plots.py by-epoch net/baseline net/bn
    python plots.py single --seeds "0 1" mlp_cnn/lr-1e-2
    python plots.py faces --runs runs --out figures keypoints/adam keypoints/adam-bn
    python plots.py against --what label-noise caltech35/noise-0 caltech35/noise-10 caltech35/noise-30
    python plots.py confusion caltech35/base                             # train and test, counts
    python plots.py features --classes 1,2,3,4,5 caltech35/base          # PCA and t-SNE, train and test
    python plots.py layers caltech35/base caltech35/bottleneck           # a table of each: output shapes and parameters

Nothing here trains, and nothing needs a display. What kinds of figures there are stands in one table, KINDS. The
command line is made from it; the words of plots.NAME in experiments/REPORT.mk are its names, some with a detail behind
a colon: curves:50 sweep:lr apart:lr against:label-noise features:1,2,3 features:1,2,3:RUN.
"""
import argparse
import math
import re
import sys
from pathlib import Path
from typing import Callable, NamedTuple

if __name__ == "__main__":  # run as a file: imports begin in the project's folder
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

# plots and pictures bring matplotlib, which takes a second to load: they are imported where something is drawn.
from experiments import ask, prepared, runs
from experiments.declarations import as_dict, is_of_ours, is_ours, real, short


BOXED = (3, 5)  # the classes of report 5 that mix


# ---- the figures of a comparison ------------------------------------------------------------------------------------

class Comparison(NamedTuple):
    """What the figures of a comparison are drawn from, and where they go."""

    declared: dict  # see declarations.declarations
    runs: list  # the names of its runs, in the order of its table
    words: list  # of plots.NAME
    records: list  # in the order of the runs, and of the seeds for each
    out: Path  # the folder of the figures
    prefix: str  # of their file names
    runs_dir: Path  # the folder of the run folders, for what asks trained nets
    data_dir: Path
    seed: int  # the one that faces and single runs show
    for_results: bool  # for the committed pages: without photographs, and with single runs of one run alone
    name: str
    context: "panels.Context"

    def path(self, name):
        return Path(self.out) / f"{self.prefix}{name}.png"

    def flags(self, run):
        return as_dict(self.declared["run"][run])

    def folder(self, run, seed):
        """Returns the run folder of a run, which may have a second name here."""
        return Path(self.runs_dir, real(self.declared, run), f"seed{seed}")

    def of(self, names):
        """Returns the records of some of its runs."""
        return [record for record in self.records if record["run"] in names]

    def enough(self, names):
        """Returns whether a figure of these runs is worth drawing: in the committed pages it compares two or more."""
        return len({record["run"] for record in self.of(names)}) >= (2 if self.for_results else 1)

    def first_records(self):
        """Returns of each run the record of its first seed."""
        firsts = {}
        for record in self.records:
            firsts.setdefault(record["run"], record)
        return list(firsts.values())


def draw(declared, name, records, out, prefix="", runs_dir=None, data_dir=None, seed=0, for_results=False):
    """Draws the figures of a comparison, those that its plots.NAME asks for or, without one, its curves.

    records: of its runs or of more; out, prefix: the folder of the figures and what their names begin with; runs_dir,
    data_dir: for figures that ask trained nets; seed: the one that faces and single runs show; for_results: without
    photographs, no figure of a single run where it is to compare, and none of a comparison of ours before something of
    its own was measured. Returns the paths of what was written. Raises BadInput for a kind that there is not.
    """
    names, words = declared["exp"][name], declared["plots"].get(name, ["curves"])
    mine, called = prepared.shared(declared, names, records)
    mine = [prepared.until_blow_up(record) for record in mine]
    context = prepared.context_of(declared, name, names, mine, called)
    comparison = Comparison(declared, names, words, mine, out, prefix, runs_dir, data_dir, seed, for_results, name,
                            context)
    paths = []
    if for_results and not has_its_own(declared, name, [record["run"] for record in mine]):
        words = []
    for word in words:
        kind, _, detail = word.partition(":")
        if kind not in KINDS:
            raise runs.BadInput(f"plots.{name} asks for {kind}; there are {', '.join(KINDS)}")
        if KINDS[kind].draw is not None:
            paths += KINDS[kind].draw(comparison, detail)
    if for_results:
        remove_others(name, out, paths)
    return paths


def has_its_own(declared, name, measured):
    """Is one of the runs that were measured what this comparison adds: where it is one of ours, a run of ours, too?"""
    own = [run for run in declared["exp"][name] if is_ours(declared, run)]
    if not is_of_ours(declared, name) or not own:
        return True
    return any(run in own for run in measured)


def remove_others(name, out, paths):
    """Removes the committed figures of a comparison that are made of records alone and are not among `paths`.

    Its runs or its plots.NAME have changed, and nobody would ever draw these again. Faces and features stay: to draw
    them takes weights, which may lie elsewhere.
    """
    pattern = "|".join(kind.files for kind in KINDS.values() if kind.files and kind.of_records)
    for path in of_comparison(name, out):
        if path not in paths and re.fullmatch(pattern, path.stem.removeprefix(f"exp-{name}-")):
            path.unlink()


def of_comparison(name, folder):
    """Returns the pictures of a comparison among those of all comparisons in a folder, in the order of KINDS.

    They are called exp-NAME-KIND.png, with what KINDS says behind the kind. Names of others may begin alike:
    exp-adam-sgd-faces.png is none of exp-adam's.
    """
    prefix, found = f"exp-{name}-", []
    paths = sorted(Path(folder).glob(f"{prefix}*.png"))
    for kind in KINDS.values():
        found += [path for path in paths if kind.files and re.fullmatch(kind.files, path.stem.removeprefix(prefix))]
    return found


# One function for each kind that can be drawn for a comparison. It is given what stands behind the colon, or "", and
# returns the paths of the pictures that it wrote.

def curves_of(comparison, last):
    """The training curves in one figure, or in several where there are more runs than colours; last: see plots.curves.

    The number of a figure is always the same, whether or not there are records for those before it. A run of one epoch
    has no curve: the table has its numbers.
    """
    import plots

    names = [run for run in comparison.runs if comparison.flags(run).get("epochs") != "1"]
    parts, paths = readable(comparison.declared, names), []
    for number, of_part in enumerate(parts, 1):
        if comparison.enough(of_part):
            paths.append(comparison.path("curves" if len(parts) == 1 else f"curves-{number}"))
            context = comparison.context
            if len(parts) > 1:
                context = context._replace(title=f"{context.title} ({number} of {len(parts)})")
            plots.curves(comparison.of(of_part), paths[-1], int(last or 0), context)
    return paths


def readable(declared, names):
    """Returns the runs of each figure: all in one or, where there are more than colours, by net and evenly."""
    from experiments.panels import COLOURS

    most = len(COLOURS)
    if len(names) <= most:
        return [names]
    parts, by_net = [], {}
    for run in names:
        by_net.setdefault(net_of(as_dict(declared["run"][run])), []).append(run)
    for of_net in by_net.values():
        size = math.ceil(len(of_net) / math.ceil(len(of_net) / most))
        parts += [of_net[i:i + size] for i in range(0, len(of_net), size)]
    return parts


def apart_of(comparison, flags_of_groups):
    """A panel for every group of runs that differ in this flag alone, of which two or more were measured.

    flags_of_groups: a flag, or several that may differ, "momentum+unused".
    """
    import plots

    groups, values = {}, {}
    for run in comparison.runs:
        flags = comparison.flags(run)
        given = [f"{flag} {flags.pop(flag)}".strip() for flag in flags_of_groups.split("+") if flag in flags]
        values[run] = (", ".join(given) or f"{flags_of_groups} default").replace("-", " ")
        groups.setdefault(str(sorted(flags.items())), []).append(run)
    groups = [group for group in groups.values() if len({r["run"] for r in comparison.of(group)}) > 1]
    if not groups:
        return []
    names = [run for group in groups for run in group]
    path = comparison.path("apart")
    plots.apart(comparison.of(names), groups, {run: values[run] for run in names}, path, comparison.context)
    return [path]


def net_of(flags):
    """Returns the name of the net that these flags ask for, "default" where they name none."""
    return flags.get("model", "default")


def sweeps_of(comparison, flag):
    """A figure for each net of which more than one value of the flag was trained."""
    import plots

    by_net, paths = {}, []
    for run in comparison.runs:
        flags = comparison.flags(run)
        by_net.setdefault(net_of(flags), {})[run] = float(flags[flag])
    for net, values in by_net.items():
        records = comparison.of(values)
        if len({record["run"] for record in records}) > 1:
            paths.append(comparison.path(f"sweep-{net}"))
            plots.sweep(records, values, paths[-1], flag, comparison.context)
    return paths


def by_epoch_of(comparison, _):
    """Test accuracy by epoch, or by update where batches differ, beside what the report printed."""
    import plots

    tested = {record["run"] for record in comparison.records
              if any(x is not None for x in record["curves"].get("test_acc") or [])}
    if not tested or not comparison.enough(tested):
        return []
    path = comparison.path("by-update" if comparison.context.by_update else "by-epoch")
    plots.by_epoch(comparison.records, path, comparison.context)
    return [path]


def against_of(comparison, flag):
    """Test accuracy against a flag, of the runs that have it, beside what the report printed, of a range the middle."""
    import plots

    values = {run: float(comparison.flags(run)[flag]) for run in comparison.runs if flag in comparison.flags(run)}
    printed = [number for number in comparison.context.printed if number.quantity == "test_acc"]
    reported = {number.run: (number.low + number.high) / 2 for number in printed if number.run in values}
    tested = {record["run"] for record in comparison.of(values) if record["metrics"].get("test_acc") is not None}
    if not tested or not comparison.enough(tested):
        return []
    path = comparison.path("against")
    plots.against(comparison.records, values, reported, path, flag.replace("-", "_"), comparison.context)
    return [path]


def singles_of(comparison, _):
    """The pictures of every run by itself, of one seed, in a folder of its own.

    In the committed pages they are an example: those of the first run of the first comparison that asks for them.
    """
    import plots

    if comparison.for_results:
        asking = [name for name, words in comparison.declared["plots"].items() if "single" in words]
        firsts = [record for record in comparison.first_records() if record["run"] == comparison.runs[0]]
        if comparison.name != asking[0] or not firsts:
            return []
        flags = comparison.flags(comparison.runs[0])
        settings = [number_or_text(flags.get(flag)) for flag in ("model", "batch-size", "lr", "dropout")]
        name = f"exp-{comparison.name}: {title_of(firsts[0])}"
        context = comparison.context._replace(title=name, losses={}, by_update=False)
        return plots.single(firsts[0], settings, comparison.out, f"{comparison.prefix}single-", context)
    paths = []
    for run in dict.fromkeys(record["run"] for record in comparison.records if record["seed"] == comparison.seed):
        try:
            paths += single(comparison.folder(run, comparison.seed), Path(comparison.out) / short(run))
        except (ValueError, runs.BadInput) as e:
            print(f"report.py: no pictures of {run}: {e}", file=sys.stderr)
    return paths


def number_or_text(word):
    """Returns the value of a flag as a number where it is one."""
    try:
        return float(word)
    except (TypeError, ValueError):
        return word


def faces_of(comparison, _):
    """What the landmark nets make of the same faces; nothing where no weights or no data are there."""
    from data import DataError

    folders = {run: comparison.folder(run, comparison.seed) for run in comparison.runs}
    folders = {run: folder for run, folder in folders.items() if (folder / "model.pt").exists()}
    is_enough = len(folders) > 1 and has_its_own(comparison.declared, comparison.name, folders)
    if not folders or comparison.for_results and not is_enough:
        return []
    path = comparison.path("faces")
    try:
        title = f"exp-{comparison.name}: true and predicted landmarks on held-out faces, seed {comparison.seed}"
        drawn = faces(folders, path, comparison.data_dir, not comparison.for_results, title)
    except DataError as e:  # a folder of runs that came without its data
        print(f"report.py: no picture of faces: {e}", file=sys.stderr)
        return []
    return [path] if drawn else []


def confusions_of(comparison, _):
    """The confusion matrices of the nets that were asked before, see ask.described; of each run its first seed.

    In the committed pages a run has one picture, that of the first comparison that asks for it.
    """
    from experiments import pictures

    elsewhere = drawn_elsewhere(comparison.declared, comparison.name) if comparison.for_results else {}
    paths = []
    for record in comparison.first_records():
        if "described" in record and record["run"] not in elsewhere:
            paths.append(comparison.path(f"confusion-{short(record['run'])}"))
            boxed = BOXED if record["data"].get("name") == "caltech35" else ()
            title = f"exp-{comparison.name}: confusion matrices of {title_of(record)}"
            pictures.confusion(record["described"]["confusion"], title, paths[-1], is_synthetic(record), boxed)
    return paths


def drawn_elsewhere(declared, name):
    """Returns {run: comparison}: the runs of a comparison whose committed confusion matrix is with an earlier one.

    {} for a comparison that asks for none.
    """
    found = {}
    if "confusion" not in declared["plots"].get(name, ()):
        return found
    for other, names in declared["exp"].items():
        if other == name:
            return found
        if "confusion" in declared["plots"].get(other, ()):
            for run in names:
                if run in declared["exp"][name]:
                    found.setdefault(run, other)
    return found


def features_of(comparison, detail):
    """The features of nets whose weights are there; of each run its first seed.

    detail: CLASSES for all runs, or CLASSES:RUN for one, which the word for all then leaves out.
    """
    from experiments import pictures

    classes, _, only = detail.partition(":")
    classes = [int(c) for c in classes.split(",")]
    apart = [word.split(":")[2] for word in comparison.words if re.match(r"features:.*:", word)]
    paths = []
    for record in comparison.first_records():
        name = short(record["run"])
        wanted = name == only if only else name not in apart
        folder = comparison.folder(record["run"], record["seed"])
        if not wanted or not holds(folder, record):
            continue
        found = ask.answers_or_none(folder, comparison.data_dir)
        if found is not None:
            paths.append(comparison.path(f"features-{name}"))
            title = f"exp-{comparison.name}: features of {title_of(record)}"
            pictures.features(found, classes, title, paths[-1], is_synthetic(record))
    return paths


def holds(folder, record):
    """Are the weights in a run folder those that the record is of?"""
    try:
        result = runs.read_result(folder)
    except runs.BadInput:
        return False
    return result.get("status") == "finished" and result.get("flags") == record.get("flags")


def title_of(record):
    return f"{record['run']}, seed {record['seed']}"


def is_synthetic(record):
    return record["data"]["synthetic"]


# ---- what the command line and comparisons share --------------------------------------------------------------------

def single(folder, out):
    """Writes the pictures of one run folder into the folder `out`. Returns their paths.

    Raises ValueError where nothing was logged or args.json lacks a setting, BadInput for broken files.
    """
    import plots

    record = runs.read_run(folder)
    if record is None:
        raise ValueError(f"{folder}: nothing to draw yet, nothing was logged")
    settings = [setting(folder, name) for name in ("model", "batch_size", "lr", "dropout")]
    return plots.single(record, settings, out)


def faces(folders, path, data_dir, photo=True, title="", unread=None):
    """Asks the landmark nets of {run: folder} and draws what they make of the same faces.

    photo=False draws the points alone, without any pixel of a face. A net that diverged or blew up answers with the
    weights of its best epoch. A run of which a file is broken is named on stderr, left out and added to the list
    `unread`. Returns False, and writes nothing, where no net gives landmarks. Raises data.DataError where the data are
    not there.
    """
    from experiments import pictures
    from experiments import records as all_records

    unread = [] if unread is None else unread
    records, best = {}, {}
    for run, folder in folders.items():
        try:
            records[run] = runs.read_run(folder)
        except runs.BadInput as e:
            leave_out(e, unread)
    folders = {run: folder for run, folder in folders.items() if run in records}
    for run, record in records.items():
        is_ruined = record is not None and all_records.blew_up(record)
        if is_ruined and record["metrics"].get("best_epoch") and (folders[run] / "best.pt").exists():
            best[run] = record["metrics"]["best_epoch"]
    shown = ask.predict(folders, data_dir, best=best) if folders else None
    unread += shown.get("unread", []) if shown else []
    if shown is None or not shown["predicted"]:
        return False
    synthetic = [run for run in shown["predicted"] if records[run] and records[run]["data"].get("synthetic")]
    pictures.faces(shown, path, photo, synthetic, title, {run: best[run] for run in shown["predicted"] if run in best})
    return True


def leave_out(error, unread):
    """Says on stderr why a run that cannot be read is left out, and adds the sentence to the list `unread`."""
    print(f"plots.py: {error}", file=sys.stderr)
    unread.append(str(error))


def setting(folder, name):
    """Returns a setting of a run from its args.json, None for a flag that its net does not have.

    Raises ValueError where it is not in there, BadInput where the file is broken or not there.
    """
    path = Path(folder) / "args.json"
    args = runs.read_args(folder)
    if not args:
        raise runs.BadInput(f"{path} is not there: nobody knows the settings of this run. {runs.ANEW}")
    if name not in args:
        raise ValueError(f"{path}: no {name} in it")
    return args[name]


# ---- the command line -----------------------------------------------------------------------------------------------

# One function for each kind: it is given the options, writes the pictures, and returns their paths. What is wrong is a
# ValueError or BadInput.

def curves_command(args):
    import plots

    path = Path(args.out) / "curves.png"
    plots.curves([prepared.until_blow_up(record) for record in records_of(args).values()], path, args.last)
    return [path]


def sweep_command(args):
    import plots

    path, flag, records = Path(args.out) / "sweep.png", args.what.replace("-", "_"), with_settings(args, args.what)
    plots.sweep(list(records.values()), values_of(records, flag), path, flag)
    return [path]


def against_command(args):
    import plots

    path, flag, records = Path(args.out) / "against.png", args.what.replace("-", "_"), with_settings(args, args.what)
    plots.against(list(records.values()), values_of(records, flag), {}, path, flag)
    return [path]


def by_epoch_command(args):
    import plots

    path = Path(args.out) / "by-epoch.png"
    plots.by_epoch(list(records_of(args).values()), path)
    return [path]


def single_command(args):
    paths = []
    # Seeds, and runs that differ in other settings, have pictures of the same name.
    for folder in with_settings(args, "lr"):
        paths += single(folder, Path(args.out) / folder.relative_to(args.runs))
    return paths


def faces_command(args):
    from data import DataError

    path, seed = Path(args.out) / "faces.png", args.seeds.split()[0]
    folders = {}
    for run in args.run:
        folder = Path(args.runs) / run / f"seed{seed}"
        if (folder / "model.pt").exists():
            folders[run] = folder
        else:
            print(f"{run} seed {seed}: no {folder / 'model.pt'}, left out of the faces", file=sys.stderr)
    try:
        drawn = faces(folders, path, args.data_dir, photo=args.photo, unread=args.unread)
    except DataError as e:
        raise ValueError(str(e)) from None
    if not drawn:
        names = ", ".join(args.run)
        raise ValueError(f"nothing to draw yet: no landmark net with a model.pt among {names} in {args.runs}")
    return [path]


def confusion_command(args):
    from experiments import pictures

    def write(folder, record, path):
        matrices = ask.describe(ask.answers(folder, args.data_dir))["confusion"]
        pictures.confusion(matrices, title_of(record), path, is_synthetic(record))
    return for_each_net(args, "confusion.png", write)


def features_command(args):
    from experiments import pictures

    classes = [int(c) for c in args.classes.split(",")]

    def write(folder, record, path):
        found = ask.answers(folder, args.data_dir)
        pictures.features(found, classes, title_of(record), path, is_synthetic(record))
    return for_each_net(args, "features.png", write)


def layers_command(args):
    from experiments import starts

    def write(folder, record, path):
        settings, model, _ = starts.restore(folder, data_dir=args.data_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{title_of(record)}\n\n{ask.layer_table(model, settings.batch_size)}\n")
    return for_each_net(args, "layers.md", write)


def for_each_net(args, name, write):
    """Calls write(folder, record, path) for every run and seed that has weights. Returns the paths it wrote.

    What is wrong with a net that cannot be asked is said on stderr. Raises ValueError where none can.
    """
    from data import DataError

    paths = []
    for folder, record in records_of(args).items():
        if not (folder / "model.pt").exists():
            print(f"{folder}: no model.pt, left out", file=sys.stderr)
            continue
        path = Path(args.out) / folder.relative_to(args.runs) / name
        try:
            write(folder, record, path)
        except (ValueError, DataError, runs.BadInput) as e:
            leave_out(e, args.unread)
            continue
        paths.append(path)
    if not paths and args.unread:
        raise ValueError("nothing to draw: no net could be asked")
    return paths


def records_of(args):
    """Returns {folder: record} of the runs and seeds asked for. Those without a log are named on stderr.

    So are those of which a file is broken, which are added to args.unread. Raises ValueError where nothing is left.
    """
    folders = [Path(args.runs) / run / f"seed{seed}" for run in args.run for seed in args.seeds.split()]
    records, missing = {}, []
    for folder in folders:
        try:
            record = runs.read_run(folder)
        except runs.BadInput as e:
            leave_out(e, args.unread)
            continue
        if record is None:
            missing.append(str(folder))
        else:
            records[folder] = record
    if not records:
        raise ValueError("nothing to draw yet: no log of a run in " + ", ".join(missing) if missing else
                         "nothing to draw: no run could be read")
    for folder in missing:
        print(f"{folder}: no log.jsonl yet, left out of the picture", file=sys.stderr)
    return records


def with_settings(args, name):
    """Returns what records_of does, without the runs whose args.json is missing: they are named on stderr, too."""
    records = records_of(args)
    for folder in list(records):
        try:
            setting(folder, name.replace("-", "_"))
        except runs.BadInput as e:
            leave_out(e, args.unread)
            del records[folder]
    if not records:
        raise ValueError("nothing to draw: no run has settings")
    return records


def values_of(records, flag):
    """Returns {run: its value of a setting} of {folder: record}. Raises ValueError where that is not one number."""
    values = {}
    for folder, record in records.items():
        run, value = record["run"], setting(folder, flag)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{run} seed {record['seed']}: its {flag} is {value!r}, not a number")
        if values.setdefault(run, value) != value:
            raise ValueError(f"{run}: its seeds differ in {flag}, {values[run]:.10g} and {value:.10g}")
    return values


class Kind(NamedTuple):
    """A kind of figure."""

    help: str  # what it shows
    each_run: bool  # has every run and seed a file of its own, or do all runs share one?
    options: tuple = ()  # of the command line, besides those of all kinds
    files: str = None  # regular expression: what its committed pictures are called, without exp-NAME- and .png
    draw: Callable = None  # (comparison, detail): for a comparison; None: nothing to draw, the table has it
    command: Callable = None  # (the command line's options); None: not a command
    of_records: bool = True  # are its committed pictures made of records alone, without weights?


KINDS = {
    "curves": Kind("loss and accuracy by epoch", False, ("last",), r"curves(-\d+)?", curves_of, curves_command),
    "sweep": Kind("curves for every value of a setting, and how they end", False, ("what",), r"sweep-\w+", sweeps_of,
                  sweep_command),
    "apart": Kind("a panel for every group of runs that differ in a setting", False, (), "apart", apart_of),
    "by-epoch": Kind("test accuracy by epoch", False, (), "by-(epoch|update)", by_epoch_of, by_epoch_command),
    "single": Kind("one run's train, valid and test curves", True, (), r"single-(loss|acc)_[\w.-]+", singles_of,
                   single_command),
    "faces": Kind("predicted and true landmarks on held-out faces", False, ("data_dir", "photo"), "faces", faces_of,
                  faces_command, of_records=False),
    "against": Kind("final test accuracy against a setting", False, ("what",), "against", against_of, against_command),
    "confusion": Kind("confusion matrices of train and test", True, ("data_dir",), r"confusion-[\w-]+", confusions_of,
                      confusion_command),
    "features": Kind("features of some classes, by PCA and t-SNE", True, ("data_dir", "classes"), r"features-[\w-]+",
                     features_of, features_command, of_records=False),
    "layers": Kind("a table of a net's layers", True, ("data_dir",), command=layers_command),
    "pick": Kind("a sentence on the run that valid accuracy picks", False),
}
OPTIONS = {
    "last": ("--last", dict(type=int, default=0, help="add panels with only this many last epochs (default: none)")),
    "what": ("--what", dict(required=True, metavar="FLAG",
                            help="the swept setting: lr, dropout or another number in args.json")),
    "classes": ("--classes", dict(default="1,2,3,4,5", help="numbers of the classes to show (default: 1,2,3,4,5)")),
    "data_dir": ("--data-dir", dict(default="data", help="where the data sets are (default: data)")),
    "photo": ("--no-photo", dict(dest="photo", action="store_false", help="points only, no pixel of a face")),
}


def make_parser():
    """Returns the parser of the command line: one command for every kind that has one."""
    parser = argparse.ArgumentParser(prog="plots.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = {name: kind for name, kind in KINDS.items() if kind.command is not None}
    subparsers = parser.add_subparsers(dest="kind", required=True, metavar="{" + ",".join(commands) + "}")
    for name, kind in commands.items():
        place = "OUT/REPORT/RUN/seedK/, for each run and seed" if kind.each_run else f"OUT/{name}.png"
        sub = subparsers.add_parser(name, help=f"{kind.help}: writes {place}")
        sub.add_argument("run", nargs="+", metavar="REPORT/RUN", help="runs in the order of the legend or the rows")
        sub.add_argument("--runs", default="runs", help="folder of the run folders (default: runs)")
        sub.add_argument("--out", default="figures",
                         help="folder for the picture, made if need be (default: figures)")
        sub.add_argument("--seeds", default="0", help='seeds to draw, e.g. "0 1 2"; faces uses the first (default: 0)')
        for option in kind.options:
            flag, how = OPTIONS[option]
            sub.add_argument(flag, **how)
    return parser


def main(argv=None):
    """Runs one command line and prints the paths of what it wrote. Returns an exit code.

    That is 2 where it cannot, and where a run that was asked for cannot be read, after the others were drawn.
    """
    args = make_parser().parse_args(argv)
    args.unread = []  # what is wrong with runs that were left out
    try:
        paths = KINDS[args.kind].command(args)
    except (ValueError, runs.BadInput) as e:
        print(f"plots.py {args.kind}: {e}", file=sys.stderr)
        return runs.BAD_INPUT
    except OSError as e:
        print(f"plots.py {args.kind}: {e}", file=sys.stderr)
        return runs.FAILED
    print(*paths, sep="\n")
    return runs.BAD_INPUT if args.unread else runs.FINISHED


if __name__ == "__main__":
    sys.exit(main())
