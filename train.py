"""Trains one net once: flags in, a run folder out.

    python train.py --model lenet5 --act relu                     # report 2a's net on CIFAR-10, batch 4, 10 epochs
    python train.py --model keypoint --data faces21 --optim adam --lr 0.01 --batch-size 64 --epochs 250
    python train.py --score runs/adhoc/NAME/seed0                 # scores a run made with --test-weights none, once

Writes runs/RUN/seedK/: args.json, flags.txt, train.log, log.jsonl (a line per epoch), model.pt, best.pt and, last,
result.json. Start it again after a crash, a kill or a deadline and it goes on where it was, to the same result bit for
bit (on CUDA: with --deterministic).

Exit codes: 0 finished, now or before; 2 bad flags or data; 3 diverged; 75 stopped by a signal, a deadline or because
another process has this run: try again later; 1 anything else.
"""
import argparse
import contextlib
import math
import os
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    from experiments import runs
    runs.stop_at_once("train.py")  # while torch is loaded, which takes seconds
    # Threads that wait for each other spin, by default for milliseconds: with a second run on the same cores a step
    # then takes thirty times as long. This shorter wait costs an idle machine nothing. Torch reads it when it loads.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import torch

import data
import losses
import models
from experiments import checkpoints, protocol, runs, starts
from experiments.checkpoints import State
from experiments.runs import BadInput, Stopped

# ---- the loop -------------------------------------------------------------------------------------------------------


def fit(settings, model, dataset, state, folder, stop_reason):
    """Trains until the run is over, from `state` on, which it keeps up to date. Returns "finished" or "diverged".

    stop_reason() says why to stop now, or None; then everything is saved and Stopped is raised.
    """
    loss_function, last_saved = losses.make(settings), time.monotonic()
    shown = {"train": True, "valid": len(dataset.valid), "test": settings.test_each_epoch}
    parts = [part for part in shown if shown[part]]
    while not is_over(settings, state):
        started, epoch = time.monotonic(), state.epoch + 1
        plan = data.plan_epoch(settings, dataset, epoch)
        steps = plan.steps
        if settings.max_steps:
            steps = min(steps, settings.max_steps - state.steps)
        if state.step == 0:
            begin_epoch(settings, model, state, steps)
        model.train()
        for layer in model.frozen:
            layer.eval()

        batches = starts.with_bar(dataset.batches(plan, state.step, steps), settings, state, steps)
        for step, (x, y) in enumerate(batches, start=state.step):
            if reason := stop_reason():
                state.step, state.seconds = step, state.seconds + time.monotonic() - started
                checkpoints.save_checkpoint(folder, model, state)
                raise Stopped(f"stopped by {reason} in epoch {epoch} at step {step} of {steps}; "
                              "the same command goes on from here")
            output, loss, penalty, norm = train_step(settings, model, state.optimizer, loss_function, x, y)
            state.tallies["loss"][step] = loss
            if settings.l2:
                state.tallies["penalty"][step] = penalty
            if settings.loss in losses.OF_LOGITS:
                state.tallies["correct"][step] = losses.correct(output, y)
            elif settings.loss in losses.OF_FEATURES:
                state.tallies["left_out"][step] = losses.left_out(y, settings.own_positive)

        if state.step < steps:  # else the run was stopped while this epoch was scored
            if norm is None:  # not clipped: that of the epoch's last gradient is worked out now
                norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
            state.step, state.norm = steps, norm.item()
        means = training_means(settings, state.tallies, plan.sizes(steps))
        row = {"epoch": epoch, "lr": state.optimizer.param_groups[0]["lr"], **means, "valid_loss": None,
               "valid_acc": None, "test_loss": None, "test_acc": None, "grad_norm": state.norm, "seconds": None}
        try:
            if len(dataset.valid):
                draws = data.valid_draws(settings, dataset, epoch)
                row["valid_loss"], row["valid_acc"] = evaluate(settings, model, dataset, dataset.valid, stop_reason,
                                                               draws)
            if settings.test_each_epoch:
                row["test_loss"], row["test_acc"] = evaluate(settings, model, dataset, dataset.test, stop_reason)
        except Stopped:
            state.seconds += time.monotonic() - started
            checkpoints.save_checkpoint(folder, model, state)
            raise
        diverged = any(row[name] is not None and not math.isfinite(row[name])
                       for name in ("train_loss", "valid_loss", "test_loss"))
        row["seconds"] = round(state.seconds + time.monotonic() - started, 3)
        row = finite(row)
        state.rows.append(row)
        state.epoch, state.steps, state.step, state.seconds = epoch, state.steps + steps, 0, 0.0
        keep_best(state, row, model)
        runs.append_row(row, folder)
        line = runs.epoch_line(row, settings.epochs, parts)
        runs.say(folder, line)
        if diverged:
            return "diverged"
        if settings.schedule == "plateau":
            state.scheduler.step(row["valid_loss"])
        elif state.scheduler is not None:
            state.scheduler.step()
        if time.monotonic() - last_saved >= settings.save_every or is_over(settings, state):
            checkpoints.save_checkpoint(folder, model, state)  # at the end: whatever happens while it is scored
            last_saved = time.monotonic()
    if not has_trained_all(settings, state):
        runs.say(folder, f"no better epoch than {state.best['epoch']} in {settings.early_stop}: stopped early, "
                         "with its weights")
    return "finished"


def train_step(settings, model, optimizer, loss_function, x, y):
    """One update of the weights by a batch of images x (n, c, h, w) and targets y.

    Returns the net's output, the loss (per image), the L2 term (None without --l2) and the gradient's norm before
    clipping (None without --clip), all as tensors, so that nothing here waits for the device.
    """
    x = data.perturb(settings, x)
    output = predict(settings, model, x)
    loss = loss_function(output, y)
    optimizer.zero_grad()
    loss.backward()
    parameters = optimizer.param_groups[0]["params"]  # all of the net's; walking through its modules would take longer
    penalty = norm = None
    if settings.l2:
        penalty = losses.add_l2(parameters, settings.l2)
    if settings.clip:
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings.clip, foreach=True)
    optimizer.step()
    if settings.loss in losses.SUMS:
        loss = loss / len(y)
    return output.detach(), loss.detach(), penalty, norm


def predict(settings, model, x):
    """What the loss is of, in float32: the net's output or, for a triplet loss, its features."""
    def net(x):
        if settings.loss in losses.OF_FEATURES:
            return models.with_features(model, x)[1]
        return model(x)

    if not settings.bf16:
        return net(x)
    with torch.autocast(x.device.type, torch.bfloat16):
        return net(x).float()


@torch.no_grad()
def evaluate(settings, model, dataset, indices, stop_reason=None, draws=None, batch_size=256):
    """Returns the mean loss and the accuracy (None for landmarks and features) on the images `indices`, in eval mode.

    stop_reason: as of `fit`; raises Stopped. draws: augmentation of these images, if any. A triplet loss depends on who
    else is in a batch: its batches are of --batch-size, as in training, and mixed, always in the same way.
    """
    loss_function, was_training = losses.make(settings, training=False), model.training
    mode = contextlib.nullcontext()
    if settings.protocol == "report":
        mode, batch_size = protocol.scored_as_report_2(model), settings.batch_size
    if settings.loss in losses.OF_FEATURES:
        order = torch.randperm(len(indices), generator=torch.Generator().manual_seed(0))
        indices, batch_size = indices[order.to(indices.device)], settings.batch_size
        draws = {name: draw[order.to(draw.device)] for name, draw in (draws or {}).items()}
    model.eval()
    plan = data.plan_scoring(indices, draws, batch_size)
    total = torch.zeros(2, dtype=torch.float64, device=indices.device)
    with mode:
        for x, y in dataset.batches(plan):
            if stop_reason and (reason := stop_reason()):
                raise Stopped(f"stopped by {reason} while it was scored; the same command goes on from here")
            output = predict(settings, model, x)
            loss = loss_function(output, y)
            total[0] += loss if settings.loss in losses.SUMS else loss * len(y)
            if settings.loss in losses.OF_LOGITS:
                total[1] += losses.correct(output, y)
    model.train(was_training)
    loss, accuracy = (total / len(indices)).tolist()
    return loss, accuracy if settings.loss in losses.OF_LOGITS else None


def begin_epoch(settings, model, state, steps):
    """Seeds what the net draws in this epoch, empties the tallies and, when it is time, switches the optimizer."""
    epoch, device = state.epoch + 1, next(model.parameters()).device
    torch.manual_seed(data.seed_of(settings.seed, epoch, "dropout"))
    state.tallies = {name: torch.zeros(steps, device=device) for name in ("loss", "penalty", "correct", "left_out")}
    if settings.switch_after and epoch > settings.switch_after and not state.switched:
        state.optimizer, state.switched = make_optimizer(settings, model, switched=True), True


def training_means(settings, tallies, sizes):
    """The training columns of the log: means per image, as running means in train mode. sizes: images in each step."""
    images = sizes.sum().item()
    accuracy = tail_loss = left_out = None
    if settings.loss in losses.OF_LOGITS:
        accuracy = tallies["correct"].sum().item() / images
    if settings.loss in losses.OF_FEATURES:
        left_out = int(tallies["left_out"].sum().item())
    if len(sizes) >= 2000:  # what report 2's runs on all 50,000 images print
        tail_loss = tallies["loss"][-2000:].mean().item()
    return {"train_loss": (tallies["loss"].double() @ sizes).item() / images, "train_acc": accuracy,
            "left_out": left_out, "penalty": (tallies["penalty"].double() @ sizes).item() / images,
            "tail_loss": tail_loss}


def finite(numbers):
    """The same dict with None for nan and infinity, which strict JSON does not have."""
    return {name: x if x is None or math.isfinite(x) else None for name, x in numbers.items()}


def has_trained_all(settings, state):
    """Has the run done all its epochs or, cut short, its steps?"""
    if settings.max_steps and state.steps >= settings.max_steps:
        return True
    return state.epoch >= settings.epochs


def is_over(settings, state):
    """Has it trained all, or waited for a better valid epoch as long as --early-stop says?"""
    if settings.early_stop and state.best and state.epoch - state.best["epoch"] >= settings.early_stop:
        return True
    return has_trained_all(settings, state)


def keep_best(state, row, model):
    """Keeps the weights of the best valid epoch: highest accuracy or, without one, lowest loss; the first of equals."""
    if row["valid_loss"] is None:  # there is no valid set, or the loss was not finite
        return
    score = -row["valid_loss"] if row["valid_acc"] is None else row["valid_acc"]
    if state.best is None or score > state.best["score"]:
        weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        state.best = {"score": score, "epoch": row["epoch"], "valid_loss": row["valid_loss"],
                      "valid_acc": row["valid_acc"], "weights": weights}


# ---- building what is trained ---------------------------------------------------------------------------------------

def prepare(settings, dropped=None):
    """The data set and the net that the flags ask for, on their device. Raises BadInput, data.DataError and Stopped.

    dropped: the train images that were dropped when this run of --clean-by began; None: they are chosen now.
    """
    try:
        dataset = data.for_run(settings, fetch=True)
    except KeyboardInterrupt as e:
        raise Stopped(f"stopped by {e} while data were fetched; the same command goes on from there") from None
    if settings.clean_by:
        if dropped is None:  # chosen once for all: sums in another order could tip who is last
            dropped = starts.least_believed(settings, dataset)
        dataset = data.drop(dataset, torch.tensor(dropped, dtype=torch.int64))
    torch.manual_seed(data.seed_of(settings.seed, "weights"))
    model = starts.build(settings, dataset)
    starts.load_first_weights(settings, model)
    starts.check_batches(settings, dataset, model)
    return dataset.to(settings.device), starts.place(settings, model)


def make_optimizer(settings, model, switched=False):
    """The optimizer that the flags ask for, before or after the switch; after it, it starts without momentum."""
    kind, lr = settings.optim, settings.lr
    if switched:
        kind, lr = settings.switch_optim, settings.switch_lr
    common = {"lr": lr, "weight_decay": settings.weight_decay, "fused": True}  # fused: all parameters in one operation
    if kind == "adam":
        return torch.optim.Adam(model.parameters(), eps=settings.adam_eps, **common)
    return torch.optim.SGD(model.parameters(), momentum=settings.momentum, **common)


def make_scheduler(settings, optimizer):
    """The schedule of the learning rate, stepped after every epoch; None for a constant one."""
    schedulers = torch.optim.lr_scheduler
    if settings.schedule == "step":
        return schedulers.StepLR(optimizer, settings.step_size, settings.gamma)
    if settings.schedule == "multistep":
        return schedulers.MultiStepLR(optimizer, settings.milestones, settings.gamma)
    if settings.schedule == "cosine":
        return schedulers.CosineAnnealingLR(optimizer, settings.epochs)
    if settings.schedule == "plateau":
        return schedulers.ReduceLROnPlateau(optimizer, factor=settings.gamma, patience=settings.patience)
    return None


# ---- flags ----------------------------------------------------------------------------------------------------------

class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence; argparse would put forty lines of usage before it and end the process."""

    def error(self, message):
        raise BadInput(f"{message}. See python train.py --help.")


def make_parser():
    """The parser of all flags; each room adds those of what it sets. The defaults are report 2a's LeNet-5."""
    parser = Parser(description=__doc__.partition("\n\n")[0], allow_abbrev=False,
                    epilog="--score FOLDER instead scores a finished run once; see train.py --score --help.",
                    formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for room in (models, data, losses):
        room.add_flags(parser)

    def add(name, **how):
        group.add_argument(name, **how)

    group = parser.add_argument_group("optimizer")
    add("--optim", default="sgd", choices=("sgd", "adam"), help="optimizer; adam's betas are 0.9 and 0.999")
    add("--lr", default=0.001, type=data.positive, help="learning rate")
    add("--momentum", default=0.9, type=data.fraction, help="momentum of sgd")
    add("--adam-eps", default=1e-8, type=data.positive, help="what adam adds to the root of the mean squared gradient")
    add("--weight-decay", default=0.0, type=data.not_negative, help="adds this times w to the gradient")
    add("--clip", default=0.0, type=data.not_negative, help="clip the gradient to this norm; 0: do not")
    add("--batch-size", default=4, type=data.count, help="images in a step")
    add("--epochs", default=10, type=data.count, help="epochs")
    add("--schedule", default="none", choices=("none", "step", "multistep", "cosine", "plateau"),
        help="learning rate by epoch: StepLR, MultiStepLR, CosineAnnealingLR (to 0), ReduceLROnPlateau (on valid loss)")
    add("--step-size", default=10, type=data.count, help="step: epochs between two falls")
    add("--milestones", type=models.widths, help="multistep: after which epochs it falls, such as 15,25")
    add("--gamma", default=0.1, type=data.factor, help="step, multistep, plateau: factor of a fall")
    add("--patience", default=10, type=data.whole, help="plateau: epochs without a better valid loss")
    add("--switch-after", default=0, type=data.whole, metavar="EPOCH",
        help="go on with --switch-optim at --switch-lr after this epoch (report 1: adam, then sgd); 0: do not")
    add("--switch-optim", default="sgd", choices=("sgd", "adam"), help="optimizer after the switch")
    add("--switch-lr", default=1e-5, type=data.positive, help="learning rate after the switch")

    group = parser.add_argument_group("run")
    add("--run", help="name, REPORT/RUN; default: adhoc/ and a name made of the model and the flags given")
    add("--runs", default="runs", help="folder of the runs")
    add("--seed", default=0, type=data.whole, help="of initial weights, order, augmentation and dropout")
    add("--early-stop", default=0, type=data.whole, metavar="EPOCHS",
        help="end, with the best weights, after so many epochs without a better valid accuracy (landmarks: loss)")
    add("--test-weights", default="final", choices=("final", "best", "none"),
        help="weights that score the test set, once: the last, or those best on valid; none: leave it to --score")
    add("--test-each-epoch", action="store_true", help="report 3's protocol: score the test set after every epoch")
    add("--protocol", default="default", choices=("default", "report"),
        help="report: score as report 2's scripts did: augmented valid images, batch norm by the batch, dropout as 1-p")
    add("--valid-rotation", default=0.0, type=data.degrees, metavar="DEG",
        help="at the end, also score the valid images rotated by DEG both ways (report 1's remark); 0: do not")
    add("--max-steps", type=data.count, help="end after so many steps, whatever --epochs says: for trying things out")
    add("--bf16", action="store_true",
        help="train in bfloat16 (autocast), for processors and GPUs that have it; the reports used float32")
    add("--deterministic", action="store_true", help="on CUDA: only kernels that always give the same bits (slower)")
    add("--device", help="cpu, cuda, cuda:1; default: cuda where there is one")
    add("--threads", type=data.threads, help="CPU threads; default: one for nets that gain nothing from more, else "
                                             "what torch chooses; a resumed run keeps its first number")
    add("--save-every", type=data.not_negative, metavar="S",
        help="least seconds between checkpoints; default: 30, or 300 for nets of more than ten million parameters")
    add("--stop-after", type=runs.seconds, metavar="TIME", help="save and exit with 75 after 90s, 55m, 1h30m")
    add("--stop-at", type=data.whole, metavar="S", help="the same at this moment, in seconds since 1970 (date +%%s)")
    add("--restart", action="store_true", help="train anew; an old folder is kept aside as seedK.1")
    return parser


def parse(argv):
    """Flags to settings: all resolved, and frozen. Raises BadInput, with a sentence, where they make no sense."""
    parser = make_parser()
    flags = parser.parse_args(argv)
    unset = object()  # parsed once more over these, the flags that were typed can be told from defaults
    second = parser.parse_args(argv, argparse.Namespace(**dict.fromkeys(vars(flags), unset)))
    typed = {name: value for name, value in vars(second).items() if value is not unset}
    if empty := [name.replace("_", "-") for name, value in typed.items() if str(value).strip() == ""]:
        parser.error(f"--{empty[0]} is given an empty value; leave it out, or say what it is to be")
    try:
        for room in (models, data, losses):
            room.resolve_flags(flags, typed)
    except ValueError as e:
        parser.error(str(e))
    resolve_run_flags(parser, flags, typed)
    return starts.frozen(vars(flags))


def resolve_run_flags(parser, flags, typed):
    """Fills in what was not typed of this file's flags, and refuses what contradicts another flag."""
    def refuse(wrong, sentence):
        if wrong:
            parser.error(sentence)

    if flags.test_weights == "final" and "test_weights" not in typed:
        if flags.loss in losses.OF_FEATURES:
            flags.test_weights = "none"
        elif flags.early_stop:
            flags.test_weights = "best"
    scores = flags.test_weights != "none" or flags.test_each_epoch or flags.early_stop or flags.protocol == "report"
    refuse(flags.loss in losses.OF_FEATURES and scores,
           f"--loss {flags.loss} trains features, which answer nothing yet: no accuracy to stop by, and none to test")
    refuse(flags.loss in losses.OF_FEATURES and flags.freeze == "features",
           f"--loss {flags.loss} trains features: with --freeze features nothing would learn")
    refuse(flags.early_stop and flags.test_weights == "final",
           "--early-stop ends with the best epoch's weights; leave out --test-weights final")
    refuse(flags.schedule == "multistep" and not flags.milestones,
           "--schedule multistep needs --milestones, such as 15,25")
    refuse(flags.switch_after and flags.schedule != "none",
           "--switch-after and --schedule exclude each other; after a switch the learning rate is --switch-lr")
    if not flags.max_steps:  # a run cut short for trying out may well end before its schedule does anything
        refuse(flags.switch_after >= flags.epochs, f"--switch-after {flags.switch_after} comes after the last of "
                                                   f"{flags.epochs} epochs; lower it or raise --epochs")
        late = [epoch for epoch in flags.milestones or () if epoch >= flags.epochs]
        refuse(late, f"--milestones {','.join(map(str, late))} do not come before the last of {flags.epochs} epochs")
    needs_valid = (flags.schedule == "plateau" or flags.valid_rotation or flags.early_stop
                   or flags.test_weights == "best")
    refuse(flags.split in data.WITHOUT_VALID and needs_valid, "--schedule plateau, --valid-rotation, --early-stop and "
           f"--test-weights best need a valid set; --split {flags.split} has none")
    faces = flags.data == "faces21"
    refuse(flags.test_each_epoch and (faces or flags.test_weights != "final"), "--test-each-epoch needs a test set, "
           "which faces21 does not have, and scores the weights of each epoch, not the best on valid")
    refuse(faces and flags.protocol == "report", "--protocol report is for classes; faces21 has landmarks")

    flags.device = starts.device(flags.device)
    flags.threads = flags.threads or starts.threads(flags.model)
    flags.run = flags.run or runs.name_of(flags.model, typed)
    refuse(not runs.is_name(flags.run), f"--run {flags.run} is no name of a run: at most 150 letters, digits and "
                                        ". , = _ - between slashes")


# ---- one run --------------------------------------------------------------------------------------------------------

def train(settings, flags, started):
    """Trains what the settings ask for, or goes on, and returns an exit code. flags: as typed; started: when."""
    folder, start = Path(settings.runs, settings.run, f"seed{settings.seed}"), starts.first_run(settings)
    line = runs.join_lines(flags, runs.flags_line(start) if start else None)
    digest, dropped = starts.digest(starts.first_weights(settings)), None
    if not settings.restart and same_run(settings, digest, folder):
        done = runs.finished_before(folder, flags, line)
        if done is not None:
            return done
        dropped = runs.read_args(folder).get("dropped")
    dataset, model = prepare(settings, dropped)
    dropped = dataset.dropped.tolist() if settings.clean_by else None
    if digest is None:  # ImageNet's weights may have been downloaded just now
        digest = starts.digest(starts.first_weights(settings))
    facts = {"init_digest": digest, "fingerprint": dataset.fingerprint, "dropped": dropped}
    stop_reason = runs.watch(started, settings.stop_after, settings.stop_at)  # until here a signal ends it at once
    with runs.locked(folder):
        same = not settings.restart and same_run(settings, digest, folder)
        done = runs.finished_before(folder, flags, line) if same else None
        if done is not None:  # by another process, just now
            return done
        args = runs.begin(folder, {**settings._asdict(), **facts}, line, same)
        settings = starts.as_begun(settings, args, model)
        model = starts.place(settings, model)
        try:
            optimizer = make_optimizer(settings, model)
            state = State(optimizer, make_scheduler(settings, optimizer))
            checkpoints.load_checkpoint(folder, model, state, settings,
                                        lambda: make_optimizer(settings, model, switched=True))
            runs.say(folder, f"{starts.beginning(state)} with {flags}")
            runs.say(folder, starts.description(settings, model, dataset))
            runs.rewrite_log(state.rows, folder)
            status = fit(settings, model, dataset, state, folder, stop_reason)
            source = runs.read_result(start) if start else {}
            origin = {"flags": flags, "init_flags": source.get("flags"), "init_digest": digest}
            result = finish(settings, model, dataset, state, folder, status, origin, stop_reason)
        except Stopped as e:
            runs.say(folder, str(e))
            return runs.STOPPED
        except Exception as e:
            runs.fail(folder, starts.explained(e, settings))
            raise
    return runs.DIVERGED if result["status"] == "diverged" else runs.FINISHED


def same_run(settings, digest, folder):
    """Was this folder made with the same settings, from the same first weights (of this digest)?"""
    ours = {**runs.identity(settings._asdict()), "init_digest": digest}
    file = starts.first_weights(settings)
    if file and not file.exists():  # a folder that was copied without the run that it started from
        del ours["init_digest"]
    defaults = parse(["--model", settings.model, "--data", settings.data])
    return runs.same_run(folder, ours, runs.identity(defaults._asdict()))


def finish(settings, model, dataset, state, folder, status, origin, stop_reason):
    """Saves the weights, scores the test set once (unless every epoch did), writes the result and returns it."""
    last, best = state.rows[-1], state.best or {"epoch": None, "valid_loss": None, "valid_acc": None}
    if settings.early_stop and state.best:
        model.load_state_dict(best["weights"])
    digests = {"model.pt": checkpoints.save(model.state_dict(), folder / "model.pt")}
    if state.best:
        digests["best.pt"] = checkpoints.save(best["weights"], folder / "best.pt")
    metrics = {name: last[name] for name in ("train_loss", "train_acc", "valid_loss", "valid_acc")}
    metrics |= {"best_epoch": best["epoch"], "best_valid_loss": best["valid_loss"], "best_valid_acc": best["valid_acc"],
                "test_loss": None, "test_acc": None}
    evaluations = len(state.rows) if settings.test_each_epoch else 0
    if status == "finished" and settings.test_each_epoch:
        metrics.update(test_loss=last["test_loss"], test_acc=last["test_acc"])
    if status == "finished" and settings.valid_rotation:
        metrics["valid_loss_turned"] = rotated_loss(settings, model, dataset, stop_reason)
    if status == "finished" and len(dataset.test) and not settings.test_each_epoch and settings.test_weights != "none":
        if settings.test_weights == "best":
            model.load_state_dict(best["weights"])
        metrics["test_loss"], metrics["test_acc"] = evaluate(settings, model, dataset, dataset.test, stop_reason)
        evaluations = 1
        if not math.isfinite(metrics["test_loss"]):
            status = "diverged"
    result = {"status": status, "run": settings.run, "seed": settings.seed, "metrics": finite(metrics),
              "test_weights": settings.test_weights, "test_evaluations": evaluations,
              "params": models.count_parameters(model), "steps": state.steps, "max_steps": settings.max_steps,
              "threads": settings.threads, "precision": starts.precision(settings),
              "data": data.facts(settings, dataset), "weights": digests, **origin,
              **runs.made_with(torch.device(settings.device))}
    runs.finish(folder, result, state.rows)
    return result


def rotated_loss(settings, model, dataset, stop_reason):
    """The mean loss on the valid images rotated by --valid-rotation degrees one way and the other."""
    total = 0.0
    for degrees in (settings.valid_rotation, -settings.valid_rotation):
        draws = {"degrees": torch.full((len(dataset.valid),), degrees)}
        total += evaluate(settings, model, dataset, dataset.valid, stop_reason, draws)[0]
    return total / 2


def main(argv=None):
    """Runs one command line and returns its exit code."""
    started = time.monotonic()
    argv = sys.argv[1:] if argv is None else argv
    if any(word.partition("=")[0] == "--score" for word in argv):  # a command of its own, which trains nothing
        script = Path(__file__).resolve().parent / "experiments" / "score.py"
        os.execv(sys.executable, [sys.executable, str(script), *argv])
    settings = None
    try:
        settings = parse(argv)
        if settings.device == "cpu":
            runs.keep_freed_memory()
        if settings.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
            torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads what it did not write
        return train(settings, runs.identity_flags(argv), started)
    except (BadInput, data.DataError) as e:
        runs.complain("train.py", e)
        return runs.BAD_INPUT
    except Stopped as e:
        print(f"train.py: {e}", file=sys.stderr)
        return runs.STOPPED
    except Exception as e:
        problem = starts.explained(e, settings)
        if not isinstance(problem, (OSError, starts.NoMemory)):
            raise
        print(f"train.py: {problem}; what was saved before is kept, and the same command goes on", file=sys.stderr)
        return runs.FAILED


if __name__ == "__main__":
    sys.exit(main())
