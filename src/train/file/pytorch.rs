//! Weights that PyTorch saved as safetensors.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors};

use super::model_file::{ModelFile, refused};
use super::tensor::numbers;
use crate::Result;
use crate::nn::Sequential;
use crate::train::TrainingConfig;
use crate::train::state::TrainingState;

/// Weight and bias of a module of PyTorch.
type Module = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

impl ModelFile {
    /// A model with the weights of a PyTorch `state_dict` that was saved by its `safetensors.torch.save_file`.
    /// Modules are taken in the order of their names, numbers in names as numbers (`net.2` before `net.10`), and
    /// given to the layers of `model` that have parameters, in their order: `weight` (units × fan-in, which is
    /// turned) and `bias`. For names in another order give the modules' names in the order of the layers.
    ///
    /// # Errors
    /// [`Error::ModelFile`](crate::Error::ModelFile) saying which module does not fit which layer; [`Error::Argument`](crate::Error::Argument) and
    /// [`Error::Shape`](crate::Error::Shape) if `model` and `config` do not fit each other.
    pub fn from_pytorch(
        bytes: &[u8],
        model: Sequential,
        config: TrainingConfig,
        order: Option<&[&str]>,
    ) -> Result<Self> {
        let file = Self::new(model, config)?;
        let modules = modules(bytes)?;
        let mut names: Vec<String> = modules.keys().cloned().collect();
        match order {
            Some(order) => names = order.iter().map(|name| name.to_string()).collect(),
            None => names.sort_by_cached_key(|name| natural(name)),
        }
        let parameters: Vec<_> = file.architecture().parameter_shapes().collect();
        if parameters.len() != names.len().saturating_mul(2) {
            return Err(refused(format!(
                "{} modules have tensors ({}), and the model has {} parameters, two for each module; make the \
                 model with the same layers, or name the modules to take",
                names.len(),
                names.join(", "),
                parameters.len()
            )));
        }
        let mut values = Vec::new();
        for (name, pair) in names.iter().zip(parameters.chunks(2)) {
            let missing = || {
                let known = modules_list(&modules);
                refused(format!("there is no module '{name}'; there are {known}"))
            };
            let mut module = modules.get(name).cloned().ok_or_else(missing)?;
            for ((own, shape), part) in pair.iter().zip(["weight", "bias"]) {
                let found = module.remove(part);
                let (found, numbers) = found.ok_or_else(|| {
                    refused(format!("module '{name}' has no {part}, for '{own}'"))
                })?;
                values.push(turned(&found, numbers, shape.dims()).ok_or_else(|| {
                    refused(format!(
                        "{part} of module '{name}' is {found:?}, and '{own}' is {:?} (a matrix of PyTorch is \
                         turned); make the model with the same widths",
                        shape.dims()
                    ))
                })?);
            }
            if let Some(part) = module.keys().next() {
                return Err(refused(format!(
                    "module '{name}' has a tensor '{part}', which no layer of wgrad takes; export the net as \
                     ONNX instead, which may hold a normalization of batches"
                )));
            }
        }
        let states = file.state().states.clone();
        file.with_state(TrainingState { values, states, ..TrainingState::default() })
    }
}

fn modules_list(modules: &BTreeMap<String, Module>) -> String {
    modules.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The tensors of each module, by the name that stands before the last point.
fn modules(bytes: &[u8]) -> Result<BTreeMap<String, Module>> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        refused(format!("{error}; it was cut off or changed, or is no such file"))
    })?;
    let mut modules: BTreeMap<String, Module> = BTreeMap::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(refused(format!(
                "tensor '{name}' is of {:?}; save the net as `net.float()`",
                view.dtype()
            )));
        }
        let (module, part) = name.rsplit_once('.').unwrap_or(("", name));
        let tensor = (view.shape().to_vec(), numbers(view.data()));
        modules.entry(module.into()).or_default().insert(part.into(), tensor);
    }
    Ok(modules)
}

/// A name in parts, its numbers as numbers.
fn natural(name: &str) -> Vec<(u64, String)> {
    let part = |part: &str| (part.parse().unwrap_or(u64::MAX), part.to_string());
    name.split('.').map(part).collect()
}

/// The numbers in the order of `wanted`, if it is the shape of `found`, a matrix turned.
fn turned(found: &[usize], numbers: Vec<f32>, wanted: &[usize]) -> Option<Vec<f32>> {
    match (found, wanted) {
        (&[units, fan_in], &[rows, columns]) if units == columns && fan_in == rows => Some(
            (0..fan_in)
                .flat_map(|input| numbers.iter().skip(input).step_by(fan_in.max(1)).copied())
                .collect(),
        ),
        (&[_, _], _) => None,
        _ if found == wanted => Some(numbers),
        _ => None,
    }
}
