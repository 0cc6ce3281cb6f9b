// Rows of t are copied four words at a time; their length is a multiple of four.
alias T = vec4<u32>;
