// The norm of all gradients of turn t, as in shared/norm.wgsl: the two factors by which they are clipped, and
// their squares. The sum of the invocations' scales is not far above the largest.
fn clipping_of(t: u32, sharer: Sharer, invocation: u32) -> vec3<f32> {
    var own = no_numbers();
    for (var i = invocation; i < PARAMETERS; i += INVOCATIONS) {
        own = with_four(own, total(t, i, sharer));
    }
    let scales = invocation_sum(own.scale, invocation);
    let scale = scale_of(bitcast<u32>(scales));
    let squares = invocation_sum(squares_for(own, scale), invocation);
    return vec3(clip_factors(Norm(scale, squares), run.clip_norm), squares);
}
