//! Which kernels a model trains with: those of its plan, one dispatch per operation, or a whole-step
//! kernel, which runs many steps in one dispatch, or if they are larger, each in one. A small rule, no
//! timing:
//!
//! | device | net | step | kernels |
//! | --- | --- | --- | --- |
//! | software | fits registers | cheapest so: [`cost_of_whole_step`], [`cost_of_general`] | whole-step |
//! | | any stack of dense layers | fits a dispatch, cheapest so | whole-step, in memory |
//! | GPU | fits a GPU's registers | cheaper so: [`gpu_cost_of_whole_step`], [`gpu_cost_of_general`] | whole-step |
//! | any | any other | | general |
//!
//! On a GPU, up to eight teams of a workgroup have rows of their own, so that a step takes an eighth of the turns. The
//! kernel in memory is for software adapters: on a GPU every turn of its loops waits for memory, which by the model of
//! `bench/kernel-stats` takes up to forty times as long as the general kernels' dispatches.
//!
//! On two cores, all nets that fit registers stay there; others are one core's up to a million
//! multiply-adds a step, then both cores' up to some twenty million. Both costs were fitted on two
//! cores, for more of them they are taken to hold. Time to compile is bounded for registers, below; the
//! kernel in memory takes 0.4 s, as long as the general ones of a net do together (Mesa 22.3).

use super::kernels::Kernels;
use super::task::{Task, TrainingConfig};
use crate::exec::Figures;
use crate::graph::Loss;
use crate::graph::rule::MOST_FIGURES;
use crate::kernel::LONGEST_SUM;
use crate::kernel::whole_step::{self, Held, Net, WORKGROUP_WORDS};
use crate::nn::layers::{Activation, Dense, Flatten};
use crate::nn::{Metric, Optimizer};
use crate::plan::{AdapterClass, ArenaLayout, MOST_TURNS, Target};
use crate::{Error, Result};

/// Parameters per invocation, at most. Each is a variable of the kernel's code with its gradient, and stands
/// in some ten statements. Lavapipe takes 0.25 s for the kernel of a net with 97, 1 s for one with
/// 385, 2.2 s for one with 610 (Mesa 22.3; 25.0 takes up to three times as long).
const MOST_VARIABLES: usize = 384;
/// The same, with the optimizer's state counted too: Adam's 310 take 2.7 s.
const MOST_VARIABLES_AND_STATES: usize = 960;
/// Parameters per invocation up to which two rows are taken at a time: half the turns of the loop for a
/// little more code. Beyond, the numbers of both rows no longer fit the registers.
const VARIABLES_OF_PAIRS: usize = 128;
/// Rows of a batch, at most: gradients are sums over them, one after another.
const MOST_ROWS: usize = LONGEST_SUM;
/// Numbers of an invocation that a GPU's registers hold, 256 at most, besides what the code needs. Beyond, AMD's
/// compiler puts some into memory.
const GPU_REGISTERS: usize = 192;
/// What a GPU takes to start a dispatch, some 5 µs, in the 20 ns of [`gpu_cost_of_whole_step`].
const GPU_START: usize = 250;
/// Teams of a workgroup, at most: those of 256 invocations in subgroups of 32.
const MOST_TEAMS: usize = 8;

/// Multiply-adds that one core of a processor does from memory while a dispatch starts: some 40 µs.
const START: u64 = 1 << 18;
/// Rows of a workgroup that shares a batch, at least: those of a tile.
const LEAST_ROWS: usize = 32;
/// Workgroups that share a batch, at most: each reads the gradients of all.
const MOST_WORKGROUPS: usize = 8;

/// The net as the whole-step kernels take it, or why it is none that they take: a stack of dense layers.
pub(super) fn whole_step_net(
    task: &Task,
    layout: &ArenaLayout,
    target: &Target,
) -> std::result::Result<Net, String> {
    let (model, compile) = (&task.architecture, &task.compile);
    let TrainingConfig { loss, ref optimizer, ref metrics, .. } = *compile;
    if compile.class_weights.is_some() {
        return Err("classes have weights".into());
    }
    if optimizer.l1_penalty() > 0.0 {
        return Err("the optimizer has an L1 penalty".into());
    }
    if compile.own_loss.is_some() {
        return Err("the loss is the program's own".into());
    }
    if compile.precision.is_mixed() {
        return Err("numbers are stored in 16 bits between kernels".into());
    }
    if let Some(own) = metrics.iter().find(|metric| matches!(metric, Metric::Own(_))) {
        return Err(format!("the metric {} is the program's own", own.name()));
    }
    if let Some(place) = model.frozen().next() {
        return Err(format!("layer {place} is frozen"));
    }
    let mut layers: Vec<whole_step::Dense> = Vec::new();
    let mut entries = layout.entries.iter();
    for (index, layer) in model.layers().enumerate() {
        if let Some(&Dense { units, .. }) = layer.downcast_ref() {
            let (Some(weight), Some(bias)) = (entries.next(), entries.next()) else {
                return Err("the parameters lie otherwise".into());
            };
            let (weights_at, bias_at) = (weight.offset / 4, bias.offset / 4);
            layers.push(whole_step::Dense { units, activation: None, weights_at, bias_at });
            continue;
        }
        if layer.downcast_ref::<Flatten>().is_some() {
            continue; // the kernels have rows as lists anyway
        }
        match (layer.downcast_ref(), layers.last_mut()) {
            (Some(&Activation(function)), Some(dense)) if dense.activation.is_none() => {
                dense.activation = Some(function);
            }
            _ => {
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
    let fits = |invocations: &u32| invocations.is_power_of_two() && (4..=64).contains(invocations);
    let subgroup = target.subgroup.filter(fits);
    let invocations = subgroup.or(target.width.filter(fits)).unwrap_or(usual) as usize;
    let counts = metrics.iter().map(|metric| metric.count(loss)).collect::<Result<Vec<_>>>();
    Ok(Net {
        invocations,
        subgroups: subgroup.is_some(),
        held: Held::Registers,
        words: false,
        samples: 2,
        teams: 1,
        workgroups: 1,
        inputs: model.input_width(),
        layers,
        loss,
        counts: counts.map_err(|error| error.to_string())?,
        rule: optimizer.rule(),
        clip: optimizer.clip().is_some(),
    })
}

/// The net with two rows at a time, if that pays, or else one.
fn in_pairs(net: Net, class: AdapterClass) -> Net {
    // Without subgroup operations each exchange costs more in the code than the turns it saves, but
    // for the one of a net with one hidden layer.
    let alone = net.variables() > VARIABLES_OF_PAIRS || !net.subgroups && net.layers.len() > 2;
    let net = Net { samples: if alone { 1 } else { 2 }, ..net };
    let fits = class == AdapterClass::Software || net.numbers_in_registers() <= GPU_REGISTERS;
    Net { samples: if fits { net.samples } else { 1 }, ..net }
}

/// The net with its numbers in registers, if they fit.
fn in_registers(net: Net, batch: usize, target: &Target) -> std::result::Result<Net, String> {
    let mut net = in_pairs(net, target.class);
    let (invocations, variables) = (net.invocations, net.variables());
    let with_states = variables * (1 + net.rule.states());
    if variables > MOST_VARIABLES || with_states > MOST_VARIABLES_AND_STATES {
        return Err(format!(
            "each of {invocations} invocations would hold {variables} parameters ({with_states} numbers with the \
             optimizer's state), at most {MOST_VARIABLES} ({MOST_VARIABLES_AND_STATES}) fit"
        ));
    }
    if !net.subgroups && net.exchange() > WORKGROUP_WORDS {
        return Err(format!(
            "invocations would exchange {} numbers at once, at most {WORKGROUP_WORDS} fit",
            net.exchange()
        ));
    }
    if target.class == AdapterClass::Gpu {
        net.teams = teams(&net, batch, target);
    }
    allowed(of_a_dispatch(net, batch)?, target)
}

/// Teams that share the rows of a batch on a GPU: as many as have a pair of rows, and fit a workgroup that exchanges
/// numbers through its memory; also if it need not, for the same bits.
fn teams(net: &Net, batch: usize, target: &Target) -> usize {
    // A page may not ask which subgroup of several an invocation is in.
    if cfg!(target_arch = "wasm32") {
        return 1;
    }
    let plain = in_pairs(Net { subgroups: false, ..net.clone() }, target.class);
    let fits = |&teams: &usize| {
        let net = Net { teams, ..plain.clone() };
        target.launch.check("its kernel", &net.needs()).is_ok()
            && net.workgroup_words() <= WORKGROUP_WORDS
    };
    let with_rows = |&teams: &usize| teams < batch;
    let doubled = (0..).map(|power| 1 << power).take_while(|&teams| teams <= MOST_TEAMS);
    doubled.take_while(with_rows).take_while(fits).last().unwrap_or(1)
}

/// The net, if the device has what its kernel takes.
fn allowed(net: Net, target: &Target) -> std::result::Result<Net, String> {
    match target.launch.check("its kernel", &net.needs()) {
        Ok(()) => Ok(net),
        Err(error) => Err(error.to_string()),
    }
}

/// The figures that the kernel is given.
pub(super) fn figures(loss: Loss, optimizer: &Optimizer) -> Figures {
    let delta = match loss {
        Loss::Huber { delta } => delta,
        _ => 0.0,
    };
    let mut rule = [0.0; MOST_FIGURES];
    for (slot, figure) in rule.iter_mut().zip(optimizer.rule().figures()) {
        *slot = figure.value;
    }
    Figures { rule, clip_norm: optimizer.clip().unwrap_or(0.0), delta, ..Figures::default() }
}

/// What trains in batches of `batch` rows, and why.
#[derive(Debug)]
pub(super) struct KernelChoice {
    pub(super) net: Option<Net>,
    pub(super) why: String,
}

/// The choice in batches of `batch` rows. `net` is what [`whole_step_net`] says.
///
/// # Errors
/// [`Error::Argument`] if a whole-step kernel is asked for and cannot be.
pub(super) fn choose(
    kernels: Kernels,
    net: std::result::Result<Net, String>,
    batch: usize,
    target: &Target,
) -> Result<KernelChoice> {
    let net = net.and_then(|net| match batch {
        ..=MOST_ROWS => Ok(net),
        _ => Err(format!("a batch has {batch} rows, at most {MOST_ROWS} fit")),
    });
    let refused = |what: &str, reason: String| {
        Error::argument("kernels", what, &format!("auto or general here: {reason}"))
    };
    let chosen = match kernels {
        Kernels::General => Err("as asked for".into()),
        Kernels::WholeStep => Ok(net
            .and_then(|net| in_registers(net, batch, target))
            .map_err(|reason| refused("whole-step", reason))?),
        Kernels::WholeStepInMemory => Ok(net
            .and_then(|net| in_memory(net, batch, target))
            .map_err(|reason| refused("whole-step in memory", reason))?),
        // Seconds of the process that draws all pages, and its compilers differ widely.
        Kernels::Auto if cfg!(target_arch = "wasm32") => {
            Err("a browser may take seconds to compile the whole-step kernel".into())
        }
        Kernels::Auto => net.and_then(|net| likely_faster(net, batch, target)),
    };
    Ok(match chosen {
        Ok(net) => KernelChoice { why: said_of(&net), net: Some(net) },
        Err(reason) => KernelChoice { net: None, why: format!("general: {reason}") },
    })
}

/// The whole-step kernel that is likely to be faster than the general ones, or why none is.
fn likely_faster(net: Net, batch: usize, target: &Target) -> std::result::Result<Net, String> {
    let work = net.multiply_adds(batch);
    let shared_out =
        |over: &str| Err(format!("a step of {work} multiply-adds is better shared out{over}"));
    let registers = in_registers(net.clone(), batch, target);
    if target.class == AdapterClass::Gpu {
        return match registers {
            Ok(net) if net.numbers_in_registers() > GPU_REGISTERS => Err(format!(
                "each of {} invocations would hold some {} numbers, at most {GPU_REGISTERS} stay in a GPU's registers",
                net.invocations,
                net.numbers_in_registers()
            )),
            Ok(net) if gpu_cost_of_whole_step(&net, batch) > gpu_cost_of_general(&net) => {
                shared_out(" over the GPU")
            }
            other => other,
        };
    }
    let general = cost_of_general(work, &net, target.busy);
    match (registers, in_memory(net, batch, target)) {
        (Err(reason), Err(other)) => Err(format!("{reason}; {other}")),
        (registers, memory) => {
            let fitting = registers.into_iter().chain(memory);
            match fitting.min_by_key(|net| cost_of_whole_step(work, net)) {
                Some(net) if cost_of_whole_step(work, &net) < general => Ok(net),
                _ => shared_out(""),
            }
        }
    }
}

/// What a step of `work` multiply-adds costs in a whole-step kernel, in multiply-adds that one core does
/// from memory, except for the update. From registers it does three times as many. If workgroups share a
/// step, it is a dispatch by itself, and each of them updates all parameters.
fn cost_of_whole_step(work: u64, net: &Net) -> u64 {
    match (net.held, net.workgroups as u64) {
        (Held::Registers, _) => work / 3,
        (Held::Memory, ..=1) => work,
        (Held::Memory, workgroups) => work / workgroups + 2 * START,
    }
}

/// The same with the general kernels: somewhat faster, but a dispatch each for gathering, the loss, the
/// update, and for forward, error and weight gradient of each layer.
fn cost_of_general(work: u64, net: &Net, cores: usize) -> u64 {
    work / cores.max(1) as u64 / 5 * 4 + (3 * net.layers.len() as u64 + 2) * START
}

/// What a step of `batch` rows costs a GPU in a kernel that holds its numbers in registers, in 20 ns: by the model of
/// `bench/kernel-stats`, which says 0.5 to 4 µs a turn for nets of two to five layers on six GPUs.
fn gpu_cost_of_whole_step(net: &Net, batch: usize) -> usize {
    let turn = 10 + 25 * net.layers.len() + net.variables().saturating_mul(net.samples);
    net.turns_of_step(batch).saturating_mul(turn)
}

/// The same with the general kernels: a dispatch each for gathering, the loss, the update, and for forward, error and
/// weight gradient of each layer but the first, which needs no error.
fn gpu_cost_of_general(net: &Net) -> usize {
    (3 * net.layers.len() + 2) * GPU_START
}

fn said_of(net: &Net) -> String {
    let how = if net.subgroups { "subgroup operations" } else { "workgroup memory" };
    let invocations = net.invocations;
    match net.held {
        Held::Registers => {
            let rows = if net.samples == 1 { "row" } else { "rows" };
            let teams = match net.teams {
                1 => String::new(),
                teams => format!(", {teams} teams, which share the rows"),
            };
            format!(
                "whole-step: {} parameters in each of {invocations} invocations, which exchange by {how}, {} {rows} at a time{teams}",
                net.variables(),
                net.samples
            )
        }
        Held::Memory => {
            let shared = match net.workgroups {
                1 => String::new(),
                workgroups => format!(", {workgroups} workgroups, which share the rows"),
            };
            format!(
                "whole-step: numbers in memory, {invocations} invocations, which exchange by {how}{shared}"
            )
        }
    }
}

/// The net with its numbers in memory, with as many workgroups as cost least of those that fit.
fn in_memory(net: Net, batch: usize, target: &Target) -> std::result::Result<Net, String> {
    let words = target.reads_words();
    let shared_by = |workgroups| {
        let net = Net { held: Held::Memory, words, samples: 1, workgroups, ..net.clone() };
        fitting(net, batch, target)
    };
    let most = target.busy.min(batch / LEAST_ROWS).clamp(1, MOST_WORKGROUPS);
    let work = net.multiply_adds(batch);
    let fitting_nets = (1..=most).filter_map(|workgroups| shared_by(workgroups).ok());
    match fitting_nets.min_by_key(|net| cost_of_whole_step(work, net)) {
        Some(net) => Ok(net),
        None => shared_by(1),
    }
}

/// The net with its numbers in memory, if memory for `batch` rows fits the device, and a step a dispatch.
fn fitting(net: Net, batch: usize, target: &Target) -> std::result::Result<Net, String> {
    let (bytes, most) = (net.memory(batch).bytes, target.max_tensor_bytes());
    if bytes > most {
        return Err(format!("its numbers take {bytes} bytes, at most {most} fit a buffer"));
    }
    allowed(of_a_dispatch(net, batch)?, target)
}

/// The net, if a step is not too long for a dispatch.
fn of_a_dispatch(net: Net, batch: usize) -> std::result::Result<Net, String> {
    if net.steps_of_dispatch(batch, MOST_TURNS) == 0 {
        let turns = net.turns_of_step(batch).saturating_add(net.turns_of_dispatch());
        return Err(format!(
            "a step takes {turns} turns of loops, at most {MOST_TURNS} fit a dispatch"
        ));
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::UpdateRule;

    /// What trains 32-h-h-1 in batches of `batch` rows.
    fn said(kernels: Kernels, h: usize, batch: usize, target: &Target) -> Result<String> {
        let activation = None;
        let dense = |units| whole_step::Dense { units, activation, weights_at: 0, bias_at: 0 };
        let net = Net {
            invocations: 8,
            subgroups: true,
            held: Held::Registers,
            words: false,
            samples: 2,
            teams: 1,
            workgroups: 1,
            inputs: 32,
            layers: vec![dense(h), dense(h), dense(1)],
            loss: Loss::MeanSquaredError,
            counts: vec![],
            rule: UpdateRule::Sgd { weight_decay: 0.0 },
            clip: false,
        };
        choose(kernels, Ok(net), batch, target).map(|choice| choice.why)
    }

    #[test]
    fn small_steps_are_one_cores_and_large_ones_are_shared_out() {
        let software = |busy| Target { class: AdapterClass::Software, busy, ..Target::default() };
        let auto = |h, batch, target: &Target| said(Kernels::Auto, h, batch, target).unwrap();
        let two = software(2);
        assert!(
            auto(32, 512, &two).starts_with("whole-step: 269 parameters in each of 8 invocations")
        );
        assert!(auto(64, 32, &two).starts_with("whole-step: numbers in memory, 8 invocations"));
        // 16,576 multiply-adds a row: from 2²⁰ a step on, two cores share it.
        assert!(!auto(64, 63, &two).contains("workgroups"));
        assert!(auto(64, 64, &two).ends_with(", 2 workgroups, which share the rows"));
        assert!(auto(64, 96, &software(6)).ends_with(", 3 workgroups, which share the rows"));
        assert!(auto(64, 512, &software(64)).ends_with(", 8 workgroups, which share the rows"));
        // And the general kernels from 9·10·2¹⁸ on.
        assert!(auto(64, 1423, &two).starts_with("whole-step"));
        let shared = auto(64, 1424, &two);
        assert!(shared.starts_with("general: ") && shared.contains("shared out"), "{shared}");
        // A GPU takes as many, if asked to.
        let asked = said(Kernels::WholeStepInMemory, 64, 512, &Target::default()).unwrap();
        assert!(asked.ends_with(", 8 workgroups, which share the rows"), "{asked}");
        // Eight workgroups that update 142,000 parameters each take more turns, or more memory, than fit.
        let wide = |target: &Target| said(Kernels::WholeStepInMemory, 360, 256, target).unwrap();
        assert!(wide(&software(8)).ends_with(", 6 workgroups, which share the rows"));
        let small = Target { max_binding_bytes: 8 << 20, ..software(8) };
        assert!(wide(&small).ends_with(", 3 workgroups, which share the rows"));
        let alone = auto(64, 800, &software(1));
        assert!(alone.starts_with("whole-step") && !alone.contains("workgroups"), "{alone}");
        assert!(auto(64, 1000, &software(1)).starts_with("general"));
        assert!(auto(64, 32, &Target::default()).starts_with("general: each of 8 invocations"));
    }

    #[test]
    fn a_gpu_takes_steps_that_fit_its_registers_and_cost_less_than_dispatches() {
        let auto = |h, batch| said(Kernels::Auto, h, batch, &Target::default()).unwrap();
        let small = auto(8, 208);
        assert!(small.starts_with("whole-step: 44 parameters in each of 8 invocations"), "{small}");
        assert!(small.ends_with("2 rows at a time, 8 teams, which share the rows"), "{small}");
        // 16 turns of 3.46 µs take longer than 11 dispatches of 5 µs, 15 do not.
        assert!(auto(8, 209).ends_with("is better shared out over the GPU"));
        let wide = auto(16, 32);
        let held = "general: each of 8 invocations would hold some 238 numbers, at most 192 stay in a GPU's registers";
        assert_eq!(wide, held);
        // Asked for, it is taken.
        let asked = said(Kernels::WholeStep, 16, 32, &Target::default()).unwrap();
        assert!(asked.contains(", 1 row at a time"), "{asked}");
    }

    /// A net in registers has one core of however many there are.
    #[test]
    fn large_steps_leave_registers_where_cores_are_many() {
        let software = |busy| Target { class: AdapterClass::Software, busy, ..Target::default() };
        let auto = |batch, cores| said(Kernels::Auto, 32, batch, &software(cores)).unwrap();
        // 5,216 multiply-adds a row.
        for cores in [1, 2] {
            assert!(auto(32_768, cores).starts_with("whole-step: 269 parameters"), "{cores}");
        }
        for cores in [3, 4, 16, 64] {
            assert!(auto(256, cores).starts_with("whole-step: 269 parameters"), "{cores}");
        }
        assert!(auto(1024, 16).ends_with(", 8 workgroups, which share the rows"));
        assert!(auto(16_384, 16).starts_with("general: a step of 85458944 multiply-adds"));
    }

    #[test]
    fn what_memory_cannot_hold_is_refused() {
        let refused = |h, batch, target: &Target| {
            said(Kernels::WholeStepInMemory, h, batch, target).unwrap_err().to_string()
        };
        let error = refused(2048, 1000, &Target::default());
        assert!(error.contains("turns of loops, at most 60000 fit a dispatch"), "{error}");
        let small = Target { max_binding_bytes: 1 << 16, ..Target::default() };
        let error = refused(64, 32, &small);
        assert!(error.contains("bytes, at most 65536 fit a buffer"), "{error}");
        let error = refused(64, 32_769, &Target::default());
        assert!(error.contains("a batch has 32769 rows, at most 32768 fit"), "{error}");
    }
}
