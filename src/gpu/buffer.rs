//! Buffers that give their memory back with their owner.

use std::ops::Deref;

/// A buffer. Natively wgpu frees it with its last handle. In a browser its memory would stay until
/// the garbage collector finds it, which knows nothing of its size: there it is destroyed with its
/// owner, unless it was lent.
#[derive(Debug)]
pub(crate) struct Buffer {
    raw: wgpu::Buffer,
    #[cfg(target_arch = "wasm32")]
    lent: bool,
}

impl Buffer {
    pub(super) fn owned(raw: wgpu::Buffer) -> Self {
        Self {
            raw,
            #[cfg(target_arch = "wasm32")]
            lent: false,
        }
    }

    /// A buffer that somebody else frees.
    pub(crate) fn lent(raw: wgpu::Buffer) -> Self {
        Self {
            raw,
            #[cfg(target_arch = "wasm32")]
            lent: true,
        }
    }
}

impl Deref for Buffer {
    type Target = wgpu::Buffer;

    fn deref(&self) -> &wgpu::Buffer {
        &self.raw
    }
}

#[cfg(target_arch = "wasm32")]
impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.lent {
            self.raw.destroy();
        }
    }
}
