//! Recording a part of a plan: the forward pass now, the backward pass later.

use std::ops::Range;

use super::{Executor, MAX_STEPS, SEGMENTS, Step, StepRecord};
use crate::graph::Pass;
use crate::{Error, Result};

impl Executor {
    /// Writes a step's record to the next row of the step table; returns the row.
    ///
    /// # Errors
    /// If the plan trains and the step does not, or by another rule; if it begins past the last whole batch;
    /// the errors of the device.
    pub(crate) fn write_step(&mut self, step: &Step) -> Result<usize> {
        let serial = self.parameters.serials().draw(1);
        let mut records = vec![0; self.step_stride as usize];
        self.write_records(step, serial, 0, &mut records)?;
        let row = self.next_row;
        self.next_row = (self.next_row + 1) % (MAX_STEPS * SEGMENTS);
        let offset = row as u64 * self.step_stride;
        // What fills up the last one is not written.
        let last = self.step_stride - self.record_stride();
        records.truncate(last as usize + size_of::<StepRecord>());
        self.gpu.write_of_step(&self.step_table, offset, &records)?;
        Ok(row)
    }

    /// The row written last.
    pub(crate) fn last_row(&self) -> usize {
        let rows = MAX_STEPS * SEGMENTS;
        (self.next_row + rows - 1) % rows
    }

    /// Records the dispatches of `range` with the record in `row`: in a pass of this description, or in several where
    /// something is copied in between, of which the first and the last have their share of its timestamps.
    pub(crate) fn record_range(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        described: &wgpu::ComputePassDescriptor<'_>,
        row: usize,
        range: Range<usize>,
    ) -> Result<()> {
        let bound = self.dispatches.get(range.clone());
        let bound = bound.ok_or_else(|| Error::bug(format!("no dispatches {range:?}")))?;
        let last = bound.iter().rposition(|bound| !bound.copies.is_empty()).unwrap_or(0);
        let begin = |encoder: &mut wgpu::CommandEncoder, number: usize| {
            let writes = described.timestamp_writes.as_ref();
            let writes = writes.map(|writes| wgpu::ComputePassTimestampWrites {
                query_set: writes.query_set,
                beginning_of_pass_write_index: writes
                    .beginning_of_pass_write_index
                    .filter(|_| number == 0),
                end_of_pass_write_index: writes.end_of_pass_write_index.filter(|_| number >= last),
            });
            // A pass in the middle has none.
            let any = |writes: &wgpu::ComputePassTimestampWrites<'_>| {
                writes.beginning_of_pass_write_index.or(writes.end_of_pass_write_index).is_some()
            };
            let timestamp_writes = writes.filter(any);
            let label = described.label;
            let described = wgpu::ComputePassDescriptor { label, timestamp_writes };
            encoder.begin_compute_pass(&described).forget_lifetime()
        };
        // With nothing in it, too, a pass is timed.
        let mut pass = bound.is_empty().then(|| begin(encoder, 0));
        self.record_dispatches(encoder, &mut pass, row, bound, begin)
    }

    /// The dispatches of the forward pass, and the others.
    pub(crate) fn passes(&self) -> (Range<usize>, Range<usize>) {
        let dispatches = self.plan.dispatches();
        let forward = dispatches.iter().filter(|d| d.pass == Pass::Forward).count();
        (0..forward, forward..dispatches.len())
    }

    /// Bytes of the buffers for intermediate tensors, of the textures that products read, and of inputs that are the
    /// executor's own.
    pub(crate) fn tensor_bytes(&self) -> u64 {
        let slots: u64 = self.slots.iter().map(|buffer| buffer.size()).sum();
        let texels: u64 = self.texels.iter().map(|(_, texels)| texels.size()).sum();
        slots + texels + self.own_input_bytes
    }

    /// Bytes of the executor's other buffers: constants, sizes, records of steps, results.
    pub(crate) fn table_bytes(&self) -> u64 {
        let fixed: u64 = self.fixed.iter().map(|buffer| buffer.size()).sum();
        fixed + self.step_table.size() + self.results.size() + self.ring.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gpu;
    use crate::graph::Graph;
    use crate::plan::Plan;

    /// A step that is recorded part by part is looked at like any other.
    #[test]
    fn a_step_begins_where_a_whole_batch_is_left() {
        let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let gpu = Gpu::from_device(&device, &queue);
        let mut graph = Graph::new();
        let x = graph.input("x", [10, 2]).unwrap();
        let order = graph.index_input("order", [10]).unwrap();
        let rows = graph.batch(x, order, 4).unwrap();
        let plan = Plan::new(&graph, &[rows], &gpu.target()).unwrap();
        let mut executor = Executor::new_blocking(&gpu, plan).unwrap();
        for start in [0, 6] {
            executor.write_step(&Step::forward(start)).unwrap();
        }
        let rule = crate::graph::UpdateRule::Sgd { weight_decay: 0.0 };
        for (rate, shown) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf")] {
            let error = executor.write_step(&Step::training(rule, 0, 0, rate)).expect_err(shown);
            assert!(error.to_string().contains(&format!("of a step is {shown};")), "{error}");
        }
        for start in [7, 10, u32::MAX] {
            let error = executor.write_step(&Step::forward(start)).expect_err("too few rows");
            let text = error.to_string();
            assert!(text.contains(&format!("is {start}; it must be at most 6")), "{text}");
        }
    }
}
