// Rows of x are copied word by word.
alias X = u32;
