//! The text of the shaders in `shaders/`, and the parts that kernels are put together from.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// One WGSL file, or what is made from a row of a table.
#[derive(Debug)]
pub struct Part {
    /// The file's name under `shaders/`, without its ending; else the table and the row, `activation:relu`.
    pub name: &'static str,
    /// Its text.
    pub source: &'static str,
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Names a file under `shaders/` as a [`Part`].
macro_rules! part {
    ($name:literal) => {
        &$crate::kernel::source::Part {
            name: $name,
            source: $crate::kernel::source::source!(concat!($name, ".wgsl")),
        }
    };
}
pub(crate) use part;

/// The part of this name, a table and a row of it, that is made rather than read from a file: once in a process, and
/// kept, since there are not many.
pub(crate) fn made(name: &str, text: impl FnOnce() -> String) -> &'static Part {
    static MADE: Mutex<BTreeMap<&str, &'static Part>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(part) = made.get(name) {
        return part;
    }
    let part = Part { name: name.to_owned().leak(), source: text().leak() };
    made.entry(part.name).or_insert(Box::leak(Box::new(part)))
}

/// The prelude: the step record, workgroup numbering, the test for finite numbers.
pub(crate) const PRELUDE: &Part = part!("shared/prelude");

/// Invocations per workgroup of the one-dimensional kernels; `WORKGROUP` in the prelude.
pub const WORKGROUP: usize = 64;

/// The text of a file in `shaders/`.
#[cfg(not(target_arch = "wasm32"))]
macro_rules! source {
    ($file:expr) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $file))
    };
}

/// The text of a file in `shaders/`. Pages download it, so it comes without what only people read: the lines of
/// comment, which are a third, empty lines, and the space that lines begin with.
#[cfg(target_arch = "wasm32")]
macro_rules! source {
    ($file:expr) => {{
        use $crate::kernel::source::{bare, first};
        const WHOLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $file));
        const KEPT: ([u8; WHOLE.len()], usize) = bare(WHOLE);
        const BYTES: [u8; KEPT.1] = first(&KEPT.0);
        const TEXT: &str = match std::str::from_utf8(&BYTES) {
            Ok(text) => text,
            Err(_) => WHOLE,
        };
        TEXT
    }};
}
pub(crate) use source;

/// `text` without the lines that hold nothing, or nothing but a comment, and without the spaces before the others;
/// and its length in bytes. `N` is that of the whole.
#[cfg(any(test, target_arch = "wasm32"))]
pub(crate) const fn bare<const N: usize>(text: &str) -> ([u8; N], usize) {
    let text = text.as_bytes();
    let (mut kept, mut length, mut at) = ([0; N], 0, 0);
    while at < N {
        let mut first = at;
        while first < N && text[first] == b' ' {
            first += 1;
        }
        let is_comment = first + 1 < N && text[first] == b'/' && text[first + 1] == b'/';
        let is_empty = first < N && text[first] == b'\n';
        let mut is_end = false;
        at = first;
        while at < N && !is_end {
            is_end = text[at] == b'\n';
            if !is_comment && !is_empty {
                kept[length] = text[at];
                length += 1;
            }
            at += 1;
        }
    }
    (kept, length)
}

/// The first `N` bytes.
#[cfg(any(test, target_arch = "wasm32"))]
pub(crate) const fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let (mut taken, mut at) = ([0; N], 0);
    while at < N {
        taken[at] = bytes[at];
        at += 1;
    }
    taken
}

#[test]
fn what_only_people_read_is_left_out() {
    const WHOLE: &str = "// What.\n  // ×\nlet a = 7 // 2;\n\n//\n  b // c\n// end";
    const KEPT: ([u8; WHOLE.len()], usize) = bare(WHOLE);
    const BYTES: [u8; KEPT.1] = first(&KEPT.0);
    assert_eq!(std::str::from_utf8(&BYTES), Ok("let a = 7 // 2;\nb // c\n"));
}
