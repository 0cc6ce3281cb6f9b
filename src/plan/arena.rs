//! Where parameters lie: all of them in one flat buffer (a few, if they exceed a binding), so that
//! one dispatch updates them all.

use super::Target;
use crate::Error;
use crate::graph::{Graph, Shape};

/// Bytes that the update moves at a time; chunks hold a multiple of it.
const PIECE: u64 = 16;

/// The place of one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArenaEntry {
    /// The parameter's name.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// The chunk it lies in.
    pub chunk: usize,
    /// Bytes from the start of the chunk.
    pub offset: u64,
}

impl ArenaEntry {
    /// Where its copy in 16 bits is bound, at a multiple of the device's `alignment`, and how far behind that it
    /// begins; in bytes.
    pub(crate) fn copy_at(&self, alignment: u32) -> (u64, u64) {
        let begin = self.offset / 2;
        let beyond = begin % u64::from(alignment.max(1));
        (begin - beyond, beyond)
    }
}

/// The places of all parameters. Values, gradients and optimizer states share it, and so do all
/// plans of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArenaLayout {
    /// One entry per parameter, in the graph's order.
    pub entries: Vec<ArenaEntry>,
    /// Bytes of each chunk.
    pub chunks: Vec<u64>,
}

impl ArenaLayout {
    /// Packs the parameters of `graph` in their order.
    ///
    /// # Errors
    /// [`Error::Limit`] if a single parameter is larger than a binding may be.
    pub fn new(graph: &Graph, target: &Target) -> Result<Self, Error> {
        let mut layout = Self::default();
        let largest = target.max_tensor_bytes();
        for &parameter in graph.parameters() {
            let info = graph.known(parameter);
            let bytes = (info.shape.bytes() as u64).next_multiple_of(PIECE);
            super::check_size(&info.name, bytes, target)?;
            // Every parameter starts at an offset at which it can be bound. The bytes between, and
            // those behind the last, stay zero in every arena: a zero gradient moves nothing.
            let offset =
                layout.chunks.last().map(|end| end.next_multiple_of(target.alignment.into()));
            let offset = match offset {
                Some(offset) if offset + bytes <= largest => offset,
                _ => {
                    layout.chunks.push(0);
                    0
                }
            };
            if let Some(end) = layout.chunks.last_mut() {
                *end = offset + bytes;
            }
            layout.entries.push(ArenaEntry {
                name: info.name.clone(),
                shape: info.shape.clone(),
                chunk: layout.chunks.len() - 1,
                offset,
            });
        }
        Ok(layout)
    }

    /// Names and shapes of the parameters, the first few of many, for errors.
    pub(crate) fn names(&self) -> String {
        const SHOWN: usize = 8;
        let mut names: Vec<String> = self
            .entries
            .iter()
            .take(SHOWN)
            .map(|entry| format!("'{}' {}", entry.name, entry.shape))
            .collect();
        if self.entries.len() > SHOWN {
            names.push(format!("… {} in all", self.entries.len()));
        }
        names.join(", ")
    }

    /// Bytes of all chunks.
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().sum()
    }
}
