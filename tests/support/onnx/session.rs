//! A graph under construction from nodes, and the rearrangements that it has no operation for.

use std::collections::HashMap;

use wgrad::graph::{Binary, Graph, Reduction, Tensor, Unary};

use super::all_coordinates;
use crate::support::safetensors::Array;
use crate::support::{Feed, f32s};

/// What a name stands for: numbers of the case, a tensor of the graph, or both.
pub(super) struct Item {
    pub(super) array: Option<Array>,
    pub(super) tensor: Option<Tensor>,
}

#[derive(Default)]
pub(super) struct Session {
    pub(super) graph: Graph,
    pub(super) feed: Feed,
    pub(super) items: HashMap<String, Item>,
}

impl Session {
    /// Numbers that the host needs: axes, shapes, indices, labels.
    pub(super) fn host(&self, name: &str) -> &Array {
        self.items[name].array.as_ref().expect("numbers of the case")
    }

    pub(super) fn tensor(&mut self, name: &str) -> Tensor {
        let item = self.items.get_mut(name).unwrap_or_else(|| panic!("nothing is named '{name}'"));
        if let Some(tensor) = item.tensor {
            return tensor;
        }
        let array = item.array.as_ref().expect("a tensor or numbers");
        let tensor = self.graph.input(name, array.shape.as_slice()).unwrap();
        self.feed.floats.push((tensor, f32s(&array.values)));
        item.tensor = Some(tensor);
        tensor
    }

    pub(super) fn held(&mut self, shape: &[usize], values: &[f64]) -> Tensor {
        let tensor = self.graph.input("host", shape).unwrap();
        self.feed.floats.push((tensor, f32s(values)));
        tensor
    }

    pub(super) fn dims(&self, x: Tensor) -> Vec<usize> {
        self.graph.shape(x).unwrap().dims().to_vec()
    }

    pub(super) fn unary(&mut self, function: Unary, x: Tensor) -> Tensor {
        self.graph.unary(function, x).unwrap()
    }

    pub(super) fn scale(&mut self, x: Tensor, factor: f64) -> Tensor {
        self.graph.scale(x, factor as f32).unwrap()
    }

    /// `x + value`.
    pub(super) fn plus(&mut self, x: Tensor, value: f64) -> Tensor {
        let constant = self.graph.constant(value as f32, []).unwrap();
        self.graph.add(x, constant).unwrap()
    }

    pub(super) fn reshape(&mut self, x: Tensor, shape: &[usize]) -> Tensor {
        self.graph.reshape(x, shape).unwrap()
    }

    /// Repeats `x` to `to`, by numpy's rule.
    pub(super) fn broadcast(&mut self, x: Tensor, to: &[usize]) -> Tensor {
        let dims = self.dims(x);
        let mut from = vec![1; to.len() - dims.len()];
        from.extend(&dims);
        let kept: Vec<usize> = (0..to.len()).filter(|&axis| from[axis] == to[axis]).collect();
        let mut shape: Vec<usize> = kept.iter().map(|&axis| to[axis]).collect();
        let mut y = if shape == dims { x } else { self.reshape(x, &shape) };
        for axis in (0..to.len()).filter(|axis| !kept.contains(axis)) {
            assert_eq!(from[axis], 1, "{dims:?} does not repeat to {to:?}");
            shape.insert(axis, to[axis]);
            y = self.graph.expand(y, shape.as_slice(), axis, axis + 1, 1.0).unwrap();
        }
        y
    }

    pub(super) fn binary(&mut self, binary: Binary, a: Tensor, b: Tensor) -> Tensor {
        let (da, db) = (self.dims(a), self.dims(b));
        let row = db.len() == 1 && db.last() == da.last();
        // What the graph repeats itself.
        if da == db || row || db.iter().product::<usize>() == 1 && db.len() <= da.len() {
            return self.graph.binary(binary, a, b).unwrap();
        }
        let rank = da.len().max(db.len());
        let extent = |dims: &[usize], axis: usize| {
            (axis + dims.len()).checked_sub(rank).map_or(1, |axis| dims[axis])
        };
        let shape: Vec<usize> =
            (0..rank).map(|axis| extent(&da, axis).max(extent(&db, axis))).collect();
        let (a, b) = (self.broadcast(a, &shape), self.broadcast(b, &shape));
        self.graph.binary(binary, a, b).unwrap()
    }

    pub(super) fn add(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.binary(Binary::Add, a, b)
    }

    pub(super) fn sub(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.binary(Binary::Sub, a, b)
    }

    pub(super) fn mul(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.binary(Binary::Mul, a, b)
    }

    pub(super) fn div(&mut self, a: Tensor, b: Tensor) -> Tensor {
        let reciprocal = self.unary(Unary::Reciprocal, b);
        self.mul(a, reciprocal)
    }

    /// `max(x, 0)` and `min(x, 0)`.
    pub(super) fn parts(&mut self, x: Tensor) -> (Tensor, Tensor) {
        let positive = self.unary(Unary::Relu, x);
        let negated = self.scale(x, -1.0);
        let negative = self.unary(Unary::Relu, negated);
        (positive, self.scale(negative, -1.0))
    }

    /// Any axes, neighbours at a time, the last first.
    pub(super) fn reduce(
        &mut self,
        kind: Reduction,
        x: Tensor,
        axes: &[usize],
        keep: bool,
    ) -> Tensor {
        let mut shape = self.dims(x);
        let mut y = x;
        let mut rest = axes.to_vec();
        rest.sort_unstable();
        while let Some(last) = rest.pop() {
            let mut first = last;
            while first > 0 && rest.last() == Some(&(first - 1)) {
                first -= 1;
                rest.pop();
            }
            y = self.graph.reduce(kind, y, first, last + 1).unwrap();
        }
        if !keep {
            return y;
        }
        for &axis in axes {
            shape[axis] = 1;
        }
        self.reshape(y, &shape)
    }

    /// The elements of `x` at `indices` (row-major positions), as a tensor of `shape`.
    pub(super) fn pick(&mut self, x: Tensor, indices: Vec<usize>, shape: &[usize]) -> Tensor {
        let elements = self.graph.shape(x).unwrap().elements();
        let flat = self.reshape(x, &[elements, 1]);
        let positions = self.graph.index_input("positions", [indices.len()]).unwrap();
        let indices = indices.into_iter().map(|i| i as u32).collect();
        self.feed.indices.push((positions, indices));
        let picked = self.graph.gather(flat, positions).unwrap();
        self.reshape(picked, shape)
    }

    /// The tensor of `shape` whose element at some coordinates is the one of `x` at `from` of them.
    pub(super) fn rearrange(
        &mut self,
        x: Tensor,
        shape: &[usize],
        from: impl Fn(&[usize]) -> Vec<usize>,
    ) -> Tensor {
        let dims = self.dims(x);
        let position = |coordinates: &[usize]| {
            coordinates.iter().zip(&dims).fold(0, |at, (&c, &extent)| at * extent + c)
        };
        let indices = all_coordinates(shape).map(|c| position(&from(&c))).collect();
        self.pick(x, indices, shape)
    }
}
