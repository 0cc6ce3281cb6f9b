//! Element-wise functions of one tensor, a row each: everything that wgrad knows of a function stands in its
//! row, and all kernels are made from it.

/// What kernels are made of, as WGSL. The functions that it calls are those of
/// `shaders/elementwise/functions.wgsl` and of the prelude.
pub(crate) struct Row {
    pub name: &'static str,
    /// f(x), an expression of `x` and, if the function has one, of its `PARAMETER`.
    pub value: &'static str,
    pub derivative: Derivative,
    /// Value and derivative once more, of `Piece`s (one number or four) and their `Bits`, in a form that stays
    /// short where it is written out for every value of a tile.
    pub pieces: Option<[&'static str; 2]>,
}

/// f′(x), an expression of `saved`.
#[derive(Clone, Copy)]
pub(crate) enum Derivative {
    /// From the output, y = f(x). Such a function can be fused into the product before it, since nobody needs
    /// the value it was given.
    FromOutput(&'static str),
    /// From the input, x.
    FromInput(&'static str),
}
use Derivative::{FromInput, FromOutput};

macro_rules! functions {
    ($(
        $(#[$doc:meta])*
        $variant:ident $({ $(#[$of_field:meta])* $field:ident: $usual:literal })? =>
        $name:literal, $value:literal, $derivative:expr $(, pieces: $pieces:expr)?;
    )*) => {
        /// Element-wise functions of one tensor: the activations, and the functions that losses and curve
        /// fits are built from.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Unary {
            $(
                $(#[$doc])*
                $variant $({ $(#[$of_field])* $field: f32 })?,
            )*
        }

        impl Unary {
            /// All functions; the parameters of those that have one are the usual ones.
            pub const ALL: &'static [Self] = &[$(Self::$variant $({ $field: $usual })?),*];

            pub(crate) fn row(self) -> Row {
                match self {
                    $(Self::$variant { .. } => Row {
                        name: $name,
                        value: $value,
                        derivative: $derivative,
                        pieces: { let pieces = None; $(let _: Option<[&str; 2]> = pieces; let pieces = Some($pieces);)? pieces },
                    },)*
                }
            }

            /// Name and value of the number that the function is chosen by, if it has one.
            pub fn parameter(self) -> Option<(&'static str, f32)> {
                #[allow(unreachable_patterns)]
                match self {
                    $($(Self::$variant { $field } => Some((stringify!($field), $field)),)?)*
                    _ => None,
                }
            }

            /// The same function with another number to be chosen by; of the others, the function itself.
            pub fn with_parameter(self, value: f32) -> Self {
                #[allow(unreachable_patterns)]
                match self {
                    $($(Self::$variant { .. } => Self::$variant { $field: value },)?)*
                    other => other,
                }
            }
        }
    };
}

functions! {
    /// `max(x, 0)`; the derivative at 0 is 0.
    Relu => "relu", "relu(x)", FromOutput("relu_grad(saved)"), pieces: [
        "select(x, Piece(0.0), bitcast<Bits>(x) <= Bits(-0x800000))",
        "select(saved, Piece(1.0), (bitcast<Bits>(saved) > Bits(0)) & (bitcast<Bits>(saved) <= Bits(0x7f800000)))",
    ];
    /// `x` where positive, `slope·x` elsewhere. The slope is positive.
    LeakyRelu {
        /// Slope on the negative side.
        slope: 0.01
    } => "leaky_relu", "select(PARAMETER * x, x, x > 0.0)", FromOutput("leaky_relu_grad(PARAMETER, saved)"), pieces: [
        "select(PARAMETER * x, x, x > Piece(0.0))",
        // NaN for NaN, found as in `is_nan`.
        "select(select(Piece(PARAMETER), Piece(1.0), saved > Piece(0.0)), saved, bitcast<Bits>(abs(saved)) > Bits(0x7f800000))",
    ];
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid => "sigmoid", "sigmoid(x)", FromOutput("saved * (1.0 - saved)");
    /// Hyperbolic tangent.
    Tanh => "tanh", "hyperbolic_tangent(x)", FromOutput("(1.0 - saved) * (1.0 + saved)");
    /// `x·Φ(x)`, Φ the standard normal distribution function (Hendrycks and Gimpel, 2016).
    Gelu => "gelu", "x * normal_distribution(x)", FromInput("gelu_grad(saved)");
    /// GELU's approximation `x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`, of the same paper.
    GeluTanh => "gelu_tanh", "x * sigmoid(2.0 * gelu_tanh_inner(x))", FromInput("gelu_tanh_grad(saved)");
    /// `x·σ(x)`, also called swish (Elfwing et al., 2018).
    Silu => "silu", "x * sigmoid(x)",
        FromInput("sigmoid(saved) * (1.0 + saved * sigmoid(-saved))");
    /// `ln(1 + eˣ)`, a smooth ReLU.
    Softplus => "softplus", "softplus(x)", FromInput("sigmoid(saved)");
    /// `x` where positive, `α·(eˣ - 1)` elsewhere (Clevert et al., 2016). α is positive.
    Elu {
        /// α, minus the limit on the negative side.
        alpha: 1.0
    } => "elu", "elu(PARAMETER, x)", FromOutput("elu_grad(PARAMETER, saved)");
    /// `x·min(max(x + 3, 0), 6)/6` (Howard et al., 2019).
    HardSwish => "hard_swish", "x * (clamp(x + 3.0, 0.0, 6.0) / 6.0)", FromInput("hard_swish_grad(saved)");
    /// `eˣ`.
    Exp => "exp", "exponential(x)", FromOutput("saved");
    /// Natural logarithm.
    Log => "log", "natural_log(x)", FromInput("1.0 / saved");
    /// Square root.
    Sqrt => "sqrt", "sqrt(x)", FromOutput("0.5 / saved");
    /// `1 / x`.
    Reciprocal => "reciprocal", "1.0 / x", FromOutput("-saved * saved");
    /// `x²`.
    Square => "square", "x * x", FromInput("2.0 * saved");
    /// `|x|`; the derivative at 0 is 0.
    Abs => "abs", "abs(x)", FromInput("sign_of(saved)");
}

impl Unary {
    /// The name in tables and errors.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The function of this name, with the usual parameter if it has one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|function| function.name() == name)
    }

    /// Whether the derivative is computed from the function's *output* (true) or its input.
    pub fn grad_from_output(self) -> bool {
        matches!(self.row().derivative, FromOutput(_))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_differ() {
        let names: BTreeSet<&str> = Unary::ALL.iter().map(|function| function.name()).collect();
        let values: BTreeSet<&str> =
            Unary::ALL.iter().map(|function| function.row().value).collect();
        assert_eq!((names.len(), values.len()), (Unary::ALL.len(), Unary::ALL.len()));
        for &function in Unary::ALL {
            assert_eq!(Unary::from_name(function.name()), Some(function));
            let uses = function.row().value.contains("PARAMETER");
            assert_eq!(function.parameter().is_some(), uses, "{}", function.name());
            let other = function.with_parameter(0.75);
            assert_eq!(other.parameter().map(|(_, value)| value), uses.then_some(0.75));
            assert_eq!(other.name(), function.name());
        }
        assert_eq!(Unary::from_name("nothing"), None);
    }
}
