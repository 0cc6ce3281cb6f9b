// Texels in a row of a texture that holds a tensor, one texel of four numbers after another.
override TEXELS_ACROSS: u32;
