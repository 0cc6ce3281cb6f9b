//! Element-wise functions of two tensors, a row each: the kernel of a function is made from its row.

macro_rules! functions {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $value:literal;)*) => {
        /// Element-wise functions of two tensors. The second operand has the first's shape, or is a row (the
        /// first's last extent, repeated for every row), a column (the first's shape with 1 as its last
        /// extent, repeated along every row), or a scalar.
        ///
        /// Where an operand is NaN, so is the result, of comparisons too: it is not hidden.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Binary {
            $($(#[$doc])* $variant,)*
        }

        impl Binary {
            /// All functions.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in tables and errors.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Its value as WGSL, an expression of `a` and `b`. The functions that it calls are those of
            /// `shaders/elementwise/pairs.wgsl`, of `functions.wgsl` beside it and of the prelude.
            pub(crate) fn value(self) -> &'static str {
                match self {
                    $(Self::$variant => $value,)*
                }
            }
        }
    };
}

functions! {
    /// `a + b`.
    Add => "add", "a + b";
    /// `a - b`.
    Sub => "sub", "a - b";
    /// `a · b`, element by element.
    Mul => "mul", "a * b";
    /// `a / b`.
    Div => "div", "a / b";
    /// The smaller one. Where both are equal, each has half of the gradient.
    Minimum => "minimum", "-larger(-a, -b)";
    /// The larger one. Where both are equal, each has half of the gradient.
    Maximum => "maximum", "larger(a, b)";
    /// `aᵇ`: 1 where `b` is 0, `a` is 1; NaN where `a` is negative and `b` no whole number.
    Pow => "pow", "power(a, b)";
    /// 1 where `a = b`, else 0. Comparisons have the gradient 0.
    Equal => "equal", "truth(a == b, a, b)";
    /// 1 where `a ≠ b`, else 0.
    NotEqual => "not_equal", "truth(a != b, a, b)";
    /// 1 where `a < b`, else 0.
    Less => "less", "truth(a < b, a, b)";
    /// 1 where `a ≤ b`, else 0.
    LessEqual => "less_equal", "truth(a <= b, a, b)";
    /// 1 where `a > b`, else 0.
    Greater => "greater", "truth(a > b, a, b)";
    /// 1 where `a ≥ b`, else 0.
    GreaterEqual => "greater_equal", "truth(a >= b, a, b)";
}

impl Binary {
    /// The function of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|function| function.name() == name)
    }

    /// Whether it is 0 or 1, and flat everywhere but where it jumps.
    pub(crate) fn compares(self) -> bool {
        use Binary::*;
        match self {
            Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual => true,
            Add | Sub | Mul | Div | Minimum | Maximum | Pow => false,
        }
    }
}
