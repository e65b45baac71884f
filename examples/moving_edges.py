import numpy as np
import torch

import neurodeploy as nd
from neurodeploy.layers import IAF, PerStep

chip = nd.chip("speck2f")
torch.manual_seed(0)
rng = np.random.default_rng(0)
label, place, step = np.arange(160) % 2, rng.integers(0, 4, 160), np.arange(12)
counts = (rng.random((12, 160, 2, 12, 12)) < 0.01).astype(np.uint8)
for sample in range(160):  # an edge that moves right, or one that moves down
    for t in step[: 12 - place[sample]]:
        front = (slice(None), t + place[sample]) if label[sample] == 0 else (t + place[sample], slice(None))
        counts[(t, sample, 0, *front)] = 1
counts = counts.reshape(12, 160, 288)
train = nd.data(counts[:, :120], layout="time,batch,channel", dt_s=1e-3, label=label[:120])
neurons = {"threshold": 0.2, "v_min": -0.2}  # reset by subtraction, no leak: what the chip has
model = torch.nn.Sequential(
    torch.nn.Unflatten(2, (2, 12, 12)),
    PerStep(torch.nn.Conv2d(2, 8, 3, padding=1, bias=False)),
    IAF((8, 12, 12), **neurons),
    PerStep(torch.nn.AvgPool2d(2)),
    PerStep(torch.nn.Conv2d(8, 8, 3, padding=1, bias=False)),
    IAF((8, 6, 6), **neurons),
    torch.nn.Flatten(2),
    torch.nn.Linear(288, 2, bias=False),
    IAF(2, **neurons),
)
print(nd.check(model, chip))
nd.train(model, train, epochs=15)
converted = nd.convert(nd.constrain(model, chip), chip, calibration=train.input[:, :32], dt_s=train.dt_s)
run = nd.simulate(converted.network, counts[:, 120:])
real = nd.evaluate(nd.run_model(model, counts[:, 120:]), label[120:], latency=run.latency)
result = nd.evaluate(run, label[120:], against=real)
print(f"float {real.accuracy:.1%}, integer {result.accuracy:.1%}, {len(result.disagreements)} decided otherwise")
nd.bundle(converted.network, counts[:, 120:124], "edges.nd")
print(nd.verify("edges.nd"))
