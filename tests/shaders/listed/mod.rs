//! Every kernel that the library can launch, in every variant: what the tests parse, validate and translate
//! to the backends' languages, and what the example `shader` prints.
#![allow(dead_code, unused_imports, reason = "the tests and the example each use a part")]

mod launches;
mod nets;

use std::collections::BTreeMap;

use wgrad::graph::{Loss, Unary};
use wgrad::kernel::reflect::source;

pub use launches::all_launches;
pub use nets::whole_step_nets;

/// A shader with its constants.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// A name for a file, without an ending; no two kernels have the same.
    pub name: String,
    /// Its WGSL.
    pub text: String,
    /// Values of its `override` constants.
    pub constants: Vec<(&'static str, f64)>,
    /// What it is put together from: the name of each file, or of what is made, and its text.
    pub parts: Vec<(&'static str, String)>,
}

impl Kernel {
    /// Its WGSL, with a line before each file's that names it.
    pub fn with_marks(&self) -> String {
        let marked = |(name, text): &(&str, String)| {
            let from = match name.contains(':') {
                true => format!("{name}, made"),
                false => format!("shaders/{name}.wgsl"),
            };
            format!("// ==== {from}\n\n{}", text.trim_start())
        };
        self.parts.iter().map(marked).collect::<Vec<_>>().join("\n")
    }
}

/// All kernels; of those that differ in neither text nor constants, the first.
pub fn kernels() -> Vec<Kernel> {
    let launches = all_launches().into_iter().map(|launch| Kernel {
        name: file_name(&launch.name),
        text: source(&launch.parts),
        constants: launch.constants,
        parts: launch.parts.iter().map(|part| (part.name, part.source.to_string())).collect(),
    });
    let nets = whole_step_nets().into_iter().map(|net| {
        let exchange = if net.subgroups { "subgroups" } else { "workgroup memory" };
        let words = if net.words { " words" } else { "" };
        let (held, invocations) = (net.held, net.invocations);
        let teams = match net.teams {
            1 => String::new(),
            teams => format!(" by {teams}"),
        };
        let (loss, rule) = (net.loss.name(), net.rule.name());
        Kernel {
            name: file_name(&format!(
                "whole-step {held:?} {invocations}{teams} {exchange}{words} {loss} {rule}"
            )),
            text: net.source().unwrap(),
            constants: Vec::new(),
            parts: net
                .texts()
                .unwrap()
                .iter()
                .map(|text| (text.name(), text.source().to_string()))
                .collect(),
        }
    });
    let mut kernels: Vec<Kernel> = Vec::new();
    // Places in the list of all with the same name.
    let mut namesakes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for mut kernel in launches.chain(nets) {
        let others = namesakes.entry(kernel.name.clone()).or_default();
        let same =
            |other: &Kernel| other.text == kernel.text && other.constants == kernel.constants;
        if others.iter().any(|&other| same(&kernels[other])) {
            continue;
        }
        others.push(kernels.len());
        if others.len() > 1 {
            kernel.name = format!("{}.{}", kernel.name, others.len());
        }
        kernels.push(kernel);
    }
    kernels
}

/// `matmul_nn + bias, 64×32 alone` as `matmul_nn-bias-64x32-alone`.
fn file_name(name: &str) -> String {
    let name = name.to_lowercase().replace('×', "x");
    let words = name.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

pub const LOSSES: [Loss; 6] = [
    Loss::MeanSquaredError,
    Loss::MeanAbsoluteError,
    Loss::Huber { delta: 0.5 },
    Loss::SoftmaxCrossEntropy,
    Loss::SoftmaxCrossEntropyProbabilities,
    Loss::BinaryCrossEntropy,
];
