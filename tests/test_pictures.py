"""experiments/pictures.py: faces with landmarks, confusion matrices and features, on arrays by hand."""
import matplotlib
import numpy as np
import pytest

from drawing import lines, points, texts
from experiments import pictures

# ---- faces ----------------------------------------------------------------------------------------------------------


def asked(**predicted):
    """Returns what ask.predict returns of three faces: landmarks at (50, 50), and what the nets made of them."""
    return {"pictures": np.random.default_rng(0).random((3, 112, 112)), "true": np.full((3, 42), 50.0),
            "heads": ["upright", "turned +30°", "turned −30°"],
            "predicted": {f"keypoints/{run}": points for run, points in predicted.items()}, "other": set()}


def test_faces_picture_has_a_row_per_run_and_says_the_error():
    shown = asked(adam=np.full((3, 42), 56.0), bn=np.full((3, 42), 150.0))
    shown["true"] = np.random.default_rng(1).random((3, 42)) * 112
    shown["other"].add("keypoints/bn")
    fig = pictures.draw_faces(shown, generated=["keypoints/bn"])
    assert len(fig.axes) == 6 and [fig.axes[i].get_ylabel() for i in (0, 3)] == ["adam", "bn\n(another split)"]
    assert [ax.get_title() for ax in fig.axes[:3]] == shown["heads"]
    assert not any(ax.get_title() for ax in fig.axes[3:])
    mse = np.mean((shown["true"][0] - 56) ** 2)
    assert fig.axes[0].get_xlabel() == (f"{mse:,.0f} px²" if mse >= 1000 else f"{mse:.3g} px²")
    assert tuple(fig.axes[0].images[0].get_extent()) == (0, 112, 112, 0) and fig.axes[0].get_ylim() == (112, 0)
    assert np.array_equal(fig.axes[4].images[0].get_array(), shown["pictures"][1])
    true, predicted = fig.axes[0].lines
    assert np.allclose(true.get_xydata(), shown["true"][0].reshape(21, 2)) and set(predicted.get_xdata()) == {56}
    assert fig.axes[3].get_xlabel().endswith("\n21 outside")
    assert "bn: generated data, not a measurement" in texts(fig)


def test_faces_of_the_best_epoch_say_so():
    shown = asked(adam=np.full((3, 42), 56.0), bn=np.full((3, 42), 56.0))
    fig = pictures.draw_faces(shown, title="exp-x: faces", best={"keypoints/adam": 150})
    assert [fig.axes[i].get_ylabel() for i in (0, 3)] == ["adam\n(epoch 150, its best)", "bn"]
    assert {"exp-x: faces", "adam blew up: weights of the best epoch"} <= set(texts(fig))
    assert not any("best" in text for text in texts(pictures.draw_faces(shown)))


def test_faces_says_which_points_are_out_of_sight():
    predicted = np.full((3, 42), 50.0)
    predicted[1, :3], predicted[2, 0] = 5000, np.nan
    fig = pictures.draw_faces(asked(sgd=predicted))
    assert [ax.get_xlabel() for ax in fig.axes] == ["0 px²", "1.75e+06 px²\n2 outside", "not finite"]


def test_faces_without_photo_have_no_pixels():
    shown = asked(adam=np.full((3, 42), 56.0))
    without = pictures.draw_faces(shown, photo=False)
    assert not without.findobj(matplotlib.image.AxesImage) and len(without.axes[0].lines) > 2
    assert pictures.draw_faces(shown).findobj(matplotlib.image.AxesImage)


# ---- confusion ------------------------------------------------------------------------------------------------------

def test_confusion_shows_percentages_and_leaves_zeros_blank():
    fig = pictures.draw_confusion({"train": [[5, 0], [1, 4]], "test": [[2, 0], [3, 0]]}, "c/base, seed 0")
    train, test = fig.axes
    assert train.get_title("left") == "train: 90.0 % of 10 right; cells: % of the true class"
    assert test.get_title("left").startswith("test: 40.0 % of 5 right")
    assert train.get_position().y0 > test.get_position().y1  # one above the other, wide enough to be read
    shown = {(text.get_position(), text.get_text()) for text in train.texts}
    assert shown == {((0, 0), "100"), ((0, 1), "20"), ((1, 1), "80")}  # x: called, y: true
    assert np.allclose(train.images[0].get_array(), [[100, 0], [20, 80]])
    colours = {text.get_text(): text.get_color() for text in train.texts}
    assert colours == {"100": "white", "20": "black", "80": "white"}  # on dark, and on light
    same = pictures.draw_confusion({"test": [[1, 1], [1, 1]]}, "x")
    assert same.axes[0].images[0].get_clim() == (0, 100)  # whatever the fractions
    assert (train.get_xlabel(), train.get_ylabel()) == ("predicted class", "true class")
    assert "c/base, seed 0" in texts(fig)


def test_confusion_of_generated_data_says_so_and_a_class_may_have_no_image():
    fig = pictures.draw_confusion({"test": [[1, 0], [0, 0]]}, "x", generated=True)
    assert {"x", "generated data, not a measurement"} <= set(texts(fig))
    assert np.array_equal(fig.axes[0].images[0].get_array(), [[100, 0], [0, 0]])


def test_the_crossings_of_two_classes_are_boxed():
    fig = pictures.draw_confusion({"test": np.eye(8)}, "x", boxed=(3, 5))
    corners = [patch.get_xy() for patch in fig.axes[0].patches]
    assert corners == [(2.5, 2.5), (4.5, 2.5), (2.5, 4.5), (4.5, 4.5)] and "boxed: classes 3 and 5" in texts(fig)
    few = pictures.draw_confusion({"test": np.eye(4)}, "x", boxed=(3, 5))  # there is no class 5
    assert [patch.get_xy() for patch in few.axes[0].patches] == [(2.5, 2.5)]
    assert not pictures.draw_confusion({"test": np.eye(8)}, "x").axes[0].patches


def test_confusion_of_35_classes_is_readable():
    counts = np.full((35, 35), 140)
    fig = pictures.draw_confusion({"train": counts, "test": counts}, "x")
    fig.draw_without_rendering()
    for ax in fig.axes:
        cell = ax.get_window_extent().width / 35
        sizes = [text.get_window_extent() for text in ax.texts]
        assert max(size.width for size in sizes) < cell and max(size.height for size in sizes) < cell
        assert len(ax.get_xticklabels()) == 35 and min(text.get_fontsize() for text in ax.texts) >= 5


# ---- features -------------------------------------------------------------------------------------------------------

def three_groups():
    """Returns features of 12 images of each of the classes 1, 2, 3, of which the first image is called a 7.

    The test features are far from those of train: an own PCA would hide that.
    """
    labels = np.repeat([1, 2, 3], 12)
    features = np.random.default_rng(0).normal(size=(36, 8)) + 20 * np.eye(3, 8)[labels - 1]
    found = points(labels, np.where(np.arange(36) == 0, 7, labels), features)
    found["test"]["features"] += 1000
    return found


def test_features_side_by_side_for_train_and_test():
    found = three_groups()
    fig = pictures.draw_features(found, [1, 3], "c/base, seed 0")
    titles = [ax.get_title("left") for ax in fig.axes]
    assert titles[0].startswith("PCA, train: 24 images, ") and titles[0].endswith("% of the variance")
    assert titles[1:] == ["t-SNE, train: 24 images", "PCA, test: 24 images", "t-SNE, test: 24 images"]
    for ax in fig.axes:
        drawn = {line.get_label(): line.get_xydata() for line in ax.lines}
        assert {label: len(xy) for label, xy in drawn.items()} == {
            "class 1": 11, "class 1 called another": 1, "class 3": 12, "class 3 called another": 0}
        assert lines(ax, "class 1 called another")[0].get_markerfacecolor() == "none"
        assert lines(ax, "class 1")[0].get_markerfacecolor() != "none"
        ones, threes = drawn["class 1"], drawn["class 3"]  # both ways keep the classes apart
        apart = np.linalg.norm(ones.mean(0) - threes.mean(0))
        assert apart > 2 * max(ones.std(0).max(), threes.std(0).max())
    first, second = (np.concatenate([line.get_xydata() for line in fig.axes[i].lines]) for i in (0, 2))
    assert np.abs(second - first).max() > 100  # train's axes, for both
    said = texts(fig)
    assert {"class 1", "class 3", "hollow: called another class", "c/base, seed 0"} <= set(said)
    assert "class 2" not in said


def test_features_are_drawn_the_same_again_and_say_what_is_wrong():
    found = three_groups()
    fig, again = (pictures.draw_features(found, [1, 3], "x", generated=True) for _ in range(2))
    for one, other in zip(fig.axes, again.axes):
        assert all(np.array_equal(a.get_xydata(), b.get_xydata()) for a, b in zip(one.lines, other.lines))
    assert {"x", "generated data, not a measurement"} <= set(texts(fig))
    with pytest.raises(ValueError, match="no train image of class 7, 9"):
        pictures.draw_features(found, [1, 7, 9], "x")


def test_features_that_all_coincide_can_be_drawn(tmp_path):
    found = three_groups()
    found["test"]["features"][:] = 1
    pictures.features(found, [1, 2], "x", tmp_path / "features.png")
    assert (tmp_path / "features.png").read_bytes().startswith(b"\x89PNG")
