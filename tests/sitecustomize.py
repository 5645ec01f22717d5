"""Spares every Python that the tests start torch's compiler, which takes nearly as long to load as torch itself.

An optimizer loads torch._dynamo at its first step, only to tell it to leave that step alone. What it asks for stands
here; nothing in this project is compiled. Whoever else loads it, as torchvision does, gets the real one. Python loads
this file when it starts, because conftest.py puts the folder of the tests into PYTHONPATH.
"""
import importlib.abc
import importlib.util
import sys
import types

OPTIMIZERS = ("torch/optim/optimizer.py", "torch/_compile.py")


class WithoutCompiler(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds torch._dynamo for optimizers, and makes a module of the two functions that they call."""

    def find_spec(self, name, path=None, target=None):
        if name != "torch._dynamo":
            return None
        frame = sys._getframe()
        while "importlib" in frame.f_code.co_filename or frame.f_code.co_filename == __file__:
            frame = frame.f_back
        if not frame.f_code.co_filename.endswith(OPTIMIZERS):
            return None
        return importlib.util.spec_from_loader(name, self)

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.graph_break = lambda *_, **__: None
        module.disable = lambda function=None, *_, **__: function
        return module

    def exec_module(self, module):
        """There is nothing to execute."""


sys.meta_path.insert(0, WithoutCompiler())
