//! HLSL, as `wgpu-hal/src/dx12/device.rs` has it written.

use naga::ShaderStage;
use naga::back::hlsl::{BindTarget, Options, PipelineOptions, Writer};

pub use naga::back::hlsl::ShaderModel;

use super::{Checked, Usage};

impl Checked {
    /// # Errors
    /// What naga says.
    pub fn hlsl(&self, shader_model: ShaderModel) -> Result<String, String> {
        // Registers: constant buffers, then read-only and other storage, each counted from 0; constant
        // buffers with a dynamic offset come last, before wgpu's own with the number of workgroups.
        let [mut constants, mut read, mut written] = [BindTarget::default(); 3];
        let mut taken = |usage| {
            let next = match usage {
                Usage::Uniform | Usage::DynamicUniform => &mut constants,
                Usage::Read => &mut read,
                // wgpu has storage textures, whoever writes them, among what is written.
                Usage::ReadWrite | Usage::Texels => &mut written,
            };
            let target = *next;
            next.register += 1;
            target
        };
        let resources = self.resources();
        let (dynamic, fixed): (Vec<_>, Vec<_>) =
            resources.into_iter().partition(|&(_, usage)| usage == Usage::DynamicUniform);
        let mut options = Options { shader_model, ..Options::default() };
        for (binding, usage) in fixed {
            options.binding_map.insert(binding, taken(usage));
        }
        for (binding, usage) in dynamic {
            let target = BindTarget { restrict_indexing: true, ..taken(usage) };
            options.binding_map.insert(binding, target);
        }
        options.special_constants_binding = Some(taken(Usage::Uniform));
        options.fake_missing_bindings = false;
        options.zero_initialize_workgroup_memory = true;
        options.restrict_indexing = true;
        options.force_loop_bounding = true;
        let pipeline = PipelineOptions { entry_point: Some((ShaderStage::Compute, "main".into())) };
        let mut text = String::new();
        Writer::new(&mut text, &options, &pipeline)
            .write(&self.module, &self.info, None)
            .map_err(|error| error.to_string())?;
        Ok(text)
    }
}
