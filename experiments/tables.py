"""Tables in Markdown: what changed from run to run, what the report printed, what was measured.

    make exp-bn-dropout                          # prints one, and writes it beside the comparison's figures
    python experiments/report.py exp bn-dropout  # the same of what is trained, without training
"""
import statistics

import data
import train
from experiments import ask, starts
from experiments.declarations import as_dict, changed, printed_by_epoch, short
from experiments.records import difference, final, in_bfloat16, number, value

# Of landmarks, the columns beside the valid loss. A "late" metric is the median of the last 10 epochs.
OF_LANDMARKS = ("late_valid_loss", "late_train_loss", "best_valid_loss", "valid_loss_turned")
NO_WEIGHTS = ("from torchvision's ImageNet weights. With a network train.py downloads them; without one copy the file "
              "into torchvision's cache (`make status` says which and where), or train by hand with --weights FILE.")


# ---- words and numbers ----------------------------------------------------------------------------------------------

def markdown(head, rows):
    """A Markdown table, aligned, of a list of cells and a list of such lists."""
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]

    def line(cells):
        return "| " + " | ".join(str(cell).ljust(width) for cell, width in zip(cells, widths)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def in_words(metric):
    """A metric without its epoch in words: train_loss+penalty/4 is "(train loss + L2 term) ÷ 4"."""
    if metric.startswith("late_"):
        return f"{in_words(metric.removeprefix('late_'))}, median of last 10 epochs"
    terms, _, divisor = metric.partition("/")
    words = terms.replace("penalty", "L2 term").replace("_", " ").replace("+", " + ")
    if not divisor:
        return words
    return f"({words}) ÷ {divisor}" if "+" in terms else f"{words} ÷ {divisor}"


def shown(metric, x):
    """A number in the unit that reports print: accuracies in %."""
    return f"{100 * x:.1f} %" if "_acc" in metric else number(x)


def few(want):
    """The words of a want line; without those of single epochs where these are so many that they have a table."""
    words = want.split()
    if sum(word.startswith("test_acc@") for word in words) <= 3:
        return words
    return [word for word in words if "@" not in word]


def metrics_of(want):
    """The metrics of a want line that the table of a comparison shows."""
    return [word.partition("=")[0] for word in few(want)]


def shown_wants(want):
    """A want line as a reader wants it.

    valid_loss=6 test_acc@1=0.68..0.69 test_acc@2=0.7 is: valid loss 6; test acc 68–69, 70 % at epochs 1, 2.
    """
    texts = {}
    for word in few(want):
        metric, _, numbers = word.partition("=")
        ends = numbers.split("..")
        if "_acc" in metric:
            texts[metric] = "–".join(f"{100 * float(end):g}" for end in ends) + " %"
        else:
            texts[metric] = "–".join(ends)
    return in_line(texts)


def in_line(texts):
    """{metric: its number in words} in one line; what differs in its epoch alone is said in one breath."""
    groups = {}
    for metric, text in texts.items():
        quantity, _, epoch = metric.partition("@")
        groups.setdefault(quantity, []).append((text, epoch))
    parts = []
    for quantity, found in groups.items():
        unit = " %" if found[0][0].endswith(" %") else ""
        part = in_words(quantity) + " " + ", ".join(text.removesuffix(unit) for text, _ in found) + unit
        epochs = [epoch for _, epoch in found if epoch]
        if epochs:
            part += f" at epoch{plural(epochs)} {', '.join(epochs)}"
        parts.append(part)
    has_epochs = any("@" in metric for metric in texts)
    return ("; " if has_epochs else ", ").join(parts)


def plural(things):
    """The ending of a noun that stands for so many things: "s", or "" for one."""
    return "" if len(things) == 1 else "s"


def measured(records, metric):
    """The mean ± sample deviation of a metric over the seeds, in words.

    "–" where nothing was measured, "nan" where that is so because all diverged.
    """
    numbers = [x for x in (value(record, metric) for record in records) if x is not None]
    if not numbers:
        return "nan" if records and all(record["status"] == "diverged" for record in records) else "–"
    mean = statistics.mean(numbers)
    if len(numbers) == 1:
        return shown(metric, mean)
    deviation = statistics.stdev(numbers)
    if "_acc" in metric:
        return f"{100 * mean:.1f} ± {100 * deviation:.1f} %"
    digits = ".3g" if mean >= 1e4 else ".1f" if mean >= 10 else ".3f"  # both with as many as the mean has
    return f"{mean:{digits}} ± {deviation:{digits}}"


def made_on(records):
    """One sentence on where the numbers come from."""
    def several(values):
        return ", ".join(sorted(set(values)))

    unit = "Losses are mean squared errors in px². " if records[0]["data"]["name"] == "faces21" else ""
    devices = several(record["versions"]["device"] for record in records)
    versions = several(record["versions"]["torch"] for record in records)
    sources = several(record["data"]["source"] for record in records)
    return f"{unit}Measured on {devices} with torch {versions}; data: {sources}. ± is the sample deviation over seeds."


# ---- the table of a comparison --------------------------------------------------------------------------------------

def table(declared, name, records):
    """A comparison in Markdown: for each run what changed from the first, what the report printed, what was measured.

    Below it stands what else its runs and its plots.NAME ask for. `records` may have other runs, too.
    """
    names, plots = declared["exp"][name], declared["plots"][name]
    by_run = {run: [record for record in records if record["run"] == run] for run in names}
    ours = [record for run in names for record in by_run[run]]
    text = markdown(*rows_of(declared, name, by_run, ours))
    parts = [text, missing_weights(declared, by_run)]
    if "pick" in plots:
        parts.append(picked(by_run))
    parts.append(cleaned(declared, name, ours))
    if "layers" in plots:
        parts += layers_of_nets(declared, name)
    if "by-epoch" in plots and ours:
        parts.append(epoch_table(declared, name, ours))
    return "\n\n".join(part for part in parts if part)


def rows_of(declared, name, by_run, records):
    """The head and the rows of a comparison's table, for `markdown`."""
    names = declared["exp"][name]
    main, extra = columns_of(declared, name, records)
    has_noise = any("label_noise" in record.get("data", {}) for record in records)
    has_triplets = any(value(record, "left_out") is not None for record in records)
    head = ["run", "what changed", "reported", "measured", *map(in_words, extra)]
    if has_noise:
        head.append("labels changed")
    if has_triplets:
        head.append("left out")
    head.append("seeds")

    rows = []
    for run in names:
        mine, want = by_run[run], declared["want"].get(run, "")
        row = [short(run), changed(declared["run"][run], declared["run"][names[0]]),
               shown_wants(want) if want else "no number",
               measured_beside(want, mine, main), *(measured(mine, metric) for metric in extra)]
        if has_noise:
            fractions = [record["data"].get("label_noise") for record in mine]
            row.append(", ".join(f"{100 * x:.1f} %" for x in fractions if x is not None) or "–")
        if has_triplets:
            counts = [value(record, "left_out") for record in mine]
            row.append(", ".join(f"{x}" for x in counts if x is not None) or "–")
        row.append(seeds_cell(mine))
        rows.append(row)
    return head, rows


def seeds_cell(records):
    """How many seeds a run has, how many of them diverged, and how many were made in bfloat16."""
    diverged = sum(record["status"] == "diverged" for record in records)
    halved = sum(in_bfloat16(record) for record in records)
    words = [str(len(records))]
    if diverged:
        words.append(f"{diverged} diverged")
    if halved:
        words.append("in bfloat16" if halved == len(records) else f"{halved} in bfloat16")
    return ", ".join(words)


def precision_table(pairs):
    """A table of the same runs in float32 and in bfloat16: accuracy or loss, and seconds an epoch."""
    rows = []
    for in_float32, in_half in pairs:
        metrics = [name for name in ("test_acc", "valid_acc", "valid_loss") if in_float32["metrics"].get(name)]
        metric = metrics[0] if metrics else "train_loss"
        rows.append([short(in_float32["run"]), in_float32["seed"], in_words(metric),
                     measured([in_float32], metric), measured([in_half], metric),
                     f"{in_float32['seconds_per_epoch']:.1f} s", f"{in_half['seconds_per_epoch']:.1f} s"])
    return markdown(["run", "seed", "metric", "float32", "bfloat16", "an epoch in float32", "in bfloat16"], rows)


def columns_of(declared, name, records):
    """The metric that stands for a run without a printed number, and those that have a column of their own."""
    has_classes = any(record["metrics"]["train_acc"] is not None for record in records)
    is_tested = any(value(record, "test_acc") is not None for record in records)
    is_sweep = any(word.startswith("sweep") for word in declared["plots"][name])
    if is_tested:
        main, extra = "test_acc", ["train_acc", "valid_acc"]
        if is_sweep:
            extra = ["late_train_acc", "late_valid_acc"]
    elif has_classes:
        main, extra = "valid_acc", ["train_acc"]
    else:
        main, extra = "valid_loss", OF_LANDMARKS
    return main, [metric for metric in extra if any(value(record, metric) is not None for record in records)]


def measured_beside(want, records, main):
    """What was measured of a run, as the report printed it; without a printed number the metric `main`.

    A run that trained features alone has no such metric: of that its train loss.
    """
    if not records:
        return "missing"
    metrics = metrics_of(want)
    if not want:
        features_alone = all(value(record, main) is None and record["status"] == "finished" for record in records)
        metrics = ["train_loss" if features_alone else main]
    return in_line({metric: measured(records, metric) for metric in metrics})


def missing_weights(declared, by_run):
    """A sentence on the runs that are missing and start from ImageNet weights, or ""."""
    missing = [run for run in by_run if "pretrained" in as_dict(declared["run"][run]) and not by_run[run]]
    if not missing:
        return ""
    start = "starts" if len(missing) == 1 else "start"
    return f"Missing: {', '.join(missing)} {start} {NO_WEIGHTS}"


def picked(by_run):
    """Sentences on the run that valid accuracy picks, whose test score alone answers a question, or ""."""
    best_valid = {}
    for run, records in by_run.items():
        if any(value(record, "best_valid_acc") for record in records):
            best_valid[run] = statistics.mean(value(record, "best_valid_acc") or 0 for record in records)
    if not best_valid:
        return ""
    best = max(best_valid, key=best_valid.get)
    valid, test = measured(by_run[best], "best_valid_acc"), measured(by_run[best], "test_acc")
    return (f"One test score answers a question that was settled before: valid accuracy picks {short(best)} "
            f"(best epoch {valid} valid, {test} test). "
            "The other rows' test scores are shown because the report has them, and choose nothing.")


def cleaned(declared, name, records):
    """For every run that dropped images: how many, how many of them noisy, and what that did to the accuracy; or ""."""
    flags = {run: as_dict(declared["run"][run]) for run in declared["exp"][name]}
    lines = []
    for run in flags:
        if "clean-by" not in flags[run]:
            continue
        uncleaned = {flag: text for flag, text in flags[run].items() if not flag.startswith("clean-")}
        before = {record["seed"]: record for record in records if flags[record["run"]] == uncleaned}
        for record in records:
            if record["run"] == run and record["seed"] in before:
                lines.append(dropped_line(record, before[record["seed"]]))
    return "\n".join(lines)


def dropped_line(record, before):
    """A line on the record of a cleaned run beside that of the same run without cleaning."""
    of_data = record["data"]
    dropped, noisy = of_data["dropped"], of_data["dropped_noisy"]
    points = 100 * difference(final(record, "test_acc"), final(before, "test_acc"))
    return (f"- {short(record['run'])}, seed {record['seed']}: dropped {dropped:,} images, {noisy:,} of them noisy "
            f"({noisy / dropped:.0%}; by chance {of_data['label_noise']:.0%}); "
            f"test accuracy {points:+.1f} points against {short(before['run'])}.")


def layers_of_nets(declared, name):
    """The layers of the nets of a comparison, at the declared batch size: for each a line and a Markdown table."""
    parts, datasets = [], {}
    for run in declared["exp"][name]:
        settings = train.parse([*declared["run"][run].split(), "--synthetic"])  # the same shapes, and no files
        key = settings.data, settings.side
        if key not in datasets:
            datasets[key] = data.for_run(settings)
        model = starts.build(settings, datasets[key])
        parts += [f"Layers of {short(run)}:", ask.layer_table(model, settings.batch_size)]
    return parts


def epoch_table(declared, name, records):
    """Test accuracy by epoch in %: of each run what the report printed and what was measured (mean over the seeds)."""
    last = max(len(record["curves"]["epoch"]) for record in records)
    epochs = range(1, last + 1)
    rows = []
    for run, printed in printed_by_epoch(declared, declared["exp"][name]).items():
        mine = [record for record in records if record["run"] == run]
        if printed:
            cells = [f"{100 * printed[epoch]:g}" if epoch in printed else "" for epoch in epochs]
            rows.append([short(run), "reported", *cells])
        if mine:
            cells = [mean_in_percent(mine, f"test_acc@{epoch}") for epoch in epochs]
            rows.append([short(run), f"measured, {len(mine)} seed{plural(mine)}", *cells])
    return "Test accuracy (%) by epoch:\n\n" + markdown(["run", "", *epochs], rows)


def mean_in_percent(records, metric):
    """The mean of an accuracy over the seeds in %, or "" where it was not measured."""
    numbers = [x for x in (value(record, metric) for record in records) if x is not None]
    return f"{100 * statistics.mean(numbers):.1f}" if numbers else ""
