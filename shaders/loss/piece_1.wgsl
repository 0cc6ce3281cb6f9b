// Gradients, and where items are elements predictions and targets, are accessed one by one.
alias Piece = f32;
