// Column sums of B beside Aᵀ·B: with B the gradient of a layer's output, the bias's gradient. Each
// invocation adds up what it copies of B; of the first tiles of each column of tiles, this is added up and
// stored.
fn add_copied(sums: vec4<f32>, c: Copied) -> vec4<f32> {
    return sums + sum_of_copied_b(c);
}

// All invocations come here, after a barrier: the slab is no longer read.
fn store_column_sums(part: u32, corner: vec2<u32>, invocation: u32, sums: vec4<f32>) {
    if corner.x == 0u {
        put_b(0u, invocation, sums);
        workgroupBarrier();
        if invocation < ACROSS {
            var sum = vec4<f32>();
            for (var i = 0u; i < DOWN; i += 1u) {
                sum += b_slab[0].piece[i][invocation];
            }
            let column = corner.y + invocation * 4u;
            let at = part * dims.n + column;
            if column < dims.n { put_column_sum(at, sum.x); }
            if column + 1u < dims.n { put_column_sum(at + 1u, sum.y); }
            if column + 2u < dims.n { put_column_sum(at + 2u, sum.z); }
            if column + 3u < dims.n { put_column_sum(at + 3u, sum.w); }
        }
    }
}
