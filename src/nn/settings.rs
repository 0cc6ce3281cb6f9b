//! The settings of a layer: what a file keeps of it beside its parameters.

use super::Sequential;
use crate::graph::Shape;
use crate::{Error, Result};

/// What a layer is made from again when a model is loaded: values with names, as `units` and `init` of a
/// dense layer. [`Layer::settings`](super::Layer::settings) gives them, and [`Loaders`](super::Loaders) take
/// them.
///
/// ```
/// use wgrad::nn::Settings;
/// let settings = Settings::new().number("rate", 0.1).integer("units", 64).text("init", "zeros");
/// assert_eq!(settings.get_number("rate")?, 0.1);
/// assert!(settings.get_number("slope").is_err());
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    values: Vec<(String, Setting)>,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// A number.
    Number(f32),
    /// A count, an index or a seed.
    Integer(u64),
    /// A text, such as the name of an initialiser.
    Text(String),
    /// A stack of layers within the layer.
    Stack(StackSettings),
}

/// A stack of layers as a file keeps it: its input, name and settings of each layer, and which are frozen.
#[derive(Clone, Debug, PartialEq)]
pub struct StackSettings {
    /// The shape of a row.
    pub input: Shape,
    /// Name and settings of each layer.
    pub layers: Vec<(String, Settings)>,
    /// Places of the layers that are frozen.
    pub frozen: Vec<usize>,
}

impl StackSettings {
    /// Those of a stack.
    ///
    /// # Errors
    /// The place of the first layer that has no settings, and so cannot be saved.
    pub fn of(stack: &Sequential) -> Result<Self, usize> {
        let layers = stack.layers().enumerate().map(|(place, layer)| {
            let settings = layer.settings().ok_or(place)?;
            Ok((layer.name().to_string(), settings))
        });
        Ok(Self {
            input: stack.input_shape().clone(),
            layers: layers.collect::<Result<_, usize>>()?,
            frozen: stack.frozen().collect(),
        })
    }
}

impl Setting {
    /// What kind of value it is, for errors.
    fn kind(&self) -> &'static str {
        match self {
            Setting::Number(_) => "a number",
            Setting::Integer(_) => "an integer",
            Setting::Text(_) => "a text",
            Setting::Stack(_) => "a stack of layers",
        }
    }
}

impl Settings {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a number.
    pub fn number(self, name: &str, value: f32) -> Self {
        self.with(name, Setting::Number(value))
    }

    /// With an integer.
    pub fn integer(self, name: &str, value: u64) -> Self {
        self.with(name, Setting::Integer(value))
    }

    /// With a text.
    pub fn text(self, name: &str, value: &str) -> Self {
        self.with(name, Setting::Text(value.into()))
    }

    /// With a stack of layers; `None` if one of them has no settings and so cannot be saved.
    pub fn stack(self, name: &str, stack: &Sequential) -> Option<Self> {
        Some(self.with(name, Setting::Stack(StackSettings::of(stack).ok()?)))
    }

    /// With a value, in place of that of the same name.
    pub fn with(mut self, name: &str, value: Setting) -> Self {
        self.values.retain(|(own, _)| own != name);
        self.values.push((name.into(), value));
        self
    }

    /// Names and values, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.values.iter().map(|(name, value)| (&**name, value))
    }

    /// A value.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is none of this name.
    pub fn get(&self, name: &str) -> Result<&Setting> {
        let value = self.values.iter().find(|(own, _)| own == name);
        value.map(|(_, value)| value).ok_or_else(|| {
            let names: Vec<&str> = self.iter().map(|(name, _)| name).collect();
            let found = if names.is_empty() { "none".into() } else { names.join(", ") };
            Error::argument("settings of a layer", found, &format!("with `{name}`"))
        })
    }

    /// A number.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is none of this name or it is something else.
    pub fn get_number(&self, name: &str) -> Result<f32> {
        match self.get(name)? {
            &Setting::Number(value) => Ok(value),
            other => Err(wrong(name, other, "a number")),
        }
    }

    /// An integer.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is none of this name or it is something else.
    pub fn get_integer(&self, name: &str) -> Result<u64> {
        match self.get(name)? {
            &Setting::Integer(value) => Ok(value),
            other => Err(wrong(name, other, "an integer")),
        }
    }

    /// An integer that counts things in memory.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is none of this name, or this machine does not count so far.
    pub fn get_count(&self, name: &str) -> Result<usize> {
        let value = self.get_integer(name)?;
        let rule = format!("at most {}, which is as far as this machine counts", usize::MAX);
        usize::try_from(value).map_err(|_| Error::argument(name, value, &rule))
    }

    /// A text.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is none of this name or it is something else.
    pub fn get_text(&self, name: &str) -> Result<&str> {
        match self.get(name)? {
            Setting::Text(value) => Ok(value),
            other => Err(wrong(name, other, "a text")),
        }
    }

    /// A stack of layers, which [`Loaders::stack`](super::Loaders::stack) makes again.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is none of this name or it is something else.
    pub fn get_stack(&self, name: &str) -> Result<&StackSettings> {
        match self.get(name)? {
            Setting::Stack(stack) => Ok(stack),
            other => Err(wrong(name, other, "a stack of layers")),
        }
    }
}

fn wrong(name: &str, found: &Setting, wanted: &str) -> Error {
    Error::argument(&format!("setting `{name}` of a layer"), found.kind(), wanted)
}
