"""data.py and augment.py: augmentation (AutoAugment and AugMix against torchvision's), an epoch's plan, label noise."""
import argparse
import functools
import hashlib
import itertools

import numpy as np
import pytest
import torch
from data_files import alone, noise_images  # noqa: F401

import data
from experiments import augment, synthetic


def settings(flags="", **others):
    """The flags of data, and those of a run that its plan depends on."""
    parser = argparse.ArgumentParser()
    data.add_flags(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--protocol", default="default")
    return argparse.Namespace(**{**vars(parser.parse_args(flags.split())), **others})


def tiny(images, mean=None, targets=None):
    """A data set of these images, all of them train: faces (landmarks at 0 by default), or with `mean` class images."""
    none = torch.tensor([], dtype=torch.int64)
    targets = torch.zeros(len(images), 42) if targets is None else targets
    mean, std = (255 * torch.tensor(mean)[:, None, None],) * 2 if mean else data.own_mean_std(images)
    return data.Dataset("faces21", "", True, images, targets, torch.arange(len(images)), none, none, [], mean, std, "")


def random_images(n, seed, channels=3):
    return torch.from_numpy(noise_images(n, seed)[..., :channels]).permute(0, 3, 1, 2)


def blobs(places, h=112, w=112):
    """Images (n, 1, h, w), each with a soft mark at x, y; 0 is the left or top edge."""
    x, y = torch.as_tensor(places, dtype=torch.float32).view(-1, 2, 1, 1).unbind(1)
    return torch.exp(-((torch.arange(w) + 0.5 - x) ** 2 + (torch.arange(h)[:, None] + 0.5 - y) ** 2) / 8)[:, None]


def centroid(images):
    """The centre of mass x, y of images (n, h, w), 0 at the left or top edge."""
    _, h, w = images.shape
    x, y = images.sum(1) @ (torch.arange(w) + 0.5), images.sum(2) @ (torch.arange(h) + 0.5)
    return torch.stack([x, y], 1) / images.sum((1, 2))[:, None]


# ---- shifts, rotation, normalisation --------------------------------------------------------------------------------

@pytest.mark.parametrize("h, w", [(112, 112), (100, 112)])
def test_rotate_moves_image_and_landmark_alike(h, w):
    degrees = torch.tensor([-90.0, -30, -15, -1, 0, 1, 15, 30, 45, 90])
    places = torch.tensor([[w / 2 + 20.0, h / 2 - 10]]).repeat(len(degrees), 1)
    rotated, points = data.rotate(blobs(places, h, w), degrees, places)
    assert (centroid(rotated[:, 0]) - points).abs().max() < 0.05
    # counter-clockwise: with the y axis pointing up, as on paper
    dx, dy, angle = 20.0, 10.0, torch.deg2rad(degrees)
    x, y = dx * angle.cos() - dy * angle.sin(), dx * angle.sin() + dy * angle.cos()
    assert (points - torch.stack([w / 2 + x, h / 2 - y], 1)).abs().max() < 1e-4


def test_rotate_there_and_back():
    x, degrees = blobs([[70, 40], [50, 80]]) + blobs([[40, 50], [66, 60]]), torch.tensor([12.0, -27.0])
    landmarks = torch.rand(2, 42) * 112
    there = data.rotate(x, degrees, landmarks)
    back, points = data.rotate(there[0], -degrees, there[1])
    assert (there[0] - x).abs().max() > 0.3 and (there[1] - landmarks).abs().max() > 1
    assert (back - x)[:, :, 28:84, 28:84].abs().max() < 0.12  # bilinear, twice, lowers the peaks of marks 4 px wide
    assert torch.allclose(points, landmarks, atol=1e-4)


def test_rotate_by_nothing_and_by_different_angles():
    x, landmarks = torch.randn(3, 3, 32, 32), torch.rand(3, 42) * 32
    same, points = data.rotate(x, torch.zeros(3), landmarks)
    assert torch.allclose(same, x, atol=1e-5) and torch.allclose(points, landmarks, atol=1e-5)
    one = x[:1].expand(3, -1, -1, -1)
    rotated, _ = data.rotate(one, torch.tensor([0.0, 5, -5]))
    assert (rotated[0] - rotated[1]).abs().max() > 0.1 and (rotated[1] - rotated[2]).abs().max() > 0.1
    alone, _ = data.rotate(x[1:2], torch.tensor([5.0]))
    assert torch.allclose(alone, data.rotate(x, torch.full((3,), 5.0))[0][1:2], atol=1e-6)


def test_rotate_of_no_image():
    x, landmarks = data.rotate(torch.empty(0, 1, 112, 112), torch.empty(0), torch.empty(0, 42))
    assert x.shape == (0, 1, 112, 112) and landmarks.shape == (0, 42)
    x, landmarks = data.rotate(torch.empty(0, 3, 32, 32), torch.empty(0))
    assert x.shape == (0, 3, 32, 32) and landmarks is None


def test_shift_is_numpys_pad_and_crop():
    x, pad = random_images(81, 0)[:, :, :, :30], 4
    by = torch.cartesian_prod(torch.arange(-4, 5), torch.arange(-4, 5))  # every shift there is
    cut = augment.shift(x, by)
    assert cut.shape == x.shape and cut.dtype == x.dtype
    for image, (row, column), out in zip(x.numpy(), by.tolist(), cut.numpy()):
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
        assert np.array_equal(out, padded[:, pad + row:pad + row + 32, pad + column:pad + column + 30])
    assert torch.equal(augment.shift(x[:1], torch.tensor([[0, 0]])), x[:1])  # a batch of one, not shifted


def test_batch_normalises():
    faces = tiny(random_images(5, 1, channels=1))
    x, _ = faces.batch(torch.tensor([3, 0]))
    assert x.dtype == torch.float32 and x.shape == (2, 1, 32, 32)
    assert torch.allclose(x.mean((1, 2, 3)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(x.std((1, 2, 3)), torch.ones(2), atol=1e-4)
    asked_for = torch.stack([x[0].flatten(), faces.images[3].flatten().float()])
    assert torch.corrcoef(asked_for)[0, 1] > 0.9999
    blank, _ = tiny(torch.full((1, 1, 32, 32), 200, dtype=torch.uint8)).batch(torch.tensor([0]))
    assert torch.equal(blank, torch.zeros(1, 1, 32, 32))
    grey = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 32, 32)
    x, _ = tiny(grey, [0.5] * 3).batch(torch.arange(3))
    for value, by_hand in zip(x, (-1.0, -0.6, 1.0)):  # (v / 255 - 0.5) / 0.5
        assert torch.allclose(value, torch.full((3, 32, 32), by_hand), atol=1e-6)


def test_batch_flips_only_where_drawn_and_rotates_landmarks_too():
    cifar = tiny(random_images(4, 2), [0.5] * 3)
    plain, _ = cifar.batch(torch.arange(4))
    mirrored, _ = cifar.batch(torch.arange(4), {"flip": torch.tensor([True, False, True, False])})
    assert torch.equal(mirrored[1::2], plain[1::2]) and torch.equal(mirrored[::2], plain[::2].flip(-1))
    faces = tiny((255 * blobs([[70, 40]])).byte(), targets=torch.tensor([[70.0, 40] * 21]))
    x, y = faces.batch(torch.tensor([0]), {"degrees": torch.tensor([15.0])})
    assert y.shape == (1, 42) and (centroid((x[:, 0] - 1).clamp_min(0)) - y[:, :2]).abs().max() < 0.1
    assert torch.equal(faces.batch(torch.tensor([0]))[1], faces.targets)


# ---- every augmentation, with none, one and all images of a batch chosen --------------------------------------------

def chosen_draws(kind, chosen):
    """Draws for Dataset.batch that augment the images of the bool mask `chosen` (n,) and leave the others alone."""
    n = len(chosen)
    if kind == "shift":
        return {"shift": torch.tensor([3, -2]) * chosen[:, None]}
    if kind == "flip":
        return {"flip": chosen}
    if kind == "degrees":
        return {"degrees": torch.arange(10.0, 10 + n) * chosen}
    if kind == "augmix":
        draws = data.draw(n, torch.Generator().manual_seed(0), augmix=1.0)
        image_alone = torch.tensor([1.0, 0, 0, 0])
        return {"ops": draws["ops"] * chosen[:, None, None], "amounts": draws["amounts"],
                "mix": torch.where(chosen[:, None], draws["mix"], image_alone)}
    op = augment.OPS.index(kind)
    amount = {"Rotate": 20.0, "Posterize": 3.0, "Solarize": 100.0}.get(kind, 0.3)
    ops = torch.tensor([[[op, 0]]]) * chosen[:, None, None]
    return {"ops": ops, "amounts": torch.full((n, 1, 2), amount)}


KINDS = ("shift", "flip", "degrees", "augmix", *augment.OPS[1:])


@pytest.mark.parametrize("which", ["none", "one", "all"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_augmentation_changes_the_images_chosen_and_no_other(kind, which):
    n = 5
    objects = synthetic.draw_objects(torch.arange(n), 32, torch.Generator().manual_seed(1)) // 2 + 20
    targets = torch.arange(n)
    d = tiny(objects, [0.5] * 3, targets)
    chosen = {"none": torch.zeros(n), "one": torch.arange(n) == 2, "all": torch.ones(n)}[which].bool()
    indices = torch.tensor([4, 0, 3, 1, 2])
    before = d.images.clone()
    plain, labels = d.batch(indices)
    x, y = d.batch(indices, chosen_draws(kind, chosen))
    assert x.shape == plain.shape and torch.equal(x[~chosen], plain[~chosen])
    assert torch.equal(y, labels) and torch.equal(labels, indices)
    for i in chosen.nonzero()[:, 0].tolist():
        assert not torch.equal(x[i], plain[i])
        row = slice(i, i + 1)
        draws = {name: values[row] for name, values in chosen_draws(kind, torch.ones(n).bool()).items()}
        by_itself, _ = d.batch(indices[row], draws)
        assert torch.allclose(x[row], by_itself, atol=1e-5)
    assert torch.equal(d.images, before) and torch.equal(d.targets, targets)


@pytest.mark.parametrize("which", ["none", "one", "all"])
def test_landmarks_rotate_with_the_faces_chosen_and_no_other(which):
    n = 4
    places = torch.tensor([[70.0, 40], [40, 60], [50, 75], [66, 80]])
    d = tiny((255 * blobs(places)).byte(), targets=places.repeat(1, 21))
    chosen = {"none": torch.zeros(n), "one": torch.arange(n) == 1, "all": torch.ones(n)}[which].bool()
    plain, _ = d.batch(torch.arange(n))
    x, y = d.batch(torch.arange(n), chosen_draws("degrees", chosen))
    assert torch.equal(x[~chosen], plain[~chosen]) and torch.equal(y[~chosen], d.targets[~chosen])
    rest = (d.targets[chosen] - y[chosen]).abs().amax(1)
    assert (rest > 1).all() and len(rest) == chosen.sum()
    marks = centroid((x[:, 0] - 1).clamp_min(0))
    assert (marks - y[:, :2]).abs().max() < 0.1
    assert torch.equal(d.targets, places.repeat(1, 21))


@pytest.mark.parametrize("n", [1, 4])
def test_perturb_adds_noise_then_zeroes(n):
    torch.manual_seed(0)
    x = torch.randn(n, 3, 32, 32)
    before = x.clone()
    assert data.perturb(settings(), x) is x  # and nothing is drawn:
    torch.manual_seed(1)
    data.perturb(settings(), x)
    assert torch.equal(torch.get_rng_state(), torch.manual_seed(1).get_state())
    noise = data.perturb(settings("--input-noise 0.25"), x) - x
    assert abs(noise.std() - 0.25) < 0.02 and abs(noise.mean()) < 0.02
    zeroed = data.perturb(settings("--input-dropout 0.4"), x)
    kept = zeroed != 0
    assert abs(kept.float().mean() - 0.6) < 0.05 and torch.allclose(zeroed[kept], x[kept] / 0.6)
    torch.manual_seed(2)
    both = data.perturb(settings("--input-noise 0.25 --input-dropout 0.4"), x)
    torch.manual_seed(2)
    with_noise = x + 0.25 * torch.randn_like(x)
    kept = both != 0
    assert torch.allclose(both[kept], with_noise[kept] / 0.6) and 0.5 < kept.float().mean() < 0.7
    assert torch.equal(x, before)


# ---- draws ----------------------------------------------------------------------------------------------------------

def test_draw():
    def drawn(seed, **flags):
        return data.draw(1000, torch.Generator().manual_seed(seed), **flags)
    upright = torch.arange(1000) < 500
    flags = dict(flip=True, pad=4, rotate=15, upright=upright)
    a, b, c = drawn(1, **flags), drawn(1, **flags), drawn(2, **flags)
    assert all(torch.equal(a[k], b[k]) and not torch.equal(a[k], c[k]) for k in ("shift", "flip", "degrees"))
    assert (a["degrees"][upright] == 0).all() and len(a["degrees"][~upright].unique()) > 490  # one draw per image
    assert a["degrees"].min() < -14 and a["degrees"].max() > 14 and a["degrees"].abs().max() <= 15
    assert a["shift"].min() == -4 and a["shift"].max() == 4 and 400 < a["flip"].sum() < 600
    assert drawn(1) == {}


# ---- the same operation on one image, by torchvision: every operation at every magnitude, and whole chains ----------

def theirs(image, op, amount, mode):
    """torchvision's operation on one uint8 image (3, h, w). It translates by pixels, we by a fraction of the side."""
    from torchvision.transforms.autoaugment import InterpolationMode, _apply_op
    side = {"TranslateX": image.shape[2], "TranslateY": image.shape[1]}.get(op, 1)
    return _apply_op(image, op, amount * side, InterpolationMode(mode), None) if op else image


def their_amounts(mode, h=32, w=32):
    """{operation: (amounts by magnitude, whether they have a sign)} of AutoAugment (nearest) or AugMix (bilinear)."""
    from torchvision.transforms import AugMix, AutoAugment, AutoAugmentPolicy
    policy = AutoAugment(AutoAugmentPolicy.CIFAR10) if mode == "nearest" else AugMix(3, 3, -1, 1.0, False)
    side = {"TranslateX": w, "TranslateY": h}
    space = policy._augmentation_space(10, (h, w))
    return {op: (amounts.float() / side.get(op, 1), signed) for op, (amounts, signed) in space.items()}


def varied(h=32, w=32):
    """Images (15, 3, h, w): noise, drawings, gradients, few levels, nearly one colour, one colour, black, white."""
    g = torch.Generator().manual_seed(0)
    few = 120 * torch.randint(3, (2, 3, h, w), generator=g) + 7
    down, right = torch.linspace(20, 90, h)[:, None].expand(h, w), torch.linspace(255, 0, w).expand(h, w)
    nearly = torch.full((1, 3, h, w), 60)
    nearly[0, 0, 5, 5:9] = 59  # too few for equalize
    nearly[0, 1].view(-1)[:300] = 59  # just enough
    one = torch.tensor([10, 130, 201]).view(1, 3, 1, 1).expand(1, 3, h, w)
    return torch.cat([torch.randint(256, (3, 3, h, w), generator=g).byte(),
                      torch.randint(100, 140, (1, 3, h, w), generator=g).byte(),
                      synthetic.draw_objects(torch.arange(4), 40, g)[:, :, :h, :w],
                      torch.stack([down, right, 255 - down]).byte()[None], few.byte(), nearly.byte(), one.byte(),
                      torch.zeros(1, 3, h, w).byte(), torch.full((1, 3, h, w), 255).byte()])


OPERATIONS = [(op, "nearest") for op in augment.OPS[1:]] + [(op, "bilinear") for op in (*augment.MOVES, "Posterize")]


@pytest.mark.parametrize("h, w", [(32, 32), (24, 40)])
@pytest.mark.parametrize("op, mode", OPERATIONS)
def test_operation_is_torchvisions(op, mode, h, w):
    amounts, signed = their_amounts(mode, h, w)[op]
    amounts = torch.cat([amounts.view(-1), -amounts.view(-1)]) if signed else amounts.view(-1)
    assert len(amounts) == (20 if signed else 10 if op in ("Posterize", "Solarize") else 1)
    images = varied(h, w)
    x, each = images.repeat(len(amounts), 1, 1, 1), amounts.repeat_interleave(len(images))
    before, mix = x.clone(), None if mode == "nearest" else torch.tensor([[0.0, 1.0]]).expand(len(x), 2)
    ours = augment.operate(x, torch.full((len(x), 1, 1), augment.OPS.index(op)), each[:, None, None], mix)
    assert ours.dtype == torch.uint8 and ours.shape == x.shape and torch.equal(x, before)
    expected = torch.stack([theirs(image, op, amount, mode) for image, amount in zip(x, each.tolist())])
    off = (ours.int() - expected.int()).abs()
    if op in ("ShearX", "ShearY", "Rotate") and mode == "nearest":
        # Where two pixels are equally near, either may be taken.
        assert (off > 0).float().view(len(amounts), -1).mean(1).max() < (0.01 if h == w else 0.02)
    else:
        rounded = op in augment.BLENDS or mode == "bilinear" and op != "Posterize"
        assert off.max() <= rounded and (off > 0).float().mean() < 0.01
    assert not torch.equal(ours, x)


def test_policy_is_torchvisions():
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy
    ours = []
    for pair in augment.AUTOAUGMENT:
        split = [words.split() for words in pair]
        ours.append(tuple((op, float(p), int(*level) if level else None) for op, p, *level in split))
    assert ours == AutoAugment(AutoAugmentPolicy.CIFAR10).policies and len(ours) == 25


def test_autoaugment_draws_every_pair_as_often_as_it_should():
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy
    visits, pairs = 40_000, AutoAugment(AutoAugmentPolicy.CIFAR10).policies
    table = their_amounts("nearest")
    draws = data.draw(visits, torch.Generator().manual_seed(0), autoaugment=0.6)
    assert draws["ops"].shape == draws["amounts"].shape == (visits, 1, 2) and "mix" not in draws
    ops, amounts = draws["ops"][:, 0], draws["amounts"][:, 0]
    assert ops.dtype == torch.int64
    names = [[augment.OPS[n] for n in two] for two in ops.tolist()]
    signs = torch.tensor([[bool(op) and table[op][1] for op in two] for two in names])
    assert not (amounts[~signs & (ops > 0)] < 0).any()
    assert 0.47 < (amounts[signs & (amounts != 0)] < 0).float().mean() < 0.53

    def expected(pair):
        return tuple((op, round(float(table[op][0].view(-1)[level or 0]), 4)) for op, _, level in pair)
    both = [tuple((op, round(abs(a), 4)) for op, a in zip(two, size))
            for two, size in zip(names, amounts.tolist()) if all(two)]
    chance = dict.fromkeys(map(expected, pairs), 0)
    for pair in pairs:  # four of them are two that differ by their probabilities only
        chance[expected(pair)] += 0.6 * pair[0][1] * pair[1][1] / 25
    assert set(both) == {pair for pair, p in chance.items() if p} and len(set(both)) == 22
    assert all(abs(both.count(pair) / visits - p) <= 4 * (p / visits) ** 0.5 for pair, p in chance.items())
    some = 0.6 * sum(1 - (1 - a[1]) * (1 - b[1]) for a, b in pairs) / 25
    assert abs((ops > 0).any(1).float().mean() - some) < 0.01
    one = data.draw(visits, torch.Generator().manual_seed(0), autoaugment=1.0)["ops"]
    assert abs((one > 0).any(2).float().mean() - some / 0.6) < 0.01
    assert len(ops[:64].unique()) > 8  # in one batch


def test_augmix_draws():
    visits, table = 20_000, their_amounts("bilinear")
    draws = data.draw(visits, torch.Generator().manual_seed(0), augmix=0.6)
    ops, amounts, mix = draws["ops"], draws["amounts"], draws["mix"]
    assert ops.shape == amounts.shape == (visits, 3, 3) and mix.shape == (visits, 4)
    got = (ops > 0).flatten(1).any(1)
    assert abs(got.float().mean() - 0.6) < 0.015
    assert torch.equal(mix[~got], torch.tensor([1.0, 0, 0, 0]).expand((~got).sum(), 4))
    assert (data.draw(visits, torch.Generator().manual_seed(0), augmix=1.0)["ops"] > 0).any(2).all()
    depth = (ops[got] > 0).sum(2)
    assert torch.equal(ops[got] > 0, torch.arange(3) < depth[..., None])  # without gaps
    assert all(abs((depth == d).float().mean() - 1 / 3) < 0.02 for d in (1, 2, 3))
    assert (depth[:, 0] != depth[:, 1]).any()
    assert (mix >= 0).all() and (mix.sum(1) - 1).abs().max() < 1e-6
    assert (mix[got].mean(0) - torch.tensor([1 / 2, 1 / 6, 1 / 6, 1 / 6])).abs().max() < 0.01
    assert abs(mix[got, 0].std() - 12 ** -0.5) < 0.01  # uniform
    of_the_rest = mix[got, 1] / mix[got, 1:].sum(1)
    assert abs(of_the_rest.std() - 18 ** -0.5) < 0.01  # Beta(1, 2)
    assert {augment.OPS[n] for n in ops.unique().tolist()} == {"", *table}
    for op, (levels, signed) in table.items():
        mine = amounts[ops == augment.OPS.index(op)]
        assert abs(len(mine) / (ops > 0).sum() - 1 / 9) < 0.01
        three = levels.view(-1)[:3]
        expected = torch.cat([three, -three]).unique() if signed else three.unique()
        assert torch.allclose(mine.unique(), expected, atol=1e-6), op


@pytest.mark.parametrize("flags", [{"autoaugment": 0.6}, {"augmix": 0.6}])
def test_ops_are_drawn_last_and_from_the_generator(flags):
    def drawn(seed, **more):
        return data.draw(300, torch.Generator().manual_seed(seed), flip=True, pad=4, rotate=15, **more)
    off, on, again, other = drawn(1), drawn(1, **flags), drawn(1, **flags), drawn(2, **flags)
    g = torch.Generator().manual_seed(1)  # the numbers that runs draw without operations
    assert torch.equal(off["shift"], torch.randint(-4, 5, (300, 2), generator=g))
    assert torch.equal(off["flip"], torch.rand(300, generator=g) < 0.5)
    assert torch.equal(off["degrees"], (torch.rand(300, generator=g) * 2 - 1) * 15)
    assert set(off) == {"shift", "flip", "degrees"} and all(torch.equal(off[k], on[k]) for k in off)
    assert all(torch.equal(on[k], again[k]) and not torch.equal(on[k], other[k]) for k in on)
    assert all(len(v) == 300 and v.device.type == "cpu" for v in on.values())
    assert drawn(1, **dict.fromkeys(flags, 0.0)).keys() == off.keys()


@pytest.mark.parametrize("flags", [{"autoaugment": 0.6}, {"augmix": 0.6}])
def test_whole_pictures_are_torchvisions(flags):
    """By Dataset.batch, after shift and flip; the other way by torchvision, image by image, with the same draws."""
    mode = "bilinear" if "augmix" in flags else "nearest"
    d = tiny(varied(), [0.5] * 3)
    indices = torch.arange(len(d.images)).repeat(20)
    before, generator = d.images.clone(), torch.Generator().manual_seed(3)
    draws = data.draw(len(indices), generator, flip=True, pad=4, **flags)
    x, _ = d.batch(indices, draws)
    assert torch.equal(d.images, before)
    plain = augment.shift(d.images[indices], draws["shift"])
    plain = torch.where(draws["flip"][:, None, None, None], plain.flip(-1), plain)
    want = torch.empty_like(plain)
    for i, (image, ops, amounts) in enumerate(zip(plain, draws["ops"].tolist(), draws["amounts"].tolist())):
        ends = []
        for chain in zip(ops, amounts):
            def step(end, op_amount):
                return theirs(end, augment.OPS[op_amount[0]], op_amount[1], mode)
            ends.append(functools.reduce(step, zip(*chain), image))
        want[i] = sum(w * end for w, end in zip(draws["mix"][i], [image, *ends])) if "augmix" in flags else ends[0]
    off = ((x * 127.5 + 127.5).round() - want).abs()
    assert (off > 1).float().mean() < 1e-3 and (off > 0).float().mean() < 0.01
    untouched = ~(draws["ops"] > 0).flatten(1).any(1)
    assert torch.equal(want[untouched], plain[untouched]) and off[untouched].max() == 0 and 60 < untouched.sum() < 200
    moved = (want.int() - plain.int()).abs().float().mean((1, 2, 3))
    assert (moved[~untouched] > 0.5).float().mean() > 0.6  # there was something to compare


@pytest.mark.parametrize("flags", [{"autoaugment": 0.8}, {"augmix": 0.8}])
def test_operations_do_not_depend_on_the_batch(flags):
    x = varied().repeat(8, 1, 1, 1)
    draws = data.draw(len(x), torch.Generator().manual_seed(4), **flags)
    whole = augment.operate(x, **draws)
    for size in (1, 7, 64):
        parts = [augment.operate(x[i:i + size], **{k: v[i:i + size] for k, v in draws.items()})
                 for i in range(0, len(x), size)]
        assert torch.equal(torch.cat(parts), whole)


# ---- the plan of an epoch -------------------------------------------------------------------------------------------

def numbered(n, valid=0, classes=10):
    """Class images, of which each has its own index as its only value; the last `valid` of them are valid."""
    images = torch.arange(n).byte()[:, None, None, None].expand(n, 3, 4, 4).contiguous()
    d = tiny(images, [0.5] * 3, torch.arange(n) % classes)
    d.train, d.valid = d.train[:n - valid], d.train[n - valid:]
    return d


def seen(batches):
    """Which images of `numbered` these batches hold."""
    return [((x[:, 0, 0, 0] * 127.5) + 127.5).round().int().tolist() for x, _ in batches]


def test_seeds_have_nothing_in_common():
    digest = hashlib.sha256(b"(0, 1, 'order')").digest()
    assert data.seed_of(0, 1, "order") == int.from_bytes(digest[:7], "big") == 42791662058483005
    words = list(itertools.product((0, 1, 2), (0, 1, 2), ("order", "valid")))
    assert len({data.seed_of(*each) for each in words} | {data.seed_of(0, 1), data.seed_of(1, 0)}) == len(words) + 2


def test_the_order_of_an_epoch_is_that_of_seed_and_epoch():
    d = numbered(50, valid=10)
    for seed, epoch in ((0, 1), (0, 2), (1, 1), (12, 250)):
        generator = torch.Generator().manual_seed(data.seed_of(seed, epoch, "order"))
        by_hand = torch.randperm(40, generator=generator)
        assert torch.equal(data.plan_epoch(settings(seed=seed), d, epoch).indices, d.train[by_hand])


@pytest.mark.parametrize("flags", ["--flip", "--pad-crop 4", "--rotation 15", "--autoaugment 0.6", "--drop-last",
                                   "--batch-size 7", "--input-noise 1", "--label-noise 0.5", "--normalise imagenet",
                                   "--protocol report"])
def test_the_order_of_an_epoch_depends_on_nothing_else(flags):
    d = numbered(50, valid=10)
    plain = data.plan_epoch(settings(), d, 3).indices
    torch.manual_seed(5)
    data.plan_epoch(settings(), d, 2)
    assert torch.equal(data.plan_epoch(settings(flags), d, 3).indices, plain)
    assert torch.equal(torch.get_rng_state(), torch.manual_seed(5).get_state())  # nothing is drawn from there
    assert not torch.equal(data.plan_epoch(settings(flags), d, 4).indices, plain)
    assert not torch.equal(data.plan_epoch(settings(flags, seed=1), d, 3).indices, plain)
    assert torch.equal(plain.sort().values, d.train)


@pytest.mark.parametrize("n, batch_size, drop_last, sizes", [
    (10, 4, False, [4, 4, 2]), (10, 4, True, [4, 4]), (8, 4, False, [4, 4]), (8, 4, True, [4, 4]),
    (3, 4, False, [3]), (3, 4, True, []), (3, 1, True, [1, 1, 1]), (9, 4, False, [4, 4, 1])])
def test_batches_of_an_epoch(n, batch_size, drop_last, sizes):
    d = numbered(n)
    plan = data.plan_epoch(settings(batch_size=batch_size, drop_last=drop_last), d, 1)
    batches = seen(d.batches(plan))
    assert plan.steps == len(sizes) and [len(batch) for batch in batches] == sizes
    assert plan.sizes().tolist() == sizes and plan.sizes().dtype == torch.float64
    assert sum(batches, []) == plan.indices[:sum(sizes)].tolist()
    assert len(plan.indices) == n  # all are drawn, also those that are left out at the end


def test_batches_of_some_steps():
    d = numbered(22)
    plan = data.plan_epoch(settings("--flip --rotation 15", batch_size=4), d, 1)
    whole = list(d.batches(plan))
    for first, last in ((0, None), (2, None), (0, 3), (1, 4), (5, None), (5, 6), (6, None), (3, 3)):
        part = list(d.batches(plan, first, last))
        expected = whole[first:last]
        assert len(part) == len(expected)
        for (x, y), (x_expected, y_expected) in zip(part, expected):
            assert torch.equal(x, x_expected) and torch.equal(y, y_expected)
    assert plan.sizes(3).tolist() == [4, 4, 4] and plan.sizes(6).tolist() == [4, 4, 4, 4, 4, 2]
    assert plan.sizes(0).tolist() == []
    rows = slice(8, 12)
    x, _ = d.batch(plan.indices[rows], {name: values[rows] for name, values in plan.draws.items()})
    assert torch.equal(x, whole[2][0])  # the third batch has the third four draws


def test_an_epoch_visits_every_face_twice_once_upright():
    d = data.load("faces21", synthetic=True)
    plan = data.plan_epoch(settings("--rotated-copies 15"), d, 1)
    degrees = plan.draws["degrees"]
    upright = degrees == 0
    assert torch.equal(plan.indices[upright].sort().values, d.train)
    assert torch.equal(plan.indices[~upright].sort().values, d.train)
    assert degrees.abs().max() <= 15 and degrees[~upright].std() > 5 and plan.steps == 2 * len(d.train) / 4
    again, other = (data.plan_epoch(settings("--rotated-copies 15"), d, epoch) for epoch in (1, 2))
    assert torch.equal(plan.indices, again.indices) and torch.equal(degrees, again.draws["degrees"])
    assert not torch.equal(plan.indices, other.indices)
    assert not torch.equal(degrees.sort().values, other.draws["degrees"].sort().values)


def test_copies_made_once_are_rotated_alike_in_every_epoch():
    d = data.load("faces21", synthetic=True)
    angles = []
    for epoch in (1, 2):
        plan = data.plan_epoch(settings("--rotated-copies 15 --copies-once"), d, epoch)
        degrees = plan.draws["degrees"]
        upright = degrees == 0
        assert torch.equal(plan.indices[upright].sort().values, d.train)
        assert torch.equal(plan.indices[~upright].sort().values, d.train)
        angles.append(dict(zip(plan.indices[~upright].tolist(), degrees[~upright].tolist())))
    assert angles[0] == angles[1] and len(set(angles[0].values())) == len(d.train)
    assert max(map(abs, angles[0].values())) <= 15
    other = data.plan_epoch(settings("--rotated-copies 15 --copies-once", seed=1), d, 1).draws["degrees"]
    assert not torch.equal(other.sort().values, degrees.sort().values)


def test_an_epoch_of_small_batches_has_some_without_a_rotated_face():
    d = data.load("faces21", synthetic=True)
    plan = data.plan_epoch(settings("--rotated-copies 15", batch_size=4), d, 1)
    rotated = plan.draws["degrees"].view(-1, 4).count_nonzero(1)
    assert {0, 4} <= set(rotated.tolist())
    landmarks = torch.cat([y for _, y in d.batches(plan)])
    moved = (landmarks - d.targets[plan.indices]).abs().amax(1) > 0
    assert torch.equal(moved, plan.draws["degrees"] != 0)


def test_rotation_rotates_every_image_once_by_an_angle_of_its_own():
    d = numbered(112)
    plan = data.plan_epoch(settings("--rotation 15"), d, 1)
    degrees = plan.draws["degrees"]
    assert torch.equal(plan.indices.sort().values, d.train) and len(degrees) == 112 == degrees.unique().numel()
    assert (degrees != 0).all() and degrees.abs().max() <= 15 and degrees.max() > 12 and degrees.min() < -12
    assert not torch.equal(degrees, data.plan_epoch(settings("--rotation 15"), d, 2).draws["degrees"])
    assert data.plan_epoch(settings(), d, 1).draws == {}


def test_rotation_of_faces_rotates_their_landmarks_along():
    d = data.load("faces21", synthetic=True)
    plan = data.plan_epoch(settings("--rotation 15"), d, 1)
    assert len(plan.indices) == len(d.train) and plan.draws["degrees"].abs().max() <= 15
    x, y = d.batch(plan.indices, plan.draws)
    angle = torch.deg2rad(-plan.draws["degrees"])  # y points down: counter-clockwise on the screen is a negative angle
    turn = torch.polar(torch.ones_like(angle), angle)[:, None]
    there = turn * torch.view_as_complex(d.targets[plan.indices].view(-1, 21, 2) - 56)
    assert torch.allclose(y.view(-1, 21, 2), torch.view_as_real(there) + 56, atol=1e-3)
    assert not torch.allclose(x, d.batch(plan.indices)[0], atol=0.1)


def test_the_flags_of_augmentation_reach_the_draws():
    d = numbered(200, valid=100)
    plan = data.plan_epoch(settings("--flip --pad-crop 2 --rotation 9 --autoaugment 0.5", seed=4), d, 7)
    generator = torch.Generator().manual_seed(data.seed_of(4, 7, "order"))
    torch.randperm(100, generator=generator)
    by_hand = data.draw(100, generator, flip=True, pad=2, rotate=9, autoaugment=0.5)
    assert plan.draws.keys() == by_hand.keys() == {"shift", "flip", "degrees", "ops", "amounts"}
    assert all(torch.equal(plan.draws[name], by_hand[name]) for name in by_hand)
    assert data.plan_epoch(settings("--augmix 0.5"), d, 7).draws.keys() == {"ops", "amounts", "mix"}


def test_draws_lie_where_batches_want_them():
    d = numbered(60, valid=20).to("meta")  # a device that every machine has
    for flags in ("--flip --pad-crop 4 --rotation 15 --autoaugment 0.5", "--augmix 0.5"):
        plan = data.plan_epoch(settings(flags), d, 1)
        on_cpu = {name for name, values in plan.draws.items() if not values.is_meta}
        assert on_cpu == {"degrees", "ops"} & set(plan.draws) and plan.indices.is_meta
        draws = data.valid_draws(settings(f"{flags} --protocol report"), d, 1)
        assert {name for name, values in draws.items() if not values.is_meta} == on_cpu
        assert plan.sizes().shape == (10,) and plan.sizes().is_meta


def test_scoring_goes_in_the_order_given():
    d = numbered(30, valid=10)
    indices = torch.tensor([7, 3, 29, 29, 0, 11, 5])
    plan = data.plan_scoring(indices, batch_size=3)
    assert seen(d.batches(plan)) == [[7, 3, 29], [29, 0, 11], [5]] and plan.sizes().tolist() == [3, 3, 1]
    assert data.plan_scoring(torch.arange(600)).sizes().tolist() == [256, 256, 88]
    assert data.plan_scoring(torch.arange(0)).steps == 0 and list(d.batches(data.plan_scoring(torch.arange(0)))) == []
    flipped = data.plan_scoring(indices, {"flip": torch.arange(7) == 6}, batch_size=3)
    d.images[:, :, :, 0] = 100  # what a flip moves to the other side
    (x, _), = d.batches(flipped, 2)
    assert torch.equal(x, d.batch(indices[6:])[0].flip(-1))
    assert torch.equal(next(d.batches(flipped))[0], d.batch(indices[:3])[0])


def test_valid_images_are_augmented_under_report_2s_protocol_alone_and_anew_every_epoch():
    d = numbered(60, valid=20)
    flags = "--flip --pad-crop 4 --rotation 15"
    assert data.valid_draws(settings(flags), d, 1) is None
    draws = data.valid_draws(settings(f"{flags} --protocol report"), d, 1)
    generator = torch.Generator().manual_seed(data.seed_of(0, 1, "valid"))
    by_hand = data.draw(20, generator, flip=True, pad=4, rotate=15)
    assert draws.keys() == by_hand.keys() and all(torch.equal(draws[name], by_hand[name]) for name in draws)
    for other in (data.valid_draws(settings(f"{flags} --protocol report"), d, 2),
                  data.valid_draws(settings(f"{flags} --protocol report", seed=1), d, 1)):
        assert not torch.equal(other["shift"], draws["shift"])
    assert data.valid_draws(settings("--protocol report"), d, 1) == {}


# ---- label noise and cleaning ---------------------------------------------------------------------------------------

def labelled(targets, valid=0, test=0, classes=35):
    """Labels without pictures: the last `test` of them are test, those before valid, all others train."""
    n, targets = len(targets), torch.as_tensor(targets)
    parts = torch.arange(n).split([n - valid - test, valid, test])
    images = torch.zeros(1, 3, 1, 1, dtype=torch.uint8).expand(n, 3, 1, 1)
    names = [str(c) for c in range(classes)]
    mean, std = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    return data.Dataset("caltech35", "", True, images, targets, *parts, names, mean, std, "")


def redrawn(d, fraction, seed=0):
    return data.redraw_labels(d, fraction, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("fraction, most", [(0, 0), (0.3, 12), (0.45, 18), (0.85, 35), (1, 41)])
def test_that_fraction_of_the_labels_is_redrawn_to_the_image(fraction, most):
    d = labelled(torch.arange(41), classes=41)  # so many classes that often none of the redrawn labels stays the same
    changed = [len(redrawn(d, fraction, seed).noisy) for seed in range(100)]
    assert max(changed) == most and (fraction == 0 or min(changed) < most)


def test_redrawing_changes_train_labels_only_and_noisy_says_which():
    d = labelled(torch.arange(300) % 5, valid=100, test=100, classes=5)
    d.train = d.train.flip(0)  # a train part need not be sorted
    before, state = d.targets.clone(), torch.get_rng_state()
    noisy = redrawn(d, 0.5)
    assert noisy.noisy.sort().values.tolist() == (noisy.targets != before).nonzero()[:, 0].tolist()
    assert 25 < len(noisy.noisy) <= 50
    assert noisy.noisy.max() < 100 and noisy.noisy.dtype == torch.int64 and noisy.targets.dtype == before.dtype
    assert torch.equal(d.targets, before) and len(d.noisy) == 0 and torch.equal(torch.get_rng_state(), state)
    assert noisy.images is d.images
    assert all(torch.equal(getattr(noisy, part), getattr(d, part)) for part in ("train", "valid", "test"))
    none = redrawn(d, 0)
    assert torch.equal(none.targets, before) and none.noisy.tolist() == []


def test_a_larger_fraction_redraws_the_same_images_to_the_same_labels_and_more():
    d = labelled(torch.arange(500) % 35)
    few, same, more, other = redrawn(d, 0.2), redrawn(d, 0.2), redrawn(d, 0.6), redrawn(d, 0.2, seed=1)
    assert torch.equal(few.targets, same.targets) and torch.equal(few.noisy, same.noisy)
    assert not torch.equal(few.targets, other.targets)
    assert set(few.noisy.tolist()) < set(more.noisy.tolist())
    assert torch.equal(more.targets[few.noisy], few.targets[few.noisy])


@pytest.mark.parametrize("fraction", [0.3, 1])
def test_redrawn_labels_are_even_over_the_classes_and_one_of_35_stays(fraction):
    n = 100_000
    d = labelled(torch.arange(n) % 70 % 36 % 35)  # class 0 has thrice as many as class 34: draws do not follow that
    noisy = redrawn(d, fraction)
    assert abs(len(noisy.noisy) / n - fraction * 34 / 35) < 0.0025  # 4 deviations or more
    counts, drawn = d.targets.bincount(), noisy.targets.bincount(minlength=35)
    expected = (1 - fraction) * counts + fraction * n / 35
    assert ((drawn - expected).abs() < 5 * expected ** 0.5).all() and counts[0] > 2.9 * counts[34]
    assert abs(noisy.noisy.double().mean() - n / 2) < 1000  # and anywhere in train


def test_redrawn_labels_are_of_classes_that_train_has():
    d = labelled(torch.arange(3500) % 35, valid=700)
    d.train = d.train[torch.isin(d.targets[d.train], torch.tensor([1, 4, 8]))]
    noisy = redrawn(d, 1)
    assert noisy.targets[d.train].unique().tolist() == [1, 4, 8]
    assert abs(len(noisy.noisy) / len(d.train) - 2 / 3) < 0.12  # 4 deviations
    assert torch.isin(noisy.noisy, d.train).all() and torch.equal(noisy.targets[d.valid], d.targets[d.valid])


def test_the_label_noise_of_a_run_depends_on_its_seed_and_on_nothing_else():
    def loaded(flags):
        return data.for_run(settings(f"--data cifar10 --synthetic {flags}"))
    clean, noise = loaded(""), loaded("--label-noise 0.3")
    assert torch.equal(clean.targets, data.load("cifar10", synthetic=True).targets) and len(clean.noisy) == 0
    generator = torch.Generator().manual_seed(data.seed_of(0, "label noise"))
    by_hand = data.redraw_labels(clean, 0.3, generator)
    assert torch.equal(noise.targets, by_hand.targets) and torch.equal(noise.noisy, by_hand.noisy)
    torch.manual_seed(9)
    for more in ("--rotation 15 --flip --batch-size 8", "--normalise imagenet --drop-last", "--protocol report"):
        assert torch.equal(loaded(f"--label-noise 0.3 {more}").targets, noise.targets)
    assert not torch.equal(loaded("--label-noise 0.3 --seed 1").targets, noise.targets)
    assert not torch.equal(loaded("--label-noise 0.5").targets, noise.targets)
    assert torch.equal(noise.targets[noise.valid], clean.targets[noise.valid])


def test_a_run_loads_what_its_flags_name(tmp_path):
    d = data.for_run(settings("--data caltech35 --synthetic --split train+addition --side 224 --normalise half"))
    assert d.name == "caltech35" and d.images.shape[-1] == 224 and len(d.train) == 840
    assert d.mean.unique().item() == 127.5
    with pytest.raises(data.DataError, match="No CIFAR-10 under elsewhere"):
        data.for_run(settings("--data-dir elsewhere"))


@pytest.mark.parametrize("fraction, dropped", [
    (0, []), (0.2, [5]), (0.35, [5, 9]), (0.6, [5, 9, 12]), (0.8, [3, 5, 9, 12]), (1, [3, 5, 6, 9, 12])])
def test_drop_takes_the_highest_scores_out_of_train(fraction, dropped):
    d = labelled(torch.arange(20), valid=3, test=3)
    d.train = torch.tensor([3, 5, 6, 9, 12])
    scores = torch.tensor([0.5, 0.9, -1.0, 0.9, 0.9])  # of equals the first go first
    left = data.drop(d, data.highest(d, scores, fraction))
    assert left.dropped.tolist() == dropped
    assert left.train.tolist() == [i for i in (3, 5, 6, 9, 12) if i not in dropped]
    assert left.images is d.images and torch.equal(left.targets, d.targets)
    assert left.valid.tolist() == [14, 15, 16] and left.test.tolist() == [17, 18, 19]
    assert len(d.train) == 5 and len(d.dropped) == 0 and left.train.dtype == left.dropped.dtype == torch.int64


def test_drop_is_by_score_not_by_place():
    d, generator = labelled(torch.arange(2000) % 35, valid=500), torch.Generator().manual_seed(0)
    scores = torch.randint(40, (1500,), generator=generator).float()
    left = data.drop(d, data.highest(d, scores, 0.25))
    assert len(left.dropped) == 375 and left.train.tolist() == sorted(left.train.tolist())
    assert torch.cat([left.train, left.dropped]).sort().values.tolist() == list(range(1500))
    assert scores[left.dropped].min() >= scores[left.train].max()
    tied = scores[left.dropped].min()
    assert left.dropped[scores[left.dropped] == tied].max() < left.train[scores[left.train] == tied].min()


def test_noisy_and_dropped_images_move_with_the_rest():
    d = labelled(torch.arange(70) % 35)
    assert d.noisy.tolist() == d.dropped.tolist() == [] and d.noisy.dtype == d.dropped.dtype == torch.int64
    noisy = redrawn(d, 0.5)
    left = data.drop(noisy, data.highest(noisy, torch.arange(70.0), 0.1))
    assert torch.equal(left.noisy, noisy.noisy) and left.dropped.tolist() == list(range(63, 70))
    moved = left.to("meta")  # a device that every machine has
    on_meta = {name for name, value in vars(moved).items() if isinstance(value, torch.Tensor) and value.is_meta}
    assert on_meta >= {"images", "targets", "train", "valid", "test", "mean", "std", "noisy", "dropped"}
    assert moved.noisy.shape == left.noisy.shape and moved.dropped.shape == (7,) and not left.noisy.is_meta


def test_facts_about_data_say_what_noise_and_cleaning_did():
    d = labelled(torch.arange(100) % 35, valid=20, test=10)
    noisy = redrawn(d, 0.5)
    left = data.drop(noisy, noisy.noisy[:4].sort().values)
    counts = {"name": "caltech35", "source": "", "fingerprint": "", "synthetic": True, "valid": 20, "test": 10}
    assert data.facts(settings(), d) == {**counts, "train": 70}
    with_noise = {**counts, "label_noise": round(len(noisy.noisy) / 70, 6)}
    assert data.facts(settings("--label-noise 0.5"), noisy) == {**with_noise, "train": 70}
    assert 0 < with_noise["label_noise"] <= 0.5
    cleaned = settings("--label-noise 0.5 --clean-by a/b --clean-share 0.1")
    assert data.facts(cleaned, left) == {**with_noise, "train": 66, "dropped": 4, "dropped_noisy": 4}
