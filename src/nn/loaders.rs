//! What makes layers from their settings when a model is loaded.

use std::fmt;
use std::sync::Arc;

use super::{Layer, RowFunction, Sequential, Settings, StackSettings, layers};
use crate::{Error, Result};

type LoadFunction = dyn Fn(&Settings) -> Result<Arc<dyn RowFunction>> + Send + Sync;
type Load = dyn Fn(&Settings) -> Result<Arc<dyn Layer>> + Send + Sync;

/// Makes layers again from their names and [settings](Layer::settings): those of the crate, and those of a
/// program that it has been told of.
///
/// ```
/// # use wgrad::graph::Tensor;
/// use wgrad::nn::{Builder, Layer, Loaders, Settings};
///
/// #[derive(Debug)]
/// struct Scale {
///     factor: f32,
/// }
///
/// impl Layer for Scale {
///     fn name(&self) -> &str {
///         "scale"
///     }
///
///     fn settings(&self) -> Option<Settings> {
///         Some(Settings::new().number("factor", self.factor))
///     }
///
///     fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> wgrad::Result<Tensor> {
///         builder.graph().scale(x, self.factor)
///     }
/// }
///
/// let loaders =
///     Loaders::new().layer("scale", |settings| Ok(Scale { factor: settings.get_number("factor")? }));
/// assert!(loaders.load("scale", &Settings::new().number("factor", 2.0)).is_ok());
/// ```
#[derive(Clone, Default)]
pub struct Loaders {
    own: Vec<(String, Arc<Load>)>,
    functions: Vec<(String, Arc<LoadFunction>)>,
}

impl Loaders {
    /// Those of the crate's layers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes layers of this [name](Layer::name) by `load`, from what their [`Layer::settings`] gave. A name
    /// of the crate's own layers then stands for the program's.
    pub fn layer<L: Layer>(
        mut self,
        name: &str,
        load: impl Fn(&Settings) -> Result<L> + Send + Sync + 'static,
    ) -> Self {
        self.own.retain(|(own, _)| own != name);
        self.own.push((name.into(), Arc::new(move |settings| Ok(Arc::new(load(settings)?)))));
        self
    }

    /// Makes losses and metrics of the program's own of this [name](RowFunction::name) by `load`, from what
    /// their [`RowFunction::settings`] gave.
    pub fn function<F: RowFunction>(
        mut self,
        name: &str,
        load: impl Fn(&Settings) -> Result<F> + Send + Sync + 'static,
    ) -> Self {
        self.functions.retain(|(own, _)| own != name);
        self.functions.push((name.into(), Arc::new(move |settings| Ok(Arc::new(load(settings)?)))));
        self
    }

    /// The loss or metric of this name with these settings.
    ///
    /// # Errors
    /// [`Error::Argument`] if nobody knows the name, or a setting is missing or not of its kind.
    pub fn load_function(&self, name: &str, settings: &Settings) -> Result<Arc<dyn RowFunction>> {
        match self.functions.iter().find(|(own, _)| own == name) {
            Some((_, load)) => load(settings),
            None => {
                let rule = "one that the program tells `Loaders::function` of";
                Err(Error::argument("loss or metric", format!("'{name}'"), rule))
            }
        }
    }

    /// The layer of this name with these settings.
    ///
    /// # Errors
    /// [`Error::Argument`] if nobody knows the name, or a setting is missing or not of its kind.
    pub fn load(&self, name: &str, settings: &Settings) -> Result<Arc<dyn Layer>> {
        if let Some((_, load)) = self.own.iter().find(|(own, _)| own == name) {
            return load(settings);
        }
        layers::load(name, settings, self).unwrap_or_else(|| {
            let rule = "one that wgrad has, or one that the program tells `Loaders::layer` of";
            Err(Error::argument("layer", format!("'{name}'"), rule))
        })
    }

    /// The stack of these layers.
    ///
    /// # Errors
    /// Those of [`Loaders::load`].
    pub fn stack(&self, settings: &StackSettings) -> Result<Sequential> {
        let stack = Sequential::new(settings.input.clone());
        let add = |stack: Sequential, (name, settings): &(String, Settings)| -> Result<_> {
            Ok(stack.shared_layer(self.load(name, settings)?))
        };
        settings.layers.iter().try_fold(stack, add)?.freeze_at(&settings.frozen)
    }
}

impl fmt::Debug for Loaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let functions = self.functions.iter().map(|(name, _)| name);
        f.debug_list().entries(self.own.iter().map(|(name, _)| name).chain(functions)).finish()
    }
}
