//! Dense layers.

use crate::Error;
use crate::graph::Tensor;
use crate::nn::{Builder, Init, InitialValues, Layer, Sequential, Settings};

/// `x·W + b`: every unit sees every input. Rows of n numbers become rows of `units`; W (`weight`) is
/// n × units, b (`bias`) is units and starts at zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dense {
    /// Number of units, which is the width of the output.
    pub units: usize,
    /// How the weights start.
    pub init: Init,
}

impl Dense {
    /// As [`Layer::settings`] describes it.
    pub(super) fn from_settings(settings: &Settings) -> Result<Self, Error> {
        let name = settings.get_text("init")?;
        let init = Init::from_name(name).ok_or_else(|| {
            let names: Vec<&str> = Init::ALL.iter().map(|init| init.name()).collect();
            Error::argument("init", name, &format!("one of {}", names.join(", ")))
        })?;
        Ok(Self { units: settings.get_count("units")?, init })
    }
}

impl Layer for Dense {
    fn name(&self) -> &str {
        "dense"
    }

    fn settings(&self) -> Option<Settings> {
        Some(Settings::new().integer("units", self.units as u64).text("init", self.init.name()))
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor, Error> {
        let units = self.units;
        if units == 0 {
            return Err(Error::argument("units", units, "at least 1"));
        }
        let &[_, inputs] = builder.shape(x)?.dims() else {
            let detail = format!(
                "rows of one axis are needed, `x` is {}; put `flatten` before the layer",
                builder.shape(x)?
            );
            return Err(Error::shape("x", detail));
        };
        let weights = InitialValues::drawn(self.init, inputs, units);
        let weight = builder.parameter("weight", [inputs, units], weights)?;
        let bias = builder.parameter("bias", units, InitialValues::Constant(0.0))?;
        let most = u32::MAX as usize / inputs.saturating_add(1);
        if units > most {
            let rule = format!(
                "at most {most} with {inputs} inputs, since 32 bits must count a layer's parameters; \
                 use fewer units or inputs"
            );
            return Err(Error::argument("units", units, &rule));
        }
        let product = builder.graph().matmul(x, weight)?;
        builder.graph().bias_add(product, bias)
    }
}

impl Sequential {
    /// Adds a dense layer with Glorot's uniform initialiser.
    pub fn dense(self, units: usize) -> Self {
        self.dense_with(units, Init::default())
    }

    /// Adds a dense layer.
    pub fn dense_with(self, units: usize, init: Init) -> Self {
        self.layer(Dense { units, init })
    }
}
