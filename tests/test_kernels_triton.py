"""Kernels for a GPU against the looped torch executor, without a GPU: Triton interprets the code that it would compile.

What is interpreted is also compiled, down to machine code of a device that is not here. Nothing is timed.
"""

import re

import numpy as np
import pytest
import torch
from kernel_comparison import BATCH, TOLERANCE, T, compare, everything, firing
from neuron_variants import N, neuron_classes, said, variants

from neurodeploy import generated
from neurodeploy.errors import Refusal
from neurodeploy.kernels import sequence, triton_call
from neurodeploy.kernels.series import constants_of
from neurodeploy.kernels.triton_call import LANES, signature_of
from neurodeploy.kernels.triton_source import _HEAD, _ROUNDED
from neurodeploy.layers import IAF, LIF, Leaky, Neuron, executors
from neurodeploy.layers.surrogates import SURROGATES, SingleExponential

torch.set_num_threads(1)

CASES = [(kind, options) for kind in neuron_classes() for options in variants(kind)]
#: CI interprets every second option; all of them are compiled by numba and run as Python elsewhere
OPTIONS = [pytest.param(*case, marks=pytest.mark.long if i % 2 else pytest.mark.slow) for i, case in enumerate(CASES)]
NAMES = [f"{kind.__name__}-{said(options)}" for kind, options in CASES]
#: every neuron with every surrogate and type; CI takes one type of each pair, in turn, and leaves the other to a hand
GRADIENTS = [
    pytest.param(kind, surrogate, dtype, marks=pytest.mark.slow if (i + j + k) % 2 else pytest.mark.long)
    for i, kind in enumerate(neuron_classes())
    for j, surrogate in enumerate(SURROGATES.values())
    for k, dtype in enumerate(TOLERANCE)
]
#: functions that no registered neuron has in its step
FUNCTIONS = """
rise = width * exp((min(v, 2) - 0.5) / width) + round(3 * x) * 0.01 + floor(2 * v) * 0.01
if wait <= 0:
    v = v + 0.1 * (rise - v + expm1(0.1 * x) + x * exp2(-abs(v)))
spike = count_above(max(v, -1), threshold)
wait = hold if spike > 0 and not v > 3 else max(wait - 1, 0)
v = v - detach(spike) * (threshold if v > 0.1 or v < -0.3 else 0.5) + log2(1 + width / (2 - 1))
"""


class Functions(Neuron):
    step = FUNCTIONS

    def __init__(self, shape, **more):
        tensors = {"width": torch.full((N,), 0.4), "threshold": torch.tensor(1.0)}
        states = {"v": 0.0, "wait": 0.0}
        super().__init__((shape,), states=states, tensors=tensors, numbers={"hold": 2}, options={}, **more)


@pytest.fixture(autouse=True)
def fresh():
    triton_call.has_triton.cache_clear()
    sequence._kernels.cache_clear()
    yield
    triton_call.has_triton.cache_clear()
    sequence._kernels.cache_clear()


@pytest.fixture
def interpreted(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with np.errstate(all="ignore"):  # it computes with NumPy, which warns where a device would not
        yield


@pytest.mark.triton
@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=NAMES)
def test_every_option_of_every_neuron_runs_alike_interpreted(kind, options):
    compare(kind, options, None, torch.float32, executor="triton")  # options in float64: those with every surrogate


@pytest.mark.triton
@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize(("kind", "surrogate", "dtype"), GRADIENTS, ids=lambda of: getattr(of, "__name__", str(of)))
def test_every_surrogate_of_every_neuron_has_the_gradient_of_the_torch_executor(kind, surrogate, dtype):
    _, moved = compare(kind, variants(kind)[-1], surrogate(), dtype, executor="triton")
    assert moved >= 2


@pytest.mark.triton
@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("kind", neuron_classes(), ids=lambda kind: kind.__name__)
def test_every_neuron_fires_alike_interpreted(kind):
    spikes, moved = compare(kind, firing(kind), None, torch.float64, fire=True, executor="triton")
    assert spikes > 0
    assert moved >= 2


@pytest.mark.triton
@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_every_function_of_the_language_runs_alike_interpreted(dtype):
    spikes, moved = compare(Functions, {}, SingleExponential(), dtype, executor="triton")
    assert spikes > 0
    assert moved >= 4


ALONE = """

@triton.jit
def run(x, y, LANES: tl.constexpr):
    at = tl.arange(0, LANES)
    tl.store(y + at, _{name}(tl.load(x + at)))
"""


@pytest.mark.triton
@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", ["exp", "exp2", "expm1", "round", "floor", "ceil"])
def test_a_function_is_exact_to_one_and_a_half_epsilon(name, dtype):
    x = torch.cat([torch.linspace(-2, 2, 2001), torch.linspace(-80, 80, 2093), torch.tensor([0.5, -2.5])]).to(dtype)
    code = _HEAD + _ROUNDED.format(**constants_of(str(dtype).removeprefix("torch."))) + ALONE.format(name=name)
    y = torch.empty_like(x)
    generated.module_in_memory(code).run[(1,)](x, y, LANES=len(x))
    right = getattr(torch, name)(x.double())
    allowed = 1.5 * torch.finfo(dtype).eps * right.abs().clamp(min=torch.finfo(dtype).tiny)
    assert ((y.double() - right).abs() <= allowed).all()
    assert (y == y.round()).all() == (name in {"round", "floor", "ceil"})


@pytest.mark.triton
@pytest.mark.usefixtures("interpreted")
def test_a_layer_of_several_programs_runs_alike_interpreted():
    shape = (3, LANES // BATCH // 2)  # one program and a half
    compare(LIF, {"tau_mem": 5.0, "tau_syn": 3.0}, None, torch.float32, shape, executor="triton")


@pytest.mark.triton
@pytest.mark.usefixtures("interpreted")
def test_without_gradients_nothing_is_saved(monkeypatch):
    made = []
    right = sequence.triton_source

    def spy(*given, **options):
        made.append(right(*given, **options))
        return made[-1]

    monkeypatch.setattr(sequence, "triton_source", spy)
    layer, twin = Leaky(N, 0.9, executor="triton"), Leaky(N, 0.9)
    x = torch.rand(T, BATCH, N)
    assert torch.equal(layer(x), twin(x))
    (source,) = made
    assert list(source.functions) == ["forward"]
    assert "save" not in source.code


@pytest.mark.triton
@pytest.mark.usefixtures("interpreted")
def test_an_optimizer_may_change_a_parameter_between_the_passes():
    x, gradients = torch.rand(T, BATCH, N), []
    for threshold in (torch.tensor(0.8), torch.full((N,), 0.8)):
        for executor in ("torch", "triton"):
            layer = Leaky(N, 0.9, threshold=threshold.clone(), train=("threshold",), executor=executor)
            spikes = layer(x).sum()
            if executor == "triton":
                with torch.no_grad():
                    layer.threshold.fill_(0.5)
            spikes.backward()
            gradients.append(layer.threshold.grad)
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-5)
    assert torch.allclose(gradients[2], gradients[3], rtol=1e-5)
    assert gradients[2].abs().min() > 0


@pytest.mark.triton
@pytest.mark.usefixtures("interpreted")
def test_equal_texts_share_one_compiled_source():
    x = torch.rand(T, BATCH, N)
    for _ in range(2):
        IAF(N, executor="triton")(x)
    assert sequence._kernels.cache_info().currsize == 1


# compiled for a device that is not here

#: a product and a sum that are rounded once, approximations, tiny numbers that become 0
INEXACT = re.compile(r"\bfma\b|\w+[.\w]*\.approx\S*|\w+[.\w]*\.ftz\S*|div\.full\S*")


def compiled(kind, options, surrogate, dtype, monkeypatch):
    """Both kernels of a layer, all of whose numbers are trained, as assembler text of a device."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    class Stop(Exception):
        pass

    made = []

    def keep(source):
        made.append(source)
        raise Stop

    layer = kind(N, **options).to(dtype)
    layer.surrogate, layer.executor = surrogate or layer.surrogate, "triton"
    for name in layer._tensors:
        getattr(layer, name).requires_grad_()
    with monkeypatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        patch.setattr(sequence, "Jitted", keep)
        with pytest.raises(Stop):
            everything(layer, "triton", dtype)
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    functions, texts = triton_call.Jitted(made[0]), []
    for name in made[0].functions:
        source = ASTSource(functions.function(name), signature_of(made[0], name), {"LANES": LANES})
        found = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"enable_fp_fusion": False})
        assert len(found.asm["cubin"]) > 0
        texts.append(found.asm["ptx"])
    return texts


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


@pytest.mark.triton
@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("kind", neuron_classes(), ids=lambda kind: kind.__name__)
def test_every_neuron_compiles_for_a_device_and_rounds_as_written(kind, dtype, monkeypatch):
    texts = compiled(kind, variants(kind)[-1], None, dtype, monkeypatch)
    assert len(texts) == 2
    assert [INEXACT.findall(text) for text in texts] == [[], []]


@pytest.mark.triton
@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("surrogate", SURROGATES.values(), ids=list(SURROGATES))
def test_every_surrogate_compiles_for_a_device_and_rounds_as_written(surrogate, dtype, monkeypatch):
    texts = compiled(LIF, {"tau_mem": 5.0}, surrogate(), dtype, monkeypatch)
    assert [INEXACT.findall(text) for text in texts] == [[], []]


@pytest.mark.triton
@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_every_function_of_the_language_compiles_for_a_device(dtype, monkeypatch):
    texts = compiled(Functions, {}, SingleExponential(), dtype, monkeypatch)
    # the logarithm alone is the device's own
    assert {word for text in texts for word in INEXACT.findall(text) if "lg2" not in word} == set()


# the choice


def on_a_gpu(layer, monkeypatch, *, triton):
    """Whether kernels take a call whose input lies on a GPU: a tensor without memory, as none is here."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    monkeypatch.setattr(executors, "has_triton", lambda: triton)
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.empty(T, BATCH, N, device="cuda")
        for name in layer._tensors:
            monkeypatch.setitem(layer._buffers, name, torch.empty(N, device="cuda"))
        monkeypatch.setattr(executors, "_is_plain", lambda _: True)
        return executors.takes_kernels(layer, x, auto=1)


def test_on_a_gpu_auto_takes_triton_where_it_is_there(monkeypatch):
    monkeypatch.setattr(executors, "has_numba", lambda: False)
    assert on_a_gpu(Leaky(N, 0.9), monkeypatch, triton=True)
    assert not on_a_gpu(Leaky(N, 0.9), monkeypatch, triton=False)
    assert not on_a_gpu(Leaky(N, 0.9, executor="torch"), monkeypatch, triton=True)


def test_on_a_gpu_recurrent_layers_stay_with_torch(monkeypatch):
    layer = Leaky(N, 0.9, rec_connect=torch.nn.Linear(N, N))
    assert not on_a_gpu(layer, monkeypatch, triton=True)
    layer.executor = "triton"
    with pytest.raises(Refusal, match="it cannot run rec_connect: between two steps of a recurrent layer"):
        on_a_gpu(layer, monkeypatch, triton=True)


def test_triton_takes_the_processor_only_where_it_interprets(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(Refusal, match="executor is 'triton'; it cannot run a tensor of float32 on cpu"):
        Leaky(N, 0.9, executor="triton")(torch.ones(2, 1, N))


def test_without_triton_the_executor_is_named_with_its_extra(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(triton_call.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(Refusal, match=r'pip install "neurodeploy\[gpu\]"'):
        Leaky(N, 0.9, executor="triton")(torch.ones(2, 1, N))


def test_without_triton_one_line_is_logged(monkeypatch, caplog):
    monkeypatch.setattr(triton_call.importlib.util, "find_spec", lambda _name: None)
    with caplog.at_level("INFO", "neurodeploy"):
        assert not triton_call.has_triton()
        assert not triton_call.has_triton()
    assert [record.name for record in caplog.records] == ["neurodeploy"]
    assert "neurodeploy[gpu]" in caplog.text


@pytest.mark.triton
def test_without_a_device_the_log_says_why(monkeypatch, caplog):
    if torch.cuda.is_available():
        pytest.skip("a device is here")
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with caplog.at_level("WARNING", "neurodeploy"):
        assert not triton_call.has_triton()
    assert "layers run step by step, as triton finds no device" in caplog.text
