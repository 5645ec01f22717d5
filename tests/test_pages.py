"""The pages of results/ and the measured part of README.md, made from records."""
import json
import re
import shutil
from types import SimpleNamespace

import pytest
import torch

import data
from by_hand import record
from conftest import ROOT
from experiments import ask, declarations, figures, pages, records


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty project to write to. Nothing is drawn: what figures.draw was asked for is in `place.drawn`."""
    drawn = []
    (tmp_path / "results").mkdir()
    (tmp_path / "README.md").write_text(f"before\n{pages.BEGIN}\nold\n{pages.END}\nafter\n")
    monkeypatch.setattr(records, "RECORDS", tmp_path / "results/records.jsonl")
    monkeypatch.setattr(pages, "README", tmp_path / "README.md")
    monkeypatch.setattr(figures, "draw", lambda *args, **how: drawn.append((args, how)) or [])
    return SimpleNamespace(folder=tmp_path, results=tmp_path / "results", readme=tmp_path / "README.md", drawn=drawn)


def test_the_committed_pages_are_what_the_committed_records_make(place, monkeypatch, capsys):
    # The layers of nets need a data set only for the size of its images and the number of its classes.
    one_image = SimpleNamespace(images=torch.zeros(1, 3, 112, 112, dtype=torch.uint8), classes=[""] * 35)
    monkeypatch.setattr(data, "for_run", lambda settings: one_image)
    shutil.copy(ROOT / "results/records.jsonl", place.results)
    shutil.copy(ROOT / "README.md", place.folder)
    (place.results / "figures").symlink_to(ROOT / "results/figures")
    declared = declarations.declarations()
    for name, report in declared["report"].items():  # a comparison declared just now is in no page before `make report`
        if f"## exp-{name}\n" not in (ROOT / f"results/{report}.md").read_text():
            del declared["exp"][name]
    pages.make_report(declared, place.folder / "runs")
    files = [*(f"results/{report}.md" for report in declared["pages"]), "README.md", "results/records.jsonl"]
    if re.search(rf"^\| all +\| {len(declared['run'])} ", (ROOT / "results/costs.md").read_text(), re.MULTILINE):
        files.append("results/costs.md")  # else a run was declared just now
    for file in files:
        assert (place.folder / file).read_text() == (ROOT / file).read_text(), file
    found = records.read_records()
    assert f"{len(found)} records of {len({r['run'] for r in found})} runs" in capsys.readouterr().out


TINY = """# Tiny: two nets.
#> A note that is \\
#> one line.
#> Another.

## Which rate?
exp.rates = tiny/a tiny/b
plots.rates = curves against:lr
run.tiny/a = --lr 1
run.tiny/b = --lr 2
want.tiny/b = test_acc=0.5

exp.alone = other/c tiny/a
run.other/c = --lr 3
claim.T1 = b beats a
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The declarations of a small report, whose one claim is judged."""
    folder = tmp_path / "declared"
    (folder / "experiments").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "experiments/tiny.mk").write_text(TINY)

    def t1(run):
        a, b = records.tested(run, "tiny", "a", "b")
        return b > a, records.percent(b, a)

    monkeypatch.setattr(pages.claims, "functions", lambda: {"T1": t1})
    return declarations.declarations(folder)


def measured(run, seed, accuracy, flags):
    whole = record(run, seed, test_acc=accuracy, train_acc=0.9, curves={"epoch": [1]})
    return {**whole, "flags": flags, "seconds": 60.0, "threads": 1, "epochs": 10,
            "data": {"name": "cifar10", "source": "batches", "synthetic": False},
            "versions": {"device": "EPYC", "torch": "2.11"}}


def write(place, *found):
    records.RECORDS.write_text("".join(json.dumps(r) + "\n" for r in found))


def test_a_page_has_notes_comparisons_figures_and_claims(place, tiny, monkeypatch):
    write(place, measured("tiny/a", 3, 0.4, "--lr 1"), measured("tiny/b", 1, 0.5, "--lr 2"),
          measured("tiny/b", 2, 0.6, "--lr 2"), measured("tiny/a", 4, 0.4, "--lr 9"),  # it was declared otherwise then
          measured("gone/x", 0, 0.4, "--lr 1"))
    monkeypatch.setattr(figures, "of_comparison", lambda name, folder: [folder / f"exp-{name}-curves.png"])
    pages.make_report(tiny, place.folder / "runs", "there")
    lines = (place.results / "tiny.md").read_text().split("\n")
    assert lines[:8] == [
        "# Tiny: two nets", "", "Made by `make report` from `results/records.jsonl`. Measured on EPYC with torch 2.11; "
        "data: batches. ± is the sample deviation over seeds.", "", "A note that is one line.", "Another.", "",
        "## exp-rates"]
    assert lines[8:11] == ["", "Which rate?", ""]
    assert "| test acc 50 % | test acc 55.0 ± 7.1 % |" in lines[14] and "| test acc 40.0 %" in lines[13]
    at = lines.index("![exp-rates-curves](figures/exp-rates-curves.png)")
    assert lines[at + 2:at + 4] == ["## exp-alone", ""]
    assert lines[at + 4].startswith("| run")  # no sentence, and not that of its neighbour
    assert "exp-alone-curves" not in "\n".join(lines)  # one run alone is no comparison
    claim = [cell.strip() for cell in lines[-2].strip("|").split("|")]
    assert lines[-5] == "" and claim == ["T1", "b beats a", "not run", "–", "–"]  # no seed has both runs
    (args, how), = place.drawn
    assert args[1] == "rates" and args[4:] == ("exp-rates-", place.folder / "runs", "there", 1)
    assert how == {"for_results": True}


def test_the_summary_in_the_readme_has_printed_beside_measured_numbers_and_verdicts(place, tiny):
    write(place, measured("tiny/a", 1, 0.4, "--lr 1"), measured("tiny/b", 1, 0.5, "--lr 2"))
    pages.make_report(tiny, place.folder / "runs")
    before, _, rest = place.readme.read_text().partition(pages.BEGIN)
    middle, _, after = rest.partition(pages.END)
    assert (before, after) == ("before\n", "\nafter\n")
    assert middle.splitlines()[:10] == [
        "", "", "### Tiny: two nets", "",
        "| run      | reported      | measured        | seeds |",
        "|----------|---------------|-----------------|-------|",
        "| `tiny/b` | test acc 50 % | test acc 50.0 % | 1     |", "",
        "Claims: holds: T1. Tables, figures and what each claim says: [results/tiny.md](results/tiny.md).", ""]
    assert middle.splitlines()[10].startswith("Measured on EPYC")
    once = place.readme.read_text()
    pages.make_report(tiny, place.folder / "runs")
    assert place.readme.read_text() == once


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_pages_of_no_records_say_so(place, tiny, text, capsys):
    if text is not None:
        records.RECORDS.write_text(text)
    pages.make_report(tiny, place.folder / "runs")
    page, readme = (place.results / "tiny.md").read_text(), place.readme.read_text()
    assert "Nothing measured yet." in page and page.count("Not measured yet.") == 2 and not place.drawn
    assert "Claims: not run: T1." in readme and "Measured on" not in readme and "| run" not in readme
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
    result = measured("tiny/b", 0, 0.5, "--lr 2")
    result.pop("curves")
    (folder / "result.json").write_text(json.dumps({**result, "max_steps": None}))
    (folder / "log.jsonl").write_text('{"epoch": 1, "train_loss": 2.0}\n')
    (folder / "train.log").write_text("finished at 2026-01-02T00:00:00Z: test_acc 0.5\n")
    monkeypatch.setattr(ask, "described", lambda record, folder, data_dir: record)
    pages.make_report(tiny, place.folder / "runs")
    assert "| `tiny/b` | test acc 50 % | test acc 50.0 % | 1     |" in place.readme.read_text()
