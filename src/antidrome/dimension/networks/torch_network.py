"""PyTorch modules, read by forward hooks: one pass, evaluation mode, nothing left behind."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from antidrome.dimension.networks.steps import (
    Batch,
    Kind,
    Sink,
    Step,
    as_activations,
    label_of,
    nth_call,
    path_of,
)
from antidrome.errors import InputError

SIDE_BRANCHES = frozenset({"downsample", "shortcut"})


class TorchNetwork:
    """A `torch.nn.Module`.

    The module runs as it is, on its own device and in its own precision, in evaluation mode (modes are restored) and
    without gradients. Values are copied inside the hook, so that a later in-place operation does not change them.

    Parameters
    ----------
    module
        The module.
    """

    framework = "torch"

    def __init__(self, module: Any) -> None:
        self.module = _plain(module)

    def steps(self, batch: Batch) -> list[Step]:
        """The places that can be read: every called module, what enters each linear layer, input and output."""
        recorder = _Prober(self.module)
        self._forward(batch, recorder.hooks())
        steps = recorder.steps
        if not isinstance(batch, Mapping):
            steps = [Step.of("input", "input", as_activations(batch, "input"), 0), *steps]
        return [step for step in steps if step.shape is not None]

    def run(self, batch: Batch, names: Sequence[str], sink: Sink) -> None:
        """Run `batch`; each named place is given to `sink` as soon as it exists."""
        if "input" in names:
            sink("input", as_activations(batch, "input"))
        self._forward(batch, _reading_hooks(self.module, set(names), sink))

    def fingerprint(self) -> str:
        """Hash of the printed structure and of every parameter and buffer."""
        digest = hashlib.blake2b(repr(self.module).encode(), digest_size=16)
        for name, value in sorted(self.module.state_dict().items()):
            if hasattr(value, "detach"):
                digest.update(name.encode())
                digest.update(_raw_bytes(value))
        return digest.hexdigest()

    def _forward(self, batch: Batch, hooks: list[tuple[Any, str, Callable]]) -> None:
        import torch

        with contextlib.ExitStack() as stack:
            stack.enter_context(_evaluating(self.module))
            for module, when, hook in hooks:
                register = module.register_forward_pre_hook if when == "before" else module.register_forward_hook
                handle = register(hook, with_kwargs=True)
                stack.callback(handle.remove)
            stack.enter_context(torch.no_grad())
            given = _as_tensors(batch, self.module)
            try:
                self.module(**given) if isinstance(given, dict) else self.module(given)
            except (RuntimeError, TypeError, ValueError) as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(
                    f"The network could not be run on a batch of {_describe(batch)}: {error}. Data need the shape"
                    " (rows, …) that the network takes, preprocessed as for its training."
                ) from error


class _Prober:
    """Finds out what a module calls, in which order, and what comes out."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.kinds = _kinds(root)
        self.steps: list[Step] = []
        self.calls: dict[str, int] = {}
        self.n_weighted = 0

    def hooks(self) -> list[tuple[Any, str, Callable]]:
        import torch

        hooks = []
        for name, module in self.root.named_modules():
            if _normalises_by_batch(module):
                hooks.append((module, "before", _refusing(name)))
            if isinstance(module, torch.nn.Linear):
                hooks.append((module, "before", self._before(name)))
            hooks.append((module, "after", self._after(name, module)))
        return hooks

    def _before(self, name: str) -> Callable:
        def hook(module: Any, arguments: tuple, keywords: dict) -> None:
            n_calls = self.calls.get(name, 0) + 1
            self._add(f"{_numbered(name, n_calls)}:input", "other", (arguments, keywords), name)

        return hook

    def _after(self, name: str, module: Any) -> Callable:
        weighted = _has_weights(module) and not SIDE_BRANCHES & set(name.split("."))

        def hook(module: Any, arguments: tuple, keywords: dict, output: Any) -> None:
            self.calls[name] = self.calls.get(name, 0) + 1
            self.n_weighted += weighted
            self._add(_numbered(name, self.calls[name]), self.kinds[name][0], output, name)

        return hook

    def _add(self, label: str, kind: Kind, value: Any, name: str) -> None:
        tensor = _first_tensor(value)
        if tensor is None or tensor.ndim == 0 or tensor.is_complex():
            return
        inside = self.kinds[name][1]
        self.steps.append(Step.of(label, kind, _as_numpy(tensor), self.n_weighted, inside_block=inside))


def _reading_hooks(root: Any, names: set[str], sink: Sink) -> list[tuple[Any, str, Callable]]:
    hooks, calls = [], {}
    wanted = {path_of(name) for name in names}

    def before(name: str) -> Callable:
        def hook(module: Any, arguments: tuple, keywords: dict) -> None:
            label = f"{_numbered(name, calls.get(name, 0) + 1)}:input"
            if label in names:
                sink(label, _as_numpy(_first_tensor((arguments, keywords))))

        return hook

    def after(name: str) -> Callable:
        def hook(module: Any, arguments: tuple, keywords: dict, output: Any) -> None:
            calls[name] = calls.get(name, 0) + 1
            label = _numbered(name, calls[name])
            if label in names:
                sink(label, _as_numpy(_first_tensor(output)))

        return hook

    for name, module in root.named_modules():
        if name in wanted:
            hooks += [(module, "before", before(name)), (module, "after", after(name))]
    return hooks


def _normalises_by_batch(module: Any) -> bool:
    """Whether it is a batch normalisation that takes its statistics from the batch, also in evaluation mode."""
    from torch.nn.modules.batchnorm import _BatchNorm

    return isinstance(module, _BatchNorm) and module.running_mean is None and module.running_var is None


def _refusing(name: str) -> Callable:
    """A hook that refuses a batch normalisation without statistics of its own."""

    def hook(module: Any, arguments: tuple, keywords: dict) -> None:
        raise InputError(
            f"Module {label_of(name)!r} ({type(module).__name__}) keeps no running statistics"
            " (track_running_stats=False): it normalises by the rows of each batch, so that activations would change"
            " with batch_size. Give it running statistics (track_running_stats=True, then run training data through the"
            " network in training mode), or give activations as a mapping of layer names to arrays."
        )

    return hook


def _plain(module: Any) -> Any:
    """The module that was compiled or spread over devices; what is left of its layers can be hooked."""
    import torch

    module = getattr(module, "_orig_mod", module)
    if isinstance(module, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        module = module.module
    if isinstance(module, torch.jit.ScriptModule):
        raise InputError(
            "A TorchScript module runs without calling its layers from Python, so that they cannot be read. Give the"
            " module that it was made from, or an ONNX file."
        )
    return module


def _numbered(name: str, n_calls: int) -> str:
    return nth_call(label_of(name), n_calls)


def _kinds(root: Any) -> dict[str, tuple[Kind, bool]]:
    """For each module its kind, and whether it lies inside a repeated block."""
    import torch

    modules = dict(root.named_modules())
    composite = [name for name in modules if _is_composite(modules, name)]
    classes = Counter(type(modules[name]) for name in composite)
    blocks = {name for name in composite if classes[type(modules[name])] > 1}
    stages = {name for name in modules if name and _is_stage(modules, name, blocks)}
    many_stages = len(stages) > 1
    kinds: dict[str, tuple[Kind, bool]] = {}
    for name, module in modules.items():
        inside = any(name.startswith(f"{block}.") for block in blocks)
        kind: Kind = "weighted" if _has_weights(module) else "other"
        if name == "":
            kind = "output"
        elif isinstance(module, torch.nn.Linear):
            kind = "linear"
        elif "Pool" in type(module).__name__ and not list(module.children()):
            kind = "pool"
        elif name in stages and many_stages:
            kind = "stage"
        elif name in blocks:
            kind = "block"
        kinds[name] = (kind, inside)
    return kinds


def _is_composite(modules: Mapping[str, Any], name: str) -> bool:
    """A module of several parts, with weights, that a list or a sequence holds; two of a class are repeated blocks."""
    import torch

    if not name:
        return False
    module, parent = modules[name], modules.get(name.rpartition(".")[0])
    containers = (torch.nn.Sequential, torch.nn.ModuleList)
    composite = bool(list(module.children())) and not isinstance(module, containers)
    return composite and isinstance(parent, containers) and any(True for _ in module.parameters())


def _is_stage(modules: Mapping[str, Any], name: str, blocks: set[str]) -> bool:
    """A sequence of nothing but blocks."""
    import torch

    children = [f"{name}.{child}" for child, _ in modules[name].named_children()]
    return isinstance(modules[name], torch.nn.Sequential) and bool(children) and all(c in blocks for c in children)


def _has_weights(module: Any) -> bool:
    return any(value is not None and value.ndim >= 2 for value in module._parameters.values())


def _first_tensor(value: Any) -> Any:
    """The first tensor in what a module takes or gives (a tuple, a dictionary, an output object)."""
    import torch

    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, Mapping):
        value = list(value.values())
    elif hasattr(value, "__dataclass_fields__"):
        value = [getattr(value, name) for name in value.__dataclass_fields__]
    if isinstance(value, list | tuple):
        found = (_first_tensor(item) for item in value)
        return next((tensor for tensor in found if tensor is not None), None)
    return None


def _as_numpy(tensor: Any) -> np.ndarray:
    """A copy of a tensor on the host: float32 (float64 stays), whatever happens to the tensor later."""
    import torch

    tensor = tensor.detach()
    if tensor.is_sparse:
        tensor = tensor.to_dense()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    return np.array(tensor.cpu().contiguous().numpy(), copy=True)


def _raw_bytes(tensor: Any) -> bytes:
    import torch

    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _as_tensors(batch: Batch, module: Any) -> Any:
    import torch

    parameter = next((p for p in module.parameters() if p.is_floating_point()), None)

    def convert(values: np.ndarray) -> Any:
        tensor = torch.from_numpy(np.array(values, copy=True, order="C"))
        if parameter is None:
            return tensor
        return tensor.to(parameter.device, parameter.dtype if tensor.is_floating_point() else tensor.dtype)

    return {k: convert(v) for k, v in batch.items()} if isinstance(batch, Mapping) else convert(batch)


@contextlib.contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Evaluation mode for all submodules, and back to each one's own."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def _describe(batch: Batch) -> str:
    if isinstance(batch, Mapping):
        return ", ".join(f"{name} {np.shape(values)}" for name, values in batch.items())
    return f"shape {np.shape(batch)}"
