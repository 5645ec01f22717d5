"""Scores the test set once with the saved weights of a finished run, and puts the score into its result.json.

    python train.py --score runs/adhoc/NAME/seed0                    # a run made with --test-weights none
    python train.py --score runs/adhoc/NAME/seed0 --again            # although it was scored before; that is counted

Report 2 calls this its test script: it loads saved parameters and scores them once. Exit codes are those of train.py.
"""
import argparse
import math
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: the project's folder is where imports begin
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from experiments import runs
    runs.stop_at_once("train.py")  # while torch is loaded, which takes seconds

import data
import losses
import train
from experiments import runs, starts
from experiments.runs import BadInput, Stopped


class Parser(argparse.ArgumentParser):
    """Raises BadInput with one sentence; argparse would print forty lines of usage and end the process."""

    def error(self, message):
        raise BadInput(f"{message}. --score takes its settings from the run; see train.py --score --help.")


def make_parser():
    """The flags beside --score; every other one is the run's own."""
    parser = Parser(prog="train.py", description=__doc__.partition("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--score", required=True, metavar="FOLDER", help="folder of a run and seed")
    parser.add_argument("--test-weights", choices=("final", "best"),
                        help="weights to score (default: final, or those that the run kept as its best)")
    parser.add_argument("--again", action="store_true", help="even if it was scored before; result.json counts it")
    parser.add_argument("--data-dir", help="folder of the data sets (default: the run's own)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: cuda where there is one)")
    return parser


def check(folder, args, result, again):
    """Raises BadInput where a run cannot be scored, or was scored before and `again` is not said."""
    if args.get("loss") in losses.OF_FEATURES:
        raise BadInput(f"{folder} trained features with a triplet loss: its classifier has learnt nothing yet that "
                       "could be scored.")
    if result.get("status") != "finished":
        raise BadInput(f"{folder} {result.get('status')}: there are no weights to score.")
    if result["test_evaluations"] and not again:
        before = f"{100 * result['metrics']['test_acc']:.2f} %"
        raise BadInput(f"{folder} was scored on the test set before: {before}. Scored until the number pleases it is "
                       "no test set any more; --again does it all the same, and result.json counts it.")


def score(folder, weights=None, again=False, data_dir=None, device=None):
    """Scores a finished run's weights ("final" or "best"; None: those it kept) on its test set. Returns an exit code.

    Raises BadInput where that cannot be or was done before, Stopped where another process holds the run.
    """
    folder = Path(folder).resolve()  # "." has no name to lock
    if not (folder / "result.json").exists():
        raise BadInput(f"There is no finished run in {folder}: --score takes the folder of a run and seed, such as "
                       "runs/lenet_vgg/relu-wide/seed0.")
    with runs.locked(folder):
        runs.check_files(folder)
        runs.remove_half_written(folder)
        result, args = runs.read_result(folder), runs.read_args(folder)
        check(folder, args, result, again)
        if weights is None:
            kept_best = result["test_weights"] == "best" or args.get("early_stop")
            weights = "best" if kept_best else "final"
        file = {"final": "model.pt", "best": "best.pt"}[weights]
        settings, model, dataset = starts.restore(folder, data_dir, starts.device(device), file)
        if not len(dataset.test):
            raise BadInput(f"{dataset.name} has no test set.")
        if dataset.fingerprint != result["data"]["fingerprint"]:
            raise BadInput(f"The data are not those that {folder} was trained with (fingerprint "
                           f"{result['data']['fingerprint']}, now {dataset.fingerprint}). Put the old ones back.")
        stop_reason = runs.watch(0, None, None)  # until here a signal ends it at once
        loss, accuracy = train.evaluate(settings, model, dataset, dataset.test, stop_reason)
        result.update(test_weights=weights, test_evaluations=result["test_evaluations"] + 1)
        if math.isfinite(loss):
            result["metrics"].update(test_loss=loss, test_acc=accuracy)
        else:
            result["status"] = "diverged"
        runs.save_json(result, folder / "result.json")
        runs.say(folder, f"scored on test with the {weights} weights, evaluation {result['test_evaluations']}: "
                         f"loss {loss:.4f}, acc {100 * accuracy:.2f} %")
    return runs.FINISHED if math.isfinite(loss) else runs.DIVERGED


def main(argv=None):
    """Runs one command line and returns its exit code."""
    try:
        args = make_parser().parse_args(argv)
        for flag, value in (("--score", args.score), ("--data-dir", args.data_dir), ("--device", args.device)):
            if value is not None and not value.strip():
                raise BadInput(f"{flag} is given an empty value; leave it out, or say what it is to be. --score takes "
                               "the folder of a run and seed")
        return score(args.score, args.test_weights, args.again, args.data_dir, args.device)
    except (BadInput, data.DataError) as e:
        runs.complain("train.py", e)
        return runs.BAD_INPUT
    except Stopped as e:
        print(f"train.py: {e}", file=sys.stderr)
        return runs.STOPPED


if __name__ == "__main__":
    sys.exit(main())
