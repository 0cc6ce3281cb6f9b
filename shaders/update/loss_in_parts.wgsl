// The loss of the step is dims.loss_parts partial sums, 16 at most. They are added in the order of
// shared/tree_sum.wgsl, by every invocation for itself; one keeps the sum where the host finds it.

@group(0) @binding(4) var<storage, read> loss: array<f32>;
@group(0) @binding(10) var<storage, read_write> results: array<f32>;

fn loss_of_step(i: u32) -> f32 {
    let of_eight = four_parts(0u) + four_parts(8u);
    let of_four = of_eight + (four_parts(4u) + four_parts(12u));
    let of_two = of_four.xy + of_four.zw;
    let total = of_two.x + of_two.y;
    if (i == dims.first) {
        results[step.result_row * dims.loss_stride + dims.loss_column] = total;
    }
    return total;
}

// From part `first` on, with zeros past the last.
fn four_parts(first: u32) -> vec4<f32> {
    let places = vec4(first) + vec4(0u, 1u, 2u, 3u);
    let at = min(places, vec4(dims.loss_parts - 1u));
    return select(vec4<f32>(), vec4(loss[at.x], loss[at.y], loss[at.z], loss[at.w]), places < vec4(dims.loss_parts));
}
