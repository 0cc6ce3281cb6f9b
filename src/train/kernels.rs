//! Which kernels a model trains with: those of its plan, one dispatch per operation, or the resident
//! kernel, which runs many steps in one dispatch.

use crate::exec::Figures;
use crate::graph::{Loss, UpdateRule};
use crate::kernel::resident::{Dense, Net};
use crate::nn::{Layer, Metric, Optimizer, Sequential};
use crate::plan::{AdapterClass, ArenaLayout, Target};
use crate::{Error, Result};

/// Which kernels train a model. The results differ by rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernels {
    /// The resident kernel where the net fits it and it is likely to be faster, else the general
    /// ones. In the browser the general ones.
    #[default]
    Auto,
    /// A few dispatches per step, for any net and batch.
    General,
    /// One dispatch for many steps, in which parameters, gradients and the optimizer's state stay in
    /// registers: for small stacks of dense layers.
    Resident,
}

/// Parameters per lane, at most. Each is a variable of the kernel's code with its gradient, and stands
/// in some ten statements. Lavapipe takes 0.25 s for the kernel of a net with 97, 1 s for one with
/// 385, 2.2 s for one with 610 (Mesa 22.3; 25.0 takes up to three times as long).
const MOST_VARIABLES: usize = 384;
/// The same, with the optimizer's state counted too: Adam's 310 take 2.7 s.
const MOST_VARIABLES_AND_STATES: usize = 960;
/// Parameters per lane up to which two rows are taken at a time: half the turns of the loop for a
/// little more code. Beyond, the numbers of both rows no longer fit the registers.
const VARIABLES_OF_PAIRS: usize = 128;
/// Words of workgroup memory that every device has.
const WORKGROUP_WORDS: usize = 4096;
/// Rows of a batch, at most: each turn of the loop over rows counts towards the turns of a dispatch.
const MOST_ROWS: usize = 16_384;
/// Multiply-adds of a step, at most, on GPUs: beyond that the one workgroup of the resident kernel
/// takes longer than the few dispatches of the general ones, which have the whole GPU. An estimate:
/// some 20 µs of one subgroup.
const GPU_STEP: u64 = 1 << 18;

/// The net as the resident kernel takes it, or why it cannot.
pub(super) fn resident_net(
    model: &Sequential,
    loss: Loss,
    metrics: &[Metric],
    optimizer: &Optimizer,
    layout: &ArenaLayout,
    target: &Target,
) -> std::result::Result<Net, String> {
    let mut layers: Vec<Dense> = Vec::new();
    let mut entries = layout.entries.iter();
    for (index, layer) in model.layers().iter().enumerate() {
        match (*layer, layers.last_mut()) {
            (Layer::Dense { units, .. }, _) => {
                let (Some(weight), Some(bias)) = (entries.next(), entries.next()) else {
                    return Err("the parameters lie otherwise".into());
                };
                let (weights_at, bias_at) = (weight.offset / 4, bias.offset / 4);
                layers.push(Dense { units, activation: None, weights_at, bias_at });
            }
            (Layer::Activation(function), Some(dense)) if dense.activation.is_none() => {
                dense.activation = Some(function);
            }
            (layer, _) => {
                return Err(format!(
                    "layer {index} ({}) is neither dense nor the one activation after a dense layer",
                    layer.name()
                ));
            }
        }
    }
    if layout.chunks.len() > 1 {
        return Err("the parameters take more than one buffer".into());
    }
    let usual = match target.class {
        AdapterClass::Software => 8,
        AdapterClass::Gpu => 32,
    };
    let fits = |lanes: &u32| lanes.is_power_of_two() && (4..=64).contains(lanes);
    let subgroup = target.subgroup.filter(fits);
    let lanes = subgroup.or(target.width.filter(fits)).unwrap_or(usual) as usize;
    let counts = metrics.iter().map(|metric| metric.count(loss)).collect::<Result<Vec<_>>>();
    let mut net = Net {
        lanes,
        subgroups: subgroup.is_some(),
        samples: 2,
        inputs: model.input_width(),
        layers,
        loss,
        counts: counts.map_err(|error| error.to_string())?,
        rule: optimizer.rule(),
        clip: optimizer.clip().is_some(),
    };
    let variables = net.variables();
    // Without subgroup operations each exchange costs more in the code than the turns it saves, but
    // for the one of a net with one hidden layer.
    if variables > VARIABLES_OF_PAIRS || !net.subgroups && net.layers.len() > 2 {
        net.samples = 1;
    }
    let with_states = variables * (1 + net.rule.states());
    if variables > MOST_VARIABLES || with_states > MOST_VARIABLES_AND_STATES {
        return Err(format!(
            "each of {lanes} lanes would hold {variables} parameters ({with_states} numbers with the \
             optimizer's state), at most {MOST_VARIABLES} ({MOST_VARIABLES_AND_STATES}) fit"
        ));
    }
    if !net.subgroups && net.exchange() > WORKGROUP_WORDS {
        return Err(format!(
            "lanes would exchange {} numbers at once, at most {WORKGROUP_WORDS} fit",
            net.exchange()
        ));
    }
    Ok(net)
}

/// The figures that the kernel is given.
pub(super) fn figures(loss: Loss, optimizer: &Optimizer) -> Figures {
    let delta = match loss {
        Loss::Huber { delta } => delta,
        _ => 0.0,
    };
    let figures =
        Figures { clip_norm: optimizer.clip().unwrap_or(0.0), delta, ..Figures::default() };
    match optimizer.rule() {
        UpdateRule::Sgd { weight_decay } => Figures { weight_decay, ..figures },
        UpdateRule::Momentum { momentum, weight_decay, .. } => {
            Figures { weight_decay, beta1: momentum, ..figures }
        }
        UpdateRule::Adam { beta1, beta2, epsilon, weight_decay, .. } => {
            Figures { weight_decay, beta1, beta2, epsilon, ..figures }
        }
    }
}

/// What trains in batches of `batch` rows, and why.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) net: Option<Net>,
    pub(super) why: String,
}

/// The choice. `net` is what [`resident_net`] says.
///
/// # Errors
/// [`Error::Argument`] if the resident kernel is asked for and cannot be.
pub(super) fn choose(
    kernels: Kernels,
    net: std::result::Result<Net, String>,
    batch: usize,
    target: &Target,
) -> Result<Choice> {
    let net = net.and_then(|net| match batch {
        ..=MOST_ROWS => Ok(net),
        _ => Err(format!("a batch has {batch} rows, at most {MOST_ROWS} fit")),
    });
    let general = |why: String| Ok(Choice { net: None, why: format!("general: {why}") });
    match (kernels, net) {
        (Kernels::General, _) => general("as asked for".into()),
        (Kernels::Resident, Err(reason)) => {
            let rule = format!("auto or general here: {reason}");
            Err(Error::argument("kernels", "resident", &rule))
        }
        (Kernels::Auto, Err(reason)) => general(reason),
        // Seconds of the process that draws all pages, and its compilers differ widely.
        (Kernels::Auto, Ok(_)) if cfg!(target_arch = "wasm32") => {
            general("a browser may take seconds to compile the resident kernel".into())
        }
        (Kernels::Auto, Ok(net))
            if target.class == AdapterClass::Gpu && net.multiply_adds(batch) > GPU_STEP =>
        {
            general(format!(
                "a step of {} multiply-adds is better shared out over the GPU",
                net.multiply_adds(batch)
            ))
        }
        (_, Ok(net)) => {
            let how = if net.subgroups { "subgroup operations" } else { "workgroup memory" };
            let rows = if net.samples == 1 { "row" } else { "rows" };
            let why = format!(
                "resident: {} parameters in each of {} lanes, which exchange by {how}, {} {rows} at a time",
                net.variables(),
                net.lanes,
                net.samples
            );
            Ok(Choice { net: Some(net), why })
        }
    }
}
