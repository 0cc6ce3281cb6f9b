// The view that softmax and its relatives work on: tensors are outer×span×inner; the span elements
// of one (outer, inner) are a line, and lie inner apart. Lines are shared out as shared/line.wgsl says.

struct Dims {
    outer: u32,
    span: u32,
    inner: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;

// What one invocation handles: the elements start, start + LINE_INVOCATIONS, … below span, at
// first + k · inner. For invocations past the last line, span is 0.
struct Line {
    first: u32,
    start: u32,
    span: u32,
}

fn line_of(workgroup: u32, invocation: u32) -> Line {
    let line = workgroup * (256u / LINE_INVOCATIONS) + invocation / LINE_INVOCATIONS;
    let first = (line / dims.inner) * dims.span * dims.inner + line % dims.inner;
    let span = select(0u, dims.span, line < dims.outer * dims.inner);
    return Line(first, invocation % LINE_INVOCATIONS, span);
}
