// Rows of t are copied four words at a time; their length is a multiple of four.
alias T = vec4<u32>;
// NaN for every word: what lies past the last row.
const T_NO_ROW = vec4<u32>(0x7fc00000u, 0x7fc00000u, 0x7fc00000u, 0x7fc00000u);
