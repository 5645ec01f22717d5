"""What only a GPU can show: mixed devices, waits, bits, rounding, memory. Skipped without CUDA.

The process of the tests sees no GPU, nor does what it starts. These checks run in a process of their own that does.
Some run on the CPU too, so that they are known to work before there is a GPU.
"""
import concurrent.futures
import glob
import multiprocessing
import os
import shutil

import pytest
import torch

import device_checks
import makes
from conftest import VISIBLE_GPUS
from device_checks import ALIKE, LENET, MEMORY, NETS, RESUMED, RUNS
from experiments import starts
from experiments.runs import BadInput

DEVICE_FILES = ("/dev/nvidia[0-9]*", "/dev/dxg")  # of the driver, on Linux and on Windows' Linux


def show_gpus(visible):
    """In a new process: lets CUDA see these GPUs, the value of its variable, or all for None."""
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read once in a process, and --deterministic needs it
    torch.set_num_threads(1)


def new_process(visible):
    """A process that sees these GPUs, which this one must not: a pool of one worker."""
    return concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), show_gpus, (visible,))


@pytest.fixture(scope="module")
def process_with_gpus():
    """A process that sees the GPUs that the tests were started with. Skips the test where there are none."""
    if not any(glob.glob(pattern) for pattern in DEVICE_FILES):
        pytest.skip("no GPU of NVIDIA's here")
    with new_process(VISIBLE_GPUS) as pool:
        if not pool.submit(torch.cuda.is_available).result():
            pytest.skip("torch has no CUDA here, or no GPU is visible")
        yield pool


@pytest.fixture
def cuda(process_with_gpus):
    """Returns a function that calls check("cuda", ...) in the process that sees the GPUs."""
    return lambda check, *args: process_with_gpus.submit(check, "cuda", *args).result()


@pytest.fixture(params=["cpu", "cuda"])
def either(request):
    """Returns such a function for CUDA and one that calls check("cpu", ...) here: the test runs twice."""
    if request.param == "cuda":
        return request.getfixturevalue("cuda")
    return lambda check, *args: check("cpu", *args)


@pytest.fixture(scope="module")
def made_before(tmp_path_factory):
    """A folder with the runs that others begin with."""
    place = tmp_path_factory.mktemp("before")
    device_checks.make_start_and_scorer(place)
    return place


# ---- without a GPU --------------------------------------------------------------------------------------------------

def test_the_tests_use_the_cpu_on_a_machine_with_gpus(monkeypatch):
    """torch.cuda.is_available does as it does on such a machine, where CUDA looks at the variable."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: os.environ.get("CUDA_VISIBLE_DEVICES") != "")
    assert starts.device(None) == "cpu"
    assert makes.clean_environment()["CUDA_VISIBLE_DEVICES"] == ""  # also for what a make of the tests starts
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert starts.device(None) == "cuda"


def test_a_process_of_its_own_sees_the_gpus_that_the_tests_were_started_with(monkeypatch):
    with new_process("3,4") as pool:
        assert pool.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result() == "3,4"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    show_gpus(None)  # the variable was not set
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_train_py_takes_the_flags_of_all_checks(tmp_path):
    full_size = [device_checks.full_size(name, batch_size) for name, (batch_size, _) in MEMORY.items()]
    assert MEMORY.keys() == NETS.keys()
    for flags in (*ALIKE.values(), *RESUMED.values(), *full_size):
        assert device_checks.settings_of(flags, tmp_path, "cuda").device == "cuda"


# ---- on a GPU -------------------------------------------------------------------------------------------------------

def test_cuda_is_the_device_where_there_is_one_and_others_are_refused(process_with_gpus):
    assert process_with_gpus.submit(starts.device, None).result() == "cuda"
    with pytest.raises(BadInput, match="cuda:99 cannot be used here"):
        process_with_gpus.submit(starts.device, "cuda:99").result()


@pytest.mark.parametrize("name", NETS)
def test_two_steps_of_every_net_mix_no_devices_and_do_not_wait(cuda, tmp_path, name):
    cuda(device_checks.no_step_waits, tmp_path, NETS[name])


@pytest.mark.parametrize("name", RUNS)
def test_no_step_of_a_run_that_was_stopped_waits(cuda, tmp_path, made_before, name):
    shutil.copytree(made_before, tmp_path, dirs_exist_ok=True)
    cuda(device_checks.no_step_waits, tmp_path, RUNS[name], 1)


@pytest.mark.parametrize("name", ALIKE)
def test_twenty_steps_end_as_on_the_cpu(cuda, tmp_path, name):
    cuda(device_checks.ends_as_on_the_cpu, tmp_path, ALIKE[name])


@pytest.mark.parametrize("name", RESUMED)
def test_a_run_stopped_in_mid_epoch_ends_the_same_bit_for_bit(cuda, tmp_path, name):
    cuda(device_checks.resumes_bit_for_bit, tmp_path, RESUMED[name])


def test_a_run_killed_in_mid_epoch_ends_the_same_bit_for_bit(cuda, tmp_path):
    cuda(device_checks.killed_in_mid_epoch, tmp_path, f"{LENET} --norm bn --dropout 0.3 --epochs 10")


def test_several_processes_train_side_by_side(cuda, tmp_path):
    cuda(device_checks.processes_side_by_side, tmp_path, 4, f"{LENET} --synthetic --max-steps 20 --dropout 0.3")


@pytest.mark.parametrize("name", NETS)
def test_a_step_of_the_reports_batch_size_takes_little_memory(cuda, tmp_path, name, record_property):
    batch_size, tensors = MEMORY[name]
    peak = cuda(device_checks.peak_memory, tmp_path, name, batch_size)
    print(f"{name} at batch size {batch_size}: {peak:.0f} MiB at most, {tensors} MiB of tensors expected")
    record_property("peak MiB", round(peak))
    assert peak < 1.5 * tensors + 4096  # cuDNN's workspaces are of gigabytes where there is room


# ---- on either ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("check, arguments", [
    (device_checks.no_step_waits, [NETS["lenet5"]]), (device_checks.no_step_waits, [RUNS["adam"], 1]),
    (device_checks.ends_as_on_the_cpu, [ALIKE["mlp"]]), (device_checks.resumes_bit_for_bit, [RESUMED["lenet5"]]),
    (device_checks.peak_memory, ["lenet5", 4])])
def test_the_checks_above_run_on_the_cpu(tmp_path, check, arguments):
    check("cpu", tmp_path, *arguments)


def test_bfloat16_trains(either, tmp_path):
    either(device_checks.trains_in_bfloat16, tmp_path)


def test_a_run_of_the_cpu_is_scored_on_either(either, tmp_path):
    either(device_checks.scores_as_on_the_cpu, tmp_path)
