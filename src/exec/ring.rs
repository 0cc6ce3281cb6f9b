//! Results on their way back: a ring of small buffers, so that nothing waits for the device while
//! there is room in it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::serial::Serial;
use super::status::{Halt, STATUS_BYTES};
use crate::gpu::{Arrival, Buffer, Gpu, map};
use crate::{Error, Result};

/// Submissions whose results may be under way at once.
pub(super) const DEPTH: usize = 4;

/// The results of one submission.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// One row per step, `columns` numbers each; empty rows of a plan without results.
    pub rows: Vec<Vec<f32>>,
    /// Number of the first step that was not finite, if one was, in this submission or before.
    pub halted_at: Option<u64>,
    /// Which of `rows` is that step's, if it is of this submission.
    pub halted_row: Option<usize>,
    /// Whether that step's loss was finite, and only a parameter's new value was not.
    pub halted_by_parameter: bool,
    /// Whether that step asked a row with NaN for its largest or smallest element.
    pub halted_by_extreme: bool,
}

/// The results of one submission, as they lie on the device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    /// How many steps.
    pub(crate) steps: usize,
    /// A row per step, one after another.
    pub(crate) numbers: Vec<f32>,
    /// The first step that went wrong, if one did.
    pub(crate) halt: Option<Halt>,
    /// Its row, if it is of this submission.
    pub(crate) halted_row: Option<usize>,
}

/// A copy of results and status, of `rows` steps whose serial numbers begin with `first`.
#[derive(Debug)]
struct Copied {
    staging: Buffer,
    rows: usize,
    first: Serial,
    /// Whether it lay in an encoder that was dropped rather than submitted, if that is the app's.
    dropped: Option<Arc<AtomicBool>>,
}

impl Copied {
    fn is_dropped(&self) -> bool {
        self.dropped.as_ref().is_some_and(|dropped| dropped.load(Ordering::Acquire))
    }
}

/// Kept by an encoder until it is done. Dropped before, it says so.
struct Watched {
    dropped: Arc<AtomicBool>,
    done: bool,
}

impl Watched {
    fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.done {
            self.dropped.store(true, Ordering::Release);
        }
    }
}

#[derive(Debug)]
pub(super) struct Ring {
    columns: usize,
    row_capacity: usize,
    free: Vec<Buffer>,
    under_way: VecDeque<(Copied, Arrival)>,
    /// Copies recorded into an encoder that is yet to be submitted.
    recorded: VecDeque<Copied>,
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

    /// Whether another submission's results have room. What lay in encoders that were dropped takes none.
    pub(super) fn has_room(&mut self) -> bool {
        self.reclaim();
        !self.free.is_empty()
    }

    /// Frees the buffers of what lay in encoders that were dropped.
    fn reclaim(&mut self) {
        while let Some(place) = self.recorded.iter().position(Copied::is_dropped)
            && let Some(copied) = self.recorded.remove(place)
        {
            self.free.push(copied.staging);
        }
    }

    /// Has `encoder`, in which the steps are recorded whose serial numbers begin with `first`, tell if it is
    /// dropped.
    pub(super) fn watch(&mut self, encoder: &wgpu::CommandEncoder, first: Serial) {
        if let Some(copied) = self.recorded.iter_mut().find(|copied| copied.first == first) {
            let dropped = copied.dropped.insert(Arc::default()).clone();
            let watched = Watched { dropped, done: false };
            encoder.on_submitted_work_done(move || watched.done());
        }
    }

    /// Submissions whose results are under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Whether the oldest results are here.
    pub(super) fn is_ready(&self) -> bool {
        self.under_way.front().is_some_and(|(_, arrival)| arrival.is_ready())
    }

    /// Records the copy of `rows` rows, whose steps' serial numbers begin with `first`, and of the status.
    ///
    /// # Errors
    /// [`Error::Bug`] if there is no room: the caller has made sure of it.
    pub(super) fn record(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        results: (&wgpu::Buffer, usize),
        status: &wgpu::Buffer,
        (first, rows): (Serial, usize),
    ) -> Result<()> {
        let (results, first_row) = results;
        let room = self.free.pop_if(|_| rows <= self.row_capacity);
        let without = || Error::bug(format!("results of {rows} steps without room for them"));
        let staging = room.ok_or_else(without)?;
        encoder.copy_buffer_to_buffer(status, 0, &staging, 0, STATUS_BYTES);
        if self.columns > 0 {
            let offset = (first_row * self.columns * 4) as u64;
            let bytes = (rows * self.columns * 4) as u64;
            encoder.copy_buffer_to_buffer(results, offset, &staging, STATUS_BYTES, bytes);
        }
        self.recorded.push_back(Copied { staging, rows, first, dropped: None });
        Ok(())
    }

    /// Asks for all that was recorded, once it is submitted.
    pub(super) fn submitted(&mut self, gpu: &Gpu) {
        self.reclaim();
        while let Some(copied) = self.recorded.pop_front() {
            self.ask(gpu, copied);
        }
    }

    /// Asks for what was recorded of the steps whose serial numbers begin with `first`, if it is here.
    pub(super) fn sent(&mut self, gpu: &Gpu, first: Serial) {
        let place = self.recorded.iter().position(|copied| copied.first == first);
        if let Some(copied) = place.and_then(|place| self.recorded.remove(place)) {
            self.ask(gpu, copied);
        }
    }

    fn ask(&mut self, gpu: &Gpu, copied: Copied) {
        let arrival = map(gpu, &copied.staging, self.bytes(copied.rows), "a training step");
        self.under_way.push_back((copied, arrival));
    }

    /// Forgets the results of the steps whose serial numbers begin with `first`, which were never run.
    pub(super) fn retract(&mut self, first: Serial) {
        let place = self.recorded.iter().position(|copied| copied.first == first);
        if let Some(copied) = place.and_then(|place| self.recorded.remove(place)) {
            self.free.push(copied.staging);
        }
        let place = self.under_way.iter().position(|(copied, _)| copied.first == first);
        if let Some((copied, arrival)) = place.and_then(|place| self.under_way.remove(place)) {
            arrival.give_up(&copied.staging);
            self.free.push(copied.staging);
        }
    }

    /// The oldest results, waiting for them; `None` if none are under way. If the wait is given up they
    /// stay the oldest.
    pub(super) async fn take(&mut self, gpu: &Gpu) -> Result<Option<Numbers>> {
        let Some((_, arrival)) = self.under_way.front_mut() else { return Ok(None) };
        arrival.await?;
        let Some((copied, _)) = self.under_way.pop_front() else { return Ok(None) };
        let Copied { staging, rows, first, .. } = copied;
        let bytes = gpu.mapped(&staging, self.bytes(rows))?;
        self.free.push(staging);
        let (status, numbers) = bytes.split_at(STATUS_BYTES as usize);
        let halt = Halt::read(status)?;
        let halted_row = halt.and_then(|halt| halt.serial.place_among(first, rows));
        let numbers = bytemuck::pod_collect_to_vec(numbers);
        Ok(Some(Numbers { steps: rows, numbers, halt, halted_row }))
    }

    /// Such results, row by row.
    pub(super) fn rows(&self, taken: Numbers) -> Results {
        let mut numbers = taken.numbers.chunks(self.columns.max(1));
        Results {
            rows: (0..taken.steps).map(|_| numbers.next().unwrap_or_default().to_vec()).collect(),
            halted_at: taken.halt.map(|halt| halt.number),
            halted_row: taken.halted_row,
            halted_by_parameter: taken.halt.is_some_and(|halt| halt.by_parameter),
            halted_by_extreme: taken.halt.is_some_and(|halt| halt.by_extreme),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::serial::Serials;

    /// Results without room for them would be results that nobody ever sees.
    #[test]
    fn results_without_room_are_a_bug() {
        let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let gpu = Gpu::from_device(&device, &queue);
        let serials = Serials::default();
        pollster::block_on(async {
            let mut ring = Ring::new(&gpu, 3, 2).await.unwrap();
            let results = gpu.buffer("results", 4 * 3 * 8).await.unwrap();
            let status = gpu.buffer("status", STATUS_BYTES).await.unwrap();
            let mut record = |rows: usize| {
                let mut encoder = gpu.encoder();
                ring.record(&mut encoder, (&results, 0), &status, (serials.draw(rows), rows))
            };
            let bug = |result: Result<()>, said: &str| {
                let error = result.expect_err(said);
                assert!(matches!(error, Error::Bug { .. }), "{error:?}");
                assert!(error.to_string().contains(said), "{error}");
            };
            bug(record(3), "results of 3 steps");
            for _ in 0..DEPTH {
                record(2).unwrap();
            }
            bug(record(1), "results of 1 steps");
            assert_eq!(ring.recorded.len(), DEPTH);
        });
    }
}
