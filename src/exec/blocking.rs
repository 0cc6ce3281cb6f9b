//! The same calls, waiting for the device; not in browsers, where nothing may wait.

use super::{Executor, ExecutorOptions, Parameters, Results, Snapshot, Step};
use crate::Result;
use crate::gpu::Gpu;
use crate::graph::Tensor;
use crate::plan::{ArenaLayout, Plan};

impl Executor {
    /// [`Executor::new`], waiting for it.
    pub fn new_blocking(gpu: &Gpu, plan: Plan) -> Result<Self> {
        pollster::block_on(Self::new(gpu, plan))
    }

    /// [`Executor::with`], waiting for it.
    pub fn with_blocking(gpu: &Gpu, plan: Plan, options: ExecutorOptions) -> Result<Self> {
        pollster::block_on(Self::with(gpu, plan, options))
    }

    /// [`Executor::submit`], waiting only where it must.
    pub fn submit_blocking(&mut self, steps: &[Step]) -> Result<()> {
        pollster::block_on(self.submit(steps))
    }

    /// [`Executor::results`], waiting for them.
    pub fn results_blocking(&mut self) -> Result<Option<Results>> {
        pollster::block_on(self.results())
    }

    /// [`Executor::results_ready`], which does not wait for the device.
    pub fn results_ready_blocking(&mut self) -> Result<Option<Results>> {
        pollster::block_on(self.results_ready())
    }

    /// [`Executor::run`], waiting for it.
    pub fn run_blocking(&mut self, steps: &[Step]) -> Result<Vec<Vec<f32>>> {
        pollster::block_on(self.run(steps))
    }

    /// [`Executor::read`], waiting for it.
    pub fn read_blocking(&self, tensor: Tensor) -> Result<Vec<f32>> {
        pollster::block_on(self.read(tensor))
    }

    /// [`Executor::read_indices`], waiting for them.
    pub fn read_indices_blocking(&self, tensor: Tensor) -> Result<Vec<u32>> {
        pollster::block_on(self.read_indices(tensor))
    }
}

impl Parameters {
    /// [`Parameters::new`], waiting for them.
    pub fn new_blocking(gpu: &Gpu, layout: &ArenaLayout, states: Option<usize>) -> Result<Self> {
        pollster::block_on(Self::new(gpu, layout, states))
    }

    /// [`Parameters::read`], waiting for it.
    pub fn read_blocking(&self, number: usize) -> Result<Vec<f32>> {
        pollster::block_on(self.read(number))
    }

    /// [`Parameters::read_gradient`], waiting for it.
    pub fn read_gradient_blocking(&self, number: usize) -> Result<Vec<f32>> {
        pollster::block_on(self.read_gradient(number))
    }

    /// [`Parameters::read_all`], waiting for them.
    pub fn read_all_blocking(&self) -> Result<Vec<Vec<f32>>> {
        pollster::block_on(self.read_all())
    }

    /// [`Parameters::snapshot`], waiting for it.
    pub fn snapshot_blocking(&self) -> Result<Snapshot> {
        pollster::block_on(self.snapshot())
    }

    /// [`Parameters::save_to`], waiting for it.
    pub fn save_to_blocking(&self, snapshot: &Snapshot) -> Result<()> {
        pollster::block_on(self.save_to(snapshot))
    }

    /// [`Parameters::restore`], waiting for it.
    pub fn restore_blocking(&self, snapshot: &Snapshot) -> Result<()> {
        pollster::block_on(self.restore(snapshot))
    }
}
