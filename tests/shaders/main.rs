//! Every shader, in every variant that the library can launch, without a GPU: naga parses and
//! validates it, and what the Rust side assumes of it (bindings, operands, uniform words) holds.

use std::collections::BTreeSet;

use naga::back::PipelineConstants;
use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ScalarKind, StorageAccess, TypeInner};
use wgrad::graph::{Binary, Count, Graph, Layout, Loss, Reduction, Tensor, Unary, UpdateRule};
use wgrad::kernel::loss::Destination;
use wgrad::kernel::matmul::{Epilogue, Product, Tiling};
use wgrad::kernel::reflect::{Access, Binding, bindings, source};
use wgrad::kernel::resident::{Dense, Held, Net};
use wgrad::kernel::update::Clip;
use wgrad::kernel::{
    GRADIENT_SUM, Launch, Operand, Part, Shapes, elementwise, loss, matmul, reduce, rows, softmax,
    update,
};

/// The default limits of WebGPU.
const STORAGE_BUFFERS: usize = 8;
const INVOCATIONS: u32 = 256;
const WORKGROUP_BYTES: u32 = 16_384;

/// Every way in which parts of a product are put together.
const TILINGS: [Tiling; 10] = [
    registers(None, 1, 4, false),
    registers(None, 1, 4, true),
    registers(Some(4), 4, 4, false),
    registers(Some(8), 4, 4, false),
    registers(Some(8), 4, 4, true),
    HALVES,
    registers(Some(8), 2, 8, false),
    registers(Some(8), 2, 8, true),
    Tiling::Shared { side: 8 },
    Tiling::Shared { side: 16 },
];

/// What differs from those in constants alone.
const MORE_TILINGS: [Tiling; 3] = [
    registers(Some(8), 2, 4, false),
    registers(Some(8), 3, 8, true),
    registers(Some(32), 1, 4, false),
];

const fn registers(subgroup: Option<u32>, strips: u32, columns: u32, words: bool) -> Tiling {
    Tiling::Registers { subgroup, strips, columns, halves: false, words }
}

const HALVES: Tiling =
    Tiling::Registers { subgroup: Some(8), strips: 2, columns: 4, halves: true, words: true };

const UNARIES: [Unary; 12] = [
    Unary::Relu,
    Unary::LeakyRelu { slope: 0.2 },
    Unary::Sigmoid,
    Unary::Tanh,
    Unary::Gelu,
    Unary::GeluTanh,
    Unary::Exp,
    Unary::Log,
    Unary::Sqrt,
    Unary::Reciprocal,
    Unary::Square,
    Unary::Abs,
];

const LOSSES: [Loss; 6] = [
    Loss::MeanSquaredError,
    Loss::MeanAbsoluteError,
    Loss::Huber { delta: 0.5 },
    Loss::SoftmaxCrossEntropy,
    Loss::SoftmaxCrossEntropyProbabilities,
    Loss::BinaryCrossEntropy,
];

const COUNTS: [Count; 5] = [
    Count::Correct,
    Count::CorrectBinary,
    Count::CorrectProbabilities,
    Count::AbsoluteError,
    Count::SquaredError,
];

/// Tensors to launch over, made as they are asked for.
struct Tensors(Graph);

impl Tensors {
    fn f32<const N: usize>(&mut self, shape: [usize; N]) -> Tensor {
        self.0.input("f", shape).unwrap()
    }

    fn u32<const N: usize>(&mut self, shape: [usize; N]) -> Tensor {
        self.0.index_input("i", shape).unwrap()
    }

    fn shapes(&self) -> Shapes<'_> {
        Shapes(self.0.tensors())
    }
}

fn all_launches() -> Vec<Launch> {
    let mut tensors = Tensors(Graph::new());
    let mut launches = elementwise_launches(&mut tensors);
    launches.extend(softmax_launches(&mut tensors));
    launches.extend(reduce_launches(&mut tensors));
    launches.extend(rows_launches(&mut tensors));
    launches.extend(loss_launches(&mut tensors));
    launches.extend(update_launches(&mut tensors));
    launches.extend(matmul_launches(&mut tensors));
    launches
}

fn elementwise_launches(tensors: &mut Tensors) -> Vec<Launch> {
    let [a, b, out] = [(); 3].map(|()| tensors.f32([2, 3, 5]));
    let (row, scalar) = (tensors.f32([5]), tensors.f32([]));
    let shapes = tensors.shapes();
    let mut launches = Vec::new();
    for op in [Binary::Add, Binary::Sub, Binary::Mul] {
        launches.extend([b, row, scalar].map(|b| elementwise::binary(shapes, op, a, b, out)));
    }
    launches.push(elementwise::bias_add(shapes, a, row, out));
    launches.push(elementwise::scale(shapes, -2.5, a, out));
    launches.extend(UNARIES.map(|f| elementwise::unary(shapes, f, a, out)));
    launches.extend(UNARIES.map(|f| elementwise::unary_grad(shapes, f, a, b, out)));
    launches
}

fn softmax_launches(tensors: &mut Tensors) -> Vec<Launch> {
    let [x, dy, out] = [(); 3].map(|()| tensors.f32([2, 3, 5]));
    let shapes = tensors.shapes();
    let of_axis = |axis| {
        [
            softmax::softmax(shapes, axis, x, out),
            softmax::log_softmax(shapes, axis, x, out),
            softmax::softmax_grad(shapes, axis, x, dy, out),
            softmax::log_softmax_grad(shapes, axis, x, dy, out),
        ]
    };
    (0..3).flat_map(of_axis).collect()
}

fn reduce_launches(tensors: &mut Tensors) -> Vec<Launch> {
    let (x, out) = (tensors.f32([4, 300, 7]), tensors.f32([4, 7]));
    let (small, column) = (tensors.f32([3, 5]), tensors.f32([5]));
    let scalar = tensors.f32([]);
    let shapes = tensors.shapes();
    let mut launches = Vec::new();
    for reduction in [Reduction::Sum, Reduction::Mean, Reduction::Max] {
        launches.push(reduce::reduce(shapes, reduction, 1, 2, x, out));
        launches.push(reduce::reduce(shapes, reduction, 0, 3, x, scalar));
        launches.push(reduce::reduce(shapes, reduction, 0, 1, small, column));
    }
    launches.push(reduce::expand(shapes, 0, 1, 0.5, column, small));
    launches.push(reduce::max_grad(shapes, 0, 1, small, column, column, small));
    launches
}

fn rows_launches(tensors: &mut Tensors) -> Vec<Launch> {
    let (x, t) = (tensors.f32([9, 2, 3]), tensors.u32([9]));
    let (wide, wide_out) = (tensors.f32([9, 8]), tensors.f32([4, 8]));
    let (x_out, t_out) = (tensors.f32([4, 2, 3]), tensors.u32([4]));
    let (indices, order) = (tensors.u32([4]), tensors.u32([9]));
    let shapes = tensors.shapes();
    vec![
        rows::gather(shapes, x, indices, x_out),
        rows::gather_grad(shapes, indices, x_out, x, x, 1),
        rows::batch(shapes, x, order, x_out, false),
        rows::batch(shapes, t, order, t_out, false),
        rows::batch(shapes, wide, order, wide_out, false),
        rows::batch(shapes, wide, order, wide_out, true),
        rows::batch_pair(shapes, x, x_out, t, t_out, order, false),
        rows::batch_pair(shapes, t, t_out, wide, wide_out, order, false),
        rows::batch_pair(shapes, t, t_out, wide, wide_out, order, true),
    ]
}

fn loss_launches(tensors: &mut Tensors) -> Vec<Launch> {
    // With 30 elements they are looked at one by one, with 24 in fours.
    let [p, values, gradient] = [(); 3].map(|()| tensors.f32([6, 5]));
    let [p4, values4, gradient4] = [(); 3].map(|()| tensors.f32([6, 4]));
    let (labels, partials) = (tensors.u32([6]), tensors.f32([3]));
    let upstream = tensors.f32([]);
    let shapes = tensors.shapes();
    let table = Destination { operand: Operand::Results, stride: 4, column: 1 };
    let scratch = Destination::tensor(partials);
    let mut launches = Vec::new();
    for (p, values, gradient, long) in [
        (p, values, gradient, false),
        (p4, values4, gradient4, false),
        (p4, values4, gradient4, true),
    ] {
        for kind in LOSSES {
            let t = if kind.takes_classes() { labels } else { values };
            let items = loss::loss_items(shapes, kind, p, long);
            launches.push(loss::value(shapes, kind, items, p, t, table, 1));
            launches.push(loss::value(shapes, kind, items, p, t, scratch, 3));
            launches.push(loss::gradient(shapes, kind, items, p, t, upstream, gradient));
            let both = loss::value_and_gradient;
            launches.push(both(shapes, kind, items, p, t, 1.0, gradient, table, 1));
        }
        for count in COUNTS {
            let t = if count == Count::Correct { labels } else { values };
            let items = loss::count_items(shapes, count, p, long);
            launches.push(loss::count(shapes, count, items, p, t, table, 1));
        }
    }
    launches.push(loss::sum_partials(partials, 3, table));
    launches.push(loss::emit(upstream, table));
    launches
}

fn update_launches(tensors: &mut Tensors) -> Vec<Launch> {
    let (squares, partials) = (tensors.f32([]), tensors.f32([3]));
    let loss = Destination { operand: Operand::Results, stride: 4, column: 1 };
    let mut rules = vec![UpdateRule::Sgd { weight_decay: 0.1 }];
    for flag in [false, true] {
        rules.push(UpdateRule::Momentum { momentum: 0.9, nesterov: flag, weight_decay: 0.1 });
        rules.push(UpdateRule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.1,
            decoupled: flag,
        });
    }
    let of_rule = |&rule: &UpdateRule| {
        [None, Some(Clip { norm: 1.0, squares })]
            .map(|clip| update::update(rule, clip, 100, 0, loss))
    };
    let mut launches: Vec<Launch> = rules.iter().flat_map(of_rule).collect();
    launches.push(update::norm_partials(0, 100, partials, 1, 2));
    launches.push(update::norm_total(partials, 3, squares));
    launches
}

fn matmul_launches(tensors: &mut Tensors) -> Vec<Launch> {
    let mut launches = Vec::new();
    for n in [7, 8] {
        // All extents equal, so that the three layouts take the same operands.
        let [a, b, out, saved] = [(); 4].map(|()| tensors.f32([n, n]));
        let (row, parts, sums) = (tensors.f32([n]), tensors.f32([3, n, n]), tensors.f32([3, n]));
        let shapes = tensors.shapes();
        let mut epilogues = vec![Epilogue::None, Epilogue::Bias(row, None)];
        for f in [Unary::Relu, Unary::LeakyRelu { slope: 0.2 }, Unary::Gelu] {
            epilogues.push(Epilogue::Activation(f));
            epilogues.push(Epilogue::Bias(row, Some(f)));
            epilogues.push(Epilogue::Mask(f, saved));
        }
        for layout in [Layout::NN, Layout::NT, Layout::TN] {
            for &epilogue in &epilogues {
                let product = Product { layout, a, b, out, epilogue, column_sums: None };
                launches.extend(TILINGS.map(|tiling| matmul::matmul(shapes, tiling, product)));
                let tiling = Tiling::Shared { side: 8 };
                launches.extend(matmul::matmul_in_parts(shapes, tiling, product, 3, parts, None));
            }
        }
        let product = Product {
            layout: Layout::TN,
            a,
            b,
            out,
            epilogue: Epilogue::None,
            column_sums: Some(row),
        };
        for tiling in TILINGS.into_iter().chain(MORE_TILINGS) {
            launches.push(matmul::matmul(shapes, tiling, product));
            launches.extend(matmul::matmul_in_parts(shapes, tiling, product, 3, parts, Some(sums)));
        }
    }
    launches
}

#[test]
fn every_variant_is_valid() {
    for launch in all_launches() {
        valid(&launch);
    }
    valid(&Launch {
        name: "gradient sum".into(),
        parts: GRADIENT_SUM.to_vec(),
        constants: Vec::new(),
        dims: vec![1],
        operands: Vec::new(),
        workgroups: 1,
    });
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
            "matmul_rows_subgroup_4" | "matmul_rows_subgroup_8" | "matmul_rows_halves"
        ))
    );
    let words = text.contains("u64");
    let by_part = |p: &&Part| p.name == "words" || p.name.ends_with("_8");
    assert!(!words || launch.parts.iter().any(by_part), "{}", launch.name);
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SUBGROUP, subgroups);
    capabilities.set(Capabilities::SHADER_INT64, words);
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
        let storage = reflected.iter().filter(|(.., access)| *access != Access::Uniform).count();
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
            Some(TypeInner::Struct { members, .. }) => {
                for member in members {
                    let scalar = module.types[member.ty].inner.scalar();
                    let word = scalar.is_some_and(|s| {
                        s.width == 4 && matches!(s.kind, ScalarKind::Uint | ScalarKind::Float)
                    });
                    assert!(word, "{}: {:?} is not a word", launch.name, member.name);
                }
                members.len()
            }
            Some(other) => panic!("{}: dims is {other:?}", launch.name),
        };
        assert_eq!(words, launch.dims.len(), "{}", launch.name);
    }
}

#[test]
fn every_file_is_launched() {
    let launched: BTreeSet<String> = all_launches()
        .iter()
        .flat_map(|launch| launch.parts.iter().map(|part| format!("{}.wgsl", part.name)))
        .collect();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders");
    let (templates, files): (BTreeSet<String>, BTreeSet<String>) = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .partition(|name| name.ends_with(".jinja"));
    let sum = GRADIENT_SUM.iter().map(|part| format!("{}.wgsl", part.name));
    let launched: BTreeSet<String> = launched.into_iter().chain(sum).collect();
    assert_eq!(launched, files);
    // Rendered by `resident_kernels_are_valid`.
    let expected = ["", "_loss", "_memory", "_memory_loss", "_run", "_sums", "_update"]
        .map(|name| format!("resident{name}.wgsl.jinja"));
    assert_eq!(templates, BTreeSet::from(expected));
}

/// Nets of one to four layers, whose widths do and do not divide by the lanes.
fn resident_nets() -> Vec<Net> {
    let rules = [
        UpdateRule::Sgd { weight_decay: 0.0 },
        UpdateRule::Momentum { momentum: 0.9, nesterov: false, weight_decay: 0.0 },
        UpdateRule::Momentum { momentum: 0.9, nesterov: true, weight_decay: 0.1 },
        adam(false),
        adam(true),
    ];
    let mut nets = Vec::new();
    for (number, lanes) in [4, 8, 16, 32, 64].into_iter().enumerate() {
        for subgroups in [false, true] {
            for (at, loss) in LOSSES.into_iter().enumerate() {
                // Each loss with every second number of lanes.
                if (at + number + usize::from(subgroups)).is_multiple_of(2) {
                    continue;
                }
                let widths: [&[usize]; 4] = [&[3], &[33, 1], &[5, 8, 3], &[17, 2, 9, 4]];
                let at = at + number;
                let layers = widths[at % 4].iter().enumerate().map(|(l, &units)| Dense {
                    units,
                    activation: (l + at).is_multiple_of(2).then(|| UNARIES[(at + 5 * l) % 12]),
                    weights_at: 64 * l as u64,
                    bias_at: 64 * l as u64 + 32,
                });
                let counts = match loss {
                    Loss::SoftmaxCrossEntropy => vec![Count::Correct],
                    Loss::SoftmaxCrossEntropyProbabilities => vec![Count::CorrectProbabilities],
                    Loss::BinaryCrossEntropy => vec![Count::CorrectBinary],
                    _ => vec![Count::AbsoluteError, Count::SquaredError],
                };
                let in_registers = Net {
                    lanes,
                    subgroups,
                    held: Held::Registers,
                    words: false,
                    samples: 1 + at % 2,
                    workgroups: 1,
                    inputs: [1, 10, 13][at % 3],
                    layers: layers.collect(),
                    loss,
                    counts,
                    rule: rules[at % 5],
                    clip: at % 2 == 1,
                };
                for words in [false, true] {
                    let workgroups = 1 + (at + usize::from(words)) % 2;
                    let held = Held::Memory;
                    nets.push(Net { held, words, workgroups, ..in_registers.clone() });
                }
                nets.push(in_registers);
            }
        }
    }
    nets
}

fn adam(decoupled: bool) -> UpdateRule {
    UpdateRule::Adam { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weight_decay: 0.0, decoupled }
}

#[test]
fn resident_kernels_are_valid() {
    for net in resident_nets() {
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
        assert_eq!(module.entry_points[0].workgroup_size, [net.lanes as u32, 1, 1]);
        let shared: u32 = module
            .global_variables
            .iter()
            .filter(|(_, v)| v.space == AddressSpace::WorkGroup)
            .map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx()))
            .sum();
        let exchange = if net.subgroups { 0 } else { 4 * net.exchange() as u32 };
        // In memory, the bounds of the turns are there too.
        let expected = exchange + if net.held == Held::Memory { 8 } else { 0 };
        assert_eq!(shared, expected, "{name}");
        assert!(shared <= WORKGROUP_BYTES, "{name}: {shared} bytes");
        assert!(module.overrides.is_empty(), "{name}: validated twice");
        // A branch for each parameter would compile for seconds.
        let (_, own) = text.split_once("const LANES").unwrap();
        assert!(!own.contains(" && ") && !own.contains(" || "), "{name}");
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
