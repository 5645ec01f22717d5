"""Synthetic data: their shapes, that they are the same anywhere, and that there is something to learn from them."""
import pytest
import torch
from data_files import alone  # noqa: F401

import data
from experiments import synthetic
from experiments.augment import rotate

SHAPES = {"cifar10": ((3, 32, 32), 10, (1600, 400, 500)), "faces21": ((1, 112, 112), 0, (256, 64, 0)),
          "caltech35": ((3, 112, 112), 35, (560, 140, 140))}


@pytest.fixture(scope="module")
def loaded():
    return {name: data.load(name, synthetic=True) for name in data.NAMES}


@pytest.mark.parametrize("name", data.NAMES)
def test_shape_and_parts(loaded, name):
    d, (shape, classes, counts) = loaded[name], SHAPES[name]
    assert d.synthetic and d.source == "generated" and d.images.dtype == torch.uint8 and d.images.shape[1:] == shape
    assert (len(d.train), len(d.valid), len(d.test)) == counts and len(d.classes) == classes
    more = 0
    if name == "caltech35":
        more = len(data.load(name, synthetic=True, split="train+addition").train) - len(d.train)
        assert more == 280
    used = torch.cat([d.train, d.valid, d.test]).unique().numel()
    assert used == len(d.images) - more == sum(counts)
    for part in (d.train, d.valid, d.test):
        if classes:
            assert d.targets[part].unique().tolist() == list(range(classes))


def test_the_same_anywhere_and_without_a_trace(tmp_path, loaded):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(3)
    try:
        again = {name: data.load(name, synthetic=True) for name in ("cifar10", "faces21")}
    finally:
        torch.set_num_threads(threads)
    for name, d in again.items():
        assert torch.equal(d.images, loaded[name].images) and d.fingerprint == loaded[name].fingerprint
    assert torch.equal(torch.get_rng_state(), state)
    assert list(tmp_path.iterdir()) == []  # made in memory


def test_another_seed_draws_other_data():
    one, same, other = synthetic.faces(4, seed=1), synthetic.faces(4, seed=1), synthetic.faces(4, seed=2)
    assert torch.equal(one["images"], same["images"]) and not torch.equal(one["images"], other["images"])
    one, same, other = (synthetic.objects(3, (6, 3), 16, seed) for seed in (1, 1, 2))
    assert torch.equal(one["images"], same["images"]) and not torch.equal(one["images"], other["images"])
    assert one["part"].tolist() == [0] * 6 + [1] * 3 and one["targets"].tolist() == [0, 1, 2] * 3
    assert len(one["classes"]) == 3 and one["images"].shape == (9, 3, 16, 16)


def test_classes_differ_by_outline_or_pattern():
    """Of 35 objects drawn with the same numbers, no two look alike, and a filled disc is where it should be."""
    images = [synthetic.draw_objects(torch.tensor([label]), 64, torch.Generator().manual_seed(3)).float()
              for label in range(35)]
    differences = torch.pdist(torch.cat([image.flatten(1) for image in images])) / images[0].numel() ** 0.5
    assert differences.min() > 1
    disc, rim = images[0][0, :, 28:36, 28:36].mean((1, 2)), images[0][0, :, :4, :4].mean((1, 2))
    assert (disc - rim).abs().max() > 20


def probe(d, size, width, steps):
    """Returns the valid accuracy of a small net after `steps` steps on images scaled to `size`."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, width, 5, 2, 2), torch.nn.BatchNorm2d(width), torch.nn.ReLU(),
                              torch.nn.Conv2d(width, 2 * width, 3, 2, 1), torch.nn.BatchNorm2d(2 * width),
                              torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
                              torch.nn.LazyLinear(len(d.classes)))
    images = torch.nn.functional.interpolate(d.images.float() / 255 - 0.5, size=size, mode="area")
    net(images[:2])  # the lazy layer takes its size
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(steps):
        indices = d.train[torch.randint(len(d.train), (64,))]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images[indices]), d.targets[indices]).backward()
        optimizer.step()
    with torch.no_grad():
        return (net.eval()(images[d.valid]).argmax(1) == d.targets[d.valid]).float().mean().item()


def test_objects_can_be_learned(loaded):
    assert probe(loaded["cifar10"], 32, 12, 120) > 0.4  # chance: 0.1
    assert probe(loaded["caltech35"], 40, 12, 150) > 0.2  # chance: 0.03


def test_faces_can_be_learned(loaded):
    """Ridge regression on 28x28 pixels must be well below the error of the mean face."""
    d = loaded["faces21"]
    x, _ = d.batch(torch.arange(len(d.images)))
    x = torch.nn.functional.interpolate(x, size=28, mode="area").flatten(1)
    y = d.targets - d.targets[d.train].mean(0)
    a = x[d.train]
    weights = a.T @ torch.linalg.solve(a @ a.T + 30 * torch.eye(len(a)), y[d.train])
    error, mean_face = ((x[d.valid] @ weights - y[d.valid]) ** 2).mean(), (y[d.valid] ** 2).mean()
    assert error < 0.5 * mean_face


def test_landmarks_of_drawn_faces_lie_on_dark_strokes(loaded):
    d = loaded["faces21"]
    column, row = d.targets.view(-1, 21, 2).long().clamp(0, 111).unbind(-1)
    at_landmarks = d.images[:, 0][torch.arange(len(d.images))[:, None], row, column].float().mean(1)
    assert (at_landmarks < d.images.float().mean((1, 2, 3))).float().mean() > 0.9


def test_leak_parts_copies_from_their_faces(loaded):
    n, d = len(loaded["faces21"].images), data.load("faces21", synthetic=True, split="leak")
    assert len(d.images) == 2 * n and len(d.train) + len(d.valid) == 2 * n and len(d.valid) == round(0.4 * n)
    side = torch.zeros(2 * n).index_fill_(0, d.valid, 1)
    assert 0.2 < (side[:n] != side[n:]).float().mean() < 0.45  # 2 * 0.8 * 0.2 = 0.32 are expected
    assert torch.equal(d.images[:n], loaded["faces21"].images) and torch.equal(d.targets[:n], loaded["faces21"].targets)
    a, b = (torch.view_as_complex(t.view(n, 21, 2) - 56) for t in (d.targets[:n], d.targets[n:]))
    angle = torch.rad2deg(torch.angle((a * b.conj()).sum(1)))  # y points down: counter-clockwise is positive
    assert torch.allclose(a.abs(), b.abs(), atol=1e-3)
    assert angle.abs().max() <= 15 and angle.min() < -10 and angle.max() > 10
    mean = d.images[:n].float().mean((1, 2, 3), keepdim=True)
    again = rotate(d.images[:n] - mean, angle)[0] + mean
    assert (again - d.images[n:]).abs().mean() < 0.5  # the pixels were rotated by the same angle; kept as whole numbers


def test_caltech35_can_be_of_the_other_side(loaded):
    d, small = data.load("caltech35", synthetic=True, side=224), loaded["caltech35"]
    assert d.images.shape == (1120, 3, 224, 224)
    assert torch.equal(d.images[..., ::2, 1::2], small.images)  # the same drawings
    assert d.classes == small.classes and d.fingerprint != small.fingerprint
    assert d.batch(torch.tensor([3]))[0].shape == (1, 3, 224, 224)
    for field in ("targets", "train", "valid", "test", "mean", "std"):
        assert torch.equal(getattr(d, field), getattr(small, field)), field
