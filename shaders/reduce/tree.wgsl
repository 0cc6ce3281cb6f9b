// Parts: shared/prelude.
//
// out[o, i] = sum, mean or maximum of x[o, k, i] over k. x is outer×span×inner, out is outer×inner.
// A workgroup computes COLUMNS neighbouring elements of out: 256/COLUMNS invocations share a span,
// each takes every (256/COLUMNS)-th element, and a tree in workgroup memory joins them. The variant
// for long spans and few outputs. With parts, out is outer×parts×inner: part p of a span is its share
// p·share .. (p + 1)·share.

// False: sum (times factor, which makes it a mean); true: maximum.
override MAXIMUM: bool;

// A power of two; more than 1 makes reads of neighbours when inner is not 1.
override COLUMNS: u32;

const INVOCATIONS: u32 = 256u;

struct Dims {
    outer: u32,
    span: u32,
    inner: u32,
    factor: f32,
    share: u32,
    parts: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

var<workgroup> results: array<f32, INVOCATIONS>;

// Sums are taken over blocks of this many elements, then over blocks.
const BLOCK: u32 = 32u;

fn join(a: f32, b: f32) -> f32 {
    if (MAXIMUM) {
        return larger(a, b);
    }
    return a + b;
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tile = flat_workgroup(workgroup, workgroups);
    let tiles = (dims.inner + COLUMNS - 1u) / COLUMNS;
    let outer = tile / tiles / dims.parts;
    let part = tile / tiles % dims.parts;
    let column = (tile % tiles) * COLUMNS + invocation % COLUMNS;
    let inside = outer < dims.outer && column < dims.inner;
    let first = outer * dims.span * dims.inner + column;
    let rows = INVOCATIONS / COLUMNS;

    var result = 0.0;
    if (inside) {
        // What leaves a result unchanged: 0 for a sum; any element for a maximum.
        let neutral = select(0.0, x[first], MAXIMUM);
        result = neutral;
        let last = min((part + 1u) * dims.share, dims.span);
        for (var start = part * dims.share + invocation / COLUMNS; start < last; start += BLOCK * rows) {
            var block = neutral;
            let end = min(start + BLOCK * rows, last);
            for (var k = start; k < end; k += 4u * rows) {
                block = join(block, x[first + k * dims.inner]);
                if (k + rows < end) { block = join(block, x[first + (k + rows) * dims.inner]); }
                if (k + 2u * rows < end) { block = join(block, x[first + (k + 2u * rows) * dims.inner]); }
                if (k + 3u * rows < end) { block = join(block, x[first + (k + 3u * rows) * dims.inner]); }
            }
            result = join(result, block);
        }
    }
    results[invocation] = result;
    for (var half = INVOCATIONS / 2u; half >= COLUMNS; half /= 2u) {
        workgroupBarrier();
        if (invocation < half) {
            results[invocation] = join(results[invocation], results[invocation + half]);
        }
    }
    if (inside && invocation < COLUMNS) {
        out[(outer * dims.parts + part) * dims.inner + column] = results[invocation] * dims.factor;
    }
}
