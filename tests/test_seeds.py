"""What one seed cannot tell: which single runs rank the other way, and how small a difference can be seen."""
import math
import statistics

import pytest

from drawing import texts
from experiments import claims, seeds
from experiments.records import final
from experiments.verdicts import FAILS, HOLDS, POINTS, UNDECIDED, Part, interval

DECLARED = {"run": {"net/a": "--act relu", "net/b": "--lr 1", "net/c": "--lr 2", "mlp_cnn/x": "--act relu"},
            "alias": {"net/again": "net/b"}, "want": {"net/a": "test_acc=0.65"},
            "exp": {"first": ["net/a", "net/b"], "second": ["net/again", "net/a", "net/c"], "third": ["mlp_cnn/x"]},
            "report": {"first": "net", "second": "net", "third": "mlp_cnn"},
            "headline": {"net": ("net/a", "test_acc")}, "pages": {"net": {"title": "Report 3: a net"}}}


def accuracies(run, *numbers):
    return [{"run": run, "seed": seed, "status": "finished", "metrics": {"test_acc": number}, "curves": {}}
            for seed, number in enumerate(numbers)]


FOUND = [*accuracies("net/a", 0.60, 0.62, 0.64), *accuracies("net/b", 0.63, 0.65), *accuracies("net/c", 0.9)]


def test_the_runs_are_the_reports_own_with_several_seeds():
    again, others = accuracies("net/again", 0.63, 0.65), accuracies("mlp_cnn/x", 0.1, 0.2)
    diverged = accuracies("net/c", math.nan, None)
    numbers = seeds.numbers_of(DECLARED, "net", [*FOUND, *again, *others, *diverged])
    assert numbers == {"net/a": [0.60, 0.62, 0.64], "net/b": [0.63, 0.65]}


def test_each_comparison_of_two_such_runs_stands_once():
    numbers = {"net/a": [0.60, 0.62, 0.64], "net/b": [0.63, 0.65], "net/c": [0.7, 0.8]}
    pairs = seeds.pairs_of(DECLARED, "net", numbers)
    assert [one.names for one in pairs] == [("net/a", "net/b"), ("net/b", "net/c")]
    assert seeds.pairs_of(DECLARED, "net", {**numbers, "net/c": [0.63, 0.65]}) == pairs[:1]  # the same numbers
    assert seeds.pairs_of(DECLARED, "mlp_cnn", numbers) == []


@pytest.mark.parametrize("first, second, difference, against", [
    ((0.60, 0.62, 0.64), (0.63, 0.65), 0.02, 1), ((0.63, 0.65), (0.60, 0.62, 0.64), -0.02, 1),
    ((0.1, 0.2), (0.3, 0.4), 0.2, 0), ((0.1, 0.3), (0.3, 0.5), 0.2, 0.5), ((0.1, 0.3), (0.0, 0.4), 0.0, 2)])
def test_how_many_pairs_of_single_runs_rank_the_other_way(first, second, difference, against):
    one = seeds.pair(("net/a", "net/b"), first, second)
    assert one.difference == pytest.approx(difference) and one.against == against
    assert one.seeds == (len(first), len(second)) and one.pairs == len(first) * len(second)


def test_the_smallest_difference_worked_out_by_hand():
    assert seeds.deviation_of({"a": [1.0, 3.0], "b": [1.0, 2.0, 3.0], "c": [0.0, 100.0]}) == math.sqrt(2)
    assert seeds.smallest_difference(1.0, 1) == pytest.approx(2.772, abs=1e-3)  # 1.96 times the root of 2
    assert seeds.smallest_difference(1.0, 2) == pytest.approx(12.706)
    assert seeds.smallest_difference(2.0, 3) == pytest.approx(2 * 4.303 * math.sqrt(2 / 3))
    assert seeds.smallest_difference(1.0, 10) == pytest.approx(2.262 * math.sqrt(0.2))


def test_seeds_see_what_the_interval_of_a_verdict_sees():
    """Two independent runs of deviation 1 differ, seed by seed, with a deviation of the root of 2."""
    _, low, high = interval([0.0, math.sqrt(2), 2 * math.sqrt(2)])
    assert seeds.smallest_difference(1.0, 3) == pytest.approx((high - low) / 2)


def test_the_section_of_a_page():
    text = "\n".join(seeds.section(DECLARED, "net", FOUND))
    deviations = statistics.stdev([0.60, 0.62, 0.64]), statistics.stdev([0.63, 0.65])
    assert f"test acc has a deviation of {100 * statistics.mean(deviations):.1f} points: the median of 2 runs" in text
    assert "from 1.4 points (b) to 2.0 points (a)" in text and "in 0 of 1 comparisons" in text
    assert "| b minus a " in text and "| +2.0 points " in text and "| 3 and 2 |" in text and "| 1 of 6 pairs " in text
    alone = "\n".join(seeds.section(DECLARED, "net", FOUND[:3]))
    assert "that of a, the only run with several seeds" in alone and "No comparison has two such runs yet." in alone
    apart = "\n".join(seeds.section(DECLARED, "net", [*FOUND[:3], *accuracies("net/b", 0.8, 0.9)]))
    assert "in 1 of 1 comparisons of such runs always as their means do." in apart and "minus" not in apart
    assert seeds.section(DECLARED, "net", FOUND[-1:]) == []
    assert seeds.section({**DECLARED, "headline": {}}, "net", FOUND) == []


@pytest.mark.parametrize("of_b, word, so, not_so", [
    ((0.50, 0.52, 0.54), HOLDS, 3, 0), ((0.70, 0.72, 0.74), FAILS, 0, 3), ((0.59, 0.63, 0.63), UNDECIDED, 2, 1),
    ((0.59, 0.61, 0.40), UNDECIDED, 3, 0)])
def test_claims_by_all_seeds_and_by_each_alone(monkeypatch, of_b, word, so, not_so):
    """The claim is that b ends below a, which has 60, 62 and 64 %."""
    def sides(run):
        return [final(run(f"net/{name}"), "test_acc") for name in ("b", "a")]

    monkeypatch.setattr(claims, "functions", lambda: {"X1": lambda: [Part("L14", "", sides, POINTS)]})
    declared = {**DECLARED, "claim": {"X1": "b is worse"}, "pages": {"net": {"title": "Report 3", "claims": ["X1"]}}}
    found = [*FOUND[:3], *accuracies("net/b", *of_b), *accuracies("net/c", 0.1, 0.2, 0.3, 0.4)]
    assert seeds.claims_of(declared, "net", found) == [("X1", word, so, not_so)]
    text = "\n".join(seeds.section(declared, "net", found))
    if word == UNDECIDED:
        assert "Every seed would of 0 of the 1 claims that several seeds can judge, but not of these:" in text
        assert f"| X1    | b is worse      | {word}    | {so} " in text and f"| {not_so} " in text
    else:
        assert "Every seed would of 1 of the 1 claims that several seeds can judge." in text
        assert "b is worse" not in text
    assert seeds.claims_of(declared, "net", found[:4]) == []  # one seed has both runs


def test_the_figure_has_every_seed_the_mean_and_the_reported_number(tmp_path):
    assert not seeds.figure(DECLARED, "net", FOUND, tmp_path / "seeds.png") and list(tmp_path.iterdir()) == []
    found = [*FOUND, *accuracies("net/c", 0.9, 0.8)[1:]]
    assert seeds.figure(DECLARED, "net", found, tmp_path / "seeds.png") and (tmp_path / "seeds.png").stat().st_size
    numbers = seeds.numbers_of(DECLARED, "net", found)
    fig = seeds.draw("test_acc", numbers, {"net/a": (0.64, 0.66)}, "Report 3: a net")
    (ax,) = fig.axes
    dots = [sorted(line.get_xdata()) for line in ax.lines if line.get_marker() == "o"]
    assert dots == [pytest.approx([60, 62, 64]), pytest.approx([63, 65]), pytest.approx([80, 90])]
    assert [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D"] == pytest.approx([65])
    means = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "|" and line.get_color() == "black"]
    assert means == pytest.approx([62, 64, 85])
    assert {"test acc (%)", "visible with 3 seeds each", "visible with 10 seeds each",
            "a (3)", "b (2)", "c (2)"} <= set(texts(fig))
