//! Sums of the gradients of micro-batches on one device; `shaders/update/gradient_sum.wgsl`.
//!
//! The arena of gradients holds the sum at hand. Sums that wait for their sibling in the
//! [tree](super::tree) lie in blocks, buffers of the same layout; blocks of other lanes are written
//! there too. What is summed also holds a few scalars: the loss and the metrics' sums.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use crate::exec::Parameters;
use crate::gpu::{Buffer, Gpu, Pipeline};
use crate::kernel::{Arena, GRADIENT_SUM, WORKGROUP, grid};
use crate::{Error, Result};

/// A range of one of the summed buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The chunk of the arena; one more than the last is the buffer of scalars.
    pub(crate) chunk: usize,
    /// In bytes.
    pub(crate) offset: u64,
    /// In bytes.
    pub(crate) bytes: u64,
}

/// The buffers of one device.
#[derive(Debug)]
pub(crate) struct GradientSum {
    parameters: Parameters,
    scalars: Buffer,
    /// Ranges that are exchanged together, the layers nearest to the loss first.
    buckets: Vec<Vec<Piece>>,
    blocks: Vec<Block>,
    pipeline: Arc<Pipeline>,
    /// The number of elements of each piece.
    dims: Buffer,
}

#[derive(Debug)]
struct Block {
    buffers: Vec<Buffer>,
    /// Per bucket and piece: adds this block to the sum at hand.
    add: Vec<Vec<(wgpu::BindGroup, [u32; 2])>>,
}

impl GradientSum {
    /// Room for `blocks` blocks of the gradients in `parameters` and `scalars` scalars; `buckets`
    /// says which ranges are exchanged together.
    pub(crate) async fn new(
        gpu: &Gpu,
        parameters: &Parameters,
        scalars: usize,
        buckets: Vec<Vec<Piece>>,
        blocks: usize,
    ) -> Result<Self> {
        let pipeline = gpu.pipeline(&GRADIENT_SUM, &[]).await?;
        let scalar_bytes = 4 * scalars as u64;
        let scalars = gpu.buffer("sums of losses", scalar_bytes).await?;
        let pieces: Vec<Piece> = buckets.iter().flatten().copied().collect();
        let stride = u64::from(gpu.target().alignment);
        let mut words = Vec::new();
        for piece in &pieces {
            words.push((piece.bytes / 4) as u32);
            words.resize((words.len() as u64 * 4).next_multiple_of(stride) as usize / 4, 0);
        }
        use wgpu::BufferUsages as Usage;
        let usage = Usage::UNIFORM | Usage::COPY_DST;
        let dims = gpu.buffer_for("dims", words.len() as u64 * 4, usage).await?;
        gpu.write(&dims, 0, bytemuck::cast_slice(&words))?;
        let mut sum = Self {
            parameters: parameters.clone(),
            scalars,
            buckets,
            blocks: Vec::new(),
            pipeline,
            dims,
        };
        for _ in 0..blocks {
            let mut buffers = Vec::new();
            for &bytes in parameters.layout().chunks.iter().chain([&scalar_bytes]) {
                buffers.push(gpu.buffer("sum of gradients", bytes).await?);
            }
            let add = sum.bind(gpu, &buffers, stride).await?;
            sum.blocks.push(Block { buffers, add });
        }
        Ok(sum)
    }

    async fn bind(
        &self,
        gpu: &Gpu,
        block: &[Buffer],
        stride: u64,
    ) -> Result<Vec<Vec<(wgpu::BindGroup, [u32; 2])>>> {
        let mut number = 0;
        let mut all = Vec::new();
        for bucket in &self.buckets {
            let mut groups = Vec::new();
            for piece in bucket {
                let sum = self.current(piece.chunk)?;
                let earlier = buffer_of(block, piece)?;
                let dims_at = number * stride;
                number += 1;
                let entries: Vec<_> = self
                    .pipeline
                    .bindings
                    .iter()
                    .map(|binding| {
                        let (buffer, offset, bytes): (&wgpu::Buffer, _, _) = match binding.name {
                            "earlier" => (earlier, piece.offset, piece.bytes),
                            "sum" => (sum, piece.offset, piece.bytes),
                            _ => (&self.dims, dims_at, 4),
                        };
                        let size = std::num::NonZeroU64::new(bytes);
                        let range = wgpu::BufferBinding { buffer, offset, size };
                        let resource = wgpu::BindingResource::Buffer(range);
                        wgpu::BindGroupEntry { binding: binding.index, resource }
                    })
                    .collect();
                gpu.tally().bind_groups.add(1);
                let group = gpu
                    .scoped("binding gradient sums", || {
                        gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                            label: Some("gradient sum"),
                            layout: &self.pipeline.layout,
                            entries: &entries,
                        })
                    })
                    .await?;
                let workgroups = (piece.bytes as usize / 4).div_ceil(WORKGROUP);
                groups.push((group, grid(workgroups, gpu.target().max_workgroups)));
            }
            all.push(groups);
        }
        Ok(all)
    }

    /// The buffer of the sum at hand.
    fn current(&self, chunk: usize) -> Result<&wgpu::Buffer> {
        if chunk == self.parameters.layout().chunks.len() {
            return Ok(&self.scalars);
        }
        self.parameters.buffer(Arena::Gradients, chunk)
    }

    /// The scalars of the sum at hand.
    pub(crate) fn scalars(&self) -> &wgpu::Buffer {
        &self.scalars
    }

    /// Number of buckets.
    pub(crate) fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// The chunks that pieces of these buckets lie in; one more than the arena's last is the scalars'.
    pub(crate) fn chunks(&self, buckets: Range<usize>) -> impl Iterator<Item = usize> {
        self.buckets.get(buckets).into_iter().flatten().flatten().map(|piece| piece.chunk)
    }

    /// Bytes of a bucket of one block.
    pub(crate) fn bucket_bytes(&self, bucket: usize) -> Result<u64> {
        let pieces = some(self.buckets.get(bucket), "bucket", bucket)?;
        Ok(pieces.iter().map(|piece| piece.bytes).sum())
    }

    /// Bytes of all buffers but the arena of gradients.
    pub(crate) fn bytes(&self) -> u64 {
        let blocks = self.blocks.iter().flat_map(|block| &block.buffers);
        blocks.chain([&self.scalars, &self.dims]).map(|buffer| buffer.size()).sum()
    }

    /// Records: sum at hand = block + sum at hand, for the given buckets.
    pub(crate) fn add(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        block: usize,
        buckets: Range<usize>,
        timestamps: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) -> Result<()> {
        let block = some(self.blocks.get(block), "block", block)?;
        let adds = some(block.add.get(buckets.clone()), "buckets", &buckets)?;
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("gradient sum"),
            timestamp_writes: timestamps,
        });
        pass.set_pipeline(&self.pipeline.pipeline);
        for (group, [x, y]) in adds.iter().flatten() {
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(*x, *y, 1);
            self.parameters.gpu().tally().dispatches.add(1);
        }
        Ok(())
    }

    /// Records the copy of the sum at hand to a block.
    pub(crate) fn store(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        block: usize,
        buckets: Range<usize>,
    ) -> Result<()> {
        self.copy(buckets, block, |current, block, piece| {
            encoder.copy_buffer_to_buffer(current, piece.offset, block, piece.offset, piece.bytes);
        })
    }

    /// Records the copy of a block to the sum at hand.
    pub(crate) fn load(&self, encoder: &mut wgpu::CommandEncoder, block: usize) -> Result<()> {
        self.copy(0..self.buckets.len(), block, |current, block, piece| {
            encoder.copy_buffer_to_buffer(block, piece.offset, current, piece.offset, piece.bytes);
        })
    }

    /// Records the copy of a bucket of a block to `staging` from `offset` on; returns its end.
    pub(crate) fn stage(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        block: usize,
        bucket: usize,
        staging: &wgpu::Buffer,
        mut offset: u64,
    ) -> Result<u64> {
        self.copy(bucket..bucket + 1, block, |_, block, piece| {
            encoder.copy_buffer_to_buffer(block, piece.offset, staging, offset, piece.bytes);
            offset += piece.bytes;
        })?;
        Ok(offset)
    }

    /// Writes a bucket of a block, as [`GradientSum::stage`] laid it out.
    pub(crate) fn write(&self, block: usize, bucket: usize, mut data: &[u8]) -> Result<()> {
        let mut written = Ok(());
        self.copy(bucket..bucket + 1, block, |_, block, piece| {
            let (own, rest) = data.split_at(data.len().min(piece.bytes as usize));
            data = rest;
            if written.is_ok() {
                written = self.parameters.gpu().write(block, piece.offset, own);
            }
        })?;
        written
    }

    fn copy(
        &self,
        buckets: Range<usize>,
        block: usize,
        mut copy: impl FnMut(&wgpu::Buffer, &wgpu::Buffer, &Piece),
    ) -> Result<()> {
        let block = some(self.blocks.get(block), "block", block)?;
        let buckets = some(self.buckets.get(buckets.clone()), "buckets", &buckets)?;
        for piece in buckets.iter().flatten() {
            copy(self.current(piece.chunk)?, buffer_of(&block.buffers, piece)?, piece);
        }
        Ok(())
    }
}

/// The buffer of a block in which a piece lies.
fn buffer_of<'a>(block: &'a [Buffer], piece: &Piece) -> Result<&'a Buffer> {
    some(block.get(piece.chunk), "chunk", piece.chunk)
}

/// What is there. A sum that is not would be one that is left out: a wrong gradient without a word.
#[track_caller]
fn some<T>(found: Option<T>, what: &str, number: impl Debug) -> Result<T> {
    found.ok_or_else(|| Error::bug(format!("the sums of gradients have no {what} {number:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Target;

    fn bug<T>(result: Result<T>, said: &str) {
        match result {
            Err(error @ Error::Bug { .. }) => assert!(error.to_string().contains(said), "{error}"),
            Err(error) => panic!("{error:?}"),
            Ok(_) => panic!("{said}: left out without a word"),
        }
    }

    /// A block, a bucket or a chunk that there is not is never passed over: the sum would lack it.
    #[test]
    fn nothing_is_left_out_of_a_sum() {
        let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let gpu = Gpu::from_device(&device, &queue);
        let mut graph = crate::graph::Graph::new();
        graph.parameter("w", [8]).unwrap();
        let layout = crate::plan::ArenaLayout::new(&graph, &Target::default()).unwrap();
        pollster::block_on(async {
            let parameters = Parameters::new(&gpu, &layout, Some(0)).await.unwrap();
            let piece = |chunk| Piece { chunk, offset: 0, bytes: 8 };
            let buckets = vec![vec![piece(0)], vec![piece(0), piece(1)]];
            let sum = GradientSum::new(&gpu, &parameters, 2, buckets, 2).await.unwrap();
            let staging = gpu.buffer("staging", 64).await.unwrap();
            let mut encoder = gpu.encoder();
            let before = gpu.counters().dispatches;
            sum.add(&mut encoder, 1, 0..2, None).unwrap();
            assert_eq!(gpu.counters().dispatches - before, 3);
            assert_eq!(sum.bucket_bytes(1).unwrap(), 16);
            assert_eq!(sum.stage(&mut encoder, 1, 1, &staging, 8).unwrap(), 24);
            bug(sum.add(&mut encoder, 2, 0..1, None), "no block 2");
            bug(sum.add(&mut encoder, 0, 1..3, None), "no buckets 1..3");
            bug(sum.store(&mut encoder, 2, 0..1), "no block 2");
            bug(sum.store(&mut encoder, 0, 2..3), "no buckets 2..3");
            bug(sum.load(&mut encoder, 2), "no block 2");
            bug(sum.stage(&mut encoder, 0, 2, &staging, 0), "no buckets 2..3");
            bug(sum.write(0, 2, &[0; 8]), "no buckets 2..3");
            bug(sum.bucket_bytes(2), "no bucket 2");
            let elsewhere = vec![vec![piece(2)]];
            let made = GradientSum::new(&gpu, &parameters, 2, elsewhere, 1).await;
            assert!(made.is_err(), "a chunk that is not");
        });
    }
}
