//! Numbers of a history in JSON, which has no word for those that are not finite.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number, or the name of one that is not finite.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    /// `NaN`, `inf`, `-inf`.
    Name(String),
}

impl Written {
    fn of(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Name(number.to_string()) }
    }

    fn number<E: serde::de::Error>(self) -> Result<f64, E> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Name(name) => {
                name.parse().map_err(|_| E::custom(format!("'{name}' is no number")))
            }
        }
    }
}

pub(crate) fn serialize<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
    Written::of(*number).serialize(to)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Written::deserialize(from)?.number()
}

/// Lists of numbers.
pub(crate) mod list {
    use super::{Deserialize, Deserializer, Serializer, Written};

    pub(crate) fn serialize<S: Serializer>(numbers: &[f64], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(numbers.iter().map(|&number| Written::of(number)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        let written = Vec::<Written>::deserialize(from)?;
        written.into_iter().map(Written::number).collect()
    }
}

/// Lists of numbers with names.
pub(crate) mod named {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Written};

    pub(crate) fn serialize<N: Serialize, S: Serializer>(
        numbers: &[(N, f64)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(numbers.iter().map(|(name, number)| (name, Written::of(*number))))
    }

    pub(crate) fn deserialize<'de, N: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(N, f64)>, D::Error> {
        let written = Vec::<(N, Written)>::deserialize(from)?;
        written.into_iter().map(|(name, number)| Ok((name, number.number()?))).collect()
    }
}
