//! Every shader, in every variant that the library can launch, without a GPU: naga parses and
//! validates it, and what the Rust side assumes of it (bindings, operands, uniform words) holds.

mod doubles;
pub mod listed;
mod translate;
mod translated;

use std::collections::{BTreeMap, BTreeSet};

use naga::back::PipelineConstants;
use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ScalarKind, StorageAccess, TypeInner};
use wgrad::kernel::reflect::{Access, Binding, bindings, source};
use wgrad::kernel::whole_step::{Held, Net};
use wgrad::kernel::{Launch, Part};

use listed::{all_launches, whole_step_nets};

/// The default limits of WebGPU.
const STORAGE_BUFFERS: usize = 8;
const INVOCATIONS: u32 = 256;
const WORKGROUP_BYTES: u32 = 16_384;

#[test]
fn every_variant_is_valid() {
    for launch in all_launches() {
        valid(&launch);
    }
}

/// Functions that make a number of NaN on some driver are called in one place, the prelude, which sees to it
/// that NaN stays.
#[test]
fn functions_that_may_lose_nan_are_called_in_one_place() {
    for launch in all_launches() {
        let text = source(&launch.parts);
        for name in ["exp", "exp2", "log", "log2", "pow", "tanh", "sign", "saturate", "smoothstep"]
        {
            let call = format!("{name}(");
            let in_word = |c: char| c.is_alphanumeric() || c == '_';
            let calls: usize = text
                .lines()
                .filter_map(|line| line.split("//").next())
                .map(|code| {
                    code.match_indices(&call)
                        .filter(|(at, _)| !code[..*at].ends_with(in_word))
                        .count()
                })
                .sum();
            let expected = usize::from(["exp", "log", "sign"].contains(&name));
            assert_eq!(calls, expected, "{}: calls of {name}", launch.name);
        }
    }
}

/// Parses and validates the WGSL as written and with its constants in place.
fn valid(launch: &Launch) -> Module {
    let text = source(&launch.parts);
    let module = naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|e| panic!("{}: {}", launch.name, e.emit_to_string(&text)));
    // Only the variants that say so in their name may use an optional feature.
    let subgroups = text.contains("subgroupBroadcast(");
    assert_eq!(
        subgroups,
        launch.parts.iter().any(|p| matches!(
            p.name,
            "matmul/rows_subgroup_4" | "matmul/rows_subgroup_8" | "matmul/rows_halves"
        ))
    );
    let words = text.contains("u64");
    let by_part = |p: &&Part| p.name == "shared/words" || p.name.ends_with("_8");
    assert!(!words || launch.parts.iter().any(by_part), "{}", launch.name);
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SUBGROUP, subgroups);
    capabilities.set(Capabilities::SHADER_INT64, words);
    // Of every device of WebGPU.
    capabilities.insert(Capabilities::SHADER_FLOAT16_IN_FLOAT32);
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    let info = validator
        .validate(&module)
        .unwrap_or_else(|e| panic!("{}: {}", launch.name, e.emit_to_string(&text)));
    let constants: PipelineConstants =
        launch.constants.iter().map(|&(name, value)| (name.into(), value)).collect();
    assert_eq!(constants.len(), launch.constants.len(), "{}: a constant is set twice", launch.name);
    let (resolved, _) = process_overrides(&module, &info, None, &constants)
        .unwrap_or_else(|e| panic!("{}: {e}", launch.name));

    let [entry] = resolved.entry_points.as_slice() else {
        panic!("{}: one entry point is expected", launch.name);
    };
    assert_eq!(entry.name, "main", "{}", launch.name);
    let invocations: u32 = entry.workgroup_size.iter().product();
    assert!(invocations <= INVOCATIONS, "{}: {invocations} invocations", launch.name);
    let in_workgroup = |v: &&naga::GlobalVariable| v.space == AddressSpace::WorkGroup;
    let bytes: u32 = resolved
        .global_variables
        .iter()
        .map(|(_, v)| v)
        .filter(in_workgroup)
        .map(|v| resolved.types[v.ty].inner.size(resolved.to_ctx()))
        .sum();
    assert!(bytes <= WORKGROUP_BYTES, "{}: {bytes} bytes of workgroup memory", launch.name);
    assert!(launch.workgroups > 0, "{}", launch.name);
    module
}

/// The bindings as naga sees them.
fn naga_bindings(module: &Module) -> Vec<(u32, String, Access)> {
    let mut found: Vec<(u32, String, Access)> = module
        .global_variables
        .iter()
        .filter_map(|(_, v)| {
            let access = match v.space {
                AddressSpace::Uniform => Access::Uniform,
                AddressSpace::Storage { access } if access == StorageAccess::LOAD => Access::Read,
                AddressSpace::Storage { .. } => Access::ReadWrite,
                AddressSpace::Handle => Access::Texels,
                _ => return None,
            };
            let binding = v.binding.as_ref()?;
            assert_eq!(binding.group, 0);
            Some((binding.binding, v.name.clone()?, access))
        })
        .collect();
    found.sort_by_key(|&(index, ..)| index);
    found
}

#[test]
fn reflected_bindings_are_nagas() {
    for launch in all_launches() {
        let module = valid(&launch);
        let reflected: Vec<(u32, String, Access)> = bindings(&launch.parts)
            .into_iter()
            .map(|Binding { index, name, access }| (index, name.into(), access))
            .collect();
        assert_eq!(reflected, naga_bindings(&module), "{}", launch.name);
        let numbers: BTreeSet<u32> = reflected.iter().map(|&(index, ..)| index).collect();
        assert_eq!(numbers.len(), reflected.len(), "{}: a number is used twice", launch.name);
        let of_storage = |access: &Access| matches!(access, Access::Read | Access::ReadWrite);
        let storage = reflected.iter().filter(|(.., access)| of_storage(access)).count();
        assert!(storage <= STORAGE_BUFFERS, "{}: {storage} storage buffers", launch.name);
    }
}

#[test]
fn each_binding_has_one_operand() {
    for launch in all_launches() {
        let mut bound: Vec<&str> = launch.operands.iter().map(|&(name, _)| name).collect();
        bound.sort_unstable();
        let of_shader = bindings(&launch.parts);
        let mut declared: Vec<&str> = Vec::new();
        for binding in &of_shader {
            match (binding.access, binding.name, binding.index) {
                (Access::Uniform, "dims", 0) | (Access::Uniform, "step", 1) => {}
                (Access::Uniform, name, index) => {
                    panic!("{}: uniform {name} at {index}", launch.name)
                }
                _ => declared.push(binding.name),
            }
        }
        declared.sort_unstable();
        assert_eq!(bound, declared, "{}", launch.name);
    }
}

#[test]
fn uniform_words_are_those_of_dims() {
    for launch in all_launches() {
        let module = valid(&launch);
        let dims = module.global_variables.iter().find(|(_, v)| v.name.as_deref() == Some("dims"));
        let words = match dims.map(|(_, v)| &module.types[v.ty].inner) {
            None => 0,
            Some(TypeInner::Struct { members, span }) => {
                for member in members {
                    let scalar = match module.types[member.ty].inner {
                        // In a uniform, of four words each.
                        TypeInner::Array { base, .. } => module.types[base].inner.scalar(),
                        ref inner => inner.scalar(),
                    };
                    let word = scalar.is_some_and(|s| {
                        s.width == 4 && matches!(s.kind, ScalarKind::Uint | ScalarKind::Float)
                    });
                    assert!(word, "{}: {:?} is not a word", launch.name, member.name);
                }
                *span as usize / 4
            }
            Some(other) => panic!("{}: dims is {other:?}", launch.name),
        };
        assert_eq!(words, launch.dims.len(), "{}", launch.name);
    }
}

#[test]
fn every_file_is_launched() {
    let nets = whole_step_nets();
    let texts = nets.iter().flat_map(|net| net.texts().unwrap());
    let launched: BTreeSet<String> = all_launches()
        .iter()
        .flat_map(|launch| &launch.parts)
        .map(|part| part.name)
        .chain(texts.map(|text| text.name()))
        .filter(|name| !name.contains(':'))
        .map(|name| format!("{name}.wgsl"))
        .collect();
    assert_eq!(launched, BTreeSet::from_iter(files_of_shaders()));
}

/// The files under `shaders/`, with their folders.
fn files_of_shaders() -> Vec<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders");
    let inside = |folder: String| {
        let entries = std::fs::read_dir(format!("{root}/{folder}")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap())
    };
    let folders = inside(String::new());
    folders
        .flat_map(|folder| inside(folder.clone()).map(move |name| format!("{folder}/{name}")))
        .collect()
}

/// What a kernel is put together from stands at the top of the file that holds its `main`.
#[test]
fn files_with_a_main_name_their_parts() {
    let mut parts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    // Of what is made from the rows of a table, the table is named.
    let named = |name: &str| match name.split_once(':') {
        Some((table, _)) => format!("{table}:*"),
        None if name.starts_with("update/rule_") => "update/rule_*".into(),
        None => name.into(),
    };
    let mut texts = BTreeMap::new();
    let of_launch = |launch: &Launch| {
        launch.parts.iter().map(|part| (part.name, part.source.to_string())).collect::<Vec<_>>()
    };
    let of_net = |net: &Net| {
        let texts = net.texts().unwrap();
        texts.iter().map(|text| (text.name(), text.source().to_string())).collect::<Vec<_>>()
    };
    let (launches, nets) = (all_launches(), whole_step_nets());
    for kernel in launches.iter().map(of_launch).chain(nets.iter().map(of_net)) {
        let ((last, text), before) = kernel.split_last().unwrap();
        assert!(text.contains("\nfn main("), "{last} holds no main");
        assert!(before.iter().all(|(_, text)| !text.contains("\nfn main(")), "{last}");
        parts.entry(*last).or_default().extend(before.iter().map(|(name, _)| named(name)));
        texts.insert(*last, text.clone());
    }
    for (name, parts) in parts {
        // What is written for one net is no file.
        if name.contains(':') {
            continue;
        }
        let lines = texts[name].lines().map_while(|line| line.strip_prefix("// "));
        let head = lines.collect::<Vec<_>>().join(" ");
        let said = head.strip_prefix("Parts: ").and_then(|rest| rest.split_once('.'));
        let said = said
            .map_or("", |(said, _)| said)
            .split(", ")
            .map(String::from)
            .collect::<BTreeSet<_>>();
        assert_eq!(said, parts, "the first lines of shaders/{name}.wgsl");
    }
}

#[test]
fn whole_step_kernels_are_valid() {
    for net in whole_step_nets() {
        let text = net.source().unwrap();
        let name = format!("{net:?}");
        let module = naga::front::wgsl::parse_str(&text)
            .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&text)));
        let mut capabilities = Capabilities::empty();
        capabilities.set(Capabilities::SUBGROUP, net.subgroups);
        capabilities.set(Capabilities::SHADER_INT64, net.words);
        Validator::new(ValidationFlags::all(), capabilities)
            .validate(&module)
            .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&text)));
        let reflected: Vec<(u32, String, Access)> = net
            .bindings()
            .into_iter()
            .map(|Binding { index, name, access }| (index, name.into(), access))
            .collect();
        assert_eq!(reflected, naga_bindings(&module), "{name}");
        let storage = reflected.iter().filter(|(.., access)| *access != Access::Uniform).count();
        assert!(storage <= STORAGE_BUFFERS, "{name}: {storage} storage buffers");
        let invocations = (net.invocations * net.teams) as u32;
        assert_eq!(module.entry_points[0].workgroup_size, [invocations, 1, 1]);
        let shared: u32 = module
            .global_variables
            .iter()
            .filter(|(_, v)| v.space == AddressSpace::WorkGroup)
            .map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx()))
            .sum();
        let exchange = 4 * net.workgroup_words() as u32;
        // In memory, the bounds of the turns are there too.
        let expected = exchange + if net.held == Held::Memory { 8 } else { 0 };
        assert_eq!(shared, expected, "{name}");
        assert!(shared <= WORKGROUP_BYTES, "{name}: {shared} bytes");
        assert!(module.overrides.is_empty(), "{name}: validated twice");
        // A branch for each parameter would compile for seconds.
        let of_kernel = ["net:", "whole_step/", "loss/", "rule_of_numbers:", "element:"];
        for own in net.texts().unwrap() {
            if of_kernel.iter().any(|family| own.name().starts_with(family)) {
                let (of, own) = (own.name(), own.source());
                assert!(!own.contains(" && ") && !own.contains(" || "), "{name}: {of}");
            }
        }
        assert_eq!(mixture(&text), None, "{name}");
    }
}

/// An expression in which `&` and `|` stand side by side without parentheses: WGSL forbids that and
/// browsers refuse it, naga takes it.
fn mixture(text: &str) -> Option<String> {
    // What stands between the parentheses that are open.
    let mut levels = vec![String::new()];
    for c in text.lines().flat_map(|line| line.split("//").next().unwrap_or_default().chars()) {
        let opens = matches!(c, '(' | '[' | '{');
        let closes = matches!(c, ')' | ']' | '}');
        match levels.last_mut() {
            _ if opens => levels.push(String::new()),
            Some(level) if closes || matches!(c, ';' | ',') => {
                let whole = std::mem::take(level);
                if whole.contains(" & ") && whole.contains(" | ") {
                    return Some(whole);
                }
                if closes {
                    levels.pop();
                }
            }
            Some(level) => level.push(c),
            None => return Some("parentheses".into()),
        }
    }
    None
}

#[test]
fn mixtures_of_operators_are_seen() {
    assert_eq!(mixture("let a = (b | c) & d; // e & f | g\nlet h = b | c;"), None);
    assert_eq!(mixture("f(a, b | c & d)"), Some(" b | c & d".into()));
}
