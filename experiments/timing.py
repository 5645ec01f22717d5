"""How long training takes: functions that time train.py's own loop, a command, a step of a net in either memory layout.

experiments/bench.py says what is timed and writes it down. What trains our way runs in a process of its own, as
train.py sets one up; `own_process` gives one.
"""
import concurrent.futures
import contextlib
import dataclasses
import io
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

import data
import losses
import models
import train
from experiments import reported_way, runs, starts
from experiments.starts import has_bfloat16

ROOT = Path(__file__).resolve().parent.parent
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
PRECISIONS = ("float32", "bfloat16")
LEAST_SECONDS = 0.1  # a sample of steps takes at least so long, so that the clock does not count
MOST_SECONDS = 20  # of the reports' steps in a round: on a busy machine threads and workers wait for each other
SIMULATED = 0.5  # where bfloat16 is simulated, nets whose step in float32 takes more seconds are not timed in it
# Run in a process of its own: train.py as it is, except that it prints the time when its first step is done.
FIRST_STEP = """
import sys, time
sys.path.insert(0, sys.argv[1])
import torch
import train

untimed_step = train.train_step

def timed_step(*words, **named):
    result = untimed_step(*words, **named)
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    print("first step", time.time())
    return result

train.train_step = timed_step
sys.exit(train.main(sys.argv[2:]))
"""


# ---- numbers --------------------------------------------------------------------------------------------------------

def by_turns(what, ways, rounds, budget=math.inf):
    """Calls each function of ways {name: function} once a round and returns {name: [what it returned, ...]}.

    Every other round goes through them backwards, so that a machine that becomes slower or faster favours none of them.
    budget: seconds after which no further round begins. Prints a line a round.
    """
    found, started = {name: [] for name in ways}, time.monotonic()
    for number in range(1, rounds + 1):
        if time.monotonic() - started > budget:
            break
        names = list(ways) if number % 2 else list(reversed(ways))
        for name in names:
            found[name].append(ways[name]())
        shown = ", ".join(f"{name} {numbers[-1]:.4g}" for name, numbers in found.items())
        print(f"{time.strftime('%H:%M:%S')} {what}: round {number} of {rounds}: {shown}", flush=True)
    return found


def figures(numbers):
    """Returns what is kept of measurements: {"median", "lowest", "highest", "rounds"}, to four digits."""
    def four(x):
        return float(f"{x:.4g}")

    return {"median": four(statistics.median(numbers)), "lowest": four(min(numbers)), "highest": four(max(numbers)),
            "rounds": len(numbers)}


def ratio(ours, theirs):
    """The ratio of the medians of two measurements, as `figures` returns them, to three digits."""
    return float(f"{ours['median'] / theirs['median']:.3g}")


# ---- our way, in a process of its own -------------------------------------------------------------------------------

@contextlib.contextmanager
def own_process():
    """Yields a function call(function, ...) that calls it in another process, which keeps freed memory as train.py's.

    If that process dies, the call raises concurrent.futures.process.BrokenProcessPool. It does not outlive this one.
    """
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn, begin_own_process) as pool:
        yield lambda *words: pool.submit(*words).result()


def begin_own_process():
    """Sets this process up as train.py does, and ends it with the one that started it, whatever it is doing then."""
    def end_with(parent):
        parent.join()
        os._exit(1)

    runs.keep_freed_memory()
    threading.Thread(target=end_with, args=(multiprocessing.parent_process(),), daemon=True).start()


PREPARED = {}  # in a process that trains our way: what it trains, by name


def prepare(name, flags, images=None, steps=None):
    """Prepares a training under a name, as train.py would, and takes two steps of it. Returns its number of threads.

    images: at most so many of a part; None: all. steps: an epoch has exactly so many and scores nothing; None: it has
    as many as these images make, and ends with the valid ones.
    """
    settings = train.parse(flags)
    torch.set_num_threads(settings.threads)
    dataset, model = train.prepare(settings)
    dataset = part_of(dataset, settings, images, steps)
    if steps is not None:
        settings = settings._replace(test_each_epoch=False)
    PREPARED[name] = {"settings": settings, "dataset": dataset, "model": model,
                      "optimizer": train.make_optimizer(settings, model)}
    fit(**PREPARED[name], max_steps=2)  # pays for what torch sets up once
    return settings.threads


def part_of(dataset, settings, images, steps):
    """Returns the data set with at most `images` train and valid images or, with `steps`, what makes so many steps."""
    chosen, valid = dataset.train, dataset.valid[:images]
    if steps is None:
        return dataclasses.replace(dataset, train=chosen[:images], valid=valid)
    visits = steps * settings.batch_size
    chosen = chosen.repeat(math.ceil(visits / len(chosen)))[:visits]
    return dataclasses.replace(dataset, train=chosen, valid=valid[:0])


def fit(settings, dataset, model, optimizer, max_steps=None):
    """Lets train.fit do one epoch, or its first steps, with all that it logs. Returns the seconds it took."""
    settings = settings._replace(epochs=1, max_steps=max_steps, save_every=math.inf)
    state, unread = train.State(optimizer, None), io.StringIO()
    with (tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(unread),
          contextlib.redirect_stderr(unread)):
        started = time.perf_counter()
        train.fit(settings, model, dataset, state, Path(folder), lambda: None)
        return time.perf_counter() - started


def epoch(name, threads=None):
    """Trains an epoch of what was prepared under this name, with so many threads. Returns the seconds it took."""
    prepared = PREPARED[name]
    torch.set_num_threads(threads or prepared["settings"].threads)
    return fit(**prepared)


def step(name, threads=None):
    """The same. Returns the seconds of a step, the mean over the epoch."""
    _, steps = data.epoch_length(PREPARED[name]["settings"], PREPARED[name]["dataset"])
    return epoch(name, threads) / steps


# ---- the reports' way -----------------------------------------------------------------------------------------------

def prepare_reported(flags, images=None, steps=None, from_memory=False):
    """Prepares the reports' way of the same training. Returns a function that takes an epoch and returns its seconds.

    images, steps: as of `prepare`; with steps the function returns the seconds of one step, their mean.
    from_memory: the batches are made beforehand, so that only arithmetic is left.
    """
    settings = train.parse(flags)
    dataset, model = train.prepare(settings)
    dataset = part_of(dataset, settings, images, steps)
    model = reported_way.as_reported(model).train()
    optimizer = reported_way.make_optimizer(settings, model)
    if from_memory:
        batches = list(dataset.batches(data.plan_epoch(settings, dataset, 1)))
        reported_way.train_on(settings, batches[:2], model, optimizer)  # pays for what torch sets up once
        return lambda: reported_way.step(settings, batches, model, optimizer, MOST_SECONDS)

    photographs, held_out = (photographs_of(settings, dataset, chosen) for chosen in (dataset.train, dataset.valid))
    first = torch.utils.data.Subset(photographs, range(min(len(photographs), 2 * settings.batch_size)))
    reported_way.train_on(settings, reported_way.loader(settings, first), model, optimizer)
    if steps is not None:
        return lambda: reported_way.step(settings, reported_way.loader(settings, photographs), model, optimizer,
                                         MOST_SECONDS)
    held_out = torch.utils.data.Subset(held_out, range(len(dataset.valid)))  # faces: not their rotated copies
    return lambda: reported_way.epoch(settings, photographs, held_out, model, optimizer)


def photographs_of(settings, dataset, chosen):
    """Returns the chosen images as the reports' scripts read them. Every file is read once, so that no disk is cold."""
    if settings.data == "cifar10":
        return reported_way.Pictures(settings, dataset, chosen)
    folder, _ = data.locate(settings.data, settings.data_dir)
    kind = {"faces21": reported_way.Faces, "caltech35": reported_way.Objects}[settings.data]
    photographs = kind(folder, chosen.tolist())
    for path, _, _ in photographs.files:
        path.read_bytes()
    return photographs


# ---- whole commands -------------------------------------------------------------------------------------------------

def run_command(words, env=None):
    """Runs a Python command and returns what it printed. Raises SystemExit with its words where it fails."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=env)
    if done.returncode:
        raise SystemExit(f"python {' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def first_step(flags):
    """Returns the seconds from the start of a process to its first step done. What the data's cache holds is there."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.time()
        printed = run_command(["-c", FIRST_STEP, str(ROOT), *flags, "--max-steps", "1", "--runs", folder])
    return float(printed.partition("first step ")[2].split()[0]) - started


def import_torch():
    """Returns the seconds of a process that does nothing but import torch."""
    started = time.time()
    run_command(["-c", "import torch"])
    return time.time() - started


def trainings(commands, at_a_time, env=None):
    """Runs train.py with each of these lists of flags, so many at a time. Returns the seconds until all are done."""
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(at_a_time) as pool:
        started = time.perf_counter()
        words = [[str(ROOT / "train.py"), *flags, "--runs", folder] for flags in commands]
        for _ in pool.map(lambda command: run_command(command, env), words):
            pass
        return time.perf_counter() - started


def environment(threads=None):
    """The environment for train.py with so many threads by OMP_NUM_THREADS; None: as many as train.py takes itself."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return env if threads is None else {**env, "OMP_NUM_THREADS": str(threads)}


# ---- memory layouts -------------------------------------------------------------------------------------------------

def layouts(flags, batch_size, rounds, budget):
    """Times a step of a net in both memory layouts and both precisions, by turns.

    flags: of a run; neither its images nor its weights are read: the images are random. Returns {"float32 contiguous":
    [milliseconds, ...], ...}, four of them, or two where bfloat16 is simulated and the net is large. budget: as of
    by_turns.
    """
    settings = train.parse(flags)._replace(batch_size=batch_size)
    torch.set_num_threads(settings.threads)
    ways, slowest = {}, 0
    for precision in PRECISIONS:
        if precision == "bfloat16" and slowest > SIMULATED and not has_bfloat16(settings.device):
            continue
        for layout in LAYOUTS:
            take_steps = steps_in(settings, precision == "bfloat16", LAYOUTS[layout])
            seconds = take_steps(1)  # pays for what torch sets up once, which short steps would not show
            if seconds < 1:
                seconds = take_steps(1)
            slowest = max(slowest, seconds)
            count = math.ceil(LEAST_SECONDS / seconds)
            ways[f"{precision} {layout}"] = lambda take_steps=take_steps, count=count: 1000 * take_steps(count) / count
    return by_turns(f"{settings.model}, batch {settings.batch_size}, ms a step", ways, rounds, budget)


def layout_taken(settings):
    """The name of the memory layout that train.py gives the net of these settings."""
    model = starts.place(settings, bare_net(settings))
    lies_otherwise = any(p.dim() == 4 and not p.is_contiguous() for p in model.parameters())
    return "channels_last" if lies_otherwise else "contiguous"


def bare_net(settings):
    """The net of the settings with weights drawn anew; no data set is read, and no weights are."""
    flags = {flag: getattr(settings, flag) for flag in models.flags_of(settings.model)}
    caltech = settings.data == "caltech35"
    return models.build(settings.model, 35 if caltech else 10, settings.side if caltech else 32, **flags)


def steps_in(settings, bf16, layout):
    """Returns a function (count) that takes so many steps of the settings' net on random images: the seconds of all."""
    torch.manual_seed(0)
    model = bare_net(settings)
    frozen = models.freeze(model, settings.freeze)
    model.to(settings.device, memory_format=layout).train()
    for layer in frozen:
        layer.eval()
    x = torch.randn(settings.batch_size, *model.input_shape, device=settings.device)
    y = torch.randint(10, (len(x),), device=settings.device)
    if model.task == "landmarks":
        y = torch.rand(len(x), 42, device=settings.device) * 112
    optimizer, loss_function = train.make_optimizer(settings, model), losses.make(settings)

    def take_steps(count):
        started = time.perf_counter()
        for _ in range(count):
            with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
                output = model(x.to(memory_format=layout))
            loss = loss_function(output.float(), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()  # waits for the device
        return time.perf_counter() - started

    return take_steps
