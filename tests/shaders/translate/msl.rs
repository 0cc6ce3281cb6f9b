//! The Metal shading language, as `wgpu-hal/src/metal/device.rs` has it written.

use naga::ShaderStage;
use naga::back::msl::{BindTarget, EntryPointResources, Options, PipelineOptions, write_string};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

use super::{Checked, Usage};

impl Checked {
    /// For Metal 2.4, which macOS 12 and iOS 15 have.
    ///
    /// # Errors
    /// What naga says.
    pub fn msl(&self) -> Result<String, String> {
        // Buffers and textures are counted from 0; behind the buffers, wgpu has one with the sizes of all.
        let mut resources = EntryPointResources::default();
        let (textures, buffers): (Vec<_>, Vec<_>) =
            self.resources().into_iter().partition(|&(_, usage)| usage == Usage::Texels);
        for (slot, (binding, usage)) in (0..).zip(buffers) {
            let mutable = usage == Usage::ReadWrite;
            let target = BindTarget { buffer: Some(slot), mutable, ..Default::default() };
            resources.resources.insert(binding, target);
            resources.sizes_buffer = Some(slot + 1);
        }
        for (slot, (binding, _)) in (0..).zip(textures) {
            let target = BindTarget { texture: Some(slot), ..Default::default() };
            resources.resources.insert(binding, target);
        }
        let options = Options {
            lang_version: (2, 4),
            per_entry_point_map: [("main".to_string(), resources)].into(),
            fake_missing_bindings: false,
            bounds_check_policies: BoundsCheckPolicies {
                index: BoundsCheckPolicy::Restrict,
                buffer: BoundsCheckPolicy::Restrict,
                image_load: BoundsCheckPolicy::Restrict,
                binding_array: BoundsCheckPolicy::Unchecked,
            },
            zero_initialize_workgroup_memory: true,
            force_loop_bounding: true,
            emit_int_div_checks: true,
            ..Options::default()
        };
        let pipeline = PipelineOptions {
            entry_point: Some((ShaderStage::Compute, "main".into())),
            vertex_pulling_transform: true,
            ..PipelineOptions::default()
        };
        let (text, _) = write_string(&self.module, &self.info, &options, &pipeline)
            .map_err(|error| error.to_string())?;
        Ok(text)
    }
}
