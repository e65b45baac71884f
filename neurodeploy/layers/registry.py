"""Descriptions of layers: from a module to JSON and back, and the closed list of modules that can be described.

A description is ``{"class": name, "dtype": float type or None, "options": {...}}``. It holds every option and no
weights: ``build`` makes a module of the right classes, shapes and types whose numbers are placeholders that
``load_state_dict`` fills. Nothing of a description is ever executed: classes come from the two tables here.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import torch

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.layers.surrogates import build_surrogate

Description = Mapping[str, Any]
Layer = TypeVar("Layer", bound=type[torch.nn.Module])

#: Our layers by class name; ``register`` adds to it.
LAYERS: dict[str, type[torch.nn.Module]] = {}

MAX_DEPTH = 64  # levels of a description: about 20 Sequentials, one in the other
_DTYPES = {str(t).removeprefix("torch."): t for t in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}
_CONV = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
_POOL = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")


@dataclass(frozen=True)
class _Kind:
    """A torch module: its options, which are attributes of the same name, and whether it has a weight and a bias."""

    module: type[torch.nn.Module]
    options: tuple[str, ...]
    weighted: bool = False


#: torch's modules that can be deployed. The exact class counts: a subclass may compute anything.
TORCH: Mapping[str, _Kind] = MappingProxyType(
    {
        "Linear": _Kind(torch.nn.Linear, ("in_features", "out_features"), weighted=True),
        "Conv2d": _Kind(torch.nn.Conv2d, _CONV, weighted=True),
        "AvgPool2d": _Kind(torch.nn.AvgPool2d, _POOL),
        "Flatten": _Kind(torch.nn.Flatten, ("start_dim", "end_dim")),
        "Unflatten": _Kind(torch.nn.Unflatten, ("dim", "unflattened_size")),
        "Dropout": _Kind(torch.nn.Dropout, ("p", "inplace")),
        "Identity": _Kind(torch.nn.Identity, ()),
    }
)


def register(layer: Layer) -> Layer:
    """Class decorator: make a layer known by its name, so that its models can be saved and built again.

    The class needs ``describe()``, and a constructor that takes the described options under the same names.
    Raises Refusal (ND1603) if another class has the name.
    """
    name, known = layer.__name__, LAYERS.get(layer.__name__)
    other = known is not None and (known.__module__, known.__qualname__) != (layer.__module__, layer.__qualname__)
    if other or name in TORCH or name == "Sequential":
        raise Refusal(Fault("ND1603", f"register {name}", "the name is taken", "names of layers must differ"))
    LAYERS[name] = layer
    return layer


def unknown_modules(model: torch.nn.Module, where: str = "") -> list[Fault]:
    """Every module below a model that cannot be described, by name."""
    faults, seen = [], set[int]()
    for name, module in model.named_modules(remove_duplicate=False):
        place = ".".join(part for part in (where, name) if part) or "model"
        kind = type(module)
        if not _known(kind):
            was = f"a {kind.__module__}.{kind.__qualname__}"
            values = {"module": place, "class": kind.__name__}
            faults.append(Fault("ND1603", f"module {place}", was, f"it must be one of {_known_names()}", "", values))
        elif id(module) in seen and (kind.__name__ in LAYERS or next(module.parameters(), None) is not None):
            was, must = "the same module stands in the model twice", "each place needs a module of its own"
            faults.append(Fault("ND1603", f"module {place}", was, must, "copy it with copy.deepcopy(...)"))
        seen.add(id(module))
    return faults


def describe(module: torch.nn.Module) -> dict[str, Any]:
    """Describe a module and what it holds. Raises Refusal (ND1603) that names all unknown ones."""
    raise_if(unknown_modules(module))
    description = _describe(module)
    _check_depth(description)
    return description


def _describe(module: Any) -> dict[str, Any]:
    name = type(module).__name__
    if name in LAYERS:
        described: dict[str, Any] = module.describe()
        return described
    if name == "Sequential":
        layers = [{"name": at, **_describe(child)} for at, child in children(module)]
        return {"class": name, "dtype": None, "options": {"layers": layers}}
    options = {option: plain(getattr(module, option)) for option in TORCH[name].options}
    if not TORCH[name].weighted:
        return {"class": name, "dtype": None, "options": options}
    options["bias"] = module.bias is not None
    return {"class": name, "dtype": dtype_name(module.weight.dtype), "options": options}


def children(module: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    """Direct children in order, a repeated one each time."""
    found = module.named_modules(remove_duplicate=False)
    return [(name, child) for name, child in found if name and "." not in name]


def build(description: object, *, device: str = "cpu") -> torch.nn.Module:
    """Make the module of a description, with placeholders for its numbers; fill it with ``load_state_dict``.

    device : "meta" builds shapes without memory
    Raises Refusal: ND1603 for an unknown class, ND1401 for options that the class does not take.
    """
    _check_depth(description)
    return _build(description, device, "model")


def _build(description: object, device: str, where: str) -> torch.nn.Module:
    if not isinstance(description, Mapping) or not isinstance(description.get("options"), Mapping):
        raise Refusal(_malformed(where, "no description of a layer", "class, dtype and options"))
    name, options, dtype = description.get("class"), description["options"], description.get("dtype")
    if not isinstance(name, str) or name not in {*LAYERS, *TORCH, "Sequential"}:
        raise Refusal(Fault("ND1603", where, f"class {name!r}", f"it must be one of {_known_names()}"))
    place = f"{where} ({name})"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Initializing zero-element")  # torch's word on layers of size 0
            module = _make(name, options, device, _DTYPES.get(str(dtype)), where)
    except Refusal:
        raise
    except (TypeError, ValueError, RuntimeError, KeyError, OverflowError, MemoryError, UserWarning) as error:
        raise Refusal(_malformed(place, f"options cannot be taken ({error})", "those that this class has")) from None
    # whatever was lost, added or converted on the way shows in the description of what was built
    found, told = {**_describe(module)["options"], "dtype": _describe(module)["dtype"]}, {**options, "dtype": dtype}
    differing = sorted(key for key in {*found, *told} if key not in found or key not in told or found[key] != told[key])
    if differing:
        was = f"missing, unknown or of another meaning here: {', '.join(differing)}"
        raise Refusal(_malformed(place, was, "the options and the type that this class has"))
    return module


def _make(name: str, options: Description, device: str, dtype: torch.dtype | None, where: str) -> torch.nn.Module:
    if name == "Sequential":
        return _sequential(options, device, where)
    if name in LAYERS:
        typed = {"dtype": dtype, "device": device} if getattr(LAYERS[name], "weighted", False) else {}
        # placeholders are no values, which a neuron would check: they are filled in after it was made
        at = device if typed else "meta"
        made = LAYERS[name](**{k: _value(v, at, dtype, f"{where}.{k}") for k, v in options.items()}, **typed)
        return made if at == device else made._apply(lambda tensor: torch.ones_like(tensor, device=device))  # type: ignore[no-untyped-call] # noqa: SLF001 - torch's own way, as in to_empty
    kind = TORCH[name]
    form: dict[str, Any] = {"device": device, "dtype": dtype} if kind.weighted else {}
    return kind.module(**{key: _tuples(value) for key, value in options.items()}, **form)


def _sequential(options: Description, device: str, where: str) -> torch.nn.Module:
    model, names = torch.nn.Sequential(), set[str]()
    for entry in options["layers"]:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            raise Refusal(_malformed(where, "a layer without a name", "name, class, dtype and options"))
        if entry["name"] in names:
            raise Refusal(_malformed(where, f"two layers named {entry['name']!r}", "layers of different names"))
        names.add(entry["name"])
        layer = {key: value for key, value in entry.items() if key != "name"}
        model.add_module(entry["name"], _build(layer, device, f"{where}.{entry['name']}"))
    return model


def _value(value: Any, device: str, dtype: torch.dtype | None, where: str) -> Any:
    """Option of one of our layers: tensors stand as their shapes, surrogates and modules as descriptions."""
    if isinstance(value, Mapping):
        if set(value) == {"shape"}:
            return torch.ones(_tuples(value["shape"]), dtype=dtype, device=device)
        return _build(value, device, where) if "class" in value else build_surrogate(value)
    return _tuples(value)


def dtype_name(dtype: torch.dtype) -> str:
    """Name as it stands in descriptions: float32."""
    return str(dtype).removeprefix("torch.")


def _check_depth(description: object) -> None:
    level = [description]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for value in level
            if isinstance(value, Mapping | list)
            for child in (value.values() if isinstance(value, Mapping) else value)
        ]
    if level:
        raise Refusal(_malformed("model", "layers are nested too deeply", "fewer levels of torch.nn.Sequential"))


def _known(kind: type) -> bool:
    torch_kind = TORCH.get(kind.__name__)
    return kind in (torch.nn.Sequential, LAYERS.get(kind.__name__), torch_kind and torch_kind.module)


def _known_names() -> str:
    return ", ".join(sorted([*TORCH, *LAYERS, "Sequential"]))


def plain(value: object) -> object:
    """Option as JSON returns it: tuples are lists."""
    return [plain(part) for part in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


def _tuples(value: object) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value


def _malformed(where: str, was: str, must: str) -> Fault:
    return Fault("ND1401", where, was, f"it must have {must}")
