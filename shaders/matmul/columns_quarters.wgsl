// Column sums of B beside Aᵀ·B: with B the gradient of a layer's output, the bias's gradient. Each
// invocation adds up what it copies of B; of the first tiles of each column of tiles, this is added up and
// stored.
fn add_copied(sums: vec4<f32>, c: Copied) -> vec4<f32> {
    return sums + (c.b0 + c.b1);
}

// All invocations come here, after a barrier and with one behind them: the slabs are not in use.
fn store_column_sums(part: u32, corner: vec2<u32>, invocation: u32, sums: vec4<f32>) {
    if corner.x == 0u {
        put_b(invocation / LANES, 0u, invocation % LANES, sums);
        workgroupBarrier();
        if invocation < 8u {
            var sum = vec4<f32>();
            for (var i = 0u; i < 8u; i += 1u) {
                sum += slabs[0].slab[1][i / 2u][0][i % 2u][invocation];
                sum += slabs[1].slab[1][i / 2u][0][i % 2u][invocation];
                sum += slabs[2].slab[1][i / 2u][0][i % 2u][invocation];
                sum += slabs[3].slab[1][i / 2u][0][i % 2u][invocation];
            }
            let column = corner.y + invocation * 4u;
            let at = part * dims.n + column;
            if column < dims.n { put_column_sum(at, sum.x); }
            if column + 1u < dims.n { put_column_sum(at + 1u, sum.y); }
            if column + 2u < dims.n { put_column_sum(at + 2u, sum.z); }
            if column + 3u < dims.n { put_column_sum(at + 3u, sum.w); }
        }
        workgroupBarrier();
    }
}
