"""experiments/ask.py: what is asked of trained nets, on toy nets and on one trained for a few steps."""
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import data
import train
from conftest import ROOT
from drawing import points
from experiments import ask, runs, starts

# ---- landmarks ------------------------------------------------------------------------------------------------------


class Faces:
    """A data set of 20 images, image i full of i, of which the last ten are the valid set."""

    def __init__(self, targets, valid):
        self.targets, self.valid = targets, valid

    def batch(self, indices):
        return indices[:, None, None, None].float().expand(-1, 1, 112, 112), self.targets[indices]


@pytest.fixture
def nets(monkeypatch):
    """Three toy nets: two of landmarks, of which bn has another split, and one of classes.

    Returns what each net was shown, and the true landmarks.
    """
    targets, shown = torch.rand(20, 42, generator=torch.Generator().manual_seed(0)) * 112, {}

    def restore(folder, data_dir=None, device="cpu", weights="model.pt"):
        def model(x):
            shown[folder] = x.clone()
            return torch.full((len(x), 42), 56.0 if weights == "model.pt" else 50.0)
        valid = torch.arange(8, 18) if folder == "bn" else torch.arange(10, 20)
        return None, model, Faces(torch.zeros(20) if folder == "classes" else targets, valid)

    def rotate(x, degrees, landmarks):
        return x + degrees[:, None, None, None] / 100, landmarks + degrees[:, None]
    monkeypatch.setattr(starts, "restore", restore)
    monkeypatch.setattr(data, "rotate", rotate)
    return shown, targets


def test_every_run_sees_the_same_held_out_faces_and_two_are_rotated(nets, capsys):
    shown, targets = nets
    seen = ask.predict({"keypoints/classes": "classes", "keypoints/adam": "adam", "keypoints/bn": "bn"}, "data", 4)
    assert torch.equal(shown["adam"], shown["bn"])
    assert shown["adam"][:, 0, 0, 0].tolist() == pytest.approx([10, 12, 15, 17, 17.3, 16.7])
    assert seen["heads"] == ["upright"] * 4 + ["turned +30°", "turned −30°"]
    assert np.allclose(seen["true"][[0, 3, 4]], torch.stack([targets[10], targets[17], targets[17] + 30]))
    assert seen["predicted"]["keypoints/adam"].shape == (6, 42) and seen["pictures"].shape == (6, 112, 112)
    assert seen["other"] == {"keypoints/bn"}
    said, = capsys.readouterr().err.splitlines()
    assert said.startswith("keypoints/classes: its net does not give 21 landmarks")


def test_runs_can_be_asked_with_the_weights_of_their_best_epoch(nets):
    seen = ask.predict({"keypoints/adam": "adam", "keypoints/bn": "bn"}, "data", best={"keypoints/bn": 7})
    assert {run: set(points.flat) for run, points in seen["predicted"].items()} == {
        "keypoints/adam": {56}, "keypoints/bn": {50}}


def test_nets_without_landmarks_give_nothing_to_show(nets):
    assert ask.predict({"keypoints/classes": "classes"}, "data") is None


# ---- classes --------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_data):
    """A run of base on synthetic data, and one whose classifier has learnt nothing."""
    runs_dir = tmp_path_factory.mktemp("runs")
    flags = ["--model", "base", "--data", "caltech35", "--synthetic", "--batch-size", "16", "--lr", "0.05",
             "--max-steps", "14", "--threads", "1", "--runs", str(runs_dir)]
    assert train.main([*flags, "--run", "c/base", "--label-noise", "0.2"]) == runs.FINISHED
    more = ["--loss", "triplet-cosine", "--freeze", "classifier", "--max-steps", "2"]
    assert train.main([*flags, "--run", "c/features", *more]) == runs.FINISHED
    return runs_dir


@pytest.fixture(scope="module")
def found(trained):
    return ask.answers(trained / "c/base/seed0")


def test_answers_are_the_nets_and_their_accuracy_is_the_results(trained, found):
    result = json.loads((trained / "c/base/seed0/result.json").read_text())
    assert {part: len(found[part]["labels"]) for part in found} == {"train": 64, "test": 16}
    assert found["test"]["features"].shape == (16, 256)
    accuracy = (found["test"]["labels"] == found["test"]["answers"]).mean()
    assert accuracy == pytest.approx(result["metrics"]["test_acc"])
    true = np.arange(64) % 4  # of the synthetic data; a fifth was drawn anew
    noise = result["data"]["label_noise"]
    assert (found["train"]["labels"] != true).mean() == pytest.approx(noise, abs=1e-6) and noise > 0.1


def test_a_net_that_learnt_features_alone_answers_with_no_class(trained):
    with pytest.raises(ValueError, match="answers with no class"):
        ask.answers(trained / "c/features/seed0")


def test_description_in_numbers_worked_out_by_hand():
    labels = [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    features = [[10 * label, i % 2] for i, label in enumerate(labels)]
    text = ask.describe(points(labels, [0, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5], features))
    rows = text["confusion"]["test"]
    assert rows[1] == [0, 1, 1, 0, 0, 0] and rows[2] == [0, 0, 2, 0, 0, 0] and np.trace(rows) == 10
    assert text["confusion"]["train"] == rows
    # Two points of a class are 1 apart; those of the next are 10 and sqrt(101) away. Classes 3 and 5: 20 and sqrt(401).
    assert text["silhouette"]["1-5"] == pytest.approx(1 - 1 / ((10 + 101 ** 0.5) / 2), abs=1e-4)
    assert text["silhouette"]["3,5"] == pytest.approx(1 - 1 / ((20 + 401 ** 0.5) / 2), abs=1e-4)
    assert json.loads(json.dumps(text)) == text


def test_spread_and_silhouette_of_few_points():
    labels = [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    for place in ([3.0, 4.0], [0.0, 0.0]):
        assert ask.describe(points(labels, labels, [place] * len(labels)))["spread"] == 0
    assert ask.describe(points([0, 3], [0, 0], [[1, 0], [-1, 0]]))["spread"] == 1
    # Around the mean (1 + 1) / 2, in all (4 + 0) / 2.
    assert ask.describe(points([0, 3], [0, 0], [[2, 0], [0, 0]]))["spread"] == pytest.approx(0.5 ** 0.5, abs=1e-4)
    some = points([1, 1, 3, 3], [1] * 4, [[1, 0], [1, 0], [0, 1], [0, 1]])  # not all of the classes asked for are there
    assert ask.describe(some)["silhouette"] == {"1-5": None, "3,5": None}


def test_train_and_test_are_described_apart():
    found = {"train": points([0, 1, 1], [0, 0, 1], [[9, 9]] * 3)["train"],
             "test": points([0, 2], [0, 1], [[1, 0], [-1, 0]])["test"]}
    text = ask.describe(found)
    assert text["confusion"] == {"train": [[1, 0, 0], [1, 1, 0], [0, 0, 0]],
                                 "test": [[1, 0, 0], [0, 0, 0], [0, 1, 0]]}  # as many classes as either has
    assert text["spread"] == 1  # of the test features
    swapped = ask.describe({"train": found["test"], "test": found["train"]})
    assert swapped["confusion"] == {"train": text["confusion"]["test"], "test": text["confusion"]["train"]}
    assert swapped["spread"] == 0


def test_a_net_is_described_once_and_the_description_kept(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(ask, "answers", lambda folder, data_dir: asked.append((folder, data_dir)) or "found")
    text = {"confusion": {"train": [[1]], "test": [[1]]}, "silhouette": {"1-5": None, "3,5": None}}
    monkeypatch.setattr(ask, "describe", lambda found: {**text, "spread": len(asked)})
    rec = {"data": {"name": "caltech35"}, "status": "finished", "metrics": {"test_acc": 0.3}}
    assert ask.described(rec, tmp_path, "there") == rec and not list(tmp_path.iterdir())  # no weights
    (tmp_path / "model.pt").write_text("")
    for change in ({"data": {"name": "cifar10"}}, {"metrics": {"test_acc": None}}, {"metrics": {}},
                   {"status": "diverged"}):
        assert ask.described({**rec, **change}, tmp_path, "there") == {**rec, **change}
    assert not asked
    for _ in range(2):
        assert ask.described(rec, tmp_path, "there") == {**rec, "described": {**text, "spread": 1}}
        assert asked == [(tmp_path, "there")]
    assert {path.name for path in tmp_path.iterdir()} == {"model.pt", "described.json"} and "described" not in rec
    (tmp_path / "model.pt").unlink()  # what is kept is enough
    assert ask.described(rec, tmp_path, "there")["described"]["spread"] == 1
    (tmp_path / "described.json").write_text('{"spread"')
    with pytest.raises(runs.BadInput, match=r"described\.json is not JSON .* Remove it"):
        ask.described(rec, tmp_path, "there")

    def no_data(*_):
        raise data.DataError("no Caltech there")
    monkeypatch.setattr(ask, "answers", no_data)
    (tmp_path / "described.json").unlink()
    (tmp_path / "model.pt").write_text("")
    assert ask.described(rec, tmp_path, "there") == rec and "no Caltech there" in capsys.readouterr().err
    assert not (tmp_path / "described.json").exists()


def test_a_trained_net_is_described_and_a_broken_one_named(trained, found, tmp_path, capsys):
    folder = trained / "c/base/seed0"
    description = ask.described(runs.read_run(folder), folder, None)["described"]
    assert description == ask.describe(found) == json.loads((folder / "described.json").read_text())
    (tmp_path / "model.pt").write_bytes(b"half a net")
    (tmp_path / "args.json").write_text((folder / "args.json").read_text())
    assert ask.answers_or_none(tmp_path, None) is None
    assert f"the net of {tmp_path} cannot be asked" in capsys.readouterr().err


# ---- layers ---------------------------------------------------------------------------------------------------------

class Backwards(torch.nn.Module):
    """Its layers are declared in another order than they run, and one of them has layers of its own."""

    input_shape = (3, 8, 8)

    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(4 * 36, 5)
        self.first = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))

    def forward(self, x):
        return self.last(self.first(x).flatten(1))


def test_layers_in_the_order_in_which_they_run():
    model = Backwards().train()
    rows = ask.layers(model, [2, 3, 8, 8])
    assert rows == [("first.0", "Conv2d", [2, 4, 6, 6], 112), ("first.1", "BatchNorm2d", [2, 4, 6, 6], 8),
                    ("last", "Linear", [2, 5], 725)]
    assert model.training and model.first[1].num_batches_tracked == 0 and not model.last._forward_hooks
    table = ask.layer_table(model, 2).splitlines()
    assert table[2] == "| input | | [2, 3, 8, 8] | |"
    assert table[-1] == "| all | | | 845 |" and len(table) == 7


def test_importing_ask_loads_neither_torch_nor_the_data():
    program = "import sys; from experiments import ask; print(sorted({'torch', 'train', 'data'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
