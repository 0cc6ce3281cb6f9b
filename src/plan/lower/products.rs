//! Matrix products, with what is fused into them.

use super::{Lowering, SUM_OF_ROWS};
use crate::graph::{Layout, Op, Pass, Tensor};
use crate::kernel::matmul::{self, Epilogue, Product};
use crate::plan::{TilingChoice, choose};

impl Lowering<'_> {
    pub(super) fn matmul(&mut self, layout: Layout, a: Tensor, b: Tensor, out: Tensor, pass: Pass) {
        let mut out = out;
        let mut epilogue = Epilogue::None;
        if let Some((reader, node)) = self.sole_reader(out) {
            match (node.op, node.inputs.as_slice()) {
                (Op::BiasAdd, &[x, bias]) if x == out && bias != out => {
                    epilogue = Epilogue::Bias(bias, None);
                    out = self.absorb(reader, node);
                    if let Some((reader, node)) = self.sole_reader(out)
                        && let (Op::Unary(f), &[x]) = (node.op, node.inputs.as_slice())
                        && x == out
                    {
                        epilogue = Epilogue::Bias(bias, Some(f));
                        out = self.absorb(reader, node);
                    }
                }
                (Op::Unary(f), &[x]) if x == out => {
                    epilogue = Epilogue::Activation(f);
                    out = self.absorb(reader, node);
                }
                (Op::UnaryGrad(f), &[saved, dy]) if dy == out && saved != out => {
                    epilogue = Epilogue::Mask(f, saved);
                    out = self.absorb(reader, node);
                }
                _ => {}
            }
        }
        if self.arg_max_of_product(Product { layout, a, b, out, epilogue, column_sums: None }, pass)
        {
            return;
        }
        let column_sums = match layout {
            Layout::TN if self.is_matrix(b) => self.column_sums_of(b),
            _ => None,
        };
        let product = Product { layout, a, b, out, epilogue, column_sums };
        let [m, n, k] = matmul::sizes(self.shapes(), layout, a, b);
        let mut choice = choose::product(self.target, [m, n, k]);
        // Many products keep a device busy, and each has its sums whole.
        if matmul::matrices(self.shapes(), a) > 1 {
            choice = TilingChoice { parts: 1, split: None, ..choice };
        }
        if !self.lowered.choices.contains(&choice) {
            self.lowered.choices.push(choice);
        }
        let TilingChoice { tiling, parts, .. } = choice;
        if parts == 1 {
            let launch = matmul::matmul(self.shapes(), tiling, product);
            return self.push(launch, pass);
        }
        let products = self.scratch("parts of a product", [parts, m, n]);
        let sums = column_sums.map(|_| self.scratch("parts of column sums", [parts, n]));
        let shapes = self.shapes();
        for launch in matmul::matmul_in_parts(shapes, tiling, product, parts, products, sums) {
            self.push(launch, pass);
        }
    }

    /// A product of which nobody wants more than where in each row the largest value is, if a tiling keeps that alone;
    /// else nothing.
    fn arg_max_of_product(&mut self, product: Product, pass: Pass) -> bool {
        let Some((reader, node)) = self.sole_reader(product.out) else { return false };
        let [m, n, k] = matmul::sizes(self.shapes(), product.layout, product.a, product.b);
        let choice = choose::product(self.target, [m, n, k]);
        let fits = node.op == Op::ArgMax
            && choice.parts == 1
            && self.is_matrix(product.a)
            && matmul::keeps_top(choice.tiling, n, product.epilogue);
        if !fits {
            return false;
        }
        if !self.lowered.choices.contains(&choice) {
            self.lowered.choices.push(choice);
        }
        let product = Product { out: self.absorb(reader, node), ..product };
        for launch in matmul::arg_max(self.shapes(), choice.tiling, product) {
            self.push(launch, pass);
        }
        true
    }

    /// The sum of the rows of `b`, if something wants it: the bias's gradient.
    fn column_sums_of(&mut self, b: Tensor) -> Option<Tensor> {
        let (reader, node) =
            self.companion(b, |node| node.op == SUM_OF_ROWS && node.inputs == [b])?;
        Some(self.absorb(reader, node))
    }

    /// Whether a weight gradient `Aᵀ·dy` is still to be lowered.
    pub(super) fn weight_gradient(&self, dy: Tensor) -> bool {
        let product = Op::MatMul(Layout::TN);
        self.is_matrix(dy)
            && self
                .companion(dy, |node| node.op == product && node.inputs.get(1) == Some(&dy))
                .is_some()
    }

    /// Whether it has two axes: of a stack of matrices, the sum of rows is not the sum along the first axis.
    fn is_matrix(&self, tensor: Tensor) -> bool {
        self.shapes().of(tensor).rank() == 2
    }
}
