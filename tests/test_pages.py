"""The pages of results/ and the measured part of the READMEs, made from records."""
import contextlib
import io
import json
import re
import shutil
from types import SimpleNamespace

import pytest
import torch

import by_hand
import data
from by_hand import record
from conftest import ROOT
from experiments import ask, declarations, figures, findings, overview, pages, records, torture_page
from experiments.verdicts import POINTS, Part

README = f"before\n{pages.BEGIN}\nold\n{pages.END}\nafter\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty project to write to, see empty_project."""
    return empty_project(tmp_path, monkeypatch)


def empty_project(folder, monkeypatch):
    """A project to write to. Nothing is drawn: it keeps what figures.draw and overview.overview were given."""
    drawn, overviews = [], []
    (folder / "results").mkdir()
    (folder / "README.md").write_text(README)
    monkeypatch.setattr(records, "RECORDS", folder / "results/records.jsonl")
    monkeypatch.setattr(pages, "ROOT", folder)
    monkeypatch.setattr(figures, "draw", lambda *args, **how: drawn.append((args, how)) or [])
    monkeypatch.setattr(overview, "overview", lambda declared, found, path: overviews.append((len(found), path)))
    return SimpleNamespace(folder=folder, results=folder / "results", readme=folder / "README.md", drawn=drawn,
                           overviews=overviews)


@pytest.fixture(scope="module")
def made_anew(tmp_path_factory):
    """The pages of the five reports, made anew from the committed records: ({path: text}, records.jsonl, what it said).

    They are made once for all tests, which only read them.
    """
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        place = empty_project(tmp_path_factory.mktemp("made"), patch)
        texts = make_pages(place, patch)
    return texts, (place.results / "records.jsonl").read_text(), said.getvalue()


@pytest.fixture
def made(made_anew):
    """Those pages: {path: text}."""
    return dict(made_anew[0])


def make_pages(place, monkeypatch):
    """Makes the pages of the five reports in an empty project. Returns {path: text}."""
    # The layers of nets need a data set only for the size of its images and the number of its classes.
    one_image = SimpleNamespace(images=torch.zeros(1, 3, 112, 112, dtype=torch.uint8), classes=[""] * 35)
    monkeypatch.setattr(data, "for_run", lambda settings: one_image)
    for name in ("records.jsonl", "torture.json"):
        shutil.copy(ROOT / "results" / name, place.results)
    for readme in pages.READMES:
        shutil.copy(ROOT / readme, place.folder)
    (place.results / "figures").symlink_to(ROOT / "results/figures")
    declared = declarations.declarations()
    for name, report in declared["report"].items():  # a comparison declared just now is in no page before `make report`
        if f"exp-{name}" not in (ROOT / f"results/{report}.md").read_text():
            del declared["exp"][name]
    pages.make_report(declared, place.folder / "runs")
    files = [*(f"results/{report}.md" for report in declared["pages"]), *pages.READMES]
    if re.search(rf"^\| all +\| {len(declarations.trained(declared))} ", (ROOT / "results/costs.md").read_text(), re.M):
        files.append("results/costs.md")  # else a run was declared just now
    return {file: (place.folder / file).read_text() for file in files}


def test_the_committed_pages_are_what_the_committed_records_make(made_anew):
    texts, merged, said = made_anew
    for file, text in texts.items():
        assert text == (ROOT / file).read_text(), f"{file}: run make report"
    assert merged == (ROOT / "results/records.jsonl").read_text()
    found = records.read_records()
    assert f"{len(found)} records of {len({r['run'] for r in found})} runs" in said


def cells_of(line):
    """The cells of a line of a table as a reader sees them: without marks, and links without their address."""
    line = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line)
    return [cell.strip().replace("**", "") for cell in line.strip("|").split("|")]


def test_no_cell_is_too_long_to_be_taken_in_at_a_glance(made):
    for file, text in made.items():
        if file in pages.READMES:
            text = text.partition(pages.BEGIN)[2].partition(pages.END)[0]
        for line in text.splitlines():
            if line.startswith("|") and not set(line) <= set("|-: "):
                assert [cell for cell in cells_of(line) if len(cell) > 60] == [], file


def test_a_page_begins_with_what_came_out_and_its_verdicts(made):
    for file, text in made.items():
        if file not in (*pages.READMES, "results/costs.md"):
            lines = text.splitlines()
            assert lines[0].startswith("# Report") and lines[4].endswith(" More: [findings](#findings).")
            assert lines[6] == "## Verdicts"
            table = next(number for number, line in enumerate(lines) if line.startswith("| claim"))
            assert table <= 16 and all(line.startswith("- **") for line in lines[8:table - 1])  # in short
            assert lines.count("## Findings") == lines.count("## What differs from the report") == 1
            assert text.count("<details>") == text.count("</details>")
            assert "{" not in re.sub(r"`[^`]*`", "", text)  # every placeholder has become a number


def test_the_readmes_have_a_row_and_a_finding_for_each_report_and_the_count_of_kills(made):
    kills = torture_page.total(json.loads((ROOT / "results/torture.json").read_text()))["kills"]
    for readme in pages.READMES:
        lines = made[readme].partition(pages.BEGIN)[2].partition(pages.END)[0].strip().splitlines()
        links = [re.search(r"\]\((results/\w+\.md)\)", line)[1] for line in lines[2:7] + lines[8:]]
        assert lines[7] == "" and len(lines) == 14 and links[:5] == links[5:10]
        assert links[10] == "results/torture.md" and f" {kills} " in lines[-1]


TINY = """# Report 9: two nets.

## Which rate?
exp.rates = tiny/a tiny/b
plots.rates = curves against:lr
run.tiny/a = --lr 1
run.tiny/b = --lr 2
want.tiny/b = test_acc=0.5
alias.tiny/also = tiny/a

exp.alone = other/c tiny/a
run.other/c = --lr 3
## A third comparison.
exp.later = tiny/d
run.tiny/d = --lr 4
claim.T1 = b beats a
headline.tiny = tiny/b test_acc
"""
PROSE = """en: two small nets
zh: 两个小网络

## Findings

en: B has {tiny/b test_acc}.
zh: B 为 {tiny/b test_acc}。

- A has {tiny/a test_acc}, also {tiny/also test_acc}.

## What differs from the report

1. All of it.
"""


def t1():
    return [Part("T1", "", lambda run: records.tested(run, "tiny", "b", "a"), POINTS)]


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The declarations of a small report, whose one claim is judged."""
    folder = tmp_path / "declared"
    (folder / "experiments").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "experiments/tiny.mk").write_text(TINY)
    (folder / "experiments/tiny.md").write_text(PROSE)
    monkeypatch.setattr(findings, "FOLDER", folder / "experiments")
    monkeypatch.setattr(pages.claims, "functions", lambda: {"T1": t1})
    monkeypatch.setitem(pages.claims.verdicts.THRESHOLDS, "T1", pages.claims.verdicts.THRESHOLDS["L2"])
    return declarations.declarations(folder)


def measured(run, seed, accuracy, flags, **more):
    whole = record(run, seed, test_acc=accuracy, train_acc=0.9, curves={"epoch": [1]})
    return {**whole, "flags": flags, "seconds_per_epoch": 6.0, "threads": 1, "epochs": 10,
            "data": {"name": "cifar10", "source": "batches", "synthetic": False},
            "versions": {"device": "EPYC", "torch": "2.11"}, **more}


def write(place, *found):
    records.RECORDS.write_text("".join(json.dumps(r) + "\n" for r in found))


def test_a_page_has_verdicts_comparisons_figures_and_prose(place, tiny, monkeypatch):
    write(place, measured("tiny/a", 3, 0.4, "--lr 1"), measured("tiny/b", 1, 0.5, "--lr 2"),
          measured("tiny/b", 2, 0.6, "--lr 2"), measured("tiny/a", 4, 0.4, "--lr 9"),  # it was declared otherwise then
          measured("gone/x", 0, 0.4, "--lr 1"))
    monkeypatch.setattr(figures, "of_comparison", lambda name, folder: [folder / f"exp-{name}-curves.png"])
    pages.make_report(tiny, place.folder / "runs", "there")
    text = (place.results / "tiny.md").read_text()
    titles = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    assert titles == ["Report 9: two nets", "Verdicts", "exp-rates", "exp-alone", "Not measured yet",
                      "What one seed cannot tell", "Findings", "What differs from the report",
                      "Where the numbers come from"]
    lines = text.splitlines()
    assert lines[2].startswith("Made by `make report` from 3 records of 2 runs; ")
    assert lines[8] == "- **Not run, or only in part**: T1"
    assert cells_of(lines[12])[:2] == ["T1", "b beats a"] and cells_of(lines[12])[-1] == "not run"  # no seed has both
    at = lines.index("## exp-rates")
    assert lines[at + 2] == "Which rate?" and cells_of(lines[at + 6])[:4] == ["a", "–", "–", "40.0"]
    assert cells_of(lines[at + 7])[:4] == ["b", "lr 2", "50", "55.0 ± 7.1"]
    assert lines[at + 9] == "![exp-rates-curves](figures/exp-rates-curves.png)"
    assert lines[lines.index("## exp-alone") + 2].startswith("| run")  # no sentence, and not that of its neighbour
    assert "- `exp-later`: A third comparison." in lines
    assert lines[4] == "B has 55.0 ± 7.1 %. More: [findings](#findings)."
    assert "- A has 40.0 %, also 40.0 %." in lines and "B 为" not in text
    (args, how), (of_alone, _) = place.drawn
    assert args[1] == "rates" and args[4:] == ("exp-rates-", place.folder / "runs", "there", 1)
    assert how == {"for_results": True} and of_alone[1] == "alone"
    assert place.overviews == [(3, place.results / "figures/overview.png")]  # second names do not count


def test_faces_are_of_the_seed_of_which_most_runs_have_weights(tmp_path):
    ours = [{"run": f"tiny/{run}", "seed": seed} for seed in (2, 0, 1) for run in ("a", "b")]
    assert pages.seed_with_weights(ours, tmp_path) == 0
    for place in ("a/seed1", "a/seed2", "b/seed2", "a/seed0"):
        (tmp_path / "tiny" / place).mkdir(parents=True)
        (tmp_path / "tiny" / place / "model.pt").touch()
    assert pages.seed_with_weights(ours, tmp_path) == 2


def test_a_page_says_where_a_confusion_matrix_is_that_another_comparison_has(place, tiny):
    tiny["plots"] |= {"rates": ["confusion"], "alone": ["confusion"]}
    write(place, measured("tiny/a", 1, 0.4, "--lr 1"), measured("tiny/b", 1, 0.5, "--lr 2"))
    pages.make_report(tiny, place.folder / "runs")
    before, _, after = (place.results / "tiny.md").read_text().partition("## exp-alone")
    said = "Confusion matrices of a: under [exp-rates](#exp-rates)."
    assert said in after and "Confusion matrices" not in before


def test_what_is_long_is_folded_and_stands_below_the_figures(place, tiny, monkeypatch):
    write(place, measured("tiny/a", 1, 0.4, "--lr 1"), measured("tiny/b", 1, 0.5, "--lr 2"))
    monkeypatch.setattr(figures, "of_comparison", lambda name, folder: [folder / "curves.png"])
    monkeypatch.setattr(pages, "parts", lambda declared, name, ours: [("", "SHORT"), ("Layers", "LONG")])
    pages.make_report(tiny, place.folder / "runs")
    text = (place.results / "tiny.md").read_text()
    assert ("\nSHORT\n\n![curves](figures/curves.png)\n\n<details><summary>Layers</summary>\n\nLONG\n\n</details>\n"
            in text)


def test_a_legend_stands_once_on_a_page(place, tiny):
    write(place, *(measured(run, seed, 0.4 + seed / 10, flags) for seed in (0, 1)
                   for run, flags in (("tiny/a", "--lr 1"), ("tiny/b", "--lr 2"))))
    pages.make_report(tiny, place.folder / "runs")
    text = (place.results / "tiny.md").read_text()
    assert text.count("± is the sample deviation over seeds") == 1 and text.count("Δ is the difference") == 1
    assert "How to read the tables" in text and "blew up" not in text.partition("How to read")[2]


def test_seeds_that_were_made_twice_have_tables_of_both(place, tiny):
    gpu = {"device": "NVIDIA H200", "torch": "2.11"}
    write(place, measured("tiny/a", 1, 0.40, "--lr 1"), measured("tiny/a", 1, 0.41, "--lr 1", precision="bfloat16"),
          measured("tiny/b", 1, 0.50, "--lr 2"),
          measured("tiny/b", 1, 0.52, "--lr 2", versions=gpu, seconds_per_epoch=1.0))
    pages.make_report(tiny, place.folder / "runs")
    lines = (place.results / "tiny.md").read_text().splitlines()
    rows = {title: cells_of(lines[lines.index(f"## {title}") + 6]) for title in ("What bfloat16 costs", "CPU and GPU")}
    assert rows == {"What bfloat16 costs": ["a", "1", "test acc", "40.0 %", "41.0 %", "6.0 s", "6.0 s"],
                    "CPU and GPU": ["b", "1", "test acc", "50.0 %", "52.0 %", "6.0 s", "1.0 s"]}
    of_b = cells_of(lines[lines.index("## exp-rates") + 7])
    assert of_b[:4] == ["b", "lr 2", "50", "50.0"]  # the CPU's counts


def test_a_page_says_where_its_numbers_come_from(place, tiny):
    write(place, measured("tiny/a", 1, 0.4, "--lr 1"), measured("tiny/b", 1, 0.5, "--lr 2"),
          measured("tiny/b", 2, 0.5, "--lr 2", versions={"device": "A100", "torch": "2.12"}, precision="tf32"),
          measured("other/c", 0, 0.4, "--lr 3"))
    pages.make_report(tiny, place.folder / "runs")
    lines = (place.results / "tiny.md").read_text().splitlines()
    assert [cells_of(line) for line in lines[-3:]][0:1] + [cells_of(line) for line in lines[-2:]] == [
        ["-" * 10, "-" * 7, "-" * 9, "-" * 11, "-" * 9], ["A100", "2.12", "batches", "tf32", "1"],
        ["EPYC", "2.11", "batches", "float32", "2"]]  # other/c is not of this report, tiny/also a second name


def test_the_readmes_get_a_headline_a_tally_and_a_finding(place, tiny):
    (place.folder / "README.zh.md").write_text(README)
    write(place, *(measured(run, seed, accuracy + seed / 1000, flags) for seed in (0, 1, 2)
                   for run, flags, accuracy in (("tiny/a", "--lr 1", 0.4), ("tiny/b", "--lr 2", 0.5))))
    pages.make_report(tiny, place.folder / "runs")
    before, _, rest = place.readme.read_text().partition(pages.BEGIN)
    middle, _, after = rest.partition(pages.END)
    assert (before, after) == ("before\n", "\nafter\n")
    head, _, row, nothing, finding = middle.strip().splitlines()
    assert cells_of(head) == ["report", "about", "a headline", "reported", "measured", "claims"]
    assert cells_of(row) == ["Report 9", "two small nets", "`b`, test acc", "50 %", "50.1 ± 0.1 % (3 seeds)",
                             "held: 1 of 1"]
    assert nothing == "" and finding == "- [Report 9](results/tiny.md): B has 50.1 ± 0.1 %."
    chinese = (place.folder / "README.zh.md").read_text()
    assert "[报告 9](results/tiny.md) | 两个小网络 | `b`，测试准确率 | 50 % " in re.sub(" +", " ", chinese)
    assert "50.1 ± 0.1 %（3 个种子）" in chinese and "成立：1 条中 1 条" in chinese
    assert "- [报告 9](results/tiny.md): B 为 50.1 ± 0.1 %。" in chinese
    pages.make_report(tiny, place.folder / "runs")
    assert (place.folder / "README.zh.md").read_text() == chinese and place.readme.read_text().count(middle) == 1


def test_a_readme_without_marks_or_none_at_all_is_left_alone(place, tiny, capsys):
    place.readme.write_text("by hand\n")
    pages.make_report(tiny, place.folder / "runs")
    assert place.readme.read_text() == "by hand\n" and not (place.folder / "README.zh.md").exists()
    assert "README" not in capsys.readouterr().out


@pytest.mark.parametrize("counts, cell", [
    ({"holds": ["a"] * 8, "does not hold": ["b"] * 2, "undecided": ["c"] * 3, "not run": ["d"] * 5},
     "held: 8 of 10; 8 open"),
    ({"undecided": ["a"], "looks so": ["b", "c"], "does not look so": ["d"], "not judgeable": ["e"]},
     "one seed: 2 for, 1 against; 2 open"),  # one seed decides nothing
    ({"does not hold": ["a"]}, "held: 0 of 1")])
def test_a_tally_is_of_those_that_were_judged(place, tiny, monkeypatch, counts, cell):
    groups = pages.claims.IN_SHORT
    monkeypatch.setattr(pages.claims, "tally", lambda *_: {group: counts.get(group, []) for group in groups})
    assert pages.claims_cell(tiny, "tiny", [], "en") == cell


def test_what_is_judged_by_counting_stands_apart(tiny, monkeypatch):
    groups = dict.fromkeys(pages.claims.IN_SHORT, [])
    monkeypatch.setattr(pages.claims, "is_counted", lambda claim: claim == "Z1")
    monkeypatch.setattr(pages.claims, "tally", lambda declared, names, found: {
        **groups, "holds": [name for name in names if name == "Z1"], "not run": [n for n in names if n != "Z1"]})
    declared = {**tiny, "pages": {"tiny": {**tiny["pages"]["tiny"], "claims": ["Y1", "Z1"]}}}
    assert pages.claims_cell(declared, "tiny", [], "en") == "1 not run; by counting: 1 of 1"


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_pages_of_no_records_say_so(place, tiny, text, capsys):
    if text is not None:
        records.RECORDS.write_text(text)
    pages.make_report(tiny, place.folder / "runs")
    page, readme = (place.results / "tiny.md").read_text(), place.readme.read_text()
    assert "from no record yet" in page and "Nothing measured yet." in page and not place.drawn
    assert [f"`exp-{name}`" in page for name in ("rates", "alone", "later")] == [True] * 3 and "## exp-" not in page
    assert "| 1 not run " in readme and "not measured yet" in readme and "B has not measured." in readme
    assert "0 records of 0 runs" in capsys.readouterr().out


def test_a_comparison_is_in_the_report_whose_file_declares_it(place, tiny):
    write(place, measured("other/c", 0, 0.4, "--lr 3"), measured("tiny/a", 0, 0.4, "--lr 1"))
    pages.make_report(tiny, place.folder / "runs")
    page = (place.results / "tiny.md").read_text()
    assert "## exp-alone" in page and "| c   | –" in page
    assert sorted(file.name for file in place.results.iterdir()) == ["costs.md", "records.jsonl", "tiny.md"]


def test_finished_runs_are_merged_before_the_pages_are_made(place, tiny, monkeypatch):
    folder = place.folder / "runs/tiny/b/seed0"
    folder.mkdir(parents=True)
    of_run = by_hand.result("tiny/b", 0, {"test_acc": 0.5}, flags="--lr 2")
    (folder / "result.json").write_text(json.dumps(of_run))
    (folder / "log.jsonl").write_text('{"epoch": 1, "train_loss": 2.0}\n')
    (folder / "train.log").write_text("finished at 2026-01-02T00:00:00Z: test_acc 0.5\n")
    monkeypatch.setattr(ask, "described", lambda record, folder, data_dir: record)
    pages.make_report(tiny, place.folder / "runs")
    assert "50.0 % (1 seed)" in place.readme.read_text()
