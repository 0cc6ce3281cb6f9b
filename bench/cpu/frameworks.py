"""PyTorch, JAX and Keras on the processor. Each has `train(net, batches, epochs)`, a function that
starts from the first weights, and returns the seconds of all epochs and the last epoch's mean loss;
PyTorch and JAX also have `multiply(layout, a, b, times)`, in seconds."""

import multiprocessing
import os
from time import perf_counter

import numpy as np

import data


class Torch:
    name = "PyTorch"

    def __init__(self):
        import torch

        self.torch, self.version = torch, torch.__version__

    def train(self, net, batches, epochs):
        torch, nn = self.torch, self.torch.nn
        modules = []
        for weight, bias in data.layers(net["widths"]):
            layer = nn.Linear(*weight.shape)
            layer.weight.data = torch.tensor(weight.T.copy())
            layer.bias.data = torch.tensor(bias)
            modules += [layer, nn.ReLU()]
        model = nn.Sequential(*modules[:-1])
        criterion = nn.CrossEntropyLoss() if net["classes"] else nn.MSELoss()
        batches = [
            (torch.tensor(x), torch.tensor(t).long() if net["classes"] else torch.tensor(t))
            for x, t in batches
        ]
        optimizer = torch.optim.SGD(model.parameters(), lr=net["rate"])
        rows = sum(len(x) for x, _ in batches)
        start = perf_counter()
        for _ in range(epochs):
            total = 0.0
            for x, t in batches:
                optimizer.zero_grad()
                loss = criterion(model(x), t)
                loss.backward()
                optimizer.step()
                total = total + loss.detach() * (len(x) / rows)
        return perf_counter() - start, float(total)

    def multiply(self, layout, a, b, times):
        a, b = self.torch.tensor(a), self.torch.tensor(b)
        a = a.T if layout == "AtB" else a
        b = b.T if layout == "ABt" else b
        start = perf_counter()
        for _ in range(times):
            a @ b
        return perf_counter() - start


class Jax:
    name = "JAX"

    def __init__(self):
        import jax

        self.jax, self.version = jax, jax.__version__
        self.epoch = jax.jit(self._epoch, static_argnums=0)
        self.step = jax.jit(self._step, static_argnums=0)
        self.product = jax.jit(self._product, static_argnums=0)

    def _loss(self, classes, parameters, x, t):
        jnp = self.jax.numpy
        for index, (weight, bias) in enumerate(parameters):
            x = x @ weight + bias
            if index + 1 < len(parameters):
                x = jnp.maximum(x, 0)
        if not classes:
            return jnp.mean((x - t) ** 2)
        return -jnp.mean(jnp.take_along_axis(self.jax.nn.log_softmax(x), t[:, None], 1))

    def _step(self, classes, rate, parameters, x, t):
        gradient = self.jax.value_and_grad(self._loss, argnums=1)
        loss, gradients = gradient(classes, parameters, x, t)
        update = lambda parameter, gradient: parameter - rate * gradient
        return self.jax.tree.map(update, parameters, gradients), loss

    def _epoch(self, classes, rate, parameters, xs, ts):
        step = lambda parameters, batch: self._step(classes, rate, parameters, *batch)
        return self.jax.lax.scan(step, parameters, (xs, ts))

    def train(self, net, batches, epochs):
        """The batches of full size in one call per epoch, a short one in another."""
        jnp, classes, rate = self.jax.numpy, net["classes"], net["rate"]
        size = len(batches[0][0])
        full = [batch for batch in batches if len(batch[0]) == size]
        xs, ts = (jnp.stack([batch[part] for batch in full]) for part in (0, 1))
        short = [tuple(map(jnp.asarray, batch)) for batch in batches[len(full) :]]
        parameters = [(jnp.asarray(w), jnp.asarray(b)) for w, b in data.layers(net["widths"])]
        rows = sum(len(x) for x, _ in batches)
        self.jax.block_until_ready((xs, ts, short, parameters))
        start = perf_counter()
        for _ in range(epochs):
            parameters, losses = self.epoch(classes, rate, parameters, xs, ts)
            total = losses.sum() * (size / rows)
            for x, t in short:
                parameters, loss = self.step(classes, rate, parameters, x, t)
                total = total + loss * (len(x) / rows)
        total = float(total)
        self.jax.block_until_ready(parameters)
        return perf_counter() - start, total

    def _product(self, layout, a, b):
        return (a.T if layout == "AtB" else a) @ (b.T if layout == "ABt" else b)

    def multiply(self, layout, a, b, times):
        a, b = self.jax.numpy.asarray(a), self.jax.numpy.asarray(b)
        self.jax.block_until_ready((a, b))
        start = perf_counter()
        results = [self.product(layout, a, b) for _ in range(times)]
        self.jax.block_until_ready(results)
        return perf_counter() - start


class Keras:
    """Keras through `fit`, in a process of its own, since a process has one backend."""

    def __init__(self, backend):
        # What a process inherits; the import itself happens there.
        os.environ["KERAS_BACKEND"] = backend
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        self.requests, theirs = multiprocessing.Pipe()
        spawn = multiprocessing.get_context("spawn")
        spawn.Process(target=serve_keras, args=(theirs,), daemon=True).start()
        theirs.close()  # so that the pipe ends with the process
        self.version = self.answer()

    def answer(self):
        try:
            answer = self.requests.recv()
        except EOFError:
            raise ImportError(f"its process ended without a word; KERAS_BACKEND={os.environ['KERAS_BACKEND']}")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def train(self, *task):
        self.requests.send(task)
        return self.answer()


class KerasOnTensorFlow(Keras):
    """Keras on its default backend."""

    name = "Keras"

    def __init__(self):
        super().__init__("tensorflow")


class KerasOnJax(Keras):
    name = "Keras (JAX)"

    def __init__(self):
        super().__init__("jax")


def serve_keras(requests):
    """The process of a `Keras`: first its version, then an answer to every task."""
    try:
        fits = KerasFits()
        requests.send(fits.version)
        while True:
            requests.send(fits.train(*requests.recv()))
    except EOFError:
        pass
    except Exception as error:
        requests.send(error)


class KerasFits:
    """Keras itself, on the backend that the environment names."""

    def __init__(self):
        import keras

        self.keras, self.version = keras, f"{keras.__version__} on {keras.backend.backend()}"
        self.models = {}

    def train(self, net, batches, epochs):
        keras = self.keras
        x, t = (np.concatenate([batch[part] for batch in batches]) for part in (0, 1))
        weights = [array for layer in data.layers(net["widths"]) for array in layer]
        # Kept from the runs before, so that compilation stays out of the clock.
        model = self.models.get(net["name"])
        if model is None:
            *hidden, last = net["widths"][1:]
            model = keras.Sequential(
                [keras.Input((net["widths"][0],))]
                + [keras.layers.Dense(units, activation="relu") for units in hidden]
                + [keras.layers.Dense(last)]
            )
            loss = keras.losses.MeanSquaredError()
            if net["classes"]:
                loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(optimizer=keras.optimizers.SGD(net["rate"]), loss=loss)
            self.models[net["name"]] = model
        model.set_weights(weights)
        how = dict(batch_size=len(batches[0][0]), shuffle=False, verbose=0)
        start = perf_counter()
        history = model.fit(x, t, epochs=epochs, **how)
        return perf_counter() - start, history.history["loss"][-1]
