// Rows of x are copied word by word.
alias X = u32;
// NaN for every word: what lies past the last row.
const X_NO_ROW = 0x7fc00000u;
