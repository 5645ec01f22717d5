"""Trains one net once: flags in, a run folder out.

    python train.py --model lenet5 --act relu                     # report 2a's net on CIFAR-10, batch 4, 10 epochs
    python train.py --model keypoint --data faces21 --optim adam --lr 0.01 --batch-size 64 --epochs 250
    python train.py --score runs/adhoc/NAME/seed0        # scores a run made with --test-weights none by its saved weights, once

Writes runs/RUN/seedK/: args.json, train.log, log.jsonl (a line per epoch), model.pt, best.pt and, last, result.json. Start it again
after a crash, a kill or a deadline and it goes on where it was, to the same result bit for bit (on CUDA: with --deterministic).

Exit codes: 0 finished, now or before; 2 bad flags or data; 3 diverged; 75 stopped by a signal, a deadline or because another process
has this run: try again later; 1 anything else.
"""
import argparse
import contextlib
import copy
import ctypes
import fcntl
import functools
import hashlib
import importlib.metadata
import io
import json
import math
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
import traceback
from pathlib import Path

if __name__ == "__main__":
    # Threads that wait for each other spin, by default for milliseconds: with a second run on the same cores a step then takes
    # thirty times as long. This shorter wait costs an idle machine nothing. It must be set before torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import torch
import torch.nn.functional as F

import data
import models
from losses import LOSSES, OF_FEATURES, OF_LOGITS, SUMS, l2_penalty, left_out

FINISHED, BAD_INPUT, DIVERGED, STOPPED = 0, 2, 3, 75
# Where and how a run is made, not what it is: two runs that differ only here are the same run.
NOT_IDENTITY = {"fingerprint", "dropped", "runs", "run", "seed", "data_dir", "weights", "device", "threads", "stop_after", "save_every", "restart",
                "score", "again"}
LOSS_OF = {"cifar10": "cross-entropy", "caltech35": "cross-entropy", "faces21": "mse"}  # the loss where none is named


class BadInput(Exception):
    """Flags or files that cannot be trained with. The message says what and how to mend it."""


class Stopped(Exception):
    """The run is to stop here: a signal, the deadline, or another process holds it."""


# ----------------------------------------------------------------------------------------------------------------- flags


def checked(cast, holds, words):
    """An argparse type: `cast` of the text, if the value `holds`; `words` say what it must be. nan holds nothing."""
    def parse(text):
        value = cast(text)
        if not holds(value):
            raise argparse.ArgumentTypeError(f"must be {words}, not {text}")
        return value
    parse.__name__ = {int: "whole number", float: "number"}[cast]  # argparse says "invalid whole number value: '2.5'"
    return parse


positive = checked(float, lambda v: 0 < v < math.inf, "above 0 and finite")
not_negative = checked(float, lambda v: 0 <= v < math.inf, "at least 0 and finite")
share = checked(float, lambda v: 0 <= v < 1, "at least 0 and below 1")
chance = checked(float, lambda v: 0 <= v <= 1, "at least 0 and at most 1")
degrees = checked(float, lambda v: 0 <= v <= 180, "at least 0 and at most 180")
factor = checked(float, lambda v: 0 < v <= 1, "above 0 and at most 1")
pixels = checked(int, lambda v: 0 <= v <= 16, "at least 0 and at most 16")
count = checked(int, lambda v: 1 <= v < 2**31, "at least 1 and below 2^31")
whole = checked(int, lambda v: 0 <= v < 2**63, "at least 0 and below 2^63")


def counts(text):
    """An argparse type: whole numbers above 0 with commas, as in 16,36."""
    return tuple(count(part) for part in text.split(","))


def numbers(text):
    """An argparse type: whole numbers from 0 on with commas, sorted, each once."""
    return tuple(sorted({whole(part) for part in text.split(",")}))


counts.__name__ = numbers.__name__ = "list of whole numbers (such as 16,36)"


def duration(text):
    """An argparse type: 90s, 55m, 1h30m or plain seconds, as seconds."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text)
    if not text or not match:
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 55m or 1h30m, not {text}")
    h, m, s = (int(part or 0) for part in match.groups())
    return 3600 * h + 60 * m + s


class Parser(argparse.ArgumentParser):
    def error(self, message):  # one sentence; argparse would put forty lines of usage before it
        self.exit(BAD_INPUT, f"train.py: {message}. See python train.py --help.\n")


def make_parser():
    parser = Parser(description=__doc__.partition("\n\n")[0], allow_abbrev=False, epilog="The defaults are report 2a's LeNet-5.",
                    formatter_class=argparse.ArgumentDefaultsHelpFormatter)

    g = parser.add_argument_group("model", "a net takes only the flags that models.py gives it; others are refused")
    g.add_argument("--model", default="lenet5", choices=models.MODELS, help="the net")
    own = {"default": argparse.SUPPRESS}  # what is not given is left to the net
    g.add_argument("--act", **own, choices=models.ACTIVATIONS, help="activation (lenet5: sigmoid)")
    g.add_argument("--pool", **own, choices=models.POOLINGS, help="pooling (lenet5: avg)")
    g.add_argument("--channels", **own, type=counts, help="channels of the convolutions (lenet5: 16,36, report 2a's classic 6,16; net: 6,16)")
    g.add_argument("--kernels", **own, type=counts, help="kernel sizes (lenet5: 5,3; classic 5,5)")
    g.add_argument("--fc", **own, type=counts, help="hidden fully connected layers (lenet5: 128,96; classic 120,84; 2-FC 128)")
    g.add_argument("--convs", **own, type=counts, help="convolutions in each block (vgg13, vgg16: 2,2,3,3,3; vgg19: 2,2,4,4,4)")
    g.add_argument("--norm", **own, choices=models.NORMS, help="batch, layer, instance or group norm (mlp, cnn: bn; others: none)")
    g.add_argument("--fc-norm", **own, choices=("none", "bn"), help="norm of the fully connected layers (lenet5: none)")
    g.add_argument("--dropout", **own, type=share, help="share of features zeroed in training (mlp: 0.5; cnn: 0.1; others: 0)")
    g.add_argument("--dropconnect", **own, type=share, help="share of the linear layers' weights zeroed in each step (lenet5, vggs: 0)")
    g.add_argument("--stem", **own, choices=models.STEMS, help="first layers (resnet18: imagenet, torchvision's)")
    g.add_argument("--order", **own, choices=models.ORDERS, help=f"layers of a block (cnn: {models.ORDERS[0]})")
    g.add_argument("--init", **own, choices=models.INITS, help="how first weights are drawn (net: default, PyTorch's own)")
    g.add_argument("--pretrained", action="store_true", help=f"start from torchvision's ImageNet weights, but for a new last layer ({', '.join(models.IMAGENET)})")
    g.add_argument("--weights", metavar="FILE", help="their file; default: torchvision's cache, downloaded into it where there is a network")
    g.add_argument("--freeze", default="none", choices=("none", "features", "classifier"),
                   help="layers that learn nothing: the classifier (in a net that names none: the last layer) or the features, all before it")

    g = parser.add_argument_group("data")
    g.add_argument("--data", default="cifar10", choices=data.NAMES, help="data set")
    g.add_argument("--data-dir", default="data", help="folder of the data sets")
    g.add_argument("--synthetic", action="store_true", help="the data set's generated twin: same shape, fewer images, no files")
    g.add_argument("--split", help="cifar10: random (40,000 / 10,000), last (the last 10,000 are valid) or all (no valid set); faces21: photograph or leak; "
                                      "caltech35: given, train+addition, all or val+addition; default: the first")
    g.add_argument("--split-seed", default=0, type=whole, help="seed of the split; --seed does not change it")
    g.add_argument("--classes", type=numbers, help="only images of these classes, such as 1,4,8; they keep their numbers")
    g.add_argument("--side", default=112, type=int, choices=(112, 224), help="caltech35: side to which its images are resized")
    g.add_argument("--normalise", choices=data.MEAN_STD,
                   help="images by 0.5 and 0.5, or by the mean and deviation of that data set's colours; default: half for cifar10, imagenet for "
                        "caltech35; faces21: each crop by its own")
    g.add_argument("--flip", action="store_true", help="mirror each training image with probability 1/2")
    g.add_argument("--pad-crop", default=0, type=pixels, metavar="PX", help="pad by PX black pixels, then crop at random")
    g.add_argument("--autoaugment", default=0.0, type=chance, metavar="P", help="AutoAugment's CIFAR-10 policy, for each image with probability P")
    g.add_argument("--augmix", default=0.0, type=chance, metavar="P", help="AugMix instead, for each image with probability P")
    g.add_argument("--input-noise", default=0.0, type=not_negative, metavar="STD", help="add normal noise of this deviation to normalised images")
    g.add_argument("--input-dropout", default=0.0, type=share, metavar="P", help="share of the input values zeroed in training")
    g.add_argument("--rotated-copies", default=0.0, type=degrees, metavar="DEG",
                   help="visit every training image twice an epoch, the second time turned by an angle drawn from -DEG..DEG (report 1: 15)")
    g.add_argument("--rotation", default=0.0, type=degrees, metavar="DEG", help="turn every training image by an angle drawn from -DEG..DEG")
    g.add_argument("--label-noise", default=0.0, type=chance, metavar="SHARE",
                   help="share of the train labels drawn anew over all classes, by --seed; result.json says how many changed")
    g.add_argument("--clean-by", metavar="RUN", help="drop the train images of largest cross-entropy under the final weights of this run of the same seed")
    g.add_argument("--clean-share", default=0.0, type=share, metavar="SHARE", help="with --clean-by: the share of the train images that is dropped")
    g.add_argument("--drop-last", action="store_true", help="leave out the last batch of an epoch where it is not full")

    g = parser.add_argument_group("optimizer")
    g.add_argument("--loss", choices=LOSSES, help="loss; default: mse for landmarks, cross-entropy for classes. The triplet losses train features")
    g.add_argument("--margin", default=0.25, type=not_negative, help="of the triplet losses")
    g.add_argument("--optim", default="sgd", choices=("sgd", "adam"), help="optimizer; adam's betas are 0.9 and 0.999")
    g.add_argument("--lr", default=0.001, type=positive, help="learning rate")
    g.add_argument("--momentum", default=0.9, type=share, help="momentum of sgd")
    g.add_argument("--weight-decay", default=0.0, type=not_negative, help="the optimizer's own: adds this times w to the gradient")
    g.add_argument("--l2", default=0.0, type=not_negative, help="report 2's term: this times the sum of all squared parameters, added to the loss")
    g.add_argument("--label-smoothing", default=0.0, type=share, metavar="SHARE", help="share of the target spread evenly over all classes, in training")
    g.add_argument("--clip", default=0.0, type=not_negative, help="clip the gradient to this norm; 0: do not")
    g.add_argument("--batch-size", default=4, type=count, help="images a step")
    g.add_argument("--epochs", default=10, type=count, help="epochs")
    g.add_argument("--schedule", default="none", choices=("none", "step", "multistep", "cosine", "plateau"),
                   help="learning rate by epoch: torch's StepLR, MultiStepLR, CosineAnnealingLR (to 0), ReduceLROnPlateau (on valid loss)")
    g.add_argument("--step-size", default=10, type=count, help="step: epochs between two falls")
    g.add_argument("--milestones", default=None, type=counts, help="multistep: after which epochs it falls")
    g.add_argument("--gamma", default=0.1, type=factor, help="step, multistep, plateau: factor of a fall")
    g.add_argument("--patience", default=10, type=whole, help="plateau: epochs without a better valid loss")
    g.add_argument("--switch-after", default=0, type=whole, metavar="EPOCH",
                   help="go on with --switch-optim at --switch-lr after this epoch (report 1: adam, then sgd); 0: do not")
    g.add_argument("--switch-optim", default="sgd", choices=("sgd", "adam"), help="optimizer after the switch; it starts without momentum")
    g.add_argument("--switch-lr", default=1e-5, type=positive, help="learning rate after the switch")

    g = parser.add_argument_group("run")
    g.add_argument("--run", help="name, REPORT/RUN; default: adhoc/ and a name made of the model and the flags given")
    g.add_argument("--runs", default="runs", help="folder of the runs")
    g.add_argument("--seed", default=0, type=whole, help="of initial weights, order, augmentation and dropout")
    g.add_argument("--init-from", metavar="RUN", help="start from the final weights of this run of the same seed, or of this .pt file")
    g.add_argument("--early-stop", default=0, type=whole, metavar="EPOCHS",
                   help="end after so many epochs without a better valid accuracy (landmarks: loss) and keep the best epoch's weights; 0: do not")
    g.add_argument("--test-weights", default="final", choices=("final", "best", "none"),
                   help="weights that score the test set, once: the last, or those best on valid; none: leave it to --score")
    g.add_argument("--test-each-epoch", action="store_true",
                   help="report 3's protocol: score the test set after every epoch; result.json says how often")
    g.add_argument("--protocol", default="default", choices=("default", "report"),
                   help="report: score as report 2's scripts did, with augmented valid images, batch norm by the batch's statistics and "
                        "dropout as a factor 1-p")
    g.add_argument("--valid-rotation", default=0.0, type=degrees, metavar="DEG",
                   help="at the end, also score the valid images turned by DEG both ways (report 1's remark on turned faces); 0: do not")
    g.add_argument("--max-steps", type=count, help="end after so many steps, whatever --epochs says: for trying things out")
    g.add_argument("--bf16", action="store_true", help="bfloat16 autocast and channels-last memory; the reports trained in float32")
    g.add_argument("--deterministic", action="store_true", help="on CUDA: only kernels that give the same bits every time (slower)")
    g.add_argument("--device", help="cpu, cuda, cuda:1; default: cuda where there is one")
    g.add_argument("--threads", type=count, help="CPU threads; default: torch's choice; a resumed run keeps its first number")
    g.add_argument("--save-every", default=30, type=not_negative, metavar="S",
                   help="seconds between two checkpoints at least; they come at the end of epochs")
    g.add_argument("--stop-after", type=duration, metavar="TIME", help="save and exit with 75 after this time (90s, 55m, 1h30m)")
    g.add_argument("--restart", action="store_true", help="train anew; an old folder is kept aside as seedK.1")
    g.add_argument("--score", metavar="FOLDER",
                   help="train nothing: score the test set with the weights of this finished run, by --test-weights, and put it into its result.json")
    g.add_argument("--again", action="store_true", help="with --score: even if it was scored before; result.json counts it")
    return parser


def parse(argv):
    """Flags to a namespace in which everything is resolved. Exits with 2 and a sentence where they make no sense."""
    parser = make_parser()
    args = parser.parse_args(argv)
    unset = object()
    given = vars(parser.parse_args(argv, argparse.Namespace(**dict.fromkeys(vars(args), unset))))
    given = {k: v for k, v in given.items() if v is not unset}
    if args.score is not None:
        if others := set(given) - {"score", "again", "test_weights", "data_dir", "device"}:
            parser.error(f"--score takes the run's own flags; leave out --{', --'.join(sorted(others)).replace('_', '-')}")
        if args.score == "" or given.get("test_weights") == "none":
            parser.error("--score needs a folder, and weights: --test-weights none would score nothing")
    elif args.again:
        parser.error("--again does nothing without --score FOLDER")

    takes, all_takes = models.flags_of(args.model), {k for name in models.MODELS for k in models.flags_of(name)}
    for flag in sorted(all_takes):
        if flag in given and flag not in takes:
            named = ", ".join("--" + t for t in takes).replace("_", "-") or "none of these flags"
            parser.error(f"{args.model} has no --{flag.replace('_', '-')}; it takes {named}")
        setattr(args, flag, given.get(flag, takes.get(flag)))
    args.split = args.split or data.SPLITS[args.data][0]
    args.normalise = args.normalise or data.NORMALISED.get(args.data)
    args.loss = args.loss or LOSS_OF[args.data]
    args.test_weights = given.get("test_weights", "none" if args.loss in OF_FEATURES else "best" if args.early_stop else "final")
    for wrong, sentence in what_makes_no_sense(args, given):
        if wrong:
            parser.error(sentence)
    if args.score is not None:
        args.test_weights, args.data_dir = given.get("test_weights"), given.get("data_dir")  # what is not given is left to the run

    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", args.device):
        parser.error(f"--device {args.device} is none of cpu, cuda, cuda:N")
    try:
        torch.empty(0, device=args.device)
    except (RuntimeError, AssertionError) as e:
        parser.error(f"--device {args.device} cannot be used here ({str(e).splitlines()[0]})")
    args.threads, args.dropped = args.threads or torch.get_num_threads(), None
    try:
        args.init_digest = digest_of(init_file(args))
    except OSError as e:
        parser.error(f"{init_file(args)} cannot be read ({e.strerror})")
    if args.run is None:
        named = {k: given[k] for k in sorted(given) if k not in NOT_IDENTITY | {"model"}}
        words = [k.replace("_", "-") + ("" if v is True else f"-{','.join(map(str, v)) if isinstance(v, tuple) else v}") for k, v in named.items()]
        name = re.sub(r"[^\w.,=-]+", "_", "-".join([args.model, *words]))
        args.run = "adhoc/" + (name if len(name) <= 120 else f"{name[:111]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}")
    if not re.fullmatch(r"[\w,=-][\w.,=-]{0,150}(/[\w,=-][\w.,=-]{0,150})*", args.run):
        parser.error(f"--run {args.run} is no name of a run: at most 150 letters, digits and . , = _ - between slashes")
    return args


def what_makes_no_sense(args, given):
    """[(is it so?, the sentence that says why it cannot be), ...] about resolved flags. given: those that were typed."""
    faces, features, cut_short = args.data == "faces21", args.loss in OF_FEATURES, bool(args.max_steps)
    moved = [f"--{flag.replace('_', '-')}" for flag in ("flip", "pad_crop", "autoaugment", "augmix") if faces and getattr(args, flag)]
    idle = [(f"--{flag.replace('_', '-')}", owners) for flag, owners in (
        ("step_size", ["step"]), ("milestones", ["multistep"]), ("gamma", ["step", "multistep", "plateau"]), ("patience", ["plateau"]))
        if flag in given and args.schedule not in owners]
    return [
        (args.split not in data.SPLITS[args.data], f"--split {args.split} is not one of {args.data}'s: {', '.join(data.SPLITS[args.data])}"),
        (faces and args.normalise, "--normalise is for class images; each face is normalised by its own mean and deviation"),
        ("side" in given and args.data != "caltech35", "--side is for caltech35; the other data sets' images are of one size"),
        (faces and (args.loss != "mse" or args.label_noise or args.classes),
         "--classes, --label-noise and losses other than mse are for classes; faces21 has landmarks"),
        (not faces and args.loss == "mse", f"--loss mse is for landmarks; {args.data} has classes"),
        ("margin" in given and not features, f"--margin does nothing without --loss {' or '.join(OF_FEATURES)}"),
        (features and (args.test_weights != "none" or args.test_each_epoch or args.early_stop or args.protocol == "report"),
         f"--loss {args.loss} trains features, which answer nothing yet: there is no accuracy to stop by and none to test"),
        (features and args.freeze == "features", f"--loss {args.loss} trains features: with --freeze features nothing would learn"),
        (args.label_smoothing and args.loss != "cross-entropy", f"--label-smoothing is for cross-entropy, not for {args.loss}"),
        (bool(args.clean_by) != bool(args.clean_share), "--clean-by RUN and --clean-share SHARE go together"),
        (args.clean_by and (args.init_from or args.pretrained or faces), "--clean-by is for classes and excludes --init-from and --pretrained"),
        (args.rotation and args.rotated_copies, "--rotation and --rotated-copies exclude each other"),
        (args.autoaugment and args.augmix, "--autoaugment and --augmix exclude each other"),
        (moved, f"{' and '.join(moved)} would move the faces away from their landmarks; report 1 only turns them, with --rotated-copies"),
        *((True, f"{flag} does nothing without --schedule {' or '.join(owners)}") for flag, owners in idle),
        (args.schedule == "multistep" and not args.milestones, "--schedule multistep needs --milestones, such as 15,25"),
        (("switch_optim" in given or "switch_lr" in given) and not args.switch_after,
         "--switch-optim and --switch-lr do nothing without --switch-after EPOCH"),
        (args.switch_after and args.schedule != "none", "--switch-after and --schedule exclude each other; after a switch the learning rate is --switch-lr"),
        # A run cut short for trying out may well end before its schedule does anything.
        (not cut_short and args.switch_after >= args.epochs,
         f"--switch-after {args.switch_after} comes after the last of {args.epochs} epochs; lower it or raise --epochs"),
        (not cut_short and max(args.milestones or [0]) >= args.epochs,
         f"--milestones {','.join(map(str, args.milestones or []))} do not all come before the last of {args.epochs} epochs"),
        (args.early_stop and args.test_weights == "final", "--early-stop ends with the best epoch's weights; leave out --test-weights final"),
        (args.split in data.WITHOUT_VALID and (args.schedule == "plateau" or args.valid_rotation or args.early_stop or args.test_weights == "best"),
         f"--schedule plateau, --valid-rotation, --early-stop and --test-weights best need a valid set; --split {args.split} has none"),
        (args.test_each_epoch and (faces or args.test_weights != "final"),
         "--test-each-epoch needs a test set, which faces21 does not have, and scores the weights of each epoch, not the best on valid"),
        (faces and args.protocol == "report", "--protocol report is for classes; faces21 has landmarks"),
        (args.pretrained and args.stem == "cifar", "--pretrained weights are those of --stem imagenet"),
        (args.pretrained and (args.model not in models.IMAGENET or args.init_from), f"--pretrained is for {', '.join(models.IMAGENET)} and excludes --init-from"),
        (args.weights and not args.pretrained, "--weights does nothing without --pretrained"),
        (args.freeze == "features" and not (args.pretrained or args.init_from), "--freeze features keeps them as they are: it needs --pretrained or --init-from"),
    ]


def identity(args):
    """What makes a run this run, as JSON would give it back: its settings and a digest of the weights that it starts from."""
    return json.loads(json.dumps({k: v for k, v in vars(args).items() if k not in NOT_IDENTITY}))


def declared(argv):
    """The flags as typed, less those that are not part of the identity: what the Makefile compares."""
    kept, words = [], iter(argv)
    for word in words:
        flag, _, value = word.partition("=")
        if flag[2:].replace("-", "_") not in NOT_IDENTITY:
            kept.append(word)
        elif not value and flag != "--restart":
            next(words, None)
    return " ".join(kept)


# ------------------------------------------------------------------------------------------------------------------ loop


def make_optimizer(args, model, switched=False):
    kind, lr = (args.switch_optim, args.switch_lr) if switched else (args.optim, args.lr)
    if kind == "adam":
        return torch.optim.Adam(model.parameters(), lr=lr, weight_decay=args.weight_decay)
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=args.momentum, weight_decay=args.weight_decay)


def make_scheduler(args, optimizer):
    schedulers = torch.optim.lr_scheduler
    if args.schedule == "step":
        return schedulers.StepLR(optimizer, args.step_size, args.gamma)
    if args.schedule == "multistep":
        return schedulers.MultiStepLR(optimizer, args.milestones, args.gamma)
    if args.schedule == "cosine":
        return schedulers.CosineAnnealingLR(optimizer, args.epochs)
    if args.schedule == "plateau":
        return schedulers.ReduceLROnPlateau(optimizer, factor=args.gamma, patience=args.patience)
    return None


def seed_of(*words):
    """A seed from words, such that (0, 1) and (1, 0) have nothing in common."""
    return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:7], "big")


def plan_epoch(args, dataset, epoch):
    """The images an epoch visits, in order, and their augmentation: drawn from (seed, epoch) alone, so that resuming needs no state."""
    generator = torch.Generator().manual_seed(seed_of(args.seed, epoch, "order"))
    n, device = len(dataset.train), dataset.train.device
    visits = 2 * n if args.rotated_copies else n
    order = torch.randperm(visits, generator=generator)
    upright = order < n if args.rotated_copies else None
    return dataset.train[order.to(device) % n], draw(args, visits, generator, device, upright)


def steps_of(args, visits):
    """The steps of an epoch that visits so many images."""
    return visits // args.batch_size if args.drop_last else math.ceil(visits / args.batch_size)


def draw(args, visits, generator, device, upright=None):
    """The augmentation that the flags ask for, of so many images, where Dataset.batch wants it."""
    draws = data.draw(visits, generator, args.flip, args.pad_crop, args.rotated_copies or args.rotation, upright, args.autoaugment, args.augmix)
    return {k: v if k in data.ON_CPU else v.to(device) for k, v in draws.items()}


def make_loss(args, smoothing=0.0):
    """The loss that the flags ask for, as a function of what `predict` gives and targets. Label smoothing is for training; scores are plain."""
    own = {"margin": args.margin} if args.loss in OF_FEATURES else {"smoothing": smoothing} if smoothing else {}
    return functools.partial(LOSSES[args.loss], **own)


def predict(args, model, x):
    """What the loss is of, in float32: the net's output, or its features; computed in bfloat16 and channels-last memory with --bf16."""
    def net(x):
        return models.with_features(model, x)[1] if args.loss in OF_FEATURES else model(x)
    if not args.bf16:
        return net(x)
    with torch.autocast(x.device.type, torch.bfloat16):
        return net(x.to(memory_format=torch.channels_last)).float()


def tally(args, output, y):
    """What is counted of a batch, a tensor: right answers, or under a triplet loss images that are no anchors; 0 for landmarks."""
    if args.loss in OF_LOGITS:
        return (output.argmax(1) == y).sum()
    return left_out(y) if args.loss in OF_FEATURES else torch.zeros((), device=y.device)


def train_step(args, model, optimizer, loss_fn, x, y):
    """One update. Gives loss (per image), tally, L2 term and gradient norm (None unless clipped) as tensors: nothing waits."""
    if args.input_noise:
        x = x + args.input_noise * torch.randn_like(x)
    output = predict(args, model, F.dropout(x, args.input_dropout) if args.input_dropout else x)
    loss = loss_fn(output, y)
    penalty = args.l2 * l2_penalty(model) if args.l2 else torch.zeros_like(loss)
    optimizer.zero_grad()
    (loss + penalty).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip) if args.clip else None
    optimizer.step()
    return loss.detach() / (len(y) if args.loss in SUMS else 1), tally(args, output, y), penalty.detach(), norm


@torch.no_grad()
def evaluate(args, model, dataset, idx, draws=None, batch_size=256):
    """Mean loss and accuracy (None for landmarks and features) on the images `idx`, in eval mode, augmented by `draws` if given; as --protocol
    says. A triplet loss depends on who else is in the batch: those are of --batch-size, as in training, and mixed, always the same way."""
    loss_fn, was_training = make_loss(args), model.training
    model.eval()
    way, batch_size = (like_report_2(model), args.batch_size) if args.protocol == "report" else (contextlib.nullcontext(), batch_size)
    if args.loss in OF_FEATURES:
        order, batch_size = torch.randperm(len(idx), generator=torch.Generator().manual_seed(0)), args.batch_size
        idx, draws = idx[order.to(idx.device)], {k: v[order.to(v.device)] for k, v in (draws or {}).items()}
    total = torch.zeros(2, dtype=torch.float64, device=idx.device)
    with way:
        for first in range(0, len(idx), batch_size):
            here = slice(first, first + batch_size)
            x, y = dataset.batch(idx[here], {k: v[here] for k, v in (draws or {}).items()})
            output = predict(args, model, x)
            total[0] += loss_fn(output, y) * (1 if args.loss in SUMS else len(y))
            total[1] += tally(args, output, y)
    model.train(was_training)
    loss, accuracy = (total / len(idx)).tolist()
    return loss, accuracy if args.loss in OF_LOGITS else None


@contextlib.contextmanager
def like_report_2(model):
    """A net in eval mode as report 2's scripts scored it: they never called eval(), so that batch norm took the statistics of the batch, and
    replaced dropout by a factor 1 - p, although torch's dropout divides by it in training already. The net is left as it was.
    """
    normed = [layer for layer in model.modules() if hasattr(layer, "running_mean")]
    kept = [{name: buffer.clone() for name, buffer in layer.named_buffers()} for layer in normed]
    dropouts = [layer for layer in model.modules() if isinstance(layer, (torch.nn.Dropout, models.Dropout))]
    hooks = [layer.register_forward_hook(lambda layer, _, output: output * (1 - layer.p)) for layer in dropouts]
    for layer in normed:
        layer.train()
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer, buffers in zip(normed, kept):
            layer.eval()
            for name, buffer in layer.named_buffers():
                buffer.copy_(buffers[name])


def valid_draws(args, dataset, epoch):
    """None: valid images come as they are. Under --protocol report they are augmented as the training images are, anew every epoch."""
    if args.protocol != "report":
        return None
    return draw(args, len(dataset.valid), torch.Generator().manual_seed(seed_of(args.seed, epoch, "valid")), dataset.valid.device)


def fit(args, model, dataset, state, folder, stop_reason):
    """The training loop: goes on from `state`, keeps it up to date, gives "finished" or "diverged"; raises Stopped.

    state: epoch and steps (done so far), step, seconds and tallies (of the epoch under way), rows (the log), best, optimizer,
    scheduler, switched. stop_reason(): why to stop now, or None.
    """
    loss_fn, saved = make_loss(args, args.label_smoothing), time.monotonic()
    while not over(args, state):
        epoch, started = state["epoch"] + 1, time.monotonic()
        picks, draws = plan_epoch(args, dataset, epoch)
        steps = min(steps_of(args, len(picks)), (args.max_steps or sys.maxsize) - state["steps"])
        if state["step"] == 0:
            torch.manual_seed(seed_of(args.seed, epoch, "dropout"))
            state["tallies"] = torch.zeros(3, steps, device=picks.device)  # loss, tally and L2 term of every step
            if args.switch_after and epoch > args.switch_after and not state["switched"]:
                state.update(optimizer=make_optimizer(args, model, switched=True), switched=True)
        optimizer, tallies = state["optimizer"], state["tallies"]
        lr = optimizer.param_groups[0]["lr"]

        model.train()
        for layer in model.frozen:
            layer.eval()
        for step in range(state["step"], steps):
            if reason := stop_reason():
                state.update(step=step, seconds=state["seconds"] + time.monotonic() - started)
                save_checkpoint(folder, model, state)
                raise Stopped(f"stopped by {reason} in epoch {epoch} at step {step} of {steps}; the same command goes on from here")
            here = slice(step * args.batch_size, (step + 1) * args.batch_size)
            x, y = dataset.batch(picks[here], {k: v[here] for k, v in draws.items()})
            loss, right, penalty, norm = train_step(args, model, optimizer, loss_fn, x, y)
            tallies[0, step], tallies[1, step], tallies[2, step] = loss, right, penalty

        if norm is None:  # of the epoch's last step: one definition for all runs, and it costs the others nothing
            norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
        sizes = torch.full((steps,), args.batch_size, dtype=torch.float64, device=picks.device)
        sizes[-1] = min(args.batch_size, len(picks) - (steps - 1) * args.batch_size)
        images = sizes.sum().item()
        row = {"epoch": epoch, "lr": lr,
               "train_loss": (tallies[0].double() @ sizes).item() / images,
               "train_acc": tallies[1].sum().item() / images if args.loss in OF_LOGITS else None,
               "left_out": int(tallies[1].sum().item()) if args.loss in OF_FEATURES else None,  # images that were no anchor of a triplet
               "penalty": (tallies[2].double() @ sizes).item() / images,
               "tail_loss": tallies[0, -2000:].mean().item() if steps >= 2000 else None,  # what report 2's 50k runs print
               "valid_loss": None, "valid_acc": None, "test_loss": None, "test_acc": None, "grad_norm": norm.item(), "seconds": None}
        if len(dataset.valid):
            row["valid_loss"], row["valid_acc"] = evaluate(args, model, dataset, dataset.valid, valid_draws(args, dataset, epoch))
        if args.test_each_epoch:
            row["test_loss"], row["test_acc"] = evaluate(args, model, dataset, dataset.test)
        diverged = not all(math.isfinite(row[k]) for k in ("train_loss", "valid_loss", "test_loss") if row[k] is not None)
        row["seconds"] = round(state["seconds"] + time.monotonic() - started, 3)
        row = {k: v if v is None or math.isfinite(v) else None for k, v in row.items()}  # strict JSON has no nan
        state["rows"].append(row)
        state.update(epoch=epoch, steps=state["steps"] + steps, step=0, seconds=0.0)
        keep_best(state, row, model)
        log_row(folder, row, args)
        if diverged:
            return "diverged"
        if state["scheduler"] is not None:
            state["scheduler"].step(*[row["valid_loss"]] * (args.schedule == "plateau"))
        if time.monotonic() - saved >= args.save_every:
            save_checkpoint(folder, model, state)
            saved = time.monotonic()
    if not done(args, state):
        say(folder, f"no better epoch than {state['best']['epoch']} in {args.early_stop}: stopped early, with its weights")
    return "finished"


def done(args, state):
    """Has the run done its epochs or steps?"""
    return state["epoch"] >= args.epochs or state["steps"] >= (args.max_steps or math.inf)


def over(args, state):
    """Is it done, or has it waited for a better valid epoch as long as --early-stop says?"""
    best = state["best"]
    return done(args, state) or bool(args.early_stop and best and state["epoch"] - best["epoch"] >= args.early_stop)


def keep_best(state, row, model):
    """Keeps the weights of the best valid epoch: highest accuracy, or lowest loss where there is none; the first of equals."""
    score = row["valid_acc"] if row["valid_acc"] is not None else row["valid_loss"] and -row["valid_loss"]
    if score is not None and (state["best"] is None or score > state["best"]["score"]):
        weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
        state["best"] = {"score": score, "epoch": row["epoch"], "valid_loss": row["valid_loss"], "valid_acc": row["valid_acc"], "weights": weights}


def finish(args, model, dataset, state, folder, status, facts):
    """Weights, the one scoring of the test set (unless every epoch had its own), and, last, result.json."""
    last, best = state["rows"][-1], state["best"]
    if args.early_stop and best:
        model.load_state_dict(best["weights"])
    save_torch(model.state_dict(), folder / "model.pt")
    if best:
        save_torch(best["weights"], folder / "best.pt")
    metrics = {"train_loss": last["train_loss"], "train_acc": last["train_acc"], "valid_loss": last["valid_loss"], "valid_acc": last["valid_acc"],
               "best_epoch": best and best["epoch"], "best_valid_loss": best and best["valid_loss"], "best_valid_acc": best and best["valid_acc"],
               "test_loss": None, "test_acc": None}
    if status == "finished" and args.test_each_epoch:
        metrics.update(test_loss=last["test_loss"], test_acc=last["test_acc"])
    evaluations = len(state["rows"]) if args.test_each_epoch else 0
    if status == "finished" and args.valid_rotation:
        angles = [torch.full((len(dataset.valid),), degrees) for degrees in (args.valid_rotation, -args.valid_rotation)]
        turned = [evaluate(args, model, dataset, dataset.valid, {"degrees": degrees})[0] for degrees in angles]
        metrics["valid_loss_turned"] = sum(turned) / 2
    if status == "finished" and len(dataset.test) and not args.test_each_epoch and args.test_weights != "none":
        if args.test_weights == "best":
            model.load_state_dict(best["weights"])
        metrics["test_loss"], metrics["test_acc"] = evaluate(args, model, dataset, dataset.test)
        evaluations = 1
        if not math.isfinite(metrics["test_loss"]):
            status = "diverged"
    seconds = [row["seconds"] for row in state["rows"]]
    result = {"status": status, "run": args.run, "seed": args.seed,
              "metrics": {k: v if v is None or math.isfinite(v) else None for k, v in metrics.items()},
              "test_weights": args.test_weights, "test_evaluations": evaluations, "params": models.count_parameters(model),
              "epochs": len(state["rows"]), "steps": state["steps"], "max_steps": args.max_steps, "seconds": round(sum(seconds), 3),
              "seconds_per_epoch": statistics.median(seconds), "threads": args.threads,
              "data": {"name": dataset.name, "source": dataset.source, "fingerprint": dataset.fingerprint, "synthetic": dataset.synthetic,
                       "train": len(dataset.train), "valid": len(dataset.valid), "test": len(dataset.test), **about_labels(args, dataset)}, **facts}
    save_json(result, folder / "result.json")
    for old in folder.glob("checkpoint*"):
        old.unlink()
    return result


def about_labels(args, dataset):
    """For the result: the share of train labels that noise really changed, and how many images were dropped, of which how many were noisy."""
    of_drop = {"dropped": len(dataset.dropped), "dropped_noisy": torch.isin(dataset.dropped, dataset.noisy).sum().item()}
    share = len(dataset.noisy) / (len(dataset.train) + len(dataset.dropped))
    return ({"label_noise": round(share, 6)} if args.label_noise else {}) | (of_drop if args.clean_by else {})


# ---------------------------------------------------------------------------------------------------------------- folder


def write_atomically(content, path):
    """Either the old file or the whole new one is there after a crash: temporary file, fsync, rename, fsync of the folder."""
    part = path.with_name(path.name + ".tmp")
    try:
        with open(part, "wb") as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
    except OSError:  # a full disk, say: do not leave half a file on it
        part.unlink(missing_ok=True)
        raise
    os.replace(part, path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def save_json(content, path):
    write_atomically((json.dumps(content, indent=1, allow_nan=False) + "\n").encode(), path)


def save_torch(content, path):
    buffer = io.BytesIO()  # torch hides a full disk behind a RuntimeError where it writes the file itself
    torch.save(content, buffer)
    write_atomically(buffer.getbuffer(), path)


def save_checkpoint(folder, model, state):
    """All that is needed to go on. The one before is kept as checkpoint.1.pt, should this one not survive."""
    content = {**state, "model": model.state_dict(), "optimizer": state["optimizer"].state_dict(),
               "scheduler": state["scheduler"] and state["scheduler"].state_dict(), "rng": torch.get_rng_state(),
               "cuda_rng": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None}
    if (folder / "checkpoint.pt").exists():
        os.replace(folder / "checkpoint.pt", folder / "checkpoint.1.pt")
    save_torch(content, folder / "checkpoint.pt")


def load_checkpoint(args, folder, model):
    """The state to go on from, loaded into `model`: of the checkpoint, the one before, or a fresh start. Raises BadInput if none can be read."""
    optimizer = make_optimizer(args, model)
    state = {"epoch": 0, "steps": 0, "step": 0, "seconds": 0.0, "rows": [], "best": None, "tallies": None, "switched": False,
             "optimizer": optimizer, "scheduler": make_scheduler(args, optimizer)}
    files = [f for f in (folder / "checkpoint.pt", folder / "checkpoint.1.pt") if f.exists()]
    for file in files:
        try:
            content = torch.load(file, map_location=args.device, weights_only=True)
            model.load_state_dict(content.pop("model"))
            if content["switched"]:
                optimizer = make_optimizer(args, model, switched=True)
            optimizer.load_state_dict(content["optimizer"])
            if content["scheduler"]:
                state["scheduler"].load_state_dict(content["scheduler"])
            torch.set_rng_state(content.pop("rng").cpu())
            if (cuda_rng := content.pop("cuda_rng")) is not None and torch.cuda.is_available():
                torch.cuda.set_rng_state(cuda_rng.cpu())
            return {**content, "optimizer": optimizer, "scheduler": state["scheduler"]}
        except Exception as e:
            say(folder, f"{file} cannot be read ({type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''})")
    if files:
        raise BadInput(f"No checkpoint in {folder} can be read; --restart trains anew and keeps this folder aside.")
    return state


def say(folder, line):
    with open(folder / "train.log", "a") as f:
        f.write(line + "\n")
    with contextlib.suppress(BrokenPipeError):  # whoever was reading has gone; the training has not
        print(line, flush=True)


def log_row(folder, row, args):
    with open(folder / "log.jsonl", "a") as f:
        f.write(json.dumps(row, allow_nan=False) + "\n")
    def show(name, scale=1, digits=4):
        value = row[name]
        return "-" if value is None else f"{scale * value:.{digits}f}" if value < 1e4 else f"{value:.3g}"
    parts = ["train"] + ["valid"] * (args.split not in data.WITHOUT_VALID) + ["test"] * args.test_each_epoch
    loss = "".join(f" {part} {show(part + '_loss')}" for part in parts)
    accuracy = "".join(f" {part} {show(part + '_acc', 100, 2)} %" for part in parts)
    say(folder, f"epoch {row['epoch']}/{args.epochs}  lr {row['lr']:g}  loss{loss}{'  acc' + accuracy if row['train_acc'] is not None else ''}"
                f"  {row['seconds']:.1f} s")


@contextlib.contextmanager
def only_process(folder):
    """Holds the run's lock, which dies with the process; raises Stopped where another one holds it.

    The file stands beside the folder, not in it, so that the lock stays when an old folder is put aside.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = open(folder.parent / f".{folder.name}.lock", "w")
    except OSError as e:
        raise BadInput(f"{folder.parent} cannot be made or written ({e.strerror}). Give another --runs or --run.") from e
    with lock:
        for attempt in range(5):  # `make status` holds it for a moment, to see whether it is held
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == 4:
                    raise Stopped(f"another process is training {folder}; try again later") from None
                time.sleep(0.05)
        yield


def put_aside(folder):
    number = 1
    while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    folder.rename(aside)
    return aside


def watch(started, stop_after):
    """stop_reason() for `fit`. SIGTERM and SIGINT are taken at the next step; one more after 5 s ends the process at once."""
    caught, first = [], math.inf

    def handle(number, _):
        nonlocal first
        if time.monotonic() > first + 5:  # sooner it is the same wish again: `timeout make` signals the group, and make its children
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        first = min(first, time.monotonic())
        caught.append(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    deadline = started + stop_after if stop_after is not None else math.inf
    return lambda: caught[0] if caught else "the deadline" if time.monotonic() >= deadline else None


def where_and_what(device):
    """The result's versions, commit and dirty: null where there is no git."""
    def git(*words):
        try:
            return subprocess.run(["git", "-C", Path(__file__).parent, *words], capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return None
    cpu = re.search(r"^model name\s*: (.*)", read_text("/proc/cpuinfo"), re.M)
    status = git("status", "--porcelain", "--untracked-files=no")
    versions = {"python": platform.python_version(), "torch": torch.__version__, "torchvision": importlib.metadata.version("torchvision"),
                "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu[1] if cpu else platform.machine()}
    return {"versions": versions, "commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


def read_text(path):
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def read_json(path):
    """The content of a JSON file, {} where there is none. Raises BadInput for one that is broken."""
    try:
        return json.loads(Path(path).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as e:
        raise BadInput(f"{path} is not JSON ({e}); --restart trains anew and keeps its folder aside") from e


# ------------------------------------------------------------------------------------------------------------------- run


def load(args):
    """The data set that the flags ask for, on the CPU: its classes, label noise and cleaning. Raises BadInput or data.DataError."""
    dataset = data.load(args.data, args.data_dir, args.synthetic, args.split, args.split_seed, args.normalise, args.side)
    if args.classes:
        dataset = data.only_classes(dataset, args.classes)
    if args.label_noise:
        dataset = data.redraw_labels(dataset, args.label_noise, torch.Generator().manual_seed(seed_of(args.seed, "label noise")))
    if args.clean_by:
        args.dropped = args.dropped or judge(args, dataset)  # judged once: sums in another order could tip who is last
        dataset = data.drop(dataset, torch.tensor(args.dropped, dtype=torch.int64))
    return dataset


@torch.no_grad()
def judge(args, dataset):
    """The numbers of the train images to whose labels another run's net gives the largest cross-entropy. Raises BadInput."""
    folder = Path(args.runs, args.clean_by, f"seed{args.seed}")
    if not (folder / "model.pt").exists():
        raise BadInput(f"--clean-by {args.clean_by}: there is no {folder / 'model.pt'}. Train that run first.")
    _, model, seen = restore(folder, args.data_dir, args.device)
    if seen.name != dataset.name or len(seen.images) != len(dataset.images) or model.task != "classes":
        raise BadInput(f"--clean-by {args.clean_by} was trained on {seen.name} ({len(seen.images)} images), not on the images to be judged.")
    made_with = read_json(folder / "args.json")
    if made_with.get("loss") in OF_FEATURES:
        raise BadInput(f"--clean-by {args.clean_by} trained features with a triplet loss: its classifier has learnt nothing yet that could judge.")
    if made_with.get("init_from") or torch.isin(dataset.train, seen.train.cpu()).any():
        raise BadInput(f"--clean-by {args.clean_by} was trained on images that it is to judge, or started from a run that may have been: it may have learnt "
                       "their labels. Name a run of another --split that starts anew.")
    batches = [(idx.to(seen.images.device), dataset.targets[idx].to(seen.images.device)) for idx in dataset.train.split(256)]
    scores = torch.cat([F.cross_entropy(model(seen.batch(idx)[0]), labels, reduction="none") for idx, labels in batches])
    return data.highest(dataset, scores.cpu(), args.clean_share).tolist()


def build(args, dataset):
    """The net that the flags ask for, for images like these; raises ValueError for flags that make no sense."""
    flags = {flag: getattr(args, flag) for flag in models.flags_of(args.model)}
    return models.build(args.model, classes=len(dataset.classes) or None, side=dataset.images.shape[-1], **flags)


def prepare(args):
    """The data set and the net that the flags ask for, on their device. Raises BadInput or data.DataError."""
    dataset = load(args)
    torch.manual_seed(seed_of(args.seed, "weights"))
    try:
        model = build(args, dataset)
    except ValueError as e:
        raise BadInput(f"{e}.") from e
    shape, task = tuple(dataset.images.shape[1:]), "classes" if dataset.classes else "landmarks"
    if (model.input_shape, model.task) != (shape, task):
        raise BadInput(f"{args.model} takes {'x'.join(map(str, model.input_shape))} images and gives {model.task}; --data {args.data} has "
                       f"{'x'.join(map(str, shape))} and {task}. Name another --model or --data.")
    if args.pretrained:
        try:
            models.load_imagenet(model, args.model, args.weights)
        except models.NoWeights as e:
            raise BadInput(str(e)) from e
        args.init_digest = args.init_digest or digest_of(init_file(args))  # it may have been downloaded just now
    elif args.init_from:
        try:
            model.load_state_dict(torch.load(init_file(args), map_location="cpu", weights_only=True))
        except Exception as e:  # whatever torch makes of a file that is no weights, or other weights
            reason = " ".join(str(e).split())[:200] or type(e).__name__ if init_file(args).exists() else "train that run first"
            raise BadInput(f"--init-from {args.init_from}: {init_file(args)} cannot be started from ({reason}).") from e
    try:
        model.frozen = models.freeze(model, args.freeze)
        if args.loss in OF_FEATURES:
            models.classifier_of(model)
    except ValueError as e:
        raise BadInput(f"{e}. --freeze and --loss {args.loss} need that.") from e

    def leaves_one(images):
        return args.batch_size == 1 or images % args.batch_size == 1
    scores_one = args.protocol == "report" and (leaves_one(len(dataset.valid)) or leaves_one(len(dataset.test)))  # frozen or not
    visits = len(dataset.train) * (2 if args.rotated_copies else 1)
    if not steps_of(args, visits):
        raise BadInput(f"--drop-last leaves nothing of {visits} images in batches of {args.batch_size}. Take a smaller --batch-size.")
    if scores_one or leaves_one(visits) and not args.drop_last or args.batch_size == 1:
        trial = copy.deepcopy(model)
        for layer in [] if scores_one else trial.frozen:
            layer.eval()
        try:
            trial(torch.zeros(1, *shape))
        except ValueError as e:
            raise BadInput(f"--batch-size {args.batch_size} leaves a step with one image, of which batch norm can take no statistics. "
                           "Take another --batch-size.") from e
    device = torch.device(args.device)
    return dataset.to(device), model.to(device, memory_format=torch.channels_last if args.bf16 else torch.preserve_format)


def init_file(args):
    """The weights that --init-from, --clean-by or --pretrained names: a file, or the final ones of a run and seed; None without them."""
    if args.pretrained:
        return models.imagenet_file(args.model, args.weights)
    if args.init_from and args.init_from.endswith(".pt"):
        return Path(args.init_from)
    run = args.init_from or args.clean_by
    return Path(args.runs, run, f"seed{args.seed}", "model.pt") if run else None


def digest_of(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file and file.is_file() else None


def defaults(model, dataset):
    """Every flag as it is where nothing is given, as JSON would give it back: for folders that an older train.py, with fewer flags, has made."""
    own = {**models.flags_of(model), "normalise": data.NORMALISED.get(dataset), "loss": LOSS_OF[dataset]}
    return json.loads(json.dumps({**vars(make_parser().parse_args([])), **own, "dropped": None}))


def restore(folder, data_dir=None, device="cpu", weights="model.pt"):
    """(args, net in eval mode with its final weights, data set) of a finished run's folder, for plots and tables."""
    made_with = read_json(Path(folder) / "args.json")
    args = argparse.Namespace(**{**defaults(made_with["model"], made_with["data"]), **made_with})
    args.device, args.data_dir, args.init_from, args.pretrained = device, data_dir or args.data_dir, None, False
    above = Path(folder).resolve().parents
    args.runs = above[min(len(Path(args.run).parts), len(above) - 1)]  # wherever that is now
    dataset, model = prepare(args)
    model.load_state_dict(torch.load(Path(folder) / weights, map_location=device, weights_only=True))
    return args, model.eval(), dataset


def same_run(args, folder):
    """Was this folder made with the same flags?"""
    old, ours = {**defaults(args.model, args.data), **read_json(folder / "args.json")}, identity(args)
    if init_file(args) and not init_file(args).exists():  # a folder copied without the run that it started from
        ours.pop("init_digest")
    return all(old.get(k) == v for k, v in ours.items())


def finished_before(args, folder, flags):
    """The exit code of a run that is done already, or None."""
    result = {} if args.restart else read_json(folder / "result.json")
    if not result or not same_run(args, folder):
        return None
    if result["flags"] != flags:  # the same settings in other words: let the Makefile see that they are the same
        save_json({**result, "flags": flags}, folder / "result.json")
    print(f"{folder} was {result['status']} before, after {result['epochs']} epochs; --restart trains it anew")
    return DIVERGED if result["status"] == "diverged" else FINISHED


def begin(args, folder):
    """Makes the folder, or goes on in the one that is there; one made with other flags is put aside."""
    used = (folder / "args.json").exists() or (folder / "checkpoint.pt").exists()  # else it was killed before it began
    if used and (args.restart or not same_run(args, folder)):
        print(f"{folder} was made with other flags or is to be made anew; the old one is kept as {put_aside(folder)}")
    folder.mkdir(exist_ok=True)
    (folder / "failed.txt").unlink(missing_ok=True)
    old = read_json(folder / "args.json")
    if old:
        if old["fingerprint"] != args.fingerprint:
            raise BadInput(f"The data are not those that {folder} began with (fingerprint {old['fingerprint']}, now {args.fingerprint}). "
                           "Put the old ones back, or train anew with --restart.")
        args.threads = old["threads"]
    else:
        save_json(vars(args), folder / "args.json")
    torch.set_num_threads(args.threads)


def train(args, folder, flags, stop_reason):
    """Trains, or goes on training, what `args` ask for. Gives an exit code."""
    if (code := finished_before(args, folder, flags)) is not None:
        return code
    if args.clean_by and not args.restart and same_run(args, folder):  # going on: what was dropped at its beginning stays dropped
        args.dropped = read_json(folder / "args.json").get("dropped")
    dataset, model = prepare(args)
    args.fingerprint = dataset.fingerprint
    start = read_json(init_file(args).parent / "result.json") if args.init_from or args.clean_by else {}
    facts = {"flags": flags, "init_flags": start.get("flags"), "init_digest": args.init_digest, **where_and_what(torch.device(args.device))}
    with only_process(folder):
        if (code := finished_before(args, folder, flags)) is not None:  # by another process, just now
            return code
        begin(args, folder)
        try:
            state = load_checkpoint(args, folder, model)
            done = f"goes on after epoch {state['epoch']}, step {state['step']}" if state["rows"] or state["step"] else "begins"
            say(folder, f"{args.run} seed {args.seed} {done}: {models.count_parameters(model):,} parameters, {dataset.source}, "
                        f"train {len(dataset.train)} valid {len(dataset.valid)} test {len(dataset.test)}, {args.device}, {args.threads} threads")
            with open(folder / "log.jsonl", "w") as f:  # epochs that came after the checkpoint are trained again
                f.writelines(json.dumps(row) + "\n" for row in state["rows"])
            result = finish(args, model, dataset, state, folder, fit(args, model, dataset, state, folder, stop_reason), facts)
        except Stopped as e:
            say(folder, str(e))
            return STOPPED
        except Exception as e:
            with contextlib.suppress(OSError):  # the disk may be what failed
                (folder / "failed.txt").write_text(f"{type(e).__name__}: {e}\n\n{traceback.format_exc()}")
            raise
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())  # here and not in the result, which is the same whenever it is made
    say(folder, f"{result['status']} at {moment}: " + ", ".join(f"{k} {v:.4g}" for k, v in result["metrics"].items() if v is not None))
    return DIVERGED if result["status"] == "diverged" else FINISHED


def score(args):
    """Scores the test set with a finished run's weights and puts it into its result.json; raises BadInput where it was done before."""
    folder = Path(args.score).resolve()  # "." has no name to lock
    if not (folder / "result.json").exists():
        raise BadInput(f"There is no finished run in {folder}: --score takes the folder of a run and seed, such as runs/lenet_vgg/relu-wide/seed0.")
    with only_process(folder):
        result = read_json(folder / "result.json")
        if read_json(folder / "args.json").get("loss") in OF_FEATURES:
            raise BadInput(f"{folder} trained features with a triplet loss: its classifier has learnt nothing yet that could be scored.")
        if result.get("status") != "finished":
            raise BadInput(f"{folder} {result.get('status')}: there are no weights to score.")
        if result["test_evaluations"] and not args.again:
            raise BadInput(f"{folder} was scored on the test set before: {100 * result['metrics']['test_acc']:.2f} %. Scored until the number pleases it is "
                           "no test set any more; --again does it all the same, and result.json counts it.")
        kept_best = result["test_weights"] == "best" or read_json(folder / "args.json").get("early_stop")
        weights = args.test_weights or ("best" if kept_best else "final")
        try:
            made_with, model, dataset = restore(folder, args.data_dir, args.device, {"final": "model.pt", "best": "best.pt"}[weights])
        except (BadInput, data.DataError):
            raise
        except Exception as e:  # whatever torch makes of a file that is no weights, or other weights
            raise BadInput(f"The {weights} weights in {folder} cannot be read ({' '.join(str(e).split())[:200]}).") from e
        if not len(dataset.test):
            raise BadInput(f"{dataset.name} has no test set.")
        if dataset.fingerprint != result["data"]["fingerprint"]:
            raise BadInput(f"The data are not those that {folder} was trained with (fingerprint {result['data']['fingerprint']}, now "
                           f"{dataset.fingerprint}). Put the old ones back.")
        loss, accuracy = evaluate(made_with, model, dataset, dataset.test)
        result.update(test_weights=weights, test_evaluations=result["test_evaluations"] + 1)
        if math.isfinite(loss):
            result["metrics"].update(test_loss=loss, test_acc=accuracy)
        else:
            result["status"] = "diverged"
        save_json(result, folder / "result.json")
        say(folder, f"scored on test with the {weights} weights, evaluation {result['test_evaluations']}: loss {loss:.4f}, acc {100 * accuracy:.2f} %")
    return FINISHED if math.isfinite(loss) else DIVERGED


def keep_freed_memory():
    """On a CPU: keeps freed memory for the next step. glibc gives large blocks back to the kernel and gets them again page by page, which
    takes up to half of the time of a net with large activations. Does nothing where the C library is another."""
    with contextlib.suppress(OSError, AttributeError):
        libc, mmap_max, trim_threshold = ctypes.CDLL(None), -4, -1  # their numbers in malloc.h
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


def main(argv=None):
    started = time.monotonic()
    argv = sys.argv[1:] if argv is None else argv
    args = parse(argv)
    stop_reason = watch(started, args.stop_after)
    if args.device == "cpu":
        keep_freed_memory()
    if args.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        if args.score is not None:
            return score(args)
        return train(args, Path(args.runs, args.run, f"seed{args.seed}"), declared(argv), stop_reason)
    except (BadInput, data.DataError) as e:
        print(f"train.py: {e}", file=sys.stderr)
        return BAD_INPUT
    except Stopped as e:
        print(f"train.py: {e}", file=sys.stderr)
        return STOPPED
    except OSError as e:
        print(f"train.py: {e}; what was saved before is kept, and the same command goes on from there", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
