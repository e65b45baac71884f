"""Modules of other libraries by qualified class name: which one it is, and why some have no meaning here."""

from collections.abc import Mapping
from importlib import metadata
from types import MappingProxyType

import torch

from neurodeploy.errors import Fault
from neurodeploy.nir.presets import PRESETS

#: Package -> where its layers stand. Files below may differ between versions; the class counts.
LIBRARIES: Mapping[str, str] = MappingProxyType(
    {
        "sinabs": "sinabs",
        "snntorch": "snntorch._neurons",
        "norse": "norse.torch.module",
        "spikingjelly": "spikingjelly.activation_based",
    }
)
#: What a subclass may define without meaning anything else.
_HARMLESS = frozenset(
    {
        "__init__",
        "__module__",
        "__qualname__",
        "__doc__",
        "__dict__",
        "__weakref__",
        "__annotations__",
        "__parameters__",
    }
    | {"__firstlineno__", "__static_attributes__", "__orig_bases__", "__repr__", "extra_repr"}
)
_GATED = "its memory is gated, an LSTM, and no text of a neuron holds that"
_MORE = "it has a state more than our texts of these neurons hold"
#: Why a neuron has no layer here; others are refused without a reason of their own.
_REASONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "snntorch": {
            "SLSTM": _GATED,
            "SConv2dLSTM": _GATED,
            "LeakyParallel": "it computes all steps at once, without a reset",
            "StateLeaky": "it convolves all steps at once, without a reset",
            "LinearLeaky": "it convolves all steps at once, without a reset",
            "AssociativeLeaky": "it scans all steps at once, without a reset",
            "DeltaLeaky": "no text of ours holds its rule",
        },
        "norse": {
            **dict.fromkeys(("LIFRefracCell", "LIFRefracRecurrentCell"), "no text of ours has its refractory current"),
            **dict.fromkeys(("LIFAdEx", "LIFAdExCell", "LIFAdExRecurrent", "LIFAdExRecurrentCell"), _MORE),
            **dict.fromkeys(("LSNN", "LSNNCell", "LSNNRecurrent", "LSNNRecurrentCell"), _MORE),
            **dict.fromkeys(("Izhikevich", "IzhikevichCell", "IzhikevichRecurrent", "IzhikevichRecurrentCell"), _MORE),
            **dict.fromkeys(("LIFEx", "LIFExCell", "LIFExRecurrent", "LIFExRecurrentCell"), "its upswing has no text"),
            "CobaLIFCell": "its synapses are conductances",
            "LIFCorrelation": "it learns while it runs",
        },
        "spikingjelly": {
            "QIFNode": "its upswing has no text",
            "EIFNode": "its upswing has no text",
            "IzhikevichNode": _MORE,
            "KLIFNode": "no text of ours has its scaled charge",
            "CUBALIFNode": "its rule has not been measured",
            "PSN": "it weighs all steps at once, without a reset",
            "MaskedPSN": "it weighs all steps at once, without a reset",
            "SlidingPSN": "it weighs all steps at once, without a reset",
            "LIAFNode": "it returns values, not spikes",
        },
    }
)


def library_of(module: object) -> str:
    """Package of a module of one of the libraries, by the name of its class or of one it comes from; "" for others."""
    roots = (kind.__module__.partition(".")[0] for kind in type(module).__mro__)
    return next((root for root in roots if root in LIBRARIES), "")


def known_class(module: object) -> type | None:
    """Nearest class of a library that a module is an instance of."""
    return next((k for k in type(module).__mro__ if k.__module__.partition(".")[0] in LIBRARIES), None)


def class_name(module: object) -> str:
    """Name of the library's class, where it stands among the library's layers; "" elsewhere."""
    kind = known_class(module)
    if kind is None:
        return ""
    place = LIBRARIES[kind.__module__.partition(".")[0]]
    return kind.__qualname__ if f"{kind.__module__}.".startswith(f"{place}.") else ""


def qualified(module: object) -> str:
    """Name of the class with its package and file."""
    return f"{type(module).__module__}.{type(module).__qualname__}"


def change_faults(module: torch.nn.Module, where: str) -> list[Fault]:
    """What keeps an instance from computing what the library's class computes: overridden methods, hooks."""
    known, faults = known_class(module), list[Fault]()
    changed = [] if "forward" not in vars(module) else ["forward"]
    for kind in type(module).__mro__:
        if kind is known:
            break
        changed += [name for name in vars(kind) if name not in _HARMLESS and hasattr(known, name)]
    if changed and known is not None:
        was = f"a {qualified(module)} with its own {', '.join(sorted(set(changed)))}"
        must = f"what {known.__module__}.{known.__qualname__} computes: what a subclass changes may mean anything"
        faults.append(Fault("ND1603", where, was, must, "use the library's class itself"))
    hooks = module._forward_hooks or module._forward_pre_hooks  # noqa: SLF001 - torch has no public way to ask
    if hooks:
        was, todo = f"a {type(module).__name__} with forward hooks", "remove the hooks (parametrizations, pruning)"
        faults.append(Fault("ND1603", where, was, "modules that compute what their class computes", todo))
    return faults


def unknown_fault(module: torch.nn.Module, where: str, known: str) -> Fault:
    """A module that has no meaning here, by name, with the reason where there is one."""
    reason = _REASONS.get(library_of(module), {}).get(class_name(module), "")
    was = f"a {qualified(module)}" + (f": {reason}" if reason else "")
    return Fault("ND1603", where, was, f"one of {known}", "", {"class": type(module).__name__})


def version_note(library: str) -> str:
    """Which version the meaning of a library's layers was measured with, and which one is installed."""
    measured = PRESETS[library].source
    try:
        found = metadata.version(library)
    except metadata.PackageNotFoundError:
        return f"{library}: read as {measured}; its version here is unknown"
    same = measured.endswith(f" {found}")
    return f"{library}: read as {measured}" + (
        "" if same else f", and {found} is installed: compare the spikes of both"
    )
