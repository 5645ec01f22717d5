"""The pages of results/ and the measured part of the READMEs, made from the committed records.

    make report                                  # merges what is finished in runs/, then makes them; never trains
    python experiments/report.py report --runs runs-of-another-box

A page begins with what came out, in a few sentences, and the verdicts on the report's claims. Below are its
comparisons, each with its table and figures, and what is long folded; then the findings and what differs from the
report. These and the first sentences are written by hand in experiments/REPORT.md.
"""
import collections
from pathlib import Path

from experiments import (claims, costs, declarations, figures, findings, off, overview, records, runs, seeds,
                         torture_page)
from experiments.tables import device_table, parts, precision_table, printed
from experiments.words import is_fraction, legend, markdown, measured, printed_number

ROOT = declarations.ROOT
BEGIN, END = "<!-- measured: written by make report -->", "<!-- end of measured -->"
# The READMEs, and what stands in their measured parts.
READMES = {"README.md": "en", "README.zh.md": "zh"}
HEADS = {"en": ["report", "about", "a headline", "reported", "measured", "claims"],
         "zh": ["报告", "内容", "代表结果", "报告值", "实测值", "论断"]}
WORDS = {"en": {"report": "Report", "seeds": "{} ({} seeds)", "seed": "{} (1 seed)", "none": "not measured yet",
                "claims": "held: {} of {}", "counted": "by counting: {} of {}",
                "one seed": "one seed: {} for, {} against", "left": "{} open",
                "undecided": "{} undecided", "not judgeable": "{} not judgeable", "not run": "{} not run",
                "between": ", ", "then": "; ", "survived": "- [What it survives](results/torture.md): {}."},
         "zh": {"report": "报告 ", "seeds": "{}（{} 个种子）", "seed": "{}（1 个种子）",
                "none": "尚未测量", "claims": "成立：{1} 条中 {0} 条",
                "counted": "按计数：{1} 条中 {0} 条",
                "one seed": "单个种子：{} 条支持，{} 条不支持", "left": "{} 条未决",
                "undecided": "{} 条未定", "not judgeable": "{} 条无法判定", "not run": "{} 条未运行",
                "between": "，", "then": "；", "survived": "- [经得起什么](results/torture.md)：{}。"}}
QUANTITIES = {"en": {"test_acc": "test acc", "valid_acc": "valid acc", "train_acc": "train acc",
                     "valid_loss": "valid loss in px²", "best_valid_loss": "best valid loss in px²"},
              "zh": {"test_acc": "测试准确率", "valid_acc": "验证准确率", "train_acc": "训练准确率",
                     "valid_loss": "验证损失（px²）",
                     "best_valid_loss": "最佳轮次的验证损失（px²）"}}


def make_report(declared, runs_dir, data_dir="data"):
    """Merges finished runs into results/records.jsonl and writes results/REPORT.md, figures/ and costs.md, and the
    tables in the READMEs. Returns whether all finished runs could be read."""
    well = records.merge(declared, runs_dir, data_dir)
    kept = declarations.as_declared(declared, records.read_records())
    own = records.one_of_each_seed(kept)
    found = records.with_aliases(declared, own)
    results = records.RECORDS.parent
    for report in declared["pages"]:
        for name in comparisons_of(declared, report):
            draw(declared, name, found, runs_dir, data_dir)
        seeds.figure(declared, report, found, figure_of_seeds(report))
        (results / f"{report}.md").write_text(page(declared, report, found, kept))
    overview.overview(declared, own, results / "figures" / "overview.png")
    (results / "costs.md").write_text(costs.page(declared, own))
    written = [f"{results}/"]
    for readme, language in READMES.items():
        if write_between((ROOT / readme), summary(declared, found, language)):
            written.append(f"the table in {readme}")
    print(f"wrote {' and '.join(written)}: {len(own)} records of {len({record['run'] for record in own})} runs")
    return well


def write_between(file, text):
    """Puts a text between the marks of a file. Returns whether there is such a file, with such marks."""
    if not file.exists() or BEGIN not in file.read_text():
        return False
    before, _, rest = file.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    file.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
    return True


def comparisons_of(declared, report):
    """The comparisons that a report's file declares."""
    return [name for name in declared["exp"] if declared["report"][name] == report]


def of_comparison(declared, name, found):
    """The records of a comparison's runs."""
    return [record for record in found if record["run"] in declared["exp"][name]]


def draw(declared, name, found, runs_dir, data_dir):
    """Draws the figures of a comparison into results/figures/; nothing where nothing of it was measured."""
    ours = of_comparison(declared, name, found)
    if ours:
        figures.draw(declared, name, ours, records.RECORDS.parent / "figures", f"exp-{name}-", runs_dir, data_dir,
                     seed_with_weights(ours, runs_dir), for_results=True)


def seed_with_weights(ours, runs_dir):
    """The seed of which most runs have their weights in the folder of runs, the first of several."""
    count = collections.Counter({seed: 0 for seed in sorted({record["seed"] for record in ours})})
    for record in ours:
        if Path(runs_dir, record["run"], f"seed{record['seed']}", "model.pt").exists():
            count[record["seed"]] += 1
    return max(count, key=count.get)


# ---- the page of a report -------------------------------------------------------------------------------------------

def page(declared, report, found, kept=()):
    """The text of results/REPORT.md.

    found: a record of each run and seed, with those under second names. kept: all records, also of seeds that were made
    in both precisions or on both kinds of device.
    """
    of_report, prose = declared["pages"][report], findings.read(report)
    mine = declarations.own_records(declared, report, found)
    made = f"{len(mine)} records of {len({record['run'] for record in mine})} runs" if mine else "no record yet"
    lines = [f"# {of_report['title']}", "",
             f"Made by `make report` from {made}; [where the numbers come from](#where-the-numbers-come-from).", ""]
    if "en" in prose["first"]:
        lines += [f"{findings.filled(prose['first']['en'], report, declared, found)} More: [findings](#findings).", ""]
    if of_report["claims"]:
        lines += ["## Verdicts", "", claims.in_short(declared, of_report["claims"], found), "",
                  claims.claims_table(declared, of_report["claims"], found), "",
                  *claims.once_more(declared, report, found), claims.thresholds_section(of_report["claims"]), ""]
    measured_now, unmeasured = [], []
    for name in comparisons_of(declared, report):
        ours = of_comparison(declared, name, found)
        (measured_now if ours else unmeasured).append((name, ours))
    shown = [(name, parts(declared, name, ours), ours) for name, ours in measured_now]
    sentences = legend([text for _, tables, _ in shown for _, text in tables])
    if sentences:
        lines += ["<details><summary>How to read the tables</summary>", "",
                  *(f"- {sentence}" for sentence in sentences), "", "</details>", ""]
    for name, tables, ours in shown:
        lines += comparison(declared, name, tables, ours)
    if unmeasured:
        lines += ["## Not measured yet", "", *(f"- `exp-{name}`: {declared['about'][name] or 'a comparison.'}"
                                               for name, _ in unmeasured), ""]
    kept_of_report = declarations.own_records(declared, report, kept)
    of_precisions = records.both_precisions(kept_of_report)
    if of_precisions:
        lines += ["## What bfloat16 costs", "", "The same run and seed in both precisions.", "",
                  precision_table(of_precisions), ""]
    of_devices = records.both_devices(kept_of_report)
    if of_devices:
        lines += ["## CPU and GPU", "", "The same run and seed on both. The tables above have that of the CPU.", "",
                  device_table(of_devices), ""]
    lines += of_seeds(declared, report, found)
    sections = dict(prose["sections"])
    are_off = off.section(declared, report, found)
    if are_off:
        sections.setdefault(off.TITLE, "")
    for title, text in sections.items():
        lines += [f"## {title}", "", *(are_off if title == off.TITLE else [])]
        lines += [findings.filled(text, report, declared, found), ""] if text else []
    lines += ["## Where the numbers come from", "", provenance(mine), ""]
    return "\n".join(lines)


def figure_of_seeds(report):
    """Where the figure of a report's seeds lies."""
    return records.RECORDS.parent / "figures" / f"seeds-{report}.png"


def of_seeds(declared, report, found):
    """The part of a page on what one seed cannot tell, with its figure where there is one."""
    lines = seeds.section(declared, report, found)
    if not lines:
        return []
    figure = figure_of_seeds(report)
    shown = [f"![{figure.stem}](figures/{figure.name})", ""] if figure.exists() else []
    return [f"## {seeds.TITLE}", "", *lines, *shown]


def comparison(declared, name, tables, ours):
    """A comparison's part of a page: its sentence, the table, its figures and, folded, what is long."""
    lines = [f"## exp-{name}", ""]
    if declared["about"][name]:
        lines += [declared["about"][name], ""]
    for summary, text in tables:
        if not summary:
            lines += [text, ""]
    paths = figures.of_comparison(name, records.RECORDS.parent / "figures")
    lines += [f"![{path.stem}](figures/{path.name})\n" for path in paths]
    measured_runs = {record["run"] for record in ours}
    elsewhere = {}
    for run, other in figures.drawn_elsewhere(declared, name).items():
        if run in measured_runs:
            elsewhere.setdefault(other, []).append(declarations.short(run))
    for other, names in elsewhere.items():
        lines += [f"Confusion matrices of {', '.join(names)}: under [exp-{other}](#exp-{other}).", ""]
    for summary, text in tables:
        if summary:
            lines += [f"<details><summary>{summary}</summary>", "", text, "", "</details>", ""]
    return lines


def provenance(mine):
    """A table of what records were made on, of which data, and how many."""
    if not mine:
        return "Nothing measured yet."
    counted = collections.Counter(
        (record["versions"]["device"], record["versions"]["torch"], record["data"]["source"],
         record.get("precision") or "float32") for record in mine)
    return markdown(["hardware", "torch", "data", "precision", "records"],
                    [[*where, count] for where, count in sorted(counted.items())])


# ---- the measured part of a README ----------------------------------------------------------------------------------

def summary(declared, found, language):
    """The measured part of a README: a table with a row for each report, a finding of each, and what kills changed."""
    rows, said = [], []
    for report in declared["pages"]:
        prose = findings.read(report)
        title, _, about = declared["pages"][report]["title"].partition(": ")
        if language != "en":
            title = title.replace("Report ", WORDS[language]["report"])
        link = f"[{title}](results/{report}.md)"
        rows.append([link, prose["about"].get(language, about), *headline(declared, report, found, language),
                     claims_cell(declared, report, found, language)])
        if language in prose["first"]:
            said.append(f"- {link}: {findings.filled(prose['first'][language], report, declared, found, language)}")
    kills = runs.read_json(records.RECORDS.parent / "torture.json")
    if kills:
        said.append(WORDS[language]["survived"].format(torture_page.headline(kills, language)))
    return "\n".join([markdown(HEADS[language], rows), *([""] if said else []), *said])


def headline(declared, report, found, language):
    """Three cells on the number of a report that headline.REPORT names: which it is, reported, and measured."""
    if report not in declared["headline"]:
        return ["–", "–", "–"]
    run, metric = declared["headline"][report]
    quantity = metric.removeprefix("best_").removeprefix("late_")
    unit = " %" if is_fraction(metric) else ""
    text = printed(declared, run).get((quantity, None))
    mine = [record for record in found if record["run"] == run]
    words = WORDS[language]
    said = words["none"]
    if mine:
        said = words["seed" if len(mine) == 1 else "seeds"].format(measured(mine, metric), len(mine))
    name = QUANTITIES[language].get(metric, metric.replace("_", " "))
    reported = printed_number(quantity, text) + unit if text else "–"
    return [f"`{declarations.short(run)}`{words['between']}{name}", reported, said]


def claims_cell(declared, report, found, language):
    """How many of a report's claims hold of those judged, what one seed says of others, and how many are open.

    Claims that are judged by counting, without any run, stand apart.
    """
    names = declared["pages"][report]["claims"]
    counted = [claim for claim in names if claims.is_counted(claim)]
    numbers = numbers_of(declared, [claim for claim in names if claim not in counted], found)
    words, said = WORDS[language], []
    judged = numbers["holds"] + numbers["does not hold"]
    if judged:
        said.append(words["claims"].format(numbers["holds"], judged))
    if numbers["looks so"] + numbers["does not look so"]:
        said.append(words["one seed"].format(numbers["looks so"], numbers["does not look so"]))
    left = numbers["undecided"] + numbers["not judgeable"] + numbers["not run"]
    if said and left:
        said.append(words["left"].format(left))
    if not said:  # then it matters why
        said = [words[group].format(numbers[group]) for group in ("undecided", "not judgeable", "not run")
                if numbers[group]]
    if counted:
        said.append(words["counted"].format(numbers_of(declared, counted, found)["holds"], len(counted)))
    return words["then"].join(said)


def numbers_of(declared, names, found):
    """How many of these claims have which verdict, by the words of claims.GROUPS."""
    return {word: len(of_word) for word, of_word in claims.tally(declared, names, found).items()}
