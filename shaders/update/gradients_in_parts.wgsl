// Some gradients are products whose sums over k were split: what lies of them is parts, which are added here, in
// their order, and then kept where the others lie. dims.joined has an entry for each of dims.joined_count such
// gradients: the piece where it begins, its number of elements, where its first part begins, and the number of
// parts, which follow each other.

@group(0) @binding(3) var<storage, read_write> gradients: array<Piece>;
@group(0) @binding(7) var<storage, read> parts: array<f32>;

fn gradient(i: u32) -> Piece {
    for (var number = 0u; number < dims.joined_count; number += 1u) {
        let joined = dims.joined[number];
        let element = 4u * (i - joined.x);
        if (i >= joined.x && element < joined.y) {
            gradients[i] = sum_of_parts(joined, element);
            break;
        }
    }
    return gradients[i];
}

// Of four elements. Behind the last of a gradient there are zeros.
fn sum_of_parts(joined: vec4<u32>, element: u32) -> Piece {
    let left = joined.y - element;
    let places = min(vec4(0u, 1u, 2u, 3u), vec4(left - 1u));
    var sum = Piece(0.0);
    for (var part = 0u; part < joined.w; part += 1u) {
        let at = vec4(joined.z + part * joined.y + element) + places;
        sum += vec4(parts[at.x], parts[at.y], parts[at.z], parts[at.w]);
    }
    return select(Piece(0.0), sum, vec4(0u, 1u, 2u, 3u) < vec4(left));
}
