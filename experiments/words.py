"""Words and numbers as a reader wants them: metrics, printed numbers, means over seeds, differences, a legend.

A metric is written as records.value has it: test_acc, train_loss/4@10, late_valid_loss. Accuracies are fractions there
and percent here; a difference of two is in points.
"""
import statistics

from experiments.declarations import read_want
from experiments.records import number, value


# ---- words -----------------------------------------------------------------------------------------------------------

def markdown(head, rows):
    """A Markdown table, aligned, of a list of cells and a list of such lists."""
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]

    def line(cells):
        return "| " + " | ".join(str(cell).ljust(width) for cell, width in zip(cells, widths)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def family_of(quantity):
    """The family of a quantity: its name without the L2 term. Of the two of a family the report prints one."""
    return quantity.replace("+penalty", "")


def in_words(metric):
    """A metric without its epoch in short words: train_loss+penalty/4 is "loss + L2 ÷ 4"."""
    for prefix, ending in (("late_", " late"), ("best_", " (best epoch)")):
        if metric.startswith(prefix):
            return in_words(metric.removeprefix(prefix)) + ending
    terms, _, divisor = metric.partition("/")
    words = terms.replace("penalty", "L2").replace("_", " ").replace("+", " + ")
    if divisor:  # printed so by report 2
        words = f"{words.removeprefix('train ')} ÷ {divisor}"
    return words


def heading(metric):
    """A metric's name at the head of a column: with its unit, and which train accuracy it is."""
    if metric == "train_acc_eval":
        return "train acc % (eval)"
    words = in_words(metric)
    if "_acc" in metric:
        words = words.replace(" acc", " acc %")
    return words.replace("train acc %", "train acc % (running)")


def is_fraction(metric):
    """Is this metric a fraction, which is shown in %?"""
    return "_acc" in metric or metric == "noisy_share"


def plural(things):
    """The ending of a noun that stands for so many things: "s", or "" for one."""
    return "" if len(things) == 1 else "s"


def shown(metric, x):
    """A number in the unit that reports print: accuracies in %."""
    return f"{100 * x:.1f} %" if is_fraction(metric) else number(x)


def printed_number(metric, text):
    """A printed number, or two that are the ends of a range, in the unit of its column: 0.68..0.69 is 68–69 for %."""
    ends = text.split("..")
    if "_acc" in metric:
        ends = [f"{100 * float(end):g}" for end in ends]
    return "–".join(ends)


def shown_wants(want):
    """A want line as a reader wants it.

    valid_loss=6 test_acc@1=0.68..0.69 test_acc@2=0.7 is: valid loss 6; test acc 68–69, 70 % at epochs 1, 2. What was
    printed of one of two quantities is said once: loss ÷ 4 or loss + L2 ÷ 4 0.563 at epoch 1.
    """
    wanted = read_want(want)
    if sum(one.quantity == "test_acc" and one.epoch is not None for one in wanted) > 3:  # a trace, which has a table
        wanted = [one for one in wanted if one.epoch is None]
    numbers = {}
    for one in wanted:
        numbers.setdefault(one.quantity, []).append((printed_number(one.quantity, one.text), one.epoch))
    names = {}
    for quantity, found in numbers.items():
        names.setdefault((family_of(quantity), tuple(found)), []).append(quantity)
    parts = []
    for (family, found), quantities in names.items():
        unit = " %" if "_acc" in family else ""
        part = " or ".join(map(in_words, quantities)) + " " + ", ".join(text for text, _ in found) + unit
        epochs = [str(epoch) for _, epoch in found if epoch]
        if epochs:
            part += f" at epoch{plural(epochs)} {', '.join(epochs)}"
        parts.append(part)
    has_epochs = any(one.epoch is not None for one in wanted)
    return ("; " if has_epochs else ", ").join(parts)


# ---- what was measured ----------------------------------------------------------------------------------------------

def number_of(record, metric):
    """As records.value, and three more.

    "train_acc_eval" is the train accuracy of the final weights, in eval mode and on images that are not augmented, and
    "spread" that of its features on test, see ask.describe: both of nets that were asked. "noisy_share" is the share of
    the dropped images whose labels were noise.
    """
    described, of_data = record.get("described", {}), record.get("data", {})
    if metric == "train_acc_eval":
        rows = described.get("confusion", {}).get("train")
        return sum(row[i] for i, row in enumerate(rows)) / sum(map(sum, rows)) if rows else None
    if metric == "spread":
        return described.get("spread")
    if metric == "noisy_share":
        return of_data["dropped_noisy"] / of_data["dropped"] if of_data.get("dropped") else None
    return value(record, metric)


def measured(records, metric):
    """The mean ± sample deviation of a metric over the seeds, in words.

    "–" where nothing was measured, "nan" where that is so because all diverged.
    """
    numbers = [x for x in (number_of(record, metric) for record in records) if x is not None]
    if not numbers:
        return "nan" if records and all(record["status"] == "diverged" for record in records) else "–"
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
    return as_measured(metric, statistics.mean(numbers), deviation)


def as_measured(metric, mean, deviation):
    """A mean over the seeds ± their sample deviation, in the unit that reports print; deviation: None for one seed."""
    if deviation is None:
        return shown(metric, mean)
    if is_fraction(metric):
        return f"{100 * mean:.1f} ± {100 * deviation:.1f} %"
    digits = digits_of(mean)  # both with as many as the mean has
    return f"{mean:{digits}} ± {deviation:{digits}}"


def digits_of(x):
    """The format of a loss of this size, as records.number has it."""
    if x >= 1e4:
        return ".3g"
    return ".1f" if x >= 10 else ".3f"


def in_cell(records, metric):
    """What was measured, for a column whose head has the unit."""
    return measured(records, metric).removesuffix(" %")


def paired(records, base, metric):
    """The differences of a metric between the records of two runs, one for each seed that both have."""
    of_base = {record["seed"]: number_of(record, metric) for record in base}
    differences = []
    for record in records:
        ours, theirs = number_of(record, metric), of_base.get(record["seed"])
        if ours is not None and theirs is not None:
            differences.append(ours - theirs)
    return differences


def signed(metric, differences):
    """The mean ± sample deviation of differences, with its sign; accuracies in points. "–" for none."""
    if not differences:
        return "–"
    if is_fraction(metric):
        differences, digits = [round(100 * x, 4) for x in differences], ".1f"
    else:
        digits = digits_of(max(map(abs, differences)))
    mean = f"{statistics.mean(differences):+{digits}}"
    if float(mean) == 0:
        mean = mean[1:]
    if len(differences) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(differences):{digits}}"


def mean_of(records, metric):
    """The mean of a metric over the seeds, accuracies in %, without its deviation; "" where it was not measured."""
    numbers = [x for x in (value(record, metric) for record in records) if x is not None]
    if not numbers:
        return ""
    return mean_in_percent(numbers) if "_acc" in metric else number(statistics.mean(numbers))


def mean_in_percent(fractions):
    """The mean of fractions in %, without the sign, or "" where there is none."""
    found = [x for x in fractions if x is not None]
    return f"{100 * statistics.mean(found):.1f}" if found else ""


def made_on(records):
    """One sentence on where the numbers come from."""
    def several(values):
        return ", ".join(sorted(set(values)))

    devices = several(record["versions"]["device"] for record in records)
    versions = several(record["versions"]["torch"] for record in records)
    sources = several(record["data"]["source"] for record in records)
    return f"Measured on {devices} with torch {versions}; data: {sources}."


# ---- what a reader must know ----------------------------------------------------------------------------------------

# What a reader must know of a table, said where the table has these words.
LEGEND = (
    ("±", "± is the sample deviation over seeds."),
    ("Δ", "Δ is the difference to the first row, over the seeds that both have."),
    ("turned", "Losses of landmarks are mean squared errors in px²."),
    ("@", "@1 is after epoch 1, @end after the last."),
    ("÷", "loss ÷ N is the mean train loss over the batch size N, as the report's scripts print it, and "
          "loss + L2 ÷ N has the L2 term in it. Where it is not known which of the two a printed loss is, it "
          "stands beside both."),
    ("tail loss", "The tail loss is the mean of an epoch's last 2,000 batches."),
    (" late", "late: the median of the last 10 epochs."),
    ("turned", "turned: on the valid faces turned by 30 degrees both ways."),
    ("(running)", "Train acc (running) is an epoch's running mean in training mode; (eval) is of the final weights, in "
                  "eval mode and without augmentation."),
    ("blew up", "A run blew up if it diverged, or if the median of its last 10 train losses is twice that of its first "
                "epoch or more. Then its best epoch on valid is shown."),
    ("left out", "left out: of the images of the last epoch, those without a second image of their class in their "
                 "batch, which are no anchors of a triplet."),
)


def legend(texts):
    """The sentences that a reader of these tables needs, in the order of LEGEND."""
    whole = "\n".join(texts)
    return [sentence for words, sentence in LEGEND if words in whole]
