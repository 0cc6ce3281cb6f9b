"""Writes attributions.json: what captum makes of a small net, in f64.
Needs torch 2.15.0 and captum 0.9.0."""

import json
import pathlib

import torch
from captum.attr import InputXGradient, IntegratedGradients, Occlusion, Saliency


def main():
    torch.manual_seed(4)
    torch.set_default_dtype(torch.float64)
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    # Numbers that f32 holds, so that both sides have the same net.
    for parameter in net.parameters():
        parameter.data = (parameter.data * 1024).round() / 512
    rows = (torch.randn(5, 6) * 256).round() / 256
    baseline = torch.tensor([[0.25, -0.5, 0.0, 1.0, 0.125, -1.0]])
    targets = torch.tensor([0, 1, 2, 0, 1])
    found = {
        "saliency": Saliency(net).attribute(rows, target=targets),
        "gradient_times_input": InputXGradient(net).attribute(rows, target=targets),
        "occlusion": Occlusion(net).attribute(
            rows, sliding_window_shapes=(2,), strides=(1,), target=targets, baselines=0.75
        ),
    }
    path = IntegratedGradients(net)
    for method, steps in [("gausslegendre", 20), ("riemann_middle", 40)]:
        found[f"integrated_gradients_{method}_{steps}"] = path.attribute(
            rows, baselines=baseline, target=targets, method=method, n_steps=steps
        )
    first, second = net[0], net[2]
    content = {
        # As wgrad has them: from inputs to outputs.
        "weights": [first.weight.T, first.bias, second.weight.T, second.bias],
        "rows": rows,
        "baseline": baseline[0],
        "targets": targets,
        **found,
    }

    def flat(value):
        if isinstance(value, list):
            return [flat(one) for one in value]
        return value.detach().flatten().tolist()

    path = pathlib.Path(__file__).parent / "attributions.json"
    path.write_text(json.dumps({name: flat(value) for name, value in content.items()}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
