"""Spares every Python that the tests start torch's compiler, which takes nearly as long to load as torch itself.

An optimizer loads torch._dynamo at its first step, only to tell it to leave that step alone; torchvision loads it to
ask whether an operation that nothing here uses could be compiled; the server of experiments/kills.py loads it for the
sake of optimizers. What they ask for stands here; nothing in this project is compiled. Whoever else loads it gets the
real one. Python loads this file when it starts, because conftest.py puts the folder of the tests into PYTHONPATH.
"""
import importlib.abc
import importlib.util
import sys
import types

NEED_NONE = ("torch/optim/optimizer.py", "torch/_compile.py", "torchvision/ops/roi_align.py",
             "multiprocessing/forkserver.py")


class WithoutCompiler(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds torch._dynamo and its utils for NEED_NONE, and makes modules of the functions that these call."""

    def find_spec(self, name, path=None, target=None):
        if name not in ("torch._dynamo", "torch._dynamo.utils"):
            return None
        frame = sys._getframe()
        while "importlib" in frame.f_code.co_filename or frame.f_code.co_filename == __file__:
            frame = frame.f_back
        if not frame.f_code.co_filename.endswith(NEED_NONE):
            return None
        return importlib.util.spec_from_loader(name, self, is_package=name == "torch._dynamo")

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.graph_break = lambda *_, **__: None
        module.disable = lambda function=None, *_, **__: function
        module.is_compile_supported = lambda *_: False
        return module

    def exec_module(self, module):
        """There is nothing to execute."""


sys.meta_path.insert(0, WithoutCompiler())
