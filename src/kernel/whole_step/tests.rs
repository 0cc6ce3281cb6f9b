//! How long the kernel in memory takes, as a driver counts it.

use super::{Dense, Held, Net};
use crate::graph::{Count, Loss, Unary, UpdateRule};

fn net(widths: &[usize], clip: bool) -> Net {
    let (&inputs, units) = widths.split_first().unwrap();
    let layer = |&units| Dense { units, activation: Some(Unary::Tanh), weights_at: 0, bias_at: 32 };
    Net {
        invocations: 8,
        subgroups: true,
        held: Held::Memory,
        words: true,
        samples: 1,
        teams: 1,
        workgroups: 1,
        inputs,
        layers: units.iter().map(layer).collect(),
        loss: Loss::MeanSquaredError,
        counts: vec![Count::AbsoluteError, Count::SquaredError],
        rule: UpdateRule::Sgd { weight_decay: 0.0 },
        clip,
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
        for (clip, steps) in [false, true].into_iter().zip(steps) {
            let net = net(widths, clip);
            let (moving, turns) = (net.turns_of_dispatch() / 2, net.turns_of_step(rows));
            let (before, after) = (moving + (steps - 1) * turns, moving + (steps + 1) * turns);
            let label = format!("{widths:?}, {rows} rows, clipped: {clip}");
            assert!(before <= 65_535 && 65_535 <= after, "{label}: {turns} turns");
        }
    }
}
