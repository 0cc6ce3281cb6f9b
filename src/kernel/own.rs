//! WGSL that a program brings: looked at before anything is compiled of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::needs::Needs;
use super::reflect::{self, Access, Binding};
use super::source::{PRELUDE, Part};
use crate::Error;

/// A text that can be launched.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) parts: [&'static Part; 2],
    /// Names of the bindings of the operands and, last, of the result.
    pub(crate) bound: Vec<&'static str>,
}

/// Looks whether `text` binds `operands` operands and a result, and as `dims` a uniform of `dims` words if they are
/// any; natively also whether it is valid WGSL.
///
/// # Errors
/// [`Error::Shape`] that says in what it is not so.
pub(crate) fn check(
    name: &str,
    text: &str,
    operands: usize,
    dims: usize,
) -> Result<Checked, Error> {
    // A model builds its graphs again and again.
    static SOUND: Mutex<BTreeMap<(&str, usize, usize), Checked>> = Mutex::new(BTreeMap::new());
    // The prelude comes last, so that the lines that an error names are the program's.
    let parts = [kept(name, text), PRELUDE];
    let key = (parts[0].name, operands, dims);
    let sound = || SOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(checked) = sound().get(&key) {
        return Ok(checked.clone());
    }
    let checked = looked_at(name, parts, operands, dims)?;
    sound().insert(key, checked.clone());
    Ok(checked)
}

fn looked_at(
    name: &str,
    parts: [&'static Part; 2],
    operands: usize,
    dims: usize,
) -> Result<Checked, Error> {
    let refused = |detail: String| Err(Error::shape(name, detail));
    #[cfg(not(target_arch = "wasm32"))]
    let module = match validated(&reflect::source(&parts)) {
        Ok(module) => module,
        Err(reason) => return refused(format!("its WGSL is invalid; mend it: {reason}")),
    };
    let bindings = reflect::bindings(&parts);
    let (uniforms, storage): (Vec<&Binding>, Vec<&Binding>) =
        bindings.iter().partition(|binding| binding.access == Access::Uniform);
    let accesses: Vec<Access> = storage.iter().map(|binding| binding.access).collect();
    let mut wanted = vec![Access::Read; operands];
    wanted.push(Access::ReadWrite);
    if accesses != wanted {
        let found: Vec<String> = storage
            .iter()
            .map(|binding| format!("{} ({:?})", binding.name, binding.access))
            .collect();
        return refused(format!(
            "its WGSL must bind {operands} operands (`var<storage, read>`) and then the result \
             (`var<storage, read_write>`), in the order of their numbers; it binds {}",
            if found.is_empty() { "none".into() } else { found.join(", ") }
        ));
    }
    let names: Vec<&str> = uniforms.iter().map(|binding| binding.name).collect();
    if names != ["dims"][..usize::from(dims > 0)] {
        return refused(format!(
            "its kernel has {dims} words of `dims`, its WGSL the uniforms {names:?}; with words it must have one \
             `var<uniform> dims`, without them none"
        ));
    }
    let needs = Needs::of(&parts, &[]);
    #[cfg(not(target_arch = "wasm32"))]
    if let Some(difference) = misread(&module, &bindings, needs.as_ref().ok(), dims) {
        return refused(difference);
    }
    if needs.is_err() {
        return refused(
            "the sizes of its workgroup and variables are not found; declare each at the beginning of a line, sizes \
             as numbers, constants or products of them"
                .into(),
        );
    }
    let bound = storage.iter().map(|binding| binding.name).collect();
    Ok(Checked { parts, bound })
}

/// The part with this text. Each text is kept once, as long as the process runs: pipelines are known by their parts.
fn kept(name: &str, text: &str) -> &'static Part {
    static KEPT: Mutex<BTreeMap<String, &'static Part>> = Mutex::new(BTreeMap::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(part) = kept.get(text) {
        return part;
    }
    // Two texts may be of operations of the same name.
    let name = format!("own:{name}#{}", kept.len());
    let source: &'static str = text.to_owned().leak();
    let part: &'static Part = Box::leak(Box::new(Part { name: name.leak(), source }));
    kept.insert(text.to_owned(), part);
    part
}

#[cfg(not(target_arch = "wasm32"))]
fn validated(text: &str) -> Result<naga::Module, String> {
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    let module = naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string(text))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::default());
    validator.validate(&module).map_err(|error| error.emit_to_string(text))?;
    Ok(module)
}

/// What naga finds in the text and our own reading, which is all there is in a browser, does not.
#[cfg(not(target_arch = "wasm32"))]
fn misread(
    module: &naga::Module,
    bindings: &[Binding],
    needs: Option<&Needs>,
    dims: usize,
) -> Option<String> {
    let entry = match module.entry_points.as_slice() {
        [entry] if entry.name == "main" && entry.stage == naga::ShaderStage::Compute => entry,
        _ => return Some("its WGSL must have one entry point, `@compute fn main`".into()),
    };
    let [x, y, z] = entry.workgroup_size;
    if (y, z) != (1, 1) || needs.is_some_and(|needs| needs.invocations != x) {
        return Some(format!(
            "its workgroup is {x} × {y} × {z}; it must have one dimension, and `@workgroup_size` begin a line"
        ));
    }
    let sizes = |of| u64::from(module.types[of].inner.size(module.to_ctx()));
    let (mut uniform_bytes, mut workgroup_bytes) = (0, 0);
    for (_, variable) in module.global_variables.iter() {
        match variable.space {
            naga::AddressSpace::Uniform => uniform_bytes = sizes(variable.ty),
            naga::AddressSpace::WorkGroup => {
                workgroup_bytes += sizes(variable.ty).next_multiple_of(16);
            }
            _ => {}
        }
        let name = variable.name.as_deref().unwrap_or_default();
        let Some(binding) = &variable.binding else { continue };
        let read = |known: &&Binding| known.name == name && known.index == binding.binding;
        if binding.group != 0 || !bindings.iter().any(|known| read(&known)) {
            return Some(format!(
                "the binding '{name}' is not found; declare it in group 0 on a line of its own, as in \
                 `@group(0) @binding(1) var<storage, read_write> out: array<f32>;`"
            ));
        }
        let bytes = sizes(variable.ty) as usize;
        if name == "dims" && bytes != 4 * dims {
            return Some(format!(
                "`dims` is {bytes} bytes in its WGSL, {dims} words of 4 in its kernel; give it a word per field, and \
                 a multiple of the largest field's size"
            ));
        }
    }
    let read = needs.map(|needs| (needs.uniform_bytes, needs.workgroup_bytes));
    (read? != (uniform_bytes, workgroup_bytes)).then(|| {
        "the sizes of its variables are misread; begin each declaration at the beginning of a line, and leave \
         vectors of three and matrices out of them"
            .into()
    })
}
