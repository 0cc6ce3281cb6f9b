//! What trees come to.

use super::parse::{Expr, Macro, Node};
use super::{Result, Value};

/// Names with what they stand for, the innermost last.
type Scope<'t> = Vec<(&'t str, Value)>;

pub(super) struct Renderer<'t, 'n> {
    pub(super) macros: &'n [Macro<'t>],
    pub(super) scopes: Vec<Scope<'t>>,
    pub(super) out: String,
}

impl<'t> Renderer<'t, '_> {
    pub(super) fn all(&mut self, nodes: &[Node<'t>]) -> Result<()> {
        nodes.iter().try_for_each(|node| self.node(node))
    }

    fn node(&mut self, node: &Node<'t>) -> Result<()> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(value) => {
                let value = self.value(value)?;
                value.print(&mut self.out);
            }
            Node::If(branches) => {
                for (condition, body) in branches {
                    if self.value(condition)?.is_true() {
                        return self.all(body);
                    }
                }
            }
            Node::For(name, values, body) => {
                let values = self.value(values)?;
                let values = values.list()?;
                for (index, value) in values.iter().enumerate() {
                    let at = [
                        ("index0", index.into()),
                        ("index", (index + 1).into()),
                        ("last", (index + 1 == values.len()).into()),
                    ];
                    let at = Value::Record(at.into());
                    self.scopes.push(vec![("loop", at), (name, value.clone())]);
                    self.all(body)?;
                    self.scopes.pop();
                }
            }
            Node::Set(name, value) => {
                let value = self.value(value)?;
                if let Some(scope) = self.scopes.last_mut() {
                    scope.push((name, value));
                }
            }
            Node::Include(body) => self.all(body)?,
        }
        Ok(())
    }

    fn value(&mut self, expr: &Expr<'t>) -> Result<Value> {
        Ok(match expr {
            Expr::Literal(value) => value.clone(),
            Expr::Name(name) => {
                let mut all = self.scopes.iter().rev().flat_map(|scope| scope.iter().rev());
                match all.find(|(known, _)| known == name) {
                    Some((_, value)) => value.clone(),
                    None => return Err(format!("nothing is named {name}")),
                }
            }
            Expr::Field(of, name) => self.value(of)?.field(name)?,
            Expr::Index(of, index) => {
                let (of, index) = (self.value(of)?, self.value(index)?.int()?);
                let Value::Text(text) = of else { return Err(format!("{of:?} has no letters")) };
                let letter = usize::try_from(index).ok().and_then(|at| text.get(at..=at));
                letter.ok_or_else(|| format!("'{text}' has no letter {index}"))?.into()
            }
            Expr::Call(name, arguments) => {
                let values: Result<Vec<Value>> =
                    arguments.iter().map(|argument| self.value(argument)).collect();
                self.call(name, values?)?
            }
            Expr::Not(value) => (!self.value(value)?.is_true()).into(),
            Expr::Binary(operator, operands) => {
                let left = self.value(&operands.0)?;
                match *operator {
                    "and" if !left.is_true() => return Ok(left),
                    "or" if left.is_true() => return Ok(left),
                    _ => binary(operator, left, self.value(&operands.1)?)?,
                }
            }
            Expr::Choice(parts) => {
                let (condition, value, other) = &**parts;
                let chosen = if self.value(condition)?.is_true() { value } else { other };
                self.value(chosen)?
            }
        })
    }

    fn call(&mut self, name: &str, values: Vec<Value>) -> Result<Value> {
        match (name, values.as_slice()) {
            ("range", bounds) => {
                let bounds: Vec<i64> = bounds.iter().map(Value::int).collect::<Result<_>>()?;
                let (from, to, step) = match bounds[..] {
                    [to] => (0, to, 1),
                    [from, to] => (from, to, 1),
                    [from, to, step] if step > 0 => (from, to, step),
                    _ => return Err("range takes one to three numbers".into()),
                };
                Ok(Value::List((from..to).step_by(step as usize).map(Value::Int).collect()))
            }
            ("length", [values]) => Ok(values.list()?.len().into()),
            ("reverse", [values]) => {
                Ok(Value::List(values.list()?.iter().rev().cloned().collect()))
            }
            ("batch", [values, Value::Int(size @ 1..)]) => {
                let batches = values.list()?.chunks(*size as usize);
                Ok(Value::List(batches.map(|batch| Value::List(batch.into())).collect()))
            }
            _ => {
                let Some(known) = self.macros.iter().find(|known| known.name == name) else {
                    return Err(format!("no function {name} of {} values", values.len()));
                };
                // A macro sees its parameters and what the template was given.
                let given = known.parameters.iter().copied().zip(values).collect();
                let scopes = vec![self.scopes.first().cloned().unwrap_or_default(), given];
                let scopes = std::mem::replace(&mut self.scopes, scopes);
                let out = std::mem::take(&mut self.out);
                self.all(&known.body)?;
                self.scopes = scopes;
                Ok(std::mem::replace(&mut self.out, out).into())
            }
        }
    }
}

fn binary(operator: &str, left: Value, right: Value) -> Result<Value> {
    Ok(match operator {
        "and" | "or" => right,
        "==" => (left == right).into(),
        "!=" => (left != right).into(),
        "~" => {
            let mut text = String::new();
            left.print(&mut text);
            right.print(&mut text);
            text.into()
        }
        _ => {
            let (a, b) = (left.int()?, right.int()?);
            match operator {
                "<=" => (a <= b).into(),
                ">=" => (a >= b).into(),
                "<" => (a < b).into(),
                ">" => (a > b).into(),
                "+" => Value::Int(a + b),
                "-" => Value::Int(a - b),
                "*" => Value::Int(a * b),
                "//" if b != 0 => Value::Int(a.div_euclid(b)),
                "%" if b != 0 => Value::Int(a.rem_euclid(b)),
                _ => return Err(format!("{a} {operator} {b}")),
            }
        }
    })
}
