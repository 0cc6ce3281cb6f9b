//! The types of element that IDX files know.

use std::fmt;

/// The type of an IDX file's elements. Only [`UnsignedByte`](Self::UnsignedByte) can be read; the
/// others can be recognised and named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdxElement {
    /// `u8`, code `0x08`.
    UnsignedByte,
    /// `i8`, code `0x09`.
    SignedByte,
    /// `i16`, code `0x0b`.
    Short,
    /// `i32`, code `0x0c`.
    Int,
    /// `f32`, code `0x0d`.
    Float,
    /// `f64`, code `0x0e`.
    Double,
}

impl IdxElement {
    const ALL: [Self; 6] =
        [Self::UnsignedByte, Self::SignedByte, Self::Short, Self::Int, Self::Float, Self::Double];

    /// The byte that stands for this type in a header.
    pub fn code(self) -> u8 {
        match self {
            Self::UnsignedByte => 0x08,
            Self::SignedByte => 0x09,
            Self::Short => 0x0b,
            Self::Int => 0x0c,
            Self::Float => 0x0d,
            Self::Double => 0x0e,
        }
    }

    /// The type that a byte of a header stands for, if any.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|element| element.code() == code)
    }
}

impl fmt::Display for IdxElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnsignedByte => "unsigned byte",
            Self::SignedByte => "signed byte",
            Self::Short => "16-bit integer",
            Self::Int => "32-bit integer",
            Self::Float => "32-bit float",
            Self::Double => "64-bit float",
        })
    }
}
