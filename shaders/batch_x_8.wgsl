// Rows of x are copied eight words at a time, as four integers of 64 bits; their length is a multiple
// of eight.
alias X = vec4<u64>;
