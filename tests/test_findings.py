"""The prose of the pages, and the numbers that are put into it."""
import re

import pytest

from by_hand import record
from conftest import ROOT
from experiments import declarations, findings, runs

DECLARED = {"run": {"a/x": "", "a/y": "", "a/z": ""}}
FOUND = [record("a/x", seed=seed, test_acc=accuracy, train=[2.0, loss], best_valid_loss=6.03)
         for seed, accuracy, loss in ((0, 0.6, 1.0), (1, 0.7, 1.5))]
FOUND += [record("a/y", seed=1, test_acc=0.65, train=[2.0, 3.0])]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(findings, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.parametrize("words, number", [
    ("a/x test_acc", "65.0 ± 7.1 %"), ("a/x - a/y test_acc", "+5.0 points"), ("a/x test_acc seeds", "2"),
    ("a/x test_acc range", "60.0 to 70.0 %"), ("a/y test_acc range", "65.0 %"), ("a/x train_loss", "1.250 ± 0.354"),
    ("a/x train_loss range", "1.000 to 1.500"), ("a/x - a/y train_loss", "-1.500"),
    ("a/x train_loss@1", "2.000 ± 0.000"),
    ("a/y train_loss/4", "0.750"), ("a/x best_valid_loss", "6.030 ± 0.000"), ("a/z test_acc", "not measured"),
    ("a/z test_acc seeds", "0"), ("a/x - a/z test_acc", "not measured"), ("a/x spread", "not measured")])
def test_a_placeholder_becomes_a_number_of_the_records(words, number):
    assert findings.filled(f"It is {{{words}}}.", "a", DECLARED, FOUND) == f"It is {number}."


def test_numbers_in_chinese():
    text = "{a/x - a/y test_acc}，{a/z test_acc}，{a/x test_acc range}"
    assert findings.filled(text, "a", DECLARED, FOUND, "zh") == "+5.0 个百分点，未测量，60.0 至 70.0 %"


def test_a_run_that_diverged_has_no_number():
    dead = record("a/z", status="diverged", train=[None])
    assert findings.filled("{a/z test_acc}", "a", DECLARED, [dead]) == "diverged"


@pytest.mark.parametrize("words, said", [
    ("a/w test_acc", "a/w is no declared run"), ("a/x - a/w test_acc", "a/w is no declared run"),
    ("a/x tset_acc", "tset_acc is no metric"), ("a/x train_loss@one", "train_loss@one is no metric"),
    ("a/x", "it is not {RUN METRIC}"), ("a/x test_acc often", "it is not {RUN METRIC}"),
    ("", "it is not {RUN METRIC}")])
def test_a_placeholder_that_cannot_be_read_is_named_with_its_file(words, said):
    with pytest.raises(runs.BadInput, match=re.escape(f"experiments/a.md: {{{words}}}: {said}")):
        findings.filled(f"{{{words}}}", "a", DECLARED, FOUND)


def test_a_file_has_what_it_is_about_a_first_finding_and_sections(folder):
    (folder / "a.md").write_text("""en: two nets
zh: 两个网络

## Findings

en: X is better.
zh: X 更好。

- More.

## Notes

zh: is no Chinese here.
""")
    assert findings.read("a") == {
        "about": {"en": "two nets", "zh": "两个网络"}, "first": {"en": "X is better.", "zh": "X 更好。"},
        "sections": [("Findings", "- More."), ("Notes", "zh: is no Chinese here.")]}
    assert findings.read("b") == {"about": {}, "first": {}, "sections": []}


# ---- the five reports -----------------------------------------------------------------------------------------------

REPORTS = list(declarations.declarations()["pages"])


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_says_what_was_found_and_what_differs(report):
    prose = findings.read(report)
    titles = [title for title, _ in prose["sections"]]
    assert titles[0] == "Findings" and titles[-1] == "What differs from the report"
    for part in ("about", "first"):
        assert set(prose[part]) == {"en", "zh"} and re.search("[一-鿿]", prose[part]["zh"])
    assert len(prose["about"]["en"]) <= 60 and len(prose["about"]["zh"]) <= 60
    english, chinese = (re.findall(r"\{[^{}]*\}", prose["first"][language]) for language in ("en", "zh"))
    assert english == chinese and english  # the same numbers in both


@pytest.mark.parametrize("report", REPORTS)
def test_findings_are_few_and_short(report):
    declared = declarations.declarations()
    text = findings.filled(dict(findings.read(report)["sections"])["Findings"], report, declared, [])
    bullets = [" ".join(bullet.split()) for bullet in re.split(r"^- ", text, flags=re.MULTILINE)[1:]]
    assert 1 <= len(bullets) <= 8 and max(map(len, bullets)) <= 3 * 120


@pytest.mark.parametrize("report", REPORTS)
def test_what_differs_is_numbered_from_1(report):
    text = dict(findings.read(report)["sections"])["What differs from the report"]
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 5


def test_reports_on_cifar10_say_what_the_copy_is():
    for report in ("lenet_vgg", "net", "mlp_cnn"):
        assert "JPEG of quality 75 with 4:2:0" in (ROOT / f"experiments/{report}.md").read_text()
