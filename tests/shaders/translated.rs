//! What naga makes of the kernels for DirectX, Metal and Vulkan, without any of them: nothing is defined
//! twice. `scripts/check-shaders` compiles it.

use std::collections::BTreeSet;

use super::doubles::{doubles, doubles_of_spirv};
use super::listed::{Kernel, kernels};
use super::translate::{Checked, ShaderModel, Vulkan};

/// Every backend's text of a kernel; what is wrong with it.
fn faults(kernel: &Kernel) -> Result<(), String> {
    let checked = Checked::new(kernel)?;
    let hlsl = checked.hlsl(ShaderModel::V6_0).map_err(|error| format!("HLSL: {error}"))?;
    let twice = doubles(&hlsl);
    if !twice.is_empty() {
        return Err(format!("HLSL defines twice: {twice:?}"));
    }
    // One text for all models, so that one is all that has to be looked at and compiled.
    let others = [(!checked.needs_model_6).then_some(ShaderModel::V5_1), Some(ShaderModel::V6_9)];
    for model in others.into_iter().flatten() {
        if checked.hlsl(model).as_ref() != Ok(&hlsl) {
            return Err(format!("HLSL for {model:?} differs from that for 6.0"));
        }
    }
    let twice = doubles(&checked.msl().map_err(|error| format!("MSL: {error}"))?);
    if !twice.is_empty() {
        return Err(format!("MSL defines twice: {twice:?}"));
    }
    for vulkan in [Vulkan::Oldest, Vulkan::Newest] {
        let spv = checked.spv(vulkan).map_err(|error| format!("SPIR-V: {error}"))?;
        let twice = doubles_of_spirv(&spv);
        if !twice.is_empty() {
            return Err(format!("SPIR-V for the {vulkan:?} devices defines twice: {twice:?}"));
        }
    }
    Ok(())
}

#[test]
fn no_backend_gets_anything_twice() {
    let kernels = kernels();
    let names: BTreeSet<&str> = kernels.iter().map(|kernel| kernel.name.as_str()).collect();
    assert_eq!(names.len(), kernels.len(), "two kernels have one name");
    let halves = kernels.split_at(kernels.len() / 2);
    let faults_of = |half: &[Kernel]| -> Vec<String> {
        let of = |k: &Kernel| faults(k).err().map(|fault| format!("{}: {fault}", k.name));
        half.iter().filter_map(of).collect()
    };
    let found = std::thread::scope(|scope| {
        let other = scope.spawn(|| faults_of(halves.0));
        let mut found = faults_of(halves.1);
        found.extend(other.join().unwrap());
        found
    });
    let first = found.first();
    assert!(found.is_empty(), "{} of {} kernels: {first:?}", found.len(), kernels.len());
}

/// naga writes the zero of an alias as a function of its own, of the same name as that of the zero of what
/// it stands for (see `docs/naga-zero-values.md`).
#[test]
fn no_zero_value_is_written_through_an_alias() {
    for kernel in kernels() {
        let aliases = kernel.text.lines().filter_map(|line| line.strip_prefix("alias "));
        for alias in aliases.filter_map(|line| line.split_once(" =")).map(|(name, _)| name) {
            let zero = format!("{alias}()");
            let of_longer_name =
                |at: usize| kernel.text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let found = kernel.text.match_indices(&zero).find(|&(at, _)| !of_longer_name(at));
            assert_eq!(found, None, "{}: write the zero of what {alias} stands for", kernel.name);
        }
    }
}

/// naga writes a structure by a function of HLSL's, whose value is no constant to DirectX's compilers.
#[test]
fn no_constant_is_a_structure() {
    for kernel in kernels() {
        let structures = kernel.text.lines().filter_map(|line| line.strip_prefix("struct "));
        for structure in structures.filter_map(|line| line.split_once(' ')).map(|(name, _)| name) {
            let value = format!(" = {structure}(");
            let is_constant = |line: &&str| line.starts_with("const ") && line.contains(&value);
            let found = kernel.text.lines().find(is_constant);
            assert_eq!(found, None, "{}: make it a function", kernel.name);
        }
    }
}

/// When this fails, naga no longer writes a zero value twice: see the page's end.
#[test]
fn the_page_on_zero_values_is_true() {
    let page = include_str!("../../docs/naga-zero-values.md");
    let block = |language: &str| {
        let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
        rest.split_once("```").unwrap().0.to_string()
    };
    let kernel = Kernel {
        name: "page".into(),
        text: block("wgsl"),
        constants: Vec::new(),
        parts: Vec::new(),
    };
    let checked = Checked::new(&kernel).unwrap();
    let hlsl = checked.hlsl(ShaderModel::V5_1).unwrap();
    // Before it, naga puts wgpu's own constants.
    assert!(hlsl.trim().ends_with(block("hlsl").trim()), "{hlsl}");
    assert_eq!(doubles(&hlsl), ["ZeroValuefloat4()"]);
    assert_eq!(doubles(&checked.msl().unwrap()), [""; 0]);
    assert_eq!(doubles_of_spirv(&checked.spv(Vulkan::Oldest).unwrap()), [""; 0]);
}
