//! Reads a shader's bindings from its WGSL.
//!
//! The shaders declare each binding on a line of its own,
//! `@group(0) @binding(2) var<storage, read_write> out: array<f32>;`, which is all that is read
//! here; the tests compare the result with naga's for every shader. naga itself would do, but in a
//! browser it would be most of the download.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::source::Part;

/// How a shader uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `var<uniform>`.
    Uniform,
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    ReadWrite,
    /// A `texture_storage_2d<rgba32float, read>`, of [`TEXELS_ACROSS`](crate::kernel::TEXELS_ACROSS) texels a row.
    Texels,
}

/// One binding of group 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The number in `@binding(…)`.
    pub index: u32,
    /// The variable's name.
    pub name: &'static str,
    /// How it is used.
    pub access: Access,
}

/// The bindings that `parts` declare, in the order of their numbers.
pub fn bindings(parts: &[&'static Part]) -> Vec<Binding> {
    let mut bindings: Vec<Binding> = Vec::new();
    for part in parts {
        bindings.extend(known(part).iter());
    }
    bindings.sort_by_cached_key(|binding| binding.index as usize);
    bindings
}

/// The bindings that a part declares. Its text is read once in a process: every plan asks for those of each
/// of its dispatches.
fn known(part: &'static Part) -> Arc<[Binding]> {
    static KNOWN: Mutex<BTreeMap<&'static str, Arc<[Binding]>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let read = || part.source.lines().filter_map(binding).collect();
    known.entry(part.name).or_insert_with(read).clone()
}

/// The text of a shader.
pub fn source(parts: &[&'static Part]) -> String {
    announced(&parts.iter().map(|part| part.source).collect::<Vec<_>>())
}

/// The text of a shader from that of its parts. Browsers want subgroup operations announced; naga
/// knows them without.
pub(super) fn announced(texts: &[&str]) -> String {
    let announces = cfg!(target_arch = "wasm32")
        && texts.iter().any(|text| {
            text.contains("subgroupBroadcast(") || text.contains("subgroupShuffleXor(")
        });
    let text = texts.join("\n");
    if announces { format!("enable subgroups;\n{text}") } else { text }
}

fn binding(line: &'static str) -> Option<Binding> {
    let rest = line.trim_start().strip_prefix("@group(0) @binding(")?;
    let (index, rest) = rest.split_once(") var")?;
    let (space, rest) = match rest.strip_prefix('<') {
        Some(rest) => rest.split_once('>')?,
        None => ("", rest),
    };
    let (name, of) = rest.split_once(':')?;
    let access = match (space, of.trim()) {
        ("uniform", _) => Access::Uniform,
        ("storage, read", _) => Access::Read,
        ("storage, read_write", _) => Access::ReadWrite,
        ("", "texture_storage_2d<rgba32float, read>;") => Access::Texels,
        _ => return None,
    };
    Some(Binding { index: index.parse().ok()?, name: name.trim(), access })
}
