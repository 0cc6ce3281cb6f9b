// Rows of t are copied eight words at a time, as four integers of 64 bits; their length is a multiple
// of eight.
alias T = vec4<u64>;
