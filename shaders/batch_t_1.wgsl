// Rows of t are copied word by word.
alias T = u32;
