// Parts: shared/f16, shared/log1p, shared/prelude, activation:*, pieces:*, without:*, elementwise/functions,
// matmul/activation_1, matmul/activation_4, matmul/epilogue_activation, matmul/epilogue_bias,
// matmul/epilogue_bias_activation, matmul/epilogue_mask, matmul/epilogue_plain, matmul/join_columns, matmul/out_f16,
// matmul/out_f32, matmul/piece_1, matmul/piece_4, matmul/saved, matmul/saved_f16.
//
// Adds up the parts of a product whose sum over k was split: C = epilogue(Σ parts). Parts are added
// in their order. One invocation per piece of C, and one per column sum behind them.
struct Dims {
    m: u32,
    n: u32,
    parts: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> products: array<Piece>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    let count = dims.m * dims.n / WIDTH;
    if i >= count {
        join_columns(i - count);
        return;
    }
    var sum = Piece(0.0);
    for (var part = 0u; part < dims.parts; part += 1u) {
        sum += products[part * count + i];
    }
    put_piece(i, finish(sum, bias_piece(i % (dims.n / WIDTH)), saved_piece(i)));
}
