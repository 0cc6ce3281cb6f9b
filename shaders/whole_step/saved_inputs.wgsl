// An activation of the net has a derivative that is computed from its input: it is kept.
fn save_input(to: Outputs, at: u32, z: vec4<f32>) {
    let layer = to.layer;
    if !to.backward & (layer.saved != layer.above) {
        store_four(layer.saved + at, filled_up(z, to.column, to.columns));
    }
}
