// The steps that a whole-step kernel runs, and what it binds, wherever the numbers are. INVOCATIONS,
// MOST_STEPS and Target are made for the net.

// A step.
struct Record {
    // What the caller calls it.
    number_low: u32,
    number_high: u32,
    // First entry of the batch in the order of rows.
    batch_start: u32,
    // Rows of the batch.
    rows: u32,
    // 1 / items: losses are means.
    share: f32,
    // η.
    learning_rate: f32,
    // Adam's corrections 1 / (1 - β₁ᵗ) and 1 / (1 - β₂ᵗ), t counted from 1.
    correction1: f32,
    correction2: f32,
}

struct Run {
    steps: u32,
    // Those of the rule, in its order.
    figure1: f32,
    figure2: f32,
    figure3: f32,
    figure4: f32,
    clip_norm: f32,
    // Huber's δ.
    delta: f32,
    // Number of layers.
    layers: u32,
    // The first step's serial number; those after it follow in the lower word.
    serial_low: u32,
    serial_high: u32,
    unused_a: u32,
    unused_b: u32,
    records: array<Record, MOST_STEPS>,
}

@group(0) @binding(0) var<uniform> run: Run;
// A class per row, or the wanted outputs of each.
@group(0) @binding(2) var<storage, read> targets: array<Target>;
@group(0) @binding(3) var<storage, read> order: array<u32>;
@group(0) @binding(4) var<storage, read_write> values: array<f32>;
// See update/guard.wgsl.
@group(0) @binding(6) var<storage, read_write> status: array<u32>;

// Writes down that step t was the first that went wrong, and what did.
fn report(t: u32, what: u32) {
    status[0] = what;
    status[1] = run.serial_low + t;
    status[2] = run.serial_high;
    status[3] = run.records[t].number_low;
    status[4] = run.records[t].number_high;
}
