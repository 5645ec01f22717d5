"""plots.py, on made-up run folders: no data set, no net but the toy below, no display."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import plots  # noqa: E402


def record(run, epochs=None, seed=0, status="finished", synthetic=False, test_acc=None, **columns):
    """A record with the columns given, e.g. valid_loss=[...]; the rest is absent."""
    n = epochs or max(len(column) for column in columns.values())
    curves = {column: [None] * n for column in plots.COLUMNS} | {"epoch": list(range(1, n + 1))} | columns
    curves = {column: [v if v is None or column == "epoch" else float(v) for v in values] for column, values in curves.items()}
    return {"status": status, "run": run, "seed": seed, "metrics": {"test_acc": test_acc}, "epochs": n, "data": {"synthetic": synthetic},
            "curves": curves}


def write(runs, rec, result=True, torn=""):
    """The folder that a run like this record leaves behind."""
    folder = Path(runs) / rec["run"] / f"seed{rec['seed']}"
    folder.mkdir(parents=True)
    curves = rec["curves"]
    lines = [json.dumps({column: curves[column][i] for column in curves}) + "\n" for i in range(len(curves["epoch"]))]
    (folder / "log.jsonl").write_text("".join(lines) + torn)
    (folder / "args.json").write_text(json.dumps({"data": "faces21", "synthetic": rec["data"]["synthetic"]}))
    if result:
        (folder / "result.json").write_text(json.dumps({key: rec[key] for key in rec if key != "curves"}))
    return folder


def texts(fig):
    """Everything a reader can read in a figure."""
    return [text.get_text() for text in fig.findobj(matplotlib.text.Text) if text.get_text()]


def lines(ax, label):
    return [line for line in ax.lines if line.get_label() == label]


def down(start, end, n=50):
    return np.geomspace(start, end, n)


# ---- reading ---------------------------------------------------------------------------------------------------------

def test_read_run_gives_back_what_was_written(tmp_path):
    rec = record("keypoints/adam", train_loss=[9, None, 7], valid_loss=[9.5, 8.5, 7.5])
    assert plots.read_run(write(tmp_path, rec)) == rec


def test_line_cut_off_at_the_end_is_ignored(tmp_path):
    folder = write(tmp_path, record("keypoints/adam", seed=2, valid_loss=[9, 8], synthetic=True), result=False, torn='{"epoch": 3, "valid_lo')
    rec = plots.read_run(folder)
    assert (rec["status"], rec["run"], rec["seed"], rec["data"]["synthetic"]) == ("unfinished", "keypoints/adam", 2, True)
    assert rec["curves"]["epoch"] == [1, 2] and rec["curves"]["valid_loss"] == [9, 8]


@pytest.mark.parametrize("broken", ['{"epoch": 2, "val', "[1, 2]", '{"valid_loss": 3}', '{"epoch": 0}', "\0\0\0"])
def test_broken_line_in_the_middle_is_named(tmp_path, broken):
    folder = write(tmp_path, record("keypoints/adam", valid_loss=[9, 8, 7]))
    log = folder / "log.jsonl"
    kept = log.read_text().splitlines()
    log.write_text("\n".join([kept[0], broken, kept[2]]) + "\n")
    with pytest.raises(ValueError, match=r"log\.jsonl, line 2"):
        plots.read_run(folder)


def test_broken_result_is_named(tmp_path):
    folder = write(tmp_path, record("keypoints/adam", valid_loss=[9, 8]))
    (folder / "result.json").write_text('{"status": "fini')
    with pytest.raises(ValueError, match=r"result\.json"):
        plots.read_run(folder)


def test_nothing_logged_is_none(tmp_path):
    assert plots.read_run(tmp_path / "keypoints/adam/seed0") is None
    assert plots.read_run(write(tmp_path, record("keypoints/adam", epochs=0, valid_loss=[]), result=False)) is None


# ---- curves ----------------------------------------------------------------------------------------------------------

def test_seeds_give_mean_and_band_where_there_are_data():
    fig = plots.draw_curves([record("keypoints/adam", seed=0, valid_loss=[10, 8, 6]), record("keypoints/adam", seed=1, valid_loss=[14, None])])
    ax, = fig.axes
    line, = lines(ax, "keypoints/adam valid")
    assert list(line.get_xdata()) == [1, 2, 3] and list(line.get_ydata()) == [12, 8, 6]
    corners = {tuple(corner) for path in ax.collections[0].get_paths() for corner in path.vertices}
    assert {(1, 10), (1, 14), (2, 8), (3, 6)} <= corners
    assert {y for x, y in corners if x == 1} == {10, 14}
    assert "adam (2 seeds)" in texts(fig) and "min–max of the seeds" in texts(fig)


def test_one_seed_has_no_band():
    fig = plots.draw_curves([record("keypoints/adam", valid_loss=[10, 8, 6])])
    assert not fig.axes[0].collections and "adam" in texts(fig)


def test_train_is_dashed_valid_solid_and_the_legend_says_so_once():
    fig = plots.draw_curves([record(f"keypoints/{run}", train_loss=[9, 8], valid_loss=[9, 9]) for run in ("adam", "sgd")])
    ax, = fig.axes
    assert [lines(ax, f"keypoints/adam {part}")[0].get_linestyle() for part in ("train", "valid")] == ["--", "-"]
    assert lines(ax, "keypoints/adam valid")[0].get_color() == lines(ax, "keypoints/adam train")[0].get_color()
    assert lines(ax, "keypoints/adam valid")[0].get_color() != lines(ax, "keypoints/sgd valid")[0].get_color()
    assert [text for text in texts(fig) if text in ("train", "valid", "adam", "sgd")] == ["adam", "sgd", "train", "valid"]


def test_classification_has_loss_and_accuracy_in_percent():
    fig = plots.draw_curves([record("net/bn", train_loss=[2, 1], train_acc=[0.3, 0.6], test_acc=0.65)])
    loss, accuracy = fig.axes
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("loss", "accuracy (%)")
    assert np.allclose(lines(accuracy, "net/bn train")[0].get_ydata(), [30, 60])
    star, = lines(accuracy, "net/bn final test")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (2, 65)
    assert "final test" in texts(fig) and "valid" not in texts(fig)


def test_test_accuracy_by_epoch_is_dotted():
    rec = record("net/baseline", train_loss=[2, 1], train_acc=[0.3, 0.6])
    rec["curves"]["test_acc"] = [0.2, 0.5]
    fig = plots.draw_curves([rec])
    line, = lines(fig.axes[1], "net/baseline test")
    assert line.get_linestyle() == ":" and list(line.get_ydata()) == [20, 50]


def test_regression_has_one_panel_in_square_pixels():
    ax, = plots.draw_curves([record("keypoints/adam", train_loss=[9, 8], valid_loss=[9, 8])]).axes
    assert ax.get_ylabel() == "MSE (px²)"


def test_last_epochs_get_a_panel_with_a_range_of_their_own():
    fig = plots.draw_curves([record("keypoints/adam", train_loss=down(900, 5, 250), valid_loss=down(900, 5, 250))], last=50)
    whole, last = fig.axes
    assert 200 < last.get_xlim()[0] <= 201 and 250 <= last.get_xlim()[1] < 252
    assert list(lines(last, "keypoints/adam valid")[0].get_xdata()) == list(range(201, 251))
    assert last.get_ylim()[1] < 20 < whole.get_ylim()[1] and "last 50 epochs" in texts(fig)
    assert len(plots.draw_curves([record("net/bn", train_loss=down(2, 1), train_acc=down(0.1, 0.6))], last=10).axes) == 4
    assert len(plots.draw_curves([record("keypoints/adam", valid_loss=[9, 8])], last=50).axes) == 1  # the panel would repeat the first


def test_log_axis_only_where_the_range_needs_it():
    ax, = plots.draw_curves([record("keypoints/adam", train_loss=down(900, 5), valid_loss=down(900, 5))]).axes
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    assert low < 5 and high > 900
    shown = [ax.yaxis.get_major_formatter()(v, 0) for v in ax.yaxis.get_majorticklocs() if low <= v <= high]
    assert {"5", "10", "20", "50", "100"} <= set(shown)
    assert plots.draw_curves([record("net/bn", train_loss=down(2.3, 1.2), valid_loss=down(2.3, 1.4))]).axes[0].get_yscale() == "linear"
    # Overfitting: a train loss near 0 must not take the linear axis from the valid loss, whose turn upwards is the point.
    assert plots.draw_curves([record("net/bn", train_loss=down(2.3, 0.01), valid_loss=down(2.3, 1.2))]).axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("start, end, limit", [(900, 5, 3000), (2.3, 1.2, 5)])
def test_excursion_does_not_set_the_axis_but_is_marked(start, end, limit):
    loss = down(start, end)
    loss[30] = 1e8
    fig = plots.draw_curves([record("keypoints/adam", valid_loss=loss)])
    ax, = fig.axes
    assert start <= ax.get_ylim()[1] < limit
    mark, = lines(ax, "keypoints/adam above the axis")
    assert list(mark.get_xdata()) == [31] and mark.get_transform() == ax.get_xaxis_transform()
    assert "▲ adam: up to 1e+08" in texts(fig) and "above the axis" in texts(fig)


def test_excursion_of_one_seed_among_few_points_is_marked():
    fig = plots.draw_curves([record("keypoints/adam", seed=seed, valid_loss=[12, 11, 1e8 if seed else 11, 11, 10]) for seed in range(3)])
    ax, = fig.axes
    assert ax.get_ylim()[1] < 30 and list(lines(ax, "keypoints/adam above the axis")[0].get_xdata()) == [3]


@pytest.mark.parametrize("n", [5, 20])
def test_a_moderate_jump_neither_flattens_nor_asks_for_a_log_axis(n):
    loss = down(2.3, 1.2, n)
    loss[3] = 60
    ax, = plots.draw_curves([record("net/bn", valid_loss=loss)]).axes
    assert ax.get_yscale() == "linear" and ax.get_ylim()[1] < 5 and lines(ax, "net/bn above the axis")


def test_a_run_that_lies_high_throughout_is_no_excursion():
    ax, = plots.draw_curves([record("lenet_vgg/clip", train_loss=[13.259], valid_loss=[2.4]),
                             record("lenet_vgg/lr01", train_loss=[2.0, 1.9, 1.8, 1.7], valid_loss=[2.0, 1.9, 1.8, 1.7])]).axes
    assert ax.get_ylim()[1] > 13.259 and not lines(ax, "lenet_vgg/clip above the axis")


def test_diverged_and_unfinished_are_in_the_legend_and_marked():
    fig = plots.draw_curves([record("net/a", 7, status="diverged", train_loss=[3, 4, 5, 6, 7, 8, None]),
                             record("net/b", 180, status="unfinished", train_loss=down(3, 1, 180)),
                             record("net/c", 9, seed=0, train_loss=[1] * 9), record("net/c", 1, seed=1, status="diverged", train_loss=[None])])
    assert {"a (diverged, epoch 7)", "b (unfinished, epoch 180)", "c (2 seeds; seed 1 diverged, epoch 1)"} <= set(texts(fig))
    cross, = lines(fig.axes[0], "net/a diverged")
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (6, 8)
    assert lines(fig.axes[0], "net/c diverged")[0].get_xdata()[0] == 1


def test_a_run_without_a_single_finite_number_can_be_drawn(tmp_path):
    plots.curves([record("lenet_vgg/momentum99", 1, status="diverged", train_loss=[None])], tmp_path / "curves.png")
    plots.curves([record("lenet_vgg/zero", train_loss=[0, 0, 0], valid_loss=[0, 0, 0])], tmp_path / "curves.png")


def test_generated_data_are_called_so():
    made, real = record("keypoints/adam", valid_loss=[9, 8], synthetic=True), record("keypoints/sgd", valid_loss=[9, 8])
    assert any("generated data" in text for text in texts(plots.draw_curves([made])))
    assert "adam: generated data, not a measurement" in texts(plots.draw_curves([made, real]))
    assert not any("generated" in text for text in texts(plots.draw_curves([real])))


def test_many_runs_have_colours_of_their_own():
    fig = plots.draw_curves([record(f"mlp_cnn/mlp-dropout-{i}", valid_loss=[2, 1]) for i in range(12)])
    assert len({tuple(line.get_color()) for line in fig.axes[0].lines}) == 12


def test_the_same_records_give_the_same_bytes_and_no_rubbish(tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        plots.curves([record("keypoints/adam", valid_loss=[9, 8])], tmp_path / "made" / name)
    assert (tmp_path / "made/a.png").read_bytes() == (tmp_path / "made/b.png").read_bytes()
    assert b"Software" not in (tmp_path / "made/a.png").read_bytes()  # matplotlib's version would change the bytes
    with monkeypatch.context() as patched:  # a failure while writing leaves the old picture whole
        patched.setattr(plots.Figure, "savefig", lambda self, path, **_: (path.write_bytes(b"half"), 1 / 0))
        with pytest.raises(ZeroDivisionError):
            plots.curves([record("keypoints/adam", valid_loss=[9, 8])], tmp_path / "made/a.png")
    assert (tmp_path / "made/a.png").read_bytes() == (tmp_path / "made/b.png").read_bytes()
    assert sorted(os.listdir(tmp_path / "made")) == ["a.png", "b.png"]
    with pytest.raises(ValueError, match="no records"):
        plots.curves([], tmp_path / "none.png")


# ---- faces -----------------------------------------------------------------------------------------------------------

@pytest.fixture
def nets(tmp_path, monkeypatch):
    """Three runs of toy nets, of which the last is no landmark net. -> the folder, and what each net was shown."""
    targets = torch.rand(20, 42, generator=torch.Generator().manual_seed(0)) * 112

    class Faces:
        def __init__(self, targets):
            self.targets, self.valid = targets, torch.arange(10, 20)

        def batch(self, idx):
            return idx[:, None, None, None].float().expand(-1, 1, 112, 112), self.targets[idx]

    shown = {}

    def restore(folder, data_dir=None, device="cpu"):
        run = folder.parent.name

        def model(x):
            shown[run] = x.clone()
            return torch.full((len(x), 42), 56.0)
        return None, model, Faces(torch.zeros(20) if run == "classes" else targets)

    def rotate(x, degrees, landmarks):
        return x + degrees[:, None, None, None] / 100, landmarks + degrees[:, None]

    monkeypatch.setitem(sys.modules, "train", types.SimpleNamespace(restore=restore))
    monkeypatch.setitem(sys.modules, "data", types.SimpleNamespace(rotate=rotate, DataError=KeyError))
    for run in ("adam", "bn", "classes"):
        folder = write(tmp_path, record(f"keypoints/{run}", valid_loss=[9, 8], synthetic=run == "bn"))
        (folder / "model.pt").touch()
    return tmp_path, shown, targets


def test_every_run_sees_the_same_held_out_faces_and_two_are_turned(nets):
    runs, shown, targets = nets
    seen = plots.predict({run: runs / "keypoints" / run / "seed0" for run in ("adam", "bn")}, "data", 4)
    assert torch.equal(shown["adam"], shown["bn"])
    assert shown["adam"][:, 0, 0, 0].tolist() == pytest.approx([10, 12, 15, 17, 17.3, 16.7])
    assert seen["heads"] == ["upright"] * 4 + ["turned +30°", "turned −30°"]
    assert np.allclose(seen["true"][[0, 3, 4]], torch.stack([targets[10], targets[17], targets[17] + 30]))
    assert seen["predicted"]["adam"].shape == (6, 42) and not seen["other"]


def test_faces_picture_has_a_row_per_run_and_says_the_error(nets):
    runs, _, targets = nets
    folders = {f"keypoints/{run}": runs / "keypoints" / run / "seed0" for run in ("adam", "bn")}
    fig = plots.draw_faces(plots.predict(folders, "data", 2), generated=["keypoints/bn"])
    assert len(fig.axes) == 8 and [fig.axes[i].get_ylabel() for i in (0, 4)] == ["adam", "bn"]
    assert [ax.get_title() for ax in fig.axes[:4]] == ["upright", "upright", "turned +30°", "turned −30°"]
    assert fig.axes[0].get_xlabel() == f"{float(((targets[10] - 56) ** 2).mean()):,.0f} px²"
    assert tuple(fig.axes[0].images[0].get_extent()) == (0, 112, 112, 0) and fig.axes[0].get_ylim() == (112, 0)
    true, predicted = fig.axes[0].lines
    assert np.allclose(true.get_xydata(), targets[10].view(21, 2)) and set(predicted.get_xdata()) == {56}
    assert "bn: generated data, not a measurement" in texts(fig)


def test_faces_says_which_points_are_out_of_sight():
    true, predicted = np.full((3, 42), 50.0), np.full((3, 42), 50.0)
    predicted[1, :3], predicted[2, 0] = 5000, np.nan
    shown = {"pictures": np.zeros((3, 112, 112)), "true": true, "heads": ["upright"] * 3, "predicted": {"keypoints/sgd": predicted}, "other": set()}
    assert [ax.get_xlabel() for ax in plots.draw_faces(shown).axes] == ["0 px²", "1.75e+06 px², 2 outside", "not finite"]


def test_faces_without_photo_have_no_pixels(nets, monkeypatch):
    runs, *_ = nets
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda fig, path: drawn.append(fig))
    assert plots.faces(runs, ["keypoints/adam"], 0, runs / "faces.png", "data", photo=False)
    assert not drawn[0].findobj(matplotlib.image.AxesImage) and len(drawn[0].axes[0].lines) > 2
    assert plots.faces(runs, ["keypoints/adam"], 0, runs / "faces.png", "data")
    assert drawn[1].findobj(matplotlib.image.AxesImage)


def test_faces_names_runs_that_it_leaves_out(nets, capsys):
    runs, *_ = nets
    assert plots.faces(runs, ["keypoints/none", "keypoints/classes", "keypoints/adam"], 0, runs / "faces.png", "data")
    assert (runs / "faces.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "keypoints/none" in said[0] and "model.pt" in said[0] and "keypoints/classes" in said[1]


def test_faces_of_nothing_draws_nothing(nets):
    runs, *_ = nets
    assert not plots.faces(runs, ["keypoints/none", "keypoints/classes"], 0, runs / "faces.png", "data")
    assert not (runs / "faces.png").exists()
    with pytest.raises(SystemExit, match="nothing to draw yet"):
        plots.main(["faces", "--runs", str(runs), "--out", str(runs), "keypoints/none"])


# ---- command line ----------------------------------------------------------------------------------------------------

def command(*words, cwd):
    env = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "MPLBACKEND", "WAYLAND_DISPLAY")}
    return subprocess.run([sys.executable, str(ROOT / "plots.py"), *words], cwd=cwd, env=env, capture_output=True, text=True)


def test_curves_from_the_command_line_without_a_display(tmp_path):
    for seed in (0, 1):
        write(tmp_path / "runs", record("keypoints/adam", seed=seed, valid_loss=down(900, 5)))
    done = command("curves", "--out", "made/here", "--seeds", "0 1 2", "--last", "20", "keypoints/adam", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(Path("made/here/curves.png"))]
    assert (tmp_path / "made/here/curves.png").read_bytes().startswith(b"\x89PNG")
    assert "runs/keypoints/adam/seed2" in done.stderr and len(done.stderr.splitlines()) == 1


def test_command_line_says_what_is_wrong(tmp_path, capsys):
    with pytest.raises(SystemExit, match="nothing to draw yet.*keypoints/adam/seed0.*keypoints/sgd/seed0") as stopped:
        plots.main(["curves", "--runs", str(tmp_path), "--out", str(tmp_path / "made"), "keypoints/adam", "keypoints/sgd"])
    assert isinstance(stopped.value.code, str)  # Python prints it to stderr and exits with 1
    assert not (tmp_path / "made").exists()
    write(tmp_path, record("keypoints/adam", valid_loss=[9]), torn="rubbish\n")
    with pytest.raises(SystemExit, match=r"log\.jsonl, line 2"):
        plots.main(["curves", "--runs", str(tmp_path), "--out", str(tmp_path / "made"), "keypoints/adam"])
    with pytest.raises(SystemExit):
        plots.main(["tables", "keypoints/adam"])
    assert "curves" in capsys.readouterr().err


def test_importing_plots_needs_neither_torch_nor_a_backend():
    program = "import sys, plots; print(sorted({'torch', 'train', 'data', 'matplotlib.pyplot'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
