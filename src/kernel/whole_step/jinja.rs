//! As much of Jinja as the whole-step kernel's templates are written in, small enough for the browser's
//! package: `{{ … }}`, `if`, `for`, `set`, `macro` and `include`, with `trim_blocks` and `lstrip_blocks`
//! on. The tests hold it against minijinja.

mod evaluate;
mod parse;

use std::fmt::Write;
use std::rc::Rc;

use evaluate::Renderer;
use parse::Parser;

/// What went wrong, in words.
type Result<T> = std::result::Result<T, String>;

/// What names in a template stand for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing; prints nothing.
    None,
    /// A truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Text(Rc<str>),
    /// Values in order.
    List(Rc<[Value]>),
    /// Values with names.
    Record(Rc<[(&'static str, Value)]>),
}

macro_rules! from {
    ($($of:ty => $how:expr),* $(,)?) => {
        $(impl From<$of> for Value {
            fn from(value: $of) -> Self {
                $how(value)
            }
        })*
    };
}

from! {
    bool => Value::Bool,
    usize => |n| Value::Int(n as i64),
    u64 => |n| Value::Int(n as i64),
    &str => |text: &str| Value::Text(text.into()),
    String => |text: String| Value::Text(text.into()),
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Value::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::None, Into::into)
    }
}

impl Value {
    fn is_true(&self) -> bool {
        match self {
            Value::None => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Text(text) => !text.is_empty(),
            Value::List(values) => !values.is_empty(),
            Value::Record(fields) => !fields.is_empty(),
        }
    }

    fn int(&self) -> Result<i64> {
        match self {
            Value::Int(value) => Ok(*value),
            other => Err(format!("{other:?} is no number")),
        }
    }

    fn list(&self) -> Result<&[Value]> {
        match self {
            Value::List(values) => Ok(values),
            other => Err(format!("{other:?} is no list")),
        }
    }

    fn field(&self, name: &str) -> Result<Value> {
        let Value::Record(fields) = self else { return Err(format!("{self:?} has no fields")) };
        let found = fields.iter().find(|(field, _)| *field == name);
        found.map(|(_, value)| value.clone()).ok_or_else(|| format!("no field {name}"))
    }

    fn print(&self, out: &mut String) {
        match self {
            Value::None => {}
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            // Writing to a string does not fail.
            Value::Int(value) => drop(write!(out, "{value}")),
            Value::Text(text) => out.push_str(text),
            Value::List(values) => values.iter().for_each(|value| value.print(out)),
            Value::Record(fields) => fields.iter().for_each(|(_, value)| value.print(out)),
        }
    }
}

/// Renders `text` with the names that it may use; `others` are the templates that it may include.
pub(super) fn render(
    text: &str,
    others: &[(&str, &str)],
    names: Vec<(&'static str, Value)>,
) -> Result<String> {
    let text = text.strip_suffix('\n').unwrap_or(text); // as Jinja does
    let mut parser = Parser { text, at: 0, others, macros: Vec::new() };
    let (nodes, _) = parser.nodes(&[])?;
    let mut renderer = Renderer { macros: &parser.macros, scopes: vec![names], out: String::new() };
    renderer.all(&nodes)?;
    Ok(renderer.out)
}
