"""losses.py: values worked out by hand, in float64, and the flags of the losses."""
import argparse
import copy
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

import losses
import models


def test_mse_is_the_mean_over_images_and_coordinates():
    landmarks = torch.zeros(2, 42, dtype=torch.float64)
    predicted = landmarks.clone()
    predicted[0, 0], predicted[1, 41] = 3.0, 4.0
    assert losses.mse(predicted, landmarks).item() == (9 + 16) / 84


def test_cross_entropy_of_equal_logits_is_the_log_of_the_number_of_classes():
    logits = torch.zeros(3, 10, dtype=torch.float64)
    assert math.isclose(losses.cross_entropy(logits, torch.tensor([0, 5, 9])).item(), math.log(10))
    logits[0, 0] = 2.0  # exp(2) against nine times exp(0)
    expected = (math.log(math.exp(2) + 9) - 2 + 2 * math.log(10)) / 3
    assert math.isclose(losses.cross_entropy(logits, torch.tensor([0, 5, 9])).item(), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.75])
def test_smoothing_spreads_that_fraction_of_each_target_evenly_over_all_classes(smoothing):
    logits = torch.tensor([[2.0, 0.0, -1.0, 0.5], [0.3, 0.1, 4.0, -2.0]], dtype=torch.float64)
    expected = 0
    for z, label in zip(logits.tolist(), (0, 3)):
        nats = [math.log(sum(map(math.exp, z))) - v for v in z]
        expected += sum((smoothing / 4 + (1 - smoothing) * (k == label)) * nats[k] for k in range(4)) / 2
    assert math.isclose(losses.cross_entropy(logits, torch.tensor([0, 3]), smoothing=smoothing).item(), expected)


def test_smoothing_of_zero_is_the_plain_cross_entropy():
    logits, labels = torch.randn(6, 10), torch.arange(6)
    plain = losses.cross_entropy(logits, labels)
    assert torch.equal(losses.cross_entropy(logits, labels, 0.0), plain)
    assert not torch.allclose(losses.cross_entropy(logits, labels, 0.1), plain)


def test_the_l2_term_is_the_sum_of_all_squares_and_adds_its_gradient_to_what_is_there():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 1)).double()
    frozen, unused = model[0].bias.requires_grad_(False), model[2]
    model[1](model[0](torch.randn(4, 2, dtype=torch.float64))).square().sum().backward()
    before = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    value = losses.add_l2(model.parameters(), 0.3)
    squares = sum(w ** 2 for p in model.parameters() for w in p.flatten().tolist())
    assert math.isclose(value.item(), 0.3 * squares) and not value.requires_grad
    assert frozen.grad is None and torch.equal(unused.weight.grad, 0.6 * unused.weight)
    for p, old in zip(model.parameters(), before):
        if old is not None:
            assert torch.allclose(p.grad, old + 0.6 * p)


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_the_l2_term_acts_as_if_autograd_had_found_its_gradient(clip):
    """The gradients after a step, by add_l2 and by the loss with the term in it."""
    x, y = torch.randn(8, 3, 32, 32), torch.arange(8)
    torch.manual_seed(1)
    ours = models.build("lenet5", act="relu")
    theirs = copy.deepcopy(ours)
    losses.cross_entropy(ours(x), y).backward()
    losses.add_l2(ours.parameters(), 0.01)
    term = 0.01 * sum(p.square().sum() for p in theirs.parameters())
    (losses.cross_entropy(theirs(x), y) + term).backward()
    for model in (ours, theirs):
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    for a, b in zip(ours.parameters(), theirs.parameters()):
        assert torch.allclose(a.grad, b.grad, rtol=1e-5, atol=1e-8)


def test_correct_counts_the_images_whose_largest_logit_is_that_of_their_label():
    logits = torch.tensor([[1.0, 3, 2], [4, -1, 0], [0, 0.1, 0.2], [-3, -2, -5]])
    assert losses.correct(logits, torch.tensor([1, 0, 0, 2])).item() == 2
    assert losses.correct(logits, torch.tensor([1, 0, 2, 1])).item() == 4
    assert losses.correct(logits, torch.tensor([0, 1, 0, 0])).item() == 0


# ---- report 5 -------------------------------------------------------------------------------------------------------

def batch(n=12, d=5, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, d, dtype=torch.float64, generator=generator)
    return features, torch.randint(classes, (n,), generator=generator)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def by_brute_force(features, labels, loss, margin, own_positive=False):
    """The mean over anchors of the largest loss of all their triplets, and the number of images that are no anchors."""
    points, labels = features.tolist(), labels.tolist()
    of_anchors = []
    for a in range(len(labels)):
        positives = [p for p in range(len(labels)) if labels[p] == labels[a] and (own_positive or p != a)]
        negatives = [n for n in range(len(labels)) if labels[n] != labels[a]]
        triplets = [max(0, loss(points[a], points[p], points[n]) + margin) for p in positives for n in negatives]
        if triplets:
            of_anchors.append(max(triplets))
    mean = sum(of_anchors) / len(of_anchors) if of_anchors else 0.0
    return mean, len(labels) - len(of_anchors)


TRIPLETS = {losses.triplet_cosine: lambda a, p, n: cosine(a, n) - cosine(a, p),
            losses.triplet_euclid: lambda a, p, n: math.dist(a, p) - math.dist(a, n)}


@pytest.mark.parametrize("loss", TRIPLETS)
@pytest.mark.parametrize("margin", [0.0, 0.25, 3.0])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("n, classes, seed", [(12, 4, 0), (12, 9, 1), (6, 1, 2), (2, 2, 3), (1, 1, 4), (30, 3, 5)])
def test_triplet_losses_are_the_hardest_of_all_triplets(loss, margin, n, classes, seed, own):
    features, labels = batch(n, 5, classes, seed)
    expected, alone = by_brute_force(features, labels, TRIPLETS[loss], margin, own)
    assert math.isclose(loss(features, labels, margin, own).item(), expected, rel_tol=1e-10, abs_tol=1e-12)
    assert losses.left_out(labels, own) == alone


def test_an_image_that_is_its_own_positive_adds_nearly_nothing_and_counts():
    """Of four images, two are alone in their class: the mean of the other two is halved where those are far away."""
    features = torch.tensor([[1.0, 0], [0, 1], [-1, 0.1], [-1, -0.1]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 2])
    assert losses.left_out(labels) == 2 and losses.left_out(labels, own_positive=True) == 0
    apart = losses.triplet_cosine(features[:3], labels[:3], 0.25)
    alone = losses.triplet_cosine(features[:3], labels[:3], 0.25, own_positive=True)
    assert math.isclose(alone.item(), apart.item() * 2 / 3, rel_tol=1e-12)
    distances = losses.triplet_euclid(features[:3], labels[:3], 0.25, own_positive=True).item()
    assert math.isclose(distances, losses.triplet_euclid(features[:3], labels[:3], 0.25).item() * 2 / 3, rel_tol=1e-12)


def test_triplet_losses_by_hand():
    features = torch.tensor([[0.0, 0], [3, 4], [0, 1], [6, 8]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1])
    # anchors: d(0,1) = 5 against d(0,2) = 1; 5 against d(1,2) = 18 ** 0.5; d(2,3) = 85 ** 0.5 against 1;
    # the same against d(3,1) = 5
    expected = (5 - 1 + 5 - 18 ** 0.5 + 85 ** 0.5 - 1 + 85 ** 0.5 - 5) / 4 + 0.25
    assert math.isclose(losses.triplet_euclid(features, labels).item(), expected)
    features = torch.tensor([[1.0, 0], [2, 0], [0, 5], [3, 3]], dtype=torch.float64)
    half = 0.5 ** 0.5  # the last lies at 45 degrees to all others: hardest negative of class 0, half alike to its own
    expected = (2 * (half - 1 + 1) + max(0, 0 - half + 1) + (half - half + 1)) / 4
    assert math.isclose(losses.triplet_cosine(features, labels, 1.0).item(), expected)


def test_distances_far_from_the_origin_are_exact():
    # the squares of these numbers have more digits than float32 keeps
    features = torch.tensor([[4096.0, 1], [4096, 1.5], [4096, 2], [4096, 3]])
    labels = torch.tensor([0, 0, 1, 1])
    # farthest of its class - nearest of the other + 0.25 of each anchor: 0.5 - 1, 0.5 - 0.5, 1 - 0.5, 1 - 1.5
    assert losses.triplet_euclid(features, labels).item() == (0 + 0.25 + 0.75 + 0) / 4


@pytest.mark.parametrize("loss", TRIPLETS)
def test_gradients_of_triplet_losses(loss):
    features, labels = batch()
    assert torch.autograd.gradcheck(lambda f: loss(f, labels, 3.0), features.requires_grad_())


@pytest.mark.parametrize("loss", TRIPLETS)
@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 2, 3], [0, 0, 0, 1]])
def test_gradients_stay_finite_where_features_coincide_are_zero_or_lack_a_partner(loss, labels):
    features = torch.tensor([[1.0, 2], [1, 2], [1, 2], [0, 0]], dtype=torch.float64, requires_grad=True)
    value = loss(features, torch.tensor(labels))
    value.backward()
    assert value.isfinite() and features.grad.isfinite().all()
    assert value == 0 or len(set(labels)) == 2


@pytest.mark.parametrize("loss", TRIPLETS)
def test_well_separated_classes_have_no_triplet_loss_and_margin_is_a_quarter(loss):
    features = torch.tensor([[1.0, 0], [1, 0.01], [0, 1], [0.01, 1]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1])
    assert loss(features, labels).item() == 0
    assert math.isclose(loss(torch.ones(4, 2, dtype=torch.float64), labels).item(), 0.25)


def test_square_and_mean_square_of_softmax_by_hand():
    logits = torch.tensor([[math.log(2), 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([0, 2])
    # softmax: 1/2 1/4 1/4 and 1/3 1/3 1/3
    expected = 1 / 4 + 1 / 16 + 1 / 16 + 1 / 9 + 1 / 9 + 4 / 9
    assert math.isclose(losses.square(logits, labels).item(), expected)
    assert math.isclose(losses.mean_square(logits, labels).item(), expected / 6)
    for loss in (losses.square, losses.mean_square):
        assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits.clone().requires_grad_())


# ---- losses by their names ------------------------------------------------------------------------------------------

def test_each_loss_is_of_landmarks_or_of_logits_or_of_features_under_its_own_name():
    assert sorted(("mse", *losses.OF_LOGITS, *losses.OF_FEATURES)) == sorted(losses.LOSSES)  # every name once
    assert all(loss is getattr(losses, name.replace("-", "_")) for name, loss in losses.LOSSES.items())


def inputs_of(name):
    """Output and target for this loss: landmarks, or four classes of which each has two images or more."""
    if name == "mse":
        return batch(8, 42)[0], batch(8, 42, seed=1)[0]
    return batch(8, 4)[0], torch.arange(8) % 4


@pytest.mark.parametrize("name", losses.LOSSES)
def test_sums_double_with_the_batch_and_means_do_not(name):
    output, target = inputs_of(name)
    once = losses.LOSSES[name](output, target).item()
    twice = losses.LOSSES[name](torch.cat([output, output]), torch.cat([target, target])).item()
    assert once > 0 and math.isclose(twice, once * (2 if name in losses.SUMS else 1))
    assert set(losses.SUMS) <= set(losses.LOSSES)


@pytest.mark.parametrize("name", losses.OF_LOGITS + losses.OF_FEATURES)
def test_losses_of_logits_want_a_column_for_each_class_and_those_of_features_any_number(name):
    output, target = inputs_of(name)
    if name in losses.OF_FEATURES:
        assert losses.LOSSES[name](output[:, :2], target).isfinite()
    else:
        with pytest.raises((IndexError, RuntimeError)):
            losses.LOSSES[name](output[:, :2], target)


# ---- flags ----------------------------------------------------------------------------------------------------------

def make_parser():
    parser = argparse.ArgumentParser()
    losses.add_flags(parser)
    parser.add_argument("--data", default="cifar10")
    return parser


def resolve(line):
    """The flags of a command line as resolve_flags leaves them."""
    parser = make_parser()
    flags = parser.parse_args(line.split())
    unset = argparse.Namespace(**dict.fromkeys(vars(flags), None))
    given = {k: v for k, v in vars(parser.parse_args(line.split(), unset)).items() if v is not None}
    losses.resolve_flags(flags, given)
    return flags


def test_defaults_of_the_flags():
    assert vars(make_parser().parse_args([])) == {"loss": None, "margin": 0.25, "own_positive": False, "l2": 0.0,
                                                  "label_smoothing": 0.0, "data": "cifar10"}
    (group,) = [g for g in make_parser()._action_groups if g.title == "loss"]
    assert [action.dest for action in group._group_actions] == ["loss", "margin", "own_positive", "l2",
                                                                   "label_smoothing"]
    assert all(action.help for action in group._group_actions) and "--l2 LAMBDA" in make_parser().format_help()


@pytest.mark.parametrize("data, loss", [("cifar10", "cross-entropy"), ("caltech35", "cross-entropy"),
                                        ("faces21", "mse")])
def test_the_loss_where_none_is_named_follows_the_data(data, loss):
    assert resolve(f"--data {data}").loss == losses.LOSS_OF[data] == loss
    assert resolve(f"--data {data} --loss {loss}").loss == loss


@pytest.mark.parametrize("data", ["cifar10", "caltech35"])
@pytest.mark.parametrize("loss", losses.OF_LOGITS + losses.OF_FEATURES)
def test_every_loss_of_classes_can_be_named(data, loss):
    assert resolve(f"--data {data} --loss {loss}").loss == loss


@pytest.mark.parametrize("line, words", [
    *((f"--data faces21 --loss {loss}", f"--loss {loss} is for classes; faces21 has landmarks")
      for loss in losses.OF_LOGITS + losses.OF_FEATURES),
    ("--data cifar10 --loss mse", "--loss mse is for landmarks; cifar10 has classes"),
    ("--data caltech35 --loss mse", "--loss mse is for landmarks; caltech35 has classes"),
    *((f"--label-smoothing 0.1 --loss {loss}", f"--label-smoothing is for cross-entropy, not for {loss}")
      for loss in ("square", "mean-square", *losses.OF_FEATURES)),
    *((f"--own-positive --loss {loss}", f"--own-positive is for triplet-cosine and triplet-euclid, not for {loss}")
      for loss in losses.OF_LOGITS),
    ("--data faces21 --label-smoothing 0.1", "--label-smoothing is for cross-entropy, not for mse")])
def test_losses_that_contradict_the_data_or_label_smoothing_are_refused_with_a_sentence(line, words):
    with pytest.raises(ValueError) as e:
        resolve(line)
    assert str(e.value) == words


@pytest.mark.parametrize("line", ["--margin 1", "--margin 0.25 --loss square", "--margin 0 --data faces21"])
def test_a_margin_without_a_triplet_loss_is_accepted_and_changes_nothing(line):
    flags = resolve(line)
    assert losses.make(flags) is losses.LOSSES[flags.loss]


@pytest.mark.parametrize("line", ["--loss square --label-smoothing 0", "--data faces21 --label-smoothing 0",
                                  "--label-smoothing 0.1", "--data faces21 --l2 0.01", "--loss triplet-euclid --l2 1"])
def test_flags_that_agree_are_accepted(line):
    flags = resolve(line)
    assert flags.l2 == float(line.partition("--l2 ")[2] or 0)
    assert flags.label_smoothing == (0.1 if line == "--label-smoothing 0.1" else 0)


@pytest.mark.parametrize("line, words", [
    ("--loss hinge", "'triplet-euclid'"), ("--margin -1", "0 or between 1e-37 and 1e38, not -1"),
    ("--margin inf", "not inf"), ("--l2 nan", "not nan"), ("--l2 -0.1", "not -0.1"), ("--l2 much", "invalid"),
    ("--l2 3e38", "not 3e38"), ("--margin 1e-60", "not 1e-60"),
    ("--label-smoothing 1", "at least 0 and below 1, not 1"), ("--label-smoothing -0.1", "at least 0"),
    ("--label-smoothing nan", "not nan")])
def test_values_that_no_flag_can_have_are_refused(line, words, capsys):
    with pytest.raises(SystemExit):
        make_parser().parse_args(line.split())
    assert words in capsys.readouterr().err


def made(training=True, **changed):
    settings = {"margin": 0.25, "own_positive": False, "label_smoothing": 0.0, **changed}
    return losses.make(SimpleNamespace(**settings), training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", losses.LOSSES)
def test_the_loss_that_is_made_is_the_one_that_is_named(name, training):
    output, target = inputs_of(name)
    assert torch.equal(made(training, loss=name)(output, target), losses.LOSSES[name](output, target))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", losses.OF_FEATURES)
def test_the_margin_of_a_triplet_loss_holds_in_training_and_scoring(name, training):
    output, target = inputs_of(name)
    value = made(training, loss=name, margin=3.0)(output, target)
    assert torch.equal(value, losses.LOSSES[name](output, target, 3.0))
    assert value > losses.LOSSES[name](output, target) + 1


def test_labels_are_smoothed_in_training_only():
    output, target = inputs_of("cross-entropy")
    smoothed = made(loss="cross-entropy", label_smoothing=0.2)(output, target)
    assert torch.equal(smoothed, F.cross_entropy(output, target, label_smoothing=0.2))
    plain = F.cross_entropy(output, target)
    assert torch.equal(made(False, loss="cross-entropy", label_smoothing=0.2)(output, target), plain)
    assert not torch.allclose(smoothed, plain) and torch.equal(made(loss="cross-entropy")(output, target), plain)
