//! SPIR-V, as `wgpu-hal/src/vulkan` has it written.

use naga::ShaderStage;
use naga::back::spv::{
    BindingInfo, Capability, Options, PipelineOptions, WriterFlags,
    ZeroInitializeWorkgroupMemoryMode, write_vec,
};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

use super::Checked;

/// What wgpu-hal asks of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vulkan {
    /// Vulkan 1.1 without extensions: places in buffers are checked, and workgroup memory is set to zero,
    /// by the shader.
    Oldest,
    /// Vulkan 1.3 with `robustBufferAccess2`: the device sees to both.
    Newest,
}

impl Checked {
    /// # Errors
    /// What naga says.
    pub fn spv(&self, vulkan: Vulkan) -> Result<Vec<u32>, String> {
        use ZeroInitializeWorkgroupMemoryMode::{Native, Polyfill};
        let (lang_version, buffer, zeros) = match vulkan {
            Vulkan::Oldest => ((1, 3), BoundsCheckPolicy::Restrict, Polyfill),
            Vulkan::Newest => ((1, 6), BoundsCheckPolicy::Unchecked, Native),
        };
        let mut capabilities = vec![
            Capability::Shader,
            Capability::Matrix,
            Capability::ImageQuery,
            Capability::StorageImageExtendedFormats,
        ];
        if self.needs_model_6 {
            capabilities.extend([
                Capability::Int64,
                Capability::GroupNonUniform,
                Capability::GroupNonUniformVote,
                Capability::GroupNonUniformArithmetic,
                Capability::GroupNonUniformBallot,
                Capability::GroupNonUniformShuffle,
                Capability::GroupNonUniformShuffleRelative,
                Capability::GroupNonUniformQuad,
            ]);
        }
        let target = |binding: naga::ResourceBinding| BindingInfo {
            descriptor_set: binding.group,
            binding: binding.binding,
            binding_array_size: None,
        };
        let options = Options {
            lang_version,
            flags: WriterFlags::LABEL_VARYINGS | WriterFlags::FORCE_POINT_SIZE,
            fake_missing_bindings: false,
            binding_map: self.resources().iter().map(|&(b, _)| (b, target(b))).collect(),
            capabilities: Some(capabilities.into_iter().collect()),
            bounds_check_policies: BoundsCheckPolicies {
                index: BoundsCheckPolicy::Restrict,
                buffer,
                image_load: buffer,
                binding_array: BoundsCheckPolicy::Unchecked,
            },
            zero_initialize_workgroup_memory: zeros,
            force_loop_bounding: true,
            use_storage_input_output_16: false,
            emit_int_div_checks: true,
            ..Options::default()
        };
        let pipeline =
            PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
        write_vec(&self.module, &self.info, &options, Some(&pipeline))
            .map_err(|error| error.to_string())
    }
}
