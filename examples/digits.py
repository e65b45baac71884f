import torch

import neurodeploy as nd
from neurodeploy.layers import LIF

train, test = nd.load_data("digits/train.npz"), nd.load_data("digits/test.npz")
chip = nd.chip("xylo_audio3")
torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Linear(16, 100, bias=False),
    LIF(100, tau_mem=8, tau_syn=3, threshold=2.5, norm_input=False, rec_connect=torch.nn.Linear(100, 100, bias=False)),
    torch.nn.Linear(100, 10, bias=False),
    LIF(10, tau_mem=8, tau_syn=4, threshold=2.5, norm_input=False),
)
print(nd.check(model, chip))  # every limit, before any training is spent
model = nd.constrain(model, chip)  # decays, spike caps and delays of the chip, in float
nd.train(model, train, epochs=20)
quantized = nd.quantize(model, chip, calibration=train.input[:, :64], dt_s=train.dt_s)
placed = nd.map(quantized.network)
run = nd.simulate(placed.network, test.input)  # bit for bit
real = nd.evaluate(nd.run_model(model, test.input), test.label, latency=run.latency)
result = nd.evaluate(run, test.label, against=real)
print(f"float {real.accuracy:.1%}, integer {result.accuracy:.1%}, {len(result.disagreements)} decided otherwise")
nd.bundle(placed.network, test.input[:, :8], "digits/mine.nd", report=quantized.to_json())
print(nd.verify("digits/mine.nd"))
