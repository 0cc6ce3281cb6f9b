//! Nets to make the whole-step kernels for.

use wgrad::graph::{Count, Loss, Unary, UpdateRule};
use wgrad::kernel::whole_step::{Dense, Held, Net, WORKGROUP_WORDS};

use super::LOSSES;

/// Nets of one to four layers, whose widths do and do not divide by the invocations.
pub fn whole_step_nets() -> Vec<Net> {
    let mut nets = Vec::new();
    for (number, invocations) in [4, 8, 16, 32, 64].into_iter().enumerate() {
        for subgroups in [false, true] {
            for (at, loss) in LOSSES.into_iter().enumerate() {
                // Each loss with every second number of invocations.
                if (at + number + usize::from(subgroups)).is_multiple_of(2) {
                    continue;
                }
                let widths: [&[usize]; 4] = [&[3], &[33, 1], &[5, 8, 3], &[17, 2, 9, 4]];
                let at = at + number;
                let layers = widths[at % 4].iter().enumerate().map(|(l, &units)| Dense {
                    units,
                    activation: (l + at)
                        .is_multiple_of(2)
                        .then(|| Unary::ALL[(at + 5 * l) % Unary::ALL.len()]),
                    weights_at: 64 * l as u64,
                    bias_at: 64 * l as u64 + 32,
                });
                let counts = match loss {
                    Loss::SoftmaxCrossEntropy => vec![Count::Correct],
                    Loss::SoftmaxCrossEntropyProbabilities => vec![Count::CorrectProbabilities],
                    Loss::BinaryCrossEntropy => vec![Count::CorrectBinary],
                    _ => vec![Count::AbsoluteError, Count::SquaredError],
                };
                let in_registers = Net {
                    invocations,
                    subgroups,
                    held: Held::Registers,
                    words: false,
                    samples: 1 + at % 2,
                    teams: 1,
                    workgroups: 1,
                    inputs: [1, 10, 13, 12, 8][at % 5],
                    layers: layers.collect(),
                    loss,
                    counts,
                    rule: UpdateRule::ALL[at % UpdateRule::ALL.len()],
                    clip: at % 2 == 1,
                };
                for words in [false, true] {
                    let workgroups = 1 + (at + usize::from(words)) % 2;
                    let held = Held::Memory;
                    nets.push(Net { held, words, workgroups, ..in_registers.clone() });
                }
                // As GPUs have them, if they fit.
                let teams = (256 / invocations).min(8);
                let in_teams = Net { teams, ..in_registers.clone() };
                if invocations > 16 && in_teams.workgroup_words() <= WORKGROUP_WORDS {
                    nets.push(in_teams);
                }
                nets.push(in_registers);
            }
        }
    }
    nets
}
