"""The pages of results/ and the measured part of README.md, made from the committed records.

    make report                                  # merges what is finished in runs/, then makes them; never trains
    python experiments/report.py report --runs runs-of-another-box
"""
from experiments import claims, costs, declarations, figures, records
from experiments.tables import in_line, made_on, markdown, measured, metrics_of, precision_table, shown_wants, table

README = declarations.ROOT / "README.md"
BEGIN, END = "<!-- measured: written by make report -->", "<!-- end of measured -->"


def make_report(declared, runs_dir, data_dir="data"):
    """Merges finished runs into results/records.jsonl and writes results/REPORT.md, figures/ and costs.md, and the
    README."""
    records.merge(declared, runs_dir, data_dir)
    kept = [record for record in records.read_records() if declared["run"].get(record["run"]) == record["flags"]]
    found = records.one_of_each_seed(kept)
    results = records.RECORDS.parent
    summaries = []
    for report in declared["pages"]:
        for name in comparisons_of(declared, report):
            draw(declared, name, found, runs_dir, data_dir)
        (results / f"{report}.md").write_text(page(declared, report, found, records.both_precisions(kept)))
        summaries.append(summary(declared, report, found))
    (results / "costs.md").write_text(costs.page(declared, found))
    before, _, rest = README.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    README.write_text(before + BEGIN + "\n\n" + "\n".join(summaries) + "\n" + END + after)
    runs = {record["run"] for record in found}
    print(f"wrote {results}/ and the summary in README.md: {len(found)} records of {len(runs)} runs")


def comparisons_of(declared, report):
    """The comparisons that a report's file declares."""
    return [name for name in declared["exp"] if declared["report"][name] == report]


def of_comparison(declared, name, found):
    """The records of a comparison's runs."""
    return [record for record in found if record["run"] in declared["exp"][name]]


def is_comparison(ours):
    """Returns whether there are records of two runs or more: one alone is no comparison, and has no figures."""
    return len({record["run"] for record in ours}) > 1


def draw(declared, name, found, runs_dir, data_dir):
    """Draws the figures of a comparison into results/figures/; faces with the first seed that its last run has."""
    ours = of_comparison(declared, name, found)
    if not is_comparison(ours):
        return
    seeds = [record["seed"] for record in ours if record["run"] == declared["exp"][name][-1]]
    figures.draw(declared, name, ours, records.RECORDS.parent / "figures", f"exp-{name}-", runs_dir, data_dir,
                 min(seeds, default=0), for_results=True)


def page(declared, report, found, pairs=()):
    """The text of results/REPORT.md. pairs: records of the same run and seed in float32 and in bfloat16."""
    of_report = declared["pages"][report]
    mine = [record for record in found if declarations.report_of(record["run"]) == report]
    measured_on = made_on(mine) if mine else "Nothing measured yet."
    lines = [f"# {of_report['title']}", "", f"Made by `make report` from `results/records.jsonl`. {measured_on}", ""]
    if of_report["notes"]:
        lines += [*of_report["notes"], ""]
    for name in comparisons_of(declared, report):
        ours = of_comparison(declared, name, found)
        lines += [f"## exp-{name}", ""]
        if declared["about"][name]:
            lines += [declared["about"][name], ""]
        lines += [table(declared, name, ours) if ours else "Not measured yet.", ""]
        if is_comparison(ours):
            paths = figures.of_comparison(name, records.RECORDS.parent / "figures")
            lines += [f"![{path.stem}](figures/{path.name})\n" for path in paths]
    mine = [pair for pair in pairs if declarations.report_of(pair[0]["run"]) == report]
    if mine:
        lines += ["## What bfloat16 costs", "", "The same run and seed in both precisions.", "",
                  precision_table(mine), ""]
    lines += ["## Claims", "", claims.claims_table(declared, of_report["claims"], found), ""]
    return "\n".join(lines)


def summary(declared, report, found):
    """A report's part of the README: printed numbers beside measured ones, and which claims hold."""
    of_report = declared["pages"][report]
    mine = [record for record in found if declarations.report_of(record["run"]) == report]
    rows = []
    for run, want in declared["want"].items():
        of_run = [record for record in mine if record["run"] == run]
        if of_run:
            numbers = {metric: measured(of_run, metric) for metric in metrics_of(want)}
            rows.append([f"`{run}`", shown_wants(want), in_line(numbers), len(of_run)])
    by_word = {}
    for claim in of_report["claims"]:
        word = claims.verdict(claim, found)[0]
        by_word.setdefault(word, []).append(claim)
    verdicts = "; ".join(f"{word}: {', '.join(names)}" for word, names in sorted(by_word.items()))

    lines = [f"### {of_report['title']}", ""]
    if rows:
        lines += [markdown(["run", "reported", "measured", "seeds"], rows), ""]
    lines.append(f"Claims: {verdicts}. Tables, figures and what each claim says: "
                 f"[results/{report}.md](results/{report}.md).")
    if mine:
        lines += ["", made_on(mine)]
    return "\n".join([*lines, ""])
