"""The command line of experiments/report.py: what it prints, what it writes, and its exit codes."""
import json
import re
import shutil
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

import by_hand
from by_hand import record
from conftest import ROOT
from experiments import ask, declarations, figures, pages, report, runs, status

DECLARED = declarations.declarations()
DECLARED["exp"] |= {"optimizer": ["net/baseline", "net/adam"], "flip": ["net/baseline", "net/flip"]}


@pytest.fixture(autouse=True)
def declared_as_here(monkeypatch):
    """Whatever runs these two comparisons have besides."""
    monkeypatch.setattr(declarations, "declarations", lambda: DECLARED)


@pytest.fixture
def drawn(monkeypatch):
    """What figures.draw was asked for; nothing is drawn."""
    asked = []
    monkeypatch.setattr(figures, "draw", lambda *args: asked.append(args) or [args[3] / "curves.png"])
    return asked


def leave(folder, row, **result):
    """Leaves a run folder with one epoch; with a result.json where one is given."""
    folder.mkdir(parents=True)
    (folder / "log.jsonl").write_text(json.dumps({"epoch": 1, **row}) + "\n")
    if result:
        runs.save_json(by_hand.result(epochs=12, **result), folder / "result.json")


def finish_net(folder, run, accuracy, seed=0, synthetic=False, flags=None):
    flags = DECLARED["run"][run] if flags is None else flags
    of_data = {"synthetic": synthetic}
    metrics = {"train_loss": 1.0, "train_acc": 0.9, "valid_acc": None, "test_acc": accuracy}
    leave(folder / run / f"seed{seed}", {"train_loss": 1.0, "train_acc": 0.9, "test_acc": accuracy}, run=run, seed=seed,
          flags=flags, metrics=metrics, data=of_data)


def options_for(folder, flags="", seeds=(0,)):
    return SimpleNamespace(runs=folder, data_dir="data", seeds=list(seeds), flags=flags)


def test_a_comparison_is_drawn_printed_and_judged(tmp_path, drawn, capsys):
    finish_net(tmp_path, "net/baseline", 0.5)
    finish_net(tmp_path, "net/adam", 0.56)
    assert report.make_exp(DECLARED, ["optimizer"], options_for(tmp_path))
    printed = capsys.readouterr().out
    text = (tmp_path / "figures/exp-optimizer/table.md").read_text()
    assert printed.startswith("\nexp-optimizer: SGD against Adam.\n| claim ") and text in printed
    verdicts, table = text.index("| claim"), text.index("| run ")
    assert verdicts < table < text.index("Δ is the difference") and "<" not in text  # verdicts first, and no HTML
    assert re.search(r"^\| \*\*N3\*\* +\| Adam beats SGD by at least 5 points .*one seed: looks so", text, re.MULTILINE)
    assert "N10" not in text and "L1" not in text  # the one needs no run, the others have none
    assert "Measured on EPYC with torch 2.11; data: batches." in text
    assert printed.endswith(f"wrote {tmp_path}/figures/exp-optimizer/curves.png\nstatus: 2 done\n")
    (declared, name, records, out, prefix, runs_dir, data_dir, seed), = drawn
    assert (name, prefix, runs_dir, data_dir, seed) == ("optimizer", "", tmp_path, "data", 0)
    assert [r["run"] for r in records] == ["net/baseline", "net/adam"] and out == tmp_path / "figures/exp-optimizer"


def test_a_comparison_that_is_as_it_was_is_neither_drawn_nor_printed_again(tmp_path, drawn, capsys, monkeypatch):
    def draw(*args):
        drawn.append(args)
        (args[3] / "curves.png").write_text("")
        return [args[3] / "curves.png"]

    monkeypatch.setattr(figures, "draw", draw)
    for run in ("net/baseline", "net/adam"):
        finish_net(tmp_path, run, 0.5)
    assert report.make_exp(DECLARED, ["optimizer"], options_for(tmp_path))
    capsys.readouterr()
    assert report.make_exp(DECLARED, ["optimizer"], options_for(tmp_path)) and len(drawn) == 1
    assert capsys.readouterr().out == ("\nexp-optimizer: SGD against Adam.\nas before: its table and figures are in "
                                       f"{tmp_path}/figures/exp-optimizer\nstatus: 2 done\n")
    assert not report.make_exp(DECLARED, ["optimizer"], options_for(tmp_path, seeds=(0, 1))) and len(drawn) == 2
    assert "| baseline |" in capsys.readouterr().out
    finish_net(tmp_path, "net/adam", 0.6, seed=1)
    assert not report.make_exp(DECLARED, ["optimizer"], options_for(tmp_path, seeds=(0, 1))) and len(drawn) == 3
    monkeypatch.setitem(DECLARED["plots"], "optimizer", ["histogram"])  # what is wrong is said before it is drawn
    with pytest.raises(runs.BadInput, match="asks for histogram"):
        report.make_exp(DECLARED, ["optimizer"], options_for(tmp_path))


def test_two_comparisons_made_at_once_are_printed_one_after_the_other(tmp_path, drawn, capsys):
    maker = threading.Thread(target=report.make_exp, args=(DECLARED, ["optimizer"], options_for(tmp_path)))
    with report.one_at_a_time():
        maker.start()
        maker.join(0.5)
        assert maker.is_alive() and capsys.readouterr().out == ""
    maker.join()
    assert "status: 2 missing" in capsys.readouterr().out


def test_a_comparison_of_which_nothing_has_finished_yet_ends_with_the_status_line(tmp_path, drawn, capsys):
    leave(tmp_path / "net/baseline/seed0", {"train_loss": 2.0, "train_acc": 0.2, "test_acc": 0.3})
    assert not report.make_exp(DECLARED, ["optimizer"], options_for(tmp_path))
    printed = capsys.readouterr().out
    assert "| baseline | " in printed and "missing" in printed and "Measured on" not in printed
    assert "interrupted net/baseline seed 0  after epoch 1" in printed and "status: 1 interrupted, 1 missing" in printed
    assert drawn[0][2][0]["status"] == "unfinished"


def test_a_comparison_of_which_nothing_has_begun_has_no_folder(tmp_path, drawn, capsys):
    assert not report.make_exp(DECLARED, ["optimizer", "flip"], options_for(tmp_path))
    printed = capsys.readouterr().out
    assert printed.count("nothing trained yet") == 2 and "status: 3 missing" in printed and not drawn
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flags, synthetic, said", [
    ("", True, "Made with generated data: nothing here says anything about the reports.\n"),
    ("--lr 1", False, "Made with --lr 1 appended: not the reports' settings.\n")])
def test_what_says_nothing_about_the_reports_is_not_judged(tmp_path, drawn, flags, synthetic, said):
    for run in ("net/baseline", "net/adam"):
        finish_net(tmp_path, run, 0.5, synthetic=synthetic, flags=f"{DECLARED['run'][run]} {flags}".strip())
    assert report.make_exp(DECLARED, ["optimizer"], options_for(tmp_path, flags))
    text = (tmp_path / "figures/exp-optimizer/table.md").read_text()
    assert text.endswith(said) and "N3" not in text and "Measured on" not in text


def test_records_made_with_other_flags_and_broken_ones_are_not_shown(tmp_path, drawn, capsys):
    finish_net(tmp_path, "net/baseline", 0.5, flags="--lr 9")
    finish_net(tmp_path, "net/adam", 0.56)
    finish_net(tmp_path, "net/adam", 0.56, seed=1)
    (tmp_path / "net/adam/seed1/result.json").write_text('{"torn')
    assert [(r["run"], r["seed"]) for r in report.records_of(DECLARED, "optimizer", options_for(tmp_path, seeds=(0, 1)))
            ] == [("net/adam", 0)]
    assert "seed1/result.json is not JSON" in capsys.readouterr().err


def test_a_record_whose_source_was_made_with_other_flags_is_not_shown(tmp_path, drawn):
    flags = {run: DECLARED["run"][f"caltech35/{run}"] for run in ("base", "base-lr-10")}
    folder = tmp_path / "caltech35/base-lr-10/seed0"
    leave(folder, {"train_loss": 1.0}, run="caltech35/base-lr-10", seed=0, flags=flags["base-lr-10"],
          init_flags=flags["base"] + " --lr 9", metrics={"train_acc": 0.5}, data={"name": "caltech35"})
    assert report.records_of(DECLARED, "momentum", options_for(tmp_path)) == []
    runs.write_flags_line(f"{flags['base-lr-10']} < {flags['base']}", folder)
    assert len(report.records_of(DECLARED, "momentum", options_for(tmp_path))) == 1


def test_a_second_name_shows_the_records_of_its_run(tmp_path):
    declared = {**DECLARED, "exp": {"x": ["net/again", "net/adam"], "y": ["net/again"]},
                "alias": {"net/again": "net/adam"},
                "run": {**DECLARED["run"], "net/again": DECLARED["run"]["net/adam"]}}
    finish_net(tmp_path, "net/adam", 0.56)
    finish_net(tmp_path, "net/again", 0.1, flags=DECLARED["run"]["net/adam"])  # nobody looks there
    for name in ("x", "y"):
        found = report.records_of(declared, name, options_for(tmp_path))
        assert [(r["run"], r["metrics"]["test_acc"]) for r in found] == [("net/adam", 0.56), ("net/again", 0.56)]


def test_nets_are_asked_for_their_answers(tmp_path, monkeypatch):
    finish_net(tmp_path, "net/adam", 0.56)
    monkeypatch.setattr(ask, "described", lambda record, *of: {"run": record["run"], "described": of})
    assert report.records_of(DECLARED, "optimizer", options_for(tmp_path)) == [
        {"run": "net/adam", "described": (tmp_path / "net/adam/seed0", "data")}]


# ---- the command line -----------------------------------------------------------------------------------------------

def test_commands_and_their_exit_codes(tmp_path, monkeypatch, drawn, capsys):
    where = ["--runs", str(tmp_path)]
    assert report.main(["status", "net/adam", *where, "--data-dir", "x", "--flags=--synthetic"]) == runs.FINISHED
    assert "status: 1 missing" in capsys.readouterr().out
    assert report.main(["exp", "optimizer", *where]) == runs.BAD_INPUT
    assert report.main(["done", "net/adam", *where]) == runs.BAD_INPUT
    for run in ("net/baseline", "net/adam"):
        finish_net(tmp_path, run, 0.5)
    assert report.main(["exp", "optimizer", *where]) == runs.FINISHED
    capsys.readouterr()
    assert report.main(["done", "net/adam", *where]) == runs.FINISHED
    assert capsys.readouterr().out == "status: 1 done\n"
    assert report.main(["exp", "optimizer", *where, "--seeds", "0 1"]) == runs.BAD_INPUT
    for well, code in ((True, runs.FINISHED), (False, runs.BAD_INPUT)):
        monkeypatch.setattr(status, "show_list", lambda declared: well)
        assert report.main(["list"]) == code
    asked = []
    monkeypatch.setattr(pages, "make_report", lambda *args: asked.append(args[1:]) or True)
    assert report.main(["report", *where, "--data-dir", "x"]) == runs.FINISHED
    assert asked == [(str(tmp_path), "x")]


def test_without_names_all_comparisons_and_runs_are_meant(tmp_path, drawn, capsys):
    report.main(["exp", "--runs", str(tmp_path), "--flags=--synthetic"])
    assert capsys.readouterr().out.count("nothing trained yet") == len(DECLARED["exp"])
    report.main(["status", "--runs", str(tmp_path), "--flags=--synthetic"])
    assert f"status: {len(declarations.trained(DECLARED))} missing" in capsys.readouterr().out


@pytest.mark.parametrize("words, said", [
    (["exp", "optimiser"], "optimiser is not declared; there are nets, pretrained, "),
    (["status", "net/adm"], "net/adm is not declared; there are caltech35/base, ")])
def test_an_unknown_name_is_bad_input(words, said, capsys):
    assert report.main(words) == runs.BAD_INPUT
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [["draw"], [], ["status", "--seeds", "0,1"], ["list", "--run", "x"]])
def test_bad_arguments_end_with_2(words, capsys):
    with pytest.raises(SystemExit) as e:
        report.main(words)
    assert e.value.code == runs.BAD_INPUT and capsys.readouterr().err


def test_wrong_declarations_end_every_command_with_a_sentence(monkeypatch, capsys):
    wrong = {**DECLARED, "plots": {**DECLARED["plots"], "flip": ["histogram"]}}
    monkeypatch.setattr(declarations, "declarations", lambda: wrong)
    for command in ("list", "status", "exp", "report"):
        assert report.main([command]) == runs.BAD_INPUT
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.startswith("report.py: experiments/net.mk:")
        assert "plots.flip asks for histogram" in printed.err


def test_it_runs_as_a_file_from_anywhere(tmp_path):
    """In a project of its own, whose one .mk file misspells a flag."""
    (tmp_path / "experiments").mkdir()
    for file in [ROOT / "Makefile", *ROOT.glob("*.py")]:
        shutil.copy(file, tmp_path)
    for file in (ROOT / "experiments").glob("*.py"):
        shutil.copy(file, tmp_path / "experiments")
    (tmp_path / "experiments/tiny.mk").write_text("exp.tiny = tiny/a\nrun.tiny/a = --lerning-rate 1\n")
    command = [sys.executable, tmp_path / "experiments/report.py", "list"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True)
    assert done.returncode == runs.BAD_INPUT and "exp-tiny\n  tiny/a" in done.stdout
    assert done.stderr.startswith("experiments/tiny.mk:2: tiny/a: ") and len(done.stderr.splitlines()) == 1


def test_records_by_hand_are_such_as_runs_leave(tmp_path):
    """The tests of tables and claims stand on them."""
    finish_net(tmp_path, "net/adam", 0.56)
    left = runs.read_run(tmp_path / "net/adam/seed0")
    by_hand = record("net/adam", test_acc=0.56)
    assert by_hand.keys() <= left.keys() and by_hand["curves"].keys() <= left["curves"].keys()
