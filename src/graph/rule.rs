//! Update rules: everything that wgrad knows of a rule stands here, and its formula in a file of its own,
//! `shaders/update/rule_*.wgsl`, of which all kernels are made.

use crate::Error;
// Imported from its file, which itself imports nothing.
use crate::kernel::source::{Part, part};

/// Rules that turn a gradient into a new parameter value. Formulas stand in `shaders/update/`.
#[cfg_attr(
    feature = "files",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum UpdateRule {
    /// `w -= η·(g + λ·w)`.
    Sgd {
        /// λ, the L2 penalty.
        weight_decay: f32,
    },
    /// `v = μ·v + g + λ·w`, then `w -= η·v`, or with Nesterov `w -= η·(g + λ·w + μ·v)`
    /// (Sutskever et al., 2013, in the form PyTorch uses).
    Momentum {
        /// μ.
        momentum: f32,
        /// Look ahead along the velocity.
        nesterov: bool,
        /// λ, the L2 penalty.
        weight_decay: f32,
    },
    /// Adam (Kingma and Ba, 2015); with `decoupled`, AdamW (Loshchilov and Hutter, 2019).
    Adam {
        /// β₁, decay of the mean of gradients.
        beta1: f32,
        /// β₂, decay of the mean of squared gradients.
        beta2: f32,
        /// ε, added to the bias-corrected root.
        epsilon: f32,
        /// λ.
        weight_decay: f32,
        /// Shrink weights directly (`w -= η·λ·w`) instead of through the gradient.
        decoupled: bool,
    },
    /// `d = g + λ·w`, `v = α·v + (1-α)·d²`, then `w -= η·d/(√v + ε)` (Hinton, lecture 6e, 2012, in the form
    /// PyTorch uses).
    #[cfg_attr(feature = "files", serde(rename = "rmsprop"))]
    RmsProp {
        /// α, decay of the mean of squared gradients.
        alpha: f32,
        /// ε, added to the root.
        epsilon: f32,
        /// λ, the L2 penalty.
        weight_decay: f32,
    },
    /// `d = g + λ·w`, `v += d²`, then `w -= η·d/(√v + ε)` (Duchi et al., 2011, in the form PyTorch uses).
    Adagrad {
        /// ε, added to the root.
        epsilon: f32,
        /// λ, the L2 penalty.
        weight_decay: f32,
    },
}
use UpdateRule::{Adagrad, Adam, Momentum, RmsProp, Sgd};

/// What a rule is, whatever its figures.
pub(crate) struct Row {
    pub name: &'static str,
    /// What the optimizer keeps for each parameter, in the order in which the formula takes it.
    pub states: &'static [&'static str],
    /// Name and value of the constant of the formula that tells two forms of the rule apart.
    pub switch: Option<(&'static str, bool)>,
    /// β₁ and β₂ of means that start at zero, for which the step has corrections.
    pub means: Option<[f32; 2]>,
    /// Computes `moved`, see `kernel/rule.rs`.
    pub formula: &'static Part,
}

/// A number that a rule is chosen by, under the name that the formula calls it.
pub(crate) struct Figure {
    pub name: &'static str,
    pub value: f32,
    pub range: Range,
}

pub(crate) enum Range {
    /// From 0 to below 1.
    Share,
    Positive,
    NotNegative,
}
use Range::{NotNegative, Positive, Share};

/// Figures that a rule has, at most: so many have room in a whole-step kernel's records.
pub(crate) const MOST_FIGURES: usize = 4;

const MEAN_SQUARE: &str = "mean square of the gradients";
const SUM_OF_SQUARES: &str = "sum of the gradients' squares";

impl UpdateRule {
    /// All rules in all forms, with the usual figures.
    pub const ALL: &'static [Self] = &[
        Sgd { weight_decay: 0.0 },
        Momentum { momentum: 0.9, nesterov: false, weight_decay: 0.0 },
        Momentum { momentum: 0.9, nesterov: true, weight_decay: 0.0 },
        Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, decoupled: false },
        Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, decoupled: true },
        RmsProp { alpha: 0.99, epsilon: 1e-8, weight_decay: 0.0 },
        Adagrad { epsilon: 1e-10, weight_decay: 0.0 },
    ];

    pub(crate) fn row(self) -> Row {
        match self {
            Sgd { .. } => Row {
                name: "sgd",
                states: &[],
                switch: None,
                means: None,
                formula: part!("update/rule_sgd"),
            },
            Momentum { nesterov, .. } => Row {
                name: if nesterov { "nesterov" } else { "momentum" },
                states: &["velocity"],
                switch: Some(("NESTEROV", nesterov)),
                means: None,
                formula: part!("update/rule_momentum"),
            },
            Adam { beta1, beta2, decoupled, .. } => Row {
                name: if decoupled { "adamw" } else { "adam" },
                states: &["mean of the gradients", MEAN_SQUARE],
                switch: Some(("DECOUPLED", decoupled)),
                means: Some([beta1, beta2]),
                formula: part!("update/rule_adam"),
            },
            RmsProp { .. } => Row {
                name: "rmsprop",
                states: &[MEAN_SQUARE],
                switch: None,
                means: None,
                formula: part!("update/rule_rmsprop"),
            },
            Adagrad { .. } => Row {
                name: "adagrad",
                states: &[SUM_OF_SQUARES],
                switch: None,
                means: None,
                formula: part!("update/rule_adagrad"),
            },
        }
    }

    /// The figures that the formula is given.
    pub(crate) fn figures(mut self) -> Vec<Figure> {
        let places = self.places().into_iter();
        places.map(|(name, value, range)| Figure { name, value: *value, range }).collect()
    }

    /// Name, place and range of each figure.
    fn places(&mut self) -> Vec<(&'static str, &mut f32, Range)> {
        match self {
            Sgd { weight_decay } => vec![("weight_decay", weight_decay, NotNegative)],
            Momentum { momentum, nesterov: _, weight_decay } => {
                vec![("momentum", momentum, Share), ("weight_decay", weight_decay, NotNegative)]
            }
            Adam { beta1, beta2, epsilon, weight_decay, decoupled: _ } => vec![
                ("beta1", beta1, Share),
                ("beta2", beta2, Share),
                ("epsilon", epsilon, Positive),
                ("weight_decay", weight_decay, NotNegative),
            ],
            RmsProp { alpha, epsilon, weight_decay } => vec![
                ("alpha", alpha, Share),
                ("epsilon", epsilon, Positive),
                ("weight_decay", weight_decay, NotNegative),
            ],
            Adagrad { epsilon, weight_decay } => {
                vec![("epsilon", epsilon, Positive), ("weight_decay", weight_decay, NotNegative)]
            }
        }
    }

    /// Names and values of the numbers that it is chosen by, `momentum` and `weight_decay` for example.
    pub fn hyperparameters(self) -> Vec<(&'static str, f32)> {
        self.figures().into_iter().map(|figure| (figure.name, figure.value)).collect()
    }

    /// The same rule with another value of a number that [`UpdateRule::hyperparameters`] names; nothing if it
    /// has none of this name. What uses the rule tells whether the value is in range.
    pub fn with_hyperparameter(mut self, name: &str, value: f32) -> Option<Self> {
        let place =
            self.places().into_iter().find_map(|(own, place, _)| (own == name).then_some(place))?;
        *place = value;
        Some(self)
    }

    /// The same rule with another λ.
    pub fn with_weight_decay(self, decay: f32) -> Self {
        self.with_hyperparameter("weight_decay", decay).unwrap_or(self)
    }

    /// The rule of this name, with the usual figures.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.name() == name)
    }

    /// # Errors
    /// [`Error::Argument`] naming the first figure that is out of its range.
    pub(crate) fn check(self) -> Result<(), Error> {
        for Figure { name, value, range } in self.figures() {
            let (fits, words) = match range {
                Share => ((0.0..1.0).contains(&value), "at least 0 and below 1"),
                // Devices may take what is smaller for 0.
                Positive => (
                    value >= f32::MIN_POSITIVE && value.is_finite(),
                    "at least 1.2e-38, and finite",
                ),
                NotNegative => (value >= 0.0 && value.is_finite(), "0 or more, and finite"),
            };
            if !fits {
                return Err(Error::argument(&name.replace('_', " "), value, words));
            }
        }
        Ok(())
    }

    /// Optimizer-state values kept per parameter.
    pub fn states(self) -> usize {
        self.state_names().len()
    }

    /// What these values are, in their order.
    pub fn state_names(self) -> &'static [&'static str] {
        self.row().states
    }

    /// What tensors of these values are called in a file, before the parameter's name:
    /// `optimizer.mean_square_of_the_gradients`.
    pub fn state_tensors(self) -> Vec<String> {
        let names = self.state_names().iter();
        names
            .map(|name| format!("optimizer.{}", name.replace(' ', "_").replace('\'', "")))
            .collect()
    }

    /// Whether the optimizer state of this name is made of squares, so that it is never negative.
    pub(crate) fn is_of_squares(state: &str) -> bool {
        [MEAN_SQUARE, SUM_OF_SQUARES].contains(&state)
    }

    /// The name in tables.
    pub fn name(self) -> &'static str {
        self.row().name
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A new rule does not compile here before it has a place, which must be its own in the list of all.
    #[test]
    fn all_rules_are_listed() {
        let place = |rule: &UpdateRule| match rule {
            Sgd { .. } => 0,
            Momentum { nesterov: false, .. } => 1,
            Momentum { nesterov: true, .. } => 2,
            Adam { decoupled: false, .. } => 3,
            Adam { decoupled: true, .. } => 4,
            RmsProp { .. } => 5,
            Adagrad { .. } => 6,
        };
        let places: Vec<usize> = UpdateRule::ALL.iter().map(place).collect();
        assert_eq!(places, (0..7).collect::<Vec<_>>());
        let names: BTreeSet<&str> = UpdateRule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), UpdateRule::ALL.len());
        assert_eq!(UpdateRule::from_name("nothing"), None);
        for &rule in UpdateRule::ALL {
            assert_eq!(UpdateRule::from_name(rule.name()), Some(rule));
            assert!(rule.check().is_ok());
        }
    }

    #[test]
    fn each_figure_has_a_range() {
        for &rule in UpdateRule::ALL {
            for (name, usual) in rule.hyperparameters() {
                for wrong in [-1.0, f32::NAN, f32::INFINITY] {
                    let other = rule.with_hyperparameter(name, wrong).expect("its own figure");
                    let error = other.check().expect_err("out of range").to_string();
                    assert!(error.contains(&name.replace('_', " ")), "{error}");
                    assert_eq!(rule.with_hyperparameter(name, usual), Some(rule));
                }
            }
            assert!(rule.hyperparameters().iter().any(|&(name, _)| name == "weight_decay"));
            assert_eq!(rule.with_hyperparameter("nothing", 0.5), None);
        }
    }

    /// Each figure and each state has its name, and the formula uses it.
    #[test]
    fn formulas_take_what_rules_have() {
        for &rule in UpdateRule::ALL {
            let (row, figures) = (rule.row(), rule.figures());
            assert!(figures.len() <= MOST_FIGURES, "{}", row.name);
            for figure in figures {
                let used = row.formula.source.contains(&format!("rule.{}", figure.name));
                assert!(used, "{} of {}", figure.name, row.name);
            }
            let takes = row.formula.source.matches(": Piece").count();
            assert_eq!(takes, 2 + row.states.len(), "{}", row.name);
            let uses = |(name, _)| row.formula.source.contains(name);
            assert!(row.switch.is_none_or(uses), "{}", row.name);
            let corrected = row.formula.source.contains("rule.correction");
            assert_eq!(row.means.is_some(), corrected, "{}", row.name);
        }
    }
}
