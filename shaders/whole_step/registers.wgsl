// What the kernel in registers binds besides. Its `main` is written by src/kernel/whole_step/registers.rs.

@group(0) @binding(1) var<storage, read> features: array<f32>;
// A row per step: the loss, then a sum per metric.
@group(0) @binding(5) var<storage, read_write> results: array<f32>;
