//! Finding out how many invocations fill a device, which WebGPU does not say.

use std::num::NonZeroU64;

use super::{Buffer, Gpu};
use crate::clock::Clock;
use crate::kernel::{CHAIN, WORKGROUP, grid};
use crate::{Error, Result};

/// Invocations of the first dispatch: fewer than fill any device.
const FEWEST: usize = 256;
/// Invocations at most: several times what fills the largest.
const MOST: usize = 1 << 20;
/// Turns of the chain at most: software drivers end loops that are longer.
const MOST_TURNS: u32 = 1 << 15;
/// Seconds that the first dispatch should take, so that what submissions take beside it is little.
const LONG_ENOUGH: f64 = 2e-3;
/// How many times as long as the first dispatch the last one takes.
const SLOWER: f64 = 4.0;
/// Each dispatch is timed so often; the shortest time counts.
const ROUNDS: usize = 3;

impl Gpu {
    /// How many invocations fill the device: measured, in some tenths of a second, and rounded to 2ⁿ or 3·2ⁿ so
    /// that it comes out the same as a rule. Hand it to [`Gpu::filled_by`], now or, kept, on another day:
    ///
    /// ```no_run
    /// # async fn filled() -> Result<(), wgrad::Error> {
    /// let gpu = wgrad::Gpu::new().await?;
    /// let invocations = gpu.measure().await?;
    /// let gpu = gpu.filled_by(invocations);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Without it plans take what is usual of the kind of GPU. A chain of multiply-adds is run by more and more
    /// invocations until it takes four times as long as at first: what the last dispatch did in the time of the first one
    /// is what the device does at once. Nothing else should run on the device meanwhile.
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn measure(&self) -> Result<usize> {
        let chain = Chain::new(self).await?;
        let mut turns = 64;
        let mut first = chain.seconds(FEWEST, turns).await?;
        while first < LONG_ENOUGH && turns < MOST_TURNS {
            turns *= 2;
            first = chain.seconds(FEWEST, turns).await?;
        }
        let (mut invocations, mut last) = (FEWEST, first);
        while last < SLOWER * first && invocations < MOST {
            invocations *= 2;
            last = chain.seconds(invocations, turns).await?;
        }
        Ok(rounded(invocations as f64 * first / last.max(f64::MIN_POSITIVE)))
    }
}

/// The nearest 2ⁿ or 3·2ⁿ, a workgroup at least.
fn rounded(invocations: f64) -> usize {
    let mut best = WORKGROUP;
    for power in (0..).map(|n| WORKGROUP << n).take_while(|&power| power <= MOST) {
        for candidate in [power, power / 2 * 3] {
            // Distances of logarithms: 2 is as far from 1 as from 4.
            let away = |n: usize| (n as f64 / invocations).ln().abs();
            if away(candidate) < away(best) {
                best = candidate;
            }
        }
    }
    best
}

struct Chain<'g> {
    gpu: &'g Gpu,
    pipeline: std::sync::Arc<super::Pipeline>,
    group: wgpu::BindGroup,
    dims: Buffer,
    out: Buffer,
}

impl<'g> Chain<'g> {
    async fn new(gpu: &'g Gpu) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let pipeline = gpu.pipeline(&CHAIN, &[]).await?;
        let dims = gpu.buffer_for("dims", 8, Usage::UNIFORM | Usage::COPY_DST).await?;
        let out = gpu.buffer("what a chain comes to", 4).await?;
        let entries: Vec<_> = pipeline
            .bindings
            .iter()
            .map(|binding| {
                let buffer = if binding.name == "dims" { &dims } else { &out };
                let (offset, size) = (0, NonZeroU64::new(buffer.size()));
                let range = wgpu::BufferBinding { buffer, offset, size };
                let resource = wgpu::BindingResource::Buffer(range);
                wgpu::BindGroupEntry { binding: binding.index, resource }
            })
            .collect();
        gpu.tally().bind_groups.add(1);
        let group = gpu
            .scoped("binding a chain", || {
                gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some("chain"),
                    layout: &pipeline.layout,
                    entries: &entries,
                })
            })
            .await?;
        Ok(Self { gpu, pipeline, group, dims, out })
    }

    /// Seconds of a dispatch of so many invocations, from its submission to its end, as the host sees it.
    async fn seconds(&self, invocations: usize, turns: u32) -> Result<f64, Error> {
        let Self { gpu, pipeline, group, dims, out } = self;
        gpu.write(dims, 0, bytemuck::cast_slice(&[turns, 0.5f32.to_bits()]))?;
        let [x, y] = grid(invocations.div_ceil(WORKGROUP), gpu.target().max_workgroups);
        let mut best = f64::INFINITY;
        let mut kept = None;
        for _ in 0..ROUNDS {
            let begun = Clock::now();
            gpu.scoped_of_step("a measurement", || {
                let mut encoder = gpu.encoder();
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.set_pipeline(&pipeline.pipeline);
                pass.set_bind_group(0, group, &[]);
                pass.dispatch_workgroups(x, y, 1);
                drop(pass);
                gpu.tally().dispatches.add(1);
                gpu.send(encoder);
            })
            .await?;
            gpu.read_by_way_of(&mut kept, out, 0, 4).await?;
            best = best.min(begun.seconds());
        }
        Ok(best)
    }
}

#[test]
fn what_fills_a_device_is_rounded() {
    for (measured, expected) in [
        (0.0, 64),
        (80.0, 96),
        (30_720.0, 32_768),
        (14_000.0, 12_288),
        (65_536.0, 65_536),
        (1e9, 1_572_864),
    ] {
        assert_eq!(rounded(measured), expected, "{measured}");
    }
}
