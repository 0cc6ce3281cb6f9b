//! Reading objects of options: every field is checked, and one that nobody asked for is an error,
//! so that a misspelt name is not silently ignored.

#[cfg(any(feature = "tasks", feature = "training"))]
use js_sys::Function;
use js_sys::{Array, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};

use crate::error::{Result, argument};

/// An object with options.
pub struct Options {
    /// What the object is, for messages.
    what: String,
    object: JsValue,
    asked: Vec<String>,
}

impl Options {
    /// # Errors
    /// If `value` is not an object. `undefined` is an object without fields.
    pub fn new(what: impl Into<String>, value: &JsValue) -> Result<Self> {
        let what = what.into();
        if value.is_undefined() {
            return Ok(Self { what, object: Object::new().into(), asked: Vec::new() });
        }
        if !value.is_object() || value.is_function() || Array::is_array(value) {
            return Err(argument(what, shown(value), "an object"));
        }
        Ok(Self { what, object: value.clone(), asked: Vec::new() })
    }

    /// A field; `None` if it is not there or undefined.
    pub fn get(&mut self, name: &str) -> Result<Option<JsValue>> {
        self.asked.push(name.into());
        let value = Reflect::get(&self.object, &name.into())?;
        Ok((!value.is_undefined()).then_some(value))
    }

    /// The name of a field in messages.
    pub fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.what)
    }

    /// One of `choices`.
    pub fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        choose(&value, &self.path(name), choices).map(Some)
    }

    /// # Errors
    /// If the object has a field that was not asked for.
    pub fn finish(self) -> Result<()> {
        let object: &Object = self.object.unchecked_ref();
        for key in Object::keys(object).iter() {
            let key = key.as_string().unwrap_or_default();
            if !self.asked.contains(&key) {
                return Err(argument(
                    format!("a field of {}", self.what),
                    format!("'{key}'"),
                    format!("one of {}", self.asked.join(", ")),
                ));
            }
        }
        Ok(())
    }
}

/// What models ask for.
#[cfg(feature = "models")]
impl Options {
    /// # Errors
    /// If the field is not there.
    pub fn need(&mut self, name: &str, rule: &str) -> Result<JsValue> {
        self.get(name)?.ok_or_else(|| argument(self.path(name), "missing", rule))
    }

    /// A number; whether it is in range is for wgrad to say.
    pub fn number(&mut self, name: &str) -> Result<Option<f32>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        number(&value, &self.path(name)).map(|number| Some(number as f32))
    }

    /// # Errors
    /// If a choice is missing or none of `choices`.
    pub fn need_choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Result<T> {
        let value = self.get(name)?.unwrap_or(JsValue::UNDEFINED);
        choose(&value, &self.path(name), choices)
    }
}

/// What only predicting does not ask for.
#[cfg(any(feature = "tasks", feature = "training"))]
impl Options {
    /// A function of the page.
    pub fn function(&mut self, name: &str) -> Result<Option<Function>> {
        match self.get(name)?.map(JsCast::dyn_into::<Function>) {
            None => Ok(None),
            Some(Ok(function)) => Ok(Some(function)),
            Some(Err(value)) => Err(argument(self.path(name), shown(&value), "a function")),
        }
    }

    /// A whole number, 0 or more.
    pub fn count(&mut self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        count(&value, &self.path(name)).map(Some)
    }

    /// # Errors
    /// If the number is missing, or none that counts.
    pub fn need_count(&mut self, name: &str, rule: &str) -> Result<usize> {
        self.count(name)?.ok_or_else(|| argument(self.path(name), "missing", rule))
    }

    /// A whole number that seeds a generator.
    pub fn seed(&mut self) -> Result<Option<u64>> {
        let Some(value) = self.get("seed")? else { return Ok(None) };
        match value.as_f64() {
            Some(seed)
                if (0.0..=9_007_199_254_740_991.0).contains(&seed) && seed.fract() == 0.0 =>
            {
                Ok(Some(seed as u64))
            }
            _ => {
                Err(argument(self.path("seed"), shown(&value), "a whole number from 0 to 2⁵³ - 1"))
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        match value.as_bool() {
            Some(flag) => Ok(Some(flag)),
            None => Err(argument(self.path(name), shown(&value), "true or false")),
        }
    }
}

/// A number; whether it is in range is for wgrad to say.
pub fn number(value: &JsValue, name: &str) -> Result<f64> {
    value.as_f64().ok_or_else(|| argument(name, shown(value), "a number"))
}

/// A whole number, 0 or more.
#[cfg(any(feature = "tasks", feature = "training"))]
pub fn count(value: &JsValue, name: &str) -> Result<usize> {
    match value.as_f64() {
        Some(count) if (0.0..=f64::from(u32::MAX)).contains(&count) && count.fract() == 0.0 => {
            Ok(count as usize)
        }
        _ => Err(argument(name, shown(value), "a whole number, 0 or more")),
    }
}

/// One of `choices`.
pub fn choose<T: Copy>(value: &JsValue, name: &str, choices: &[(&str, T)]) -> Result<T> {
    let word = value.as_string();
    let found = choices.iter().find(|(choice, _)| word.as_deref() == Some(*choice));
    found.map(|&(_, chosen)| chosen).ok_or_else(|| {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("'{word}'")).collect();
        argument(name, shown(value), format!("one of {}", words.join(", ")))
    })
}

/// A value in an error message.
pub fn shown(value: &JsValue) -> String {
    if let Some(text) = value.as_string() {
        return format!("'{text}'");
    }
    if let Some(number) = value.as_f64() {
        return number.to_string();
    }
    if let Some(flag) = value.as_bool() {
        return flag.to_string();
    }
    if value.is_undefined() {
        return "undefined".into();
    }
    if value.is_null() {
        return "null".into();
    }
    let name = Reflect::get(value, &"constructor".into())
        .and_then(|constructor| Reflect::get(&constructor, &"name".into()));
    let name = name.ok().and_then(|name| name.as_string());
    format!("of type {}", name.unwrap_or_else(|| "object".into()))
}
