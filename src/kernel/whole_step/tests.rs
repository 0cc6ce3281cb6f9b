//! How long the kernel in memory takes, as a driver counts it.

use super::{Dense, Held, Net};
use crate::graph::{Count, Loss, Unary, UpdateRule};

fn net(invocations: usize, subgroups: bool, widths: &[usize], loss: Loss) -> Net {
    let (inputs, units) = widths.split_first().unwrap();
    let functions = [Some(Unary::Tanh), None, Some(Unary::LeakyRelu { slope: 0.1 })];
    let layer = |(l, &units): (usize, &usize)| Dense {
        units,
        activation: functions[(l + units) % 3],
        weights_at: 64 * l as u64,
        bias_at: 64 * l as u64 + 32,
    };
    let counts = match loss {
        Loss::SoftmaxCrossEntropy => vec![Count::Correct],
        Loss::SoftmaxCrossEntropyProbabilities => vec![Count::CorrectProbabilities],
        Loss::BinaryCrossEntropy => vec![Count::CorrectBinary],
        _ => vec![Count::AbsoluteError, Count::SquaredError],
    };
    let rules = [
        UpdateRule::Sgd { weight_decay: 0.0 },
        UpdateRule::Momentum { momentum: 0.9, nesterov: true, weight_decay: 0.0 },
        UpdateRule::Momentum { momentum: 0.9, nesterov: false, weight_decay: 0.0 },
        UpdateRule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decoupled: widths.len() > 2,
        },
    ];
    Net {
        invocations,
        subgroups,
        held: Held::Registers,
        words: subgroups,
        samples: 1 + widths.len() % 2,
        workgroups: 1,
        inputs: *inputs,
        layers: units.iter().enumerate().map(layer).collect(),
        loss,
        counts,
        rule: rules[(invocations + widths.len() + *inputs) % 4],
        clip: inputs % 2 == 0,
    }
}

/// Steps after which Mesa 22.3's driver, which ends a shader after 65,535 turns of loops, was seen to end
/// this one, without and with clipping.
#[test]
fn turns_are_those_that_the_driver_counts() {
    let seen: [(&[usize], usize, [usize; 2]); 12] = [
        (&[10, 64, 1], 8, [249, 219]),
        (&[10, 64, 1], 32, [208, 187]),
        (&[10, 64, 1], 64, [138, 128]),
        (&[10, 64, 1], 128, [82, 79]),
        (&[10, 128, 1], 32, [130, 114]),
        (&[10, 256, 1], 32, [74, 64]),
        (&[10, 64, 8], 32, [181, 162]),
        (&[10, 64, 16], 32, [153, 134]),
        (&[64, 1], 32, [306, 293]),
        (&[128, 1], 32, [187, 178]),
        (&[64, 64, 1], 32, [121, 96]),
        (&[64, 64, 64, 1], 32, [73, 56]),
    ];
    for (widths, rows, steps) in seen {
        let net = net(8, true, widths, Loss::MeanSquaredError);
        for (clip, steps) in [false, true].into_iter().zip(steps) {
            let net = Net { held: Held::Memory, clip, ..net.clone() };
            let (moving, turns) = (net.turns_of_dispatch() / 2, net.turns_of_step(rows));
            let (before, after) = (moving + (steps - 1) * turns, moving + (steps + 1) * turns);
            let label = format!("{widths:?}, {rows} rows, clipped: {clip}");
            assert!(before <= 65_535 && 65_535 <= after, "{label}: {turns} turns");
        }
    }
}
