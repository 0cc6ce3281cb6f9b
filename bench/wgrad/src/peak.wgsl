// Multiply-adds in registers and nothing else. The host fills in several accumulators of four numbers,
// which hide each other's latency, in several counts, since too many leave the registers; and the
// multiply-add as `fma(s, b, c)` or `s * b + c`: drivers fuse one, both or neither.

override rounds: u32;

@group(0) @binding(0) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    // The sums tend to 1, so that no number becomes infinite or denormal.
    let b = vec4<f32>(0.999);
    let c = vec4<f32>(0.001);
    let start = f32(id.x) * 1e-6;
    /* accumulators */
    for (var i = 0u; i < rounds; i++) {
        /* multiply-adds */
    }
    let sum = /* their sum */;
    sums[id.x] = sum.x + sum.y + sum.z + sum.w;
}
