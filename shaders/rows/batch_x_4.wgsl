// Rows of x are copied four words at a time; their length is a multiple of four.
alias X = vec4<u32>;
// NaN for every word: what lies past the last row.
const X_NO_ROW = vec4<u32>(0x7fc00000u, 0x7fc00000u, 0x7fc00000u, 0x7fc00000u);
