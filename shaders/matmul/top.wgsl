// Of C, n a multiple of four, not the values are kept but where in each row the first of the largest is: what
// `arg_max` makes of the product, without C in memory. A workgroup is one subgroup whose tile is as wide as C.
alias Piece = vec4<f32>;
// The bits of a piece.
alias Bits = vec4<i32>;

@group(0) @binding(3) var<storage, read_write> out: array<u32>;

// The place of none.
const NOWHERE: u32 = 0xffffffffu;

struct Top {
    value: f32,
    place: u32,
}

// What the epilogue reads beside columns column .. column + 4.
fn aside(column: u32) -> vec4<f32> {
    return bias_piece(min(column, dims.n - 4u) / 4u);
}

// The larger one; NaN is above all numbers, and of equal ones the first stays.
fn better(a: Top, b: Top) -> Top {
    let ties = !is_nan(a.value) & (b.value == a.value) & (b.place < a.place);
    let takes = (b.place != NOWHERE) & ((a.place == NOWHERE) | beats(b.value, a.value) | ties);
    return Top(select(a.value, b.value, takes), select(a.place, b.place, takes));
}

fn top_of(column: u32, v: vec4<f32>, bias: vec4<f32>) -> Top {
    let x = finish(v, bias, Piece(0.0));
    let left = better(Top(x.x, column), Top(x.y, column + 1u));
    let right = better(Top(x.z, column + 2u), Top(x.w, column + 3u));
    let top = better(left, right);
    return Top(top.value, select(NOWHERE, top.place, column < dims.n));
}

// Joins what the invocations of the subgroup found, and writes it. A row with NaN has no place.
fn keep(row: u32, column: u32, mine: Top) {
    var top = mine;
    for (var apart = ACROSS / 2u; apart > 0u; apart /= 2u) {
        let value = subgroupShuffleXor(top.value, apart);
        let place = subgroupShuffleXor(top.place, apart);
        top = better(top, Top(value, place));
    }
    if column == 0u && row < dims.m {
        out[row] = select(top.place, NOWHERE, is_nan(top.value));
    }
}

fn store(part: u32, row: u32, column: u32, v: vec4<f32>, bias: vec4<f32>) {
    keep(row, column, top_of(column, v, bias));
}

fn store_pair(part: u32, row: u32, column: u32, v: Pair, bias: Pair) {
    let left = top_of(column, v.left, bias.left);
    keep(row, column, better(left, top_of(column + 4u, v.right, bias.right)));
}
