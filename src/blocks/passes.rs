//! Passes over a table by one plan on some devices, block by block.

use std::borrow::Cow;

use super::table::Blocks;
use super::{Held, Panel, Table};
use crate::exec::{Executor, Step};
use crate::gpu::Gpu;
use crate::graph::{DType, Graph, Tensor};
use crate::plan::{Plan, PlanOptions};
use crate::{Error, Result};

/// An output of a block.
#[derive(Debug)]
pub(crate) enum Output {
    Numbers(Vec<f32>),
    Indices(Vec<u32>),
}

#[cfg(feature = "decompose")]
impl Output {
    pub(crate) fn numbers(self) -> Vec<f32> {
        match self {
            Output::Numbers(values) => values,
            Output::Indices(_) => Vec::new(),
        }
    }
}

/// What came of a block of rows: outputs as they were asked for. What they hold of rows past `rows` means nothing.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    pub(crate) first: usize,
    pub(crate) rows: usize,
    /// The rows as they are.
    pub(crate) given: Cow<'a, [f32]>,
    pub(crate) outputs: Vec<Output>,
}

/// One plan on each of several devices.
#[derive(Debug)]
pub(crate) struct Passes {
    executors: Vec<Executor>,
    panels: Vec<Panel>,
    outputs: Vec<Tensor>,
    /// Rows of a block.
    rows: usize,
}

impl Passes {
    /// `graph` computes `outputs` of a block, of which each of its inputs `panels` has some columns of all rows.
    ///
    /// # Errors
    /// Those of plans and executors.
    pub(crate) async fn new(
        gpus: &[Gpu],
        graph: &Graph,
        panels: Vec<Panel>,
        outputs: Vec<Tensor>,
    ) -> Result<Self> {
        let Some((x, _)) = panels.first() else {
            return Err(Error::bug("passes over no columns"));
        };
        let rows = graph.shape(*x)?.dims().first().copied().unwrap_or(1);
        let options = PlanOptions { outputs: outputs.clone(), ..PlanOptions::default() };
        let mut executors = Vec::new();
        for gpu in gpus {
            // Sums are split where they are long, not where a device would be idle: the same bits on all.
            let mut target = gpu.target();
            target.busy = 1;
            let plan = Plan::with_options(graph, &options, &target)?;
            executors.push(Executor::new(gpu, plan).await?);
        }
        Ok(Self { executors, panels, outputs, rows })
    }

    /// Writes an input that is the same for all blocks.
    ///
    /// # Errors
    /// As for [`Executor::write`].
    pub(crate) fn write(&self, tensor: Tensor, values: &[f32]) -> Result<()> {
        self.executors.iter().try_for_each(|executor| executor.write(tensor, values))
    }

    /// All blocks of `table`; `take` has them in the order of the rows, whichever device was first.
    ///
    /// # Errors
    /// Those of the devices and of `take`.
    pub(crate) async fn pass(
        &mut self,
        table: &Table<'_>,
        held: &mut Held,
        mut take: impl FnMut(Block<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut blocks = table.blocks(self.rows)?;
        let mut under_way = self.submit(&mut blocks, table, held).await?;
        while !under_way.is_empty() {
            let mut found = Vec::with_capacity(under_way.len());
            for (executor, (first, given)) in self.executors.iter_mut().zip(under_way) {
                let rows = self.rows.min(table.rows - first);
                let outputs = read(executor, &self.outputs).await?;
                found.push(Block { first, rows, given, outputs });
            }
            // The devices have their next blocks while the host takes what they found.
            under_way = self.submit(&mut blocks, table, held).await?;
            found.into_iter().try_for_each(&mut take)?;
        }
        Ok(())
    }

    /// Hands each device a block, as long as there are any.
    async fn submit<'a>(
        &mut self,
        blocks: &mut Blocks<'a>,
        table: &Table<'_>,
        held: &mut Held,
    ) -> Result<Vec<(usize, Cow<'a, [f32]>)>> {
        let mut under_way = Vec::new();
        for (executor, held) in self.executors.iter_mut().zip(&mut held.0) {
            let Some((first, given)) = blocks.next()? else { break };
            let to = (&*executor, self.panels.as_slice());
            held.feed(&table.frame, (first, &given), self.rows, to).await?;
            executor.submit(&[Step::forward(0)]).await?;
            under_way.push((first, given));
        }
        Ok(under_way)
    }
}

async fn read(executor: &mut Executor, outputs: &[Tensor]) -> Result<Vec<Output>> {
    if let Some(results) = executor.results().await?
        && let Some(step) = results.halted_at
    {
        return Err(Error::NotANumber { step });
    }
    let mut read = Vec::with_capacity(outputs.len());
    for &output in outputs {
        let dtype = executor.plan().info(output).map(|info| info.dtype);
        read.push(match dtype {
            Some(DType::U32) => Output::Indices(executor.read_indices(output).await?),
            _ => Output::Numbers(executor.read(output).await?),
        });
    }
    Ok(read)
}
