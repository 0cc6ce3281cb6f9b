//! Results on their way back: a ring of small buffers, so that nothing waits for the device while
//! there is room in it.

use std::collections::VecDeque;

use crate::Result;
use crate::gpu::{Arrival, Buffer, Gpu, map};

use super::parameters::STATUS_BYTES;

/// Submissions whose results may be under way at once.
pub(super) const DEPTH: usize = 4;

/// The results of one submission.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// One row per step, `columns` numbers each.
    pub rows: Vec<Vec<f32>>,
    /// Number of the first step that was not finite, if one was.
    pub halted_at: Option<u32>,
    /// Whether that step's loss was finite, and only a parameter's new value was not.
    pub halted_by_parameter: bool,
}

/// The words of `update_guard.wgsl`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status {
    pub(super) halted_at: Option<u32>,
    pub(super) by_parameter: bool,
}

#[derive(Debug)]
pub(super) struct Ring {
    columns: usize,
    row_capacity: usize,
    free: Vec<Buffer>,
    under_way: VecDeque<(Buffer, usize, Arrival)>,
    /// Copies recorded into an encoder that the caller has yet to submit.
    recorded: VecDeque<(Buffer, usize)>,
}

impl Ring {
    pub(super) async fn new(gpu: &Gpu, columns: usize, row_capacity: usize) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let mut ring = Self {
            columns,
            row_capacity,
            free: Vec::new(),
            under_way: VecDeque::new(),
            recorded: VecDeque::new(),
        };
        for _ in 0..DEPTH {
            let bytes = ring.bytes(row_capacity);
            ring.free
                .push(gpu.buffer_for("results", bytes, Usage::COPY_DST | Usage::MAP_READ).await?);
        }
        Ok(ring)
    }

    /// Bytes of all its buffers.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn size(&self) -> u64 {
        DEPTH as u64 * self.bytes(self.row_capacity)
    }

    fn bytes(&self, rows: usize) -> u64 {
        STATUS_BYTES + (rows * self.columns * 4) as u64
    }

    /// Whether another submission's results have room.
    pub(super) fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Whether the oldest results are here.
    pub(super) fn is_ready(&self) -> bool {
        self.under_way.front().is_some_and(|(_, _, arrival)| arrival.is_ready())
    }

    /// Records the copy of `rows` rows and the status. The caller has made sure that there is room.
    pub(super) fn record(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        results: &wgpu::Buffer,
        first_row: usize,
        status: &wgpu::Buffer,
        rows: usize,
    ) {
        debug_assert!(rows <= self.row_capacity);
        let Some(staging) = self.free.pop() else { return };
        encoder.copy_buffer_to_buffer(status, 0, &staging, 0, STATUS_BYTES);
        if self.columns > 0 {
            let offset = (first_row * self.columns * 4) as u64;
            let bytes = (rows * self.columns * 4) as u64;
            encoder.copy_buffer_to_buffer(results, offset, &staging, STATUS_BYTES, bytes);
        }
        self.recorded.push_back((staging, rows));
    }

    /// Asks for what was recorded, once it is submitted.
    pub(super) fn submitted(&mut self, gpu: &Gpu) {
        while let Some((staging, rows)) = self.recorded.pop_front() {
            let arrival = map(gpu, &staging, self.bytes(rows), "a training step");
            self.under_way.push_back((staging, rows, arrival));
        }
    }

    /// The oldest results, waiting for them; `None` if none are under way.
    pub(super) async fn take(&mut self, gpu: &Gpu) -> Result<Option<Results>> {
        let Some((status, numbers)) = self.take_numbers(gpu).await? else { return Ok(None) };
        Ok(Some(Results {
            rows: numbers.chunks(self.columns.max(1)).map(<[f32]>::to_vec).collect(),
            halted_at: status.halted_at,
            halted_by_parameter: status.by_parameter,
        }))
    }

    /// The oldest results, row after row.
    pub(super) async fn take_numbers(&mut self, gpu: &Gpu) -> Result<Option<(Status, Vec<f32>)>> {
        let Some((staging, rows, arrival)) = self.under_way.pop_front() else { return Ok(None) };
        arrival.await?;
        let bytes = gpu.mapped(&staging, self.bytes(rows))?;
        self.free.push(staging);
        let (status, numbers) = bytes.split_at(STATUS_BYTES as usize);
        let status: Vec<u32> = bytemuck::pod_collect_to_vec(status);
        let word = |index: usize| status.get(index).copied().unwrap_or(0);
        let status = Status { halted_at: word(0).checked_sub(1), by_parameter: word(1) == 2 };
        Ok(Some((status, bytemuck::pod_collect_to_vec(numbers))))
    }
}
