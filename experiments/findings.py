"""The prose of the pages: what experiments/REPORT.md says by hand, with its numbers put in from the records.

    make report      # puts it into results/REPORT.md, and the first finding of each report into the READMEs

Such a file is Markdown. Above its sections stand what the report is about, in a few words of English and of Chinese,
and below "## Findings" first the finding that opens the page and that the READMEs show, likewise in both languages.

    en: 21 facial landmarks: optimizers, batch norm
    zh: 21 个人脸关键点：优化器、批归一化

    ## Findings

    en: Batch norm adds {net/bn - net/baseline test_acc} over {net/bn test_acc seeds} seeds.
    zh: 批归一化提高 {net/bn - net/baseline test_acc}。

    - Another finding, for the page alone.

    ## What differs from the report

    1. ...

A number of the records is not typed: {net/bn test_acc} becomes its mean ± sample deviation, "63.5 ± 1.0 %";
{net/bn - net/baseline test_acc} the difference of two runs, seed by seed, "+9.1 ± 0.7 points"; with "seeds" behind the
metric it is the number of seeds, with "range" the least and the largest, "62.4 to 64.2 %". What has no record yet is
"not measured".
"""
import re

from experiments import declarations, runs
from experiments.words import is_fraction, measured, number_of, paired, shown, signed

FOLDER = declarations.ROOT / "experiments"
METRICS = ("train_loss", "train_acc", "train_acc_eval", "valid_loss", "valid_acc", "test_loss", "test_acc", "tail_loss",
           "penalty", "valid_loss_turned", "left_out", "spread", "noisy_share")
WORDS = {"en": {"points": " points", "not measured": "not measured", "diverged": "diverged", "to": " to "},
         "zh": {"points": " 个百分点", "not measured": "未测量", "diverged": "发散", "to": " 至 "}}


def read(report):
    """Returns what experiments/REPORT.md says, with its placeholders.

    "about" and "first", what it is about and its first finding, are {language: text}, {} where they are not there;
    "sections" is [(title, text), ...] without these lines, [] where there is no such file.
    """
    file = FOLDER / f"{report}.md"
    text = file.read_text() if file.exists() else ""
    above, *rest = re.split(r"^## ", text, flags=re.MULTILINE)
    found = {"about": in_languages(above), "first": {}, "sections": []}
    for section in rest:
        title, _, body = section.partition("\n")
        if title == "Findings":
            found["first"] = in_languages(body)
            body = re.sub(r"^(en|zh): .*\n", "", body, flags=re.MULTILINE)
        found["sections"].append((title, body.strip()))
    return found


def in_languages(text):
    """Returns {"en": ..., "zh": ...} of the lines that begin so."""
    return dict(re.findall(r"^(en|zh): (.+)$", text, re.MULTILINE))


def filled(text, report, declared, records, language="en"):
    """A text of experiments/REPORT.md with its numbers put in.

    records: with those under second names. Raises BadInput, naming the file, for a run that is not declared, an unknown
    metric and whatever else in braces cannot be read.
    """
    def put_in(match):
        try:
            return number_for(match[1], declared, records, WORDS[language])
        except ValueError as e:
            raise runs.BadInput(f"experiments/{report}.md: {match[0]}: {e}.") from e

    return re.sub(r"\{([^{}]*)\}", put_in, text)


def number_for(words, declared, records, said):
    """What a placeholder becomes. words: what stands in its braces. Raises ValueError where it cannot be read."""
    match = re.fullmatch(r"(\S+)(?: - (\S+))? (\S+?)(?: (seeds|range))?", words)
    if not match:
        raise ValueError("it is not {RUN METRIC}, {RUN - RUN METRIC}, {RUN METRIC seeds} or {RUN METRIC range}")
    run, base, metric, kind = match.groups()
    for name in (run, base):
        if name and name not in declared["run"]:
            raise ValueError(f"{name} is no declared run")
    check_metric(metric)
    ours = [record for record in records if record["run"] == run]
    numbers = [x for x in (number_of(record, metric) for record in ours) if x is not None]
    if base:
        numbers = paired(ours, [record for record in records if record["run"] == base], metric)
    if kind == "seeds":
        return str(len(numbers))
    if not numbers:
        return said["diverged"] if not base and measured(ours, metric) == "nan" else said["not measured"]
    if base:
        return signed(metric, numbers) + (said["points"] if is_fraction(metric) else "")
    if kind == "range":
        low, high = shown(metric, min(numbers)), shown(metric, max(numbers))
        return high if low == high else low.removesuffix(" %") + said["to"] + high
    return measured(ours, metric)


def check_metric(metric):
    """Raises ValueError for a metric that no record can have."""
    quantity, _, epoch = metric.partition("@")
    terms, _, divisor = quantity.partition("/")
    names = [re.sub(r"^(late|best)_", "", name) for name in terms.split("+")]
    numbers = [text for text in (epoch, divisor) if text]
    if not all(name in METRICS for name in names) or not all(text.isdecimal() for text in numbers):
        raise ValueError(f"{metric} is no metric")
