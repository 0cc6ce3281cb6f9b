//! Buffers that give their memory back with their owner.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A buffer. Natively wgpu frees it with its last handle. In a browser its memory would stay until
/// the garbage collector finds it, which knows nothing of its size: there it is destroyed with its
/// owner, unless it was lent.
#[derive(Debug)]
pub(crate) struct Buffer {
    raw: wgpu::Buffer,
    /// The device's bytes in use, this buffer's among them; nothing if it was lent.
    in_use: Option<Arc<AtomicU64>>,
}

impl Buffer {
    /// A buffer whose bytes are in use until it is dropped.
    pub(super) fn owned(raw: wgpu::Buffer, in_use: Arc<AtomicU64>) -> Self {
        in_use.fetch_add(raw.size(), Ordering::Relaxed);
        Self { raw, in_use: Some(in_use) }
    }

    /// A buffer that somebody else frees.
    pub(crate) fn lent(raw: wgpu::Buffer) -> Self {
        Self { raw, in_use: None }
    }
}

impl Deref for Buffer {
    type Target = wgpu::Buffer;

    fn deref(&self) -> &wgpu::Buffer {
        &self.raw
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(in_use) = &self.in_use else { return };
        in_use.fetch_sub(self.raw.size(), Ordering::Relaxed);
        #[cfg(target_arch = "wasm32")]
        self.raw.destroy();
    }
}
