// No column sums wanted.
fn join_columns(column: u32) {}
