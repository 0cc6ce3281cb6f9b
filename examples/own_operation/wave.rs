//! sin x and cos x, each the other's gradient up to sign.

use wgrad::graph::{Graph, Kernel, Operation, Shape, Tensor};
use wgrad::{Error, Result};

#[derive(Clone, Copy, Debug)]
pub enum Wave {
    Sine,
    Cosine,
}

impl Operation for Wave {
    fn name(&self) -> &str {
        match self {
            Wave::Sine => "sin",
            Wave::Cosine => "cos",
        }
    }

    fn shape(&self, operands: &[&Shape]) -> Result<Shape> {
        match operands {
            &[x] => Ok(x.clone()),
            _ => Err(Error::shape(self.name(), "it has one operand; give one")),
        }
    }

    fn kernel(&self, _operands: &[&Shape], result: &Shape) -> Result<Kernel> {
        let text = include_str!("wave.wgsl").replace("FUNCTION", self.name());
        let count = result.elements();
        Ok(Kernel::per_element(text, count).dims([u32::try_from(count).unwrap_or(u32::MAX)]))
    }

    fn gradient(
        &self,
        graph: &mut Graph,
        operands: &[Tensor],
        _y: Tensor,
        dy: Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let slope = match self {
            Wave::Sine => graph.operation(Wave::Cosine, operands)?,
            Wave::Cosine => {
                let sine = graph.operation(Wave::Sine, operands)?;
                graph.scale(sine, -1.0)?
            }
        };
        Ok(vec![Some(graph.mul(dy, slope)?)])
    }
}
