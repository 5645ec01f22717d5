"""results/torture.md: what experiments/torture.py counted, as a table and a line for the README."""
from experiments.words import markdown

TITLE = "# What kills change"
ABOUT = """\
Runs are killed, stopped, starved of disk and memory, and their files damaged, at random. Then the same command is given
again until the run ends, and the SHA-256 of its weights, of its log and of its result, without times and commit, are
compared with those of a run of the same kind to which nothing happened. *Kills* are processes ended by SIGKILL or, in
the middle of a write, by the kernel; *cases* are other signals, limits, damaged files and starts. *Different* counts
runs that ended with other bits, and damaged files that gave another number instead of a refusal; *wrong* counts
processes that hung, took more than five seconds to stop, or ended with another exit code or without a sentence, and
files left behind. Images are generated."""


# The line of the READMEs in their languages, and what it says of the outcome.
LINES = {"en": "{kills} kills (SIGKILL at random instants and at every write) of {kinds} kinds of runs, and {cases} "
               "stops, limits, damaged files and double starts: {outcome} ({device}, {date}, commit {commit})",
         "zh": "对 {kinds} 种训练强制终止 {kills} 次（SIGKILL，在随机时刻和每次写盘时），"
               "另有 {cases} 次停止、资源限制、文件损坏和重复启动："
               "{outcome}（{device}，{date}，提交 {commit}）"}
OUTCOMES = {"en": {"same": "0 bits different", "different": "{} results different",
                   "wrong": ", {} hung or ended wrongly", "dirty": " with changes"},
            "zh": {"same": "没有一位不同", "different": "{} 个结果不同",
                   "wrong": "，{} 次挂起或退出有误", "dirty": "（有改动）"}}

COUNTS = ("rounds", "starts", "kills", "cases", "different", "wrong", "skipped")  # of each row


def headline(found, language="en"):
    """One line on what was counted. found: what torture.json holds."""
    totals, machine, words = total(found), found["machine"], OUTCOMES[language]
    outcome = words["different"].format(totals["different"]) if totals["different"] else words["same"]
    if totals["wrong"]:
        outcome += words["wrong"].format(totals["wrong"])
    commit = (machine["commit"] or "unknown")[:7] + (words["dirty"] if machine["dirty"] else "")
    kinds = len({row["what"] for row in found["rows"] if row["category"] in ("kills", "touches")})
    return LINES[language].format(kills=totals["kills"], kinds=kinds, cases=totals["cases"], outcome=outcome,
                                  device=machine["versions"]["device"], date=machine["at"][:10], commit=commit)


def total(found):
    """The sum of each count over all rows, a dict."""
    return {name: sum(row[name] for row in found["rows"]) for name in COUNTS}


def page(found):
    """The text of results/torture.md. found: what torture.json holds."""
    versions, totals, made_on = found["machine"]["versions"], total(found), found["machine"]
    commit = (made_on["commit"] or "unknown")[:7]
    changed = " with changes" if made_on["dirty"] else ""
    head = ["what was done", "to what, or when", "kills", "cases", "starts", "different", "wrong", "slowest stop"]
    cells = []
    for row in found["rows"]:
        slowest = f"{row['slowest']:.1f} s" if row["slowest"] else "–"
        what = row["what"]
        if row["skipped"]:
            what += " (left out: it may not be mounted here)"
        cells.append([row["category_in_words"], what, row["kills"], row["cases"], row["starts"], row["different"],
                      row["wrong"], slowest])
    cells.append(["**all**", f"{totals['rounds']} rounds", *(f"**{totals[name]}**" for name in (
        "kills", "cases", "starts", "different", "wrong")), ""])
    lines = [TITLE, "", ABOUT, "", markdown(head, cells), "",
             f"Measured on {made_on['cores']} cores of {versions['device']} with torch {versions['torch']} and Python "
             f"{versions['python']}, {found['jobs']} rounds at a time, load before {made_on['load']:g}; commit {commit}"
             f"{changed}, {made_on['at'][:10]}, {found['minutes']:g} minutes.", "",
             f"Made by `make torture`, here `{found['command']}`, whose random numbers had the seed {found['seed']}."]
    if found["failures"]:
        lines += ["", "## What was found", ""]
        for failure in found["failures"]:
            lines.append(f"- `{failure['command']}`: {failure['problems'][0].splitlines()[0]}")
    return "\n".join(lines) + "\n"
