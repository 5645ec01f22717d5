"""losses.py against values worked out by hand, in float64."""
import math

import pytest
import torch

import losses


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
def test_smoothing_spreads_that_share_of_each_target_evenly_over_all_classes(smoothing):
    logits = torch.tensor([[2.0, 0.0, -1.0, 0.5], [0.3, 0.1, 4.0, -2.0]], dtype=torch.float64)
    expected = 0
    for z, label in zip(logits.tolist(), (0, 3)):
        nats = [math.log(sum(map(math.exp, z))) - v for v in z]
        expected += sum((smoothing / 4 + (1 - smoothing) * (k == label)) * nats[k] for k in range(4)) / 2
    assert math.isclose(losses.cross_entropy(logits, torch.tensor([0, 3]), smoothing=smoothing).item(), expected)


def test_smoothing_of_zero_is_the_plain_cross_entropy():
    logits, labels = torch.randn(6, 10), torch.arange(6)
    plain = losses.cross_entropy(logits, labels)
    assert torch.equal(losses.cross_entropy(logits, labels, 0.0), plain) and not torch.allclose(losses.cross_entropy(logits, labels, 0.1), plain)


def test_l2_penalty_sums_the_squares_of_all_parameters_and_its_gradient_is_twice_each():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)).double()
    penalty = losses.l2_penalty(model)
    assert math.isclose(penalty.item(), sum(w ** 2 for p in model.parameters() for w in p.flatten().tolist()))
    penalty.backward()
    for p in model.parameters():
        assert torch.allclose(p.grad, 2 * p)


# ---------------------------------------------------------------------------------------------------------------- report 5


def batch(n=12, d=5, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, dtype=torch.float64, generator=generator), torch.randint(classes, (n,), generator=generator)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def by_brute_force(features, labels, loss, margin):
    """The mean over anchors of the largest loss of all their triplets, and the number of images that are no anchors."""
    points, labels = features.tolist(), labels.tolist()
    of_anchors = []
    for a in range(len(labels)):
        positives = [p for p in range(len(labels)) if labels[p] == labels[a] and p != a]
        negatives = [n for n in range(len(labels)) if labels[n] != labels[a]]
        triplets = [max(0, loss(points[a], points[p], points[n]) + margin) for p in positives for n in negatives]
        of_anchors += [max(triplets)] if triplets else []
    return (sum(of_anchors) / len(of_anchors) if of_anchors else 0.0), len(labels) - len(of_anchors)


TRIPLETS = {losses.triplet_cosine: lambda a, p, n: cosine(a, n) - cosine(a, p), losses.triplet_euclid: lambda a, p, n: math.dist(a, p) - math.dist(a, n)}


@pytest.mark.parametrize("loss", TRIPLETS)
@pytest.mark.parametrize("margin", [0.0, 0.25, 3.0])
@pytest.mark.parametrize("n, classes, seed", [(12, 4, 0), (12, 9, 1), (6, 1, 2), (2, 2, 3), (1, 1, 4), (30, 3, 5)])
def test_triplet_losses_are_the_hardest_of_all_triplets(loss, margin, n, classes, seed):
    features, labels = batch(n, 5, classes, seed)
    expected, alone = by_brute_force(features, labels, TRIPLETS[loss], margin)
    assert math.isclose(loss(features, labels, margin).item(), expected, rel_tol=1e-10, abs_tol=1e-12) and losses.left_out(labels) == alone


def test_triplet_losses_by_hand():
    features, labels = torch.tensor([[0.0, 0], [3, 4], [0, 1], [6, 8]], dtype=torch.float64), torch.tensor([0, 0, 1, 1])
    # anchors: d(0,1) = 5 against d(0,2) = 1; 5 against d(1,2) = 18 ** 0.5; d(2,3) = 85 ** 0.5 against 1; the same against d(3,1) = 5
    expected = (5 - 1 + 5 - 18 ** 0.5 + 85 ** 0.5 - 1 + 85 ** 0.5 - 5) / 4 + 0.25
    assert math.isclose(losses.triplet_euclid(features, labels).item(), expected)
    features = torch.tensor([[1.0, 0], [2, 0], [0, 5], [3, 3]], dtype=torch.float64)
    half = 0.5 ** 0.5  # the last lies at 45 degrees to all others: hardest negative of both of class 0, and half alike to its own
    assert math.isclose(losses.triplet_cosine(features, labels, 1.0).item(), (2 * (half - 1 + 1) + max(0, 0 - half + 1) + (half - half + 1)) / 4)


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
    features, labels = torch.tensor([[1.0, 0], [1, 0.01], [0, 1], [0.01, 1]], dtype=torch.float64), torch.tensor([0, 0, 1, 1])
    assert loss(features, labels).item() == 0
    assert math.isclose(loss(torch.ones(4, 2, dtype=torch.float64), labels).item(), 0.25)


def test_square_and_mean_square_of_softmax_by_hand():
    logits, labels = torch.tensor([[math.log(2), 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64), torch.tensor([0, 2])
    # softmax: 1/2 1/4 1/4 and 1/3 1/3 1/3
    expected = 1 / 4 + 1 / 16 + 1 / 16 + 1 / 9 + 1 / 9 + 4 / 9
    assert math.isclose(losses.square(logits, labels).item(), expected) and math.isclose(losses.mean_square(logits, labels).item(), expected / 6)
    for loss in (losses.square, losses.mean_square):
        assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits.clone().requires_grad_())


# ------------------------------------------------------------------------------------------------------- losses by their names


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
    once, twice = (losses.LOSSES[name](torch.cat([output] * k), torch.cat([target] * k)).item() for k in (1, 2))
    assert once > 0 and math.isclose(twice, once * (2 if name in losses.SUMS else 1)) and set(losses.SUMS) <= set(losses.LOSSES)


@pytest.mark.parametrize("name", losses.OF_LOGITS + losses.OF_FEATURES)
def test_losses_of_logits_want_a_column_for_each_class_and_those_of_features_any_number(name):
    output, target = inputs_of(name)
    if name in losses.OF_FEATURES:
        assert losses.LOSSES[name](output[:, :2], target).isfinite()
    else:
        with pytest.raises((IndexError, RuntimeError)):
            losses.LOSSES[name](output[:, :2], target)
