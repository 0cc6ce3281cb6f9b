// Two blocks of B, whose rows lie along C: four rows of eight neighbours.
fn blocks_of_b(k: u32, column: u32) -> Blocks {
    let p = load_b_pair(k, column);
    let q = load_b_pair(k + 1u, column);
    let r = load_b_pair(k + 2u, column);
    let s = load_b_pair(k + 3u, column);
    return Blocks(
        Block(p.left, q.left, r.left, s.left),
        Block(p.right, q.right, r.right, s.right),
    );
}
