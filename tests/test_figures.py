"""experiments/figures.py: the command line and the figures of a comparison, on run folders by hand."""
import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import by_hand
import data
import plots
import train
from conftest import ROOT
from drawing import by_epochs, classes, down, labels_of, lines, points, record, texts, write
from experiments import ask, declarations, figures, pictures, runs

COMMANDS = ["curves", "sweep", "by-epoch", "single", "faces", "against", "confusion", "features", "layers"]


@pytest.fixture
def drawn(monkeypatch):
    """Returns what goes into files, by path, instead of the files."""
    found = {}
    monkeypatch.setattr(plots, "save", lambda fig, path: found.update({str(path): fig}))
    return found


def fails(message, *words):
    """Runs a command line that must end with a message on stderr and the exit code of bad input."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert figures.main([str(word) for word in words]) == runs.BAD_INPUT
    assert re.search(message, said.getvalue(), re.DOTALL), said.getvalue()


# ---- the table of kinds ---------------------------------------------------------------------------------------------

def test_kinds_are_those_of_the_command_line_and_of_the_declarations(capsys):
    assert [name for name, kind in figures.KINDS.items() if kind.command] == COMMANDS
    assert [name for name, kind in figures.KINDS.items() if not kind.draw] == ["layers", "pick"]
    assert all(kind.help and set(kind.options) <= set(figures.OPTIONS) for kind in figures.KINDS.values())
    asked = declarations.declarations()["plots"].values()
    assert {word.partition(":")[0] for words in asked for word in words} <= set(figures.KINDS)
    with pytest.raises(SystemExit) as stopped:
        figures.main(["tables", "keypoints/adam"])
    assert stopped.value.code == 2 and "curves" in capsys.readouterr().err


def test_importing_figures_loads_neither_torch_nor_matplotlib():
    program = ("import sys; from experiments import figures; "
               "print(sorted({'torch', 'train', 'data', 'matplotlib'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_committed_pictures_of_a_comparison(tmp_path):
    mine = ["exp-adam-against.png", "exp-adam-apart.png", "exp-adam-by-epoch.png", "exp-adam-by-update.png",
            "exp-adam-confusion-base-lr-1.png", "exp-adam-curves-2.png", "exp-adam-curves.png", "exp-adam-faces.png",
            "exp-adam-features-base.png", "exp-adam-single-acc_mlp_128_1e-05_0.5.png", "exp-adam-sweep-mlp.png"]
    others = ["exp-adam-sgd-faces.png", "exp-adam-curves-x.png", "exp-adam-single.png", "exp-adam-layers.png",
              "exp-adam-pick.png", "adam-curves.png", "exp-adam-curves.md", "exp-adam-sweep-sweep-mlp.png"]
    for name in mine + others:
        (tmp_path / name).write_text("")
    found = [path.name for path in figures.of_comparison("adam", tmp_path)]
    assert sorted(found) == mine
    assert found[:4] == ["exp-adam-curves-2.png", "exp-adam-curves.png", "exp-adam-sweep-mlp.png", "exp-adam-apart.png"]
    assert figures.of_comparison("adam-sgd", tmp_path) == [tmp_path / "exp-adam-sgd-faces.png"]


def test_every_committed_picture_is_one_comparisons():
    folder, found = ROOT / "results/figures", []
    for name in declarations.declarations()["exp"]:
        found += figures.of_comparison(name, folder)
    of_reports = {"overview.png", *(f"seeds-{report}.png" for report in declarations.declarations()["pages"])}
    committed = [path for path in sorted(folder.glob("*.png")) if path.name not in of_reports]
    assert sorted(found) == committed and found


# ---- the figures of a comparison ------------------------------------------------------------------------------------

def comparison(runs_with_flags, *words, want=None):
    """Returns declarations of one comparison, x, of {run: flags}, with these words as plots.x."""
    return {"exp": {"x": list(runs_with_flags)}, "plots": {"x": list(words)}, "run": runs_with_flags,
            "about": {"x": "what is compared."}, "want": want or {}}


def names_of(paths):
    return [path.name for path in paths]


@pytest.fixture
def noisy(tmp_path, monkeypatch):
    """A comparison of four runs with two seeds each, and what is drawn of it.

    Three have a folder, of which plain's has no weights; bare has a record alone.
    """
    calls = {}
    for module, name in ((plots, "against"), (pictures, "confusion"), (pictures, "features")):
        monkeypatch.setattr(module, name, lambda *args, name=name: calls.setdefault(name, []).append(args))
    monkeypatch.setattr(ask, "answers", lambda folder, data_dir: (folder.parent.name, data_dir))
    flags = {"a/noise-10": "--label-noise 0.1", "a/noise-30": "--label-noise 0.3", "a/plain": "--lr 1",
             "a/bare": "--lr 2"}
    want = {"a/noise-10": "test_acc=0.32..0.33", "a/noise-30": "train_acc=0.5", "a/plain": "test_acc=0.9"}
    declared = comparison(flags, "layers", "against:label-noise", "confusion", "features:1,2",
                          "features:7,8,9:noise-30", want=want)
    records = []
    for run in flags:
        if run != "a/bare":
            folder = tmp_path / "runs" / run / "seed0"
            folder.mkdir(parents=True)
            (folder / "model.pt").write_text("")
            runs.save_json(by_hand.result(run), folder / "result.json")
        for seed in (1, 0):
            rec = record(run, seed=seed, valid_loss=[1], test_acc=0.5, synthetic=run == "a/noise-30")
            rec["flags"] = "--lr 1"
            if run != "a/plain":
                rec["described"] = {"confusion": f"of {run} {seed}"}
            records.append(rec)
    (tmp_path / "runs/a/plain/seed0/model.pt").unlink()
    return declared, records, calls


def paths_of(declared, records, tmp_path):
    paths = figures.draw(declared, "x", records, tmp_path / "out", "exp-", tmp_path / "runs", "there", 0)
    return names_of(paths)


def test_pictures_of_report_5_are_those_that_plots_asks_for(noisy, tmp_path):
    declared, records, calls = noisy
    # Of each run its first seed; only what has weights has features, and a run that is named in a word of its own has
    # those alone.
    assert paths_of(declared, records, tmp_path) == [
        "exp-against.png", "exp-confusion-noise-10.png", "exp-confusion-noise-30.png", "exp-confusion-bare.png",
        "exp-features-noise-10.png", "exp-features-noise-30.png"]
    (_, values, reported, path, flag, context), = calls["against"]
    assert values == {"a/noise-10": 0.1, "a/noise-30": 0.3} and reported == {"a/noise-10": pytest.approx(0.325)}
    assert context.title == "exp-x: what is compared"
    assert flag == "label_noise" and path == tmp_path / "out/exp-against.png"
    assert [args[:2] + args[3:] for args in calls["confusion"]] == [
        (f"of a/{name} 0", f"exp-x: confusion matrices of a/{name}, seed 0", name == "noise-30", ())
        for name in ("noise-10", "noise-30", "bare")]
    assert [args[:3] + args[4:] for args in calls["features"]] == [
        (("noise-10", "there"), [1, 2], "exp-x: features of a/noise-10, seed 0", False),
        (("noise-30", "there"), [7, 8, 9], "exp-x: features of a/noise-30, seed 0", True)]


@pytest.mark.parametrize("result", [{"flags": "--lr 9"}, {"status": "diverged"}, "{", None])
def test_weights_that_the_record_is_not_of_have_no_features(noisy, tmp_path, result):
    declared, records, _ = noisy
    file = tmp_path / "runs/a/noise-30/seed0/result.json"
    if result is None:
        file.unlink()
    else:
        file.write_text(result if result == "{" else json.dumps(by_hand.result(**result)))
    assert "exp-features-noise-30.png" not in paths_of(declared, records, tmp_path)


def test_figures_for_which_nothing_is_there_are_left_out(noisy, tmp_path, monkeypatch, capsys):
    declared, records, _ = noisy

    def no_data(*_):
        raise data.DataError("no Caltech there")
    monkeypatch.setattr(ask, "answers", no_data)
    kept = [r for r in records if r["run"] in ("a/plain", "a/bare")]
    kept += [{**r, "metrics": {"test_acc": None}} for r in records if r["run"] == "a/noise-10"]
    assert paths_of(declared, kept, tmp_path) == ["exp-confusion-noise-10.png", "exp-confusion-bare.png"]
    assert capsys.readouterr().err.count("no Caltech there") == 1


def test_a_kind_that_there_is_not_is_bad_input(noisy, tmp_path):
    declared, records, _ = noisy
    declared["plots"]["x"] = ["histogram"]
    with pytest.raises(runs.BadInput, match="plots.x asks for histogram; there are curves, .* pick"):
        paths_of(declared, records, tmp_path)


def test_a_comparison_without_plots_has_curves(tmp_path):
    declared = {**comparison({"a/b": "--lr 1"}), "plots": {}}
    assert names_of(figures.draw(declared, "x", [record("a/b", valid_loss=[2, 1])], tmp_path)) == ["curves.png"]
    assert names_of(tmp_path.iterdir()) == ["curves.png"]


def test_more_runs_than_colours_are_drawn_in_figures_of_their_own_by_net_and_evenly(tmp_path):
    names = [f"a/{net}{i}" for net, n in (("lenet5", 9), ("vgg13", 2)) for i in range(n)]
    many = comparison({run: f"--model {run[2:-1]}" for run in names}, "curves", "pick")
    few = comparison({run: "" for run in names[:7]}, "curves")
    assert figures.readable(many, names) == [names[:5], names[5:9], names[9:]]
    assert figures.readable(few, names[:7]) == [names[:7]]
    records = [record(run, valid_loss=[2, 1]) for run in names[4:6]]
    paths = figures.draw(many, "x", records, tmp_path)
    assert names_of(paths) == ["curves-1.png", "curves-2.png"]  # numbers stay as runs come in
    assert names_of(figures.draw(few, "x", records, tmp_path)) == ["curves.png"]
    assert {path.name for path in tmp_path.iterdir()} == {"curves-1.png", "curves-2.png", "curves.png"}
    assert names_of(figures.draw(many, "x", records[1:], tmp_path)) == ["curves-2.png"]
    plain = comparison({run: "" for run in names}, "curves")  # the flags need not name a net
    assert figures.readable(plain, names) == [names[:6], names[6:]]


def test_curves_have_panels_of_as_many_last_epochs_as_plots_says(tmp_path, drawn):
    declared = comparison({"keypoints/b": ""}, "curves:3")
    records = [record("keypoints/b", seed=seed, valid_loss=[4, 3, 2, 1]) for seed in (1, 0)]
    records.append(record("keypoints/other", valid_loss=[9] * 40))
    figures.draw(declared, "x", records, tmp_path, "exp-x-")
    fig = drawn[f"{tmp_path}/exp-x-curves.png"]
    assert len(fig.axes) == 2 and {"valid MSE (px²), last 3 epochs", "b (2 seeds)"} <= set(texts(fig))


def test_a_sweep_has_a_figure_for_every_net_of_which_two_values_are_there(tmp_path, drawn):
    flags = {f"a/{net}-{lr}": f"--model {net} --lr {lr}" for net in ("mlp", "cnn") for lr in (0.1, 0.01, 0.001)}
    records = [classes(run) for run in list(flags)[:4]]
    paths = figures.draw(comparison(flags, "sweep:lr"), "x", records, tmp_path)
    assert names_of(paths) == ["sweep-mlp.png"] and list(drawn) == [str(tmp_path / "sweep-mlp.png")]
    assert labels_of(drawn[str(paths[0])].axes[4].xaxis) == ["0.001", "0.01", "0.1"]
    paths = figures.draw(comparison(flags, "sweep:lr"), "x", records + [classes("a/cnn-0.001")], tmp_path)
    assert names_of(paths) == ["sweep-mlp.png", "sweep-cnn.png"]
    assert "0.01 (no run yet)" in texts(drawn[str(paths[1])])


def test_accuracy_by_epoch_stands_beside_what_the_report_printed(tmp_path, drawn):
    declared = comparison({"net/a": "", "net/b": ""}, "by-epoch", want={"net/a": "test_acc=0.5 test_acc@2=0.4"})
    assert figures.draw(declared, "x", [classes("net/a")], tmp_path) == []
    nothing = record("net/b", status="diverged", train_loss=[None])
    nothing["curves"] = {"epoch": [1]}  # as in results/records.jsonl, where no column has a number
    assert figures.draw(declared, "x", [nothing], tmp_path) == [] and not drawn
    paths = figures.draw(declared, "x", [by_epochs("net/a", 0.1, 0.3), nothing], tmp_path)
    ax, = drawn[str(paths[0])].axes
    assert names_of(paths) == ["by-epoch.png"]
    assert lines(ax, "net/a reported")[0].get_xydata().tolist() == [[2, 40]] and lines(ax, "net/a test")


def test_single_runs_are_drawn_of_one_seed_and_for_the_results_of_one_run(tmp_path):
    settings = {"model": "mlp", "batch_size": 4, "lr": 0.1, "dropout": 0.0}
    records = [classes(f"a/{run}", seed=seed) for run in "bc" for seed in (0, 1)][:3]
    for rec in records:
        write(tmp_path / "runs", rec, **settings)
    declared = comparison({"a/b": "--model mlp --batch-size 4 --lr 1e-1", "a/c": ""}, "single")
    declared["plots"]["y"], declared["exp"]["y"] = ["single"], ["a/b", "a/c"]
    paths = figures.draw(declared, "x", records, tmp_path / "out", "", tmp_path / "runs", "data", 1)
    assert paths == [tmp_path / f"out/b/{metric}_mlp_4_0.1_0.png" for metric in ("loss", "acc")]
    assert all(path.exists() for path in paths)
    committed = figures.draw(declared, "x", records, tmp_path / "out", "exp-x-", for_results=True)
    assert names_of(committed) == ["exp-x-single-loss_mlp_4_0.1_0.png", "exp-x-single-acc_mlp_4_0.1_0.png"]
    assert figures.of_comparison("x", tmp_path / "out") == sorted(committed)
    assert figures.draw(declared, "y", records, tmp_path / "out", "exp-y-", for_results=True) == []


# ---- the committed figures ------------------------------------------------------------------------------------------

def test_a_committed_figure_compares_two_runs_that_have_curves(tmp_path):
    declared = comparison({"a/b": "--epochs 9", "a/c": "--epochs 9", "a/once": "--epochs 1"}, "curves")
    one, other, once = (classes(run) for run in declared["run"])

    def draw(records, for_results):
        return names_of(figures.draw(declared, "x", records, tmp_path, "exp-x-", for_results=for_results))
    assert draw([one, once], True) == [] and draw([one, other, once], True) == ["exp-x-curves.png"]
    assert draw([one], False) == ["exp-x-curves.png"]  # on the way, one may look at one run
    assert draw([once], False) == []


def test_a_comparison_of_ours_is_committed_once_something_of_its_own_was_measured(tmp_path):
    declared = comparison({"a/b": "--epochs 9", "a/c": "--epochs 9", "a/ours": "--epochs 9"}, "curves")
    declared |= {"exp": {"x": ["a/b", "a/c", "a/ours"], "y": ["a/b", "a/c"]},
                 "about": {"x": "Ours: and this?", "y": "Which?"}}
    one, other, ours = (classes(run) for run in declared["run"])

    def draw(records, for_results=True):
        return names_of(figures.draw(declared, "x", records, tmp_path, "exp-x-", for_results=for_results))
    assert draw([one, other]) == [] and draw([one, other, ours]) == ["exp-x-curves.png"]
    assert draw([one, other], for_results=False) == ["exp-x-curves.png"]
    declared["exp"]["x"] = ["a/b", "a/c"]  # of the report's own runs alone
    assert draw([one, other]) == ["exp-x-curves.png"]


def test_a_run_of_one_epoch_is_left_to_the_table(tmp_path, drawn):
    declared = comparison({"a/b": "--epochs 9", "a/c": "", "a/once": "--epochs 1"}, "curves")
    figures.draw(declared, "x", [classes(run) for run in declared["run"]], tmp_path)
    ax = drawn[f"{tmp_path}/curves.png"].axes[0]
    assert lines(ax, "a/b train") and lines(ax, "a/c train") and not lines(ax, "a/once train")


def test_committed_figures_that_are_drawn_no_more_are_removed(tmp_path):
    declared = comparison({"a/b": "", "a/c": ""}, "curves", "faces")
    kept = ["exp-x-faces.png", "exp-x-features-b.png", "exp-xy-curves.png", "exp-x-curves.png"]
    for name in [*kept, "exp-x-curves-2.png", "exp-x-by-epoch.png", "exp-x-confusion-b.png"]:
        (tmp_path / name).write_text("")
    figures.draw(declared, "x", [classes("a/b"), classes("a/c")], tmp_path, "exp-x-", tmp_path, for_results=True)
    assert sorted(names_of(tmp_path.iterdir())) == sorted(kept)  # faces need weights that may lie elsewhere
    (tmp_path / "exp-x-by-epoch.png").write_text("")
    figures.draw(declared, "x", [classes("a/b")], tmp_path, "exp-x-", tmp_path)
    assert (tmp_path / "exp-x-by-epoch.png").exists()  # nothing is removed from a folder of one's own


def test_a_confusion_matrix_is_committed_once(tmp_path, drawn):
    declared = comparison({"a/b": "", "a/c": ""}, "confusion")
    declared["exp"] |= {"w": ["a/c"], "y": ["a/c", "a/b"]}
    declared["plots"] |= {"w": ["curves"], "y": ["confusion"]}
    records = [{**classes(run), "described": {"confusion": {"test": [[1, 0], [0, 1]]}}} for run in ("a/b", "a/c")]
    records[0]["data"]["name"] = "caltech35"
    declared["exp"] = {"x": ["a/b"], "w": ["a/c"], "y": ["a/c", "a/b"]}
    assert figures.drawn_elsewhere(declared, "y") == {"a/b": "x"} and figures.drawn_elsewhere(declared, "w") == {}
    for name, found in (("x", ["b"]), ("y", ["c"])):
        paths = figures.draw(declared, name, records, tmp_path, f"exp-{name}-", for_results=True)
        assert names_of(paths) == [f"exp-{name}-confusion-{run}.png" for run in found]
    assert len(figures.draw(declared, "y", records, tmp_path)) == 2  # of one's own runs, all are there
    assert "boxed: classes 3 and 5" in texts(drawn[f"{tmp_path}/exp-x-confusion-b.png"])
    assert not any("boxed" in text for text in texts(drawn[f"{tmp_path}/exp-y-confusion-c.png"]))


def test_the_same_records_give_the_same_committed_files(tmp_path):
    declared = comparison({"a/b": "--model m --batch-size 4", "a/c": "--model m --batch-size 8"}, "curves", "by-epoch",
                          "apart:batch-size", want={"a/b": "test_acc=0.5 train_loss/4@2=0.5"})
    records = [{**by_epochs(run, 0.1, 0.4, 0.3, seed=seed, train_loss=[3, 2, 1 + seed]), "steps": 10 * (seed + 1)}
               for run in ("a/b", "a/c") for seed in (0, 1)]
    found = []
    for folder in ("one", "two"):
        paths = figures.draw(declared, "x", records, tmp_path / folder, "exp-x-", for_results=True)
        assert names_of(paths) == ["exp-x-curves.png", "exp-x-by-update.png", "exp-x-apart.png"]
        found.append([path.read_bytes() for path in paths])
    assert found[0] == found[1]


def test_runs_that_differ_in_one_flag_have_a_panel_together(tmp_path, drawn):
    flags = {f"a/{net}-{lr}": f"--model {net} --lr {lr} --epochs 3" for net in "mn" for lr in (1, 2)}
    flags["a/n-2"] += " --flip"  # another flag differs, too
    declared = comparison(flags, "apart:lr", want={"a/m-2": "valid_acc=0.4"})
    recs = [classes(run, n=3) for run in flags]
    fig_path, = figures.draw(declared, "x", recs, tmp_path)
    fig = drawn[str(fig_path)]
    assert fig_path.name == "apart.png" and len(fig.axes) == 2 and {"lr 1", "lr 2"} <= set(texts(fig))
    assert lines(fig.axes[0], "a/m-1 valid") and lines(fig.axes[0], "a/m-2 valid")
    assert figures.draw(declared, "x", recs[1:], tmp_path) == []  # a group of one
    fig_path, = figures.draw(comparison(flags, "apart:lr+flip"), "x", recs, tmp_path)
    shown = texts(drawn[str(fig_path)])
    assert len(drawn[str(fig_path)].axes) == 4 and {"lr 1", "lr 2", "lr 2, flip"} <= set(shown)


def test_a_run_that_blew_up_ends_there_in_the_figures_of_a_comparison(tmp_path, drawn):
    declared = comparison({"keypoints/b": ""}, "curves")
    ruined = record("keypoints/b", train_loss=[9, 5, 5] + [1e9] * 12, valid_loss=[9] * 15)
    figures.draw(declared, "x", [ruined], tmp_path)
    assert "b (1 seed; blew up, epoch 4)" in texts(drawn[f"{tmp_path}/curves.png"])
    write(tmp_path / "runs", ruined)
    figures.main(["curves", "--runs", str(tmp_path / "runs"), "--out", "made", "keypoints/b"])
    assert "b (1 seed; blew up, epoch 4)" in texts(drawn["made/curves.png"])


def test_two_names_of_one_training_have_one_line(tmp_path, drawn):
    declared = comparison({"a/b": "", "a/second": "", "a/c": ""}, "curves") | {"alias": {"a/second": "a/b"}}
    figures.draw(declared, "x", [classes("a/b"), classes("a/c", 0.4)], tmp_path)
    fig = drawn[f"{tmp_path}/curves.png"]
    assert {"b = second (1 seed)", "c (1 seed)"} <= set(texts(fig)) and not lines(fig.axes[0], "a/second train")


# ---- faces ----------------------------------------------------------------------------------------------------------

@pytest.fixture
def nets(tmp_path, monkeypatch):
    """Folders of three runs with weights, of which classes is no landmark net and bn saw synthetic data.

    Returns the folder of the runs, and a list of what was asked.
    """
    asked = []

    def predict(folders, data_dir, best):
        asked.append((folders, data_dir, *best.items()))
        if data_dir == "nowhere":
            raise data.DataError("no faces there")
        landmarks = {run: np.full((3, 42), 56.0) for run in folders if "classes" not in run}
        if not landmarks:
            return None
        return {"pictures": np.zeros((3, 112, 112)), "true": np.full((3, 42), 50.0),
                "heads": ["upright", "turned +30°", "turned −30°"], "predicted": landmarks, "other": set()}
    monkeypatch.setattr(ask, "predict", predict)
    for run in ("adam", "bn", "classes"):
        folder = write(tmp_path, record(f"keypoints/{run}", valid_loss=[9, 8], synthetic=run == "bn"))
        (folder / "model.pt").touch()
    return tmp_path, asked


def test_faces_command_names_runs_that_it_leaves_out(nets, drawn, capsys):
    runs_dir, asked = nets
    figures.main(["faces", "--runs", str(runs_dir), "--out", "made", "--data-dir", "there", "--seeds", "0 1",
                  "keypoints/none", "keypoints/bn", "keypoints/adam"])
    said = capsys.readouterr()
    assert said.out == "made/faces.png\n"
    line, = said.err.splitlines()
    assert "keypoints/none seed 0" in line and "model.pt" in line
    assert asked == [({f"keypoints/{run}": runs_dir / f"keypoints/{run}/seed0" for run in ("bn", "adam")}, "there")]
    fig = drawn["made/faces.png"]
    assert fig.axes[0].images and "bn: generated data, not a measurement" in texts(fig)
    figures.main(["faces", "--runs", str(runs_dir), "--out", "made", "--no-photo", "keypoints/adam"])
    assert not drawn["made/faces.png"].axes[0].images


def test_faces_command_that_has_nothing_to_draw(nets, drawn):
    runs_dir, _ = nets
    for run in ("keypoints/none", "keypoints/classes"):
        fails("plots.py faces: nothing to draw yet", "faces", "--runs", runs_dir, "--out", runs_dir, run)
    fails("plots.py faces: no faces there", "faces", "--runs", runs_dir, "--data-dir", "nowhere", "keypoints/adam")
    assert not drawn


def test_faces_of_a_comparison_have_a_photograph_unless_they_are_committed(nets, drawn, tmp_path, capsys):
    runs_dir, asked = nets
    declared = comparison({"keypoints/none": "", "keypoints/adam": "", "keypoints/bn": ""}, "faces")
    declared["exp"]["x"].remove("keypoints/bn")

    def draw(*seed_and_more, data_dir="there"):
        return names_of(figures.draw(declared, "x", [], tmp_path / "out", "exp-", runs_dir, data_dir, *seed_and_more))
    path = str(tmp_path / "out/exp-faces.png")
    assert draw(0) == ["exp-faces.png"] and drawn[path].axes[0].images
    assert draw(0, True) == [] and len(asked) == 1  # one row compares nothing
    declared["exp"]["x"].append("keypoints/bn")
    assert draw(0, True) == ["exp-faces.png"] and not drawn[path].axes[0].images
    assert "exp-x: true and predicted landmarks on held-out faces" in " ".join(texts(drawn[path]))
    assert draw(1) == [] and len(asked) == 2  # no weights of that seed: no net is asked
    assert draw(0, data_dir="nowhere") == [] and "no picture of faces: no faces there" in capsys.readouterr().err


def test_a_net_that_blew_up_shows_its_best_epoch(nets, drawn):
    runs_dir, asked = nets
    ruined = record("keypoints/ruin", train_loss=[9, 5, 900, 900], valid_loss=[9, 5, 900, 900])
    ruined["metrics"]["best_epoch"] = 2
    folder = write(runs_dir, ruined)
    (folder / "model.pt").touch()
    where = ["faces", "--runs", str(runs_dir), "--out", "made", "keypoints/adam", "keypoints/ruin"]
    figures.main(where)
    assert not asked[-1][2:]  # there are no weights of its best epoch
    (folder / "best.pt").touch()
    figures.main(where)
    assert asked[-1][2:] == (("keypoints/ruin", 2),) and "(epoch 2, its best)" in texts(drawn["made/faces.png"])


# ---- the command line -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("file", ["plots.py", "experiments/figures.py"])
def test_curves_from_the_command_line_without_a_display(tmp_path, file):
    for seed in (0, 1):
        write(tmp_path / "runs", record("keypoints/adam", seed=seed, valid_loss=down(900, 5)))
    env = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "MPLBACKEND", "WAYLAND_DISPLAY")}
    words = ["curves", "--out", "made/here", "--seeds", "0 1 2", "--last", "20", "keypoints/adam"]
    done = subprocess.run([sys.executable, ROOT / file, *words], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(Path("made/here/curves.png"))]
    assert (tmp_path / "made/here/curves.png").read_bytes().startswith(b"\x89PNG")
    assert "runs/keypoints/adam/seed2" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("what, values, shown, scale", [
    ("lr", [0.1, 0.01, 0.001], "learning rate", "log"), ("lr", [0.1, 0.011], "learning rate", "linear"),
    ("dropout", [0.0, 0.5], "dropout", "linear"), ("batch-size", [4, 400], "batch size", "log")])
def test_sweep_command_takes_values_from_args(tmp_path, drawn, capsys, what, values, shown, scale):
    for i, value in enumerate(values):
        for seed in (0, 1):
            write(tmp_path, classes(f"mlp_cnn/{i}", seed=seed), **{what.replace("-", "_"): value})
    names = [f"mlp_cnn/{i}" for i in range(len(values))]
    figures.main(["sweep", "--what", what, "--runs", str(tmp_path), "--out", "made", "--seeds", "0 1 2", *names])
    assert list(drawn) == ["made/sweep.png"] and capsys.readouterr().out == "made/sweep.png\n"
    final = drawn["made/sweep.png"].axes[4]
    assert final.get_xlabel() == shown and final.get_xscale() == scale
    assert labels_of(final.xaxis) == [f"{value:g}" for value in sorted(values)]
    assert len(lines(final, "mlp_cnn/0 final")) == 2


def test_sweep_command_says_what_is_wrong(tmp_path, drawn, capsys):
    write(tmp_path, classes("x/a"), lr=0.1, dropout=None, model="mlp", flip=True)
    write(tmp_path, classes("x/b"), lr=0.1, dropout=0.5)
    write(tmp_path, classes("x/b", seed=1), lr=0.2)
    sweep = ["sweep", "--runs", tmp_path, "--out", "made"]
    fails("x/a seed 0: its dropout is None, not a number", *sweep, "--what", "dropout", "x/a", "x/b")
    fails("its model is 'mlp', not a number", *sweep, "--what", "model", "x/a")
    fails("its flip is True, not a number", *sweep, "--what", "flip", "x/a")
    fails(r"args\.json: no depth in it", *sweep, "--what", "depth", "x/a")
    fails("x/b: its seeds differ in lr, 0.1 and 0.2", *sweep, "--what", "lr", "--seeds", "0 1", "x/b")
    fails("x/a and x/b have the same learning rate", *sweep, "--what", "lr", "x/a", "x/b")
    fails("nothing to draw yet.*x/c/seed0", *sweep, "--what", "lr", "x/c")
    with pytest.raises(SystemExit) as stopped:
        figures.main([str(word) for word in (*sweep, "x/a")])
    assert stopped.value.code == 2 and "--what" in capsys.readouterr().err and not drawn


def test_by_epoch_command(tmp_path, drawn):
    write(tmp_path, by_epochs("net/a", 0.3, 0.4))
    write(tmp_path, classes("net/b"))
    figures.main(["by-epoch", "--runs", str(tmp_path), "--out", "made", "net/a", "net/b"])
    assert list(drawn) == ["made/by-epoch.png"] and lines(drawn["made/by-epoch.png"].axes[0], "net/a test")
    fails("plots.py by-epoch: no record has test accuracy by epoch", "by-epoch", "--runs", tmp_path, "net/b")


def test_single_command_keeps_runs_of_the_same_settings_apart(tmp_path, drawn, capsys):
    for seed in (0, 1):
        write(tmp_path, classes("x/a", seed=seed), model="mlp", batch_size=4, lr=0.1, dropout=0.0)
    figures.main(["single", "--runs", str(tmp_path), "--out", "made", "--seeds", "0 1 2", "x/a"])
    assert list(drawn) == [f"made/x/a/seed{seed}/{metric}_mlp_4_0.1_0.png" for seed in (0, 1)
                           for metric in ("loss", "acc")]
    said = capsys.readouterr()
    assert said.out.split() == list(drawn) and "x/a/seed2" in said.err
    fails("nothing to draw yet", "single", "--runs", tmp_path, "--out", "made", "x/none")


def test_single_says_what_it_lacks(tmp_path):
    with pytest.raises(ValueError, match="seed0: nothing to draw yet"):
        figures.single(tmp_path / "mlp_cnn/none/seed0", tmp_path)
    folder = write(tmp_path, classes("mlp_cnn/a"), model="mlp", batch_size=64, lr=0.1)  # and no dropout
    with pytest.raises(ValueError, match=r"args\.json: no dropout in it"):
        figures.single(folder, tmp_path)
    (folder / "args.json").unlink()
    with pytest.raises(runs.BadInput, match=r"args\.json is not there"):
        figures.single(folder, tmp_path)


def test_command_line_says_what_is_wrong(tmp_path):
    where = ["--runs", tmp_path, "--out", tmp_path / "made"]
    fails("nothing to draw yet.*keypoints/adam/seed0.*keypoints/sgd/seed0", "curves", *where, "keypoints/adam",
          "keypoints/sgd")
    assert not (tmp_path / "made").exists()
    folder = write(tmp_path, record("keypoints/adam", valid_loss=[9]), torn="rubbish\n")
    fails(r"plots.py: .*log\.jsonl, line 2", "curves", *where, "keypoints/adam")
    (folder / "log.jsonl").write_text('{"epoch": 1, "valid_loss": 9}\n')
    (folder / "result.json").write_text('{"status": "fini')
    fails(r"plots.py: .*result\.json is not JSON", "curves", *where, "keypoints/adam")


def test_a_run_that_is_still_trained_is_drawn_as_far_as_it_is(tmp_path, drawn):
    rec = record("keypoints/adam", seed=2, valid_loss=[9, 8], synthetic=True)
    write(tmp_path, rec, result=False, torn='{"epoch": 3, "valid_lo')
    figures.main(["curves", "--runs", str(tmp_path), "--out", "made", "--seeds", "2", "keypoints/adam"])
    said = {"adam (1 seed; unfinished, epoch 2)", "generated data, not a measurement"}
    assert said <= set(texts(drawn["made/curves.png"]))


# ---- what asks trained nets -----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_data):
    """The folder of a run of base on synthetic data."""
    runs_dir = tmp_path_factory.mktemp("runs")
    flags = ("--model base --data caltech35 --synthetic --batch-size 16 --lr 0.05 --max-steps 2 --threads 1 "
             "--label-noise 0.2 --run c/base")
    assert train.main([*flags.split(), "--runs", str(runs_dir)]) == runs.FINISHED
    return runs_dir


def test_pictures_of_answers_from_the_command_line(trained, tmp_path, capsys, monkeypatch, drawn):
    asked, answers = [], ask.answers

    def remember(folder, data_dir):
        asked.append((folder, data_dir))
        return answers(folder)
    monkeypatch.setattr(ask, "answers", remember)
    out, folder = tmp_path / "c/base/seed0", trained / "c/base/seed0"
    for kind, more in (("confusion", ["--data-dir", "elsewhere"]), ("features", ["--classes", "3,2"]), ("layers", []),
                       ("against", ["--what", "label-noise"])):
        figures.main([kind, "--runs", str(trained), "--out", str(tmp_path), *more, "c/base"])
    paths = [str(path) for path in (out / "confusion.png", out / "features.png", out / "layers.md",
                                    tmp_path / "against.png")]
    assert capsys.readouterr().out.split() == paths
    assert asked == [(folder, "elsewhere"), (folder, "data")]
    confusion, features, against = drawn.values()
    for fig in (confusion, features):
        assert {"c/base, seed 0", "generated data, not a measurement"} <= set(texts(fig))
    assert re.match(r"test: .* of 16 right", confusion.axes[1].get_title("left")) and "class 3" in texts(features)
    ax, = against.axes
    assert ax.get_xlabel() == "share of train labels drawn anew (%)" and list(ax.get_xticks()) == [20]
    table = (out / "layers.md").read_text()
    assert "| all | | | 398,243 |" in table and "[16, 256, 14, 14]" in table
    assert table.startswith("c/base, seed 0\n\n|")


def test_pictures_of_answers_that_cannot_be_made(trained, tmp_path, capsys, monkeypatch):
    where = ["--runs", trained, "--out", tmp_path]
    one = points([1] * 4, [1] * 4, np.eye(4))
    monkeypatch.setattr(ask, "answers", lambda *_: one)
    fails("no train image of class 2, 3, 4, 5", "features", *where, "c/base")  # those shown where none are named

    def no_data(*_):
        raise data.DataError("no Caltech there")
    monkeypatch.setattr(ask, "answers", no_data)
    fails("plots.py: no Caltech there", "confusion", *where, "c/base")

    def no_class(folder, _):
        raise ValueError(f"{folder}: its net answers with no class")
    monkeypatch.setattr(ask, "answers", no_class)
    fails("plots.py: .*answers with no class", "confusion", *where, "c/base")
    write(tmp_path, record("c/bare", valid_loss=[1]))  # it has a log, and no weights
    figures.main(["confusion", "--runs", str(tmp_path), "--out", str(tmp_path), "c/bare"])
    assert "no model.pt, left out" in capsys.readouterr().err
