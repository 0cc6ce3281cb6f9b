// Rows of x are copied four words at a time; their length is a multiple of four.
alias X = vec4<u32>;
