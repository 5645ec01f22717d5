"""What trained nets answer, as pictures: landmarks on faces, confusion matrices, features in the plane.

    python plots.py faces keypoints/adam keypoints/adam-bn     # writes figures/faces.png
    python plots.py confusion caltech35/base                   # writes figures/caltech35/base/seed0/confusion.png

Arrays in, pictures out: experiments/ask.py asks the nets, experiments/figures.py has the commands. As in plots.py a
function draw_KIND returns a matplotlib Figure, and KIND(..., path) writes it as a PNG.
"""
import itertools
import math
import textwrap

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

import plots
from experiments import panels

STYLE = {**panels.STYLE, "axes.grid": False, "axes.spines.top": True, "axes.spines.right": True}
WARNING = "generated data, not a measurement"
# The landmarks that lines join in a face without a photograph, by their index in the 21 of a label file: brows 0-5,
# eyes 6-9 with pupils 16 and 17, nose 10-12 and 18, lips 13-15 with the mouth's corners 19 and 20.
STROKES = [(0, 1, 2), (3, 4, 5), (6, 16, 7), (8, 17, 9), (10, 18, 12, 11, 10), (19, 13, 20, 15, 19)]


# ---- faces ----------------------------------------------------------------------------------------------------------

def faces(shown, path, photo=True, generated=(), title="", best=None):
    """Writes faces with their landmarks to the PNG file `path`; see draw_faces."""
    plots.save(draw_faces(shown, photo, generated, title, best), path)


def draw_faces(shown, photo=True, generated=(), title="", best=None):
    """Returns a Figure: a row per run, a column per face, predicted (red) over true (green) landmarks.

    Each cell says its MSE in px². shown: what ask.predict returns; generated: the runs that saw synthetic data; best:
    {run: epoch} of the runs that answer with the weights of their best epoch. photo=False draws the points alone,
    without any pixel of a face.
    """
    best = best or {}
    runs, count = list(shown["predicted"]), len(shown["heads"])
    names = panels.short_names(runs)
    with matplotlib.rc_context(STYLE):
        fig = Figure((1.45 * count + 0.5, 1.68 * len(runs) + 1.1), dpi=150, layout="constrained")
        fig.get_layout_engine().set(w_pad=0.02, h_pad=0.06)
        grid = fig.subplots(len(runs), count, squeeze=False)
        for row, run in zip(grid, runs):
            for ax, picture, true, predicted in zip(row, shown["pictures"], shown["true"], shown["predicted"][run]):
                _draw_face(ax, picture if photo else None, true.reshape(21, 2), predicted.reshape(21, 2))
            notes = [f"(epoch {best[run]}, its best)"] if run in best else []
            notes += ["(another split)"] if run in shown["other"] else []
            row[0].set_ylabel("\n".join([names[run], *notes]), fontsize=9)
        for ax, head in zip(grid[0], shown["heads"]):
            ax.set_title(head, fontsize=9)
        fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, markerscale=1.8)
        if best:
            title += f"\n{', '.join(names[run] for run in best)} blew up: weights of the best epoch"
        write_title(fig, title, panels.warning_for([run for run in runs if run in generated], names))
    return fig


def _draw_face(ax, picture, true, predicted):
    """Draws true and predicted landmarks, (21, 2) in pixels each, over a picture, or over strokes where it is None."""
    if picture is None:
        green, red = "#009E2A", "#D00000"
        for stroke in STROKES:
            ax.plot(*true[list(stroke)].T, color=green, alpha=0.3, linewidth=0.8)
    else:
        green, red = "#00C030", "#FF2020"
        ax.imshow(picture, cmap="gray", extent=(0, 112, 112, 0))  # landmarks count from the edge of the crop
    # A dot under a cross: told apart without seeing red and green, too.
    ax.plot(*true.T, "o", color=green, markersize=3.2, markeredgewidth=0, label="true")
    ax.plot(*predicted.T, "x", color=red, markersize=3.2, markeredgewidth=0.9, label="predicted")
    mse = float(np.mean((true - predicted) ** 2))
    if not math.isfinite(mse):
        text = "not finite"
    else:
        text = f"{mse:.3g} px²" if mse < 1000 or mse >= 1e5 else f"{mse:,.0f} px²"
    outside = int(((predicted < 0) | (predicted > 112)).any(1).sum())
    if outside:
        text += f"\n{outside} outside"
    ax.set_xlabel(text, fontsize=8, labelpad=2)
    ax.set(xlim=(0, 112), ylim=(112, 0), xticks=[], yticks=[], aspect="equal", facecolor="white")


# ---- what a net of classes answers ----------------------------------------------------------------------------------

def confusion(matrices, title, path, generated=False, boxed=()):
    """Writes confusion matrices to the PNG file `path`; see draw_confusion."""
    plots.save(draw_confusion(matrices, title, generated, boxed), path)


def draw_confusion(matrices, title, generated=False, boxed=()):
    """Returns a Figure: what percentage of each class (rows) was called each class (columns), train above test.

    matrices: {"train": (n, n) counts, "test": ...}; generated: did the run see synthetic data? boxed: two classes whose
    rows and columns are to be found at a glance. Zeros are left blank, so that 35 classes can be read.
    """
    with matplotlib.rc_context(STYLE):
        fig = panels.empty_figure(8, 7.6 * len(matrices) + 0.4)
        for ax, (part, rows) in zip(fig.subplots(len(matrices), 1, squeeze=False)[:, 0], matrices.items()):
            counts = np.array(rows)
            percent = 100 * counts / counts.sum(1, keepdims=True).clip(1)
            ax.imshow(percent, cmap="Blues", vmin=0, vmax=100)
            classes, size = range(len(counts)), max(5.5, min(9, 230 / len(counts)))
            for i, j in zip(*counts.nonzero()):
                colour = "white" if percent[i, j] > 55 else "black"
                ax.text(j, i, f"{percent[i, j]:.0f}", ha="center", va="center", fontsize=size, color=colour)
            for i, j in itertools.product([c for c in boxed if c < len(counts)], repeat=2):
                ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor="#D55E00", linewidth=1.8))
            accuracy = counts.trace() / max(counts.sum(), 1)
            ax.set_title(f"{part}: {100 * accuracy:.1f} % of {counts.sum():,} right; cells: % of the true class",
                         loc="left")
            ax.set_xticks(classes, classes, fontsize=size + 1)
            ax.set_yticks(classes, classes, fontsize=size + 1)
            ax.set(xlabel="predicted class", ylabel="true class")
            ax.tick_params(length=0)
        if boxed:
            title += f"\nboxed: classes {' and '.join(map(str, boxed))}"
        write_title(fig, title, WARNING if generated else "")
    return fig


def features(found, classes, title, path, generated=False):
    """Writes the PCA and t-SNE pictures of a net's features to the PNG file `path`; see draw_features."""
    plots.save(draw_features(found, classes, title, generated), path)


def draw_features(found, classes, title, generated=False):
    """Returns a Figure: features of train (above) and test images of `classes` in the plane, by PCA (left) and t-SNE.

    found: what ask.answers returns; generated: did the run see synthetic data? PCA's axes are those of the train
    features for both; t-SNE has no axes and is made for each part by itself, from seed 0. Hollow: an image that the net
    calls another class. Raises ValueError where a class has no image.
    """
    from sklearn.decomposition import PCA

    looks = panels.looks_of(classes)
    with matplotlib.rc_context({**panels.STYLE, "axes.grid": False}):
        fig = panels.empty_figure(9, 8)
        for axes, part in zip(fig.subplots(2, 2), ("train", "test")):
            labels, called, vectors = (found[part][key] for key in ("labels", "answers", "features"))
            absent = sorted(set(classes) - set(labels.tolist()))
            if absent:
                raise ValueError(f"no {part} image of class {', '.join(map(str, absent))}")
            chosen = np.isin(labels, classes)
            labels, called, vectors = labels[chosen], called[chosen], vectors[chosen].astype(np.float64)
            titles = {kind: f"{kind}, {part}: {len(vectors)} images" for kind in ("PCA", "t-SNE")}
            if part == "train":
                pca = PCA(2, random_state=0).fit(vectors)
                first, second = pca.explained_variance_ratio_
                titles["PCA"] += f", {first:.0%} and {second:.0%} of the variance"
            for ax, kind, points in zip(axes, titles, (pca.transform(vectors), _tsne(vectors))):
                _scatter(ax, points, labels, called, looks)
                ax.set_title(titles[kind], loc="left")
        handles = [Line2D([], [], linestyle="", markersize=6, label=f"class {c}", **looks[c]) for c in classes]
        handles.append(Line2D([], [], linestyle="", marker="o", color="0.35", markerfacecolor="none", markersize=6,
                              label="hollow: called another class"))
        fig.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))
        write_title(fig, title, WARNING if generated else "")
    return fig


def _tsne(vectors):
    """Returns vectors, (n, d), in the plane by t-SNE, (n, 2); zeros where all coincide, as a net can make them."""
    from sklearn.manifold import TSNE

    if not vectors.std(0).any():  # scikit-learn crashes on these
        return np.zeros((len(vectors), 2))
    return TSNE(2, perplexity=min(30, (len(vectors) - 1) / 3), init="pca", random_state=0).fit_transform(vectors)


def _scatter(ax, points, labels, called, looks):
    """Draws points, (n, 2), in the look of their class, {class: look}; hollow where the net called another."""
    for c, look in looks.items():
        correct, wrong = points[(labels == c) & (called == c)], points[(labels == c) & (called != c)]
        style = {**look, "linestyle": "", "markersize": 4.5}
        ax.plot(*correct.T, **style, markerfacecolor=look["color"], label=f"class {c}")
        ax.plot(*wrong.T, **style, markerfacecolor="none", label=f"class {c} called another")
    ax.set(xticks=[], yticks=[])
    ax.margins(0.06)


def write_title(fig, title, warning):
    """Writes a title over all panels, and below it a warning in red, such as that the run saw synthetic data."""
    lines = []
    for line in title.splitlines():
        lines += textwrap.wrap(line, int(10.5 * fig.get_figwidth()), break_on_hyphens=False)
    text = "\n".join([*lines, warning] if warning else lines)
    if text:
        fig.suptitle(text, color="#B00000" if warning else "black", fontsize=10.5, fontweight="bold")
