//! Textures that hold a tensor for kernels to read, four numbers a texel, one texel after another. What that is for,
//! [`Memory::Texels`](crate::kernel::matmul::Memory) says. Devices in browsers have no 64-bit integers and so get
//! none of them.

use super::Gpu;
use crate::kernel::{MOST_TEXELS, TEXELS_ACROSS, word};
use crate::{Error, Result};

/// What they are made of.
pub(super) const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba32Float;

const TEXEL_BYTES: u64 = 16;
const ROW_BYTES: u32 = TEXELS_ACROSS * TEXEL_BYTES as u32;

/// Whether a shader can have two of them, however large.
pub(super) fn fits(limits: &wgpu::Limits) -> bool {
    limits.max_texture_dimension_2d as usize >= MOST_TEXELS / TEXELS_ACROSS as usize
        && limits.max_storage_textures_per_shader_stage >= 2
}

/// Multiply-adds of a product from which a software driver on this processor takes less time with them than with buffers.
/// `driver` is what the adapter says of its driver.
pub(super) fn pay_from(driver: &str) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    let slow_buffers = !std::arch::is_x86_feature_detected!("avx512vl");
    #[cfg(not(target_arch = "x86_64"))]
    let slow_buffers = cfg!(not(target_arch = "wasm32"));
    match slow_buffers {
        true => Some(1 << 20),
        // Measured on 22.3, where they do, and 25.0, where they do not.
        false => driver.starts_with("Mesa 22.").then_some(1 << 26),
    }
}

/// Such a texture.
#[derive(Debug)]
pub(crate) struct Texels {
    texture: wgpu::Texture,
    view: wgpu::TextureView,
}

impl Texels {
    /// One that has room for `bytes`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] and the other errors of the device.
    pub(crate) async fn new(gpu: &Gpu, bytes: u64) -> Result<Self> {
        let texels = bytes.div_ceil(TEXEL_BYTES) as usize;
        if texels > MOST_TEXELS {
            return Err(Error::bug(format!("a texture of {texels} texels")));
        }
        let height = word(texels.div_ceil(TEXELS_ACROSS as usize).max(1));
        let allocated = u64::from(height) * u64::from(ROW_BYTES);
        let during = format!("allocating a texture ({allocated} bytes)");
        gpu.tally().buffer_bytes.add(allocated);
        gpu.scoped(&during, || {
            let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
                label: Some("operand"),
                size: size(TEXELS_ACROSS, height),
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: FORMAT,
                usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
                view_formats: &[],
            });
            let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
            Self { texture, view }
        })
        .await
    }

    /// What a kernel binds.
    pub(crate) fn view(&self) -> &wgpu::TextureView {
        &self.view
    }

    /// Bytes that it takes.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn size(&self) -> u64 {
        u64::from(self.texture.height()) * u64::from(ROW_BYTES)
    }

    /// Records that it gets the `bytes`, whole texels, that lie in `buffer` from `offset` on.
    pub(crate) fn fill(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        (buffer, offset): (&wgpu::Buffer, u64),
        bytes: u64,
    ) {
        let whole = (bytes / u64::from(ROW_BYTES)) as u32;
        let rest = (bytes % u64::from(ROW_BYTES) / TEXEL_BYTES) as u32;
        // The whole rows, and what is left of the last.
        for (row, extent) in [(0, size(TEXELS_ACROSS, whole)), (whole, size(rest, 1))] {
            if extent.width == 0 || extent.height == 0 {
                continue;
            }
            let source = wgpu::TexelCopyBufferInfo {
                buffer,
                layout: wgpu::TexelCopyBufferLayout {
                    offset: offset + u64::from(row) * u64::from(ROW_BYTES),
                    bytes_per_row: Some(ROW_BYTES),
                    rows_per_image: None,
                },
            };
            let target = wgpu::TexelCopyTextureInfo {
                origin: wgpu::Origin3d { x: 0, y: row, z: 0 },
                ..self.texture.as_image_copy()
            };
            encoder.copy_buffer_to_texture(source, target, extent);
        }
    }
}

fn size(width: u32, height: u32) -> wgpu::Extent3d {
    wgpu::Extent3d { width, height, depth_or_array_layers: 1 }
}
