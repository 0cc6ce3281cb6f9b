//! Templates as trees.

use super::{Result, Value};

#[derive(Debug)]
pub(super) enum Node<'t> {
    Text(&'t str),
    Print(Expr<'t>),
    /// Conditions with what holds under them.
    If(Vec<(Expr<'t>, Vec<Node<'t>>)>),
    For(&'t str, Expr<'t>, Vec<Node<'t>>),
    Set(&'t str, Expr<'t>),
    Include(Vec<Node<'t>>),
}

#[derive(Debug)]
pub(super) enum Expr<'t> {
    Literal(Value),
    Name(&'t str),
    Field(Box<Expr<'t>>, &'t str),
    Index(Box<Expr<'t>>, Box<Expr<'t>>),
    /// `name(…)`, or `first | name(…)`.
    Call(&'t str, Vec<Expr<'t>>),
    Not(Box<Expr<'t>>),
    Binary(&'static str, Box<(Expr<'t>, Expr<'t>)>),
    /// `a if condition else b`, in the order condition, a, b.
    Choice(Box<(Expr<'t>, Expr<'t>, Expr<'t>)>),
}

#[derive(Debug)]
pub(super) struct Macro<'t> {
    pub(super) name: &'t str,
    pub(super) parameters: Vec<&'t str>,
    pub(super) body: Vec<Node<'t>>,
}

/// Binary operators, level by level, those that bind least first.
const LEVELS: [&[&str]; 6] = [
    &["or"],
    &["and"],
    &["==", "!=", "<=", ">=", "<", ">"],
    &["+", "-"],
    &["~"],
    &["*", "//", "%"],
];
/// Where in `LEVELS` the operand of `not` stands.
const COMPARISONS: usize = 2;

pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    pub(super) others: &'t [(&'t str, &'t str)],
    pub(super) macros: Vec<Macro<'t>>,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn wrong<T>(&self, what: &str) -> Result<T> {
        let line = 1 + self.text[..self.at].matches('\n').count();
        Err(format!("line {line}: {what}"))
    }

    /// Nodes up to a tag that begins with one of `ends`, and which of them it is.
    pub(super) fn nodes(&mut self, ends: &[&str]) -> Result<(Vec<Node<'t>>, &'t str)> {
        let mut nodes = Vec::new();
        loop {
            let start = self.at;
            let tag = loop {
                match self.rest().find('{') {
                    None => break None,
                    Some(ahead) => {
                        self.at += ahead;
                        let tag = self.rest().get(..2).filter(|t| ["{{", "{%", "{#"].contains(t));
                        if tag.is_some() {
                            break tag;
                        }
                        self.at += 1;
                    }
                }
            };
            let Some(tag) = tag else {
                nodes.push(Node::Text(&self.text[start..]));
                self.at = self.text.len();
                if ends.is_empty() {
                    return Ok((nodes, ""));
                }
                return self.wrong("a block has no end");
            };
            let mut end = self.at;
            if tag != "{{" {
                // What stands before a tag on its line goes, if it is only space.
                let line = self.text[..self.at].rfind('\n').map_or(0, |newline| newline + 1);
                if line >= start && self.text[line..end].trim().is_empty() {
                    end = line;
                }
            }
            nodes.push(Node::Text(&self.text[start..end]));
            self.at += 2;
            match tag {
                "{{" => {
                    let value = self.choice()?;
                    self.close("}}")?;
                    nodes.push(Node::Print(value));
                }
                "{#" => {
                    let Some(ahead) = self.rest().find("#}") else {
                        return self.wrong("a comment has no end");
                    };
                    self.at += ahead;
                    self.close("#}")?;
                }
                _ => {
                    let word = self.name()?;
                    if ends.contains(&word) {
                        return Ok((nodes, word));
                    }
                    if let Some(node) = self.tag(word)? {
                        nodes.push(node);
                    }
                }
            }
        }
    }

    /// What begins with the tag `{% word`.
    fn tag(&mut self, word: &str) -> Result<Option<Node<'t>>> {
        let node = match word {
            "if" => {
                let mut branches = Vec::new();
                let mut condition = self.choice()?;
                loop {
                    self.close("%}")?;
                    let (body, end) = self.nodes(&["elif", "else", "endif"])?;
                    branches.push((condition, body));
                    condition = match end {
                        "elif" => self.choice()?,
                        "else" => Expr::Literal(Value::Bool(true)),
                        _ => break,
                    };
                }
                self.close("%}")?;
                Node::If(branches)
            }
            "for" => {
                let name = self.name()?;
                if self.name()? != "in" {
                    return self.wrong("'in' is missing");
                }
                let values = self.choice()?;
                self.close("%}")?;
                let (body, _) = self.nodes(&["endfor"])?;
                self.close("%}")?;
                Node::For(name, values, body)
            }
            "set" => {
                let name = self.name()?;
                if !self.eat("=") {
                    return self.wrong("'=' is missing");
                }
                let value = self.choice()?;
                self.close("%}")?;
                Node::Set(name, value)
            }
            "macro" => {
                let name = self.name()?;
                let mut parameters = Vec::new();
                while !self.eat(")") {
                    let _ = self.eat("(") || self.eat(",");
                    parameters.push(self.name()?);
                }
                self.close("%}")?;
                let (body, _) = self.nodes(&["endmacro"])?;
                self.close("%}")?;
                self.macros.push(Macro { name, parameters, body });
                return Ok(None);
            }
            "include" => {
                let Expr::Literal(Value::Text(name)) = self.operand()? else {
                    return self.wrong("a name is missing");
                };
                self.close("%}")?;
                let Some(&(_, text)) = self.others.iter().find(|(other, _)| **other == *name)
                else {
                    return self.wrong("there is no such template");
                };
                let text = text.strip_suffix('\n').unwrap_or(text); // as Jinja does
                let (outer, at) = (std::mem::replace(&mut self.text, text), self.at);
                self.at = 0;
                let (body, _) = self.nodes(&[])?;
                (self.text, self.at) = (outer, at);
                Node::Include(body)
            }
            _ => return self.wrong("no such tag"),
        };
        Ok(Some(node))
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().strip_prefix(token);
        // A word ends where no letter follows.
        let is_word = token.ends_with(|c: char| c.is_ascii_alphanumeric());
        let fits = found.is_some_and(|rest| !(is_word && rest.starts_with(is_of_name)));
        if fits {
            self.at += token.len();
        }
        fits
    }

    /// The end of a tag; a line break right after a block's goes.
    fn close(&mut self, end: &str) -> Result<()> {
        if !self.eat(end) {
            return self.wrong(&format!("'{end}' is missing"));
        }
        if end != "}}" && self.rest().starts_with('\n') {
            self.at += 1;
        }
        Ok(())
    }

    fn name(&mut self) -> Result<&'t str> {
        self.skip_space();
        let rest = self.rest();
        let length = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        if length == 0 {
            return self.wrong("a name is missing");
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn choice(&mut self) -> Result<Expr<'t>> {
        let value = self.binary(0)?;
        if !self.eat("if") {
            return Ok(value);
        }
        let condition = self.binary(0)?;
        let other = if self.eat("else") { self.choice()? } else { Expr::Literal(Value::None) };
        Ok(Expr::Choice(Box::new((condition, value, other))))
    }

    fn binary(&mut self, level: usize) -> Result<Expr<'t>> {
        let Some(operators) = LEVELS.get(level) else { return self.postfix() };
        if level == COMPARISONS && self.eat("not") {
            return Ok(Expr::Not(Box::new(self.binary(COMPARISONS)?)));
        }
        let mut left = self.binary(level + 1)?;
        'more: loop {
            self.skip_space();
            // "%}" ends a tag.
            if self.rest().starts_with("%}") {
                return Ok(left);
            }
            for operator in *operators {
                if self.eat(operator) {
                    let right = self.binary(level + 1)?;
                    left = Expr::Binary(operator, Box::new((left, right)));
                    continue 'more;
                }
            }
            return Ok(left);
        }
    }

    fn postfix(&mut self) -> Result<Expr<'t>> {
        let mut value = self.operand()?;
        loop {
            if self.eat(".") {
                value = Expr::Field(Box::new(value), self.name()?);
            } else if self.eat("[") {
                let index = self.choice()?;
                if !self.eat("]") {
                    return self.wrong("']' is missing");
                }
                value = Expr::Index(Box::new(value), Box::new(index));
            } else if self.eat("|") {
                let name = self.name()?;
                value = self.call(name, vec![value])?;
            } else {
                return Ok(value);
            }
        }
    }

    /// A call with the arguments so far, and those that follow in parentheses, if there are any.
    fn call(&mut self, name: &'t str, mut arguments: Vec<Expr<'t>>) -> Result<Expr<'t>> {
        if self.eat("(") {
            while !self.eat(")") {
                arguments.push(self.choice()?);
                let _ = self.eat(",");
            }
        }
        Ok(Expr::Call(name, arguments))
    }

    fn operand(&mut self) -> Result<Expr<'t>> {
        self.skip_space();
        let rest = self.rest();
        if self.eat("(") {
            let value = self.choice()?;
            return if self.eat(")") { Ok(value) } else { self.wrong("')' is missing") };
        }
        if let Some(text) = rest.strip_prefix('"') {
            let Some(length) = text.find('"') else { return self.wrong("a text has no end") };
            self.at += length + 2;
            return Ok(Expr::Literal(text[..length].into()));
        }
        let name = self.name()?;
        if let Ok(number) = name.parse() {
            return Ok(Expr::Literal(Value::Int(number)));
        }
        if self.rest().starts_with('(') {
            return self.call(name, Vec::new());
        }
        Ok(Expr::Name(name))
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
