"""experiments/overview.py: reported against measured accuracies; on declarations and records by hand."""
import itertools

import matplotlib
import pytest

from drawing import classes, lines, texts
from experiments import overview


def declared(want, flags="--epochs 50"):
    return {"want": want, "run": {run: flags for run in want}, "alias": {}, "exp": {"x": list(want)},
            "about": {"x": "Which?"},
            "pages": {"net": {"title": "Report 3: one net. And more"}, "mlp_cnn": {"title": "Report 4"}}}


def test_a_point_is_the_final_accuracy_of_all_seeds():
    records = [classes("net/a", 0.5, seed=seed, test_acc=0.6 + 0.02 * seed) for seed in (0, 1)]
    records += [classes("net/b", 0.5), classes("net/c", 0.3), classes("net/loss"), classes("net/none")]
    wants = {"net/a": "valid_acc=0.1 test_acc=0.5..0.7 test_acc@10=0.2", "net/b": "valid_acc@10=0.3 valid_acc@50=0.55",
             "net/c": "valid_acc@10=0.25", "net/loss": "train_loss=1", "net/gone": "test_acc=0.9"}
    records[2]["metrics"]["valid_acc"] = 0.5
    points = overview.points_of(declared(wants), records)
    assert list(points) == ["net/a", "net/b", "net/c"]
    assert points["net/a"] == (50, 70, [pytest.approx(60), pytest.approx(62)])
    assert points["net/b"] == (pytest.approx(55), pytest.approx(55), [50])
    assert points["net/c"][2] == [pytest.approx(100 * records[3]["curves"]["valid_acc"][9])]


def test_a_run_of_ours_beside_a_printed_number_of_another_is_no_point():
    of_two = declared({"net/a": "test_acc=0.5", "net/ours": "test_acc=0.5"})
    of_two |= {"exp": {"x": ["net/a"], "y": ["net/a", "net/ours"]}, "about": {"x": "Which?", "y": "Ours: another."}}
    measured = [classes("net/a", test_acc=0.55), classes("net/ours", test_acc=0.5)]
    assert list(overview.points_of(of_two, measured)) == ["net/a"]


def test_a_second_name_has_what_the_run_has():
    of_two = declared({"net/a": "test_acc=0.5", "net/second": "test_acc=0.6"}) | {"alias": {"net/second": "net/a"}}
    points = overview.points_of(of_two, [classes("net/a", test_acc=0.55)])
    assert points == {"net/a": (50, 50, [pytest.approx(55)]), "net/second": (60, 60, [pytest.approx(55)])}


def test_the_figure_has_a_colour_for_every_report_and_counts_what_is_near():
    points = {"net/a": (50, 50, [52, 53]), "net/b": (60, 70, [71]), "net/far": (60, 60, [20]),
              "mlp_cnn/a": (54, 54, [50])}
    titles = {"net": "Report 3: one net. And more", "mlp_cnn": "Report 4"}
    fig = overview.draw_overview(points, titles, [*points, "net/later"])
    ax, = fig.axes
    said = set(texts(fig))
    assert [text.get_text() for text in ax.texts[:-1]] == ["b", "far", "a"]  # the best, and what is far; not net/a
    assert {"2 of 4 runs lie within", "3 points of the report", "Report 3: one net (3 of 4 runs)",
            "Report 4 (1 of 1 runs)", "3 of the 4 have one seed,", "1 more runs that have a", "far",
            "reported accuracy (%)", "measured accuracy (%)"} <= said
    assert ax.get_xlim() == ax.get_ylim() == (0, 100)
    assert lines(ax, "diagonal")[0].get_xydata().tolist() == [[0, 0], [100, 100]]
    (of_net, _, _), (of_mlp, _, _) = ax.containers
    assert of_net.get_xydata().tolist() == [[50, 52.5], [65, 71], [60, 20]] and of_mlp.get_color() != of_net.get_color()


def test_labels_are_few_and_do_not_overlap():
    points = {f"net/some-run-{i}": (60 + i % 3, 60 + i % 3, [10 + 3 * (i % 4)]) for i in range(30)}
    fig = overview.draw_overview(points, {})
    fig.draw_without_rendering()
    labels = [text for text in fig.axes[0].findobj(matplotlib.text.Text) if text.get_text().startswith("some-run")]
    assert 2 <= len(labels) <= overview.LABELLED
    boxes = [label.get_window_extent() for label in labels]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_nothing_is_drawn_where_nothing_was_measured(tmp_path):
    assert not overview.overview(declared({"net/a": "test_acc=0.5"}), [], tmp_path / "overview.png")
    assert not list(tmp_path.iterdir())
    records = [classes("net/a", test_acc=0.5)]
    paths = [tmp_path / name for name in ("one.png", "two.png")]
    assert all(overview.overview(declared({"net/a": "test_acc=0.5"}), records, path) for path in paths)
    assert paths[0].read_bytes() == paths[1].read_bytes()
