// Parts: shared/f16, shared/prelude, update/clip, update/gradients, update/gradients_in_parts, update/guard,
// update/copy_f16, update/l1, update/loss, update/loss_in_parts, update/no_clip, update/no_copy, update/no_penalty,
// update/report, update/rule_*, rule:*, rule_of_parts:*.
//
// Moves the parameters by a rule, whose formula is in update/rule_*.wgsl: values and gradients, and the states
// that the part made for the rule has, are pieces of four elements of an arena, of which those from first on
// are moved, up to end.

@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read_write> values: array<Piece>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = dims.first + flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    if (i >= dims.end) {
        return;
    }
    // First, since loss and gradient are kept where the parameters are not moved, too.
    let value = loss_of_step(i);
    let g = gradient(i);
    if (halted(value)) {
        return;
    }
    let w = values[i];
    let after = move_piece(i, w, penalized(w, clipped(g)));
    if (!all(after.sound)) {
        report(2u);
    }
    let kept = select(w, after.w, after.sound);
    values[i] = kept;
    keep_copy(i, kept);
}
