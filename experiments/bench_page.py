"""results/bench.md: what experiments/bench.py measured, as tables that a stranger reads in a minute."""
from experiments.words import markdown

TITLE = "# How fast training is"
ABOUT = {
    "reports": """\
## Beside the reports' way

The reports' way opens or transforms each image anew at every visit (PIL and torchvision in a DataLoader of 2 workers)
and asks for `loss.item()` every step, with torch's own layers and memory layout. Ours is `train.py`. Both take turns
with the same images, net, loss, optimizer and number of threads, each in a process of its own: `train.py`'s keeps freed
memory. *loading*: steps with the reading of their images (ours reads decoded images, cached once and not counted);
*epoch*: the same of a whole epoch and its look at the valid images; *arithmetic*: the reports' way gets its batches
ready made.""",
    "l2": """\
## L2 term and clipping

What the L2 term and the clipping of the gradient cost together, as a share of a step that has both.""",
    "start": """\
## From the start of a process to its first step

With the data set's cache written. Beside it, a process that only imports torch.""",
    "cores": """\
## One thread or all cores

A step of the small nets. The last column has the threads that `train.py` takes unless `--threads` says otherwise.""",
    "packed": """\
## Several runs at once

A comparison's runs, cut short, one after another and packed: as many at a time as there are cores, one thread each.""",
    "layouts": """\
## Memory layout

A step of every net at its report's batch size in milliseconds, on random images, without reading any. The faster layout
of each precision is bold. `train.py` takes what `models.CHANNELS_LAST` says."""}


BUSY = 0.5  # a load from which on something else was running, so that the figures say less


def page(content):
    """The text of results/bench.md. content: what bench.json holds, {part: {"machine", "generated", "rows", ...}}."""
    parts = list(content.values())
    lines = [TITLE, "", "Made by `make bench`. Figures are medians (lowest–highest), or single ones."]
    alike = len({hardware(part) for part in parts}) <= 1
    if alike and parts:
        lines += ["", f"{hardware(parts[0])} {circumstances(parts)}"]
    for name, part in content.items():
        lines += ["", ABOUT[name], ""]
        if not alike:
            lines += [f"{hardware(part)} {circumstances([part])}", ""]
        lines.append(markdown(*TABLES[name](part["rows"])) if part["rows"] else "There is but one core here.")
    return "\n".join(lines) + "\n"


def hardware(part):
    """A sentence on the machine, the software and the code that a part was measured with."""
    made_on = part["machine"]
    versions, commit = made_on["versions"], (made_on["commit"] or "unknown")[:7]
    changed = " with changes" if made_on["dirty"] else ""
    return (f"Measured on {made_on['cores']} cores of {versions['device']} with torch {versions['torch']} (by default "
            f"{made_on['threads']} threads), torchvision {versions['torchvision']} and Python {versions['python']}; "
            f"commit {commit}{changed}.")


def circumstances(parts):
    """Sentences on what else there is to know: when, how busy the machine was, what was generated or left out."""
    days = sorted({part["machine"]["at"][:10] for part in parts})
    loads = [part["machine"]["load"] for part in parts]
    text = f"{' to '.join(sorted({days[0], days[-1]}))}, load before the measurements {between(loads)}."
    if max(loads) > BUSY:
        text += " **Part of that load may be something else: on a busy machine these figures say little.**"
    if not all(part["machine"]["bfloat16"] for part in parts):
        text += (" This processor has no instructions for bfloat16: it is simulated, which is slow, and left out where "
                 "a step takes long.")
    generated = sorted({name for part in parts for name in part["generated"]})
    if generated:
        text += f" Generated images: {', '.join(generated)}."
    if any(part["images"] for part in parts):
        text += " A quick look: few images or steps."
    return text


def between(numbers):
    """A range in words: "0.1" or "0.1 to 0.4"."""
    low, high = min(numbers), max(numbers)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def shown(figures, spread=True):
    """A measurement as text: "1.23 (1.20–1.31)"."""
    def three(x):
        return f"{x:.0f}" if x >= 100 else f"{x:.3g}"

    if not spread or figures["rounds"] == 1:
        return three(figures["median"])
    return f"{three(figures['median'])} ({three(figures['lowest'])}–{three(figures['highest'])})"


def verdict(number, aim):
    """Whether an aim is met, in words."""
    return f"at most {aim:g}: {'met' if number <= aim else 'missed'}"


def table_of_reports(rows):
    """Head and rows of the table beside the reports' way."""
    head = ["what", "counts", "ours", "the reports' way", "", "ratio", "aim", "threads"]
    cells = [[row["what"] if row["precision"] == "float32" else f"{row['what']}, ours in bfloat16", row["counts"],
              shown(row["ours"]), shown(row["reported"]), row["unit"], f"{row['ratio']:.3f}",
              verdict(row["ratio"], row["aim"]), row["threads"]] for row in rows]
    return head, cells


def table_of_l2(rows):
    """Head and rows of what L2 term and clipping cost."""
    head = ["what", "with both", "without", "", "share of a step", "aim"]
    return head, [[row["what"], shown(row["with"]), shown(row["without"]), row["unit"], f"{100 * row['share']:.1f} %",
                   verdict(row["share"], row["aim"])] for row in rows]


def table_of_starts(rows):
    """Head and rows of the time to the first step."""
    return ["what", "to the first step", "import torch", ""], [
        [row["what"], shown(row["ours"]), shown(row["import_torch"]), row["unit"]] for row in rows]


def table_of_cores(rows):
    """Head and rows of small nets with one thread and with all cores."""
    return ["what", "one thread", "all cores", "", "all / one", "cores", "train.py takes"], [
        [row["what"], shown(row["one"]), shown(row["all"]), row["unit"], f"{row['ratio']:.2f}", row["cores"],
         row["default"]] for row in rows]


def table_of_packed(rows):
    """Head and rows of a comparison one after another and packed."""
    return ["what", "one after another", "packed", "", "ratio"], [
        [f"{row['what']}: {row['runs']} runs, {row['steps']} steps each", shown(row["serial"]),
         f"{shown(row['packed'])}, {row['at_a_time']} at a time", row["unit"], f"{row['ratio']:.2f}"] for row in rows]


def table_of_layouts(rows):
    """Head and rows of every net in both memory layouts and both precisions."""
    precisions, layouts = ("float32", "bfloat16"), ("contiguous", "channels_last")
    head = ["net", "batch", "threads", *(f"{precision}, {layout}" for precision in precisions for layout in layouts),
            "train.py takes (bfloat16)", "of the run"]
    cells = []
    for row in rows:
        line = [row["what"], row["batch_size"], row["threads"]]
        for precision in precisions:
            pair = [row["ms"].get(f"{precision} {layout}") for layout in layouts]
            fastest = min((figures["median"] for figures in pair if figures), default=None)
            for figures in pair:
                text = shown(figures, spread=False) if figures else "–"
                line.append(f"**{text}**" if figures and figures["median"] == fastest else text)
        taken, in_bfloat16 = (row["taken"][precision] for precision in precisions)
        cells.append([*line, taken if taken == in_bfloat16 else f"{taken} ({in_bfloat16})", f"`{row['run']}`"])
    return head, cells


TABLES = {"reports": table_of_reports, "l2": table_of_l2, "start": table_of_starts, "cores": table_of_cores,
          "packed": table_of_packed, "layouts": table_of_layouts}
