"""What the figures and the table of a comparison were made from, so that they are made again only if that changed.

Beside them, in RUNS/figures/exp-NAME/, made-from.json holds a digest of the declarations, the logs and results of the
comparison's runs, the names of the data folders and the code. What counts is content, never the age of a file.
"""
import hashlib
import json
import sys
from pathlib import Path

from experiments import runs
from experiments.declarations import ROOT, real

FILE = "made-from.json"
OF_A_RUN = ("args.json", runs.FLAGS_FILE, "log.jsonl", "result.json")


def digest(declared, name, options, root=ROOT):
    """A digest of all that the figures and the table of a comparison depend on.

    declared: see declarations.declarations; options: `runs` and `data_dir`, folders, `seeds`, a list, and `flags`.
    """
    parts = {part: value for part, value in declared.items() if part != "where"}  # a comment moves lines
    found = {"name": name, "seeds": options.seeds, "flags": options.flags, "declared": parts, "files": {},
             "data": names_within(options.data_dir)}
    for run in declared["exp"][name]:
        for seed in options.seeds:
            folder = Path(options.runs, real(declared, run), f"seed{seed}")
            for file in OF_A_RUN:
                found["files"][f"{run} {seed} {file}"] = digest_of_file(folder / file)
            found["files"][f"{run} {seed} weights"] = (folder / "model.pt").exists()  # the result says which
    for file in sorted([*root.glob("*.py"), *root.glob("experiments/*.py")]):
        found["files"][str(file.relative_to(root))] = digest_of_file(file)
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def digest_of_file(path):
    """The SHA-256 of a file, None where there is none; of what cannot be read, what is wrong with it."""
    try:
        content = runs.content_of(path)
    except runs.BadInput as e:
        return str(e)
    return None if content is None else hashlib.sha256(content).hexdigest()


def names_within(folder):
    """The names in a folder of data sets and in these: some figures are drawn only where their data are."""
    names = []
    for path in sorted(Path(folder).glob("*")):
        if not path.name.startswith("."):  # caches and locks
            names.append([path.name, sorted(inner.name for inner in path.glob("[!.]*"))])
    return names


def keep(out, made_from, paths):
    """Notes in the folder `out` that these files in it were made from what has this digest.

    Where a folder is in the way of the note they are made again the next time.
    """
    names, note = [str(Path(path).relative_to(out)) for path in paths], Path(out) / FILE
    if note.is_dir():
        print(f"report.py: {note} is a folder. Remove it, and nothing is made twice.", file=sys.stderr)
        return
    runs.save_json({"digest": made_from, "files": names}, note)


def files_of(out, made_from):
    """The files in the folder `out` that were made from what has this digest; none if any is not there any more."""
    try:
        kept = runs.read_json(Path(out) / FILE)
    except runs.BadInput:
        return []
    names = kept.get("files")
    if kept.get("digest") != made_from or not isinstance(names, list) or not all(map(runs.is_text, names)):
        return []
    paths = [Path(out) / name for name in names]
    if not all(path.exists() for path in paths):
        return []
    return paths
