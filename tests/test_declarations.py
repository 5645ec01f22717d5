"""What the .mk files declare, and how they are read."""
import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

import by_hand
import train
from conftest import ROOT
from experiments import claims, declarations, figures, report, runs, status, tables

DECLARED = declarations.declarations()

TWO_LINES = """# Tiny: what a comparison needs.
exp.tiny = tiny/a
run.tiny/a = --act relu
"""


@pytest.fixture
def project(tmp_path):
    """Returns a function that writes experiments/tiny.mk into a project of its own, and returns its declarations."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "experiments").mkdir()

    def declare(text, file="tiny.mk"):
        (tmp_path / "experiments" / file).write_text(text)
        return declarations.declarations(tmp_path)

    declare.folder = tmp_path
    return declare


# ---- the five reports -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("run", DECLARED["run"])
def test_every_declared_run_has_flags_that_train_takes_and_numbers_that_it_can_measure(run):
    flags = DECLARED["run"][run].split()
    settings = train.parse([*flags, "--run", run])
    assert settings.run == run and runs.identity_flags(flags) == DECLARED["run"][run]
    assert any(run in names for names in DECLARED["exp"].values())
    losses = ("train_loss", "train_loss+penalty")
    metrics = {"train_loss", "train_acc", "valid_loss", "valid_acc", "test_loss", "test_acc", "tail_loss",
               "tail_loss+penalty", *(f"{loss}/{settings.batch_size}" for loss in losses)}  # as report 2 prints them
    for word in DECLARED["want"].get(run, "").split():
        match = re.fullmatch(r"([\w+/]+)(?:@(\d+))?=([\d.]+(?:\.\.[\d.]+)?|nan)", word)
        metric, epoch, numbers = match.groups()
        assert metric in metrics and int(epoch or 1) <= settings.epochs
        if "_acc" in metric:
            assert all(0 <= float(number) <= 1 for number in numbers.split(".."))


def test_the_declarations_fit_together():
    declarations.check(DECLARED, figures.KINDS, claims.names_by_report())
    # One sentence there, one function here, in the same order.
    assert list(DECLARED["claim"]) == list(claims.functions()) and len(DECLARED["claim"]) >= 68
    assert set(DECLARED["exp"]) == set(DECLARED["plots"]) == set(DECLARED["about"]) == set(DECLARED["report"])
    assert all(DECLARED["about"].values()) and all(DECLARED["want"].values())
    assert list(DECLARED["pages"]) == ["keypoints", "lenet_vgg", "net", "mlp_cnn", "caltech35"]  # reports 1 to 5
    assert {declarations.report_of(run) for run in DECLARED["run"]} == set(DECLARED["pages"])


def test_no_two_runs_are_the_same_training_unless_one_is_declared_as_a_second_name():
    made = {}
    for run, flags in declarations.trained(DECLARED).items():
        settings = runs.identity(train.parse(flags.split())._asdict())
        if settings["model"] == "vgg16":
            settings["model"] = "vgg13"  # report 2's compute the same: test_models.py compares them
        made.setdefault(str(settings), []).append(run)
    assert [names for names in made.values() if len(names) > 1] == []
    assert len(made) == len(DECLARED["run"]) - len(DECLARED["alias"])


def test_every_run_stands_where_it_is_said_to_stand():
    assert set(DECLARED["where"]) == set(DECLARED["run"])
    for run, where in DECLARED["where"].items():
        file, _, number = where.partition(":")
        line = (ROOT / file).read_text().splitlines()[int(number) - 1]
        kind = "alias" if run in DECLARED["alias"] else "run"
        assert re.match(rf"{kind}\.{re.escape(run)} *=", line)
        assert file == f"experiments/{declarations.report_of(run)}.mk"


def test_the_files_are_readable_on_a_terminal():
    for file in declarations.mk_files():
        text = file.read_text()
        assert max(map(len, text.splitlines())) <= 120, file
        assert not re.search(r"^want\.\S+ *= none$|^plots\.\S+ *= curves$", text, re.MULTILINE), file


def settings_of(run):
    return train.parse(DECLARED["run"][run].split())


def test_a_run_scored_as_the_report_did_is_the_same_training():
    scored = [run for run in DECLARED["run"] if "/protocol-" in run]
    assert len(scored) >= 5
    for run in scored:
        plain = settings_of(run.replace("/protocol-", "/"))
        assert runs.identity(settings_of(run)._asdict()) == {**runs.identity(plain._asdict()), "protocol": "report"}


def test_two_stages_train_the_features_first_and_then_the_classifier_of_the_same_net():
    second = [run for run in DECLARED["run"] if f"{run}-features" in DECLARED["run"]]
    assert len(second) >= 7
    for run in second:
        features, classifier = settings_of(f"{run}-features"), settings_of(run)
        assert features.loss == ("triplet-cosine" if "cosine" in run else "triplet-euclid")
        assert (features.freeze, features.init_from) == ("classifier", None)
        assert (classifier.freeze, classifier.init_from) == ("features", f"{run}-features")
        assert classifier.loss == "cross-entropy" and classifier.split == features.split
        assert classifier.model == features.model


def test_nets_that_score_labels_have_not_seen_them():
    cleaned = [run for run in DECLARED["run"] if "--clean-by" in DECLARED["run"][run]]
    assert len(cleaned) >= 3
    for run in cleaned:
        settings, scorer = settings_of(run), settings_of(declarations.source_of(DECLARED, run))
        assert (settings.split, scorer.split, scorer.init_from) == ("given", "val+addition", None)
        assert settings.clean_share == settings.label_noise > 0


# ---- what a comparison needs ----------------------------------------------------------------------------------------

def test_two_lines_are_a_comparison(project, capsys):
    declared = project(TWO_LINES)
    assert declared["exp"] == {"tiny": ["tiny/a"]} and declared["run"] == {"tiny/a": "--act relu"}
    assert declared["plots"] == {"tiny": ["curves"]} and declared["want"] == {} and declared["about"] == {"tiny": ""}
    assert declared["report"] == {"tiny": "tiny"} and declared["where"] == {"tiny/a": "experiments/tiny.mk:3"}
    assert declared["pages"] == {"tiny": {"title": "Tiny: what a comparison needs", "claims": []}}
    declarations.check(declared, figures.KINDS, {}, project.folder)
    assert "| a   | –            | not run              | –        | 0     |" in tables.table(declared, "tiny", [])
    assert status.show_list(declared)
    assert capsys.readouterr().out == "all: report-tiny\n\nexp-tiny\n  tiny/a" + " " * 30 + "\n"
    options = SimpleNamespace(runs=project.folder / "runs", data_dir="none", seeds=[0], flags="--synthetic")
    assert not report.make_exp(declared, ["tiny"], options)
    assert "nothing trained yet\nstatus: 1 missing" in capsys.readouterr().out


def test_a_sentence_is_of_the_next_comparison_alone(project):
    about = project("""# Tiny.
## One sentence.
exp.a = tiny/a
exp.b = tiny/a
## A heading that nobody took.

## A sentence that
## goes on.
# And a comment.
TINY = --act relu
exp.c = tiny/a
run.tiny/a = $(TINY)
exp.d = tiny/a
""")["about"]
    assert about == {"a": "One sentence.", "b": "", "c": "A sentence that goes on.", "d": ""}


def test_variables_may_stand_close_and_refer_to_each_other(project):
    declared = project("""exp.a=tiny/a
TINY := --init-from=tiny/b
run.tiny/a=$(TINY) \\
  --lr 1
run.tiny/b := --lr 2
want.tiny/b = nan
plots.a = curves:50   faces
claim.T1 = it is \\
           so
""")
    assert declared["run"] == {"tiny/a": "--init-from=tiny/b --lr 1", "tiny/b": "--lr 2"}
    assert declared["plots"] == {"a": ["curves:50", "faces"]} and declared["want"] == {"tiny/b": "nan"}
    assert declared["claim"] == {"T1": "it is so"} and declared["pages"]["tiny"]["claims"] == ["T1"]
    assert declared["pages"]["tiny"]["title"] == "tiny"


def test_an_alias_has_the_flags_of_its_run_and_its_own_place_and_numbers(project):
    declared = project("""exp.both = tiny/again tiny/a
alias.tiny/again = tiny/a
want.tiny/again = test_acc=0.6
run.tiny/a = --lr 1
want.tiny/a = test_acc=0.5
run.tiny/next = --lr 2 --init-from=tiny/a
""")
    assert declared["alias"] == {"tiny/again": "tiny/a"} and declared["exp"] == {"both": ["tiny/again", "tiny/a"]}
    assert declared["run"] == {"tiny/again": "--lr 1", "tiny/a": "--lr 1", "tiny/next": "--lr 2 --init-from=tiny/a"}
    assert list(declared["run"]) == list(declared["where"]) == ["tiny/again", "tiny/a", "tiny/next"]
    assert declared["where"]["tiny/again"] == "experiments/tiny.mk:2"
    assert declared["want"] == {"tiny/again": "test_acc=0.6", "tiny/a": "test_acc=0.5"}
    assert list(declarations.trained(declared)) == ["tiny/a", "tiny/next"]
    assert declarations.real(declared, "tiny/again") == declarations.real(declared, "tiny/a") == "tiny/a"
    assert project(TWO_LINES)["alias"] == {}


def test_a_report_has_a_number_that_stands_for_it(project):
    declared = project(TWO_LINES + "headline.tiny = tiny/a test_acc\n")
    assert declared["headline"] == {"tiny": ["tiny/a", "test_acc"]}
    assert project(TWO_LINES)["headline"] == {}
    for wrong in ("headline.other = tiny/a test_acc", "headline.tiny = tiny/b test_acc", "headline.tiny = tiny/a"):
        with pytest.raises(runs.BadInput, match="tiny.mk:4: headline.(tiny|other) is not headline.REPORT = REPORT/RUN"):
            project(f"{TWO_LINES}{wrong}\n")


def test_a_comparison_that_begins_with_another_reports_run_is_in_its_own_report(project):
    project("# Other.\nexp.other = other/b\nrun.other/b = --lr 1\n", "other.mk")
    declared = project("# A tiny one.\nexp.tiny = other/b tiny/a\nrun.tiny/a = --lr 2\n")
    assert declared["report"] == {"other": "other", "tiny": "tiny"} and list(declared["pages"]) == ["tiny", "other"]


def test_a_file_of_variables_alone_has_no_page(project):
    project("# What both share.\nSHARED = --lr 3\n", "a_shared.mk")
    declared = project(TWO_LINES.replace("--act relu", "$(SHARED)"))
    assert list(declared["pages"]) == ["tiny"] and declared["run"] == {"tiny/a": "--lr 3"}


def test_what_a_make_under_way_hands_down_changes_nothing(project, monkeypatch):
    for name, value in (("MAKEFLAGS", "n"), ("FLAGS", "--lr 9"), ("SYNTHETIC", "1"), ("MAKELEVEL", "3")):
        monkeypatch.setenv(name, value)
    assert project(TWO_LINES)["run"] == {"tiny/a": "--act relu"}


# ---- what is wrong --------------------------------------------------------------------------------------------------

def said(project, text, functions=None):
    with pytest.raises(runs.BadInput) as e:
        declarations.check(project(text), figures.KINDS, functions or {}, project.folder)
    return str(e.value)


def test_a_figure_of_an_unknown_kind_is_named_with_file_and_line(project):
    sentence = said(project, TWO_LINES + "plots.tiny = curves:50 histogram:3\n")
    assert sentence.startswith("experiments/tiny.mk:4: plots.tiny asks for histogram; there are curves, ")


def test_a_claim_without_a_function_is_named_with_file_and_line(project):
    assert said(project, TWO_LINES + "claim.T1 = b beats a\n", {"tiny": ["T2"]}) == (
        "experiments/tiny.mk:4: claim.T1 needs a function T1 in experiments/tiny.py that judges it.")
    assert "claim.T1 needs a function" in said(project, TWO_LINES + "claim.T1 = b beats a\n")


def test_a_function_without_a_claim_is_named(project):
    assert said(project, TWO_LINES + "claim.T1 = b beats a\n", {"tiny": ["T1", "T2"]}) == (
        "experiments/tiny.py: the function T2 judges a claim without a sentence. "
        "Declare claim.T2 in experiments/tiny.mk.")


def test_a_figure_or_a_number_of_nothing_is_named_with_file_and_line(project):
    assert said(project, TWO_LINES + "\nplots.tny = curves\n") == (
        "experiments/tiny.mk:5: there is no exp.tny for plots.tny.")
    assert said(project, TWO_LINES + "want.tiny/b = test_acc=0.5\n") == (
        "experiments/tiny.mk:4: there is no run.tiny/b for want.tiny/b.")


def test_a_comparison_without_runs_is_named_with_file_and_line(project):
    assert said(project, TWO_LINES + "exp.none =\n") == "experiments/tiny.mk:4: exp.none has no runs."


@pytest.mark.parametrize("line", ["claim.T1 = a beats b", "exp.tiny = tiny/a", "run.tiny/a = --lr 3", "claim.T1=so"])
def test_what_is_declared_twice_is_named_with_both_places(project, line):
    (project.folder / "experiments/mine.mk").write_text(f"# Mine.\n\n{line}\n")
    name = line.partition("=")[0].strip()
    place = {"exp.tiny": 2, "run.tiny/a": 3, "claim.T1": 4}[name]
    assert said(project, TWO_LINES + "claim.T1 = b beats a\n") == (
        f"experiments/tiny.mk:{place}: {name} is declared in experiments/mine.mk:3 already. "
        "Give one of them another name.")


def test_a_line_that_was_copied_and_not_changed_is_named(project):
    assert "experiments/tiny.mk:4: run.tiny/a is declared in experiments/tiny.mk:3 already." in said(
        project, TWO_LINES + "run.tiny/a = --lr 3\n")


@pytest.mark.parametrize("lines, sentence", [
    ("alias.tiny/z = tiny/b", ":4: alias.tiny/z names tiny/b, which no run.tiny/b declares"),
    ("alias.tiny/z=tiny/a\nalias.tiny/y=tiny/z", ":5: alias.tiny/y names tiny/z, which no run.tiny/z declares"),
    ("alias.tiny/z = tiny/z", ":4: alias.tiny/z names tiny/z, which no run.tiny/z declares"),
    ("alias.tiny/z =", ":4: alias.tiny/z names "),
    ("run.tiny/b = --lr 1\nalias.tiny/a = tiny/b", ":5: tiny/a is a run and cannot be an alias too"),
    ("alias.tiny/z = tiny/a\n\nrun.tiny/b = --lr 1 --init-from=tiny/z", ":6: run.tiny/b names tiny/z, which no run."),
    ("run.tiny/b = --clean-by=tiny/z\nalias.tiny/z = tiny/a", ":4: run.tiny/b names tiny/z, which no run.tiny/z "),
    ("exp.more = tiny/a tiny/b", ":4: exp.more names tiny/b, which no run.tiny/b declares"),
    ("alias.tiny/z = tiny/b\nexp.more = tiny/z", ":4: alias.tiny/z names tiny/b, which no run.tiny/b declares"),
    ("want.tiny/z = test_acc=0.5", ":4: there is no run.tiny/z for want.tiny/z.")])
def test_a_name_that_is_no_run_is_refused_with_file_and_line(project, lines, sentence):
    assert f"experiments/tiny.mk{sentence}" in said(project, f"{TWO_LINES}{lines}\n")


def test_what_make_cannot_read_is_said_in_its_words(project):
    assert "tiny.mk:1" in said(project, "nonsense\n")


def test_a_misspelt_flag_is_named_with_file_and_line(project, capsys):
    declared = project(TWO_LINES + """exp.more = tiny/b tiny/c tiny/d
run.tiny/b = --lerning-rate 1
run.tiny/c = --lr 1
run.tiny/d = --act rellu
""")
    assert not status.show_list(declared)
    printed = capsys.readouterr()
    assert "  tiny/b" in printed.out and "  tiny/d" in printed.out  # the list is whole
    of_b, of_d = printed.err.splitlines()
    assert of_b.startswith("experiments/tiny.mk:5: tiny/b: ") and "--lerning-rate" in of_b
    assert of_d.startswith("experiments/tiny.mk:7: tiny/d: ") and "rellu" in of_d


# ---- flags ----------------------------------------------------------------------------------------------------------

def test_flags_as_a_dict():
    assert declarations.as_dict("--lr 0.01 --flip --init-from=a/b --milestones 4,9 --lr 0.1") == {
        "lr": "0.1", "flip": "", "init-from": "a/b", "milestones": "4,9"}
    assert declarations.as_dict("") == {} and declarations.as_dict("--lr 1 2") == {"lr": "1 2"}


def test_names_of_runs():
    assert (declarations.report_of("net/adam"), declarations.short("net/adam")) == ("net", "adam")


def test_numbers_that_were_printed_at_the_end_and_epoch_by_epoch():
    declared = {"want": {"a/x": "test_acc=0.5 test_acc@1=0.16 test_acc@12=0.5 valid_acc@2=0.3", "a/y": "test_acc=0.5",
                         "a/range": "train_loss+penalty/4@3=0.68..0.69"}}

    def by_epoch(run, quantity="test_acc"):
        return {number.epoch: number.ends() for number in declarations.wanted(declared, run)
                if number.quantity == quantity}

    assert {run: by_epoch(run) for run in ("a/x", "a/y", "a/z")} == {
        "a/x": {None: [0.5], 1: [0.16], 12: [0.5]}, "a/y": {None: [0.5]}, "a/z": {}}
    assert by_epoch("a/x", "valid_acc") == {2: [0.3]}
    assert declarations.wanted(declared, "a/range") == [("train_loss+penalty/4", 3, "0.68..0.69")]
    assert by_epoch("a/range", "train_loss+penalty/4") == {3: [0.68, 0.69]}


def test_the_line_that_a_result_must_have_goes_back_to_the_first_run():
    declared = {"run": {"a/x": "--lr 1", "a/y": "--lr 2 --init-from=a/x", "a/z": "--clean-by=a/y --lr 3",
                        "a/by-hand": "--init-from=weights.pt"}}
    expected = {"a/x": "--lr 1", "a/y": "--lr 2 --init-from=a/x < --lr 1",
                "a/z": "--clean-by=a/y --lr 3 < --lr 2 --init-from=a/x < --lr 1", "a/by-hand": "--init-from=weights.pt"}
    assert {run: declarations.expected_line(declared, run) for run in declared["run"]} == expected
    assert declarations.expected_line(declared, "a/y", "--epochs 2") == (
        "--lr 2 --init-from=a/x --epochs 2 < --lr 1 --epochs 2")
    assert declarations.source_of(declared, "a/z") == "a/y" and declarations.source_of(declared, "a/by-hand") is None


@pytest.mark.parametrize("given, extra", [((), ""), (("FLAGS=--epochs 5 --threads 2",), "--epochs 5"),
                                          (("SYNTHETIC=1",), "--synthetic")])
def test_make_has_the_same_line_for_every_run(given, extra):
    command = ["make", "-s", f"PYTHON={sys.executable}", "RUNS=none", *given, "lines", "--eval",
               "lines: ; @:$(foreach r,$(RUN_NAMES),$(info $r $(call line,$r)))"]
    env = {name: value for name, value in os.environ.items() if name not in declarations.OF_MAKE}
    printed = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
    lines = dict(line.split(" ", 1) for line in printed.splitlines())
    assert lines == {run: declarations.expected_line(DECLARED, run, extra) for run in declarations.trained(DECLARED)}


def test_the_line_is_what_flags_line_reads_of_a_folder(tmp_path):
    declared = {"run": {"a/x": "--lr 1", "a/y": "--lr 2 --init-from=a/x"}}
    of_run = by_hand.result(flags="--lr 2 --init-from=a/x", init_flags="--lr 1")
    runs.save_json(of_run, tmp_path / "result.json")
    assert runs.flags_line(tmp_path) == declarations.expected_line(declared, "a/y")


def test_records_count_whose_flags_and_whose_sources_flags_are_those_declared():
    declared = {"run": {"a/x": "--lr 1", "a/y": "--lr 2 --init-from=a/x"}}
    plain, other = by_hand.result("a/x", flags="--lr 1"), by_hand.result("a/x", flags="--lr 9")
    gone = by_hand.result("a/gone", flags="--lr 1")
    started = {start: by_hand.result("a/y", flags="--lr 2 --init-from=a/x", init_flags=start)
               for start in ("--lr 1", "--lr 9", None)}
    silent = {name: value for name, value in started[None].items() if name != "init_flags"}
    found = [plain, other, gone, *started.values(), silent]
    assert declarations.as_declared(declared, found) == [plain, started["--lr 1"]]
    declared["run"]["a/x"] = "--lr 9"
    assert declarations.as_declared(declared, found) == [other, started["--lr 9"]]
