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

const LANES: u32 = 256u;

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

var<workgroup> results: array<f32, LANES>;

// Sums are taken over blocks of this many elements, then over blocks.
const BLOCK: u32 = 32u;

fn join(a: f32, b: f32) -> f32 {
    if (MAXIMUM) {
        return larger(a, b);
    }
    return a + b;
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = flat_workgroup(workgroup, workgroups);
    let tiles = (dims.inner + COLUMNS - 1u) / COLUMNS;
    let outer = tile / tiles / dims.parts;
    let part = tile / tiles % dims.parts;
    let column = (tile % tiles) * COLUMNS + lane % COLUMNS;
    let inside = outer < dims.outer && column < dims.inner;
    let first = outer * dims.span * dims.inner + column;
    let rows = LANES / COLUMNS;

    var result = 0.0;
    if (inside) {
        // What leaves a result unchanged: 0 for a sum; any element for a maximum.
        let neutral = select(0.0, x[first], MAXIMUM);
        result = neutral;
        let last = min((part + 1u) * dims.share, dims.span);
        for (var start = part * dims.share + lane / COLUMNS; start < last; start += BLOCK * rows) {
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
    results[lane] = result;
    for (var half = LANES / 2u; half >= COLUMNS; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
            results[lane] = join(results[lane], results[lane + half]);
        }
    }
    if (inside && lane < COLUMNS) {
        out[(outer * dims.parts + part) * dims.inner + column] = results[lane] * dims.factor;
    }
}
