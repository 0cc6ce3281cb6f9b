//! What is looked at: nets, products and whole-step kernels by name, as plans for a GPU.

use std::collections::BTreeMap;
use std::sync::Arc;

use wgrad::Gpu;
use wgrad::data::Dataset;
use wgrad::graph::{Graph, Layout};
use wgrad::kernel::reflect::{Access, Binding, bindings, source};
use wgrad::kernel::whole_step::Net;
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::plan::{Launch, Part, Plan, Target};
use wgrad::train::{Kernels, Model, Precision, Residency, TrainingConfig};

use crate::listed::{self, Kernel};
use crate::translate::{Checked, Vulkan};
use crate::vulkan::Shader;
use crate::{Outcome, tasks, words};

/// What a workload is called when nothing is named, and its short names.
pub const USUAL: [(&str, &str); 10] = [
    ("W1", "whole-step:10-64-1:32:mse:sgd"),
    ("W2", "net:784-512-512-10:256:ce:sgd"),
    ("W2-adam", "net:784-512-512-10:256:ce:adam"),
    ("W2-f16", "net:784-512-512-10:256:ce:sgd:f16"),
    ("W3", "net:32-64-64-64-64-16:4096:mse:sgd"),
    ("W3-adam", "net:32-64-64-64-64-16:4096:mse:adam"),
    ("W3-f16", "net:32-64-64-64-64-16:4096:mse:sgd:f16"),
    ("A·B", "product:nn:1024x1024x1024"),
    ("A·Bᵀ", "product:nt:1024x1024x1024"),
    ("Aᵀ·B", "product:tn:1024x1024x1024"),
];

/// One dispatch of a workload.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// Its kernel, among all that were found.
    pub kernel: usize,
    /// What the plan calls it.
    pub name: String,
    /// Sums that an invocation of a product adds up, and the terms of each.
    pub product: Option<[u32; 2]>,
    /// Turns of a whole-step kernel's loops in a step.
    pub turns: Option<usize>,
    pub workgroups: u64,
    /// Of all workgroups together.
    pub invocations: u64,
    /// Of the tensors it reads and writes.
    pub bytes: u64,
}

/// The dispatches of a step.
#[derive(Clone, Debug)]
pub struct Workload {
    pub name: String,
    pub dispatches: Vec<Dispatch>,
    /// Invocations that fill the device that its plan is for.
    pub filled_by: u64,
}

/// All kernels that were found, each once.
#[derive(Default)]
pub struct Found {
    pub shaders: Vec<Shader>,
    /// As WGSL, for people.
    pub texts: Vec<String>,
    known: BTreeMap<String, usize>,
}

impl Found {
    /// The number of the kernel with this text and these constants.
    fn kernel(&mut self, kernel: &Kernel, bound: &[Binding]) -> Outcome<usize> {
        let key = format!("{:?}{}", kernel.constants, kernel.text);
        if let Some(&number) = self.known.get(&key) {
            return Ok(number);
        }
        let in_kernel = |error: String| format!("{}: {error}", kernel.name);
        let spirv = Checked::new(kernel).and_then(|checked| checked.spv(Vulkan::Newest));
        let binding = |binding: &Binding| {
            let kind = match (binding.access, binding.name) {
                (Access::Uniform, "step") => "step",
                (Access::Uniform, _) => "uniform",
                (Access::Read | Access::ReadWrite, _) => "storage",
                (Access::Texels, _) => "texels",
            };
            (binding.index, kind.to_string())
        };
        self.shaders.push(Shader {
            name: kernel.name.clone(),
            spirv: spirv.map_err(in_kernel)?,
            bindings: bound.iter().map(binding).collect(),
        });
        self.texts.push(kernel.with_marks());
        self.known.insert(key, self.shaders.len() - 1);
        Ok(self.shaders.len() - 1)
    }

    fn launch(&mut self, launch: &Launch, bytes: u64) -> Outcome<Dispatch> {
        let part = |part: &&'static Part| (part.name, part.source.to_string());
        let kernel = Kernel {
            name: launch.name.clone(),
            text: source(&launch.parts),
            constants: launch.constants.clone(),
            parts: launch.parts.iter().map(part).collect(),
        };
        Ok(Dispatch {
            kernel: self.kernel(&kernel, &bindings(&launch.parts))?,
            name: launch.name.clone(),
            product: product_of(launch)?,
            turns: None,
            workgroups: launch.workgroups as u64,
            invocations: launch.invocations().map_err(words)?,
            bytes,
        })
    }

    fn plan(&mut self, plan: &Plan) -> Outcome<Vec<Dispatch>> {
        let of_plan = plan.dispatches().iter();
        of_plan.map(|dispatch| self.launch(&dispatch.launch, plan.bytes(dispatch))).collect()
    }

    fn net(&mut self, net: &Net, name: &str, rows: usize) -> Outcome<Dispatch> {
        let texts = net.texts().map_err(words)?;
        let kernel = Kernel {
            name: name.into(),
            text: net.source().map_err(words)?,
            constants: Vec::new(),
            parts: texts.iter().map(|text| (text.name(), text.source().into())).collect(),
        };
        Ok(Dispatch {
            kernel: self.kernel(&kernel, &net.bindings())?,
            name: name.into(),
            product: None,
            turns: Some(net.turns_of_step(rows)),
            workgroups: net.workgroups as u64,
            invocations: net.needs().invocations as u64 * net.workgroups as u64,
            bytes: 0,
        })
    }

    /// The workload of this name, planned for a GPU that so many invocations fill, or as usual.
    pub fn workload(&mut self, name: &str, filled_by: Option<usize>) -> Outcome<Workload> {
        let long = USUAL.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
        let fields: Vec<&str> = long.split(':').collect();
        let mut target = Target::default();
        if let Some(invocations) = filled_by {
            target.filled_by = invocations;
        }
        let dispatches = match fields.as_slice() {
            ["net", widths, batch, loss, rest @ ..] => {
                let (mut model, data, batch) =
                    model(widths, batch, loss, rest, Kernels::General, target.filled_by)?;
                let trainer = model.trainer(data, batch, Residency::Resident);
                self.plan(pollster::block_on(trainer).map_err(words)?.plan())?
            }
            [kind @ ("whole-step" | "in-memory"), widths, batch, loss, rest @ ..] => {
                let kernels = match *kind {
                    "in-memory" => Kernels::WholeStepInMemory,
                    _ => Kernels::WholeStep,
                };
                let (model, _, batch) = model(widths, batch, loss, rest, kernels, target.filled_by)?;
                let net = model.whole_step_kernel(batch).map_err(words)?.ok_or_else(|| {
                    let why = model.kernels(batch).unwrap_or_default();
                    format!("{name} does not train in one dispatch: {why}")
                })?;
                let kernels = model.kernels(batch).map_err(words)?;
                vec![self.net(&net, &kernels, batch)?]
            }
            ["product", layout, sizes] => self.plan(&product(layout, sizes, &target)?)?,
            ["k-means", sizes] => self.plan(&tasks::k_means(numbers(sizes, 'x')?, &target)?)?,
            ["pca", sizes] => self.plan(&tasks::pca(numbers(sizes, 'x')?, &target)?)?,
            ["all"] => self.all()?,
            _ => {
                return Err(format!(
                    "no workload is named '{name}'; there are {}, all, and such as net:784-512-512-10:256:ce:adam:f16, \
                     whole-step:10-64-1:32:mse:sgd, in-memory:64-128-64-10:32:ce:sgd, product:nt:1024x1024x1024, k-means:65536x32x64, pca:8192x784",
                    USUAL.map(|(short, _)| short).join(", ")
                ));
            }
        };
        Ok(Workload { name: name.into(), dispatches, filled_by: target.filled_by as u64 })
    }

    /// Every shader in every variant that the library can launch: those that its tests list.
    fn all(&mut self) -> Outcome<Vec<Dispatch>> {
        let mut all = Vec::new();
        for launch in listed::all_launches() {
            all.push(self.launch(&launch, 0)?);
        }
        for net in listed::whole_step_nets() {
            let name = format!("whole-step {:?}, {} invocations", net.held, net.invocations);
            all.push(self.net(&net, &name, 1)?);
        }
        Ok(all)
    }
}

fn numbers<const N: usize>(text: &str, by: char) -> Outcome<[usize; N]> {
    let numbers: Option<Vec<usize>> = text.split(by).map(|n| n.parse().ok()).collect();
    let numbers = numbers.and_then(|numbers| numbers.try_into().ok());
    numbers.ok_or_else(|| format!("'{text}' should be {N} numbers with '{by}' in between"))
}

/// Sums that an invocation of a product adds up, and the terms of each; nothing of other launches.
fn product_of(launch: &Launch) -> Outcome<Option<[u32; 2]>> {
    if !launch.name.trim_start_matches("2 × ").starts_with("matmul") {
        return Ok(None);
    }
    // As `matmul/dims.wgsl` has them.
    let &[_, _, k, _, _, share, _] = launch.dims.as_slice() else {
        return Err(format!(
            "{}: a product with {} words of sizes",
            launch.name,
            launch.dims.len()
        ));
    };
    let quarters = launch.parts.iter().any(|part| part.name == "matmul/quarters");
    // Blocks of 4×4, and a quarter of the terms, or blocks of 8×4.
    Ok(Some(if quarters { [16, share.min(k).div_ceil(4)] } else { [32, share.min(k)] }))
}

fn product(layout: &str, sizes: &str, target: &Target) -> Outcome<Plan> {
    let [m, n, k] = numbers(sizes, 'x')?;
    let (layout, a, b) = match layout {
        "nn" => (Layout::NN, [m, k], [k, n]),
        "nt" => (Layout::NT, [m, k], [n, k]),
        "tn" => (Layout::TN, [k, m], [k, n]),
        other => return Err(format!("'{other}' is none of nn, nt, tn")),
    };
    let mut graph = Graph::new();
    let (a, b) = (graph.input("a", a).map_err(words)?, graph.input("b", b).map_err(words)?);
    let c = graph.matmul_layout(layout, a, b).map_err(words)?;
    // Buffers of any size.
    let target = Target { max_binding_bytes: 1 << 31, max_buffer_bytes: 1 << 31, ..target.clone() };
    Plan::new(&graph, &[c], &target).map_err(words)
}

/// A device that computes nothing, with WebGPU's default limits and subgroups of 32.
pub fn noop(filled_by: usize) -> Gpu {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    Gpu::from_device(&device, &queue).planned_as_gpu(32).filled_by(filled_by)
}

type Training = (Model, Arc<Dataset>, usize);

fn model(
    widths: &str,
    batch: &str,
    loss: &str,
    rest: &[&str],
    kernels: Kernels,
    filled_by: usize,
) -> Outcome<Training> {
    model_on(&noop(filled_by), widths, batch, loss, rest, kernels)
}

/// A stack of dense layers with ReLU in between, and a batch of data.
pub fn model_on(
    gpu: &Gpu,
    widths: &str,
    batch: &str,
    loss: &str,
    rest: &[&str],
    kernels: Kernels,
) -> Outcome<Training> {
    let [batch] = numbers(batch, ',')?;
    let widths: Option<Vec<usize>> = widths.split('-').map(|width| width.parse().ok()).collect();
    let widths = widths.ok_or("widths are numbers with '-' in between")?;
    let (Some((&inputs, units)), Some(&outputs)) = (widths.split_first(), widths.last()) else {
        return Err("a net has inputs and outputs".into());
    };
    let mut net = Sequential::new(inputs);
    for (layer, &units_of_layer) in units.iter().enumerate() {
        net = net.dense(units_of_layer);
        if layer + 1 < units.len() {
            net = net.relu();
        }
    }
    let (precision, rest) = match rest {
        [rest @ .., "f16"] => (Precision::mixed(), rest),
        rest => (Precision::F32, rest),
    };
    let optimizer = match rest {
        [] | ["sgd"] => Optimizer::sgd(0.01),
        ["adam"] => Optimizer::adam(0.01),
        other => return Err(format!("'{}' is neither sgd nor adam", other.join(":"))),
    };
    let features = vec![0.0; batch * inputs];
    let (loss, data) = match loss {
        "ce" => {
            let labels = vec![0; batch];
            (Loss::SoftmaxCrossEntropy, Dataset::classification(features, inputs, labels, outputs))
        }
        "mse" => {
            let targets = vec![0.0; batch * outputs];
            (Loss::MeanSquaredError, Dataset::regression(features, inputs, targets, outputs))
        }
        other => return Err(format!("'{other}' is neither ce nor mse")),
    };
    let config = TrainingConfig::new(loss, optimizer).kernels(kernels).precision(precision);
    let model = net.compile_blocking(gpu, config).map_err(words)?;
    Ok((model, Arc::new(data.map_err(words)?), batch))
}
