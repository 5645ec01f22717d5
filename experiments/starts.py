"""What a run starts from: the net of its flags, weights of ImageNet or of another run, a run that scores its labels.

`restore` brings a finished run back, for whatever asks a trained net. Settings are only read here; train.py makes them.
"""
import argparse
import collections
import copy
import hashlib
import os
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from tqdm import tqdm

import data
import losses
import models
from experiments import checkpoints, imagenet, runs
from experiments.runs import BadInput


def frozen(flags):
    """Flags {name: value} as settings: a named tuple, which is read as settings.lr and cannot be changed."""
    return collections.namedtuple("Settings", flags)(**flags)


# What torch says on a CPU where it has no memory, and what oneDNN says, which computes its convolutions.
NO_MEMORY = ("DefaultCPUAllocator", "bad_alloc", "could not create a primitive", "could not create a memory")


class NoMemory(Exception):
    """Memory has run out. The message names the net and the batch size."""


def explained(error, settings):
    """Returns the NoMemory that an error stands for, if it does, else the error itself. settings: None if unknown."""
    is_of_memory = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    if isinstance(error, RuntimeError):
        is_of_memory |= any(words in str(error) for words in NO_MEMORY)
    if settings is None or not is_of_memory:
        return error
    return NoMemory(f"memory ran out on {settings.device} with --model {settings.model} and --batch-size "
                    f"{settings.batch_size}; a smaller batch or net needs less")


def build(settings, dataset):
    """The net that the flags ask for. Raises BadInput for flags that make no net, or none for this data set."""
    if settings.model == "vgg16_imagenet" and settings.deterministic and settings.device.startswith("cuda"):
        raise BadInput("vgg16_imagenet cannot train with --deterministic on a GPU: torch has no such gradient of its "
                       "adaptive pooling. Leave --deterministic out, or take --device cpu.")
    flags = {flag: getattr(settings, flag) for flag in models.flags_of(settings.model)}
    try:
        model = models.build(settings.model, len(dataset.classes) or None, dataset.images.shape[-1], **flags)
    except ValueError as e:
        raise BadInput(f"{e}.") from e
    shape, task = tuple(dataset.images.shape[1:]), "classes" if dataset.classes else "landmarks"
    if (model.input_shape, model.task) != (shape, task):
        takes, has = ("x".join(map(str, sides)) for sides in (model.input_shape, shape))
        raise BadInput(f"{settings.model} takes {takes} images and gives {model.task}; --data {settings.data} has "
                       f"{has} and {task}. Name another --model or --data.")
    return model


def device(name):
    """The device to use: `name` or, for None, cuda where there is one, else cpu. Raises BadInput for another."""
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise BadInput(f"--device {name} is none of cpu, cuda, cuda:N")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as e:
        raise BadInput(f"--device {name} cannot be used here ({str(e).splitlines()[0]})") from e
    return name


def place(settings, model):
    """Moves a net to the run's device, in the memory layout in which it is fastest there, and returns it."""
    channels_last = settings.model in models.CHANNELS_LAST or settings.bf16
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return model.to(settings.device, memory_format=layout)


def as_begun(settings, args, model):
    """The settings of a run that begins or goes on, with what it keeps of its first start, and its saving interval.

    args: the content of its args.json. Sums differ between one thread and two, and between precisions. Torch is told
    the number of threads.
    """
    save_every = settings.save_every
    if save_every is None:
        save_every = 300 if models.count_parameters(model) > 10_000_000 else 30  # large nets: 400 MB a checkpoint
    torch.set_num_threads(args["threads"])
    return settings._replace(threads=args["threads"], bf16=args.get("bf16", False), save_every=save_every)


def threads(model):
    """The number of CPU threads for a net, by its name, where none is given."""
    return 1 if model in models.SMALL else torch.get_num_threads()


def precision(settings):
    """What a run multiplies in: "float32", "bfloat16" or, for convolutions on newer GPUs unless told otherwise, "tf32".

    TF32 is float32 with 10 bits of mantissa instead of 23, which torch takes for float32 there.
    """
    if settings.bf16:
        return "bfloat16"
    on_gpu = settings.device.startswith("cuda")
    if on_gpu and torch.backends.cudnn.allow_tf32 and torch.cuda.get_device_capability(settings.device)[0] >= 8:
        return "tf32"
    return "float32"


def has_bfloat16(device):
    """Has this device, of a name as torch has it, instructions for bfloat16? Else torch simulates them, slowly."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def beginning(state):
    """How a run says that it begins, or from where it goes on."""
    if state.rows or state.step:
        return f"goes on after epoch {state.epoch}, step {state.step}"
    return "begins"


def description(settings, model, dataset):
    """What a run says of itself when it begins: the size of its net, its data, and what it runs on."""
    words = [f"{models.count_parameters(model):,} parameters", dataset.source,
             f"train {len(dataset.train)} valid {len(dataset.valid)} test {len(dataset.test)}", settings.device,
             f"{settings.threads} threads", precision(settings)]
    if dataset.incomplete:
        words.insert(2, f"incomplete: {dataset.incomplete}")
    if settings.bf16 and settings.device == "cpu" and not has_bfloat16("cpu"):
        words.append("which this processor does not have: it will be several times slower than float32")
    return ", ".join(words)


def with_bar(batches, settings, state, steps):
    """The batches of an epoch, with a progress bar on a terminal once the epoch has taken two seconds.

    It shows the steps, their rate and how long the run will still take after this epoch, by the epochs before it.
    """
    title = f"{settings.run} epoch {state.epoch + 1}/{settings.epochs}"
    left = runs.time_left([row["seconds"] for row in state.rows], settings.epochs - 1)
    if left is not None:
        title += f", then {left}"
    disable = True if os.environ.get("TQDM_DISABLE") else None  # make sets it; None: shown on a terminal only
    return tqdm(batches, title, steps, leave=False, initial=state.step, disable=disable, delay=2, unit=" steps")


def first_weights(settings):
    """The file that --pretrained, --init-from or --clean-by names, or the final weights of the run named; else None."""
    if settings.pretrained:
        return imagenet.file_of(settings.model, settings.weights)
    if settings.init_from and settings.init_from.endswith(".pt"):
        return Path(settings.init_from)
    run = settings.init_from or settings.clean_by
    return Path(settings.runs, run, f"seed{settings.seed}", "model.pt") if run else None


def first_run(settings):
    """The folder of the run that this one starts from or is cleaned by, or None."""
    file = first_weights(settings)
    return file.parent if file and not settings.pretrained else None


def digest(file):
    """The first 16 digits of a file's SHA-256, None where there is no file. Raises BadInput where it cannot be read."""
    if file is None or not file.is_file():
        return None
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    except OSError as e:
        raise BadInput(f"{file} cannot be read ({e.strerror})") from e


def load_first_weights(settings, model):
    """Loads the weights that --pretrained or --init-from names, and freezes what --freeze names (model.frozen).

    Raises BadInput where the weights do not fit, or where the net has no layers that could be told apart.
    """
    if settings.pretrained:
        try:
            imagenet.load(model, settings.model, settings.weights)
        except imagenet.NoWeights as e:
            raise BadInput(str(e)) from e
    elif settings.init_from:
        file = first_weights(settings)
        try:
            checkpoints.load_weights(model, checkpoints.read_weights(file.parent, file.name), file)
        except checkpoints.Unusable as e:
            is_run = not settings.init_from.endswith(".pt")
            mend = "Train that run first." if is_run and not file.exists() else "Name other weights."
            raise BadInput(f"--init-from {settings.init_from}: {e}. {mend}") from e
    try:
        model.frozen = models.freeze(model, settings.freeze)
        if settings.loss in losses.OF_FEATURES:
            models.classifier_of(model)
    except ValueError as e:
        raise BadInput(f"{e}. --freeze and --loss {settings.loss} need that.") from e


def check_batches(settings, dataset, model):
    """Raises BadInput where batches leave no step, or one with a single image, which batch norm cannot do with."""
    def leaves_one(images):
        return settings.batch_size == 1 or images % settings.batch_size == 1

    visits, steps = data.epoch_length(settings, dataset)
    if not steps:
        raise BadInput(f"--drop-last leaves nothing of {visits} images in batches of {settings.batch_size}. "
                       "Take a smaller --batch-size.")
    trains_one = settings.batch_size == 1 or (leaves_one(visits) and not settings.drop_last)
    # Report 2's way of scoring takes the statistics of the batch, in frozen layers too.
    scores_one = settings.protocol == "report" and (leaves_one(len(dataset.valid)) or leaves_one(len(dataset.test)))
    if not trains_one and not scores_one:
        return
    trial = copy.deepcopy(model)
    if not scores_one:
        for layer in trial.frozen:
            layer.eval()
    try:
        trial(torch.zeros(1, *model.input_shape))
    except ValueError as e:
        raise BadInput(f"--batch-size {settings.batch_size} leaves a step with one image, of which batch norm can take "
                       "no statistics. Take another --batch-size.") from e


def restore(folder, data_dir=None, device="cpu", weights="model.pt"):
    """Brings a finished run back: (settings, net in eval mode with its final weights, data set), both on `device`.

    data_dir: folder of the data sets; None: the run's own. weights: model.pt (final) or best.pt (best valid epoch).
    Raises BadInput where the run has no such weights, or they are not those that its result.json speaks of.
    """
    folder = Path(folder)
    args = runs.read_args(folder)
    if not args:
        raise BadInput(f"There is no {folder / 'args.json'}: nobody knows what net this is. {runs.ANEW}")
    settings = frozen({**defaults(args, folder), **args, "device": device, "data_dir": data_dir or args["data_dir"]})
    try:
        dataset = data.for_run(settings)
    except ValueError as e:
        raise BadInput(f"{folder / 'args.json'} is broken: {e}. {runs.ANEW}") from e
    if args.get("dropped") is not None:
        dataset = data.drop(dataset, torch.tensor(args["dropped"], dtype=torch.int64))
    model = build(settings, dataset)
    try:
        checkpoints.load_weights(model, checkpoints.read_weights(folder, weights), folder / weights)
    except checkpoints.Unusable as e:
        raise BadInput(f"{e}. Put a copy of it back, or train that run anew with --restart.") from e
    return settings, place(settings, model.eval()), dataset.to(device)


def defaults(args, folder):
    """The defaults of the flags of nets, data and losses, for folders that an older version with fewer flags made.

    Raises BadInput where one of the settings in the folder's args.json is one that its flag cannot give.
    """
    parser = argparse.ArgumentParser()
    for room in (models, data, losses):
        room.add_flags(parser)
    wrong = runs.wrong_setting(parser, args)
    if wrong:
        raise BadInput(f"{folder / 'args.json'} is broken: {wrong}. {runs.ANEW}")
    flags = parser.parse_args(["--model", args["model"], "--data", args["data"]])
    for room in (models, data, losses):
        room.resolve_flags(flags, {})
    of_train = {"protocol": "default", "bf16": False, "deterministic": False}  # its flags that are asked for here
    return {**of_train, **vars(flags)}


@torch.no_grad()
def least_believed(settings, dataset):
    """The train images to whose labels the run of --clean-by gives the largest cross-entropy: a list of indices.

    Raises BadInput where that run cannot score them: not there, of other images, no classifier, trained on them.
    """
    said, folder = f"--clean-by {settings.clean_by}", Path(settings.runs, settings.clean_by, f"seed{settings.seed}")
    if not (folder / "model.pt").exists():
        raise BadInput(f"{said}: there is no {folder / 'model.pt'}. Train that run first.")
    made_with, scorer, seen = restore(folder, settings.data_dir, settings.device)
    if seen.name != dataset.name or len(seen.images) != len(dataset.images) or scorer.task != "classes":
        raise BadInput(f"{said} was trained on {seen.name} ({len(seen.images)} images), not on those to be scored.")
    if made_with.loss in losses.OF_FEATURES:
        raise BadInput(f"{said} trained features with a triplet loss: its classifier has learnt nothing to score by.")
    if made_with.init_from or torch.isin(dataset.train, seen.train.cpu()).any():
        raise BadInput(f"{said} was trained on images that it is to score, or started from a run that may have been: "
                       "it may have learnt their labels. Name a run of another --split that starts anew.")
    scores, device = [], seen.images.device
    for indices in dataset.train.split(256):
        x, _ = seen.batch(indices.to(device))
        labels = dataset.targets[indices].to(device)
        scores.append(F.cross_entropy(scorer(x), labels, reduction="none"))
    return data.highest(dataset, torch.cat(scores).cpu(), settings.clean_share).tolist()
