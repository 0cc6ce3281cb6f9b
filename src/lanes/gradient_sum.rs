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

/// How many blocks there are. The first ones have all buckets, the others those that are `own`.
#[derive(Debug)]
pub(crate) struct Blocks {
    pub(crate) whole: usize,
    pub(crate) partial: usize,
    pub(crate) own: Vec<bool>,
}

#[derive(Debug)]
struct Block {
    buffers: Vec<Buffer>,
    /// Per bucket and piece: in which of the buffers, and where; nothing of buckets that it lacks.
    places: Vec<Option<Vec<(usize, u64)>>>,
    /// Per bucket and piece: adds this block to the sum at hand.
    add: Vec<Vec<(wgpu::BindGroup, [u32; 2])>>,
}

impl GradientSum {
    /// Room for `blocks` of the gradients in `parameters` and `scalars` scalars; `buckets` says which ranges are
    /// exchanged together.
    pub(crate) async fn new(
        gpu: &Gpu,
        parameters: &Parameters,
        scalars: usize,
        buckets: Vec<Vec<Piece>>,
        blocks: Blocks,
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
        let whole: Vec<u64> =
            parameters.layout().chunks.iter().copied().chain([scalar_bytes]).collect();
        let places = |pieces: &Vec<Piece>| {
            Some(pieces.iter().map(|piece| (piece.chunk, piece.offset)).collect())
        };
        let everywhere: Vec<_> = sum.buckets.iter().map(places).collect();
        let (partial, within) = sum.packed(stride, &blocks.own);
        let all = std::iter::repeat_n((&whole, &everywhere), blocks.whole)
            .chain(std::iter::repeat_n((&partial, &within), blocks.partial));
        for (sizes, places) in all {
            let mut buffers = Vec::new();
            for &bytes in sizes {
                buffers.push(gpu.buffer("sum of gradients", bytes).await?);
            }
            let add = sum.bind(gpu, &buffers, places, stride).await?;
            sum.blocks.push(Block { buffers, places: places.clone(), add });
        }
        Ok(sum)
    }

    /// Buffers for the buckets that are `own` alone, one for each chunk, and where their pieces lie in them.
    #[expect(clippy::type_complexity, reason = "the fields of a block")]
    fn packed(&self, stride: u64, own: &[bool]) -> (Vec<u64>, Vec<Option<Vec<(usize, u64)>>>) {
        let mut sizes = vec![0_u64; self.parameters.layout().chunks.len() + 1];
        let mut places = Vec::new();
        for (pieces, &own) in self.buckets.iter().zip(own) {
            let mut place = |piece: &Piece| {
                let size = sizes.get_mut(piece.chunk)?;
                let offset = size.next_multiple_of(stride);
                *size = offset + piece.bytes;
                Some((piece.chunk, offset))
            };
            places.push(match own {
                true => pieces.iter().map(&mut place).collect(),
                false => None,
            });
        }
        (sizes.into_iter().map(|size| size.max(4)).collect(), places)
    }

    async fn bind(
        &self,
        gpu: &Gpu,
        block: &[Buffer],
        places: &[Option<Vec<(usize, u64)>>],
        stride: u64,
    ) -> Result<Vec<Vec<(wgpu::BindGroup, [u32; 2])>>> {
        let mut number = 0;
        let mut all = Vec::new();
        for (bucket, places) in self.buckets.iter().zip(places) {
            let mut groups = Vec::new();
            let first = number;
            number += bucket.len() as u64;
            let pieces = bucket.iter().zip(places.iter().flatten());
            for (index, (piece, &(buffer, offset))) in pieces.enumerate() {
                let sum = self.current(piece.chunk)?;
                let earlier = some(block.get(buffer), "chunk", buffer)?;
                let dims_at = (first + index as u64) * stride;
                let entries: Vec<_> = self
                    .pipeline
                    .bindings
                    .iter()
                    .map(|binding| {
                        let (buffer, offset, bytes): (&wgpu::Buffer, _, _) = match binding.name {
                            "earlier" => (earlier, offset, piece.bytes),
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

    /// Of these, bytes of losses and metrics, which come last.
    pub(crate) fn scalar_bytes(&self, bucket: usize) -> Result<u64> {
        let scalars = self.parameters.layout().chunks.len();
        let pieces = some(self.buckets.get(bucket), "bucket", bucket)?;
        Ok(pieces.iter().filter(|piece| piece.chunk == scalars).map(|piece| piece.bytes).sum())
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
        for (bucket, places) in buckets.clone().zip(block.places.iter().skip(buckets.start)) {
            some(places.as_ref(), "part in this block of bucket", bucket)?;
        }
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
        self.copy(buckets, block, |current, (block, offset), piece| {
            encoder.copy_buffer_to_buffer(current, piece.offset, block, offset, piece.bytes);
        })
    }

    /// Records the copy of a block to the sum at hand.
    pub(crate) fn load(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        block: usize,
        buckets: Range<usize>,
    ) -> Result<()> {
        self.copy(buckets, block, |current, (block, offset), piece| {
            encoder.copy_buffer_to_buffer(block, offset, current, piece.offset, piece.bytes);
        })
    }

    /// Records the copy of a bucket of the sum at hand to `staging`.
    pub(crate) fn stage_total(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        bucket: usize,
        staging: &wgpu::Buffer,
    ) -> Result<()> {
        let mut offset = 0;
        for piece in some(self.buckets.get(bucket), "bucket", bucket)? {
            let current = self.current(piece.chunk)?;
            encoder.copy_buffer_to_buffer(current, piece.offset, staging, offset, piece.bytes);
            offset += piece.bytes;
        }
        Ok(())
    }

    /// Writes a bucket of the sum at hand, as [`GradientSum::stage_total`] laid it out.
    pub(crate) fn write_total(&self, bucket: usize, mut data: &[u8]) -> Result<()> {
        for piece in some(self.buckets.get(bucket), "bucket", bucket)? {
            let (own, rest) = data.split_at(data.len().min(piece.bytes as usize));
            data = rest;
            self.parameters.gpu().write_of_step(self.current(piece.chunk)?, piece.offset, own)?;
        }
        Ok(())
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
        self.copy(bucket..bucket + 1, block, |_, (block, from), piece| {
            encoder.copy_buffer_to_buffer(block, from, staging, offset, piece.bytes);
            offset += piece.bytes;
        })?;
        Ok(offset)
    }

    /// Writes a bucket of a block, as [`GradientSum::stage`] laid it out.
    pub(crate) fn write(&self, block: usize, bucket: usize, mut data: &[u8]) -> Result<()> {
        let mut written = Ok(());
        self.copy(bucket..bucket + 1, block, |_, (block, offset), piece| {
            let (own, rest) = data.split_at(data.len().min(piece.bytes as usize));
            data = rest;
            if written.is_ok() {
                written = self.parameters.gpu().write(block, offset, own);
            }
        })?;
        written
    }

    fn copy(
        &self,
        buckets: Range<usize>,
        block: usize,
        mut copy: impl FnMut(&wgpu::Buffer, (&wgpu::Buffer, u64), &Piece),
    ) -> Result<()> {
        let block = some(self.blocks.get(block), "block", block)?;
        some(self.buckets.get(buckets.clone()), "buckets", &buckets)?;
        for bucket in buckets {
            let pieces = some(self.buckets.get(bucket), "bucket", bucket)?;
            let places = block.places.get(bucket).and_then(Option::as_ref);
            let places = some(places, "part in this block of bucket", bucket)?;
            for (piece, &(buffer, offset)) in pieces.iter().zip(places) {
                let buffer = some(block.buffers.get(buffer), "chunk", buffer)?;
                copy(self.current(piece.chunk)?, (buffer, offset), piece);
            }
        }
        Ok(())
    }
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
            let blocks = |whole, partial| Blocks { whole, partial, own: vec![false, true] };
            let sum = GradientSum::new(&gpu, &parameters, 2, buckets, blocks(2, 1)).await.unwrap();
            let staging = gpu.buffer("staging", 64).await.unwrap();
            let mut encoder = gpu.encoder();
            let before = gpu.counters().dispatches;
            sum.add(&mut encoder, 1, 0..2, None).unwrap();
            assert_eq!(gpu.counters().dispatches - before, 3);
            assert_eq!(sum.bucket_bytes(1).unwrap(), 16);
            assert_eq!(sum.stage(&mut encoder, 1, 1, &staging, 8).unwrap(), 24);
            bug(sum.add(&mut encoder, 3, 0..1, None), "no block 3");
            sum.add(&mut encoder, 2, 1..2, None).unwrap();
            bug(sum.add(&mut encoder, 2, 0..2, None), "no part in this block of bucket 0");
            bug(sum.load(&mut encoder, 2, 0..1), "no part in this block of bucket 0");
            bug(sum.write(2, 0, &[0; 8]), "no part in this block of bucket 0");
            bug(sum.stage_total(&mut encoder, 2, &staging), "no bucket 2");
            bug(sum.write_total(2, &[]), "no bucket 2");
            bug(sum.add(&mut encoder, 0, 1..3, None), "no buckets 1..3");
            bug(sum.store(&mut encoder, 3, 0..1), "no block 3");
            bug(sum.store(&mut encoder, 0, 2..3), "no buckets 2..3");
            bug(sum.load(&mut encoder, 3, 0..1), "no block 3");
            bug(sum.stage(&mut encoder, 0, 2, &staging, 0), "no buckets 2..3");
            bug(sum.write(0, 2, &[0; 8]), "no buckets 2..3");
            bug(sum.bucket_bytes(2), "no bucket 2");
            let elsewhere = vec![vec![piece(2)]];
            let made = GradientSum::new(&gpu, &parameters, 2, elsewhere, blocks(1, 0)).await;
            assert!(made.is_err(), "a chunk that is not");
        });
    }
}
