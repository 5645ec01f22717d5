"""One figure of all reports: the final accuracies that they print beside those that were measured.

    make report                                  # writes it, results/figures/overview.png
"""
import matplotlib
import numpy as np

from experiments import records
from experiments.declarations import is_ours, report_of, short
from experiments.panels import GREY, STYLE, empty_figure, save
from experiments.prepared import printed_of

COLOURS = {"lenet_vgg": "#D55E00", "net": "#0072B2", "mlp_cnn": "#CC79A7", "caltech35": "#009E73"}  # others: black
MARKERS = {"lenet_vgg": "D", "net": "o", "mlp_cnn": "P", "caltech35": "s"}
NEAR = 3  # points
LABELLED = 14  # points of the figure at most


def overview(declared, found, path):
    """Writes reported against measured accuracy of all reports to the PNG file `path`; see draw_overview.

    declared: see declarations.declarations, found: records. Returns whether there was anything to draw.
    """
    points = points_of(declared, found)
    if not points:
        return False
    titles = {report: page["title"] for report, page in declared["pages"].items()}
    save(draw_overview(points, titles, list(printed_accuracies(declared))), path)
    return True


def printed_accuracies(declared):
    """Returns {run: its last Printed accuracy}, on test or, without that, on valid, of all runs that are not ours."""
    found = {}
    for run in declared["want"]:
        numbers = [number for number in printed_of(declared, [run]) if number.quantity in ("test_acc", "valid_acc")]
        if numbers and not is_ours(declared, run):
            found[run] = max(numbers, key=lambda number: (number.quantity == "test_acc", number.epoch))
    return found


def points_of(declared, found):
    """Returns {run: (low, high, [measured, ...])}, accuracies in %, of the measured runs with a printed accuracy.

    A run that only comparisons of ours have is left out: it stands beside a number that the report printed of another.
    low and high are what the report printed. Of a run its test accuracy or, without a printed one, its valid accuracy,
    at the last epoch that was printed; measured: one number for every seed. One that diverged before has none.
    """
    by_run = {}
    for record in records.with_aliases(declared, found):
        by_run.setdefault(record["run"], []).append(record)
    points = {}
    for run, last in printed_accuracies(declared).items():
        measured = [measured_of(record, last) for record in by_run.get(run, ())]
        measured = [100 * accuracy for accuracy in measured if accuracy is not None]
        if measured:
            points[run] = (100 * last.low, 100 * last.high, measured)
    return points


def measured_of(record, number):
    """Returns what a record has for a Printed number: the final score or, of an earlier epoch, that of the log."""
    if number.epoch < len(record["curves"].get("epoch") or []):
        return records.value(record, f"{number.quantity}@{number.epoch}")
    return records.value(record, number.quantity)


def draw_overview(points, titles, printed=()):
    """Returns a Figure: measured over reported accuracy in %, a point for every run, a colour for every report.

    points: see points_of; titles: {report: its title}; printed: all runs with a printed accuracy, trained or not. A bar
    goes from the lowest to the highest seed. The grey band holds what lies within 3 points of the report; runs outside
    of it have their names.
    """
    printed = {*printed, *points}
    with matplotlib.rc_context({**STYLE, "font.size": 11, "legend.fontsize": 10}):
        fig = empty_figure(8, 7.4)
        ax = fig.subplots()
        ax.plot([0, 100], [0, 100], **GREY, linewidth=1, zorder=1, label="diagonal")
        ax.fill_between([0, 100], [-NEAR, 100 - NEAR], [NEAR, 100 + NEAR], color="0.35", alpha=0.12, linewidth=0)
        near = 0
        reports = dict.fromkeys(report_of(run) for run in points)
        for report in [name for name in titles if name in reports] + [name for name in reports if name not in titles]:
            of_report = {run: point for run, point in points.items() if report_of(run) == report}
            x = [(low + high) / 2 for low, high, _ in of_report.values()]
            y = [np.mean(measured) for *_, measured in of_report.values()]
            near += sum(distance(point) <= NEAR for point in of_report.values())
            below = [mean - min(measured) for mean, (*_, measured) in zip(y, of_report.values())]
            above = [max(measured) - mean for mean, (*_, measured) in zip(y, of_report.values())]
            aside = [(high - low) / 2 for low, high, _ in of_report.values()]
            colour = COLOURS.get(report, "black")
            title = titles.get(report, report).partition(". ")[0]
            ax.errorbar(x, y, [below, above], aside, fmt=MARKERS.get(report, "o"), color=colour, markersize=7.5,
                        alpha=0.9, markeredgecolor="white", markeredgewidth=0.8, elinewidth=1.2, zorder=3,
                        label=f"{title} ({len(of_report)} of {sum(report_of(run) == report for run in printed)} runs)")
        label_points(ax, points)
        ax.set(xlim=(0, 100), ylim=(0, 100), xlabel="reported accuracy (%)", ylabel="measured accuracy (%)",
               aspect="equal")
        alone = sum(len(measured) == 1 for *_, measured in points.values())
        left = len(printed) - len(points)
        said = [f"{near} of {len(points)} runs lie within", f"{NEAR} points of the report", "(grey band).", "",
                f"{alone} of the {len(points)} have one seed,", "bars: lowest to highest seed.",
                f"{left} more runs that have a", "printed accuracy are not trained."]
        ax.text(2, 97.5, "\n".join(said), va="top")
        handles, labels = ax.get_legend_handles_labels()
        shown = [(handle, label) for handle, label in zip(handles, labels) if label != "diagonal"]
        fig.legend(*zip(*shown), loc="outside lower center")
        fig.suptitle("What the reports print, and what these runs reach", fontsize=13, fontweight="bold")
    return fig


def distance(point):
    """Returns how many points the mean of the seeds lies outside of what the report printed."""
    low, high, measured = point
    mean = np.mean(measured)
    return max(low - mean, mean - high, 0)


def label_points(ax, points):
    """Writes the names of the runs outside of the grey band, and of the best one, where there is room."""
    order = [run for run in points if distance(points[run]) > NEAR]
    order.sort(key=lambda run: (-distance(points[run]), run))
    best = max(points, key=lambda run: (np.mean(points[run][2]), run))
    taken = [(0, 66, 40, 100)]  # the sentences
    for low, high, measured in points.values():
        x, y = (low + high) / 2, np.mean(measured)
        taken.append((x - 1, min(y - 1, *measured), x + 1, max(y + 1, *measured)))
    written = 0
    for run in dict.fromkeys([best, *order]):
        if written == LABELLED:
            return
        low, high, measured = points[run]
        x, y, name = (low + high) / 2, np.mean(measured), short(run)
        wide = 1.35 * len(name)  # in points of the axes, about
        for left, bottom in ((x + 1.8, y - 1.4), (x - 1.8 - wide, y - 1.4), (x - wide / 2, y + 1.6),
                             (x - wide / 2, y - 4.6)):
            box = (left, bottom, left + wide, bottom + 2.8)
            inside = box[0] > 0 and box[2] < 100 and box[1] > 0 and box[3] < 100
            if inside and not any(overlap(box, other) for other in taken):
                ax.text(left, bottom + 1.4, name, fontsize=9, va="center")
                taken.append(box)
                written += 1
                break


def overlap(one, other):
    """Do two boxes (left, bottom, right, top) overlap?"""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
