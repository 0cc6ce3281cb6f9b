// Rows of t are copied word by word.
alias T = u32;
// NaN for every word: what lies past the last row.
const T_NO_ROW = 0x7fc00000u;
