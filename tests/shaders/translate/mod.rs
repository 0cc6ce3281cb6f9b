//! A kernel in the languages of wgpu's backends: written by naga with the options that wgpu-hal 30 gives
//! it, on devices of which wgrad asks no more than WebGPU's limits and, where a kernel needs them,
//! subgroups and integers of 64 bits.

mod hlsl;
mod msl;
mod spv;

use naga::back::PipelineConstants;
use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ResourceBinding, ShaderStage, StorageAccess};

pub use hlsl::ShaderModel;
pub use spv::Vulkan;

use super::listed::Kernel;

/// A kernel that was parsed and validated, with its constants in place.
pub struct Checked {
    module: Module,
    info: ModuleInfo,
    /// Whether it needs what DirectX has from shader model 6.0 on: subgroup operations or integers of 64
    /// bits.
    pub needs_model_6: bool,
}

/// How a kernel uses a buffer, or a texture.
#[derive(Clone, Copy, PartialEq)]
enum Usage {
    Uniform,
    /// A uniform with a dynamic offset: the step record.
    DynamicUniform,
    Read,
    ReadWrite,
    Texels,
}

impl Checked {
    /// # Errors
    /// What naga says.
    pub fn new(kernel: &Kernel) -> Result<Self, String> {
        let text = &kernel.text;
        let module =
            naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string(text))?;
        let mut capabilities = Capabilities::empty();
        capabilities.set(Capabilities::SUBGROUP, text.contains("subgroup"));
        capabilities.set(Capabilities::SHADER_INT64, text.contains("u64"));
        capabilities.insert(Capabilities::SHADER_FLOAT16_IN_FLOAT32);
        let info = Validator::new(ValidationFlags::all(), capabilities)
            .validate(&module)
            .map_err(|error| error.emit_to_string(text))?;
        let constants: PipelineConstants =
            kernel.constants.iter().map(|&(name, value)| (name.into(), value)).collect();
        let entry = Some((ShaderStage::Compute, "main"));
        let (resolved, info) = process_overrides(&module, &info, entry, &constants)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            module: resolved.into_owned(),
            info: info.into_owned(),
            needs_model_6: !capabilities.is_empty(),
        })
    }

    /// The bindings in the order of their numbers, as the layout has them.
    fn resources(&self) -> Vec<(ResourceBinding, Usage)> {
        let mut resources: Vec<(ResourceBinding, Usage)> = self
            .module
            .global_variables
            .iter()
            .filter_map(|(_, variable)| {
                let usage = match variable.space {
                    AddressSpace::Uniform if variable.name.as_deref() == Some("step") => {
                        Usage::DynamicUniform
                    }
                    AddressSpace::Uniform => Usage::Uniform,
                    AddressSpace::Storage { access } if access == StorageAccess::LOAD => {
                        Usage::Read
                    }
                    AddressSpace::Storage { .. } => Usage::ReadWrite,
                    AddressSpace::Handle => Usage::Texels,
                    _ => return None,
                };
                Some((variable.binding?, usage))
            })
            .collect();
        resources.sort_by_key(|(binding, _)| binding.binding);
        resources
    }
}
