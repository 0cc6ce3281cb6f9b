// The loss of the step has been added up.

@group(0) @binding(4) var<storage, read> loss: array<f32>;

fn loss_of_step(i: u32) -> f32 {
    return loss[step.result_row * dims.loss_stride + dims.loss_column];
}
