//! How rows reach the device: all at once, or block by block.

use std::borrow::Borrow;

use crate::data::{Dataset, Targets};
use crate::exec::MAX_STEPS;
use crate::gpu::{Buffer, Gpu};
use crate::plan::Target;
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

/// Bytes of a streamed block, and of the widest tensor of a block that is evaluated or predicted, at most,
/// unless a single batch or row is larger.
const BLOCK_BYTES: u64 = 32 << 20;

/// How often `bytes` fit a block on the device that `target` is; at least once.
pub(crate) fn fitting(bytes: u64, target: &Target) -> usize {
    let room = BLOCK_BYTES.min(target.max_tensor_bytes());
    usize::try_from(room / bytes.max(1)).unwrap_or(usize::MAX).max(1)
}

/// Rows on the device.
#[derive(Debug)]
pub(crate) struct Buffers {
    pub(crate) features: Buffer,
    pub(crate) targets: Buffer,
    pub(crate) order: Buffer,
    /// If rows have weights.
    pub(crate) weights: Option<Buffer>,
}

impl Buffers {
    /// Room for `rows` rows and for `orders` orders of them; the first is that in which they lie.
    async fn new(
        gpu: &Gpu,
        data: &Dataset,
        rows: usize,
        orders: usize,
        weighted: bool,
    ) -> Result<Self> {
        let bytes = |width: usize| (rows as u64).saturating_mul(width as u64 * 4);
        let target = gpu.target();
        let buffer = async |name: &str, width: usize| {
            crate::plan::check_size(name, bytes(width), &target)?;
            gpu.buffer(name, bytes(width)).await
        };
        let buffers = Self {
            features: buffer("features", data.width()).await?,
            targets: buffer("targets", target_width(data)).await?,
            order: buffer("order", orders).await?,
            weights: match weighted {
                true => Some(buffer("weights", 1).await?),
                false => None,
            },
        };
        let identity: Vec<u32> = (0..crate::kernel::word(rows)).collect();
        gpu.write_of_step(&buffers.order, 0, bytemuck::cast_slice(&identity))?;
        Ok(buffers)
    }

    /// Bytes on the device.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn bytes(&self) -> u64 {
        let weights = self.weights.as_ref().map_or(0, |weights| weights.size());
        self.features.size() + self.targets.size() + self.order.size() + weights
    }
}

/// A data set with its rows, or some of them, on the device.
#[derive(Debug)]
pub(crate) struct Feed<D> {
    pub(crate) data: D,
    pub(crate) buffers: Buffers,
    /// Rows that the buffers hold.
    pub(crate) resident_rows: usize,
    /// Batches that a submission may draw from them.
    pub(crate) batches_per_block: usize,
    /// Orders of rows that the device holds at once.
    pub(crate) orders: usize,
    streamed: bool,
    /// The host's copy of the order, for streaming.
    host_order: Vec<u32>,
    /// How often each row counts, if not once; for streaming.
    weights: Option<Vec<f32>>,
}

impl<D: Borrow<Dataset>> Feed<D> {
    /// With room for `orders` orders of rows, if the data lies on the device; with the `weights` of rows that
    /// have such ([`Task::weights`](super::task::Task::weights)).
    pub(crate) async fn new(
        gpu: &Gpu,
        data: D,
        weights: Option<Vec<f32>>,
        batch: usize,
        residency: Residency,
        orders: usize,
    ) -> Result<Self> {
        let rows = data.borrow();
        let row_bytes = rows.width().max(target_width(rows)) as u64 * 4;
        let fits =
            (rows.rows() as u64).saturating_mul(row_bytes) <= gpu.target().max_tensor_bytes();
        let weighted = weights.is_some();
        let whole = async || Buffers::new(gpu, rows, rows.rows(), orders, weighted).await;
        let resident = match residency {
            Residency::Resident => Some(whole().await?),
            Residency::Auto if fits => match whole().await {
                Err(Error::OutOfMemory { .. }) => None,
                buffers => Some(buffers?),
            },
            Residency::Auto | Residency::Streamed => None,
        };
        if let Some(buffers) = resident {
            gpu.write_of_step(&buffers.features, 0, bytemuck::cast_slice(rows.features()))?;
            gpu.write_of_step(&buffers.targets, 0, target_bytes(rows))?;
            if let (Some(buffer), Some(weights)) = (&buffers.weights, &weights) {
                gpu.write_of_step(buffer, 0, bytemuck::cast_slice(weights))?;
            }
            let (resident_rows, host_order) = (rows.rows(), Vec::new());
            let (batches_per_block, streamed) = (usize::MAX, false);
            return Ok(Self {
                data,
                buffers,
                resident_rows,
                batches_per_block,
                orders,
                streamed,
                host_order,
                weights: None,
            });
        }
        let row_words = rows.width() + target_width(rows) + usize::from(weighted);
        let words = (batch as u64).saturating_mul(row_words as u64);
        let batches_per_block = fitting(words.saturating_mul(4), &gpu.target()).min(MAX_STEPS);
        let resident_rows = (batches_per_block * batch).min(rows.rows());
        let buffers = Buffers::new(gpu, rows, resident_rows, 1, weighted).await?;
        Ok(Self {
            data,
            buffers,
            resident_rows,
            batches_per_block,
            orders: 1,
            streamed: true,
            host_order: Vec::new(),
            weights,
        })
    }

    /// Whether rows are brought block by block.
    pub(crate) fn is_streamed(&self) -> bool {
        self.streamed
    }

    /// Sets the order in which rows are drawn from now on.
    pub(crate) fn set_order(&mut self, gpu: &Gpu, order: Vec<u32>) -> Result<()> {
        self.set_order_at(gpu, order, 0)
    }

    /// Sets order `number` of those that the device holds.
    pub(crate) fn set_order_at(&mut self, gpu: &Gpu, order: Vec<u32>, number: usize) -> Result<()> {
        if self.streamed {
            self.host_order = order;
            return Ok(());
        }
        let bytes: &[u8] = bytemuck::cast_slice(&order);
        gpu.write(&self.buffers.order, (number * bytes.len()) as u64, bytes)
    }

    /// Makes `rows` (positions in the order) available; returns the position on the device of the
    /// first.
    pub(crate) fn bring(&self, gpu: &Gpu, rows: std::ops::Range<usize>) -> Result<usize> {
        if !self.streamed {
            return Ok(rows.start);
        }
        let position = |at: usize| self.host_order.get(at).map_or(at, |&row| row as usize);
        let data = self.data.borrow();
        let (width, target_width) = (data.width(), target_width(data));
        let mut features = Vec::with_capacity(rows.len() * width);
        let mut targets: Vec<u8> = Vec::with_capacity(rows.len() * target_width * 4);
        let all_targets = target_bytes(data);
        let weight = |row: usize| self.weights.as_ref()?.get(row).copied();
        let weights: Vec<f32> = rows.clone().map(position).filter_map(weight).collect();
        for row in rows.map(position) {
            let bytes = row * target_width * 4..(row + 1) * target_width * 4;
            let (Some(x), Some(y)) = (data.row(row), all_targets.get(bytes)) else {
                let rows = data.rows();
                return Err(Error::bug(format!("row {row} of {rows} is to be uploaded")));
            };
            features.extend_from_slice(x);
            targets.extend_from_slice(y);
        }
        gpu.write_of_step(&self.buffers.features, 0, bytemuck::cast_slice(&features))?;
        gpu.write_of_step(&self.buffers.targets, 0, &targets)?;
        if let Some(buffer) = &self.buffers.weights {
            gpu.write_of_step(buffer, 0, bytemuck::cast_slice(&weights))?;
        }
        Ok(0)
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

/// # Errors
/// [`Error::Argument`] unless `order` holds each of `rows` row numbers once.
pub(crate) fn check_order(order: &[u32], rows: usize) -> Result<()> {
    if order.len() != rows {
        let rule = format!("{rows}: the numbers of the {rows} rows, each once");
        return Err(Error::argument("number of rows in the order", order.len(), &rule));
    }
    let mut seen = vec![false; rows];
    let fresh = |row: u32| seen.get_mut(row as usize).is_some_and(|s| !std::mem::replace(s, true));
    match order.iter().copied().map(fresh).position(|is_fresh| !is_fresh) {
        Some(at) => {
            let (name, row) = (format!("order[{at}]"), order.get(at).copied().unwrap_or(0));
            let rule = format!("below {rows} and not given before: the {rows} rows, each once");
            Err(Error::argument(&name, row, &rule))
        }
        None => Ok(()),
    }
}
