// Colours an image with the output of a net, which lies in the buffer that wgrad left it in.

// The net's output: three numbers per pixel, about 0 to 1.
@group(0) @binding(0) var<storage, read> colours: array<f32>;
// The image: one word of RGBA per pixel.
@group(0) @binding(1) var<storage, read_write> image: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let pixel = id.x;
    if pixel >= arrayLength(&image) {
        return;
    }
    let colour = vec3(colours[3 * pixel], colours[3 * pixel + 1], colours[3 * pixel + 2]);
    image[pixel] = pack4x8unorm(vec4(saturate(colour), 1.0));
}
