// Rows of x are copied eight words at a time, as four integers of 64 bits; their length is a multiple
// of eight.
alias X = vec4<u64>;
// NaN for every word: what lies past the last row.
const X_NO_ROW = vec4<u64>(0x7fc000007fc00000lu, 0x7fc000007fc00000lu, 0x7fc000007fc00000lu, 0x7fc000007fc00000lu);
