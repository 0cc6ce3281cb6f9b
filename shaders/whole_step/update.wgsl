// How a step moves the parameters.
struct Update {
    moves: bool,
    // From clipping, see shared/norm.wgsl.
    factors: vec2<f32>,
    rule: Rule,
}
