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
