// Losses and counts whose items are elements, one (`loss/items_of_one.wgsl`) or four neighbours
// (`loss/items_of_four.wgsl`): each item is one invocation's business. The file of a loss or count says
// what is found for an element; `element` is its name here.

@group(0) @binding(2) var<storage, read> predictions: array<Piece>;
@group(0) @binding(3) var<storage, read> targets: array<Piece>;

const LINE_INVOCATIONS: u32 = 1u;

// What is found for an element, as often as its row counts.
fn weighted_found(found: Found, element: u32) -> Found {
    return Found(weighted_element(found.value, element), weighted_element(found.gradient, element));
}

fn item(i: u32, inside: bool, invocation: u32, scale: f32) -> f32 {
    if (inside) {
        return piece(i, scale);
    }
    return 0.0;
}
