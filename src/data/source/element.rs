//! What the headers of files of arrays say, whatever their format.

/// What an element of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

/// An element as its bytes stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) kind: Kind,
    pub(super) big_endian: bool,
}

impl Element {
    pub(super) fn bytes(self) -> usize {
        match self.kind {
            Kind::U8 | Kind::I8 => 1,
            Kind::U16 | Kind::I16 => 2,
            Kind::U32 | Kind::I32 | Kind::F32 => 4,
            Kind::U64 | Kind::I64 | Kind::F64 => 8,
        }
    }

    /// Adds the numbers that `bytes` are, each rounded to what f32 holds.
    pub(super) fn decode(self, bytes: &[u8], out: &mut Vec<f32>) {
        macro_rules! numbers {
            ($type:ty) => {{
                let (elements, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                match self.big_endian {
                    true => out.extend(elements.iter().map(|&e| <$type>::from_be_bytes(e) as f32)),
                    false => out.extend(elements.iter().map(|&e| <$type>::from_le_bytes(e) as f32)),
                }
            }};
        }
        match self.kind {
            Kind::U8 => numbers!(u8),
            Kind::I8 => numbers!(i8),
            Kind::U16 => numbers!(u16),
            Kind::I16 => numbers!(i16),
            Kind::U32 => numbers!(u32),
            Kind::I32 => numbers!(i32),
            Kind::U64 => numbers!(u64),
            Kind::I64 => numbers!(i64),
            Kind::F32 => numbers!(f32),
            Kind::F64 => numbers!(f64),
        }
    }

    /// Whether this type has whole numbers that f32 rounds to others.
    pub(super) fn exceeds_f32(self) -> bool {
        matches!(self.kind, Kind::U32 | Kind::I32 | Kind::U64 | Kind::I64 | Kind::F64)
    }

    /// The place among the numbers that `bytes` are of the first that f32 moves by a half or more, and the number.
    pub(super) fn first_rounded(self, bytes: &[u8]) -> Option<(usize, String)> {
        macro_rules! first {
            ($type:ty, $moved:expr) => {{
                let (elements, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                let big = self.big_endian;
                let number =
                    |&e| if big { <$type>::from_be_bytes(e) } else { <$type>::from_le_bytes(e) };
                let moved: fn($type) -> bool = $moved;
                let mut numbers = elements.iter().map(number).enumerate();
                numbers.find(|&(_, e)| moved(e)).map(|(at, e)| (at, e.to_string()))
            }};
        }
        match self.kind {
            Kind::U32 => first!(u32, |e| e as f32 as i128 != i128::from(e)),
            Kind::I32 => first!(i32, |e| e as f32 as i128 != i128::from(e)),
            Kind::U64 => first!(u64, |e| e as f32 as i128 != i128::from(e)),
            Kind::I64 => first!(i64, |e| e as f32 as i128 != i128::from(e)),
            Kind::F64 => first!(f64, |e| (f64::from(e as f32) - e).abs() >= 0.5),
            _ => None,
        }
    }
}

/// What a file's header says.
pub(super) struct Header {
    pub(super) element: Element,
    /// Extents, slowest first.
    pub(super) dims: Vec<usize>,
    /// Bytes before the first element.
    pub(super) bytes: u64,
}
