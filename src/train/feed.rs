//! How rows reach the device: all at once, or block by block.

use crate::data::{Dataset, Targets};
use crate::exec::MAX_STEPS;
use crate::gpu::Gpu;
use crate::{Error, Result};

/// Where the data set lies while a model trains on it. The result is the same, bit for bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residency {
    /// On the device if it fits, else streamed.
    #[default]
    Auto,
    /// On the device.
    Resident,
    /// In the host's memory; the rows of each submission are uploaded before it runs.
    Streamed,
}

/// Bytes of rows in a streamed block, at most, unless a single batch is larger.
const BLOCK_BYTES: usize = 32 << 20;

/// Rows on the device.
#[derive(Debug)]
pub(super) struct Feed<'a> {
    data: &'a Dataset,
    pub(super) features: wgpu::Buffer,
    pub(super) targets: wgpu::Buffer,
    pub(super) order: wgpu::Buffer,
    /// Rows that the buffers hold.
    pub(super) resident_rows: usize,
    /// Batches that a submission may draw from them.
    pub(super) batches_per_block: usize,
    streamed: bool,
    /// The host's copy of the order, for streaming.
    host_order: Vec<u32>,
}

impl<'a> Feed<'a> {
    pub(super) async fn new(
        gpu: &Gpu,
        data: &'a Dataset,
        batch: usize,
        residency: Residency,
    ) -> Result<Self> {
        let largest = gpu.target().max_tensor_bytes();
        let fits = |rows: usize| {
            let row = data.width().max(target_width(data)) * 4;
            (rows as u64).saturating_mul(row as u64) <= largest
        };
        let resident = async || Self::with_rows(gpu, data, data.rows(), usize::MAX, false).await;
        match residency {
            Residency::Resident => resident().await,
            Residency::Auto if fits(data.rows()) => match resident().await {
                Err(Error::OutOfMemory { .. }) => Self::streamed(gpu, data, batch).await,
                feed => feed,
            },
            Residency::Auto | Residency::Streamed => Self::streamed(gpu, data, batch).await,
        }
    }

    async fn streamed(gpu: &Gpu, data: &'a Dataset, batch: usize) -> Result<Self> {
        let batch_bytes = batch * (data.width() + target_width(data)) * 4;
        let batches = (BLOCK_BYTES / batch_bytes.max(1)).clamp(1, MAX_STEPS);
        let rows = (batches * batch).min(data.rows());
        Self::with_rows(gpu, data, rows, batches, true).await
    }

    async fn with_rows(
        gpu: &Gpu,
        data: &'a Dataset,
        rows: usize,
        batches_per_block: usize,
        streamed: bool,
    ) -> Result<Self> {
        let bytes = |width: usize| (rows as u64).saturating_mul(width as u64 * 4);
        crate::plan::check_size("features", bytes(data.width()), &gpu.target())?;
        let feed = Self {
            data,
            features: gpu.buffer("features", bytes(data.width())).await?,
            targets: gpu.buffer("targets", bytes(target_width(data))).await?,
            order: gpu.buffer("order", bytes(1)).await?,
            resident_rows: rows,
            batches_per_block,
            streamed,
            host_order: Vec::new(),
        };
        let identity: Vec<u32> = (0..crate::kernel::word(rows)).collect();
        gpu.write(&feed.order, 0, bytemuck::cast_slice(&identity));
        if !streamed {
            gpu.write(&feed.features, 0, bytemuck::cast_slice(data.features()));
            gpu.write(&feed.targets, 0, target_bytes(data));
        }
        Ok(feed)
    }

    /// Sets the order in which rows are drawn from now on.
    pub(super) fn set_order(&mut self, gpu: &Gpu, order: Vec<u32>) {
        if self.streamed {
            self.host_order = order;
        } else {
            gpu.write(&self.order, 0, bytemuck::cast_slice(&order));
        }
    }

    /// Makes `rows` (positions in the order) available; returns the position on the device of the
    /// first.
    pub(super) fn bring(&self, gpu: &Gpu, rows: std::ops::Range<usize>) -> usize {
        if !self.streamed {
            return rows.start;
        }
        let position = |at: usize| self.host_order.get(at).map_or(at, |&row| row as usize);
        let (width, target_width) = (self.data.width(), target_width(self.data));
        let mut features = Vec::with_capacity(rows.len() * width);
        let mut targets: Vec<u8> = Vec::with_capacity(rows.len() * target_width * 4);
        let all_targets = target_bytes(self.data);
        for row in rows.map(position) {
            features.extend_from_slice(self.data.row(row).unwrap_or_default());
            let bytes = row * target_width * 4..(row + 1) * target_width * 4;
            targets.extend_from_slice(all_targets.get(bytes).unwrap_or_default());
        }
        gpu.write(&self.features, 0, bytemuck::cast_slice(&features));
        gpu.write(&self.targets, 0, &targets);
        0
    }
}

fn target_width(data: &Dataset) -> usize {
    match data.targets() {
        Targets::Values { width, .. } => *width,
        Targets::Classes { .. } => 1,
    }
}

fn target_bytes(data: &Dataset) -> &[u8] {
    match data.targets() {
        Targets::Values { data, .. } => bytemuck::cast_slice(data),
        Targets::Classes { labels, .. } => bytemuck::cast_slice(labels),
    }
}
