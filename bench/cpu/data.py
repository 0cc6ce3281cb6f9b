"""Data and first weights: the formulas of bench/common/src/data.rs."""

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FEATURES, NOISE, WEIGHTS = 0, 1, 2


def uniform(stream, count):
    """`count` numbers in [-1, 1), each a multiple of 2**-23, from SplitMix64 used as a hash."""
    position = np.arange(count, dtype=np.uint64)
    z = ((np.uint64(stream << 32) | position) + np.uint64(1)) * GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)


def layers(widths):
    """Glorot's uniform weights (inputs x units) and biases of 0, layer by layer."""
    for index, (inputs, units) in enumerate(zip(widths, widths[1:])):
        limit = np.float32(np.sqrt(6 / (inputs + units)))
        weight = uniform(WEIGHTS + index, inputs * units) * limit
        yield weight.reshape(inputs, units), np.zeros(units, np.float32)


def samples(widths, rows, classes):
    """Features, and values or classes."""
    inputs, outputs = widths[0], widths[-1]
    x = uniform(FEATURES, rows * inputs).reshape(rows, inputs)
    if classes:
        share = inputs // outputs
        sums = x[:, : share * outputs].astype(np.float64).reshape(rows, outputs, share).sum(2)
        return x, sums.argmax(1).astype(np.int32)
    noise = uniform(NOISE, rows * outputs).reshape(rows, outputs)
    feature = lambda offset: x[:, (np.arange(outputs) + offset) % inputs]
    value = np.sin(2 * feature(0)) + feature(1) * feature(2) + np.float32(0.5) * feature(3)
    return x, value + np.float32(0.1) * noise




# The same numbers stand in the test of bench/common/src/data.rs.
assert np.array_equal(uniform(0, 2), np.array([0.7666216, -0.13694406], np.float32))
