//! When passes ran, by the device's own clock.

use std::time::{Duration, Instant};

use super::{Arrival, Buffer, DeviceClock, Gpu, map};
use crate::{Error, Result};

/// Passes in one query set: two queries each.
const PASSES_PER_SET: u32 = wgpu::QUERY_SET_MAX_QUERIES / 2;
/// Bytes of a pass's two timestamps.
const PASS_BYTES: u64 = 2 * wgpu::QUERY_SIZE as u64;
/// Short waits do not sleep: the clock's calibration counts them.
const SPIN: Duration = Duration::from_millis(1);

/// Room for the begin and the end of a number of compute passes.
#[derive(Debug)]
pub struct Timestamps {
    gpu: Gpu,
    passes: u32,
    sets: Vec<wgpu::QuerySet>,
    resolved: Buffer,
    staging: Buffer,
}

impl Timestamps {
    /// Room for `passes` passes; `None` if the device was made without
    /// [`wgpu::Features::TIMESTAMP_QUERY`].
    ///
    /// # Errors
    /// If there is no memory for them.
    pub async fn new(gpu: &Gpu, passes: u32) -> Result<Option<Self>> {
        use wgpu::BufferUsages as Usage;
        if !gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(None);
        }
        let bytes = u64::from(passes) * PASS_BYTES;
        let usage = Usage::QUERY_RESOLVE | Usage::COPY_SRC;
        let resolved = gpu.buffer_for("timestamps", bytes, usage).await?;
        let usage = Usage::COPY_DST | Usage::MAP_READ;
        let staging = gpu.buffer_for("timestamps to read", bytes, usage).await?;
        let sets = gpu
            .scoped("making timestamp queries", || {
                let set = |first: u32| {
                    gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
                        label: Some("timestamps"),
                        ty: wgpu::QueryType::Timestamp,
                        count: 2 * (passes - first).min(PASSES_PER_SET),
                    })
                };
                (0..passes).step_by(PASSES_PER_SET as usize).map(set).collect()
            })
            .await?;
        Ok(Some(Self { gpu: gpu.clone(), passes, sets, resolved, staging }))
    }

    /// How many passes there is room for.
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// What makes pass number `pass` write its timestamps; `None` if there is no room for it.
    pub fn writes(&self, pass: u32) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        if pass >= self.passes {
            return None;
        }
        let query = 2 * (pass % PASSES_PER_SET);
        Some(wgpu::ComputePassTimestampWrites {
            query_set: self.sets.get((pass / PASSES_PER_SET) as usize)?,
            beginning_of_pass_write_index: Some(query),
            end_of_pass_write_index: Some(query + 1),
        })
    }

    /// When the passes numbered 0 to `passes` - 1 began and ended, in seconds since `clock`'s origin.
    /// They must have been submitted; they are waited for. `None` stands for a pass that did not run,
    /// and for values that cannot be the times of one ([`DeviceClock::times`]). Afterwards the numbers
    /// can be used again; one that is not keeps its times. If the future is dropped, so do they all.
    ///
    /// # Errors
    /// If there is no room for so many passes; those of a submission and of reading back.
    pub async fn read(
        &mut self,
        passes: u32,
        clock: &DeviceClock,
    ) -> Result<Vec<Option<(f64, f64)>>> {
        if passes > self.passes {
            let rule = format!("at most {}", self.passes);
            return Err(Error::argument("number of timestamped passes to read", passes, &rule));
        }
        if passes == 0 {
            return Ok(Vec::new());
        }
        let gpu = self.gpu.clone();
        gpu.submit(|encoder| {
            self.resolve(encoder, passes);
            Ok(())
        })
        .await?;
        let ticks = self.ticks(passes).await?;
        let now = clock.now();
        Ok(ticks.into_iter().map(|ticks| clock.times(ticks, now)).collect())
    }

    /// Records that the first `passes` passes' timestamps are brought to where the host reads them.
    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder, passes: u32) {
        for (set, first) in self.sets.iter().zip((0..passes).step_by(PASSES_PER_SET as usize)) {
            let queries = 0..2 * (passes - first).min(PASSES_PER_SET);
            let offset = u64::from(first) * PASS_BYTES;
            encoder.resolve_query_set(set, queries, &self.resolved, offset);
        }
        let bytes = u64::from(passes) * PASS_BYTES;
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, bytes);
    }

    /// Ticks at begin and end of the first `passes` passes, once a submission that resolves them is
    /// done.
    pub(super) async fn ticks(&mut self, passes: u32) -> Result<Vec<(u64, u64)>> {
        let bytes = u64::from(passes) * PASS_BYTES;
        let arrival = map(&self.gpu, &self.staging, bytes, "reading timestamps");
        let mut asked = Asked { staging: &self.staging, arrival: Some(arrival) };
        asked.arrives().await?;
        drop(asked);
        let bytes = self.gpu.mapped(&self.staging, bytes)?;
        let ticks: Vec<[u64; 2]> = bytemuck::pod_collect_to_vec(&bytes);
        Ok(ticks.into_iter().map(|[begin, end]| (begin, end)).collect())
    }
}

/// Timestamps that are asked for. If nobody waits for them any more they are asked for no more, so that they
/// can be asked for again.
struct Asked<'a> {
    staging: &'a Buffer,
    arrival: Option<Arrival>,
}

impl Asked<'_> {
    async fn arrives(&mut self) -> Result<()> {
        if let Some(arrival) = &mut self.arrival {
            let since = Instant::now();
            while !arrival.is_ready() && since.elapsed() < SPIN {
                std::hint::spin_loop();
            }
            arrival.await?;
        }
        self.arrival = None;
        Ok(())
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(arrival) = self.arrival.take() {
            arrival.give_up(self.staging);
        }
    }
}
