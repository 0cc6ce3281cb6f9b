//! Lines of WGSL.

use std::fmt::{Arguments, Write};

/// Lines of WGSL, each indented by the blocks it is in: a line that ends with `{` opens one, one that begins
/// with `}` closes it.
#[derive(Debug, Default)]
pub(super) struct Writer {
    text: String,
    depth: usize,
}

/// Writes a line, given as to `format!`.
macro_rules! line {
    ($writer:expr, $($line:tt)*) => {
        $writer.line(format_args!($($line)*))
    };
}
pub(super) use line;

impl Writer {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn line(&mut self, line: Arguments<'_>) {
        // Writing to a string does not fail.
        let start = self.text.len();
        let _ = self.text.write_fmt(line);
        let line = self.text.split_off(start);
        let line = line.trim();
        if line.starts_with('}') {
            self.depth = self.depth.saturating_sub(1);
        }
        if !line.is_empty() {
            self.text.extend(std::iter::repeat_n("    ", self.depth));
            self.text.push_str(line);
        }
        self.text.push('\n');
        if line.ends_with('{') {
            self.depth += 1;
        }
    }

    /// Several lines, as they stand.
    pub(super) fn lines(&mut self, lines: &str) {
        lines.trim_end().lines().for_each(|line| line!(self, "{line}"));
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    pub(super) fn text(self) -> String {
        self.text
    }
}

/// What `item` makes of the numbers below `count`, between commas.
pub(super) fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(", ")
}

/// The name of component `n` of a vector.
pub(super) fn component(n: usize) -> char {
    match n % 4 {
        0 => 'x',
        1 => 'y',
        2 => 'z',
        _ => 'w',
    }
}

#[test]
fn blocks_are_indented() {
    let mut w = Writer::new();
    line!(w, "fn f() {{");
    w.lines("if x {\n  y;\n} else {\n\nz;\n}\n");
    line!(w, "}}");
    assert_eq!(
        w.text(),
        "fn f() {\n    if x {\n        y;\n    } else {\n\n        z;\n    }\n}\n"
    );
}
