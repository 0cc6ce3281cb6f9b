//! What a plan needs to know of a device, as plain data.

use super::{LaunchLimits, MOST_TURNS};
use crate::kernel::matmul::Tiling;

/// The kind of adapter that kernels are chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdapterClass {
    /// A driver that runs on the CPU (lavapipe, SwiftShader, WARP).
    Software,
    /// Anything else.
    Gpu,
}

/// Invocations that fill a discrete GPU of the middle of the range: 120 SIMDs of an RX 6800 have 30,720 with four
/// subgroups of 64 each, 112 of an RTX 3060 14,336 with four of 32, 512 of an RTX 4090 65,536.
pub(crate) const FILLED_BY_DISCRETE: usize = 1 << 15;
/// The same of an integrated GPU: 24 SIMDs of a Radeon 780M have 6,144, 40 of an Apple M2 5,120.
pub(crate) const FILLED_BY_INTEGRATED: usize = 6 << 10;
/// The same of one of which nothing is known, as in a browser.
pub(crate) const FILLED_BY_OTHER: usize = 1 << 14;

/// The device that a plan is made for. The default has WebGPU's default limits, which every
/// device meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The kind of adapter.
    pub class: AdapterClass,
    /// `maxStorageBufferBindingSize`, bytes.
    pub max_binding_bytes: u64,
    /// `maxBufferSize`, bytes.
    pub max_buffer_bytes: u64,
    /// `maxComputeWorkgroupsPerDimension`.
    pub max_workgroups: u32,
    /// Turns that all loops of an invocation may take together; [`MOST_TURNS`] on every device, since a
    /// driver does not tell. Fewer are for tests.
    pub most_turns: u64,
    /// What there is for one dispatch.
    pub launch: LaunchLimits,
    /// Alignment of buffer offsets in bindings, bytes.
    pub alignment: u32,
    /// Invocations of a subgroup, if the device has subgroup operations and the number is always the same.
    pub subgroup: Option<u32>,
    /// Invocations of a subgroup, if the number is known and always the same, with or without operations.
    pub width: Option<u32>,
    /// Whether shaders have integers of 64 bits; kernels for software adapters read memory in them.
    pub words: bool,
    /// Whether the device has textures that hold an operand of a product ([`MOST_TEXELS`](crate::kernel::MOST_TEXELS)),
    /// two for a shader.
    pub texels: bool,
    /// Multiply-adds of a product from which they pay, if they do: where the device is the processor. A software driver
    /// reads a buffer in a loop over the invocations of a subgroup, in which without AVX-512 each number waits for the
    /// stack; with it, only the loop of an old driver is slow.
    pub texels_from: Option<usize>,
    /// Workgroups that keep the device busy: long sums are split until there are as many, and as many
    /// share the rows of a batch in a whole-step kernel. On a software adapter, the processors of its host,
    /// where they are known.
    pub busy: usize,
    /// Invocations that fill a GPU: about four subgroups for each of its schedulers, so that there is always
    /// one that can go on while others wait for memory. Products split their sums until they have as many.
    /// WebGPU does not say; there is a guess for each kind of GPU, and [`Gpu::measure`](crate::Gpu::measure).
    /// Software adapters go by `busy` instead.
    pub filled_by: usize,
    /// How every matrix product is to be tiled, instead of as the rule of the plan has it: for
    /// tests and measurements. A plan with a tiling that the device cannot run is refused.
    pub tiling: Option<Tiling>,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            class: AdapterClass::Gpu,
            max_binding_bytes: 128 << 20,
            max_buffer_bytes: 256 << 20,
            max_workgroups: 65_535,
            most_turns: MOST_TURNS,
            launch: LaunchLimits::default(),
            alignment: 256,
            subgroup: None,
            width: None,
            words: false,
            texels: true,
            texels_from: None,
            busy: 128,
            filled_by: FILLED_BY_DISCRETE,
            tiling: None,
        }
    }
}

impl Target {
    /// This device, with parameters laid out so that they lie alike on `others`: what replicas need
    /// that exchange ranges of memory.
    pub fn laid_out_with<'a>(mut self, others: impl IntoIterator<Item = &'a Target>) -> Self {
        for other in others {
            self.alignment = self.alignment.max(other.alignment);
            self.max_binding_bytes = self.max_binding_bytes.min(other.max_binding_bytes);
            self.max_buffer_bytes = self.max_buffer_bytes.min(other.max_buffer_bytes);
        }
        self
    }

    /// Whether kernels should read memory in integers of 64 bits: where a load takes as long whatever
    /// its size.
    pub fn reads_words(&self) -> bool {
        self.words && self.class == AdapterClass::Software
    }

    /// Largest tensor that can be bound, bytes.
    pub fn max_tensor_bytes(&self) -> u64 {
        self.tensor_limit().1
    }

    /// The limit that a tensor must keep, by name, and its bytes.
    pub(crate) fn tensor_limit(&self) -> (&'static str, u64) {
        if self.max_binding_bytes <= self.max_buffer_bytes {
            ("the device's maxStorageBufferBindingSize", self.max_binding_bytes)
        } else {
            ("the device's maxBufferSize", self.max_buffer_bytes)
        }
    }
}
