//! Matrix products, with what is fused into them.

use super::{LeftInParts, Lowering, SUM_OF_ROWS};
use crate::graph::{Layout, Op, Pass, Role, Tensor};
use crate::kernel::matmul::{self, Epilogue, Product};
use crate::kernel::update::{self, Joined};
use crate::plan::{PlanScope, TilingChoice, choose};

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
        let [first, join] = matmul::matmul_in_parts(shapes, tiling, product, parts, products, sums);
        self.push(first, pass);
        if !self.left_to_the_update(product, parts, products, sums) {
            self.push(join, pass);
        }
    }

    /// Whether the update adds up the parts of `product`, since they are gradients that it alone reads, as they are;
    /// and it can bind the parts of all such gradients together.
    fn left_to_the_update(
        &mut self,
        product: Product,
        count: usize,
        products: Tensor,
        sums: Option<Tensor>,
    ) -> bool {
        let gradients = [(Some(product.out), Some(products)), (product.column_sums, sums)];
        let before = self.left_in_parts.len();
        let mut fits = product.epilogue == Epilogue::None;
        for (out, parts) in gradients.into_iter().filter_map(|(out, parts)| out.zip(parts)) {
            let offset = self.end_of_parts().next_multiple_of(self.target.alignment.into());
            match self.gradient_of(out) {
                Some(parameter) => {
                    self.left_in_parts.push(LeftInParts { parameter, count, parts, offset });
                }
                None => fits = false,
            }
        }
        let most = self.left_in_parts.iter().map(|left| left.count).max().unwrap_or(0);
        let turns = update::joining_turns(self.left_in_parts.len(), most).most();
        fits &= self.left_in_parts.len() <= Joined::MOST
            && self.end_of_parts() <= self.target.max_tensor_bytes()
            && turns <= self.target.most_turns;
        if !fits {
            self.left_in_parts.truncate(before);
        }
        fits
    }

    /// Bytes of the parts of all gradients that are left to the update.
    pub(in crate::plan) fn end_of_parts(&self) -> u64 {
        self.left_in_parts
            .last()
            .map_or(0, |last| last.offset + self.shapes().of(last.parts).bytes() as u64)
    }

    /// The number of the parameter of which `tensor` is the gradient, if this plan's update is all that reads it.
    fn gradient_of(&self, tensor: Tensor) -> Option<usize> {
        let root = self.root(tensor);
        let update = self.graph.update_pass().filter(|update| update.clip_norm.is_none())?;
        let mut of = update.gradients.iter().filter(|(_, gradient)| self.root(*gradient) == root);
        let ((parameter, _), None) = (of.next()?, of.next()) else { return None };
        let mut wanted = self.options.outputs.iter().chain(&self.options.results);
        let alone = !self.is_read(root) && !wanted.any(|&t| self.root(t) == root);
        match self.graph.known(*parameter).role {
            Role::Parameter(number)
                if alone && self.options.fuse && self.options.portion == PlanScope::Step =>
            {
                Some(number)
            }
            _ => None,
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
