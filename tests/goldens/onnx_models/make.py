"""Nets that PyTorch, Keras and scikit-learn train and write as ONNX, with inputs and what onnxruntime makes of them.

    pip install -r requirements.txt && python make.py

writes NAME.onnx and outputs.json beside this file. The data is random; nothing of anybody's is in it.
"""
import json
import os
import sys
import warnings
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"
warnings.simplefilter("ignore")

import numpy as np
import onnx
import onnxruntime
import torch

HERE = Path(__file__).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)
X = (rng.normal(size=(60, 6)) * [1, 2, 3, 1, 5, 0.5] + [0, 1, -2, 3, 10, 0]).astype(np.float32)
VALUES = (X[:, 0] * X[:, 1] - X[:, 3]).astype(np.float32)
CLASSES = (X[:, 0] + X[:, 2] > -2).astype(int) + (X[:, 1] > 2).astype(int)
outputs = {}


def keep(name, rows, which=0):
    """Notes what onnxruntime makes of some rows."""
    path = HERE / f"{name}.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    result = session.run(None, {session.get_inputs()[0].name: rows})[which]
    outputs[name] = {"input": rows.ravel().tolist(), "output": np.asarray(result).ravel().tolist()}
    print(name, [node.op_type for node in model.graph.node], path.stat().st_size)


def pytorch(name, net, row=(6,)):
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean = torch.randn(module.num_features)
            module.running_var = torch.rand(module.num_features) + 0.5
            module.weight.data = torch.randn(module.num_features)
            module.bias.data = torch.randn(module.num_features)
    net.eval()
    rows = X[:5] if row == (6,) else rng.normal(size=(5, *row)).astype(np.float32)
    path = str(HERE / f"{name}.onnx")
    torch.onnx.export(net, (torch.tensor(rows),), path, dynamo=False, opset_version=17,
                      input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})
    keep(name, rows)


nn = torch.nn
pytorch("pytorch_relu", nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)))
pytorch("pytorch_batch_norm", nn.Sequential(
    nn.BatchNorm1d(6), nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.LeakyReLU(0.2), nn.Linear(8, 1)))
pytorch("pytorch_flatten_gelu", nn.Sequential(
    nn.Flatten(), nn.Linear(12, 7), nn.GELU(), nn.Dropout(0.5), nn.Linear(7, 3), nn.Softmax(dim=1)), (1, 3, 4))
pytorch("pytorch_silu_elu", nn.Sequential(
    nn.Linear(6, 5), nn.SiLU(), nn.Linear(5, 4), nn.ELU(0.7), nn.Linear(4, 4), nn.PReLU(), nn.Linear(4, 1), nn.Sigmoid()))
pytorch("pytorch_tanh_hard_swish", nn.Sequential(
    nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Hardswish(), nn.Linear(4, 4), nn.Softplus(), nn.Linear(4, 2)))

from safetensors.torch import save_file

torch.manual_seed(1)
net = nn.Sequential()
for place, units in enumerate([(6, 3)] + [(3, 3)] * 10):
    net.append(nn.Linear(*units))
net.append(nn.LayerNorm(3))
save_file(net.state_dict(), HERE / "pytorch.safetensors")
outputs["pytorch.safetensors"] = {
    "input": X[:5].ravel().tolist(), "output": net(torch.tensor(X[:5])).ravel().tolist()}

import keras

keras.utils.set_random_seed(0)


def keras_net(name, layers):
    net = keras.Sequential([keras.Input((6,)), *layers])
    for layer in net.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.adapt(X)
    net.compile(loss="mse", optimizer="adam")
    net.fit(X, VALUES, epochs=2, verbose=0)
    net.export(str(HERE / f"{name}.onnx"), format="onnx", verbose=False)
    keep(name, X[:5])


L = keras.layers
keras_net("keras_relu", [L.Dense(8, activation="relu"), L.Dropout(0.3), L.Dense(1)])
keras_net("keras_batch_normalization", [
    L.Dense(8), L.BatchNormalization(), L.Activation("tanh"), L.Dense(4, activation="sigmoid"), L.Dense(1)])

from skl2onnx import to_onnx
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def scikit_learn(name, net, target, which):
    pipeline = make_pipeline(StandardScaler(), net)
    pipeline.fit(X, target)
    options = {id(net): {"zipmap": False}} if which else None
    model = to_onnx(pipeline, X[:1], options=options, target_opset=17)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())
    keep(name, X[:5], which)


def settings(activation):
    return dict(hidden_layer_sizes=(7,), activation=activation, max_iter=30, random_state=0)


scikit_learn("sklearn_regressor", MLPRegressor(**settings("relu")), VALUES, 0)
scikit_learn("sklearn_classifier_tanh", MLPClassifier(**settings("tanh")), CLASSES, 1)
scikit_learn("sklearn_classifier_logistic", MLPClassifier(**settings("logistic")), CLASSES, 1)
scikit_learn("sklearn_binary", MLPClassifier(**settings("relu")), CLASSES > 0, 1)

(HERE / "outputs.json").write_text(json.dumps(outputs, indent=0) + "\n")
