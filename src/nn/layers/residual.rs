//! Residual blocks.

use crate::Error;
use crate::graph::Tensor;
use crate::nn::{Builder, Layer, Loaders, Sequential, Settings};

/// `x + f(x)`, f a stack of layers whose output has the shape of its input (He et al., 2016). The names
/// of the stack's parameters follow the block's: `residual_2.dense_0.weight`.
#[derive(Clone, Debug, PartialEq)]
pub struct Residual {
    layers: Sequential,
}

impl Residual {
    /// A block around the layers of `layers`. Of its seed there is no use: the model's is taken.
    pub fn new(layers: Sequential) -> Self {
        Self { layers: layers.seed(0) }
    }
}

impl Residual {
    /// The layers within.
    pub fn layers(&self) -> &Sequential {
        &self.layers
    }

    /// As [`Layer::settings`] describes it.
    pub(super) fn from_settings(settings: &Settings, loaders: &Loaders) -> Result<Self, Error> {
        Ok(Self::new(loaders.stack(settings.get_stack("layers")?)?))
    }
}

impl Layer for Residual {
    fn name(&self) -> &str {
        "residual"
    }

    fn settings(&self) -> Option<Settings> {
        Settings::new().stack("layers", &self.layers)
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor, Error> {
        let y = self.layers.build_in(builder, x, 0..self.layers.layers().len())?;
        let (input, output) = (builder.shape(x)?.without(0, 1), builder.shape(y)?.without(0, 1));
        if input != output {
            let detail = format!(
                "rows of {input} go into the block and rows of {output} come out, which cannot be added; let \
                 its last layer give {input}"
            );
            return Err(Error::shape("sum", detail));
        }
        builder.graph().add(x, y)
    }
}

impl Sequential {
    /// Adds a residual block; `layers` adds its layers to an empty model.
    ///
    /// ```
    /// use wgrad::nn::Sequential;
    /// let block = |layers: Sequential| layers.relu().dense(32).relu().dense(64);
    /// let model = Sequential::new(10).dense(64).residual(block).residual(block).dense(1);
    /// assert_eq!(model.parameters()?[2].name, "residual_1.dense_1.weight");
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    pub fn residual(self, layers: impl FnOnce(Sequential) -> Sequential) -> Self {
        // Behind a layer that cannot be built no shape is known, and none is asked for.
        let input = self.output_shape().cloned().unwrap_or_else(|| self.input_shape().clone());
        self.layer(Residual::new(layers(Sequential::new(input))))
    }
}
