//! Launches of all shaders in `shaders/`.

use wgrad::graph::{Binary, Count, Graph, Layout, Reduction, Tensor, Unary, UpdateRule};
use wgrad::kernel::half::{self, Stored};
use wgrad::kernel::loss::{Compared, Destination};
use wgrad::kernel::matmul::{Epilogue, Memory, Product, Tiling};
use wgrad::kernel::{
    CHAIN, GRADIENT_SUM, Launch, Operand, Shapes, Turns, arrays, elementwise, loss, matmul, reduce,
    rows, softmax, update,
};

use super::LOSSES;

/// Every way in which parts of a product are put together.
const TILINGS: [Tiling; 13] = [
    registers(None, 1, 4, Memory::Numbers),
    registers(None, 1, 4, Memory::Words),
    registers(Some(4), 4, 4, Memory::Numbers),
    registers(Some(8), 4, 4, Memory::Numbers),
    registers(Some(8), 4, 4, Memory::Words),
    registers(Some(8), 4, 4, Memory::Texels),
    HALVES,
    registers(Some(8), 2, 8, Memory::Numbers),
    registers(Some(8), 2, 8, Memory::Words),
    registers(Some(8), 2, 8, Memory::Texels),
    Tiling::Shared { side: 8 },
    Tiling::Shared { side: 16 },
    Tiling::Quarters,
];

/// What differs from those in constants alone.
const MORE_TILINGS: [Tiling; 3] = [
    registers(Some(8), 2, 4, Memory::Numbers),
    registers(Some(8), 3, 8, Memory::Words),
    registers(Some(32), 1, 4, Memory::Numbers),
];

const fn registers(subgroup: Option<u32>, strips: u32, columns: u32, memory: Memory) -> Tiling {
    Tiling::Registers { subgroup, strips, columns, halves: false, memory }
}

const HALVES: Tiling = Tiling::Registers {
    subgroup: Some(8),
    strips: 2,
    columns: 4,
    halves: true,
    memory: Memory::Words,
};

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

/// A launch of every shader in every variant; some variants more than once.
pub fn all_launches() -> Vec<Launch> {
    let mut tensors = Tensors(Graph::new());
    let mut launches = elementwise_launches(&mut tensors);
    launches.extend(softmax_launches(&mut tensors));
    launches.extend(reduce_launches(&mut tensors));
    launches.extend(rows_launches(&mut tensors));
    launches.extend(array_launches(&mut tensors));
    launches.extend(loss_launches(&mut tensors));
    launches.extend(update_launches(&mut tensors));
    launches.extend(matmul_launches(&mut tensors));
    let in_half: Vec<Launch> = launches.iter().filter_map(in_half).collect();
    launches.extend(in_half);
    launches.extend(launches_of_two(&mut tensors));
    launches.extend([gradient_sum(), chain()]);
    launches
}

/// The launch with all that it can have in 16 bits stored so, if it is one of those that stand for others.
fn in_half(launch: &Launch) -> Option<Launch> {
    let stands = ["gelu", "leaky_relu"].iter().all(|name| !launch.name.contains(name));
    let bindings: Vec<&str> = launch.operands.iter().map(|(name, _)| *name).collect();
    let can: Vec<&str> =
        bindings.into_iter().filter(|name| half::can_store(launch, name)).collect();
    if can.is_empty() || !stands {
        return None;
    }
    let mut launch = launch.clone();
    launch.name.push_str(", f16");
    for binding in can {
        half::store(&mut launch, binding, Stored { scale: 1024.0, first: 0 }).unwrap();
    }
    Some(launch)
}

fn elementwise_launches(tensors: &mut Tensors) -> Vec<Launch> {
    let [a, b, out] = [(); 3].map(|()| tensors.f32([2, 3, 5]));
    let (row, column, scalar) = (tensors.f32([5]), tensors.f32([2, 3, 1]), tensors.f32([]));
    let shapes = tensors.shapes();
    let mut launches = Vec::new();
    for &op in Binary::ALL {
        let of = [b, row, column, scalar];
        launches.extend(of.map(|b| elementwise::binary(shapes, op, a, b, out)));
    }
    launches.push(elementwise::select(shapes, a, [row, column], out));
    launches.push(elementwise::bias_add(shapes, a, row, out));
    launches.push(elementwise::scale(shapes, -2.5, a, out));
    launches.push(elementwise::dropout(shapes, 0.5, 1, a, out));
    launches.extend(Unary::ALL.iter().map(|&f| elementwise::unary(shapes, f, a, out)));
    launches.extend(Unary::ALL.iter().map(|&f| elementwise::unary_grad(shapes, f, a, b, out)));
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
    let (scalar, partial) = (tensors.f32([]), tensors.f32([4, 3, 7]));
    let shapes = tensors.shapes();
    let mut launches = Vec::new();
    for reduction in [Reduction::Sum, Reduction::Mean, Reduction::Max] {
        launches.push(reduce::reduce(shapes, reduction, 1, 2, x, out));
        launches.push(reduce::reduce(shapes, reduction, 0, 3, x, scalar));
        launches.push(reduce::reduce(shapes, reduction, 0, 1, small, column));
    }
    launches.extend(reduce::reduce_in_parts(shapes, Reduction::Mean, 1, 2, x, out, 3, partial));
    launches.push(reduce::expand(shapes, 0, 1, 0.5, column, small));
    launches.push(reduce::max_grad(shapes, 0, 1, small, column, column, small));
    launches
}

fn rows_launches(tensors: &mut Tensors) -> Vec<Launch> {
    let (x, t) = (tensors.f32([9, 2, 3]), tensors.u32([9]));
    let (wide, wide_out) = (tensors.f32([9, 8]), tensors.f32([4, 8]));
    let (x_out, t_out) = (tensors.f32([4, 2, 3]), tensors.u32([4]));
    let (indices, order) = (tensors.u32([4]), tensors.u32([9]));
    let (t3, sums, wide_sums) =
        (tensors.f32([9, 3]), tensors.f32([3, 4, 3]), tensors.f32([3, 4, 8]));
    let shapes = tensors.shapes();
    vec![
        rows::gather(shapes, x, indices, x_out),
        rows::gather_grad(shapes, indices, x_out, x, x, 1),
        rows::segment_sum(shapes, 4, 3, t3, t, sums),
        rows::segment_sum(shapes, 4, 3, wide, t, wide_sums),
        rows::batch(shapes, x, order, x_out, false),
        rows::batch(shapes, t, order, t_out, false),
        rows::batch(shapes, wide, order, wide_out, false),
        rows::batch(shapes, wide, order, wide_out, true),
        rows::batch_pair(shapes, x, x_out, t, t_out, order, false),
        rows::batch_pair(shapes, t, t_out, wide, wide_out, order, false),
        rows::batch_pair(shapes, wide, wide_out, t, t_out, order, false),
        rows::batch_pair(shapes, wide, wide_out, t, t_out, order, true),
        rows::batch_pair(shapes, t, t_out, wide, wide_out, order, true),
    ]
}

fn array_launches(tensors: &mut Tensors) -> Vec<Launch> {
    let (x, part, turned) =
        (tensors.f32([2, 3, 5]), tensors.f32([2, 1, 5]), tensors.f32([2, 5, 3]));
    let (many, places, each) =
        (tensors.f32([40_000, 2]), tensors.u32([40_000]), tensors.u32([2, 3]));
    let shapes = tensors.shapes();
    vec![
        arrays::slice(shapes, 1, 1, x, part),
        arrays::place(shapes, 1, 2, part, x),
        arrays::transpose(shapes, x, turned),
        arrays::extreme(shapes, true, x, each),
        arrays::extreme(shapes, false, many, places),
    ]
}

fn loss_launches(tensors: &mut Tensors) -> Vec<Launch> {
    // With 30 elements they are looked at one by one, with 24 in fours.
    let [p, values, gradient] = [(); 3].map(|()| tensors.f32([6, 5]));
    let [p4, values4, gradient4] = [(); 3].map(|()| tensors.f32([6, 4]));
    let (labels, partials, weights) = (tensors.u32([6]), tensors.f32([3]), tensors.f32([6]));
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
            for weights in [None, Some(weights)] {
                let of = Compared { predictions: p, targets: t, weights };
                launches.push(loss::value(shapes, kind, items, of, table, 1));
                launches.push(loss::value(shapes, kind, items, of, scratch, 3));
                launches.push(loss::gradient(shapes, kind, items, of, upstream, gradient));
                let both = loss::value_and_gradient;
                launches.push(both(shapes, kind, items, of, 1.0, gradient, table, 1));
            }
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
    let (factors, partials) = (tensors.f32([2]), tensors.f32([3, 2]));
    let to = Destination { operand: Operand::Results, stride: 4, column: 1 };
    let loss = update::LossOf::Whole(to);
    let loss_in_parts = update::LossOf::Parts { partials, count: 6, to };
    let run = update::Run { chunk: 0, elements: 4..104 };
    let joined = [update::Joined { first: 8, elements: 7, from: 64, parts: 3 }];
    let in_parts = Some(update::InParts { parts: partials, joined: &joined });
    let of_rule = |&rule: &UpdateRule| {
        [
            (None, 0.0, loss, None),
            (Some(factors), 0.0, loss_in_parts, None),
            (None, 0.5, loss, None),
            (None, 0.0, loss_in_parts, in_parts),
        ]
        .map(|(clip, l1, loss, in_parts)| {
            update::update(rule, clip, l1, &run, loss, in_parts, false)
        })
        .into_iter()
        .chain([update::update(rule, None, 0.0, &run, loss, in_parts, true)])
    };
    let mut launches: Vec<Launch> = UpdateRule::ALL.iter().flat_map(of_rule).collect();
    let value = tensors.f32([2, 3]);
    launches.push(update::assign(tensors.shapes(), 0, 256, value));
    launches.push(update::norm_partials(&run, partials, 1, 2));
    launches.push(update::norm_clip(partials, 3, 1.0, factors));
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
        let places = tensors.u32([n]);
        let shapes = tensors.shapes();
        for (layout, epilogue) in [
            (Layout::NN, Epilogue::Bias(row, None)),
            (Layout::NT, Epilogue::None),
            (Layout::TN, Epilogue::None),
        ] {
            let product = Product { layout, a, b, out: places, epilogue, column_sums: None };
            let keeps = |tiling: &Tiling| matmul::keeps_top(*tiling, n, epilogue);
            for tiling in TILINGS.into_iter().chain(MORE_TILINGS).filter(keeps) {
                launches.extend(matmul::arg_max(shapes, tiling, product));
            }
        }
        let [a, b, out] = [(); 3].map(|()| tensors.f32([3, n, n]));
        let shapes = tensors.shapes();
        for layout in [Layout::NN, Layout::NT, Layout::TN] {
            let epilogue = Epilogue::None;
            let each = Product { layout, a, b, out, epilogue, column_sums: None };
            launches.extend(TILINGS.map(|tiling| matmul::matmul(shapes, tiling, each)));
        }
        for tiling in TILINGS.into_iter().chain(MORE_TILINGS) {
            launches.push(matmul::matmul(shapes, tiling, product));
            launches.extend(matmul::matmul_in_parts(shapes, tiling, product, 3, parts, Some(sums)));
        }
    }
    launches
}

/// Two weight gradients in one dispatch, with operands in 16 bits one by one and all together.
fn launches_of_two(tensors: &mut Tensors) -> Vec<Launch> {
    let mut launches = Vec::new();
    for n in [7, 8] {
        let operands = [(); 2].map(|()| {
            let [a, b] = [(); 2].map(|()| tensors.f32([n, n]));
            (a, b, tensors.f32([3, n, n]), tensors.f32([3, n]))
        });
        let shapes = tensors.shapes();
        let tilings = [Tiling::Shared { side: 8 }, Tiling::Shared { side: 16 }, Tiling::Quarters];
        for (tiling, with_sums) in tilings.into_iter().flat_map(|of| [(of, false), (of, true)]) {
            let [first, second] = operands.map(|(a, b, out, sums)| {
                let column_sums = with_sums.then_some(sums);
                let layout = Layout::TN;
                let of = Product { layout, a, b, out, epilogue: Epilogue::None, column_sums };
                matmul::matmul(shapes, tiling, of)
            });
            let both = matmul::two(&first, &second).unwrap();
            let bindings = ["a", "b", "second_a", "second_b"];
            let can = bindings.into_iter().filter(|name| half::can_store(&both, name));
            launches.extend(can.map(|binding| {
                let mut launch = both.clone();
                launch.name.push_str(&format!(", f16 {binding}"));
                half::store(&mut launch, binding, Stored { scale: 1024.0, first: 0 }).unwrap();
                launch
            }));
            launches.extend(in_half(&both));
            launches.push(both);
        }
    }
    launches
}

/// As `gpu/measure.rs` has it, which takes no plan.
fn chain() -> Launch {
    Launch {
        name: "chain of multiply-adds".into(),
        parts: CHAIN.to_vec(),
        constants: Vec::new(),
        dims: vec![64, 0.5f32.to_bits()],
        operands: vec![("out", Operand::Results)],
        workgroups: 4,
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}

/// As `lanes/gradient_sum.rs` has it, which takes no plan.
fn gradient_sum() -> Launch {
    Launch {
        name: "gradient_sum".into(),
        parts: GRADIENT_SUM.to_vec(),
        constants: Vec::new(),
        dims: vec![1],
        operands: vec![("earlier", Operand::Results), ("sum", Operand::Results)],
        workgroups: 1,
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}
