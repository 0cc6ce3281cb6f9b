//! What a device allows for one dispatch. Every launch of a plan is held against it, so that a plan that
//! is made can run; and every shader before it is compiled.

use super::Target;
use crate::kernel::{Launch, needs::Needs};
use crate::{Error, Result};

/// What a device allows for one dispatch of a compute shader. The default is what WebGPU guarantees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchLimits {
    /// `maxBindGroups`; kernels take one.
    pub bind_groups: u32,
    /// `maxBindingsPerBindGroup`.
    pub bindings: u32,
    /// `maxStorageBuffersPerShaderStage`.
    pub storage_buffers: u32,
    /// `maxUniformBuffersPerShaderStage`.
    pub uniform_buffers: u32,
    /// `maxDynamicUniformBuffersPerPipelineLayout`; kernels take at most one, for the step's record.
    pub dynamic_uniform_buffers: u32,
    /// `maxUniformBufferBindingSize`, bytes.
    pub uniform_bytes: u64,
    /// `maxComputeInvocationsPerWorkgroup`.
    pub invocations: u32,
    /// `maxComputeWorkgroupSizeX`.
    pub workgroup_size: u32,
    /// `maxComputeWorkgroupStorageSize`, bytes.
    pub workgroup_bytes: u64,
}

impl Default for LaunchLimits {
    fn default() -> Self {
        Self {
            bind_groups: 4,
            bindings: 1000,
            storage_buffers: 8,
            uniform_buffers: 12,
            dynamic_uniform_buffers: 8,
            uniform_bytes: 64 << 10,
            invocations: 256,
            workgroup_size: 256,
            workgroup_bytes: 16 << 10,
        }
    }
}

impl LaunchLimits {
    /// Those of `limits`.
    pub(crate) fn of(limits: &wgpu::Limits) -> Self {
        Self {
            bind_groups: limits.max_bind_groups,
            bindings: limits.max_bindings_per_bind_group,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            uniform_buffers: limits.max_uniform_buffers_per_shader_stage,
            dynamic_uniform_buffers: limits.max_dynamic_uniform_buffers_per_pipeline_layout,
            uniform_bytes: limits.max_uniform_buffer_binding_size,
            invocations: limits.max_compute_invocations_per_workgroup,
            workgroup_size: limits.max_compute_workgroup_size_x,
            workgroup_bytes: limits.max_compute_workgroup_storage_size.into(),
        }
    }

    /// # Errors
    /// [`Error::Limit`] if `what` needs more than there is.
    pub(crate) fn check(&self, what: &str, needs: &Needs) -> Result<()> {
        let buffers = needs.storage_buffers + needs.uniform_buffers;
        let rows: [(u64, &str, &str, u64); 9] = [
            (1, "bind groups", "the device's maxBindGroups", self.bind_groups.into()),
            (
                buffers.into(),
                "bindings",
                "the device's maxBindingsPerBindGroup",
                self.bindings.into(),
            ),
            (
                needs.storage_buffers.into(),
                "storage buffers",
                "the device's maxStorageBuffersPerShaderStage",
                self.storage_buffers.into(),
            ),
            (
                needs.uniform_buffers.into(),
                "uniform buffers",
                "the device's maxUniformBuffersPerShaderStage",
                self.uniform_buffers.into(),
            ),
            (
                needs.uniform_buffers.min(1).into(),
                "uniform buffers with an offset",
                "the device's maxDynamicUniformBuffersPerPipelineLayout",
                self.dynamic_uniform_buffers.into(),
            ),
            (
                needs.uniform_bytes,
                "bytes of uniforms",
                "the device's maxUniformBufferBindingSize",
                self.uniform_bytes,
            ),
            (
                needs.invocations.into(),
                "invocations",
                "the device's maxComputeInvocationsPerWorkgroup",
                self.invocations.into(),
            ),
            (
                needs.invocations.into(),
                "invocations side by side",
                "the device's maxComputeWorkgroupSizeX",
                self.workgroup_size.into(),
            ),
            (
                needs.workgroup_bytes,
                "bytes of workgroup memory",
                "the device's maxComputeWorkgroupStorageSize",
                self.workgroup_bytes,
            ),
        ];
        match rows.into_iter().find(|(needed, _, _, allowed)| needed > allowed) {
            None => Ok(()),
            Some((needed, unit, limit, allowed)) => Err(Error::Limit {
                what: what.into(),
                needed,
                unit,
                limit,
                allowed,
                remedy: "request the device with more, up to its adapter's limits".into(),
            }),
        }
    }
}

/// # Errors
/// [`Error::Limit`] if `launch` needs more than `target` has.
pub(super) fn check(launch: &Launch, target: &Target) -> Result<()> {
    target.launch.check(&launch.name, &Needs::of(&launch.parts, &launch.constants)?)?;
    let (needed, side) = (launch.workgroups as u64, u64::from(target.max_workgroups));
    let allowed = side * side;
    if needed <= allowed {
        return Ok(());
    }
    Err(Error::Limit {
        what: launch.name.clone(),
        needed,
        unit: "workgroups",
        limit: "the square of the device's maxComputeWorkgroupsPerDimension",
        allowed,
        remedy: "use a smaller batch, or layers with fewer units".into(),
    })
}
