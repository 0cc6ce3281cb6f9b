//! Gradients of functions of two tensors, of choices and of slices, as operations of the graph.

use super::grad::Adjoints;
use super::{Binary, Graph, Op, Pass, Tensor, Unary};
use crate::Error;

impl Graph {
    pub(super) fn backward_binary(
        &mut self,
        binary: Binary,
        [a, b]: [Tensor; 2],
        y: Tensor,
        dy: Tensor,
        wanted: &[bool],
        adjoints: &mut Adjoints,
    ) -> Result<(), Error> {
        // A comparison is flat on both sides of where it jumps.
        if binary.compares() {
            return Ok(());
        }
        if wanted[a.index()] {
            let da = match binary {
                Binary::Add | Binary::Sub => dy,
                Binary::Mul => self.pair(Binary::Mul, dy, b)?,
                Binary::Div => self.pair(Binary::Div, dy, b)?,
                Binary::Pow => {
                    // b·aᵇ⁻¹, and 0 where b is: there a⁻¹ may be infinite.
                    let (one, zero) = (self.constant(1.0, [])?, self.constant(0.0, [])?);
                    let less = self.pair(Binary::Sub, b, one)?;
                    let power = self.pair(Binary::Pow, a, less)?;
                    let slope = self.pair(Binary::Mul, power, b)?;
                    // A mask is whole.
                    let repeated = self.repeated(b, a)?;
                    let slope = self.back(Op::Select, &[repeated, slope, zero], a)?;
                    self.pair(Binary::Mul, dy, slope)?
                }
                _ => self.share(binary, a, b, dy, true)?,
            };
            adjoints.add(self, a, da)?;
        }
        if wanted[b.index()] {
            let full = match binary {
                Binary::Add => dy,
                Binary::Sub => self.back(Op::Scale(-1.0), &[dy], a)?,
                Binary::Mul => self.pair(Binary::Mul, dy, a)?,
                Binary::Div => {
                    // -a/b² = -y/b.
                    let quotient = self.pair(Binary::Div, y, b)?;
                    let slope = self.pair(Binary::Mul, quotient, dy)?;
                    self.back(Op::Scale(-1.0), &[slope], a)?
                }
                Binary::Pow => {
                    // aᵇ·ln a, and 0 where a is: there it is 0·∞.
                    let zero = self.constant(0.0, [])?;
                    let logarithm = self.back(Op::Unary(Unary::Log), &[a], a)?;
                    let slope = self.pair(Binary::Mul, y, logarithm)?;
                    let slope = self.back(Op::Select, &[a, slope, zero], a)?;
                    self.pair(Binary::Mul, dy, slope)?
                }
                _ => self.share(binary, a, b, dy, false)?,
            };
            let db = self.sum_to(full, b)?;
            adjoints.add(self, b, db)?;
        }
        Ok(())
    }

    /// What `a` (or, if not `first`, `b`) has of the gradient of the smaller or the larger of both: all where it
    /// is that one, half where they are equal.
    fn share(
        &mut self,
        binary: Binary,
        a: Tensor,
        b: Tensor,
        dy: Tensor,
        first: bool,
    ) -> Result<Tensor, Error> {
        let (strictly, at_least) = match (binary == Binary::Maximum) == first {
            true => (Binary::Greater, Binary::GreaterEqual),
            false => (Binary::Less, Binary::LessEqual),
        };
        let (strictly, at_least) = (self.pair(strictly, a, b)?, self.pair(at_least, a, b)?);
        let twice = self.pair(Binary::Add, strictly, at_least)?;
        let share = self.back(Op::Scale(0.5), &[twice], a)?;
        self.pair(Binary::Mul, dy, share)
    }

    /// An element-wise function of the backward pass; of the shape of `a`.
    fn pair(&mut self, binary: Binary, a: Tensor, b: Tensor) -> Result<Tensor, Error> {
        self.back(Op::Binary(binary), &[a, b], a)
    }

    /// `x`, a row, a column or a scalar, as often as it is beside the elements of `whole`.
    fn repeated(&mut self, x: Tensor, whole: Tensor) -> Result<Tensor, Error> {
        let (from, into) = (self.known_shape(x).clone(), self.known_shape(whole).clone());
        if from == into {
            return Ok(x);
        }
        let rank = into.rank();
        let (start, end) = match from.elements() {
            1 => (0, rank),
            _ if from.dims() == [into.columns()] => (0, rank.saturating_sub(1)),
            _ => (rank.saturating_sub(1), rank),
        };
        let flat = self.node_in(Pass::Backward, Op::Reshape, &[x], into.without(start, end))?;
        if start == end {
            return Ok(flat);
        }
        self.back(Op::Expand { start, end, scale: 1.0 }, &[flat], whole)
    }

    pub(super) fn backward_select(
        &mut self,
        mask: Tensor,
        [a, b]: [Tensor; 2],
        dy: Tensor,
        wanted: &[bool],
        adjoints: &mut Adjoints,
    ) -> Result<(), Error> {
        let zero = self.constant(0.0, [])?;
        for (choice, operands) in [(a, [mask, dy, zero]), (b, [mask, zero, dy])] {
            if wanted[choice.index()] {
                let full = self.back(Op::Select, &operands, mask)?;
                let gradient = self.sum_to(full, choice)?;
                adjoints.add(self, choice, gradient)?;
            }
        }
        Ok(())
    }

    /// `dy` at `start` along `axis` of a tensor like `x`, with zeros before and after.
    pub(super) fn padded(
        &mut self,
        dy: Tensor,
        x: Tensor,
        axis: usize,
        start: usize,
    ) -> Result<Tensor, Error> {
        let extent = |graph: &Self, t: Tensor| graph.known_shape(t).dims().get(axis).copied();
        let (whole, taken) = (extent(self, x).unwrap_or(1), extent(self, dy).unwrap_or(1));
        let mut parts = vec![dy];
        for (place, zeros) in [(0, start), (usize::MAX, whole.saturating_sub(start + taken))] {
            if zeros > 0 {
                let mut dims = self.known_shape(x).dims().to_vec();
                if let Some(extent) = dims.get_mut(axis) {
                    *extent = zeros;
                }
                let zeros = self.constant(0.0, dims)?;
                parts.insert(place.min(parts.len()), zeros);
            }
        }
        let shape = self.known_shape(x).clone();
        self.node_in(Pass::Backward, Op::Concat { axis }, &parts, shape)
    }
}
