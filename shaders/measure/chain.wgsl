// Parts: shared/prelude.
//
// A chain of multiply-adds, each of which waits for the one before it: x = factor·x + 1, over and over. As
// long as a device has schedulers that wait, more invocations take no longer; from there on each one counts.
struct Dims {
    // Sixteen multiply-adds each.
    turns: u32,
    factor: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

fn four_more(x: f32) -> f32 {
    let f = dims.factor;
    return fma(f, fma(f, fma(f, fma(f, x, 1.0), 1.0), 1.0), 1.0);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    var x = f32(invocation);
    for (var turn = 0u; turn < dims.turns; turn += 1u) {
        x = four_more(four_more(four_more(four_more(x))));
    }
    // With a factor that is not negative no x is: only the compiler does not know.
    if x < 0.0 {
        out[flat_workgroup(workgroup, workgroups) % arrayLength(&out)] = x;
    }
}
