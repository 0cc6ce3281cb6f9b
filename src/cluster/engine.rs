//! What a device does for a clustering: for each row of a block, how near each centre is.
//!
//! ‖x - c‖² = ‖x‖² - 2·(x·c - ½‖c‖²): the nearest centre is the one whose score x·c - ½‖c‖² is largest, and the
//! scores of a block of rows are one matrix product. Only those of one block exist at a time.

use std::borrow::Cow;

use super::centers::Centers;
use crate::Result;
use crate::blocks::{Held, Output, Passes, Table, block_rows};
use crate::gpu::Gpu;
use crate::graph::{Graph, Tensor};
use crate::plan::AdapterClass;

/// What is read back of each block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wanted {
    /// All scores.
    Scores,
    /// Where each row's largest score is, and that score.
    Nearest,
    /// Where each row's largest score is, and the sums of the rows with the same; those not of a software adapter, whose
    /// host has the rows as near and adds them up in less time.
    Sums,
}

/// What came of a block of rows.
#[derive(Debug)]
pub(super) struct Block<'a> {
    pub(super) first: usize,
    pub(super) rows: usize,
    /// The rows as they are.
    pub(super) given: Cow<'a, [f32]>,
    /// Each row's; empty where scores are wanted.
    pub(super) labels: Vec<u32>,
    /// What is wanted besides. Scores: rows × centres. Sums: runs × centres × columns, or nothing.
    pub(super) numbers: Vec<f32>,
}

/// Passes over rows with some centres.
#[derive(Debug)]
pub(super) struct Engine {
    passes: Passes,
    centers: Tensor,
    offsets: Tensor,
    /// Centres that there is room for.
    room: usize,
}

impl Engine {
    /// For rows as those of `table` and up to `room` centres. `rows` are those of a block, or as many as memory
    /// is given for.
    pub(super) async fn new(
        gpus: &[Gpu],
        table: &Table<'_>,
        room: usize,
        wanted: Wanted,
        rows: Option<usize>,
    ) -> Result<Self> {
        let columns = table.columns;
        let rows = rows.unwrap_or_else(|| block_rows(columns.max(room), table.rows));
        let mut graph = Graph::new();
        let x = graph.input("rows", [rows, columns])?;
        let centers = graph.input("centers", [columns, room])?;
        let offsets = graph.input("half the norms of the centers", [room])?;
        let products = graph.matmul(x, centers)?;
        let scores = graph.bias_add(products, offsets)?;
        let outputs = match wanted {
            Wanted::Scores => vec![scores],
            Wanted::Nearest => vec![graph.arg_max(scores)?, graph.max(scores, 1)?],
            Wanted::Sums if gpus.iter().all(is_software) => vec![graph.arg_max(scores)?],
            Wanted::Sums => {
                let labels = graph.arg_max(scores)?;
                vec![labels, graph.segment_sum(x, labels, room, run_of(rows, room))?]
            }
        };
        let passes = Passes::new(gpus, &graph, vec![(x, 0..columns)], outputs).await?;
        Ok(Self { passes, centers, offsets, room })
    }

    /// Centres that there is room for: scores of a row.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// All blocks of `table` with these centres, at most as many as there is room for, in the order of the rows.
    pub(super) async fn pass(
        &mut self,
        table: &Table<'_>,
        held: &mut Held,
        centers: &Centers,
        mut take: impl FnMut(Block<'_>) -> Result<()>,
    ) -> Result<()> {
        let (transposed, offsets) = centers.for_device(self.room)?;
        self.passes.write(self.centers, &transposed)?;
        self.passes.write(self.offsets, &offsets)?;
        let take = |block: crate::blocks::Block<'_>| {
            let (first, rows) = (block.first, block.rows);
            let (mut labels, mut numbers) = (Vec::new(), Vec::new());
            for output in block.outputs {
                match output {
                    Output::Indices(found) => labels = found,
                    Output::Numbers(found) => numbers = found,
                }
            }
            labels.truncate(rows);
            take(Block { first, rows, given: block.given, labels, numbers })
        };
        self.passes.pass(table, held, take).await
    }
}

fn is_software(gpu: &Gpu) -> bool {
    gpu.target().class == AdapterClass::Software
}

/// Rows of a block that are added up on their own: sums of f32 lose digits as they grow longer, and are joined in
/// f64. 16 for each centre, so that the sums are a small part of the rows. It depends on nothing else, and neither
/// do the sums.
fn run_of(rows: usize, centers: usize) -> usize {
    centers.saturating_mul(16).next_power_of_two().clamp(1024, 16_384).min(rows)
}
