"""A stand-in for a GPU, for tests without one: it computes on the CPU and minds which device a tensor is on.

    with StandIn() as device:
        x = torch.zeros(3, device="meta")   # "meta" is the stand-in's name while it lasts
        x + torch.zeros(3)                  # RuntimeError: two devices
        x.sum().item()                      # counted: device.waits == ["aten._local_scalar_dense.default at ..."]

Torch takes a tensor of the stand-in for one of its device "meta", which knows shapes and no values; the values lie
beside it, on the CPU. A device of its own (torch's PrivateUse1) would be more like a GPU, but from Python alone it has
no gradients: autograd of a build with CUDA asks CUDA for its streams. "meta" works in every build, needs nothing that
lasts longer than the stand-in, and its gradients are worked out in the thread that asks for them.
"""
import functools
import traceback
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import torch
from torch.optim import optimizer
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

ROOT = Path(__file__).resolve().parent.parent
aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)
READS_INDICES = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default)
# Like pointwise operations, these take a number that is a tensor on the CPU.
TAKES_NUMBERS = (aten.fill_.Tensor, aten.masked_fill.Tensor, aten.masked_fill_.Tensor)
# The CPU has to know the values before it can go on, because the shape of the result or a number depends on them.
ASKS = (torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output)


class DeviceTensor(torch.Tensor):
    """A tensor on the stand-in. values: its values, on the CPU."""

    is_meta = False  # torch would warn that values which are copied into a meta tensor are lost
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, values):
        return torch.Tensor._make_wrapper_subclass(cls, values.shape, values.stride(), values.storage_offset(),
                                                   dtype=values.dtype, device="meta")

    def __init__(self, values):
        self.values = values

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        raise RuntimeError(f"{operation}: this tensor is on a stand-in that is not in use any more")

    def tolist(self):
        """The values as Python numbers, which torch gives of its own tensors only."""
        return self.cpu().tolist()

    def __reduce_ex__(self, protocol):
        """What torch.save writes: values of a device, which torch.load brings where map_location says."""
        parts = self.detach().cpu(), self.dtype, "meta", self.requires_grad
        return torch._utils._rebuild_device_tensor_from_cpu_tensor, parts


def flat(args):
    """Returns the tensors among arguments, also those in lists."""
    found = []
    for value in args:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += flat(value)
    return found


def each(change, value):
    """Returns `value` with change(tensor) for each tensor in it, also those in lists."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)(each(change, part) for part in value)
    return value


def load(torch_load, file, map_location=None, **how):
    """torch.load, which can bring values to the stand-in too."""
    if map_location is None or torch.device(map_location).type != "meta":
        return torch_load(file, map_location=map_location, **how)
    content = torch_load(file, map_location="cpu", **how)
    return tree_map(lambda value: value.to("meta") if isinstance(value, torch.Tensor) else value, content)


def make_tensor(torch_tensor, content, device=None, **how):
    """torch.tensor, which makes a tensor on the CPU and brings it to its device."""
    made = torch_tensor(content, **how)
    return made if device is None else made.to(device)


class StandIn(TorchDispatchMode):
    """While it lasts, "meta" is a device that computes. waits: what the CPU had to wait for, and where in the project.

    Raises RuntimeError for an operation on tensors of two devices, where CUDA would.
    """

    def __init__(self):
        super().__init__()
        self.waits, self._patches = [], ExitStack()

    def __enter__(self):
        def patch(module, name, value):
            self._patches.enter_context(mock.patch.object(module, name, value))

        # As on CUDA, optimizers and clipping have ways for many tensors at a time.
        for kind in ("foreach", "fused"):
            name = f"_get_{kind}_kernels_supported_devices"
            devices = [*getattr(_foreach_utils, name)(), "meta"]
            for module in (optimizer, _foreach_utils):
                patch(module, name, lambda devices=devices: devices)
        for module in (optimizer, _foreach_utils):
            patch(module, "_foreach_supported_types", [*module._foreach_supported_types, DeviceTensor])
        patch(torch, "load", functools.partial(load, torch.load))
        patch(torch, "tensor", functools.partial(make_tensor, torch.tensor))
        return super().__enter__()

    def __exit__(self, *error):
        self._patches.close()
        return super().__exit__(*error)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        given = flat([*args, *kwargs.values()])
        ours = [tensor for tensor in given if isinstance(tensor, DeviceTensor)]
        others = [tensor for tensor in given if not isinstance(tensor, DeviceTensor)]
        if any(tensor.device.type == "meta" for tensor in others):
            raise RuntimeError(f"{operation}: a tensor of torch's own meta device, which has no values")
        on_device = bool(ours)
        if kwargs.get("device") is not None:
            on_device = kwargs["device"].type == "meta"
            kwargs["device"] = torch.device("cpu")
        if operation in COPIES:
            self.count_copy(operation, args, kwargs, on_device)
        elif ours or on_device:
            self.check_devices(operation, args, kwargs, ours, others)
            asks = any(tag in operation.tags for tag in ASKS)
            if operation in READS_INDICES:
                asks = any(index.dtype in (torch.bool, torch.uint8) for index in flat([args[1]])) or bool(others)
            if asks:
                self.count(operation)
        out = operation(*each(values_of, args), **{name: each(values_of, value) for name, value in kwargs.items()})
        if not on_device:
            return out
        changed = {id(tensor.values): tensor for tensor in ours}  # an operation in place returns what it was given
        return each(lambda tensor: changed[id(tensor)] if id(tensor) in changed else DeviceTensor(tensor), out)

    def count_copy(self, operation, args, kwargs, on_device):
        """A copy between devices waits, unless it goes to the stand-in and need not."""
        target, non_blocking = on_device, kwargs.get("non_blocking", False)
        if operation is aten.copy_.default:
            target, source = (isinstance(tensor, DeviceTensor) for tensor in args[:2])
            non_blocking = non_blocking or (len(args) > 2 and args[2])
        else:
            source = isinstance(args[0], DeviceTensor)
        if target != source and not (target and non_blocking):
            self.count(operation)

    def check_devices(self, operation, args, kwargs, ours, others):
        """Raises RuntimeError where CUDA would: numbers and indices may come from the CPU, and nothing else."""
        if kwargs.get("generator") is not None:
            raise RuntimeError(f"{operation}: a generator of the CPU for tensors of the stand-in")
        if operation in READS_INDICES:
            others = [tensor for tensor in others if all(tensor is not index for index in flat([args[1]]))]
        takes_numbers = torch.Tag.pointwise in operation.tags or operation in (*READS_INDICES, *TAKES_NUMBERS)
        changes_cpu = operation._schema.is_mutable and ours and not isinstance(flat(args)[0], DeviceTensor)
        if changes_cpu or any(tensor.dim() or not takes_numbers for tensor in others):
            raise RuntimeError(f"{operation}: tensors on the stand-in and on the CPU")
        if "_fused_" in str(operation):
            self.check_layouts(operation, args)

    def check_layouts(self, operation, args):
        """Raises RuntimeError as CUDA does where a fused optimizer gets a parameter's tensors in two memory layouts."""
        parameters, *others = (tensors for tensors in args if isinstance(tensors, (list, tuple)))
        for tensors in others:
            for parameter, tensor in zip(parameters, tensors):
                sides = zip(parameter.shape, parameter.stride(), tensor.stride())
                if tensor.shape == parameter.shape and any(size > 1 and one != other for size, one, other in sides):
                    strides = f"{parameter.stride()} and {tensor.stride()}"
                    raise RuntimeError(f"{operation}: a parameter and its tensors in two memory layouts, {strides}")

    def count(self, operation):
        """Adds an operation that waits to the list, with the line of the project that asked for it."""
        lines = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_stack()
                 if Path(frame.filename).is_relative_to(ROOT) and ".venv" not in frame.filename]
        lines = [line for line in lines if not line.startswith(("stand_in.py", "test_", "conftest.py"))]
        self.waits.append(f"{operation} at {lines[-1] if lines else 'the test'}")


def values_of(tensor):
    """The tensor on the CPU that an operation computes with."""
    return tensor.values if isinstance(tensor, DeviceTensor) else tensor
